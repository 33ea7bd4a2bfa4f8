//! What this machine does when memory runs out, beyond killing one process of one job: settings and daemons that end
//! Drydock together with a job, or let a job hang or crawl.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::containment::{self, Kind};
use crate::evidence::SupervisorLoss;
use crate::probe::systemd::{self, Unit};
use crate::probe::{host, userspace};
use drydock_base::units::ByteSize;

/// A setting or a daemon of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Danger {
    /// `memory.oom.group` of a cgroup that Drydock is in, as Kubernetes 1.28 and later set it: when the memory of that
    /// cgroup, of one above it, or of the machine runs out, the kernel kills every process in it
    /// (Documentation/admin-guide/cgroup-v2.rst).
    GroupKill {
        /// Its directory.
        group: PathBuf,
        /// The tightest `memory.max` of that cgroup and those above it, in bytes.
        limit: Option<u64>,
    },
    /// systemd-oomd, which kills all processes of a cgroup (systemd-oomd.service(8)).
    SystemdOomd,
    /// A daemon that kills the process with the highest score, mostly a job's: earlyoom, nohang.
    Daemon {
        /// The name of its program.
        name: String,
    },
    /// `OOMPolicy=stop` of a systemd unit that Drydock is in: when the kernel kills a job for lack of memory, systemd ends
    /// all that is in the unit.
    UnitStop {
        /// The unit.
        unit: Unit,
        /// Whether Drydock's own cgroup is that of the unit, so that jobs can have cgroups outside of it.
        is_own: bool,
    },
    /// `memory.high` of a cgroup that Drydock is in: above it, the kernel slows its processes down.
    Throttle {
        /// Its directory.
        group: PathBuf,
        /// The limit in bytes.
        high: u64,
    },
    /// `oom_kill_disable` of a cgroup of version 1: processes that run out of memory hang.
    KillDisabled {
        /// Its directory.
        group: PathBuf,
    },
    /// `vm.panic_on_oom`: the machine stops when its memory runs out.
    Panic,
    /// `vm.oom_kill_allocating_task`: the process that asks for memory last is killed, whatever its size and score.
    AllocatingTask,
}

impl Danger {
    /// Whether Drydock itself may be killed, if jobs are contained like that.
    pub fn kills_supervisor(&self, containment: Kind) -> bool {
        match self {
            // Jobs have a cgroup with a limit of its own, which is reached first.
            Danger::GroupKill { .. } => containment != Kind::V2,
            // It kills one of the cgroups that have no others below them: with version 2, those of the jobs.
            Danger::SystemdOomd => containment != Kind::V2,
            // The cgroups of jobs are made beside that of the unit.
            Danger::UnitStop { is_own, .. } => containment != Kind::V2 || !is_own,
            Danger::Panic | Danger::AllocatingTask => true,
            Danger::Daemon { .. } | Danger::Throttle { .. } | Danger::KillDisabled { .. } => false,
        }
    }

    /// One sentence for a person, with the remedy.
    pub fn describe(&self, containment: Kind) -> String {
        let instead = "give Drydock a cgroup in which it may create others (`systemd-run --scope -p Delegate=yes`)";
        match self {
            Danger::GroupKill { group, limit } => {
                let full = match limit {
                    Some(limit) => format!("when its limit of {} is reached", ByteSize::new(*limit)),
                    None => "when the machine's memory runs out".into(),
                };
                let set = format!("`memory.oom.group` is set for {}: {full}, the kernel kills", group.display());
                if self.kills_supervisor(containment) {
                    format!("{set} Drydock with the jobs; lower --memory, or {instead}")
                } else {
                    format!("{set} all processes in it; the jobs of this run get a lower limit, so that it is not")
                }
            }
            Danger::SystemdOomd if self.kills_supervisor(containment) => {
                format!("systemd-oomd may kill Drydock with the jobs, since they share a cgroup; {instead}")
            }
            Danger::SystemdOomd => "systemd-oomd may kill a job before the kernel does".into(),
            Danger::Daemon { name } => {
                format!("{name} may kill a job while the kernel still finds memory for it")
            }
            Danger::UnitStop { unit, .. } => {
                let set = format!("`OOMPolicy=stop` is set for the systemd unit {}", unit.name);
                if self.kills_supervisor(containment) {
                    format!(
                        "{set}: when the kernel kills a job for lack of memory, systemd ends Drydock and all jobs; set \
                         `OOMPolicy=continue` or `Delegate=yes` for it, or {instead}"
                    )
                } else {
                    format!("{set}, so the jobs of this run get cgroups outside of it")
                }
            }
            Danger::Throttle { group, high } => format!(
                "above {} (`memory.high` of {}), the kernel slows jobs down until they time out",
                ByteSize::new(*high),
                group.display()
            ),
            Danger::KillDisabled { group } => format!(
                "`oom_kill_disable` is set for {}: a job that runs out of memory hangs until it times out",
                group.display()
            ),
            Danger::Panic => {
                "`vm.panic_on_oom` is set: the machine stops, and Drydock with it, when memory runs out; lower --memory"
                    .into()
            }
            Danger::AllocatingTask => {
                "`vm.oom_kill_allocating_task` is set: when memory runs out, the kernel may kill Drydock instead of a job"
                    .into()
            }
        }
    }
}

/// All dangers of this machine.
pub fn find() -> Vec<Danger> {
    let mut found = Vec::new();
    let groups = containment::own_groups(Kind::V2);
    for (depth, group) in groups.iter().enumerate() {
        if read(&group.join("memory.oom.group")).as_deref() == Some("1") {
            let limits = groups[depth..].iter().filter_map(|above| number(&above.join("memory.max")));
            found.push(Danger::GroupKill { group: group.clone(), limit: limits.min() });
        }
    }
    let stopped = systemd::stopped_at_kills(&groups).into_iter();
    found.extend(stopped.map(|unit| Danger::UnitStop { is_own: groups.first() == Some(&unit.group), unit }));
    found.extend(throttles());
    for group in containment::own_groups(Kind::V1) {
        if containment::read_keyed(group.join("memory.oom_control"), "oom_kill_disable").is_ok_and(|set| set == 1) {
            found.push(Danger::KillDisabled { group });
        }
    }
    for name in userspace::running() {
        found.push(match name.as_str() {
            "systemd-oomd" => Danger::SystemdOomd,
            _ => Danger::Daemon { name },
        });
    }
    let is_set = |name: &str| read(Path::new(&format!("/proc/sys/vm/{name}"))).is_some_and(|value| value != "0");
    found.extend(is_set("panic_on_oom").then_some(Danger::Panic));
    found.extend(is_set("oom_kill_allocating_task").then_some(Danger::AllocatingTask));
    found
}

/// One sentence for each systemd unit around this process that is being stopped because the kernel killed a process in it.
pub(crate) fn who_stops_drydock() -> Vec<String> {
    let units = systemd::stopped_at_kills(&containment::own_groups(Kind::V2));
    let stopped = units.into_iter().filter(Unit::is_stopped_for_memory);
    stopped
        .map(|unit| {
            format!(
                "systemd ends the unit {} with Drydock and all jobs, since the kernel killed a process in it for lack of \
                 memory; set `OOMPolicy=continue` or `Delegate=yes` for it",
                unit.name
            )
        })
        .collect()
}

/// The cgroups around this process with a `memory.high`.
pub(crate) fn throttles() -> Vec<Danger> {
    let throttle = |group: PathBuf| Some(Danger::Throttle { high: number(&group.join("memory.high"))?, group });
    containment::own_groups(Kind::V2).into_iter().filter_map(throttle).collect()
}

/// The state of the machine at the start of a run, by which a later one finds out what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Surroundings {
    /// The dangers.
    pub dangers: Vec<Danger>,
    /// The kernel's identifier of this boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: Option<String>,
    /// The machine's count of out-of-memory kills (`/proc/vmstat`).
    pub kills: Option<u64>,
    /// Drydock's own cgroup, as the journal of the system names it.
    pub cgroup: Option<String>,
    /// For each cgroup with `memory.oom.group`: how often all of its processes were killed (`memory.events`).
    pub group_kills: BTreeMap<PathBuf, GroupKills>,
}

/// The count of a cgroup, and what tells it from a later one of the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupKills {
    /// The inode of its directory.
    pub inode: u64,
    /// `oom_group_kill`.
    pub count: u64,
}

impl Surroundings {
    /// Reads them.
    pub fn now() -> Surroundings {
        let dangers = find();
        let group_kills = dangers.iter().filter_map(|danger| match danger {
            Danger::GroupKill { group, .. } => Some((group.clone(), GroupKills::read(group)?)),
            _ => None,
        });
        Surroundings {
            group_kills: group_kills.collect(),
            boot: read(Path::new("/proc/sys/kernel/random/boot_id")),
            kills: host::OomCounter::open().value().get().copied(),
            cgroup: containment::own_cgroup(),
            dangers,
        }
    }

    /// What became of a Drydock that started in these surroundings and left no end of its run. `since` is the Unix time,
    /// in seconds, of its last record but for the daemons of the machine, which may act before it.
    pub fn loss(&self, since: i64) -> SupervisorLoss {
        let boot = read(Path::new("/proc/sys/kernel/random/boot_id"));
        if let (Some(then), Some(now)) = (&self.boot, &boot) {
            if then != now {
                return SupervisorLoss::Restarted;
            }
        }
        for (group, then) in &self.group_kills {
            let now = GroupKills::read(group).filter(|now| now.inode == then.inode);
            if let Some(kills) = now.and_then(|now| now.count.checked_sub(then.count)).filter(|kills| *kills > 0) {
                return SupervisorLoss::GroupKilled { group: group.display().to_string(), kills };
            }
        }
        if let Some(kill) = userspace::kills(since, &[], self.cgroup.as_deref()).get().and_then(|kills| kills.first()) {
            return SupervisorLoss::Userspace(kill.clone());
        }
        let kills = host::OomCounter::open().value().get().copied();
        let rise = kills.zip(self.kills).map_or(0, |(now, then)| now.saturating_sub(then));
        let group = self.dangers.iter().find_map(|danger| match danger {
            Danger::GroupKill { group, .. } => Some(group.display().to_string()),
            _ => None,
        });
        SupervisorLoss::Unknown { kills: rise, group }
    }
}

impl GroupKills {
    fn read(group: &Path) -> Option<GroupKills> {
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(group).ok()?);
        // Linux before 5.17 counts only the processes.
        let events = ["oom_group_kill", "oom_kill"];
        let count =
            events.into_iter().find_map(|key| containment::read_keyed(group.join("memory.events"), key).ok())?;
        Some(GroupKills { inode, count })
    }
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// `None` for `max`.
fn number(path: &Path) -> Option<u64> {
    read(path)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cgroup_of_their_own_keeps_jobs_from_taking_drydock_along() {
        let pod = Danger::GroupKill { group: "/sys/fs/cgroup/pod".into(), limit: Some(200 << 20) };
        for (kind, kills) in [(Kind::V2, false), (Kind::V1, true), (Kind::None, true)] {
            assert_eq!(pod.kills_supervisor(kind), kills);
            assert_eq!(Danger::SystemdOomd.kills_supervisor(kind), kills);
            assert!(Danger::Panic.kills_supervisor(kind) && Danger::AllocatingTask.kills_supervisor(kind));
        }
        let said = pod.describe(Kind::None);
        assert!(
            said.contains("/sys/fs/cgroup/pod: when its limit of 200 MiB is reached, the kernel kills Drydock"),
            "{said}"
        );
    }

    #[test]
    fn another_boot_is_a_restart_and_this_one_is_not() {
        let now = Surroundings::now();
        assert!(now.boot.is_some() && now.kills.is_some(), "{now:?}");
        assert!(!matches!(now.loss(0), SupervisorLoss::Restarted | SupervisorLoss::GroupKilled { .. }));
        let before = Surroundings { boot: Some("another".into()), ..now };
        assert_eq!(before.loss(0), SupervisorLoss::Restarted);
    }

    #[test]
    fn a_cgroup_that_was_killed_as_a_whole_is_found_and_one_of_the_same_path_is_not() {
        let group = tempfile::tempdir().unwrap();
        let events = |count: u64| {
            fs::write(group.path().join("memory.events"), format!("oom 9\noom_kill 7\noom_group_kill {count}\n"))
                .unwrap();
        };
        events(1);
        let now = Surroundings::now();
        let kept = GroupKills::read(group.path()).unwrap();
        let then = Surroundings { group_kills: BTreeMap::from([(group.path().to_owned(), kept)]), ..now.clone() };
        assert!(matches!(then.loss(i64::MAX / 1000), SupervisorLoss::Unknown { .. }), "nothing happened");
        events(3);
        assert_eq!(
            then.loss(i64::MAX / 1000),
            SupervisorLoss::GroupKilled { group: group.path().display().to_string(), kills: 2 }
        );
        let other = GroupKills { inode: kept.inode + 1, ..kept };
        let other = Surroundings { group_kills: BTreeMap::from([(group.path().to_owned(), other)]), ..now };
        assert!(matches!(other.loss(i64::MAX / 1000), SupervisorLoss::Unknown { .. }), "it is a new cgroup");
    }
}
