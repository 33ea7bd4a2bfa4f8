//! Scripts of steps as their shell reads them: `bash -n` for the syntax, and shellcheck for what is mostly a mistake.

use std::fs;

use anyhow::Context as _;

use super::rules::{self, Script};
use drydock_base::exec;
use drydock_base::text::one_line;
use drydock_config::diagnostic::Problem;
use drydock_config::yaml::Node;

/// The shell of the runner, and the program that looks for mistakes.
pub(super) const BASH: &str = "bash";
pub(super) const SHELLCHECK: &str = "shellcheck";
/// What shellcheck must not report: words that are to be split are named in the workflow (SC2086 tells of all others).
const SEVERITY: &str = "--severity=warning";

/// What is wrong in the scripts of a workflow or an action.
pub(super) fn problems(file: &Node) -> anyhow::Result<Vec<Problem>> {
    let scratch = tempfile::tempdir().context("cannot make a directory for scripts")?;
    let path = scratch.path().join("script");
    let mut problems = Vec::new();
    for Script { text, shell, place } in rules::scripts(file) {
        if !matches!(shell, None | Some("bash" | "sh")) {
            continue;
        }
        fs::write(&path, without_expressions(text)).context("cannot write a script")?;
        let mut read = |program: &str, options: &[&str]| -> anyhow::Result<bool> {
            if !exec::is_installed(program) {
                return Ok(true);
            }
            let words = options.iter().map(std::ffi::OsString::from).chain([path.clone().into_os_string()]);
            let done = duct::cmd(program, words).stdin_null().stderr_to_stdout().stdout_capture().unchecked().run();
            let done = done.with_context(|| format!("cannot run {program}"))?;
            if !done.status.success() {
                let said = String::from_utf8_lossy(&done.stdout).replace(&format!("{}:", path.display()), "");
                let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                let text = format!("the script is not one that {program} accepts: {}", one_line(first.trim(), 200));
                problems.push(
                    Problem::new(place, text)
                        .help("correct the script; better: one command of a program that is tested"),
                );
            }
            Ok(done.status.success())
        };
        if read(BASH, &["-n"])? {
            read(SHELLCHECK, &["--shell=bash", "--format=gcc", SEVERITY])?;
        }
    }
    Ok(problems)
}

/// A script whose expressions are words.
fn without_expressions(script: &str) -> String {
    let mut text = String::new();
    let mut rest = script;
    while let Some((before, after)) = rest.split_once("${{") {
        text.push_str(before);
        text.push_str("expression");
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    text + rest + "\n"
}
