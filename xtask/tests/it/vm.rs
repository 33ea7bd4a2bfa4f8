//! Throw-away virtual machines: Debian's cloud kernel under qemu, with an initramfs made of the files that a test
//! names. They give a test what it cannot have here: another cgroup version, little memory, a machine that dies.
//!
//! `-accel tcg` always: `/dev/kvm` may exist and hang, and the time to boot is seconds either way.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{mortal, need, need_tool, wait_for, xtask_binary};

mod kernel;

use kernel::{DISK_MODULES, kernel};

/// The version of cgroups in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    V1,
    V2,
}

impl Hierarchy {
    /// The lines of `/init` that mount it.
    fn mount(self) -> &'static str {
        match self {
            Self::V1 => {
                "mount -t tmpfs tmpfs /sys/fs/cgroup\n\
                 mkdir /sys/fs/cgroup/memory\n\
                 mount -t cgroup -o memory memory /sys/fs/cgroup/memory\n"
            }
            Self::V2 => {
                "mount -t cgroup2 cgroup2 /sys/fs/cgroup\n\
                 echo +memory +pids > /sys/fs/cgroup/cgroup.subtree_control\n"
            }
        }
    }
}

/// A guest that is about to boot.
pub(crate) struct Guest {
    hierarchy: Hierarchy,
    memory_mib: u32,
    limit: Duration,
    files: BTreeMap<PathBuf, PathBuf>,
    script: String,
    disk: Option<PathBuf>,
    /// Whether it goes on with the system on its disk, instead of the script.
    is_on_disk: bool,
    dies_at: Option<String>,
}

/// Runs before the script of every guest: `/init` of the initramfs.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /bin /sbin /usr/bin /usr/sbin /root
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
{modules}{cgroups}echo "@@up $(cut -d' ' -f1 /proc/uptime)"
cd /root
sh /script 2>&1
code=$?
[ $code = 0 ] || dmesg | tail -n 40
echo "@@exit $code $(cut -d' ' -f1 /proc/uptime)"
poweroff -f
"#;

/// The same for a guest that goes on with the system on its disk.
const INIT_OF_DISK: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev /bin /sbin /root
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
{modules}mount -t ext4 /dev/vda /root
umount /proc
mount --move /dev /root/dev
exec switch_root /root /sbin/init
"#;

impl Guest {
    /// A guest that runs the script (busybox `sh`, as root, on cgroup v2) and powers itself off. Nothing but busybox
    /// is in it until it is added.
    pub(crate) fn new(memory_mib: u32, script: &str) -> Self {
        let files = BTreeMap::from([("bin/busybox".into(), "/bin/busybox".into())]);
        let limit = Duration::from_secs(180);
        let script = script.to_owned();
        Self {
            hierarchy: Hierarchy::V2,
            memory_mib,
            limit,
            files,
            script,
            disk: None,
            is_on_disk: false,
            dies_at: None,
        }
    }

    /// A guest that boots the system on a disk, and ends when that is powered off.
    pub(crate) fn of_disk(memory_mib: u32, image: &Path) -> Self {
        Self { is_on_disk: true, ..Self::new(memory_mib, "").disk(image) }
    }

    /// A guest that runs one test of this very binary, ignored or not, with what the tests of memory and deaths need.
    /// What is missing in the guest fails the test.
    pub(crate) fn of_test(memory_mib: u32, test: &str, variables: &str) -> Self {
        let script = format!(
            "export CI=true {INSIDE}=1 DRYDOCK_TEST_XTASK=/bin/xtask DRYDOCK_TEST_FIXTURES=/fixtures RUST_BACKTRACE=1 {variables}\n\
             it {test} --exact --include-ignored --nocapture --test-threads=1\n"
        );
        Self::new(memory_mib, &script)
            .program("/bin/xtask", &xtask_binary())
            .program("/bin/it", &std::env::current_exe().unwrap())
            .program("/fixtures/mortal", &mortal())
            .memcheck()
    }

    /// Goes on with these commands if those before succeeded.
    pub(crate) fn then(self, script: &str) -> Self {
        Self { script: format!("set -e\n{}{script}", self.script), ..self }
    }

    /// Gives it a disk, `/dev/vda`, with the bytes of that file. What is written stays there.
    pub(crate) fn disk(mut self, image: impl Into<PathBuf>) -> Self {
        self.disk = Some(image.into());
        for module in DISK_MODULES {
            // A kernel that was brought may have it built in.
            if let Some(host) = kernel().module(module) {
                self = self.file(format!("/modules/{module}.ko"), host);
            }
        }
        self
    }

    /// The machine loses its power as soon as the console shows this.
    pub(crate) fn dies_at(mut self, mark: &str) -> Self {
        self.dies_at = Some(mark.to_owned());
        self
    }

    /// Sets the version of cgroups; 2 by default.
    pub(crate) fn hierarchy(mut self, hierarchy: Hierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Sets the limit for the guest on a quiet machine, from the start of qemu to its end; 3 minutes by default.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Adds a file of this machine, under a path of the guest.
    pub(crate) fn file(mut self, guest: impl AsRef<Path>, host: impl Into<PathBuf>) -> Self {
        self.files.insert(guest.as_ref().strip_prefix("/").unwrap().to_owned(), host.into());
        self
    }

    /// Adds a program with the libraries that it is linked to.
    pub(crate) fn program(mut self, guest: &str, host: &Path) -> Self {
        // It fails on a static program, which has no libraries.
        let ldd = Command::new("ldd").arg(host).output().expect("ldd is a part of libc-bin");
        for word in String::from_utf8_lossy(&ldd.stdout).split_whitespace() {
            if word.starts_with('/') && Path::new(word).is_file() {
                self = self.file(word, word);
            }
        }
        self.file(guest, host)
    }

    /// Adds valgrind with memcheck.
    pub(crate) fn memcheck(mut self) -> Self {
        for host in ["/usr/bin/valgrind", "/usr/bin/valgrind.bin"] {
            // Debian's `valgrind` is a script around `valgrind.bin`; elsewhere it is the program.
            if Path::new(host).exists() {
                self = self.program(host, Path::new(host));
            }
        }
        for name in [
            "memcheck-amd64-linux",
            "vgpreload_core-amd64-linux.so",
            "vgpreload_memcheck-amd64-linux.so",
            "default.supp",
        ] {
            let host = format!("/usr/libexec/valgrind/{name}");
            self = self.file(&host, &host);
        }
        // Memcheck must redirect functions of the stripped dynamic linker, and finds them by its debug file.
        let debug = debug_file(Path::new("/lib64/ld-linux-x86-64.so.2"));
        self.file(&debug, &debug)
    }

    /// Boots, runs the script, waits for the end; ends the guest at the limit.
    pub(crate) fn boot(self) -> Console {
        let directory = tempfile::Builder::new().prefix("drydock-vm-").tempdir().unwrap();
        let initramfs = directory.path().join("initramfs");
        let console = directory.path().join("console");
        self.write_initramfs(&initramfs);
        let started = Instant::now();
        let disk = self.disk.as_ref().map(|disk| format!("file={},if=virtio,format=raw", disk.display()));
        let disk = disk.iter().flat_map(|disk| ["-drive", disk]);
        let mut qemu = Qemu(
            Command::new("qemu-system-x86_64")
                .args(["-accel", "tcg,thread=multi", "-smp", "2"])
                .args(["-m", &self.memory_mib.to_string()])
                .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
                .arg("-serial")
                .arg(format!("file:{}", console.display()))
                .arg("-kernel")
                .arg(&kernel().image)
                .arg("-initrd")
                .arg(&initramfs)
                .args(disk)
                // The log of the kernel would tear the lines of the script apart: only what is critical is shown. On a busy machine
                // the emulated timer may miss the kernel's check of it.
                .args([
                    "-append",
                    "console=ttyS0 panic=-1 loglevel=3 mitigations=off random.trust_cpu=on no_timer_check psi=1 \
                     systemd.show_status=0",
                ])
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        );
        wait_for(self.limit, || {
            let reached = |mark| String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).contains(mark);
            let dies = self.dies_at.as_deref().is_some_and(reached);
            (dies || qemu.0.try_wait().unwrap().is_some()).then_some(())
        });
        drop(qemu);
        let text = fs::read(&console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        Console { text, took: started.elapsed(), initramfs: fs::metadata(&initramfs).unwrap().len() }
    }

    fn init(&self) -> String {
        let modules: String = DISK_MODULES
            .iter()
            .map(|module| format!("/modules/{module}.ko"))
            .filter(|module| self.files.contains_key(Path::new(&module[1..])))
            .map(|module| format!("insmod {module}\n"))
            .collect();
        let init = if self.is_on_disk { INIT_OF_DISK } else { INIT };
        init.replace("{cgroups}", self.hierarchy.mount()).replace("{modules}", &modules)
    }

    fn write_initramfs(&self, path: &Path) {
        let mut archive = Newc::default();
        archive.directory("dev");
        // Without a console node, init has no standard output.
        archive.entry("dev/console", 0o020_600, (5, 1), b"");
        archive.file("init", 0o755, self.init().as_bytes());
        archive.file("script", 0o644, self.script.as_bytes());
        for (guest, host) in &self.files {
            for directory in guest.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
                archive.directory(directory.to_str().unwrap());
            }
            let mode = fs::metadata(host).unwrap_or_else(|error| panic!("{}: {error}", host.display())).permissions();
            let bytes = without_debug_information(guest, host);
            archive.file(guest.to_str().unwrap(), mode.mode() & 0o777, &bytes);
        }
        fs::write(path, archive.finish()).unwrap();
    }
}

/// The output of a guest.
pub(crate) struct Console {
    /// The whole serial console.
    pub(crate) text: String,
    /// From the start of qemu to its end.
    pub(crate) took: Duration,
    /// Size of the initramfs in bytes.
    pub(crate) initramfs: u64,
}

impl Console {
    /// The rest of each line that starts with the mark.
    pub(crate) fn marked<'a>(&'a self, mark: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter_map(move |line| line.strip_prefix(mark))
    }

    /// The exit code of the script; none when the guest died, or reached its limit, before the end of it.
    pub(crate) fn exit(&self) -> Option<i32> {
        self.marked("@@exit ").last()?.split(' ').next()?.parse().ok()
    }

    /// The times and sizes of the guest, as one line for the log.
    pub(crate) fn figures(&self) -> String {
        let uptime = |mark| self.marked(mark).last().and_then(|line| line.split(' ').next_back()).unwrap_or("?");
        format!(
            "guest: script started {} s and ended {} s after the kernel, {:.1} s with qemu, initramfs {:.1} MB",
            uptime("@@up "),
            uptime("@@exit "),
            self.took.as_secs_f64(),
            self.initramfs as f64 / 1e6,
        )
    }
}

/// The child, killed and reaped when dropped.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Set in a guest that runs a test.
const INSIDE: &str = "DRYDOCK_TEST_GUEST";

/// Whether this is a test in a guest.
pub(crate) fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the test of this name in a guest, since this machine does not give what it needs.
#[track_caller]
pub(crate) fn run_test_in_guest(test: &str) {
    if available() {
        let console = Guest::of_test(1024, test, "").boot();
        println!("{}", console.figures());
        assert_eq!(console.exit(), Some(0), "{test} in a guest: {}", console.text);
        assert!(console.text.contains("1 passed; 0 failed"), "{test} in a guest: {}", console.text);
    }
}

/// Whether this machine can boot guests.
#[must_use]
pub(crate) fn available() -> bool {
    need(cfg!(target_arch = "x86_64"), "the guests are x86-64")
        && need_tool("qemu-system-x86_64", "qemu-system-x86")
        && need(Path::new("/bin/busybox").exists(), "busybox is missing: apt-get install busybox-static")
}

/// The file of Debian's `libc6-dbg` with the symbols of a library.
fn debug_file(library: &Path) -> String {
    let notes = output(Command::new("readelf").arg("--notes").arg(library));
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).unwrap();
    let path = format!("/usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]);
    assert!(Path::new(&path).exists(), "{path} is missing: apt-get install libc6-dbg");
    path
}

/// The file's bytes; a big Rust program without its debug information, since the guest keeps all in memory.
fn without_debug_information(guest: &Path, host: &Path) -> Vec<u8> {
    let stripped = tempfile::NamedTempFile::new().unwrap();
    let big = fs::metadata(host).unwrap().len() > 4_000_000;
    // Not the libraries: valgrind reads their symbols.
    if big && !guest.starts_with("lib") {
        output(Command::new("strip").arg("-o").args([stripped.path(), host]));
        return fs::read(stripped.path()).unwrap();
    }
    fs::read(host).unwrap()
}

/// The standard output of a command that must succeed.
fn output(command: &mut Command) -> String {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Writer of the "new ASCII" cpio format, which the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Newc {
    bytes: Vec<u8>,
    inode: u32,
    directories: std::collections::BTreeSet<String>,
}

impl Newc {
    fn directory(&mut self, name: &str) {
        if !name.is_empty() && self.directories.insert(name.to_owned()) {
            self.entry(name, 0o040_755, (0, 0), b"");
        }
    }

    fn file(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.entry(name, 0o100_000 | mode, (0, 0), data);
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) {
        self.inode += 1;
        let size = u32::try_from(data.len()).unwrap();
        let name_size = u32::try_from(name.len() + 1).unwrap();
        // inode, mode, uid, gid, links, mtime, size, device, device of a node, size of the name, checksum
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            write!(self.bytes, "{field:08x}").unwrap();
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }
}

#[test]
fn a_guest_boots_runs_memcheck_and_powers_off() {
    if !available() || !need_tool("valgrind", "valgrind") {
        return;
    }
    let script = "\
        cat /sys/fs/cgroup/cgroup.controllers\n\
        mortal-static exit 7; echo \"@@plain $?\"\n\
        valgrind -q --leak-check=full --error-exitcode=99 mortal leak; echo \"@@memcheck $?\"\n\
        exit 5\n";
    let console = Guest::new(512, script)
        .program("/bin/mortal", &crate::support::mortal())
        .program("/bin/mortal-static", &crate::support::fixtures().join("mortal-static"))
        .memcheck()
        .boot();
    println!("{}", console.figures());
    assert_eq!(console.marked("@@plain ").collect::<Vec<_>>(), ["7"], "{}", console.text);
    assert_eq!(console.marked("@@memcheck ").collect::<Vec<_>>(), ["99"], "{}", console.text);
    assert!(console.text.contains("memory"), "{}", console.text);
    assert!(console.text.contains("die_leak (mortal.c:"), "{}", console.text);
    assert_eq!(console.exit(), Some(5), "{}", console.text);
}
