//! What the words in a log tell: the cause of a failure, and support for verdicts.

use std::path::Path;

use drydock_base::text::{self, printable};

/// Quoted lines are cut to this length.
const LONGEST_QUOTE: usize = 200;
/// Words that support a verdict about memory.
const HINTS: [&str; 7] = [
    "Killed",
    "Error 137",
    "returncode -9",
    "exit code -9",
    "signal: 9",
    "node down: Not properly terminated",
    "status 137",
];

/// Words of lines that report a failure, in lower case.
const TELLING: [&str; 7] = ["fail", "assert", "error", "panic", "abort", "mismatch", "fatal"];

/// Lines in which a build tool reports only that something before failed: the beginning, and a word.
const LAST_WORDS: [(&str, &str); 9] = [
    ("make", "***"),
    ("gmake", "***"),
    ("ninja: ", "build stopped"),
    ("collect2: ", "error: ld returned"),
    ("clang", "linker command failed"),
    ("error: ", "test failed, to rerun"),
    ("error: ", "could not compile"),
    ("error: ", "aborting due to"),
    ("-- Configuring incomplete", ""),
];

/// Words of lines that report the cause of a failed build.
const CAUSES: [&str; 9] = [
    ": command not found",
    ": not found",
    ": error:",
    "fatal error:",
    "undefined reference",
    "No such file or directory",
    "panicked at",
    "CMake Error",
    "error[E",
];

/// The beginning of a traceback of Python, whose last line has the error and is the first that is not indented.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// Words of lines that report a failed allocation, in lower case.
const ALLOCATION: [&str; 10] = [
    "cannot allocate memory",
    "out of memory",
    "memory exhausted",
    "bad_alloc",
    "memory allocation of",
    "enomem",
    "failed to allocate",
    "allocation failed",
    "memoryerror",
    "mmap failed",
];

/// Words of lines that report a full disk, in lower case.
const FULL: [&str; 4] = ["no space left on device", "enospc", "disk quota exceeded", "disk full"];

/// The evidence in the end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Lines about kills.
    pub kills: Vec<String>,
    /// Lines about failed allocations.
    pub allocations: Vec<String>,
    /// `true` if a line reports a full disk.
    pub disk_full: bool,
    /// The most informative line: the last that mentions a failure, or the first cause before the last words of a build tool;
    /// else the last one.
    pub words: Option<String>,
}

/// Looks for supporting lines in the end of a log.
pub fn hints(path: &Path) -> Hints {
    let mut hints = Hints::default();
    let Ok(text) = text::end_of_file(path) else { return hints };
    let text = text::without_escapes(&text);
    let lines: Vec<&str> = text.lines().collect();
    hints.words = telling(&lines).map(|at| printable(lines[at].trim(), LONGEST_QUOTE));
    for line in lines.into_iter().filter(|line| !line.trim().is_empty()) {
        if hints.kills.len() < 5 && HINTS.iter().any(|hint| line.contains(hint)) {
            hints.kills.push(printable(line, LONGEST_QUOTE));
        }
        let lower = line.to_ascii_lowercase();
        hints.disk_full |= FULL.iter().any(|word| lower.contains(word));
        if hints.allocations.len() < 5 && ALLOCATION.iter().any(|word| lower.contains(word)) {
            hints.allocations.push(printable(line, LONGEST_QUOTE));
        }
    }
    hints
}

/// The position of the most informative line.
fn telling(lines: &[&str]) -> Option<usize> {
    let tells = |line: &&str| TELLING.iter().any(|word| line.to_ascii_lowercase().contains(word));
    let is_last_word = |line: &str| {
        LAST_WORDS.iter().any(|(beginning, word)| line.trim().starts_with(beginning) && line.contains(word))
    };
    let last = lines.iter().rposition(tells).or_else(|| lines.iter().rposition(|line| is_last_word(line)));
    match last {
        Some(last) if is_last_word(lines[last]) => Some(cause(&lines[..last]).unwrap_or(last)),
        Some(last) => Some(last),
        None => lines.iter().rposition(|line| !line.trim().is_empty()),
    }
}

/// The position of the first line that looks like the cause of a failed build.
fn cause(lines: &[&str]) -> Option<usize> {
    let is_cause = |line: &&str| CAUSES.iter().any(|word| line.contains(word)) && !line.contains("***");
    let named = lines.iter().position(is_cause);
    let trace = lines.iter().position(|line| line.trim() == TRACEBACK);
    let error = trace.and_then(|at| Some(at + 1 + lines[at + 1..].iter().position(|line| !line.starts_with(' '))?));
    // A traceback quotes lines of the program, which may look like a cause.
    match (named, error, trace) {
        (Some(named), Some(error), Some(trace)) if named > trace => Some(error),
        (Some(named), _, _) => Some(named),
        (None, error, _) => error,
    }
}

/// The number of lines that are shown from the cause on where the end of a log does not have it.
const FROM_CAUSE: usize = 3;

/// At most `most` lines of a log, made printable: its end, and before that the lines of the cause if they are further up.
pub fn excerpt(path: &Path, most: usize) -> Vec<String> {
    let Ok(text) = text::end_of_file(path) else { return Vec::new() };
    let text = text::without_escapes(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(most);
    let shown = |lines: &[&str]| lines.iter().map(|line| text::line_end(line)).collect::<Vec<_>>();
    match telling(&lines) {
        Some(at) if at < from && most > 2 * FROM_CAUSE => {
            let end = lines.len() - (most - FROM_CAUSE - 1);
            let mut excerpt = shown(&lines[at..at + FROM_CAUSE]);
            excerpt.push("…".to_owned());
            excerpt.extend(shown(&lines[end..]));
            excerpt
        }
        Some(_) | None => shown(&lines[from..]),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_cause_is_preferred_to_the_last_words_of_a_build_tool() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let told = |text: &str| {
            fs::write(&path, text).unwrap();
            hints(&path).words.unwrap()
        };
        let made = "make[2]: *** [Makefile:523: lexer.c] Error 127\nmake[1]: *** [Makefile:9: all] Error 2\n";
        for (log, expected) in [
            ("CC a.o\n/bin/sh: 1: flex: not found\n", "/bin/sh: 1: flex: not found"),
            ("bash: line 1: flex: command not found\nCC b.o\n", "bash: line 1: flex: command not found"),
            ("a.c:1:2: \x1b[31merror:\x1b[m bad\nb.c:1:2: error: worse\n", "a.c:1:2: error: bad"),
            (
                "a.o: undefined reference to `f'\ncollect2: error: ld returned 1 exit status\n",
                "a.o: undefined reference to `f'",
            ),
            (
                "Traceback (most recent call last):\n  File \"x\"\n    f(\"No such file or directory\")\nKeyError: 'x'\n",
                "KeyError: 'x'",
            ),
            ("all is well\n", "make[1]: *** [Makefile:9: all] Error 2"),
        ] {
            assert_eq!(told(&format!("{log}{made}")), expected);
        }
        // What a test says last is the cause itself, whatever it said before.
        assert_eq!(told("x: error: expected\ntest.c:4: assertion failed\n"), "test.c:4: assertion failed");
        let panicked =
            "thread 'x' panicked at src/a.rs:1:2:\nboom\ntest result: ok\nerror: test failed, to rerun pass `--lib`\n";
        assert_eq!(told(panicked), "thread 'x' panicked at src/a.rs:1:2:");
    }

    #[test]
    fn an_excerpt_has_the_cause_and_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let fill = |count: usize| (0..count).map(|number| format!("CC {number}.o\n")).collect::<String>();
        let excerpt = |above: usize, below: usize| {
            fs::write(&path, format!("{}sh: flex: not found\n{}make: *** [all] Error 2\n", fill(above), fill(below)))
                .unwrap();
            super::excerpt(&path, 10)
        };
        let far = excerpt(50, 50);
        assert_eq!((far.len(), far[0].as_str(), far[3].as_str()), (10, "sh: flex: not found", "…"));
        assert_eq!(far[9], "make: *** [all] Error 2");
        for (above, below) in [(0, 0), (50, 0), (50, 5), (50, 8), (50, 9), (50, 10), (50, 12), (0, 30)] {
            let lines = excerpt(above, below);
            assert!(lines.len() <= 10 && lines.contains(&"sh: flex: not found".to_owned()), "{below}: {lines:?}");
            assert_eq!(lines.last().unwrap(), "make: *** [all] Error 2", "{below}");
        }
    }

    #[test]
    fn hints_are_found_at_the_end_and_made_printable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "\x1b[31mmake: *** [x] Error 137\nmalloc: Cannot allocate memory\nfine\n").unwrap();
        let found = hints(&path);
        assert_eq!(found.kills, ["make: *** [x] Error 137"]);
        assert_eq!(found.allocations, ["malloc: Cannot allocate memory"]);
        assert_eq!(found.words.as_deref(), Some("make: *** [x] Error 137"));
        assert_eq!(text::tail(&path, 1).unwrap(), ["fine"]);
        fs::write(&path, format!("{}end\n", "x".repeat(5000))).unwrap();
        let line = text::tail(&path, 1).unwrap().remove(0);
        assert!(line.starts_with('…') && line.ends_with("xend") && line.chars().count() < 210, "{line}");
    }
}
