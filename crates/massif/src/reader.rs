//! Reads massif's files line by line and hands what it finds to a visitor.

use std::io::BufRead;

mod foreign;
mod heaptrack;

use super::format::{Extent, Fault, Header, Node, Snapshot, TimeUnit, TreeKind, Visitor};
use super::lines::{Found, Line, Lines};

/// Trees deeper than this are refused; massif's own `--depth` ends at 200.
pub(super) const DEEPEST: usize = 512;
/// Files with more snapshots than this are refused; massif's own `--max-snapshots` ends at 1000.
const MOST_SNAPSHOTS: u64 = 1 << 20;
/// The options and the command together may not be longer than this.
const LONGEST_HEADER: usize = 1 << 20;

/// Reads a whole file.
///
/// # Errors
/// The input fails, or a line is not what the grammar expects. A file that ends too early is accepted once it has a whole
/// snapshot.
pub(super) fn read(input: impl BufRead, visitor: &mut impl Visitor) -> Result<Extent, Fault> {
    read_first(u64::MAX, input, visitor)
}

/// As [`read`], but no further than to that many snapshots.
///
/// # Errors
/// Those of [`read`].
pub(super) fn read_first(count: u64, input: impl BufRead, visitor: &mut impl Visitor) -> Result<Extent, Fault> {
    let mut reader = Reader { lines: Lines::new(input), unended: false, announced: false };
    let header = match reader.header()? {
        Beginning::Massif(header) => header,
        Beginning::Heaptrack(header) => return heaptrack::read(&mut reader, None, Some(header), count, visitor),
        Beginning::Snapshot(line) => return heaptrack::read(&mut reader, Some(line), None, count, visitor),
    };
    visitor.header(header)?;
    let mut snapshots = 0;
    loop {
        if snapshots == count {
            return Ok(Extent::Whole);
        }
        match reader.snapshot(visitor) {
            Ok(true) => {
                snapshots += 1;
                if snapshots > MOST_SNAPSHOTS {
                    return Err(reader.malformed(format!("there are more than {MOST_SNAPSHOTS} snapshots")));
                }
            }
            Ok(false) if snapshots == 0 => {
                return Err(reader.malformed("the file has no snapshots; was the program killed?"));
            }
            Ok(false) => return Ok(Extent::Whole),
            Err(Stop::Ended(why)) if snapshots > 0 => {
                return Ok(Extent::Cut { line: reader.lines.number(), why });
            }
            Err(Stop::Ended(why)) => return Err(reader.malformed(format!("the file ends here, {why}"))),
            Err(Stop::Fault(fault)) => return Err(fault),
        }
    }
}

/// What a file begins with.
enum Beginning {
    /// Massif's header.
    Massif(Header),
    /// A header with a time in seconds, as only heaptrack writes it.
    Heaptrack(Header),
    /// This line, the first of a snapshot: heaptrack writes the header last.
    Snapshot(Vec<u8>),
}

/// Why the reader stops.
enum Stop {
    /// The file ends where more should follow: what was expected.
    Ended(String),
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

struct Reader<R> {
    lines: Lines<R>,
    /// The last line that was read has no line end.
    unended: bool,
    /// A `#` line was passed over since the last snapshot, so another one was begun.
    announced: bool,
}

impl<R: BufRead> Reader<R> {
    fn malformed(&self, what: impl Into<String>) -> Fault {
        Fault::Malformed { line: self.lines.number(), what: what.into() }
    }

    /// The next line, whatever is in it; `None` at the end.
    fn any_line(&mut self) -> Result<Option<Line<'_>>, Fault> {
        let number = self.lines.number() + 1;
        match self.lines.next()? {
            Found::Line(line) => {
                self.unended = !line.ended;
                Ok(Some(line))
            }
            Found::TooLong => {
                let what = format!("a line of more than {} bytes is not massif's", super::lines::LONGEST_LINE);
                Err(Fault::Malformed { line: number, what })
            }
            Found::End => Ok(None),
        }
    }

    fn header(&mut self) -> Result<Beginning, Fault> {
        let no_massif = "this is not massif output, which starts with `desc:` or `cmd:`";
        let mut options = Vec::new();
        let mut command: Option<Vec<u8>> = None;
        let mut counts_events = false;
        loop {
            let number = self.lines.number() + 1;
            let Some(Line { text, .. }) = self.any_line()? else {
                if counts_events {
                    return Err(self.malformed(foreign::CACHEGRIND));
                }
                let what = if number == 1 { "the file is empty".to_owned() } else { "the file ends here".to_owned() };
                return Err(Fault::Malformed { line: number, what: format!("{what}, before a `time_unit:` line") });
            };
            if let Some(command) = &mut command {
                if let Some(unit) = text.strip_prefix(b"time_unit:") {
                    let unit = match unit.trim_ascii() {
                        b"i" => TimeUnit::Instructions,
                        b"ms" => TimeUnit::Milliseconds,
                        b"B" => TimeUnit::Bytes,
                        b"s" => {
                            let (command, unit) = (std::mem::take(command), TimeUnit::Milliseconds);
                            return Ok(Beginning::Heaptrack(Header { options, command, unit }));
                        }
                        other => {
                            let what = format!("`{}` is not a time unit; expected i, ms, B or s", shown(other));
                            return Err(self.malformed(what));
                        }
                    };
                    let command = std::mem::take(command);
                    return Ok(Beginning::Massif(Header { options, command, unit }));
                }
                counts_events |= text.starts_with(b"events:");
                command.push(b'\n');
                command.extend_from_slice(text);
            } else if let Some(text) = text.strip_prefix(b"desc:") {
                options.extend_from_slice(text);
                options.push(b'\n');
            } else if let Some(text) = text.strip_prefix(b"cmd:") {
                command = Some(text.to_vec());
            } else if options.is_empty() && text.starts_with(b"snapshot=") {
                return Ok(Beginning::Snapshot(text.to_vec()));
            } else if let Some(what) = (number == 1).then(|| foreign::sentence(text)).flatten() {
                return Err(self.malformed(what));
            } else if !is_passed_over(text) {
                // An option with a line end in it goes on here, but nothing stands before the first `desc:`.
                if options.is_empty() {
                    return Err(self.malformed(no_massif));
                }
                options.extend_from_slice(text);
                options.push(b'\n');
            }
            if options.len() + command.as_ref().map_or(0, Vec::len) > LONGEST_HEADER {
                return Err(
                    self.malformed(format!("the options and the command are longer than {LONGEST_HEADER} bytes"))
                );
            }
        }
    }

    /// One snapshot; false at the end of the file.
    fn snapshot(&mut self, visitor: &mut impl Visitor) -> Result<bool, Stop> {
        self.announced = false;
        let number = match self.number(b"snapshot=") {
            Ok(number) => number,
            Err(Stop::Ended(_)) if self.unended => {
                return Err(Stop::Ended("in a line that has no end".into()));
            }
            Err(Stop::Ended(_)) if !self.announced => return Ok(false),
            Err(stop) => return Err(stop),
        };
        let time = self.number(b"time=")?;
        let heap = self.number(b"mem_heap_B=")?;
        let extra = self.number(b"mem_heap_extra_B=")?;
        let stacks = self.number(b"mem_stacks_B=")?;
        let Some(total) = heap.checked_add(extra).and_then(|sum| sum.checked_add(stacks)) else {
            return Err(self.malformed("the sum of the sizes is more than any machine has").into());
        };
        let tree = self.value(b"heap_tree=", tree_kind)?;
        let snapshot = Snapshot { number, time, heap, extra, stacks, tree };
        visitor.snapshot(&snapshot)?;
        match tree {
            TreeKind::Empty => {}
            TreeKind::Detailed | TreeKind::Peak => self.tree(total, visitor)?,
        }
        visitor.complete(&snapshot)?;
        Ok(true)
    }

    fn number(&mut self, key: &'static [u8]) -> Result<u64, Stop> {
        self.value(key, digits)
    }

    /// A `key=value` line.
    fn value<T>(&mut self, key: &'static [u8], parse: impl Fn(&[u8]) -> Option<T>) -> Result<T, Stop> {
        let found = self.content(|text, _| {
            let uncommented = text.split(|byte| *byte == b'#').next().unwrap_or_default();
            uncommented.strip_prefix(key).and_then(parse)
        })?;
        match found {
            Content::Parsed(value) => Ok(value),
            Content::Other(other) => {
                let key = String::from_utf8_lossy(key);
                let what = if key == "heap_tree=" { "`empty`, `detailed` or `peak`" } else { "a number" };
                Err(self.malformed(format!("expected `{key}` and {what}, found `{other}`")).into())
            }
            Content::Ended => Err(Stop::Ended(format!("before a `{}` line", String::from_utf8_lossy(key)))),
        }
    }

    /// The tree of one snapshot, whose sizes add up to `total`.
    fn tree(&mut self, total: u64, visitor: &mut impl Visitor) -> Result<(), Stop> {
        // How many nodes are still to come at each depth above the next one.
        let mut open: Vec<u64> = Vec::new();
        loop {
            let depth = open.len();
            let mut taken = Ok(());
            let found = self.content(|_, unindented| {
                let node = node(unindented, depth)?;
                let (children, bytes) = (node.children, node.bytes);
                if bytes <= total {
                    taken = visitor.node(node);
                }
                Some((children, bytes))
            })?;
            taken?;
            let (children, bytes) = match found {
                Content::Parsed(parsed) => parsed,
                Content::Other(other) => {
                    let expected = "expected a node of the tree, such as `n1: 4096 0x1234: main (file.c:7)`";
                    return Err(self.malformed(format!("{expected}, found `{other}`")).into());
                }
                Content::Ended => return Err(Stop::Ended("within a tree".into())),
            };
            if bytes > total {
                return Err(self.malformed(format!("a node of {bytes} bytes in a snapshot of {total}")).into());
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                if depth + 1 > DEEPEST {
                    return Err(self.malformed(format!("the tree is deeper than {DEEPEST} levels")).into());
                }
                open.push(children);
            }
            while open.last() == Some(&0) {
                open.pop();
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    /// The next line that is not passed over, as it is and without the spaces in front. What does not parse and has no
    /// line end was cut, so it counts as the end.
    fn content<T>(&mut self, parse: impl FnOnce(&[u8], &[u8]) -> Option<T>) -> Result<Content<T>, Fault> {
        loop {
            let Some(Line { text, ended }) = self.any_line()? else { return Ok(Content::Ended) };
            let unindented = skip_spaces(text);
            match unindented.first() {
                None => {}
                Some(b'#') => self.announced = true,
                Some(_) => {
                    return Ok(match parse(text, unindented) {
                        Some(value) => Content::Parsed(value),
                        None if ended => Content::Other(shown(text)),
                        None => Content::Ended,
                    });
                }
            }
        }
    }
}

fn tree_kind(value: &[u8]) -> Option<TreeKind> {
    match value {
        b"empty" => Some(TreeKind::Empty),
        b"detailed" => Some(TreeKind::Detailed),
        b"peak" => Some(TreeKind::Peak),
        _ => None,
    }
}

enum Content<T> {
    Parsed(T),
    /// Something else, for a message.
    Other(String),
    Ended,
}

/// A blank line or a comment.
fn is_passed_over(text: &[u8]) -> bool {
    matches!(skip_spaces(text).first(), None | Some(b'#'))
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| is_space(**byte)).count();
    text.get(spaces..).unwrap_or_default()
}

/// `n1: 4096 0x1234: main (file.c:7)`.
fn node(text: &[u8], depth: usize) -> Option<Node<'_>> {
    let (children, rest) = leading_number(text.strip_prefix(b"n")?)?;
    let (bytes, detail) = leading_number(skip_spaces(rest.strip_prefix(b":")?))?;
    Some(Node { depth, children, bytes, detail })
}

/// The digits at the beginning, without leading zeros, and what follows them.
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut length = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        length += 1;
    }
    if length == 0 || (length > 1 && text.first() == Some(&b'0')) {
        return None;
    }
    Some((number, text.get(length..).unwrap_or_default()))
}

/// Nothing but a number.
fn digits(text: &[u8]) -> Option<u64> {
    leading_number(text).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number)
}

/// The beginning of a line, fit for a terminal.
fn shown(text: &[u8]) -> String {
    let start = text.get(..text.len().min(256)).unwrap_or_default();
    let shown = drydock_base::text::printable(&String::from_utf8_lossy(start), 60);
    // What else would look right, in a file whose lines git or an editor changed.
    if text.ends_with(b"\r") { format!("{}\\r", shown.trim_end()) } else { shown }
}

#[cfg(test)]
mod tests;
