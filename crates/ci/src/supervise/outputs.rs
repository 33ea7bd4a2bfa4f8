//! What jobs print: one pipe a job, which a thread empties into the job's log.
//!
//! A pipe cannot be cut, rewound or overwritten by whoever opens `/dev/stderr` again, as a file can. Standard output and
//! standard error share it, so their order stays. What is still in it when a job is gone is read before the job is judged;
//! the end of the pipe is not waited for, since a process that was left behind may hold it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::epoll;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

use crate::log::{FinishedLog, Log, Trouble};
use drydock_base::exec;
use drydock_base::units::ByteSize;

/// A pipe is read in pieces of this size, which is what a pipe holds.
const PIECE: usize = 64 << 10;
/// The number of pieces of one job after which other jobs have their turn.
const TURN: usize = 16;
/// A job that prints less than this at once can wait a moment for more, which saves most of the reads.
const MUCH: usize = 16 << 10;
/// That moment. A pipe holds what a job prints meanwhile.
const MOMENT: Duration = Duration::from_millis(2);
/// The number of the descriptor whose end ends the thread.
const END: u64 = 0;

/// The pipes of all running jobs, and the thread that empties them.
pub(super) struct Outputs {
    shared: Arc<Shared>,
    /// Closed when the thread is to end.
    _end: OwnedFd,
    next: AtomicU64,
}

/// The output of one running job.
pub(super) struct Output {
    number: u64,
    sink: Arc<Mutex<Sink>>,
    shared: Arc<Shared>,
}

struct Shared {
    epoll: OwnedFd,
    sinks: Mutex<HashMap<u64, Arc<Mutex<Sink>>>>,
}

/// Where one job's output goes; without a value once the job is gone.
struct Sink(Option<(OwnedFd, Log)>);

impl Outputs {
    /// Starts the thread.
    ///
    /// # Errors
    /// There are too many threads or descriptors.
    pub(super) fn new() -> io::Result<Outputs> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (ended, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        epoll::add(&epoll, &ended, epoll::EventData::new_u64(END), epoll::EventFlags::IN)?;
        let shared = Arc::new(Shared { epoll, sinks: Mutex::default() });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("outputs".into()).stack_size(256 << 10);
        thread.spawn(move || of_thread.empty_pipes(&ended))?;
        Ok(Outputs { shared, _end: end, next: AtomicU64::new(END + 1) })
    }

    /// A pipe into a log. Returns the end to print to.
    ///
    /// # Errors
    /// There are too many descriptors.
    pub(super) fn open(&self, file: File, limit: ByteSize) -> io::Result<(Output, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
        // Whoever a job becomes may open `/dev/stderr` to print, and nobody to take away what was printed.
        rustix::fs::fchmod(&write, Mode::from_raw_mode(0o222))?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.shared.epoll, &read, epoll::EventData::new_u64(number), flags)?;
        let sink = Arc::new(Mutex::new(Sink(Some((read, Log::new(file, limit))))));
        lock(&self.shared.sinks).insert(number, Arc::clone(&sink));
        Ok((Output { number, sink, shared: Arc::clone(&self.shared) }, write))
    }
}

impl Output {
    /// The error that keeps output from being written.
    pub(super) fn error(&self) -> Option<String> {
        lock(&self.sink).0.as_ref().and_then(|(_, log)| Some(exec::plain(log.error()?)))
    }

    /// Takes over what is still in the pipe, and closes the log. Returns the file as it is then, and what went wrong.
    pub(super) fn finish(&self) -> (Option<FinishedLog>, Vec<Trouble>) {
        lock(&self.shared.sinks).remove(&self.number);
        let Some((pipe, mut log)) = lock(&self.sink).0.take() else { return (None, Vec::new()) };
        // What a process that cannot be ended prints from now on is not waited for.
        let mut left = rustix::io::ioctl_fionread(&pipe).unwrap_or(0);
        let mut piece = vec![0; if left > 0 { PIECE } else { 0 }];
        while left > 0 {
            match rustix::io::read(&pipe, &mut *piece) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => break,
                Ok(read) => {
                    log.append(piece.get(..read).unwrap_or_default());
                    left = left.saturating_sub(read as u64);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        log.finish()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // The job did not start, or its end was given up.
        lock(&self.shared.sinks).remove(&self.number);
    }
}

impl Shared {
    /// Reads until the other end of `ended` is closed.
    fn empty_pipes(&self, ended: &OwnedFd) {
        let mut piece = vec![0; PIECE];
        let mut events = Vec::with_capacity(256);
        // Pipes that were not emptied in their turn.
        let mut again: Vec<u64> = Vec::new();
        loop {
            events.clear();
            let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let timeout = if again.is_empty() { None } else { Some(&zero) };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            let ready = events.iter().map(|event: &epoll::Event| event.data.u64());
            let mut due: Vec<u64> = std::mem::take(&mut again).into_iter().chain(ready).collect();
            due.sort_unstable();
            due.dedup();
            if due.first() == Some(&END) {
                let mut byte = [0; 1];
                // It ends with the other end, and nothing is ever written to it.
                rustix::io::read(ended.as_fd(), &mut byte).ok();
                return;
            }
            let mut most = 0;
            for number in due {
                let Some(sink) = lock(&self.sinks).get(&number).map(Arc::clone) else { continue };
                match lock(&sink).take_turn(&mut piece) {
                    Turn::Emptied { read } => most = most.max(read),
                    Turn::Unfinished => again.push(number),
                }
            }
            if again.is_empty() && most < MUCH {
                std::thread::sleep(MOMENT);
            }
        }
    }
}

/// The end of a job's turn.
enum Turn {
    /// Its pipe is empty, after that many bytes.
    Emptied { read: usize },
    /// Others have their turn.
    Unfinished,
}

impl Sink {
    fn take_turn(&mut self, piece: &mut [u8]) -> Turn {
        let mut all = 0;
        for _ in 0..TURN {
            let Some((pipe, log)) = &mut self.0 else { return Turn::Emptied { read: all } };
            match rustix::io::read(&*pipe, &mut *piece) {
                // Nobody can print any more, or not now.
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Turn::Emptied { read: all },
                Ok(read) => {
                    log.append(piece.get(..read).unwrap_or_default());
                    all += read;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Turn::Emptied { read: all },
            }
        }
        Turn::Unfinished
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
