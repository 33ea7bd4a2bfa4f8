//! Processes: their ancestry, memory and command lines (proc(5)).

use drydock_base::text::{one_line, printable_char};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::time::Duration;

/// The fields of `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// The state letter: `Z` and `X` are dead.
    pub state: u8,
    /// Start time in clock ticks since boot: with the pid, an identity.
    pub ticks: u64,
}

impl Stat {
    /// `true` if it still runs: it is neither a zombie nor dead.
    pub fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads one process; `None` when it is gone.
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name may hold spaces and parentheses, so the fields are counted from the last `)`.
fn parse_stat(pid: u32, text: &[u8]) -> Option<Stat> {
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let ticks = fields.nth(15)?.parse().ok()?;
    Some(Stat { pid, parent, group, session, state, ticks })
}

/// By how much a job's `oom_score_adj` is above Drydock's own: more than Drydock's share of any memory.
const ABOVE_OUR_SCORE: i32 = 250;

/// Has the kernel take this process, and what it starts from now on, before Drydock when memory runs out: a supervisor
/// that is killed can prove nothing. Raising the score needs no privilege (proc(5), `oom_score_adj`).
pub fn prefer_as_victim(pid: u32) {
    static SCORE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let score = SCORE.get_or_init(|| {
        let own = fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse::<i32>().ok());
        own.unwrap_or(0).saturating_add(ABOVE_OUR_SCORE).min(1000).to_string()
    });
    // The process may have ended already.
    fs::write(format!("/proc/{pid}/oom_score_adj"), score).ok();
}

/// Why `/proc` does not show the processes that this one sees.
#[derive(Debug, thiserror::Error)]
pub enum ForeignProc {
    /// It has no entry of this process.
    #[error("/proc is not mounted here; mount it, since runs follow processes by it")]
    Absent,
    /// Its entry of this process has another identifier.
    #[error(
        "/proc belongs to another PID namespace; mount that of this one (`unshare --mount-proc`), since runs follow processes by it"
    )]
    Foreign,
}

/// Looks whether `/proc` is that of this process's PID namespace. What it says of a pid is of another process otherwise.
///
/// # Errors
/// It is not.
pub fn check_namespace() -> Result<(), ForeignProc> {
    match fs::read_link("/proc/self") {
        Ok(own) if own.as_os_str() == std::process::id().to_string().as_str() => Ok(()),
        Ok(_) => Err(ForeignProc::Foreign),
        Err(_) => Err(ForeignProc::Absent),
    }
}

/// Every process of the machine.
pub fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(stat) = name.to_str().and_then(|name| name.parse().ok()).and_then(stat) {
            found.push(stat);
        }
    }
    Ok(found)
}

/// Those of `all` that belong to the tree under `root`: descendants, and members of its process group or session.
pub fn tree(all: &[Stat], root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(stat.pid);
    }
    let mut members: HashSet<u32> = HashSet::new();
    let mut queue: Vec<u32> = all
        .iter()
        .filter(|stat| stat.pid == root || stat.group == root || stat.session == root)
        .map(|stat| stat.pid)
        .collect();
    while let Some(pid) = queue.pop() {
        if members.insert(pid) {
            queue.extend(children.get(&pid).into_iter().flatten());
        }
    }
    let mut members: Vec<u32> = members.into_iter().collect();
    members.sort_unstable();
    members
}

/// The environment that the process was started with, as `NAME=VALUE` with a NUL after each. Empty in the middle of an exec;
/// `None` when it has ended. What is read while it ends may lack its last variables.
pub fn environment(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// The value of a variable in such an environment.
pub fn variable(environment: &[u8], name: &str) -> Option<String> {
    let value = |entry: &[u8]| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
    let value = environment.split(|byte| *byte == 0).find_map(value)?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// The value of a variable in the environment that the process was started with.
pub fn environment_variable(pid: u32, name: &str) -> Option<String> {
    variable(&environment(pid)?, name)
}

/// Its share of memory in bytes: `Pss` of `smaps_rollup`, where shared pages are divided among their users.
pub fn pss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The command line for a person: arguments joined by spaces, unprintable characters replaced, at most 200 characters;
/// the command name in brackets when there is none.
pub fn command_line(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text: String = String::from_utf8_lossy(raw.strip_suffix(b"\0").unwrap_or(&raw))
        .chars()
        .map(|letter| if letter == '\0' || letter.is_whitespace() { ' ' } else { printable_char(letter) })
        .take(200)
        .collect();
    if text.trim().is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return format!("[{}]", one_line(&name, 200));
    }
    text
}

/// What a child and all descendants that were waited for used, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// The most resident memory that one of them had, in bytes. A process starts with that of the one that started it, so
    /// there is none unless it is more than this process ever had.
    pub resident: Option<u64>,
}

/// Reaps a child that has ended.
///
/// # Errors
/// It is not a child of this process, or has not ended.
#[expect(unsafe_code, reason = "rustix does not return the resource usage of a child")]
pub fn reap(pid: u32) -> io::Result<Spent> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers lead to values of their types, and a zeroed `rusage` is a valid one.
    let (reaped, usage) =
        unsafe { (libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()), usage.assume_init()) };
    match reaped {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        1.. => {
            let resident = u64::try_from(usage.ru_maxrss).unwrap_or_default() * KIB;
            let own = status_field("VmHWM").unwrap_or(u64::MAX);
            let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
            Ok(Spent { cpu, resident: Some(resident).filter(|bytes| *bytes > own) })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

const KIB: u64 = 1024;

/// A size of this process in `/proc/self/status`, in bytes.
fn status_field(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(KIB)
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
    seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
}

/// The words of its command line; empty when it is gone or a zombie.
pub fn words(pid: u32) -> Vec<String> {
    /// Enough for options and a program.
    const MOST: usize = 256;
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let raw = raw.strip_suffix(b"\0").unwrap_or(&raw);
    if raw.is_empty() {
        return Vec::new();
    }
    raw.split(|byte| *byte == 0).take(MOST).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Its pid as it sees itself, in the innermost pid namespace (`NSpid` of `/proc/PID/status`).
pub fn innermost_pid(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

/// A soft limit in the unit of its line in `/proc/PID/limits`, when there is one: `Max address space`, in bytes. Works on a
/// zombie that is not yet reaped.
pub fn soft_limit(pid: u32, line: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|text| text.strip_prefix(line))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The hard limit of processor time in seconds that this zombie had reached; `None` if there is none or it had not. What its
/// children used does not count (setrlimit(2), `RLIMIT_CPU`).
pub fn reached_cpu_limit(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|text| text.strip_prefix("Max cpu time"))?;
    let hard: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let used = parse_cpu_ticks(&stat)?;
    let ticks = rustix::param::clock_ticks_per_second();
    let limit = hard.checked_mul(ticks)?;
    // The kernel enforces the limit by sampled times, and shows more exact ones.
    let inexact = (limit / 10).max(ticks / 4);
    (used.checked_add(inexact)? >= limit).then_some(hard)
}

/// The processor time of a process in clock ticks, user and system: fields 14 and 15 of `/proc/PID/stat`.
fn parse_cpu_ticks(text: &[u8]) -> Option<u64> {
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_command_name_does_not_shift_the_fields() {
        let text = b"12 (a) R 1 (b)) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 100 200";
        let expected = Stat { pid: 12, parent: 7, group: 8, session: 9, state: b'S', ticks: 4242 };
        assert_eq!(parse_stat(12, text), Some(expected));
        assert_eq!(parse_cpu_ticks(text), Some(5 + 6));
        assert_eq!(parse_stat(12, b"12 (x"), None);
        assert_eq!(parse_stat(12, b""), None);
    }

    #[test]
    fn the_tree_follows_parents_groups_and_sessions() {
        let process = |pid, parent, group, session| Stat { pid, parent, group, session, state: b'S', ticks: 0 };
        let all = [
            process(1, 0, 1, 1),
            process(10, 1, 10, 1),   // the root
            process(11, 10, 10, 1),  // its child
            process(12, 11, 12, 12), // a grandchild with a session of its own
            process(13, 1, 10, 1),   // orphaned, still in the group
            process(14, 13, 14, 14), // child of the orphan
            process(20, 1, 20, 20),  // a stranger
        ];
        assert_eq!(tree(&all, 10), [10, 11, 12, 13, 14]);
    }

    #[test]
    fn the_cpu_time_of_a_child_is_that_which_it_measured_itself() {
        let script = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; (i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done); times";
        let mut command = std::process::Command::new("sh");
        let mut child = command.args(["-c", script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
        let id = rustix::process::Pid::from_child(&child);
        let exited = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(id), exited).unwrap();
        let measured = reap(child.id()).unwrap().cpu.as_secs_f64();
        let seconds = |word: &str| {
            let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        };
        // The shell, then its children; user and system each.
        let own: f64 = text.split_whitespace().map(seconds).sum();
        assert!(own > 0.0 && (measured - own).abs() <= 0.05 + own / 20.0, "{measured} s and {own} s");
        assert!(reap(child.id()).is_err() && child.wait().is_err(), "it was reaped before");
    }

    #[test]
    fn the_memory_of_a_child_is_known_if_it_is_more_than_this_process_ever_had() {
        let reaped = |script: &str| {
            let mut child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let id = rustix::process::Pid::from_child(&child);
            let exited = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
            rustix::process::waitid(rustix::process::WaitId::Pid(id), exited).unwrap();
            let spent = reap(child.id()).unwrap();
            assert!(child.wait().is_err(), "it was reaped before");
            spent.resident
        };
        assert_eq!(reaped("exit 0"), None);
        // `tail` keeps all bytes of a pipe that it may have to print.
        let most = reaped("head -c 600000000 /dev/zero | tail -c 500000000 >/dev/null; exit 0").unwrap();
        assert!((500_000_000..900_000_000).contains(&most), "{most}");
    }

    #[test]
    fn this_process_can_be_read() {
        let me = std::process::id();
        assert!(stat(me).unwrap().lives());
        assert!(pss(me).unwrap() > 0);
        assert!(!command_line(me).is_empty());
        assert!(environment_variable(me, "PATH").is_some());
        assert_eq!(words(me).len(), std::env::args().count());
        assert_eq!(innermost_pid(me), Some(me));
    }
}
