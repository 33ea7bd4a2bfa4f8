//! The memory that jobs are expected to need, as distributions: what one job may need, and what several need together.
//!
//! The peaks of different jobs are mostly independent, so their means and variances add up, and the sum of several is
//! close to normal. A job is admitted if the sum of all running jobs stays within the memory with the probability that a
//! [`Safety`] stands for. Reserving the highest of past peaks for each job alone would waste what the others leave.

/// The standard deviations of the sum that are kept free when a job starts, in eighths. Most jobs start with more room
/// than that, so fewer than one in a hundred outgrow the memory: see `benches/schedule.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safety(u64);

impl Safety {
    /// The job that starts would itself be the victim, as the largest: only what it has done until then is lost. A
    /// probability of 87 %.
    const LARGEST: Safety = Safety(9);
    /// A job that has run for a while would be the victim: 98.8 %.
    const OTHERS: Safety = Safety(18);

    /// The safety with which a job starts beside others, the largest of which is expected to use so many bytes: the
    /// kernel ends the largest process.
    pub fn new(demand: Demand, largest: u64) -> Safety {
        if demand.mean > largest { Safety::LARGEST } else { Safety::OTHERS }
    }

    /// The least with which any job starts.
    pub(super) fn least() -> Safety {
        Safety::LARGEST
    }

    /// The most.
    pub(super) fn most() -> Safety {
        Safety::OTHERS
    }
}

/// The standard deviations that a job's reservation contains beyond the mean, in eighths.
const RESERVED: u64 = 14;
/// The unit of both.
const EIGHTHS: u64 = 8;
/// A peak that was seen is known to one part in so many.
const COARSE: u64 = 200;

/// The expected peak of one job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// The mean, in bytes.
    pub mean: u64,
    /// The standard deviation, in bytes.
    pub deviation: u64,
}

impl Demand {
    /// A need that is known, or that was declared.
    pub fn fixed(bytes: u64) -> Demand {
        Demand { mean: bytes, deviation: 0 }
    }

    /// The demand with that reservation and that standard deviation, in bytes.
    pub fn reserving(reservation: u64, deviation: u64) -> Demand {
        Demand { mean: reservation.saturating_sub(margin(deviation)), deviation }
    }

    /// The bytes that the job would be given if it ran beside none whose need is uncertain.
    pub fn reservation(self) -> u64 {
        self.mean.saturating_add(margin(self.deviation))
    }

    /// The mean within 1 byte, so that a machine without free memory still runs one job at a time, and the limit.
    #[must_use]
    pub fn within(self, limit: u64) -> Demand {
        Demand { mean: self.mean.clamp(1, limit.max(1)), ..self }
    }

    /// The demand in percent of it.
    #[must_use]
    pub fn scaled(self, percent: u64) -> Demand {
        let scale = |bytes: u64| bytes.saturating_mul(percent) / 100;
        Demand { mean: scale(self.mean), deviation: scale(self.deviation) }
    }

    /// The demand of a running job that has used so many bytes so far. If its peak `is_past`, as far as earlier runs
    /// tell, that is the most that it will use. Of a normal distribution, the part above a value has its mean about half
    /// a standard deviation above that value, and spreads by half.
    #[must_use]
    pub fn given(self, used: u64, is_past: bool) -> Demand {
        match self {
            // Declared, or what a retry was promised.
            Demand { mean, deviation: 0 } => Demand::fixed(mean.max(used)),
            _ if is_past && used > 0 => Demand { mean: used, deviation: (used / COARSE).min(self.deviation) },
            Demand { mean, deviation } if used > mean => {
                Demand { mean: used.saturating_add(deviation / 2), deviation: deviation / 2 }
            }
            _ => self,
        }
    }

    fn variance(self) -> u128 {
        if self.deviation == 0 {
            return 0;
        }
        u128::from(self.deviation).saturating_mul(self.deviation.into())
    }
}

/// The bytes that are kept free for a standard deviation.
fn margin(deviation: u64) -> u64 {
    deviation.saturating_mul(RESERVED) / EIGHTHS
}

/// The demand of several jobs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    mean: u64,
    variance: u128,
}

impl Total {
    /// The demand with that of one more job.
    #[must_use]
    pub fn with(self, demand: Demand) -> Total {
        Total { mean: self.mean.saturating_add(demand.mean), variance: self.variance.saturating_add(demand.variance()) }
    }

    /// The demand without that of a job that was among them.
    #[must_use]
    pub fn without(self, demand: Demand) -> Total {
        Total { mean: self.mean.saturating_sub(demand.mean), variance: self.variance.saturating_sub(demand.variance()) }
    }

    /// Whether the jobs stay within so many bytes, with the probability that is asked for.
    pub fn fits(self, bytes: u64, safety: Safety) -> bool {
        let Some(room) = bytes.checked_sub(self.mean) else { return false };
        if self.variance == 0 {
            return true;
        }
        let squared = |value: u64| u128::from(value).saturating_mul(value.into());
        squared(room).saturating_mul(squared(EIGHTHS)) >= self.variance.saturating_mul(squared(safety.0))
    }

    /// The bytes that all of them are given together.
    pub fn reservation(self) -> u64 {
        let deviation = u64::try_from(self.variance.isqrt()).unwrap_or(u64::MAX);
        self.mean.saturating_add(margin(deviation))
    }
}

impl From<Demand> for Total {
    fn from(demand: Demand) -> Total {
        Total::default().with(demand)
    }
}

impl FromIterator<Demand> for Total {
    fn from_iter<I: IntoIterator<Item = Demand>>(demands: I) -> Total {
        demands.into_iter().fold(Total::default(), Total::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_of_independent_jobs_do_not_add_up() {
        let job = Demand { mean: 100, deviation: 16 };
        assert_eq!(job.reservation(), 128);
        assert_eq!(Demand::reserving(128, 16), job);
        let four: Total = [job; 4].into_iter().collect();
        assert_eq!(four.reservation(), 456, "less than four times 128");
        assert!(four.fits(436, Safety::LARGEST) && !four.fits(435, Safety::LARGEST));
        assert!(four.fits(472, Safety::OTHERS) && !four.fits(471, Safety::OTHERS));
        assert_eq!(four.without(job).without(job).without(job), Total::default().with(job));
        assert_eq!(four.without(job).with(job), four);
    }

    #[test]
    fn what_is_known_needs_no_margin() {
        let two: Total = [Demand::fixed(60), Demand::fixed(40)].into_iter().collect();
        assert!(two.fits(100, Safety::OTHERS) && !two.fits(99, Safety::LARGEST));
        let most = Total::default().with(Demand { mean: u64::MAX, deviation: u64::MAX });
        assert!(!most.fits(u64::MAX - 1, Safety::LARGEST));
    }

    #[test]
    fn a_job_that_could_cost_others_their_work_needs_more_room() {
        let demand = Demand { mean: 50, deviation: 10 };
        assert_eq!([49, 50].map(|largest| Safety::new(demand, largest)), [Safety::LARGEST, Safety::OTHERS]);
    }

    #[test]
    fn what_a_running_job_has_used_tells_what_it_will_use() {
        let learned = Demand { mean: 100, deviation: 20 };
        for (used, is_past, expected) in [
            (40, false, learned),                              // it may still grow
            (110, false, Demand { mean: 120, deviation: 10 }), // more than expected
            (40, true, Demand { mean: 40, deviation: 0 }),     // it will not
            (400, true, Demand { mean: 400, deviation: 2 }),
            (0, true, learned), // never measured
        ] {
            assert_eq!(learned.given(used, is_past), expected, "{used} {is_past}");
        }
        assert_eq!(Demand::fixed(100).given(40, true), Demand::fixed(100), "a promise is kept");
        assert_eq!(Demand::fixed(100).given(140, false), Demand::fixed(140));
    }
}
