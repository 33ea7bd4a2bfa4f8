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
//!
//! The kernel's queue of events has a limit, and merges only equal events in a row. Valgrind writes hundreds of times for a few
//! errors, so while this process is stopped or starved, its writes must not alternate with other events. A log that was put
//! aside by a link is open by a name that is gone, so its writes are no events of the directory (`IN_EXCL_UNLINK`); and logs
//! that are written at once have queues of their own, as far as there are any.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::epoll;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

mod directory;

use directory::{Aside, Directory};

/// The number of events taken at once, so that a job that makes events all the time blocks nobody.
const MOST_EVENTS: usize = 1 << 20;
/// The number of descriptors that one look at all instances tells of.
const READY: usize = 64;
/// The most queues of an instance. Where more logs than this are written at once, some share a queue.
const MOST_QUEUES: usize = 9;

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

/// The queues of an attempt. Each attempt has queues of its own, so that one job's flood of events drops no event of another;
/// where the kernel allows no further one (`fs.inotify.max_user_instances`), attempts share them.
#[derive(Debug)]
struct Instance {
    directories: HashMap<i32, Directory>,
    /// The events of the directories, and of logs for which the kernel allows no further queue.
    own: Queue,
    /// Those of renamed logs.
    of_logs: Vec<Queue>,
}

/// An instance of inotify.
#[derive(Debug)]
struct Queue {
    descriptor: OwnedFd,
    logs: HashMap<i32, Log>,
    /// The number of logs that were not closed yet.
    written: usize,
}

/// A renamed log.
#[derive(Debug)]
struct Log {
    /// The watch of its directory.
    directory: i32,
    name: String,
    /// Whether the event of the renaming has come. What is done before is an event of the directory.
    is_aside: bool,
    /// How often it was closed since then by somebody who could write to it.
    closed: u32,
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
        let number = instances.roomy(keeper)?;
        let added = instances.by_number.get_mut(&number).map(|instance| instance.add(directory));
        instances.remove_unused(number);
        let watch = added.unwrap_or_else(|| Err(io::Error::other("the watch was ended")))?;
        Ok(LogWatch { keeper, instance: number, watch })
    }

    /// Stops watching, and returns what was seen.
    pub fn end(self) -> Opens {
        let mut instances = self.keeper.instances();
        let Some(instance) = instances.by_number.get_mut(&self.instance) else { return Opens::default() };
        instance.take(self.keeper, self.instance);
        let directory = instance.directories.get_mut(&self.watch);
        directory.map(Directory::seen).unwrap_or_default()
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        let mut instances = self.keeper.instances();
        if let Some(instance) = instances.by_number.get_mut(&self.instance) {
            instance.directories.remove(&self.watch);
            for queue in std::iter::once(&mut instance.own).chain(&mut instance.of_logs) {
                let logs = queue.logs.iter().filter(|(_, log)| log.directory == self.watch);
                let logs: Vec<i32> = logs.map(|(watch, _)| *watch).collect();
                logs.into_iter().for_each(|watch| queue.forget(watch));
            }
            // The kernel has removed it already if the directory is gone.
            inotify::remove_watch(&instance.own.descriptor, self.watch).ok();
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

    /// A queue, whose events this instance takes.
    fn queue(&self, instance: u64) -> io::Result<Queue> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        epoll::add(&self.epoll, &descriptor, epoll::EventData::new_u64(instance), epoll::EventFlags::IN)?;
        Ok(Queue { descriptor, logs: HashMap::new(), written: 0 })
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
                    instance.take(self, event.data.u64());
                }
            }
        }
    }
}

impl Instances {
    /// A new instance, or, where the kernel allows none, the one with the fewest directories.
    fn roomy(&mut self, keeper: &Keeper) -> io::Result<u64> {
        match keeper.queue(self.next) {
            Ok(own) => {
                let number = self.next;
                self.next += 1;
                self.by_number.insert(number, Instance { directories: HashMap::new(), own, of_logs: Vec::new() });
                Ok(number)
            }
            Err(error) => {
                let fewest = self.by_number.iter().min_by_key(|(_, instance)| instance.directories.len());
                fewest.map(|(number, _)| *number).ok_or(error)
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
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&self.own.descriptor, directory, events)?;
        self.directories.insert(watch, Directory::new(directory));
        Ok(watch)
    }

    /// Takes the events that have arrived, those of the directories first.
    fn take(&mut self, keeper: &Keeper, number: u64) {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 64 << 10];
        // The events of the directories may add a queue.
        for at in 0.. {
            let mut taken = 0;
            while let Some(queue) = self.queue(at) {
                let events = queue.read(&mut buffer);
                if events.is_empty() {
                    break;
                }
                taken += events.len();
                events.into_iter().for_each(|event| self.note(at, event, keeper, number));
                if taken > MOST_EVENTS {
                    self.overflow();
                    break;
                }
            }
            if self.queue(at).is_none() {
                return;
            }
        }
    }

    /// The queue of the directories, then those of logs.
    fn queue(&mut self, at: usize) -> Option<&mut Queue> {
        match at.checked_sub(1) {
            None => Some(&mut self.own),
            Some(at) => self.of_logs.get_mut(at),
        }
    }

    /// The kernel dropped events.
    fn overflow(&mut self) {
        self.directories.values_mut().for_each(|directory| directory.opens.overflowed = true);
    }

    /// Notes an event of a queue.
    fn note(&mut self, at: usize, (watch, events, name): Event, keeper: &Keeper, number: u64) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.overflow();
        }
        if at == 0 && self.directories.contains_key(&watch) {
            let directory = self.directories.get_mut(&watch);
            if let Some(aside) = name.and_then(|name| directory?.note(&name, events)) {
                self.put_aside(watch, &aside, keeper, number);
            }
            return;
        }
        let directories = &mut self.directories;
        let Some(queue) = (if at == 0 { Some(&mut self.own) } else { self.of_logs.get_mut(at - 1) }) else { return };
        if events.contains(ReadFlags::IGNORED) {
            queue.forget(watch);
        } else if let Some(log) = queue.logs.get_mut(&watch) {
            let was_closed = log.closed > 0;
            if let Some(directory) = directories.get_mut(&log.directory) {
                log.note(events, directory);
            }
            queue.written -= usize::from(!was_closed && log.closed > 0);
        }
    }

    /// Renames a log, and watches it.
    fn put_aside(&mut self, watch: i32, aside: &Aside, keeper: &Keeper, number: u64) {
        // A queue in which nobody writes, or else a new one.
        let least = self.of_logs.iter().enumerate().min_by_key(|(_, queue)| queue.written);
        let mut chosen = least.map(|(at, _)| at);
        if least.is_none_or(|(_, queue)| queue.written > 0) && self.of_logs.len() + 1 < MOST_QUEUES {
            if let Ok(queue) = keeper.queue(number) {
                self.of_logs.push(queue);
                chosen = Some(self.of_logs.len() - 1);
            }
        }
        let queue = chosen.and_then(|at| self.of_logs.get_mut(at)).unwrap_or(&mut self.own);
        let Some(directory) = self.directories.get_mut(&watch) else { return };
        if let Some((log, name)) = directory.put_aside(aside, &queue.descriptor) {
            queue.logs.insert(log, Log { directory: watch, name, is_aside: false, closed: 0 });
            queue.written += 1;
        }
    }
}

/// The watch, what happened, and the name in the directory.
type Event = (i32, ReadFlags, Option<String>);

impl Queue {
    /// Takes some events; none if none is left.
    fn read(&self, buffer: &mut [MaybeUninit<u8>]) -> Vec<Event> {
        let mut reader = inotify::Reader::new(self.descriptor.as_fd(), buffer);
        let mut events = Vec::new();
        // EAGAIN: no event is left.
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
            events.push((event.wd(), event.events(), name));
            if reader.is_buffer_empty() {
                break;
            }
        }
        events
    }

    /// Ends a watch of a log.
    fn forget(&mut self, watch: i32) {
        if self.logs.remove(&watch).is_some_and(|log| log.closed == 0) {
            self.written -= 1;
        }
        // The kernel has removed it already if the file is gone.
        inotify::remove_watch(&self.descriptor, watch).ok();
    }
}

impl Log {
    /// Notes an event of the log itself.
    fn note(&mut self, events: ReadFlags, directory: &mut Directory) {
        let is_other_name = events.intersects(ReadFlags::ATTRIB | ReadFlags::MOVE_SELF);
        if !self.is_aside {
            self.is_aside = is_other_name;
            return;
        }
        // Valgrind closes its log once, in the directory or here.
        let closed_before = self.closed > 0 || directory.closed_early(&self.name);
        if events.contains(ReadFlags::CLOSE_WRITE) {
            self.closed = self.closed.saturating_add(1);
        }
        // Valgrind neither links its log nor changes its mode, owner or times.
        let is_written = events.intersects(ReadFlags::MODIFY | ReadFlags::CLOSE_WRITE);
        if is_other_name || closed_before && is_written {
            directory.opens.foreign.insert(self.name.clone());
        }
    }
}

#[cfg(test)]
mod tests;
