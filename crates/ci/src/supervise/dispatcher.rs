//! The dispatcher: the choice of the next job, the decision after an attempt, and the record of both.

use std::collections::HashMap;
use std::time::Instant;

use super::Recorder;
use super::attempt::Attempt;
use crate::capacity::Capacity;
use crate::conditions::Conditions;
use crate::event::{AttemptRecord, Event, JobResult};
use crate::plan::Plan;
use crate::report::Live;
use crate::retry::{self, Next};
use crate::schedule::{Demand, Prediction, Progress, Safety, Schedule, Start};

/// The schedule with the conditions of retries and the run's record, which change together.
pub struct Dispatcher<'a> {
    pub(super) plan: &'a Plan,
    schedule: Schedule,
    /// The conditions of jobs that are retried, by position in the plan.
    retries: HashMap<usize, Conditions>,
    pub(super) recorder: Recorder<'a>,
    stopped: bool,
}

impl<'a> Dispatcher<'a> {
    /// A dispatcher over the recorder's run. Jobs that are settled there are not run, and settled jobs that lost
    /// attempts leave are recorded; attempts that call for a retry are followed by one.
    pub fn new(plan: &'a Plan, schedule: Schedule, recorder: Recorder<'a>) -> Dispatcher<'a> {
        let mut this = Dispatcher { plan, schedule, retries: HashMap::new(), recorder, stopped: false };
        for position in 0..plan.jobs.len() {
            this.take_over(position);
        }
        this
    }

    fn take_over(&mut self, position: usize) {
        let state = &self.recorder.run.jobs[position];
        if let Some(result) = state.result.clone() {
            self.settle_beforehand(position, &result);
            return;
        }
        if state.attempts.is_empty() {
            return;
        }
        match retry::next(&self.plan.jobs[position], &state.attempts, self.schedule.limits()) {
            // A cancelled attempt was the run's doing, not the job's: another one follows.
            Next::Settle(JobResult::Cancelled) => {}
            Next::Retry(conditions) => self.retry(position, conditions),
            Next::Settle(result) => self.record_settled_beforehand(position, result),
        }
    }

    /// Settles jobs that are known to need more memory than there is, and those that their suite does not run.
    pub fn settle_unrunnable(&mut self, predictions: &[Prediction], capacity: &Capacity) {
        for (position, prediction) in predictions.iter().enumerate() {
            let state = &self.recorder.run.jobs[position];
            if state.result.is_some() || !state.attempts.is_empty() {
                continue;
            }
            if let Some(because) = self.plan.jobs[position].disabled().map(str::to_owned) {
                self.record_settled_beforehand(position, JobResult::Skipped { because });
                continue;
            }
            if let Some(because) = prediction.refusal(capacity) {
                self.record_settled_beforehand(position, JobResult::NotRun { because });
            }
        }
    }

    fn record_settled_beforehand(&mut self, position: usize, result: JobResult) {
        self.emit_settled(position, result.clone());
        self.settle_beforehand(position, &result);
    }

    fn settle_beforehand(&mut self, position: usize, result: &JobResult) {
        let never = self.schedule.settle_beforehand(position, result, self.plan.jobs[position].name.as_str());
        self.record_never(never);
    }

    /// The next job to start, if one may start and `room` admits its reservation.
    pub(super) fn next(&mut self, room: &mut dyn FnMut(Demand, Safety) -> bool) -> Option<Start> {
        self.schedule.start_next(room)
    }

    /// `true` if the run goes on with the lists of tests that can be made now.
    pub(super) fn awaits_list(&self) -> bool {
        self.schedule.awaits_list()
    }

    /// The conditions of a job that starts now.
    pub(super) fn conditions(&self, start: Start) -> Conditions {
        let Start { job, demand, exclusive } = start;
        let (reservation, deviation) = (demand.reservation(), demand.deviation);
        Conditions { reservation, deviation, exclusive, ..self.retries.get(&job).cloned().unwrap_or_default() }
    }

    /// Takes note of the last sample of a running attempt. Returns the peak that is expected of it now.
    pub(super) fn observe(&mut self, attempt: &Attempt) -> Demand {
        let elapsed_ms = u64::try_from(attempt.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_past = self.schedule.peak_past_ms(attempt.job).is_some_and(|past| elapsed_ms >= past);
        // Learned peaks have spikes that no sample shows, so one that is past is what the kernel measured.
        let measured = if is_past { attempt.group.peak(attempt.group.highest()) } else { None };
        let used = attempt.highest.max(measured.unwrap_or(0));
        self.schedule.observe(attempt.job, Progress { elapsed_ms, used })
    }

    /// The number of the job's last attempt; 0 before the first.
    pub(super) fn last_attempt(&self, job: usize) -> u32 {
        self.recorder.run.jobs[job].attempts.last().map_or(0, |attempt| attempt.number)
    }

    /// Takes a start back that could not be made.
    pub(super) fn take_back(&mut self, start: Start) {
        self.schedule.requeue(start);
    }

    fn retry(&mut self, position: usize, conditions: Conditions) {
        let demand = conditions.demand();
        self.schedule.requeue(Start { job: position, demand, exclusive: conditions.exclusive });
        self.retries.insert(position, conditions);
    }

    /// Records an ended attempt, and settles or requeues the job.
    pub(super) fn attempt_ended(&mut self, position: usize, record: AttemptRecord) {
        let job = &self.plan.jobs[position];
        self.recorder.emit(Event::AttemptEnded { job: job.name.clone(), record: Box::new(record) });
        match retry::next(job, &self.recorder.run.jobs[position].attempts, self.schedule.limits()) {
            Next::Retry(conditions) if !self.stopped => self.retry(position, conditions),
            Next::Retry(_) => self.settle(position, JobResult::Cancelled),
            Next::Settle(result) => self.settle(position, result),
        }
    }

    fn settle(&mut self, position: usize, result: JobResult) {
        let never = self.schedule.settle(position, &result, self.plan.jobs[position].name.as_str());
        self.emit_settled(position, result);
        self.record_never(never);
    }

    /// Starts no further job.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.schedule.stop();
    }

    /// Records the reason for every job that was never started.
    pub(super) fn leave_unstarted(&mut self, because: &str) {
        let never = self.schedule.unstarted().into_iter().map(|job| (job, because.to_owned())).collect();
        self.record_never(never);
    }

    fn record_never(&mut self, never: Vec<(usize, String)>) {
        for (position, because) in never {
            self.emit_settled(position, JobResult::NotRun { because });
        }
    }

    fn emit_settled(&mut self, position: usize, result: JobResult) {
        self.recorder.emit(Event::JobSettled { job: self.plan.jobs[position].name.clone(), result });
    }

    /// The running jobs, the longest first.
    pub(super) fn live(&self, running: &[Attempt], now: Instant) -> Vec<Live> {
        let mut live: Vec<Live> = running
            .iter()
            .map(|attempt| Live {
                job: self.plan.jobs[attempt.job].name.clone(),
                elapsed: now.duration_since(attempt.began),
                bytes: attempt.usage,
                ending: attempt.intent.is_some() || attempt.end.is_some(),
            })
            .collect();
        live.sort_by_key(|job| std::cmp::Reverse(job.elapsed));
        live
    }

    pub(super) fn warn(&mut self, text: String) {
        self.recorder.emit(Event::Warning { text });
    }
}
