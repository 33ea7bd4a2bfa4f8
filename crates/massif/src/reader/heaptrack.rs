//! What heaptrack exports (`heaptrack_print -M`, heaptrack 1.4): snapshots of massif's kind, with times in seconds, the
//! header last or first, and trees that may have fewer nodes than they announce, since a node of exactly the threshold is
//! counted and not written. So the indentation tells the depth of a node, and not the counts.

use std::io::BufRead;
use std::time::Duration;

use super::{DEEPEST, LONGEST_HEADER, MOST_SNAPSHOTS, Reader, Stop, is_passed_over, node, shown, skip_spaces};
use crate::format::{Extent, Fault, Header, Node, Snapshot, TimeUnit, TreeKind, Visitor};

/// A tree with more nodes or text than this is refused.
const MOST_NODES: usize = 1 << 20;
const MOST_TEXT: usize = 1 << 26;

/// One line of a tree, kept until all are there.
struct Kept {
    depth: usize,
    bytes: u64,
    detail: Vec<u8>,
}

/// Reads an export on, no further than to that many snapshots. `first` is its first line, if it was read before; `header`
/// its header, if that comes first.
pub(super) fn read<R: BufRead>(
    reader: &mut Reader<R>,
    first: Option<Vec<u8>>,
    header: Option<Header>,
    count: u64,
    visitor: &mut impl Visitor,
) -> Result<Extent, Fault> {
    let has_header = header.is_some();
    let mut export = Export { reader, pending: first, options: Vec::new(), command: None, unit: None };
    if let Some(header) = header {
        visitor.header(header)?;
    }
    let mut snapshots = 0;
    let ended = loop {
        if snapshots == count {
            break None;
        }
        match export.snapshot(visitor) {
            Ok(true) => snapshots += 1,
            Ok(false) => break None,
            Err(Stop::Ended(why)) => break Some(why),
            Err(Stop::Fault(fault)) => return Err(fault),
        }
        if snapshots > MOST_SNAPSHOTS {
            return Err(export.reader.malformed(format!("there are more than {MOST_SNAPSHOTS} snapshots")));
        }
    };
    if snapshots == 0 {
        return Err(export.reader.malformed("the file has no snapshots; was the program killed?"));
    }
    let without_unit = !has_header && export.unit.is_none() && snapshots < count;
    if !has_header {
        let (options, command) = (export.options, export.command.unwrap_or_default());
        visitor.header(Header { options, command, unit: TimeUnit::Milliseconds })?;
    }
    let why = ended.or_else(|| without_unit.then(|| "before a `time_unit:` line".to_owned()));
    Ok(match why {
        Some(why) => Extent::Cut { line: export.reader.lines.number(), why },
        None => Extent::Whole,
    })
}

struct Export<'r, R> {
    reader: &'r mut Reader<R>,
    /// A line that was read and not used.
    pending: Option<Vec<u8>>,
    options: Vec<u8>,
    command: Option<Vec<u8>>,
    unit: Option<()>,
}

impl<R: BufRead> Export<'_, R> {
    /// The next line that is not blank and no comment; `None` at the end, or where the last line has no end and is thus
    /// cut.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(line) = self.pending.take() {
            return Ok(Some(line));
        }
        loop {
            let Some(line) = self.reader.any_line()? else { return Ok(None) };
            if !is_passed_over(line.text) {
                return Ok(Some(line.text.to_vec()));
            }
        }
    }

    /// One snapshot, after any lines of the header; false at the end.
    fn snapshot(&mut self, visitor: &mut impl Visitor) -> Result<bool, Stop> {
        let number = loop {
            let Some(text) = self.line()? else { return Ok(false) };
            if self.header_line(&text)? {
                continue;
            }
            match text.strip_prefix(b"snapshot=").and_then(super::digits) {
                Some(number) => break number,
                None => {
                    let what = format!("expected `snapshot=` and a number, found `{}`", shown(&text));
                    return Err(self.reader.malformed(what).into());
                }
            }
        };
        let time = self.reader.value(b"time=", milliseconds)?;
        let heap = self.reader.number(b"mem_heap_B=")?;
        let extra = self.reader.number(b"mem_heap_extra_B=")?;
        let stacks = self.reader.number(b"mem_stacks_B=")?;
        let Some(total) = heap.checked_add(extra).and_then(|sum| sum.checked_add(stacks)) else {
            return Err(self.reader.malformed("the sum of the sizes is more than any machine has").into());
        };
        let tree = self.reader.value(b"heap_tree=", super::tree_kind)?;
        let snapshot = Snapshot { number, time, heap, extra, stacks, tree };
        visitor.snapshot(&snapshot)?;
        if tree != TreeKind::Empty {
            self.tree(total, visitor)?;
        }
        visitor.complete(&snapshot)?;
        Ok(true)
    }

    /// Takes a line of the header, wherever it stands.
    fn header_line(&mut self, text: &[u8]) -> Result<bool, Fault> {
        if let Some(text) = text.strip_prefix(b"desc:") {
            self.options.extend_from_slice(text);
            self.options.push(b'\n');
        } else if let Some(text) = text.strip_prefix(b"cmd:") {
            self.command = Some(text.to_vec());
        } else if let Some(unit) = text.strip_prefix(b"time_unit:") {
            if unit.trim_ascii() != b"s" {
                let what =
                    format!("`{}` is not the time unit of heaptrack's files; expected s", shown(unit.trim_ascii()));
                return Err(self.reader.malformed(what));
            }
            self.unit = Some(());
        } else if let Some(command) = self.command.as_mut().filter(|_| self.unit.is_none()) {
            // An argument with a line end goes on here.
            command.push(b'\n');
            command.extend_from_slice(text);
        } else {
            return Ok(false);
        }
        if self.options.len() + self.command.as_ref().map_or(0, Vec::len) > LONGEST_HEADER {
            return Err(self.reader.malformed(format!("the header is longer than {LONGEST_HEADER} bytes")));
        }
        Ok(true)
    }

    /// The tree of one snapshot: all lines that are nodes.
    fn tree(&mut self, total: u64, visitor: &mut impl Visitor) -> Result<(), Stop> {
        let mut kept: Vec<Kept> = Vec::new();
        let mut text = 0;
        while let Some(line) = self.line()? {
            let depth = line.iter().take_while(|byte| **byte == b' ').count();
            let Some(found) = node(skip_spaces(&line), depth) else {
                self.pending = Some(line);
                break;
            };
            let deepest = kept.last().map_or(0, |last| last.depth + 1);
            if depth > deepest || depth == 0 && !kept.is_empty() {
                let what = format!("a node at depth {depth}, where none above {deepest} can be");
                return Err(self.reader.malformed(what).into());
            }
            if depth > DEEPEST {
                return Err(self.reader.malformed(format!("the tree is deeper than {DEEPEST} levels")).into());
            }
            if found.bytes > total {
                let what = format!("a node of {} bytes in a snapshot of {total}", found.bytes);
                return Err(self.reader.malformed(what).into());
            }
            text += found.detail.len();
            if kept.len() >= MOST_NODES || text > MOST_TEXT {
                return Err(self.reader.malformed("the tree is larger than any that heaptrack writes").into());
            }
            kept.push(Kept { depth, bytes: found.bytes, detail: found.detail.to_vec() });
        }
        if kept.is_empty() {
            return Err(Stop::Ended("before a tree".into()));
        }
        let children = children(&kept);
        for (Kept { depth, bytes, detail }, children) in kept.iter().zip(children) {
            visitor.node(Node { depth: *depth, children, bytes: *bytes, detail })?;
        }
        Ok(())
    }
}

/// The number of nodes directly below each.
fn children(nodes: &[Kept]) -> Vec<u64> {
    let mut counts = vec![0; nodes.len()];
    let mut path: Vec<usize> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        path.truncate(node.depth);
        if let Some(count) = path.last().and_then(|parent| counts.get_mut(*parent)) {
            *count += 1;
        }
        path.push(index);
    }
    counts
}

/// Seconds with a fraction, as milliseconds.
fn milliseconds(text: &[u8]) -> Option<u64> {
    let seconds: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
}
