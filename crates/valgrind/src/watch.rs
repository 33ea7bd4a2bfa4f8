//! Keeps the logs of valgrind while a job runs.
//!
//! Valgrind opens the log of a process when it starts in it, and from its beginning: in a forked child at once, anew after
//! exec, and in a process of another pid namespace that happens to have the same pid. So each log is renamed as soon as the
//! kernel tells that it was opened (inotify): `memcheck.4711.xml` becomes `memcheck.4711.1.xml`, and the next one with that
//! pid `memcheck.4711.2.xml`. Valgrind writes on through its descriptor. Where there were more openings than renamed logs, one
//! was overwritten before that.
//!
//! The directory tells only what is done by the names in it. So each renamed log is watched itself too: who has another name for
//! it (a hard link), or opened it by one, changes it elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::epoll;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{CWD, RenameFlags};

/// More names than this are not counted for one attempt.
const MOST_NAMES: usize = 64 << 10;
/// The number of events taken at once, so that a job that makes events all the time blocks nobody.
const MOST_EVENTS: usize = 1 << 20;
/// Logs of one process that are numbered.
const MOST_OF_A_PROCESS: u32 = 16 << 10;
/// The number of descriptors that one look at all instances tells of.
const READY: usize = 64;

/// What happened to the logs of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opens {
    /// The number of times that each file of the directory was opened for writing, by its name.
    pub count: BTreeMap<String, u32>,
    /// The number of logs that were renamed, by the name that valgrind gave them.
    pub kept: BTreeMap<String, u32>,
    /// Files that something else than valgrind put there, or wrote to after valgrind had closed them.
    pub foreign: BTreeSet<String>,
    /// Whether the kernel dropped events: then a count is a lower bound.
    pub overflowed: bool,
    /// Whether the kernel allowed no watch of a log itself (`fs.inotify.max_user_watches`).
    pub unwatched: bool,
}

/// All instances of this process, whose events a thread waits for, so that no log waits for what else the supervisor
/// does.
static KEEPER: OnceLock<io::Result<&'static Keeper>> = OnceLock::new();

#[derive(Debug)]
struct Keeper {
    epoll: OwnedFd,
    instances: Mutex<Instances>,
}

#[derive(Debug, Default)]
struct Instances {
    by_number: BTreeMap<u64, Instance>,
    next: u64,
}

/// An inotify instance. Each attempt has one of its own, so that one job's flood of events drops no event of another; where
/// the kernel allows no further instance (`fs.inotify.max_user_instances`), attempts share one.
#[derive(Debug)]
struct Instance {
    descriptor: OwnedFd,
    directories: HashMap<i32, Directory>,
    /// The watches of renamed logs: the watch of the directory, and the log's name.
    logs: HashMap<i32, (i32, String)>,
}

/// The directory of one attempt.
#[derive(Debug, Default)]
struct Directory {
    path: PathBuf,
    opens: Opens,
    /// Names that were given here, and whose event is still to come.
    given: BTreeSet<String>,
    /// Renamed logs that have been closed, and how often.
    closed: BTreeMap<String, u32>,
    /// How often renamed logs have been closed, by whatever name they had been opened.
    closed_anywhere: BTreeMap<String, u32>,
    /// Names of logs that appeared, and were not opened since. Valgrind opens what it creates; a link leads elsewhere.
    placed: BTreeSet<String>,
}

/// One attempt's logs. They are kept until it is dropped.
#[derive(Debug)]
pub struct LogWatch {
    keeper: &'static Keeper,
    instance: u64,
    watch: i32,
}

impl LogWatch {
    /// Starts watching the directory of an attempt, in which no other attempt may have its logs.
    ///
    /// # Errors
    /// The kernel allows no further watch, or no thread.
    pub fn new(directory: &Path) -> io::Result<LogWatch> {
        let keeper = match KEEPER.get_or_init(Keeper::new) {
            Ok(keeper) => *keeper,
            Err(error) => return Err(io::Error::new(error.kind(), error.to_string())),
        };
        let mut instances = keeper.instances();
        let number = instances.roomy(&keeper.epoll)?;
        let added = instances.by_number.get_mut(&number).map(|instance| instance.add(directory));
        instances.remove_unused(number);
        let watch = added.unwrap_or_else(|| Err(io::Error::other("the watch was ended")))?;
        Ok(LogWatch { keeper, instance: number, watch })
    }

    /// Stops watching, and returns what was seen.
    pub fn end(self) -> Opens {
        let mut instances = self.keeper.instances();
        let Some(instance) = instances.by_number.get_mut(&self.instance) else { return Opens::default() };
        instance.take();
        let directory = instance.directories.get_mut(&self.watch);
        directory.map(Directory::seen).unwrap_or_default()
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        let mut instances = self.keeper.instances();
        if let Some(instance) = instances.by_number.get_mut(&self.instance) {
            instance.directories.remove(&self.watch);
            let logs = instance.logs.iter().filter(|(_, (directory, _))| *directory == self.watch);
            let logs: Vec<i32> = logs.map(|(watch, _)| *watch).collect();
            for watch in logs.into_iter().chain([self.watch]) {
                instance.logs.remove(&watch);
                // The kernel has removed it already if its file or directory is gone.
                inotify::remove_watch(&instance.descriptor, watch).ok();
            }
        }
        instances.remove_unused(self.instance);
    }
}

impl Keeper {
    fn new() -> io::Result<&'static Keeper> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let keeper: &Keeper = Box::leak(Box::new(Keeper { epoll, instances: Mutex::default() }));
        std::thread::Builder::new().name("valgrind-watch".into()).spawn(|| keeper.serve())?;
        Ok(keeper)
    }

    fn instances(&self) -> MutexGuard<'_, Instances> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for events, as long as the process lives.
    fn serve(&self) {
        let mut ready = Vec::with_capacity(READY);
        loop {
            ready.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            let mut instances = self.instances();
            for event in &ready {
                // One that is gone was ended meanwhile.
                if let Some(instance) = instances.by_number.get_mut(&event.data.u64()) {
                    instance.take();
                }
            }
        }
    }
}

impl Instances {
    /// A new instance, or, where the kernel allows none, the one with the fewest directories.
    fn roomy(&mut self, epoll: &OwnedFd) -> io::Result<u64> {
        match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(descriptor) => {
                let number = self.next;
                self.next += 1;
                epoll::add(epoll, &descriptor, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
                self.by_number
                    .insert(number, Instance { descriptor, directories: HashMap::new(), logs: HashMap::new() });
                Ok(number)
            }
            Err(error) => {
                let fewest = self.by_number.iter().min_by_key(|(_, instance)| instance.directories.len());
                fewest.map(|(number, _)| *number).ok_or_else(|| error.into())
            }
        }
    }

    fn remove_unused(&mut self, number: u64) {
        // The last descriptor that is closed leaves the epoll.
        if self.by_number.get(&number).is_some_and(|instance| instance.directories.is_empty()) {
            self.by_number.remove(&number);
        }
    }
}

impl Instance {
    fn add(&mut self, directory: &Path) -> io::Result<i32> {
        // The kernel merges equal events in a row; there is always a write between two openings of a log.
        let events = WatchFlags::OPEN
            | WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_NOWRITE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&self.descriptor, directory, events)?;
        self.directories.insert(watch, Directory { path: directory.to_owned(), ..Directory::default() });
        Ok(watch)
    }

    /// Takes the events that have arrived.
    fn take(&mut self) {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 64 << 10];
        let Instance { descriptor, directories, logs } = self;
        let mut reader = inotify::Reader::new(descriptor.as_fd(), &mut buffer);
        for _ in 0..MOST_EVENTS {
            // EAGAIN: no event is left.
            let Ok(event) = reader.next() else { return };
            let events = event.events();
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                directories.values_mut().for_each(|directory| directory.opens.overflowed = true);
            }
            let watch = event.wd();
            if let Some(directory) = directories.get_mut(&watch) {
                let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
                if let Some(aside) = name.and_then(|name| directory.note(&name, events)) {
                    if let Some(log) = directory.watch_log(descriptor, &aside) {
                        logs.insert(log, (watch, aside));
                    }
                }
            } else if events.contains(ReadFlags::IGNORED) {
                logs.remove(&watch);
            } else if let Some((directory, name)) = logs.get(&watch) {
                if let Some(directory) = directories.get_mut(directory) {
                    directory.note_log(name, events);
                }
            }
        }
        directories.values_mut().for_each(|directory| directory.opens.overflowed = true);
    }
}

impl Directory {
    /// What was seen until now.
    fn seen(&mut self) -> Opens {
        let placed = std::mem::take(&mut self.placed);
        self.opens.foreign.extend(placed);
        std::mem::take(&mut self.opens)
    }

    /// Notes an event of the directory. Returns the new name of a log that was renamed.
    fn note(&mut self, name: &str, events: ReadFlags) -> Option<String> {
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
        if let Some(log) = log {
            if events.intersects(ReadFlags::MOVED_TO | ReadFlags::CREATE) && self.has_room(name) {
                self.placed.insert(name.to_owned());
            }
            if events.contains(ReadFlags::OPEN) {
                self.placed.remove(name);
                return self.put_aside(name, log);
            }
            return None;
        }
        if events.contains(ReadFlags::CLOSE_WRITE) && self.has_room(name) {
            *self.closed.entry(name.to_owned()).or_default() += 1;
        }
        let written = events.contains(ReadFlags::MODIFY) && self.closed.contains_key(name);
        let placed = events.intersects(ReadFlags::MOVED_TO | ReadFlags::CREATE) && !self.given.remove(name);
        if (written || placed) && self.has_room(name) {
            self.opens.foreign.insert(name.to_owned());
        }
        None
    }

    /// Watches a log that was just renamed; returns the watch.
    fn watch_log(&mut self, descriptor: &OwnedFd, name: &str) -> Option<i32> {
        let path = self.path.join(name);
        let events = WatchFlags::ATTRIB | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(descriptor, &path, events) {
            Ok(watch) => {
                // From here on the kernel tells of further names. Of those that were there before, one is left, or the log is
                // open by it.
                if std::fs::symlink_metadata(&path).is_ok_and(|log| log.nlink() > 1) {
                    self.opens.foreign.insert(name.to_owned());
                }
                Some(watch)
            }
            // The job removed it, which is noticed at the end.
            Err(rustix::io::Errno::NOENT) => None,
            Err(_) => {
                self.opens.unwatched = true;
                None
            }
        }
    }

    /// Notes an event of a renamed log itself. The kernel reports what is done by its name in the directory there first.
    fn note_log(&mut self, name: &str, events: ReadFlags) {
        let closed_here = self.closed.get(name).copied().unwrap_or_default();
        if events.contains(ReadFlags::CLOSE_WRITE) {
            *self.closed_anywhere.entry(name.to_owned()).or_default() += 1;
        }
        let closed_anywhere = self.closed_anywhere.get(name).copied().unwrap_or_default();
        // Valgrind neither links its log nor changes its mode, owner or times.
        let is_foreign = events.contains(ReadFlags::ATTRIB)
            || events.contains(ReadFlags::MODIFY) && closed_here > 0
            || closed_anywhere > closed_here;
        if is_foreign {
            self.opens.foreign.insert(name.to_owned());
        }
    }

    /// Whether the name is known, or one more may be.
    fn has_room(&mut self, name: &str) -> bool {
        let names = self.opens.count.len() + self.closed.len() + self.opens.foreign.len() + self.placed.len();
        let has_room = names < MOST_NAMES || self.opens.count.contains_key(name);
        self.opens.overflowed |= !has_room;
        has_room
    }

    fn put_aside(&mut self, name: &str, log: &str) -> Option<String> {
        let kept = self.opens.kept.entry(name.to_owned()).or_default();
        for number in *kept + 1..MOST_OF_A_PROCESS {
            let aside = format!("{log}.{number}.xml");
            let (from, to) = (self.path.join(name), self.path.join(&aside));
            match rename_to_new(&from, &to) {
                Ok(()) => {
                    self.given.insert(aside.clone());
                    *kept = number;
                    return Some(aside);
                }
                // The job itself made a file of that name.
                Err(rustix::io::Errno::EXIST) => {}
                // A log that is gone is missed at the end, and one that could not be renamed is found under its name.
                Err(_) => return None,
            }
        }
        None
    }
}

/// Renames a file, and replaces none. Some file systems (NFS) cannot do that; there a link is made, which replaces none
/// either.
fn rename_to_new(from: &Path, to: &Path) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            rustix::fs::link(from, to)?;
            rustix::fs::unlink(from)
        }
        renamed => renamed,
    }
}

/// `memcheck.4711`.
fn is_of_a_process(log: &str) -> bool {
    log.split_once('.').is_some_and(|(_, pid)| pid.bytes().all(|byte| byte.is_ascii_digit()) && !pid.is_empty())
}

#[cfg(test)]
mod tests;
