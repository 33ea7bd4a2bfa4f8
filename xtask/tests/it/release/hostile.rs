//! Hostile archives and manifests on the command line, and the corpus of the fuzzers.

use std::fs;
use std::path::Path;

use drydock_archive::read::{Limits, list_bytes};
use drydock_config::release::Format;
use drydock_release::checksum_list::ChecksumList;
use drydock_release::manifest::Manifest;

use super::fixture::{DECLARATION, build, commit, project, release, run};
use crate::support::{SmallDisk, need_tools, text};

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let read = files.map(|path| (text(Path::new(path.file_name().unwrap())), fs::read(&path).unwrap()));
    read.collect()
}

/// `good-*` is read and `bad-*` is refused, in bounded time and within the limits.
#[test]
fn the_corpus_of_archives_neither_panics_nor_hangs() {
    let limits = Limits { bytes: 1 << 20, entries: 100 };
    let all = corpus("archives");
    assert!(all.len() >= 10, "only {} files", all.len());
    for (name, bytes) in all {
        let format = match bytes.first() {
            Some(b'g') => Some(Format::TarGz),
            Some(b'x') => Some(Format::TarXz),
            Some(b'b') => Some(Format::TarBz2),
            Some(b'z') => Some(Format::Zip),
            _ => None,
        };
        let listed = list_bytes(bytes.get(1..).unwrap_or_default(), format, limits);
        match listed {
            Ok(listed) => assert!(name.starts_with("good-") && listed.len() <= 100, "{name} was taken"),
            Err(error) => assert!(name.starts_with("bad-") && !error.to_string().is_empty(), "{name}: {error}"),
        }
    }
}

#[test]
fn the_corpora_of_manifests_and_lists_never_panic() {
    for (name, bytes) in corpus("release-json") {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(Manifest::parse(&text).is_ok(), name.starts_with("good-"), "{name}");
    }
    for (name, bytes) in corpus("checksum-list") {
        let (file, list) = bytes[1..].split_at(usize::from(bytes[0]));
        let taken = ChecksumList::parse(list, &String::from_utf8_lossy(file)).is_ok();
        assert_eq!(taken, name.starts_with("good-"), "{name}");
    }
}

#[test]
fn hostile_files_get_clear_errors() {
    if !need_tools(&[("tar", "tar"), ("python3", "python3")]) {
        return;
    }
    let project = project(DECLARATION).file("a", "x\n");
    commit(&project);
    let dist = build(&project);
    let scratch = tempfile::tempdir().unwrap();
    let check = |name: &str, script: &str, words: &str| {
        let bad = scratch.path().join("bad");
        let _none_yet = fs::remove_dir_all(&bad);
        run(scratch.path(), "cp", &["-r", &text(&dist), "bad"]);
        run(&bad, "sh", &["-c", script]);
        let said = release(&project, &["verify", &text(&bad), "--integrity-only"]);
        assert_eq!(said.code(), 7, "{name}: {}", said.transcript());
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(all.contains(words), "{name}: {words:?} is not in {}", said.transcript());
    };
    check(
        "a bomb",
        "head -c 150000000 /dev/zero | gzip -1 > p-1.0.tar.gz; rm p-1.0.tar.xz p-1.0.tar.bz2 p-1.0.zip",
        "WRONG  p-1.0.tar.gz: its SHA-256",
    );
    check("a bomb in tar", "truncate -s 150000000 a; tar -czf p-1.0.tar.gz a", "as a decompression bomb would");
    check("a cut archive", "truncate -s -20 p-1.0.tar.xz", "it is cut off");
    check("a cut zip", "truncate -s -20 p-1.0.zip", "it is cut off");
    check("no archive", "echo x > p-1.0.tar.gz", "it does not start like a gzip file");
    check("a directory", "rm p-1.0.zip; mkdir p-1.0.zip", "WRONG  p-1.0.zip: cannot read it");
    check("a pipe", "rm p-1.0.zip; mkfifo p-1.0.zip", "WRONG  p-1.0.zip: cannot read it");
    check("missing", "rm p-1.0.zip", "WRONG  p-1.0.zip: cannot read it: no such file");
    check("one too many", "cp p-1.0.zip q-1.0.zip", "WRONG  q-1.0.zip: no list that counts names it");
    check("an escape", "tar --transform 's,^,../,' -P -czf p-1.0.tar.gz SHA256SUMS", "../SHA256SUMS");
    check("other checksums", "sed -i 's/^./0/;s/^0/1/' SHA256SUMS", "WRONG  release.json: its SHA-256 is");
    check("checksums that escape", "sed -i 's,  p,  ../p,' SHA256SUMS", "leads out of the directory");
    let anew = |script: &str| format!("{script}; sha256sum p-1.0.* release.json > SHA256SUMS");
    check("another entry", &anew("sed -i 's/\"path\": \"a\"/\"path\": \"b\"/' release.json"), "it was modified");
    check(
        "an artifact that escapes",
        &anew("sed -i 's,\"p-1.0.zip\",\"../p-1.0.zip\",' release.json"),
        "invalid artifact name",
    );
}

/// Wherever the disk gets full, nothing that looks like a release is left, and the next build is complete.
#[test]
fn a_full_disk_leaves_no_partial_release() {
    let project = project(DECLARATION);
    // Incompressible content, so that each format exceeds the disk at another point.
    let mut noise = fastrand::Rng::with_seed(7);
    let bytes: Vec<u8> = std::iter::repeat_with(|| noise.u8(..)).take(1_500_000).collect();
    fs::write(project.path().join("noise"), &bytes).unwrap();
    commit(&project);
    let mut whole = 0;
    for mebibytes in [1, 3, 5, 12] {
        let Some(disk) = SmallDisk::mount(mebibytes) else { return };
        let state = text(disk.path());
        let built = release(&project, &["build", "--state", &state]);
        let files = disk.files();
        if built.code() == 0 {
            let names = files.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("dist/"));
            assert_eq!(names.count(), 7, "{files:?}");
            whole += 1;
            continue;
        }
        assert_eq!(built.code(), 5, "{mebibytes} MiB: {}", built.transcript());
        assert!(built.stderr.to_lowercase().contains("no space left on device"), "{}", built.transcript());
        assert!(built.stderr.contains(&state), "the place is named: {}", built.transcript());
        let left = files.iter().filter(|(name, size)| name.starts_with("dist/") && *size > 0);
        assert_eq!(left.count(), 0, "{mebibytes} MiB: {files:?}");
    }
    assert_eq!(whole, 1, "only the largest disk suffices");
}
