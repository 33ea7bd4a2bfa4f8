//! How files get into an incoming directory: copied, by OpenSSH's sftp, or by curl for FTP and HTTPS.
//!
//! dput-ng was decided against. It takes a file that an FTP server refuses (550) for uploaded and succeeds, needs a Python package
//! for SFTP that it does not depend on, and asks on the terminal for unknown host keys and failed logins. OpenSSH's client
//! brings the user's keys, agent, configuration and known hosts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use drydock_base::exec::{self, Bounds, Contained};
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::units::ByteSize;
use drydock_config::release::deb::Method;

/// The variable with a configuration file for ssh and sftp, instead of the user's own.
pub(super) const SSH_CONFIG: &str = "DRYDOCK_SSH_CONFIG";

/// Variables that sftp and curl may see.
const PASSED: [&str; 10] = [
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
    "HTTPS_PROXY",
    "https_proxy",
    "ftp_proxy",
    "FTP_PROXY",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The seconds to wait for a connection, and for data.
const LONGEST_SILENCE: &str = "60";

/// The time limit of an upload of nothing.
const SHORTEST_LIMIT: Duration = Duration::from_secs(600);
/// The bytes in a second of the slowest line that is waited for.
const SLOWEST: u64 = 8 << 10;

/// An incoming directory and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transport {
    pub(super) method: Method,
    /// `HOST` or `HOST:PORT`; empty for [`Method::Local`].
    pub(super) host: String,
    /// The directory, as the server knows it.
    pub(super) incoming: String,
    /// The user name, if one was declared.
    pub(super) login: Option<String>,
    /// Whether the login is a Launchpad id.
    pub(super) is_launchpad: bool,
}

impl Transport {
    /// Sends files of a directory in this order. The first that fails ends it.
    pub(super) fn send(&self, directory: &Path, names: &[String]) -> anyhow::Result<()> {
        match self.method {
            Method::Local => self.copy(directory, names),
            Method::Sftp => self.sftp(directory, names),
            Method::Ftp | Method::Https => run(&self.curl(names), directory, names),
        }
    }

    /// What is missing for uploads, each with its remedy; empty if nothing is known to be missing.
    pub(super) fn missing(&self) -> Vec<String> {
        let program = match self.method {
            Method::Local if !Path::new(&self.incoming).is_dir() => {
                return vec![format!("{} is not a directory; create it, or correct `incoming`", self.incoming)];
            }
            Method::Local => return Vec::new(),
            Method::Sftp => ("sftp", "openssh-client"),
            Method::Ftp | Method::Https => ("curl", "curl"),
        };
        if !exec::is_installed(program.0) {
            let install = hint::apt_get(["install", program.1]);
            return vec![format!("`{}` is not installed; install it with `{install}`", program.0)];
        }
        if self.method == Method::Sftp { self.missing_for_ssh() } else { Vec::new() }
    }

    /// Copies the files, each under another name until it is whole.
    fn copy(&self, directory: &Path, names: &[String]) -> anyhow::Result<()> {
        for name in names {
            let part = Path::new(&self.incoming).join(format!(".{name}.part"));
            let copied = fs::copy(directory.join(name), &part)
                .and_then(|_| fs::File::open(&part)?.sync_all())
                .and_then(|()| fs::rename(&part, Path::new(&self.incoming).join(name)));
            if let Err(error) = copied {
                // The error of the copy says more than that of the removal.
                fs::remove_file(&part).ok();
                return Err(error).with_context(|| format!("cannot copy {name} to {}", self.incoming));
            }
        }
        Ok(())
    }

    fn sftp(&self, directory: &Path, names: &[String]) -> anyhow::Result<()> {
        let mut batch =
            tempfile::Builder::new().prefix("drydock-sftp-").tempfile().context("cannot create a temporary file")?;
        for name in names {
            writeln!(batch, "put {name} {}", quoted(&format!("{}/{name}", self.incoming.trim_end_matches('/'))))
                .context("cannot write a temporary file")?;
        }
        let mut argv: Vec<String> = ["sftp", "-b", &batch.path().display().to_string()].map(str::to_owned).into();
        argv.extend(self.ssh_options());
        // Nothing but a host key that is known already is accepted, whatever the user's configuration says.
        for option in ["StrictHostKeyChecking=yes", "ServerAliveInterval=15", "ServerAliveCountMax=4"] {
            argv.extend(["-o".to_owned(), option.to_owned()]);
        }
        argv.extend(["-o".to_owned(), format!("ConnectTimeout={LONGEST_SILENCE}")]);
        let (host, port) = self.host_and_port();
        argv.extend(port.into_iter().flat_map(|port| ["-P".to_owned(), port.to_owned()]));
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        argv.extend(["--".to_owned(), host]);
        run(&argv, directory, names)
    }

    fn curl(&self, names: &[String]) -> Vec<String> {
        // One process, and so one session: Launchpad takes each session for an upload. Its server wants the directory as one word.
        let fixed = [
            "curl",
            "--disable",
            "--silent",
            "--show-error",
            "--fail",
            "--fail-early",
            "--globoff",
            "--netrc-optional",
            "--proto",
            "=ftp,https",
            "--ftp-method",
            "singlecwd",
            "--speed-limit",
            "1",
            "--speed-time",
            LONGEST_SILENCE,
            "--connect-timeout",
            LONGEST_SILENCE,
        ];
        let mut argv: Vec<String> = fixed.map(str::to_owned).into();
        let login = self.login.as_ref().map_or_else(String::new, |login| format!("{}@", url_encoded(login)));
        let scheme = self.method.word();
        let directory = match self.incoming.trim_end_matches('/').strip_prefix('/') {
            // In a URL of FTP a path is relative to the directory of the login.
            Some(path) if self.method == Method::Ftp => format!("%2F{}", url_encoded(path)),
            Some(path) => url_encoded(path),
            None => url_encoded(&self.incoming),
        };
        for name in names {
            let url = format!("{scheme}://{login}{}/{directory}/{}", self.host, url_encoded(name));
            argv.extend(["--upload-file".to_owned(), name.clone(), url]);
        }
        argv
    }

    fn ssh_options(&self) -> Vec<String> {
        let mut options = Vec::new();
        if let Some(config) = std::env::var_os(SSH_CONFIG) {
            options.extend(["-F".to_owned(), config.to_string_lossy().into_owned()]);
        }
        let login = self.login.iter().flat_map(|login| ["-o".to_owned(), format!("User={login}")]);
        options.extend(login);
        options
    }

    fn host_and_port(&self) -> (&str, Option<&str>) {
        let host = self.host.as_str();
        match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
        }
    }

    /// What ssh would need and does not find: a login, a key, and the key of the host.
    fn missing_for_ssh(&self) -> Vec<String> {
        let (host, port) = self.host_and_port();
        let mut argv: Vec<String> = vec!["ssh".into(), "-G".into()];
        argv.extend(self.ssh_options());
        argv.extend(port.into_iter().flat_map(|port| ["-p".to_owned(), port.to_owned()]));
        argv.extend(["--".to_owned(), host.to_owned()]);
        let settings = match exec::bytes(&argv, Path::new("/"), environment()) {
            Ok(output) => SshSettings::parse(&String::from_utf8_lossy(&output)),
            Err(error) => {
                return vec![format!("ssh's configuration cannot be read: {}", error.shown_as(["ssh", "-G"]))];
            }
        };
        let mut missing = Vec::new();
        let user = settings.one("user").unwrap_or_default().to_owned();
        let is_own = ["USER", "LOGNAME"].iter().any(|name| std::env::var(name).is_ok_and(|own| own == user));
        let is_unknown = self.is_launchpad && self.login.is_none() && (is_own || user == "root");
        if is_unknown {
            let remedy = format!("declare `login` under `upload`, or `User` for {host} in ~/.ssh/config");
            missing.push(format!("the Launchpad id to log in with is not known; {remedy}"));
        }
        if !settings.has_keys() {
            let registered =
                if self.is_launchpad { ", and register it at https://launchpad.net/~/+editsshkeys" } else { "" };
            missing.push(format!(
                "no SSH key was found; load one into ssh-agent, or make one with `ssh-keygen`{registered}"
            ));
        }
        if !settings.knows_host(host) {
            let user = if is_unknown { "LOGIN".to_owned() } else { self.login.clone().unwrap_or(user) };
            let compare = if self.is_launchpad { " with https://help.launchpad.net/SSHFingerprints" } else { "" };
            let port = port.map_or_else(String::new, |port| format!("-P {port} "));
            let connect = format!("connect once with `sftp {port}{user}@{host}`, and compare the fingerprint{compare}");
            missing.push(format!("the host key of {} is not known; {connect}", self.host));
        }
        missing
    }
}

/// ssh's configuration for a host, as `ssh -G` prints it.
struct SshSettings(Vec<(String, String)>);

impl SshSettings {
    fn parse(text: &str) -> SshSettings {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        SshSettings(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A setting that is not switched off.
    fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next().filter(|value| !matches!(*value, "none" | "no" | "false"))
    }

    /// Whether there may be a key: a file, or one in an agent, on a token or in a ticket.
    fn has_keys(&self) -> bool {
        let elsewhere =
            ["identityagent", "pkcs11provider", "certificatefile"].iter().any(|name| self.one(name).is_some());
        let in_agent = || exec::bytes(&["ssh-add".to_owned(), "-l".to_owned()], Path::new("/"), environment()).is_ok();
        let has_ticket = std::env::var_os("KRB5CCNAME").is_some();
        elsewhere || has_ticket || self.all("identityfile").any(may_exist) || in_agent()
    }

    /// Whether the key of the host may be known.
    fn knows_host(&self, host: &str) -> bool {
        if self.one("knownhostscommand").is_some() || self.one("verifyhostkeydns").is_some() {
            return true;
        }
        let name = self.one("hostkeyalias").map_or_else(
            || {
                let name = self.one("hostname").unwrap_or(host);
                let port = self.one("port").unwrap_or("22");
                if port == "22" { name.to_owned() } else { format!("[{name}]:{port}") }
            },
            str::to_owned,
        );
        let files = self.all("userknownhostsfile").chain(self.all("globalknownhostsfile"));
        files.flat_map(str::split_whitespace).filter(|file| may_exist(file)).any(|file| {
            let file = expanded(file).display().to_string();
            let argv = ["ssh-keygen".to_owned(), "-F".to_owned(), name.clone(), "-f".to_owned(), file];
            exec::bytes(&argv, Path::new("/"), environment()).is_ok()
        })
    }
}

/// A path of ssh's configuration, with the home directory in the place of `~`.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Whether a file of ssh's configuration exists; tokens such as `%h` are not expanded here, so it might.
fn may_exist(path: &str) -> bool {
    path.contains('%') || expanded(path).exists()
}

fn environment() -> BTreeMap<OsString, OsString> {
    exec::environment(&PASSED.map(str::to_owned), &BTreeMap::new())
}

/// Runs a program that sends files. A server that keeps the connection and does nothing would hold it for ever, so there is a
/// limit, which a slow line does not reach.
fn run(argv: &[String], directory: &Path, names: &[String]) -> anyhow::Result<()> {
    let program = argv.first().cloned().unwrap_or_default();
    let sizes = names.iter().filter_map(|name| fs::metadata(directory.join(name)).ok());
    let bytes: u64 = sizes.map(|metadata| metadata.len()).sum();
    let bounds = Bounds { output: ByteSize::mib(1), time: SHORTEST_LIMIT + Duration::from_secs(bytes / SLOWEST) };
    let command = Contained { bounds, ..Contained::new(argv, directory, environment()) };
    command.read().map_err(|error| Failure::remote(error.shown_as([program])))?;
    Ok(())
}

/// A path between quotation marks for sftp.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A path in a URL: everything but unreserved characters (RFC 3986) and slashes is encoded.
fn url_encoded(path: &str) -> String {
    let one = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    path.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(method: Method, host: &str, incoming: &str) -> Transport {
        let (host, incoming) = (host.to_owned(), incoming.to_owned());
        Transport { method, host, incoming, login: None, is_launchpad: false }
    }

    #[test]
    fn urls_name_the_directory_as_servers_do() {
        let url = |transport: &Transport| transport.curl(&["x_1+2~a.dsc".to_owned()]).pop().unwrap();
        for (method, host, incoming, expected) in [
            (Method::Ftp, "h", "~me/ubuntu/x", "ftp://h/~me/ubuntu/x/x_1%2B2~a.dsc"),
            (Method::Ftp, "h:2121", "/srv/in coming/", "ftp://h:2121/%2Fsrv/in%20coming/x_1%2B2~a.dsc"),
            (Method::Https, "[::1]:8443", "/a/#b", "https://[::1]:8443/a/%23b/x_1%2B2~a.dsc"),
        ] {
            assert_eq!(url(&transport(method, host, incoming)), expected);
        }
        let login = Transport { login: Some("a.b".into()), ..transport(Method::Ftp, "h", "in") };
        assert_eq!(url(&login), "ftp://a.b@h/in/x_1%2B2~a.dsc");
        assert_eq!(quoted("~me/a \"b\\"), "\"~me/a \\\"b\\\\\"");
        for (host, expected) in [
            ("h", ("h", None)),
            ("h:22", ("h", Some("22"))),
            ("[::1]:22", ("::1", Some("22"))),
            ("[::1]", ("::1", None)),
        ] {
            assert_eq!(transport(Method::Sftp, host, "").host_and_port(), expected);
        }
    }

    #[test]
    fn settings_of_ssh_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let (key, hosts) = (directory.path().join("key"), directory.path().join("hosts"));
        let settings = |more: &str| {
            let (key, hosts) = (key.display(), hosts.display());
            SshSettings::parse(&format!(
                "user me\nhostname h\nport 2222\nidentityfile {key}\nuserknownhostsfile {hosts} /none\nknownhostscommand none\n{more}"
            ))
        };
        assert!(!settings("").all("identityfile").any(may_exist) && !settings("").knows_host("h"));
        assert!(
            settings("verifyhostkeydns yes").knows_host("h") && !settings("verifyhostkeydns false").knows_host("h")
        );
        assert!(settings("identityagent /run/agent").has_keys() && settings("identityfile ~/.ssh/%h").has_keys());
        fs::write(&key, "").unwrap();
        assert!(settings("").has_keys());
        if !exec::is_installed("ssh-keygen") {
            return;
        }
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
        for (names, more, expected) in [
            ("h", "", false),
            ("[h]:2222", "", true),
            ("@cert-authority *,!x,[h]:*", "", true),
            ("alias", "hostkeyalias alias", true),
        ] {
            fs::write(&hosts, format!("{names} {line}\n")).unwrap();
            assert_eq!(settings(more).knows_host("h"), expected, "{names}");
        }
    }

    #[test]
    fn files_are_copied_whole_and_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let incoming = directory.path().join("in");
        let local = transport(Method::Local, "", &incoming.display().to_string());
        assert!(local.missing()[0].ends_with("is not a directory; create it, or correct `incoming`"));
        fs::create_dir(&incoming).unwrap();
        assert!(local.missing().is_empty());
        fs::write(directory.path().join("a"), "new").unwrap();
        fs::write(incoming.join("a"), "an older and longer one").unwrap();
        let error = local.send(directory.path(), &["a".into(), "b".into(), "c".into()]).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot copy b to "), "{error:#}");
        let names: Vec<_> = fs::read_dir(&incoming).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!((names, fs::read_to_string(incoming.join("a")).unwrap()), (vec!["a".into()], "new".into()));
    }
}
