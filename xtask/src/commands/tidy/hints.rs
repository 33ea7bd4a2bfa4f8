//! Commands in messages: each is made by `drydock_base::hint`, and those of Drydock are accepted by its command line.

use std::path::Path;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::Breach;
use crate::cli::Cli;

/// The call that makes a command of Drydock.
const MADE: &str = "hint::drydock(&[";
/// What a kept text has for the call of Drydock.
const KEPT: &str = "`{drydock} ";

/// The breaches in a file with code. Tests may name any command.
pub(super) fn breaches(file: &Path, text: &str) -> Vec<Breach> {
    let is_test = file.file_name().is_some_and(|name| name == "tests.rs")
        || file.components().any(|part| ["tests", "benches"].iter().any(|name| part.as_os_str() == *name));
    // These make the commands.
    let makes = ["crates/base/src/hint.rs", "xtask/src/invocation.rs"].iter().any(|made| file == Path::new(made));
    if is_test || makes {
        return Vec::new();
    }
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let spelt = spelt();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if !line.starts_with("//") && spelt.iter().any(|phrase| line.contains(phrase.as_str())) {
            let rule = "a command in a message is made by `drydock_base::hint`, so that it can be pasted".into();
            found.push(Breach { line: number + 1, rule });
        }
    }
    for (start, end) in [(MADE, "]"), (KEPT, "`")] {
        for (at, _) in text.match_indices(start) {
            let Some(inner) = text[at + start.len()..].split(end).next() else { continue };
            let words = if start == MADE { listed(inner) } else { inner.split(' ').map(str::to_owned).collect() };
            let is_continued = text[at + start.len() + inner.len()..].starts_with("]).kept()");
            if let Some(why) = refused(&words, is_continued) {
                let rule = format!("`{}` is not accepted by the command line: {why}", words.join(" "));
                found.push(Breach { line: text[..at].matches('\n').count() + 1, rule });
            }
        }
    }
    found
}

/// What commands look like that were not made by `hint`.
fn spelt() -> Vec<String> {
    let mut spelt: Vec<String> =
        ["cargo xtask", "apt-get install", "`git fetch", "`git fsck", "`git submodule"].map(str::to_owned).to_vec();
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        spelt.push(format!("`{name} -"));
        spelt.extend(command.get_subcommands().map(|below| format!("`{name} {}", below.get_name())));
    }
    spelt
}

/// The words of a list in code; a value that is not written out becomes a number, which most arguments accept.
fn listed(inner: &str) -> Vec<String> {
    let words = inner.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
            Some(literal) => literal.to_owned(),
            None => "1".to_owned(),
        })
        .collect()
}

/// Why the command line does not accept the words. More words may follow where a text is continued.
fn refused(words: &[String], is_continued: bool) -> Option<String> {
    // `ci` takes any word for the selector of a job.
    if let [command, below, ..] = words {
        let known = Cli::command().find_subcommand(command).is_some_and(|found| found.find_subcommand(below).is_some());
        if command == "ci" && !below.starts_with('-') && !known {
            return Some(format!("`{below}` is not a command of `{command}`"));
        }
    }
    let error = Cli::command().try_get_matches_from(["drydock".to_owned()].iter().chain(words)).err()?;
    let is_short = is_continued && error.kind() == ErrorKind::MissingRequiredArgument;
    (!is_short).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<usize> {
        breaches(Path::new("crates/x/src/lib.rs"), text).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_command_that_is_spelt_out_is_found() {
        for text in [
            "err(\"run `cargo xtask ci`\")",
            "err(\"run `ci plan`\")",
            "err(\"run `ci --resume` again\")",
            "err(\"; apt-get install gcc\")",
        ] {
            assert_eq!(check(&format!("//! X.\n{text}\n")), [2], "{text}");
        }
        assert_eq!(check("//! `cargo xtask ci`\n/// `ci plan`\nlet x = \"ci plan\";\n"), [0usize; 0]);
        let in_tests = "//! X.\n\n#[cfg(test)]\nmod tests {\n    const X: &str = \"`ci plan`\";\n}\n";
        assert_eq!(check(in_tests), [0usize; 0]);
    }

    #[test]
    fn a_command_that_would_be_a_usage_error_is_found() {
        assert_eq!(check("//! X.\nhint::drydock(&[\"ci\", \"explain\", name.as_str()])\n"), [0usize; 0]);
        assert_eq!(check("//! X.\nhint::drydock(&[\"ci\", \"tune-memory\"])\n"), [2]);
        assert_eq!(check("//! X.\nhint::drydock(&[\"ci\", \"massif\", \"show\"]).kept()\n"), [0usize; 0]);
        assert_eq!(check("//! X.\nhint::drydock(&[\"ci\", \"explian\", \"x\"]).kept()\n"), [2]);
        assert_eq!(check("//! X.\nrule(\"build it with `{drydock} deb source`\")\n"), [0usize; 0]);
        assert_eq!(check("//! X.\nrule(\"build it with `{drydock} deb sources`\")\n"), [2]);
    }

    #[test]
    fn the_commands_of_this_workspace_are_seen() {
        let root = crate::workspace::root();
        let session = std::fs::read_to_string(root.join("crates/ci/src/report/commands.rs")).unwrap();
        assert!(session.matches(MADE).count() > 3, "the rule looks for another call than the code makes");
        let rules = std::fs::read_to_string(root.join("crates/deb/src/launchpad.rs")).unwrap();
        assert!(rules.contains(KEPT));
    }
}
