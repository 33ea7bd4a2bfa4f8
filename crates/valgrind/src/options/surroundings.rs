//! The options that valgrind would take from its surroundings (`coregrind/m_commandline.c`): `~/.valgrindrc`, the variable
//! `VALGRIND_OPTS`, and `./.valgrindrc`, in this order, each weaker than the next and all weaker than the command line.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use drydock_base::text::quoted;

use super::{Treatment, treatment};
use crate::tool::Tool;

const FILE: &str = ".valgrindrc";
/// A source of options that is longer than this is taken for a mistake.
const MOST_BYTES: u64 = 64 << 10;

/// The options of a job's surroundings, and how they were treated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Options for valgrind's command line, the weakest first.
    pub options: Vec<String>,
    /// Sentences for the report: what was taken from where, and what was left out.
    pub notes: Vec<String>,
}

/// The reasons why options of the surroundings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SurroundingsError {
    /// A job may have written it, and what a job writes must not decide how later jobs are judged.
    #[error("{0} was changed during this run; declare its options under `tools` instead, and remove it")]
    Changed(String),
    /// It cannot be read, although it is there.
    #[error("{source_name} cannot be read: {error}")]
    Unreadable {
        /// `./.valgrindrc`.
        source_name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// Longer than any list of options.
    #[error("{0} has more than 64 KiB")]
    TooLong(String),
}

/// The time that a file has which is written now. File systems use the coarse clock, which is some milliseconds behind.
pub fn file_clock() -> SystemTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let (seconds, rest) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    SystemTime::UNIX_EPOCH + std::time::Duration::new(seconds.unwrap_or_default(), rest.unwrap_or_default())
}

impl Surroundings {
    /// Reads what valgrind would read if it were started in `directory` with these variables. A file counts only if it
    /// was not changed since `began`, a time of the clock of file systems ([`file_clock`]).
    ///
    /// # Errors
    /// See [`SurroundingsError`].
    pub fn read(
        tool: Tool,
        home: Option<&OsStr>,
        variable: Option<&OsStr>,
        directory: &Path,
        began: SystemTime,
    ) -> Result<Surroundings, SurroundingsError> {
        let mut all = Surroundings::default();
        if let Some(home) = home.map(Path::new) {
            all.take_file(tool, "~/.valgrindrc", home, began)?;
        }
        if let Some(text) = variable {
            all.take(tool, "VALGRIND_OPTS", &text.to_string_lossy());
        }
        // Valgrind reads the file of the working directory only if there is a home at all, and does not read one twice.
        if home.is_some_and(|home| Path::new(home) != directory) {
            all.take_file(tool, "./.valgrindrc", directory, began)?;
        }
        Ok(all)
    }

    fn take_file(
        &mut self,
        tool: Tool,
        name: &str,
        directory: &Path,
        began: SystemTime,
    ) -> Result<(), SurroundingsError> {
        let path = directory.join(FILE);
        let unreadable = |error| SurroundingsError::Unreadable { source_name: name.to_owned(), error };
        let Ok(found) = fs::metadata(&path) else { return Ok(()) };
        let ours = found.uid() == rustix::process::geteuid().as_raw();
        if !found.is_file() || !ours || found.permissions().mode() & 0o002 != 0 {
            self.notes.push(format!(
                "valgrind's options in {name} were not used: it is not a regular file, belongs to somebody else, or \
                 everybody may write to it"
            ));
            return Ok(());
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(error)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        let changed = SystemTime::UNIX_EPOCH
            + std::time::Duration::new(
                u64::try_from(metadata.ctime()).unwrap_or_default(),
                u32::try_from(metadata.ctime_nsec()).unwrap_or_default(),
            );
        // Both are times of the kernel's coarse clock: a file that is written in the same tick may be a job's.
        if changed >= began {
            return Err(SurroundingsError::Changed(name.to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(SurroundingsError::TooLong(name.to_owned()));
        }
        self.take(tool, name, &String::from_utf8_lossy(&bytes));
        Ok(())
    }

    fn take(&mut self, tool: Tool, source: &str, text: &str) {
        let (mut taken, mut left_out) = (Vec::new(), Vec::new());
        for option in split(text) {
            match treatment(tool, &option) {
                None => taken.push(option),
                Some(Treatment::Implied) => {}
                Some(Treatment::Refused { reason, .. }) => left_out.push(format!("{} {reason}", quoted(&option))),
            }
        }
        if !taken.is_empty() {
            let words: Vec<String> = taken.iter().map(|option| quoted(option)).collect();
            self.notes.push(format!("valgrind's options from {source}: {}", words.join(" ")));
        }
        for why in left_out {
            self.notes.push(format!("an option from {source} was not used: {why}"));
        }
        self.options.append(&mut taken);
    }
}

/// Splits a text at white space, with `'` and `"` around words, as valgrind does.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            Some(end) if letter == end => quote = None,
            None if letter.is_ascii_whitespace() || letter == '\u{b}' => words.extend(word.take()),
            None if letter == '\'' || letter == '"' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            // An argument cannot hold it, and valgrind's text ends there.
            _ if letter == '\0' => break,
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read(home: &Path, variable: &str, directory: &Path) -> Result<Surroundings, SurroundingsError> {
        let later = SystemTime::now() + Duration::from_secs(60);
        Surroundings::read(Tool::Memcheck, Some(home.as_os_str()), Some(OsStr::new(variable)), directory, later)
    }

    #[test]
    fn the_sources_are_read_from_weak_to_strong() {
        let (home, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(home.path().join(FILE), "--num-callers=3\n-q --log-file=/tmp/x").unwrap();
        fs::write(here.path().join(FILE), "--suppressions='a b'\t--memcheck:xml=no").unwrap();
        let all = read(home.path(), "--leak-check=full", here.path()).unwrap();
        assert_eq!(all.options, ["--num-callers=3", "--leak-check=full", "--suppressions=a b"]);
        assert_eq!(all.notes.len(), 5, "{:#?}", all.notes);
        let twice = read(here.path(), "", here.path()).unwrap();
        assert_eq!(twice.options, ["--suppressions=a b"]);
    }

    #[test]
    fn what_everybody_may_write_is_not_used() {
        let (home, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = here.path().join(FILE);
        fs::write(&file, "--leak-check=no").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let all = read(home.path(), "", here.path()).unwrap();
        assert!(all.options.is_empty() && all.notes[0].contains("were not used"), "{all:#?}");
        fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(read(home.path(), "", here.path()).unwrap().options.is_empty());
    }

    #[test]
    fn what_a_job_may_have_written_is_refused() {
        let (home, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(here.path().join(FILE), "--leak-check=no").unwrap();
        let before = SystemTime::now() - Duration::from_secs(60);
        let refused = Surroundings::read(Tool::Drd, Some(home.path().as_os_str()), None, here.path(), before);
        assert!(refused.unwrap_err().to_string().starts_with("./.valgrindrc was changed during this run"));
        fs::write(here.path().join(FILE), vec![b' '; 70_000]).unwrap();
        assert!(read(home.path(), "", here.path()).unwrap_err().to_string().contains("more than 64 KiB"));
    }

    #[test]
    fn words_are_split_as_valgrind_does() {
        assert_eq!(split(" a  'b c'\"d\"\ne=\"\" ''"), ["a", "b cd", "e=", ""]);
    }
}
