//! Logs as valgrind opens them, and what jobs do to them.

use super::*;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

struct Watched {
    directory: tempfile::TempDir,
    watch: LogWatch,
}

impl Watched {
    fn new() -> Watched {
        let directory = tempfile::tempdir().unwrap();
        let watch = LogWatch::new(directory.path()).expect("inotify has room");
        Watched { directory, watch }
    }

    /// One of a file system without links.
    fn linkless() -> Watched {
        let watched = Watched::new();
        let mut instances = watched.watch.keeper.instances();
        let instance = instances.by_number.get_mut(&watched.watch.instance).unwrap();
        instance.directories.get_mut(&watched.watch.watch).unwrap().is_linkless = true;
        drop(instances);
        watched
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Opens a log as valgrind does, and waits until it was put aside.
    fn open(&self, name: &str, aside: &str) -> File {
        let mut file = File::create(self.path(name)).unwrap();
        file.write_all(b"<").unwrap();
        while !self.path(aside).exists() {
            std::thread::yield_now();
        }
        file
    }

    fn end(self) -> (Opens, Vec<String>) {
        let opens = self.watch.end();
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        (opens, names)
    }
}

fn counts<const N: usize>(counts: [(&str, u32); N]) -> BTreeMap<String, u32> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

/// Of file systems with links, and without.
const WAYS: [fn() -> Watched; 2] = [Watched::new, Watched::linkless];

#[test]
fn each_program_of_a_process_keeps_its_log() {
    WAYS.into_iter().for_each(each_program_keeps_its_log);
}

fn each_program_keeps_its_log(new: fn() -> Watched) {
    let watched = new();
    let mut files: Vec<File> =
        (1..=3).map(|number| watched.open("memcheck.7.xml", &format!("memcheck.7.{number}.xml"))).collect();
    fs::write(watched.path("log"), "text").unwrap();
    for (number, file) in files.iter_mut().enumerate() {
        write!(file, "{number}").unwrap();
    }
    fs::read(watched.path("memcheck.7.1.xml")).unwrap();
    let text = [1, 2, 3].map(|number| fs::read_to_string(watched.path(&format!("memcheck.7.{number}.xml"))).unwrap());
    assert_eq!(text, ["<0", "<1", "<2"]);
    let (opens, names) = watched.end();
    assert_eq!(names, ["log", "memcheck.7.1.xml", "memcheck.7.2.xml", "memcheck.7.3.xml"]);
    assert_eq!((opens.count["memcheck.7.xml"], &opens.kept), (3, &counts([("memcheck.7.xml", 3)])));
    assert!(opens.foreign.is_empty() && !opens.overflowed, "{opens:?}");
}

#[test]
fn a_log_that_was_opened_again_before_it_was_put_aside_is_noticed() {
    let watched = Watched::new();
    {
        // The thread that renames waits for this.
        let _instances = watched.watch.keeper.instances();
        for _ in 0..3 {
            File::create(watched.path("memcheck.7.xml")).unwrap().write_all(b"<").unwrap();
        }
    }
    let (opens, names) = watched.end();
    assert_eq!((opens.count["memcheck.7.xml"], opens.kept["memcheck.7.xml"]), (3, 1));
    assert_eq!(names, ["memcheck.7.1.xml"]);
}

#[test]
fn what_a_job_does_to_logs_is_noticed() {
    WAYS.into_iter().for_each(what_a_job_does_is_noticed);
}

fn what_a_job_does_is_noticed(new: fn() -> Watched) {
    let foreign = |change: &dyn Fn(&Watched)| {
        let watched = new();
        drop(watched.open("memcheck.7.xml", "memcheck.7.1.xml"));
        change(&watched);
        watched.end().0.foreign
    };
    let first = BTreeSet::from(["memcheck.7.1.xml".to_owned()]);
    assert!(foreign(&|_| ()).is_empty());
    let moved = |watched: &Watched| {
        fs::write(watched.path("own"), "<").unwrap();
        fs::rename(watched.path("own"), watched.path("memcheck.7.1.xml")).unwrap();
    };
    assert_eq!(foreign(&moved), first);
    let linked = |watched: &Watched| {
        fs::hard_link(watched.path("memcheck.7.1.xml"), watched.path("memcheck.8.1.xml")).unwrap();
    };
    assert_eq!(foreign(&linked), BTreeSet::from(["memcheck.7.1.xml", "memcheck.8.1.xml"].map(str::to_owned)));
    // Names that a job took are passed over.
    let watched = new();
    fs::write(watched.path("memcheck.7.1.xml"), "forged").unwrap();
    drop(watched.open("memcheck.7.xml", "memcheck.7.2.xml"));
    let (opens, _) = watched.end();
    assert_eq!((opens.count["memcheck.7.1.xml"], opens.foreign.len()), (1, 1));
    assert_eq!(opens.kept["memcheck.7.xml"], 2);
}

/// Names and descriptors of a log that are not those of the directory.
#[test]
fn what_a_job_does_to_logs_from_outside_is_noticed() {
    WAYS.into_iter().for_each(what_is_done_from_outside_is_noticed);
}

fn what_is_done_from_outside_is_noticed(new: fn() -> Watched) {
    let foreign = |before: &dyn Fn(&Path, &Watched) -> Option<File>, after: &dyn Fn(&Path, &Watched, Option<File>)| {
        let watched = new();
        let elsewhere = tempfile::tempdir_in(watched.directory.path().parent().unwrap()).unwrap();
        let outside = elsewhere.path().join("outside");
        let held = before(&outside, &watched);
        let mut log = watched.open("memcheck.7.xml", "memcheck.7.1.xml");
        log.write_all(b"<valgrindoutput>").unwrap();
        fs::read(watched.path("memcheck.7.1.xml")).unwrap();
        log.write_all(b"</valgrindoutput>").unwrap();
        drop(log);
        after(&outside, &watched, held);
        watched.end().0.foreign.into_iter().collect::<Vec<_>>()
    };
    let none = |_: &Path, _: &Watched| None;
    let first = ["memcheck.7.1.xml"];
    let read = |_: &Path, watched: &Watched, _: Option<File>| {
        fs::read(watched.path("memcheck.7.1.xml")).unwrap();
    };
    assert!(foreign(&none, &read).is_empty());
    // A link, which is gone again.
    let linked = |outside: &Path, watched: &Watched, _: Option<File>| {
        fs::hard_link(watched.path("memcheck.7.1.xml"), outside).unwrap();
        fs::write(outside, "clean").unwrap();
        fs::remove_file(outside).unwrap();
    };
    assert_eq!(foreign(&none, &linked), first);
    // Links that were there before valgrind opened its log: one stays, and of one only the descriptor.
    let prepared = |outside: &Path, watched: &Watched| {
        let file = File::create(outside).unwrap();
        fs::hard_link(outside, watched.path("memcheck.7.xml")).unwrap();
        Some(file)
    };
    assert_eq!(foreign(&prepared, &|_, _, _| ()), first);
    let held = |outside: &Path, watched: &Watched| {
        let file = prepared(outside, watched);
        fs::remove_file(outside).unwrap();
        file
    };
    let write = |_: &Path, _: &Watched, file: Option<File>| file.unwrap().write_all(b"clean").unwrap();
    assert_eq!(foreign(&held, &write), first);
    // A symbolic link, through which valgrind writes elsewhere.
    let watched = new();
    std::os::unix::fs::symlink("/dev/null", watched.path("memcheck.8.xml")).unwrap();
    File::create(watched.path("memcheck.8.xml")).unwrap();
    fs::remove_file(watched.path("memcheck.8.xml")).unwrap();
    assert_eq!(watched.end().0.foreign, BTreeSet::from(["memcheck.8.xml".to_owned()]));
}

/// A supervisor that is stopped, while three processes of an attempt write a log of many errors each.
#[test]
fn whatever_valgrind_writes_meanwhile_no_event_is_lost() {
    let watched = Watched::new();
    let name = |pid: u32| format!("memcheck.{pid}.1.xml");
    let mut logs: Vec<File> = (1..=3).map(|pid| watched.open(&format!("memcheck.{pid}.xml"), &name(pid))).collect();
    let instances = watched.watch.keeper.instances();
    for _ in 0..20_000 {
        logs.iter_mut().for_each(|log| log.write_all(b"<").unwrap());
    }
    // One that begins meanwhile, and ends.
    let mut late = File::create(watched.path("memcheck.4.xml")).unwrap();
    for _ in 0..20_000 {
        late.write_all(b"<").unwrap();
        logs[0].write_all(b"<").unwrap();
    }
    drop((late, logs));
    drop(instances);
    let directory = watched.directory.path().to_owned();
    let size = |name: &str| fs::metadata(directory.join(name)).unwrap().len();
    let opens = watched.watch.end();
    assert_eq!((opens.kept.len(), size(&name(1)), size(&name(4))), (4, 40_001, 20_000));
    assert_eq!((opens.overflowed, opens.foreign), (false, BTreeSet::new()));
}

/// The same, with somebody else who writes, before valgrind closes its log and after it did.
#[test]
fn who_writes_while_the_supervisor_is_stopped_is_noticed() {
    for (new, before) in WAYS.into_iter().flat_map(|new| [(new, true), (new, false)]) {
        let watched = new();
        let mut log = watched.open("memcheck.7.xml", "memcheck.7.1.xml");
        let instances = watched.watch.keeper.instances();
        let other = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&log));
        let mut other = File::options().write(true).open(other).unwrap();
        let finish = |log: &mut File| (0..9_000).for_each(|_| log.write_all(b"<").unwrap());
        if before {
            other.write_all(b"clean").unwrap();
            drop(other);
            finish(&mut log);
        } else {
            finish(&mut log);
            drop(log);
            other.write_all(b"clean").unwrap();
        }
        drop(instances);
        let opens = watched.watch.end();
        let right = (BTreeSet::from(["memcheck.7.1.xml".to_owned()]), false);
        assert_eq!((opens.foreign, opens.overflowed), right, "{before}");
    }
}

/// A log that is closed before it is put aside, and then written by a descriptor from elsewhere.
#[test]
fn a_log_that_was_closed_early_is_closed_once() {
    WAYS.into_iter().for_each(a_log_is_closed_once);
}

fn a_log_is_closed_once(new: fn() -> Watched) {
    let watched = new();
    let early = |pid: u32| {
        let outside = watched.path("outside");
        let held = File::create(&outside).unwrap();
        fs::hard_link(&outside, watched.path(&format!("memcheck.{pid}.xml"))).unwrap();
        fs::remove_file(outside).unwrap();
        held
    };
    let instances = watched.watch.keeper.instances();
    let mut held = early(1);
    for pid in 1..=2 {
        fs::write(watched.path(&format!("memcheck.{pid}.xml")), "<").unwrap();
    }
    drop(instances);
    while !watched.path("memcheck.2.1.xml").exists() || watched.path("memcheck.2.xml").exists() {
        std::thread::yield_now();
    }
    // What is asked for the instances waits until all events were noted.
    drop(watched.watch.keeper.instances());
    held.write_all(b"clean").unwrap();
    drop(held);
    assert_eq!(watched.end().0.foreign, BTreeSet::from(["memcheck.1.1.xml".to_owned()]));
}

#[test]
fn attempts_share_an_instance_where_the_kernel_allows_no_more() {
    let one = Watched::new();
    let directory = tempfile::tempdir().unwrap();
    {
        let mut instances = one.watch.keeper.instances();
        let instance = instances.by_number.get_mut(&one.watch.instance).unwrap();
        instance.add(directory.path()).unwrap();
    }
    fs::write(directory.path().join("memcheck.9.xml"), "<").unwrap();
    drop(one.open("memcheck.9.xml", "memcheck.9.1.xml"));
    while !directory.path().join("memcheck.9.1.xml").exists() {
        std::thread::yield_now();
    }
    let (opens, _) = one.end();
    assert_eq!(opens.count, counts([("memcheck.9.xml", 1)]));
}
