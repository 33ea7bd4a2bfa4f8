//! The live guard: predictions may be wrong and others use the machine too, so a job is admitted only while running
//! jobs can still grow to their reservations. It delays jobs; it never ends one.

use std::time::{Duration, Instant};

use super::attempt::Attempt;
use crate::containment;
use crate::probe::host;
use crate::schedule::{Demand, Safety, Total};
use drydock_base::units::ByteSize;

/// Above this share of time in which all processes wait for memory (PSI `full avg10`, in percent) nothing is added.
const STALLED: f64 = 10.0;
/// A job that would run as the only one waits at most this long for memory that other programs hold.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A sample of the machine that is older than this is repeated before it delays a job.
const FRESH: Duration = Duration::from_millis(20);
/// Shorter waits are not reported.
const WORTH_REPORTING: Duration = Duration::from_secs(1);

/// The memory that the machine has left.
#[derive(Debug, Default)]
pub(super) struct Guard {
    room: Option<(u64, String)>,
    stalled: Option<f64>,
    sampled: Option<Instant>,
    /// The moment since which nothing runs although a job is ready.
    idle: Option<Instant>,
    /// The reason why the next job may not start, and the moment since which jobs wait.
    objection: Option<(String, Instant)>,
}

impl Guard {
    /// Samples the machine.
    pub(super) fn sample(&mut self, now: Instant) {
        self.sampled = Some(now);
        let available = host::meminfo().available.map(|bytes| (bytes, "MemAvailable".to_owned()));
        self.room = available.into_iter().chain(containment::memory_room()).min_by_key(|(bytes, _)| *bytes);
        self.stalled = host::memory_stall();
    }

    /// `true` if a job with that demand may start beside the running ones, with that safety.
    pub(super) fn admits(&mut self, demand: Demand, safety: Safety, running: &[Attempt], now: Instant) -> bool {
        let mut objection = self.objects(demand, safety, running);
        let stale = self.sampled.is_none_or(|sampled| now.duration_since(sampled) > FRESH);
        if stale && (objection.is_some() || self.sampled.is_none()) {
            self.sample(now);
            objection = self.objects(demand, safety, running);
        }
        let since = self.objection.take().map_or(now, |(_, since)| since);
        self.objection = objection.map(|why| (why, since));
        if self.objection.is_none() || !running.is_empty() {
            self.idle = None;
            return self.objection.is_none();
        }
        let since = *self.idle.get_or_insert(now);
        if now.duration_since(since) < LONGEST_WAIT {
            return false;
        }
        self.idle = None;
        self.objection = None;
        true
    }

    fn objects(&self, demand: Demand, safety: Safety, running: &[Attempt]) -> Option<String> {
        if let Some(stalled) = self.stalled.filter(|stalled| *stalled >= STALLED && !running.is_empty()) {
            return Some(format!("all processes stall on memory {stalled:.0} % of the time (PSI)"));
        }
        let (room, source) = self.room.as_ref()?;
        // Running jobs may still grow, but not all of them to their reservations.
        let promised: Total = running.iter().map(still_to_come).collect();
        (!promised.with(demand).fits(*room, safety)).then(|| {
            format!(
                "{} available ({source}), {} of it reserved by running jobs; the next job needs {}",
                ByteSize::new(*room),
                ByteSize::new(promised.reservation()),
                ByteSize::new(demand.reservation())
            )
        })
    }

    /// Notes that no job is ready, so none waits.
    pub(super) fn rest(&mut self) {
        self.idle = None;
        self.objection = None;
    }

    /// The reason why ready jobs wait, once they have waited for a while.
    pub(super) fn objection(&self, now: Instant) -> Option<&str> {
        let (why, since) = self.objection.as_ref()?;
        (now.duration_since(*since) >= WORTH_REPORTING).then_some(why)
    }

    /// `true` if nothing runs, and a job waits for memory.
    pub(super) fn is_waiting(&self) -> bool {
        self.idle.is_some()
    }
}

/// The memory that a running job may still take, beyond what it has.
fn still_to_come(attempt: &Attempt) -> Demand {
    let (expected, usage) = (attempt.expected, attempt.usage);
    let left = expected.reservation().saturating_sub(usage);
    if usage <= expected.mean { Demand { mean: expected.mean - usage, ..expected } } else { Demand::fixed(left) }
}
