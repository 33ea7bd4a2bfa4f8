//! What the loop measures and shows while jobs run.

use std::time::Instant;

use super::{JOURNAL_SAMPLES, Loop, SAMPLE, SAMPLE_SHARE, adopt};
use crate::event::Event;
use crate::report::Live;

impl Loop<'_> {
    /// Takes a sample of every job and of the machine.
    pub(super) fn sample(&mut self, now: Instant) {
        for attempt in &mut self.running {
            attempt.sample();
        }
        self.memory.sample();
        self.guard.sample(Instant::now());
        adopt::reap(&self.running);
        let took = now.elapsed();
        self.next_sample = now + SAMPLE.max(took * SAMPLE_SHARE);
        if now >= self.next_journal {
            self.next_journal = now + JOURNAL_SAMPLES;
            let plan = self.plan;
            let jobs =
                self.running.iter().map(|attempt| (plan.jobs[attempt.job].name.clone(), attempt.usage)).collect();
            self.recorder.emit(Event::Samples { jobs, available: self.memory.available() });
        }
    }

    /// The running jobs, the longest first.
    pub(super) fn live(&self, now: Instant) -> Vec<Live> {
        let mut live: Vec<Live> = self
            .running
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
}
