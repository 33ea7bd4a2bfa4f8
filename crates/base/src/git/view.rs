//! A git directory of ours, in which git works instead of that of a clone.
//!
//! It has links to the references of the clone, and a configuration of ours; the objects are named by
//! `GIT_OBJECT_DIRECTORY`. So the configuration of the clone and of the user, hooks, grafts, attributes in `info` and filters
//! do not exist for git.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::discover::Location;
use crate::exec;
use crate::scratch::Scratch;

/// Options of every git. The caches are not used: they are copies of what is in the objects, and may be wrong.
pub(super) const OPTIONS: [&str; 10] = [
    "-c",
    "core.commitGraph=false",
    "-c",
    "core.multiPackIndex=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
];

/// Reads one file of settings: no includes, and no other file.
const SETTINGS: [&str; 6] = ["git", "config", "--no-includes", "-z", "--list", "--file"];

/// The environment of every git: no configuration of the user or the system, no replaced objects, no network, no
/// questions.
pub(super) fn environment(git_dir: &Path, objects: &Path) -> BTreeMap<OsString, OsString> {
    let set = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_GRAFT_FILE", "/dev/null"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ALLOW_PROTOCOL", ""),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_ADVICE", "0"),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut environment = exec::environment(&[], &BTreeMap::from(set));
    // A terminal, a home or a user's directory have no say either.
    for name in ["HOME", "TERM", "SHELL", "XDG_RUNTIME_DIR"] {
        environment.remove(std::ffi::OsStr::new(name));
    }
    environment.insert("GIT_DIR".into(), git_dir.into());
    environment.insert("GIT_OBJECT_DIRECTORY".into(), objects.into());
    environment
}

/// A temporary directory for a view.
pub(super) fn directory() -> anyhow::Result<Scratch> {
    Scratch::new("git")
}

/// The settings of one file, as (key, value), with keys in lower case up to the name of a subsection. A file that git
/// cannot parse has none, and so has one that is no regular file: git would wait for a pipe.
pub(super) fn settings(file: &Path) -> Vec<(String, String)> {
    if !fs::metadata(file).is_ok_and(|metadata| metadata.is_file()) {
        return Vec::new();
    }
    let Some(path) = file.to_str() else { return Vec::new() };
    let argv: Vec<String> = SETTINGS.iter().chain(&[path]).map(|word| (*word).to_owned()).collect();
    let nowhere = Path::new("/nonexistent");
    let output = exec::bytes(&argv, Path::new("/"), environment(nowhere, nowhere)).unwrap_or_default();
    let entries = output.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    // A key without `=` has no value, and means true.
    let pair = |entry: &str| {
        entry.split_once('\n').map_or_else(|| (entry.into(), "true".into()), |(key, value)| (key.into(), value.into()))
    };
    entries.filter(|entry| !entry.is_empty()).map(|entry| pair(&entry)).collect()
}

/// The formats of objects and references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    /// `sha1` or `sha256`.
    pub(super) objects: String,
    /// `files` or `reftable`.
    pub(super) references: String,
}

impl Format {
    /// The formats that a configuration names, which are the only settings of a clone that count.
    pub(super) fn read(settings: &[(String, String)]) -> Format {
        let value = |wanted: &str, default: &str| {
            let last = settings.iter().rev().find(|(key, _)| key == wanted);
            last.map_or_else(|| default.to_owned(), |(_, value)| value.to_ascii_lowercase())
        };
        Format {
            objects: value("extensions.objectformat", "sha1"),
            references: value("extensions.refstorage", "files"),
        }
    }

    fn configuration(&self) -> String {
        let mut text = String::new();
        if self.objects == "sha256" {
            text.push_str("\tobjectFormat = sha256\n");
        }
        if self.references == "reftable" {
            text.push_str("\trefStorage = reftable\n");
        }
        let version = u8::from(!text.is_empty());
        format!("[core]\n\trepositoryformatversion = {version}\n\tbare = true\n[extensions]\n{text}")
    }
}

/// Writes a git directory without references.
pub(super) fn write_empty(directory: &Path, format: &Format) -> io::Result<()> {
    fs::create_dir(directory.join("refs"))?;
    fs::create_dir(directory.join("objects"))?;
    fs::write(directory.join("HEAD"), "ref: refs/heads/none\n")?;
    let format = Format { references: "files".into(), ..format.clone() };
    fs::write(directory.join("config"), format.configuration())
}

/// Writes a git directory with the references of a clone, as they are at any time; `HEAD` stays what it is now.
pub(super) fn write(directory: &Path, location: &Location, format: &Format) -> io::Result<()> {
    fs::write(directory.join("config"), format.configuration())?;
    // git wants the directory, although the objects are elsewhere.
    fs::create_dir(directory.join("objects"))?;
    fs::create_dir(directory.join("info"))?;
    let common = ["refs", "packed-refs", "reftable", "shallow", "info/exclude"];
    for name in common {
        link(&location.common_dir, directory, name)?;
    }
    for name in ["ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "info/sparse-checkout"] {
        link(&location.git_dir, directory, name)?;
    }
    // The parts of a split index have names that change.
    for entry in fs::read_dir(&location.git_dir)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.starts_with("sharedindex.")) {
            link(&location.git_dir, directory, name)?;
        }
    }
    fs::write(directory.join("HEAD"), head(&location.git_dir)?)
}

/// Links a file or directory of the clone into a view. A name that does not exist may exist later; a pipe or a device is
/// left out, since git would wait for it.
fn link(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    let target = from.join(name);
    match fs::metadata(&target) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Ok(()),
        _ => symlink(target, to.join(name)),
    }
}

/// The content of `HEAD`, which in an old style is a link to the reference.
fn head(git_dir: &Path) -> io::Result<Vec<u8>> {
    let file = git_dir.join("HEAD");
    match fs::read_link(&file) {
        Ok(target) => Ok([b"ref: ", target.as_os_str().as_bytes(), b"\n"].concat()),
        Err(_) => fs::read(file),
    }
}
