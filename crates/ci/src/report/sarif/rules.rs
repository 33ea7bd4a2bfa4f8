//! The rules that findings break: the kinds of errors that valgrind's tools report.
//!
//! Sources: the valgrind manual, chapters 4.2 (memcheck), 7 (helgrind) and 8 (drd), and the XML protocol of its sources.

use serde_json::{Value, json};

/// Kinds of errors, with one sentence about each. Kinds that are not listed get valgrind's own word.
const KINDS: &[(&str, &str)] = &[
    ("BarrierErr", "Invalid use of a barrier"),
    ("BadSize", "Bad size argument of an allocation"),
    ("ClientCheck", "A check that the program asked for failed"),
    ("CondDestrErr", "A condition variable was destroyed while a thread waited for it"),
    ("CondErr", "Invalid use of a condition variable"),
    ("CondRaceErr", "A condition variable was signalled without holding its mutex"),
    ("CondWaitErr", "A condition variable was waited for with two mutexes"),
    ("CoreMemPool", "Invalid use of a memory pool"),
    ("Dubious", "Questionable use of the thread library"),
    ("FishyValue", "An argument is implausible, such as a negative size"),
    ("InvalidAlign", "Invalid alignment of an allocation"),
    ("InvalidFree", "A block was freed that is not allocated"),
    ("InvalidJump", "A jump to an invalid address"),
    ("InvalidMemPool", "A memory pool was used that does not exist"),
    ("InvalidRead", "Memory was read that is not allocated"),
    ("InvalidWrite", "Memory was written that is not allocated"),
    ("LockOrder", "Locks were taken in an order that can deadlock"),
    ("Leak_DefinitelyLost", "A block was lost: no pointer to it is left"),
    ("Leak_IndirectlyLost", "A block was lost: only lost blocks point to it"),
    ("Leak_PossiblyLost", "A block may be lost: only pointers into it are left"),
    ("Leak_StillReachable", "A block was not freed before the end"),
    ("MismatchedAllocateDeallocateAlignment", "Allocation and release have different alignments"),
    ("MismatchedAllocateDeallocateSize", "Allocation and release have different sizes"),
    ("MismatchedFree", "A block was freed by another family of functions than it was allocated by"),
    ("MutexErr", "Invalid use of a mutex"),
    ("Overlap", "Source and destination of a copy overlap"),
    ("PthAPIerror", "A function of the thread library failed"),
    ("Race", "Two threads access the same memory without synchronisation"),
    ("ReallocSizeZero", "A block was resized to zero"),
    ("RwlockErr", "Invalid use of a reader-writer lock"),
    ("SemaphoreErr", "Invalid use of a semaphore"),
    ("SyscallParam", "A system call was given uninitialised or invalid memory"),
    ("UninitCondition", "A jump depends on an uninitialised value"),
    ("UninitValue", "An uninitialised value was used"),
    ("UnlockBogus", "Something was unlocked that is not a lock"),
    ("UnlockForeign", "A lock was released by another thread than the one that holds it"),
    ("UnlockUnlocked", "A lock was released that nobody holds"),
];

/// The identifier of a rule, such as `memcheck/InvalidRead`.
pub(super) fn id(tool: &str, kind: &str) -> String {
    format!("{tool}/{kind}")
}

/// The level of findings of a kind.
pub(super) fn level(kind: &str) -> &'static str {
    match kind {
        "Leak_PossiblyLost" | "Leak_StillReachable" | "Dubious" => "warning",
        _ => "error",
    }
}

/// The description of a rule.
pub(super) fn rule(id: &str, tool: &str, kind: &str) -> Value {
    let known = KINDS.iter().find(|(name, _)| *name == kind);
    let text = known.map_or_else(|| format!("An error of the kind {kind}"), |(_, text)| (*text).to_owned());
    let chapter = match tool {
        "helgrind" => "hg-manual",
        "drd" => "drd-manual",
        _ => "mc-manual",
    };
    json!({
        "id": id,
        "name": kind.replace('_', ""),
        "shortDescription": {"text": text},
        "fullDescription": {"text": format!("{text}, as reported by valgrind's tool {tool}.")},
        "help": {
            "text": format!("See the manual of valgrind's tool {tool} about {kind}."),
            "markdown": format!("See the [manual of valgrind's tool {tool}](https://valgrind.org/docs/manual/{chapter}.html)."),
        },
        "helpUri": format!("https://valgrind.org/docs/manual/{chapter}.html"),
        "defaultConfiguration": {"level": level(kind)},
        "properties": {
            "tags": [tool, if matches!(tool, "helgrind" | "drd") { "concurrency" } else { "memory" }],
            "precision": "very-high",
            "problem.severity": level(kind),
        },
    })
}
