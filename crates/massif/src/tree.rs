//! One snapshot's tree, kept: nodes in the order of the file, and what their lines say.

use std::borrow::Cow;

use super::format::Node;

/// A tree with more nodes or text than this is not kept.
const MOST_NODES: usize = 1 << 20;
const MOST_TEXT: usize = 1 << 26;

/// The tree of a detailed snapshot. Parents come before their children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Stored>,
    text: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stored {
    depth: u32,
    bytes: u64,
    start: u32,
    length: u32,
    leaf: bool,
}

/// A node of a kept tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept<'a> {
    pub(super) depth: usize,
    pub(super) bytes: u64,
    pub(super) leaf: bool,
    pub(super) detail: &'a [u8],
}

impl Tree {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
    }

    /// Adds a node; false when the tree is larger than any that is kept.
    pub(super) fn push(&mut self, node: Node<'_>) -> bool {
        let (Ok(depth), Ok(start), Ok(length)) =
            (u32::try_from(node.depth), u32::try_from(self.text.len()), u32::try_from(node.detail.len()))
        else {
            return false;
        };
        if self.nodes.len() >= MOST_NODES || self.text.len() + node.detail.len() > MOST_TEXT {
            return false;
        }
        self.text.extend_from_slice(node.detail);
        self.nodes.push(Stored { depth, bytes: node.bytes, start, length, leaf: node.children == 0 });
        true
    }

    /// The nodes in the order of the file.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Kept<'_>> {
        self.nodes.iter().map(|stored| {
            let start = stored.start as usize;
            let detail = self.text.get(start..start + stored.length as usize).unwrap_or_default();
            Kept { depth: stored.depth as usize, bytes: stored.bytes, leaf: stored.leaf, detail }
        })
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// The meaning of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind<'a> {
    /// A place in the program.
    Frame(Frame<'a>),
    /// Several places that are too small to be listed: `in 3 places, all below massif's threshold (1.00%)`.
    Below,
    /// The root: `(heap allocation functions) malloc/new/new[], --alloc-fns, etc.`
    Root,
}

/// A place in the program. Texts are those of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// The function with its arguments in C++; `???` when it has no name.
    pub function: &'a [u8],
    /// `file.c:7`, or the object: `in /lib/x.so`.
    pub place: Option<&'a [u8]>,
}

impl<'a> NodeKind<'a> {
    /// Reads the rest of a node's line.
    pub fn parse(detail: &'a [u8]) -> NodeKind<'a> {
        let detail = detail.trim_ascii_start();
        if detail.starts_with(b"(") {
            return NodeKind::Root;
        }
        if is_below(detail) {
            return NodeKind::Below;
        }
        // Names of C++ hold `::`, but never `: `; and the address stands before the first one.
        let after_address = detail.starts_with(b"0x").then(|| find(detail, b": ")).flatten();
        let text = after_address.map_or(detail, |at| detail.get(at + 2..).unwrap_or_default());
        NodeKind::Frame(Frame::parse(text))
    }
}

/// `in 3 places, all below massif's threshold (1.00%)`, and `in 1 place, below …`.
fn is_below(detail: &[u8]) -> bool {
    let Some(rest) = detail.strip_prefix(b"in ") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with(b" place") && find(rest, b"below ").is_some())
}

impl<'a> Frame<'a> {
    /// `main (file.c:7)`: the last group in parentheses is the place. The path of an object may hold parentheses itself.
    fn parse(text: &'a [u8]) -> Frame<'a> {
        let group = text.strip_suffix(b")").and_then(|inside| {
            let at = rfind(inside, b" (in ").or_else(|| rfind(inside, b" ("))?;
            Some((inside.get(..at)?, inside.get(at + 2..)?))
        });
        match group {
            Some((function, place)) if is_place(place) => Frame { function, place: Some(place) },
            // `operator()(int)` has a group that is not a place.
            Some(_) | None => Frame { function: text, place: None },
        }
    }

    /// Whether nothing is known of it but an address.
    pub(super) fn is_nothing(&self) -> bool {
        self.place.is_none() && self.function == b"???"
    }

    /// The place without the line: it moves with every edit above.
    pub(super) fn file(&self) -> Option<&'a [u8]> {
        let place = self.place?;
        Some(split_line(place).map_or(place, |(file, _)| file))
    }

    /// As in the file, for a person.
    pub(super) fn describe(&self) -> String {
        let function = printable(self.function, 200);
        match self.place {
            Some(place) => format!("{function} ({})", printable(place, 200)),
            None => function,
        }
    }

    /// The function, without the arguments and template parameters of C++, and the place's last name.
    pub fn brief(&self) -> String {
        let name = String::from_utf8_lossy(self.function);
        let function = printable(bare(&name).as_bytes(), 100);
        match self.place {
            Some(place) => {
                let place = String::from_utf8_lossy(place);
                let last = place.rsplit('/').next().unwrap_or_default();
                format!(
                    "{function} ({}{})",
                    if place.starts_with("in /") { "in " } else { "" },
                    printable(last.as_bytes(), 80)
                )
            }
            None => function,
        }
    }
}

fn is_place(place: &[u8]) -> bool {
    place.starts_with(b"in ") || split_line(place).is_some()
}

/// `dir/file.c:7` → `dir/file.c`, `7`.
fn split_line(place: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b':', place)?;
    let (file, line) = (place.get(..at)?, place.get(at + 1..)?);
    (!line.is_empty() && line.iter().all(u8::is_ascii_digit)).then_some((file, line))
}

/// `void std::vector<int>::push_back(int const&)` → `std::vector::push_back`.
fn bare(name: &str) -> Cow<'_, str> {
    if !name.contains(['<', '(']) || name.contains("operator") || name.starts_with('(') {
        return Cow::Borrowed(name);
    }
    let mut depth = 0_u32;
    let mut bare = String::new();
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' if depth == 0 && !bare.ends_with("::") && !bare.is_empty() => break,
            _ if depth == 0 => bare.push(letter),
            _ => {}
        }
    }
    // A template's return type comes first.
    let bare = bare.trim();
    Cow::Owned(bare.rsplit(' ').next().unwrap_or(bare).to_owned())
}

pub(super) fn printable(text: &[u8], most: usize) -> String {
    let start = text.get(..text.len().min(4 * most)).unwrap_or_default();
    let shown = drydock_base::text::printable(&String::from_utf8_lossy(start), most);
    if start.len() < text.len() || shown.chars().count() == most && text.len() > most { shown + "…" } else { shown }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}

fn rfind(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(text, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(detail: &str, function: &str, place: Option<&str>, brief: &str) {
        let NodeKind::Frame(frame) = NodeKind::parse(detail.as_bytes()) else { panic!("{detail} is not a frame") };
        assert_eq!(String::from_utf8_lossy(frame.function), function);
        assert_eq!(frame.place.map(String::from_utf8_lossy).as_deref(), place);
        assert_eq!(frame.brief(), brief);
    }

    #[test]
    fn frames_are_read_as_valgrind_writes_them() {
        check(" 0x109155: main (a.c:7)", "main", Some("a.c:7"), "main (a.c:7)");
        check(" 0x1: ???", "???", None, "???");
        check(" 0x48F: ??? (in /usr/lib/libx.so.6)", "???", Some("in /usr/lib/libx.so.6"), "??? (in libx.so.6)");
        check(" 0x4: f (in /tmp/a (b)/p)", "f", Some("in /tmp/a (b)/p"), "f (in p)");
        check(" 0x4: f (in /tmp/a)b/p)", "f", Some("in /tmp/a)b/p"), "f (in p)");
        check(" 0x4: f() const", "f() const", None, "f");
        check(" 0x4: x::operator()(int)", "x::operator()(int)", None, "x::operator()(int)");
        check(
            " 0x4: (anonymous namespace)::f(int) (a.cc:1)",
            "(anonymous namespace)::f(int)",
            Some("a.cc:1"),
            "(anonymous namespace)::f(int) (a.cc:1)",
        );
        check(
            " 0x4: core::ops::function::FnOnce::call_once{{vtable.shim}} (f.rs:250)",
            "core::ops::function::FnOnce::call_once{{vtable.shim}}",
            Some("f.rs:250"),
            "core::ops::function::FnOnce::call_once{{vtable.shim}} (f.rs:250)",
        );
        check(
            " 0x10A7A7: void std::vector<std::pair<int, char>, std::allocator<int> >::push<int (*)(int)>(int (*)(int), std::pair<int, char>) (dir/stl_vector.h:175)",
            "void std::vector<std::pair<int, char>, std::allocator<int> >::push<int (*)(int)>(int (*)(int), std::pair<int, char>)",
            Some("dir/stl_vector.h:175"),
            "std::vector::push (stl_vector.h:175)",
        );
    }

    #[test]
    fn what_is_not_a_frame_is_recognised() {
        assert_eq!(
            NodeKind::parse(b" (heap allocation functions) malloc/new/new[], --alloc-fns, etc."),
            NodeKind::Root
        );
        assert_eq!(NodeKind::parse(b" in 12 places, all below massif's threshold (1.00%)"), NodeKind::Below);
        assert_eq!(NodeKind::parse(b" in 1 place, below massif's threshold (1.00%)"), NodeKind::Below);
        assert!(matches!(NodeKind::parse(b" 0x1: in (a.c:1)"), NodeKind::Frame(_)));
        assert!(matches!(NodeKind::parse(b" in"), NodeKind::Frame(_)));
    }

    #[test]
    fn control_characters_stay_out_of_what_is_shown() {
        let NodeKind::Frame(frame) = NodeKind::parse(b" 0x1: a\x1b[31m (x\x07.c:1)") else { panic!() };
        assert_eq!(frame.describe(), "a (x\u{fffd}.c:1)");
        assert!(printable(&[b'x'; 5000], 100).len() < 110);
    }
}
