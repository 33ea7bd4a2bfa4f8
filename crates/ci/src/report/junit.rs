//! `junit.xml`: the result for test viewers, by the maintained writer of the format, valid against the schema of Jenkins
//! (`junit-10.xsd` of its xUnit plugin). Every text passes [`text::lines`], since XML cannot hold all characters and the
//! writer would drop what looks like a terminal's control sequence.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::ReportInput;
use crate::event::{AttemptRecord, JobResult};
use crate::log::excerpt;
use crate::plan::PlannedJob;
use crate::run::Run;
use crate::tested::cases::{self, CaseResult};
use drydock_base::paths::RunDir;
use drydock_base::text;

/// The number of lines of a failed job's log that go into the file.
const LOG_LINES: usize = 200;
/// The number of findings of a job that go into the file.
const FINDINGS: usize = 10;
/// The number of frames of each.
const FRAMES: usize = 12;

/// Writes the file: one suite a declared job, one case a planned job.
pub(super) fn render(input: ReportInput<'_>, to: &mut dyn io::Write) -> anyhow::Result<()> {
    let ReportInput { run, dir, .. } = input;
    let mut report = Report::new("drydock");
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut inner_suites: Vec<TestSuite> = Vec::new();
    for (position, (planned, job)) in run.plan.jobs.iter().zip(&run.jobs).enumerate() {
        let words = |record: &AttemptRecord| words(position, record, input);
        let first = job.attempts.first();
        let last = job.attempts.last();
        let status = match (&job.result, last) {
            (Some(JobResult::Passed), _) => TestCaseStatus::success(),
            (Some(JobResult::PassedAfterInfrastructure { .. } | JobResult::Flaky { .. }), _) => {
                let mut status = TestCaseStatus::success();
                for attempt in job.attempts.iter().filter(|attempt| !attempt.verdict.outcome.is_pass()) {
                    status.add_rerun(rerun(attempt, words(attempt)));
                }
                status
            }
            (Some(JobResult::NotRun { because } | JobResult::Skipped { because }), _) => skipped(because),
            (Some(JobResult::Quarantined), _) => skipped(&quarantined(planned, last)),
            (None, _) => skipped("the run ended before"),
            (Some(JobResult::Failed), Some(record)) => failure(NonSuccessKind::Failure, record, words(record)),
            (Some(JobResult::Infrastructure | JobResult::Cancelled), Some(record)) => {
                failure(NonSuccessKind::Error, record, words(record))
            }
            (Some(JobResult::Failed | JobResult::Infrastructure | JobResult::Cancelled), None) => {
                skipped("it has no attempt")
            }
        };
        let mut case = TestCase::new(text::lines(planned.name.as_str()), status);
        case.set_classname(text::lines(planned.group.as_str()));
        if let (Some(first), Some(last)) = (first, last) {
            case.set_time(Duration::from_millis(
                u64::try_from(last.ended.saturating_sub(first.started)).unwrap_or_default(),
            ));
            if !job.result.as_ref().is_some_and(JobResult::lets_others_run) {
                let lines = excerpt(&run.attempt_dir(dir, position, last.number).join("log"), LOG_LINES);
                case.set_system_out(text::lines(&lines.join("\n")));
            }
        }
        let inner = last.and_then(|last| subtests(run, dir, position, last));
        let known = suites.iter().position(|suite| suite.name.as_str() == planned.group.as_str());
        let suite = known.unwrap_or_else(|| {
            suites.push(TestSuite::new(text::lines(planned.group.as_str())));
            suites.len() - 1
        });
        let suite = &mut suites[suite];
        suite.add_test_case(case);
        // Jenkins's schema has properties of suites, and none of cases.
        if let Some(native) = planned.native().filter(|_| last.is_some()) {
            let name = text::lines(&format!("without-{} {}", native.without.name(), planned.name));
            suite.add_property((name, text::lines(&native.because)));
        }
        if let Some(cpu_ms) = last.and_then(|last| last.cpu_ms) {
            let name = text::lines(&format!("cpu-seconds {}", planned.name));
            suite.add_property((name, format!("{}.{:03}", cpu_ms / 1000, cpu_ms % 1000)));
        }
        inner_suites.extend(inner);
    }
    report.add_test_suites(suites);
    report.add_test_suites(inner_suites);
    // Jenkins's schema has this attribute for suites, and not for the whole. It is in the first element, whose name
    // was written here.
    let leave_out = format!(" skipped=\"{}\"", report.skipped).into_bytes();
    let mut without = Without { to, leave_out: Some(leave_out), begin: Vec::new() };
    report.serialize(&mut without)?;
    Ok(without.finish()?)
}

/// The most of a file in which [`Without`] looks for a text.
const BEGIN: usize = 1024;

/// Leaves the first occurrence of a text out, in the beginning of what is written.
struct Without<'a> {
    to: &'a mut dyn io::Write,
    leave_out: Option<Vec<u8>>,
    begin: Vec<u8>,
}

impl Without<'_> {
    fn finish(mut self) -> io::Result<()> {
        self.pass_on()
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let begin = std::mem::take(&mut self.begin);
        let found = self.leave_out.take().and_then(|text| {
            let at = begin.windows(text.len()).position(|window| window == text)?;
            Some((at, at + text.len()))
        });
        let (before, after) = found.unwrap_or((begin.len(), begin.len()));
        self.to.write_all(&begin[..before])?;
        self.to.write_all(&begin[after..])
    }
}

impl io::Write for Without<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.leave_out.is_none() {
            return self.to.write(bytes);
        }
        self.begin.extend_from_slice(bytes);
        if self.begin.len() >= BEGIN {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The tests that a job reports, as a suite with the name of the job. Those that failed are failures only if the job failed:
/// a viewer has no failure that does not count.
fn subtests(run: &Run, dir: &RunDir, position: usize, last: &AttemptRecord) -> Option<TestSuite> {
    let counted = last.evidence.test.as_ref()?.subtests.as_ref().filter(|subtests| subtests.total() > 0)?;
    let (planned, job) = (run.plan.jobs.get(position)?, run.jobs.get(position)?);
    let failed = matches!(job.result, Some(JobResult::Failed | JobResult::Infrastructure | JobResult::Cancelled));
    let listed = cases::read(planned.rules.protocol, &run.attempt_dir(dir, position, last.number).join("log"));
    let mut suite = TestSuite::new(text::lines(planned.name.as_str()));
    for case in &listed {
        let status = match case.result {
            CaseResult::Passed => TestCaseStatus::success(),
            CaseResult::Skipped => TestCaseStatus::skipped(),
            CaseResult::Failed if failed => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message("failed");
                status.set_type("subtest");
                status
            }
            CaseResult::Failed => skipped("it failed, which does not fail its job"),
        };
        let mut case = TestCase::new(text::lines(&case.name), status);
        case.set_classname(text::lines(planned.name.as_str()));
        suite.add_test_case(case);
    }
    if (listed.len() as u64) < counted.total() {
        suite.add_property(("subtests".to_owned(), text::lines(&counted.describe())));
    }
    (!listed.is_empty()).then_some(suite)
}

/// The message of a quarantined failure, which is reported as skipped: viewers have no failure that does not count.
fn quarantined(planned: &PlannedJob, last: Option<&AttemptRecord>) -> String {
    let what = last.map_or_else(String::new, |last| last.verdict.outcome.describe());
    match &planned.quarantine {
        Some(quarantine) => format!("{what}; in quarantine until {}: {}", quarantine.expires, quarantine.reason),
        None => what,
    }
}

fn skipped(because: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(text::lines(because));
    status
}

fn failure(kind: NonSuccessKind, record: &AttemptRecord, words: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(text::lines(&record.verdict.outcome.describe()));
    status.set_type(record.verdict.outcome.word());
    status.set_description(words);
    status
}

fn rerun(record: &AttemptRecord, words: String) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    rerun.set_message(text::lines(&record.verdict.outcome.describe()));
    rerun.set_type(record.verdict.outcome.word());
    rerun.set_description(words);
    rerun
}

fn words(job: usize, record: &AttemptRecord, input: ReportInput<'_>) -> String {
    let ReportInput { run, causes, commands, .. } = input;
    let verdict = &record.verdict;
    let mut lines = vec![format!("confidence {:.2}", verdict.confidence)];
    lines.extend(verdict.reasons.iter().map(|reason| format!("because {reason}")));
    lines.extend(verdict.ruled_out.iter().cloned());
    let planned = &run.plan.jobs[job];
    lines.extend(commands.advice(planned, verdict).map(|advice| format!("to do: {advice}")));
    for (id, finding) in Run::findings_of(job, record).take(FINDINGS) {
        let Some(cause) = causes.get(id) else { continue };
        let (id, others) = (&cause.id, cause.jobs().len().saturating_sub(1));
        let others = if others > 0 { format!(" (also in {others} other jobs)") } else { String::new() };
        lines.push(format!("{id} {}{others}", finding.line()));
        lines.extend(finding.stack.iter().take(FRAMES).map(|frame| format!("    {}", frame.describe())));
        lines.push(format!("    to suppress it: {}", commands.suppress(id)));
    }
    lines.push(format!("more: {}", commands.explain(planned.name.as_str())));
    text::lines(&lines.join("\n"))
}
