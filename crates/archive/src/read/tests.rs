//! Tests of the readers: archives of our writer, damaged ones, hostile ones, and those of GNU tar.

use super::*;
use crate::{ArchiveEntry, ArchiveFile, Archives, EntryKind};
use std::io::Write as _;
use std::path::PathBuf;

const SMALL: Limits = Limits { bytes: 1 << 20, entries: 50 };

/// The archives of a small tree, one a format.
fn archives() -> (tempfile::TempDir, Vec<(Format, PathBuf)>) {
    let entry = |path: &str, kind: EntryKind, content: &str| {
        Ok(ArchiveEntry { path: path.to_owned(), kind, content: content.as_bytes().into() })
    };
    let file = |executable| EntryKind::File { executable };
    let entries = [
        entry("a/run.sh", file(true), "#!/bin/sh\n"),
        entry("link", EntryKind::Symlink { target: "a/run.sh".into() }, "a/run.sh"),
        entry(&"n".repeat(150), file(false), &"text\n".repeat(300)),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = |format: Format| directory.path().join(format.extension());
    let files = Format::ALL.map(|format| ArchiveFile { format, path: path(format) });
    crate::write(entries, Archives { directory: "p", epoch: 1_780_315_201, files: &files, threads: 1 }).unwrap();
    let archives = files.map(|file| (file.format, file.path)).into();
    (directory, archives)
}

#[test]
fn the_reader_lists_what_the_writer_wrote() {
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
fn every_truncation_is_an_error_and_no_damage_panics() {
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
fn a_decompression_bomb_ends_at_the_limit() {
    let mut tar = Vec::new();
    let (file, time) = (EntryKind::File { executable: false }, 1_780_315_200);
    tar.extend(crate::tar::Header::new("zeros", &file, 64 << 20, time).bytes());
    tar.resize(tar.len() + (64 << 20) + 1024, 0);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    let gz = gz.finish().unwrap();
    assert!(gz.len() < 1 << 20);
    assert!(matches!(list_bytes(&gz, Some(Format::TarGz), SMALL), Err(ReadError::TooLarge(_) | ReadError::Io(_))));
    let error = list_bytes(&gz, Some(Format::TarGz), SMALL).unwrap_err().to_string();
    assert_eq!(error, "it unpacks to more than the 1048576 bytes that are expected, as a decompression bomb would");

    let mut zip = crate::zip::Writer::new(Vec::new());
    zip.add("zeros", &file, time, &vec![0; 2 << 20]).unwrap();
    let mut zip = zip.finish().unwrap();
    let zip = std::mem::take(zip.inner());
    assert!(zip.len() < 10_000);
    assert!(matches!(list_bytes(&zip, Some(Format::Zip), SMALL), Err(ReadError::TooLarge(_))));
    // One that lies about its size.
    let mut lying = zip.clone();
    let directory = lying.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    lying[directory + 24..directory + 28].copy_from_slice(&10_u32.to_le_bytes());
    let error = list_bytes(&lying, Some(Format::Zip), SMALL).unwrap_err().to_string();
    assert_eq!(error, "it is damaged: zeros unpacks to more than its stated size");

    let mut many = crate::zip::Writer::new(Vec::new());
    (0..60).for_each(|number| {
        many.add(&format!("{number}"), &file, time, b"").unwrap();
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
fn unpack_writes_nothing_outside_of_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    let cases: &[(&[Foreign], &str)] = &[
        (&[(b'0', "../escaped", "")], "contains a `..` component"),
        (&[(b'0', "/tmp/escaped", "")], "is not a relative path"),
        (&[(b'2', "l", "/"), (b'0', "l/escaped", "")], "is a symlink to /, outside of the release"),
        (&[(b'2', "l", "x"), (b'0', "l/escaped", "")], "is duplicated, or is both a file and a directory"),
        (&[(b'0', "x", ""), (b'0', "x", "")], "is duplicated"),
        (&[(b'5', "x", ""), (b'2', "x", "y")], "is duplicated"),
        (&[(b'1', "hard", "/etc/passwd")], "a hard link to /etc/passwd"),
        (&[(b'3', "device", "")], "a character device"),
        (&[(b'0', ".git/hooks/x", "")], "contains a `.git` component"),
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

/// A tar file that GNU tar writes of a directory.
fn gnu_tar(directory: &std::path::Path, args: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new("tar").args(args).args(["-cf", "-", "."]).current_dir(directory).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn sparse_files_in_all_formats_of_gnu_tar_are_read_with_their_holes() {
    use std::os::unix::fs::FileExt as _;
    if std::process::Command::new("tar").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "tar is missing: apt-get install tar");
        return;
    }
    let limits = Limits { bytes: 16 << 20, entries: 10 };
    for pieces in [0, 1, 5, 60] {
        let directory = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(directory.path().join("sparse")).unwrap();
        for piece in 0..pieces {
            file.write_all_at(b"data", piece * 16384 + 8192).unwrap();
        }
        file.set_len(pieces * 16384 + 12345).unwrap();
        std::fs::write(directory.path().join("zz"), "after").unwrap();
        let expected = Checksum::new(&std::fs::read(directory.path().join("sparse")).unwrap());
        for args in [
            &["--format=gnu"][..],
            &["--format=posix", "--sparse-version=0.0"],
            &["--format=posix", "--sparse-version=0.1"],
            &["--format=posix", "--sparse-version=1.0"],
        ] {
            let tar = gnu_tar(directory.path(), &[&["-S", "--sort=name"], args].concat());
            assert!(tar.len() < 2 << 20, "{args:?} is not sparse");
            let listed = list_bytes(&tar, None, limits).unwrap_or_else(|error| panic!("{args:?} {pieces}: {error}"));
            let found: Vec<_> =
                listed.iter().map(|one| (one.member.path.as_str(), one.member.size, one.sha256)).skip(1).collect();
            let size = pieces * 16384 + 12345;
            assert_eq!(
                found,
                [("./sparse", size, expected), ("./zz", 5, Checksum::new(b"after"))],
                "{args:?} {pieces}"
            );
            // Holes count.
            let error = list_bytes(&tar, None, Limits { bytes: 20_000, entries: 10 });
            assert!(pieces < 2 || matches!(error, Err(ReadError::TooLarge(20_000))), "{args:?} {pieces}");
            for at in (0..tar.len().min(5000)).step_by(if pieces == 5 { 11 } else { 911 }) {
                let mut damaged = tar.clone();
                damaged[at] ^= 0x11;
                drop(list_bytes(&damaged, None, SMALL));
                drop(list_bytes(&tar[..at], None, SMALL));
            }
        }
    }
}

/// Compresses a tar stream and lists it.
fn list_gz(tar: &[u8]) -> Result<Vec<Listed>, ReadError> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(tar).unwrap();
    list_bytes(&gz.finish().unwrap(), Some(Format::TarGz), SMALL)
}

#[test]
fn a_stream_may_lack_its_trailer_only_if_it_is_compressed() {
    let mut tar = foreign(&[(b'0', "x", ""), (b'0', "y", "")]);
    tar.truncate(1024);
    assert_eq!(list_gz(&tar).unwrap().len(), 2);
    assert!(matches!(list_bytes(&tar, None, SMALL), Err(ReadError::Truncated(_))));
    for length in [0, 1, 511, 513, 1023] {
        assert!(matches!(list_gz(&tar[..length]), Err(ReadError::Truncated(_))), "{length}");
    }
    // An extension without its entry, and a file without its content.
    let long = crate::tar::Header::new(&"n".repeat(300), &EntryKind::File { executable: false }, 512, 0).bytes();
    for length in [512, 1024, 1536] {
        assert!(matches!(list_gz(&long[..length]), Err(ReadError::Truncated(_))), "{length}");
    }
}

#[test]
fn garbage_after_a_compressed_stream_is_an_error() {
    let (_directory, archives) = archives();
    for (format, path) in archives.into_iter().filter(|(format, _)| *format != Format::Zip) {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"garbage");
        assert!(list_bytes(&bytes, Some(format), SMALL).is_err(), "{format:?}");
    }
}

#[test]
fn a_zip_file_with_more_behind_it_is_not_called_cut_off() {
    let (_directory, archives) = archives();
    let (_, path) = archives.into_iter().find(|(format, _)| *format == Format::Zip).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let why = |bytes: &[u8]| list_bytes(bytes, Some(Format::Zip), SMALL).unwrap_err().to_string();
    assert_eq!(why(&[&whole[..], b"more\n"].concat()), "it is damaged: 5 bytes follow its end");
    for length in [whole.len() - 1, whole.len() - 23, whole.len() / 2] {
        assert!(why(&whole[..length]).starts_with("it is cut off"), "{length}");
    }
}

/// A pax header with these records, and an empty file after it.
fn with_pax(entry_type: ::tar::EntryType, records: &[(&str, &[u8])]) -> Vec<u8> {
    let records: Vec<u8> = records.iter().flat_map(|(key, value)| crate::tar::record(key, value)).collect();
    let mut header = ::tar::Header::new_ustar();
    header.set_entry_type(entry_type);
    header.set_size(records.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes().as_slice(), &records].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(foreign(&[(b'0', "x", "")]));
    bytes
}

#[test]
fn pax_records_are_applied_or_refused() {
    let local = |records: &[(&str, &[u8])]| list_gz(&with_pax(::tar::EntryType::XHeader, records));
    let listed = local(&[("path", b"a\nb"), ("uid", b"4000000"), ("SCHILY.xattr.user.x", b"1\n2\0")]).unwrap();
    let member = &listed[0].member;
    assert_eq!((member.path.as_str(), member.owner.0), ("a\nb", 4_000_000));
    assert_eq!(member.attributes, [("user.x".to_owned(), b"1\n2\0".to_vec())]);
    assert!(local(&[("uid", b"-1")]).is_err() && local(&[("size", b"9999")]).is_err());
    let map: &[(&str, &[u8])] = &[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"5,9")];
    assert!(matches!(local(map), Err(ReadError::Damaged(_))));
    let global = |key, value| list_gz(&with_pax(::tar::EntryType::XGlobalHeader, &[(key, value)]));
    assert_eq!(global("comment", b"0123").unwrap()[0].member.path, "x");
    for (written, read) in [("1700000000.75", 1_700_000_000), ("-5.5", 0), ("9000000000", 9_000_000_000)] {
        assert_eq!(local(&[("mtime", written.as_bytes())]).unwrap()[0].member.time, read, "{written}");
    }
    assert!(local(&[("mtime", b"today")]).is_err());
    // An empty value takes back a record, as POSIX says.
    assert_eq!(local(&[("path", b"other"), ("path", b""), ("size", b"")]).unwrap()[0].member.path, "x");
    // star's way to write sparse files is not GNU's: the content alone would be another file.
    assert!(matches!(local(&[("SCHILY.realsize", b"9")]), Err(ReadError::Unsupported(_))));
    for key in ["path", "linkpath", "size", "uid", "gid", "mtime"] {
        assert!(matches!(global(key, b"1"), Err(ReadError::Unsupported(_))), "{key}");
    }
}

#[test]
fn a_checksum_over_signed_bytes_is_accepted_and_a_wrong_one_is_not() {
    let mut header = ::tar::Header::new_old();
    header.as_old_mut().name[..4].copy_from_slice(b"n\xe4\xff\x80");
    header.set_size(0);
    header.set_entry_type(::tar::EntryType::Regular);
    header.as_old_mut().cksum = *b"        ";
    let signed: i64 = header.as_bytes().iter().map(|byte| i64::from(i8::from_ne_bytes([*byte]))).sum();
    let unsigned: i64 = header.as_bytes().iter().map(|byte| i64::from(*byte)).sum();
    for (sum, is_read) in [(signed, true), (unsigned, true), (signed + 1, false), (unsigned - 256, false)] {
        header.as_old_mut().cksum.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let tar = [header.as_bytes().as_slice(), &[0; 1024]].concat();
        assert_eq!(list_bytes(&tar, None, SMALL).is_ok(), is_read, "{sum}");
    }
}
