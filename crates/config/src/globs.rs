//! Patterns of files in a project: `*`, `?` and `[…]` within one directory, `**` for any number of directories.
//!
//! As in a shell, a leading dot must be written, so that `**` never descends into `.git`. The walk is our own and not
//! that of the `glob` crate, because it must stay inside of the project, must not follow linked directories in circles, and
//! reads only the directories that can hold a match.

use drydock_base::text::quoted;
use drydock_base::units::BadValue;
use glob::{MatchOptions, Pattern};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The options for matching names against patterns.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A checked pattern of paths relative to the project.
#[derive(Debug, Clone)]
pub struct FileGlob {
    whole: Pattern,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    /// A name without wildcards.
    Literal(String),
    /// A name with wildcards.
    Wild(Pattern),
    /// `**`.
    AnyDepth,
}

impl FileGlob {
    const LONGEST: usize = 500;

    /// Checks a pattern such as `tests/run-*.c` or `tests/**/run-*`.
    ///
    /// # Errors
    /// Patterns that are absolute, leave the project, or are not patterns.
    pub fn parse(text: &str) -> Result<Self, BadValue> {
        let bad = |why: &str| {
            BadValue::new(format!("the pattern {} {why}", quoted(text)), "a pattern such as `tests/run-*.c`")
        };
        if text.is_empty() {
            return Err(bad("is empty"));
        }
        if text.len() > Self::LONGEST {
            return Err(bad("is longer than 500 bytes"));
        }
        if let Some(why) = super::paths::leaves_project(text) {
            return Err(bad(why));
        }
        let mut names: Vec<&str> = text.split('/').filter(|name| *name != ".").collect();
        names.dedup_by(|a, b| *a == "**" && *b == "**");
        if names.iter().any(|name| name.is_empty()) || names.is_empty() {
            return Err(bad("names a directory, not files"));
        }
        if names.last() == Some(&"**") {
            names.push("*");
        }
        let compile = |name: &str| Pattern::new(name).map_err(|error| bad(&format!("is not valid: {}", error.msg)));
        let part = |name: &&str| match *name {
            "**" => Ok(Part::AnyDepth),
            name if !name.contains(['*', '?', '[']) => Ok(Part::Literal(name.to_owned())),
            name => compile(name).map(Part::Wild),
        };
        let parts = names.iter().map(part).collect::<Result<_, _>>()?;
        Ok(Self { whole: compile(&names.join("/"))?, parts })
    }

    /// True if a path relative to the project matches.
    pub fn matches(&self, path: &str) -> bool {
        self.whole.matches_with(path, OPTIONS)
    }

    /// The same for files that a command writes, where a leading dot need not be written.
    pub fn matches_written(&self, path: &str) -> bool {
        self.whole.matches_with(path, MatchOptions { require_literal_leading_dot: false, ..OPTIONS })
    }

    /// The pattern as it was written, without `.` and doubled `**`.
    pub fn as_str(&self) -> &str {
        self.whole.as_str()
    }
}

/// The ways in which the files of a pattern cannot be listed. Paths are relative to the project.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A directory or the target of a link cannot be read.
    #[error("cannot read {}: {error}", quoted(.path))]
    Unreadable {
        /// The path.
        path: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// A link leads out of the project.
    #[error("{} is a link to a file outside the project", quoted(.0))]
    Outside(String),
    /// The name of a file is not UTF-8.
    #[error("{} in {} has a name that is not UTF-8", quoted(.name), quoted(.directory))]
    NotUtf8 {
        /// The name, with U+FFFD for what is not UTF-8.
        name: String,
        /// The directory.
        directory: String,
    },
    /// The patterns cover more directory entries than this.
    #[error("the patterns cover more than {0} directory entries")]
    TooMany(usize),
}

/// The files of a project that match one of the patterns and none of the exceptions, relative, sorted bytewise.
///
/// # Errors
/// See [`WalkError`].
pub fn files(project: &Path, patterns: &[FileGlob], except: &[FileGlob]) -> Result<Vec<String>, WalkError> {
    let root =
        project.canonicalize().map_err(|error| WalkError::Unreadable { path: project.display().to_string(), error })?;
    let mut walk = Walk { root: &root, entries: 0, found: HashSet::new() };
    for pattern in patterns {
        walk.pattern(pattern)?;
    }
    let mut found: Vec<String> =
        walk.found.into_iter().filter(|path| !except.iter().any(|e| e.matches(path))).collect();
    found.sort();
    Ok(found)
}

struct Walk<'a> {
    root: &'a Path,
    entries: usize,
    found: HashSet<String>,
}

impl Walk<'_> {
    /// The maximum number of directory entries that a walk reads.
    const MOST_ENTRIES: usize = 1_000_000;

    /// Finds the files of one pattern: a stack of directories, each with the part of the pattern that its entries must match.
    fn pattern(&mut self, pattern: &FileGlob) -> Result<(), WalkError> {
        let mut todo = vec![(String::new(), 0)];
        let mut seen = HashSet::new();
        while let Some((directory, index)) = todo.pop() {
            let Some(part) = pattern.parts.get(index) else {
                continue;
            };
            if !seen.insert((directory.clone(), index)) {
                continue;
            }
            let last = index + 1 == pattern.parts.len();
            match part {
                Part::Literal(name) => self.visit(join(&directory, name), index + 1, last, &mut todo)?,
                Part::Wild(names) => {
                    for (name, _) in self.entries(&directory)? {
                        if names.matches_with(&name, OPTIONS) {
                            self.visit(join(&directory, &name), index + 1, last, &mut todo)?;
                        }
                    }
                }
                Part::AnyDepth => {
                    let real =
                        self.entries(&directory)?.into_iter().filter(|(name, real)| *real && !name.starts_with('.'));
                    todo.extend(real.map(|(name, _)| (join(&directory, &name), index)));
                    todo.push((directory, index + 1));
                }
            }
        }
        Ok(())
    }

    /// Records a file, or queues a directory.
    fn visit(
        &mut self,
        path: String,
        next: usize,
        last: bool,
        todo: &mut Vec<(String, usize)>,
    ) -> Result<(), WalkError> {
        let full = self.root.join(&path);
        // What vanished meanwhile, and links that lead nowhere, are not files.
        let Ok(metadata) = fs::metadata(&full) else {
            return Ok(());
        };
        let wanted = if last { metadata.is_file() } else { metadata.is_dir() };
        if !wanted {
            return Ok(());
        }
        let real = full.canonicalize().map_err(|error| WalkError::Unreadable { path: path.clone(), error })?;
        if !real.starts_with(self.root) {
            return Err(WalkError::Outside(path));
        }
        if last {
            self.found.insert(path);
        } else {
            todo.push((path, next));
        }
        Ok(())
    }

    /// The names in a directory, each with true if it is a directory itself and not a link to one.
    fn entries(&mut self, directory: &str) -> Result<Vec<(String, bool)>, WalkError> {
        let shown = if directory.is_empty() { "." } else { directory };
        let cannot = |error: std::io::Error| WalkError::Unreadable { path: shown.to_owned(), error };
        let mut names = Vec::new();
        let listing = match fs::read_dir(self.root.join(directory)) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(cannot(error)),
        };
        for entry in listing {
            let entry = entry.map_err(cannot)?;
            self.entries += 1;
            if self.entries > Self::MOST_ENTRIES {
                return Err(WalkError::TooMany(Self::MOST_ENTRIES));
            }
            let is_directory = entry.file_type().map_err(cannot)?.is_dir();
            match entry.file_name().into_string() {
                Ok(name) => names.push((name, is_directory)),
                Err(name) => {
                    let name = name.to_string_lossy().into_owned();
                    return Err(WalkError::NotUtf8 { name, directory: shown.to_owned() });
                }
            }
        }
        Ok(names)
    }
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests;
