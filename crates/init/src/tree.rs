//! The files of a project: a listing with the text of each on demand. Nothing in it is followed, run or trusted.

mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use drydock_base::exec;

pub use read::ReadError;

/// Extensions of sources in C and C++.
pub const SOURCES: [&str; 4] = [".c", ".cc", ".cpp", ".cxx"];

/// Larger files are not read.
pub const MOST_BYTES: u64 = 1 << 20;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, and whether its owner may execute it.
    File {
        /// True if its owner may execute it.
        executable: bool,
    },
    /// A symbolic link, which is never followed.
    Link,
    /// A submodule that is not checked out, or whose files are not listed.
    Submodule,
}

/// The files of a project by path. Paths are relative, with `/`.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Every path that can be named in a declaration.
    entries: BTreeMap<String, Kind>,
    /// Where texts are read from; none for a tree that holds its texts.
    root: Option<PathBuf>,
    /// The texts of a tree without a directory.
    texts: BTreeMap<String, String>,
    /// What was left out of the listing, one sentence each.
    pub left_out: Vec<String>,
    /// Of a directory: the number of sources in C or C++ outside of it, which its build system may compile.
    pub sources_outside: usize,
}

impl Tree {
    /// A tree of these texts, as tests have it.
    pub fn from_texts<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Tree {
        let texts: BTreeMap<String, String> =
            texts.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        let kind = |text: &String| Kind::File { executable: text.starts_with("#!") };
        let entries = texts.iter().map(|(path, text)| (path.clone(), kind(text))).collect();
        Tree { entries, texts, ..Tree::default() }
    }

    /// The tree of one directory, with paths relative to it.
    #[must_use]
    pub fn below(&self, directory: &str) -> Tree {
        let start = format!("{directory}/");
        let inside = |path: &str| path.strip_prefix(&start).map(str::to_owned);
        let outside = self.with_extension(&SOURCES).filter(|path| !path.starts_with(&start)).count();
        Tree {
            entries: self.entries.iter().filter_map(|(path, kind)| Some((inside(path)?, *kind))).collect(),
            root: self.root.as_ref().map(|root| root.join(directory)),
            texts: self.texts.iter().filter_map(|(path, text)| Some((inside(path)?, text.clone()))).collect(),
            left_out: Vec::new(),
            sources_outside: self.sources_outside + outside,
        }
    }

    /// All paths, sorted bytewise.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// What the path is; none if the project does not have it.
    pub fn kind(&self, path: &str) -> Option<Kind> {
        self.entries.get(path).copied()
    }

    /// True if the project has a regular file at this path.
    pub fn has(&self, path: &str) -> bool {
        matches!(self.kind(path), Some(Kind::File { .. }))
    }

    /// True if the project has files below this directory.
    pub fn has_directory(&self, path: &str) -> bool {
        let start = format!("{path}/");
        self.entries.range(start.clone()..).next().is_some_and(|(first, _)| first.starts_with(&start))
    }

    /// The first of these paths that is a regular file.
    pub fn first<'p>(&self, paths: &[&'p str]) -> Option<&'p str> {
        paths.iter().copied().find(|path| self.has(path))
    }

    /// The regular files with this name, in the directory or below it, those nearest to it first. Directories of foreign code
    /// are left out.
    pub fn named<'t>(&'t self, name: &str) -> Vec<&'t str> {
        let is_named = |path: &&str| path.rsplit('/').next() == Some(name) && self.has(path) && !is_foreign(path);
        let mut found: Vec<&str> = self.paths().filter(is_named).collect();
        found.sort_by_key(|path| path.matches('/').count());
        found
    }

    /// The regular files with one of these extensions, such as `.c`, without foreign code.
    pub fn with_extension<'t>(&'t self, extensions: &'t [&str]) -> impl Iterator<Item = &'t str> {
        let has = move |path: &&str| extensions.iter().any(|end| path.ends_with(end));
        self.paths().filter(has).filter(|path| self.has(path) && !is_foreign(path))
    }

    /// The text of a regular file, with replacement characters for what is not UTF-8; none for anything else, for a file of more
    /// than [`MOST_BYTES`], and for one that cannot be read.
    pub fn text(&self, path: &str) -> Option<String> {
        if !self.has(path) {
            return None;
        }
        match &self.root {
            Some(root) => read::text(root, path).ok(),
            None => self.texts.get(path).cloned(),
        }
    }
}

impl Tree {
    /// Those of these files that the project has and that [`Tree::text`] does not read, each with the reason.
    pub fn unread(&self, paths: &[&str]) -> Vec<String> {
        let Some(root) = &self.root else { return Vec::new() };
        let reason = |path: &str| {
            let error = read::text(root, path).err()?;
            Some(format!("{path} was not read: {}", exec::plain(&error)))
        };
        paths.iter().filter(|path| self.has(path)).filter_map(|path| reason(path)).collect()
    }
}

/// Names of directories that usually hold code of others.
const FOREIGN: [&str; 12] = [
    "vendor",
    "vendored",
    "third_party",
    "third-party",
    "thirdparty",
    "3rdparty",
    "external",
    "extern",
    "deps",
    "subprojects",
    "node_modules",
    "ccan",
];

/// True if the path is in a directory that usually holds code of others.
pub fn is_foreign(path: &str) -> bool {
    let is_library = |part: &str| {
        let name = part.trim_end_matches(|letter: char| letter.is_ascii_digit() || ".-_v".contains(letter));
        LIBRARIES.iter().any(|library| name.eq_ignore_ascii_case(library))
    };
    path.rsplit_once('/')
        .is_some_and(|(directory, _)| directory.split('/').any(|part| FOREIGN.contains(&part) || is_library(part)))
}

/// Libraries for tests that projects keep a copy of, in directories with or without a version.
const LIBRARIES: [&str; 9] =
    ["googletest", "gtest", "gmock", "googlemock", "catch2", "doctest", "cmocka", "greatest", "autosetup"];
