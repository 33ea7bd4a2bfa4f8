//! Reports of very many jobs, which must stay small enough to be opened.

use super::{MIB, assert_well_formed, begin, end, frame, html, html_with, plan, record, start};
use crate::event::{Event, JobResult, Stamped};
use crate::evidence::{Finding, ValgrindEvidence};
use crate::history::{History, Line};
use crate::outcome::{Outcome, OutcomeKind};
use crate::run::Run;
use drydock_valgrind::tool::Tool;

fn line(job: &str, at: i64) -> Line {
    Line {
        at,
        run: format!("r{at}").into(),
        job: job.into(),
        attempt: 1,
        tool: Tool::Memcheck,
        valgrind: None,
        outcome: OutcomeKind::Passed,
        whole: true,
        duration_ms: 1000 + at.unsigned_abs() * 37,
        cpu_ms: None,
        peak_ms: None,
        uncontended_ms: None,
        peak: Some(MIB * (30 + at.unsigned_abs())),
        reservation: 0,
        exclusive: false,
        pressure: None,
        revision: None,
    }
}

#[test]
fn thousands_of_failures_make_no_endless_page() {
    let names: Vec<String> = (0..3000).map(|number| format!("j{number}")).collect();
    let mut run = Run::new(plan(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    begin(&mut run, 0, false);
    for job in 0..names.len() {
        let mut failed = record(Outcome::Findings { count: 8 }, 0, 10);
        let finding = |number: usize| Finding {
            kind: format!("Kind{job}"),
            what: "x".repeat(3000),
            place: format!("p{number} (a.c:{job})"),
            stack: vec![frame(&format!("f{job}")); 12],
            ..Finding::default()
        };
        let first = (0..8).map(finding).collect();
        failed.evidence.valgrind =
            Some(Box::new(ValgrindEvidence { findings: 8, first, ..ValgrindEvidence::default() }));
        end(&mut run, job, failed, Some(JobResult::Failed));
    }
    let html = html(&run);
    assert!(html.len() < 8 << 20, "{} bytes", html.len());
    assert!(html.contains("is too long for this page") && html.contains("j2999"));
}

#[test]
fn two_thousand_jobs_with_long_names_samples_and_a_history_are_light() {
    let names: Vec<String> =
        (0..2000).map(|number| format!("units/{}-{number}", "tests-of-the-store".repeat(3))).collect();
    let mut run = Run::new(plan(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut lines = Vec::new();
    for planned in &mut std::sync::Arc::make_mut(&mut run.plan).jobs {
        planned.argv = vec![format!("tests/{}", planned.name), "--verbose".into()];
        planned.tool_mut().kind = Tool::Memcheck;
        planned.tool_mut().args = vec!["--leak-check=full".into(), "--track-origins=yes".into()];
    }
    begin(&mut run, 0, false);
    for (job, name) in names.iter().enumerate() {
        let began = i64::try_from(job).unwrap() * 1000;
        start(&mut run, job, began);
        for sample in 0..100 {
            let bytes = (u64::try_from(sample).unwrap() * 7919 % 100) * MIB + 12_345;
            let jobs = vec![(run.plan.jobs[job].name.clone(), bytes)];
            run.apply(&Stamped { at: began + sample * 20, event: Event::Samples { jobs, available: Some(500 * MIB) } });
        }
        let failed = job % 40 == 0;
        let (outcome, result) = if failed {
            (Outcome::Failed { code: 1 }, JobResult::Failed)
        } else {
            (Outcome::Passed, JobResult::Passed)
        };
        end(&mut run, job, record(outcome, began, began + 2000), Some(result));
        lines.extend((0..20).map(|at| line(name, at)));
    }
    let html = html_with(&run, &History::new(lines));
    assert_well_formed(&html);
    assert!(html.len() < 5 << 20, "{} bytes", html.len());
    assert!(html.matches("<tr").count() == 2001 && html.matches("class=spark").count() == 4000);
    assert!(html.contains("that passed, only the command is shown here"), "the budget has an end");
}
