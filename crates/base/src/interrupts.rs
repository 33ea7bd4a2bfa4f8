//! Signals that ask this process to end. Whatever it does, it then ends its children, and exits with one code for every
//! signal; a part that has more to tidy up holds the signals meanwhile, and decides itself.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;

use crate::exec::contained;
use crate::text::printable;
use crate::{output, scratch};

/// The signals that would end a process which does not know them, and that no fault of its own raises. The last two are
/// SIGSTKFLT and SIGPWR.
const ENDING: [i32; 13] =
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGIO, 16, 30];
/// Real-time signals, for the same reason; some managers of containers and batch jobs send them. The C library keeps the first
/// ones to itself: glibc two, musl three.
const REAL_TIME: std::ops::RangeInclusive<i32> = 32..=64;
/// The time in which supervisors end what remains, see [`contained`].
const LAST: Duration = Duration::from_secs(12);
/// The time that children have to end.
const GRACE: Duration = Duration::from_millis(500);
/// The time between two looks at them.
const LOOK: Duration = Duration::from_millis(5);

/// `true` from the moment a signal arrives until it is held for somebody.
static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// The holder of the signals at present.
static HOLDER: Mutex<Option<Arc<Holder>>> = Mutex::new(None);

/// A signal that asks this process to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its number.
    pub signal: i32,
    /// The process that sent it; none if the kernel did, as for Ctrl-C, or a process outside of this container.
    pub sender: Option<Sender>,
}

/// The sender of a signal, as far as it was still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Its pid.
    pub pid: u32,
    /// Its session.
    pub session: Option<u32>,
    /// Its command line, or only its name if it had ended; empty if it was gone.
    pub command: String,
}

impl Sender {
    fn new(pid: u32) -> Sender {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let (stat, mut command) = (read("stat"), read("cmdline"));
        if command.is_empty() {
            command = read("comm");
        }
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let session = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(3)?.parse().ok());
        let words = String::from_utf8_lossy(&command).replace(['\0', '\n'], " ");
        Sender { pid, session, command: printable(words.trim_end(), 200) }
    }
}

/// While this exists, signals are kept for its owner. Those that the owner did not take take effect when it is dropped.
#[derive(Debug)]
pub struct Held {
    holder: Arc<Holder>,
    woken: UnixStream,
}

#[derive(Debug)]
struct Holder {
    signals: Mutex<Vec<Asked>>,
    wake: UnixStream,
    code: u8,
}

/// Ends this process with that code at each signal that asks for it, from now on. Signals in `ignored` have no effect.
///
/// # Errors
/// There are too many threads or descriptors.
pub fn exit_with(code: u8, ignored: &[i32]) -> io::Result<()> {
    let mut heeded = Vec::new();
    for signal in ENDING.into_iter().chain(REAL_TIME).filter(|signal| !ignored.contains(signal)) {
        match signal_hook::flag::register(signal, Arc::clone(&ASKED)) {
            Ok(_) => heeded.push(signal),
            Err(error) if REAL_TIME.contains(&signal) && error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
    }
    let mut signals = SignalsInfo::<WithOrigin>::new(heeded)?;
    let thread = std::thread::Builder::new().name("signals".into()).stack_size(128 << 10);
    thread.spawn(move || {
        for origin in signals.forever() {
            let sender = origin.process.and_then(|process| u32::try_from(process.pid).ok()).filter(|pid| *pid > 0);
            let asked = Asked { signal: origin.signal, sender: sender.map(Sender::new) };
            let holder = lock(&HOLDER);
            match &*holder {
                Some(holder) => holder.take_in(asked),
                // The lock stays taken, so that nobody can begin to hold signals.
                None => end(asked.signal, code),
            }
        }
    })?;
    Ok(())
}

/// Waits for the end of this process if a signal asked for it: what happens meanwhile, such as the failure of a child that
/// was ended too, is of no account.
pub fn end_if_asked() {
    let deadline = Instant::now() + GRACE * 10;
    while ASKED.load(Ordering::Relaxed) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
}

impl Held {
    /// Holds the signals. There is one holder at a time. `code` is that of [`exit_with`].
    ///
    /// # Errors
    /// There are too many descriptors.
    pub fn new(code: u8) -> io::Result<Held> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let holder = Arc::new(Holder { signals: Mutex::default(), wake, code });
        *lock(&HOLDER) = Some(Arc::clone(&holder));
        Ok(Held { holder, woken })
    }

    /// Readable when there is a signal to take.
    pub fn descriptor(&self) -> &UnixStream {
        &self.woken
    }

    /// The signals that arrived since, in their order.
    pub fn take(&self) -> Vec<Asked> {
        let mut bytes = [0; 64];
        while (&self.woken).read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
        std::mem::take(&mut *lock(&self.holder.signals))
    }

    /// `true` if there is a signal to take.
    pub fn is_asked(&self) -> bool {
        !lock(&self.holder.signals).is_empty()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holder = lock(&HOLDER);
        *holder = None;
        if let Some(signal) = lock(&self.holder.signals).first() {
            end(signal.signal, self.holder.code);
        }
    }
}

impl Holder {
    fn take_in(&self, asked: Asked) {
        ASKED.store(false, Ordering::Relaxed);
        lock(&self.signals).push(asked);
        // When the pipe is full, its reader has enough to wake for.
        (&self.wake).write_all(&[1]).ok();
    }
}

/// Ends the children and this process.
fn end(signal: i32, code: u8) -> ! {
    output::err(format_args!("interrupted by {}", signal_hook::low_level::signal_name(signal).unwrap_or("a signal")));
    let send = |pid: u32, signal| {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            kill_process(pid, signal).ok();
        }
    };
    let supervisors = contained::close();
    let mut doomed: HashSet<u32> = descendants().into_iter().collect();
    doomed.iter().for_each(|pid| send(*pid, Signal::TERM));
    let deadline = Instant::now() + GRACE;
    while !doomed.is_empty() && Instant::now() < deadline {
        std::thread::sleep(LOOK);
        // Children of those that ended first have other parents by now, and are known from before.
        doomed.extend(descendants());
        doomed.retain(|pid| lives(*pid));
    }
    doomed.iter().filter(|pid| !supervisors.has(**pid)).for_each(|pid| send(*pid, Signal::KILL));
    // They end what was started meanwhile, and themselves last.
    supervisors.end();
    let deadline = Instant::now() + LAST;
    while doomed.iter().any(|pid| lives(*pid)) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    scratch::remove_all();
    signal_hook::low_level::exit(code.into())
}

/// All processes that descend from this one.
fn descendants() -> Vec<u32> {
    let mut found = children("self");
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let below = children(&pid.to_string());
        found.extend(below);
        next += 1;
    }
    found
}

fn children(process: &str) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X', 'x']))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
