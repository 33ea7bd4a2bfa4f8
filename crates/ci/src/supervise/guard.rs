//! The live guard: predictions may be wrong and others use the machine too, so a job is admitted only while what runs
//! may still grow to what was set aside for it. It holds jobs back; it never ends one.

use std::time::{Duration, Instant};

use super::attempt::Attempt;
use crate::containment;
use crate::probe::host;
use drydock_base::units::ByteSize;

/// Above this share of time in which all processes wait for memory (PSI `full avg10`, in percent) nothing is added.
const STALLED: f64 = 10.0;
/// A job that has the machine to itself waits at most this long for memory that others hold.
const PATIENCE: Duration = Duration::from_secs(30);
/// A look at the machine that is older than this is repeated before a job is held back by it.
const FRESH: Duration = Duration::from_millis(20);
/// Jobs that wait for less than this are not worth a word.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// What the machine can still give.
#[derive(Debug, Default)]
pub(super) struct Guard {
    room: Option<(u64, String)>,
    stalled: Option<f64>,
    sampled: Option<Instant>,
    /// Since when nothing runs although a job could.
    idle: Option<Instant>,
    /// Why the last job that was asked for may not start, and since when that is so.
    held: Option<(String, Instant)>,
}

impl Guard {
    /// Looks at the machine.
    pub(super) fn sample(&mut self, now: Instant) {
        self.sampled = Some(now);
        let available = host::meminfo().available.map(|bytes| (bytes, "MemAvailable".to_owned()));
        self.room = available.into_iter().chain(containment::memory_room()).min_by_key(|(bytes, _)| *bytes);
        self.stalled = host::memory_stall();
    }

    /// Whether a job that sets that much aside may start beside those that run.
    pub(super) fn admits(&mut self, reservation: u64, running: &[Attempt], now: Instant) -> bool {
        let mut objection = self.objection(reservation, running);
        let stale = self.sampled.is_none_or(|sampled| now.duration_since(sampled) > FRESH);
        if stale && (objection.is_some() || self.sampled.is_none()) {
            self.sample(now);
            objection = self.objection(reservation, running);
        }
        let since = self.held.take().map_or(now, |(_, since)| since);
        self.held = objection.map(|why| (why, since));
        if self.held.is_none() || !running.is_empty() {
            self.idle = None;
            return self.held.is_none();
        }
        let since = *self.idle.get_or_insert(now);
        if now.duration_since(since) < PATIENCE {
            return false;
        }
        self.idle = None;
        self.held = None;
        true
    }

    fn objection(&self, reservation: u64, running: &[Attempt]) -> Option<String> {
        if let Some(stalled) = self.stalled.filter(|stalled| *stalled >= STALLED && !running.is_empty()) {
            return Some(format!("everything waits for memory {stalled:.0} % of the time (PSI)"));
        }
        let (room, source) = self.room.as_ref()?;
        // What runs may still grow; that room is given away already.
        let promised: u64 = running.iter().map(|attempt| attempt.reservation.saturating_sub(attempt.usage)).sum();
        let free = room.saturating_sub(promised);
        (reservation > free).then(|| {
            format!(
                "{} can be used ({source}), {} of it is promised to running jobs, and the next job sets {} aside",
                ByteSize::new(*room),
                ByteSize::new(promised),
                ByteSize::new(reservation)
            )
        })
    }

    /// No job was asked for: none is held back.
    pub(super) fn rest(&mut self) {
        self.idle = None;
        self.held = None;
    }

    /// Why jobs that could start have not for a while.
    pub(super) fn held(&self, now: Instant) -> Option<&str> {
        let (why, since) = self.held.as_ref()?;
        (now.duration_since(*since) >= WORTH_TELLING).then_some(why)
    }

    /// Whether nothing runs, and a job waits for memory.
    pub(super) fn is_waiting(&self) -> bool {
        self.idle.is_some()
    }
}
