//! The one place where the report looks into evidence of valgrind and massif: what it shows is these shapes.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::ci::evidence::{Evidence, Finding};
use crate::ci::log;
use crate::config::units::ByteSize;
use crate::paths;

/// Massif files beyond this are not drawn.
const LARGEST: u64 = 64 << 20;
/// More snapshots than massif's `--max-snapshots` allows are no massif file.
const MOST_SNAPSHOTS: usize = 1000;
/// How many processes' files are compared.
const MOST_FILES: usize = 256;

/// One error that valgrind found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Error {
    /// What names it across runs, where there is one.
    pub(super) id: Option<String>,
    pub(super) kind: String,
    pub(super) what: String,
    pub(super) stack: Vec<String>,
    /// Further sentences with their stacks: where a block was allocated, what it conflicts with.
    pub(super) auxiliary: Vec<(String, Vec<String>)>,
    /// Lines of the source around its place.
    pub(super) source: Vec<String>,
}

/// The errors of an attempt that are kept.
pub(super) fn errors(evidence: &Evidence) -> Vec<Error> {
    let kept = evidence.valgrind.iter().flat_map(|valgrind| &valgrind.first);
    let error = |finding: &Finding| Error {
        id: None,
        kind: finding.kind.clone(),
        what: finding.what.clone(),
        stack: finding.stack.clone(),
        auxiliary: Vec::new(),
        source: Vec::new(),
    };
    kept.map(error).collect()
}

/// A snapshot of massif, in bytes; the time is in the unit of its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) time: u64,
    pub(super) heap: u64,
    pub(super) extra: u64,
    pub(super) stacks: u64,
}

impl Snapshot {
    /// What a heap limit counts.
    pub(super) fn counted(self) -> u64 {
        self.heap.saturating_add(self.extra)
    }

    /// All that was measured.
    pub(super) fn total(self) -> u64 {
        self.counted().saturating_add(self.stacks)
    }
}

/// The heap of one process over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heap {
    /// `instructions`, `milliseconds` or `bytes allocated`.
    pub(super) unit: &'static str,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) peak: u64,
    pub(super) limit: Option<ByteSize>,
    /// Who holds most at the peak, in one line each.
    pub(super) sites: Vec<String>,
}

/// What massif measured of an attempt, of the process with the highest peak; nothing where it left no file.
pub(super) fn heap(evidence: &Evidence, folder: &Path) -> Option<Heap> {
    let measured = evidence.heap.as_ref()?;
    let highest = fs::read_dir(folder).ok()?.take(MOST_FILES).filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_massif = name.strip_prefix("massif.")?.bytes().all(|byte| byte.is_ascii_digit());
        let file = paths::open_regular(&entry.path()).ok().filter(|_| of_massif)?;
        series(BufReader::new(file.take(LARGEST))).ok()
    });
    let (unit, snapshots) = highest.max_by_key(|(_, snapshots)| peak_of(snapshots))?;
    Some(Heap {
        unit,
        snapshots,
        peak: measured.peak.bytes(),
        limit: measured.limit,
        sites: measured.largest_site.iter().cloned().collect(),
    })
}

fn peak_of(snapshots: &[Snapshot]) -> u64 {
    snapshots.iter().map(|snapshot| snapshot.counted()).max().unwrap_or(0)
}

fn series(mut input: impl io::BufRead) -> io::Result<(&'static str, Vec<Snapshot>)> {
    let mut unit = None;
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(1 << 20).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if unit.is_none() {
            // The command may hold anything, so nothing counts before the unit.
            unit = text.strip_prefix("time_unit: ").map(|unit| match unit {
                "ms" => "milliseconds",
                "B" => "bytes allocated",
                _ => "instructions",
            });
            continue;
        }
        let Some((key, value)) = text.split_once('=') else { continue };
        if key == "snapshot" && snapshots.len() < MOST_SNAPSHOTS {
            snapshots.push(Snapshot::default());
        }
        let (Some(last), Ok(number)) = (snapshots.last_mut(), value.parse::<u64>()) else { continue };
        match key {
            "time" => last.time = number,
            "mem_heap_B" => last.heap = number,
            "mem_heap_extra_B" => last.extra = number,
            "mem_stacks_B" => last.stacks = number,
            _ => {}
        }
    }
    unit.map(|unit| (unit, snapshots)).ok_or_else(|| io::Error::other("this is no massif output"))
}

/// The end of an attempt's log.
pub(super) fn log_tail(folder: &Path, lines: usize) -> Vec<String> {
    log::tail(&folder.join("log"), lines).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_over_time_is_that_of_the_highest_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, heap: u64| {
            let text = format!(
                "desc: x\ncmd: ./a snapshot=3\ntime_unit: ms\nsnapshot=0\ntime=0\nmem_heap_B=1\nmem_heap_extra_B=0\n\
                 mem_stacks_B=0\nsnapshot=1\ntime=7\nmem_heap_B={heap}\nmem_heap_extra_B=8\nmem_stacks_B=2\n\
                 heap_tree=peak\nn1: {heap} (x)\n n0: {heap} 0x1: f=g (a.c:1)\n"
            );
            fs::write(folder.path().join(name), text).unwrap();
        };
        file("massif.1", 100);
        file("massif.2", 300);
        file("massif.other", 900);
        let mut evidence = Evidence::of(crate::ci::evidence::End::Exited { code: 0 });
        assert_eq!(heap(&evidence, folder.path()), None);
        evidence.heap = Some(crate::ci::evidence::HeapEvidence {
            peak: ByteSize::new(308),
            limit: None,
            largest_site: Some("f (a.c:1): 300 B".into()),
        });
        let heap = heap(&evidence, folder.path()).unwrap();
        assert_eq!((heap.unit, heap.snapshots.len(), heap.peak), ("milliseconds", 2, 308));
        assert_eq!(heap.snapshots[1], Snapshot { time: 7, heap: 300, extra: 8, stacks: 2 });
        assert_eq!((heap.snapshots[1].counted(), heap.snapshots[1].total()), (308, 310));
    }

    #[test]
    fn what_is_no_massif_file_has_no_series() {
        assert!(series(&b""[..]).is_err());
        assert_eq!(series(&b"time_unit: i\nmem_heap_B=5\nsnapshot=x\ntime=y\n"[..]).unwrap().1.len(), 1);
    }
}
