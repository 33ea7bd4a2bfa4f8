//! Kills by daemons: earlyoom and systemd-oomd write them to the systemd journal.

use std::path::Path;

use crate::evidence::{Reading, UserspaceKill};
use drydock_base::text;

/// The daemon that kills cgroups, and notes that on them.
pub const OOMD: &str = "systemd-oomd";
/// The daemons that kill processes or cgroups before the kernel's memory is exhausted.
const DAEMONS: [&str; 4] = ["earlyoom", OOMD, "nohang", "oomd"];

/// Those that run, by the names of their programs. A container does not show those of the machine around it.
pub fn running() -> Vec<String> {
    let pids = super::process::all().unwrap_or_default();
    let names = pids.iter().filter_map(|stat| std::fs::read_to_string(format!("/proc/{}/comm", stat.pid)).ok());
    let mut found: Vec<String> = names
        .map(|name| name.trim().to_owned())
        .filter(|name| DAEMONS.contains(&name.as_str()) || name.starts_with("nohang"))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Asks the journal for kills that name one of the pids or the group, since the given Unix time in seconds.
pub fn kills(since: i64, pids: &[u32], group: Option<&str>) -> Reading<Vec<UserspaceKill>> {
    if !Path::new("/run/systemd/journal/socket").exists() {
        return Reading::Absent;
    }
    let since = format!("@{since}");
    let command = duct::cmd!(
        "journalctl",
        "--no-pager",
        "--quiet",
        "--output=cat",
        "--lines=1000",
        "--since",
        since,
        "-t",
        "earlyoom",
        "-t",
        "systemd-oomd"
    );
    match command.stdin_null().stdout_capture().stderr_null().unchecked().run() {
        Ok(output) if !output.status.success() => {
            Reading::Unreadable(format!("journalctl ended with {}", output.status))
        }
        Ok(output) => {
            let found = matching(&String::from_utf8_lossy(&output.stdout), pids, group);
            // journalctl shows other users' messages only to members of certain groups, and prints nothing otherwise.
            if found.is_empty() && !rustix::process::geteuid().is_root() {
                return Reading::Unreadable("the journal is empty, or this user cannot read it".into());
            }
            Reading::Read(found)
        }
        Err(error) => Reading::Unreadable(format!("journalctl: {error}")),
    }
}

/// earlyoom: `sending SIGTERM to process 1234 uid 0 "comm": badness …`; systemd-oomd: `Killed /path/of/group due to …`.
fn matching(text: &str, pids: &[u32], group: Option<&str>) -> Vec<UserspaceKill> {
    text.lines()
        .filter_map(|line| {
            let by = if let Some((_, rest)) = line.split_once(" to process ") {
                let pid: u32 = rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
                pids.contains(&pid).then_some("earlyoom")?
            } else {
                let killed = line.strip_prefix("Killed ")?.split(" due to ").next()?;
                let hit = group.is_some_and(|group| group == killed || group.starts_with(&format!("{killed}/")));
                hit.then_some("systemd-oomd")?
            };
            Some(UserspaceKill { by: by.into(), message: text::printable(line, 300) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kills_of_this_job_count() {
        let text = "mem avail:   100 of 15000 MiB\n\
                    sending SIGTERM to process 4711 uid 0 \"memcheck-amd64-\": badness 900, VmRSS 800 MiB\n\
                    sending SIGKILL to process 47 uid 0 \"other\": badness 900\n\
                    Killed /user.slice/run-1.scope due to memory pressure for /user.slice being 60%\n";
        assert_eq!(matching(text, &[4711], None).len(), 1);
        assert_eq!(matching(text, &[4711], None)[0].by, "earlyoom");
        assert_eq!(matching(text, &[1], Some("/user.slice/run-1.scope/drydock-9"))[0].by, "systemd-oomd");
        assert!(matching(text, &[1], Some("/elsewhere")).is_empty());
        assert!(matching(text, &[1], Some("/user.slice/run-1.scope2/drydock-9")).is_empty());
    }
}
