//! Directories of releases, wherever they are: listed, read and written by names below one parent directory.

mod local;
mod rsync;
mod sftp;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use drydock_base::checksum::Checksum;
use drydock_base::exec::{self, Bounds, Contained};
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::units::ByteSize;
use drydock_config::release::{FileAccess, FileTarget, Version};

pub use local::LocalStore;
pub use rsync::RsyncStore;
pub use sftp::SftpStore;

/// The variable with a configuration file for ssh and sftp, instead of the user's own.
pub const SSH_CONFIG: &str = "DRYDOCK_SSH_CONFIG";

/// The seconds to wait for a connection, and for data.
const LONGEST_SILENCE: u32 = 60;
/// The time limit of a transfer of nothing.
const SHORTEST_LIMIT: Duration = Duration::from_secs(600);
/// The bytes in a second of the slowest line that is waited for.
const SLOWEST: u64 = 8 << 10;
/// At most this much is read of a listing.
const LONGEST_LISTING: ByteSize = ByteSize::mib(8);
/// The ending of files that are not whole yet; their names begin with a dot.
const PART: &str = ".part";

/// The parent of the directories of all releases of a project. A directory is named relative to it; the empty name is the parent.
pub trait Store {
    /// What is missing on this machine, each with its remedy.
    fn missing(&self) -> Vec<String>;

    /// Checks that files can be written, without writing any; the evidence, or none if that cannot be told.
    ///
    /// # Errors
    /// They cannot be written.
    fn rights(&self) -> anyhow::Result<Option<String>> {
        Ok(None)
    }

    /// The names in a directory; none if the directory does not exist. The parent must exist.
    ///
    /// # Errors
    /// It cannot be asked, or the parent does not exist.
    fn list(&self, directory: &str) -> anyhow::Result<Option<BTreeSet<String>>>;

    /// Copies files of a directory to a directory of this machine.
    ///
    /// # Errors
    /// One of them cannot be read.
    fn fetch(&self, directory: &str, names: &[String], into: &Path) -> anyhow::Result<()>;

    /// Copies a file into a directory, which is created. Nobody ever sees a part of it under its name. A file of that name is
    /// replaced only if `replace` says so.
    ///
    /// # Errors
    /// It is not there as a whole, or something else is.
    fn put(&self, file: &Path, directory: &str, name: &str, replace: bool) -> anyhow::Result<()>;

    /// Makes a link of the parent lead to one of its directories; the link is replaced in one step.
    ///
    /// # Errors
    /// It cannot be made.
    fn link(&self, link: &str, to: &str) -> anyhow::Result<()>;

    /// Whether a link of the parent leads to a directory. `marker` is a file that only this directory has with this checksum.
    ///
    /// # Errors
    /// It cannot be asked.
    fn leads(&self, link: &str, to: &str, marker: (&str, Checksum)) -> anyhow::Result<bool>;

    /// Whether a name is that of a file that is not whole, left by an interrupted copy.
    fn is_part(&self, name: &str) -> bool;
}

/// The store of a target, and the name of the directory of a version in it.
pub fn open(target: &FileTarget, version: &Version) -> (Box<dyn Store>, String) {
    let path = target.path.render(version);
    let (parent, directory) = path.rsplit_once('/').unwrap_or(("", &path));
    let parent = if parent.is_empty() { "/" } else { parent };
    let store: Box<dyn Store> = match &target.access {
        FileAccess::Local => Box::new(LocalStore { parent: parent.into() }),
        FileAccess::Sftp { host, login } => {
            Box::new(SftpStore { host: host.clone(), login: login.clone(), parent: parent.to_owned() })
        }
        FileAccess::Rsync => Box::new(RsyncStore { parent: parent.to_owned() }),
    };
    (store, directory.to_owned())
}

/// The name under which a file is sent.
fn part(name: &str) -> String {
    format!(".{name}{PART}")
}

/// The environment of programs that send files.
fn environment() -> BTreeMap<OsString, OsString> {
    let passed = ["SSH_AUTH_SOCK", "KRB5CCNAME", "RSYNC_PASSWORD", "RSYNC_PROXY"].map(str::to_owned);
    exec::environment(&passed, &BTreeMap::new())
}

/// Options of ssh: nothing but a host key that is known already is accepted, and nothing is asked.
fn ssh_options() -> Vec<String> {
    let config = std::env::var_os(SSH_CONFIG).map(|path| path.to_string_lossy().into_owned());
    let mut options: Vec<String> = config.into_iter().flat_map(|path| ["-F".to_owned(), path]).collect();
    for option in ["BatchMode=yes", "StrictHostKeyChecking=yes", "ServerAliveInterval=15", "ServerAliveCountMax=4"] {
        options.extend(["-o".to_owned(), option.to_owned()]);
    }
    options.extend(["-o".to_owned(), format!("ConnectTimeout={LONGEST_SILENCE}")]);
    options
}

/// Runs a program that moves `bytes` bytes, within a limit that a slow line does not reach.
fn run(argv: &[String], directory: &Path, bytes: u64) -> Result<Vec<u8>, exec::Error> {
    let time = SHORTEST_LIMIT + Duration::from_secs(bytes / SLOWEST);
    let bounds = Bounds { output: LONGEST_LISTING, time };
    Contained { bounds, ..Contained::new(argv, directory, environment()) }.read()
}

/// A program that is missing, with the Debian package that has it.
fn missing_program(program: &str, package: &str) -> Vec<String> {
    if exec::is_installed(program) {
        return Vec::new();
    }
    vec![format!("`{program}` is not installed; install it with `{}`", hint::apt_get(["install", package]))]
}

/// The error for a parent that does not exist.
fn no_parent(parent: &str) -> anyhow::Error {
    Failure::missing(format!("{parent} is not a directory; create it, or correct the path under `publish`"))
}
