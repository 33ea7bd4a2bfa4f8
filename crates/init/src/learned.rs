//! What one run of the drafted jobs showed: memory and time, and tests that failed although valgrind found nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::draft::{Field, Value, yaml};
use crate::facts::Facts;
use drydock_base::text::plural;

/// The file of known failures, relative to the project.
pub const FILE: &str = "ci/quarantine.yaml";
/// The days for which a failure is known.
pub const KNOWN_FOR_DAYS: i32 = 90;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It passed, or it was skipped.
    Well,
    /// Valgrind found errors. That is never marked as known: it is what the run is for.
    Findings,
    /// It failed in another way, in these words.
    Failed(String),
    /// It did not run to its end, or the machine failed.
    Unknown,
}

/// One job of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The drafted job that it belongs to.
    pub group: String,
    /// The name of the planned job.
    pub name: String,
    /// The most memory that it used, in bytes.
    pub peak: Option<u64>,
    /// How long it ran.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
    /// How it ended without valgrind, where it was run again without.
    pub native: Option<Ended>,
}

impl Measured {
    /// True if it failed, and not by findings: then it is run again without valgrind.
    pub fn is_doubtful(&self) -> bool {
        matches!(self.ended, Ended::Failed(_))
    }
}

/// Writes memory and time into the drafts.
pub fn apply(facts: &mut Facts, measured: &[Measured]) {
    for job in facts.groups.iter_mut().flat_map(|group| &mut group.jobs) {
        let own: Vec<&Measured> =
            measured.iter().filter(|one| one.group == job.name && one.ended != Ended::Unknown).collect();
        let Some(longest) = own.iter().map(|one| one.took).max() else { continue };
        let peak = own.iter().filter_map(|one| one.peak).max();
        let jobs = if own.len() == 1 { String::new() } else { format!(" in {}", plural(own.len(), "job")) };
        let used = peak.map(|peak| format!("at most {} MiB and ", mib(peak))).unwrap_or_default();
        job.comments.push(format!("measured in one run: {used}{} seconds{jobs}", longest.as_secs().max(1)));
        if let Some(peak) = peak {
            job.memory = format!("{}MiB", reservation(mib(peak)));
        }
        job.timeout = limit(longest);
    }
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Half as much again, in steps that do not change with every run.
fn reservation(mib: u64) -> u64 {
    let wanted = mib + mib / 2;
    let step = if wanted > 1024 { 256 } else { 64 };
    wanted.div_ceil(step).max(1) * step
}

/// Ten times as long, for slower machines, and at least five minutes.
fn limit(longest: Duration) -> String {
    let minutes = longest.as_secs().saturating_mul(10).div_ceil(60).clamp(5, 7 * 24 * 60);
    if minutes > 120 { format!("{}h", minutes.div_ceil(60)) } else { format!("{}m", minutes.div_ceil(5) * 5) }
}

/// The text of `ci/quarantine.yaml` with the tests that fail although valgrind found nothing; none if there are none. `expires` is
/// a date such as `2026-12-31`.
pub fn quarantine(measured: &[Measured], today: &str, expires: &str) -> Option<String> {
    let mut entries: BTreeMap<&str, String> = BTreeMap::new();
    for one in measured {
        let Ended::Failed(how) = &one.ended else { continue };
        let reason = match &one.native {
            Some(Ended::Failed(native)) => {
                format!("fails without valgrind too, {native}, as one run on {today} showed")
            }
            Some(Ended::Well) => format!(
                "passes without valgrind, and under memcheck fails without a finding, {how}, as one run on {today} showed"
            ),
            // Without a second opinion nothing is known, so nothing is marked.
            Some(Ended::Findings | Ended::Unknown) | None => continue,
        };
        entries.insert(&one.name, reason);
    }
    if entries.is_empty() {
        return None;
    }
    let head = "Written by init after one run: these tests failed in it, and valgrind found nothing in them. They still run, and \
                are reported; until the date they do not fail a run. A finding of valgrind always does.";
    let fields = entries.into_iter().map(|(name, reason)| {
        let entry = vec![
            Field::text("reason", reason),
            Field::new("expires", Value::Word(expires.to_owned())),
            Field::new(
                "on",
                Value::List(["failed", "timed-out", "crashed", "allocation-failure"].map(str::to_owned).to_vec()),
            ),
        ];
        Field::new(name, Value::Map(entry))
    });
    Some(yaml(&[head.to_owned()], &[Field::new("quarantine", Value::Map(fields.collect()))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_and_limits_leave_room() {
        for (mib, expected) in [(1, 64), (42, 64), (43, 64), (44, 128), (147, 256), (1000, 1536)] {
            assert_eq!(reservation(mib), expected, "{mib}");
        }
        for (seconds, expected) in [(0, "5m"), (31, "10m"), (600, "100m"), (900, "3h")] {
            assert_eq!(limit(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn only_what_a_second_run_told_is_marked_and_findings_never_are() {
        let one = |name: &str, ended: Ended, native: Option<Ended>| Measured {
            group: "suite".into(),
            name: format!("suite/{name}"),
            peak: None,
            took: Duration::ZERO,
            ended,
            native,
        };
        let failed = || Ended::Failed("exit code 1".into());
        let measured = [
            one("well", Ended::Well, None),
            one("finds", Ended::Findings, None),
            one("unknown", failed(), None),
            one("both", failed(), Some(failed())),
            one("slow", failed(), Some(Ended::Well)),
        ];
        let text = quarantine(&measured, "2026-11-29", "2027-02-27").unwrap();
        let names: Vec<&str> =
            text.lines().filter(|line| line.starts_with("  \"") || line.starts_with("  suite")).collect();
        assert_eq!(names, ["  suite/both:", "  suite/slow:"], "{text}");
        assert!(quarantine(&measured[..3], "2026-11-29", "2027-02-27").is_none());
    }
}
