//! Every unpacker creates the same tree from every archive, of a project with all the difficult paths and contents.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::fixture::{DECLARATION, build, commit, project, run, tree};
use crate::support::{Project, git, need_tools, text};

/// Unpacks with Python's own modules; `zipfile` leaves modes and links to its caller.
const PYTHON: &str = r#"
import os, stat, sys, tarfile, zipfile
file, target = sys.argv[1:]
if file.endswith(".zip"):
    with zipfile.ZipFile(file) as z:
        assert z.testzip() is None
        for info in z.infolist():
            path, mode = os.path.join(target, info.filename), info.external_attr >> 16
            assert info.extra == b"" and info.create_system == 3, info
            if stat.S_ISLNK(mode):
                os.symlink(z.read(info).decode(), path)
            elif info.is_dir():
                assert stat.S_ISDIR(mode), info
                os.mkdir(path)
                os.chmod(path, stat.S_IMODE(mode))
            else:
                with open(path, "xb") as out:
                    out.write(z.read(info))
                os.chmod(path, stat.S_IMODE(mode))
else:
    with tarfile.open(file) as t:
        for info in t:
            assert (info.uid, info.gid, info.uname, info.gname) == (0, 0, "root", "root"), info
        if hasattr(tarfile, "data_filter"):
            t.extractall(target, filter="tar")
        else:
            t.extractall(target)
"#;

/// The tools that these tests need, each with its Debian package.
pub(super) const TOOLS: &[(&str, &str)] = &[
    ("tar", "tar"),
    ("bsdtar", "libarchive-tools"),
    ("python3", "python3"),
    ("unzip", "unzip"),
    ("dpkg-source", "dpkg-dev"),
    ("xz", "xz-utils"),
    ("bzip2", "bzip2"),
];

/// A project with everything that is difficult for archives.
pub(super) fn difficult_project() -> Project {
    let long = |length: usize| "n".repeat(length);
    let deep = |length: usize| format!("{}end", "dir/".repeat((length - 3) / 4));
    let mut project = project(DECLARATION)
        .file("empty", "")
        .file("-dash", "not an option\n")
        .file("with space", "x")
        .file("\u{e4}\u{20ac}/\u{65e5}\u{672c}", "UTF-8\n")
        .file("crlf", "one\r\ntwo\r\n")
        .file("sub/.hidden", "x")
        .file(".gitattributes", "*.txt text eol=crlf\nexcluded* export-ignore\nprivate/ export-ignore\n")
        .file("a.txt", "stays as it is committed\n")
        .file("excluded.c", "x")
        .file("private/key", "x")
        .file("block", &"b".repeat(512))
        .file("record", &"r".repeat(10240))
        .file("large", &"0123456789 some text that repeats\n".repeat(100_000));
    for length in [90, 98, 99, 100, 101, 150, 200, 254, 255] {
        project = project.file(&long(length), "long").file(&deep(length), "deep");
    }
    project = project.file(&format!("{}/{}", "s".repeat(150), long(95)), "split").file(&deep(700), "very deep");
    project = project.file(&format!("{}/\u{e4}", "\u{f6}".repeat(120)), "long and not ASCII");
    let at = project.path();
    fs::write(at.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at.join("run.sh"), fs::Permissions::from_mode(0o777)).unwrap();
    for (path, target) in [
        ("link", "run.sh".to_owned()),
        ("sub/up", "../empty".to_owned()),
        ("dangling", "nowhere".to_owned()),
        ("to-directory", "sub".to_owned()),
        ("long-link", format!("{}x", "./".repeat(80))),
        ("sub/very-long-link", format!("../{}", long(200))),
    ] {
        std::os::unix::fs::symlink(target, at.join(path)).unwrap();
    }
    // A submodule that has a submodule.
    let library = Project::new().file("lib.c", "int x;\n").file("README", "of the library\n");
    let inner = Project::new().file("inner.c", "int y;\n");
    for (directory, below) in [(&inner, None), (&library, Some((&inner, "inner")))] {
        git(directory.path(), &["init", "-q"]);
        if let Some((inner, name)) = below {
            git(directory.path(), &["submodule", "--quiet", "add", &text(inner.path()), name]);
        }
        git(directory.path(), &["add", "-A"]);
        git(directory.path(), &["commit", "-q", "-m", "x"]);
    }
    git(at, &["submodule", "--quiet", "add", &text(library.path()), "external/lib"]);
    git(at, &["submodule", "--quiet", "update", "--init", "--recursive"]);
    commit(&project);
    // Changes of the work tree must not matter.
    fs::write(at.join("a.txt"), "changed\n").unwrap();
    fs::write(at.join("untracked"), "x").unwrap();
    project
}

/// The expected tree: the committed files with git's modes, without excluded files.
fn expected(project: &Project) -> BTreeMap<String, String> {
    let mut all = tree(project.path());
    let excluded = ["excluded.c", "untracked"];
    all.retain(|path, _| {
        let mut parts = path.split('/');
        let top = parts.clone().next();
        !parts.any(|part| part == ".git")
            && !excluded.contains(&path.as_str())
            && top != Some("private")
            && top != Some("target")
    });
    for what in all.values_mut() {
        if let Some((mode, rest)) = what.clone().split_once(' ').filter(|(mode, _)| *mode != "->") {
            let executable = u32::from_str_radix(mode, 8).unwrap() & 0o100 != 0;
            *what = format!("{} {rest}", if executable { "755" } else { "644" });
        }
    }
    all.insert("a.txt".into(), format!("644 {}", drydock_base::checksum::Checksum::new(b"stays as it is committed\n")));
    all
}

/// Unpacks every archive of a directory with every program, and compares the trees. `name` is the top directory.
#[track_caller]
pub(super) fn every_unpacker_agrees(dist: &Path, name: &str, expected: &BTreeMap<String, String>) {
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("unpack.py");
    fs::write(&script, PYTHON).unwrap();
    let (mut count, mut directories) = (0, 0);
    for entry in fs::read_dir(dist).unwrap() {
        let file = text(&entry.unwrap().path());
        let programs: &[&str] = match file.rsplit('.').next().unwrap() {
            "zip" => &["unzip", "bsdtar", "python"],
            "gz" | "xz" | "bz2" => &["tar", "bsdtar", "python", "dpkg-source"],
            _ => continue,
        };
        for program in programs {
            directories += 1;
            let target = scratch.path().join(directories.to_string());
            fs::create_dir(&target).unwrap();
            let to = text(&target);
            match *program {
                "tar" => drop(run(&target, "tar", &["-xf", &file])),
                "bsdtar" => drop(run(&target, "bsdtar", &["-xpf", &file])),
                "unzip" => drop(run(&target, "unzip", &["-q", &file])),
                "python" => drop(run(&target, "python3", &[&text(&script), &file, &to])),
                _ => dpkg_source(&target, &file, name),
            }
            let mut found = tree(&target.join(name));
            found.retain(|path, _| !(*program == "dpkg-source" && path.split('/').next() == Some("debian")));
            for (path, what) in expected {
                assert_eq!(found.get(path), Some(what), "{path} by {program} of {file}");
            }
            assert_eq!(
                found.len(),
                expected.len(),
                "{program} of {file}: {:?}",
                found.keys().filter(|path| !expected.contains_key(*path)).collect::<Vec<_>>()
            );
            count += 1;
        }
    }
    assert_eq!(count, 15, "unpackers of four formats");
}

/// Builds a Debian source package around the archive, and unpacks it.
fn dpkg_source(target: &Path, file: &str, name: &str) {
    let extension = file.rsplit('.').next().unwrap();
    let (orig, debian) = (format!("p_1.0.orig.tar.{extension}"), "p_1.0-1.debian.tar.gz");
    fs::copy(file, target.join(&orig)).unwrap();
    let inside = target.join("d/debian");
    fs::create_dir_all(inside.join("source")).unwrap();
    fs::write(inside.join("source/format"), "3.0 (quilt)\n").unwrap();
    fs::write(
        inside.join("changelog"),
        "p (1.0-1) unstable; urgency=low\n\n  * x\n\n -- n <m@x>  Mon, 01 Jun 2026 12:00:00 +0000\n",
    )
    .unwrap();
    run(target, "tar", &["-czf", debian, "-C", "d", "debian"]);
    let mut dsc = "Format: 3.0 (quilt)\nSource: p\nBinary: p\nArchitecture: any\nVersion: 1.0-1\nMaintainer: n <m@x>\n"
        .to_owned();
    for (title, program) in [("Checksums-Sha256", "sha256sum"), ("Files", "md5sum")] {
        dsc.push_str(&format!("{title}:\n"));
        for file in [orig.as_str(), debian] {
            let sum = run(target, program, &[file]);
            let size = fs::metadata(target.join(file)).unwrap().len();
            dsc.push_str(&format!(" {} {size} {file}\n", sum.split(' ').next().unwrap()));
        }
    }
    fs::write(target.join("p.dsc"), dsc).unwrap();
    run(target, "dpkg-source", &["--no-check", "--skip-patches", "-q", "-x", "p.dsc", name]);
}

#[test]
fn every_unpacker_creates_the_same_tree_of_a_difficult_project() {
    if !need_tools(TOOLS) {
        return;
    }
    let project = difficult_project();
    let dist = build(&project);
    every_unpacker_agrees(&dist, "p-1.0", &expected(&project));

    let manifest = drydock_release::manifest::Manifest::load(&dist.join("release.json")).unwrap();
    assert_eq!(manifest.excluded.keys().collect::<Vec<_>>(), ["excluded.c", "private/"]);
    assert_eq!(manifest.submodules.keys().collect::<Vec<_>>(), ["external/lib", "external/lib/inner"]);
    let inner = manifest.entries.iter().find(|entry| entry.path == "external/lib/inner/inner.c").unwrap();
    assert_eq!(inner.submodule.as_deref(), Some("external/lib/inner"));
    let blob = git(project.path(), &["rev-parse", "HEAD:a.txt"]);
    assert_eq!(manifest.entries.iter().find(|entry| entry.path == "a.txt").unwrap().blob, Some(blob));

    // Our own unpacker as well.
    for name in ["p-1.0.tar.gz", "p-1.0.tar.xz", "p-1.0.tar.bz2", "p-1.0.zip"] {
        let target = tempfile::tempdir().unwrap();
        let format = drydock_config::release::Format::of_name(name).unwrap();
        let limits = drydock_archive::read::Limits::UNKNOWN;
        drydock_archive::read::unpack(&dist.join(name), format, limits, target.path()).unwrap();
        assert_eq!(tree(&target.path().join("p-1.0")), expected(&project), "{name}");
    }
}

#[test]
fn the_number_of_threads_does_not_change_the_bytes() {
    // Two blocks of xz, with text in each and at their border. The rest repeats, since text takes xz seconds a block.
    let blocks = 2 * usize::try_from(drydock_archive::XZ_BLOCK).unwrap();
    let text: String = (0..20_000_u32).map(|n| format!("line {n} of some text, {}\n", n % 7)).collect();
    let rest = "the same line again\n".repeat((blocks / 2 - 2 * text.len()) / 20);
    let noise = [text.as_str(), &rest, &text, &text, &rest, &text].concat();
    assert!(noise.len() + text.len() > blocks, "not two whole blocks");
    let project = project("name: p\nversion: {}\narchives: [{format: tar.xz}]\n").file("noise", &noise);
    commit(&project);
    let mut sums = Vec::new();
    for threads in ["1", "2", "7"] {
        let built = super::fixture::release(&project, &["build", "--threads", threads]);
        assert_eq!(built.code(), 0, "{}", built.transcript());
        sums.push(fs::read_to_string(project.state().join("dist/1.0/SHA256SUMS")).unwrap());
    }
    assert!(sums[0].lines().count() == 2 && sums.iter().all(|one| *one == sums[0]), "{sums:?}");
}
