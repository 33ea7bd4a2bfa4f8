//! The changes between two files, stack by stack.

use serde::Serialize;

use super::merged::{Identity, Merged, Side};
use super::profile::Profile;
use super::wrappers::Wrappers;

/// The number of stacks that a comparison keeps.
const MOST_STACKS: usize = 10_000;
/// The number of frames that it keeps of a stack.
const MOST_FRAMES: usize = 64;

/// Two files that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incomparable(String);

/// The changes between the peaks of two files.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diff {
    /// Heap and its administration at the peak of the old file, in bytes.
    pub old: u64,
    /// The same of the new one.
    pub new: u64,
    /// Reasons why the comparison is not exact.
    pub notes: Vec<String>,
    /// By allocating function: the largest change first.
    pub sites: Vec<Change>,
    /// By whole stack: the largest change first.
    pub stacks: Vec<Change>,
}

/// Bytes in the old and in the new file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// The kind of change.
    pub kind: Kind,
    /// In the old file.
    pub old: u64,
    /// In the new file.
    pub new: u64,
    /// The allocating function, and for a stack its callers, innermost first.
    pub stack: Vec<String>,
    /// The same in brief.
    pub brief: Vec<String>,
}

/// The kinds of changes of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It holds more.
    Grew,
    /// It holds less.
    Shrank,
    /// It is only in the new file, or was below the threshold.
    New,
    /// It is only in the old file, or is below the threshold now.
    Gone,
}

impl Change {
    /// The growth in bytes; negative when it shrank.
    pub fn delta(&self) -> i128 {
        i128::from(self.new) - i128::from(self.old)
    }
}

/// Compares the peaks of two files.
///
/// # Errors
/// When they do not measure the same thing.
pub fn diff(old: &Profile, new: &Profile, wrappers: &Wrappers) -> Result<Diff, Incomparable> {
    comparable(old, new)?;
    let mut merged = Merged::new(Identity::File);
    merged.add(&old.tree, Side::Old, Some(wrappers));
    merged.add(&new.tree, Side::New, Some(wrappers));
    let (before, after) = (merged.totals(Side::Old), merged.totals(Side::New));
    let total = |totals: &[u64], at: u32| totals.get(at as usize).copied().unwrap_or_default();
    let sites = merged
        .nodes()
        .skip(1)
        .filter(|(_, node)| node.parent == 0)
        .map(|(at, _)| (at, total(&before, at), total(&after, at)))
        .collect();
    let stacks = merged.nodes().map(|(at, node)| (at, node.own(Side::Old), node.own(Side::New))).collect();
    Ok(Diff {
        old: old.peak().measured(),
        new: new.peak().measured(),
        notes: notes(old, new),
        sites: changes(&merged, sites),
        stacks: changes(&merged, stacks),
    })
}

impl Diff {
    /// The function that grew most.
    pub fn grown_most(&self) -> Option<&Change> {
        self.sites.iter().filter(|change| change.delta() > 0).max_by_key(|change| change.delta())
    }
}

fn changes(merged: &Merged<'_>, mut sizes: Vec<(u32, u64, u64)>) -> Vec<Change> {
    sizes.retain(|(_, old, new)| old != new);
    sizes.sort_by_key(|(_, old, new)| std::cmp::Reverse(old.abs_diff(*new)));
    sizes.truncate(MOST_STACKS);
    let change = |(at, old, new): (u32, u64, u64)| {
        let mut steps: Vec<_> = merged.outwards(at).filter_map(|at| merged.node(at)).map(|node| node.step).collect();
        if steps.is_empty() {
            steps.extend(merged.node(at).map(|root| root.step));
        }
        steps.reverse();
        steps.truncate(MOST_FRAMES);
        let kind = match (old, new) {
            (0, _) => Kind::New,
            (_, 0) => Kind::Gone,
            _ if new > old => Kind::Grew,
            _ => Kind::Shrank,
        };
        let stack = steps.iter().map(|step| step.describe()).collect();
        Change { kind, old, new, stack, brief: steps.iter().map(|step| step.brief()).collect() }
    };
    sizes.into_iter().map(change).collect()
}

fn comparable(old: &Profile, new: &Profile) -> Result<(), Incomparable> {
    let what = |profile: &Profile| {
        if profile.pages_as_heap() { "whole pages (--pages-as-heap=yes)" } else { "the heap (--pages-as-heap=no)" }
    };
    if old.pages_as_heap() != new.pages_as_heap() {
        return Err(Incomparable(format!(
            "the old file measures {} and the new one {}; their sizes mean different things, so measure both alike",
            what(old),
            what(new)
        )));
    }
    let heap = |profile: &Profile| {
        profile.options().filter_map(|option| option.strip_prefix(b"--heap=")).last() != Some(b"no")
    };
    if heap(old) != heap(new) {
        return Err(Incomparable("one of the files was measured with --heap=no; measure both alike".into()));
    }
    Ok(())
}

/// Options that change which sizes are counted or how stacks are cut, and what else differs.
fn notes(old: &Profile, new: &Profile) -> Vec<String> {
    const MATTER: [&[u8]; 8] = [
        b"--heap-admin=",
        b"--alignment=",
        b"--alloc-fn=",
        b"--ignore-fn=",
        b"--depth=",
        b"--threshold=",
        b"--num-callers=",
        b"--peak-inaccuracy=",
    ];
    let mut notes = Vec::new();
    if old.header.unit != new.header.unit {
        notes.push(format!(
            "the units of time differ ({} and {}); sizes are compared, times are not",
            old.header.unit.words(),
            new.header.unit.words()
        ));
    }
    for option in MATTER {
        let of = |profile: &Profile| {
            let values = profile.options().filter(|given| given.starts_with(option));
            values.map(|given| super::tree::printable(given, 80)).collect::<Vec<_>>().join(" ")
        };
        let (before, after) = (of(old), of(new));
        if before != after {
            let said = |text: String| if text.is_empty() { "nothing".to_owned() } else { text };
            notes.push(format!("the options differ: {} before, {} now", said(before), said(after)));
        }
    }
    for (profile, which) in [(old, "old"), (new, "new")] {
        if profile.tree.is_empty() {
            notes.push(format!("the {which} file has no tree, so its stacks are unknown"));
        }
        if profile.extent != super::format::Extent::Whole {
            notes.push(format!("the {which} file was cut; what came after is unknown"));
        }
    }
    notes
}
