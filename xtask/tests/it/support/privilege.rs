//! What only root may do, for a test that runs as an unprivileged user: by sudo, where that asks for no password.

use std::process::Command;
use std::sync::OnceLock;

/// The command of root; none where this user cannot become root.
pub(crate) fn as_root(words: &[&str]) -> Option<Command> {
    static SUDO: OnceLock<bool> = OnceLock::new();
    let (first, rest) = words.split_first().unwrap();
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new(first);
        command.args(rest);
        return Some(command);
    }
    let sudo =
        SUDO.get_or_init(|| Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|it| it.status.success()));
    sudo.then(|| {
        let mut command = Command::new("sudo");
        command.arg("-n").args(words);
        command
    })
}

/// Whether root's command could be run and succeeded.
pub(crate) fn succeeds_as_root(words: &[&str]) -> bool {
    as_root(words).is_some_and(|mut command| command.output().is_ok_and(|output| output.status.success()))
}
