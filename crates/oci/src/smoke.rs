//! The smoke test: runs a command of an image without a daemon, in namespaces, and compares its output.
//!
//! The layers are unpacked into a directory that becomes the root. The command has no network and sees no other process,
//! and root in its namespace is an unprivileged user outside. It has none of this machine's descriptors and keys; what it writes
//! goes to a file system of a declared size, and its memory and the number of its processes are limited.

mod cgroup;
mod sandbox;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use anyhow::Context as _;

use super::build_record::SmokeTestResult;
use super::image::WrittenImage;
use super::layout::Layout;
use super::unpack::unpack;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_config::images::{Platform, SmokeTest};
use drydock_config::release::Version;
use sandbox::Sandbox;

/// The user ID outside of the namespace, if this process is root.
const NOBODY: u32 = 4242;
/// The devices of the container.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

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
    for path in [&root, &directory.path().join("again"), &directory.path().join("writable")] {
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
    let ended = Sandbox { root: &root, config: &image.config, declared, is_root, overlay: true, group: true }.run()?;
    let printed = ended.stdout.trim().to_owned();
    let said = match ended.stderr.trim() {
        "" => String::new(),
        text => format!("\n  stderr: {}", exec::end_of(text.as_bytes())),
    };
    let wrong = |what: String| Err(Failure::rejected(format!("the smoke test `{words}` {what}{said}")));
    if ended.is_out_of_memory {
        return wrong(format!("exceeded its memory limit of {}; raise `memory` if it needs more", declared.memory));
    }
    if ended.is_out_of_processes {
        let limit = declared.processes;
        return wrong(format!(
            "exceeded its limit of {limit} processes and threads; raise `processes` if it needs more"
        ));
    }
    if ended.is_disk_full {
        return wrong(format!("filled its disk of {}; raise `disk` if it needs more", declared.disk));
    }
    match ended.code {
        None => wrong(format!("exceeded its time limit of {:?}; raise `timeout` if it needs more", declared.timeout)),
        Some(0) if printed == expected => Ok(SmokeTestResult { run: declared.run.clone(), printed }),
        Some(0) => wrong(format!("printed the wrong output\n  expected: {expected:?}\n  printed:  {printed:?}")),
        Some(code) if ended.had_cgroup => wrong(format!("failed with {code} and printed {printed:?}")),
        Some(code) => {
            let limit = format!("each of its processes had at most {} of memory", declared.memory);
            wrong(format!("failed with {code} and printed {printed:?}; {limit}"))
        }
    }
}

#[cfg(test)]
mod tests;
