//! Findings of all jobs grouped by cause: 59 jobs that fail because of one leak have one cause.
//!
//! A cause is a kind and a place: the innermost frames up to the first that belongs to the project, past allocators and
//! libraries. Addresses, pids and lines are left out, so that it stays the same after an edit elsewhere; so
//! are the callers, so that it is the same in every test that reaches it. It distinguishes about what a suppression can
//! distinguish, and no more.
//!
//! A function of the project that allocates on behalf of others looks just like one that leaks, whoever calls it. Known
//! names (`xmalloc`, `tal_alloc_`) are passed over; behind others, the callers are listed with the cause.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::stack::{Frame, base_name, is_library, place, without_clone};

/// So many frames count where none belongs to the project.
const MOST_KEY_FRAMES: usize = 12;

/// One cause over all jobs.
#[derive(Debug, Clone)]
pub struct Cause<'a> {
    /// The identifier, the same in every run: `memcheck:a1b2c3d4`.
    pub id: String,
    /// The name of the tool.
    pub tool: &'static str,
    /// Its findings, in the order in which they were given.
    pub members: Vec<Member<'a>>,
}

/// A finding to be grouped.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    /// A number of the job that has it; jobs are counted by it, and the lowest comes first.
    pub job: usize,
    /// The name of the tool that reported it.
    pub tool: &'static str,
    /// The finding.
    pub finding: &'a Finding,
}

/// A finding of a cause.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The number of its job.
    pub job: usize,
    /// Its position among the findings that were grouped.
    pub position: usize,
    /// The finding.
    pub finding: &'a Finding,
}

impl Cause<'_> {
    /// The first finding, which represents all.
    pub fn example(&self) -> Option<&Finding> {
        self.members.first().map(|member| member.finding)
    }

    /// The positions of its jobs, each once.
    pub fn jobs(&self) -> BTreeSet<usize> {
        self.members.iter().map(|member| member.job).collect()
    }

    /// The number of reports, without those that forked children repeat.
    pub fn count(&self) -> u64 {
        self.members.iter().map(|member| member.finding.records.max(1)).sum()
    }

    /// `Leak_DefinitelyLost at new_peer (peer.c:17)`.
    pub fn title(&self) -> String {
        self.example().map_or_else(String::new, |first| format!("{} at {}", first.kind, first.place))
    }

    /// The callers of the place with the number of jobs of each, most first; empty unless the findings differ in them.
    pub fn callers(&self) -> Vec<(String, usize)> {
        let mut callers: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for Member { job, finding, .. } in &self.members {
            let caller = caller(finding).map_or_else(|| "an unknown caller".to_owned(), Frame::describe);
            callers.entry(caller).or_default().insert(*job);
        }
        let mut callers: Vec<_> = callers.into_iter().map(|(caller, jobs)| (caller, jobs.len())).collect();
        callers.sort_by_key(|(_, jobs)| std::cmp::Reverse(*jobs));
        if callers.len() > 1 { callers } else { Vec::new() }
    }
}

/// Groups findings by cause; the causes of most jobs come first.
pub fn causes<'a>(findings: impl Iterator<Item = Reported<'a>>) -> Vec<Cause<'a>> {
    let mut groups: BTreeMap<(&'static str, Vec<String>), Vec<Member<'a>>> = BTreeMap::new();
    for (position, Reported { job, tool, finding }) in findings.enumerate() {
        groups.entry((tool, key(finding))).or_default().push(Member { job, position, finding });
    }
    let mut taken: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, key) in groups.keys() {
        *taken.entry(short(hash(key))).or_default() += 1;
    }
    let id = |tool: &str, hash: u64| match taken.get(&short(hash)) {
        // Two causes with one short id, which is rare, have long ones.
        Some(2..) => format!("{tool}:{hash:016x}"),
        Some(_) | None => format!("{tool}:{:08x}", short(hash)),
    };
    let cause =
        |((tool, key), members): ((&'static str, Vec<String>), _)| Cause { id: id(tool, hash(&key)), tool, members };
    let mut causes: Vec<Cause<'a>> = groups.into_iter().map(cause).collect();
    causes.sort_by_cached_key(|cause| {
        (std::cmp::Reverse(cause.jobs().len()), cause.members.first().map(|first| first.job))
    });
    causes
}

fn caller(finding: &Finding) -> Option<&Frame> {
    finding.stack.get(place(&finding.stack) + 1)
}

/// Kind and names of the innermost frames up to the place.
fn key(finding: &Finding) -> Vec<String> {
    let place = place(&finding.stack);
    let any_own = finding.stack.get(place).is_some_and(|frame| !is_library(frame));
    let upto = if any_own { place + 1 } else { MOST_KEY_FRAMES };
    let names = finding.stack.iter().take(upto).enumerate();
    let names = names.map(|(index, frame)| if index < place { name(frame) } else { own_name(frame) });
    std::iter::once(finding.kind.clone()).chain(names).collect()
}

/// Function, or else object. The file is left out, since whether a library's is known depends on the machine.
fn name(frame: &Frame) -> String {
    match (&frame.function, &frame.object) {
        (Some(function), _) => without_clone(function).to_owned(),
        (None, Some(object)) => format!("in {}", base_name(object)),
        (None, None) => "???".to_owned(),
    }
}

/// The same with the file's name: every test has a `main`.
fn own_name(frame: &Frame) -> String {
    let file = frame.file.as_deref().map(base_name).unwrap_or_default();
    format!("{} ({file})", name(frame))
}

/// FNV-1a: specified in three lines, and needing no crate.
fn hash(key: &[String]) -> u64 {
    key.iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Folded to 32 bits, as the authors of the hash advise, it is short enough to type.
fn short(hash: u64) -> u64 {
    (hash >> 32) ^ (hash & 0xffff_ffff)
}

#[cfg(test)]
mod tests;
