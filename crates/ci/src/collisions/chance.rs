//! Whether failures may be chance.

use schemars::JsonSchema;
use serde::Serialize;

/// Failures among runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Count {
    /// Runs in which it failed.
    pub failed: u32,
    /// Runs.
    pub runs: u32,
}

impl Count {
    pub(super) fn add(&mut self, failed: bool) {
        self.failed += u32::from(failed);
        self.runs += 1;
    }
}

/// The probability that as many of the failures as were seen, or more, are among the first runs if both kinds of runs are the
/// same (Fisher's exact test).
pub fn chance(first: Count, second: Count) -> f64 {
    let choose = |n: u32, k: u32| -> f64 {
        if k > n { 0.0 } else { (0..k).fold(1.0, |product, at| product * f64::from(n - at) / f64::from(at + 1)) }
    };
    let (failed, runs) = (first.failed + second.failed, first.runs + second.runs);
    let all = choose(runs, failed);
    (first.failed..=first.runs.min(failed))
        .map(|among| choose(first.runs, among) * choose(second.runs, failed - among) / all)
        .sum()
}
