//! Trees laid over each other: equal stacks become one, whatever their addresses, past the wrappers around malloc.

use std::collections::HashMap;

use super::tree::{Frame, NodeKind, Tree};
use super::wrappers::Wrappers;

/// Which of two trees a size belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Old,
    New,
}

/// When two frames are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// Function, file and line: within one file.
    Line,
    /// Function and file: between two builds, where every edit moves the lines below it.
    File,
}

/// A step of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// The allocation functions, and the wrappers that were passed over.
    Root,
    Frame(Frame<'a>),
    /// Callers that massif did not tell apart, of this wrapper if it is one.
    Below(Option<Frame<'a>>),
}

impl Step<'_> {
    /// With the whole names.
    pub(super) fn describe(&self) -> String {
        self.text(|frame| frame.describe())
    }

    /// Short enough for a table.
    pub(super) fn brief(&self) -> String {
        self.text(|frame| frame.brief())
    }

    fn text(&self, of: impl Fn(&Frame<'_>) -> String) -> String {
        match self {
            Step::Root => "allocations of which massif kept no caller".into(),
            Step::Frame(frame) => of(frame),
            Step::Below(None) => "places below massif's threshold".into(),
            Step::Below(Some(wrapper)) => format!("callers of {} below massif's threshold", of(wrapper)),
        }
    }
}

/// Merged trees. Position 0 is the root; a node comes after its parent.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    identity: Identity,
    nodes: Vec<MergedNode<'a>>,
    index: HashMap<(u32, Key<'a>), u32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct MergedNode<'a> {
    pub(super) parent: u32,
    pub(super) step: Step<'a>,
    /// Bytes of stacks that end here, of either side.
    own: [u64; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Frame(&'a [u8], Option<&'a [u8]>),
    Below(&'a [u8]),
}

const ROOT: u32 = 0;

impl<'a> Merged<'a> {
    pub(super) fn new(identity: Identity) -> Merged<'a> {
        let root = MergedNode { parent: ROOT, step: Step::Root, own: [0; 2] };
        Merged { identity, nodes: vec![root], index: HashMap::new() }
    }

    /// Lays a tree over what is there. Without wrappers, nothing is passed over.
    pub(super) fn add(&mut self, tree: &'a Tree, side: Side, wrappers: Option<&Wrappers>) {
        // For each depth of the tree: the merged node, the wrapper if that was passed over to get there, and how many
        // bytes the children that are still to come may have. More than the parent's is more than there was.
        let mut path: Vec<(u32, Option<Frame<'a>>, u64)> = Vec::new();
        for node in tree.nodes() {
            path.truncate(node.depth);
            let (here, passed) = match path.last().map(|(parent, wrapper, _)| (*parent, *wrapper)) {
                None => (ROOT, None),
                Some((parent, wrapper)) => match NodeKind::parse(node.detail) {
                    NodeKind::Frame(frame)
                        if parent == ROOT
                            && !node.leaf
                            && wrappers.is_some_and(|wrappers| wrappers.contain(frame.function)) =>
                    {
                        (ROOT, Some(frame))
                    }
                    // Below a thread's first function, valgrind takes words of the stack for callers, now more, now less.
                    NodeKind::Frame(frame) if frame.is_nothing() && self.is_nothing(parent) => (parent, None),
                    NodeKind::Frame(frame) => (self.child(parent, Step::Frame(frame), side), None),
                    NodeKind::Below | NodeKind::Root => (self.child(parent, Step::Below(wrapper), side), None),
                },
            };
            let mut bytes = node.bytes;
            if let Some((parent, _, left)) = path.last_mut() {
                bytes = bytes.min(*left);
                *left -= bytes;
                let parent = *parent;
                self.shrink(parent, side, bytes);
            }
            self.grow(here, side, bytes);
            path.push((here, passed, bytes));
        }
    }

    fn child(&mut self, parent: u32, step: Step<'a>, side: Side) -> u32 {
        let key = match step {
            Step::Frame(frame) => match self.identity {
                Identity::Line => Key::Frame(frame.function, frame.place),
                Identity::File => Key::Frame(frame.function, frame.file()),
            },
            Step::Below(wrapper) => Key::Below(wrapper.map_or(&b""[..], |wrapper| wrapper.function)),
            Step::Root => return ROOT,
        };
        let next = u32::try_from(self.nodes.len()).unwrap_or(ROOT);
        let at = *self.index.entry((parent, key)).or_insert(next);
        if at == next {
            self.nodes.push(MergedNode { parent, step, own: [0; 2] });
        } else if let Some(node) = self.nodes.get_mut(at as usize).filter(|_| side == Side::New) {
            // The line of the newer build is the one to look at.
            node.step = step;
        }
        at
    }

    fn is_nothing(&self, at: u32) -> bool {
        self.node(at).is_some_and(|node| matches!(node.step, Step::Frame(frame) if frame.is_nothing()))
    }

    fn own(&mut self, at: u32, side: Side) -> Option<&mut u64> {
        self.nodes.get_mut(at as usize)?.own.get_mut(side as usize)
    }

    fn grow(&mut self, at: u32, side: Side, bytes: u64) {
        if let Some(own) = self.own(at, side) {
            *own = own.saturating_add(bytes);
        }
    }

    fn shrink(&mut self, at: u32, side: Side, bytes: u64) {
        if let Some(own) = self.own(at, side) {
            *own = own.saturating_sub(bytes);
        }
    }

    pub(super) fn node(&self, at: u32) -> Option<&MergedNode<'a>> {
        self.nodes.get(at as usize)
    }

    /// All nodes with their positions.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (u32, &MergedNode<'a>)> {
        (0_u32..).zip(&self.nodes)
    }

    /// Bytes of each node with all below it, by position.
    pub(super) fn totals(&self, side: Side) -> Vec<u64> {
        let mut totals: Vec<u64> = self.nodes.iter().map(|node| node.own(side)).collect();
        for at in (1..self.nodes.len()).rev() {
            let (Some(bytes), Some(node)) = (totals.get(at).copied(), self.nodes.get(at)) else { continue };
            if let Some(parent) = totals.get_mut(node.parent as usize) {
                *parent = parent.saturating_add(bytes);
            }
        }
        totals
    }

    /// The largest child of each node, by position.
    pub(super) fn largest_children(&self, totals: &[u64]) -> Vec<Option<u32>> {
        let bytes = |at: u32| totals.get(at as usize).copied().unwrap_or_default();
        let mut largest: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for (at, node) in self.nodes().skip(1) {
            if let Some(place) = largest.get_mut(node.parent as usize) {
                if place.is_none_or(|other| bytes(at) > bytes(other)) {
                    *place = Some(at);
                }
            }
        }
        largest
    }

    /// From a node to the root, which is left out: for a stack, outermost caller first.
    pub(super) fn outwards(&self, at: u32) -> impl Iterator<Item = u32> {
        let mut next = at;
        std::iter::from_fn(move || {
            let here = next;
            next = self.node(here)?.parent;
            (here != ROOT).then_some(here)
        })
    }
}

impl MergedNode<'_> {
    pub(super) fn own(&self, side: Side) -> u64 {
        self.own.get(side as usize).copied().unwrap_or_default()
    }
}
