//! A real systemd around Drydock, and the daemons that kill for lack of memory, in one virtual machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::{attempt, run_of, says};
use crate::deb::fixture::kept_directory;
use crate::support::{fixtures, need_tool, skip, xtask_binary};
use crate::vm::{self, Console, Guest};

const JOBS: &str = "\
    defaults: {timeout: 2m, grace: 1s, memory: 8MiB}\n\
    jobs:\n\
    \x20 hog: {run: [/usr/bin/mortal, hog, \"300\"]}\n\
    \x20 limited: {run: [/usr/bin/mortal, hog, \"120\"], memory-limit: 60MiB}\n\
    \x20 calm: {run: [/usr/bin/mortal, sleep, \"1\"]}\n\
    \x20 patient: {run: [/usr/bin/mortal, sleep, \"60\"]}\n\
    \x20 eater: {run: [/usr/bin/mortal, hog, \"700\", \"600\"], timeout: 90s}\n\
    \x20 crawl: {run: [/usr/bin/mortal, hog, \"300\", \"600\"], timeout: 90s}\n";

/// Services that a guest for one run does not need, and the daemons, which are started when their turn comes.
const MASKED: [&str; 8] = [
    "getty@tty1.service",
    "systemd-timesyncd.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_reap.service",
    "earlyoom.service",
    "systemd-oomd.service",
];

/// A Debian with systemd as a tar archive, made once.
fn debian() -> std::path::PathBuf {
    let directory = kept_directory("systemd");
    let lock = fs::File::create(directory.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let made = directory.join("root.tar");
    if !made.exists() {
        let part = directory.join("part.tar");
        let packages = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,systemd-oomd,earlyoom";
        run(Command::new("mmdebstrap")
            .args(["--quiet", "--variant=apt", "--dpkgopt=path-exclude=/usr/share/{doc,man,locale}/*"])
            .arg(format!("--include={packages}"))
            .arg("bookworm")
            .arg(&part)
            .arg("http://deb.debian.org/debian"));
        fs::rename(part, &made).unwrap();
    }
    made
}

#[track_caller]
fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// The disk of the guest: Debian, Drydock, the project, and the scenarios as a service.
fn disk(directory: &Path) -> std::path::PathBuf {
    let (root, disk) = (directory.join("root"), directory.join("disk"));
    fs::create_dir(&root).unwrap();
    run(Command::new("tar").arg("-xf").arg(debian()).arg("-C").arg(&root));
    run(Command::new("strip").arg("-o").arg(root.join("usr/bin/drydock")).arg(xtask_binary()));
    fs::copy(fixtures().join("mortal-static"), root.join("usr/bin/mortal")).unwrap();
    fs::create_dir_all(root.join("project/ci")).unwrap();
    fs::write(root.join("project/ci/jobs.yaml"), JOBS).unwrap();
    fs::write(root.join("scenarios"), include_str!("scenarios.sh")).unwrap();
    fs::set_permissions(root.join("scenarios"), fs::Permissions::from_mode(0o755)).unwrap();
    let units = root.join("etc/systemd/system");
    fs::write(units.join("scenarios.service"), "[Service]\nExecStart=/scenarios\n").unwrap();
    symlink("../scenarios.service", units.join("multi-user.target.wants/scenarios.service")).unwrap();
    for name in MASKED {
        fs::remove_file(units.join(name)).ok();
        symlink("/dev/null", units.join(name)).unwrap();
    }
    fs::File::create(&disk).unwrap().set_len(900 << 20).unwrap();
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"]).arg(&root).arg(&disk));
    disk
}

/// Runs only with `DRYDOCK_TEST_SYSTEMD=1`, since Debian is installed for it and boots under emulation.
#[test]
fn what_systemd_earlyoom_and_systemd_oomd_do_is_reported_and_drydock_survives_where_it_can() {
    if std::env::var_os("DRYDOCK_TEST_SYSTEMD").is_none() {
        skip("it boots a whole Debian under emulation; set DRYDOCK_TEST_SYSTEMD=1 to run it");
        return;
    }
    if !vm::available() || !need_tool("mmdebstrap", "mmdebstrap") || !need_tool("mke2fs", "e2fsprogs") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let console = Guest::of_disk(1024, &disk(directory.path())).limit(Duration::from_secs(900)).boot();
    println!("{}", console.figures());
    assert_eq!(console.exit(), Some(0), "{}", console.text);
    cgroups(&console);
    stopped_with_its_unit(&console);
    daemons(&console);
}

/// However the cgroup was got, the job that outgrows its own limit is the only one that dies.
fn cgroups(console: &Console) {
    for name in ["scope", "undelegated", "user", "user-scope", "user-slice"] {
        let (run, code) = run_of(console, name);
        assert_eq!((run.containment.as_str(), code), ("cgroup-v2", 1), "{name}: {run:#?}\n{}", console.text);
        assert_eq!(attempt(&run, "limited", 1, console).outcome.kind, "out-of-memory", "{name}");
        assert_eq!(attempt(&run, "calm", 1, console).outcome.kind, "passed", "{name}");
    }
}

/// By `OOMPolicy=stop`, the default of services, systemd ends the whole unit when the kernel kills one process in it.
fn stopped_with_its_unit(console: &Console) {
    let set = "`OOMPolicy=stop` is set for the systemd unit runner.service: when the kernel kills a job for lack of memory, \
               systemd ends Drydock and all jobs";
    let plan: Vec<&str> = console.marked("@@plan-runner ").collect();
    assert!(plan.iter().any(|line| line.contains(set)), "{plan:?}\n{}", console.text);
    let (run, _) = run_of(console, "runner");
    assert_eq!((run.containment.as_str(), run.result.as_deref()), ("none", Some("interrupted")), "{run:#?}");
    for warned in
        [set, "systemd ends the unit runner.service with Drydock and all jobs, since the kernel killed a process"]
    {
        assert!(run.warnings.iter().any(|warning| warning.contains(warned)), "{warned}: {run:#?}");
    }
    // With another policy it goes on, and the kernel tells how much the job had when no sample could.
    let (run, code) = run_of(console, "continue");
    assert_eq!((run.containment.as_str(), code), ("none", 5), "{run:#?}");
    let hog = attempt(&run, "hog", 1, console);
    assert_eq!(hog.outcome.kind, "out-of-memory", "{hog:#?}");
    let peak = hog.peak.unwrap_or(0) >> 20;
    assert!((150..=200).contains(&peak), "{peak} MiB: {hog:#?}");
    assert_eq!(attempt(&run, "calm", 1, console).outcome.kind, "passed");
}

fn daemons(console: &Console) {
    for (name, job, words) in [
        ("earlyoom", "eater", "earlyoom says: sending SIGTERM to process "),
        ("earlyoom-none", "eater", "earlyoom says: sending SIGTERM to process "),
        // It would rather take Drydock's cgroup, which was searched more for free memory.
        ("oomd", "crawl", "systemd-oomd says: it noted on the cgroup /sys/fs/cgroup/press.slice/"),
        ("oomd-none", "crawl", "systemd-oomd says: Killed /press.slice/"),
    ] {
        let (run, _) = run_of(console, name);
        let killed = attempt(&run, job, 1, console);
        assert_eq!(killed.outcome.kind, "out-of-memory", "{name}: {killed:#?}\n{}", console.text);
        says(killed, words);
    }
}
