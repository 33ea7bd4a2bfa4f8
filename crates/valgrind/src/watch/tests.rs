//! Logs as valgrind opens them, and what jobs do to them.

use super::*;
use std::fs::{self, File};
use std::io::Write as _;

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

#[test]
fn each_program_of_a_process_keeps_its_log() {
    let watched = Watched::new();
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
    let foreign = |change: &dyn Fn(&Watched)| {
        let watched = Watched::new();
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
    let watched = Watched::new();
    fs::write(watched.path("memcheck.7.1.xml"), "forged").unwrap();
    drop(watched.open("memcheck.7.xml", "memcheck.7.2.xml"));
    let (opens, _) = watched.end();
    assert_eq!((opens.count["memcheck.7.1.xml"], opens.foreign.len()), (1, 1));
    assert_eq!(opens.kept["memcheck.7.xml"], 2);
}

/// Names and descriptors of a log that are not those of the directory.
#[test]
fn what_a_job_does_to_logs_from_outside_is_noticed() {
    let foreign = |before: &dyn Fn(&Path, &Watched) -> Option<File>, after: &dyn Fn(&Path, &Watched, Option<File>)| {
        let watched = Watched::new();
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
    let watched = Watched::new();
    std::os::unix::fs::symlink("/dev/null", watched.path("memcheck.8.xml")).unwrap();
    File::create(watched.path("memcheck.8.xml")).unwrap();
    fs::remove_file(watched.path("memcheck.8.xml")).unwrap();
    assert_eq!(watched.end().0.foreign, BTreeSet::from(["memcheck.8.xml".to_owned()]));
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
