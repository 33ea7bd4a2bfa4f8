//! Files as massif writes them, cut ones, and wrong ones.

use super::*;

/// Notes down all calls.
#[derive(Default)]
struct Notes(Vec<String>);

impl Visitor for Notes {
    fn header(&mut self, header: Header) -> Result<(), Fault> {
        let (options, command) = (String::from_utf8_lossy(&header.options), String::from_utf8_lossy(&header.command));
        self.0.push(format!("{options:?} {command:?} {}", header.unit.name()));
        Ok(())
    }

    fn snapshot(&mut self, s: &Snapshot) -> Result<(), Fault> {
        self.0.push(format!("{}@{} {}+{}+{} {:?}", s.number, s.time, s.heap, s.extra, s.stacks, s.tree));
        Ok(())
    }

    fn node(&mut self, node: Node<'_>) -> Result<(), Fault> {
        let detail = String::from_utf8_lossy(node.detail);
        self.0.push(format!("{:1$}{2}:{3}{detail}", "", node.depth, node.children, node.bytes));
        Ok(())
    }

    fn complete(&mut self, _snapshot: &Snapshot) -> Result<(), Fault> {
        self.0.push(".".into());
        Ok(())
    }
}

const WHOLE: &str = "desc: --threshold=0\ncmd: ./x a=b\nsnapshot=9\ntime_unit: i\n#-----------\nsnapshot=0\n#-----------\n\
    time=0\nmem_heap_B=0\nmem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=empty\n#-----------\nsnapshot=1\n#-----------\n\
    time=9\nmem_heap_B=40\nmem_heap_extra_B=8\nmem_stacks_B=2\nheap_tree=peak\nn2: 40 (heap)\n n1: 30 0x1: f (a.c:1)\n  \
    n0: 30 0x2: main (a.c:2)\n n0: 10 in 2 places\n";

/// The text of a fault.
#[derive(Debug, PartialEq)]
struct Refused(String);

fn noted(text: &[u8]) -> (Result<Extent, Refused>, Vec<String>) {
    let mut notes = Notes::default();
    let extent = read(text, &mut notes).map_err(|fault| Refused(fault.to_string()));
    (extent, notes.0)
}

#[test]
fn a_whole_file_is_read_line_by_line() {
    let (extent, notes) = noted(WHOLE.as_bytes());
    assert_eq!(extent, Ok(Extent::Whole));
    assert_eq!(
        notes,
        [
            "\" --threshold=0\\n\" \" ./x a=b\\nsnapshot=9\" i",
            "0@0 0+0+0 Empty",
            ".",
            "1@9 40+8+2 Peak",
            "2:40 (heap)",
            " 1:30 0x1: f (a.c:1)",
            "  0:30 0x2: main (a.c:2)",
            " 0:10 in 2 places",
            ".",
        ]
    );
}

/// Cut after each byte: an error before the first snapshot is whole, from then on a shorter file.
#[test]
fn a_file_that_is_cut_anywhere_keeps_its_whole_snapshots() {
    let first = WHOLE.find("#-----------\nsnapshot=1").unwrap();
    // From here on the last line says what a node's line must say.
    let last = WHOLE.rfind("n0: 10").unwrap() + "n0: 1".len();
    for end in 0..WHOLE.len() {
        let (extent, notes) = noted(&WHOLE.as_bytes()[..end]);
        let whole = notes.iter().filter(|note| *note == ".").count();
        match extent {
            Err(Refused(why)) => assert!(end < first && whole == 0 && why.starts_with("line "), "{end}: {why}"),
            Ok(Extent::Whole) => assert_eq!((end, whole), (first, 1)),
            Ok(Extent::Cut { line, why }) => {
                assert!(line > 5 && !why.is_empty(), "{end}: {line}: {why}");
                assert_eq!(whole, if end < last { 1 } else { 2 }, "{end}");
            }
        }
    }
}

#[track_caller]
fn wrong(from: &str, to: &str, expected: &str) {
    assert!(WHOLE.contains(from), "{from}");
    let (extent, _) = noted(WHOLE.replacen(from, to, 1).as_bytes());
    assert_eq!(extent, Err(Refused(expected.to_owned())), "{to}");
}

#[test]
fn a_wrong_line_is_reported_with_its_number() {
    wrong("desc", "disc", "line 1: this is not massif output, which starts with `desc:` or `cmd:`");
    wrong("time_unit: i", "time_unit: h", "line 4: `h` is not a time unit; expected i, ms, B or s");
    wrong("time=0", "tim=0", "line 8: expected `time=` and a number, found `tim=0`");
    wrong("time=0", "time=0x", "line 8: expected `time=` and a number, found `time=0x`");
    wrong("time=0", "time=", "line 8: expected `time=` and a number, found `time=`");
    wrong(
        "time=0",
        "time=18446744073709551616",
        "line 8: expected `time=` and a number, found `time=18446744073709551616`",
    );
    wrong("time=0", "time=0\r", "line 8: expected `time=` and a number, found `time=0\\r`");
    wrong("time=9", "time=-9", "line 16: expected `time=` and a number, found `time=-9`");
    wrong(
        "heap_tree=empty",
        "heap_tree=full",
        "line 12: expected `heap_tree=` and `empty`, `detailed` or `peak`, found `heap_tree=full`",
    );
    wrong(
        "mem_heap_B=40",
        "mem_heap_B=18446744073709551615",
        "line 19: the sum of the sizes is more than any machine has",
    );
    wrong("n1: 30", "n1: 51", "line 22: a node of 51 bytes in a snapshot of 50");
    wrong(
        "n1: 30 0x1",
        "m1: 30 0x1",
        "line 22: expected a node of the tree, such as `n1: 4096 0x1234: main (file.c:7)`, found ` m1: 30 0x1: f (a.c:1)`",
    );
    wrong("n2: 40", "n1: 40", "line 24: expected `snapshot=` and a number, found ` n0: 10 in 2 places`");
    let (cut, _) = noted(WHOLE.replacen("n2: 40", "n3: 40", 1).as_bytes());
    assert_eq!(cut, Ok(Extent::Cut { line: 25, why: "within a tree".into() }));
}

#[test]
fn what_is_not_a_massif_file_is_refused() {
    for (text, expected) in [
        (&b""[..], "line 1: the file is empty, before a `time_unit:` line"),
        (b"desc: x\n", "line 2: the file ends here, before a `time_unit:` line"),
        (b"cmd: x\ntime_unit: i\n", "line 3: the file has no snapshots; was the program killed?"),
        (b"\0\0\0\0", "line 1: this is not massif output, which starts with `desc:` or `cmd:`"),
        (b"cmd: x\ntime_unit: i\nsnapshot=1\n", "line 4: the file ends here, before a `time=` line"),
    ] {
        assert_eq!(noted(text).0, Err(Refused(expected.to_owned())), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn what_would_grow_without_end_is_refused() {
    let start = WHOLE.split("n2: 40").next().unwrap();
    let deep: String = (0..=DEEPEST).map(|_| "n1: 40 x\n").collect();
    assert_eq!(
        noted(format!("{start}{deep}").as_bytes()).0,
        Err(Refused("line 533: the tree is deeper than 512 levels".into()))
    );
    let long = format!("desc: {}", "x".repeat(2 << 20));
    assert_eq!(
        noted(long.as_bytes()).0,
        Err(Refused("line 1: a line of more than 1048576 bytes is not massif's".into()))
    );
    let command = format!("cmd: x\n{}", "y\n".repeat(1 << 20));
    assert!(noted(command.as_bytes()).0.unwrap_err().0.ends_with("are longer than 1048576 bytes"));
    // Children are counted down, not allocated.
    let many = format!("{start}n18446744073709551615: 40 x\n");
    assert!(matches!(noted(many.as_bytes()).0, Ok(Extent::Cut { .. })));
}

#[test]
fn options_with_line_ends_are_kept_together() {
    let text = WHOLE.replacen("--threshold=0", "--ignore-fn=a\nb", 1);
    assert_eq!(noted(text.as_bytes()).1[0], "\" --ignore-fn=a\\nb\\n\" \" ./x a=b\\nsnapshot=9\" i");
}

/// As heaptrack 1.4 writes it: the header last, times in seconds, nodes that are counted and not written.
const EXPORT: &str = "#-----------\nsnapshot=0\n#-----------\ntime=0.012\nmem_heap_B=40\nmem_heap_extra_B=0\n\
    mem_stacks_B=0\nheap_tree=detailed\nn3: 40 (heap)\n n1: 30 0x1: f (a.c:1)\n  n0: 30 0x2: main (a.c:2)\n n0: 10 in 2 \
    places\n#-----------\nsnapshot=1\n#-----------\ntime=1.5e+02\nmem_heap_B=0\nmem_heap_extra_B=0\nmem_stacks_B=0\n\
    heap_tree=detailed\nn2: 0 (heap)\ndesc: heaptrack\ncmd: ./x\ny\ntime_unit: s\n";

#[test]
fn what_heaptrack_exports_is_read_in_its_order() {
    let (extent, notes) = noted(EXPORT.as_bytes());
    assert_eq!(extent, Ok(Extent::Whole));
    let expected = [
        "0@12 40+0+0 Detailed",
        "2:40 (heap)",
        " 1:30 0x1: f (a.c:1)",
        "  0:30 0x2: main (a.c:2)",
        " 0:10 in 2 places",
        ".",
        "1@150000 0+0+0 Detailed",
        "0:0 (heap)",
        ".",
        "\" heaptrack\\n\" \" ./x\\ny\" ms",
    ];
    assert_eq!(notes, expected);
    let (rest, header) = EXPORT.split_at(EXPORT.find("desc:").unwrap());
    let (first, notes) = noted(format!("{header}{rest}").as_bytes());
    assert_eq!(first, Ok(Extent::Whole));
    assert_eq!((&notes[0], &notes[1..]), (&expected[9].to_owned(), &expected.map(str::to_owned)[..9]));
    // Between the snapshots.
    let middle = EXPORT.find("#-----------\nsnapshot=1").unwrap();
    let (before, after) = rest.split_at(middle);
    assert_eq!(noted(format!("{before}{header}{after}").as_bytes()), noted(EXPORT.as_bytes()));
}

#[test]
fn an_export_that_is_cut_or_wrong_is_not_whole() {
    let (cut, notes) = noted(EXPORT.split("desc:").next().unwrap().as_bytes());
    assert_eq!(cut, Ok(Extent::Cut { line: 23, why: "before a `time_unit:` line".into() }));
    assert_eq!(notes.len(), 10);
    let wrong = |from: &str, to: &str, expected: &str| {
        assert_eq!(noted(EXPORT.replacen(from, to, 1).as_bytes()).0, Err(Refused(expected.to_owned())));
    };
    wrong("time_unit: s", "time_unit: i", "line 25: `i` is not the time unit of heaptrack's files; expected s");
    wrong("time=0.012", "time=-1", "line 4: expected `time=` and a number, found `time=-1`");
    wrong("time=0.012", "time=nan", "line 4: expected `time=` and a number, found `time=nan`");
    wrong("  n0: 30", "   n0: 30", "line 11: a node at depth 3, where none above 2 can be");
    wrong("n3: 40", "n3: 41", "line 9: a node of 41 bytes in a snapshot of 40");
}

#[test]
fn files_of_other_programs_are_named_with_what_to_do() {
    for (text, expected) in [
        (
            &b"\x1f\x8b\x08\0"[..],
            "line 1: this is compressed by gzip and not massif output; export it with `heaptrack_print",
        ),
        (
            b"\x28\xb5\x2f\xfd\0",
            "line 1: this is compressed by zstd and not massif output; export it with `heaptrack_print",
        ),
        (b"v 10400 3\n", "line 1: this is heaptrack's own format"),
        (b"# callgrind format\nversion: 1\n", "line 1: this is callgrind's format"),
        (b"desc: I1 cache: x\ncmd: ./x\nevents: Ir\nfl=a.c\n", "line 5: this is cachegrind's format"),
        (b"{\"dhatFileVersion\":2\n", "line 1: this is dhat's format"),
        (b"heap profile: 1: 2 [ 3: 4] @ heapprofile\n", "line 1: this is a heap profile of gperftools"),
        (b"heap_v2/524288\n", "line 1: this is a heap profile of jemalloc"),
        (b"___ Begin jemalloc statistics ___\n", "line 1: this is a report of jemalloc"),
        (b"memray\0\x0b\0", "line 1: this is a recording of memray"),
        (b"= Start\n", "line 1: this is the trace of mtrace"),
        (b"<malloc version=\"1\">\n", "line 1: this is the output of malloc_info"),
        (b"\xfd7zXZ\0\0", "line 1: this is compressed by xz"),
        // As bytehound 0.11 begins a file.
        (
            b"\x01\x23\x10\0\0\xf2\x0f\0\0\0\0\x44\x22\x11\x99\x77\x55\x3a\x1f\x55",
            "line 1: this is a recording of bytehound",
        ),
        (b"--------------------\n", "line 1: this is the output of ms_print"),
        (b"<?xml version=\"1.0\"?>\n", "line 1: this is an XML file"),
    ] {
        let refused = noted(text).0.unwrap_err().0;
        assert!(refused.starts_with(expected), "{refused}");
    }
}

proptest::proptest! {
    #[test]
    fn no_export_panics(at in 0..EXPORT.len(), bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
        let mut broken = EXPORT.as_bytes().to_vec();
        broken.splice(at..at, bytes);
        noted(&broken).0.ok();
        noted(&EXPORT.as_bytes()[..at]).0.ok();
    }
}
