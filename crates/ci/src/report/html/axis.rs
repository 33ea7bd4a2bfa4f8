//! The time axis: the place of a moment on the page, and the lane of each attempt.

use crate::outcome::Outcome;
use crate::run::Run;

use super::style::Style;

/// A pause between attempts is cut short when it is longer than this share of the rest, and than ten seconds. Otherwise a
/// run that was resumed on the next day would be a line with a dot at each end.
const LONG_PAUSE: i64 = 4;
const SHORTEST_PAUSE: i64 = 10_000;
/// The width of a pause that was cut short, in percent.
const CUT_WIDTH: f64 = 3.0;
/// Milliseconds between marks on the axis.
const STEPS: [i64; 21] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    1_800_000, 3_600_000,
];

/// An attempt that is drawn.
#[derive(Debug, Clone)]
pub(in crate::report) struct Bar<'a> {
    /// Position in the plan.
    pub(in crate::report) job: usize,
    pub(in crate::report) attempt: u32,
    pub(super) style: Style,
    pub(in crate::report) started: i64,
    pub(in crate::report) ended: i64,
    /// From 0.
    pub(in crate::report) lane: usize,
    /// The reservation in bytes.
    pub(in crate::report) reservation: u64,
    pub(in crate::report) peak: Option<u64>,
    pub(in crate::report) samples: &'a [(i64, u64)],
    /// `None` when its end was not recorded.
    pub(in crate::report) outcome: Option<&'a Outcome>,
}

/// From Unix milliseconds to percent of the width.
#[derive(Debug)]
pub(in crate::report) struct Axis<'a> {
    pub(in crate::report) from: i64,
    pub(in crate::report) to: i64,
    /// Begin and end of pauses that are cut short.
    pub(super) pauses: Vec<(i64, i64)>,
    /// In the order of their starts.
    pub(in crate::report) bars: Vec<Bar<'a>>,
    pub(in crate::report) lanes: usize,
}

impl<'a> Axis<'a> {
    /// The axis of the attempts that this run made, without those that it took over from another run.
    pub(in crate::report) fn new(run: &'a Run) -> Axis<'a> {
        let mut bars = bars(run);
        bars.sort_by_key(|bar| (bar.started, bar.job, bar.attempt));
        let lanes = give_lanes(&mut bars);
        let began = run.began.unwrap_or_default();
        let from = bars.iter().map(|bar| bar.started).min().unwrap_or(began);
        let to = bars.iter().map(|bar| bar.ended).max().unwrap_or(from).max(from + 1);
        let mut axis = Axis { from, to, pauses: Vec::new(), bars, lanes };
        axis.pauses = pauses(&axis.bars, to - from, run);
        axis
    }

    /// In percent, within 0 and 100.
    pub(super) fn at(&self, moment: i64) -> f64 {
        let moment = moment.clamp(self.from, self.to);
        let paused: i64 = self.pauses.iter().map(|(from, to)| to - from).sum();
        let scale = (100.0 - CUT_WIDTH * self.pauses.len() as f64) / ((self.to - self.from - paused).max(1)) as f64;
        let mut place = 0.0;
        let mut since = self.from;
        for (from, to) in &self.pauses {
            if moment <= *from {
                break;
            }
            place += (from - since) as f64 * scale;
            place += CUT_WIDTH * ((moment.min(*to) - from) as f64 / (to - from) as f64);
            since = moment.min(*to);
        }
        place + (moment - since) as f64 * scale
    }

    /// The moment at a place: the inverse of [`Axis::at`].
    pub(super) fn moment(&self, place: f64) -> i64 {
        let (mut low, mut high) = (self.from, self.to);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle) < place { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Moments for marks on the axis: round numbers since the beginning, none within a pause.
    pub(super) fn ticks(&self) -> Vec<i64> {
        let paused: i64 = self.pauses.iter().map(|(from, to)| to - from).sum();
        let active = self.to - self.from - paused;
        let few = |step: &i64| active / step <= 8;
        let step = STEPS.into_iter().chain((1..40).map(|power| 3_600_000 << power)).find(few).unwrap_or(active);
        let paused = |moment: &i64| self.pauses.iter().any(|(from, to)| from < moment && moment < to);
        let all = (0..).map(|number| self.from + number * step).take_while(|moment| *moment <= self.to);
        all.filter(|moment| !paused(moment)).take(100).collect()
    }
}

fn bars(run: &Run) -> Vec<Bar<'_>> {
    let mut bars = Vec::new();
    for (position, job) in run.jobs.iter().enumerate() {
        let own = job.attempts.iter().enumerate().filter(|_| job.carried_from.is_none());
        bars.extend(own.map(|(number, record)| Bar {
            job: position,
            attempt: record.number,
            style: Style::of_attempt(&record.verdict.outcome),
            started: record.started,
            ended: record.ended.max(record.started),
            lane: 0,
            reservation: record.conditions.reservation,
            peak: record.peak,
            samples: job.samples.get(number).map_or(&[], Vec::as_slice),
            outcome: Some(&record.verdict.outcome),
        }));
        bars.extend(job.in_flight.iter().map(|flight| Bar {
            job: position,
            attempt: flight.start.attempt,
            style: Style::Unsettled,
            started: flight.began,
            ended: run.last.max(flight.began),
            lane: 0,
            reservation: flight.start.conditions.reservation,
            peak: flight.samples.iter().map(|(_, bytes)| *bytes).max(),
            samples: &flight.samples,
            outcome: None,
        }));
    }
    bars
}

/// Gives each the first lane that is free, as the run does with its slots, and returns the number of lanes.
fn give_lanes(bars: &mut [Bar<'_>]) -> usize {
    let mut free_from: Vec<i64> = Vec::new();
    for bar in bars {
        let free = free_from.iter().position(|free| *free <= bar.started);
        bar.lane = free.unwrap_or(free_from.len());
        match free_from.get_mut(bar.lane) {
            Some(free) => *free = bar.ended,
            None => free_from.push(bar.ended),
        }
    }
    free_from.len()
}

/// Long times in which nothing ran, although nothing held jobs back.
fn pauses(bars: &[Bar<'_>], whole: i64, run: &Run) -> Vec<(i64, i64)> {
    let mut pauses = Vec::new();
    let waits = run.pauses();
    let mut busy_until = bars.first().map_or(0, |bar| bar.started);
    for bar in bars {
        let held = waits.iter().any(|(from, to, _)| *from < bar.started && *to > busy_until);
        if bar.started - busy_until > SHORTEST_PAUSE && !held {
            pauses.push((busy_until, bar.started));
        }
        busy_until = busy_until.max(bar.ended);
    }
    let busy = whole - pauses.iter().map(|(from, to)| to - from).sum::<i64>();
    pauses.retain(|(from, to)| to - from > busy / LONG_PAUSE);
    // More would leave no space for the attempts.
    pauses.sort_by_key(|(from, to)| from - to);
    pauses.truncate(10);
    pauses.sort_unstable();
    pauses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(started: i64, ended: i64) -> Bar<'static> {
        Bar {
            job: 0,
            attempt: 1,
            style: Style::Passed,
            started,
            ended,
            lane: 0,
            reservation: 0,
            peak: None,
            samples: &[],
            outcome: None,
        }
    }

    fn axis(to: i64, pauses: &[(i64, i64)]) -> Axis<'static> {
        Axis { from: 0, to, pauses: pauses.to_vec(), bars: Vec::new(), lanes: 0 }
    }

    #[test]
    fn attempts_take_the_first_free_lane() {
        let mut bars = [bar(0, 10), bar(0, 5), bar(5, 7), bar(6, 8), bar(10, 11)];
        assert_eq!(give_lanes(&mut bars), 3);
        assert_eq!(bars.map(|bar| bar.lane), [0, 1, 1, 2, 0]);
    }

    #[test]
    fn places_are_in_proportion_and_pauses_are_short() {
        let plain = axis(2000, &[]);
        assert_eq!([0, 500, 2000, 3000].map(|moment| plain.at(moment)), [0.0, 25.0, 100.0, 100.0]);
        assert_eq!(plain.moment(25.0), 500);
        // Two seconds, an hour, two seconds.
        let cut = axis(3_604_000, &[(2000, 3_602_000)]);
        assert!((cut.at(2000) - 48.5).abs() < 1e-9 && (cut.at(3_602_000) - 51.5).abs() < 1e-9);
        assert!((cut.at(3_604_000) - 100.0).abs() < 1e-9 && (cut.at(3_603_000) - 75.75).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (to, step, count) in
            [(7, 1, 8), (80, 10, 9), (1000, 200, 6), (61_000, 10_000, 7), (5_400_000, 1_800_000, 4)]
        {
            let ticks = axis(to, &[]).ticks();
            assert_eq!((ticks[1] - ticks[0], ticks.len()), (step, count), "{to}");
        }
    }
}
