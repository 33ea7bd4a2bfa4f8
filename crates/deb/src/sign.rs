//! Signatures by gpg and its agent: clear ones around `.dsc`, `.buildinfo` and `.changes`, detached ones beside others.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Context as _;

use drydock_base::exec;
use drydock_base::failure::Failure;

/// The variable with the key's passphrase, for machines without an agent that asks.
pub const PASSPHRASE: &str = "DRYDOCK_GPG_PASSPHRASE";

/// Variables that gpg finds its keys and its agent by.
const PASSED: [&str; 3] = ["GNUPGHOME", "GPG_TTY", "GPG_AGENT_INFO"];

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The key's fingerprint or address; none for the one that gpg takes by itself.
    pub key: Option<String>,
}

impl Signer {
    /// Signs a text, with the signature around it.
    ///
    /// # Errors
    /// gpg is missing or has no such key.
    pub fn sign(&self, text: &str) -> anyhow::Result<String> {
        self.gpg("--clearsign", text)
    }

    /// Signs a text, with the signature apart from it.
    ///
    /// # Errors
    /// gpg is missing or has no such key.
    pub fn detach(&self, text: &str) -> anyhow::Result<String> {
        self.gpg("--detach-sign", text)
    }

    fn gpg(&self, how: &str, text: &str) -> anyhow::Result<String> {
        let mut file = tempfile::Builder::new().prefix("drydock-sign-").tempfile().context("cannot make a file")?;
        file.write_all(text.as_bytes()).context("cannot write a temporary file")?;
        let passphrase = std::env::var(PASSPHRASE).ok();
        let mut argv: Vec<String> =
            ["--batch", "--no-tty", "--quiet", "--digest-algo", "SHA512"].map(str::to_owned).to_vec();
        if passphrase.is_some() {
            // By standard input: arguments are seen by everybody.
            argv.extend(["--pinentry-mode", "loopback", "--passphrase-fd", "0"].map(str::to_owned));
        }
        if let Some(key) = &self.key {
            argv.extend(["--local-user".to_owned(), key.clone()]);
        }
        argv.extend(["--armor", "--output", "-", how, "--"].map(str::to_owned));
        argv.push(file.path().display().to_string());
        let search = std::env::var_os("PATH");
        let gpg = exec::find("gpg", std::path::Path::new("/"), search.as_ref())
            .map_err(|why| Failure::missing(format!("cannot sign: {why}; apt-get install gpg")))?;
        let environment = exec::environment(&PASSED.map(str::to_owned), &BTreeMap::new());
        let output = duct::cmd(gpg, argv)
            .full_env(environment)
            .stdin_bytes(passphrase.map_or_else(String::new, |passphrase| passphrase + "\n"))
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .context("cannot run gpg")?;
        if !output.status.success() {
            let why = exec::end_of(&output.stderr);
            let text = match &self.key {
                Some(key) => format!("cannot sign with the key {key}: {why}; is it in gpg-agent?"),
                None => format!("cannot sign with the key that gpg takes by itself: {why}; name one with --key"),
            };
            return Err(Failure::missing(text));
        }
        String::from_utf8(output.stdout).context("gpg printed no text")
    }
}

/// The fingerprint of the primary key that signed a text, as gpg knows it.
///
/// # Errors
/// In words, why the signature is not good.
pub fn verified(text: &str) -> Result<String, String> {
    let argv = ["gpg", "--batch", "--no-tty", "--status-fd", "1", "--verify", "-"].map(str::to_owned);
    let search = std::env::var_os("PATH");
    let gpg = exec::find(&argv[0], std::path::Path::new("/"), search.as_ref()).map_err(|why| why.to_string())?;
    let output = duct::cmd(gpg, &argv[1..])
        .full_env(exec::environment(&PASSED.map(str::to_owned), &BTreeMap::new()))
        .stdin_bytes(text)
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|error| exec::plain(&error))?;
    let status = String::from_utf8_lossy(&output.stdout);
    let good = status.lines().any(|line| line.starts_with("[GNUPG:] GOODSIG "));
    let valid = status.lines().find_map(|line| line.strip_prefix("[GNUPG:] VALIDSIG ")?.split(' ').next_back());
    match valid {
        Some(key) if good && output.status.success() => Ok(key.to_owned()),
        Some(_) | None => Err(exec::end_of(&output.stderr)),
    }
}
