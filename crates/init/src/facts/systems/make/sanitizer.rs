//! Sanitizers that a Makefile always compiles with.

use crate::facts::Saw;
use crate::facts::make_rules::Makefile;

/// The variable that a line assigns to for all targets.
fn variable_of(line: &str) -> Option<&str> {
    let name = line.split_once('=')?.0.trim_end_matches([':', '+', '?', ' ']);
    (!name.is_empty() && !name.contains([':', '\t', ' ', '$'])).then_some(name)
}

/// Where a Makefile always compiles with a sanitizer that cannot run under valgrind.
pub(super) fn find(makefile: &Makefile) -> Option<Saw> {
    let is_sanitized = |line: &str| {
        let flags = line.split_once("-fsanitize=").and_then(|(_, rest)| rest.split_whitespace().next());
        flags.is_some_and(|list| list.split(',').any(|name| ["address", "thread", "memory", "leak"].contains(&name)))
    };
    makefile.texts.iter().find_map(|(path, text)| {
        let mut depth = 0_usize;
        text.lines().enumerate().find_map(|(number, line)| {
            let code = line.split('#').next().unwrap_or_default();
            match code.split_whitespace().next() {
                Some("ifdef" | "ifndef" | "ifeq" | "ifneq") => depth += 1,
                Some("endif") => depth = depth.saturating_sub(1),
                _ => {}
            }
            // `asan: CFLAGS += …` is for one target only.
            let is_flags = |line: &str| variable_of(line).is_some_and(|name| name.ends_with("FLAGS"));
            // `ASAN = …` counts where `CFLAGS = $(ASAN)` takes it.
            let is_taken = |name: &str| text.lines().any(|line| is_flags(line) && line.contains(&format!("$({name})")));
            let counts = variable_of(code).is_some_and(|name| is_flags(code) || is_taken(name));
            (depth == 0 && counts && is_sanitized(code)).then(|| Saw::line(path, number + 1, line))
        })
    })
}
