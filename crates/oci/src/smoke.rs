//! The smoke test: runs a command of an image without a daemon, in namespaces, and compares its output.
//!
//! The layers are unpacked into a directory that becomes the root. The command has no network and sees no other process,
//! and root in its namespace is an unprivileged user outside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::build_record::SmokeTestResult;
use super::image::WrittenImage;
use super::layout::Layout;
use super::model::ImageConfig;
use super::unpack::unpack;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::scratch::Scratch;
use drydock_config::images::{Platform, SmokeTest};
use drydock_config::release::Version;

/// The user ID outside of the namespace, if this process is root.
const NOBODY: u32 = 4242;
/// The maximum length of the output, in bytes.
const LONGEST_OUTPUT: u64 = 64 << 10;
/// The devices of the container.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Becomes the command in a root that has no way out: `SCRIPT ROOT SHELL MOUNT UMOUNT UNSHARE NSENTER PIVOT_ROOT DIRECTORY
/// VARIABLES VARIABLE… COMMAND…`, with an empty environment.
///
/// A root of `chroot` can be left by whoever may call `chroot`; so the image becomes the root of its mount namespace, and
/// the machine's root is taken out of there. That takes programs of this machine when this shell sees the image alone
/// already: they run behind a second name of the machine's root, which goes away with the first. From there on there are
/// only the shell's own words, and no program of this machine ever sees a variable of the image, as `LD_PRELOAD`.
const SCRIPT: &str = r#"
set -e
root=$1 shell=$2 mount=$3 umount=$4 unshare=$5 nsenter=$6 pivot_root=$7 directory=$8 count=$9
shift 9
"$mount" --rbind "$root" "$root"
for device in null zero full random urandom tty; do
    "$mount" --bind "/dev/$device" "$root/dev/$device" 2>/dev/null || :
done
"$mount" -t proc proc "$root/proc" 2>/dev/null || :
again=${root%/*}/again
"$mount" --rbind / "$again"
cd /
"$unshare" --root="$again" "$shell" -c '
set -e
exec 5<"$1"
"$2" --mount=/proc/self/ns/mnt --wd="$1" "$3" . .
exec "$4" --no-canonicalize --lazy /proc/self/fd/5
' sh "$root" "$nsenter" "$pivot_root" "$umount"
ulimit -f 131072
ulimit -c 0
cd "$directory"
unset PWD OLDPWD SHLVL
while [ "$count" -gt 0 ]; do
    command export "$1" || :
    shift
    count=$((count - 1))
done
exec "$@"
"#;

/// Returns the reason why this machine cannot run programs of a platform, if it cannot.
pub fn why_unsupported(platform: Platform) -> Option<String> {
    if Platform::here() == Some(platform) {
        return None;
    }
    let qemu = match platform {
        Platform::Amd64 => "qemu-x86_64",
        Platform::Arm64 => "qemu-aarch64",
        Platform::ArmV7 => "qemu-arm",
        Platform::Riscv64 => "qemu-riscv64",
    };
    let entry = fs::read_to_string(Path::new("/proc/sys/fs/binfmt_misc").join(qemu)).unwrap_or_default();
    let flags = entry.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
    // Only with the flag F, the emulator is opened before the root changes.
    let works = entry.starts_with("enabled") && flags.contains('F');
    (!works)
        .then(|| format!("this machine cannot run {platform} programs; install qemu-user-static and binfmt-support"))
}

/// Runs the declared command of an image, and compares its output.
///
/// # Errors
/// The command fails, exceeds its time limit, or prints something else; or this machine has no namespaces.
pub fn test(
    layout: &Layout,
    image: &WrittenImage,
    declared: &SmokeTest,
    version: &Version,
) -> anyhow::Result<SmokeTestResult> {
    let expected = declared.expect.render(version);
    let directory = Scratch::roomy("smoke")?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let root = directory.path().join("root");
    for path in [&root, &directory.path().join("again")] {
        fs::create_dir(path).context("cannot create a temporary directory")?;
    }
    let is_root = rustix::process::geteuid().is_root();
    let owner = is_root.then_some((NOBODY, NOBODY));
    unpack(layout, &image.manifest.layers, &root, owner)?;
    for name in ["dev", "proc", "tmp"] {
        let path = root.join(name);
        if fs::symlink_metadata(&path).is_err() {
            fs::create_dir(&path)?;
            chown(&path, owner.map(|owner| owner.0), owner.map(|owner| owner.1))?;
        }
    }
    if fs::symlink_metadata(root.join("dev"))?.is_dir() {
        for device in DEVICES {
            let path = root.join("dev").join(device);
            if fs::symlink_metadata(&path).is_err() {
                drop(File::create(path)?);
            }
        }
    }

    let words = exec::paste(&declared.run);
    let ended = run(&root, &image.config, &declared.run, declared.timeout, is_root)?;
    let printed = ended.stdout.trim().to_owned();
    let said = match ended.stderr.trim() {
        "" => String::new(),
        text => format!("\n  stderr: {}", exec::end_of(text.as_bytes())),
    };
    let wrong = |what: String| Err(Failure::rejected(format!("the smoke test `{words}` {what}{said}")));
    match ended.code {
        None => wrong(format!("exceeded its time limit of {:?}", declared.timeout)),
        Some(0) if printed == expected => Ok(SmokeTestResult { run: declared.run.clone(), printed }),
        Some(0) => wrong(format!("printed the wrong output\n  expected: {expected:?}\n  printed:  {printed:?}")),
        Some(code) => wrong(format!("failed with {code} and printed {printed:?}")),
    }
}

struct CommandResult {
    /// The exit code; none if the time limit was exceeded.
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command in a root directory.
fn run(
    root: &Path,
    config: &ImageConfig,
    command: &[String],
    limit: Duration,
    is_root: bool,
) -> anyhow::Result<CommandResult> {
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
    probe(&argv)?;
    argv.extend([env, "-i".to_owned(), shell.clone(), "-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned()]);
    argv.extend([root.display().to_string(), shell, tool("mount")?, tool("umount")?, unshare]);
    argv.extend([tool("nsenter")?, tool("pivot_root")?]);
    let directory = config.config.working_dir.as_deref().filter(|path| path.starts_with('/')).unwrap_or("/");
    let variables = variables(config);
    argv.extend([directory.to_owned(), variables.len().to_string()]);
    argv.extend(variables);
    argv.extend(command.iter().cloned());

    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let handle = duct::cmd(&argv[0], &argv[1..])
        .dir("/")
        .full_env(exec::environment(&[], &BTreeMap::new()))
        .stdin_null()
        .stdout_file(stdout.try_clone()?)
        .stderr_file(stderr.try_clone()?)
        .unchecked()
        .start()
        .context("cannot run unshare")?;
    let ended = handle.wait_timeout(limit).context("cannot wait for the smoke test")?.map(|output| output.status);
    if ended.is_none() {
        end(&handle).context("cannot kill the smoke test")?;
    }
    let read = |file: &mut File| -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(LONGEST_OUTPUT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let signal = |status: std::process::ExitStatus| std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    let code = ended.map(|status| status.code().unwrap_or_else(|| 128 + signal(status)));
    Ok(CommandResult { code, stdout: read(&mut stdout)?, stderr: read(&mut stderr)? })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Descriptor, Manifest, media};
    use drydock_archive::layer::{Item, ItemKind, Layer};
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
        #include <unistd.h>
        static void look(const char *way) {
            if (access("/etc/passwd", F_OK) == 0) { printf("out by %s\n", way); exit(1); }
        }
        int main(int argc, char **argv) {
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
        assert!(
            test("[sh, -c, 'echo v1.0; exit 3']", "20s").unwrap_err().contains("failed with 3 and printed \"v1.0\"")
        );
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
        let left: Vec<_> =
            all.filter(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&unique))).collect();
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
}
