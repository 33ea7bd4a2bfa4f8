//! Files of other programs that people take for massif's, by how they begin, with what to do.

/// The beginning of a file, the name of what it is, and the remedy.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (
        b"\x1f\x8b",
        "compressed by gzip",
        "export it with `heaptrack_print -M OUT FILE` if heaptrack wrote it, or unpack it with gunzip",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed by zstd",
        "export it with `heaptrack_print -M OUT FILE` if heaptrack wrote it, or unpack it with unzstd",
    ),
    (b"v ", "heaptrack's own format", "export it with `heaptrack_print -M OUT FILE`"),
    (b"# callgrind format", "callgrind's format", "print it with `callgrind_annotate FILE`, or open it in kcachegrind"),
    (b"version: 1", "callgrind's format", "print it with `callgrind_annotate FILE`, or open it in kcachegrind"),
    (b"{\"dhatFileVersion\"", "dhat's format", "open it in valgrind's dh_view.html, or run the job with `tool: dhat`"),
    (b"heap profile:", "a heap profile of gperftools", "print it with `pprof --text PROGRAM FILE`"),
    (b"heap_v2/", "a heap profile of jemalloc", "print it with `jeprof --text PROGRAM FILE`"),
    (b"--------", "the output of ms_print", "give massif's own file, massif.out.PID"),
    (b"<?xml", "an XML file", "give massif's own file, massif.out.PID"),
    (b"==", "a log of valgrind", "give massif's own file, massif.out.PID"),
    (b"PERFILE2", "a recording of perf", "print it with `perf report -i FILE`"),
    (b"\x7fELF", "a program", "give massif's own file, massif.out.PID"),
];

/// The sentence about a file that begins like this; `None` if it is of no known kind.
pub(super) fn sentence(beginning: &[u8]) -> Option<String> {
    let (_, name, remedy) = FOREIGN.iter().find(|(start, ..)| beginning.starts_with(start))?;
    Some(format!("this is {name} and not massif output; {remedy}"))
}

/// The sentence about a file that has a line `events:` where massif has `time_unit:`.
pub(super) const CACHEGRIND: &str =
    "this is cachegrind's format and not massif output; print it with `cg_annotate FILE`";
