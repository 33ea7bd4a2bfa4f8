//! The search for tests that disturb each other: all together and one after the other first, then those that did not always
//! end alike, with ever fewer others.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

pub use super::chance::{Count, chance};

/// The largest probability with which what was seen may be chance before a test is accused.
const CHANCE: f64 = 0.05;
/// More runs of one pair are not made, as a multiple of the rounds.
const MOST_REPEATS: u32 = 4;

/// Some tests that run in one arrangement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The tests, by number.
    pub tests: Vec<usize>,
    /// How they run.
    pub arrangement: Arrangement,
    /// `true` if what they use is recorded, which makes them slower.
    pub traced: bool,
}

/// How the tests of a trial run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrangement {
    /// At the same time.
    Together,
    /// One after the other, in this order.
    InOrder,
}

/// What a trial showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Begin and end of each test that ran to an end of its own, in milliseconds.
    pub ran: BTreeMap<usize, (i64, i64)>,
    /// Those that failed.
    pub failed: BTreeSet<usize>,
}

/// What can run tests.
pub trait Laboratory {
    /// The reason why it cannot.
    type Error;

    /// Runs a trial in a fresh state; `None` if the budget is used up.
    ///
    /// # Errors
    /// The tests cannot be run.
    fn run(&mut self, trial: &Trial) -> Result<Option<Seen>, Self::Error>;

    /// How much what both are known to use speaks for a collision; 0 if nothing does.
    fn suspicion(&self, left: usize, right: usize) -> u32;

    /// `true` if their declaration keeps them from running at the same time.
    fn are_kept_apart(&self, left: usize, right: usize) -> bool;
}

/// How one test disturbs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It fails when they run at the same time.
    Beside,
    /// It fails when it runs after the others.
    After,
    /// It passes only after the others, which leave what it needs.
    Needs,
}

/// A test that others disturb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The test that fails.
    pub test: usize,
    /// The others: mostly one; several if it takes all of them.
    pub others: Vec<usize>,
    /// How the others disturb it.
    pub how: How,
    /// The runs with the others, and those of them in which one of all failed that does not fail by itself; for a test that
    /// needs the others, those in which it failed.
    pub together: Count,
    /// The failures of each in these runs.
    pub failures: BTreeMap<usize, u32>,
    /// Its failures by itself.
    pub apart: Count,
}

/// What the search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Tests that are disturbed.
    pub collisions: Vec<Collision>,
    /// Pairs that use the same things, and were not seen to fail for it in this many runs.
    pub harmless: Vec<([usize; 2], Count)>,
    /// Tests that fail now and then by themselves.
    pub flaky: Vec<(usize, Count)>,
    /// Tests that always fail.
    pub failing: Vec<usize>,
    /// Tests that failed beside or after others, and among which of them the cause was last known to be.
    pub unresolved: Vec<(usize, Vec<usize>)>,
    /// `true` if the budget was used up before the end.
    pub is_incomplete: bool,
}

/// A failure that calls for a cause: the test, how it failed, and the tests that may be the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clue {
    test: usize,
    how: How,
    among: Vec<usize>,
    /// After so many runs without a failure the cause is hardly among those that ran: what failed rarely is tried often.
    runs: u32,
}

/// The search.
pub struct Search<'l, L: Laboratory> {
    lab: &'l mut L,
    rounds: u32,
    /// `true` if the laboratory makes a fresh state for each trial, without which no order can be tested.
    orders: bool,
    found: Found,
    alone: BTreeMap<usize, Count>,
    traced: bool,
}

/// Ends a step of the search when the budget is used up.
macro_rules! within {
    ($seen:expr) => {
        match $seen {
            Some(seen) => seen,
            None => return Ok(None),
        }
    };
}

mod narrow;

impl<'l, L: Laboratory> Search<'l, L> {
    /// A search with this many rounds of everything.
    pub fn new(lab: &'l mut L, rounds: u32, orders: bool) -> Search<'l, L> {
        Search { lab, rounds: rounds.max(2), orders, found: Found::default(), alone: BTreeMap::new(), traced: orders }
    }

    /// Searches among tests with the numbers below `count`.
    ///
    /// # Errors
    /// The tests cannot be run.
    pub fn run(mut self, count: usize) -> Result<Found, L::Error> {
        let done = self.search(count)?;
        self.found.is_incomplete = done.is_none();
        Ok(self.found)
    }

    fn search(&mut self, count: usize) -> Result<Option<()>, L::Error> {
        let all: Vec<usize> = (0..count).collect();
        let mut clues: Vec<Clue> = Vec::new();
        let mut passed: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let forward = within!(self.trial(&all, Arrangement::InOrder, self.traced)?);
        let mut orders = vec![(all.clone(), forward)];
        for _ in 0..self.rounds {
            let seen = within!(self.trial(&all, Arrangement::Together, false)?);
            clues.extend(seen.failed.iter().map(|test| Clue {
                test: *test,
                how: How::Beside,
                among: beside(&seen, *test),
                runs: self.rounds,
            }));
        }
        if self.orders {
            let reverse: Vec<usize> = all.iter().rev().copied().collect();
            let seen = within!(self.trial(&reverse, Arrangement::InOrder, false)?);
            orders.push((reverse, seen));
        }
        for (order, seen) in orders {
            for (at, test) in order.iter().enumerate().filter(|(_, test)| seen.ran.contains_key(test)) {
                let before = order[..at].to_vec();
                if seen.failed.contains(test) {
                    clues.push(Clue { test: *test, how: How::After, among: before, runs: self.rounds });
                } else {
                    passed.entry(*test).or_insert(before);
                }
            }
        }
        let mut tests: Vec<usize> = clues.iter().map(|clue| clue.test).collect();
        tests.sort_unstable();
        tests.dedup();
        for test in tests {
            if self.is_explained(test) {
                continue;
            }
            let own: Vec<Clue> = clues.iter().filter(|clue| clue.test == test).cloned().collect();
            if self.explain(test, own, passed.get(&test))?.is_none() {
                let among = clues.iter().filter(|clue| clue.test == test).flat_map(|clue| clue.among.clone());
                let among: BTreeSet<usize> = among.collect();
                if !self.is_explained(test) {
                    self.found.unresolved.push((test, among.into_iter().collect()));
                }
                return Ok(None);
            }
        }
        self.suspicious(count)
    }

    fn trial(&mut self, tests: &[usize], arrangement: Arrangement, traced: bool) -> Result<Option<Seen>, L::Error> {
        self.lab.run(&Trial { tests: tests.to_vec(), arrangement, traced })
    }

    /// Whether a cause of its failures is known, or it is one of two that fail in turn.
    fn is_explained(&self, test: usize) -> bool {
        let fails = |found: &Collision| found.test == test || found.how == How::Beside && found.others.contains(&test);
        self.found.collisions.iter().any(fails)
    }

    /// Its failures by itself, in at least this many runs.
    fn alone(&mut self, test: usize, runs: u32) -> Result<Option<Count>, L::Error> {
        let mut count = self.alone.get(&test).copied().unwrap_or_default();
        while count.runs < runs {
            let seen = within!(self.trial(&[test], Arrangement::InOrder, false)?);
            count.add(seen.failed.contains(&test));
            self.alone.insert(test, count);
        }
        Ok(Some(count))
    }

    /// Looks for the cause of a test's failures; `passed` are the tests after which it passed.
    fn explain(&mut self, test: usize, clues: Vec<Clue>, passed: Option<&Vec<usize>>) -> Result<Option<()>, L::Error> {
        let apart = within!(self.alone(test, self.rounds)?);
        if apart.failed == apart.runs {
            match passed {
                Some(before) if self.orders && !before.is_empty() => {
                    let clue = Clue { test, how: How::Needs, among: before.clone(), runs: self.rounds };
                    within!(self.resolve(&clue, apart)?);
                }
                Some(_) | None => self.found.failing.push(test),
            }
            return Ok(Some(()));
        }
        if apart.failed > 0 {
            self.found.flaky.push((test, apart));
            return Ok(Some(()));
        }
        // An order fails always, so that is cheaper; what one failure has in common with the others of its kind is suspected
        // first.
        for how in [How::After, How::Beside] {
            let own: Vec<&Clue> = clues.iter().filter(|clue| clue.how == how).collect();
            let Some(first) = own.first() else { continue };
            let runs = match how {
                How::Beside => self.enough(own.len()),
                How::After | How::Needs => self.rounds,
            };
            let often: BTreeSet<usize> =
                first.among.iter().filter(|other| own.iter().all(|clue| clue.among.contains(other))).copied().collect();
            let all: BTreeSet<usize> = own.iter().flat_map(|clue| clue.among.iter().copied()).collect();
            let sets = if often == all { vec![all] } else { vec![often, all] };
            for among in sets.into_iter().map(|set| set.into_iter().collect::<Vec<_>>()) {
                if !self.is_explained(test) && !among.is_empty() && (how == How::Beside || self.orders) {
                    within!(self.resolve(&Clue { test, how, among, runs }, apart)?);
                }
            }
        }
        if !self.is_explained(test) {
            let among: BTreeSet<usize> = clues.into_iter().flat_map(|clue| clue.among).collect();
            self.found.unresolved.push((test, among.into_iter().collect()));
        }
        Ok(Some(()))
    }

    /// The runs among which what failed this often in all rounds fails again, but for a chance of [`CHANCE`].
    fn enough(&self, failures: usize) -> u32 {
        let passes = 1.0 - failures as f64 / f64::from(self.rounds);
        let runs = (CHANCE.ln() / passes.ln()).ceil();
        // Always failing makes this 0; the conversion saturates.
        (runs as u32).clamp(self.rounds, self.rounds * MOST_REPEATS)
    }

    /// Narrows a clue down to the fewest tests that are needed.
    fn resolve(&mut self, clue: &Clue, apart: Count) -> Result<Option<()>, L::Error> {
        let mut ranked: Vec<(u32, usize)> =
            clue.among.iter().map(|other| (self.lab.suspicion(clue.test, *other), *other)).collect();
        ranked.sort_by_key(|(suspicion, other)| (std::cmp::Reverse(*suspicion), *other));
        for (_, other) in ranked.iter().filter(|(suspicion, _)| *suspicion > 0) {
            if within!(self.accuse(clue, vec![*other], apart)?) {
                return Ok(Some(()));
            }
        }
        let set: Vec<usize> = ranked.into_iter().map(|(_, other)| other).collect();
        let Some(least) = within!(self.narrow(clue, set)?) else { return Ok(Some(())) };
        within!(self.accuse(clue, least, apart)?);
        Ok(Some(()))
    }

    /// Repeats the test with these others until what is seen is hardly chance, and records it then.
    fn accuse(&mut self, clue: &Clue, others: Vec<usize>, apart: Count) -> Result<Option<bool>, L::Error> {
        let (mut together, mut apart) = (Count::default(), apart);
        let mut failures: BTreeMap<usize, u32> = BTreeMap::new();
        loop {
            // Every other run is recorded: it shows what the two shared, and the others run at full speed.
            let traced = self.traced && together.runs % 2 == 1;
            let disturbed = within!(self.disturbed(clue, &others, traced)?);
            together.add(!disturbed.is_empty());
            disturbed.iter().for_each(|test| *failures.entry(*test).or_default() += 1);
            if together.failed == 0 && together.runs >= clue.runs {
                return Ok(Some(false));
            }
            if together.failed > 0 && together.failed < together.runs && apart.runs < together.runs * 2 {
                apart = within!(self.alone(clue.test, apart.runs + 1)?);
            }
            let expected = if clue.how == How::Needs { apart.runs - apart.failed } else { apart.failed };
            if expected > 0 && clue.how != How::Needs {
                self.found.flaky.push((clue.test, apart));
                return Ok(Some(false));
            }
            let enough = together.runs >= 2 && chance(together, Count { failed: expected, runs: apart.runs }) <= CHANCE;
            if enough {
                let together = match clue.how {
                    How::Needs => Count { failed: together.runs - together.failed, ..together },
                    How::Beside | How::After => together,
                };
                let Clue { test, how, .. } = *clue;
                if how == How::Needs {
                    failures = BTreeMap::from([(test, together.failed)]);
                }
                self.found.collisions.push(Collision { test, others, how, together, failures, apart });
                return Ok(Some(true));
            }
            if together.runs >= self.rounds * MOST_REPEATS {
                return Ok(Some(false));
            }
        }
    }

    /// Runs pairs that use the same things and did not fail so far.
    fn suspicious(&mut self, count: usize) -> Result<Option<()>, L::Error> {
        let mut pairs: Vec<(u32, usize, usize)> = Vec::new();
        for left in 0..count {
            for right in left + 1..count {
                let suspicion = self.lab.suspicion(left, right);
                if suspicion > 1 && !self.lab.are_kept_apart(left, right) {
                    pairs.push((suspicion, left, right));
                }
            }
        }
        pairs.sort_by_key(|(suspicion, left, right)| (std::cmp::Reverse(*suspicion), *left, *right));
        // Of many that use the same thing each is tried with one of the others.
        let mut tried: BTreeSet<usize> =
            self.found.collisions.iter().flat_map(|found| found.others.iter().copied().chain([found.test])).collect();
        tried.extend(self.found.failing.iter().copied());
        tried.extend(self.found.flaky.iter().map(|(test, _)| *test));
        for (_, left, right) in pairs {
            if tried.contains(&left) && tried.contains(&right)
                || self.found.failing.contains(&left)
                || self.found.failing.contains(&right)
            {
                continue;
            }
            tried.extend([left, right]);
            let mut count = Count::default();
            while count.runs < self.rounds {
                let traced = self.traced && count.runs % 2 == 1;
                let seen = within!(self.trial(&[left, right], Arrangement::Together, traced)?);
                count.add(!seen.failed.is_empty());
                if let Some(test) = seen.failed.first().copied() {
                    let other = if test == left { right } else { left };
                    let clue = Clue { test, how: How::Beside, among: vec![other], runs: self.rounds };
                    self.explain(test, vec![clue], None)?;
                    break;
                }
            }
            if count.failed == 0 {
                self.found.harmless.push(([left, right], count));
            }
        }
        Ok(Some(()))
    }
}

/// The tests that ran at some time while this one did.
fn beside(seen: &Seen, test: usize) -> Vec<usize> {
    let Some((begin, end)) = seen.ran.get(&test) else { return Vec::new() };
    let overlaps = |(other, (from, until)): (&usize, &(i64, i64))| {
        (*other != test && from <= end && until >= begin).then_some(*other)
    };
    seen.ran.iter().filter_map(overlaps).collect()
}

#[cfg(test)]
mod tests;
