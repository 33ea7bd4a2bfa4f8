//! The directory of one attempt: what was done by the names in it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::Opens;

/// More names than this are not counted for one attempt.
const MOST_NAMES: usize = 64 << 10;
/// Logs of one process that are numbered.
const MOST_OF_A_PROCESS: u32 = 16 << 10;

/// The directory of one attempt.
#[derive(Debug, Default)]
pub(super) struct Directory {
    path: PathBuf,
    pub(super) opens: Opens,
    /// Names that were given here, and whose event is still to come.
    given: BTreeSet<String>,
    /// Renamed logs that valgrind had closed before that.
    closed_early: BTreeSet<String>,
    /// Names of logs that appeared, and were not opened since. Valgrind opens what it creates; a link leads elsewhere.
    placed: BTreeSet<String>,
    /// The last name that was given to the log of a process, by the name that valgrind gave it.
    last_given: BTreeMap<String, String>,
    /// Whether the file system has no links. Then files are renamed.
    pub(super) is_linkless: bool,
}

/// A log that was opened, and is to be renamed.
#[derive(Debug)]
pub(super) struct Aside {
    /// `memcheck.4711.xml`.
    name: String,
    /// `memcheck.4711`.
    log: String,
}

impl Directory {
    pub(super) fn new(path: &Path) -> Directory {
        Directory { path: path.to_owned(), ..Directory::default() }
    }

    /// What was seen until now.
    pub(super) fn seen(&mut self) -> Opens {
        let placed = std::mem::take(&mut self.placed);
        self.opens.foreign.extend(placed);
        std::mem::take(&mut self.opens)
    }

    /// Whether the renamed log had been closed before it got that name.
    pub(super) fn closed_early(&self, aside: &str) -> bool {
        self.closed_early.contains(aside)
    }

    /// Notes an event. Returns the log that was opened, if it is one.
    pub(super) fn note(&mut self, name: &str, events: ReadFlags) -> Option<Aside> {
        if !name.ends_with(".xml") {
            return None;
        }
        let log = name.strip_suffix(".xml").filter(|log| is_of_a_process(log));
        // A file that is closed without writing was only read.
        if events.contains(ReadFlags::CLOSE_NOWRITE) {
            if let Some(count) = self.opens.count.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
        if events.contains(ReadFlags::OPEN) && self.has_room(name) {
            let count = self.opens.count.entry(name.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        let appears = events.intersects(ReadFlags::MOVED_TO | ReadFlags::CREATE);
        let Some(log) = log else {
            if appears && !self.given.remove(name) && self.has_room(name) {
                self.opens.foreign.insert(name.to_owned());
            }
            return None;
        };
        if appears && self.has_room(name) {
            self.placed.insert(name.to_owned());
        }
        if events.contains(ReadFlags::CLOSE_WRITE) {
            if let Some(aside) = self.last_given.get(name) {
                self.closed_early.insert(aside.clone());
            }
        }
        if events.contains(ReadFlags::OPEN) {
            self.placed.remove(name);
            return Some(Aside { name: name.to_owned(), log: log.to_owned() });
        }
        None
    }

    /// Whether the name is known, or one more may be.
    fn has_room(&mut self, name: &str) -> bool {
        let names = self.opens.count.len() + self.opens.foreign.len() + self.placed.len();
        let has_room = names < MOST_NAMES || self.opens.count.contains_key(name);
        self.opens.overflowed |= !has_room;
        has_room
    }

    /// Renames a log, and watches it by that instance. Returns the watch and the new name. What happens until the event of
    /// the renaming is an event of the directory too.
    pub(super) fn put_aside(&mut self, aside: &Aside, descriptor: &OwnedFd) -> Option<(i32, String)> {
        let kept = self.opens.kept.get(&aside.name).copied().unwrap_or_default();
        for number in kept + 1..MOST_OF_A_PROCESS {
            let name = format!("{}.{number}.xml", aside.log);
            let (from, to) = (self.path.join(&aside.name), self.path.join(&name));
            let mut renamed = if self.is_linkless { Err(Errno::PERM) } else { link_to_new(&from, &to, descriptor) };
            if !matches!(renamed, Ok(_) | Err(Errno::EXIST | Errno::NOENT)) {
                renamed = rename_to_new(&from, &to, descriptor);
                self.is_linkless |= renamed.is_ok();
            }
            match renamed {
                Ok(watch) => {
                    self.opens.kept.insert(aside.name.clone(), number);
                    self.given.insert(name.clone());
                    self.last_given.insert(aside.name.clone(), name.clone());
                    // From the watch on, the kernel tells of further names. Of those that were there before, one is left, or
                    // the log is open by it.
                    if std::fs::symlink_metadata(&to).is_ok_and(|log| log.nlink() > 1) {
                        self.opens.foreign.insert(name.clone());
                    }
                    return match watch {
                        Ok(watch) => Some((watch, name)),
                        // The job removed it, which is noticed at the end.
                        Err(Errno::NOENT) => None,
                        Err(_) => {
                            self.opens.unwatched = true;
                            None
                        }
                    };
                }
                // The job itself made a file of that name.
                Err(Errno::EXIST) => {}
                // A log that is gone is missed at the end, and one that could not be renamed is found under its name.
                Err(_) => break,
            }
        }
        self.opens.kept.entry(aside.name.clone()).or_default();
        None
    }
}

/// The watch of a file that has been renamed.
type Watch = rustix::io::Result<i32>;

/// Renames a file by a link, and replaces none: it stays open by a name that is gone. The watch is there before that.
fn link_to_new(from: &Path, to: &Path, descriptor: &OwnedFd) -> rustix::io::Result<Watch> {
    rustix::fs::link(from, to)?;
    let watch = watch(to, descriptor);
    // If somebody else removes it first, that is as good.
    rustix::fs::unlink(from).ok();
    Ok(watch)
}

/// The same where the file system has no links (FAT), or Drydock may not make one.
fn rename_to_new(from: &Path, to: &Path, descriptor: &OwnedFd) -> rustix::io::Result<Watch> {
    let watch = watch(from, descriptor);
    let renamed = rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    if let (Err(_), Ok(watch)) = (renamed, watch) {
        // It is gone with the file.
        inotify::remove_watch(descriptor, watch).ok();
    }
    renamed.map(|()| watch)
}

fn watch(log: &Path, descriptor: &OwnedFd) -> rustix::io::Result<i32> {
    let events = WatchFlags::ATTRIB
        | WatchFlags::MOVE_SELF
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DONT_FOLLOW;
    inotify::add_watch(descriptor, log, events)
}

/// `memcheck.4711`.
fn is_of_a_process(log: &str) -> bool {
    log.split_once('.').is_some_and(|(_, pid)| pid.bytes().all(|byte| byte.is_ascii_digit()) && !pid.is_empty())
}
