//! Whole reports of runs that were made up: what is in them, whatever is in the run.

use super::render;
use crate::capacity::Capacity;
use crate::conditions::Conditions;
use crate::event::{AttemptRecord, AttemptStarting, Event, JobResult, Measured, RunResult, RunStarted, Stamped};
use crate::evidence::{End, Evidence, Finding, KillIntent, KillReason, ValgrindEvidence};
use crate::history::History;
use crate::outcome::{MemoryScope, Outcome, Verdict, Victim};
use crate::plan::{FORMAT, Plan, PlannedJob};
use crate::report::ReportInput;
use crate::report::commands::Commands;
use crate::report::findings::Causes;
use crate::run::Run;
use crate::schedule_report;
use drydock_base::paths::RunDir;
use drydock_valgrind::stack::Frame;
use drydock_valgrind::tool::Tool;
use drydock_valgrind::xml::Auxiliary;

mod sizes;

const MIB: u64 = 1 << 20;

pub(in crate::report) fn plan(names: &[&str]) -> Plan {
    Plan {
        format: FORMAT,
        project: "/p".into(),
        declaration: "/p/ci/jobs.yaml".into(),
        partial: false,
        lists: std::collections::BTreeMap::new(),
        jobs: names.iter().map(|name| PlannedJob::plain(name, name, &[])).collect(),
    }
}

pub(in crate::report) fn begin(run: &mut Run, at: i64, resumed: bool) {
    let capacity =
        Capacity { slots: 2, slots_source: "--jobs".into(), memory: 100 * MIB, memory_source: "--memory".into() };
    let started = RunStarted {
        id: "r".into(),
        version: "0.1.0".into(),
        containment: "none".into(),
        group: None,
        capacity,
        resumed,
        reruns: None,
        valgrind: Some("3.24.0".into()),
        revision: None,
        cores: Some(2),
        shard: None,
    };
    run.apply(&Stamped { at, event: Event::RunStarted(started) });
}

pub(in crate::report) fn start(run: &mut Run, job: usize, at: i64) {
    let start = AttemptStarting {
        job: run.plan.jobs[job].name.clone(),
        attempt: 1,
        conditions: Conditions { reservation: 40 * MIB, ..Conditions::default() },
        group: None,
    };
    run.apply(&Stamped { at, event: Event::AttemptStarting(start) });
}

pub(in crate::report) fn record(outcome: Outcome, started: i64, ended: i64) -> AttemptRecord {
    let measured = Measured { started, ended, peak: Some(30 * MIB), cpu_ms: Some(1), ..Measured::default() };
    let conditions = Conditions { reservation: 40 * MIB, ..Conditions::default() };
    AttemptRecord {
        verdict: Verdict {
            outcome,
            confidence: 0.98,
            reasons: vec!["it ended so".into()],
            ruled_out: Vec::new(),
            advice: None,
        },
        ..AttemptRecord::new(1, conditions, Evidence::new(End::Exited { code: 0 }), measured)
    }
}

pub(in crate::report) fn end(run: &mut Run, job: usize, record: AttemptRecord, result: Option<JobResult>) {
    let (at, name) = (record.ended, run.plan.jobs[job].name.clone());
    run.apply(&Stamped { at, event: Event::AttemptEnded { job: name.clone(), record: Box::new(record) } });
    if let Some(result) = result {
        run.apply(&Stamped { at, event: Event::JobSettled { job: name, result } });
    }
}

fn html(run: &Run) -> String {
    html_with(run, &History::default())
}

fn html_with(run: &Run, history: &History) -> String {
    let dir = RunDir::new("/nowhere/r".into());
    let result = run.result.unwrap_or_else(|| run.verdict(false));
    let (causes, schedule) = (Causes::new(run), schedule_report::assess(run));
    let commands = Commands::now();
    let schedule = schedule.as_ref();
    let input = ReportInput { commands: &commands, run, dir: &dir, result, causes: &causes, schedule, history };
    let mut page = Vec::new();
    render(input, &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

pub(in crate::report) fn frame(function: &str) -> Frame {
    Frame { function: Some(function.into()), file: Some("a.c".into()), line: Some(1), ..Frame::default() }
}

/// Start tags with what names them, and headings: enough to see the structure, not every number.
fn outline(html: &str) -> String {
    let mut outline = String::new();
    let body = html.split("<body>").nth(1).unwrap_or(html);
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or((part, ""));
        let name = tag.split(' ').next().unwrap_or_default();
        let attribute = |wanted: &str| {
            let from = tag.find(&format!(" {wanted}="))? + wanted.len() + 2;
            let value = &tag[from..];
            Some(match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next().unwrap_or_default().to_owned(),
                None => value.split(' ').next().unwrap_or_default().to_owned(),
            })
        };
        let line = match name {
            "header" | "main" | "footer" | "article" => name.to_owned(),
            "nav" => format!("nav {}", attribute("aria-label").unwrap_or_default()),
            "section" => format!("section {}", attribute("aria-labelledby").unwrap_or_default()),
            "table" => "table".into(),
            "th" if text.is_empty() => continue,
            "h2" | "th" | "caption" => format!("{name} {text}"),
            "details" | "figure" | "form" => format!("  {name} {}", attribute("class").unwrap_or_default()),
            "svg" => match attribute("id") {
                Some(id) => format!("  svg {id}"),
                None => continue,
            },
            _ => continue,
        };
        outline.push_str(line.trim_end());
        outline.push('\n');
    }
    outline
}

/// Every element is closed where it was opened, which the writer promises.
#[track_caller]
fn assert_well_formed(html: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = html.split("<body>").nth(1).unwrap();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap();
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        rest = after;
        if name == "script" && !tag.starts_with('/') {
            rest = &rest[rest.find("</script>").unwrap() + "</script>".len()..];
        } else if tag.starts_with('/') {
            if name == "body" || name == "html" {
                continue;
            }
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "before {}", &rest[..rest.len().min(80)]);
        } else if !tag.ends_with('/') && name != "input" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_small_report_has_this_structure() {
    let mut run = Run::new(plan(&["build", "unit", "late"]));
    begin(&mut run, 1000, false);
    start(&mut run, 0, 1000);
    start(&mut run, 1, 1000);
    for (at, bytes) in [(1200, 10), (1400, 20), (1600, 30)] {
        let jobs = vec![(run.plan.jobs[0].name.clone(), bytes * MIB)];
        run.apply(&Stamped { at, event: Event::Samples { jobs, available: Some(500 * MIB) } });
    }
    end(&mut run, 0, record(Outcome::Passed, 1000, 2000), Some(JobResult::Passed));
    end(&mut run, 1, record(Outcome::Failed { code: 3 }, 1000, 1500), Some(JobResult::Failed));
    let mut late = record(Outcome::TimedOut, 2000, 3000);
    late.evidence.intent = Some(KillIntent { reason: KillReason::Timeout, at: 2900, escalated: false });
    end(&mut run, 2, late, Some(JobResult::Failed));
    run.apply(&Stamped { at: 3000, event: Event::Warning { text: "be careful".into() } });
    run.apply(&Stamped { at: 3000, event: Event::RunEnded { result: RunResult::Failed } });
    let html = html(&run);
    assert_well_formed(&html);
    insta::assert_snapshot!(outline(&html), @"
    header
    nav Contents
    main
    section failures
    h2 What went wrong
    article
    article
    section warnings
    h2 Warnings
    section timeline
    h2 Timeline
      svg lanes
      svg memory
      details events
    section schedule
    h2 Schedule
    section jobs
    h2 Jobs
      form filter js
    table
    caption All jobs of the run, in the order of their declaration
    th Job
    th Tool
    th Result
    th Attempts
    th Time
    th CPU time
    th Peak
    th Reserved
    th History of time and peak
    section details
    h2 Details
      details
      figure
      details
      details
    footer
    ");
    for text in ["2 of 3 jobs did not pass", "At least one job failed.", "exit code 3", "timed out", "be careful"] {
        assert!(html.contains(text), "{text}");
    }
    // Half, a quarter, half of two seconds, in two lanes.
    assert!(html.contains("<rect class=p x=0% y=18 width=50% height=19 />"), "{html}");
    assert!(html.contains("<rect class=x x=0% y=40 width=25% height=19 />"));
    assert!(html.contains("<rect class=x x=50% y=18 width=50% height=19 />"));
    assert!(html.contains("Drydock ended late: its time was up"));
}

#[test]
fn an_empty_run_has_a_report() {
    for events in 0..3 {
        let mut run = Run::new(plan(&[]));
        if events > 0 {
            begin(&mut run, 5, false);
        }
        if events > 1 {
            run.apply(&Stamped { at: 6, event: Event::RunEnded { result: RunResult::Passed } });
        }
        let html = html(&run);
        assert_well_formed(&html);
        assert!(html.contains("There was no job") && html.contains("This run started no job."));
    }
}

#[test]
fn a_run_that_stopped_says_what_is_open() {
    let mut run = Run::new(plan(&["a", "b", "c"]));
    begin(&mut run, 1000, false);
    start(&mut run, 0, 1000);
    start(&mut run, 1, 1000);
    let mut cancelled = record(Outcome::Cancelled, 1000, 4000);
    cancelled.evidence.intent = Some(KillIntent { reason: KillReason::Cancel, at: 3900, escalated: false });
    end(&mut run, 0, cancelled, Some(JobResult::Cancelled));
    run.apply(&Stamped { at: 5000, event: Event::Interrupted { signal: 2 } });
    let html = html(&run);
    assert_well_formed(&html);
    for text in [
        "3 of 3 jobs did not pass",
        "SIGINT stopped the run",
        "Drydock ended a: the run was stopped",
        "it has begun, but its end was not recorded",
        "its end was not recorded",
        "the run ended before",
    ] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn a_resumed_run_is_not_a_line_with_a_dot_at_each_end() {
    const DAY: i64 = 86_400_000;
    let mut run = Run::new(plan(&["a", "b"]));
    begin(&mut run, 0, false);
    end(&mut run, 0, record(Outcome::Passed, 0, 5000), Some(JobResult::Passed));
    begin(&mut run, DAY, true);
    end(&mut run, 1, record(Outcome::Passed, DAY, DAY + 5000), Some(JobResult::Passed));
    run.apply(&Stamped { at: DAY + 5000, event: Event::RunEnded { result: RunResult::Passed } });
    let html = html(&run);
    assert_well_formed(&html);
    assert!(html.contains("resumed after an interruption") && html.contains("All 2 jobs passed"));
    assert!(html.contains("<rect class=p x=0% y=18 width=48.5% height=19 />"), "the pause is cut short");
    assert!(html.contains("<rect class=p x=51.5% y=18 width=48.5% height=19 />"));
    assert!(html.contains("nothing ran for 24h"));
}

#[test]
fn results_that_were_taken_over_are_reported_and_not_drawn() {
    let mut run = Run::new(plan(&["a"]));
    begin(&mut run, 1000, false);
    let event = Event::Carried {
        from: "earlier".into(),
        job: run.plan.jobs[0].name.clone(),
        result: JobResult::Failed,
        attempts: vec![record(Outcome::Failed { code: 1 }, 1, 2)],
    };
    run.apply(&Stamped { at: 1001, event });
    let html = html(&run);
    assert_well_formed(&html);
    assert!(html.contains("in earlier") && html.contains("This run started no job."));
}

/// Texts that would do harm if anything of them became markup.
const HOSTILE: [&str; 8] = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "]]><!--",
    "&lt;b&gt;",
    "\u{202e}txt.exe\u{2066}",
    "\x1b[2J\x07\0\u{9b}",
    "`<b>`",
];

#[test]
fn nothing_of_a_run_becomes_markup() {
    for text in HOSTILE {
        let mut run = Run::new(plan(&["a", "b", "c"]));
        for planned in &mut std::sync::Arc::make_mut(&mut run.plan).jobs {
            planned.argv = vec![text.into()];
            planned.directory = text.into();
            planned.tool_mut().kind = Tool::Memcheck;
            planned.tool_mut().args = vec![text.into()];
        }
        std::sync::Arc::make_mut(&mut run.plan).project = text.into();
        begin(&mut run, 0, false);
        if let Some(started) = &mut run.started {
            for field in [&mut started.version, &mut started.containment, &mut started.capacity.memory_source] {
                *field = text.into();
            }
            (started.valgrind, started.reruns) = (Some(text.into()), Some(text.into()));
        }
        let mut failed = record(Outcome::FailedToStart { error: text.into() }, 0, 10);
        failed.verdict.reasons = vec![text.into()];
        failed.verdict.ruled_out = vec![text.into()];
        failed.verdict.advice = Some(text.into());
        failed.conditions.retry_reason = Some(text.into());
        failed.evidence.valgrind = Some(Box::new(ValgrindEvidence {
            first: vec![Finding {
                kind: text.into(),
                what: text.into(),
                place: text.into(),
                stack: vec![frame(text)],
                auxiliary: vec![Auxiliary { what: text.into(), stack: vec![frame(text)] }],
                ..Finding::default()
            }],
            main_crash: vec![text.into()],
            incomplete: vec![text.into()],
            ..ValgrindEvidence::default()
        }));
        let mut passed = failed.clone();
        passed.verdict.outcome = Outcome::Passed;
        let mut found = failed.clone();
        found.verdict.outcome = Outcome::Findings { count: 1 };
        found.evidence.words = Some(text.into());
        end(&mut run, 0, failed, Some(JobResult::Failed));
        end(&mut run, 1, passed, Some(JobResult::Passed));
        end(&mut run, 2, found, Some(JobResult::Failed));
        run.apply(&Stamped { at: 10, event: Event::Warning { text: text.into() } });
        run.apply(&Stamped { at: 10, event: Event::AdmissionPaused { because: Some(text.into()) } });
        run.apply(&Stamped { at: 20, event: Event::AdmissionPaused { because: None } });
        let html = html(&run);
        assert_well_formed(&html);
        let tags = html.matches("<script").count();
        assert_eq!(tags, 3, "two scripts and their data, after {text:?}");
        assert!(!html.contains("<img") && !html.contains("onmouseover='"), "{text:?}");
        let forbidden =
            |letter: char| letter.is_control() && letter != '\n' || matches!(letter, '\u{202e}' | '\u{2066}');
        assert!(!html.split("</style>").nth(1).unwrap().contains(forbidden), "{text:?}");
    }
}

#[test]
fn what_was_done_to_jobs_is_marked() {
    let mut run = Run::new(plan(&["a", "b"]));
    begin(&mut run, 0, false);
    let machine = Outcome::OutOfMemory { scope: MemoryScope::Machine, victim: Victim::Main };
    end(&mut run, 0, record(machine, 0, 500), Some(JobResult::Infrastructure));
    run.apply(&Stamped { at: 500, event: Event::AdmissionPaused { because: Some("others took memory".into()) } });
    run.apply(&Stamped { at: 700, event: Event::AdmissionPaused { because: None } });
    end(&mut run, 1, record(Outcome::Passed, 700, 1000), Some(JobResult::Passed));
    // Still held back when the run ended.
    run.apply(&Stamped { at: 900, event: Event::AdmissionPaused { because: Some("once more".into()) } });
    run.apply(&Stamped { at: 1000, event: Event::RunEnded { result: RunResult::Infrastructure } });
    let html = html(&run);
    assert_well_formed(&html);
    for text in [
        "<text class=killed x=50% y=13 text-anchor=middle >▼<title>a: out of memory (the machine&#39;s limit)</title>",
        "<rect class=held x=50% width=20% ",
        "<rect class=held x=90% width=10% ",
        "new jobs waited 0.2s: others took memory",
        "class=ceiling ",
        "class=reserved ",
        "▲",
    ] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn what_is_flaky_is_no_failure_and_no_pass() {
    let mut run = Run::new(plan(&["a", "b"]));
    begin(&mut run, 0, false);
    end(&mut run, 0, record(Outcome::Failed { code: 4 }, 0, 500), None);
    let mut again = AttemptRecord { number: 2, ..record(Outcome::Passed, 500, 900) };
    again.conditions.retry_reason = Some("it may".into());
    end(&mut run, 0, again, Some(JobResult::Flaky { attempt: 2 }));
    end(&mut run, 1, record(Outcome::Passed, 0, 500), Some(JobResult::Passed));
    for (result, headline) in
        [(RunResult::Passed, "1 of 2 jobs passed, 1 flaky"), (RunResult::Flaky, "1 of 2 jobs did not pass")]
    {
        run.apply(&Stamped { at: 900, event: Event::RunEnded { result } });
        let html = html(&run);
        assert_well_formed(&html);
        for text in
            [headline, "No job failed.", "is flaky: exit code 4, then passed at attempt 2", "a (attempt 2): passed"]
        {
            assert!(html.contains(text), "{text}");
        }
    }
}
