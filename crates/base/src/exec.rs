//! The one place where child processes get their surroundings: a short list of variables, a fixed locale and time
//! zone, and a program found before it is started, so that a missing one has a name.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::units::{self, ByteSize};

pub(crate) mod contained;
mod supervisor;

pub use contained::{Bounds, Contained, contained, read_within};

/// The reasons why a program could not be found or run, or did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory of `PATH` has an executable file of that name.
    #[error("`{program}` is in no directory of PATH{}", crate::hint::to_install(program))]
    NotFound {
        /// The name that was looked up, without a slash.
        program: String,
    },
    /// The file cannot be looked at: it is missing, or a directory above it cannot be entered.
    #[error("{}: {}", path.display(), plain(error))]
    Unreadable {
        /// The program's file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The program's path is that of a directory.
    #[error("{} is a directory", _0.display())]
    Directory(PathBuf),
    /// The file has no permission to be executed.
    #[error("{} is not executable", _0.display())]
    NotExecutable(PathBuf),
    /// The list of words is empty.
    #[error("the command is empty")]
    Empty,
    /// The program was found, but not started.
    #[error("`{}`: {}", paste(argv), plain(error))]
    Spawn {
        /// The command.
        argv: Vec<String>,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The program printed more than it may, and was ended.
    #[error("`{}` printed more than {limit}", paste(argv))]
    TooMuch {
        /// The command.
        argv: Vec<String>,
        /// The most that it may print.
        limit: ByteSize,
    },
    /// The program took longer than it may, and was ended.
    #[error("`{}` did not end within {}", paste(argv), units::human(*limit))]
    TooLong {
        /// The command.
        argv: Vec<String>,
        /// The longest that it may take.
        limit: std::time::Duration,
    },
    /// The program ended, but processes that it started could not be ended, such as those of another user.
    #[error("`{}` left {count} {} that cannot be ended", paste(argv), if *count == 1 { "process" } else { "processes" })]
    Left {
        /// The command.
        argv: Vec<String>,
        /// The number of processes.
        count: u32,
    },
    /// The process that ends what a command leaves behind was itself ended, by the command or by somebody else.
    #[error("`{}`: the process of Drydock that supervises the command was killed", paste(argv))]
    Unsupervised {
        /// The command.
        argv: Vec<String>,
    },
    /// The program ran and did not succeed.
    #[error("`{}` ended with {status}{}{said}", paste(argv), if said.is_empty() { "" } else { ": " })]
    Exit {
        /// The command.
        argv: Vec<String>,
        /// Its exit code or signal.
        status: ExitStatus,
        /// The last lines of its standard error, or of its standard output if there is none, on one line; may be empty.
        said: String,
    },
}

impl Error {
    /// The exit code of a program that ran, failed, and was not killed by a signal.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Error::Exit { status, .. } => status.code(),
            Error::NotFound { .. }
            | Error::Unreadable { .. }
            | Error::Directory(_)
            | Error::NotExecutable(_)
            | Error::Empty
            | Error::TooMuch { .. }
            | Error::TooLong { .. }
            | Error::Left { .. }
            | Error::Unsupervised { .. }
            | Error::Spawn { .. } => None,
        }
    }

    /// A program ran and did not succeed. What it printed to standard error says why, or else what it printed at all.
    fn ended(argv: &[String], status: ExitStatus, stderr: &[u8], stdout: &[u8]) -> Error {
        let said = [stderr, stdout].map(end_of).into_iter().find(|said| !said.is_empty()).unwrap_or_default();
        Error::Exit { argv: argv.to_vec(), status, said }
    }

    /// The same error under another command line, for a command that is run by a wrapper or with options that would only
    /// distract the reader.
    #[must_use]
    pub fn shown_as<W: Into<String>>(self, words: impl IntoIterator<Item = W>) -> Error {
        let words = || words.into_iter().map(Into::into).collect();
        match self {
            Error::Spawn { error, .. } => Error::Spawn { argv: words(), error },
            Error::Exit { status, said, .. } => Error::Exit { argv: words(), status, said },
            Error::TooMuch { limit, .. } => Error::TooMuch { argv: words(), limit },
            Error::TooLong { limit, .. } => Error::TooLong { argv: words(), limit },
            Error::Left { count, .. } => Error::Left { argv: words(), count },
            Error::Unsupervised { .. } => Error::Unsupervised { argv: words() },
            other @ (Error::NotFound { .. }
            | Error::Unreadable { .. }
            | Error::Directory(_)
            | Error::NotExecutable(_)
            | Error::Empty) => other,
        }
    }
}

/// Variables that every child inherits when they are set.
const INHERITED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TERM",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_AUTO_INSTALL",
    "XDG_RUNTIME_DIR",
];

/// Variables that every child sees with these values.
const FIXED: [(&str, &str); 2] = [("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];

/// The environment of a child: the inherited variables and those in `pass`, the fixed ones, then `set`.
pub fn environment(pass: &[String], set: &BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
    let mut environment = BTreeMap::new();
    for name in INHERITED.iter().copied().chain(pass.iter().map(String::as_str)) {
        if let Some(value) = std::env::var_os(name) {
            environment.insert(name.into(), value);
        }
    }
    for (name, value) in FIXED {
        environment.insert(name.into(), value.into());
    }
    for (name, value) in set {
        environment.insert(name.into(), value.into());
    }
    environment
}

/// The program's file: as given when it has a slash (relative to `directory`), else looked up in `search`, a `PATH`.
///
/// # Errors
/// The file does not exist or is not executable.
pub fn find(program: &str, directory: &Path, search: Option<&OsString>) -> Result<PathBuf, Error> {
    if program.contains('/') {
        let path: PathBuf = directory.join(program).components().collect();
        return match std::fs::metadata(&path) {
            Err(error) => Err(Error::Unreadable { path, error }),
            Ok(metadata) if metadata.is_dir() => Err(Error::Directory(path)),
            Ok(metadata) if !executable(&metadata) => Err(Error::NotExecutable(path)),
            Ok(_) => Ok(path),
        };
    }
    let search = search.cloned().unwrap_or_default();
    std::env::split_paths(&search)
        .map(|entry| directory.join(entry).join(program))
        .find(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && executable(&metadata)))
        .ok_or_else(|| Error::NotFound { program: program.to_owned() })
}

/// Programs that were looked up in a `PATH` before: a run starts the same few over and over.
#[derive(Debug, Default)]
pub struct Programs {
    found: BTreeMap<(String, Option<OsString>), PathBuf>,
}

impl Programs {
    /// As [`find`]. Only what was found by `PATH` is remembered; what has a slash may be built meanwhile.
    ///
    /// # Errors
    /// As [`find`].
    pub fn find(&mut self, program: &str, directory: &Path, search: Option<&OsString>) -> Result<PathBuf, Error> {
        if program.contains('/') {
            return find(program, directory, search);
        }
        let key = (program.to_owned(), search.cloned());
        if let Some(path) = self.found.get(&key) {
            return Ok(path.clone());
        }
        let path = find(program, directory, search)?;
        self.found.insert(key, path.clone());
        Ok(path)
    }
}

/// True if a program of that name exists in this process's `PATH`.
pub fn is_installed(program: &str) -> bool {
    find(program, Path::new("/"), std::env::var_os("PATH").as_ref()).is_ok()
}

fn executable(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

/// A command as it can be pasted into a POSIX shell: words quoted where they need it, on one line, without control
/// characters, which a terminal would obey.
pub fn paste<W: AsRef<OsStr>>(argv: &[W]) -> String {
    argv.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', "'\\''")),
        // `$(…)` removes line feeds at the end, and older shells do not know `$'…'`; none has both faults.
        _ if word.as_bytes().ends_with(b"\n") => format!("$'{}'", escaped(word.as_bytes())),
        _ => {
            let format = escaped(word.as_bytes()).replace('%', "%%");
            // A format that begins with `-` would be an option.
            let format = format.strip_prefix('-').map_or_else(|| format.clone(), |rest| format!("\\055{rest}"));
            format!("\"$(printf '{format}')\"")
        }
    }
}

/// Bytes within single quotes, with octal escapes.
fn escaped(bytes: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'\'' | b'\\' | ..b' ' | 0x7f.. => format!("\\{byte:03o}"),
        _ => char::from(*byte).to_string(),
    };
    bytes.iter().map(escape).collect()
}

/// The system's words without the number, or those of Drydock as they are.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// Runs a short command and returns its standard output, trimmed.
///
/// # Errors
/// As [`bytes`].
pub fn read(argv: &[String], directory: &Path) -> Result<String, Error> {
    let output = bytes(argv, directory, environment(&[], &BTreeMap::new()))?;
    Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
}

/// Runs a short command in exactly this environment and returns the bytes of its standard output.
///
/// # Errors
/// The program is not there, cannot be started, or does not succeed.
pub fn bytes(argv: &[String], directory: &Path, environment: BTreeMap<OsString, OsString>) -> Result<Vec<u8>, Error> {
    let (program, arguments) = argv.split_first().ok_or(Error::Empty)?;
    let found = find(program, directory, environment.get(std::ffi::OsStr::new("PATH")))?;
    let output = duct::cmd(found, arguments)
        .dir(directory)
        .full_env(environment)
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|error| Error::Spawn { argv: argv.to_vec(), error })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::ended(argv, output.status, &output.stderr, &output.stdout))
}

/// The last lines of what a command printed, on one line.
pub fn end_of(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let end: Vec<&str> = text.trim_end().lines().rev().take(5).collect();
    end.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_child_sees_only_what_is_listed() {
        let set = BTreeMap::from([("LC_ALL".to_owned(), "de_DE".to_owned()), ("MINE".to_owned(), "1".to_owned())]);
        let environment = environment(&[], &set);
        assert_eq!(environment[&OsString::from("LC_ALL")], "de_DE");
        assert_eq!(environment[&OsString::from("MINE")], "1");
        assert!(!environment.contains_key(&OsString::from("CARGO_MANIFEST_DIR")));
    }

    #[test]
    fn a_command_can_be_pasted() {
        let words = ["make", "-j", "2", "a b", "it's", "", "\x1b[31m", "$HOME"].map(str::to_owned);
        assert_eq!(paste(&words), r#"make -j 2 'a b' 'it'\''s' '' "$(printf '\033[31m')" '$HOME'"#);
    }

    #[test]
    fn a_missing_program_has_a_name() {
        let path = Some(OsString::from("/nowhere"));
        let find = |program: &str, directory: &str, search| find(program, Path::new(directory), search).unwrap_err();
        assert_eq!(find("gcc", "/", path.as_ref()).to_string(), "`gcc` is in no directory of PATH");
        assert_eq!(find("./x", "/nowhere", None).to_string(), "/nowhere/x: no such file or directory");
        assert_eq!(find("/etc", "/", None).to_string(), "/etc is a directory");
        assert_eq!(find("/etc/passwd", "/", None).to_string(), "/etc/passwd is not executable");
    }

    #[test]
    fn a_failed_command_keeps_its_status_under_another_name() {
        let argv = ["sh", "-c", "echo broken >&2; exit 3"].map(str::to_owned);
        let error = read(&argv, Path::new("/")).unwrap_err();
        assert_eq!(error.exit_code(), Some(3));
        assert_eq!(error.to_string(), "`sh -c 'echo broken >&2; exit 3'` ended with exit status: 3: broken");
        assert_eq!(error.shown_as(["./gen.sh"]).to_string(), "`./gen.sh` ended with exit status: 3: broken");
        let ended = |script: &str| {
            let argv = ["sh", "-c", script].map(str::to_owned);
            read(&argv, Path::new("/")).unwrap_err().shown_as(["x"]).to_string()
        };
        assert_eq!(ended("echo why; exit 3"), "`x` ended with exit status: 3: why");
        assert_eq!(ended("exit 3"), "`x` ended with exit status: 3");
        let killed = read(&["sh", "-c", "kill -9 $$"].map(str::to_owned), Path::new("/")).unwrap_err();
        assert_eq!(killed.exit_code(), None);
    }

    /// The words as a shell reads them.
    fn read_by(shell: &str, line: &str) -> Vec<u8> {
        let script = format!("for word in {line}; do printf '%s\\0' \"$word\"; done");
        std::process::Command::new(shell).arg("-c").arg(script).output().unwrap().stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_shell_reads_the_same_words(words in prop::collection::vec(prop::collection::vec(1..=255u8, 0..12), 1..4)) {
            let words: Vec<&OsStr> = words.iter().map(|word| OsStr::from_bytes(word)).collect();
            let line = paste(&words);
            prop_assert!(!line.chars().any(char::is_control));
            let expected: Vec<u8> = words.iter().flat_map(|word| word.as_bytes().iter().copied().chain([0])).collect();
            let shells = if line.contains("$'") { &["bash"][..] } else { &["sh", "bash"] };
            for shell in shells {
                prop_assert_eq!(read_by(shell, &line), expected.clone(), "{} read {}", shell, line);
            }
        }
    }
}
