//! Trees that are carried to another directory, and archives that lie.

use super::*;
use std::fs::File;

/// A project with a build directory: programs, links of all kinds, times, an empty directory.
fn project() -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    let at = |path: &str| project.path().join(path);
    for directory in ["build/sub/empty", "src", "out"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    for (file, mode) in [("build/prog", 0o755), ("build/sub/data", 0o640), ("src/a.c", 0o644), ("out/lib.so", 0o444)] {
        fs::write(at(file), file).unwrap();
        fs::set_permissions(at(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::hard_link(at("build/prog"), at("build/sub/same")).unwrap();
    std::os::unix::fs::symlink("../prog", at("build/sub/link")).unwrap();
    std::os::unix::fs::symlink(at("src"), at("build/absolute")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("build/dangling")).unwrap();
    for (file, seconds) in [("src/a.c", 1000), ("build/prog", 2000), ("build/sub/data", 1500)] {
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 123_456_789);
        File::open(at(file)).unwrap().set_modified(time).unwrap();
    }
    let time = SystemTime::UNIX_EPOCH + Duration::new(77, 5);
    File::open(at("build/sub")).unwrap().set_modified(time).unwrap();
    project
}

fn roots(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Path, mode, time and link of everything below.
fn state(root: &Path) -> Vec<(String, u32, i64, i64, String)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let link = fs::read_link(&path).map(|link| link.display().to_string()).unwrap_or_default();
        let is_link = metadata.file_type().is_symlink();
        let time = if is_link { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) };
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        found.push((shown, metadata.mode(), time.0, time.1, link.replace("../src", "SRC")));
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

#[test]
fn everything_of_a_build_directory_is_carried() {
    let (from, to) = (project(), tempfile::tempdir().unwrap());
    let archive = to.path().join("shared.tar.gz");
    pack(
        from.path(),
        &roots(&["build", "out/lib.so"]),
        &[from.path().join("build/none")],
        &roots(&["src/a.c"]),
        &archive,
    )
    .unwrap();
    let target = to.path().join("p");
    fs::create_dir_all(target.join("build")).unwrap();
    fs::create_dir_all(target.join("src")).unwrap();
    fs::write(target.join("build/stale"), "").unwrap();
    fs::write(target.join("src/a.c"), "src/a.c").unwrap();
    restore(&archive, &target).unwrap();
    let mut expected = state(&from.path().join("build"));
    // A link to an absolute path in the project leads to the same place in the other one.
    expected.iter_mut().filter(|entry| entry.0 == "absolute").for_each(|entry| entry.4 = "SRC".to_owned());
    assert_eq!(state(&target.join("build")), expected);
    let inode = |path: &str| fs::metadata(target.join(path)).unwrap().ino();
    assert_eq!(inode("build/prog"), inode("build/sub/same"));
    assert_eq!(fs::read(target.join("out/lib.so")).unwrap(), b"out/lib.so");
    assert_eq!(fs::read(target.join("build/absolute/a.c")).unwrap(), b"src/a.c");
    // The source is older than what was built of it, although it was checked out later.
    let time = |path: &str| fs::metadata(target.join(path)).unwrap().modified().unwrap();
    assert!(time("src/a.c") < time("build/prog"));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 3, "nothing is left beside");
    // A source of another size is not the same file.
    fs::write(target.join("src/a.c"), "changed!").unwrap();
    restore(&archive, &target).unwrap();
    assert!(time("src/a.c") > time("build/prog"));
}

#[test]
fn what_leads_out_of_the_project_is_not_carried() {
    for (target, problem) in
        [("/etc/passwd", "links to /etc/passwd, which is not in the project"), ("../../x", "links to ../../x, which")]
    {
        let project = project();
        std::os::unix::fs::symlink(target, project.path().join("build/evil")).unwrap();
        let error =
            pack(project.path(), &roots(&["build"]), &[], &[], &project.path().join("a")).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        assert!(!project.path().join("a").exists());
    }
    let project = project();
    let pack = |names: &[&str]| {
        pack(project.path(), &roots(names), &[], &[], &project.path().join("a")).unwrap_err().to_string()
    };
    assert_eq!(pack(&["none"]), "`none` does not exist");
    assert_eq!(pack(&["../x"]), "`../x` is not a path in the project");
    assert_eq!(pack(&["build/absolute/a.c"]), "`build/absolute` is not a directory");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        project.path().join("build/pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert!(pack(&["build"]).starts_with("`build/pipe` is neither a file, a directory nor a link"));
}

/// An archive with this index and these contents.
fn archive(dir: &Path, index: &serde_json::Value, contents: &[(&str, &str)]) -> PathBuf {
    let path = dir.join("a.tar.gz");
    let mut tar = tar::Builder::new(GzEncoder::new(File::create(&path).unwrap(), Compression::fast()));
    let text = serde_json::to_vec(index).unwrap();
    append(&mut tar, INDEX, text.len() as u64, &mut text.as_slice()).unwrap();
    for (name, content) in contents {
        append(&mut tar, name, content.len() as u64, &mut content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
    path
}

#[test]
fn archives_that_lie_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let entry = |path: &str, kind: serde_json::Value| serde_json::json!({"path": path, "kind": kind, "mode": 0o777, "seconds": 0, "nanoseconds": 0});
    let index = |roots: &[&str], entries: Vec<serde_json::Value>| serde_json::json!({"format": 1, "roots": roots, "entries": entries, "sources": []});
    let file = |number: usize| serde_json::json!({"file": [number, 1]});
    let link = |to: &str| serde_json::json!({"link": to});
    const ONE: &[(&str, &str)] = &[("0", "x")];
    type Contents = &'static [(&'static str, &'static str)];
    let cases: Vec<(serde_json::Value, Contents, &str)> = vec![
        (index(&["../x"], vec![]), &[], "`../x` is not a path in the project"),
        (index(&["/x"], vec![]), &[], "`/x` is not a path in the project"),
        (index(&[".git"], vec![entry(".git", "directory".into())]), &[], "`.git` is not a path in the project"),
        (index(&["x"], vec![entry("y", file(0))]), ONE, "`y` is not in a directory of the archive"),
        (index(&["x"], vec![entry("x/../y", file(0))]), ONE, "`x/../y` is not a path in the project"),
        (index(&["x", "x/y"], vec![]), &[], "`x` overlaps with another path"),
        (index(&["x"], vec![entry("x", link("/etc"))]), &[], "`x` links to /etc, which is not in the project"),
        (
            index(&["x"], vec![entry("x", "directory".into()), entry("x/l", link("../.."))]),
            &[],
            "`x/l` links to ../.., which",
        ),
        (
            index(&["x"], vec![entry("x", link("y")), entry("x/z", file(0))]),
            ONE,
            "`x/z` is not in a directory of the archive",
        ),
        (
            index(&["x"], vec![entry("x", serde_json::json!({"same": "/etc/passwd"}))]),
            &[],
            "`x` is another name of a file that is not",
        ),
        (index(&["x"], vec![entry("x", file(0)), entry("x", file(1))]), ONE, "`x` is in the archive twice"),
        (index(&["x"], vec![entry("x", file(0))]), &[], "the archive was cut: contents are missing"),
        (index(&["x"], vec![entry("x", file(0))]), &[("7", "x")], "the archive has an entry that its index lacks"),
        (index(&["x"], vec![entry("x", file(0))]), &[("x", "x")], "the archive has an entry without a number"),
        (index(&["x"], vec![entry("x", file(0))]), &[("0", "xx")], "the archive has an entry of another size"),
    ];
    for (index, contents, problem) in cases {
        let target = dir.path().join("p");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("kept"), "").unwrap();
        let error = restore(&archive(dir.path(), &index, contents), &target).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}, and not {problem}");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "{problem}");
    }
    // A directory of the project that is a link elsewhere is not written through.
    let target = dir.path().join("p");
    std::os::unix::fs::symlink("/tmp", target.join("out")).unwrap();
    let through = index(&["out/x"], vec![entry("out/x", file(0))]);
    let error = restore(&archive(dir.path(), &through, ONE), &target).unwrap_err().to_string();
    assert_eq!(error, "`out` is not a directory");
    let whole = archive(dir.path(), &through, ONE);
    let bytes = fs::read(&whole).unwrap();
    for length in [0, 10, bytes.len() / 2, bytes.len() - 9] {
        fs::write(&whole, &bytes[..length]).unwrap();
        assert!(restore(&whole, &target).is_err(), "{length}");
    }
}
