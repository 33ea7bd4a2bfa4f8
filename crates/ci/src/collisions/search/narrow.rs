//! The fewest tests with which a test is still disturbed.

use super::{Arrangement, Clue, How, Laboratory, Search};

impl<L: Laboratory> Search<'_, L> {
    /// Whether the test is disturbed with all of these, in one of several runs.
    fn disturbs(&mut self, clue: &Clue, others: &[usize]) -> Result<Option<bool>, L::Error> {
        for _ in 0..clue.runs {
            if within!(self.once(clue, others, false)?) {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    /// Whether the test is disturbed in one run.
    fn once(&mut self, clue: &Clue, others: &[usize], traced: bool) -> Result<Option<bool>, L::Error> {
        Ok(Some(!within!(self.disturbed(clue, others, traced)?).is_empty()))
    }

    /// The tests that are disturbed in one run: the test of the clue, and of tests that run at the same time also the others
    /// that do not fail by themselves.
    pub(super) fn disturbed(
        &mut self,
        clue: &Clue,
        others: &[usize],
        traced: bool,
    ) -> Result<Option<Vec<usize>>, L::Error> {
        let arrangement = if clue.how == How::Beside { Arrangement::Together } else { Arrangement::InOrder };
        let tests: Vec<usize> = match arrangement {
            Arrangement::Together => std::iter::once(clue.test).chain(others.iter().copied()).collect(),
            Arrangement::InOrder => others.iter().copied().chain([clue.test]).collect(),
        };
        let seen = within!(self.trial(&tests, arrangement, traced)?);
        let mut disturbed = Vec::new();
        let failed = seen.failed.contains(&clue.test);
        if seen.ran.contains_key(&clue.test) && failed != (clue.how == How::Needs) {
            disturbed.push(clue.test);
        }
        // Of a pair, now one fails and now the other.
        if let (How::Beside, [other]) = (clue.how, others) {
            if seen.failed.contains(other) && within!(self.alone(*other, self.rounds)?).failed == 0 {
                disturbed.push(*other);
            }
        }
        Ok(Some(disturbed))
    }

    /// The smallest set with which the test is still disturbed (delta debugging); `None` if it is not with the whole.
    pub(super) fn narrow(&mut self, clue: &Clue, whole: Vec<usize>) -> Result<Option<Option<Vec<usize>>>, L::Error> {
        if !within!(self.disturbs(clue, &whole)?) {
            return Ok(Some(None));
        }
        let (mut set, mut parts) = (whole, 2);
        while set.len() > 1 {
            let size = set.len().div_ceil(parts);
            let pieces: Vec<Vec<usize>> = set.chunks(size).map(<[usize]>::to_vec).collect();
            let mut smaller = None;
            for piece in &pieces {
                if within!(self.disturbs(clue, piece)?) {
                    smaller = Some((piece.clone(), 2));
                    break;
                }
            }
            if smaller.is_none() && pieces.len() > 2 {
                for piece in &pieces {
                    let rest: Vec<usize> = set.iter().filter(|test| !piece.contains(test)).copied().collect();
                    if within!(self.disturbs(clue, &rest)?) {
                        smaller = Some((rest, pieces.len() - 1));
                        break;
                    }
                }
            }
            match smaller {
                Some((piece, next)) => (set, parts) = (piece, next),
                None if parts >= set.len() => break,
                None => parts = (parts * 2).min(set.len()),
            }
        }
        Ok(Some(Some(set)))
    }
}
