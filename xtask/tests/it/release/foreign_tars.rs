//! The reader of tar streams on archives of GNU tar, bsdtar, busybox, Python and Go: each entry is read as GNU tar unpacks it,
//! or the archive is refused. Nothing is ever read differently without a word.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use drydock_archive::format::Compression;
use drydock_archive::read::{Limits, MemberKind, ReadError, visit_stream};
use drydock_base::checksum::Checksum;

use crate::support::need_tools;

/// A tree with everything that one of these programs is known to write in a way of its own.
fn tree() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    let write = |path: &str, content: &[u8], mode: u32| {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), content).unwrap();
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("file", b"content\n", 0o644);
    write("empty", b"", 0o600);
    write("setuid", b"#!/bin/sh\n", 0o4755);
    write("block", &[7; 512], 0o444);
    write("more", &[8; 513], 0o644);
    for length in [99, 100, 101, 155, 200, 255] {
        write(&"n".repeat(length), b"name\n", 0o644);
        write(&format!("deep/{}{}", "p/".repeat(length / 2), "f"), b"deep\n", 0o644);
        symlink("t/".repeat(length / 2) + "x", at(&format!("link-{length}"))).unwrap();
    }
    write("caf\u{e9}/\u{4e2d}", b"unicode\n", 0o644);
    fs::write(directory.path().join(std::ffi::OsStr::from_bytes(b"latin\xe4")), "latin\n").unwrap();
    write("back\\slash and space", b"odd\n", 0o644);
    write("line\nend", b"odd\n", 0o644);
    fs::create_dir_all(at("empty-directory")).unwrap();
    fs::hard_link(at("file"), at("hard")).unwrap();
    symlink("file", at("link")).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    for piece in 0..30 {
        sparse.write_all_at(b"data", piece * 65536 + 4096).unwrap();
    }
    sparse.set_len(3 << 20).unwrap();
    File::create(at("hole")).unwrap().set_len(1 << 20).unwrap();
    for (path, seconds) in [("file", 1_700_000_000), ("more", 9_000_000_000), ("block", 0)] {
        let file = File::options().read(true).open(at(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(seconds, 123_456_789)).unwrap();
    }
    directory
}

/// What matters of an entry: type, mode, time, and the target or the checksum of the content.
type Entries = BTreeMap<Vec<u8>, String>;

/// The entries as our reader sees them. Hard links are resolved, as they have no content of their own.
fn ours(tar: &[u8]) -> Result<Entries, ReadError> {
    let mut entries = Entries::new();
    let limits = Limits { bytes: 64 << 20, entries: 1000 };
    visit_stream(tar, Compression::Plain, limits, &mut |member, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let key = |path: &str| {
            let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            parts.join("/").into_bytes()
        };
        let described = match &member.kind {
            // GNU tar cannot always keep the time of a directory whose files come late.
            MemberKind::Directory => format!("directory {:o}", member.mode),
            MemberKind::File => {
                assert_eq!(member.size, bytes.len() as u64, "{}", member.path);
                format!("file {:o} {} {}", member.mode, member.time, Checksum::new(&bytes))
            }
            MemberKind::Link(target) => format!("link {target}"),
            MemberKind::HardLink(to) => entries.get(&key(to)).cloned().unwrap_or_else(|| format!("no {to}")),
            MemberKind::Other(what) => what.clone(),
        };
        entries.insert(key(&member.path), described);
        Ok(())
    })?;
    entries.remove(&b""[..]);
    Ok(entries)
}

/// The entries as GNU tar unpacks them; names that are not UTF-8 as our reader shows them.
fn unpacked(archive: &Path) -> Entries {
    let directory = tempfile::tempdir().unwrap();
    let words = ["--extract", "--preserve-permissions", "--no-same-owner", "--file"];
    let output = Command::new("tar").args(words).arg(archive).current_dir(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut entries = Entries::new();
    let mut directories = vec![directory.path().to_owned()];
    while let Some(here) = directories.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let (mode, time) = (metadata.mode() & 0o7777, metadata.mtime().max(0));
            let described = if metadata.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().to_str().unwrap())
            } else if metadata.is_dir() {
                directories.push(path.clone());
                format!("directory {mode:o}")
            } else {
                format!("file {mode:o} {time} {}", Checksum::new(&fs::read(&path).unwrap()))
            };
            let name = path.strip_prefix(directory.path()).unwrap().as_os_str();
            entries.insert(String::from_utf8_lossy(name.as_bytes()).into_owned().into_bytes(), described);
        }
    }
    entries
}

/// Compares both readings of an archive.
#[track_caller]
fn check(what: &str, archive: &Path) -> usize {
    let bytes = fs::read(archive).unwrap();
    let found = ours(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    // Directories without an entry of their own are made with other permissions and times by each unpacker.
    let expected: Entries = unpacked(archive)
        .into_iter()
        .filter(|(path, described)| found.contains_key(path) || !described.starts_with("directory"))
        .collect();
    for (path, described) in &expected {
        let shown = String::from_utf8_lossy(path);
        assert_eq!(found.get(path), Some(described), "{what}: {shown}");
    }
    assert_eq!(
        found.len(),
        expected.len(),
        "{what}: {:?}",
        found.keys().map(|path| String::from_utf8_lossy(path)).collect::<Vec<_>>()
    );
    found.len()
}

#[test]
fn archives_of_other_programs_are_read_as_gnu_tar_unpacks_them() {
    let tools = [("tar", "tar"), ("bsdtar", "libarchive-tools"), ("busybox", "busybox-static"), ("python3", "python3")];
    if !need_tools(&tools) {
        return;
    }
    let tree = tree();
    let results = tempfile::tempdir().unwrap();
    let python = "import sys, tarfile\nwith tarfile.open(sys.argv[2], 'w', format=getattr(tarfile, sys.argv[1])) as t: t.add('.')";
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |name: &str, words: &[&str]| {
        commands.push((name.to_owned(), words.iter().map(|word| (*word).to_owned()).collect()));
    };
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        add(&format!("GNU tar {format}"), &["tar", &format!("--format={format}"), "-cf", "ARCHIVE", "."]);
    }
    for options in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix"],
    ] {
        let words = [&["tar", "--sparse"], options, &["-cf", "ARCHIVE", "."]].concat();
        add(&format!("GNU tar --sparse {}", options.join(" ")), &words);
    }
    for format in ["ustar", "pax", "gnutar", "v7tar"] {
        add(&format!("bsdtar {format}"), &["bsdtar", &format!("--format={format}"), "-cf", "ARCHIVE", "."]);
    }
    add("busybox", &["busybox", "tar", "-cf", "ARCHIVE", "."]);
    for format in ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"] {
        add(&format!("Python {format}"), &["python3", "-c", python, format, "ARCHIVE"]);
    }
    let mut table = String::new();
    for (name, words) in commands {
        let archive = results.path().join(name.replace(['/', ' '], "_") + ".tar");
        let words = words.iter().map(|word| if word == "ARCHIVE" { archive.to_str().unwrap() } else { word });
        let words: Vec<&str> = words.collect();
        let output = Command::new(words[0])
            .args(&words[1..])
            .current_dir(tree.path())
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TAR_OPTIONS")
            .output()
            .unwrap();
        // Old formats do not hold every path: GNU tar and bsdtar go on and fail at the end, Python stops.
        let complaint = if output.status.success() { "" } else { ", without what the format cannot hold" };
        if name == "Python USTAR_FORMAT" {
            assert!(!output.status.success() && ours(&fs::read(&archive).unwrap()).is_err(), "{name}");
            table.push_str(&format!("{name:44} refused: Python stopped at a name\n"));
            continue;
        }
        assert!(archive.exists(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let entries = check(&name, &archive);
        assert!(entries > 20, "{name}: {entries}");
        table.push_str(&format!("{name:44} {entries} entries{complaint}\n"));
    }
    for format in ["ustar", "pax", "gnu"] {
        let archive: PathBuf =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/go-tar/{format}.tar"));
        let entries = check(&format!("Go {format}"), &archive);
        assert!(entries > 5, "Go {format}: {entries}");
        table.push_str(&format!("{:44} {entries} entries\n", format!("Go {format}")));
    }
    println!("{table}");
}
