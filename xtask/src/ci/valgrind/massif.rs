//! Massif's output: the highest snapshot and who holds most of it.
//!
//! The format has no specification; it is read as ms_print reads it: `desc:`, `cmd:`, `time_unit:`, then snapshots of
//! `key=value` lines, some followed by a tree whose first line is the total. Line by line, without recursion.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::ci::evidence::HeapEvidence;
use crate::ci::log;
use crate::config::units::ByteSize;
use crate::paths;

/// Files beyond this size are refused.
const LARGEST: u64 = 1 << 30;

/// The peak of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peak {
    /// Heap and its administration in bytes, the maximum over all snapshots: massif's own `peak` mark is set only
    /// after a free and within its inaccuracy.
    pub bytes: u64,
    /// The largest entry of the tree of massif's most detailed snapshot near the peak.
    pub largest_site: Option<String>,
    /// How many snapshots there are.
    pub snapshots: u64,
}

/// Reads every massif file in `folder` and returns the highest peak; forked children repeat the inherited heap, so
/// peaks are compared, never added. `None` when there is no file.
pub fn gather(folder: &Path, limit: Option<ByteSize>) -> io::Result<Option<HeapEvidence>> {
    let mut highest: Option<Peak> = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_output = name.strip_prefix("massif.").is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_output {
            continue;
        }
        let peak = read(&entry.path()).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        if highest.as_ref().is_none_or(|highest| peak.bytes > highest.bytes) {
            highest = Some(peak);
        }
    }
    Ok(highest.map(|peak| HeapEvidence { peak: ByteSize::new(peak.bytes), limit, largest_site: peak.largest_site }))
}

/// Reads one file.
pub fn read(path: &Path) -> io::Result<Peak> {
    let file = paths::open_regular(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::Error::other(format!("it is larger than {}", ByteSize::new(LARGEST))));
    }
    parse(BufReader::new(file.take(LARGEST)))
}

fn parse(mut input: impl io::BufRead) -> io::Result<Peak> {
    let mut line = Vec::new();
    let mut peak = Peak::default();
    let (mut heap, mut extra) = (0_u64, 0_u64);
    let mut tree_bytes = 0_u64;
    let mut tree_line = 0_u32;
    let mut in_snapshots = false;
    loop {
        line.clear();
        if input.by_ref().take(1 << 20).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\n');
        // The command may hold newlines, so nothing is read before the time unit.
        if !in_snapshots {
            in_snapshots = text.starts_with("time_unit: ");
        } else if let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.contains(' ')) {
            match key {
                "snapshot" => {
                    (heap, extra) = (0, 0);
                    peak.snapshots += 1;
                }
                "mem_heap_B" => heap = number(value)?,
                "mem_heap_extra_B" => extra = number(value)?,
                "mem_stacks_B" => {}
                "heap_tree" => {
                    peak.bytes = peak.bytes.max(heap.saturating_add(extra));
                    tree_line = 0;
                }
                _ => {}
            }
        } else if !text.starts_with('#') {
            tree_line = tree_line.saturating_add(1);
            // The tree's second line is the largest child of the whole.
            if tree_line == 2 && heap >= tree_bytes {
                tree_bytes = heap;
                peak.largest_site = site(text);
            }
        }
    }
    if !in_snapshots || peak.snapshots == 0 {
        return Err(io::Error::other("this is no massif output"));
    }
    Ok(peak)
}

fn number(value: &str) -> io::Result<u64> {
    value.parse().map_err(|_| io::Error::other(format!("`{value}` is no number of bytes")))
}

/// ` n3: 4096 0x1234: main (file.c:7)` → `main (file.c:7): 4.0 KiB`.
fn site(line: &str) -> Option<String> {
    let (_, rest) = line.trim_start().split_once(": ")?;
    let (bytes, detail) = rest.split_once(' ')?;
    let bytes: u64 = bytes.parse().ok()?;
    let what =
        detail.split_once(": ").filter(|(address, _)| address.starts_with("0x")).map_or(detail, |(_, what)| what);
    Some(format!("{}: {}", log::printable(what, 200), ByteSize::new(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "desc: (none)\ncmd: ./x a=b\nsnapshot=9\ntime_unit: i\n#-----------\nsnapshot=0\n#-----------\ntime=0\n\
        mem_heap_B=0\nmem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=empty\n#-----------\nsnapshot=1\n#-----------\n\
        time=9\nmem_heap_B=4096\nmem_heap_extra_B=8\nmem_stacks_B=0\nheap_tree=peak\nn1: 4096 (heap allocation functions) \
        malloc/new/new[], --alloc-fns, etc.\n n0: 4096 0x109155: read_whole (sha256.c:90)\n#-----------\nsnapshot=2\n\
        #-----------\ntime=10\nmem_heap_B=5000\nmem_heap_extra_B=8\nmem_stacks_B=0\nheap_tree=empty\n";

    #[test]
    fn the_peak_is_the_highest_snapshot_not_the_marked_one() {
        let peak = parse(FILE.as_bytes()).unwrap();
        assert_eq!(peak.bytes, 5008);
        assert_eq!(peak.snapshots, 3);
        assert_eq!(peak.largest_site.as_deref(), Some("read_whole (sha256.c:90): 4 KiB"));
    }

    #[test]
    fn what_is_no_massif_file_is_refused() {
        assert!(parse(&b""[..]).is_err());
        assert!(parse(&b"time_unit: i\n"[..]).is_err());
        assert!(parse(&b"time_unit: i\nsnapshot=0\nmem_heap_B=x\n"[..]).is_err());
    }
}
