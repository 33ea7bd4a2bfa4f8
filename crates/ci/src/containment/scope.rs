//! A delegated group from systemd: where this process may not create cgroups itself, it restarts inside a scope.

use std::os::unix::process::CommandExt as _;
use std::path::Path;

use super::v2::V2;
use super::{MARKER, mounts};

/// Set in the process that runs inside the scope, so that it is entered once.
const INSIDE: &str = "DRYDOCK_SCOPE";

/// `true` if cgroup v2 is there but no group can be made. Makes a group for a moment; hold signals meanwhile.
pub fn is_needed() -> bool {
    let inside = std::env::var_os(INSIDE).is_some() || std::env::var_os(MARKER).is_some();
    !inside && mounts::memory().is_none() && V2::new(&format!("probe-{}", std::process::id())).is_err()
}

/// Replaces this process by itself inside `systemd-run --scope` with `Delegate=yes`. Returns when that is not possible.
pub fn enter() {
    let Ok(program) = std::env::current_exe() else { return };
    // After exec, a failure of systemd-run would look like one of the run.
    if is_available() {
        // `exec` returns only an error; the run then goes on outside a scope.
        drop(scope().arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1").exec());
    }
}

/// Whether systemd makes a delegated scope for this user: tried with `true`.
pub fn is_available() -> bool {
    let manager = if rustix::process::geteuid().is_root() {
        Path::new("/run/systemd/private").exists()
    } else {
        std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| Path::new(&dir).join("systemd/private").exists())
    };
    let quiet = std::process::Stdio::null;
    let tried = || scope().arg("true").stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
    manager && tried().is_ok_and(|status| status.success())
}

fn scope() -> std::process::Command {
    let mut command = std::process::Command::new("systemd-run");
    if !rustix::process::geteuid().is_root() {
        command.arg("--user");
    }
    command.args(["--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"]);
    command
}
