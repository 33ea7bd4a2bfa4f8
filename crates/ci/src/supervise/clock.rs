//! The moments at which the supervisor samples memory, journals samples and draws progress.

use std::time::{Duration, Instant};

/// The shortest time between two samples of memory.
const SAMPLE: Duration = Duration::from_millis(200);
/// Sampling takes at most one part in this many of the time.
const SAMPLE_SHARE: u32 = 20;
/// The time between two journalled samples.
const JOURNAL: Duration = Duration::from_secs(1);
/// The time between two drawings of live progress.
const PROGRESS: Duration = Duration::from_millis(250);
/// The longest time between the end of a job and the next drawing.
const SOON: Duration = Duration::from_millis(50);

/// The next moment of each periodic act.
#[derive(Debug)]
pub(super) struct Clock {
    sample: Instant,
    journal: Instant,
    progress: Instant,
}

impl Clock {
    /// Progress is due at once, everything else after its period.
    pub(super) fn new(now: Instant) -> Clock {
        Clock { sample: now + SAMPLE, journal: now + JOURNAL, progress: now }
    }

    /// The next moment at which something is due.
    pub(super) fn next(&self) -> Instant {
        self.sample.min(self.progress)
    }

    /// `true` if a sample is due; [`Clock::sampled`] sets the next one.
    pub(super) fn sample_is_due(&self, now: Instant) -> bool {
        now >= self.sample
    }

    /// Sets the next sample after one that began at `now` and took `took`. Returns whether it is to be journalled.
    pub(super) fn sampled(&mut self, now: Instant, took: Duration) -> bool {
        self.sample = now + SAMPLE.max(took * SAMPLE_SHARE);
        let journal = now >= self.journal;
        if journal {
            self.journal = now + JOURNAL;
        }
        journal
    }

    /// `true` if progress is to be drawn; sets the next time.
    pub(super) fn take_progress(&mut self, now: Instant) -> bool {
        let due = now >= self.progress;
        if due {
            self.progress = now + PROGRESS;
        }
        due
    }

    /// Notes that a job ended: progress is drawn soon, so that it agrees with the printed lines, at a bounded number of
    /// drawings a
    /// second.
    pub(super) fn progress_soon(&mut self, now: Instant) {
        self.progress = self.progress.min(now + SOON);
    }
}
