//! A small and stable file, to be checked in and compared with: only the peak, without what changes from run to run or
//! from machine to machine.

use drydock_base::text::printable_char;
use std::fmt::Write as _;

use super::format::Snapshot;
use super::merged::{Identity, Merged, Side, Step};
use super::profile::Profile;

/// Options that say where files go, not what is measured.
const LEFT_OUT: [&str; 4] = ["--massif-out-file=", "--log-file=", "--trace-children=", "--trace-children-skip="];

/// The text of the small file: itself a massif file that ms_print reads. Times and addresses are zero, equal frames of
/// one function are one, and the options that only name files are left out.
pub fn text(profile: &Profile) -> String {
    let options = profile.options().map(String::from_utf8_lossy);
    let kept: Vec<String> = options
        .filter(|option| !LEFT_OUT.iter().any(|left_out| option.starts_with(left_out)))
        .map(|option| printable(&option))
        .collect();
    let options = if kept.is_empty() { "(none)".to_owned() } else { kept.join(" ") };
    let command = printable(&profile.command());
    let mut text = format!("desc: {options}\ncmd: {command}\ntime_unit: {}\n", profile.header.unit.name());
    let peak = profile.peak();
    match profile.of_tree() {
        Some(snapshot) if snapshot.measured() == peak.measured() => {
            write_snapshot(&mut text, 0, &snapshot, "peak");
            write_tree(&mut text, profile);
        }
        Some(snapshot) => {
            // The highest snapshot has no tree; the tree is that of one nearby.
            write_snapshot(&mut text, 0, &snapshot, "peak");
            write_tree(&mut text, profile);
            write_snapshot(&mut text, 1, &peak, "empty");
        }
        None => write_snapshot(&mut text, 0, &peak, "empty"),
    }
    text
}

fn write_snapshot(text: &mut String, number: usize, snapshot: &Snapshot, tree: &str) {
    let Snapshot { heap, extra, stacks, .. } = snapshot;
    let rule = "#-----------\n";
    let _infallible = write!(
        text,
        "{rule}snapshot={number}\n{rule}time=0\nmem_heap_B={heap}\nmem_heap_extra_B={extra}\nmem_stacks_B={stacks}\n\
         heap_tree={tree}\n"
    );
}

fn write_tree(text: &mut String, profile: &Profile) {
    let mut merged = Merged::new(Identity::Line);
    merged.add(&profile.tree, Side::New, None);
    let totals = merged.totals(Side::New);
    let bytes = |at: u32| totals.get(at as usize).copied().unwrap_or_default();
    let mut children: Vec<Vec<(String, u32)>> = vec![Vec::new(); totals.len()];
    for (at, node) in merged.nodes().skip(1) {
        let detail = match node.step {
            Step::Root => continue,
            Step::Frame(frame) => {
                let function = printable(&String::from_utf8_lossy(frame.function));
                match frame.place {
                    Some(place) => format!("0x0: {function} ({})", printable(&String::from_utf8_lossy(place))),
                    None => format!("0x0: {function}"),
                }
            }
            Step::Below(_) => "in 1 place, below massif's threshold".to_owned(),
        };
        if let Some(siblings) = children.get_mut(node.parent as usize) {
            siblings.push((detail, at));
        }
    }
    for siblings in &mut children {
        // The last is written first, so the largest stands at the end.
        siblings.sort_by(|(left, one), (right, other)| bytes(*one).cmp(&bytes(*other)).then_with(|| right.cmp(left)));
    }
    let root = if profile.pages_as_heap() {
        "(page allocation syscalls) mmap/mremap/brk, --alloc-fns, etc."
    } else {
        "(heap allocation functions) malloc/new/new[], --alloc-fns, etc."
    };
    let mut todo = vec![(0_usize, root.to_owned(), 0_u32)];
    while let Some((depth, detail, at)) = todo.pop() {
        let below = children.get_mut(at as usize).map(std::mem::take).unwrap_or_default();
        let _infallible = writeln!(text, "{:depth$}n{}: {} {detail}", "", below.len(), bytes(at));
        todo.extend(below.into_iter().map(|(detail, at)| (depth + 1, detail, at)));
    }
}

/// Printable, and without what readers of the format take for a comment.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| printable_char(if letter == '#' { char::REPLACEMENT_CHARACTER } else { letter }))
        .collect()
}
