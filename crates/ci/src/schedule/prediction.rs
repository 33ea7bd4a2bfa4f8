//! The expected memory and time of a job, and the reason not to start a job that cannot fit.

use super::{Demand, Task};
use crate::capacity::{Capacity, Limits};
use drydock_base::units::ByteSize;

/// The expected memory and time of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prediction {
    /// The expected peak.
    pub demand: Demand,
    /// Bytes that it needs at the least, as far as that is known: its highest peak, or what is declared.
    pub needed: u64,
    /// The origin of these numbers.
    pub source: Source,
    /// Wall time in milliseconds, if the history has it.
    pub duration_ms: Option<u64>,
    /// Milliseconds after its start at which its peak is past, if the history has it.
    pub peak_past_ms: Option<u64>,
}

/// The origin of a prediction of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The peaks of so many earlier runs.
    Learned {
        /// Their number, at most ten.
        runs: usize,
    },
    /// It ran out of memory the last time, and has not passed since.
    Killed,
    /// `memory` of the job or of the defaults.
    Declared,
    /// The default, because nothing is declared.
    Usual,
}

impl Source {
    /// A sentence about so many bytes; none about a default.
    pub(crate) fn sentence(self, bytes: u64) -> Option<String> {
        let size = ByteSize::new(bytes);
        Some(match self {
            Source::Learned { runs: 1 } => format!("it used {size} of memory when it last ran"),
            Source::Learned { runs } => format!("it used up to {size} of memory in its last {runs} runs"),
            Source::Killed => format!("it had {size} of memory when it was last killed for lack of it"),
            Source::Declared => format!("it declares {size} of memory"),
            Source::Usual => return None,
        })
    }
}

impl Prediction {
    /// The reason why the job cannot run within that capacity, if there is one; such a job is not started.
    pub fn refusal(&self, capacity: &Capacity) -> Option<String> {
        if self.needed <= capacity.memory {
            return None;
        }
        let known = self.source.sentence(self.needed)?;
        Some(format!(
            "{known}, and this run may use {} ({}); run it on a larger machine, or raise --memory",
            ByteSize::new(capacity.memory),
            capacity.memory_source
        ))
    }
}

/// The assumed duration of a job when no job has a history.
const UNKNOWN: u64 = 1000;

/// The tasks of the predicted jobs. A job of unknown duration is assumed to take the median time.
pub(super) fn tasks(predictions: &[Prediction], limits: Limits) -> Vec<Task> {
    let mut known: Vec<u64> = predictions.iter().filter_map(|prediction| prediction.duration_ms).collect();
    known.sort_unstable();
    let middling = known.get(known.len() / 2).copied().unwrap_or(UNKNOWN);
    let task = |prediction: &Prediction| {
        let demand = prediction.demand.within(limits.memory);
        let duration = prediction.duration_ms.unwrap_or(middling);
        Task { duration, memory: demand.mean, deviation: demand.deviation }
    };
    predictions.iter().map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_not_to_fit_is_refused() {
        let capacity =
            Capacity { slots: 1, slots_source: String::new(), memory: 100 << 20, memory_source: "--memory".into() };
        let refusal = |needed: u64, source| {
            Prediction { demand: Demand::fixed(needed * 2), needed, source, duration_ms: None, peak_past_ms: None }
                .refusal(&capacity)
        };
        assert_eq!(refusal(100 << 20, Source::Learned { runs: 2 }), None, "its headroom may be cut");
        assert_eq!(refusal(512 << 20, Source::Usual), None);
        assert_eq!(
            refusal(512 << 20, Source::Declared).unwrap(),
            "it declares 512 MiB of memory, and this run may use 100 MiB (--memory); run it on a larger \
             machine, or raise --memory"
        );
        assert!(refusal(101 << 20, Source::Learned { runs: 1 }).unwrap().starts_with("it used 101 MiB"));
    }
}
