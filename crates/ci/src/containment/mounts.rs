//! The mount points of this process's cgroups: `/proc/self/cgroup` and `/proc/self/mountinfo` (cgroups(7), proc(5)).

use std::path::{Path, PathBuf};

/// A group of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its directory.
    pub(super) dir: PathBuf,
    /// Its path within the hierarchy.
    pub(super) path: String,
}

/// The group of this process in the unified hierarchy.
pub(super) fn unified() -> Option<Place> {
    place(&own_groups()?, &mounts()?, "cgroup2", "", |_| true)
}

/// The group of this process in the memory hierarchy of version 1.
pub(super) fn memory() -> Option<Place> {
    place(&own_groups()?, &mounts()?, "cgroup", "memory", |options| options.split(',').any(|option| option == "memory"))
}

fn own_groups() -> Option<String> {
    std::fs::read_to_string("/proc/self/cgroup").ok()
}

fn mounts() -> Option<String> {
    std::fs::read_to_string("/proc/self/mountinfo").ok()
}

fn place(groups: &str, mounts: &str, kind: &str, controller: &str, fits: impl Fn(&str) -> bool) -> Option<Place> {
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (file_system, _, options) = (after.next()?, after.next()?, after.next()?);
        if file_system != kind || !fits(options) {
            return None;
        }
        let mut before = before.split(' ');
        let (root, mount) = (unescape(before.nth(3)?), unescape(before.next()?));
        // The mount may show only a part of the hierarchy, as in a container.
        let below = if root == "/" { path } else { path.strip_prefix(root.as_str())? };
        let dir = Path::new(&mount).join(below.trim_start_matches('/'));
        dir.is_dir().then(|| Place { dir, path: path.to_owned() })
    })
}

/// mountinfo writes space, tab, newline and backslash as octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_group_of_each_hierarchy() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display().to_string();
        std::fs::create_dir_all(directory.path().join("m/job/7")).unwrap();
        std::fs::create_dir_all(directory.path().join("u/user.slice")).unwrap();
        let groups = "4:memory:/job/7\n3:cpu,cpuacct:/\n0::/user.slice\n";
        let mounts = format!(
            "35 31 0:32 / {root}/m rw,relatime - cgroup cgroup rw,memory\n\
             36 31 0:33 / {root}/c rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct\n\
             37 31 0:34 / {root}/u rw - cgroup2 cgroup2 rw,nsdelegate\n"
        );
        let found = place(groups, &mounts, "cgroup", "memory", |options| options.contains("memory")).unwrap();
        assert_eq!((found.dir, found.path.as_str()), (directory.path().join("m/job/7"), "/job/7"));
        let found = place(groups, &mounts, "cgroup2", "", |_| true).unwrap();
        assert_eq!(found.dir, directory.path().join("u/user.slice"));
        assert_eq!(place("0::/x\n", "", "cgroup2", "", |_| true), None);
    }
}
