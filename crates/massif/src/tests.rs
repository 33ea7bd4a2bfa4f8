//! What is made of files: peak, shape, who allocates, what changed, and the small file to check in.

use super::*;
use std::fmt::Write as _;

/// Snapshots of heap and tree; sizes of heap and the lines of the tree's nodes below the root.
fn file(options: &str, snapshots: &[(u64, &str)]) -> Profile {
    let mut text = format!("desc: {options}\ncmd: ./x\ntime_unit: i\n");
    for (number, (heap, tree)) in snapshots.iter().enumerate() {
        let kind = if tree.is_empty() { "empty" } else { "detailed" };
        writeln!(
            text,
            "#-----------\nsnapshot={number}\n#-----------\ntime={number}\nmem_heap_B={heap}\nmem_heap_extra_B=0\n\
             mem_stacks_B=0\nheap_tree={kind}"
        )
        .unwrap();
        if !tree.is_empty() {
            let children = tree.lines().filter(|line| line.starts_with(" n")).count();
            writeln!(
                text,
                "n{children}: {heap} (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n{tree}"
            )
            .unwrap();
        }
    }
    Profile::read(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

fn none() -> Wrappers {
    Wrappers::new([])
}

#[test]
fn the_peak_is_the_highest_snapshot_not_the_one_with_a_tree() {
    let profile = file("(none)", &[(0, ""), (4000, " n0: 4000 0x1: read_whole (sha256.c:90)"), (5000, ""), (10, "")]);
    assert_eq!((profile.peak().heap, profile.peak().number), (5000, 2));
    let summary = summary(&profile, &none(), 100, 10);
    assert_eq!((summary.sites_of, summary.shape), (4000, Shape::Spike));
    assert_eq!(summary.sites[0].line(), "read_whole (sha256.c:90): 3.9 KiB");
}

#[test]
fn the_shape_is_what_is_left_at_the_end() {
    for (end, shape) in
        [(0, Shape::Spike), (199, Shape::Spike), (200, Shape::Neither), (900, Shape::Neither), (901, Shape::Retention)]
    {
        assert_eq!(summary(&file("(none)", &[(1000, ""), (end, "")]), &none(), 9, 9).shape, shape, "{end}");
    }
    assert_eq!(summary(&file("(none)", &[(0, "")]), &none(), 9, 9).shape, Shape::Unknown);
}

const WRAPPED: &str = " n2: 700 0x1: xmalloc (util.c:3)\n  n1: 500 0x2: strdup (strdup.c:42)\n   n0: 500 0x3: name (a.c:7)\n  \
                       n0: 200 in 4 places, all below massif's threshold (1.00%)\n n0: 250 0x4: name (a.c:7)\n \
                       n1: 50 0x5: name (a.c:9)\n  n0: 50 0x6: main (a.c:20)";

#[test]
fn who_allocates_is_found_behind_the_wrappers() {
    let profile = file("(none)", &[(1000, WRAPPED)]);
    let lines = |wrappers: &[&str]| {
        let found = sites(&profile, &Wrappers::new(wrappers.iter().copied()), 10);
        found.iter().map(|site| format!("{} {}", site.bytes, site.place)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[]), ["700 xmalloc (util.c:3)", "250 name (a.c:7)", "50 name (a.c:9)"]);
    assert_eq!(
        lines(&["xmalloc"]),
        ["750 name (a.c:7)", "200 callers of xmalloc (util.c:3) below massif's threshold", "50 name (a.c:9)"]
    );
    assert_eq!(sites(&profile, &none(), 10)[2].callers, ["main (a.c:20)"]);
    // A wrapper of which no caller is known is the best that there is.
    let bare = file("(none)", &[(1000, " n0: 1000 0x1: xmalloc (util.c:3)")]);
    assert_eq!(sites(&bare, &Wrappers::new(["xmalloc"]), 10)[0].place, "xmalloc (util.c:3)");
}

#[test]
fn changes_are_reported_by_stack_whatever_lines_and_addresses() {
    let old =
        file("(none)", &[(1000, " n1: 600 0x1: f (a.c:7)\n  n0: 600 0x2: main (a.c:20)\n n0: 400 0x3: g (a.c:9)")]);
    let new = file(
        "--threshold=0",
        &[(
            1500,
            " n1: 1100 0x8: xmalloc (u.c:1)\n  n1: 1100 0x1: f (a.c:8)\n   n0: 1100 0x2: main (a.c:22)\n n0: 400 0x3: h (a.c:9)",
        )],
    );
    let found = diff(&old, &new, &Wrappers::new(["xmalloc"])).unwrap();
    assert_eq!((found.old, found.new), (1000, 1500));
    let lines: Vec<String> =
        found.stacks.iter().map(|c| format!("{:?} {} {} {}", c.kind, c.old, c.new, c.stack.join(" < "))).collect();
    assert_eq!(lines, ["Grew 600 1100 f (a.c:8) < main (a.c:22)", "Gone 400 0 g (a.c:9)", "New 0 400 h (a.c:9)"]);
    assert_eq!(found.grown_most().unwrap().brief, ["f (a.c:8)"]);
    assert_eq!(found.notes, ["the options differ: nothing before, --threshold=0 now"]);
    assert!(diff(&new, &new, &none()).unwrap().stacks.is_empty());
}

#[test]
fn pages_and_heap_are_not_compared() {
    let (pages, heap) = (file("--pages-as-heap=yes", &[(4096, "")]), file("(none)", &[(40, "")]));
    let why = diff(&pages, &heap, &none()).unwrap_err().to_string();
    assert!(why.contains("the old file measures whole pages"), "{why}");
    assert!(diff(&file("--heap=no", &[(0, "")]), &heap, &none()).is_err());
}

#[test]
fn a_baseline_says_the_same_as_the_file_it_is_made_of() {
    let options = "--massif-out-file=/tmp/x --threshold=0 --log-file=y";
    let profile = file(options, &[(0, ""), (1000, WRAPPED), (1001, ""), (5, "")]);
    let text = baseline(&profile);
    let small = Profile::read(text.as_bytes()).unwrap();
    assert_eq!(small.peak().measured(), 1001);
    assert_eq!(baseline(&small), text, "a baseline of a baseline is itself");
    let found = diff(&profile, &small, &Wrappers::new(["xmalloc"])).unwrap();
    assert!(found.stacks.is_empty() && found.notes.is_empty(), "{found:?}");
    assert!(text.starts_with("desc: --threshold=0\ncmd: ./x\ntime_unit: i\n") && !text.contains("/tmp/x"), "{text}");
    // Addresses and the order of equal ones do not show.
    let shuffled = "n0: 30 0x9: b (a.c:2)\n n0: 30 0x8: a (a.c:1)\n n0: 20 0x7: b (a.c:2)";
    let sorted = "n0: 50 0x2: b (a.c:2)\n n0: 30 0x1: a (a.c:1)";
    let of = |tree: &str| baseline(&file("(none)", &[(80, &format!(" {tree}"))]));
    assert_eq!(of(shuffled), of(sorted));
}

#[test]
fn a_long_life_is_thinned_without_losing_its_peak() {
    let snapshots: Vec<(u64, &str)> = (0..1000).map(|n| (if n == 617 { 5000 } else { n }, "")).collect();
    let profile = file("(none)", &snapshots);
    let summary = summary(&profile, &none(), KEPT_POINTS, KEPT_SITES);
    assert!(summary.points.len() <= KEPT_POINTS && summary.points.len() > KEPT_POINTS / 2);
    assert!(summary.points.iter().any(|point| point.heap == 5000));
    assert_eq!((summary.points[0].time, summary.points.last().unwrap().time), (0, 999));
    assert!(serde_json::to_string(&summary).unwrap().len() < 16 << 10);
}

#[test]
fn what_is_shown_fits_a_terminal() {
    let deep = format!(" n0: 400 0x1: {} (a.c:7)", "very_long_name::".repeat(20));
    let profile = file("(none)", &[(0, ""), (900, WRAPPED_FIRST), (1000, &deep), (100, "")]);
    let text = show::profile(&summary(&profile, &none(), 100, 10));
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(text.contains("a spike") && text.contains("1000 B ┤") && text.contains("▲ peak"), "{text}");
}

const WRAPPED_FIRST: &str = " n0: 900 0x1: f (a.c:7)";

#[test]
fn a_tree_that_is_too_large_leaves_the_one_before() {
    let count = (1 << 20) + 1;
    let mut text = String::from("desc: x\ncmd: x\ntime_unit: i\n");
    for (number, (heap, children)) in [(10, 1), (20, count), (5, 1)].into_iter().enumerate() {
        write!(
            text,
            "snapshot={number}\ntime={number}\nmem_heap_B={heap}\nmem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=detailed\n\
             n{children}: {heap} (heap)\n{}",
            "n0: 0 0x1: f (a.c:1)\n".repeat(children)
        )
        .unwrap();
    }
    let profile = Profile::read(text.as_bytes()).unwrap();
    assert_eq!((profile.peak().heap, profile.of_tree().unwrap().heap, profile.too_large), (20, 10, 1));
    let text = show::profile(&summary(&profile, &none(), 10, 10));
    assert!(text.contains("the trees of 1 higher snapshots are too large"), "{text}");
}
