//! The runs of all shards as one run. A job without a result is never taken for a passed one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::piece::{Piece, PieceError};
use super::trouble::Trouble;
use super::{FrozenPlan, ShardNumber};
use crate::capacity::Capacity;
use crate::event::{JobResult, RunStarted, ShardRecord};
use crate::evidence::SupervisorLoss;
use crate::plan::Plan;
use crate::recover;
use crate::run::{JobState, Run};
use drydock_base::checksum::Checksum;
use drydock_base::text::plural;

/// The samples of memory of a merged run that are kept.
const MOST_SAMPLES: usize = 50_000;
/// The fewest that are kept of one attempt.
const LEAST_SAMPLES: usize = 8;
/// The jobs that a sentence names.
const MOST_NAMED: usize = 5;

/// The files of one attempt in the directory that has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The position of the job in the plan.
    pub job: usize,
    /// The attempt's number.
    pub attempt: u32,
    /// The directory of the run that has the files.
    pub dir: PathBuf,
}

/// A merged run.
#[derive(Debug)]
pub struct Merged {
    /// Its state; without a result.
    pub run: Run,
    /// Where the files of its attempts are.
    pub sources: Vec<Source>,
    /// What is wrong with it.
    pub troubles: Vec<Trouble>,
    /// The runs that it consists of.
    pub pieces: Vec<Piece>,
}

/// Everything that a merged run is made of.
#[derive(Debug)]
pub struct Pieces<'a> {
    /// The plan.
    pub frozen: &'a FrozenPlan,
    /// The checksum of its file.
    pub checksum: Checksum,
    /// The plan of the merged run: the jobs of `frozen` for the project of this machine.
    pub plan: Arc<Plan>,
    /// The run of the prepared jobs, where the plan has some.
    pub prepared: Option<Result<Piece, PieceError>>,
    /// What was found in the directories of shards.
    pub found: Vec<(PathBuf, Result<Piece, PieceError>)>,
}

/// Merges the runs of shards. The result of a job that several shards ran is the worst of them.
pub fn merge(pieces: Pieces<'_>) -> Merged {
    let Pieces { frozen, checksum, plan, prepared, found } = pieces;
    let mut troubles = Vec::new();
    let mut by_shard: BTreeMap<ShardNumber, Vec<Piece>> = BTreeMap::new();
    for (dir, piece) in found {
        match piece.map_err(|error| Trouble::Refused { dir: dir.clone(), error }).and_then(|piece| {
            let shard = belongs(&piece, frozen, checksum)?;
            Ok((shard, piece))
        }) {
            Ok((shard, piece)) => by_shard.entry(shard).or_default().push(piece),
            Err(trouble) => troubles.push(trouble),
        }
    }
    let mut run = Run::new(Arc::clone(&plan));
    let mut chosen: Vec<Option<Piece>> = Vec::new();
    for (number, planned) in frozen.numbers().zip(&frozen.shards) {
        let all = by_shard.remove(&number).unwrap_or_default();
        let piece = newest(number, all).unwrap_or_else(|trouble| {
            troubles.push(trouble);
            None
        });
        if piece.is_none()
            && !troubles.iter().any(|trouble| matches!(trouble, Trouble::Twice { shard, .. } if *shard == number))
        {
            let (class, jobs) = (planned.class.name.to_string(), plural(planned.jobs.len(), "job"));
            troubles.push(Trouble::Missing { shard: number, class, jobs });
        }
        chosen.push(piece);
    }
    let prepared = prepared.and_then(|piece| match piece {
        Ok(piece) => Some(piece),
        Err(error) => {
            troubles.push(Trouble::Unprepared(error));
            None
        }
    });
    let mut merger = Merger { frozen, plan: &plan, run: &mut run, sources: Vec::new() };
    merger.begin(prepared.iter().chain(chosen.iter().flatten()));
    if let Some(piece) = &prepared {
        for job in frozen.prepared_positions() {
            merger.take(job, piece, "the run for the plan");
        }
    }
    for ((number, planned), piece) in frozen.numbers().zip(&frozen.shards).zip(&chosen) {
        merger.shard(number, planned, piece.as_ref(), &mut troubles);
    }
    merger.leave_nothing_open();
    merger.warn(&chosen, &frozen.numbers().collect::<Vec<_>>());
    let mut sources = std::mem::take(&mut merger.sources);
    sources.retain(|source| run.jobs[source.job].attempts.iter().any(|attempt| attempt.number == source.attempt));
    thin(&mut run);
    let pieces = prepared.into_iter().chain(chosen.into_iter().flatten()).collect();
    Merged { run, sources, troubles, pieces }
}

/// The shard that a run is, if it belongs to the plan.
fn belongs(piece: &Piece, frozen: &FrozenPlan, checksum: Checksum) -> Result<ShardNumber, Trouble> {
    let dir = || piece.dir.clone();
    let Some(identity) = &piece.identity else { return Err(Trouble::NotAShard(dir())) };
    let shard = identity.shard;
    let Some(planned) = frozen.shard(shard).filter(|_| identity.plan == checksum) else {
        return Err(Trouble::OtherPlan { dir: dir(), shard, plan: identity.plan });
    };
    let revision = piece.run.started.as_ref().and_then(|started| started.revision.as_ref());
    if let (Some(found), Some(expected)) = (revision, &frozen.revision) {
        if found != expected {
            return Err(Trouble::OtherCommit { dir: dir(), shard, found: found.clone(), expected: expected.clone() });
        }
    }
    let own: std::collections::HashSet<usize> = planned.jobs.iter().chain(&planned.setup).copied().collect();
    let foreign = |position: &usize| {
        let job = &piece.run.jobs[*position];
        !own.contains(position) && (job.result.is_some() || !job.attempts.is_empty() || job.in_flight.is_some())
    };
    let foreign: Vec<usize> = (0..piece.run.jobs.len()).filter(foreign).collect();
    if foreign.is_empty() {
        Ok(shard)
    } else {
        Err(Trouble::Unplanned { dir: dir(), shard, jobs: named(&piece.run.plan, &foreign) })
    }
}

fn named(plan: &Plan, positions: &[usize]) -> String {
    let names: Vec<&str> = positions.iter().take(MOST_NAMED).map(|job| plan.jobs[*job].name.as_str()).collect();
    match positions.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Of several runs of a shard, the one that completes all others.
fn newest(shard: ShardNumber, mut all: Vec<Piece>) -> Result<Option<Piece>, Trouble> {
    supersede(&mut all);
    let completes = |piece: &Piece, other: &Piece| {
        piece.identity.as_ref().is_some_and(|identity| identity.completes.contains(&other.id))
    };
    let last =
        (0..all.len()).find(|last| (0..all.len()).all(|other| other == *last || completes(&all[*last], &all[other])));
    match last {
        Some(last) => Ok(Some(all.swap_remove(last))),
        None if all.is_empty() => Ok(None),
        None => Err(Trouble::Twice { shard, dirs: all.into_iter().map(|piece| piece.dir).collect() }),
    }
}

/// Drops what a run had sent while it went on, where more of the same run is there: its end, or a later part.
fn supersede(all: &mut Vec<Piece>) {
    let mut at = 0;
    while at < all.len() {
        let (piece, known) = (&all[at], |piece: &Piece| (piece.is_closed, piece.run.result.is_some(), piece.run.last));
        let is_old = !piece.is_closed
            && all.iter().enumerate().any(|(other, better)| {
                other != at && better.id == piece.id && (known(better), other) > (known(piece), at)
            });
        if is_old {
            all.remove(at);
        } else {
            at += 1;
        }
    }
}

struct Merger<'a> {
    frozen: &'a FrozenPlan,
    plan: &'a Plan,
    run: &'a mut Run,
    sources: Vec<Source>,
}

impl Merger<'_> {
    /// The identity and the times of the merged run.
    fn begin<'p>(&mut self, pieces: impl Iterator<Item = &'p Piece>) {
        let (mut slots, mut memory, mut began, mut last) = (0_u32, 0_u64, None::<i64>, 0);
        let mut first: Option<&RunStarted> = None;
        for piece in pieces {
            let Some(started) = &piece.run.started else { continue };
            first = first.or(Some(started));
            slots = slots.saturating_add(started.capacity.slots);
            memory = memory.saturating_add(started.capacity.memory);
            let at = piece.run.began.unwrap_or(piece.run.last);
            began = Some(began.map_or(at, |began| began.min(at)));
            last = last.max(piece.run.last);
        }
        let source = format!("{} together", plural(self.frozen.shards.len(), "shard"));
        self.run.began = began;
        self.run.session_began = began.unwrap_or(0);
        self.run.last = last;
        self.run.started = Some(RunStarted {
            id: String::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            containment: first.map_or_else(|| "none".into(), |started| started.containment.clone()),
            group: None,
            capacity: Capacity { slots, slots_source: source.clone(), memory, memory_source: source },
            resumed: false,
            reruns: None,
            valgrind: first.and_then(|started| started.valgrind.clone()),
            revision: self.frozen.revision.clone(),
            cores: None,
            shard: None,
        });
    }

    /// Takes the results of one shard, and says what is missing.
    fn shard(
        &mut self,
        number: ShardNumber,
        planned: &super::PlannedShard,
        piece: Option<&Piece>,
        troubles: &mut Vec<Trouble>,
    ) {
        let class = planned.class.name.to_string();
        let mut record = ShardRecord {
            shard: number,
            class: class.clone(),
            run: piece.map(|piece| piece.id.clone()),
            attempt: piece.and_then(|piece| piece.identity.as_ref()).map_or(0, |identity| identity.attempt),
            slots: 0,
            memory: 0,
            began: 0,
            ended: 0,
            expected_ms: planned.expected_ms,
            jobs: planned.jobs.len(),
            trouble: None,
        };
        let Some(piece) = piece else {
            let because = format!("there is no result of shard {number} ({class})");
            record.trouble = Some(because.clone());
            for job in &planned.jobs {
                self.run.jobs[*job].result = Some(JobResult::NotRun { because: because.clone() });
            }
            self.run.shards.push(record);
            return;
        };
        if let Some(started) = &piece.run.started {
            (record.slots, record.memory) = (started.capacity.slots, started.capacity.memory);
        }
        (record.began, record.ended) = (piece.run.began.unwrap_or(piece.run.last), piece.run.last);
        let where_from = format!("shard {number}");
        for job in planned.setup.iter().chain(&planned.jobs) {
            self.take(*job, piece, &where_from);
        }
        let open = |job: &&usize| {
            let state = &piece.run.jobs[**job];
            matches!(state.result, None | Some(JobResult::Cancelled))
        };
        let left: Vec<usize> = planned.jobs.iter().chain(&planned.setup).filter(open).copied().collect();
        let how = if piece.run.interrupted.is_some() {
            "was cancelled"
        } else if piece.run.result.is_none() {
            "was lost"
        } else {
            "ended too early"
        };
        let unclosed = !piece.is_closed && piece.run.result.is_some();
        if !left.is_empty() || unclosed {
            let jobs = match left.is_empty() {
                true => "its files were not closed, so logs may be missing".to_owned(),
                false => format!("no result of {}", named(self.plan, &left)),
            };
            let trouble =
                Trouble::Incomplete { shard: number, class, how: if unclosed { "was cut" } else { how }, jobs };
            record.trouble = Some(trouble.to_string());
            troubles.push(trouble);
        }
        self.run.shards.push(record);
    }

    /// Takes what a run says of a job, unless something worse is known of it.
    fn take(&mut self, job: usize, piece: &Piece, from: &str) {
        let mut state = piece.run.jobs[job].clone();
        if let Some(flight) = state.in_flight.take() {
            let machine = SupervisorLoss::Machine { heard: piece.run.last };
            let machine = Some(machine).filter(|_| !piece.is_closed);
            let loss = recover::lost(&flight, self.plan.jobs[job].expect_exit, piece.run.last, machine);
            state.attempts.push(loss);
            state.samples.push(flight.samples);
            state.result.get_or_insert(JobResult::Infrastructure);
        }
        // The logs of what an earlier run left are in its own files here.
        state.carried_from = None;
        if state.result.is_none() {
            let how = if piece.run.result.is_none() { "was lost" } else { "ended" };
            state.result = Some(JobResult::NotRun { because: format!("{from} {how} before") });
        }
        let known = &self.run.jobs[job];
        let word = |state: &JobState| state.result.as_ref().map_or("not-run", JobResult::word);
        let (one, other) = (word(known), word(&state));
        if one != other && one != "not-run" && other != "not-run" {
            let name = &self.plan.jobs[job].name;
            self.run.warnings.push(format!("{name} was {other} in {from} and {one} before; the worse result counts"));
        }
        if known.result.is_some() && rank(known) >= rank(&state) {
            return;
        }
        self.sources.retain(|source| source.job != job);
        let dir = &piece.dir;
        self.sources.extend(state.attempts.iter().map(|attempt| Source {
            job,
            attempt: attempt.number,
            dir: dir.clone(),
        }));
        self.run.jobs[job] = state;
    }

    /// A job of which no shard has a result did not run.
    fn leave_nothing_open(&mut self) {
        for job in self.run.jobs.iter_mut().filter(|job| job.result.is_none()) {
            let because = "there is no result of a shard that was to run it".to_owned();
            job.result = Some(JobResult::NotRun { because });
        }
    }

    /// The warnings of all shards, each once, with the shards that have it.
    fn warn(&mut self, pieces: &[Option<Piece>], numbers: &[ShardNumber]) {
        let mut texts: Vec<(&str, Vec<ShardNumber>)> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (piece, number) in pieces.iter().zip(numbers) {
            for text in piece.iter().flat_map(|piece| &piece.run.warnings) {
                let position = *known.entry(text).or_insert_with(|| {
                    texts.push((text, Vec::new()));
                    texts.len() - 1
                });
                if texts[position].1.last() != Some(number) {
                    texts[position].1.push(*number);
                }
            }
        }
        for (text, shards) in texts {
            let place = match shards.as_slice() {
                [one] => format!("shard {one}"),
                several => plural(several.len(), "shard"),
            };
            self.run.warnings.push(format!("{place}: {text}"));
        }
    }
}

/// The higher, the worse.
fn rank(job: &JobState) -> u32 {
    match &job.result {
        None => 0,
        Some(JobResult::Passed) => 1,
        Some(JobResult::Skipped { .. }) => 2,
        Some(JobResult::PassedAfterInfrastructure { .. }) => 3,
        Some(JobResult::Flaky { .. }) => 4,
        Some(JobResult::Quarantined) => 5,
        Some(JobResult::NotRun { .. }) => 6,
        Some(JobResult::Cancelled) => 7,
        Some(JobResult::Infrastructure) => 8,
        Some(JobResult::Failed) => 9,
    }
}

/// Keeps fewer samples of each attempt where there are many, and its highest in any case.
fn thin(run: &mut Run) {
    let attempts: usize = run.jobs.iter().map(|job| job.samples.len()).sum();
    let most = (MOST_SAMPLES / attempts.max(1)).max(LEAST_SAMPLES);
    for samples in run.jobs.iter_mut().flat_map(|job| &mut job.samples) {
        if samples.len() > most {
            let size = samples.len().div_ceil(most);
            let highest = |part: &[(i64, u64)]| part.iter().max_by_key(|(_, bytes)| *bytes).copied();
            *samples = samples.chunks(size).filter_map(highest).collect();
        }
    }
}

/// The directories of runs among those given: one without a journal may hold those of several shards, as a download of
/// artifacts does. A directory that has none stands for itself, so that it is refused by name.
pub fn directories(given: &[PathBuf]) -> Vec<PathBuf> {
    let is_run = |dir: &Path| std::fs::symlink_metadata(dir.join(drydock_base::paths::JOURNAL)).is_ok();
    let mut all = Vec::new();
    for dir in given {
        let mut below: Vec<PathBuf> = Vec::new();
        if !is_run(dir) {
            let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
            let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            below = real.map(|entry| entry.path()).filter(|path| is_run(path)).take(MOST_DIRECTORIES).collect();
            below.sort();
        }
        if below.is_empty() { all.push(dir.clone()) } else { all.extend(below) }
    }
    all
}

/// The most directories that are looked at in one.
const MOST_DIRECTORIES: usize = 10_000;
