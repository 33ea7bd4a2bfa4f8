//! Where other machines take this Drydock from: a registry, a commit of a repository, or a directory.

use std::path::{Path, PathBuf};

use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_init::member::Source;

/// The source that was given, or that of the running program: the commit of its own repository, or its directory if that has no
/// address, or else its version.
pub(super) fn source(given: Option<&str>) -> anyhow::Result<Source> {
    if let Some(given) = given {
        return parse(given);
    }
    let package = crate::workspace::root().join("xtask");
    let is_ours = |manifest: &str| {
        let table: Option<toml::Table> = manifest.parse().ok();
        table.and_then(|table| Some(table.get("package")?.get("name")?.as_str()? == "drydock")).unwrap_or_default()
    };
    if !std::fs::read_to_string(package.join("Cargo.toml")).is_ok_and(|manifest| is_ours(&manifest)) {
        return Ok(Source::Registry(env!("CARGO_PKG_VERSION").to_owned()));
    }
    let ask = |words: &[&str]| {
        let argv: Vec<String> = ["git"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        Some(exec::read(&argv, &package).ok()?.trim().to_owned()).filter(|answer| !answer.is_empty())
    };
    let url = ask(&["remote", "get-url", "origin"]).filter(|url| url.starts_with("https://"));
    Ok(match (url, ask(&["rev-parse", "HEAD"])) {
        (Some(url), Some(commit)) => Source::Git { url, commit },
        _ => Source::Directory(package),
    })
}

/// `VERSION`, `URL#COMMIT`, or a directory with the sources.
fn parse(given: &str) -> anyhow::Result<Source> {
    if let Some((url, commit)) = given.split_once('#') {
        let is_commit = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_url = !url.is_empty() && !url.contains(|letter: char| letter.is_whitespace() || letter.is_control());
        if is_commit && is_url {
            return Ok(Source::Git { url: url.to_owned(), commit: commit.to_owned() });
        }
        return Err(Failure::usage(format!(
            "--from {given}: expected an address and a commit, such as https://…/drydock#0123abcd"
        )));
    }
    let directory = Path::new(given);
    if directory.join("xtask/Cargo.toml").is_file() {
        let absolute = std::path::absolute(directory.join("xtask")).unwrap_or_else(|_| PathBuf::from(given));
        return Ok(Source::Directory(absolute));
    }
    let is_version = given.starts_with(|first: char| first.is_ascii_digit())
        && given.split('.').count() == 3
        && given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    if is_version {
        return Ok(Source::Registry(given.to_owned()));
    }
    Err(Failure::usage(format!(
        "--from {given}: neither a version such as {}, nor URL#COMMIT, nor a directory with the sources of Drydock",
        env!("CARGO_PKG_VERSION")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_version_a_commit_or_a_directory() {
        assert_eq!(parse("1.2.3").unwrap(), Source::Registry("1.2.3".into()));
        let git = Source::Git { url: "https://example.org/d".into(), commit: "0123abcd".into() };
        assert_eq!(parse("https://example.org/d#0123abcd").unwrap(), git);
        for wrong in ["https://example.org/d", "https://example.org/d#main", "#0123abcd", "nowhere", "1.2", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(parse(root.to_str().unwrap()).unwrap(), Source::Directory(root.join("xtask")));
    }
}
