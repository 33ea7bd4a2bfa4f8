//! What a project has for valgrind already: suppressions, options, and ways of its own to start it.

use super::Saw;
use crate::tree::Tree;

/// Options of a project that change what memcheck sees, and that Drydock leaves to it.
const KEPT: [&str; 12] = [
    "--track-origins=",
    "--num-callers=",
    "--fair-sched=",
    "--max-stackframe=",
    "--main-stacksize=",
    "--partial-loads-ok=",
    "--errors-for-leak-kinds=",
    "--undef-value-errors=",
    "--expensive-definedness-checks=",
    "--soname-synonyms=",
    "--max-threads=",
    "--keep-debuginfo=",
];

/// Suppressions, options, switches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValgrindFacts {
    /// Files with suppressions for memcheck.
    pub suppressions: Vec<String>,
    /// Files that look like suppressions, but of something else, with the reason.
    pub other_suppressions: Vec<String>,
    /// Options that the project gives valgrind, each with its place.
    pub options: Vec<(String, Saw)>,
    /// Where the variable `VALGRIND` switches valgrind on in a suite.
    pub switch: Option<Saw>,
    /// Where something is preloaded into programs of tests, which would not be checked in programs that run without valgrind.
    pub preload: Option<Saw>,
}

/// The most files that are searched for a preloaded library.
const MOST_FILES: usize = 3000;

/// Looks at suppressions, and at all lines that start valgrind in the files of build systems, scripts and workflows.
pub(super) fn find(tree: &Tree) -> ValgrindFacts {
    let mut facts = ValgrindFacts::default();
    for path in tree.with_extension(&[".supp", ".suppressions", ".valgrind", "suppressions.txt"]) {
        let Some(text) = tree.text(path) else { continue };
        let memcheck = text.lines().any(|line| {
            let line = line.trim();
            line.split_once(':')
                .is_some_and(|(tools, _)| tools.split(',').any(|tool| tool.eq_ignore_ascii_case("memcheck")))
        });
        let is_list = text.lines().any(|line| line.trim() == "{");
        let lower = path.to_ascii_lowercase();
        let other = ["darwin", "macos", "osx", "freebsd", "solaris"].into_iter().find(|other| lower.contains(other));
        if let (true, Some(other)) = (memcheck && is_list, other) {
            facts.other_suppressions.push(format!("{path} is for another system, {other}"));
        } else if memcheck && is_list {
            facts.suppressions.push(path.to_owned());
        } else {
            let what = if is_list {
                "another tool than memcheck"
            } else {
                "something else than valgrind, such as a sanitizer"
            };
            facts.other_suppressions.push(format!("{path} is for {what}"));
        }
    }
    let scripts = [
        ".sh",
        ".mk",
        ".yml",
        ".yaml",
        ".cmake",
        ".py",
        "Makefile",
        "Makefile.am",
        "CMakeLists.txt",
        "meson.build",
        "configure.ac",
    ];
    for path in tree.with_extension(&scripts) {
        let Some(text) = tree.text(path) else { continue };
        if !text.to_ascii_lowercase().contains("valgrind") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.contains("valgrind") || line.contains("VALGRIND") || line.contains("memcheck") {
                facts.options(path, number + 1, line);
            }
            if facts.switch.is_none() && switches(line) {
                facts.switch = Some(Saw::line(path, number + 1, line));
            }
        }
    }
    facts
}

/// Where a library is preloaded into programs.
pub(super) fn preload(tree: &Tree) -> Option<Saw> {
    let kinds = [
        ".sh", ".mk", ".am", ".in", ".py", ".c", ".cc", ".cpp", ".pl", ".t", ".test", ".exp", ".bats", "Makefile",
        ".txt",
    ];
    tree.with_extension(&kinds).take(MOST_FILES).find_map(|path| {
        let text = tree.text(path)?;
        let (number, line) = text.lines().enumerate().find(|(_, line)| line.contains("LD_PRELOAD"))?;
        Some(Saw::line(path, number + 1, line))
    })
}

/// True if the line sets or tests a variable `VALGRIND` that is a switch, and not a command.
pub(super) fn switches(line: &str) -> bool {
    let squeezed: String = line.chars().filter(|letter| !letter.is_whitespace() && !"'\"".contains(*letter)).collect();
    [
        "VALGRIND=1",
        "VALGRIND:1",
        "VALGRIND:=1",
        "$VALGRIND-eq1",
        "$VALGRIND==1",
        "environ.get(VALGRIND",
        "getenv(VALGRIND",
        "env(VALGRIND,",
        "env(VALGRIND)",
    ]
    .iter()
    .any(|form| squeezed.contains(form) && !squeezed.contains(&format!("_{form}")))
}

impl ValgrindFacts {
    fn options(&mut self, path: &str, number: usize, line: &str) {
        for word in line.split(|letter: char| letter.is_whitespace() || "'\",;()[]".contains(letter)) {
            let is_kept = KEPT.iter().any(|option| word.starts_with(option) && word.len() > option.len());
            let name = word.split('=').next().unwrap_or_default();
            let is_new = !self.options.iter().any(|(known, _)| known.split('=').next() == Some(name));
            let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-=,.".contains(&byte));
            if is_kept && is_new && is_plain {
                self.options.push((word.to_owned(), Saw::line(path, number, line)));
            }
        }
    }
}
