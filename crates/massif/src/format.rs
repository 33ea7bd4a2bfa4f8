//! The grammar of massif's files, and the interface of their reader.
//!
//! The format has no specification. It is what massif writes and ms_print reads:
//!
//! ```text
//! file:     ("desc:" text)* "cmd:" text "time_unit:" (i | ms | B) snapshot+
//! snapshot: "snapshot=" N "time=" N "mem_heap_B=" N "mem_heap_extra_B=" N "mem_stacks_B=" N
//!           "heap_tree=" (empty | (detailed | peak) node)
//! node:     "n" K ":" BYTES DETAIL, then K nodes
//! ```
//!
//! Blank lines and lines that start with `#` are passed over. The command may hold line ends, so it goes on to the line
//! that starts with `time_unit:`. Nodes are counted, never followed by recursion.

use std::io;

/// The reason why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The input or the output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not massif output, or not a whole one.
    #[error("line {line}: {what}")]
    Malformed {
        /// From 1.
        line: u64,
        /// The problem, with what was expected.
        what: String,
    },
}

/// The lines before the snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The rest of each `desc:` line, with the line ends: massif's options, or ` (none)`.
    pub options: Vec<u8>,
    /// The text after `cmd:`, which may hold line ends.
    pub command: Vec<u8>,
    /// The unit of [`Snapshot::time`].
    pub unit: TimeUnit,
}

/// Units of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum TimeUnit {
    /// Instructions executed.
    #[serde(rename = "i")]
    Instructions,
    /// Milliseconds of wall time.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Bytes allocated and freed.
    #[serde(rename = "B")]
    Bytes,
}

impl TimeUnit {
    /// As massif writes it.
    pub fn name(self) -> &'static str {
        match self {
            TimeUnit::Instructions => "i",
            TimeUnit::Milliseconds => "ms",
            TimeUnit::Bytes => "B",
        }
    }

    /// For a sentence.
    pub fn words(self) -> &'static str {
        match self {
            TimeUnit::Instructions => "instructions",
            TimeUnit::Milliseconds => "milliseconds",
            TimeUnit::Bytes => "bytes allocated and freed",
        }
    }
}

/// One point in time. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Massif's own number.
    pub number: u64,
    /// In the file's unit.
    pub time: u64,
    /// Bytes that the program asked for.
    pub heap: u64,
    /// Bytes that the allocator adds for its administration.
    pub extra: u64,
    /// The stacks, with `--stacks=yes`.
    pub stacks: u64,
    /// Whether a tree follows.
    pub tree: TreeKind,
}

impl Snapshot {
    /// Heap and its administration, in bytes; budgets are compared with it.
    pub fn measured(&self) -> u64 {
        self.heap.saturating_add(self.extra)
    }

    /// The same with the stacks, as ms_print shows it. The reader has checked that it does not overflow.
    pub fn total(&self) -> u64 {
        self.measured().saturating_add(self.stacks)
    }
}

/// The kinds of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// No tree.
    Empty,
    /// A tree.
    Detailed,
    /// A tree, and massif's own mark: the largest one that was seen before a deallocation.
    Peak,
}

/// One line of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node<'a> {
    /// 0 for the root.
    pub(super) depth: usize,
    /// The number of nodes below this one, which follow it.
    pub(super) children: u64,
    /// Bytes of heap.
    pub(super) bytes: u64,
    /// The rest of the line with the space in front: ` 0x1234: main (file.c:7)`.
    pub(super) detail: &'a [u8],
}

/// The receiver of the parts of a file while it is read.
pub(super) trait Visitor {
    /// The header is read.
    fn header(&mut self, header: Header) -> Result<(), Fault>;
    /// A snapshot's figures are read; its tree follows, in as many calls of [`Visitor::node`].
    fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), Fault>;
    /// A node of the snapshot's tree, parents before children.
    fn node(&mut self, node: Node<'_>) -> Result<(), Fault>;
    /// The snapshot is whole. Without this call it was cut and does not count.
    fn complete(&mut self, snapshot: &Snapshot) -> Result<(), Fault>;
}

/// The part of a file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// It ends within a snapshot; the ones before it were read.
    Cut {
        /// The line that is cut or missing.
        line: u64,
        /// The text that was expected there.
        why: String,
    },
}
