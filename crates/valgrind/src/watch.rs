//! Keeps the logs of valgrind while a job runs.
//!
//! Valgrind opens the log of a process when it starts in it, and from its beginning: in a forked child at once, anew after
//! exec, and in a process of another pid namespace that happens to have the same pid. So each log is renamed as soon as the
//! kernel tells that it was opened (inotify): `memcheck.4711.xml` becomes `memcheck.4711.1.xml`, and the next one with that
//! pid `memcheck.4711.2.xml`. Valgrind writes on through its descriptor. Where there were more openings than renamed logs, one
//! was overwritten before that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
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
}

/// The directory of one attempt.
#[derive(Debug, Default)]
struct Directory {
    path: PathBuf,
    opens: Opens,
    /// Names that were given here, and whose event is still to come.
    given: BTreeSet<String>,
    /// Renamed logs that have been closed.
    closed: BTreeSet<String>,
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
        directory.map(|directory| std::mem::take(&mut directory.opens)).unwrap_or_default()
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        let mut instances = self.keeper.instances();
        if let Some(instance) = instances.by_number.get_mut(&self.instance) {
            instance.directories.remove(&self.watch);
            // The kernel has removed it already if its directory is gone.
            inotify::remove_watch(&instance.descriptor, self.watch).ok();
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
                self.by_number.insert(number, Instance { descriptor, directories: HashMap::new() });
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
        let mut reader = inotify::Reader::new(self.descriptor.as_fd(), &mut buffer);
        for _ in 0..MOST_EVENTS {
            // EAGAIN: no event is left.
            let Ok(event) = reader.next() else { return };
            let events = event.events();
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.directories.values_mut().for_each(|directory| directory.opens.overflowed = true);
            }
            let Some(directory) = self.directories.get_mut(&event.wd()) else { continue };
            if let Some(name) = event.file_name() {
                directory.note(&name.to_string_lossy(), events);
            }
        }
        self.directories.values_mut().for_each(|directory| directory.opens.overflowed = true);
    }
}

impl Directory {
    fn note(&mut self, name: &str, events: ReadFlags) {
        if !name.ends_with(".xml") {
            return;
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
            if events.contains(ReadFlags::OPEN) {
                self.put_aside(name, log);
            }
            return;
        }
        if events.contains(ReadFlags::CLOSE_WRITE) && self.has_room(name) {
            self.closed.insert(name.to_owned());
        }
        let written = events.contains(ReadFlags::MODIFY) && self.closed.contains(name);
        let placed = events.intersects(ReadFlags::MOVED_TO | ReadFlags::CREATE) && !self.given.remove(name);
        if (written || placed) && self.has_room(name) {
            self.opens.foreign.insert(name.to_owned());
        }
    }

    /// Whether the name is known, or one more may be.
    fn has_room(&mut self, name: &str) -> bool {
        let has_room = self.opens.count.len() + self.closed.len() + self.opens.foreign.len() < MOST_NAMES
            || self.opens.count.contains_key(name);
        self.opens.overflowed |= !has_room;
        has_room
    }

    fn put_aside(&mut self, name: &str, log: &str) {
        let kept = self.opens.kept.entry(name.to_owned()).or_default();
        for number in *kept + 1..MOST_OF_A_PROCESS {
            let aside = format!("{log}.{number}.xml");
            let (from, to) = (self.path.join(name), self.path.join(&aside));
            match rename_to_new(&from, &to) {
                Ok(()) => {
                    self.given.insert(aside);
                    *kept = number;
                    return;
                }
                // The job itself made a file of that name.
                Err(rustix::io::Errno::EXIST) => {}
                // A log that is gone is missed at the end, and one that could not be renamed is found under its name.
                Err(_) => return,
            }
        }
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
