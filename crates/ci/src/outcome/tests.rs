//! The rules, one by one: evidence in, word and confidence out.

use super::*;
use crate::evidence::{
    End, Evidence, Finding, GroupCounters, HeapBaseline, HeapEvidence, HostCounters, HostMemory, KernelKill,
    KillIntent, KillReason, Neighbour, Reading, UserspaceKill, ValgrindEvidence,
};
use drydock_base::units::Percent;

fn signaled(signal: i32) -> Evidence {
    Evidence::new(End::Signaled { signal, core: false })
}

fn exited(code: i32) -> Evidence {
    Evidence::new(End::Exited { code })
}

fn group(oom_kill: u64, limit_hits: u64, limit: Option<u64>) -> Reading<GroupCounters> {
    Reading::Read(GroupCounters { oom_kill, limit_hits, peak: Some(1 << 20), limit })
}

fn host(rise: u64, elsewhere: u64) -> Reading<HostCounters> {
    Reading::Read(HostCounters { before: 7, after: 7 + rise, around_death: rise, explained_elsewhere: elsewhere })
}

fn kernel(pid: u32) -> Reading<Vec<KernelKill>> {
    Reading::Read(vec![KernelKill {
        pid,
        comm: "memcheck-amd64-".into(),
        constraint: Some("CONSTRAINT_NONE".into()),
        oom_memcg: None,
        task_memcg: None,
        anon_rss: Some(5 << 20),
    }])
}

fn intent(reason: KillReason, escalated: bool) -> Option<KillIntent> {
    Some(KillIntent { reason, at: 0, escalated })
}

#[track_caller]
fn check(evidence: &Evidence, outcome: &str, confidence: f64) -> Verdict {
    let verdict = judge(evidence);
    assert_eq!((verdict.outcome.word(), verdict.confidence), (outcome, confidence), "{verdict:#?}");
    assert!(!verdict.reasons.is_empty());
    verdict
}

#[test]
fn exit_codes_are_what_they_are() {
    check(&exited(0), "passed", 0.99);
    check(&exited(1), "failed", 0.98);
    check(&Evidence { expect_exit: 7, ..exited(7) }, "passed", 0.99);
    check(&Evidence { expect_exit: 7, ..exited(0) }, "failed", 0.98);
    let verdict = check(&Evidence { group: group(0, 0, None), host: host(0, 0), ..exited(137) }, "failed", 0.98);
    assert!(verdict.ruled_out.iter().any(|reason| reason.contains("oom_kill 0")));
    assert!(verdict.reasons.iter().any(|reason| reason.contains("137 is an exit code and not a signal")));
}

#[test]
fn a_bare_sigkill_with_counters_at_zero_is_never_out_of_memory() {
    let verdict =
        check(&Evidence { group: group(0, 0, None), host: host(0, 0), ..signaled(9) }, "killed-from-outside", 0.95);
    assert!(verdict.ruled_out.iter().filter(|reason| reason.starts_with("not out of memory")).count() == 2);
    check(&Evidence { host: host(0, 0), ..signaled(9) }, "killed-from-outside", 0.95);
    // Even when the log mentions memory.
    check(&Evidence { host: host(0, 0), hints: vec!["Killed".into()], ..signaled(9) }, "killed-from-outside", 0.95);
    // Even when the machine was short of memory, since a counter was read.
    let memory = HostMemory { available: Some(1), total: Some(1 << 34), pressure: Some(90.0) };
    check(&Evidence { host: host(0, 0), memory, ..signaled(9) }, "killed-from-outside", 0.95);
    // A kill elsewhere while the own group counts none.
    check(&Evidence { group: group(0, 0, None), host: host(1, 0), ..signaled(9) }, "killed-from-outside", 0.95);
    check(&Evidence { host: host(2, 2), ..signaled(9) }, "killed-from-outside", 0.95);
}

#[test]
fn the_own_group_decides_whoever_died_and_whatever_the_exit_code() {
    let main = judge(&Evidence { group: group(1, 3, Some(64 << 20)), ..signaled(9) });
    assert_eq!(main.outcome, Outcome::OutOfMemory { scope: MemoryScope::OwnLimit, victim: Victim::Main });
    let descendant = judge(&Evidence { group: group(1, 0, None), ..exited(1) });
    assert_eq!(descendant.outcome, Outcome::OutOfMemory { scope: MemoryScope::Machine, victim: Victim::Descendant });
    assert_eq!(descendant.confidence, 0.99);
    check(&Evidence { group: group(1, 0, None), ..exited(0) }, "out-of-memory", 0.99);
    // It outranks a timeout that came while the job was thrashing.
    let thrashing = Evidence { group: group(1, 0, None), intent: intent(KillReason::Timeout, true), ..signaled(9) };
    check(&thrashing, "out-of-memory", 0.99);
}

#[test]
fn the_kernel_log_and_userspace_killers_name_their_victims() {
    let verdict =
        check(&Evidence { pid: Some(5), kernel: kernel(5), host: host(1, 0), ..signaled(9) }, "out-of-memory", 0.98);
    assert!(matches!(verdict.outcome, Outcome::OutOfMemory { victim: Victim::Main, .. }));
    let verdict = check(&Evidence { pid: Some(5), kernel: kernel(6), ..exited(1) }, "out-of-memory", 0.98);
    assert!(matches!(verdict.outcome, Outcome::OutOfMemory { victim: Victim::Descendant, .. }));
    let kill = UserspaceKill { by: "earlyoom".into(), message: "sending SIGTERM to process 5".into() };
    let evidence = Evidence { userspace: Reading::Read(vec![kill]), group: group(0, 0, None), ..signaled(15) };
    let verdict = check(&evidence, "out-of-memory", 0.95);
    assert!(matches!(verdict.outcome, Outcome::OutOfMemory { scope: MemoryScope::Userspace, .. }));
}

#[test]
fn the_machines_counter_by_itself_is_less_certain() {
    check(&Evidence { host: host(1, 0), ..signaled(9) }, "out-of-memory", 0.9);
    let neighbours = vec![neighbour("big", 1 << 30, 1 << 20, false)];
    let verdict =
        check(&Evidence { host: host(1, 0), killed_peers: 2, neighbours, ..signaled(9) }, "out-of-memory", 0.6);
    assert!(verdict.reasons.iter().any(|reason| reason.contains("big 1 GiB")), "{:?}", verdict.reasons);
    check(&Evidence { host: host(1, 0), ..exited(1) }, "out-of-memory", 0.5);
    check(&Evidence { host: host(1, 0), ..exited(137) }, "out-of-memory", 0.7);
    // A crash has its own cause.
    check(&Evidence { host: host(1, 0), ..signaled(11) }, "crashed", 0.98);
}

fn neighbour(job: &str, bytes: u64, reserved: u64, own: bool) -> Neighbour {
    Neighbour { job: job.into(), bytes, reserved, own }
}

#[test]
fn the_instigator_is_distinguished_from_the_victim() {
    const MIB: u64 = 1 << 20;
    let told = |own: u64, other: u64| {
        let neighbours =
            vec![neighbour("other", other * MIB, 64 * MIB, false), neighbour("own", own * MIB, 64 * MIB, true)];
        let evidence = Evidence { group: group(1, 0, None), neighbours, ..signaled(9) };
        check(&evidence, "out-of-memory", 0.99).reasons
    };
    let reasons = told(30, 264);
    assert!(
        reasons
            .contains(&"memory at that moment: other 264 MiB of 64 MiB reserved, own 30 MiB of 64 MiB reserved".into()),
        "{reasons:?}"
    );
    assert!(
        reasons.contains(
            &"the instigator is other, which exceeded its reservation by 200 MiB; this job is the victim".into()
        ),
        "{reasons:?}"
    );
    assert!(told(264, 30).contains(&"this job is the instigator: it exceeded its reservation by 200 MiB".into()));
    assert!(told(64, 64).iter().any(|reason| reason.starts_with("no job exceeded its reservation")));
    // A job that hit its own ceiling needs no one else.
    let own_limit = Evidence {
        group: group(1, 3, Some(64 * MIB)),
        neighbours: vec![neighbour("other", 1, 1, false)],
        ..signaled(9)
    };
    assert!(!check(&own_limit, "out-of-memory", 0.99).reasons.iter().any(|reason| reason.contains("at that moment")));
}

#[test]
fn without_counters_only_pressure_speaks() {
    let unreadable = || Reading::Unreadable("permission denied".into());
    let memory = HostMemory { available: Some(10 << 20), total: Some(16 << 30), pressure: None };
    check(&Evidence { host: unreadable(), memory, ..signaled(9) }, "out-of-memory", 0.6);
    check(&Evidence { host: unreadable(), ..signaled(9) }, "killed-from-outside", 0.6);
}

#[test]
fn kills_by_drydock_are_reported_as_such() {
    let verdict = check(
        &Evidence { intent: intent(KillReason::Timeout, false), timeout_ms: 120_000, ..signaled(15) },
        "timed-out",
        0.99,
    );
    assert!(verdict.reasons[0].contains("2m"), "{:?}", verdict.reasons);
    check(&Evidence { intent: intent(KillReason::Timeout, true), ..signaled(9) }, "timed-out", 0.99);
    // It caught SIGTERM and ended with a code of its own: still a timeout.
    check(&Evidence { intent: intent(KillReason::Timeout, false), ..exited(0) }, "timed-out", 0.99);
    check(&Evidence { intent: intent(KillReason::Cancel, false), ..signaled(15) }, "cancelled", 0.99);
}

#[test]
fn crashes_and_signals_from_outside_differ() {
    for signal in [4, 5, 6, 7, 8, 11, 13, 24, 31] {
        check(&signaled(signal), "crashed", 0.98);
    }
    for signal in [1, 2, 15] {
        check(&Evidence { host: host(0, 0), ..signaled(signal) }, "killed-from-outside", 0.95);
    }
}

#[test]
fn a_self_kill_under_valgrind_leaves_a_complete_log() {
    let complete = ValgrindEvidence { complete: 1, main_complete: Some(true), ..ValgrindEvidence::default() };
    check(&Evidence { valgrind: Some(Box::new(complete)), host: host(0, 0), ..signaled(9) }, "crashed", 0.95);
    let cut = ValgrindEvidence { main_complete: Some(false), ..ValgrindEvidence::default() };
    check(&Evidence { valgrind: Some(Box::new(cut)), host: host(0, 0), ..signaled(9) }, "killed-from-outside", 0.95);
}

#[test]
fn a_failed_allocation_needs_both_the_limit_and_the_words() {
    let lines = vec!["malloc: Cannot allocate memory".to_owned()];
    let limited = Evidence { address_space: Some(64 << 20), allocation_lines: lines.clone(), ..exited(1) };
    check(&limited, "allocation-failure", 0.8);
    check(&Evidence { allocation_lines: lines.clone(), ..exited(1) }, "failed", 0.98);
    check(&Evidence { address_space: Some(64 << 20), ..exited(1) }, "failed", 0.98);
    check(
        &Evidence { address_space: Some(64 << 20), allocation_lines: lines, ..signaled(6) },
        "allocation-failure",
        0.8,
    );
}

#[test]
fn a_pass_under_valgrind_means_that_everything_was_checked() {
    let with = |findings, complete, main, incomplete: &[&str]| Evidence {
        valgrind: Some(Box::new(ValgrindEvidence {
            findings,
            complete,
            first: vec![Finding {
                kind: "Leak_DefinitelyLost".into(),
                what: "8 bytes".into(),
                place: "main (a.c:1)".into(),
                ..Finding::default()
            }],
            main_complete: main,
            incomplete: incomplete.iter().map(|why| (*why).to_owned()).collect(),
            ..ValgrindEvidence::default()
        })),
        ..exited(0)
    };
    check(&with(0, 1, Some(true), &[]), "passed", 0.99);
    let verdict = check(&with(2, 1, Some(true), &[]), "findings", 0.99);
    assert!(verdict.reasons.iter().any(|reason| reason.contains("a.c:1")));
    let verdict = check(&with(0, 0, Some(false), &["memcheck.7.xml: it is empty"]), "failed", 0.9);
    assert!(verdict.reasons.iter().any(|reason| reason.contains("nothing was checked")));
    // A child's log does not stand for the main process's.
    check(&with(0, 1, None, &[]), "failed", 0.9);
    // A killed child process is reported, even if the job passed.
    let verdict = check(&with(0, 1, Some(true), &["memcheck.8.xml: it stops in the middle"]), "passed", 0.99);
    assert!(verdict.reasons.iter().any(|reason| reason.contains("not completely checked")), "{:?}", verdict.reasons);
}

#[test]
fn a_crash_and_a_timeout_tell_what_valgrind_knew() {
    let valgrind = ValgrindEvidence {
        findings: 1,
        first: vec![Finding {
            kind: "InvalidWrite".into(),
            what: "Invalid write of size 1".into(),
            place: "f (a.c:2)".into(),
            ..Finding::default()
        }],
        main_complete: Some(true),
        main_crash: vec!["g (a.c:3)".into(), "main (a.c:9)".into()],
        ..ValgrindEvidence::default()
    };
    let reasons =
        check(&Evidence { valgrind: Some(Box::new(valgrind)), ..signaled(11) }, "crashed", 0.98).reasons.join("\n");
    assert!(
        reasons.contains("g (a.c:3) ← main (a.c:9)") && reasons.contains("Invalid write of size 1, at f (a.c:2)"),
        "{reasons}"
    );
    let stopped = Evidence { intent: intent(KillReason::Timeout, false), stopped: 1, ..signaled(15) };
    assert!(check(&stopped, "timed-out", 0.99).reasons[1].contains("1 process was stopped"));
}

#[test]
fn sigterm_is_never_the_kernels_and_a_whole_log_never_a_victims() {
    check(&Evidence { host: host(1, 0), ..signaled(15) }, "killed-from-outside", 0.95);
    let whole = ValgrindEvidence { complete: 1, main_complete: Some(true), ..ValgrindEvidence::default() };
    check(&Evidence { host: host(1, 0), valgrind: Some(Box::new(whole)), ..signaled(9) }, "crashed", 0.95);
    let verdict = judge(&Evidence { group: group(1, 0, None), ..signaled(15) });
    assert!(matches!(verdict.outcome, Outcome::OutOfMemory { victim: Victim::Descendant, .. }));
}

#[test]
fn the_kernel_log_names_the_group_whose_limit_it_was() {
    let with = |limited: &str| {
        let mut kills = match kernel(5) {
            Reading::Read(kills) => kills,
            other => panic!("{other:?}"),
        };
        kills[0].oom_memcg = Some(limited.into());
        kills[0].task_memcg = Some("/outer/job".into());
        judge(&Evidence { group: group(1, 9, Some(64 << 20)), kernel: Reading::Read(kills), ..signaled(9) }).outcome
    };
    assert!(matches!(with("/outer/job"), Outcome::OutOfMemory { scope: MemoryScope::OwnLimit, .. }));
    assert!(matches!(with("/outer"), Outcome::OutOfMemory { scope: MemoryScope::Machine, .. }));
}

#[test]
fn a_kill_of_ours_without_a_seen_end_is_ours_still() {
    check(&Evidence { intent: intent(KillReason::Timeout, false), ..Evidence::new(End::NoRecord) }, "timed-out", 0.99);
    check(&Evidence { profile_expected: Some(drydock_valgrind::tool::Tool::Massif), ..exited(0) }, "failed", 0.9);
}

fn heap(peak: u64) -> HeapEvidence {
    HeapEvidence {
        peak: ByteSize::new(peak),
        limit: None,
        largest_site: Some("read_whole (a.c:9): 4 MiB".into()),
        baseline: Reading::Absent,
        incomplete: Vec::new(),
        profile: None,
    }
}

#[test]
fn heap_beyond_its_limit_is_over_budget() {
    let with = |peak, limit| Evidence {
        heap: Some(Box::new(HeapEvidence { limit: Some(ByteSize::new(limit)), ..heap(peak) })),
        ..exited(0)
    };
    check(&with(10, 10), "passed", 0.99);
    check(&Evidence { heap: Some(Box::new(heap(10))), ..exited(0) }, "passed", 0.99);
    let verdict = check(&with(11, 10), "over-budget", 0.99);
    assert_eq!(verdict.outcome.describe(), "11 B of heap, more than its limit of 10 B");
    assert!(verdict.reasons.iter().any(|reason| reason.contains("read_whole")));
}

#[test]
fn heap_beyond_its_baseline_is_over_budget() {
    let baseline = Reading::Read(HeapBaseline {
        file: "ci/heap/a.massif".into(),
        peak: ByteSize::new(100),
        tolerance: Percent::whole(2),
        allowed: ByteSize::new(102),
        grown: Some("parse (b.c:3): 3 B more (0 B → 3 B)".into()),
    });
    let with = |peak, baseline: &Reading<HeapBaseline>| Evidence {
        heap: Some(Box::new(HeapEvidence { baseline: baseline.clone(), ..heap(peak) })),
        ..exited(0)
    };
    check(&with(102, &baseline), "passed", 0.99);
    let verdict = check(&with(103, &baseline), "over-budget", 0.99);
    assert_eq!(verdict.outcome.describe(), "103 B of heap, more than the 102 B that its baseline allows");
    assert_eq!(
        verdict.reasons,
        [
            "massif measured a peak of 103 B of heap; the baseline ci/heap/a.massif has 100 B, and 2% more are allowed",
            "most grew at parse (b.c:3): 3 B more (0 B → 3 B)",
            "at the peak, most is held by read_whole (a.c:9): 4 MiB",
        ]
    );
    // If both are exceeded, the limit is reported first, followed by the baseline.
    let mut both = with(103, &baseline);
    both.heap.as_mut().unwrap().limit = Some(ByteSize::new(50));
    let verdict = check(&both, "over-budget", 0.99);
    assert!(verdict.outcome.describe().contains("its limit of 50 B") && verdict.reasons[2].contains("the baseline"));
    // A heap that could not be compared, or was not completely measured, does not pass.
    let verdict = check(&with(1, &Reading::Unreadable("it is gone".into())), "failed", 0.9);
    assert!(verdict.reasons[0].contains("it is gone"));
    let mut cut = with(1, &baseline);
    cut.heap.as_mut().unwrap().incomplete = vec!["massif.7: it was cut".into()];
    let verdict = check(&cut, "failed", 0.9);
    assert!(verdict.reasons.iter().any(|reason| reason == "not completely measured: massif.7: it was cut"));
    cut.heap.as_mut().unwrap().baseline = Reading::Absent;
    check(&cut, "passed", 0.99);
}

#[test]
fn no_start_and_no_end() {
    let not_started = |unlisted: bool| Evidence::new(End::NotStarted { error: "no such file".into(), unlisted });
    check(&not_started(false), "failed-to-start", 0.99);
    check(&not_started(true), "failed-to-start", 0.99);
    let advice = |unlisted: bool| format!("{:?}", judge(&not_started(unlisted)));
    assert!(advice(false).contains("first element of `run`") && !advice(true).contains("first element of `run`"));
    let verdict = check(&Evidence::new(End::NoRecord), "lost", 0.9);
    assert_eq!(verdict.reasons.len(), 1);
    let rising = Evidence { last_samples: vec![100 << 20, 300 << 20, 900 << 20], ..Evidence::new(End::NoRecord) };
    assert!(check(&rising, "lost", 0.9).reasons[1].contains("memory was rising"));
}

#[test]
fn valgrind_may_say_by_the_exit_code_that_there_are_errors() {
    let whole = ValgrindEvidence {
        complete: 1,
        main_complete: Some(true),
        error_exit: Some(99),
        shows_all: true,
        ..ValgrindEvidence::default()
    };
    let with = |valgrind: ValgrindEvidence, code: i32| Evidence { valgrind: Some(Box::new(valgrind)), ..exited(code) };
    check(&with(whole.clone(), 0), "passed", 0.99);
    check(&with(whole.clone(), 3), "failed", 0.98);
    // Every error would be in the log, so the program chose the code itself.
    check(&with(whole.clone(), 99), "failed", 0.98);
    check(&with(ValgrindEvidence { findings: 1, ..whole.clone() }, 99), "findings", 0.99);
    check(&with(ValgrindEvidence { shows_all: false, ..whole.clone() }, 99), "findings", 0.8);
    // Valgrind did not even start.
    check(&with(ValgrindEvidence { main_complete: None, shows_all: false, ..whole.clone() }, 99), "failed", 0.98);
    let counted = check(&with(ValgrindEvidence { unshown: 4, ..whole }, 0), "findings", 0.99);
    assert_eq!(counted.outcome, Outcome::Findings { count: 4 });
}

#[test]
fn words_fit_the_verdict() {
    let advice = |evidence: &Evidence| judge(evidence).advice.unwrap();
    let checked = Evidence { valgrind: Some(Box::new(ValgrindEvidence::default())), ..signaled(11) };
    assert!(advice(&checked).contains("valgrind's stack show where"));
    assert!(!advice(&signaled(11)).contains("valgrind's stack"), "{}", advice(&signaled(11)));
    let late = Evidence { intent: intent(KillReason::Timeout, true), ..signaled(9) };
    assert!(!judge(&late).reasons.join("\n").contains("ignored"), "it may have had no time to end");
    let found = ValgrindEvidence { findings: 1, main_complete: Some(true), ..ValgrindEvidence::default() };
    let verdict = judge(&Evidence { valgrind: Some(Box::new(found)), ..exited(0) });
    assert!(verdict.reasons[0].ends_with("valgrind's logs hold 1 error"), "{:?}", verdict.reasons);
}
