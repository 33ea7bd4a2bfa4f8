//! Readers, on what the writer makes, damaged in every place, and on what attackers make.

use super::*;
use crate::source::{Entry, Kind, Origin, SourceTree};
use std::io::Write as _;
use std::path::PathBuf;

const SMALL: Limits = Limits { bytes: 1 << 20, entries: 50 };

/// The archives of a small tree, one a format.
fn archives() -> (tempfile::TempDir, Vec<(Format, PathBuf)>) {
    let file = |path: &str, content: &str| Entry {
        path: path.to_owned(),
        kind: Kind::File { executable: path.ends_with(".sh") },
        origin: Origin::Derived { generator: "g".into(), content: content.as_bytes().into() },
    };
    let mut link = file("link", "");
    link.kind = Kind::Link { target: "a/run.sh".into() };
    let tree = SourceTree {
        commit: drydock_base::git::Oid::parse(&"0".repeat(40)).unwrap(),
        epoch: 1_780_315_201,
        entries: vec![file("a/run.sh", "#!/bin/sh\n"), file(&"n".repeat(150), &"text\n".repeat(300)), link],
        left_out: Vec::new(),
        repositories: Vec::new(),
    };
    let directory = tempfile::tempdir().unwrap();
    let wanted: Vec<(Format, PathBuf)> =
        Format::ALL.iter().map(|format| (*format, directory.path().join(format.extension()))).collect();
    crate::write(&tree, "p", &wanted, 1).unwrap();
    (directory, wanted)
}

#[test]
fn what_was_written_is_read() {
    let (_directory, archives) = archives();
    for (format, path) in archives {
        let listed = list(&path, format, SMALL).unwrap();
        let shown: Vec<String> = listed
            .iter()
            .map(|one| {
                format!(
                    "{} {:o} {}",
                    &one.member.path[..one.member.path.len().min(12)],
                    one.member.mode,
                    one.member.size
                )
            })
            .collect();
        let link = if format == Format::Zip { "p/link 777 8" } else { "p/link 777 0" };
        assert_eq!(shown, ["p/ 755 0", "p/a/ 755 0", "p/a/run.sh 755 10", link, "p/nnnnnnnnnn 644 1500"], "{format:?}");
        assert!(listed.iter().any(|one| one.member.kind == MemberKind::Link("a/run.sh".into())), "{format:?}");
    }
}

#[test]
fn every_cut_is_an_error_and_no_damage_is_a_panic() {
    let (_directory, archives) = archives();
    for (format, path) in archives {
        let bytes = std::fs::read(&path).unwrap();
        assert!(list_bytes(&bytes, Some(format), SMALL).is_ok());
        for length in 0..bytes.len() {
            let error = list_bytes(&bytes[..length], Some(format), SMALL).expect_err("a part is not the whole");
            assert!(!error.to_string().is_empty(), "{format:?} cut at {length}");
        }
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                drop(list_bytes(&damaged, Some(format), SMALL));
            }
        }
    }
}

#[test]
fn a_bomb_ends_at_its_limit() {
    let mut tar = Vec::new();
    let entry =
        crate::Named { path: "zeros".into(), what: crate::What::File { executable: false }, time: 1_780_315_200 };
    tar.extend(crate::tar::header(&entry, 64 << 20));
    tar.resize(tar.len() + (64 << 20) + 1024, 0);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    let gz = gz.finish().unwrap();
    assert!(gz.len() < 1 << 20);
    assert!(matches!(list_bytes(&gz, Some(Format::TarGz), SMALL), Err(ReadError::TooLarge(_) | ReadError::Io(_))));
    let error = list_bytes(&gz, Some(Format::TarGz), SMALL).unwrap_err().to_string();
    assert_eq!(error, "it unpacks to more than the 1048576 bytes that are expected; is it a bomb?");

    let mut zip = crate::zip::Writer::new(Vec::new());
    zip.add(&entry, &vec![0; 2 << 20]).unwrap();
    let mut zip = zip.finish().unwrap();
    let zip = std::mem::take(zip.inner());
    assert!(zip.len() < 10_000);
    assert!(matches!(list_bytes(&zip, Some(Format::Zip), SMALL), Err(ReadError::TooLarge(_))));
    // One that lies about its size.
    let mut lying = zip.clone();
    let directory = lying.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    lying[directory + 24..directory + 28].copy_from_slice(&10_u32.to_le_bytes());
    let error = list_bytes(&lying, Some(Format::Zip), SMALL).unwrap_err().to_string();
    assert_eq!(error, "it is damaged: zeros unpacks to more than it says");

    let mut many = crate::zip::Writer::new(Vec::new());
    (0..60).for_each(|number| {
        many.add(&crate::Named { path: format!("{number}"), ..entry.clone() }, b"").unwrap();
    });
    let many = std::mem::take(many.finish().unwrap().inner());
    assert!(matches!(list_bytes(&many, Some(Format::Zip), SMALL), Err(ReadError::TooMany(50))));
}

/// A type, a path and a target.
type Foreign = (u8, &'static str, &'static str);

/// A tar file of such entries by another writer.
fn foreign(entries: &[Foreign]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, path, target) in entries {
        let mut header = ::tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(::tar::EntryType::new(*kind));
        header.set_mode(0o644);
        header.set_size(0);
        header.set_cksum();
        bytes.extend(header.as_bytes());
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn nothing_is_unpacked_outside_of_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    let cases: &[(&[Foreign], &str)] = &[
        (&[(b'0', "../escaped", "")], "has the part `..`"),
        (&[(b'0', "/tmp/escaped", "")], "is no relative path"),
        (&[(b'2', "l", "/"), (b'0', "l/escaped", "")], "is a link to /, out of the release"),
        (&[(b'2', "l", "x"), (b'0', "l/escaped", "")], "is there twice, or is both a file and a directory"),
        (&[(b'0', "x", ""), (b'0', "x", "")], "is there twice"),
        (&[(b'5', "x", ""), (b'2', "x", "y")], "is there twice"),
        (&[(b'1', "hard", "/etc/passwd")], "a hard link to /etc/passwd"),
        (&[(b'3', "device", "")], "an entry of type '3'"),
        (&[(b'0', ".git/hooks/x", "")], "has the part `.git`"),
    ];
    for (entries, words) in cases {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&foreign(entries)).unwrap();
        let file = outside.path().join("a.tar.gz");
        std::fs::write(&file, gz.finish().unwrap()).unwrap();
        let target = outside.path().join("target");
        std::fs::create_dir(&target).unwrap();
        let error = unpack(&file, Format::TarGz, SMALL, &target).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_dir(&target).expect("nothing was written into it");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "{words}");
    }
}
