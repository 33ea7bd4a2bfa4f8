//! The run of one shard as another machine finds it: nothing in it is believed before it was checked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ShardIdentity;
use super::seal::{SealError, Sealed};
use crate::event::{AttemptRecord, Event, Stamped};
use crate::journal;
use crate::plan::Plan;
use crate::run::Run;
use drydock_base::checksum::Checksum;
use drydock_base::paths::JOURNAL;

/// The longest journal that is read, in bytes.
const LONGEST_JOURNAL: u64 = 512 << 20;
/// No time in Unix milliseconds is later than this: it is in the year 2255.
const LAST_MOMENT: i64 = 9_000_000_000_000;
/// No machine has more memory, in bytes.
const MOST_MEMORY: u64 = 1 << 50;
/// No attempt has a higher number.
const MOST_ATTEMPTS: u32 = 10_000;

/// The run of a shard.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The directory of the run.
    pub dir: PathBuf,
    /// The run's identifier.
    pub id: String,
    /// The shard that it was.
    pub identity: Option<ShardIdentity>,
    /// Its state, as its journal tells of the jobs of the plan.
    pub run: Run,
    /// `false` if it was not closed: its machine was lost, or its copy was cut.
    pub is_closed: bool,
}

/// The reason why a directory is not the run of a shard.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// There is no journal in it.
    #[error("it has no journal, so it is not the directory of a run")]
    NoRun,
    /// The journal cannot be read.
    #[error("{0}")]
    Journal(String),
    /// A file is not as the run left it.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The journal has numbers that no run has.
    #[error("its journal has an impossible {0}")]
    Implausible(&'static str),
    /// It is an archive that cannot be unpacked.
    #[error("it cannot be unpacked: {0}")]
    Packed(String),
    /// The directory cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Piece {
    /// Reads the run in a directory. Its own plan is not looked at; events about jobs that `plan` does not have are
    /// ignored. With `seal`, its list of files must have that checksum.
    ///
    /// # Errors
    /// [`PieceError`]
    pub fn read(dir: &Path, plan: &Arc<Plan>, seal: Option<Checksum>) -> Result<Piece, PieceError> {
        let events = events(dir)?;
        let is_closed = match Sealed::check(dir, seal) {
            Ok(_) => true,
            Err(SealError::Open) if seal.is_none() => false,
            Err(error) => return Err(error.into()),
        };
        let run = Run::replay(Arc::clone(plan), &events);
        let Some(started) = &run.started else { return Err(PieceError::NoRun) };
        let (id, identity) = (started.id.clone(), started.shard.as_deref().cloned());
        Ok(Piece { dir: dir.to_owned(), id, identity, run, is_closed })
    }
}

/// The events of a journal from elsewhere.
///
/// # Errors
/// It is missing, too long, not a journal, or has numbers that no run has.
pub fn events(dir: &Path) -> Result<Vec<Stamped>, PieceError> {
    let path = dir.join(JOURNAL);
    let metadata = fs::symlink_metadata(&path).map_err(|_| PieceError::NoRun)?;
    if !metadata.is_file() {
        return Err(PieceError::NoRun);
    }
    if metadata.len() > LONGEST_JOURNAL {
        return Err(PieceError::Journal(format!("its journal has {} bytes, and none is that long", metadata.len())));
    }
    let events = journal::read(&path).map_err(|error| PieceError::Journal(format!("{error:#}")))?;
    match events.iter().find_map(implausible) {
        Some(what) => Err(PieceError::Implausible(what)),
        None => Ok(events),
    }
}

/// What no event of a run has: sums of these numbers must not overflow anywhere.
fn implausible(stamped: &Stamped) -> Option<&'static str> {
    if !is_moment(stamped.at) {
        return Some("time");
    }
    match &stamped.event {
        Event::RunStarted(started) => {
            (started.capacity.memory > MOST_MEMORY || started.capacity.slots > 1 << 20).then_some("capacity")
        }
        Event::Carried { attempts, .. } => attempts.iter().find_map(wrong_record),
        Event::AttemptEnded { record, .. } => wrong_record(record),
        Event::AttemptStarting(starting) => {
            (!(1..=MOST_ATTEMPTS).contains(&starting.attempt)).then_some("number of an attempt")
        }
        Event::Samples { jobs, available } => {
            let bytes = jobs.iter().map(|(_, bytes)| *bytes).chain(*available);
            bytes.max().is_some_and(|most| most > MOST_MEMORY).then_some("amount of memory")
        }
        Event::Surroundings(_)
        | Event::Shard(_)
        | Event::AttemptStarted { .. }
        | Event::KillIntent { .. }
        | Event::JobSettled { .. }
        | Event::AdmissionPaused { .. }
        | Event::Warning { .. }
        | Event::Interrupted { .. }
        | Event::RunEnded { .. } => None,
    }
}

fn wrong_record(record: &AttemptRecord) -> Option<&'static str> {
    let memory = [record.peak.unwrap_or(0), record.conditions.reservation, record.conditions.deviation];
    let times = [record.cpu_ms, record.peak_ms];
    if !is_moment(record.started) || !is_moment(record.ended) || record.ended < record.started {
        Some("time of an attempt")
    } else if !(1..=MOST_ATTEMPTS).contains(&record.number) {
        Some("number of an attempt")
    } else if memory.iter().any(|bytes| *bytes > MOST_MEMORY)
        || record.evidence.neighbours.iter().any(|job| job.bytes > MOST_MEMORY || job.reserved > MOST_MEMORY)
        || record.evidence.last_samples.iter().any(|bytes| *bytes > MOST_MEMORY)
    {
        Some("amount of memory")
    } else if times
        .iter()
        .flatten()
        .any(|time| i64::try_from(*time).is_ok_and(|time| !is_moment(time)) || *time > i64::MAX as u64)
    {
        Some("time of an attempt")
    } else {
        None
    }
}

fn is_moment(at: i64) -> bool {
    (0..=LAST_MOMENT).contains(&at)
}
