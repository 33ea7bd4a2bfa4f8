//! Every command that messages and reports name, pasted into a shell where it was printed.
//!
//! The user is in another project than the one that `--project` names, so that a command without it would be seen: by
//! what it says, and by the state directory that it would leave.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Finished, Project, need_tool, need_tools, text, xtask_binary};

/// A program with a leak and a heap.
const PROGRAM: &str = r#"
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
	char *kept = malloc(argc > 1 ? 3000000 : 10);
	memset(kept, 1, 10);
	kept = 0;
	return 0;
}
"#;

const JOBS: &str = r#"
tools: {memcheck: {args: [--leak-check=full], suppressions: [ci/it's.supp]}}
jobs:
  build: {run: [gcc, -g, -o, leak, leak.c]}
  passes: {run: ["true"]}
  fails: {run: [sh, -c, "exit 3"]}
  leaks: {needs: [build], run: [./leak], tool: memcheck}
  grows: {needs: [build], run: [./leak, much], tool: massif, heap: {limit: 10KiB}}
"#;

/// How the user calls Drydock, and where it is called.
struct Shell {
    root: Project,
    /// The words for a shell, without the options.
    call: String,
    /// The first word of the command line and the variables that cargo would set, where cargo runs the program.
    cargo: bool,
    here: PathBuf,
    /// What was pasted, without what differs from run to run.
    pasted: BTreeSet<String>,
}

const OPTIONS: [&str; 6] = ["--project", "it's mine", "--config", "the config", "--state", "the state"];
const PASTED_OPTIONS: &str = r"--project 'it'\''s mine' --config 'the config' --state 'the state'";

impl Shell {
    /// A directory with a program `drydock`, a project elsewhere, and a project around the user, which must stay untouched.
    fn new() -> Shell {
        let root = Project::new()
            .file("it's mine/leak.c", PROGRAM)
            .file("it's mine/ci/it's.supp", "")
            .file("the config/ci/jobs.yaml", JOBS)
            .jobs("jobs: {decoy: {run: [\"true\"]}}")
            .file("bin/.keep", "")
            // A user has a name; a fresh machine has none.
            .file("home/.gitconfig", "[user]\nname = A Tester\n");
        // A copy: the name of the program is how it is called, not where a link leads.
        // In another process: what is open for writing, as in programs that other tests start meanwhile, cannot be executed.
        let copied = Command::new("cp").arg(xtask_binary()).arg(root.path().join("bin/drydock")).status();
        assert!(copied.unwrap().success());
        let here = root.path().to_owned();
        Shell { root, call: "drydock".into(), cargo: false, here, pasted: BTreeSet::new() }
    }

    /// Runs the program as the user called it.
    fn drydock(&self, args: &[&str]) -> Finished {
        let mut command = if self.cargo {
            let mut command = Command::new(xtask_binary());
            command.arg0("target/debug/drydock").envs(cargo_variables());
            command
        } else {
            let mut command = Command::new("drydock");
            // As below a job of a run that cargo started.
            command.envs(cargo_variables());
            command
        };
        command.args(OPTIONS).args(args);
        self.run(command)
    }

    fn run(&self, mut command: Command) -> Finished {
        let mut path = self.root.path().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path).env("HOME", self.root.path().join("home"));
        command.env_remove("CI").env_remove("GITHUB_ACTIONS").current_dir(&self.here);
        command.output().unwrap().into()
    }

    /// Pastes every command of a text, and checks that each is about this project. Returns what they printed.
    fn paste_all(&mut self, text: &str) -> String {
        let mut printed = String::new();
        for command in commands(text, &self.call) {
            let rest = command.strip_prefix(&self.call).unwrap().trim();
            let words =
                rest.strip_prefix(PASTED_OPTIONS).unwrap_or_else(|| panic!("`{command}` lacks {PASTED_OPTIONS}"));
            let mut shell = Command::new("sh");
            // Cargo would build the program anew, in the middle of the tests; what it would run is checked elsewhere.
            let cargo = "cargo() { while [ \"$1\" != xtask ] && [ \"$1\" != -- ]; do shift; done; shift; \"$PROGRAM\" \"$@\"; }";
            let script = if self.cargo { format!("{cargo}\n{command}") } else { command.clone() };
            shell.arg("-c").arg(script).env("PROGRAM", xtask_binary());
            let finished = self.run(shell);
            assert!(![2, 70, 127].contains(&finished.code()), "`{command}`: {}", finished.transcript());
            assert!(!finished.transcript().contains("decoy"), "`{command}`: {}", finished.transcript());
            self.pasted.insert(words.trim().to_owned());
            printed.push_str(&finished.transcript());
        }
        assert!(!self.root.path().join("target").exists(), "a command ran in the project around the user");
        printed
    }

    fn report(&self, file: &str) -> String {
        let latest = self.here.join("the state/runs/latest").join(file);
        fs::read_to_string(&latest).unwrap_or_else(|error| panic!("{}: {error}", latest.display()))
    }

    /// What the pasted commands begin with.
    #[track_caller]
    fn assert_pasted(&self, beginnings: &[&str]) {
        for beginning in beginnings {
            let found = self.pasted.iter().any(|words| words.starts_with(beginning));
            assert!(found, "no message named `{beginning}`; they named {:#?}", self.pasted);
        }
    }
}

/// What cargo tells the programs that it runs.
fn cargo_variables() -> [(&'static str, &'static str); 3] {
    [("CARGO", "/usr/bin/cargo"), ("CARGO_PKG_NAME", "drydock"), ("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"))]
}

/// The commands in a text, of the terminal, JSON, XML or HTML.
fn commands(text: &str, call: &str) -> Vec<String> {
    let mut plain = text.replace("<code>", "`").replace("</code>", "`").replace("\\\\", "\\");
    for (entity, letter) in
        [("&#39;", "'"), ("&apos;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
    {
        plain = plain.replace(entity, letter);
    }
    let start = format!("{call} --");
    let mut found: Vec<String> = Vec::new();
    for line in plain.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(&start) {
            let end = if rest[..at].ends_with('`') { '`' } else { '\n' };
            let command = rest[at..].split(end).next().unwrap_or_default();
            rest = &rest[at + command.len()..];
            let command = command.split("</").next().unwrap_or_default().trim();
            if !found.iter().any(|known| known == command) {
                found.push(command.to_owned());
            }
        }
    }
    found
}

const TOOLS: &[(&str, &str)] = &[("valgrind", "valgrind"), ("gcc", "gcc")];

#[test]
fn every_command_of_a_run_and_of_its_reports_can_be_pasted() {
    if !need_tools(TOOLS) {
        return;
    }
    let mut shell = Shell::new();
    let before = shell.drydock(&["ci", "explain", "fails"]);
    assert_eq!(before.code(), 2, "{}", before.transcript());
    assert_eq!(commands(&before.stderr, "drydock"), [format!("drydock {PASTED_OPTIONS} ci")]);

    let run = shell.drydock(&["ci", "--no-progress"]);
    assert_eq!(run.code(), 1, "{}", run.transcript());
    let reports = ["summary.txt", "junit.xml", "report.html", "run.json"].map(|file| shell.report(file));
    let first = shell.here.join("the state/runs/latest").canonicalize().unwrap();
    let first = text(Path::new(first.file_name().unwrap()));
    // At the end of a run its commands are as short as possible.
    let now = commands(&run.stdout, "drydock");
    assert!(now.contains(&format!("drydock {PASTED_OPTIONS} ci explain fails")), "{now:#?}");

    // The files outlive the run: they name it, and are pasted after the next one.
    for report in &reports {
        let of_jobs = |command: &&String| ["explain", "suppress", "massif"].iter().any(|word| command.contains(word));
        let all = commands(report, "drydock");
        assert!(all.iter().any(|command| of_jobs(&command)), "{report}");
        let unnamed: Vec<&String> = all.iter().filter(of_jobs).filter(|command| !command.contains(&first)).collect();
        assert!(unnamed.is_empty(), "{unnamed:#?}");
    }
    let printed = shell.paste_all(&run.transcript());
    assert!(printed.contains("fails: failed in run") && printed.contains("3,000,0"), "{printed}");
    let again = shell.drydock(&["ci", "run", "fails", "--no-progress"]);
    assert_eq!(again.code(), 1, "{}", again.transcript());
    let suppressions = shell.here.join("it's mine/ci/it's.supp");
    for report in &reports {
        // A second suppression of the same finding is refused.
        fs::write(&suppressions, "").unwrap();
        let printed = shell.paste_all(report);
        assert!(printed.contains("exit "), "no command was found in {report}");
        for line in printed.lines().filter(|line| line.contains(" in run ")) {
            assert!(line.contains(&first), "another run was explained: {line}");
        }
    }
    let explained = shell.drydock(&["ci", "explain", "leaks", "grows", "--run", &first]);
    fs::write(&suppressions, "").unwrap();
    shell.paste_all(&explained.transcript());
    shell.assert_pasted(&[
        "ci explain fails",
        "ci explain leaks",
        "ci suppress memcheck:",
        "ci rerun",
        "ci massif show grows",
    ]);
    let suppressed = fs::read_to_string(&suppressions).unwrap();
    assert!(suppressed.contains("# reason: TEXT"), "{suppressed}");
}

#[test]
fn commands_about_baselines_runs_and_selectors_can_be_pasted() {
    if !need_tools(TOOLS) {
        return;
    }
    let mut shell = Shell::new();
    let wrong = shell.drydock(&["ci", "plan", "nothing-like-it"]);
    assert_eq!(wrong.code(), 2, "{}", wrong.transcript());
    shell.paste_all(&wrong.transcript());
    shell.assert_pasted(&["ci plan"]);

    // A job over its baseline.
    let declare = |heap: &str| {
        let jobs = JOBS.replace("heap: {limit: 10KiB}", heap);
        fs::write(shell.here.join("the config/ci/jobs.yaml"), jobs).unwrap();
    };
    declare("heap: {baseline: \"ci/its heap\"}");
    let missing = shell.drydock(&["ci", "plan"]);
    assert_eq!(missing.code(), 3, "{}", missing.transcript());
    let [record] = &commands(&missing.stderr, "drydock")[..] else { panic!("{}", missing.stderr) };
    assert_eq!(*record, format!("drydock {PASTED_OPTIONS} ci massif baseline grows --output 'ci/its heap'"));
    // As the message says: without the baseline first.
    declare("heap: {limit: 10MiB}");
    assert_eq!(shell.drydock(&["ci", "run", "grows"]).code(), 0);
    let missing = missing.stderr;
    shell.paste_all(&missing);
    let baseline = shell.here.join("it's mine/ci/its heap");
    let small = fs::read_to_string(&baseline).unwrap().replace("mem_heap_B=3000000", "mem_heap_B=1000");
    fs::write(&baseline, small).unwrap();
    let declare = |heap: &str| {
        let jobs = JOBS.replace("heap: {limit: 10KiB}", heap);
        fs::write(shell.here.join("the config/ci/jobs.yaml"), jobs).unwrap();
    };
    declare("heap: {baseline: \"ci/its heap\"}");
    let over = shell.drydock(&["ci", "run", "grows"]);
    assert_eq!(over.code(), 1, "{}", over.transcript());
    shell.paste_all(&over.transcript());
    shell.assert_pasted(&["ci massif diff 'ci/its heap' grows", "ci massif baseline grows"]);

    // The last command repeated the job with its new baseline, so nothing is left to repeat.
    let finished = shell.drydock(&["ci", "--resume"]);
    assert!(finished.code() == 0 && commands(&finished.stdout, "drydock").is_empty(), "{}", finished.transcript());
    assert_eq!(shell.drydock(&["ci", "run", "fails"]).code(), 1);
    let finished = shell.drydock(&["ci", "--resume"]);
    assert_eq!(commands(&finished.stdout, "drydock"), [format!("drydock {PASTED_OPTIONS} ci rerun")]);
}

#[test]
fn commands_of_cargo_name_the_alias_where_it_works() {
    if !need_tool("cargo", "cargo") {
        return;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    if !workspace.join(".cargo/config.toml").exists() {
        // The program runs where it was not built.
        return;
    }
    // What cargo makes of the alias and of the long form.
    let cargo = |args: &[&str]| {
        let output = Command::new("cargo").args(args).current_dir(workspace).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let alias = cargo(&["--list"]).lines().find(|line| line.trim_start().starts_with("xtask ")).map(str::to_owned);
    assert!(alias.is_some_and(|line| line.contains("run --quiet --package drydock --bin drydock --")));
    let manifest = format!("{}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    let metadata = cargo(&["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path", &manifest]);
    assert!(metadata.contains("\"name\":\"drydock\"") && metadata.contains("\"kind\":[\"bin\"]"));

    let mut shell = Shell::new();
    shell.cargo = true;
    shell.call =
        drydock_base::exec::paste(&["cargo", "run", "--quiet", "--manifest-path", &manifest, "--bin", "drydock", "--"]);
    let run = shell.drydock(&["ci", "run", "fails", "--no-progress"]);
    assert_eq!(run.code(), 1, "{}", run.transcript());
    shell.paste_all(&run.transcript());
    shell.assert_pasted(&["ci explain fails", "ci rerun"]);

    // In the workspace, the alias is shorter.
    let mut command = Command::new(xtask_binary());
    command.arg0("target/debug/drydock").envs(cargo_variables()).current_dir(workspace);
    let project = shell.here.join("it's mine");
    let config = shell.here.join("the config");
    let finished: Finished = command
        .arg("--project")
        .arg(&project)
        .arg("--config")
        .arg(&config)
        .args(["ci", "plan", "nothing"])
        .output()
        .unwrap()
        .into();
    assert!(finished.stderr.contains("`cargo xtask --project "), "{}", finished.transcript());
}

#[test]
fn help_and_version_name_the_program_as_it_was_called() {
    let shell = Shell::new();
    for args in [&["--help"][..], &["ci", "--help"], &["docker", "promote", "--help"], &["ci", "rerun", "-h"]] {
        let help = shell.drydock(args);
        assert_eq!(help.code(), 0, "{}", help.transcript());
        assert!(help.stdout.contains("Usage: drydock ") && !help.stdout.contains("cargo"), "{}", help.stdout);
    }
    let version = shell.drydock(&["--version"]);
    assert_eq!(version.stdout, format!("drydock {}\n", env!("CARGO_PKG_VERSION")));
    let wrong = shell.drydock(&["ci", "--wrong"]);
    assert!(wrong.code() == 2 && wrong.stderr.contains("Usage: drydock "), "{}", wrong.transcript());
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let shell = Shell::new();
    let finished = shell.drydock(&["release", "verify", "/nowhere"]);
    assert_eq!(finished.code(), 2, "{}", finished.transcript());
    assert_eq!(finished.stderr, "error: /nowhere does not exist\n");
}
