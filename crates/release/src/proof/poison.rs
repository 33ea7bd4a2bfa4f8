//! Failing programs in place of those that a builder should not need, wherever the build finds them: in `PATH`, by an
//! absolute path, by a link, or under another name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use drydock_base::checksum::Checksum;
use drydock_base::exec;

/// Directories of programs that may not be in `PATH`.
const USUAL_DIRECTORIES: [&str; 7] =
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/lib/git-core", "/usr/libexec"];
/// Files that are many programs, told apart by the name under which they are called.
const MANY_PROGRAMS: [&str; 4] = ["busybox", "coreutils", "rustup", "toybox"];

/// The replaced programs.
pub(super) struct Poison {
    /// The file with the names of replaced programs that were called, one on a line.
    log: PathBuf,
    /// The directory that comes first in `PATH`.
    stubs: PathBuf,
    names: BTreeSet<String>,
    covered: Vec<Covered>,
}

/// A file that a failing program is mounted over.
struct Covered {
    file: PathBuf,
    stub: PathBuf,
    /// A mount point for the file itself, if it serves other programs as well.
    original: Option<PathBuf>,
    /// The paths by which it is a program that must fail.
    calls: Vec<PathBuf>,
}

impl Poison {
    /// Writes failing programs to `poison` in a directory, which write their names to `called`.
    pub(super) fn prepare(names: &[String], directory: &Path) -> anyhow::Result<Poison> {
        let (log, stubs) = (directory.join("called"), directory.join("poison"));
        let names: BTreeSet<String> = names.iter().cloned().collect();
        for name in &names {
            program(&stubs.join(name), &failing(name, &log))?;
        }
        let programs = Programs::find();
        let mut covered = Vec::new();
        for (file, aliases, name) in programs.of(&names) {
            let number = covered.len();
            let stub = directory.join(format!("stub-{number}"));
            let poisoned: Vec<&PathBuf> = aliases.iter().filter(|alias| names.contains(&name_of(alias))).collect();
            let many = !stands_for(&name_of(file), &names) && (!poisoned.is_empty() || is_many(file));
            let original = many.then(|| directory.join(format!("original-{number}"))).map(|at| at.join("program"));
            match &original {
                Some(original) => {
                    let at = original.parent().unwrap_or(directory);
                    fs::create_dir(at).and_then(|()| fs::write(original, "")).context("cannot write")?;
                    for alias in aliases.iter().map(|alias| name_of(alias)).collect::<BTreeSet<_>>() {
                        std::os::unix::fs::symlink("program", at.join(alias)).context("cannot write")?;
                    }
                    program(&stub, &dispatching(&names, &log, at))?;
                }
                None => program(&stub, &failing(&name, &log))?,
            }
            let calls = if many { poisoned.into_iter().cloned().collect() } else { vec![file.to_owned()] };
            covered.push(Covered { file: file.to_owned(), stub, original, calls });
        }
        Ok(Poison { log, stubs, names, covered })
    }

    /// Commands for a shell that mount the failing programs.
    pub(super) fn mounts(&self) -> String {
        let bind = |from: &Path, to: &Path| {
            let words = ["mount", "--bind", &from.display().to_string(), &to.display().to_string()].map(str::to_owned);
            format!("{} || exit 99\n", exec::paste(&words))
        };
        let one = |covered: &Covered| {
            let original = covered.original.as_ref().map_or_else(String::new, |to| bind(&covered.file, to));
            original + &bind(&covered.stub, &covered.file)
        };
        self.covered.iter().map(one).collect()
    }

    /// The paths that must fail: those in `PATH`, and with `mounts` those of the files as well.
    pub(super) fn calls(&self, mounts: bool) -> Vec<PathBuf> {
        let mut calls: Vec<PathBuf> = self.names.iter().map(|name| self.stubs.join(name)).collect();
        if mounts {
            calls.extend(self.covered.iter().flat_map(|covered| covered.calls.iter().cloned()));
        }
        calls
    }

    /// Forgets the calls until now.
    pub(super) fn reset(&self) -> anyhow::Result<()> {
        fs::write(&self.log, "").context("cannot write to a temporary directory")
    }

    /// A remedy if a build failed that called replaced programs; else empty.
    pub(super) fn hint(&self) -> String {
        let called: Vec<String> = self.called().into_iter().collect();
        if called.is_empty() {
            return String::new();
        }
        let programs = called.join(", ");
        format!("; it called {programs}, which a builder should not need: is a file missing under `source.derived`?")
    }

    /// The programs that were called.
    pub(super) fn called(&self) -> BTreeSet<String> {
        fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// The programs of this machine.
struct Programs {
    /// Each file with the paths by which it is found, which may be links.
    files: BTreeMap<PathBuf, Vec<PathBuf>>,
}

impl Programs {
    fn find() -> Programs {
        let search = std::env::var_os("PATH").unwrap_or_default();
        let directories: BTreeSet<PathBuf> =
            std::env::split_paths(&search).chain(USUAL_DIRECTORIES.map(PathBuf::from)).collect();
        let mut files: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        let entries = directories.iter().filter_map(|directory| fs::read_dir(directory).ok());
        for path in entries.flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            if let Some(file) = path.canonicalize().ok().filter(|file| file.is_file()) {
                files.entry(file).or_default().push(path);
            }
        }
        Programs { files }
    }

    /// The files that are a program of one of the names, and copies and hard links of them: with the paths to each, and the
    /// name.
    fn of(&self, names: &BTreeSet<String>) -> Vec<(&Path, &[PathBuf], String)> {
        let named = |paths: &[PathBuf]| paths.iter().map(|path| name_of(path)).find(|name| names.contains(name));
        let digest = |file: &Path| fs::read(file).ok().map(|content| Checksum::new(&content));
        let (mut sizes, mut digests) = (BTreeSet::new(), BTreeMap::new());
        for (file, paths) in &self.files {
            if let (Some(name), Ok(metadata)) = (named(paths), fs::metadata(file)) {
                sizes.insert(metadata.size());
                digests.extend(digest(file).map(|digest| (digest, name)));
            }
        }
        let copied = |file: &Path| {
            let has_size = fs::metadata(file).is_ok_and(|metadata| sizes.contains(&metadata.size()));
            if has_size { digests.get(&digest(file)?).cloned() } else { None }
        };
        let all = self.files.iter().filter_map(|(file, paths)| {
            let name = named(paths).or_else(|| copied(file))?;
            Some((file.as_path(), paths.as_slice(), name))
        });
        all.collect()
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file is a program of one of the names alone: `python3.11` is `python3`, but `mawk` is more than `awk`.
fn stands_for(file: &str, names: &BTreeSet<String>) -> bool {
    names.iter().any(|name| file.starts_with(name.as_str()))
}

/// Whether a file is many programs, or has a hard link that is.
fn is_many(file: &Path) -> bool {
    let Some(directory) = file.parent() else { return false };
    let Ok(own) = fs::metadata(file) else { return false };
    MANY_PROGRAMS.iter().any(|name| {
        fs::metadata(directory.join(name)).is_ok_and(|other| (other.dev(), other.ino()) == (own.dev(), own.ino()))
    })
}

/// A program that fails, and writes its name to a file.
fn failing(name: &str, log: &Path) -> String {
    let words = exec::paste(&[name.to_owned()]);
    let log = exec::paste(&[log.display().to_string()]);
    format!(
        "#!/bin/sh\necho {words} >>{log}\necho {words}': a builder should not need this program, so it fails here' >&2\nexit 127\n"
    )
}

/// A program that fails under some names, and is the original under all others.
fn dispatching(names: &BTreeSet<String>, log: &Path, original: &Path) -> String {
    let patterns: Vec<String> = names.iter().map(|name| exec::paste(std::slice::from_ref(name))).collect();
    let [log, original] = [log, original].map(|path| exec::paste(&[path.display().to_string()]));
    format!(
        "#!/bin/sh\nname=${{0##*/}}\ncase $name in\n{})\n  echo \"$name\" >>{log}\n  \
         echo \"$name: a builder should not need this program, so it fails here\" >&2\n  exit 127 ;;\nesac\n\
         [ -e {original}/\"$name\" ] || name=program\nexec {original}/\"$name\" \"$@\"\n",
        patterns.join("|")
    )
}

fn program(path: &Path, script: &str) -> anyhow::Result<()> {
    fs::write(path, script).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("cannot write to a temporary directory")
}
