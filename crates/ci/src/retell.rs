//! The events from which a run's state follows, made from that state: for a journal that another process destroyed.

use super::event::{Event, Stamped};
use super::run::{InFlight, JobState, Run};
use drydock_base::units::JobName;

/// Events that replay to the same state. Only the order of what different jobs did at a time is another one.
pub fn events(run: &Run) -> Vec<Stamped> {
    let mut events = Events(Vec::new());
    let began = run.began.unwrap_or(run.session_began);
    // The first event gives the run its beginning, which a resumed run had before this process.
    events.add(began, Event::Samples { jobs: Vec::new(), available: None });
    if let Some(started) = &run.started {
        events.add(run.session_began, Event::RunStarted(started.clone()));
    }
    for shard in &run.shards {
        events.add(run.session_began, Event::Shard(Box::new(shard.clone())));
    }
    for (began, ended, why) in &run.earlier_pauses {
        events.add(*began, Event::AdmissionPaused { because: Some(why.clone()) });
        events.add(*ended, Event::AdmissionPaused { because: None });
    }
    if let Some((began, _, why)) = run.pauses().last().filter(|_| run.paused.is_some()) {
        events.add(*began, Event::AdmissionPaused { because: Some(why.clone()) });
    }
    for (at, bytes) in &run.available {
        events.add(*at, Event::Samples { jobs: Vec::new(), available: Some(*bytes) });
    }
    for (planned, state) in run.plan.jobs.iter().zip(&run.jobs) {
        events.job(&planned.name, state, run.last);
    }
    for text in &run.warnings {
        events.add(run.session_began, Event::Warning { text: text.clone() });
    }
    if let Some(signal) = run.interrupted {
        events.add(run.last, Event::Interrupted { signal });
    }
    if let Some(result) = run.result {
        events.add(run.last, Event::RunEnded { result });
    }
    events.add(run.last, Event::Samples { jobs: Vec::new(), available: None });
    events.0
}

struct Events(Vec<Stamped>);

impl Events {
    fn add(&mut self, at: i64, event: Event) {
        self.0.push(Stamped { at, event });
    }

    fn job(&mut self, job: &JobName, state: &JobState, last: i64) {
        if let (Some(from), Some(result)) = (&state.carried_from, &state.result) {
            let (from, result, attempts) = (from.clone(), result.clone(), state.attempts.clone());
            self.add(last, Event::Carried { from, job: job.clone(), result, attempts });
            return;
        }
        let none = Vec::new();
        let samples = state.samples.iter().chain(std::iter::repeat(&none));
        for (record, samples) in state.attempts.iter().zip(samples) {
            self.starting(record.started, job, record.number, record.conditions.clone(), None);
            self.samples(job, samples);
            self.add(record.ended, Event::AttemptEnded { job: job.clone(), record: Box::new(record.clone()) });
        }
        if let Some(flight) = &state.in_flight {
            self.in_flight(job, flight);
        }
        if let Some(result) = &state.result {
            self.add(last, Event::JobSettled { job: job.clone(), result: result.clone() });
        }
    }

    fn in_flight(&mut self, job: &JobName, flight: &InFlight) {
        let start = &flight.start;
        self.starting(flight.began, job, start.attempt, start.conditions.clone(), start.group.clone());
        if let Some((pid, ticks)) = flight.process {
            self.add(flight.began, Event::AttemptStarted { job: job.clone(), attempt: start.attempt, pid, ticks });
        }
        self.samples(job, &flight.samples);
        if let Some(reason) = flight.intent {
            // The number of the signal is of no account by now.
            let event = Event::KillIntent { job: job.clone(), attempt: start.attempt, reason, signal: 0 };
            self.add(flight.began, event);
        }
    }

    fn starting(
        &mut self,
        at: i64,
        job: &JobName,
        attempt: u32,
        conditions: super::conditions::Conditions,
        group: Option<String>,
    ) {
        let starting = super::event::AttemptStarting { job: job.clone(), attempt, conditions, group };
        self.add(at, Event::AttemptStarting(starting));
    }

    fn samples(&mut self, job: &JobName, samples: &[(i64, u64)]) {
        for (at, bytes) in samples {
            self.add(*at, Event::Samples { jobs: vec![(job.clone(), *bytes)], available: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Capacity;
    use crate::conditions::Conditions;
    use crate::event::{AttemptRecord, AttemptStarting, JobResult, Measured, RunResult, RunStarted};
    use crate::evidence::{End, Evidence, KillReason};
    use crate::plan::{FORMAT, Plan, PlannedJob};

    /// What a resumed run may hold: results of all kinds, a carried one, pauses, an attempt in flight.
    fn told() -> Vec<Stamped> {
        let name = |job: &str| job.parse::<JobName>().unwrap();
        let started = |resumed| {
            Event::RunStarted(RunStarted {
                id: "r".into(),
                version: "0.1.0".into(),
                containment: "none".into(),
                group: None,
                capacity: Capacity { slots: 2, slots_source: "a".into(), memory: 1, memory_source: "b".into() },
                resumed,
                reruns: None,
                valgrind: None,
                revision: None,
                cores: None,
                shard: None,
            })
        };
        let starting = |job: &str, attempt| {
            let (conditions, group) = (Conditions::default(), Some("0-1".into()));
            Event::AttemptStarting(AttemptStarting { job: name(job), attempt, conditions, group })
        };
        let ended = |job: &str, number, started, ended| {
            let measured = Measured { started, ended, peak: Some(3), cpu_ms: Some(2), ..Measured::default() };
            let evidence = Evidence::new(End::Exited { code: 1 });
            let record = Box::new(AttemptRecord::new(number, Conditions::default(), evidence, measured));
            Event::AttemptEnded { job: name(job), record }
        };
        let sample = |job: &str, bytes| Event::Samples { jobs: vec![(name(job), bytes)], available: None };
        let settled = |job: &str, result| Event::JobSettled { job: name(job), result };
        let attempts = match ended("carried", 1, 1, 2) {
            Event::AttemptEnded { record, .. } => vec![*record],
            _ => Vec::new(),
        };
        let carried = Event::Carried { from: "q".into(), job: name("carried"), result: JobResult::Failed, attempts };
        let cancel = KillReason::Cancel;
        let events = [
            (10, started(false)),
            (11, carried),
            (12, Event::Warning { text: "one".into() }),
            (20, starting("failed", 1)),
            (21, sample("failed", 7)),
            (22, Event::Samples { jobs: Vec::new(), available: Some(99) }),
            (23, ended("failed", 1, 20, 23)),
            (24, starting("failed", 2)),
            (25, sample("failed", 8)),
            (26, ended("failed", 2, 24, 26)),
            (26, settled("failed", JobResult::Failed)),
            (30, Event::AdmissionPaused { because: Some("memory".into()) }),
            (31, Event::AdmissionPaused { because: None }),
            (32, settled("left", JobResult::NotRun { because: "it needs failed".into() })),
            (40, started(true)),
            (41, starting("flying", 1)),
            (42, Event::AttemptStarted { job: name("flying"), attempt: 1, pid: 5, ticks: 6 }),
            (43, sample("flying", 9)),
            (44, Event::KillIntent { job: name("flying"), attempt: 1, reason: cancel, signal: 15 }),
            (45, settled("left", JobResult::Cancelled)),
            (46, Event::AdmissionPaused { because: Some("stalled".into()) }),
            (47, Event::Interrupted { signal: 2 }),
            (48, Event::RunEnded { result: RunResult::Interrupted }),
        ];
        events.into_iter().map(|(at, event)| Stamped { at, event }).collect()
    }

    #[test]
    fn the_retold_events_replay_to_the_same_state_at_every_moment() {
        let jobs = ["carried", "failed", "left", "flying"].map(|name| PlannedJob::plain(name, name, &[]));
        let plan = Plan {
            format: FORMAT,
            project: "/p".into(),
            declaration: "/p/ci/jobs.yaml".into(),
            partial: false,
            lists: std::collections::BTreeMap::new(),
            jobs: jobs.into(),
        };
        let told = told();
        // A journal begins with the start of the run.
        for count in 1..=told.len() {
            let run = Run::replay(plan.clone(), &told[..count]);
            let again = Run::replay(plan.clone(), &events(&run));
            let text = |run: &Run| {
                // The index of names is a map without an order.
                let text = format!("{run:#?}");
                text.split("    index: {").next().unwrap_or_default().to_owned()
            };
            assert_eq!(text(&run), text(&again), "after {count} events");
        }
    }
}
