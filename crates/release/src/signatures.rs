//! OpenPGP signatures, checked by gpg in an empty home directory with only the declared keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;

/// The signatures of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// The name of the file with the signatures.
    pub file: String,
    /// The fingerprints of the declared keys with a valid signature.
    pub good: BTreeSet<String>,
    /// The problems of the other signatures.
    pub problems: Vec<String>,
}

/// Checks every `*.asc` of a directory against the file beside it, with the keys in the directory `keys`.
///
/// # Errors
/// gpg is missing, or `keys` has no keys.
pub fn check(directory: &Path, keys: &Path) -> anyhow::Result<Vec<Signature>> {
    let mut signatures: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "asc"))
        .collect();
    signatures.sort();
    if signatures.is_empty() {
        return Ok(Vec::new());
    }
    let home = home_with(keys)?;
    signatures.iter().map(|signature| check_file(home.path(), signature)).collect()
}

/// Checks a detached signature of bytes; messages call it `shown`.
///
/// # Errors
/// gpg is missing, or `keys` has no keys.
pub fn check_bytes(shown: &str, signed: &[u8], signature: &[u8], keys: &Path) -> anyhow::Result<Signature> {
    let home = home_with(keys)?;
    let at = |name: &str| home.path().join(name);
    let write =
        |name: &str, bytes: &[u8]| fs::write(at(name), bytes).context("cannot write to the temporary directory");
    write("signed", signed)?;
    write("signed.asc", signature)?;
    Ok(Signature { file: shown.to_owned(), ..check_file(home.path(), &at("signed.asc"))? })
}

/// A temporary home directory of gpg with the declared keys.
fn home_with(keys: &Path) -> anyhow::Result<tempfile::TempDir> {
    if !exec::is_installed("gpg") {
        return Err(Failure::missing(format!(
            "gpg is missing, which checks signatures; run `{}`",
            hint::apt_get(["install", "gpg"])
        )));
    }
    let home =
        tempfile::Builder::new().prefix("drydock-gpg-").tempdir().context("cannot make a temporary directory")?;
    import(home.path(), keys)?;
    Ok(home)
}

fn import(home: &Path, keys: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(keys)
        .map_err(|error| Failure::declaration(format!("no keys in {}: {}", keys.display(), exec::plain(&error))))?;
    let mut files: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "asc" || extension == "gpg"))
        .map(|path| path.display().to_string())
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::declaration(format!("{} has no keys (*.asc or *.gpg)", keys.display())));
    }
    let mut argv = gpg(home);
    argv.extend(["--import".to_owned(), "--".to_owned()]);
    argv.extend(files);
    exec::read(&argv, home).map_err(|why| Failure::declaration(format!("cannot import the keys: {why}")))?;
    Ok(())
}

fn gpg(home: &Path) -> Vec<String> {
    let home = home.display().to_string();
    let options = "--batch --no-tty --no-autostart --trust-model always --status-fd 1".split(' ');
    ["gpg", "--homedir", &home].into_iter().chain(options).map(str::to_owned).collect()
}

fn check_file(home: &Path, signature: &Path) -> anyhow::Result<Signature> {
    let name = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let signed = signature.with_extension("");
    let mut result = Signature { file: name(signature), good: BTreeSet::new(), problems: Vec::new() };
    if !signed.is_file() {
        result.problems.push(format!("{} is missing", name(&signed)));
        return Ok(result);
    }
    let mut argv = gpg(home);
    argv.extend(["--verify", "--"].map(str::to_owned));
    argv.extend([signature, &signed].map(|path| path.display().to_string()));
    // The exit code is that of the worst signature; the status output has all of them.
    let program = exec::find("gpg", home, std::env::var_os("PATH").as_ref())?;
    let output = duct::cmd(program, &argv[1..])
        .full_env(exec::environment(&[], &BTreeMap::new()))
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run gpg")?;
    read_status(&String::from_utf8_lossy(&output.stdout), &mut result);
    if result.good.is_empty() && result.problems.is_empty() {
        result.problems.push(format!("it has no signature: {}", exec::end_of(&output.stderr)));
    }
    Ok(result)
}

/// Reads the status output of gpg (`doc/DETAILS`, "Format of the --status-fd output").
fn read_status(status: &str, result: &mut Signature) {
    let mut last = "";
    for line in status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let key = words.get(1).copied().unwrap_or_default();
        match words[0] {
            "GOODSIG" => last = "GOODSIG",
            "VALIDSIG" if last == "GOODSIG" => {
                // The last word is the fingerprint of the primary key.
                result.good.insert(words.last().copied().unwrap_or_default().to_owned());
                last = "";
            }
            "BADSIG" => result.problems.push(format!("the signature of {key} is for other content")),
            "EXPSIG" | "EXPKEYSIG" => result.problems.push(format!("the signature or key of {key} has expired")),
            "REVKEYSIG" => result.problems.push(format!("the key {key} is revoked")),
            "ERRSIG" => result.problems.push(format!("the key {key} is not among the declared ones")),
            _ => {}
        }
        if matches!(words[0], "BADSIG" | "EXPSIG" | "EXPKEYSIG" | "REVKEYSIG" | "ERRSIG" | "NEWSIG") {
            last = "";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_good_and_valid_signatures_count() {
        let status = "\
[GNUPG:] NEWSIG
[GNUPG:] GOODSIG AAAA one
[GNUPG:] VALIDSIG 01 2026-01-01 1 0 4 0 1 10 00 PRIMARY1
[GNUPG:] NEWSIG
[GNUPG:] EXPKEYSIG BBBB two
[GNUPG:] VALIDSIG 02 2026-01-01 1 0 4 0 1 10 00 PRIMARY2
[GNUPG:] NEWSIG
[GNUPG:] ERRSIG CCCC 1 10 00 1 9 -
[GNUPG:] NO_PUBKEY CCCC
[GNUPG:] NEWSIG
[GNUPG:] BADSIG DDDD four
";
        let mut result = Signature { file: "x.asc".into(), good: BTreeSet::new(), problems: Vec::new() };
        read_status(status, &mut result);
        assert_eq!(result.good, BTreeSet::from(["PRIMARY1".to_owned()]));
        assert_eq!(
            result.problems,
            [
                "the signature or key of BBBB has expired",
                "the key CCCC is not among the declared ones",
                "the signature of DDDD is for other content"
            ]
        );
    }
}
