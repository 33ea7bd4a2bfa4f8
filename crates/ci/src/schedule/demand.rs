//! The memory that jobs are expected to need, as distributions: what one job may need, and what several need together.
//!
//! The peaks of different jobs are mostly independent, so their means and variances add up, and the sum of several is
//! close to normal. A job is admitted if the sum of all running jobs stays within the memory with the probability that
//! [`SAFETY`] stands for. Reserving the highest of past peaks for each job alone would waste what the others leave.

/// Standard deviations of the sum that are kept free, in quarters: a probability of 96 %, as seen when a job starts. Most
/// jobs start with more room than that, so fewer than one in a hundred outgrow the memory: see `benches/schedule.rs`.
const SAFETY: u64 = 7;
/// The unit of [`SAFETY`].
const QUARTERS: u64 = 4;

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

    fn variance(self) -> u128 {
        u128::from(self.deviation).saturating_mul(self.deviation.into())
    }
}

/// The bytes that are kept free for a standard deviation.
fn margin(deviation: u64) -> u64 {
    deviation.saturating_mul(SAFETY) / QUARTERS
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
    pub fn fits(self, bytes: u64) -> bool {
        let Some(room) = bytes.checked_sub(self.mean) else { return false };
        let squared = |value: u64| u128::from(value).saturating_mul(value.into());
        squared(room).saturating_mul(squared(QUARTERS)) >= self.variance.saturating_mul(squared(SAFETY))
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
        assert!(four.fits(456) && !four.fits(455));
        assert_eq!(four.without(job).without(job).without(job), Total::default().with(job));
        assert_eq!(four.without(job).with(job), four);
    }

    #[test]
    fn what_is_known_needs_no_margin() {
        let two: Total = [Demand::fixed(60), Demand::fixed(40)].into_iter().collect();
        assert!(two.fits(100) && !two.fits(99));
        assert!(!Total::default().with(Demand { mean: u64::MAX, deviation: u64::MAX }).fits(u64::MAX - 1));
    }
}
