//! The cgroups around Drydock that slow their processes down above `memory.high`.

use std::path::PathBuf;

use super::attempt::Attempt;
use crate::containment;
use crate::dangers::{self, Danger};
use crate::evidence::{Slowdown, Throttled};

/// A cgroup with a `memory.high`.
#[derive(Debug)]
pub(super) struct Throttle {
    group: PathBuf,
    high: u64,
}

impl Throttle {
    /// Those around this process, now.
    pub(super) fn all() -> Vec<Throttle> {
        let throttles = dangers::throttles().into_iter().filter_map(|danger| match danger {
            Danger::Throttle { group, high } => Some(Throttle { group, high }),
            _ => None,
        });
        throttles.collect()
    }

    /// How often processes of the cgroup or of those below it were throttled; zero if that cannot be read.
    pub(super) fn count(&self) -> u64 {
        containment::read_keyed(self.group.join("memory.events"), "high").unwrap_or(0)
    }
}

/// How the machine slowed the attempt down.
pub(super) fn slowdown(attempt: &Attempt, throttles: &[Throttle]) -> Slowdown {
    let before = &attempt.baseline.throttled;
    let throttled = throttles.iter().zip(before).map(|(throttle, before)| Throttled {
        group: throttle.group.display().to_string(),
        high: throttle.high,
        events: throttle.count().saturating_sub(*before),
    });
    Slowdown {
        throttled: throttled.filter(|throttled| throttled.events > 0).max_by_key(|throttled| throttled.events),
        stalled_ms: attempt.group.stalled().and_then(|time| u64::try_from(time.as_millis()).ok()),
        swapped: attempt.swapped,
    }
}
