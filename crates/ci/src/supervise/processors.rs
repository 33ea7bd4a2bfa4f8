//! Slots beyond the number of processors: they are for jobs that wait for something. Jobs that compute are not started beside as
//! many others as there are processors, since all of them would only run more slowly, with more processor time each.

use std::time::{Duration, Instant};

use super::attempt::Attempt;

/// Processors count as busy above this share of their time.
const BUSY: f64 = 0.9;
/// The use of a processor is measured over at least this time.
const WINDOW: Duration = Duration::from_millis(200);
/// No job waits longer than this for a processor: a running job may wait for it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Nor longer than one part in this many of the time that a running job has at most: otherwise one that waits for it would be
/// ended.
const WAIT_SHARE: u32 = 4;
/// The share of the job that ended last in what is expected of the next.
const NEWEST: f64 = 0.3;

/// The use of the processors by the jobs of a run.
#[derive(Debug)]
pub(super) struct Processors {
    /// The number of them.
    count: f64,
    /// What jobs used on average, in processors; the newest count most.
    usual: f64,
    /// The moment since which a job waits for a processor.
    waiting: Option<Instant>,
}

impl Processors {
    /// For a machine with this number of them; no job waits if it is not known.
    pub(super) fn new(count: Option<u32>) -> Processors {
        Processors { count: f64::from(count.unwrap_or(u32::MAX).max(1)), usual: 1.0, waiting: None }
    }

    /// Notes that no job is ready, so none waits.
    pub(super) fn rest(&mut self) {
        self.waiting = None;
    }

    /// Takes note of a job that ended: its processor time, and the time that it took.
    pub(super) fn ended(&mut self, cpu: Option<Duration>, wall: Duration) {
        if let Some(cpu) = cpu {
            let used = (cpu.as_secs_f64() / wall.as_secs_f64().max(0.001)).min(self.count);
            self.usual += NEWEST * (used - self.usual);
        }
    }

    /// `true` if one more job may start beside the running ones.
    pub(super) fn admit(&mut self, running: &[Attempt], now: Instant) -> bool {
        let used = running.iter().map(|attempt| attempt.load.used());
        let longest = longest_wait(running.iter().map(Attempt::time_limit));
        let admits = self.have_room(used) || self.waiting.is_some_and(|since| now.duration_since(since) >= longest);
        if admits {
            self.waiting = None;
        } else {
            self.waiting.get_or_insert(now);
        }
        admits
    }

    /// `used` are the processors that each running job uses; none for one whose use is not known yet.
    fn have_room(&self, used: impl Iterator<Item = Option<f64>>) -> bool {
        let (mut jobs, mut sum) = (0.0, 0.0);
        for one in used {
            jobs += 1.0;
            sum += one.unwrap_or(self.usual);
        }
        jobs < self.count || sum < self.count * BUSY
    }
}

/// The longest time that a job waits for a processor beside jobs with these time limits.
fn longest_wait(limits: impl Iterator<Item = Duration>) -> Duration {
    limits.min().map_or(LONGEST_WAIT, |shortest| LONGEST_WAIT.min(shortest / WAIT_SHARE))
}

/// The use of processors by one job.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// The last measurement: its moment, and the processor time until then.
    last: Option<(Instant, Duration)>,
    /// In processors, between the last two measurements.
    used: Option<f64>,
}

impl Load {
    /// A job that begins now.
    pub(super) fn begin(now: Instant) -> Load {
        Load { last: Some((now, Duration::ZERO)), used: None }
    }

    /// Takes note of the processor time so far. Where the kernel does not count it, nothing is known, and no job waits.
    pub(super) fn measure(&mut self, cpu: Option<Duration>, now: Instant) {
        let Some(cpu) = cpu else {
            self.used = Some(0.0);
            return;
        };
        let (begun, before) = self.last.unwrap_or((now, cpu));
        let passed = now.duration_since(begun);
        if passed >= WINDOW {
            self.used = Some(cpu.saturating_sub(before).as_secs_f64() / passed.as_secs_f64());
            self.last = Some((now, cpu));
        }
    }

    fn used(&self) -> Option<f64> {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_compute_get_a_processor_each_and_jobs_that_wait_get_slots() {
        let of = |processors: &Processors, used: &[Option<f64>]| processors.have_room(used.iter().copied());
        let mut two = Processors::new(Some(2));
        // Nothing is known: as many as there are processors.
        assert!(of(&two, &[]) && of(&two, &[None]) && !of(&two, &[None, None]));
        assert!(!of(&two, &[Some(1.0), Some(0.97)]) && of(&two, &[Some(1.0), Some(0.5)]));
        // Several threads in one job leave room for a second job, and not for a third.
        assert!(of(&two, &[Some(2.0)]) && !of(&two, &[Some(2.0), Some(0.0)]));
        assert!(of(&two, &[Some(0.1); 7]));
        // On processors that others use too, a job does not get one of its own, and as many as there are slots run.
        assert!(of(&two, &[Some(0.5), Some(0.5), Some(0.5)]));
        // Jobs that end before they are measured are judged by those before them.
        let (second, little) = (Duration::from_secs(1), Duration::from_millis(10));
        for _ in 0..12 {
            two.ended(Some(little), second);
        }
        assert!(of(&two, &[None; 7]));
        for _ in 0..12 {
            two.ended(Some(second), second);
        }
        assert!(!of(&two, &[None; 2]));
        two.ended(None, second);
        assert!(!of(&two, &[None; 2]));
    }

    #[test]
    fn use_is_measured_over_a_while() {
        let (begin, ms) = (Instant::now(), Duration::from_millis);
        let mut load = Load::begin(begin);
        load.measure(Some(ms(90)), begin + ms(100));
        assert_eq!(load.used(), None);
        load.measure(Some(ms(100)), begin + ms(200));
        assert_eq!(load.used(), Some(0.5));
        load.measure(Some(ms(100)), begin + ms(1400));
        assert_eq!(load.used(), Some(0.0));
        let mut unknown = Load::begin(begin);
        unknown.measure(None, begin + ms(200));
        assert_eq!(unknown.used(), Some(0.0));
    }

    #[test]
    fn nobody_waits_for_a_processor_for_ever() {
        let mut none = Processors::new(Some(0));
        let now = Instant::now();
        assert!(none.admit(&[], now));
        none.waiting = Some(now);
        assert!(none.admit(&[], now + LONGEST_WAIT) && none.waiting.is_none());
        // A server that polls for its client must not run out of time before that starts.
        let seconds = Duration::from_secs;
        let beside = |limits: &[u64]| longest_wait(limits.iter().copied().map(seconds));
        assert_eq!([beside(&[]), beside(&[600, 900]), beside(&[600, 20])], [seconds(30), seconds(30), seconds(5)]);
    }
}
