//! Smoke tests that pass, fail, escape and exceed their limits.

use super::cgroup::Cgroup;
use super::*;
use crate::model::{Descriptor, ImageConfig, Manifest, media};
use drydock_archive::layer::{Item, ItemKind, Layer};
use drydock_base::units::ByteSize;
use drydock_config::images::{Digest, Images};

/// An image with this machine's busybox as its shell.
fn image(directory: &Path) -> (Layout, WrittenImage) {
    let layout = Layout::create(directory).unwrap();
    let mut layer = Layer::new(directory).unwrap();
    layer.put("bin".into(), Item::directory(0));
    let content = layer.keep(&mut File::open("/bin/busybox").unwrap()).unwrap();
    layer.put("bin/busybox".into(), Item { mode: 0o4755, owner: (0, 7), ..Item::file(content, 0) });
    layer.put("bin/sh".into(), Item { kind: ItemKind::Link("busybox".into()), ..Item::directory(0) });
    let content = layer.keep(&mut File::open(escape(directory)).unwrap()).unwrap();
    layer.put("bin/escape".into(), Item { mode: 0o755, ..Item::file(content, 0) });
    let mut part = layout.part().unwrap();
    let written = layer.write(0, part.as_file_mut()).unwrap();
    layout.keep(part, &Digest(written.sha256)).unwrap();
    let layer = Descriptor::new(media::LAYER_GZIP, Digest(written.sha256), written.size);
    let manifest = Manifest::new(Descriptor::for_bytes(media::EMPTY, b"{}"), vec![layer]);
    let mut config = ImageConfig::from_scratch(Platform::Amd64);
    config.config.env = ["V=v1.0", "PATH=/bin"].map(str::to_owned).to_vec();
    config.config.working_dir = Some("/bin".to_owned());
    (layout, WrittenImage { descriptor: manifest.config.clone(), manifest, config })
}

/// A program that tries known ways to escape from its root.
const ESCAPE: &str = r#"
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <sched.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/mount.h>
    #include <sys/prctl.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <string.h>
    #include <unistd.h>
    static void look(const char *way) {
        if (access("/etc/passwd", F_OK) == 0) { printf("out by %s\n", way); exit(1); }
    }
    int main(int argc, char **argv) {
        if (argc > 1 && !strncmp(argv[1], "key", 3)) {
            /* linux/keyctl.h: the session keyring is -3, KEYCTL_SEARCH is 10, KEYCTL_READ is 11. */
            long key = syscall(SYS_keyctl, 10, -3, "user", argv[2], 0);
            char secret[7] = "none";
            if (key >= 0) syscall(SYS_keyctl, 11, key, secret, 6);
            printf("%s\n", key < 0 ? "v1.0" : secret);
            return 0;
        }
        if (argc > 1 && !strcmp(argv[1], "memory")) {
            for (int i = 0; i < 256; i++) {
                char *piece = malloc(1 << 20);
                if (!piece) return 7;
                memset(piece, 1, 1 << 20);
            }
            puts("v1.0");
            return 0;
        }
        if (argc > 1 && !strcmp(argv[1], "tmpfs")) {
            if (mount("x", "/tmp", "tmpfs", 0, "size=1g")) return 8;
            int file = open("/tmp/x", O_CREAT | O_WRONLY, 0600);
            static char piece[1 << 20];
            for (int i = 0; i < 40; i++) if (write(file, piece, sizeof piece) != sizeof piece) return 9;
            for (int i = 0; i < 40; i++) {
                file = open(i % 2 ? "/tmp/y" : "/tmp/z", O_CREAT | O_APPEND | O_WRONLY, 0600);
                if (write(file, piece, sizeof piece) != sizeof piece) return 9;
            }
            puts("v1.0");
            return 0;
        }
        if (argc > 1 && !strcmp(argv[1], "forks")) {
            /* A bomb that ends: without a limit, it says what is expected. */
            for (int i = 0; i < 1500; i++) {
                pid_t child = fork();
                if (child < 0) return 11;
                if (child == 0) for (;;) pause();
            }
            puts("v1.0");
            return 0;
        }
        if (argc > 1) {
            prctl(PR_SET_PDEATHSIG, 0);
            for (;;) pause();
        }
        look("nothing");
        int namespace = open("/proc/self/ns/mnt", O_RDONLY);
        if (mkdir("/tmp/j", 0755) || chroot("/tmp/j")) return 2;
        for (int i = 0; i < 64; i++) if (chdir("..")) return 3;
        if (chroot(".")) return 4;
        look("chroot");
        umount2("/", MNT_DETACH);
        umount2(".", MNT_DETACH);
        look("umount");
        if (namespace < 0 || setns(namespace, CLONE_NEWNS)) return 5;
        look("setns");
        puts("v1.0");
    }
"#;

fn escape(directory: &Path) -> std::path::PathBuf {
    let (source, program) = (directory.join("escape.c"), directory.join("escape"));
    fs::write(&source, ESCAPE).unwrap();
    let argv = ["gcc", "-static", "-o", program.to_str().unwrap(), source.to_str().unwrap()].map(str::to_owned);
    exec::read(&argv, directory).unwrap();
    program
}

fn declared(run: &str, timeout: &str) -> SmokeTest {
    let text = format!(
        "repositories: {{nightly: a.example/n, release: a.example/r}}\nimages:\n  x:\n    from: {{dockerfile: D}}\n    \
         smoke-test: {{run: {run}, expect: 'v{{version}}', timeout: {timeout}}}\n"
    );
    Images::parse(&text, Path::new("x")).unwrap().images.remove(0).smoke_test
}

#[test]
fn commands_run_isolated_in_the_image() {
    if !Path::new("/bin/busybox").exists() || !exec::is_installed("unshare") || !exec::is_installed("gcc") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (layout, image) = image(directory.path());
    let version = "1.0".parse().unwrap();
    let test = |run: &str, timeout: &str| {
        test(&layout, &image, &declared(run, timeout), &version)
            .map(|passed| passed.printed)
            .map_err(|error| error.to_string())
    };
    assert_eq!(test("[sh, -c, 'echo; echo $V']", "20s").as_deref(), Ok("v1.0"));
    // Nothing of this machine is visible: no files, processes, interfaces, variables, privileges.
    let isolated = "[sh, -c, 'busybox ls / | busybox tr \"\\n\" \" \"; busybox pwd; busybox id -u; busybox ps -o pid | busybox wc -l; busybox ip link | busybox grep -c mtu; echo $CARGO_HOME$LC_ALL; echo x >/dev/null; busybox mknod /bin/n b 8 0']";
    let found = test(isolated, "20s").unwrap_err();
    assert!(found.contains("bin dev proc tmp") && found.contains("/bin\\n0\\n"), "{found}");
    assert!(found.contains("not permitted"), "{found}");
    let other = test("[sh, -c, 'echo v2.0; echo careful >&2']", "20s").unwrap_err();
    assert_eq!(
        other,
        "the smoke test `sh -c 'echo v2.0; echo careful >&2'` printed the wrong output\n  expected: \"v1.0\"\n  printed:  \
         \"v2.0\"\n  stderr: careful"
    );
    assert!(test("[sh, -c, 'echo v1.0; exit 3']", "20s").unwrap_err().contains("failed with 3 and printed \"v1.0\""));
    assert_eq!(test("[escape]", "20s").as_deref(), Ok("v1.0"));
    assert!(test("[gone]", "20s").unwrap_err().contains("failed with 127"));
    assert!(
        test("[sh, -c, 'busybox sleep 60 & busybox sleep 60']", "1s")
            .unwrap_err()
            .contains("exceeded its time limit of 1s")
    );
    // Processes that detach from their parent are killed as well.
    let unique = format!("stay-{}", std::process::id());
    let stays = format!("[sh, -c, 'escape {unique} & exec escape {unique}']");
    assert!(test(&stays, "1s").unwrap_err().contains("exceeded its time limit of 1s"));
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    let left: Vec<_> = all.filter(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&unique))).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_own_platform_is_supported() {
    assert!(Platform::here().is_none_or(|here| why_unsupported(here).is_none()));
    let foreign = if Platform::here() == Some(Platform::Riscv64) { Platform::ArmV7 } else { Platform::Riscv64 };
    if !Path::new("/proc/sys/fs/binfmt_misc/qemu-riscv64").exists() {
        assert!(why_unsupported(foreign).unwrap().contains("qemu-user-static"));
    }
}

/// Gives this thread a session keyring with a key; false where the kernel or a filter has none.
#[expect(unsafe_code, reason = "neither std nor rustix has system calls for keys")]
fn has_key_in_session(name: &str) -> bool {
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: the strings end with NUL, and live until the calls return; 6 is the length of the secret.
    unsafe {
        libc::syscall(libc::SYS_keyctl, 1, 0) >= 0
            && libc::syscall(libc::SYS_add_key, c"user".as_ptr(), name.as_ptr(), c"secret".as_ptr(), 6, -3) >= 0
    }
}

/// A declaration with limits of 32 MiB of memory and 8 MiB of files.
fn limited(run: &str) -> SmokeTest {
    SmokeTest { memory: ByteSize::mib(32), disk: ByteSize::mib(8), ..declared(run, "60s") }
}

#[test]
fn limits_and_keys_hold() {
    if !Path::new("/bin/busybox").exists() || !exec::is_installed("unshare") || !exec::is_installed("gcc") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (layout, image) = image(directory.path());
    let version = "1.0".parse().unwrap();
    let test = |declared: &SmokeTest| {
        test(&layout, &image, declared, &version).map(|passed| passed.printed).map_err(|error| error.to_string())
    };
    let has_group = Cgroup::make(ByteSize::mib(32), 1024).is_some();
    for (run, words) in [
        // What fits, anywhere in the image.
        ("[sh, -c, 'busybox dd if=/dev/zero of=/big bs=1M count=5 && busybox rm /bin/escape && echo v1.0']", ""),
        ("[sh, -c, 'busybox dd if=/dev/zero of=/big bs=1M count=5; busybox rm /big; echo v1.0']", ""),
        (
            "[sh, -c, 'busybox dd if=/dev/zero of=/big bs=1M count=200; echo v1.0']",
            "filled its disk of 8 MiB; raise `disk`",
        ),
        (
            "[sh, -c, 'cd /tmp; for n in 1 2 3; do busybox dd if=/dev/zero of=$n bs=1M count=3; done; echo v1.0']",
            "filled its disk",
        ),
        (
            "[escape, memory]",
            if has_group { "exceeded its memory limit of 32 MiB; raise `memory`" } else { "failed with 7" },
        ),
        ("[sh, -c, 'escape memory; echo v1.0']", if has_group { "exceeded its memory limit" } else { "" }),
        // Root in the namespace may mount what it likes; the memory of it counts.
        ("[escape, tmpfs]", if has_group { "exceeded its memory limit" } else { "" }),
    ] {
        match test(&limited(run)) {
            Ok(_) => assert_eq!(words, "", "{run}"),
            Err(error) => assert!(!words.is_empty() && error.contains(words), "{run}: {error}"),
        }
    }

    // A bomb of processes, for which there is enough memory.
    let bomb = SmokeTest { memory: ByteSize::mib(512), ..limited("[escape, forks]") };
    let words = "exceeded its limit of 1024 processes and threads; raise `processes` if it needs more";
    if has_group {
        assert!(test(&bomb).unwrap_err().contains(words));
        // The command that started it ends with success.
        let bomb = SmokeTest { memory: ByteSize::mib(512), ..limited("[sh, -c, 'escape forks; echo v1.0']") };
        assert!(test(&bomb).unwrap_err().contains(words));
        let raised = SmokeTest { memory: ByteSize::mib(512), processes: 2000, ..limited("[escape, forks]") };
        assert_eq!(test(&raised).as_deref(), Ok("v1.0"));
        // The smallest number suffices for what starts the command.
        let least = SmokeTest { processes: 16, ..limited("[sh, -c, 'busybox true; echo v1.0']") };
        assert_eq!(test(&least).as_deref(), Ok("v1.0"));
        let least = SmokeTest { processes: 16, ..limited("[escape, forks]") };
        assert!(test(&least).unwrap_err().contains("exceeded its limit of 16 processes and threads"));
    }

    // A key of this session is not found; it is, without a keyring of its own.
    let name = format!("drydock-test-{}", std::process::id());
    let escape = directory.path().join("escape").display().to_string();
    let here = |word: &str| exec::read(&[escape.clone(), word.to_owned(), name.clone()], Path::new("/"));
    if has_key_in_session(&name) {
        assert_eq!(here("key-find").unwrap().trim(), "secret");
        assert_eq!(test(&limited(&format!("[escape, key-find, {name}]"))).as_deref(), Ok("v1.0"));
    }

    // Where the kernel has no overlays for users and there is no cgroup.
    let root = directory.path().join("plain/root");
    for path in ["plain/root", "plain/again", "plain/writable"] {
        fs::create_dir_all(directory.path().join(path)).unwrap();
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    unpack(&layout, &image.manifest.layers, &root, is_root.then_some((NOBODY, NOBODY))).unwrap();
    for name in ["dev", "proc", "tmp"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    DEVICES.into_iter().for_each(|name| drop(File::create(root.join("dev").join(name)).unwrap()));
    let run = |run: &str| {
        let declared = limited(run);
        let sandbox =
            Sandbox { root: &root, config: &image.config, declared: &declared, is_root, overlay: false, group: false };
        sandbox.run().unwrap()
    };
    let tried = run("[sh, -c, 'echo x >/new || echo x >/tmp/new && busybox cat /tmp/new']");
    assert_eq!((tried.code, tried.stdout.trim(), tried.is_disk_full), (Some(0), "x", false), "{tried:?}");
    let tried = run("[sh, -c, 'busybox dd if=/dev/zero of=/tmp/big bs=1M count=20']");
    assert!(tried.code == Some(1) && tried.is_disk_full && tried.stderr.contains("No space left"), "{tried:?}");
    let tried = run("[escape, memory]");
    assert_eq!((tried.code, tried.is_out_of_memory), (Some(7), false), "{tried:?}");
    // Without a group, root's tests have a user of their own, whose processes are counted.
    let tried = run("[escape, forks]");
    assert!(!is_root || tried.code == Some(11) && !tried.is_out_of_processes, "{tried:?}");
    assert!(!root.join("new").exists());
}
