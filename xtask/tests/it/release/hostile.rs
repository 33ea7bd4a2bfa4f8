//! Archives and lists that attackers make, through the command line, and what fuzzing found.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use xtask::archive::read::{Limits, list_bytes};
use xtask::config::release::Format;
use xtask::release::manifest::Manifest;
use xtask::release::verify::parse_sums;

use super::shelf::{DECLARATION, build, commit, project, release, run};
use crate::support::{need_tool, text};

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = files.map(|path| (text(Path::new(path.file_name().unwrap())), fs::read(&path).unwrap()));
    read.collect()
}

/// `good-*` is read, `bad-*` is refused, all of it soon and within the limits.
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
        let began = Instant::now();
        let listed = list_bytes(bytes.get(1..).unwrap_or_default(), format, limits);
        assert!(began.elapsed() < Duration::from_secs(5), "{name} took {:?}", began.elapsed());
        match listed {
            Ok(listed) => assert!(name.starts_with("good-") && listed.len() <= 100, "{name} was taken"),
            Err(error) => assert!(name.starts_with("bad-") && !error.to_string().is_empty(), "{name}: {error}"),
        }
    }
}

#[test]
fn the_corpus_of_lists_never_panics() {
    for (name, bytes) in corpus("release-json") {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let taken = Manifest::parse(&text).is_ok() || parse_sums(&text).is_some();
        assert_eq!(taken, name.starts_with("good-"), "{name}");
    }
}

#[test]
fn hostile_files_get_a_clear_answer() {
    if ![("tar", "tar"), ("python3", "python3")].iter().all(|(tool, package)| need_tool(tool, package)) {
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
        let said = release(&project, &["verify", &text(&bad)]);
        assert_eq!(said.code(), 7, "{name}: {}", said.transcript());
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(all.contains(words), "{name}: {words:?} is not in {}", said.transcript());
    };
    check(
        "a bomb",
        "head -c 150000000 /dev/zero | gzip -1 > p-1.0.tar.gz; rm p-1.0.tar.xz p-1.0.tar.bz2 p-1.0.zip",
        "WRONG  p-1.0.tar.gz: it",
    );
    check("a bomb in tar", "truncate -s 150000000 a; tar -czf p-1.0.tar.gz a", "is it a bomb?");
    check("a cut archive", "truncate -s -20 p-1.0.tar.xz", "WRONG  p-1.0.tar.xz: it is cut off");
    check("a cut zip", "truncate -s -20 p-1.0.zip", "WRONG  p-1.0.zip: it is cut off");
    check("no archive", "echo x > p-1.0.tar.gz", "it does not start like a gzip file");
    check("a folder", "rm p-1.0.zip; mkdir p-1.0.zip", "WRONG  p-1.0.zip: it cannot be read");
    check("a pipe", "rm p-1.0.zip; mkfifo p-1.0.zip", "WRONG  p-1.0.zip: it cannot be read");
    check("missing", "rm p-1.0.zip", "WRONG  p-1.0.zip: it cannot be read: no such file");
    check("one too many", "cp p-1.0.zip q-1.0.zip", "WRONG  q-1.0.zip is not in release.json");
    check("an escape", "tar --transform 's,^,../,' -P -czf p-1.0.tar.gz SHA256SUMS", "../SHA256SUMS");
    check(
        "other sums",
        "sed -i 's/^./0/;s/^0/1/' SHA256SUMS",
        "WRONG  SHA256SUMS: it does not list what release.json lists",
    );
    check("sums that escape", "sed -i 's,  p,  ../p,' SHA256SUMS", "is no list of SHA-256 sums");
    check("another entry", "sed -i 's/\"path\": \"a\"/\"path\": \"b\"/' release.json", "it was changed");
    check(
        "an artifact that escapes",
        "sed -i 's,\"p-1.0.zip\",\"../p-1.0.zip\",' release.json",
        "is no name of an archive",
    );
}
