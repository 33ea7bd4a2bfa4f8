//! Signatures by gpg and its agent: clear signatures of `.dsc`, `.buildinfo` and `.changes`, detached ones of other files.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Context as _;

use super::control;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;

/// The environment variable with the key's passphrase, for machines whose agent cannot ask.
pub const PASSPHRASE: &str = "DRYDOCK_GPG_PASSPHRASE";

/// The environment variables that gpg needs to find its keys and its agent.
const PASSED: [&str; 3] = ["GNUPGHOME", "GPG_TTY", "GPG_AGENT_INFO"];

/// A key that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The key's fingerprint or address; gpg's default key if `None`.
    pub key: Option<String>,
}

impl Signer {
    /// Clear-signs a text.
    ///
    /// # Errors
    /// gpg is missing, or cannot sign with the key.
    pub fn sign(&self, text: &str) -> anyhow::Result<String> {
        self.gpg("--clearsign", text)
    }

    /// Returns a detached signature of a text.
    ///
    /// # Errors
    /// gpg is missing, or cannot sign with the key.
    pub fn detach(&self, text: &str) -> anyhow::Result<String> {
        self.gpg("--detach-sign", text)
    }

    fn gpg(&self, how: &str, text: &str) -> anyhow::Result<String> {
        let mut file =
            tempfile::Builder::new().prefix("drydock-sign-").tempfile().context("cannot create a temporary file")?;
        file.write_all(text.as_bytes()).context("cannot write a temporary file")?;
        let passphrase = std::env::var(PASSPHRASE).ok();
        let mut argv: Vec<String> =
            ["--batch", "--no-tty", "--quiet", "--digest-algo", "SHA512"].map(str::to_owned).to_vec();
        if passphrase.is_some() {
            // By standard input, because every user can see the arguments of processes.
            argv.extend(["--pinentry-mode", "loopback", "--passphrase-fd", "0"].map(str::to_owned));
        }
        if let Some(key) = &self.key {
            argv.extend(["--local-user".to_owned(), key.clone()]);
        }
        argv.extend(["--armor", "--output", "-", how, "--"].map(str::to_owned));
        argv.push(file.path().display().to_string());
        let search = std::env::var_os("PATH");
        let gpg = exec::find("gpg", std::path::Path::new("/"), search.as_ref()).map_err(|why| {
            Failure::missing(format!("cannot sign: {why}; run `{}`", hint::apt_get(["install", "gpg"])))
        })?;
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
                None => format!("cannot sign with gpg's default key: {why}; name another with --key"),
            };
            return Err(Failure::missing(text));
        }
        String::from_utf8(output.stdout).context("gpg did not print text")
    }
}

/// The signature of a text, as gpg judges it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Signature {
    /// The text is not signed.
    #[default]
    None,
    /// The signature is good. The value is the fingerprint of the primary key.
    Good(String),
    /// The signature is good, but its key has expired. The value is the fingerprint of the primary key.
    ExpiredKey(String),
    /// The signature cannot be checked, because gpg does not have the key.
    UnknownKey,
    /// The signature is bad or gpg failed, for this reason.
    Bad(String),
}

/// Checks the clear signature of a text, which may have an encoding other than UTF-8.
pub fn check(text: &[u8]) -> Signature {
    if !control::is_signed(&String::from_utf8_lossy(text)) {
        return Signature::None;
    }
    verify(text).unwrap_or_else(|error| Signature::Bad(format!("{error:#}")))
}

fn verify(text: &[u8]) -> anyhow::Result<Signature> {
    let search = std::env::var_os("PATH");
    let gpg = exec::find("gpg", std::path::Path::new("/"), search.as_ref())?;
    let output = duct::cmd(gpg, ["--batch", "--no-tty", "--status-fd", "1", "--verify", "-"])
        .full_env(exec::environment(&PASSED.map(str::to_owned), &BTreeMap::new()))
        .stdin_bytes(text)
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run gpg")?;
    let status = String::from_utf8_lossy(&output.stdout);
    let mut lines = status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let has = |word: &str| lines.clone().any(|line| line.split(' ').next() == Some(word));
    let (good, expired, unknown) = (has("GOODSIG"), has("EXPKEYSIG"), has("NO_PUBKEY"));
    let valid = lines.find_map(|line| line.strip_prefix("VALIDSIG ")?.split(' ').next_back());
    Ok(match valid {
        Some(key) if good && output.status.success() => Signature::Good(key.to_owned()),
        Some(key) if expired => Signature::ExpiredKey(key.to_owned()),
        None if unknown => Signature::UnknownKey,
        Some(_) | None => Signature::Bad(exec::end_of(&output.stderr)),
    })
}
