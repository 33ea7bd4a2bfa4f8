//! Differences between our archives and those of other programs, each with its cause.

use std::fs;

use super::fixture::{build, project, release, run};
use crate::support::{Project, git, need_tools, text};

const DECLARATION: &str = "\
name: p
version: {}
archives: [{format: tar.gz}, {format: tar.xz}, {format: tar.bz2}, {format: zip}]
source: {derived: {gen: {run: [cp, a.txt, made.txt], inputs: [a.txt], outputs: [made.txt]}}}
";

/// GNU tar with the options that produce the same tar stream as Drydock from an unpacked release.
const TAR: &str = "tar --format=ustar --sort=name --owner=root:0 --group=root:0 --mtime=@1780315200";

/// The tools that these tests need, each with its Debian package.
const TOOLS: &[(&str, &str)] =
    &[("tar", "tar"), ("xz", "xz-utils"), ("bzip2", "bzip2"), ("gzip", "gzip"), ("python3", "python3"), ("zip", "zip")];

fn sample() -> Project {
    let project = project(DECLARATION)
        .file("a.txt", "one\ntwo\nthree\n")
        .file("run.sh", "#!/bin/sh\n")
        .file("sub/text", &"some text that compresses in one way or another\n".repeat(5000));
    std::os::unix::fs::symlink("a.txt", project.path().join("link")).unwrap();
    git(project.path(), &["add", "-A"]);
    git(project.path(), &["update-index", "--chmod=+x", "run.sh"]);
    git(project.path(), &["commit", "-q", "-m", "x"]);
    git(project.path(), &["tag", "v1.0"]);
    project
}

/// A script that changes one archive in the current directory, and the expected explanation. `x/p-1.0` is the unpacked archive.
struct Mutation {
    file: &'static str,
    script: String,
    field: &'static str,
    cause: &'static str,
}

fn mutation(file: &'static str, script: impl Into<String>, field: &'static str, cause: &'static str) -> Mutation {
    Mutation { file, script: script.into(), field, cause }
}

fn mutations() -> Vec<Mutation> {
    let tar = |options: &str| format!("{TAR} {options} -C x -cf - p-1.0 | gzip -9n > p-1.0.tar.gz");
    let gz = "p-1.0.tar.gz";
    let zip = |python: &str| {
        format!(
            "python3 - <<'E'\nimport zipfile, shutil\nold = zipfile.ZipFile('p-1.0.zip')\nnew = zipfile.ZipFile('new.zip', 'w')\nfor i in old.infolist():\n    data = old.read(i)\n    {python}\n    new.writestr(i, data, compress_type=i.compress_type)\nnew.close()\nshutil.move('new.zip', 'p-1.0.zip')\nE"
        )
    };
    vec![
        mutation(gz, tar("--mode=go-rwx"), "mode", "the umask"),
        mutation(gz, tar("--mtime=@1"), "mtime", "the times of the files on disk"),
        mutation(gz, tar("--mtime=@1780318800"), "mtime", "the time zone"),
        mutation(gz, tar("--owner=build:1000"), "uid", "the owner of the files"),
        mutation(gz, tar("--group=build:0"), "owner", "the owner of the files"),
        mutation(gz, tar("-h"), "type", "follows links"),
        mutation(gz, tar("--format=gnu"), "magic", "another tar dialect"),
        mutation(gz, tar("--format=pax --pax-option=comment=x"), "pax", "another tar dialect"),
        mutation(gz, tar("--exclude=made.txt"), "order", "a derived file that was not generated"),
        mutation(gz, format!("touch x/p-1.0/new; {}", tar("")), "order", "an added file"),
        mutation(
            gz,
            format!(
                "(cd x; find p-1.0 | sort -r) > list; {TAR} --no-recursion -C x -cf - -T list | gzip -9n > p-1.0.tar.gz"
            ),
            "order",
            "sorted by another locale",
        ),
        mutation(gz, format!("sed -i 's/$/\\r/' x/p-1.0/a.txt; {}", tar("")), "content", "line endings"),
        mutation(
            gz,
            format!("sed -i s/two/TWO/ x/p-1.0/made.txt; {}", tar("")),
            "content",
            "a generator with another result",
        ),
        mutation(
            gz,
            "gzip -dc p-1.0.tar.gz > t; gzip -9 < t > p-1.0.tar.gz; touch t; gzip -9 t; mv t.gz p-1.0.tar.gz",
            "the flags of gzip",
            "`gzip` without -n",
        ),
        mutation(gz, "gzip -dc p-1.0.tar.gz | gzip -1n > t; mv t p-1.0.tar.gz", "the level of gzip", "another level"),
        mutation(
            gz,
            "gzip -dc p-1.0.tar.gz | gzip -9n > t; printf '\\377' | dd of=t bs=1 seek=9 conv=notrunc 2>/dev/null; mv t p-1.0.tar.gz",
            "the compressed bytes",
            "another deflate library",
        ),
        mutation(
            "p-1.0.tar.xz",
            "xz -dc p-1.0.tar.xz | xz -6 -T1 > t; mv t p-1.0.tar.xz",
            "the mode of xz",
            "the single-threaded encoder",
        ),
        mutation(
            "p-1.0.tar.xz",
            "xz -dc p-1.0.tar.xz | xz -6 -T2 --block-size=64KiB > t; mv t p-1.0.tar.xz",
            "the blocks of xz",
            "another block size",
        ),
        mutation(
            "p-1.0.tar.xz",
            "xz -dc p-1.0.tar.xz | xz -0 -T2 --block-size=16MiB > t; mv t p-1.0.tar.xz",
            "the header of xz",
            "another preset",
        ),
        mutation(
            "p-1.0.tar.bz2",
            "bzip2 -dc p-1.0.tar.bz2 | bzip2 -1 > t; mv t p-1.0.tar.bz2",
            "the level of bzip2",
            "bzip2 -1",
        ),
        mutation("p-1.0.zip", zip("i.date_time = (2026, 6, 1, 17, 0, 0)"), "time", "the time zone"),
        mutation("p-1.0.zip", zip("i.external_attr &= ~(0o077 << 16)"), "mode", "the umask"),
        mutation(
            "p-1.0.zip",
            zip("i.extra = b'UT\\x05\\x00\\x01\\0\\0\\0\\0'"),
            "extra fields",
            "zip with extra fields",
        ),
        mutation(
            "p-1.0.zip",
            "rm p-1.0.zip; cd x; find p-1.0 | LC_ALL=C sort | TZ=UTC zip -q -X ../p-1.0.zip -@",
            "",
            "follows links",
        ),
        mutation("p-1.0.zip", zip("pass"), "flags", "a program other than Drydock"),
        mutation("p-1.0.zip", zip("data = data.replace(b'two', b'TWO')"), "content", "another version of the file"),
    ]
}

#[test]
fn every_mutation_is_found_and_explained() {
    if !need_tools(TOOLS) {
        return;
    }
    let project = sample();
    let dist = build(&project);
    let scratch = tempfile::tempdir().unwrap();
    let good = release(&project, &["verify", &text(&dist), "--rebuild", "--integrity-only"]);
    assert_eq!(good.code(), 0, "{}", good.transcript());
    for Mutation { file, script, field, cause } in mutations() {
        let bad = scratch.path().join("bad");
        let _none_yet = fs::remove_dir_all(&bad);
        run(scratch.path(), "cp", &["-r", &text(&dist), "bad"]);
        fs::create_dir(bad.join("x")).unwrap();
        run(&bad, "tar", &["-xpzf", "p-1.0.tar.gz", "-C", "x"]);
        run(&bad, "sh", &["-c", &script]);
        let said =
            release(&project, &["verify", &text(&bad.join(file)), "--rebuild", "--integrity-only", "--format", "json"]);
        assert_eq!(said.code(), 7, "{script}: {}", said.transcript());
        let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let one = report["files"].as_array().unwrap().iter().find(|one| one["name"] == file).unwrap();
        let difference = &one["difference"];
        assert!(difference["cause"].as_str().unwrap_or_default().contains(cause), "{script}: {one:#}");
        assert!(field.is_empty() || difference["field"] == field, "{script}: {one:#}");
        println!("{cause}: {} is {}, expected {}", difference["field"], difference["found"], difference["expected"]);
    }
}

#[test]
fn differences_name_the_generator_and_recompressed_archives_are_recognised() {
    if !need_tools(TOOLS) {
        return;
    }
    let project = sample();
    let dist = build(&project);
    run(&dist, "sh", &["-c", "xz -dc p-1.0.tar.xz | xz -6 -T1 > t; mv t p-1.0.tar.xz"]);
    let said = release(&project, &["verify", &text(&dist), "--integrity-only"]);
    assert_eq!(said.code(), 7, "{}", said.transcript());
    assert!(said.stdout.contains("only the compressed form differs"), "{}", said.stdout);
    let script = format!(
        "mkdir x; tar -xpzf p-1.0.tar.gz -C x; sed -i s/two/TWO/ x/p-1.0/made.txt; {TAR} -C x -cf - p-1.0 | gzip -9n > p-1.0.tar.gz"
    );
    run(&dist, "sh", &["-c", &script]);
    let said = release(&project, &["verify", "--rebuild", "--integrity-only", &text(&dist)]);
    let words = "p-1.0/made.txt: content is line 2 `TWO`, expected line 2 `two` (first at byte 4)";
    assert!(said.stdout.contains(words) && said.stdout.contains("[from the generator gen]"), "{}", said.stdout);
}
