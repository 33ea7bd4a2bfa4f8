//! Files that massif could write but seldom does: sizes and shares at every edge of rounding, made up and printed by both.

use std::fmt::Write as _;
use std::fs;

use crate::support::need_tool;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        // Xorshift, after Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    /// Of any magnitude below 2 to the 50.
    fn size(&mut self) -> u64 {
        let bits = self.below(50);
        self.below((1 << bits) + 1)
    }
}

/// A tree of `bytes`, whose children may hold all of it, nothing, or something between.
fn tree(numbers: &mut Numbers, text: &mut String, depth: usize, bytes: u64) {
    let children = if depth > 5 { 0 } else { numbers.below(if depth == 0 { 8 } else { 4 }) };
    let what = ["0x1: main (a.c:7)", "in 3 places, all below massif's threshold (1.00%)", "0x2: ??? (in /a#b/c)", ""];
    let indent = depth + usize::try_from(numbers.below(2)).unwrap();
    writeln!(text, "{:indent$}n{children}: {bytes} {}", "", what[usize::try_from(numbers.below(4)).unwrap()]).unwrap();
    let mut left = bytes;
    for _ in 0..children {
        // A share that is near to whole hundredths of a percent, or any.
        let part = if numbers.below(2) == 0 { left / 200 * numbers.below(201) } else { numbers.below(left + 1) };
        left -= part;
        tree(numbers, text, depth + 1, part);
        if numbers.below(9) == 0 {
            text.push_str(" \t\n  # between\n");
        }
    }
}

fn file(seed: u64) -> String {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let unit = ["i", "ms", "B"][usize::try_from(seed % 3).unwrap()];
    let mut text = format!("desc: (none)\ndesc: --x # y\n\ncmd:  ./a  b \ntime_unit: {unit}\n");
    let count = 1 + numbers.below(40);
    let scale = [1, 1000, 1024, numbers.size() + 1][usize::try_from(numbers.below(4)).unwrap()];
    let mut time = 0;
    for number in 0..count {
        // Time mostly goes on, stands still, or goes back; not far, since ms_print's memory grows with what lies
        // beyond the end.
        time = if numbers.below(12) == 0 { time / 2 } else { time + numbers.below(scale + 1) };
        let heap = [0, scale, numbers.below(scale + 1), numbers.size()][usize::try_from(numbers.below(4)).unwrap()];
        let (extra, stacks) = (numbers.below(heap / 4 + 2), if seed % 4 == 0 { numbers.below(1000) } else { 0 });
        let kind = ["empty", "detailed", "empty", "peak"][usize::try_from(numbers.below(4)).unwrap()];
        let shown = if numbers.below(15) == 0 { number + 1 } else { number };
        writeln!(
            text,
            "#-----------\nsnapshot={shown}\n#-----------\ntime={time}\nmem_heap_B={heap}\nmem_heap_extra_B={extra}\n\
             mem_stacks_B={stacks}\nheap_tree={kind}"
        )
        .unwrap();
        if kind != "empty" {
            tree(&mut numbers, &mut text, 0, heap);
        }
    }
    text
}

#[test]
fn odd_files_are_printed_as_ms_print_prints_them() {
    if !need_tool("ms_print", "valgrind") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..60 {
        let path = directory.path().join(format!("odd.{seed}"));
        fs::write(&path, file(seed)).unwrap();
        let options: &[&str] = match seed % 4 {
            0 => &["--threshold=0"],
            1 => &["--threshold=33.335", "--x=37", "--y=11"],
            2 => &[],
            _ => &["--threshold=0.005%", "--x=1000", "--y=4"],
        };
        super::printed_alike(&path, options);
    }
}
