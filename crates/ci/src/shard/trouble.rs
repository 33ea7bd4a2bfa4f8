//! What can be wrong with the results of a plan for several machines, and what a caller may decide on.

use std::path::PathBuf;

use super::ShardNumber;
use super::piece::PieceError;
use drydock_base::checksum::Checksum;

/// What is wrong with the results of a plan; its text is a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A directory is not the run of a shard, or its files are not those that the run left.
    #[error("{} is not used: {error}", dir.display())]
    Refused {
        /// As given.
        dir: PathBuf,
        /// The problem.
        error: PieceError,
    },
    /// It is a run, but not that of a shard.
    #[error("{} is not used: it is not the run of a shard; `--shard` makes one", .0.display())]
    NotAShard(PathBuf),
    /// It followed another plan.
    #[error("{} is not used: shard {shard} followed another plan ({})", dir.display(), short(.plan))]
    OtherPlan {
        /// As given.
        dir: PathBuf,
        /// The shard that it was.
        shard: ShardNumber,
        /// The plan's checksum.
        plan: Checksum,
    },
    /// It ran another commit.
    #[error("{} is not used: shard {shard} ran at commit {found}, and the plan is of {expected}", dir.display())]
    OtherCommit {
        /// As given.
        dir: PathBuf,
        /// The shard that it was.
        shard: ShardNumber,
        /// The commit that it ran.
        found: String,
        /// That of the plan.
        expected: String,
    },
    /// Two runs claim to be the same shard, and none completes the other.
    #[error("shard {shard} has {} results, and none completes another: {}", dirs.len(), list(dirs))]
    Twice {
        /// The shard.
        shard: ShardNumber,
        /// Their directories.
        dirs: Vec<PathBuf>,
    },
    /// It has results of jobs that are planned elsewhere.
    #[error("{} is not used: shard {shard} has results of jobs that it was not to run: {jobs}", dir.display())]
    Unplanned {
        /// As given.
        dir: PathBuf,
        /// The shard.
        shard: ShardNumber,
        /// Some of the jobs.
        jobs: String,
    },
    /// There is no run of it.
    #[error(
        "no result of shard {shard} ({class}): it was lost or cancelled, or its directory was not given; {jobs} did not run"
    )]
    Missing {
        /// The shard.
        shard: ShardNumber,
        /// The class of its machine.
        class: String,
        /// The number of its jobs.
        jobs: String,
    },
    /// It ended before all of its jobs had a result.
    #[error("shard {shard} ({class}) {how}: {jobs}")]
    Incomplete {
        /// The shard.
        shard: ShardNumber,
        /// The class of its machine.
        class: String,
        /// How it ended.
        how: &'static str,
        /// The jobs without a result.
        jobs: String,
    },
    /// The run of the prepared jobs is missing or wrong.
    #[error("the results of the jobs that ran for the plan are not there: {0}")]
    Unprepared(PieceError),
}

/// What a caller may decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// A machine was lost, or its work cancelled.
    Lost,
    /// Files are not those that a run left.
    Tampered,
    /// The directories do not belong together.
    Misused,
}

impl Trouble {
    /// Its kind.
    pub fn kind(&self) -> TroubleKind {
        match self {
            Trouble::Refused { error, .. } | Trouble::Unprepared(error) => match error {
                PieceError::Seal(_) | PieceError::Journal(_) | PieceError::Implausible(_) | PieceError::Packed(_) => {
                    TroubleKind::Tampered
                }
                PieceError::NoRun | PieceError::Unreadable(_) => TroubleKind::Misused,
            },
            Trouble::NotAShard(_)
            | Trouble::OtherPlan { .. }
            | Trouble::OtherCommit { .. }
            | Trouble::Twice { .. }
            | Trouble::Unplanned { .. } => TroubleKind::Misused,
            Trouble::Missing { .. } | Trouble::Incomplete { .. } => TroubleKind::Lost,
        }
    }
}

fn short(checksum: &Checksum) -> String {
    checksum.to_string().chars().take(12).collect()
}

fn list(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
}
