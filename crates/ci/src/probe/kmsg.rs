//! The kernel's log of out-of-memory kills, from `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg).
//!
//! Two lines report one kill: `oom-kill:constraint=…,oom_memcg=…,task_memcg=…,task=…,pid=…,uid=…`, then
//! `Memory cgroup out of memory: Killed process PID (COMM) … anon-rss:…kB …` or `Out of memory: Killed process …`.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::evidence::{KernelKill, Reading};

/// The number of kills that are kept.
const REMEMBERED: usize = 4096;

/// The log since the run began.
#[derive(Debug)]
pub struct KernelLog {
    file: io::Result<File>,
    pending: Option<KernelKill>,
    kills: Vec<KernelKill>,
    /// `true` if the log's pids are those of this pid namespace, which is not the case in a container.
    same_pids: bool,
}

impl KernelLog {
    /// Opens the log at its present end.
    pub fn open() -> KernelLog {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default())
            .open("/dev/kmsg")
            .and_then(|file| {
                rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0))?;
                Ok(file)
            });
        // The initial pid namespace has a fixed inode number (include/linux/proc_ns.h, PROC_PID_INIT_INO).
        let same_pids =
            std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]");
        KernelLog { file, pending: None, kills: Vec::new(), same_pids }
    }

    /// Reads new records, and returns all kills of the run so far.
    pub fn kills(&mut self) -> Reading<&[KernelKill]> {
        if let Ok(file) = &mut self.file {
            let mut record = [0; 8192];
            loop {
                match file.read(&mut record) {
                    Ok(0) => break,
                    Ok(length) => {
                        let text = String::from_utf8_lossy(&record[..length]);
                        // Programs may write here too; the kernel's own records have facility 0.
                        if let Some((_, message)) = text.split_once(';').filter(|(prefix, _)| is_from_kernel(prefix)) {
                            take_line(message.lines().next().unwrap_or_default(), &mut self.pending, &mut self.kills);
                        }
                    }
                    // Records were overwritten before they were read: go on with the oldest that is left.
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
        match &self.file {
            Ok(_) => Reading::Read(&self.kills),
            Err(error) => Reading::Unreadable(format!("/dev/kmsg: {error}")),
        }
    }

    /// The number of kills that were reported so far.
    pub fn seen(&mut self) -> usize {
        self.kills().get().map_or(0, |kills| kills.len())
    }

    /// `true` if the victim was in a cgroup that no uncontained job of this run can be in.
    pub fn is_foreign(kill: &KernelKill, home: Option<&str>) -> bool {
        match (&kill.task_memcg, home) {
            (Some(task), Some(home)) => !task.starts_with(home) && !task.ends_with(home),
            (None, _) | (_, None) => false,
        }
    }

    /// `true` if pids in the log can be compared with pids seen here.
    pub fn same_pids(&self) -> bool {
        self.same_pids
    }
}

/// `priority,sequence,time,flags`: the priority holds the facility above its lowest three bits.
fn is_from_kernel(prefix: &str) -> bool {
    prefix
        .split(',')
        .next()
        .and_then(|priority| priority.parse::<u32>().ok())
        .is_some_and(|priority| priority >> 3 == 0)
}

fn take_line(line: &str, pending: &mut Option<KernelKill>, kills: &mut Vec<KernelKill>) {
    if let Some(fields) = line.strip_prefix("oom-kill:") {
        *pending = parse_constraint(fields);
    } else if let Some(mut kill) = parse_killed(line) {
        if let Some(announced) = pending.take().filter(|announced| announced.pid == kill.pid) {
            kill.constraint = announced.constraint;
            kill.oom_memcg = announced.oom_memcg;
            kill.task_memcg = announced.task_memcg;
        }
        if kills.len() < REMEMBERED {
            kills.push(kill);
        }
    }
}

fn parse_constraint(fields: &str) -> Option<KernelKill> {
    // `mems_allowed=0,1` holds a comma, so keys are looked for rather than split at each comma.
    let value = |key: &str| {
        let start = fields.find(&format!("{key}="))? + key.len() + 1;
        let rest = &fields[start..];
        let end = rest.find(',').unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    };
    Some(KernelKill {
        pid: value("pid")?.parse().ok()?,
        comm: value("task").unwrap_or_default(),
        constraint: value("constraint"),
        oom_memcg: value("oom_memcg"),
        task_memcg: value("task_memcg"),
        anon_rss: None,
    })
}

fn parse_killed(line: &str) -> Option<KernelKill> {
    let (before, rest) = line.split_once("Killed process ")?;
    if !before.to_ascii_lowercase().contains("out of memory") {
        return None;
    }
    let (pid, rest) = rest.split_once(" (")?;
    let (comm, rest) = rest.split_once(") ").or_else(|| rest.split_once(')'))?;
    let anon_rss = rest
        .split_once("anon-rss:")
        .and_then(|(_, rest)| rest.split_once("kB"))
        .and_then(|(kib, _)| kib.parse::<u64>().ok())
        .and_then(|kib| kib.checked_mul(1024));
    Some(KernelKill {
        pid: pid.parse().ok()?,
        comm: comm.to_owned(),
        constraint: None,
        oom_memcg: None,
        task_memcg: None,
        anon_rss,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_is_believed() {
        assert!(is_from_kernel("4,1234,5678,-") && !is_from_kernel("12,1234,5678,-") && !is_from_kernel(""));
    }

    #[test]
    fn two_lines_make_one_kill() {
        let (mut pending, mut kills) = (None, Vec::new());
        for line in [
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0-1,oom_memcg=/drydock,task_memcg=/drydock/7,task=memcheck-amd64-,pid=4711,uid=0",
            "Memory cgroup out of memory: Killed process 4711 (memcheck-amd64-) total-vm:500000kB, anon-rss:262144kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
            "Out of memory: Killed process 99 (a) b) total-vm:1kB, anon-rss:8kB",
            "usb 1-1: Killed process 1 (liar)",
            "Memory cgroup out of memory: Killed process x",
        ] {
            take_line(line, &mut pending, &mut kills);
        }
        assert_eq!(kills.len(), 2);
        assert_eq!(kills[0].pid, 4711);
        assert_eq!(kills[0].task_memcg.as_deref(), Some("/drydock/7"));
        assert_eq!(kills[0].oom_memcg.as_deref(), Some("/drydock"));
        assert_eq!(kills[0].anon_rss, Some(256 << 20));
        assert_eq!((kills[1].pid, kills[1].constraint.as_deref()), (99, None));
    }
}
