//! Runs a command of an image in namespaces, with limits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::Context as _;

use super::NOBODY;
use super::cgroup::Cgroup;
use crate::model::ImageConfig;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::surroundings::without_session_keys;
use drydock_config::images::SmokeTest;

/// The maximum length of the output that is read, in bytes.
const LONGEST_OUTPUT: u64 = 64 << 10;
/// The maximum size of a file that the command writes, in bytes, unless it may write more.
const LARGEST_FILE: u64 = 64 << 20;
/// The last line of the script if there is no more room.
const DISK_FULL: &str = "\ndrydock: the disk is full\n";

/// Becomes the command in a root that has no way out: `SCRIPT ROOT SHELL MOUNT UMOUNT UNSHARE NSENTER PIVOT_ROOT MKDIR DIRECTORY
/// OVERLAY DISK BLOCKS DATA PROCESSES VARIABLES VARIABLE… COMMAND…`, with an empty environment.
///
/// A root of `chroot` can be left by whoever may call `chroot`; so the image becomes the root of its mount namespace, and
/// the machine's root is taken out of there. That takes programs of this machine when this shell sees the image alone
/// already: they run behind a second name of the machine's root, which goes away with the first. From there on there are
/// only the shell's own words, and no program of this machine ever sees a variable of the image, as `LD_PRELOAD`.
///
/// What the command writes goes to a small file system in memory, over the image. Where the kernel does not let users stack
/// file systems (before Linux 5.11), the image is read-only but for `/tmp`. At the end, the shell tries to write a little more.
const SCRIPT: &str = r#"
set -e
root=$1 shell=$2 mount=$3 umount=$4 unshare=$5 nsenter=$6 pivot_root=$7 mkdir=$8 _drydock_directory=$9
shift 9
overlay=$1 disk=$2 blocks=$3 data=$4 processes=$5 _drydock_count=$6
shift 6
cd "${root%/*}"
"$mount" -t tmpfs -o "size=$disk,nr_inodes=65536,mode=755" tmpfs writable
"$mkdir" writable/upper writable/work
layers=lowerdir=root,upperdir=writable/upper,workdir=writable/work
_drydock_space=/
if [ "$overlay" = no ] || {
    ! "$mount" -t overlay -o "$layers,userxattr" overlay root 2>/dev/null &&
    ! "$mount" -t overlay -o "$layers" overlay root 2>/dev/null
}; then
    "$mount" --rbind root root
    "$mount" -o remount,bind,ro root
    "$mkdir" -m 1777 writable/tmp
    [ -L root/tmp ] || [ ! -d root/tmp ] || "$mount" --bind writable/tmp root/tmp
    _drydock_space=/tmp/
fi
for device in null zero full random urandom tty; do
    "$mount" --bind "/dev/$device" "root/dev/$device" 2>/dev/null || :
done
"$mount" -t proc proc root/proc 2>/dev/null || :
again=${root%/*}/again
"$mount" --rbind / "$again"
cd /
"$unshare" --root="$again" "$shell" -c '
set -e
exec 5<"$1"
"$2" --mount=/proc/self/ns/mnt --wd="$1" "$3" . .
exec "$4" --no-canonicalize --lazy /proc/self/fd/5
' sh "$root" "$nsenter" "$pivot_root" "$umount"
ulimit -f "$blocks"
ulimit -c 0
[ "$data" = no ] || ulimit -d "$data"
[ "$processes" = no ] || ulimit -p "$processes" 2>/dev/null || ulimit -u "$processes" 2>/dev/null || :
cd "$_drydock_directory"
unset PWD OLDPWD SHLVL
while [ "$_drydock_count" -gt 0 ]; do
    command export "$1" || :
    shift
    _drydock_count=$((_drydock_count - 1))
done
set +e
"$@"
_drydock_status=$?
printf '%65536s' '' 2>/dev/null >"$_drydock_space.drydock-space" || printf '\ndrydock: the disk is full\n' >&2
exit "$_drydock_status"
"#;

/// How a command ended.
#[derive(Debug)]
pub(super) struct CommandResult {
    /// The exit code; none if the time limit was exceeded.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Whether the kernel killed a process at the memory limit. Never where no cgroup could be made.
    pub(super) is_out_of_memory: bool,
    /// Whether the kernel refused a process at the limit of their number. Never where no cgroup could be made.
    pub(super) is_out_of_processes: bool,
    /// Whether a cgroup limited the memory of all processes together.
    pub(super) had_cgroup: bool,
    /// Whether there was no more room at the end.
    pub(super) is_disk_full: bool,
}

/// A command in the root directory of an image.
#[derive(Debug)]
pub(super) struct Sandbox<'a> {
    /// The root directory. Beside it are two empty directories, `again` and `writable`.
    pub(super) root: &'a Path,
    pub(super) config: &'a ImageConfig,
    pub(super) declared: &'a SmokeTest,
    /// Whether this process is root.
    pub(super) is_root: bool,
    /// Whether to try an overlay.
    pub(super) overlay: bool,
    /// Whether to try to make a cgroup.
    pub(super) group: bool,
}

impl Sandbox<'_> {
    /// Runs the command.
    pub(super) fn run(&self) -> anyhow::Result<CommandResult> {
        let Sandbox { root, config, declared, is_root, overlay, group } = *self;
        // The PATH of users does not always have the system directories.
        let mut search = std::env::var_os("PATH").unwrap_or_default();
        search.push(":/usr/sbin:/sbin");
        let tool = |name: &str| {
            exec::find(name, Path::new("/"), Some(&search))
                .map(|path| path.display().to_string())
                .map_err(|why| Failure::missing(format!("{why}; run `{}`", hint::drydock(&["doctor", "docker"]))))
        };
        let (unshare, env, shell) = (tool("unshare")?, tool("env")?, tool("sh")?);
        let mut argv: Vec<String> = vec![tool("setpriv")?];
        // The command is killed together with this process.
        argv.extend(["--pdeathsig".to_owned(), "KILL".to_owned()]);
        if is_root {
            let id = NOBODY.to_string();
            argv.extend([format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".into()]);
        }
        // The first process of the outer namespace is not the image's, which could ignore the death of its parent.
        let outer = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
        let inner = ["--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts"];
        argv.extend([unshare.clone()].into_iter().chain(outer.map(str::to_owned)));
        argv.extend([unshare.clone()].into_iter().chain(inner.map(str::to_owned)));
        // The files that the command writes count as memory too.
        let limit = declared.memory.saturating_add(declared.disk);
        let mut group = group.then(|| Cgroup::make(limit, declared.processes)).flatten();
        if let Some(one) = &group {
            let inside = [&entered(&shell, one)[..], &argv].concat();
            match probe(&inside) {
                Ok(()) => argv = inside,
                Err(_) => group = None,
            }
        }
        if group.is_none() {
            probe(&argv)?;
        }
        argv.extend([env, "-i".to_owned(), shell.clone(), "-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned()]);
        argv.extend([root.display().to_string(), shell, tool("mount")?, tool("umount")?, unshare]);
        argv.extend([tool("nsenter")?, tool("pivot_root")?, tool("mkdir")?]);
        let directory = config.config.working_dir.as_deref().filter(|path| path.starts_with('/')).unwrap_or("/");
        let variables = variables(config);
        let disk = declared.disk.bytes();
        // The standard outputs are files too.
        let blocks = disk.max(LARGEST_FILE) / 512;
        let data = if group.is_some() { "no".to_owned() } else { (declared.memory.bytes() >> 10).to_string() };
        // Before Linux 5.14, all processes of a user count, and only that of root's tests has no others.
        let processes = if group.is_none() && is_root { declared.processes.to_string() } else { "no".to_owned() };
        let overlay = if overlay { "yes" } else { "no" };
        argv.extend([directory, overlay].map(str::to_owned));
        argv.extend([disk.to_string(), blocks.to_string(), data, processes]);
        argv.push(variables.len().to_string());
        argv.extend(variables);
        argv.extend(declared.run.iter().cloned());

        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let handle = duct::cmd(&argv[0], &argv[1..])
            .dir("/")
            .full_env(exec::environment(&[], &BTreeMap::new()))
            .stdin_null()
            .stdout_file(stdout.try_clone()?)
            .stderr_file(stderr.try_clone()?)
            .before_spawn(|command| {
                without_session_keys(command);
                Ok(())
            })
            .unchecked()
            .start()
            .context("cannot run unshare")?;
        let ended = handle
            .wait_timeout(declared.timeout)
            .context("cannot wait for the smoke test")?
            .map(|output| output.status);
        if ended.is_none() {
            end(&handle).context("cannot kill the smoke test")?;
        }
        let read = |file: &mut File| -> anyhow::Result<String> {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.take(LONGEST_OUTPUT).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let signal =
            |status: std::process::ExitStatus| std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
        let code = ended.map(|status| status.code().unwrap_or_else(|| 128 + signal(status)));
        let is_disk_full = ends_with(&mut stderr, DISK_FULL)?;
        let stderr = read(&mut stderr)?;
        let had_cgroup = group.is_some();
        let (is_out_of_memory, is_out_of_processes) =
            group.map_or((false, false), |group| (group.was_exceeded(), group.is_out_of_processes()));
        Ok(CommandResult {
            code,
            stdout: read(&mut stdout)?,
            stderr: stderr.strip_suffix(DISK_FULL).unwrap_or(&stderr).to_owned(),
            is_out_of_memory,
            is_out_of_processes,
            had_cgroup,
            is_disk_full,
        })
    }
}

/// The words that start a command in a group.
fn entered(shell: &str, group: &Cgroup) -> Vec<String> {
    let script = r#"while [ "$1" != -- ]; do echo $$ >"$1" || exit; shift; done; shift; exec "$@""#;
    let procs = group.procs().into_iter().map(|file| file.display().to_string());
    let words = [shell, "-c", script, "sh"].map(str::to_owned).into_iter().chain(procs);
    words.chain(["--".to_owned()]).collect()
}

/// Returns true if a file ends with a text.
fn ends_with(file: &mut File, text: &str) -> std::io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    let Some(start) = length.checked_sub(text.len() as u64) else { return Ok(false) };
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(end == text.as_bytes())
}

/// Kills the first process of the outer namespace, and with it all others.
fn end(handle: &duct::Handle) -> std::io::Result<()> {
    let pid = handle.pids().first().copied().unwrap_or_default();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let first = children.split_whitespace().next().and_then(|child| child.parse().ok());
    if let Some(first) = first.and_then(rustix::process::Pid::from_raw) {
        if rustix::process::kill_process(first, rustix::process::Signal::KILL).is_ok() {
            return handle.wait().map(drop);
        }
    }
    handle.kill()
}

/// Checks that this machine has namespaces, so that the image is not blamed.
fn probe(namespaces: &[String]) -> anyhow::Result<()> {
    let argv: Vec<String> = namespaces.iter().cloned().chain(["true".to_owned()]).collect();
    exec::read(&argv, Path::new("/")).map(drop).map_err(|why| {
        let text = format!("cannot create namespaces for the smoke test ({why})");
        let remedy = "allow user namespaces (on Ubuntu: sysctl --write kernel.apparmor_restrict_unprivileged_userns=0)";
        Failure::missing(format!("{text}; {remedy}"))
    })
}

/// Returns the declared environment, with defaults, without variables that a shell cannot set.
fn variables(config: &ImageConfig) -> Vec<String> {
    let is_usable = |one: &&String| one.split_once('=').is_some_and(|(name, _)| is_name(name));
    let mut all: Vec<String> = config.config.env.iter().filter(is_usable).cloned().collect();
    let mut default = |name: &str, value: &str| {
        let start = format!("{name}=");
        if !all.iter().any(|one| one.starts_with(&start)) {
            all.push(format!("{start}{value}"));
        }
    };
    default("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    default("HOME", "/root");
    all
}

fn is_name(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.chars().all(plain) && text.starts_with(|first: char| !first.is_ascii_digit())
}
