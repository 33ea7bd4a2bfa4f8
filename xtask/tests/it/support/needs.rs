//! What a test needs of the machine, and what is skipped.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use super::xtask_binary;

/// Whether all tools, each with its Debian package, are on the `PATH`, as [`need_tool`] does.
#[must_use]
pub(crate) fn need_tools(tools: &[(&str, &str)]) -> bool {
    tools.iter().all(|(tool, package)| need_tool(tool, package))
}

/// Whether the tool is on the `PATH`. If not, the test skips itself on a laptop and fails in CI.
#[must_use]
pub(crate) fn need_tool(tool: &str, package: &str) -> bool {
    // Otherwise, only a machine without it would show that `doctor` does not install it.
    assert!(is_in_table(tool, package), "{tool} ({package}) is not in the table of xtask/src/tools.rs for `check`");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(tool).is_file());
    need(found, &format!("{tool} is missing: apt-get install {package}"))
}

/// Packages that every Debian has, and Rust, with which the tests are built.
const EVERYWHERE: [&str; 9] = ["apt", "bash", "bsdutils", "cargo", "coreutils", "dpkg", "gzip", "mawk", "tar"];

/// Whether `check --install` installs the tool, or every machine has it that runs the tests.
fn is_in_table(tool: &str, package: &str) -> bool {
    if std::env::var_os("DRYDOCK_TEST_FIXTURES").is_some() {
        // A virtual machine, whose tools are those that this machine has.
        return true;
    }
    static NAMES: OnceLock<BTreeSet<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let doctor = Command::new(xtask_binary()).args(["doctor", "check", "--format", "json"]).output().unwrap();
        let table: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
        let names = |tool: &serde_json::Value| ["name", "package"].map(|key| tool[key].as_str().unwrap().to_owned());
        table["tools"].as_array().unwrap().iter().flat_map(names).collect()
    });
    // Words are no package, but say where else the tool comes from.
    EVERYWHERE.contains(&package) || package.contains(' ') || [tool, package].iter().any(|name| names.contains(*name))
}

/// Whether a condition of the test holds that a tool or a privilege can provide. If not, the test skips itself on a
/// laptop and fails in CI.
#[must_use]
pub(crate) fn need(holds: bool, why_not: &str) -> bool {
    if !holds {
        assert!(std::env::var_os("CI").is_none(), "{why_not}");
        skip(why_not);
    }
    holds
}

/// Notes that the test, or a part of it, is skipped, in CI too: for what neither a tool nor a privilege can provide.
/// `cargo xtask check` prints the notes after the tests.
pub(crate) fn skip(why: &str) {
    println!("skipped: {why}");
    if let Some(notes) = std::env::var_os("DRYDOCK_TEST_SKIPS") {
        let thread = thread::current();
        let note = format!("{}\t{}\n", thread.name().unwrap_or("a thread"), why.replace(['\n', '\t'], " "));
        // One write of a short line at the end, so that lines of several tests do not mix.
        let file = File::options().create(true).append(true).open(notes);
        file.unwrap().write_all(note.as_bytes()).unwrap();
    }
}
