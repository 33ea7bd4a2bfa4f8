//! Files of other programs that people take for massif's, by how they begin, with what to do.

/// The beginning of a file, the name of what it is, and the remedy.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (
        b"\x1f\x8b",
        "compressed by gzip",
        "export it with `heaptrack_print -M OUT FILE` if heaptrack wrote it, print it with `pprof --text PROGRAM FILE` if it is a \
         profile for pprof, or unpack it with gunzip",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed by zstd",
        "export it with `heaptrack_print -M OUT FILE` if heaptrack wrote it, or unpack it with unzstd",
    ),
    (b"\xfd7zXZ", "compressed by xz", "unpack it with unxz"),
    (b"BZh", "compressed by bzip2", "unpack it with bunzip2"),
    (b"v ", "heaptrack's own format", "export it with `heaptrack_print -M OUT FILE`"),
    (b"# callgrind format", "callgrind's format", "print it with `callgrind_annotate FILE`, or open it in kcachegrind"),
    (b"version: 1", "callgrind's format", "print it with `callgrind_annotate FILE`, or open it in kcachegrind"),
    (b"{\"dhatFileVersion\"", "dhat's format", "open it in valgrind's dh_view.html, or run the job with `tool: dhat`"),
    (b"heap profile:", "a heap profile of gperftools", "print it with `pprof --text PROGRAM FILE`"),
    (b"heap_v2/", "a heap profile of jemalloc", "print it with `jeprof --text PROGRAM FILE`"),
    (b"___ Begin jemalloc statistics", "a report of jemalloc", "read it as it is: it has totals and no stacks"),
    (b"memray", "a recording of memray", "print it with `memray summary FILE`"),
    (b"= Start", "the trace of mtrace", "print it with `mtrace PROGRAM FILE`"),
    (b"<malloc", "the output of malloc_info", "read it as it is: it has totals and no stacks"),
    (b"--------", "the output of ms_print", "give massif's own file, massif.out.PID"),
    (b"<?xml", "an XML file", "give massif's own file, massif.out.PID"),
    (b"==", "a log of valgrind", "give massif's own file, massif.out.PID"),
    (b"PERFILE2", "a recording of perf", "print it with `perf report -i FILE`"),
    (b"\x7fELF", "a program", "give massif's own file, massif.out.PID"),
];

/// The sentence about a file that begins like this; `None` if it is of no known kind.
pub(super) fn sentence(beginning: &[u8]) -> Option<String> {
    let (name, remedy) = match FOREIGN.iter().find(|(start, ..)| beginning.starts_with(start)) {
        Some((_, name, remedy)) => (*name, *remedy),
        None if is_bytehound(beginning) => BYTEHOUND,
        None => return None,
    };
    Some(format!("this is {name} and not massif output; {remedy}"))
}

/// A recording of bytehound, and the remedy.
const BYTEHOUND: (&str, &str) = (
    "a recording of bytehound",
    "look at it with `bytehound server FILE`, or export it with `bytehound export-heaptrack`",
);

/// Bytehound's format has no signature. A file begins with a block of LZ4: its kind, 1; its length in four bytes, of which the
/// highest is 0, since a block has at most half a mebibyte; and literals, since nothing can repeat yet: a zero as number of
/// the first event, and an identifier. (bytehound: `common/src/lz4_stream.rs`, `event.rs`.)
fn is_bytehound(beginning: &[u8]) -> bool {
    matches!(beginning, [1, _, _, _, 0, 0xf0..=0xff, _, 0, 0, 0, 0, ..])
}

/// The sentence about a file that has a line `events:` where massif has `time_unit:`.
pub(super) const CACHEGRIND: &str =
    "this is cachegrind's format and not massif output; print it with `cg_annotate FILE`";
