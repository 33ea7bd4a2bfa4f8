//! Credentials for registries: from the environment, from the files of docker and podman, and from credential helpers.
//!
//! containers-auth.json(5), containers-certs.d(5); docker's `config.json` and the protocol of its credential helpers
//! (docker-credential-helpers, "Development"). Credentials are for one host, and are read when that host asks for
//! them.

mod files;
mod helper;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use files::Found;

use drydock_base::failure::Failure;
use drydock_http::NetworkEnv;

/// The key of Docker Hub in docker's files.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The secret part of credentials. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// User name and password.
    Basic {
        /// The user name; never shown, as some registries use a key here.
        user: String,
        /// The password or a token.
        password: String,
    },
    /// An identity token, which the token service exchanges for access tokens.
    Identity(String),
    /// An access token.
    Bearer(String),
}

/// A secret with its source.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub(super) secret: Secret,
    pub(super) source: String,
}

impl Login {
    /// Returns the variable, file or helper that the credentials came from.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login(from {})", self.source)
    }
}

/// The sources of credentials on this machine. Nothing is read before a registry asks.
#[derive(Clone, Default)]
pub struct Credentials {
    variables: BTreeMap<OsString, OsString>,
    machine: NetworkEnv,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Uses the environment of this process.
    pub fn from_process() -> Credentials {
        Credentials::new(std::env::vars_os().collect())
    }

    /// Uses the given environment.
    pub fn new(variables: BTreeMap<OsString, OsString>) -> Credentials {
        let machine = NetworkEnv::new(&|name| variables.get(OsStr::new(name)).cloned());
        Credentials { variables, machine }
    }

    /// The proxies and certificates that the environment names.
    pub fn machine(&self) -> &NetworkEnv {
        &self.machine
    }

    /// Returns the credentials for a repository: those of its host, or those of a path where podman's file has them.
    ///
    /// # Errors
    /// A file cannot be parsed, a helper fails, or only one of two variables is set.
    pub fn find(&self, host: &str, path: &str) -> anyhow::Result<Option<Login>> {
        if let Some(login) = self.of_environment(host)? {
            return Ok(Some(login));
        }
        for file in self.files() {
            match files::read(&file, host, path)? {
                Some(Found::Login(login)) => return Ok(Some(login)),
                Some(Found::Helper { name, server }) => {
                    if let Some(login) = helper::get(&name, &server, &file, &self.variables)? {
                        return Ok(Some(login));
                    }
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// Lists the sources of credentials in their order, for an error message.
    pub(super) fn places(&self, host: &str) -> String {
        let files = self.files().into_iter().map(|file| file.display().to_string());
        let variables = format!("DRYDOCK_REGISTRY_USER_{}", suffix(host));
        std::iter::once(variables).chain(files).collect::<Vec<_>>().join(", ")
    }

    /// `DRYDOCK_REGISTRY_USER_GHCR_IO` and `DRYDOCK_REGISTRY_PASSWORD_GHCR_IO`; or the two without the host in their
    /// names, for the host that `DRYDOCK_REGISTRY_HOST` names.
    fn of_environment(&self, host: &str) -> anyhow::Result<Option<Login>> {
        let text = |name: &str| {
            let value = self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty());
            value.map(|value| value.clone().into_string()).transpose()
        };
        let no_text = |_| Failure::usage("a variable DRYDOCK_REGISTRY_… is not valid UTF-8");
        for end in [format!("_{}", suffix(host)), String::new()] {
            let (user, password) = (format!("DRYDOCK_REGISTRY_USER{end}"), format!("DRYDOCK_REGISTRY_PASSWORD{end}"));
            let secret = (text(&user).map_err(no_text)?, text(&password).map_err(no_text)?);
            let secret = match secret {
                (None, None) => continue,
                (Some(user), Some(password)) => Secret::Basic { user, password },
                (Some(_), None) => return Err(Failure::usage(format!("{user} is set, but not {password}"))),
                (None, Some(_)) => return Err(Failure::usage(format!("{password} is set, but not {user}"))),
            };
            if end.is_empty() {
                match text("DRYDOCK_REGISTRY_HOST").map_err(no_text)? {
                    Some(named) if named == host => {}
                    Some(_) => return Ok(None),
                    None => {
                        let remedy = "set DRYDOCK_REGISTRY_HOST to the host of the registry, such as ghcr.io";
                        return Err(Failure::usage(format!("{user} is set; {remedy}")));
                    }
                }
            }
            return Ok(Some(Login { secret, source: user }));
        }
        Ok(None)
    }

    fn files(&self) -> Vec<PathBuf> {
        if let Some(file) = self.path("REGISTRY_AUTH_FILE") {
            return vec![file];
        }
        let home = self.path("HOME");
        let config = self.path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let docker = self.path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        [
            self.path("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
            config.map(|directory| directory.join("containers/auth.json")),
            docker.map(|directory| directory.join("config.json")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Returns the files with CA certificates for one host.
    pub(super) fn authorities(&self, authority: &str) -> Vec<PathBuf> {
        let user = self.path("HOME").map(|home| home.join(".config/containers/certs.d"));
        let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        let mut files: Vec<PathBuf> = Vec::new();
        for directory in user.into_iter().chain(system) {
            files.extend(certificates(&directory.join(authority)));
        }
        files
    }
}

fn certificates(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "crt")).collect();
    files.sort();
    files
}

/// Encodes a host for the name of a variable: `ghcr.io` is `GHCR_IO`, `my-host.example:444` is `MY__HOST_EXAMPLE___444`. The
/// encoding is unique: a host has hyphens only between letters or digits, and each becomes two underscores.
fn suffix(host: &str) -> String {
    let mut suffix = String::new();
    for letter in host.chars() {
        match letter {
            '.' => suffix.push('_'),
            '-' => suffix.push_str("__"),
            ':' => suffix.push_str("___"),
            letter => suffix.push(letter.to_ascii_uppercase()),
        }
    }
    suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Credentials {
        Credentials::new(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn variables_are_for_one_host() {
        let both = [("DRYDOCK_REGISTRY_USER", "u"), ("DRYDOCK_REGISTRY_PASSWORD", "s3cret")];
        let hostless = with(&both).find("ghcr.io", "a/b").unwrap_err().to_string();
        assert!(hostless.contains("DRYDOCK_REGISTRY_HOST") && !hostless.contains("s3cret"), "{hostless}");
        let named = with(&[&both[..], &[("DRYDOCK_REGISTRY_HOST", "ghcr.io")]].concat());
        let login = named.find("ghcr.io", "a/b").unwrap().unwrap();
        assert_eq!(login.source(), "DRYDOCK_REGISTRY_USER");
        assert!(!format!("{login:?}{named:?}").contains("s3cret"));
        assert!(named.find("ghcr.io:444", "a/b").unwrap().is_none());
        assert!(named.find("evil.example", "a/b").unwrap().is_none());
        let suffixed = with(&[
            ("DRYDOCK_REGISTRY_USER_127_0_0_1___5000", "u"),
            ("DRYDOCK_REGISTRY_PASSWORD_127_0_0_1___5000", "p"),
        ]);
        let login = suffixed.find("127.0.0.1:5000", "a").unwrap().unwrap();
        assert!(login.secret == Secret::Basic { user: "u".into(), password: "p".into() });
        let half = with(&[("DRYDOCK_REGISTRY_USER_GHCR_IO", "u")]).find("ghcr.io", "a").unwrap_err().to_string();
        assert!(half.contains("but not DRYDOCK_REGISTRY_PASSWORD_GHCR_IO"), "{half}");
    }

    #[test]
    fn similar_hosts_get_no_credentials() {
        let hosts = [
            "a.b.example",
            "a-b.example",
            "a--b.example",
            "a-b-example",
            "a.b-example",
            "a.b.example:1",
            "a.b.example.1",
            "a.b-example:1",
            "a.b.example-1",
        ];
        for host in hosts {
            let [user, password] = ["USER", "PASSWORD"].map(|what| format!("DRYDOCK_REGISTRY_{what}_{}", suffix(host)));
            let credentials = with(&[(&user, "u"), (&password, "p")]);
            for other in hosts {
                assert_eq!(credentials.find(other, "a").unwrap().is_some(), other == host, "{user} for {other}");
            }
        }
    }

    #[test]
    fn files_are_read_in_order() {
        let home = tempfile::tempdir().unwrap();
        let home_text = home.path().to_str().unwrap();
        let one = |name: &str, auth: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{{\"auths\":{{\"ghcr.io\":{{\"auth\":\"{auth}\"}}}}}}")).unwrap();
        };
        let found = |variables: &[(&str, &str)]| {
            let home = [("HOME", home_text)];
            with(&[&home[..], variables].concat()).find("ghcr.io", "a").unwrap().map(|login| login.source)
        };
        assert_eq!(found(&[]), None);
        one(".docker/config.json", "dTpkb2NrZXI=");
        assert!(found(&[]).unwrap().ends_with(".docker/config.json"));
        one(".config/containers/auth.json", "dTpwb2RtYW4=");
        assert!(found(&[]).unwrap().ends_with(".config/containers/auth.json"));
        one("run/containers/auth.json", "dTpydW4=");
        let run = home.path().join("run");
        assert!(found(&[("XDG_RUNTIME_DIR", run.to_str().unwrap())]).unwrap().ends_with("run/containers/auth.json"));
        let named = home.path().join(".docker/config.json");
        let named = [("REGISTRY_AUTH_FILE", named.to_str().unwrap())];
        assert!(found(&named).unwrap().ends_with(".docker/config.json"));
        assert_eq!(found(&[("REGISTRY_AUTH_FILE", "/nowhere")]), None);
    }
}
