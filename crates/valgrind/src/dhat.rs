//! Dhat's files: the number and size of the allocations of each site, and what it held at the peak.
//!
//! The format is JSON with `dhatFileVersion` 2, as valgrind 3.17 and later write it (`dhat/dh_main.c`). It is read with
//! bounds: a file may come from a hostile program, and it may be cut.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::massif::{Frame, NodeKind, Wrappers};
use drydock_base::text::printable;
use drydock_base::units::ByteSize;

/// A file beyond this size in bytes is not read.
const LARGEST: u64 = 64 << 20;
/// More processes of a job than this are not read.
const MOST_FILES: usize = 256;
/// More allocation points of a process than this are only summed up.
const MOST_POINTS: usize = 200_000;
/// More frames of an allocation point than this are not kept.
const MOST_FRAMES: usize = 32;
/// More entries of the table of frames than this are not kept.
const MOST_TABLE: usize = 400_000;
/// The number of callers named with a site.
const CALLERS: usize = 5;
/// The number of sites that a summary keeps.
pub const KEPT_SITES: usize = 10;

/// Bytes and blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Amount {
    /// Bytes, as the program asked for them.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64, blocks: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.blocks = self.blocks.saturating_add(blocks);
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.blocks == 1 { "block" } else { "blocks" };
        write!(f, "{} in {} {noun}", ByteSize::new(self.bytes), self.blocks)
    }
}

/// A place that allocates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AllocationSite {
    /// The first function past allocators and declared wrappers: `function (file:line)`.
    pub place: String,
    /// Everything that it allocated over the life of the process.
    pub total: Amount,
    /// The memory that it held when the heap of the process was largest.
    pub at_peak: Amount,
    /// The callers for most of the total, innermost first.
    pub callers: Vec<String>,
}

impl AllocationSite {
    /// One line for a person.
    pub fn line(&self) -> String {
        format!("{}: {}", self.place, self.total)
    }
}

/// The allocations of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Allocations {
    /// The command of the process.
    pub command: String,
    /// Everything that it allocated.
    pub total: Amount,
    /// The memory that it held when its heap was largest.
    pub at_peak: Amount,
    /// The memory that it held when it ended.
    pub at_end: Amount,
    /// Bytes that it read from the heap.
    pub read: u64,
    /// Bytes that it wrote to the heap.
    pub written: u64,
    /// The sites that allocated most, the largest first.
    pub sites: Vec<AllocationSite>,
}

impl Allocations {
    /// One line for a person: `1000 KiB in 1010 blocks allocated, 977 KiB in 11 blocks at the peak`.
    pub fn line(&self) -> String {
        format!("{} allocated, {} at the peak", self.total, self.at_peak)
    }
}

/// The allocations of the processes of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AllocationProfile {
    /// The process that allocated most.
    pub largest: Allocations,
    /// The number of processes that left a whole file.
    pub processes: usize,
    /// Files that could not be read, or not completely, with the reason.
    pub incomplete: Vec<String>,
}

/// Reads the files `dhat.PID` in the directory of an attempt. `None` when none of them is complete.
///
/// # Errors
/// When the directory cannot be listed, or when there are files and none can be read.
pub fn gather(directory: &Path, wrappers: &Wrappers) -> io::Result<Option<AllocationProfile>> {
    let mut files: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix("dhat.")?.parse().ok());
        files.extend(pid.map(|pid| (pid, entry.path())));
    }
    files.sort_unstable();
    let mut incomplete = Vec::new();
    if files.len() > MOST_FILES {
        incomplete.push(format!("{} further dhat files were not read", files.len() - MOST_FILES));
        files.truncate(MOST_FILES);
    }
    let mut largest: Option<Allocations> = None;
    let mut processes = 0;
    for (pid, path) in files {
        match read(&path, wrappers) {
            Ok((allocations, dropped)) => {
                processes += 1;
                incomplete.extend(dropped.map(|why| format!("dhat.{pid}: {why}")));
                if largest.as_ref().is_none_or(|largest| allocations.total.bytes > largest.total.bytes) {
                    largest = Some(allocations);
                }
            }
            Err(error) => incomplete.push(format!("dhat.{pid}: {error}")),
        }
    }
    match (largest, incomplete.first()) {
        (Some(largest), _) => Ok(Some(AllocationProfile { largest, processes, incomplete })),
        (None, Some(why)) => Err(io::Error::other(why.clone())),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path, wrappers: &Wrappers) -> io::Result<(Allocations, Option<String>)> {
    let file = drydock_base::paths::open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {}", ByteSize::new(LARGEST))));
    }
    parse(&bytes, wrappers).map_err(io::Error::from)
}

/// Reads the content of a file. The second value says what was left out, if anything.
///
/// # Errors
/// When it is not the whole content of a file of version 2 in mode `heap`.
pub fn parse(bytes: &[u8], wrappers: &Wrappers) -> Result<(Allocations, Option<String>), serde_json::Error> {
    let text = String::from_utf8_lossy(bytes);
    let file: File = serde_json::from_str(&text)?;
    let unfit = |why: String| <serde_json::Error as serde::de::Error>::custom(why);
    if file.version != 2 {
        return Err(unfit(format!("its dhatFileVersion is {}, but only 2 is supported", file.version)));
    }
    if file.mode != "heap" {
        return Err(unfit(format!("its mode is `{}`, not `heap`", printable(&file.mode, 20))));
    }
    let dropped = file.points.dropped;
    let dropped = (dropped > 0).then(|| format!("the sites of {dropped} further allocation points were not read"));
    Ok((file.summary(wrappers), dropped))
}

/// The parts of a file that are used.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "dhatFileVersion")]
    version: u32,
    mode: String,
    #[serde(default, rename = "cmd")]
    command: String,
    #[serde(rename = "pps")]
    points: Points,
    #[serde(rename = "ftbl")]
    frames: Table,
}

/// One allocation point: a call stack.
#[derive(Default)]
struct Point {
    total: Amount,
    at_peak: Amount,
    /// Indices into the table of frames, innermost first.
    frames: Vec<u32>,
}

/// The allocation points, and the sums over all.
#[derive(Default)]
struct Points {
    kept: Vec<Point>,
    dropped: u64,
    sums: Allocations,
}

struct Table(Vec<String>);

impl File {
    fn summary(self, wrappers: &Wrappers) -> Allocations {
        // Each frame is parsed once.
        let described: Vec<(String, bool)> = self.frames.0.iter().map(|text| describe(text, wrappers)).collect();
        let frame = |index: u32| described.get(index as usize);
        let mut sites: BTreeMap<&str, (Amount, Amount, &Point)> = BTreeMap::new();
        for point in &self.points.kept {
            let place = place(point, &frame);
            let name = point.frames.get(place).and_then(|index| frame(*index)).map_or("unknown", |(name, _)| name);
            let (total, at_peak, largest) = sites.entry(name).or_insert((Amount::default(), Amount::default(), point));
            total.add(point.total.bytes, point.total.blocks);
            at_peak.add(point.at_peak.bytes, point.at_peak.blocks);
            if point.total.bytes > largest.total.bytes {
                *largest = point;
            }
        }
        let mut sites: Vec<_> = sites.into_iter().collect();
        sites.sort_by_key(|(_, (total, ..))| std::cmp::Reverse(total.bytes));
        sites.truncate(KEPT_SITES);
        let site = |(name, (total, at_peak, largest)): (&str, (Amount, Amount, &Point))| {
            let callers = largest.frames.iter().skip(place(largest, &frame) + 1).take(CALLERS);
            let callers = callers.filter_map(|index| Some(frame(*index)?.0.clone())).collect();
            AllocationSite { place: name.to_owned(), total, at_peak, callers }
        };
        let sites = sites.into_iter().map(site).collect();
        Allocations { command: printable(&self.command, 200), sites, ..self.points.sums }
    }
}

/// The position of the first frame past allocators and wrappers, or of the innermost one.
fn place<'a>(point: &Point, frame: &impl Fn(u32) -> Option<&'a (String, bool)>) -> usize {
    let own = point.frames.iter().position(|index| frame(*index).is_some_and(|(_, wraps)| !wraps));
    own.unwrap_or_default()
}

/// A frame as it is shown, and whether it only passes allocations on.
fn describe(text: &str, wrappers: &Wrappers) -> (String, bool) {
    // Massif writes the same with a leading space.
    match NodeKind::parse(format!(" {text}").as_bytes()) {
        NodeKind::Frame(frame) => (frame.brief(), is_wrapper(&frame, wrappers)),
        NodeKind::Root | NodeKind::Below => (printable(text, 100), false),
    }
}

/// Valgrind's own replacements of allocators are in its preloaded library.
fn is_wrapper(frame: &Frame<'_>, wrappers: &Wrappers) -> bool {
    let preloaded = frame.place.is_some_and(|place| String::from_utf8_lossy(place).contains("/vgpreload_"));
    preloaded || wrappers.contain(frame.function)
}

impl<'de> Deserialize<'de> for Points {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Points, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Points;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of allocation points")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Points, A::Error> {
                let mut points = Points::default();
                while let Some(RawPoint { point, at_end, read, written }) = sequence.next_element()? {
                    let sums = &mut points.sums;
                    sums.total.add(point.total.bytes, point.total.blocks);
                    sums.at_peak.add(point.at_peak.bytes, point.at_peak.blocks);
                    sums.at_end.add(at_end.bytes, at_end.blocks);
                    sums.read = sums.read.saturating_add(read);
                    sums.written = sums.written.saturating_add(written);
                    if points.kept.len() < MOST_POINTS {
                        points.kept.push(point);
                    } else {
                        points.dropped += 1;
                    }
                }
                Ok(points)
            }
        }
        deserializer.deserialize_seq(Each)
    }
}

/// An allocation point with what is only summed up.
#[derive(Default)]
struct RawPoint {
    point: Point,
    at_end: Amount,
    read: u64,
    written: u64,
}

impl<'de> Deserialize<'de> for RawPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawPoint, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawPoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an allocation point")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPoint, A::Error> {
                let mut raw = RawPoint::default();
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match &*key {
                        "tb" => raw.point.total.bytes = map.next_value()?,
                        "tbk" => raw.point.total.blocks = map.next_value()?,
                        "gb" => raw.point.at_peak.bytes = map.next_value()?,
                        "gbk" => raw.point.at_peak.blocks = map.next_value()?,
                        "eb" => raw.at_end.bytes = map.next_value()?,
                        "ebk" => raw.at_end.blocks = map.next_value()?,
                        "rb" => raw.read = map.next_value()?,
                        "wb" => raw.written = map.next_value()?,
                        "fs" => raw.point.frames = map.next_value::<Capped<u32, MOST_FRAMES>>()?.0,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Table, D::Error> {
        Capped::<String, MOST_TABLE>::deserialize(deserializer).map(|capped| Table(capped.0))
    }
}

/// A list of which the first `N` values are kept.
struct Capped<T, const N: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Capped<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First<T, const N: usize>(Vec<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for First<T, N> {
            type Value = Capped<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<Self::Value, A::Error> {
                while self.0.len() < N {
                    match sequence.next_element()? {
                        Some(value) => self.0.push(value),
                        None => return Ok(Capped(self.0)),
                    }
                }
                while sequence.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Capped(self.0))
            }
        }
        deserializer.deserialize_seq(First::<T, N>(Vec::new()))
    }
}

#[cfg(test)]
mod tests;
