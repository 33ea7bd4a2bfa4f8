//! docs/first-hour.md, done as a reader does it: every command is run in order, and prints what the page shows.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{need_tools, text, xtask_binary};

/// What a page tells its reader to do.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    /// To call a command.
    Call { line: usize, command: String, exit: i32, prints: Vec<String> },
    /// To write a file.
    Write { path: String, contents: String },
}

/// The comment behind a command that is meant to fail.
const EXIT: &str = "# exits with ";

/// The acts of a page: blocks of `console`, with `$` before commands and their output below, and declarations.
fn acts(page: &str) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let block: Vec<(usize, &str)> = match line {
            "```console" | "```yaml" => lines.by_ref().take_while(|(_, line)| *line != "```").collect(),
            _ => continue,
        };
        if line == "```yaml" {
            let (_, name) = block[0];
            let contents = block.iter().map(|(_, line)| format!("{line}\n")).collect();
            acts.push(Act::Write { path: name.trim_start_matches("# ").to_owned(), contents });
            continue;
        }
        for (index, line) in block {
            match (line.strip_prefix("$ "), acts.last_mut()) {
                (Some(command), _) => {
                    let (command, exit) = command.split_once(EXIT).unwrap_or((command, "0"));
                    let (command, exit) = (command.trim_end().to_owned(), exit.parse().unwrap());
                    acts.push(Act::Call { line: index + 1, command, exit, prints: Vec::new() });
                }
                (None, Some(Act::Call { prints, .. })) => prints.push(line.to_owned()),
                (None, _) => panic!("line {}: a block begins with a command", index + 1),
            }
        }
    }
    acts
}

/// Whether a text fits a line in which `…` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let parts: Vec<&str> = pattern.split('…').collect();
    for (index, part) in parts.iter().enumerate() {
        let found = match index {
            0 => rest.starts_with(part).then_some(0),
            last if last == parts.len() - 1 => rest.ends_with(part).then(|| rest.len() - part.len()),
            _ => rest.find(part),
        };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    parts.len() > 1 || rest.is_empty()
}

/// The first line of a page that the output does not have in this order; a line `…` stands for any number of lines.
fn missing<'a>(prints: &'a [String], output: &str) -> Option<&'a str> {
    let lines: Vec<&str> = output.lines().map(str::trim_end).collect();
    let (mut at, mut may_skip) = (0, false);
    for pattern in prints {
        if pattern == "…" {
            may_skip = true;
            continue;
        }
        let found = lines.get(at..)?.iter().position(|line| fits(pattern, line));
        match found {
            Some(0) => at += 1,
            Some(skipped) if may_skip => at += skipped + 1,
            Some(_) | None => return Some(pattern),
        }
        may_skip = false;
    }
    (at < lines.len() && !may_skip && !prints.is_empty()).then_some("(the end of the output)")
}

#[test]
fn output_is_compared_as_it_is_shown() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (shown, printed, expected) in [
        ("a\nb", "a\nb\n", None),
        ("a\n…\nc", "a\nb\nb\nc\n", None),
        ("a\n…\nc", "a\nc\n", None),
        ("x … z", "x y z\n", None),
        ("…", "anything\n", None),
        ("", "anything\n", None),
        ("a\nc", "a\nb\nc\n", Some("c")),
        ("c\n…\na", "a\nc\n", Some("c")),
        ("a", "a\nb\n", Some("(the end of the output)")),
        ("x … z", "x y\n", Some("x … z")),
        ("a\n…\nd", "a\nb\n", Some("d")),
    ] {
        assert_eq!(missing(&lines(shown), printed), expected, "{shown:?} {printed:?}");
    }
    let page = "```console\n$ false  # exits with 1\nno\n```\n```yaml\n# a/b.yaml\nx: 1\n```\n";
    let call = Act::Call { line: 2, command: "false".into(), exit: 1, prints: vec!["no".into()] };
    let write = Act::Write { path: "a/b.yaml".into(), contents: "# a/b.yaml\nx: 1\n".into() };
    assert_eq!(acts(page), [call, write]);
}

#[test]
fn the_first_hour_goes_as_it_is_written() {
    let tools =
        [("git", "git"), ("gcc", "gcc"), ("make", "make"), ("valgrind", "valgrind"), ("ssh-keygen", "openssh-client")];
    if !need_tools(&tools) {
        return;
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(own.join("docs/first-hour.md")).unwrap();
    let acts = acts(&page);
    let count = acts.iter().filter(|act| matches!(act, Act::Call { .. })).count();
    assert!(count >= 20, "only {count} commands");

    // The home, with a clone of Drydock as far as the page uses it. What is printed to the terminal is one text.
    let home = tempfile::Builder::new().prefix("drydock-").tempdir().unwrap();
    let at = |path: &str| home.path().join(path);
    fs::create_dir_all(at("drydock")).unwrap();
    fs::create_dir_all(at("bin")).unwrap();
    symlink(own.join("examples"), at("drydock/examples")).unwrap();
    symlink(xtask_binary(), at("bin/drydock")).unwrap();
    let mut script = String::from("cd drydock\n");
    for (index, act) in acts.iter().enumerate() {
        match act {
            Act::Call { command, .. } => {
                // In the same shell, so that `cd` lasts; not a subshell.
                writeln!(
                    script,
                    "{{ {command}\n}} >\"$HOME/out.{index}\" 2>&1 </dev/null\necho $? >\"$HOME/exit.{index}\""
                )
                .unwrap();
            }
            Act::Write { path, contents } => writeln!(script, "cat >{path} <<'END'\n{contents}END").unwrap(),
        }
    }
    let path = format!("{}:{}", text(&at("bin")), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["--norc", "-c", &script]).current_dir(home.path()).env_clear();
    shell.env("HOME", home.path()).env("PATH", path).env("LC_ALL", "C.UTF-8");
    assert!(shell.status().unwrap().success());

    let mut problems = Vec::new();
    for (index, act) in acts.iter().enumerate() {
        let Act::Call { line, command, exit, prints } = act else { continue };
        let output = fs::read_to_string(at(&format!("out.{index}"))).unwrap();
        let ended = fs::read_to_string(at(&format!("exit.{index}"))).unwrap();
        let place = format!("docs/first-hour.md:{line}: `{command}`");
        if ended.trim() != exit.to_string() {
            problems.push(format!("{place} exits with {}, not with {exit}; it printed:\n{output}", ended.trim()));
        } else if let Some(missing) = missing(prints, &output) {
            problems.push(format!("{place} does not print `{missing}` where the page shows it, but:\n{output}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
