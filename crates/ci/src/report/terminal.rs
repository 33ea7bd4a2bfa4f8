//! Progress of a run: live lines on a terminal, or one line for each finished job in a log.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Live;
use crate::event::{AttemptRecord, Event, JobResult, Stamped};
use crate::outcome::Outcome;
use crate::run::Run;
use crate::schedule::Prediction;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::text::plural;
use drydock_base::units::{self, ByteSize, JobName};

/// Live lines for this many running jobs; more are counted.
const MOST_LINES: usize = 12;

/// Progress on standard error.
pub struct Terminal {
    live: Option<Bars>,
    began: Instant,
    /// Expected milliseconds of all jobs of the plan, where history knows them.
    expected: Vec<Option<u64>>,
    slots: u32,
    quiet: bool,
    silent: bool,
    /// Jobs that will not run and are not shown yet, by reason: many wait for one that failed.
    not_run: Vec<(String, Vec<JobName>)>,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    jobs: Vec<ProgressBar>,
}

impl Terminal {
    /// Live lines when standard error is a terminal and they are wanted. `quiet` shows only what did not pass.
    /// `predictions` are in the plan's order.
    pub fn new(predictions: &[Prediction], slots: u32, live: bool, quiet: bool) -> Terminal {
        let expected = predictions.iter().map(|prediction| prediction.duration_ms).collect();
        let live = (live && std::io::stderr().is_terminal()).then(Bars::new);
        Terminal { live, began: Instant::now(), expected, slots, quiet, silent: false, not_run: Vec::new() }
    }

    /// Shows nothing.
    pub fn silent() -> Terminal {
        Terminal { silent: true, ..Terminal::new(&[], 1, false, true) }
    }

    fn line(&self, text: &str) {
        match &self.live {
            Some(bars) => {
                // The terminal may be gone.
                bars.all.println(output::on_terminal(text)).ok();
            }
            None if self.silent => {}
            None => output::err(format_args!("{text}")),
        }
    }

    /// Keeps a job that will not run until [`Terminal::show_not_run`].
    fn keep_not_run(&mut self, job: &JobName, because: &str) {
        match self.not_run.iter_mut().find(|(reason, _)| reason == because) {
            Some((_, jobs)) => jobs.push(job.clone()),
            None => self.not_run.push((because.to_owned(), vec![job.clone()])),
        }
    }

    fn show_not_run(&mut self) {
        for (because, jobs) in std::mem::take(&mut self.not_run) {
            self.line(&format!("{:>9} {:>8} {:>9}  {}", "not run", "", "", not_run(&because, &jobs)));
        }
    }

    fn ended(&self, job: &JobName, record: &AttemptRecord) {
        let outcome = &record.verdict.outcome;
        if self.quiet && (outcome.is_pass() || outcome.is_skip()) {
            return;
        }
        let word = match outcome {
            Outcome::Passed => "pass",
            Outcome::Skipped { .. } => "skip",
            Outcome::NothingTested { .. } => "NO-TEST",
            Outcome::Failed { .. } => "FAIL",
            Outcome::Findings { .. } => "FINDINGS",
            Outcome::Crashed { .. } => "CRASH",
            Outcome::OutOfMemory { .. } => "OOM",
            Outcome::AllocationFailure => "NO-ALLOC",
            Outcome::TimedOut => "TIMEOUT",
            Outcome::KilledFromOutside { .. } => "KILLED",
            Outcome::OverBudget { .. } => "HEAP",
            Outcome::DiskFull => "DISK",
            Outcome::Cancelled => "cancel",
            Outcome::FailedToStart { .. } => "NO-START",
            Outcome::Lost => "LOST",
        };
        let memory = record.peak.map_or_else(|| "-".into(), |peak| ByteSize::new(peak).to_string());
        let time = units::human(Duration::from_millis(record.duration_ms()));
        let mut text = format!("{word:>9} {time:>8} {memory:>9}  {job}");
        if record.number > 1 {
            text.push_str(&format!(" (attempt {})", record.number));
        }
        if !outcome.is_pass() {
            let why = match outcome {
                // The exit code is not what decided.
                Outcome::Failed { .. } if record.evidence.test.as_ref().is_some_and(|test| test.says_why()) => {
                    record.verdict.reasons.first().cloned()
                }
                _ => None,
            };
            text.push_str(&format!("  {}", why.unwrap_or_else(|| outcome.describe())));
        }
        if !record.evidence.leftovers.is_empty() {
            let left: Vec<String> =
                record.evidence.leftovers.iter().take(3).map(|left| format!("{} {}", left.pid, left.command)).collect();
            text.push_str(&format!("  left {} behind: {}", record.evidence.leftovers.len(), left.join("; ")));
        }
        self.line(&text);
    }

    /// The time left: the expected times of the unsettled jobs, spread over the slots; never less than the longest.
    fn estimate(&self, run: &Run, live: &[Live]) -> Option<Duration> {
        let mut sum = 0_u64;
        let mut longest = 0_u64;
        for (position, job) in run.jobs.iter().enumerate().filter(|(_, job)| job.result.is_none()) {
            let expected = self.expected.get(position).copied().flatten()?;
            let name = &run.plan.jobs[position].name;
            let elapsed = match &job.in_flight {
                Some(_) => live.iter().find(|live| live.job == *name).map_or(0, |live| live.elapsed.as_millis()),
                None => 0,
            };
            let left = expected.saturating_sub(u64::try_from(elapsed).unwrap_or(u64::MAX));
            sum = sum.saturating_add(left);
            longest = longest.max(left);
        }
        Some(Duration::from_millis(longest.max(sum / u64::from(self.slots.max(1)))))
    }
}

impl Terminal {
    /// Prints an event; `run` already includes its effect.
    pub fn event(&mut self, stamped: &Stamped, run: &Run) {
        if !matches!(stamped.event, Event::JobSettled { .. }) {
            self.show_not_run();
        }
        match &stamped.event {
            Event::RunStarted(started) => {
                let verb = if started.resumed { "resumes" } else { "starts" };
                self.line(&format!(
                    "run {} {verb}: {}, containment {}",
                    started.id,
                    plural(run.plan.jobs.len(), "job"),
                    started.containment
                ));
                self.line(&format!(
                    "    {} at a time, {} of memory ({})",
                    started.capacity.slots,
                    ByteSize::new(started.capacity.memory),
                    started.capacity.memory_source
                ));
            }
            Event::AttemptEnded { job, record } => self.ended(job, record),
            // After an interruption the summary counts them in one line.
            Event::JobSettled { job, result: JobResult::NotRun { because } }
                if !self.quiet && run.interrupted.is_none() =>
            {
                self.keep_not_run(job, because);
            }
            Event::AdmissionPaused { because: Some(because) } => self.line(&format!("  new jobs wait: {because}")),
            Event::Warning { text } => self.line(&format!("  warning: {}", hint::shown(text))),
            Event::Interrupted { signal } => self.line(&format!(
                "  {} received: ending the running jobs; once more kills them at once",
                crate::outcome::signal_name(*signal)
            )),
            Event::RunEnded { .. } => {
                if let Some(bars) = self.live.take() {
                    bars.clear();
                }
            }
            Event::Surroundings(_)
            | Event::Shard(_)
            | Event::Carried { .. }
            | Event::AttemptStarting(_)
            | Event::AttemptStarted { .. }
            | Event::Samples { .. }
            | Event::KillIntent { .. }
            | Event::AdmissionPaused { because: None }
            | Event::JobSettled { .. } => {}
        }
    }

    /// Draws live progress, where there is any.
    pub fn progress(&mut self, live: &[Live], run: &Run) {
        self.show_not_run();
        let left = self.estimate(run, live);
        let elapsed = self.began.elapsed();
        if let Some(bars) = &mut self.live {
            bars.draw(live, run, elapsed, left);
        }
    }
}

impl Bars {
    fn new() -> Bars {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(0).with_style(style()));
        Bars { all, total, jobs: Vec::new() }
    }

    fn draw(&mut self, live: &[Live], run: &Run, elapsed: Duration, left: Option<Duration>) {
        let shown = live.len().min(MOST_LINES);
        while self.jobs.len() < shown {
            self.jobs.push(self.all.insert_before(&self.total, ProgressBar::new(0).with_style(style())));
        }
        while self.jobs.len() > shown {
            if let Some(bar) = self.jobs.pop() {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
        }
        for (bar, job) in self.jobs.iter().zip(live) {
            let ending = if job.ending { "  ending" } else { "" };
            let time = units::human(Duration::from_secs(job.elapsed.as_secs()));
            bar.set_message(format!(
                "{:>9} {time:>8} {:>9}  {}{ending}",
                "running",
                ByteSize::new(job.bytes).to_string(),
                job.job
            ));
            bar.tick();
        }
        let count = |wanted: fn(&JobResult) -> bool| {
            run.jobs.iter().filter(|job| job.result.as_ref().is_some_and(wanted)).count()
        };
        let passed = count(JobResult::lets_others_run);
        let settled = run.jobs.iter().filter(|job| job.result.is_some()).count();
        let left = left.map_or_else(String::new, |left| {
            format!(", about {} left", units::human(Duration::from_secs(left.as_secs())))
        });
        let more = live.len().saturating_sub(shown);
        let more = if more > 0 { format!(" ({more} more not shown)") } else { String::new() };
        self.total.set_message(format!(
            "{settled} of {} jobs done, {} not passed, {} running{more}; {}{left}",
            run.jobs.len(),
            settled - passed,
            live.len(),
            units::human(Duration::from_secs(elapsed.as_secs())),
        ));
        self.total.tick();
    }

    fn clear(self) {
        for bar in &self.jobs {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
        // The terminal may be gone.
        self.all.clear().ok();
    }
}

/// The jobs that will not run for one reason, in words.
fn not_run(because: &str, jobs: &[JobName]) -> String {
    match (jobs, because.strip_prefix("it needs ")) {
        ([job], _) => format!("{job}  {because}"),
        (_, Some(needed)) => format!("{}: they need {needed}", plural(jobs.len(), "job")),
        (_, None) => {
            let names: Vec<&str> = jobs.iter().take(3).map(JobName::as_str).collect();
            let more = if jobs.len() > names.len() { " …" } else { "" };
            format!("{}, {}{more}: {because}", plural(jobs.len(), "job"), names.join(", "))
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlannedJob;
    use crate::tests::plan_of;

    #[test]
    fn jobs_that_do_not_run_for_one_reason_are_one_line() {
        let names: Vec<JobName> = ["units/a", "units/b", "units/c", "units/d"].map(|name| name.parse().unwrap()).into();
        let because = "it needs build, which did not pass";
        assert_eq!(not_run(because, &names[..1]), "units/a  it needs build, which did not pass");
        assert_eq!(not_run(because, &names), "4 jobs: they need build, which did not pass");
        assert_eq!(not_run("no room", &names), "4 jobs, units/a, units/b, units/c …: no room");

        let jobs = names.iter().map(|name| PlannedJob::plain(name.as_str(), "units", &[])).collect();
        let run = Run::new(plan_of(jobs));
        let mut terminal = Terminal::new(&[], 1, false, false);
        for name in &names {
            let result = JobResult::NotRun { because: because.to_owned() };
            let event = Event::JobSettled { job: name.clone(), result };
            terminal.event(&Stamped { at: 0, event }, &run);
        }
        assert_eq!(terminal.not_run, [(because.to_owned(), names)]);
        terminal.silent = true;
        terminal.event(&Stamped { at: 0, event: Event::AdmissionPaused { because: None } }, &run);
        assert!(terminal.not_run.is_empty());
    }
}
