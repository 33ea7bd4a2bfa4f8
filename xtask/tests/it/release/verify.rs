//! Differences between our archives and those of other programs, each with its cause; signatures.

use std::fs;
use std::path::Path;

use super::fixture::{build, commit, project, release, run};
use crate::support::{Project, git, need_tool, need_tools, text};

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
    let good = release(&project, &["verify", &text(&dist), "--rebuild"]);
    assert_eq!(good.code(), 0, "{}", good.transcript());
    for Mutation { file, script, field, cause } in mutations() {
        let bad = scratch.path().join("bad");
        let _none_yet = fs::remove_dir_all(&bad);
        run(scratch.path(), "cp", &["-r", &text(&dist), "bad"]);
        fs::create_dir(bad.join("x")).unwrap();
        run(&bad, "tar", &["-xpzf", "p-1.0.tar.gz", "-C", "x"]);
        run(&bad, "sh", &["-c", &script]);
        let said = release(&project, &["verify", &text(&bad.join(file)), "--rebuild", "--format", "json"]);
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
    let said = release(&project, &["verify", &text(&dist)]);
    assert_eq!(said.code(), 7, "{}", said.transcript());
    assert!(said.stdout.contains("only the compressed form differs"), "{}", said.stdout);
    let script = format!(
        "mkdir x; tar -xpzf p-1.0.tar.gz -C x; sed -i s/two/TWO/ x/p-1.0/made.txt; {TAR} -C x -cf - p-1.0 | gzip -9n > p-1.0.tar.gz"
    );
    run(&dist, "sh", &["-c", &script]);
    let said = release(&project, &["verify", "--rebuild", &text(&dist)]);
    let words = "p-1.0/made.txt: content is line 2 `TWO`, expected line 2 `two` (first at byte 4)";
    assert!(said.stdout.contains(words) && said.stdout.contains("[from the generator gen]"), "{}", said.stdout);
}

#[test]
fn only_signatures_by_declared_keys_count() {
    if !need_tool("gpg", "gpg") {
        return;
    }
    let homes = tempfile::tempdir().unwrap();
    let gpg = |who: &str, directory: &Path, args: &[&str]| {
        let home = text(&homes.path().join(who));
        let all = [&["--homedir", &home, "--batch", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"], args]
            .concat();
        run(directory, "gpg", &all)
    };
    for who in ["alice", "bob", "mallory"] {
        fs::create_dir(homes.path().join(who)).unwrap();
        run(homes.path(), "chmod", &["700", who]);
        gpg(who, homes.path(), &["--quick-gen-key", &format!("{who}@example.org"), "ed25519", "sign", "never"]);
    }
    let project = project(&format!("{DECLARATION}signing: {{keys: packaging/keys, quorum: 2}}\n")).file("a.txt", "x\n");
    fs::create_dir(project.path().join("packaging/keys")).unwrap();
    for who in ["alice", "bob"] {
        let key = gpg(who, homes.path(), &["--armor", "--export"]);
        fs::write(project.path().join(format!("packaging/keys/{who}.asc")), key).unwrap();
    }
    commit(&project);
    let dist = build(&project);
    let verify = |options: &[&str]| release(&project, &[&["verify", text(&dist).as_str()], options].concat());
    let expect = |code: i32, options: &[&str], words: &str| {
        let said = verify(options);
        assert!(said.code() == code && said.stdout.contains(words), "{words:?} is not in {}", said.transcript());
    };
    expect(7, &[], "signed by 0 of the declared keys, 2 are required");
    expect(0, &["--unsigned"], "ok     p-1.0.zip");
    let mut both = String::new();
    for (who, code, words) in [("alice", 7, "signed by 1 of the declared keys"), ("bob", 0, "ok     SHA256SUMS.asc by")]
    {
        both.push_str(&gpg(who, &dist, &["--armor", "--detach-sign", "--output", "-", "SHA256SUMS"]));
        fs::write(dist.join("SHA256SUMS.asc"), &both).unwrap();
        expect(code, &[], words);
    }
    // Another commit that declares no keys, and a checkout without a readable declaration, require no fewer signatures.
    let signed = text(&project.path().join("packaging/release.yaml"));
    let declared = fs::read_to_string(&signed).unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::write(&signed, DECLARATION).unwrap();
    run(project.path(), "git", &["checkout", "-q", "-b", "unsigned"]);
    git(project.path(), &["commit", "-q", "-a", "-m", "unsigned"]);
    let made = release(&project, &["build", "--untagged"]);
    assert_eq!(made.code(), 0, "{}", made.transcript());
    let dists = project.state().join("dist");
    let unsigned = fs::read_dir(&dists).unwrap().map(|entry| entry.unwrap().path()).find(|path| *path != dist).unwrap();
    run(project.path(), "cp", &["-r", &text(&unsigned), &text(&other.path().join("dist"))]);
    run(project.path(), "git", &["checkout", "-q", "-"]);
    assert_eq!(fs::read_to_string(&signed).unwrap(), declared);
    let said = release(&project, &["verify", &text(&other.path().join("dist"))]);
    let words = "signed by 0 of the declared keys, 2 are required";
    assert!(said.code() == 7 && said.stdout.contains(words), "{}", said.transcript());
    // Two signatures by one key count once.
    let twice = gpg("alice", &dist, &["--armor", "--detach-sign", "--output", "-", "SHA256SUMS"]).repeat(2);
    fs::write(dist.join("SHA256SUMS.asc"), twice).unwrap();
    expect(7, &[], "signed by 1 of the declared keys");
    let unknown = gpg("mallory", &dist, &["--armor", "--detach-sign", "--output", "-", "SHA256SUMS"]);
    fs::write(dist.join("SHA256SUMS.asc"), unknown).unwrap();
    expect(7, &[], "is not among the declared ones");
    let of_another = gpg("alice", &dist, &["--armor", "--detach-sign", "--output", "-", "release.json"]);
    fs::write(dist.join("SHA256SUMS.asc"), of_another).unwrap();
    expect(7, &["--unsigned"], "is for other content");
}
