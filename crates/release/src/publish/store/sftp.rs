//! A directory of another machine, by OpenSSH's sftp: it brings the user's keys, agent, configuration and known hosts.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::{PART, Store, missing_program, no_parent, part, run, ssh_options};
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;

/// The exit code of ssh when there is no connection.
const NO_CONNECTION: i32 = 255;

/// A directory of another machine.
#[derive(Debug)]
pub struct SftpStore {
    /// `HOST` or `HOST:PORT`.
    pub host: String,
    /// The user name; as ssh's configuration says if `None`.
    pub login: Option<String>,
    /// The parent of the directories of releases, as the server knows it.
    pub parent: String,
}

impl SftpStore {
    fn at(&self, directory: &str, name: &str) -> String {
        let parts = [self.parent.trim_end_matches('/'), directory, name];
        let path = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let is_root = self.parent.starts_with('/') && !path.starts_with('/');
        if is_root { format!("/{path}") } else { path }
    }

    /// Runs commands of sftp; all but those that begin with `-` must succeed.
    fn batch(&self, commands: &[String], bytes: u64) -> Result<String, SftpError> {
        let mut batch = tempfile::Builder::new().prefix("drydock-sftp-").tempfile().map_err(SftpError::Batch)?;
        for command in commands {
            writeln!(batch, "{command}").map_err(SftpError::Batch)?;
        }
        let mut argv: Vec<String> = ["sftp", "-q", "-b", &batch.path().display().to_string()].map(str::to_owned).into();
        argv.extend(ssh_options());
        argv.extend(self.login.iter().flat_map(|login| ["-o".to_owned(), format!("User={login}")]));
        let (host, port) = match self.host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => self.host.rsplit_once(':').map_or((self.host.as_str(), None), |(host, port)| (host, Some(port))),
        };
        argv.extend(port.into_iter().flat_map(|port| ["-P".to_owned(), port.to_owned()]));
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        argv.extend(["--".to_owned(), host]);
        match run(&argv, Path::new("/"), bytes) {
            Ok(output) => Ok(String::from_utf8_lossy(&output).into_owned()),
            Err(error) => {
                let is_refused = error.exit_code().is_some_and(|code| code != NO_CONNECTION);
                let error = error.shown_as(["sftp", &self.host]);
                Err(if is_refused { SftpError::Refused(error) } else { SftpError::NoConnection(error) })
            }
        }
    }

    /// The names in a directory that exists.
    fn names(&self, path: &str) -> Result<BTreeSet<String>, SftpError> {
        let output = self.batch(&[format!("ls -1a {}", quoted(path))], 0)?;
        let is_line = |line: &&str| !line.is_empty() && !line.starts_with("sftp>");
        // Names are shown with the path as it was given.
        let name = |line: &str| line.trim_end().rsplit('/').next().unwrap_or_default().to_owned();
        let names = output.lines().filter(is_line).map(name);
        Ok(names.filter(|name| !matches!(name.as_str(), "" | "." | "..")).collect())
    }
}

/// The ways in which sftp fails.
enum SftpError {
    /// The commands cannot be written to a file.
    Batch(std::io::Error),
    /// There is no connection, or it broke.
    NoConnection(exec::Error),
    /// A command failed.
    Refused(exec::Error),
}

impl SftpError {
    fn into_error(self) -> anyhow::Error {
        match self {
            SftpError::Batch(error) => anyhow::Error::new(error).context("cannot write a temporary file"),
            SftpError::NoConnection(error) | SftpError::Refused(error) => Failure::remote(error),
        }
    }
}

impl Store for SftpStore {
    fn missing(&self) -> Vec<String> {
        missing_program("sftp", "openssh-client")
    }

    fn list(&self, directory: &str) -> anyhow::Result<Option<BTreeSet<String>>> {
        match self.names(&self.at(directory, "")) {
            Ok(names) => return Ok(Some(names)),
            Err(SftpError::Refused(_)) => {}
            Err(error) => return Err(error.into_error()),
        }
        // The directory is not there, or may not be read; only its parent tells.
        let parent = match self.names(&self.at("", "")) {
            Ok(names) => names,
            Err(SftpError::Refused(error)) => {
                return Err(Failure::remote(error).context(no_parent(&format!("{}:{}", self.host, self.parent))));
            }
            Err(error) => return Err(error.into_error()),
        };
        if !parent.contains(directory) {
            return Ok(None);
        }
        self.names(&self.at(directory, "")).map(Some).map_err(SftpError::into_error)
    }

    fn fetch(&self, directory: &str, names: &[String], into: &Path) -> anyhow::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let get = |name: &String| {
            format!("get {} {}", quoted(&self.at(directory, name)), quoted(&into.join(name).display().to_string()))
        };
        let commands: Vec<String> = names.iter().map(get).collect();
        // The sizes are not known; this is enough for a gigabyte.
        self.batch(&commands, 1 << 30).map_err(SftpError::into_error)?;
        match names.iter().find(|name| !into.join(name).is_file()) {
            None => Ok(()),
            Some(name) => Err(Failure::remote(format!("{} did not send {name}", self.host))),
        }
    }

    fn put(&self, file: &Path, directory: &str, name: &str, replace: bool) -> anyhow::Result<()> {
        let size = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
        let (to, part) = (quoted(&self.at(directory, name)), quoted(&self.at(directory, &part(name))));
        // `rename -l` is the rename of the protocol, which fails where something is; without it, it replaces.
        let rename = if replace { "rename" } else { "rename -l" };
        let mut commands = Vec::new();
        if !directory.is_empty() {
            commands.push(format!("-mkdir {}", quoted(&self.at(directory, ""))));
        }
        commands.push(format!("-rm {part}"));
        commands.push(format!("put {} {part}", quoted(&file.display().to_string())));
        commands.push(format!("{rename} {part} {to}"));
        self.batch(&commands, size).map(drop).map_err(SftpError::into_error)
    }

    fn link(&self, link: &str, to: &str) -> anyhow::Result<()> {
        let (path, part) = (quoted(&self.at("", link)), quoted(&self.at("", &part(link))));
        let commands =
            [format!("-rm {part}"), format!("symlink {} {part}", quoted(to)), format!("rename {part} {path}")];
        self.batch(&commands, 0).map(drop).map_err(SftpError::into_error)
    }

    fn leads(&self, link: &str, _to: &str, (name, checksum): (&str, Checksum)) -> anyhow::Result<bool> {
        // sftp does not show where a link leads, so the file at its end is read.
        if !self.list(link)?.is_some_and(|names| names.contains(name)) {
            return Ok(false);
        }
        let scratch = Scratch::new("latest")?;
        self.fetch(link, &[name.to_owned()], scratch.path())?;
        let path = scratch.path().join(name);
        let found = Checksum::from_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(found.0 == checksum)
    }

    fn is_part(&self, name: &str) -> bool {
        name.starts_with('.') && name.ends_with(PART)
    }
}

/// A path between quotation marks for sftp.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
