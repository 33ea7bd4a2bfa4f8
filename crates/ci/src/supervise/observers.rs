//! The sources of evidence about the end of an attempt: counters, kernel log, other deaths, memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attempt::{Attempt, Baseline, Ended};
use super::suite::Suite;
use super::throttle::{self, Throttle};
use crate::containment::{self, OomdKill};
use crate::evidence::{End, Evidence, HostCounters, HostMemory, KernelKill, Neighbour, Reading, UserspaceKill};
use crate::heap;
use crate::log;
use crate::plan::Plan;
use crate::probe::host::{self, OomCounter};
use crate::probe::kmsg::KernelLog;
use crate::probe::userspace;
use crate::tested::TestEvidence;
use drydock_base::text;

/// Deaths this close together may have one cause.
const SAME_MOMENT: Duration = Duration::from_secs(2);
/// A state disk with less room than this counts as full.
const NO_ROOM: u64 = 128 << 10;
const SIGKILL: i32 = 9;
/// The number of jobs listed with their memory at a death.
const MOST_NEIGHBOURS: usize = 64;

/// Deaths by SIGKILL and proved out-of-memory kills of the recent past, over all jobs.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    killed: VecDeque<(Instant, usize)>,
    proved: VecDeque<(Instant, usize, u64)>,
    /// All jobs' memory when the machine's count of kills last rose.
    moment: Option<(Instant, Vec<(usize, Neighbour)>)>,
}

impl Deaths {
    /// Notes that a main process ended.
    pub(super) fn note(&mut self, job: usize, ended: &Ended, by_us: bool) {
        if !by_us && matches!(ended.end, End::Signaled { signal: SIGKILL, .. }) {
            self.killed.push_back((ended.at, job));
            if self.killed.len() > 10_000 {
                self.killed.pop_front();
            }
        }
    }

    /// Records the memory of every job. A process that was just killed has given its memory back: the peak of its
    /// cgroup is used instead.
    pub(super) fn snapshot(&mut self, now: Instant, running: &mut [Attempt], plan: &Plan) {
        let mut jobs = Vec::with_capacity(running.len());
        for attempt in running {
            let before = attempt.usage;
            attempt.sample();
            let counters = attempt.group.counters();
            let was_hit = attempt.end.is_some() || counters.get().is_some_and(|counters| counters.oom_kill > 0);
            let highest = counters.get().and_then(|counters| counters.peak);
            let most = if was_hit { attempt.group.peak(highest).unwrap_or(0).max(attempt.highest) } else { 0 };
            let bytes = most.max(before).max(attempt.usage);
            attempt.usage = attempt.usage.max(before);
            jobs.push((attempt.job, neighbour(attempt, plan, bytes)));
        }
        self.moment = Some((now, jobs));
    }

    /// The snapshot that was taken at that death, seen from the job.
    fn moment(&self, job: usize, death: Instant) -> Option<Vec<Neighbour>> {
        let (when, jobs) = self.moment.as_ref()?;
        let near = when.max(&death).duration_since(*when.min(&death)) <= SAME_MOMENT;
        let there = near && jobs.iter().any(|(other, _)| *other == job);
        there.then(|| {
            let seen = jobs.iter().map(|(other, neighbour)| Neighbour { own: *other == job, ..neighbour.clone() });
            largest_first(seen.collect())
        })
    }

    fn peers(&self, job: usize, at: Instant) -> u32 {
        let near = |when: &Instant| when.max(&at).duration_since(*when.min(&at)) <= SAME_MOMENT;
        let count = self.killed.iter().filter(|(when, other)| *other != job && near(when)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn prove(&mut self, job: usize, at: Instant, kills: u64) {
        if kills > 0 {
            self.proved.push_back((at, job, kills));
        }
    }

    fn proved_elsewhere(&self, job: usize, since: Instant) -> u64 {
        self.proved.iter().filter(|(when, other, _)| *other != job && *when >= since).map(|(_, _, kills)| kills).sum()
    }
}

/// The machine's memory over the last seconds.
#[derive(Debug, Default)]
pub(super) struct MemoryWatch {
    recent: VecDeque<u64>,
    total: Option<u64>,
    pressure: Option<f64>,
}

impl MemoryWatch {
    pub(super) fn sample(&mut self) {
        let memory = host::meminfo();
        self.total = memory.total;
        self.recent.extend(memory.available);
        if self.recent.len() > 10 {
            self.recent.pop_front();
        }
        self.pressure = host::memory_pressure();
    }

    pub(super) fn available(&self) -> Option<u64> {
        self.recent.back().copied()
    }

    fn lowest(&self) -> HostMemory {
        HostMemory { available: self.recent.iter().min().copied(), total: self.total, pressure: self.pressure }
    }
}

/// All sources of evidence of a run.
pub(super) struct Observers<'a> {
    plan: &'a Plan,
    /// The run's directory, for the room on its disk.
    state: &'a Path,
    oom: OomCounter,
    kernel: KernelLog,
    deaths: Deaths,
    memory: MemoryWatch,
    throttles: Vec<Throttle>,
}

impl<'a> Observers<'a> {
    /// Opens the sources that this machine has.
    pub(super) fn new(plan: &'a Plan, state: &'a Path) -> Observers<'a> {
        let (oom, kernel) = (OomCounter::open(), KernelLog::open());
        let (deaths, memory, throttles) = (Deaths::default(), MemoryWatch::default(), Throttle::all());
        Observers { plan, state, oom, kernel, deaths, memory, throttles }
    }

    /// The counters before an attempt starts.
    pub(super) fn baseline(&mut self) -> Baseline {
        let throttled = self.throttles.iter().map(|throttle| throttle.count()).collect();
        Baseline { host: self.oom.value().get().copied(), kernel: self.kernel.seen(), throttled }
    }

    /// Takes note of an attempt whose main process just ended.
    pub(super) fn note_end(&mut self, attempt: &Attempt) {
        if let Some(ended) = &attempt.end {
            self.deaths.note(attempt.job, ended, attempt.intent.is_some());
        }
    }

    /// Reads the machine's count of out-of-memory kills; when it rose, records how much memory every job had.
    pub(super) fn watch_oom(&mut self, now: Instant, running: &mut [Attempt]) {
        if self.oom.update(now) {
            self.deaths.snapshot(now, running, self.plan);
        }
    }

    /// Samples the machine's memory; returns `MemAvailable` in bytes.
    pub(super) fn sample(&mut self) -> Option<u64> {
        self.memory.sample();
        self.memory.available()
    }

    /// The evidence about an ended attempt. Sources that cost time are read only if it did not end as expected.
    pub(super) fn evidence(&mut self, attempt: &mut Attempt, others: &[Attempt]) -> Evidence {
        let valgrind = attempt.logs.take().map(|logs| logs.evidence(attempt.pid));
        let mut suite = attempt.suite.as_ref().map(Suite::evidence);
        if let (Some(suite), Some(valgrind)) = (&mut suite, &valgrind) {
            suite.leave_out(&valgrind.destroyed);
            suite.unlogged.extend(valgrind.silenced.iter().cloned());
        }
        let attempt = &*attempt;
        let job = &self.plan.jobs[attempt.job];
        let ended = attempt.end.as_ref();
        let end = ended.map_or(End::NoRecord, |ended| ended.end.clone());
        let died_at = ended.map_or_else(Instant::now, |ended| ended.at);
        let unix = ended.map_or(attempt.began_at, |ended| ended.unix);
        let mut evidence = Evidence {
            expect_exit: job.expect_exit,
            duration_ms: u64::try_from(unix - attempt.began_at).unwrap_or_default(),
            timeout_ms: u64::try_from(job.timeout.as_millis()).unwrap_or(u64::MAX),
            intent: attempt.intent.clone(),
            group: attempt.group.counters(),
            pid: Some(attempt.pid),
            leftovers: attempt.leftovers.clone(),
            stopped: attempt.stopped,
            valgrind: valgrind.map(Box::new),
            suite: suite.map(Box::new),
            ..Evidence::new(end)
        };
        let code = if let End::Exited { code } = evidence.end { Some(code) } else { None };
        let log = attempt.directory.join("log");
        evidence.test = TestEvidence::read(&job.rules, code, job.expect_exit, &log).map(Box::new);
        let as_expected = code.is_some_and(|code| evidence.expects(code));
        if job.tool.kind.profiles() {
            evidence.profile_expected = Some(job.tool.kind);
            evidence.measured_launcher = heap::measured_launcher(job, &self.plan.project);
            if let Err(error) = heap::gather(&mut evidence, &attempt.directory, &job.tool, &self.plan.project) {
                evidence.hints.push(format!("cannot read the files of {}: {error}", job.tool.kind.name()));
            }
        }
        let group_victims = evidence.group.get().map_or(0, |group| group.oom_kill);
        self.deaths.prove(attempt.job, died_at, group_victims);
        evidence.host = self.host_counters(attempt, died_at);
        let unchecked = evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.main_complete != Some(true))
            || evidence.profile_expected.is_some() && evidence.heap.is_none() && evidence.allocations.is_none();
        if !as_expected || unchecked || attempt.unwritten {
            evidence.disk_full = self.full_disk(attempt);
            evidence.log_unwritten = attempt.unwritten;
        }
        let killed_by_oomd = attempt.group.killed_by_oomd();
        if as_expected && group_victims == 0 && killed_by_oomd.is_none() {
            return evidence;
        }
        evidence.kernel = kernel_kills(attempt, others, &mut self.kernel, &mut evidence.host);
        if group_victims == 0 {
            let kills = evidence.kernel.get().map_or(0, |kills| kills.len() as u64);
            self.deaths.prove(attempt.job, died_at, kills);
        }
        if let Some(kill) = killed_by_oomd {
            evidence.userspace = Reading::Read(vec![noted_by_oomd(&kill)]);
        } else if attempt.intent.is_none() {
            // The victim may be a descendant, and the main process end by itself.
            evidence.userspace = userspace_kills(attempt);
        }
        if attempt.intent.is_some() {
            evidence.slowdown = throttle::slowdown(attempt, &self.throttles);
        }
        evidence.killed_peers = self.deaths.peers(attempt.job, died_at);
        evidence.address_space = ended.and_then(|ended| ended.address_space);
        evidence.cpu_limit = ended.and_then(|ended| ended.cpu_limit);
        evidence.memory = self.memory.lowest();
        let moment = self.deaths.moment(attempt.job, died_at);
        evidence.neighbours = moment.unwrap_or_else(|| neighbours(attempt, others, self.plan));
        // The last sample found it dead already, but the kernel told its highest use when it was reaped.
        let unseen = |neighbour: &&mut Neighbour| neighbour.own && neighbour.bytes == 0;
        evidence.neighbours.iter_mut().filter(unseen).for_each(|own| own.bytes = attempt.highest);
        let hints = log::hints(&attempt.directory.join("log"));
        evidence.hints.extend(hints.kills);
        evidence.allocation_lines = hints.allocations;
        evidence.words = hints.words;
        evidence.last_samples.clone_from(&attempt.recent);
        evidence
    }

    /// A directory that the attempt needed, on a full disk.
    fn full_disk(&self, attempt: &Attempt) -> Option<String> {
        if attempt.unwritten || is_full(self.state) {
            return Some(self.state.display().to_string());
        }
        let job = &self.plan.jobs[attempt.job];
        let (own, temporary) = (self.plan.project.join(&job.directory), job.env.get("TMPDIR").map(PathBuf::from));
        let others = [own, temporary.unwrap_or_else(std::env::temp_dir)];
        let full = others.iter().find(|directory| is_full(directory))?;
        log::hints(&attempt.directory.join("log")).disk_full.then(|| full.display().to_string())
    }

    fn host_counters(&self, attempt: &Attempt, died_at: Instant) -> Reading<HostCounters> {
        match (self.oom.value(), attempt.baseline.host) {
            (Reading::Read(after), Some(before)) => Reading::Read(HostCounters {
                before,
                after: *after,
                around_death: self.oom.around(died_at),
                explained_elsewhere: self.deaths.proved_elsewhere(attempt.job, attempt.began),
            }),
            (Reading::Read(_), None) => Reading::Unreadable("/proc/vmstat could not be read at the start".into()),
            (Reading::Unreadable(why), _) => Reading::Unreadable(why.clone()),
            (Reading::Absent, _) => Reading::Absent,
        }
    }
}

/// `true` if nothing can be written on the disk that holds the directory: no room, or no free inode.
fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|disk| {
        let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
        let read_only = disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
        let no_room = blocks.saturating_mul(disk.f_frsize) < NO_ROOM;
        !read_only && (no_room || disk.f_files > 0 && disk.f_ffree == 0)
    })
}

/// The kernel's records that name this attempt's group or pids. Those that name another attempt, or a group that is
/// neither Drydock's own nor a job's, explain a rise of the machine's counter.
fn kernel_kills(
    attempt: &Attempt,
    others: &[Attempt],
    kernel: &mut KernelLog,
    host: &mut Reading<HostCounters>,
) -> Reading<Vec<KernelKill>> {
    let same_pids = kernel.same_pids();
    let all = match kernel.kills() {
        Reading::Read(all) => all,
        Reading::Unreadable(why) => return Reading::Unreadable(why),
        Reading::Absent => return Reading::Absent,
    };
    let since = &all[attempt.baseline.kernel.min(all.len())..];
    let (mine, rest): (Vec<&KernelKill>, Vec<&KernelKill>) =
        since.iter().partition(|kill| names(kill, attempt, same_pids));
    let home = containment::own_cgroup();
    let is_elsewhere = |kill: &&&KernelKill| {
        others.iter().any(|other| names(kill, other, same_pids)) || KernelLog::is_foreign(kill, home.as_deref())
    };
    let elsewhere = rest.iter().filter(is_elsewhere).count() as u64;
    if let Reading::Read(host) = host {
        host.explained_elsewhere = host.explained_elsewhere.max(elsewhere);
    }
    Reading::Read(mine.into_iter().cloned().collect())
}

fn names(kill: &KernelKill, attempt: &Attempt, same_pids: bool) -> bool {
    match (attempt.group.cgroup(), &kill.task_memcg) {
        // In a container the kernel logs a longer path than `/proc/self/cgroup` has.
        (Some(own), Some(task)) => task.ends_with(own) || task.contains(&format!("{own}/")),
        (Some(_), None) | (None, _) => {
            same_pids && (attempt.pid == kill.pid || attempt.group.known_pids().contains(&kill.pid))
        }
    }
}

fn userspace_kills(attempt: &Attempt) -> Reading<Vec<UserspaceKill>> {
    let mut pids = attempt.group.known_pids().to_vec();
    pids.push(attempt.pid);
    userspace::kills(attempt.began_at / 1000, &pids, attempt.group.cgroup())
}

fn noted_by_oomd(kill: &OomdKill) -> UserspaceKill {
    let times = kill.times.filter(|times| *times > 1).map_or_else(String::new, |times| format!(", in {times} times"));
    let text = format!(
        "it noted on the cgroup {} that it killed {} of its processes{times} (user.oomd_kill)",
        kill.group.display(),
        kill.processes
    );
    UserspaceKill { by: userspace::OOMD.into(), message: text::printable(&text, 400) }
}

fn neighbours(attempt: &Attempt, others: &[Attempt], plan: &Plan) -> Vec<Neighbour> {
    let own = Neighbour { own: true, ..neighbour(attempt, plan, attempt.usage) };
    let others = others.iter().map(|other| neighbour(other, plan, other.usage));
    largest_first(std::iter::once(own).chain(others).collect())
}

fn neighbour(attempt: &Attempt, plan: &Plan, bytes: u64) -> Neighbour {
    let job = plan.jobs.get(attempt.job).map_or_else(String::new, |job| job.name.to_string());
    Neighbour { job, bytes, reserved: attempt.conditions.reservation, own: false }
}

fn largest_first(mut all: Vec<Neighbour>) -> Vec<Neighbour> {
    all.sort_by_key(|neighbour| std::cmp::Reverse(neighbour.bytes));
    all.truncate(MOST_NEIGHBOURS);
    all
}
