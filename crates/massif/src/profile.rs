//! A whole file as a value: header, snapshots, and the tree nearest to the peak.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::format::{Extent, Fault, Header, Node, Snapshot, TimeUnit, TreeKind, Visitor};
use super::reader;
use super::tree::Tree;
use drydock_base::paths;

/// The content of a file, without the trees of the other snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Options, command and unit of time.
    pub header: Header,
    /// In the order of the file, at least one.
    pub snapshots: Vec<Snapshot>,
    /// The position of the highest snapshot, by [`Snapshot::measured`].
    pub peak: usize,
    /// The position of the highest snapshot with a tree.
    pub detailed: Option<usize>,
    /// Its tree.
    pub tree: Tree,
    /// The number of trees that were too large to be kept.
    pub too_large: u64,
    /// The part of the file that was written.
    pub extent: Extent,
}

impl Profile {
    /// Reads a file, which must be a regular one.
    ///
    /// # Errors
    /// Those of [`reader::read`].
    pub fn open(path: &Path) -> Result<Profile, Fault> {
        Profile::read(BufReader::with_capacity(1 << 16, paths::open_regular(path)?))
    }

    /// Reads from any input, line by line.
    ///
    /// # Errors
    /// Those of [`reader::read`].
    pub fn read(input: impl BufRead) -> Result<Profile, Fault> {
        let mut builder = Builder::default();
        let extent = reader::read(input, &mut builder)?;
        let Builder { header: Some(header), snapshots, peak, detailed, tree, too_large, .. } = builder else {
            return Err(Fault::Io(io::Error::other("a file without header was taken for whole")));
        };
        Ok(Profile { header, snapshots, peak, detailed, tree, too_large, extent })
    }

    /// The highest heap of any snapshot, with its administration: massif's own mark is set only before a deallocation,
    /// and within its inaccuracy.
    pub fn peak(&self) -> Snapshot {
        self.snapshots.get(self.peak).copied().unwrap_or(NOTHING)
    }

    /// The last snapshot: what was left at the end.
    pub fn last(&self) -> Snapshot {
        self.snapshots.last().copied().unwrap_or(NOTHING)
    }

    /// The snapshot that the tree belongs to.
    pub fn of_tree(&self) -> Option<Snapshot> {
        self.detailed.and_then(|at| self.snapshots.get(at)).copied()
    }

    /// Whether whole pages were measured instead of what the heap gives out.
    pub fn pages_as_heap(&self) -> bool {
        let root = self.tree.nodes().next();
        self.options().any(|option| option == b"--pages-as-heap=yes")
            || root.is_some_and(|root| root.detail.starts_with(b" (page allocation syscalls)"))
    }

    /// Massif's options, in order.
    pub fn options(&self) -> impl Iterator<Item = &[u8]> {
        self.header.options.split(u8::is_ascii_whitespace).filter(|word| word.starts_with(b"-"))
    }

    /// The command, fit for a terminal.
    pub fn command(&self) -> String {
        super::tree::printable(self.header.command.trim_ascii(), 500)
    }
}

const NOTHING: Snapshot = Snapshot { number: 0, time: 0, heap: 0, extra: 0, stacks: 0, tree: TreeKind::Empty };

#[derive(Default)]
struct Builder {
    header: Option<Header>,
    snapshots: Vec<Snapshot>,
    peak: usize,
    detailed: Option<usize>,
    tree: Tree,
    /// The tree of the snapshot that is being read, when it may replace the kept one.
    coming: Tree,
    wanted: bool,
    too_large: u64,
}

impl Builder {
    fn measured(&self, at: usize) -> u64 {
        self.snapshots.get(at).map_or(0, Snapshot::measured)
    }
}

impl Visitor for Builder {
    fn header(&mut self, header: Header) -> Result<(), Fault> {
        self.header = Some(header);
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        // Of two equal ones, the one that massif marks, which has the finer tree.
        self.wanted = match self.detailed {
            None => true,
            Some(at) => match snapshot.measured().cmp(&self.measured(at)) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => snapshot.tree == TreeKind::Peak,
                std::cmp::Ordering::Greater => true,
            },
        };
        self.coming.clear();
        Ok(())
    }

    fn node(&mut self, node: Node<'_>) -> Result<(), Fault> {
        if self.wanted && !self.coming.push(node) {
            self.wanted = false;
            self.too_large += 1;
        }
        Ok(())
    }

    fn complete(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        let at = self.snapshots.len();
        self.snapshots.push(*snapshot);
        if snapshot.measured() > self.measured(self.peak) {
            self.peak = at;
        }
        if self.wanted && !self.coming.is_empty() {
            self.detailed = Some(at);
            std::mem::swap(&mut self.tree, &mut self.coming);
        }
        Ok(())
    }
}

/// A time for a person: `1.2 G instr.`, `350ms`, `12 MiB`.
pub(super) fn time(unit: TimeUnit, time: u64) -> String {
    match unit {
        TimeUnit::Milliseconds => drydock_base::units::human(std::time::Duration::from_millis(time)),
        TimeUnit::Bytes => drydock_base::units::ByteSize::new(time).to_string(),
        TimeUnit::Instructions => {
            let (mut value, mut prefix) = (time as f64, "");
            for larger in ["k", "M", "G", "T", "P"] {
                if value < 1000.0 {
                    break;
                }
                (value, prefix) = (value / 1000.0, larger);
            }
            if prefix.is_empty() { format!("{time} instr.") } else { format!("{value:.1} {prefix} instr.") }
        }
    }
}
