//! The isolation of the offline proof: namespaces without a network, without the sockets of other processes, and with failing
//! programs in place of the replaced ones. It is observed from inside before the build starts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::poison::Poison;
use drydock_base::exec;
use drydock_base::failure::Failure;

/// Directories in which programs put their sockets.
const SOCKET_DIRECTORIES: [&str; 3] = ["/run", "/var/run", "/tmp"];
/// The largest number of files that are looked at for sockets.
const MOST_FILES: usize = 50_000;

/// The isolation of a command.
pub(super) struct Isolation {
    /// Whether the command has a user namespace of its own, from which it cannot enter namespaces of others.
    user: bool,
    /// Whether failing programs are mounted over the files of the replaced ones, and an empty file over sockets.
    mounts: bool,
    /// Whether the command has a process namespace of its own, which ends with it.
    processes: bool,
    sockets: Vec<PathBuf>,
    /// An empty file.
    nothing: PathBuf,
}

/// What a command saw in the isolation.
pub(super) struct Observed {
    pub(super) interfaces: Vec<String>,
    pub(super) replaced: Vec<String>,
    pub(super) hidden_sockets: usize,
}

/// Brings the loopback interface up if a tool for that is installed.
const LOOPBACK: &str = "ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null\n";

/// Prints the network interfaces, then for each argument `CODE PATH`, where a code of `socket` means that it can be
/// connected to.
const OBSERVE: &str = "sed -n 's/^ *\\([^ :]*\\):.*/interface \\1/p' /proc/self/net/dev
for path; do
    if [ -S \"$path\" ]; then echo \"socket $path\"; elif [ -s \"$path\" ]; then \"$path\" </dev/null >/dev/null 2>&1; echo \"$? $path\"; fi
done";

impl Isolation {
    /// The strongest isolation that this machine allows.
    ///
    /// # Errors
    /// It allows none without a network.
    pub(super) fn probe(poison: &Poison, nothing: &Path) -> anyhow::Result<Isolation> {
        let is_root = rustix::process::geteuid().is_root();
        let sockets = sockets();
        for (user, mounts, processes) in [
            (true, true, true),
            (false, true, true),
            (true, true, false),
            (false, true, false),
            (true, false, false),
            (false, false, false),
        ] {
            let isolation =
                Isolation { user, mounts, processes, sockets: sockets.clone(), nothing: nothing.to_owned() };
            let works = isolation.run(poison, &["true".to_owned()]).is_ok();
            if (user || is_root) && works {
                return Ok(isolation);
            }
        }
        Err(Failure::missing(
            "this machine cannot take the network away from a process (`unshare --net` fails); run as root, or allow user \
             namespaces (on Ubuntu: sysctl --write kernel.apparmor_restrict_unprivileged_userns=0)",
        ))
    }

    /// The parts that this machine does not allow.
    pub(super) fn missing(&self) -> Vec<String> {
        let parts = [
            (self.user, "a user namespace: the build could enter namespaces of other processes"),
            (self.mounts, "mounts: replaced programs were replaced in PATH only, and sockets were not hidden"),
            (
                self.processes,
                "a process namespace: what the build leaves running is found by Drydock, and not by the kernel",
            ),
        ];
        parts.into_iter().filter(|(is_there, _)| !is_there).map(|(_, what)| what.to_owned()).collect()
    }

    /// The command in this isolation.
    pub(super) fn command(&self, poison: &Poison, command: &[String]) -> Vec<String> {
        let mut argv: Vec<&str> = vec!["unshare", "--net", "--ipc"];
        if self.user {
            argv.extend(["--user", "--map-root-user"]);
        }
        if self.mounts {
            argv.push("--mount");
        }
        if self.processes {
            argv.extend(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        let mut script = String::new();
        if self.mounts {
            script.push_str(&poison.mounts());
            for socket in &self.sockets {
                let [from, to] = [&self.nothing, socket].map(|path| path.display().to_string());
                let words = ["mount".to_owned(), "--bind".into(), from, to];
                // A socket that is gone meanwhile needs no cover; the observation finds one that is not covered.
                script.push_str(&format!("{} 2>/dev/null\n", exec::paste(&words)));
            }
        }
        script.push_str(LOOPBACK);
        // In a namespace below, the command cannot take the mounts away. The shell stays, as the first process of the
        // process namespace, so that the command gets signals like any other.
        let inner = if self.user && self.mounts { "unshare --user --map-root-user --mount -- " } else { "" };
        script.push_str(&format!("{inner}\"$@\"\nexit $?"));
        argv.extend(["sh", "-c", &script, "sh"]);
        argv.into_iter().map(str::to_owned).chain(command.iter().cloned()).collect()
    }

    fn run(&self, poison: &Poison, command: &[String]) -> Result<Vec<u8>, exec::Error> {
        exec::contained(&self.command(poison, command), Path::new("/"), exec::environment(&[], &BTreeMap::new()))
    }

    /// Looks at the isolation from inside.
    ///
    /// # Errors
    /// There is a network, a replaced program works, or a socket of another process is in reach.
    pub(super) fn observe(&self, poison: &Poison) -> anyhow::Result<Observed> {
        let mut words: Vec<String> = ["sh", "-c", OBSERVE, "sh"].map(str::to_owned).to_vec();
        let sockets: &[PathBuf] = if self.mounts { &self.sockets } else { &[] };
        let calls = poison.calls(self.mounts);
        let paths = calls.iter().chain(sockets).cloned();
        words.extend(paths.map(|path| path.display().to_string()));
        let printed = self.run(poison, &words)?;
        let printed = String::from_utf8_lossy(&printed);
        poison.reset()?;
        let (mut interfaces, mut replaced) = (Vec::new(), Vec::new());
        for line in printed.lines() {
            match line.split_once(' ') {
                Some(("interface", name)) => interfaces.push(name.to_owned()),
                Some(("127", path)) => replaced.push(path.to_owned()),
                Some(("socket", path)) => {
                    return Err(Failure::missing(format!("the socket {path} cannot be hidden from the build")));
                }
                _ => return Err(Failure::missing(format!("a program cannot be replaced by one that fails: {line}"))),
            }
        }
        if let Some(missing) = calls.iter().find(|call| !replaced.iter().any(|path| Path::new(path) == *call)) {
            return Err(Failure::missing(format!("{} cannot be replaced by a program that fails", missing.display())));
        }
        if let Some(other) = interfaces.iter().find(|name| *name != "lo") {
            return Err(Failure::missing(format!("the network interface {other} cannot be hidden from the build")));
        }
        Ok(Observed { interfaces, replaced, hidden_sockets: sockets.len() })
    }
}

/// The sockets that a build could connect to: those of the kernel's list, and those in the usual directories, which may be
/// of other network namespaces.
fn sockets() -> Vec<PathBuf> {
    let listed = fs::read_to_string("/proc/self/net/unix").unwrap_or_default();
    // `Num: RefCount Protocol Flags Type St Inode Path`
    let listed = listed.lines().filter_map(|line| line.find(" /").map(|at| PathBuf::from(&line[at + 1..])));
    let mut found: Vec<PathBuf> = listed.collect();
    let (mut directories, mut left) = (SOCKET_DIRECTORIES.map(PathBuf::from).to_vec(), MOST_FILES);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Some(one_less) = left.checked_sub(1) else { break };
            left = one_less;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(kind) if kind.is_socket() => found.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    let is_socket = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    found.retain(is_socket);
    found.sort();
    found.dedup();
    found
}
