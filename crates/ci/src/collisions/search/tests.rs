//! Suites whose collisions are known.

use super::*;

/// A rule: with these others, the test fails in one of `every` runs.
struct Rule {
    test: usize,
    with: &'static [usize],
    how: How,
    every: u32,
}

/// A suite that follows rules.
struct Known {
    rules: Vec<Rule>,
    suspicions: Vec<(usize, usize, u32)>,
    runs: u32,
    most: u32,
    /// The runs in which each rule could apply.
    met: Vec<u32>,
}

impl Laboratory for Known {
    type Error = std::convert::Infallible;

    fn run(&mut self, trial: &Trial) -> Result<Option<Seen>, Self::Error> {
        if self.runs == self.most {
            return Ok(None);
        }
        self.runs += 1;
        let together = trial.arrangement == Arrangement::Together;
        let place = |test: &usize| trial.tests.iter().position(|other| other == test);
        let mut seen = Seen::default();
        for (at, test) in trial.tests.iter().enumerate() {
            let time = if together { (0, 9) } else { (at as i64 * 10, at as i64 * 10 + 9) };
            seen.ran.insert(*test, time);
        }
        for (number, rule) in self.rules.iter().enumerate() {
            let Some(own) = place(&rule.test) else { continue };
            let before = rule.with.iter().all(|other| place(other).is_some_and(|at| together || at < own));
            let applies = match rule.how {
                How::Beside => together && before,
                How::After => !together && before,
                How::Needs => !before,
            };
            if applies {
                self.met[number] += 1;
                if self.met[number] % rule.every == 0 {
                    seen.failed.insert(rule.test);
                }
            }
        }
        Ok(Some(seen))
    }

    fn suspicion(&self, left: usize, right: usize) -> u32 {
        let found = self.suspicions.iter().find(|(a, b, _)| (*a, *b) == (left, right) || (*b, *a) == (left, right));
        found.map_or(0, |(_, _, suspicion)| *suspicion)
    }

    fn are_kept_apart(&self, left: usize, right: usize) -> bool {
        left + right == 99
    }
}

fn known(rules: Vec<Rule>, suspicions: &[(usize, usize, u32)]) -> Known {
    Known { met: vec![0; rules.len()], rules, suspicions: suspicions.to_vec(), runs: 0, most: 2000 }
}

fn rule(test: usize, with: &'static [usize], how: How, every: u32) -> Rule {
    Rule { test, with, how, every }
}

fn search(lab: &mut Known, count: usize) -> Found {
    match Search::new(lab, 4, true).run(count) {
        Ok(found) => found,
        Err(never) => match never {},
    }
}

fn accused(found: &Found) -> Vec<(usize, Vec<usize>, How)> {
    let mut all: Vec<_> = found.collisions.iter().map(|c| (c.test, c.others.clone(), c.how)).collect();
    all.sort();
    all
}

#[test]
fn each_kind_of_disturbance_is_narrowed_down_to_its_cause() {
    for (rules, suspicions, expected) in [
        (vec![rule(3, &[17], How::Beside, 1)], vec![], vec![(3, vec![17], How::Beside)]),
        // Only sometimes, with and without a suspicion.
        (vec![rule(3, &[17], How::Beside, 2)], vec![], vec![(3, vec![17], How::Beside)]),
        (vec![rule(3, &[17], How::Beside, 3)], vec![(3, 17, 3)], vec![(3, vec![17], How::Beside)]),
        // Once in four rounds: as many runs with one of many would mostly show nothing.
        (vec![rule(3, &[17], How::Beside, 4)], vec![(3, 17, 3)], vec![(3, vec![17], How::Beside)]),
        (vec![rule(3, &[17], How::Beside, 4)], vec![], vec![(3, vec![17], How::Beside)]),
        (vec![rule(9, &[2], How::After, 1)], vec![], vec![(9, vec![2], How::After)]),
        (vec![rule(2, &[9], How::After, 1)], vec![], vec![(2, vec![9], How::After)]),
        (vec![rule(9, &[2], How::Needs, 1)], vec![], vec![(9, vec![2], How::Needs)]),
        // It takes two others.
        (vec![rule(5, &[1, 13], How::Beside, 1)], vec![], vec![(5, vec![1, 13], How::Beside)]),
        // Of a pair, now one fails and now the other, and a third is disturbed by another.
        (
            vec![rule(1, &[2], How::Beside, 2), rule(2, &[1], How::Beside, 3), rule(7, &[8], How::Beside, 1)],
            vec![(1, 2, 3)],
            vec![(1, vec![2], How::Beside), (7, vec![8], How::Beside)],
        ),
    ] {
        let mut lab = known(rules, &suspicions);
        let found = search(&mut lab, 20);
        assert_eq!(accused(&found), expected, "{found:?}");
        assert!(lab.runs < 200 && !found.is_incomplete, "{} runs", lab.runs);
    }
}

#[test]
fn nobody_is_accused_of_what_a_test_does_by_itself() {
    // One fails always, one now and then, and the innocent use the same file.
    let rules = vec![
        rule(4, &[], How::After, 1),
        rule(4, &[], How::Beside, 1),
        rule(6, &[], How::Beside, 3),
        rule(6, &[], How::After, 3),
    ];
    let mut lab = known(rules, &[(4, 5, 3), (6, 5, 3), (1, 2, 3), (0, 99, 3)]);
    let found = search(&mut lab, 20);
    assert_eq!(accused(&found), []);
    assert_eq!((found.failing.as_slice(), found.flaky[0].0), (&[4][..], 6));
    assert_eq!(found.harmless, [([1, 2], Count { failed: 0, runs: 4 })]);
}

#[test]
fn what_the_search_did_not_reach_is_said() {
    let mut lab = Known { most: 9, ..known(vec![rule(3, &[17], How::Beside, 1)], &[]) };
    let found = search(&mut lab, 20);
    assert!(found.is_incomplete && found.collisions.is_empty());
    assert_eq!((found.unresolved[0].0, found.unresolved[0].1.len()), (3, 19));
    // A pair that never failed with all the others is found by what both use.
    let found = search(&mut known(vec![rule(3, &[17], How::Beside, 9)], &[(3, 17, 3)]), 20);
    assert!(found.collisions.is_empty() && found.harmless.len() == 1 || !found.collisions.is_empty(), "{found:?}");
}

#[test]
fn the_chance_is_that_of_fishers_exact_test() {
    let count = |failed, runs| Count { failed, runs };
    for (first, second, expected) in [
        (count(2, 2), count(0, 5), 1.0 / 21.0),
        (count(1, 1), count(0, 3), 0.25),
        (count(0, 5), count(0, 5), 1.0),
        (count(3, 4), count(1, 4), 17.0 / 70.0),
    ] {
        assert!((chance(first, second) - expected).abs() < 1e-9, "{first:?} {second:?}: {}", chance(first, second));
    }
}
