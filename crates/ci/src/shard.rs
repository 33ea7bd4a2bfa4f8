//! A plan for several machines: which job runs on which, frozen in one file that all of them read.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::plan::{FORMAT, Plan};
use drydock_base::checksum::Checksum;
use drydock_base::paths;
use drydock_base::text::quoted;
use drydock_base::units::{BadValue, JobName};
use drydock_config::jobs::Runner;

mod balance;
mod describe;
mod durations;
mod merge;
mod piece;
mod seal;
mod split;
mod trouble;
mod units;

pub use balance::{Balance, Balanced, HASTY, THOROUGH, balance, evaluate};
pub use describe::{describe, matrix};
pub use durations::{Expected, expected};
pub use merge::{Merged, Pieces, Source, directories, merge};
pub use piece::{Piece, PieceError, events};
pub use seal::{SEAL, SealError, Sealed, files_of, seal};
pub use split::{Goal, Shards, SplitError, Unfit, split};
pub use trouble::{Trouble, TroubleKind};
pub use units::{Unit, units};

/// The most shards of a plan: GitHub's limit of the entries of a matrix.
pub const MOST_SHARDS: usize = 256;
/// The most bytes of the file.
const LONGEST: u64 = 256 << 20;

/// A plan for several machines. Its identity is the checksum of the file that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FrozenPlan {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of Drydock that made it.
    pub version: String,
    /// The project's commit, where nothing tracked was changed.
    pub revision: Option<String>,
    /// The checksum of the text of the declaration.
    pub declaration: Checksum,
    /// All jobs.
    pub plan: Plan,
    /// The jobs that ran when the plan was made, and the run that has their results.
    pub prepared: Option<Prepared>,
    /// At least one, at most [`MOST_SHARDS`].
    pub shards: Vec<PlannedShard>,
}

/// What ran when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Prepared {
    /// The jobs whose results hold for all shards.
    pub jobs: Vec<JobName>,
    /// The checksum of the seal of its run, which lies in the directory [`PREPARED`] beside the plan.
    pub seal: Checksum,
    /// The checksum of the archive of what these jobs share, [`SHARED`] beside the plan; absent if they share nothing.
    pub archive: Option<Checksum>,
}

/// The directory with the run of the prepared jobs, beside the plan.
pub const PREPARED: &str = "prepared";
/// The archive of what they share, beside the plan.
pub const SHARED: &str = "shared.tar.gz";

/// One machine's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedShard {
    /// The class of the machine.
    pub class: Runner,
    /// The positions in the plan of the jobs that run here and nowhere else, in ascending order; at least one.
    pub jobs: Vec<usize>,
    /// The positions of the jobs that these need, which run in each shard that needs them.
    pub setup: Vec<usize>,
    /// Milliseconds that it is expected to take, with the set-up of the machine.
    pub expected_ms: u64,
    /// Milliseconds of these that are spent on the set-up of the machine and on `setup`.
    pub setup_ms: u64,
}

impl PlannedShard {
    /// The cost: started minutes, times the cost of the class.
    pub fn cost(&self) -> u64 {
        self.minutes().saturating_mul(u64::from(self.class.cost))
    }

    /// The started minutes.
    pub fn minutes(&self) -> u64 {
        self.expected_ms.div_ceil(60_000)
    }
}

/// The number of a shard, and of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShardNumber {
    /// From 1.
    pub number: usize,
    /// The number of shards.
    pub of: usize,
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for ShardNumber {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<ShardNumber, BadValue> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((digits(number)?, digits(of)?)));
        let valid = parts.filter(|(number, of)| (1..=*of).contains(number) && *of <= MOST_SHARDS);
        match valid {
            Some((number, of)) => Ok(ShardNumber { number, of }),
            None => Err(BadValue::new(
                format!("{} is not a shard", quoted(text)),
                format!("a number and the number of shards, from `1/1` to `{MOST_SHARDS}/{MOST_SHARDS}`"),
            )),
        }
    }
}

/// A number as it is printed: without a sign, and without zeros in front.
fn digits(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

/// The shard that a run is, recorded with its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShardIdentity {
    /// Its number.
    pub shard: ShardNumber,
    /// The checksum of the plan's file.
    pub plan: Checksum,
    /// From 1; a shard that is run again has the next.
    pub attempt: u32,
    /// The runs of its earlier attempts, whose results this one completes, the first one first.
    #[serde(default)]
    pub completes: Vec<String>,
}

/// The reason why a file is not a plan that can be followed.
#[derive(Debug, thiserror::Error)]
pub enum FrozenPlanError {
    /// It cannot be read.
    #[error("cannot read the plan")]
    Unreadable(#[from] io::Error),
    /// It is too long.
    #[error("the plan has {0} bytes, and no plan has more than {LONGEST}")]
    TooLong(u64),
    /// It is not a plan of this version.
    #[error("not a plan for shards of this version of Drydock; make the plan again")]
    Invalid(#[from] serde_json::Error),
    /// It contradicts itself.
    #[error("the plan is inconsistent: {0}")]
    Inconsistent(String),
}

impl FrozenPlan {
    /// Reads a plan, with the checksum of its file.
    ///
    /// # Errors
    /// [`FrozenPlanError`]
    pub fn read(path: &Path) -> Result<(FrozenPlan, Checksum), FrozenPlanError> {
        let length = paths::open_regular(path)?.metadata()?.len();
        if length > LONGEST {
            return Err(FrozenPlanError::TooLong(length));
        }
        FrozenPlan::parse(&paths::read_regular(path)?)
    }

    /// The same from the file's content.
    ///
    /// # Errors
    /// [`FrozenPlanError`]
    pub fn parse(text: &[u8]) -> Result<(FrozenPlan, Checksum), FrozenPlanError> {
        let plan: FrozenPlan = serde_json::from_slice(text)?;
        match plan.contradiction() {
            Some(what) => Err(FrozenPlanError::Inconsistent(what)),
            None => Ok((plan, Checksum::new(text))),
        }
    }

    /// What is wrong with a plan: an edited file, or one of somebody else.
    fn contradiction(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("its format is {} and not {FORMAT}", self.format));
        }
        if self.shards.is_empty() || self.shards.len() > MOST_SHARDS {
            return Some(format!("it has {} shards", self.shards.len()));
        }
        let mut names = std::collections::HashSet::new();
        if let Some(twice) = self.plan.jobs.iter().find(|job| !names.insert(&job.name)) {
            return Some(format!("it has the job `{}` twice", twice.name));
        }
        let mut runs = vec![0_usize; self.plan.jobs.len()];
        let mut owned = vec![0_usize; self.plan.jobs.len()];
        for (number, shard) in self.shards.iter().enumerate() {
            if shard.jobs.is_empty() {
                return Some(format!("shard {} is empty", number + 1));
            }
            let mut seen = std::collections::HashSet::new();
            for job in shard.jobs.iter().chain(&shard.setup) {
                let Some(count) = runs.get_mut(*job) else {
                    return Some(format!("shard {} has a job that the plan lacks", number + 1));
                };
                *count += 1;
                if !seen.insert(*job) {
                    return Some(format!("shard {} has a job twice", number + 1));
                }
            }
            shard.jobs.iter().for_each(|job| owned[*job] += 1);
        }
        let prepared = self.prepared_positions();
        for (position, job) in self.plan.jobs.iter().enumerate() {
            let is_prepared = prepared.contains(&position);
            if owned[position] > 1 || owned[position] == 1 && runs[position] > 1 || is_prepared && runs[position] > 0 {
                return Some(format!("the job `{}` is planned twice", job.name));
            }
            if runs[position] == 0 && !is_prepared {
                return Some(format!("no shard runs the job `{}`", job.name));
            }
        }
        None
    }

    /// The positions of the jobs that ran when the plan was made.
    pub fn prepared_positions(&self) -> std::collections::HashSet<usize> {
        let Some(prepared) = &self.prepared else { return Default::default() };
        let names: std::collections::HashSet<&JobName> = prepared.jobs.iter().collect();
        let jobs = self.plan.jobs.iter().enumerate();
        jobs.filter(|(_, job)| names.contains(&job.name)).map(|(position, _)| position).collect()
    }

    /// The shard of that number, if the plan has as many.
    pub fn shard(&self, number: ShardNumber) -> Option<&PlannedShard> {
        self.shards.get(number.number.checked_sub(1)?).filter(|_| number.of == self.shards.len())
    }

    /// All numbers.
    pub fn numbers(&self) -> impl Iterator<Item = ShardNumber> + use<> {
        let of = self.shards.len();
        (1..=of).map(move |number| ShardNumber { number, of })
    }
}

#[cfg(test)]
mod tests;
