//! The expected times of jobs for a plan for several machines: of unknown ones, a high quantile.

use std::collections::HashMap;

use crate::history::History;
use crate::plan::PlannedJob;
use crate::schedule::Prediction;

/// Of an unknown job it is assumed that it takes longer than so many percent of the known ones: a shard with many new
/// tests must not become the slowest by surprise.
const QUANTILE: usize = 90;
/// The number of known jobs of a group from which its quantile is taken.
const ENOUGH: usize = 3;
/// The assumed time of a job, in milliseconds, if no job has a history.
const UNKNOWN: u64 = 10_000;

/// What is expected of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its memory.
    pub prediction: Prediction,
    /// Wall time in milliseconds.
    pub duration: u64,
    /// `true` if that is assumed, since the job has no history.
    pub is_assumed: bool,
}

/// What is expected of each job.
pub fn expected(jobs: &[PlannedJob], history: &History, valgrind: Option<&str>) -> Vec<Expected> {
    let predictions: Vec<Prediction> = jobs.iter().map(|job| history.predict(job, valgrind)).collect();
    assume(jobs, predictions)
}

fn assume(jobs: &[PlannedJob], predictions: Vec<Prediction>) -> Vec<Expected> {
    let mut groups: HashMap<&str, Vec<u64>> = HashMap::new();
    let mut all = Vec::new();
    for (job, prediction) in jobs.iter().zip(&predictions) {
        if let Some(duration) = prediction.duration_ms {
            groups.entry(job.group.as_str()).or_default().push(duration);
            all.push(duration);
        }
    }
    let known: HashMap<&str, u64> = groups
        .into_iter()
        .filter(|(_, known)| known.len() >= ENOUGH)
        .filter_map(|(group, known)| Some((group, quantile(known)?)))
        .collect();
    let usual = quantile(all).unwrap_or(UNKNOWN);
    let expect = |(job, prediction): (&PlannedJob, Prediction)| {
        let limit = u64::try_from(job.timeout.as_millis()).unwrap_or(u64::MAX);
        let assumed = || known.get(job.group.as_str()).copied().unwrap_or(usual).min(limit);
        let duration = prediction.duration_ms.unwrap_or_else(assumed);
        Expected { prediction, duration, is_assumed: prediction.duration_ms.is_none() }
    };
    jobs.iter().zip(predictions).map(expect).collect()
}

fn quantile(mut known: Vec<u64>) -> Option<u64> {
    known.sort_unstable();
    let last = known.len().checked_sub(1)?;
    known.get((known.len() * QUANTILE / 100).min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Demand, Source};

    #[test]
    fn unknown_jobs_take_longer_than_most_known_ones_and_no_longer_than_their_limit() {
        let prediction = |duration_ms| Prediction {
            demand: Demand::fixed(1),
            needed: 1,
            source: Source::Usual,
            duration_ms,
            peak_past_ms: None,
        };
        let mut jobs: Vec<PlannedJob> =
            (0..10).map(|number| PlannedJob::plain(&format!("a/x{number}"), "a", &[])).collect();
        jobs.push(PlannedJob::plain("a/new", "a", &[]));
        jobs.push(PlannedJob::plain("b/known", "b", &[]));
        jobs.push(PlannedJob::plain("b/new", "b", &[]));
        let times = [1, 2, 3, 4, 5, 6, 7, 8, 9, 900].map(Some).into_iter().chain([None, Some(1), None]);
        let found = assume(&jobs, times.map(prediction).collect());
        assert_eq!((found[10].duration, found[10].is_assumed), (900, true));
        // Of the group `b` too little is known.
        assert_eq!((found[12].duration, found[11].duration), (9, 1));
        let none = assume(&jobs[..2], vec![prediction(None); 2]);
        assert_eq!(none[0].duration, 1000, "the limit of the job");
    }
}
