//! From evidence to verdict: a pure function, in the order in which the rules decide.

use super::end::{end_in_words, errors};
use super::heap;
use super::lost::{Lost, lost_with_drydock};
use super::memory::{out_of_memory_likely, out_of_memory_proved, slowed_down, who_had_how_much};
use super::{Outcome, Verdict, killed, signal_name, signals, suite, tested};
use crate::evidence::{End, Evidence, Finding, KillReason, Reading, ValgrindEvidence};
use crate::report::commands;
use drydock_base::units::{self, ByteSize};

/// Judges an attempt. The first rule that applies decides; the others add supporting and excluding observations.
pub fn judge(evidence: &Evidence) -> Verdict {
    let rules: [fn(&Evidence) -> Option<Verdict>; 14] = [
        never_ran,
        out_of_memory_proved,
        ended_by_us,
        out_of_memory_likely,
        disk_was_full,
        allocation_failed,
        tested::died_as_expected,
        killed::by_signal,
        valgrind_says_errors,
        suite::starts_valgrind,
        tested::skipped,
        tested::says_otherwise,
        ended_by_itself,
        checked_and_passed,
    ];
    let mut verdict = rules
        .iter()
        .find_map(|rule| rule(evidence))
        .unwrap_or_else(|| Verdict::new(Outcome::Lost, 0.5, "no rule explains what was observed"));
    if let Outcome::OutOfMemory { scope, .. } = verdict.outcome {
        verdict.reasons.extend(who_had_how_much(evidence, scope));
    }
    rule_out(evidence, &mut verdict);
    support(evidence, &mut verdict);
    verdict
}

fn never_ran(evidence: &Evidence) -> Option<Verdict> {
    match &evidence.end {
        End::NotStarted { error, unlisted } => {
            let why = if *unlisted { error.clone() } else { format!("the command could not be started: {error}") };
            let verdict = Verdict::new(Outcome::FailedToStart { error: error.clone() }, 0.99, why);
            Some(verdict.advise(if *unlisted {
                "call the command that lists the tests by hand, and let `after` name the jobs that build what it needs"
            } else {
                "check the first element of `run`, its directory, and that `needs` builds it"
            }))
        }
        // Drydock sent a kill, though its effect was not seen.
        End::NoRecord if evidence.intent.is_some() => None,
        End::NoRecord => {
            let verdict = match lost_with_drydock(evidence) {
                Lost::Proved(verdict) => return Some(verdict),
                Lost::Supported(verdict) => verdict,
            };
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

/// Rule 1: the kills by Drydock itself.
fn ended_by_us(evidence: &Evidence) -> Option<Verdict> {
    let intent = evidence.intent.as_ref()?;
    let how = if intent.escalated {
        "it had not ended soon enough after SIGTERM, so SIGKILL followed"
    } else {
        "it ended on SIGTERM"
    };
    match intent.reason {
        KillReason::Timeout => {
            let limit = units::human(std::time::Duration::from_millis(evidence.timeout_ms));
            let verdict =
                Verdict::new(Outcome::TimedOut, 0.99, format!("it was still running after {limit}, its timeout"))
                    .and(format!(
                        "Drydock ended it: {how}{}",
                        match evidence.stopped {
                            0 => String::new(),
                            count =>
                                format!("; before, {} stopped (state T), waiting for SIGCONT", processes_were(count)),
                        }
                    ))
                    .advise("raise the job's `timeout`, or look at the end of its log for what it waits for");
            Some(slowed_down(evidence, verdict))
        }
        KillReason::Cancel => {
            Some(Verdict::new(Outcome::Cancelled, 0.99, format!("the run was interrupted and Drydock ended it: {how}")))
        }
        KillReason::NoState => Some(
            Verdict::new(
                Outcome::Cancelled,
                0.99,
                format!("the run could not go on, as its last warning says, and Drydock ended it: {how}"),
            )
            .advise(format!(
                "do what that warning asks for, such as free disk space or a higher limit, then run `{}`",
                commands::resume().kept()
            )),
        ),
        KillReason::Leftover => None,
    }
}

/// A failure on a full disk says nothing about the job, unless valgrind found errors.
fn disk_was_full(evidence: &Evidence) -> Option<Verdict> {
    let place = evidence.disk_full.as_ref()?;
    let found = evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.findings > 0 || valgrind.unshown > 0)
        || valgrind_says_errors(evidence).is_some();
    let unchecked = || {
        let incomplete = evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.main_complete != Some(true));
        incomplete && evidence.suite.is_none()
            || evidence.profile_expected.is_some() && evidence.heap.is_none() && evidence.allocations.is_none()
    };
    let failed = match evidence.end {
        End::Exited { code } => !evidence.expects(code) || unchecked(),
        End::Signaled { signal, .. } => !signals::from_outside(signal),
        End::NotStarted { .. } | End::NoRecord => false,
    };
    (failed && !found).then(|| {
        let why = if evidence.log_unwritten {
            format!("its log in {place} could not be written to its end: the disk is full, or no file may be that long (`ulimit -f`)")
        } else {
            format!("the disk that holds {place} was full when it ended")
        };
        Verdict::new(Outcome::DiskFull, 0.8, why)
            .and(format!("the main process {}", end_in_words(&evidence.end)))
            .advise(format!("free disk space, then run `{}`, which repeats the job", commands::resume().kept()))
    })
}

fn allocation_failed(evidence: &Evidence) -> Option<Verdict> {
    let limit = evidence.address_space;
    let line = evidence.allocation_lines.first()?;
    let failed = match evidence.end {
        End::Exited { code } => !evidence.expects(code),
        End::Signaled { signal, .. } => signal == signals::ABRT || signal == signals::SEGV,
        End::NotStarted { .. } | End::NoRecord => false,
    };
    let limit = limit.filter(|_| failed)?;
    Some(
        Verdict::new(Outcome::AllocationFailure, 0.8, format!("its log says: {line}"))
            .and(format!("its address space was limited to {} (RLIMIT_AS)", ByteSize::new(limit)))
            .and(format!("the main process {} by itself", end_in_words(&evidence.end)))
            .advise("raise the address-space limit (ulimit -v, prlimit --as); valgrind needs several times the memory"),
    )
}

/// Valgrind replaces the program's own exit code where it was told to say so that there are errors.
fn valgrind_says_errors(evidence: &Evidence) -> Option<Verdict> {
    let End::Exited { code } = evidence.end else { return None };
    let valgrind = evidence.valgrind.as_ref().filter(|valgrind| valgrind.error_exit == Some(code))?;
    // Without a log, valgrind did not run. Where every error is in the log, a code without one is the program's own.
    if code == evidence.expect_exit
        || valgrind.main_complete.is_none()
        || valgrind.findings == 0 && valgrind.unshown == 0 && valgrind.shows_all
    {
        return None;
    }
    let mut verdict = Verdict::new(
        Outcome::Findings { count: valgrind.findings.max(1) },
        if valgrind.findings == 0 { 0.8 } else { 0.99 },
        format!("valgrind counted errors, and ended the program with exit code {code} to say so (--error-exitcode)"),
    );
    if valgrind.stopped {
        verdict = verdict.and("it ended the program at the first error (--exit-on-first-error)");
    } else {
        verdict = verdict.and("the program's own exit code is not known, since valgrind replaced it");
    }
    if valgrind.findings == 0 {
        verdict = verdict
            .and("no log shows these errors, so their number is not known; or the program itself chose this exit code")
            .advise("leave out `--xtree-leak=yes`, so that leaks are reported in the log");
    }
    verdict.reasons.extend(valgrind.first.iter().take(3).map(Finding::line));
    Some(verdict)
}

fn ended_by_itself(evidence: &Evidence) -> Option<Verdict> {
    let End::Exited { code } = evidence.end else { return None };
    if evidence.expects(code) {
        return None;
    }
    if let Some(verdict) = suite::found_errors(evidence, code) {
        return Some(verdict);
    }
    let expected =
        if evidence.expect_exit == 0 { String::new() } else { format!(" (expected {})", evidence.expect_exit) };
    let mut verdict = Verdict::new(
        Outcome::Failed { code },
        0.98,
        format!("the main process ended by itself with exit code {code}{expected}"),
    );
    verdict.reasons.extend(tested::failures(evidence));
    if code > 128 && code < 160 {
        verdict = verdict.and(format!(
            "{code} is an exit code and not a signal; mostly it is a shell's, whose child died of {}",
            signal_name(code - 128)
        ));
    }
    if evidence.valgrind.as_ref().is_some_and(|valgrind| !valgrind.refused.is_empty()) {
        verdict = verdict.advise(REFUSED_ADVICE);
    } else if let Some(advice) = suite::on_failure(evidence) {
        verdict = verdict.advise(advice);
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
                format!("the program ended as expected, but valgrind's logs hold {}", errors(valgrind.findings)),
            );
            verdict.reasons.extend(valgrind.first.iter().take(3).map(Finding::line));
            return Some(verdict);
        }
        if valgrind.unshown > 0 {
            return Some(
                Verdict::new(
                    Outcome::Findings { count: valgrind.unshown },
                    0.99,
                    format!("the program ended as expected, but valgrind counted {}", errors(valgrind.unshown)),
                )
                .and("its log shows none of them, only their number")
                .advise("check whether the program changes valgrind's options while it runs (VALGRIND_CLO_CHANGE)"),
            );
        }
        if let Some(verdict) = logs_are_unknown(valgrind, code) {
            return Some(verdict);
        }
        if let Some(verdict) = suite::gave_up(evidence, valgrind, code) {
            return Some(verdict);
        }
        if !valgrind.refused.is_empty() {
            let why = "the command ended as expected, but valgrind did not let all of its programs start";
            let verdict = Verdict::new(Outcome::Failed { code }, 0.9, why);
            return Some(
                verdict.and("what they would have done is not known, so this is not a pass").advise(REFUSED_ADVICE),
            );
        }
        if valgrind.main_complete != Some(true) && evidence.suite.is_none() {
            return Some(
                Verdict::new(
                    Outcome::Failed { code },
                    0.9,
                    "the program ended as expected, but valgrind left no complete log",
                )
                .and(valgrind.incomplete.first().cloned().unwrap_or_else(|| "no log file exists".into()))
                .and("nothing was checked, so this is not a pass")
                .advise("look at the log's end for valgrind's own message, and for a full disk"),
            );
        }
    }
    if let Some(verdict) = suite::not_checked(evidence, code) {
        return Some(verdict);
    }
    if let Some(tool) = evidence.profile_expected.filter(|_| evidence.heap.is_none() && evidence.allocations.is_none())
    {
        let name = tool.name();
        return Some(
            Verdict::new(
                Outcome::Failed { code },
                0.9,
                format!("the program ended as expected, but {name} left no file that can be read"),
            )
            .and("nothing was measured, so this is not a pass")
            .advise(if evidence.suite.is_some() {
                format!("check that the suite starts `valgrind --tool={name}`: valgrind takes the tool from its command line only")
            } else {
                format!(
                    "{name} writes its file when the program that it started ends; check whether the job execs another one"
                )
            }),
        );
    }
    if let Some(verdict) = heap::launcher_only(evidence, code) {
        return Some(verdict);
    }
    if let Some(verdict) = evidence.heap.as_ref().and_then(|heap| heap::over_budget(heap, code)) {
        return Some(verdict);
    }
    if let Some(verdict) = heap::missing_files(evidence, code) {
        return Some(verdict);
    }
    if let Some(verdict) = tested::nothing(evidence) {
        return Some(verdict);
    }
    let mut verdict =
        Verdict::new(Outcome::Passed, 0.99, format!("the main process ended with exit code {code}, as expected"));
    verdict.reasons.extend(tested::details(evidence));
    Some(verdict)
}

/// The remedy for a program that valgrind did not start.
const REFUSED_ADVICE: &str = "let the test run a copy of the program without these privileges (`cp` keeps none of them), or let it \
                              run without valgrind by `skip-children`";

/// The verdict on a command that ended as expected, with `code`, where a log of valgrind could not be kept or read.
fn logs_are_unknown(valgrind: &ValgrindEvidence, code: i32) -> Option<Verdict> {
    valgrind.unknown().next()?;
    let why = "the command ended as expected, but not all that valgrind wrote could be kept and read";
    let verdict = suite::listed(Verdict::new(Outcome::Failed { code }, 0.9, why), valgrind.unknown())
        .and("what it said there is not known, so this is not a pass");
    Some(if valgrind.destroyed.is_empty() {
        verdict.advise("run it again with fewer jobs at once (`-j`), or divide it into several jobs")
    } else {
        verdict.advise("let the job leave the directory of valgrind's logs alone")
    })
}

/// Adds the outcomes that the counters rule out, for every verdict about a death.
fn rule_out(evidence: &Evidence, verdict: &mut Verdict) {
    match verdict.outcome {
        Outcome::Passed
        | Outcome::Skipped { .. }
        | Outcome::NothingTested { .. }
        | Outcome::FailedToStart { .. }
        | Outcome::Lost
        | Outcome::OutOfMemory { .. } => return,
        Outcome::Failed { .. }
        | Outcome::Findings { .. }
        | Outcome::Crashed { .. }
        | Outcome::AllocationFailure
        | Outcome::TimedOut
        | Outcome::KilledFromOutside { .. }
        | Outcome::OverBudget { .. }
        | Outcome::DiskFull
        | Outcome::Cancelled => {}
    }
    match &evidence.group {
        Reading::Read(_) => {
            verdict.ruled_out.push("not out of memory: its cgroup counts no victim (oom_kill 0)".into())
        }
        Reading::Unreadable(why) => verdict.ruled_out.push(format!("its cgroup could not be read ({why})")),
        Reading::Absent => {}
    }
    match &evidence.host {
        Reading::Read(host) if host.after == host.before => verdict.ruled_out.push(
            "not out of memory: the machine's count of out-of-memory kills did not rise while it ran (/proc/vmstat)"
                .into(),
        ),
        Reading::Read(host) if host.unexplained() == 0 => verdict.ruled_out.push(format!(
            "not out of memory: all {} out-of-memory kills while it ran hit other processes",
            host.after.saturating_sub(host.before)
        )),
        Reading::Read(_) => {}
        Reading::Unreadable(why) => verdict.ruled_out.push(format!("/proc/vmstat could not be read ({why})")),
        Reading::Absent => {}
    }
    if evidence.intent.is_none() {
        verdict.ruled_out.push("not a timeout: Drydock sent it no signal".into());
    }
}

/// Adds observations that support the verdict without deciding it.
fn support(evidence: &Evidence, verdict: &mut Verdict) {
    if let Some(valgrind) = &evidence.valgrind {
        let refused = valgrind.refused.iter().take(5).map(|program| {
            format!("not started: valgrind runs no program that is setuid, setgid or has file capabilities: {program}")
        });
        verdict.reasons.extend(refused);
        let gave_up = valgrind.gave_up.iter().take(5).map(|words| format!("valgrind gave up: {words}"));
        verdict.reasons.extend(gave_up);
        let crashed =
            valgrind.crashes_in_words().map(|programs| format!("a process crashed under valgrind: {programs}"));
        verdict.reasons.extend(crashed);
        verdict.reasons.extend(valgrind.incomplete.iter().take(5).map(|why| format!("not completely checked: {why}")));
        verdict.reasons.extend(valgrind.notes.iter().take(10).cloned());
        let ignored = valgrind.ignored_in_words();
        verdict
            .reasons
            .extend(ignored.map(|programs| format!("errors of programs of the system do not count: {programs}")));
        if valgrind.only_around() && evidence.suite.is_none() {
            verdict.reasons.push("only programs of the system ran under the tool, and none of the project".into());
        }
    }
    if evidence.suite.is_some() || evidence.valgrind.is_some() {
        let suite = evidence.suite.as_ref();
        let unknown = evidence.valgrind.iter().flat_map(|valgrind| valgrind.unknown());
        let lost = suite.iter().flat_map(|suite| &suite.unlogged).chain(unknown);
        let mut unchecked: Vec<String> = lost.filter(|why| !verdict.reasons.contains(why)).take(5).cloned().collect();
        unchecked.extend(suite.iter().flat_map(|suite| suite.unchecked()).take(5));
        verdict.reasons.extend(unchecked.into_iter().map(|what| format!("not checked: {what}")));
    }
    let heap = evidence.heap.iter().flat_map(|heap| &heap.incomplete);
    let allocations = evidence.allocations.iter().flat_map(|profile| &profile.incomplete);
    verdict.reasons.extend(heap.chain(allocations).take(5).map(|why| format!("not completely measured: {why}")));
    verdict.reasons.extend(heap::unmeasured(evidence));
    if verdict.outcome.is_pass() || verdict.outcome.is_skip() {
        return;
    }
    if let Some(valgrind) = evidence.valgrind.as_ref().filter(|_| !matches!(verdict.outcome, Outcome::Findings { .. }))
    {
        if !valgrind.main_crash.is_empty() {
            verdict.reasons.push(format!(
                "valgrind reports it at {}",
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
    if let Some(place) = evidence.disk_full.as_ref().filter(|_| verdict.outcome != Outcome::DiskFull) {
        verdict.reasons.push(format!("the disk that holds {place} was full when it ended"));
    }
}

fn processes_were(count: u32) -> String {
    if count == 1 { "1 process was".into() } else { format!("{count} processes were") }
}
