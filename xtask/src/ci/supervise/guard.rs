//! The live guard: predictions may be wrong and others use the machine too, so a job is admitted only while what runs
//! may still grow to what was set aside for it. It holds jobs back; it never ends one.

use std::time::{Duration, Instant};

use super::attempt::Attempt;
use crate::ci::containment;
use crate::ci::probe::host;
use crate::config::units::ByteSize;

/// Above this share of time in which all processes wait for memory (PSI `full avg10`, in percent) nothing is added.
const STALLED: f64 = 10.0;
/// A job that has the machine to itself waits at most this long for memory that others hold.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the machine can still give.
#[derive(Debug, Default)]
pub(super) struct Guard {
    room: Option<(u64, String)>,
    stalled: Option<f64>,
    /// Since when nothing runs although a job could.
    idle: Option<Instant>,
    held: Option<String>,
}

impl Guard {
    /// Looks at the machine. `available` is `MemAvailable` in bytes.
    pub(super) fn sample(&mut self, available: Option<u64>) {
        let available = available.map(|bytes| (bytes, "MemAvailable".to_owned()));
        self.room = available.into_iter().chain(containment::memory_room()).min_by_key(|(bytes, _)| *bytes);
        self.stalled = host::memory_stall();
    }

    /// Whether a job that sets that much aside may start beside those that run.
    pub(super) fn admits(&mut self, reservation: u64, running: &[Attempt], now: Instant) -> bool {
        self.held = self.objection(reservation, running);
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

    /// Why the last job that was asked for may not start.
    pub(super) fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// Whether nothing runs, and a job waits for memory.
    pub(super) fn is_waiting(&self) -> bool {
        self.idle.is_some()
    }
}
