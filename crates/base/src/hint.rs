//! Commands in messages: the one place that knows how the user has to call Drydock, so that each can be pasted.
//!
//! Every command that a message tells the user to run is a [`Hint`]. Its words are quoted for a POSIX shell. One of
//! Drydock itself begins as this process was called, with the `--project`, `--config` and `--state` that were given.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::exec;

/// How this process was called. It is set once per command line, and `demo` changes the project.
static INVOCATION: RwLock<Option<Vec<OsString>>> = RwLock::new(None);

/// What stands for the call of Drydock in a text that is kept, and read by another call.
const CALL: &str = "{drydock}";

/// Sets the words that a command of Drydock begins with: the program with its arguments, then the options of the project.
pub fn set_invocation(words: Vec<OsString>) {
    *INVOCATION.write().unwrap_or_else(PoisonError::into_inner) = Some(words);
}

/// The words that a command of Drydock begins with, for a shell; the usual call if none were set, as in tests of a library.
fn invocation() -> String {
    match &*INVOCATION.read().unwrap_or_else(PoisonError::into_inner) {
        Some(words) => exec::paste(words),
        None => "cargo xtask".into(),
    }
}

/// The Debian package of a program, from the table of the program that this is a library of.
static PACKAGES: OnceLock<fn(&str) -> Option<&'static str>> = OnceLock::new();

/// Sets the table of packages. The first call counts.
pub fn know_packages(package_of: fn(&str) -> Option<&'static str>) {
    PACKAGES.get_or_init(|| package_of);
}

/// How to install a program that is missing, as the end of a sentence; empty if its package is not known.
pub fn to_install(program: &str) -> String {
    let package = PACKAGES.get().and_then(|package_of| package_of(program));
    package.map_or_else(String::new, |package| {
        format!("; on Debian and Ubuntu, `{}` installs it", apt_get(["install", package]))
    })
}

/// A command that a message tells the user to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// `true` for a command of Drydock.
    own: bool,
    words: Vec<OsString>,
}

/// A command of Drydock, such as `["ci", "explain", job]`.
pub fn drydock(words: &[&str]) -> Hint {
    Hint { own: true, words: words.iter().map(OsString::from).collect() }
}

/// A command of git for the repository of a directory, wherever the user is.
pub fn git(directory: &Path, words: &[&str]) -> Hint {
    // git finds the repository from any directory of the work tree.
    let here = std::env::current_dir().is_ok_and(|here| here == directory);
    let place = if here { Vec::new() } else { vec![OsString::from("-C"), directory.into()] };
    let words = words.iter().map(OsString::from);
    Hint { own: false, words: ["git".into()].into_iter().chain(place).chain(words).collect() }
}

/// A command of apt-get, by sudo where this user has to ask for the permission.
pub fn apt_get<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Hint {
    let sudo = (!rustix::process::geteuid().is_root()).then(|| "sudo".into());
    let words = words.into_iter().map(|word| word.as_ref().to_owned());
    Hint { own: false, words: sudo.into_iter().chain(["apt-get".into()]).chain(words).collect() }
}

impl Hint {
    /// The command with one more argument.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Hint {
        self.words.push(word.as_ref().to_owned());
        self
    }

    /// The command with more arguments.
    #[must_use]
    pub fn args<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Hint {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// The command in a text that is kept, and that [`shown`] completes for its reader.
    pub fn kept(&self) -> String {
        if self.own { format!("{CALL} {}", exec::paste(&self.words)) } else { exec::paste(&self.words) }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.own {
            write!(f, "{} {}", invocation(), exec::paste(&self.words))
        } else {
            f.write_str(&exec::paste(&self.words))
        }
    }
}

/// A kept text with its commands as the user of this process has to call them.
pub fn shown(text: &str) -> String {
    text.replace(CALL, &invocation())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_begins_as_the_user_called_drydock() {
        let explain = drydock(&["ci", "explain", "a b"]);
        assert_eq!(explain.to_string(), "cargo xtask ci explain 'a b'");
        assert_eq!(explain.kept(), "{drydock} ci explain 'a b'");
        assert_eq!(shown(&format!("run `{}`", explain.kept())), "run `cargo xtask ci explain 'a b'`");
    }

    #[test]
    fn git_is_sent_to_the_repository() {
        assert_eq!(git(Path::new("/a b"), &["fsck"]).to_string(), "git -C '/a b' fsck");
        assert_eq!(git(&std::env::current_dir().unwrap(), &["fsck"]).to_string(), "git fsck");
    }
}
