//! The rules about memory: the victim of a kill, the exhausted limit, and the confidence.

use std::time::Duration;

use super::end::{end_in_words, main_was_sigkilled};
use super::{MemoryScope, Outcome, Verdict, Victim, signals};
use crate::evidence::{End, Evidence, GroupCounters, HostCounters, Neighbour, Reading};
use drydock_base::units::{self, ByteSize};

/// Rules 2, 3 and 6 of the evidence's order: counters and records that name this job.
pub(super) fn out_of_memory_proved(evidence: &Evidence) -> Option<Verdict> {
    if let Some(counters) = evidence.group.get().filter(|counters| counters.oom_kill > 0) {
        return Some(from_group(evidence, counters));
    }
    if let Some(kill) = evidence.kernel.get().and_then(|kills| kills.first()) {
        let main = evidence.pid == Some(kill.pid) || main_was_sigkilled(evidence);
        let scope = match (&kill.constraint, &kill.oom_memcg, &kill.task_memcg) {
            (Some(constraint), Some(limited), Some(task)) if constraint == "CONSTRAINT_MEMCG" && limited == task => {
                if evidence.group.get().is_some() {
                    MemoryScope::OwnLimit
                } else {
                    MemoryScope::Machine
                }
            }
            _ => MemoryScope::Machine,
        };
        let outcome = Outcome::OutOfMemory { scope, victim: if main { Victim::Main } else { Victim::Descendant } };
        let size = kill.anon_rss.map_or_else(String::new, |bytes| format!(" with {} of memory", ByteSize::new(bytes)));
        return Some(more_memory(
            Verdict::new(
                outcome,
                0.98,
                format!(
                    "the kernel log says that it killed pid {} ({}){size}, a process of this job",
                    kill.pid, kill.comm
                ),
            ),
            scope,
        ));
    }
    if let Some(kill) = evidence.userspace.get().and_then(|kills| kills.first()) {
        // Such daemons send SIGTERM first.
        let main = matches!(evidence.end, End::Signaled { signal: signals::KILL | signals::TERM, .. });
        let victim = if main { Victim::Main } else { Victim::Descendant };
        return Some(more_memory(
            Verdict::new(
                Outcome::OutOfMemory { scope: MemoryScope::Userspace, victim },
                0.95,
                format!("{} says: {}", kill.by, kill.message),
            ),
            MemoryScope::Userspace,
        ));
    }
    None
}

fn from_group(evidence: &Evidence, counters: &GroupCounters) -> Verdict {
    let victim = if main_was_sigkilled(evidence) { Victim::Main } else { Victim::Descendant };
    // The kernel log names the group whose limit it was; without it, the group's own count of hits must do.
    let named = evidence.kernel.get().and_then(|kills| {
        let kill = kills.first()?;
        Some(kill.oom_memcg.as_ref()? == kill.task_memcg.as_ref()?)
    });
    let own = counters.limit.is_some() && named.unwrap_or(counters.limit_hits > 0);
    let scope = if own { MemoryScope::OwnLimit } else { MemoryScope::Machine };
    let plural = if counters.oom_kill == 1 { "process" } else { "processes" };
    let mut verdict = Verdict::new(
        Outcome::OutOfMemory { scope, victim },
        0.99,
        format!("the job's own cgroup counts {} {plural} killed by the out-of-memory killer", counters.oom_kill),
    );
    verdict = match victim {
        Victim::Main => verdict.and(format!("the main process {}", end_in_words(&evidence.end))),
        Victim::Descendant => verdict
            .and(format!("the main process {}, so the victim was one of its descendants", end_in_words(&evidence.end))),
    };
    if let (MemoryScope::OwnLimit, Some(limit)) = (scope, counters.limit) {
        verdict = verdict.and(format!("the cgroup reached its own limit of {}", ByteSize::new(limit)));
    }
    if let Some(kill) = evidence.kernel.get().and_then(|kills| kills.first()) {
        verdict = verdict.and(format!("the kernel log agrees: it killed pid {} ({})", kill.pid, kill.comm));
        if let (MemoryScope::Machine, Some(group)) = (scope, &kill.oom_memcg) {
            verdict = verdict.and(format!("the exhausted limit is that of the cgroup {group}"));
        }
    }
    more_memory(verdict, scope)
}

/// The number of jobs that are named with their memory.
const MOST_NAMED: usize = 6;

/// The memory of each job when the machine's memory ran out, and the job that exceeded its reservation most: the
/// instigator, which
/// need not be the victim.
pub(super) fn who_had_how_much(evidence: &Evidence, scope: MemoryScope) -> Vec<String> {
    let jobs = &evidence.neighbours;
    match scope {
        MemoryScope::OwnLimit => return Vec::new(),
        MemoryScope::Machine | MemoryScope::Userspace | MemoryScope::Unknown => {}
    }
    let Some(first) = jobs.iter().max_by_key(|job| job.excess()) else { return Vec::new() };
    let size = |job: &Neighbour| {
        format!("{} {} of {} reserved", job.job, ByteSize::new(job.bytes), ByteSize::new(job.reserved))
    };
    let named: Vec<String> = jobs.iter().take(MOST_NAMED).map(size).collect();
    let more = jobs.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(", and {more} more jobs") } else { String::new() };
    let instigator = match (first.excess(), first.own) {
        (0, _) => {
            "no job exceeded its reservation: other programs took the memory, or more was reserved than there is".into()
        }
        (excess, true) => {
            format!("this job is the instigator: it exceeded its reservation by {}", ByteSize::new(excess))
        }
        (excess, false) => format!(
            "the instigator is {}, which exceeded its reservation by {}; this job is the victim",
            first.job,
            ByteSize::new(excess)
        ),
    };
    vec![format!("memory at that moment: {}{more}", named.join(", ")), instigator]
}

/// The least share of its time for which a job that was slowed down waits for memory.
const WORTH_SAYING: u64 = 10;
/// The least memory that is worth mentioning when it was swapped out.
const MUCH_SWAP: u64 = 16 << 20;

/// Adds to the verdict about a timeout that the machine slowed the job down for its use of memory.
pub(super) fn slowed_down(evidence: &Evidence, mut verdict: Verdict) -> Verdict {
    let slowdown = &evidence.slowdown;
    let stalled = slowdown.stalled_ms.filter(|ms| *ms > evidence.duration_ms / WORTH_SAYING);
    if let Some(throttled) = &slowdown.throttled {
        verdict = verdict
            .and(format!(
                "the kernel throttled it {} times: the cgroup {} used more than its `memory.high` of {}",
                throttled.events,
                throttled.group,
                ByteSize::new(throttled.high)
            ))
            .advise(format!(
                "raise `memory.high` of {}, or lower --memory so that fewer jobs share it; a longer `timeout` only \
                 makes it wait longer",
                throttled.group
            ));
    } else if slowdown.swapped > MUCH_SWAP {
        verdict = verdict.advise(
            "raise the job's `memory` so that it is admitted only when it fits, or lower --memory: what is swapped out \
             runs many times slower",
        );
    }
    if slowdown.swapped > MUCH_SWAP {
        verdict = verdict.and(format!("up to {} of its memory was swapped out", ByteSize::new(slowdown.swapped)));
    }
    if let Some(ms) = stalled {
        verdict = verdict.and(format!(
            "all of its processes waited for memory for {} of the {} that it ran",
            units::human(Duration::from_millis(ms)),
            units::human(Duration::from_millis(evidence.duration_ms))
        ));
    }
    verdict
}

pub(super) fn more_memory(verdict: Verdict, scope: MemoryScope) -> Verdict {
    match scope {
        MemoryScope::OwnLimit => {
            verdict.advise("raise the job's `memory-limit`, or find the spike with `tool: massif`")
        }
        MemoryScope::Machine | MemoryScope::Unknown => verdict.advise(
            "raise the job's `memory` so that it is admitted only when it fits, lower `--memory`, or find the spike \
             with `tool: massif`; fewer jobs at a time (`-j`) only mask it",
        ),
        MemoryScope::Userspace => verdict.advise(
            "raise the job's `memory` so that it is admitted only when it fits, or exclude the tests from the daemon",
        ),
    }
}

/// Rules 4, 5 and 8: the only evidence is the machine's counters, or memory pressure.
pub(super) fn out_of_memory_likely(evidence: &Evidence) -> Option<Verdict> {
    if evidence.group.get().is_some() {
        return None; // The job's own group was read and counts no victim.
    }
    let whole_log = evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.main_complete == Some(true));
    if whole_log && main_was_sigkilled(evidence) {
        return None; // It killed itself: a kill from outside leaves no complete log.
    }
    match &evidence.host {
        Reading::Read(host) => from_host(evidence, host),
        Reading::Unreadable(_) | Reading::Absent => from_pressure(evidence),
    }
}

fn from_host(evidence: &Evidence, host: &HostCounters) -> Option<Verdict> {
    let kills = host.unexplained();
    if kills == 0 {
        return None;
    }
    let risen =
        format!("the machine's count of out-of-memory kills rose by {kills} while it ran (/proc/vmstat oom_kill)");
    let outcome = |victim| Outcome::OutOfMemory { scope: MemoryScope::Machine, victim };
    if main_was_sigkilled(evidence) && host.around_death > 0 {
        let verdict = if evidence.killed_peers == 0 {
            Verdict::new(outcome(Victim::Main), 0.9, risen)
                .and("it is the only job that died of SIGKILL at that moment")
        } else {
            Verdict::new(outcome(Victim::Main), 0.6, risen).and(format!(
                "{} other jobs died of SIGKILL in the same seconds, so one of them may be the victim instead",
                evidence.killed_peers
            ))
        };
        return Some(more_memory(verdict, MemoryScope::Machine));
    }
    let failed = match evidence.end {
        End::Exited { code } => !evidence.expects(code),
        End::Signaled { .. } | End::NotStarted { .. } | End::NoRecord => false,
    };
    if failed && host.around_death > 0 {
        let relayed = matches!(evidence.end, End::Exited { code: 137 }) || !evidence.hints.is_empty();
        return Some(more_memory(
            Verdict::new(outcome(Victim::Descendant), if relayed { 0.7 } else { 0.5 }, risen).and(format!(
                "the main process {} in the same seconds: a descendant was probably killed",
                end_in_words(&evidence.end)
            )),
            MemoryScope::Machine,
        ));
    }
    None
}

fn from_pressure(evidence: &Evidence) -> Option<Verdict> {
    if !main_was_sigkilled(evidence) {
        return None;
    }
    let low = match (evidence.memory.available, evidence.memory.total) {
        (Some(available), Some(total)) => available < total / 20,
        (Some(available), None) => available < 256 << 20,
        (None, _) => false,
    };
    let pressed = evidence.memory.pressure.is_some_and(|pressure| pressure > 20.0);
    if !low && !pressed {
        return None;
    }
    let available =
        evidence.memory.available.map_or_else(|| "unknown".into(), |bytes| ByteSize::new(bytes).to_string());
    Some(more_memory(
        Verdict::new(
            Outcome::OutOfMemory { scope: MemoryScope::Unknown, victim: Victim::Main },
            0.6,
            "it died of SIGKILL and no counter of out-of-memory kills could be read",
        )
        .and(format!("the machine was short of memory just before: {available} available")),
        MemoryScope::Unknown,
    ))
}
