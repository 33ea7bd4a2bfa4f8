//! What every integration test needs: built fixtures, a throw-away project, the real `xtask`, its typed results,
//! processes found by a marker, an outer cgroup, and honest skips.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

pub(crate) mod disk;
mod git;
mod moving_head;
mod needs;
pub(crate) mod privilege;
mod results;
pub(crate) mod unproved;

pub(crate) use disk::SmallDisk;
pub(crate) use git::{git, git_with, only_git, path_without};
pub(crate) use moving_head::MovingHead;
pub(crate) use needs::{need, need_tool, need_tools, skip};
pub(crate) use results::{AttemptJson, JobJson, RunJson};

/// The directory with the built fixtures: `mortal` and `mortal-static`. Built once a test process, or taken from the
/// directory that `DRYDOCK_TEST_FIXTURES` names, for a machine without a compiler.
pub(crate) fn fixtures() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        if let Some(directory) = std::env::var_os("DRYDOCK_TEST_FIXTURES") {
            return directory.into();
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mortal.c");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
        fs::create_dir_all(&directory).unwrap();
        for (name, flags) in [("mortal", &[][..]), ("mortal-static", &["-static"])] {
            // Several test processes may build at once, and a program that runs cannot be overwritten.
            let new = tempfile::Builder::new().tempfile_in(&directory).unwrap().into_temp_path();
            let built = Command::new("gcc")
                .args(["-Wall", "-Wextra", "-Werror", "-g", "-O0", "-o"])
                .arg(&new)
                .args(flags)
                .arg(&source)
                .status()
                .expect("gcc is needed: apt-get install gcc");
            assert!(built.success(), "cannot compile {}", source.display());
            new.persist(directory.join(name)).unwrap();
        }
        directory
    })
}

/// The hostile program, linked dynamically, as valgrind wants it.
pub(crate) fn mortal() -> PathBuf {
    fixtures().join("mortal")
}

/// The binary under test.
pub(crate) fn xtask_binary() -> PathBuf {
    std::env::var_os("DRYDOCK_TEST_XTASK").map_or_else(|| env!("CARGO_BIN_EXE_drydock").into(), PathBuf::from)
}

/// A temporary project.
pub(crate) struct Project {
    directory: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("drydock-").tempdir().unwrap() }
    }

    /// The same, in a directory of the test's.
    pub(crate) fn within(directory: &Path) -> Self {
        Self { directory: tempfile::Builder::new().prefix("drydock-").tempdir_in(directory).unwrap() }
    }

    /// Adds a file, with its directories.
    pub(crate) fn file(self, path: &str, contents: &str) -> Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    /// Declares `ci/jobs.yaml`.
    pub(crate) fn jobs(self, yaml: &str) -> Self {
        self.file("ci/jobs.yaml", yaml)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The default state directory, in which `xtask` keeps its runs.
    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("target/xtask")
    }

    /// A command as messages of [`Project::xtask`] name it.
    pub(crate) fn hint(&self, command: &str) -> String {
        format!("{} --project {} {command}", text(&xtask_binary()), text(self.path()))
    }

    /// `xtask --project THIS ARGS…`
    pub(crate) fn xtask(&self, args: &[&str]) -> Xtask {
        Xtask::new(self.path(), args)
    }
}

/// A call of `xtask` that is about to start.
pub(crate) struct Xtask {
    command: Vec<String>,
    directory: PathBuf,
    limit: Duration,
    environment: Vec<(String, String)>,
}

impl Xtask {
    fn new(project: &Path, args: &[&str]) -> Self {
        let mut command = vec![text(&xtask_binary()), "--project".to_owned(), text(project)];
        command.extend(args.iter().map(|arg| (*arg).to_owned()));
        Self { command, directory: project.to_owned(), limit: Duration::from_secs(120), environment: Vec::new() }
    }

    /// Sets the time after which the test gives up on the call on a quiet machine; 2 minutes by default.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Calls a copy of it.
    pub(crate) fn program(mut self, program: &Path) -> Self {
        self.command[0] = text(program);
        self
    }

    /// Calls it by way of another command; `{call}` in its words is the call, as one word for a shell.
    pub(crate) fn through(mut self, command: &[&str]) -> Self {
        let quoted: Vec<_> = self.command.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        self.command = command.iter().map(|word| word.replace("{call}", &quoted.join(" "))).collect();
        self
    }

    /// Runs `xtask` as a member of that group.
    pub(crate) fn within(mut self, group: &OuterGroup) -> Self {
        let enter = [text(&mortal()), "enter".to_owned(), text(&group.procs())];
        self.command.splice(0..0, enter);
        self
    }

    /// Starts it, in a process group of its own, as a shell with job control does.
    pub(crate) fn spawn(self) -> Running {
        // Files, not pipes: a leftover that keeps a pipe open must not stall the test.
        let output = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let [stdout, stderr] = output.each_ref().map(|file| Stdio::from(file.try_clone().unwrap()));
        // A shell without job control lets what it starts in the background ignore Ctrl-C, and that is inherited.
        let prefix: &[&str] = if ignores_interrupts() { &["env", "--default-signal=INT,QUIT"] } else { &[] };
        let words: Vec<&str> = prefix.iter().copied().chain(self.command.iter().map(String::as_str)).collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .current_dir(&self.directory)
            .env_remove("CI")
            // Hints begin as the program was called: here, by its path.
            .env_remove("CARGO")
            .env_remove("GITHUB_ACTIONS")
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command));
        Running { child, output, deadline: Instant::now() + self.limit * BUSY_FACTOR, command: self.command }
    }

    pub(crate) fn run(self) -> Finished {
        self.spawn().wait()
    }
}

/// A running `xtask`. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    output: [File; 2],
    deadline: Instant,
    command: Vec<String>,
}

impl Running {
    /// Signals the process group, as a terminal does.
    pub(crate) fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal)
    }

    /// Signals only `xtask` itself.
    pub(crate) fn signal_main(&self, signal: Signal) -> rustix::io::Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
    }

    /// Kills only `xtask` itself, as the OOM killer or `kill -9` does.
    pub(crate) fn kill(&self) -> rustix::io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::KILL)
    }

    /// Whether `xtask` has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks until there is an answer, or `xtask` has ended.
    pub(crate) fn wait_for<T>(&mut self, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        wait_for(limit, || match ask() {
            Some(answer) => Some(Some(answer)),
            None if self.child.try_wait().unwrap().is_some() => Some(None),
            None => None,
        })
        .flatten()
    }

    /// Waits for its end; panics with its output when it takes longer than the limit.
    pub(crate) fn wait(mut self) -> Finished {
        let mut status = self.child.try_wait().unwrap();
        while status.is_none() && Instant::now() < self.deadline {
            thread::sleep(Duration::from_millis(20));
            status = self.child.try_wait().unwrap();
        }
        let [stdout, stderr] = self.output.each_mut().map(|file| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let Some(status) = status else {
            panic!("{:?} does not end\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.command);
        };
        Finished { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
            self.child.wait().ok();
        }
    }
}

/// Whether this process ignores SIGINT.
fn ignores_interrupts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 << (Signal::INT.as_raw() - 1) != 0
}

/// A finished call of `xtask`.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self { status: output.status, stdout, stderr }
    }
}

impl Finished {
    /// The exit code, or minus the signal.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or(0))
    }

    /// Both outputs, for the text of a failure.
    pub(crate) fn transcript(&self) -> String {
        format!("exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code(), self.stdout, self.stderr)
    }
}

/// A running process, as `/proc` shows it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
}

impl Process {
    pub(crate) fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // It may have ended meanwhile.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// The living processes that have the marker among their arguments. Zombies have no arguments.
pub(crate) fn processes_with(marker: &str) -> Vec<Process> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let arguments: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        arguments.iter().any(|argument| argument == marker).then(|| Process { pid, command: arguments.join(" ") })
    })
    .collect()
}

/// A word that no other process on this machine has among its arguments.
pub(crate) fn marker(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("drydock-test-{}-{}-{name}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Limits are those of a quiet machine. A busy one gets more time: no limit decides whether a test passes that would end.
const BUSY_FACTOR: u32 = 6;

/// Asks after 10 ms, and later after a twentieth of the time that has passed, until there is an answer: asking may cost
/// milliseconds of CPU time. Gives up at [`BUSY_FACTOR`] times the limit.
pub(crate) fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || start.elapsed() > limit * BUSY_FACTOR {
            return answer;
        }
        thread::sleep((start.elapsed() / 20).clamp(Duration::from_millis(10), Duration::from_millis(200)));
    }
}

/// The number of processes that the OOM killer killed since the kernel booted, anywhere on this machine.
pub(crate) fn kernel_oom_kills() -> u64 {
    let vmstat = fs::read_to_string("/proc/vmstat").unwrap();
    let count = vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.parse().ok()).expect("/proc/vmstat has no oom_kill")
}

/// Held while a test makes the kernel kill, or needs it not to: the counter in `/proc/vmstat` is one for all processes.
pub(crate) fn oom_lock() -> File {
    let file = File::create(std::env::temp_dir().join("drydock-test-oom.lock")).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

/// A cgroup around a whole `xtask`, with a limit; v1 or v2, whichever this machine has. Removed when dropped.
pub(crate) struct OuterGroup {
    directory: PathBuf,
}

impl OuterGroup {
    /// Fails when this machine has no memory controller that this user may write to, or when `DRYDOCK_TEST_CGROUPS=no`
    /// asks for that.
    pub(crate) fn new(limit: u64) -> std::io::Result<Self> {
        if std::env::var_os("DRYDOCK_TEST_CGROUPS").is_some_and(|word| word == "no") {
            return Err(std::io::Error::other("DRYDOCK_TEST_CGROUPS=no"));
        }
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, limit_file) = if v1.join("memory.limit_in_bytes").exists() {
            (v1, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let directory = root.join(marker("outer"));
        fs::create_dir(&directory)?;
        let group = Self { directory };
        fs::write(group.directory.join(limit_file), limit.to_string())?;
        Ok(group)
    }

    pub(crate) fn procs(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }
}

impl Drop for OuterGroup {
    fn drop(&mut self) {
        let removed = wait_for(Duration::from_secs(5), || {
            for pid in fs::read_to_string(self.procs()).unwrap_or_default().lines() {
                Process { pid: pid.parse().unwrap_or(0), command: String::new() }.kill();
            }
            fs::remove_dir(&self.directory).ok()
        });
        if removed.is_none() {
            eprintln!("cannot remove {}", self.directory.display());
        }
    }
}

/// A path as text; the paths of tests are UTF-8.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
