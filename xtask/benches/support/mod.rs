//! What every benchmark shares: paired rounds, medians, the table, and the lines that say whether a target was met.

use std::process::ExitCode;

/// The figures of one benchmark, against their targets.
pub(crate) struct Figures {
    name: &'static str,
    met: bool,
    skipped: bool,
}

impl Figures {
    /// The figures of the benchmark of that name.
    pub(crate) fn new(name: &'static str) -> Figures {
        Figures { name, met: true, skipped: false }
    }

    /// Whether cargo only builds and tries the benchmarks (`cargo test --benches`), without measuring.
    pub(crate) fn is_trial() -> bool {
        !std::env::args().any(|argument| argument == "--bench")
    }

    /// Prints `NAME: FIGURE (target TARGET) met|missed`.
    pub(crate) fn figure(&mut self, figure: &str, target: &str, met: bool) {
        self.met &= met;
        println!("{}: {figure} (target {target}) {}", self.name, if met { "met" } else { "missed" });
    }

    /// Says that a peer is not there: then nothing is proved.
    pub(crate) fn missing(&mut self, peer: &str, package: &str) {
        self.skipped = true;
        println!("{}: {peer} is missing; apt-get install {package}", self.name);
    }

    /// With `--strict`, 1 when a target was missed or a peer was missing.
    pub(crate) fn finish(self) -> ExitCode {
        let strict = std::env::args().any(|argument| argument == "--strict");
        if strict && (!self.met || self.skipped) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// The middle of the values; of two middle ones the lower.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
