//! The smoke test: a command run in an image without a daemon, in namespaces of its own, and its output compared.
//!
//! The layers are unpacked into a folder that becomes the root. There is no network, no other process to see, and an
//! unprivileged user behind the root of the namespace; so the image is trusted with as little as a test of it can be.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::layout::Layout;
use super::model::Manifest;
use super::record::Passed;
use super::unpack::unpack;
use crate::config::images::{Platform, SmokeTest};
use crate::config::release::Version;
use crate::exec;
use crate::exit::{Exit, failure};
use crate::paths;

/// The user of the machine behind the root of the namespace, when this process is root.
const NOBODY: u32 = 4242;
/// How much of what is printed is looked at.
const LONGEST_OUTPUT: u64 = 64 << 10;
/// Devices that programs expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Makes the root ready and becomes the command: `SCRIPT ROOT MOUNT COMMAND…`.
const SCRIPT: &str = r#"
root=$1 mount=$2
shift 2
ulimit -f 131072
ulimit -c 0
for device in null zero full random urandom tty; do
    "$mount" --bind "/dev/$device" "$root/dev/$device" 2>/dev/null
done
"$mount" -t proc proc "$root/proc" 2>/dev/null
exec "$@"
"#;

/// Why a platform cannot be tried here, if it cannot.
pub fn not_here(platform: Platform) -> Option<String> {
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
    // Only with that flag the emulator is open before the root is another.
    let works = entry.starts_with("enabled") && flags.contains('F');
    (!works).then(|| format!("this machine runs no programs of {platform}; qemu-user-static with binfmt-support does"))
}

/// Runs the declared command in an image and compares what it prints.
///
/// # Errors
/// It fails, does not end, or prints something else: with both texts. This machine has no namespaces.
pub fn test(
    layout: &Layout,
    manifest: &Manifest,
    config: &Value,
    declared: &SmokeTest,
    version: &Version,
) -> anyhow::Result<Passed> {
    let expected = declared.expect.render(version);
    let folder = paths::Scratch::new("drydock-smoke-")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let root = folder.path().join("root");
    fs::create_dir(&root).context("cannot make a temporary folder")?;
    let is_root = rustix::process::geteuid().is_root();
    let owner = is_root.then_some((NOBODY, NOBODY));
    unpack(layout, &manifest.layers, &root, owner)?;
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
    let ended = run(&root, config, &declared.run, declared.timeout, is_root)?;
    let printed = ended.stdout.trim().to_owned();
    let said = match ended.stderr.trim() {
        "" => String::new(),
        text => format!("\n  it also said: {}", exec::end_of(text.as_bytes())),
    };
    let wrong = |what: String| Err(failure(Exit::JobFailed, format!("the smoke test `{words}` {what}{said}")));
    match ended.code {
        None => wrong(format!("does not end within {:?}", declared.timeout)),
        Some(0) if printed == expected => Ok(Passed { run: declared.run.clone(), printed }),
        Some(0) => wrong(format!("printed something else\n  expected: {expected:?}\n  printed:  {printed:?}")),
        Some(code) => wrong(format!("ended with {code}, and printed {printed:?}")),
    }
}

struct Ended {
    /// None when it did not end in time.
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command in a root folder.
fn run(root: &Path, config: &Value, command: &[String], limit: Duration, is_root: bool) -> anyhow::Result<Ended> {
    let search = std::env::var_os("PATH");
    let tool = |name: &str| {
        exec::find(name, Path::new("/"), search.as_ref())
            .map(|path| path.display().to_string())
            .map_err(|why| failure(Exit::Missing, format!("{why}; `cargo xtask doctor docker` tells what installs it")))
    };
    let (unshare, mount, env, shell) = (tool("unshare")?, tool("mount")?, tool("env")?, tool("sh")?);
    let mut argv: Vec<String> = Vec::new();
    if is_root {
        let id = NOBODY.to_string();
        argv.extend([tool("setpriv")?, format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".into()]);
    }
    argv.push(unshare.clone());
    argv.extend(
        ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts"].map(str::to_owned),
    );
    argv.push("--kill-child".into());
    probe(&argv)?;
    argv.extend([shell, "-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned(), root.display().to_string()]);
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).filter(|text| text.starts_with('/'));
    argv.extend([mount, env, "-i".to_owned()]);
    argv.extend(variables(config));
    let directory = text("/config/WorkingDir").unwrap_or("/");
    argv.extend([unshare, format!("--root={}", root.display()), format!("--wd={directory}"), "--".to_owned()]);
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
        // Everything in its namespace ends with it.
        handle.kill().context("cannot end the smoke test")?;
    }
    let read = |file: &mut File| -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(LONGEST_OUTPUT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let signal = |status: std::process::ExitStatus| std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    let code = ended.map(|status| status.code().unwrap_or_else(|| 128 + signal(status)));
    Ok(Ended { code, stdout: read(&mut stdout)?, stderr: read(&mut stderr)? })
}

/// Whether this machine has the namespaces at all, before an image is blamed.
fn probe(namespaces: &[String]) -> anyhow::Result<()> {
    let argv: Vec<String> = namespaces.iter().cloned().chain(["true".to_owned()]).collect();
    exec::read(&argv, Path::new("/")).map(drop).map_err(|why| {
        let text = format!("this machine has no namespaces for a smoke test ({why})");
        let remedy = "allow user namespaces (on Ubuntu: sysctl --write kernel.apparmor_restrict_unprivileged_userns=0)";
        failure(Exit::Missing, format!("{text}; {remedy}"))
    })
}

/// The environment that the image declares, with a search path.
fn variables(config: &Value) -> Vec<String> {
    let declared = config.pointer("/config/Env").and_then(Value::as_array);
    let mut all: Vec<String> = declared
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|one| one.contains('='))
        .map(str::to_owned)
        .collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::layer::{Item, ItemKind, Layer};
    use crate::config::images::{Digest, Images};
    use crate::oci::model::{Descriptor, media};
    use serde_json::json;

    /// An image with this machine's busybox as its shell.
    fn image(folder: &Path) -> (Layout, Manifest) {
        let layout = Layout::create(folder).unwrap();
        let mut layer = Layer::new(folder).unwrap();
        layer.put("bin".into(), Item::folder(0));
        let content = layer.keep(&mut File::open("/bin/busybox").unwrap()).unwrap();
        layer.put("bin/busybox".into(), Item { mode: 0o4755, owner: (0, 7), ..Item::file(content, 0) });
        layer.put("bin/sh".into(), Item { kind: ItemKind::Link("busybox".into()), ..Item::folder(0) });
        let mut part = layout.part().unwrap();
        let written = layer.write(0, part.as_file_mut()).unwrap();
        layout.keep(part, &Digest(written.sha256)).unwrap();
        let manifest = Manifest {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            config: Descriptor::of(media::EMPTY, b"{}"),
            layers: vec![Descriptor::new(media::LAYER_GZIP, Digest(written.sha256), written.size)],
            subject: None,
            annotations: BTreeMap::new(),
        };
        (layout, manifest)
    }

    fn declared(run: &str, timeout: &str) -> SmokeTest {
        let text = format!(
            "repositories: {{nightly: a.example/n, release: a.example/r}}\nimages:\n  x:\n    from: {{dockerfile: D}}\n    \
             smoke-test: {{run: {run}, expect: 'v{{version}}', timeout: {timeout}}}\n"
        );
        Images::parse(&text, Path::new("x")).unwrap().images.remove(0).smoke_test
    }

    #[test]
    fn a_command_is_tried_in_the_image_and_nowhere_else() {
        if !Path::new("/bin/busybox").exists() || !exec::is_installed("unshare") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (layout, manifest) = image(folder.path());
        let config = json!({"config": {"Env": ["V=v1.0", "PATH=/bin"], "WorkingDir": "/bin"}});
        let version = "1.0".parse().unwrap();
        let test = |run: &str, timeout: &str| {
            test(&layout, &manifest, &config, &declared(run, timeout), &version)
                .map(|passed| passed.printed)
                .map_err(|error| error.to_string())
        };
        assert_eq!(test("[sh, -c, 'echo; echo $V']", "20s").as_deref(), Ok("v1.0"));
        // Nothing of this machine is there: no files, processes, interfaces, variables, rights.
        let alone = "[sh, -c, 'busybox ls / | busybox tr \"\\n\" \" \"; busybox pwd; busybox id -u; busybox ps -o pid | busybox wc -l; busybox ip link | busybox grep -c mtu; echo $CARGO_HOME$LC_ALL; echo x >/dev/null; busybox mknod /bin/n b 8 0']";
        let found = test(alone, "20s").unwrap_err();
        assert!(found.contains("bin dev proc tmp") && found.contains("/bin\\n0\\n"), "{found}");
        assert!(found.contains("not permitted"), "{found}");
        let other = test("[sh, -c, 'echo v2.0; echo careful >&2']", "20s").unwrap_err();
        assert_eq!(
            other,
            "the smoke test `sh -c 'echo v2.0; echo careful >&2'` printed something else\n  expected: \"v1.0\"\n  printed:  \
             \"v2.0\"\n  it also said: careful"
        );
        assert!(
            test("[sh, -c, 'echo v1.0; exit 3']", "20s").unwrap_err().contains("ended with 3, and printed \"v1.0\"")
        );
        assert!(test("[gone]", "20s").unwrap_err().contains("ended with 127"));
        assert!(
            test("[sh, -c, 'busybox sleep 60 & busybox sleep 60']", "1s")
                .unwrap_err()
                .contains("does not end within 1s")
        );
    }

    #[test]
    fn own_platform_can_be_tried() {
        assert!(Platform::here().is_none_or(|here| not_here(here).is_none()));
        let foreign = if Platform::here() == Some(Platform::Riscv64) { Platform::ArmV7 } else { Platform::Riscv64 };
        if !Path::new("/proc/sys/fs/binfmt_misc/qemu-riscv64").exists() {
            assert!(not_here(foreign).unwrap().contains("qemu-user-static"));
        }
    }
}
