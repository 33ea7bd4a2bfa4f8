//! The names of logs, and what they say of processes.

use std::collections::{BTreeMap, BTreeSet};

/// Logs whose parent has none. Only a traced process starts another one that has a log, so the parent must have had a log
/// itself, unless it had ended already and the child had been adopted by another process.
pub(super) fn parentless(logs: &[(Option<u32>, Option<u32>)], main: Option<u32>) -> Vec<String> {
    let pids: BTreeSet<u32> = logs.iter().filter_map(|(pid, _)| *pid).collect();
    let outside = logs.iter().find(|(pid, _)| *pid == main).and_then(|(_, parent)| *parent);
    let known = [0, 1, std::process::id()];
    let missing: BTreeSet<u32> = logs
        .iter()
        .filter(|(pid, _)| *pid != main)
        .filter_map(|(_, parent)| *parent)
        .filter(|parent| !pids.contains(parent) && !known.contains(parent) && Some(*parent) != outside)
        .collect();
    missing
        .into_iter()
        .map(|parent| format!("process {parent} started a process that has a log, but has none"))
        .collect()
}

/// The logs of processes that went on with another program, whose log has the same pid.
pub(super) fn replaced<'n>(names: impl Iterator<Item = &'n str>) -> BTreeSet<String> {
    let mut last: BTreeMap<String, (u64, &str)> = BTreeMap::new();
    let mut replaced = BTreeSet::new();
    for name in names {
        // One that was not renamed in time is the last.
        let order = number(name).unwrap_or(u64::MAX);
        let before = last.get(&stem(name)).copied();
        let (older, newer) = match before {
            Some(before) if before.0 > order => (Some(name), before),
            Some((_, before)) => (Some(before), (order, name)),
            None => (None, (order, name)),
        };
        replaced.extend(older.map(str::to_owned));
        last.insert(stem(name), newer);
    }
    replaced
}

/// `memcheck.4711` of `memcheck.4711.xml` and of `memcheck.4711.1.xml`, the name that [`super::watch`] gives.
pub(super) fn stem(name: &str) -> String {
    name.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// The 1 of `memcheck.4711.1.xml`.
pub(super) fn number(name: &str) -> Option<u64> {
    name.split('.').nth(2)?.parse().ok()
}
