//! What systemd does with a unit when the kernel kills one of its processes for lack of memory: by `OOMPolicy=stop`, the
//! default of services and scopes that are not delegated, it stops the whole unit (systemd.service(5), systemd.scope(5)).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A unit around this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// Its name, such as `actions.runner.service`.
    pub name: String,
    /// The directory of its cgroup.
    pub group: PathBuf,
    /// `true` if it belongs to the manager of a user, not to that of the system.
    pub of_user: bool,
}

impl Unit {
    /// The units whose cgroups these are: a cgroup and those above it, in this order.
    fn around(groups: &[PathBuf]) -> Vec<Unit> {
        let name = |group: &Path| Some(group.file_name()?.to_str()?.to_owned());
        let is_manager = |group: &PathBuf| name(group).is_some_and(|name| name.starts_with("user@"));
        groups
            .iter()
            .enumerate()
            .filter_map(|(depth, group)| {
                let name = name(group).filter(|name| [".service", ".scope"].iter().any(|end| name.ends_with(end)))?;
                Some(Unit { name, group: group.clone(), of_user: groups[depth + 1..].iter().any(is_manager) })
            })
            .collect()
    }

    /// What the manager says of the unit; nothing if there is no manager, or none that this process may ask.
    fn property(&self, name: &str) -> Option<String> {
        let mut command = std::process::Command::new("systemctl");
        if self.of_user {
            command.arg("--user");
        }
        command.args(["show", "--value", "--property", name, "--", &self.name]);
        let asked = command.stdin(std::process::Stdio::null()).output().ok()?;
        let value = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
        (asked.status.success() && !value.is_empty()).then_some(value)
    }

    /// Whether the manager stops it because the kernel killed a process in it.
    pub fn is_stopped_for_memory(&self) -> bool {
        self.property("Result").as_deref() == Some("oom-kill")
    }
}

/// The units around this process that are stopped as a whole when the kernel kills a process in them; `groups` are its
/// cgroup and those above it, in the unified hierarchy.
pub fn stopped_at_kills(groups: &[PathBuf]) -> Vec<Unit> {
    if !Path::new("/run/systemd/system").exists() {
        return Vec::new();
    }
    let stops = |unit: &Unit| unit.property("OOMPolicy").as_deref() == Some("stop");
    // The manager learns of kills from this file, which counts those in the cgroups below too.
    let counts = |unit: &Unit| unit.group.join("memory.events").exists();
    Unit::around(groups).into_iter().filter(|unit| counts(unit) && stops(unit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_around_a_process_are_named_by_its_cgroups() {
        let around = |path: &str| {
            let groups: Vec<PathBuf> = Path::new(path).ancestors().map(Path::to_owned).collect();
            Unit::around(&groups).into_iter().map(|unit| (unit.name, unit.of_user)).collect::<Vec<_>>()
        };
        let named = |name: &str, of_user| (name.to_owned(), of_user);
        assert_eq!(
            around("/sys/fs/cgroup/system.slice/actions.runner.a-b.service"),
            [named("actions.runner.a-b.service", false)]
        );
        assert_eq!(
            around("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope"),
            [named("run-r1.scope", true), named("user@1000.service", false)]
        );
        assert_eq!(around("/sys/fs/cgroup/ci.slice/pod/init"), []);
        assert_eq!(around("/sys/fs/cgroup/user.slice/session-3.scope/x"), [named("session-3.scope", false)]);
    }
}
