//! The output of `ms_print FILE`, byte for byte (valgrind manual, chapter 9).
//!
//! The file is read twice, so that memory does not grow with it: the graph is printed before the trees and needs all
//! snapshots.

use std::io::{self, BufRead, Write};

use super::format::{Extent, Fault, Header, Node, Snapshot, TreeKind, Visitor};
use super::reader;

mod graph;
mod number;

use graph::Graph;
use number::{grouped, percent};

/// The options of ms_print.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Nodes below this share of their snapshot, in percent, are summed up.
    pub threshold: f64,
    /// Columns of the graph, 4 to 1000.
    pub width: usize,
    /// Rows of the graph, 4 to 1000.
    pub height: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { threshold: 1.0, width: 72, height: 20 }
    }
}

const RULE: [u8; 80] = [b'-'; 80];
/// The number of bytes written at once.
const PIECE: usize = 1 << 16;

/// A function that opens the file to print, from its beginning.
pub type Open<'a> = dyn FnMut() -> io::Result<Box<dyn BufRead + 'a>> + 'a;

/// Prints the file that `open` opens. `arguments` are those that ms_print was called with, as its output quotes them.
///
/// Readers and writers are trait objects, so that all of the work is compiled here, where it is optimised in every profile.
///
/// # Errors
/// Those of [`reader::read`], and those of writing.
pub fn print(
    open: &mut Open<'_>,
    options: &Options,
    arguments: &[Vec<u8>],
    mut out: &mut dyn Write,
) -> Result<Extent, Fault> {
    let mut overview = Overview::default();
    let extent = reader::read(open()?, &mut overview)?;
    let Overview { header: Some(header), snapshots } = overview else {
        return Err(Fault::Io(io::Error::other("a file without header was taken for whole")));
    };
    let mut page = Page { out: &mut out, text: Vec::with_capacity(2 * PIECE) };
    page.heading(&header, arguments);
    Graph::new(&snapshots, options).print(header.unit, &mut page.text);
    page.list(&snapshots);
    let mut listing = Listing {
        page,
        unit: header.unit.name(),
        threshold: options.threshold,
        total: 0,
        prefix: Vec::new(),
        open: Vec::new(),
        heading_is_due: true,
    };
    reader::read_first(snapshots.len() as u64, open()?, &mut listing)?;
    listing.page.write()?;
    Ok(extent)
}

#[derive(Default)]
struct Overview {
    header: Option<Header>,
    snapshots: Vec<Snapshot>,
}

impl Visitor for Overview {
    fn header(&mut self, header: Header) -> Result<(), Fault> {
        self.header = Some(header);
        Ok(())
    }

    fn snapshot(&mut self, _snapshot: &Snapshot) -> Result<(), Fault> {
        Ok(())
    }

    fn node(&mut self, _node: Node<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn complete(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        self.snapshots.push(*snapshot);
        Ok(())
    }
}

/// Output that is put together before it is written.
struct Page<'a, W> {
    out: &'a mut W,
    text: Vec<u8>,
}

impl<W: Write> Page<'_, W> {
    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    fn heading(&mut self, header: &Header, arguments: &[Vec<u8>]) {
        let text = &mut self.text;
        text.extend_from_slice(&RULE);
        text.extend_from_slice(b"\nCommand:            ");
        text.extend_from_slice(&command(&header.command));
        text.extend_from_slice(b"\nMassif arguments:  ");
        for line in header.options.split_inclusive(|byte| *byte == b'\n') {
            text.extend_from_slice(uncommented(line));
            if line.contains(&b'#') {
                text.push(b'\n');
            }
        }
        text.extend_from_slice(b"ms_print arguments:");
        for argument in arguments {
            text.push(b' ');
            text.extend_from_slice(argument);
        }
        text.push(b'\n');
        text.extend_from_slice(&RULE);
        text.extend_from_slice(b"\n\n\n");
    }

    /// The number of snapshots, and the list of those that have a tree.
    fn list(&mut self, snapshots: &[Snapshot]) {
        let text = &mut self.text;
        text.extend_from_slice(
            format!("\nNumber of snapshots: {}\n Detailed snapshots: [", snapshots.len()).as_bytes(),
        );
        let peak = graph::marked(snapshots);
        let mut separator = "";
        for (position, _) in snapshots.iter().enumerate().filter(|(_, snapshot)| has_tree(snapshot)) {
            let mark = if peak == Some(position as u64) { " (peak)" } else { "" };
            text.extend_from_slice(format!("{separator}{position}{mark}").as_bytes());
            separator = ", ";
        }
        text.extend_from_slice(b"]\n\n");
    }
}

fn has_tree(snapshot: &Snapshot) -> bool {
    match snapshot.tree {
        TreeKind::Empty => false,
        TreeKind::Detailed | TreeKind::Peak => true,
    }
}

/// ms_print takes everything from a `#` for a comment.
fn uncommented(line: &[u8]) -> &[u8] {
    memchr::memchr(b'#', line).map_or(line, |at| line.get(..at).unwrap_or_default())
}

/// The command as ms_print reads it. Where it holds line ends, ms_print reads nothing further; here all of it is shown.
fn command(command: &[u8]) -> Vec<u8> {
    let mut lines = command.split(|byte| *byte == b'\n').map(uncommented);
    let first = lines.next().unwrap_or_default();
    let start = first.iter().take_while(|byte| reader::is_space(**byte)).count();
    let mut text = first.get(start..).unwrap_or_default().to_vec();
    for line in lines.filter(|line| line.iter().any(|byte| !reader::is_space(*byte))) {
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    text
}

/// The snapshots one by one, with their trees.
struct Listing<'a, W> {
    page: Page<'a, W>,
    unit: &'static str,
    threshold: f64,
    /// Of the current snapshot, in bytes.
    total: u64,
    /// The text before the next node's arrow.
    prefix: Vec<u8>,
    /// From the root to the last node.
    open: Vec<OpenNode>,
    heading_is_due: bool,
}

struct OpenNode {
    /// Children that are still to come.
    left: u64,
    childless: bool,
    significant: bool,
    bytes: u64,
    insignificant_children: u64,
    insignificant_bytes: u64,
}

impl<W: Write> Visitor for Listing<'_, W> {
    fn header(&mut self, _header: Header) -> Result<(), Fault> {
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        let text = &mut self.page.text;
        if std::mem::take(&mut self.heading_is_due) {
            let time = format!("time({})", self.unit);
            text.extend_from_slice(&RULE);
            let (total, heap, extra) = ("total(B)", "useful-heap(B)", "extra-heap(B)");
            let line = format!("\n{:>3} {time:>14} {total:>16} {heap:>16} {extra:>13} {:>12}\n", "n", "stacks(B)");
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(&RULE);
            text.push(b'\n');
        }
        self.total = snapshot.total();
        let columns = [snapshot.time, self.total, snapshot.heap, snapshot.extra, snapshot.stacks];
        let [time, total, heap, extra, stacks] = columns.map(|number| {
            let mut text = Vec::new();
            grouped(number, &mut text);
            String::from_utf8(text).unwrap_or_default()
        });
        let number = snapshot.number;
        let line = format!("{number:>3} {time:>14} {total:>16} {heap:>16} {extra:>13} {stacks:>12}\n");
        text.extend_from_slice(line.as_bytes());
        Ok(())
    }

    fn node(&mut self, node: Node<'_>) -> Result<(), Fault> {
        let top = self.open.is_empty();
        let share = share(node.bytes, self.total);
        let significant = top || self.threshold == 0.0 || (self.total != 0 && share >= self.threshold);
        if significant {
            let text = &mut self.page.text;
            text.extend_from_slice(&self.prefix);
            text.extend_from_slice(if top { b"" } else { b"->" });
            percent(share, text);
            text.extend_from_slice(b"% (");
            grouped(node.bytes, text);
            text.extend_from_slice(b"B)");
            text.extend_from_slice(uncommented(node.detail));
            text.push(b'\n');
        }
        if let Some(parent) = self.open.last_mut() {
            parent.left = parent.left.saturating_sub(1);
            self.prefix.extend_from_slice(if parent.left == 0 { b"  " } else { b"| " });
        }
        self.open.push(OpenNode {
            left: node.children,
            childless: node.children == 0,
            significant,
            bytes: node.bytes,
            insignificant_children: 0,
            insignificant_bytes: 0,
        });
        while self.open.last().is_some_and(|node| node.left == 0) {
            if let Some(done) = self.open.pop() {
                self.close(&done);
            }
        }
        if self.page.text.len() > PIECE {
            self.page.write()?;
        }
        Ok(())
    }

    fn complete(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        self.heading_is_due = has_tree(snapshot);
        Ok(())
    }
}

impl<W: Write> Listing<'_, W> {
    /// Prints what follows a node's last child.
    fn close(&mut self, node: &OpenNode) {
        if node.significant {
            let text = &mut self.page.text;
            if node.insignificant_children > 0 {
                text.extend_from_slice(&self.prefix);
                text.extend_from_slice(b"->");
                percent(share(node.insignificant_bytes, self.total), text);
                text.extend_from_slice(b"% (");
                grouped(node.insignificant_bytes, text);
                let places = node.insignificant_children;
                let line = format!("B) in {places}+ places, all below ms_print's threshold (");
                text.extend_from_slice(line.as_bytes());
                percent(self.threshold, text);
                text.extend_from_slice(b"%)\n");
            }
            if node.insignificant_children > 0 || node.childless {
                text.extend_from_slice(&self.prefix);
                text.push(b'\n');
            }
        }
        self.prefix.truncate(self.prefix.len().saturating_sub(2));
        if let Some(parent) = self.open.last_mut().filter(|_| !node.significant) {
            parent.insignificant_children += 1;
            parent.insignificant_bytes = parent.insignificant_bytes.saturating_add(node.bytes);
        }
    }
}

/// In percent, computed as ms_print does, in floating point.
fn share(bytes: u64, total: u64) -> f64 {
    let hundredfold = bytes.checked_mul(100).map_or(bytes as f64 * 100.0, |product| product as f64);
    if total == 0 { 0.0 } else { hundredfold / total as f64 }
}

#[cfg(test)]
mod tests;
