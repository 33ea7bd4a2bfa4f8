//! The summary of a file for reports and journals: the heap over time, and the sites that hold it at the peak.

use serde::{Deserialize, Serialize};

use super::format::{Extent, Snapshot, TimeUnit};
use super::profile::Profile;
use super::sites::{Site, sites};
use super::wrappers::Wrappers;

/// The number of points that a journal keeps.
pub const KEPT_POINTS: usize = 120;
/// The number of sites that a journal keeps.
pub const KEPT_SITES: usize = 10;

/// The heap of one process over its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeapProfile {
    /// The command line, fit for a terminal.
    pub command: String,
    /// The unit of the times.
    pub unit: TimeUnit,
    /// Whether whole pages were measured (`--pages-as-heap=yes`) instead of the heap.
    pub pages: bool,
    /// The highest point by heap and administration.
    pub peak: Point,
    /// The last point.
    pub end: Point,
    /// The course of the heap after the peak.
    pub shape: Shape,
    /// The number of snapshots that massif took.
    pub snapshots: u64,
    /// In the order of time. Where there are more than can be kept, the highest of neighbours.
    pub points: Vec<Point>,
    /// The heap of the snapshot that the sites are of, in bytes: the highest one with a tree.
    pub sites_of: u64,
    /// The sites that allocated that, the largest first.
    pub sites: Vec<Site>,
    /// The number of higher snapshots with a tree that is too large to be kept.
    #[serde(default)]
    pub left_out: u64,
    /// The reason why the file is not whole, if it is not.
    pub cut: Option<String>,
}

/// Bytes at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// In the unit of the profile.
    pub time: u64,
    /// Bytes that the program asked for.
    pub heap: u64,
    /// Bytes that the allocator adds.
    pub extra: u64,
    /// The stacks, where they were measured.
    pub stacks: u64,
}

impl Point {
    /// Heap and administration.
    pub fn measured(&self) -> u64 {
        self.heap.saturating_add(self.extra)
    }
}

impl From<&Snapshot> for Point {
    fn from(snapshot: &Snapshot) -> Point {
        let Snapshot { time, heap, extra, stacks, .. } = *snapshot;
        Point { time, heap, extra, stacks }
    }
}

/// The course of the heap after its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// At the end less than 20 % of it is left: memory was needed for a while.
    Spike,
    /// At the end more than 90 % of it is left: what was allocated is kept.
    Retention,
    /// Something between.
    Neither,
    /// The file was cut, or there was no heap.
    Unknown,
}

impl Shape {
    fn new(profile: &Profile) -> Shape {
        let (peak, end) = (u128::from(profile.peak().measured()), u128::from(profile.last().measured()));
        if profile.extent != Extent::Whole || peak == 0 {
            Shape::Unknown
        } else if end * 100 < peak * 20 {
            Shape::Spike
        } else if end * 100 > peak * 90 {
            Shape::Retention
        } else {
            Shape::Neither
        }
    }

    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Shape::Spike => "a spike, nearly all was freed",
            Shape::Retention => "retention, nearly all is kept",
            Shape::Neither => "neither spike nor retention",
            Shape::Unknown => "whether it is a spike is unknown",
        }
    }
}

/// The summary of a file with at most so many points and sites.
pub fn summary(profile: &Profile, wrappers: &Wrappers, points: usize, most_sites: usize) -> HeapProfile {
    let cut = match &profile.extent {
        Extent::Whole => None,
        Extent::Cut { line, why } => Some(format!("it was cut at line {line}, {why}")),
    };
    HeapProfile {
        command: profile.command(),
        unit: profile.header.unit,
        pages: profile.pages_as_heap(),
        peak: Point::from(&profile.peak()),
        end: Point::from(&profile.last()),
        shape: Shape::new(profile),
        snapshots: profile.snapshots.len() as u64,
        points: thinned(&profile.snapshots, points),
        sites_of: profile.of_tree().map_or(0, |snapshot| snapshot.heap),
        sites: sites(profile, wrappers, most_sites),
        left_out: profile.too_large,
        cut,
    }
}

/// The highest of neighbours, and always the first and the last.
fn thinned(snapshots: &[Snapshot], most: usize) -> Vec<Point> {
    if snapshots.len() <= most.max(3) {
        return snapshots.iter().map(Point::from).collect();
    }
    let (Some((first, rest)), places) = (snapshots.split_first(), most.max(3) - 2) else { return Vec::new() };
    let Some((last, middle)) = rest.split_last() else { return vec![Point::from(first)] };
    let highest = middle
        .chunks(middle.len().div_ceil(places))
        .filter_map(|chunk| chunk.iter().rev().max_by_key(|snapshot| snapshot.measured()));
    std::iter::once(first).chain(highest).chain([last]).map(Point::from).collect()
}
