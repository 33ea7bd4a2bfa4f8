//! The observations about one attempt: plain values, gathered by the supervisor and judged by [`super::outcome`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod heap;
mod suite;

pub use heap::{HeapBaseline, HeapEvidence};
pub use suite::SuiteEvidence;

/// A counter or record that may not be there. "Could not read" is never the same as "read zero".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "value")]
pub enum Reading<T> {
    /// It was read.
    Read(T),
    /// It should exist but could not be read; the value is the reason.
    Unreadable(String),
    /// This machine or containment has no such source.
    Absent,
}

impl<T> Reading<T> {
    /// The value, where it was read.
    pub fn get(&self) -> Option<&T> {
        match self {
            Reading::Read(value) => Some(value),
            Reading::Unreadable(_) | Reading::Absent => None,
        }
    }

    /// Converts the result of a read.
    pub fn from_result<E: std::fmt::Display>(result: Result<T, E>) -> Reading<T> {
        match result {
            Ok(value) => Reading::Read(value),
            Err(error) => Reading::Unreadable(error.to_string()),
        }
    }
}

/// The end of the main process, from its wait status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum End {
    /// `WIFEXITED`: it chose this code, even when that is 137.
    Exited {
        /// The exit code.
        code: i32,
    },
    /// `WIFSIGNALED`.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// `true` if a core was dumped.
        core: bool,
    },
    /// It could not be started.
    NotStarted {
        /// The system's error message, or what Drydock found before it asked the system.
        error: String,
        /// `true` if it stood for the tests of a suite, which could not be listed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unlisted: bool,
    },
    /// The journal has no end record: the supervisor or the machine went away first.
    NoRecord,
}

/// The reason why Drydock itself ended a job; journalled before the signal is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KillReason {
    /// The job's time limit passed.
    Timeout,
    /// The run was interrupted.
    Cancel,
    /// The run cannot go on: the state directory cannot be written any more, or no further job can be started.
    NoState,
    /// Processes that the job left behind.
    Leftover,
}

/// A kill by Drydock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KillIntent {
    /// The reason for the kill.
    pub reason: KillReason,
    /// Unix milliseconds at which the first signal was sent.
    pub at: i64,
    /// `true` if KILL had to follow TERM for the main process itself.
    pub escalated: bool,
}

/// The memory counters of the job's own cgroup, read before the group is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupCounters {
    /// Victims of the OOM killer that belonged to the group: v2 `memory.events` `oom_kill` (hierarchical), v1
    /// `memory.oom_control` `oom_kill` (local).
    pub oom_kill: u64,
    /// Hits of the group's own limit with nothing left to reclaim: v2 `memory.events.local` `oom`, v1
    /// `memory.failcnt`. Zero with a victim means that a limit above the group, or the machine, was exhausted.
    pub limit_hits: u64,
    /// The most the group ever used, in bytes, page cache included: `memory.peak`, `memory.max_usage_in_bytes`.
    pub peak: Option<u64>,
    /// The group's own limit in bytes, if it has one.
    pub limit: Option<u64>,
}

/// The machine's count of OOM kills, `oom_kill` in `/proc/vmstat`, around one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostCounters {
    /// At the start of the attempt.
    pub before: u64,
    /// After its end.
    pub after: u64,
    /// Its rise in the seconds around the death.
    pub around_death: u64,
    /// Kills during the attempt that are proved to have hit other jobs or processes.
    pub explained_elsewhere: u64,
}

impl HostCounters {
    /// Kills during the attempt that nothing else explains.
    pub fn unexplained(&self) -> u64 {
        self.after.saturating_sub(self.before).saturating_sub(self.explained_elsewhere)
    }
}

/// One kill by the kernel, as `/dev/kmsg` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KernelKill {
    /// The victim's pid in the kernel's namespace.
    pub pid: u32,
    /// Its command name, cut to 15 characters; under valgrind `memcheck-amd64-`, so never an identity.
    pub comm: String,
    /// `constraint=`: `CONSTRAINT_MEMCG`, `CONSTRAINT_NONE`…
    pub constraint: Option<String>,
    /// The group whose limit was hit.
    pub oom_memcg: Option<String>,
    /// The victim's group.
    pub task_memcg: Option<String>,
    /// The victim's anonymous memory in bytes.
    pub anon_rss: Option<u64>,
}

/// A kill by a daemon such as earlyoom or systemd-oomd, from its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UserspaceKill {
    /// The daemon.
    pub by: String,
    /// Its message.
    pub message: String,
}

use crate::tested::TestEvidence;
use drydock_config::jobs::Expected;
use drydock_valgrind::dhat::AllocationProfile;
pub use drydock_valgrind::finding::Finding;
pub use drydock_valgrind::findings::ValgrindEvidence;
use drydock_valgrind::tool::Tool;

/// A process that the job left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Leftover {
    /// Its pid.
    pub pid: u32,
    /// Its command line, shortened.
    pub command: String,
}

/// Memory of the machine shortly before the death.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostMemory {
    /// Lowest `MemAvailable` of the last samples, in bytes.
    pub available: Option<u64>,
    /// `MemTotal` in bytes.
    pub total: Option<u64>,
    /// PSI `some avg10` of `/proc/pressure/memory`, in percent.
    pub pressure: Option<f64>,
}

/// What became of a Drydock that left no end of its run, as far as a later one can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum SupervisorLoss {
    /// The machine was restarted since: the kernel's identifier of the boot is another.
    Restarted,
    /// The kernel killed every process of a cgroup that it was in.
    GroupKilled {
        /// The cgroup's directory.
        group: String,
        /// The number of times since the start of the run.
        kills: u64,
    },
    /// A daemon killed the cgroup that it was in.
    Userspace(UserspaceKill),
    /// Its machine was lost: another one reads what had arrived from it.
    Machine {
        /// The moment of the last event that arrived, in Unix milliseconds.
        heard: i64,
    },
    /// Nothing proves what happened.
    Unknown {
        /// The rise of the machine's count of out-of-memory kills since the start of the run.
        kills: u64,
        /// A cgroup around it whose processes the kernel kills together.
        group: Option<String>,
    },
}

/// How the machine slowed a job down for its use of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Slowdown {
    /// The cgroup whose `memory.high` was exceeded while the job ran; the one that was exceeded most often.
    pub throttled: Option<Throttled>,
    /// Milliseconds for which all of its processes waited for memory: PSI `full` of its own cgroup.
    pub stalled_ms: Option<u64>,
    /// The most bytes of its memory that any sample saw swapped out.
    pub swapped: u64,
}

/// A cgroup whose processes were throttled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Throttled {
    /// Its directory.
    pub group: String,
    /// `memory.high` in bytes.
    pub high: u64,
    /// The number of times that its processes were throttled: the rise of `high` in `memory.events`.
    pub events: u64,
}

/// The memory of one job at the moment of the death.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Neighbour {
    /// The job.
    pub job: String,
    /// Bytes: the last sample, or for a job that was killed in that moment the most that it had.
    pub bytes: u64,
    /// Bytes that were reserved for it.
    #[serde(default)]
    pub reserved: u64,
    /// `true` if it is the job that this evidence is of.
    #[serde(default)]
    pub own: bool,
}

impl Neighbour {
    /// Bytes beyond its reservation.
    pub fn excess(&self) -> u64 {
        self.bytes.saturating_sub(self.reserved)
    }
}

/// Everything observed about one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The end of the main process.
    pub end: End,
    /// The exit code that counts as success.
    pub expect_exit: i32,
    /// The duration of the attempt, in milliseconds.
    pub duration_ms: u64,
    /// The declared time limit in milliseconds.
    pub timeout_ms: u64,
    /// The kill by Drydock, if any.
    pub intent: Option<KillIntent>,
    /// The job's own group.
    pub group: Reading<GroupCounters>,
    /// The machine's counter.
    pub host: Reading<HostCounters>,
    /// Kernel log records that name this job's group or pids.
    pub kernel: Reading<Vec<KernelKill>>,
    /// Journals of userspace killers that name this job's pids.
    pub userspace: Reading<Vec<UserspaceKill>>,
    /// The main process's pid.
    pub pid: Option<u32>,
    /// Other jobs that died by SIGKILL in the same seconds without a kill by Drydock.
    pub killed_peers: u32,
    /// The main process's address-space limit in bytes, when it had one at its end (`/proc/PID/limits`).
    pub address_space: Option<u64>,
    /// The limit of the main process's processor time in seconds, beyond which the kernel kills it, when it had reached that.
    #[serde(default)]
    pub cpu_limit: Option<u64>,
    /// Valgrind's files, for jobs under memcheck, helgrind or drd.
    pub valgrind: Option<Box<ValgrindEvidence>>,
    /// What was seen of the processes of a suite that starts valgrind itself.
    #[serde(default)]
    pub suite: Option<Box<SuiteEvidence>>,
    /// What its output and its rules say about its tests.
    #[serde(default)]
    pub test: Option<Box<TestEvidence>>,
    /// Massif's files.
    pub heap: Option<Box<HeapEvidence>>,
    /// Dhat's files.
    #[serde(default)]
    pub allocations: Option<Box<AllocationProfile>>,
    /// The profiler that the job ran under, which must leave a file.
    #[serde(default)]
    pub profile_expected: Option<Tool>,
    /// Processes that left the profiler no file: they became programs that it does not measure, or were killed.
    #[serde(default)]
    pub unmeasured: u64,
    /// The program that the job's command only runs others with, such as a shell, where a profiler measures only that one.
    #[serde(default)]
    pub measured_launcher: Option<String>,
    /// Processes left behind and killed.
    pub leftovers: Vec<Leftover>,
    /// The machine's memory shortly before the end.
    pub memory: HostMemory,
    /// All running jobs' memory at the last sample, largest first.
    pub neighbours: Vec<Neighbour>,
    /// The number of the job's processes that were stopped (state T) when its time was up.
    pub stopped: u32,
    /// The most informative line of the log, shown to a person and used to tell causes apart.
    pub words: Option<String>,
    /// Lines of the log that support a verdict but never decide it.
    pub hints: Vec<String>,
    /// Lines of the log about a failed allocation.
    pub allocation_lines: Vec<String>,
    /// A directory on a disk that was full when it ended: the state directory, or another that the job needs if its log
    /// says so.
    pub disk_full: Option<String>,
    /// `true` if the job's log could not be written to its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log_unwritten: bool,
    /// For a lost attempt: its last memory samples in bytes, oldest first.
    pub last_samples: Vec<u64>,
    /// For a lost attempt: what became of the Drydock that ran it.
    #[serde(default)]
    pub supervisor: Option<SupervisorLoss>,
    /// How the machine slowed it down, if its time was up.
    #[serde(default)]
    pub slowdown: Slowdown,
}

impl Evidence {
    /// `true` if an exit code is the one that the job must have.
    pub fn expects(&self, code: i32) -> bool {
        let succeeded = |test: &TestEvidence| match (&test.failed, &test.passed) {
            (Some(_), _) => false,
            (None, Some(_)) => true,
            (None, None) => code == self.expect_exit,
        };
        match &self.test {
            Some(test) if test.broken.is_some() => false,
            Some(test) if test.expected == Expected::Success => succeeded(test),
            Some(test) => !succeeded(test),
            None => code == self.expect_exit,
        }
    }

    /// `true` if the last samples show memory growing fast and far.
    pub fn memory_was_rising(&self) -> bool {
        match self.last_samples.as_slice() {
            [first, .., last] => *last > first.saturating_mul(2) && *last > 256 << 20,
            [] | [_] => false,
        }
    }

    /// Evidence of a process that ended like this, with every other source absent.
    pub fn new(end: End) -> Evidence {
        Evidence {
            end,
            expect_exit: 0,
            duration_ms: 0,
            timeout_ms: 0,
            intent: None,
            group: Reading::Absent,
            host: Reading::Absent,
            kernel: Reading::Absent,
            userspace: Reading::Absent,
            pid: None,
            killed_peers: 0,
            address_space: None,
            cpu_limit: None,
            valgrind: None,
            suite: None,
            test: None,
            heap: None,
            allocations: None,
            profile_expected: None,
            unmeasured: 0,
            measured_launcher: None,
            leftovers: Vec::new(),
            memory: HostMemory::default(),
            neighbours: Vec::new(),
            stopped: 0,
            words: None,
            hints: Vec::new(),
            allocation_lines: Vec::new(),
            disk_full: None,
            log_unwritten: false,
            last_samples: Vec::new(),
            supervisor: None,
            slowdown: Slowdown::default(),
        }
    }
}
