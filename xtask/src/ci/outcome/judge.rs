//! From evidence to verdict: a pure function, in the order in which the rules decide.

use super::{MemoryScope, Outcome, Verdict, Victim, signal_name, signals};
use crate::ci::evidence::{End, Evidence, Finding, GroupCounters, HostCounters, KillReason, Reading};
use crate::config::units::{self, ByteSize};

/// Judges an attempt. The first rule that applies decides; the others add what supports or rules out.
pub fn judge(evidence: &Evidence) -> Verdict {
    let rules: [fn(&Evidence) -> Option<Verdict>; 8] = [
        never_ran,
        out_of_memory_proved,
        ended_by_us,
        out_of_memory_likely,
        allocation_failed,
        killed_by_signal,
        ended_by_itself,
        checked_and_passed,
    ];
    let mut verdict = rules
        .iter()
        .find_map(|rule| rule(evidence))
        .unwrap_or_else(|| Verdict::new(Outcome::Lost, 0.5, "no rule explains what was observed"));
    rule_out(evidence, &mut verdict);
    support(evidence, &mut verdict);
    verdict
}

fn never_ran(evidence: &Evidence) -> Option<Verdict> {
    match &evidence.end {
        End::NotStarted { error } => Some(
            Verdict::new(
                Outcome::FailedToStart { error: error.clone() },
                0.99,
                format!("the system refused to start the command: {error}"),
            )
            .advise("check the first element of `run`, its folder, and that `needs` builds it"),
        ),
        End::NoRecord => {
            let verdict = Verdict::new(Outcome::Lost, 0.9, "the journal records a start but no end of this attempt");
            Some(if evidence.memory_was_rising() {
                let last = evidence.last_samples.last().copied().unwrap_or_default();
                verdict.and(format!(
                    "its memory was rising, {} at the last sample: exhausted memory is a likely cause (0.5)",
                    ByteSize::new(last)
                ))
            } else {
                verdict
            })
        }
        End::Exited { .. } | End::Signaled { .. } => None,
    }
}

/// Rules 2, 3 and 6 of the evidence's order: counters and records that name this job.
fn out_of_memory_proved(evidence: &Evidence) -> Option<Verdict> {
    if let Some(counters) = evidence.group.get().filter(|counters| counters.oom_kill > 0) {
        return Some(from_group(evidence, counters));
    }
    if let Some(kill) = evidence.kernel.get().and_then(|kills| kills.first()) {
        let main = evidence.pid == Some(kill.pid) || main_was_killed(evidence);
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
        let victim = if main_was_killed(evidence) { Victim::Main } else { Victim::Descendant };
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
    let victim = if main_was_killed(evidence) { Victim::Main } else { Victim::Descendant };
    let scope = match (counters.limit, counters.limit_hits) {
        (Some(_), hits) if hits > 0 => MemoryScope::OwnLimit,
        (None | Some(_), _) => MemoryScope::Machine,
    };
    let plural = if counters.oom_kill == 1 { "process" } else { "processes" };
    let mut verdict = Verdict::new(
        Outcome::OutOfMemory { scope, victim },
        0.99,
        format!("the job's own memory group counts {} {plural} killed by the out-of-memory killer", counters.oom_kill),
    );
    verdict = match victim {
        Victim::Main => verdict.and(format!("the main process {}", end_in_words(&evidence.end))),
        Victim::Descendant => verdict
            .and(format!("the main process {}, so the victim was one of its descendants", end_in_words(&evidence.end))),
    };
    if let (MemoryScope::OwnLimit, Some(limit)) = (scope, counters.limit) {
        verdict = verdict.and(format!("the group reached its own limit of {}", ByteSize::new(limit)));
    }
    if let Some(kill) = evidence.kernel.get().and_then(|kills| kills.first()) {
        verdict = verdict.and(format!("the kernel log agrees: it killed pid {} ({})", kill.pid, kill.comm));
    }
    more_memory(verdict, scope)
}

fn more_memory(verdict: Verdict, scope: MemoryScope) -> Verdict {
    match scope {
        MemoryScope::OwnLimit => {
            verdict.advise("raise the job's `memory-limit`, or find the spike with `tool: massif`")
        }
        MemoryScope::Machine | MemoryScope::Unknown => verdict.advise(
            "raise the job's `memory` so that it is admitted only when it fits, lower `--memory`, or find the spike \
             with `tool: massif`; fewer jobs at a time (`-j`) only hides it",
        ),
        MemoryScope::Userspace => verdict.advise(
            "raise the job's `memory` so that it is admitted only when it fits, or exclude the tests from the daemon",
        ),
    }
}

/// Rule 1: what Drydock did itself.
fn ended_by_us(evidence: &Evidence) -> Option<Verdict> {
    let intent = evidence.intent.as_ref()?;
    let how = if intent.escalated { "it ignored SIGTERM, so SIGKILL followed" } else { "it ended on SIGTERM" };
    match intent.reason {
        KillReason::Timeout => {
            let limit = units::human(std::time::Duration::from_millis(evidence.timeout_ms));
            Some(
                Verdict::new(Outcome::TimedOut, 0.99, format!("it was still running after {limit}, its timeout"))
                    .and(format!(
                        "Drydock ended it: {how}{}",
                        match evidence.stopped {
                            0 => String::new(),
                            count =>
                                format!("; before, {} stopped (state T), waiting for SIGCONT", processes_were(count)),
                        }
                    ))
                    .advise("raise the job's `timeout`, or look at the end of its log for what it waits for"),
            )
        }
        KillReason::Cancel => {
            Some(Verdict::new(Outcome::Cancelled, 0.99, format!("the run was interrupted and Drydock ended it: {how}")))
        }
        KillReason::NoState => Some(
            Verdict::new(
                Outcome::Cancelled,
                0.99,
                format!("the state folder cannot be written and Drydock ended it: {how}"),
            )
            .advise("make the state folder writable again, with room on its disk, then go on with `ci --resume`"),
        ),
        KillReason::Leftover => None,
    }
}

/// Rules 4, 5 and 8: only the machine's counters, or only pressure, speak.
fn out_of_memory_likely(evidence: &Evidence) -> Option<Verdict> {
    if evidence.group.get().is_some() {
        return None; // The job's own group was read and counts no victim.
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
    if main_was_killed(evidence) && host.around_death > 0 {
        let verdict = if evidence.killed_peers == 0 {
            Verdict::new(outcome(Victim::Main), 0.9, risen)
                .and("it is the only job that died of SIGKILL at that moment")
        } else {
            let mut sizes: Vec<String> =
                evidence.neighbours.iter().map(|job| format!("{} {}", job.job, ByteSize::new(job.bytes))).collect();
            sizes.truncate(8);
            Verdict::new(outcome(Victim::Main), 0.6, risen)
                .and(format!(
                    "{} other jobs died of SIGKILL in the same seconds, so one of them may be the victim instead",
                    evidence.killed_peers
                ))
                .and(format!("memory at that moment: {}", sizes.join(", ")))
        };
        return Some(more_memory(verdict, MemoryScope::Machine));
    }
    let failed = match evidence.end {
        End::Exited { code } => code != evidence.expect_exit,
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
    if !main_was_killed(evidence) {
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

fn allocation_failed(evidence: &Evidence) -> Option<Verdict> {
    let limit = evidence.address_space;
    let line = evidence.allocation_lines.first()?;
    let failed = match evidence.end {
        End::Exited { code } => code != evidence.expect_exit,
        End::Signaled { signal, .. } => signal == signals::ABRT || signal == signals::SEGV,
        End::NotStarted { .. } | End::NoRecord => false,
    };
    let limit = limit.filter(|_| failed)?;
    Some(
        Verdict::new(Outcome::AllocationFailure, 0.9, format!("its log says: {line}"))
            .and(format!("its address space was limited to {} (RLIMIT_AS)", ByteSize::new(limit)))
            .and(format!("the main process {} by itself", end_in_words(&evidence.end)))
            .advise("raise the address-space limit (ulimit -v, prlimit --as); valgrind needs several times the memory"),
    )
}

fn killed_by_signal(evidence: &Evidence) -> Option<Verdict> {
    let End::Signaled { signal, core } = evidence.end else { return None };
    if signals::from_outside(signal) {
        let under_valgrind = evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.main_complete == Some(true));
        if signal == signals::KILL && under_valgrind {
            return Some(
                Verdict::new(
                    Outcome::Crashed { signal },
                    0.95,
                    "the wait status says that SIGKILL ended the main process",
                )
                .and("valgrind's log is complete, which a kill from outside never leaves: the program killed itself"),
            );
        }
        let counters = evidence.group.get().is_some() || evidence.host.get().is_some();
        let advice = "look for who sends it: the program itself, a test that kills by name, a supervisor above, or an \
                      administrator";
        let verdict = Verdict::new(
            Outcome::KilledFromOutside { signal },
            if counters { 0.95 } else { 0.6 },
            format!("the wait status says that {} ended the main process", signal_name(signal)),
        )
        .and("Drydock did not send it (its kills are journalled first); another process did, or the program itself");
        return Some(verdict.advise(advice));
    }
    let dumped = if core { ", a core was dumped" } else { "" };
    Some(
        Verdict::new(
            Outcome::Crashed { signal },
            0.98,
            format!("the wait status says that {} ended the main process{dumped}", signal_name(signal)),
        )
        .advise("the log's end and valgrind's stack show where"),
    )
}

fn ended_by_itself(evidence: &Evidence) -> Option<Verdict> {
    let End::Exited { code } = evidence.end else { return None };
    if code == evidence.expect_exit {
        return None;
    }
    let expected =
        if evidence.expect_exit == 0 { String::new() } else { format!(" (expected {})", evidence.expect_exit) };
    let mut verdict = Verdict::new(
        Outcome::Failed { code },
        0.98,
        format!("the main process ended by itself with exit code {code}{expected}"),
    );
    if code > 128 && code < 160 {
        verdict = verdict.and(format!(
            "{code} is an exit code and not a signal; mostly it is a shell's, whose child died of {}",
            signal_name(code - 128)
        ));
    }
    Some(verdict)
}

fn checked_and_passed(evidence: &Evidence) -> Option<Verdict> {
    let End::Exited { code } = evidence.end else { return None };
    if let Some(valgrind) = &evidence.valgrind {
        if valgrind.findings > 0 {
            let mut verdict = Verdict::new(
                Outcome::Findings { count: valgrind.findings },
                0.99,
                format!("the program ended as expected, but valgrind's logs hold {} errors", valgrind.findings),
            );
            verdict.reasons.extend(valgrind.first.iter().take(3).map(Finding::line));
            return Some(verdict);
        }
        if valgrind.complete == 0 || valgrind.main_complete.is_none() {
            return Some(
                Verdict::new(
                    Outcome::Failed { code },
                    0.9,
                    "the program ended as expected, but valgrind left no complete log",
                )
                .and(valgrind.incomplete.first().cloned().unwrap_or_else(|| "there is no log file at all".into()))
                .and("nothing was checked, so this is no pass")
                .advise("look at the log's end for valgrind's own message, and for a full disk"),
            );
        }
    }
    if let Some(heap) = &evidence.heap {
        if let Some(limit) = heap.limit.filter(|limit| heap.peak > *limit) {
            let mut verdict = Verdict::new(
                Outcome::OverBudget { limit, used: heap.peak },
                0.99,
                format!("massif measured a peak of {} of heap; the limit is {limit}", heap.peak),
            );
            verdict.reasons.extend(heap.largest_site.iter().map(|site| format!("at the peak, most is held by {site}")));
            return Some(verdict.advise("look at the massif file of the attempt with ms_print"));
        }
    }
    Some(Verdict::new(Outcome::Passed, 0.99, format!("the main process ended with exit code {code}, as expected")))
}

/// Says what the counters rule out, for every verdict about a death.
fn rule_out(evidence: &Evidence, verdict: &mut Verdict) {
    match verdict.outcome {
        Outcome::Passed | Outcome::FailedToStart { .. } | Outcome::Lost | Outcome::OutOfMemory { .. } => return,
        Outcome::Failed { .. }
        | Outcome::Findings { .. }
        | Outcome::Crashed { .. }
        | Outcome::AllocationFailure
        | Outcome::TimedOut
        | Outcome::KilledFromOutside { .. }
        | Outcome::OverBudget { .. }
        | Outcome::Cancelled => {}
    }
    match &evidence.group {
        Reading::Read(_) => {
            verdict.ruled_out.push("not out of memory: its memory group counts no victim (oom_kill 0)".into())
        }
        Reading::Unreadable(why) => verdict.ruled_out.push(format!("its memory group could not be read ({why})")),
        Reading::Absent => {}
    }
    match &evidence.host {
        Reading::Read(host) if host.after == host.before => verdict.ruled_out.push(
            "not out of memory: the machine's count of out-of-memory kills did not rise while it ran (/proc/vmstat)"
                .into(),
        ),
        Reading::Read(host) if host.unexplained() == 0 => verdict.ruled_out.push(format!(
            "not out of memory: all {} out-of-memory kills while it ran hit other processes",
            host.after - host.before
        )),
        Reading::Read(_) => {}
        Reading::Unreadable(why) => verdict.ruled_out.push(format!("/proc/vmstat could not be read ({why})")),
        Reading::Absent => {}
    }
    if evidence.intent.is_none() {
        verdict.ruled_out.push("not a timeout: Drydock sent it no signal".into());
    }
}

/// Adds what supports without deciding.
fn support(evidence: &Evidence, verdict: &mut Verdict) {
    if let Some(valgrind) = &evidence.valgrind {
        verdict.reasons.extend(valgrind.incomplete.iter().take(5).map(|why| format!("not wholly checked: {why}")));
    }
    if verdict.outcome.is_pass() {
        return;
    }
    if let Some(valgrind) = evidence.valgrind.as_ref().filter(|_| !matches!(verdict.outcome, Outcome::Findings { .. }))
    {
        if !valgrind.main_crash.is_empty() {
            verdict.reasons.push(format!(
                "valgrind saw it at {}",
                valgrind.main_crash.iter().take(4).cloned().collect::<Vec<_>>().join(" ← ")
            ));
        }
        verdict
            .reasons
            .extend(valgrind.first.iter().take(3).map(|finding| format!("valgrind also found {}", finding.line())));
    }
    if let Some(hint) = evidence.hints.first() {
        verdict.reasons.push(format!("its log says (which supports, but never decides): {hint}"));
    }
    if evidence.disk_full {
        verdict.reasons.push("the disk that holds the state was full when it ended".into());
    }
}

fn main_was_killed(evidence: &Evidence) -> bool {
    matches!(evidence.end, End::Signaled { signal, .. } if signal == signals::KILL || signal == signals::TERM)
}

fn processes_were(count: u32) -> String {
    if count == 1 { "1 process was".into() } else { format!("{count} processes were") }
}

fn end_in_words(end: &End) -> String {
    match end {
        End::Exited { code } => format!("ended with exit code {code}"),
        End::Signaled { signal, .. } => format!("died of {}", signal_name(*signal)),
        End::NotStarted { .. } => "was never started".into(),
        End::NoRecord => "left no end record".into(),
    }
}
