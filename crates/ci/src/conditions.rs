//! The conditions that an attempt runs under.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::Demand;
use drydock_base::units::ByteSize;

/// The conditions that an attempt runs under: its share of the machine, and why it is run if it is a retry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Conditions {
    /// Memory reserved for it, in bytes.
    pub reservation: u64,
    /// The standard deviation of its expected peak, in bytes: that much of the reservation may be shared with other jobs,
    /// since not all of them need more than expected at once. 0 if nothing of it may.
    #[serde(default)]
    pub deviation: u64,
    /// `true` if no other job runs beside it.
    pub exclusive: bool,
    /// `true` if valgrind gets the declared `reduced-args`, which save memory and check less.
    pub reduced: bool,
    /// The reason for a retry; absent for the first attempt.
    pub retry_reason: Option<String>,
}

impl Conditions {
    /// Its expected peak.
    pub fn demand(&self) -> Demand {
        Demand::reserving(self.reservation, self.deviation)
    }

    /// One phrase for a person: `exclusive, with reduced checking, 2 GiB reserved`.
    pub fn describe(&self) -> String {
        let memory = format!("{} reserved", ByteSize::new(self.reservation));
        let special = [(self.exclusive, "exclusive"), (self.reduced, "with reduced checking")];
        let special = special.into_iter().filter_map(|(applies, word)| applies.then_some(word));
        special.chain([memory.as_str()]).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_in_words() {
        let plain = Conditions { reservation: 2 << 30, ..Conditions::default() };
        assert_eq!(plain.describe(), "2 GiB reserved");
        let both = Conditions { exclusive: true, reduced: true, ..plain };
        assert_eq!(both.describe(), "exclusive, with reduced checking, 2 GiB reserved");
    }
}
