//! What a test used, from the files that strace(1) wrote of its processes: ports, sockets, files, locks, and objects of System
//! V. One file a process (`-ff`), with paths of descriptors (`-y`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};

use call::{Call, joined, unquoted};

mod call;

/// The system calls that are traced.
pub const CALLS: &str = "trace=%file,bind,connect,flock,fcntl,shmget,semget,msgget,fchdir,clone,clone3,fork,vfork,kill";
/// The first part of the names of strace's files; the pid follows.
pub const PREFIX: &str = "trace.";
/// The most things of one test that are kept.
const MOST_USED: usize = 100_000;
/// Directories of the system, in which nothing but writing is of interest.
const OF_SYSTEM: [&str; 6] = ["/usr", "/lib", "/lib64", "/etc", "/bin", "/sbin"];

/// Something that two tests may both use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A port of TCP or UDP, of any address of this machine.
    Port(u16),
    /// An abstract socket, without its zero byte.
    Abstract(String),
    /// A System V object: its kind (`shared memory`), and its key.
    SystemV(&'static str, String),
    /// A file, a directory, or a socket with a path.
    File(PathBuf),
}

/// What a test did with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// It asked whether it is there.
    Looks,
    /// It opened it for reading.
    Reads,
    /// It opened it for writing at its end only.
    Appends,
    /// It opened it for writing.
    Writes,
    /// It made it.
    Creates,
    /// It moved a finished file there, which others see whole.
    Replaces,
    /// It deleted it, or moved it away.
    Removes,
    /// It asked for a lock on it.
    Locks,
    /// It bound a socket to it.
    Binds,
    /// It connected a socket to it.
    Connects,
}

/// How a test used a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// What it did.
    pub acts: BTreeSet<Act>,
    /// The kernel's errors that speak for another user of it: `EADDRINUSE`.
    pub errors: BTreeSet<String>,
}

/// Everything that a test used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// By resource.
    pub of: BTreeMap<Resource, Used>,
    /// Its processes.
    pub pids: BTreeSet<u32>,
    /// Processes that it sent a signal to, with the signal's name.
    pub signalled: BTreeMap<u32, String>,
}

/// The errors that speak for another user.
const TELLING: [&str; 7] = ["EADDRINUSE", "EEXIST", "EAGAIN", "EWOULDBLOCK", "ETXTBSY", "ENOTEMPTY", "ECONNREFUSED"];

/// Reads the files of a directory; `start` is the working directory of the first process.
///
/// # Errors
/// The directory or a file cannot be read.
pub fn read(directory: &Path, start: &Path) -> io::Result<Uses> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        files.extend(pid.map(|pid| (pid, entry.path())));
    }
    let mut reader = Reader { uses: Uses { pids: files.keys().copied().collect(), ..Uses::default() }, files };
    // Children are read where their parents start them; the first process is nobody's child.
    let mut children = BTreeSet::new();
    for path in reader.files.values() {
        let text = io::BufReader::new(std::fs::File::open(path)?);
        for line in text.split(b'\n') {
            let line = line?;
            if ["clone", "fork", "vfork"].iter().any(|name| line.starts_with(name.as_bytes())) {
                children.extend(Call::parse(&String::from_utf8_lossy(&line)).and_then(|call| call.child()));
            }
        }
    }
    let first = reader.files.keys().copied().filter(|pid| !children.contains(pid));
    for pid in first.chain(children.iter().copied()).collect::<Vec<_>>() {
        reader.process(pid, start.to_owned())?;
    }
    let Uses { pids, signalled, .. } = &mut reader.uses;
    signalled.retain(|pid, _| !pids.contains(pid));
    Ok(reader.uses)
}

struct Reader {
    uses: Uses,
    files: BTreeMap<u32, PathBuf>,
}

impl Reader {
    fn process(&mut self, pid: u32, mut directory: PathBuf) -> io::Result<()> {
        let Some(path) = self.files.remove(&pid) else { return Ok(()) };
        let mut lines = io::BufReader::new(std::fs::File::open(path)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let Some(call) = Call::parse(text.trim_end()) else { continue };
            match (call.name, call.error()) {
                ("chdir", None) => directory.clone_from(&call.path(0, &directory)),
                ("fchdir", None) => directory = call.described(0).unwrap_or(directory),
                ("clone" | "clone3" | "fork" | "vfork", None) => {
                    // Read now, with the directory of now.
                    if let Some(child) = call.child() {
                        self.process(child, directory.clone())?;
                    }
                }
                _ => self.call(&call, &directory),
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &Call<'_>, directory: &Path) {
        use Act::{Binds, Connects, Creates, Locks, Looks, Removes, Replaces};
        let made = |act: Act| if call.error().is_none() { act } else { Looks };
        match call.name {
            "open" | "creat" => self.opened(call, 0, call.path(0, directory)),
            "openat" | "openat2" => self.opened(call, 1, call.path_at(0, directory)),
            "mkdir" | "mknod" => self.file(call, call.path(0, directory), &[made(Creates)]),
            "mkdirat" | "mknodat" => self.file(call, call.path_at(0, directory), &[made(Creates)]),
            "symlink" | "link" => self.file(call, call.path(1, directory), &[made(Creates)]),
            "symlinkat" => self.file(call, call.path_at(1, directory), &[made(Creates)]),
            "linkat" => self.file(call, call.path_at(2, directory), &[made(Creates)]),
            "unlink" | "rmdir" => self.file(call, call.path(0, directory), &[made(Removes)]),
            "unlinkat" => self.file(call, call.path_at(0, directory), &[made(Removes)]),
            "rename" => {
                self.file(call, call.path(0, directory), &[made(Removes)]);
                self.file(call, call.path(1, directory), &[made(Replaces)]);
            }
            "renameat" | "renameat2" => {
                self.file(call, call.path_at(0, directory), &[made(Removes)]);
                self.file(call, call.path_at(2, directory), &[made(Replaces)]);
            }
            "truncate" => self.file(call, call.path(0, directory), &[made(Act::Writes)]),
            "execve" => self.file(call, call.path(0, directory), &[Act::Reads]),
            "stat" | "lstat" | "access" | "statfs" | "readlink" => self.file(call, call.path(0, directory), &[Looks]),
            "newfstatat" | "statx" | "faccessat" | "faccessat2"
                if call.text(1).is_some_and(|path| !path.is_empty()) =>
            {
                self.file(call, call.path_at(0, directory), &[Looks]);
            }
            "bind" => self.socket(call, directory, Binds),
            "connect" => self.socket(call, directory, Connects),
            "flock" => {
                if let Some(path) = call.described(0).filter(|_| !call.mentions(1, "LOCK_UN")) {
                    self.file(call, path, &[Locks]);
                }
            }
            "fcntl" if call.mentions(1, "SETLK") && !call.mentions(2, "F_UNLCK") => {
                if let Some(path) = call.described(0) {
                    self.file(call, path, &[Locks]);
                }
            }
            "shmget" => self.system_v(call, "shared memory"),
            "semget" => self.system_v(call, "semaphores"),
            "msgget" => self.system_v(call, "a message queue"),
            "kill" if call.error().is_none() => {
                let pid = call.arguments.first().and_then(|pid| pid.trim().parse::<u32>().ok()).filter(|pid| *pid > 1);
                let signal = call.arguments.get(1).map(|signal| signal.trim().to_owned()).unwrap_or_default();
                if let Some(pid) = pid.filter(|_| signal != "0") {
                    self.uses.signalled.insert(pid, signal);
                }
            }
            _ => {}
        }
    }

    fn opened(&mut self, call: &Call<'_>, flags: usize, path: PathBuf) {
        let flags = flags + 1;
        let writes = call.name == "creat" || call.mentions(flags, "O_WRONLY") || call.mentions(flags, "O_RDWR");
        let creates = call.name == "creat" || call.mentions(flags, "O_CREAT");
        let mut acts = Vec::new();
        if call.error().is_some() {
            acts.push(Act::Looks);
        } else {
            // The kernel knows the true path.
            match (writes, call.mentions(flags, "O_APPEND")) {
                (true, true) => acts.push(Act::Appends),
                (true, false) => acts.push(Act::Writes),
                (false, _) => acts.push(Act::Reads),
            }
            if creates {
                acts.push(Act::Creates);
            }
        }
        let path = call.returned().filter(|_| call.error().is_none()).unwrap_or(path);
        self.file(call, path, &acts);
    }

    fn socket(&mut self, call: &Call<'_>, directory: &Path, act: Act) {
        let Some(address) = call.arguments.get(1) else { return };
        let port = ["htons("].iter().find_map(|begin| address.split_once(begin));
        let port = port.and_then(|(_, rest)| rest.split_once(')')?.0.parse::<u16>().ok()).filter(|port| *port != 0);
        if let Some(port) = port {
            // Elsewhere a connection leads to another machine.
            let is_here = act == Act::Binds || ["127.", "::1", "0.0.0.0"].iter().any(|here| address.contains(here));
            if is_here && !(act == Act::Connects && port == 53) {
                self.put(Resource::Port(port), call, &[act]);
            }
        } else if let Some((_, rest)) = address.split_once("sun_path=") {
            if let Some(name) = rest.strip_prefix('@') {
                let name = unquoted(name).unwrap_or_default();
                self.put(Resource::Abstract(name), call, &[act]);
            } else if let Some(path) = unquoted(rest) {
                self.file(call, joined(directory, &path), &[act]);
            }
        }
    }

    fn system_v(&mut self, call: &Call<'_>, kind: &'static str) {
        if let Some(key) = call.arguments.first().filter(|key| !key.contains("PRIVATE")) {
            self.put(Resource::SystemV(kind, key.trim().to_owned()), call, &[Act::Creates]);
        }
    }

    fn file(&mut self, call: &Call<'_>, path: PathBuf, acts: &[Act]) {
        let changes = acts.iter().any(|act| !matches!(act, Act::Looks | Act::Reads));
        let below = |root: &str| path.starts_with(root);
        let is_device = below("/dev") && !below("/dev/shm") || below("/proc") || below("/sys");
        if !is_device && (changes || !OF_SYSTEM.iter().any(|root| below(root))) {
            self.put(Resource::File(path), call, acts);
        }
    }

    fn put(&mut self, resource: Resource, call: &Call<'_>, acts: &[Act]) {
        if self.uses.of.len() >= MOST_USED && !self.uses.of.contains_key(&resource) {
            return;
        }
        let used = self.uses.of.entry(resource).or_default();
        used.acts.extend(acts);
        let telling = call.error().filter(|error| TELLING.contains(error));
        used.errors.extend(telling.map(|error| format!("{}: {error}", call.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(processes: &[(u32, &str)]) -> Uses {
        let directory = tempfile::tempdir().unwrap();
        for (pid, text) in processes {
            std::fs::write(directory.path().join(format!("{PREFIX}{pid}")), text).unwrap();
        }
        read(directory.path(), Path::new("/p")).unwrap()
    }

    #[test]
    fn what_a_test_used_is_read_with_the_directory_of_each_process() {
        let uses = uses(&[
            (
                7,
                "execve(\"/usr/bin/sh\", [\"sh\", \"-c\", \"a), = 1\"], 0x7 /* 9 vars */) = 0\n\
                 mkdir(\"db\", 0777)                       = 0\nmkdir(\"db\", 0777) = -1 EEXIST (File exists)\n\
                 chdir(\"db\") = 0\nclone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 9\n\
                 vfork()                                 = 3\nchdir(\"..\") = 0\nunlink(\"late\") = 0\n",
            ),
            (
                9,
                "openat(AT_FDCWD</p/db>, \"a\\\"b\\303\\251\", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3</p/db/a\"b\\303\\251>\n\
                 rename(\"t.tmp\", \"t\") = 0\nflock(3</p/db/lock>, LOCK_EX|LOCK_NB) = -1 EAGAIN (Resource temporarily unavailable)\n\
                 fcntl(3</p/db/l2>, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=0}) = 0\n\
                 fcntl(3</p/db/l3>, F_GETFL) = 0\nopenat(AT_FDCWD</p/db>, \"../log\", O_WRONLY|O_APPEND) = 3</p/log>\n\
                 openat(AT_FDCWD</p/db>, \"/dev/null\", O_WRONLY|O_CREAT) = 3</dev/null>\n\
                 newfstatat(3</etc/x>, \"\", {st_mode=S_IFREG|0644, st_size=3, ...}, AT_EMPTY_PATH) = 0\n",
            ),
            (
                3,
                "bind(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = -1 EADDRINUSE (Address already in use)\n\
                 bind(3<socket:[1]>, {sa_family=AF_INET6, sin6_port=htons(0), sin6_flowinfo=htonl(0)}, 28) = 0\n\
                 connect(4<socket:[1]>, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr(\"10.0.0.1\")}, 16) = 0\n\
                 bind(3<socket:[1]>, {sa_family=AF_UNIX, sun_path=\"sock\"}, 110) = 0\n\
                 bind(3<socket:[1]>, {sa_family=AF_UNIX, sun_path=@\"abs\"}, 110) = 0\n\
                 shmget(0x4d2, 100, IPC_CREAT|0600) = 5\nshmget(IPC_PRIVATE, 100, 0600) = 5\n\
                 kill(4711, SIGTERM) = 0\nkill(9, SIGTERM) = 0\nkill(4712, 0) = 0\n+++ exited with 0 +++\n",
            ),
        ]);
        use Act::*;
        let shown: Vec<(String, Vec<Act>, Vec<&str>)> = uses
            .of
            .iter()
            .map(|(resource, used)| {
                let name = match resource {
                    Resource::File(path) => path.display().to_string(),
                    other => format!("{other:?}"),
                };
                (name, used.acts.iter().copied().collect(), used.errors.iter().map(String::as_str).collect())
            })
            .collect();
        let expected: Vec<(&str, Vec<Act>, Vec<&str>)> = vec![
            ("Port(8080)", vec![Binds], vec!["bind: EADDRINUSE"]),
            ("Abstract(\"abs\")", vec![Binds], vec![]),
            ("SystemV(\"shared memory\", \"0x4d2\")", vec![Creates], vec![]),
            ("/p/db", vec![Looks, Creates], vec!["mkdir: EEXIST"]),
            ("/p/db/a\"bé", vec![Writes, Creates], vec![]),
            ("/p/db/l2", vec![Locks], vec![]),
            ("/p/db/lock", vec![Locks], vec!["flock: EAGAIN"]),
            ("/p/db/sock", vec![Binds], vec![]),
            ("/p/db/t", vec![Replaces], vec![]),
            ("/p/db/t.tmp", vec![Removes], vec![]),
            ("/p/late", vec![Removes], vec![]),
            ("/p/log", vec![Appends], vec![]),
        ];
        let expected: Vec<_> =
            expected.into_iter().map(|(name, acts, errors)| (name.to_owned(), acts, errors)).collect();
        assert_eq!(shown, expected);
        assert_eq!(uses.signalled.keys().collect::<Vec<_>>(), [&4711]);
    }

    #[test]
    fn lines_that_are_cut_or_strange_are_left_out() {
        for line in [
            "",
            "openat(",
            "openat(1, \"a",
            "+++ killed by SIGKILL +++",
            "--- SIGCHLD {si} ---",
            "x y(1) = 0",
            "f() ? 1",
        ] {
            assert!(Call::parse(line).is_none(), "{line}");
        }
        assert_eq!(uses(&[(1, "openat(AT_FDCWD</p>, \"a\", O_RDONLY) = ?\nmkdir(\"x\", 0777) = ?\n")]).pids.len(), 1);
    }
}
