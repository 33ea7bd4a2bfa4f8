//! The credentials files of docker and podman.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{DOCKER_HUB_KEY, Login, Secret};
use crate::model::null_is_default;
use drydock_base::failure::Failure;

/// The maximum size of a credentials file, in bytes.
const LARGEST: u64 = 1 << 20;

/// The fields of a credentials file that are used here.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct File {
    #[serde(deserialize_with = "null_is_default")]
    auths: BTreeMap<String, Option<Entry>>,
    creds_store: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// The entry of a file for a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Credentials.
    Login(Login),
    /// A credential helper.
    Helper {
        /// The suffix of the program's name.
        name: String,
        /// The name of the registry for the helper.
        server: String,
    },
}

/// Reads the entry of a file for a repository; none if the file does not exist.
pub(super) fn read(path: &Path, host: &str, repository: &str) -> anyhow::Result<Option<Found>> {
    let mut text = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(LARGEST).read_to_end(&mut text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    }
    .map_err(|error| Failure::missing(format!("cannot read the credentials file {}: {error}", path.display())))?;
    parse(&text, host, repository, &path.display().to_string())
}

fn parse(text: &[u8], host: &str, repository: &str, source: &str) -> anyhow::Result<Option<Found>> {
    // The parser's message could contain a part of a secret.
    if text.trim_ascii().is_empty() {
        // As docker reads it; `REGISTRY_AUTH_FILE=/dev/null` is a way to have no logins.
        return Ok(None);
    }
    let wrong = |what: &str| Failure::missing(format!("cannot parse {source}{what}; log in again"));
    let file: Option<File> =
        serde_json::from_slice(text).map_err(|error| wrong(&format!(":{}:{}", error.line(), error.column())))?;
    let file = file.unwrap_or_default();
    let server = if host == "docker.io" { DOCKER_HUB_KEY } else { host };
    // As docker reads it: an empty name is no helper, and one for the host is used instead of the one for all hosts.
    let for_host = file.cred_helpers.iter().find(|(key, _)| host_of(key) == host).map(|(_, name)| name.clone());
    let is_for_host = for_host.is_some();
    let helper = for_host.or(file.creds_store).filter(|name| !name.is_empty());
    let helper = helper.map(|name| Found::Helper { name, server: server.to_owned() });
    if is_for_host && helper.is_some() {
        return Ok(helper);
    }
    for wanted in narrowing(host, repository) {
        for (key, entry) in file.auths.iter().filter_map(|(key, entry)| Some((key, entry.as_ref()?))) {
            // Keys of docker have a scheme and name hosts only; others may name a part of a host.
            let names = if key.contains("://") || !key.contains('/') { host_of(key) } else { key.clone() };
            if names != wanted && host_of_legacy(key) != Some(wanted.as_str()) {
                continue;
            }
            if let Some(secret) = entry.secret().map_err(|what| wrong(&format!(": {what} for {key}")))? {
                return Ok(Some(Found::Login(Login { secret, source: source.to_owned() })));
            }
        }
    }
    Ok(helper)
}

/// `a.example/b/c`, `a.example/b`, `a.example`.
fn narrowing(host: &str, repository: &str) -> Vec<String> {
    let mut all = vec![format!("{host}/{repository}")];
    while let Some((rest, _)) = all.last().and_then(|last| last.rsplit_once('/')) {
        all.push(rest.to_owned());
    }
    all
}

/// Returns the host that a key names.
fn host_of(key: &str) -> String {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match rest.split('/').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

/// Returns the host of an old key without a scheme: `registry.example/v1/`.
fn host_of_legacy(key: &str) -> Option<&str> {
    ["/v1/", "/v2/", "/v1", "/v2"].iter().find_map(|end| key.strip_suffix(end)).filter(|host| !host.contains('/'))
}

impl Entry {
    /// Returns the secret; none if it is kept in a helper.
    fn secret(&self) -> Result<Option<Secret>, &'static str> {
        let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Secret::Identity(token)));
        }
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Secret::Bearer(token)));
        }
        if let Some(auth) = given(&self.auth) {
            // Go's decoder, which docker and podman have, skips line breaks.
            let bytes = STANDARD.decode(auth.replace(['\n', '\r'], "")).map_err(|_| "`auth` is not base64")?;
            let text = String::from_utf8(bytes).map_err(|_| "`auth` is not valid UTF-8")?;
            let (user, password) = text.split_once(':').ok_or("`auth` has no `:`")?;
            // Old versions of docker padded the password.
            let password = password.trim_end_matches('\0').to_owned();
            return Ok(Some(Secret::Basic { user: user.to_owned(), password }));
        }
        Ok(given(&self.username).zip(given(&self.password)).map(|(user, password)| Secret::Basic { user, password }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, repository: &str, expected: &str) {
        let found = parse(text.as_bytes(), host, repository, "FILE");
        let shown = match &found {
            Ok(Some(Found::Login(login))) => match &login.secret {
                Secret::Basic { user, password } => format!("{user}:{password}"),
                Secret::Identity(token) => format!("identity {token}"),
                Secret::Bearer(token) => format!("bearer {token}"),
            },
            Ok(Some(Found::Helper { name, server })) => format!("{name} for {server}"),
            Ok(None) => "none".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn hosts_and_paths_select_entries() {
        let auths = |key: &str| format!("{{\"auths\":{{\"{key}\":{{\"auth\":\"dTpwOnE=\"}}}}}}");
        for (key, host, repository, expected) in [
            ("ghcr.io", "ghcr.io", "a/b", "u:p:q"),
            ("https://ghcr.io", "ghcr.io", "a/b", "u:p:q"),
            ("https://ghcr.io/v2/", "ghcr.io", "a/b", "u:p:q"),
            ("ghcr.io/v1/", "ghcr.io", "a/b", "u:p:q"),
            ("https://index.docker.io/v1/", "docker.io", "library/debian", "u:p:q"),
            ("docker.io", "docker.io", "library/debian", "u:p:q"),
            ("ghcr.io/a", "ghcr.io", "a/b", "u:p:q"),
            ("ghcr.io/a", "ghcr.io", "ab", "none"),
            ("ghcr.io/a/b/c", "ghcr.io", "a/b", "none"),
            ("ghcr.io", "ghcr.io:5000", "a", "none"),
            ("ghcr.io.evil.example", "ghcr.io", "a", "none"),
            ("https://evil.example/ghcr.io", "ghcr.io", "a", "none"),
        ] {
            check(&auths(key), host, repository, expected);
        }
        let narrower = r#"{"auths":{"a.example":{"auth":"dToxCg=="},"a.example/x":{"auth":"dToy"}}}"#;
        check(narrower, "a.example", "x/y", "u:2");
    }

    proptest::proptest! {
        #[test]
        fn errors_never_show_secrets(before in "[{}\\[\\]\":,a-z]{0,30}", after in "[{}\\[\\]\":,a-z]{0,30}") {
            let text = format!("{before}\"S3CRET\"{after}");
            if let Err(error) = parse(text.as_bytes(), "a.example", "x", "FILE") {
                let shown = format!("{error:#}");
                proptest::prop_assert!(!shown.contains("S3CRET"));
            }
        }
    }

    #[test]
    fn entries_are_parsed() {
        check(r#"{"auths":{"a.example":{"identitytoken":"t"}}}"#, "a.example", "x", "identity t");
        check(r#"{"auths":{"a.example":{"registrytoken":"t"}}}"#, "a.example", "x", "bearer t");
        check(r#"{"auths":{"a.example":{"username":"u","password":"p"}}}"#, "a.example", "x", "u:p");
        check(r#"{"auths":{"a.example":{}},"credsStore":"pass"}"#, "a.example", "x", "pass for a.example");
        check(r#"{"credsStore":"pass"}"#, "docker.io", "x", "pass for https://index.docker.io/v1/");
        check(r#"{"credHelpers":{"a.example":"gcr"},"credsStore":"pass"}"#, "a.example", "x", "gcr for a.example");
        check(r#"{"credHelpers":{"a.example":"gcr"}}"#, "b.example", "x", "none");
        check("{}", "a.example", "x", "none");
        for nothing in ["", " \n", "null", r#"{"auths":null}"#, r#"{"auths":{"a.example":null}}"#] {
            check(nothing, "a.example", "x", "none");
        }
        let nulls =
            r#"{"auths":{"b":null,"a.example":{"auth":"dTpw","email":null}},"credHelpers":null,"credsStore":null}"#;
        check(nulls, "a.example", "x", "u:p");
        check(r#"{"auths":{"a.example":{"auth":"dT\npw\r\n"}}}"#, "a.example", "x", "u:p");
        check(r#"{"credsStore":""}"#, "a.example", "x", "none");
        check(r#"{"auths":{"a.example":{"auth":"dTpw"}},"credsStore":""}"#, "a.example", "x", "u:p");
        check(r#"{"credHelpers":{"a.example":""},"credsStore":"pass"}"#, "a.example", "x", "none");
        check(r#"{"credHelpers":{"a.example":""},"auths":{"a.example":{"auth":"dTpw"}}}"#, "a.example", "x", "u:p");
        check(r#"{"auths":{"a.example":{"auth":"???"}}}"#, "a.example", "x", {
            "cannot parse FILE: `auth` is not base64 for a.example; log in again"
        });
        check("{\"auths\": \"s3cret\"}", "a.example", "x", "cannot parse FILE:1:18; log in again");
    }
}
