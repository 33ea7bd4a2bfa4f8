//! `ci explain JOB`: the attempts of a job, with every source of evidence and its content.

use std::fmt::Write as _;
use std::time::Duration;

use super::commands::{self, Commands};
use super::findings::{self, Causes};
use crate::event::{AttemptRecord, JobResult};
use crate::evidence::{End, Evidence, Reading};
use crate::log::excerpt;
use crate::plan::PlannedJob;
use crate::run::{JobState, Run};
use drydock_base::exec;
use drydock_base::paths::RunDir;
use drydock_base::text;
use drydock_base::units::{self, ByteSize};

/// The text for one job of a run.
pub fn render(run: &Run, dir: &RunDir, causes: &Causes<'_>, commands: &Commands, position: usize) -> String {
    let mut text = String::new();
    if let (Some(planned), Some(job)) = (run.plan.jobs.get(position), run.jobs.get(position)) {
        let explained = Explained { run, dir, causes, commands, position, planned, job };
        // Writing into a text cannot fail.
        explained.write(&mut text).ok();
    }
    text
}

/// One job of a run.
struct Explained<'a> {
    run: &'a Run,
    dir: &'a RunDir,
    causes: &'a Causes<'a>,
    commands: &'a Commands,
    position: usize,
    planned: &'a PlannedJob,
    job: &'a JobState,
}

impl Explained<'_> {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Explained { run, dir, position, planned, job, .. } = *self;
        let result = job.result.as_ref().map_or("unsettled", JobResult::word);
        writeln!(text, "{}: {result} in run {}", planned.name, dir.id())?;
        writeln!(text, "  command  {}", exec::paste(&planned.argv))?;
        let by_suite = match (planned.tool.by_suite, planned.tool.recognised) {
            (true, true) => ", which the command starts itself (recognised, as if `valgrind: by-suite` were declared)",
            (true, false) => ", which the command starts itself",
            (false, _) => "",
        };
        writeln!(text, "  tool     {}{by_suite}", planned.tool.kind.name())?;
        if let Some(native) = planned.native() {
            writeln!(text, "  without {}: {}", native.without.name(), native.because)?;
        }
        if let Some(JobResult::NotRun { because }) = &job.result {
            writeln!(text, "  not run because {because}")?;
        }
        if let Some(from) = &job.carried_from {
            writeln!(text, "  carried over from run {from}")?;
        }
        if let Some(flight) = &job.in_flight {
            write!(
                text,
                "  attempt {} has begun, but its end was not recorded: it is still running, or it was lost",
                flight.start.attempt
            )?;
            let settle = self.commands.is_last.then(|| format!("; run `{}` to settle it", commands::resume()));
            writeln!(text, "{}", settle.unwrap_or_default())?;
        }
        for record in &job.attempts {
            self.write_attempt(text, record)?;
            let log = run.attempt_dir(dir, position, record.number).join("log");
            let missing = if log.exists() { "" } else { "  (deleted since)" };
            writeln!(text, "  log      {}{missing}", log.display())?;
            if !record.verdict.outcome.is_pass() {
                for line in excerpt(&log, 20) {
                    writeln!(text, "    │ {line}")?;
                }
            }
        }
        Ok(())
    }

    fn write_attempt(&self, text: &mut String, record: &AttemptRecord) -> std::fmt::Result {
        let Explained { run, planned, .. } = *self;
        let verdict = &record.verdict;
        let time = units::human(Duration::from_millis(record.duration_ms()));
        let peak = record.peak.map_or_else(|| "not measured".into(), |peak| ByteSize::new(peak).to_string());
        writeln!(
            text,
            "\nattempt {}: {} (confidence {:.2})",
            record.number,
            verdict.outcome.describe(),
            verdict.confidence
        )?;
        if let Some(reason) = &record.conditions.retry_reason {
            writeln!(text, "  retried because {reason}")?;
        }
        let cpu = record
            .cpu_ms
            .map_or_else(String::new, |ms| format!(", {} of CPU time", units::human(Duration::from_millis(ms))));
        writeln!(
            text,
            "  ran for {time} of at most {}{cpu}, {}",
            units::human(planned.timeout),
            record.conditions.describe()
        )?;
        writeln!(text, "  memory   peak {peak}")?;
        if let Some(heap) = &record.evidence.heap {
            let most = heap.largest_site.as_ref().map_or_else(String::new, |site| format!(", most by {site}"));
            writeln!(text, "  heap     peak {}{most}", heap.peak)?;
        }
        if let Some(profile) = &record.evidence.allocations {
            writeln!(text, "  heap     {}", profile.largest.line())?;
            for site in &profile.largest.sites {
                writeln!(text, "    {}, {} at the peak", site.line(), site.at_peak)?;
            }
        }
        writeln!(text, "  why")?;
        for reason in &verdict.reasons {
            writeln!(text, "    + {reason}")?;
        }
        for reason in &verdict.ruled_out {
            writeln!(text, "    - {reason}")?;
        }
        self.write_findings(text, record)?;
        if !verdict.outcome.is_pass() {
            write_sources(text, run, &record.evidence)?;
        }
        if let Some(advice) = self.commands.advice(planned, verdict) {
            writeln!(text, "  to do    {advice}")?;
        }
        Ok(())
    }

    fn write_findings(&self, text: &mut String, record: &AttemptRecord) -> std::fmt::Result {
        let Some(valgrind) = &record.evidence.valgrind else { return Ok(()) };
        for (id, finding) in Run::findings_of(self.position, record) {
            let id = self.causes.get(id).map_or("", |cause| cause.id.as_str());
            findings::write_whole(text, id, finding, &self.run.plan.project)?;
        }
        let dropped = valgrind.findings.saturating_sub(valgrind.first.len() as u64);
        if dropped > 0 {
            let further = text::plural(usize::try_from(dropped).unwrap_or(usize::MAX), "further finding");
            let were = if dropped == 1 { "was" } else { "were" };
            writeln!(text, "  {further} {were} counted and not kept; the attempt's XML files have what is missing")?;
        }
        let mut ids: Vec<&str> = Run::findings_of(self.position, record)
            .filter_map(|(id, _)| Some(self.causes.get(id)?.id.as_str()))
            .collect();
        ids.dedup();
        if let Some(id) = ids.first() {
            let which = if ids.len() > 1 { "to suppress the first" } else { "to suppress it" };
            writeln!(text, "  {which}: {}", self.commands.suppress(id))?;
        }
        let checked = usize::try_from(valgrind.complete).unwrap_or(usize::MAX);
        let processes =
            if checked == 1 { "1 process to its end".into() } else { format!("{checked} processes to their end") };
        writeln!(text, "  checked  {processes}")?;
        for why in &valgrind.incomplete {
            writeln!(text, "    not completely: {why}")?;
        }
        match valgrind.cut_around.as_slice() {
            [] => {}
            [why] => writeln!(text, "    a program of the system, not completely: {why}")?,
            [why, ..] => {
                let count = valgrind.cut_around.len();
                writeln!(text, "    {count} programs of the system, not completely, such as {why}")?;
            }
        }
        match valgrind.stubs {
            0 => {}
            1 => writeln!(
                text,
                "    1 process left only the beginning of a log: it ran exec on a program that is not traced, or was killed early"
            )?,
            count => writeln!(
                text,
                "    {count} processes left only the beginning of a log: they ran exec on programs that are not traced, or were \
                 killed early"
            )?,
        }
        let suite = record.evidence.suite.iter();
        let lost = suite.clone().flat_map(|suite| &suite.unlogged).chain(valgrind.unknown()).cloned();
        for why in lost.chain(suite.clone().flat_map(|suite| suite.unchecked())) {
            writeln!(text, "    not checked: {why}")?;
        }
        for (name, count) in valgrind.used.iter().take(20) {
            writeln!(text, "    suppression used {}: {name}", text::times(*count))?;
        }
        Ok(())
    }
}

pub(super) fn write_sources(text: &mut String, run: &Run, evidence: &Evidence) -> std::fmt::Result {
    writeln!(text, "  evidence")?;
    let containment = run.started.as_ref().map_or("none", |started| started.containment.as_str());
    let group = match &evidence.group {
        Reading::Read(group) => format!(
            "oom_kill {}, limit hits {}, peak {}, limit {}",
            group.oom_kill,
            group.limit_hits,
            group.peak.map_or_else(|| "unknown".into(), |peak| ByteSize::new(peak).to_string()),
            group.limit.map_or_else(|| "none".into(), |limit| ByteSize::new(limit).to_string())
        ),
        Reading::Unreadable(why) => format!("could not be read: {why}"),
        Reading::Absent => format!("the job had none (containment {containment})"),
    };
    writeln!(text, "    cgroup         {group}")?;
    let host = match &evidence.host {
        Reading::Read(host) => format!(
            "oom_kill {} before, {} after; {} around the death, {} explained elsewhere",
            host.before, host.after, host.around_death, host.explained_elsewhere
        ),
        Reading::Unreadable(why) => format!("could not be read: {why}"),
        Reading::Absent => "absent".into(),
    };
    writeln!(text, "    /proc/vmstat   {host}")?;
    let kernel = match &evidence.kernel {
        Reading::Read(kills) if kills.is_empty() => "names no process of this job".into(),
        Reading::Read(kills) => {
            kills.iter().map(|kill| format!("killed pid {} ({})", kill.pid, kill.comm)).collect::<Vec<_>>().join("; ")
        }
        Reading::Unreadable(why) => format!("could not be read: {why}"),
        Reading::Absent => match evidence.end {
            End::NotStarted { .. } => "not read: nothing was started".into(),
            End::Exited { code } if evidence.expects(code) => format!("not read: exit code {code} is the expected one"),
            End::Exited { .. } | End::Signaled { .. } | End::NoRecord => "none on this machine".into(),
        },
    };
    writeln!(text, "    kernel log     {kernel}")?;
    let userspace = match &evidence.userspace {
        Reading::Read(kills) if kills.is_empty() => "earlyoom and systemd-oomd name no process of this job".into(),
        Reading::Read(kills) => kills.iter().map(|kill| kill.message.clone()).collect::<Vec<_>>().join("; "),
        Reading::Unreadable(why) => format!("could not be read: {why}"),
        Reading::Absent => "no journal of userspace killers".into(),
    };
    writeln!(text, "    journal        {userspace}")?;
    if let Some(available) = evidence.memory.available {
        let pressure =
            evidence.memory.pressure.map_or_else(String::new, |pressure| format!(", pressure {pressure:.1} %"));
        writeln!(text, "    machine        at least {} available{pressure}", ByteSize::new(available))?;
    }
    if !evidence.neighbours.is_empty() {
        writeln!(text, "  memory at that moment")?;
        for job in evidence.neighbours.iter().take(10) {
            let own = if job.own { "  (this job)" } else { "" };
            let (bytes, reserved) = (ByteSize::new(job.bytes).to_string(), ByteSize::new(job.reserved));
            writeln!(text, "    {bytes:>9} of {reserved} reserved  {}{own}", job.job)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::plan_of;

    #[test]
    fn why_the_kernel_log_was_not_read_fits_the_end() {
        let run = Run::new(plan_of(Vec::new()));
        let told = |end: End| {
            let mut text = String::new();
            write_sources(&mut text, &run, &Evidence::new(end)).unwrap();
            text.lines().find_map(|line| line.strip_prefix("    kernel log     ")).unwrap().to_owned()
        };
        assert_eq!(told(End::NotStarted { error: "x".into(), unlisted: false }), "not read: nothing was started");
        assert_eq!(told(End::Exited { code: 0 }), "not read: exit code 0 is the expected one");
        assert_eq!(told(End::Exited { code: 1 }), "none on this machine");
    }
}
