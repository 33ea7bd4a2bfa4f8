//! From the measurements of earlier runs to the memory and the time that a job will need.

use super::{History, Line};
use crate::plan::PlannedJob;
use crate::schedule::{Demand, Prediction, Source};

/// The number of past runs of a job that a prediction uses.
const REMEMBERED: usize = 10;
/// The relative standard deviation of peaks that is assumed where nothing is known of it: valgrind's jobs repeat well.
const ASSUMED: f64 = 0.05;
/// The number of runs that an assumption weighs as much as.
const WEIGHT: f64 = 4.0;
/// Peaks that differ from those before by more than so many standard errors are of another program: a new compiler, or a
/// test that does more.
const SHIFT: f64 = 3.5;
/// The number of newer runs that show a drop. A run that had nothing to do, such as a build of what is already built, is not
/// another program.
const DROP: usize = 3;
/// Milliseconds in which the memory of a running job is sampled twice.
const TWO_SAMPLES: u64 = 400;
/// Peaks are not expected to repeat better than to one part in this.
const COARSE: f64 = 200.0;

impl History {
    /// The expected memory and time of a job under this version of valgrind: the mean of its last ten peaks with their
    /// spread, and the median of their times. Peaks from before a sudden change do not count, nor those of failed runs that
    /// are no higher than the others. Twice the memory that it had, if it ran out of memory the last time; the declared
    /// reservation, or more if a failed run had more, for a job that never ran to a successful end.
    pub fn predict(&self, job: &PlannedJob, valgrind: Option<&str>) -> Prediction {
        let same_tool = |line: &&Line| !job.tool.kind.is_valgrind() || line.valgrind.as_deref() == valgrind;
        let lines: Vec<&Line> = self.of_job(job).iter().filter(same_tool).collect();
        let peaks = peaks(lines.iter().copied());
        let known = median(lines.iter().copied().rev().filter(|line| line.whole).take(REMEMBERED));
        // Before its first run the suite knows more than nobody.
        let duration_ms = known.or_else(|| job.test.as_ref()?.cost_ms);
        let highest = peaks.iter().copied().max();
        let since = lines.iter().rev().take_while(|line| !line.whole).filter(|line| line.ran_out_of_memory());
        let killed = since
            .map(|line| (line.peak.unwrap_or(0), line.reservation))
            .reduce(|left, right| (left.0.max(right.0), left.1.max(right.1)));
        let (demand, needed, source) = match (killed, highest) {
            (Some((peak, reservation)), highest) => {
                let needed = peak.max(highest.unwrap_or(0));
                let memory = needed.max(reservation).saturating_mul(2);
                (Demand::fixed(memory), needed, Source::Killed)
            }
            (None, Some(highest)) => {
                let counted = since_shift(peaks.clone());
                let highest = counted.iter().copied().max().unwrap_or(highest);
                (demand(&peaks, self.spread()), highest, Source::Learned { runs: counted.len() })
            }
            (None, None) => {
                let declared = job.memory.bytes();
                let failed: Vec<u64> = last(lines.iter().copied(), |_| true).filter_map(|line| line.peak).collect();
                match failed.iter().copied().max().filter(|highest| *highest > declared) {
                    Some(highest) => (Demand::fixed(highest), highest, Source::Learned { runs: failed.len() }),
                    None => {
                        let source = if job.memory_declared { Source::Declared } else { Source::Usual };
                        (Demand::fixed(declared), declared, source)
                    }
                }
            }
        };
        let times: Option<Vec<u64>> =
            lines.iter().rev().filter(|line| line.whole).take(REMEMBERED).map(|line| line.peak_ms).collect();
        let peak_past_ms = times.and_then(|times| peak_past(&times));
        Prediction { demand, needed, source, duration_ms, peak_past_ms }
    }

    /// The relative variance of the peaks of one job, pooled over all jobs: few runs of one job say little about it.
    fn spread(&self) -> f64 {
        *self.spread.get_or_init(|| {
            spread(self.jobs.values().map(|lines| {
                let version = lines.last().map(|line| &line.valgrind);
                peaks(lines.iter().filter(|line| Some(&line.valgrind) == version))
            }))
        })
    }
}

/// The expected peak of each job of a suite, from the peaks of its earlier runs, the newest first and at least one.
pub fn expected(peaks: &[Vec<u64>]) -> Vec<Demand> {
    let spread = spread(peaks.iter().cloned());
    peaks.iter().map(|peaks| demand(peaks, spread)).collect()
}

/// Milliseconds after which a job's peak is past, from the times of its peak in earlier runs: half as long again as it
/// ever took, and two samples. `None` if it ran less than twice.
pub fn peak_past(times: &[u64]) -> Option<u64> {
    let latest = times.iter().max().filter(|_| times.len() > 1)?;
    Some(latest.saturating_add(latest / 2).saturating_add(TWO_SAMPLES))
}

/// The relative variance of the peaks of one job, from the peaks of all.
fn spread(jobs: impl Iterator<Item = Vec<u64>>) -> f64 {
    let mut squares = WEIGHT * ASSUMED * ASSUMED;
    let mut freedom = WEIGHT;
    for peaks in jobs {
        let peaks = since_shift(peaks);
        let (mean, deviations) = moments(&peaks);
        if peaks.len() > 1 && mean > 0.0 {
            squares += deviations / (mean * mean);
            freedom += float(peaks.len()) - 1.0;
        }
    }
    squares / freedom
}

/// The last whole runs for which `wanted` holds, the newest first.
fn last<'a>(
    lines: impl DoubleEndedIterator<Item = &'a Line>,
    wanted: impl Fn(&Line) -> bool,
) -> impl Iterator<Item = &'a Line> {
    lines.rev().filter(move |line| line.whole && wanted(line)).take(REMEMBERED)
}

/// The last peaks, the newest first. A run that failed may have stopped early, so it counts only if it had more memory than
/// every run that did not; without one that did not, none counts.
fn peaks<'a>(lines: impl DoubleEndedIterator<Item = &'a Line> + Clone) -> Vec<u64> {
    let highest = last(lines.clone(), Line::ended_as_expected).filter_map(|line| line.peak).max();
    let Some(highest) = highest else { return Vec::new() };
    let counts = |line: &Line| line.ended_as_expected() || line.peak.is_some_and(|peak| peak > highest);
    last(lines, counts).filter_map(|line| line.peak).collect()
}

fn median<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<u64> {
    let mut durations: Vec<u64> = lines.map(|line| line.uncontended_ms.unwrap_or(line.duration_ms)).collect();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}

/// The distribution of the next peak: the mean is known as well as its samples allow, and the variance is that of the
/// samples and the pooled one, weighted by their number.
fn demand(peaks: &[u64], spread: f64) -> Demand {
    let peaks = since_shift(peaks.to_vec());
    let (mean, deviations) = moments(&peaks);
    let count = float(peaks.len());
    let freedom = WEIGHT + count - 1.0;
    let variance = (WEIGHT * spread * mean * mean + deviations) / freedom * (1.0 + 1.0 / count);
    let deviation = variance.sqrt().max(mean / COARSE);
    Demand { mean: bytes(mean), deviation: bytes(deviation) }
}

/// The peaks, the newest first, up to the one after which they changed suddenly.
fn since_shift(mut peaks: Vec<u64>) -> Vec<u64> {
    // Of fewer peaks before and after it, a change cannot be told from their spread.
    let changed = (1..peaks.len().saturating_sub(2)).find(|newer| {
        let (after, before) = peaks.split_at(*newer);
        let ((mean_after, own), (mean_before, others)) = (moments(after), moments(before));
        let (after, before) = (float(after.len()), float(before.len()));
        let assumed = WEIGHT * (ASSUMED * mean_before).powi(2);
        let variance = (own + others + assumed) / (after + before - 2.0 + WEIGHT);
        let error = (variance * (1.0 / after + 1.0 / before)).sqrt();
        // Not one of the newer runs may be as high as those before the drop.
        let is_drop = || {
            let highest = peaks[..*newer].iter().copied().max().map_or(0.0, from_bytes);
            *newer >= DROP && highest + SHIFT * error < mean_before
        };
        mean_after - mean_before > SHIFT * error || is_drop()
    });
    peaks.truncate(changed.unwrap_or(peaks.len()));
    peaks
}

/// The mean, and the sum of the squares of the differences from it.
fn moments(values: &[u64]) -> (f64, f64) {
    let count = float(values.len()).max(1.0);
    let mean = values.iter().map(|value| from_bytes(*value)).sum::<f64>() / count;
    (mean, values.iter().map(|value| (from_bytes(*value) - mean).powi(2)).sum())
}

#[expect(clippy::cast_precision_loss, reason = "there are few runs")]
fn float(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "an expectation needs no exact bytes")]
fn from_bytes(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion that saturates")]
fn bytes(value: f64) -> u64 {
    value.round() as u64
}
