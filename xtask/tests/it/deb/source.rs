//! Source packages: they are reproducible, and dpkg, dscverify, lintian and cargo agree with them.

use std::fs;
use std::process::Command;

use super::fixture::{Deb, VERSION, files, has_tools, key, lanternd, run};
use crate::release::fixture::{commit, project};
use crate::support::{need_tool, only_git, text};

#[test]
fn source_packages_are_reproducible() {
    if !has_tools(&[("dscverify", "devscripts"), ("lintian", "lintian"), ("dh_clean", "debhelper")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let one = Deb::new(lanternd(), &at("one"));
    one.ok(&["source", "--threads", "1"]);

    // Another clone elsewhere, and everything that leaks into packages of dpkg-source.
    fs::create_dir_all(at("a longer/path")).unwrap();
    run(lanternd(), &["cp", "-a", &text(lanternd().parent().unwrap()), &text(&at("a longer/path/made"))], &[]);
    let cargo = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or_else(|_| format!("{}/.rustup", std::env::var("HOME").unwrap()));
    let other = Deb::new(&at("a longer/path/made/lanternd"), &at("other state"))
        .env("UMASK", "077")
        .env("TZ", "Pacific/Chatham")
        .env("LC_ALL", "C")
        .env("XZ_OPT", "-9e")
        .env("TAR_OPTIONS", "--mtime=2001-01-01")
        .env("DEBEMAIL", "other@example.com")
        .env("DEBFULLNAME", "Other")
        .env("HOME", text(directory.path()))
        .env("CARGO_HOME", cargo)
        .env("RUSTUP_HOME", rustup);
    other.ok(&["source", "--threads", "3"]);
    let (ours, theirs) = (files(&one.directory()), files(&other.directory()));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    let differing: Vec<&String> = ours.keys().filter(|name| ours[*name] != theirs[*name]).collect();
    assert!(differing.is_empty(), "{differing:?}");

    // All series share one orig tarball, which is the released archive.
    let origs: Vec<&String> = ours.keys().filter(|name| name.contains(".orig")).collect();
    assert_eq!(origs, ["lanternd_0.3.0.orig-vendor.tar.xz", "lanternd_0.3.0.orig.tar.xz"]);
    assert_eq!(ours["lanternd_0.3.0.orig.tar.xz"], fs::read(at("one/dist/0.3.0/lanternd-0.3.0.tar.xz")).unwrap());
    assert_eq!(ours.keys().filter(|name| name.ends_with(".dsc")).count(), 4, "{:?}", ours.keys());

    let check = one.ok(&["check", "--unsigned"]);
    let survived = check.stdout.matches("files of crates match their checksums as unpacked and after").count();
    assert_eq!((check.stdout.matches("ok       ").count(), survived), (4, 4), "{}", check.transcript());
    let unsigned = one.call(&["check", "--series", "noble"]);
    assert!(unsigned.code() == 1 && unsigned.stdout.contains("GPG verification"), "{}", unsigned.transcript());

    for series in ["debian12.1", "ubuntu24.04.1"] {
        let unpacked = at(series);
        run(
            directory.path(),
            &["dpkg-source", "--no-check", "-x", &text(&one.file(series, ".dsc")), &text(&unpacked)],
            &[],
        );
        let version = run(&unpacked, &["dpkg-parsechangelog", "-S", "Version"], &[]);
        assert_eq!(version.trim(), format!("{VERSION}~{series}"));
        let changes = run(&unpacked, &["dpkg-parsechangelog", "-S", "Changes"], &[]);
        let item = "  * Added: The plugin `http`, which serves the daemon's status on 127.0.0.1.\n  * Added: `--check";
        assert!(changes.contains(item), "{changes}");
        let copyright = fs::read_to_string(unpacked.join("debian/copyright")).unwrap();
        assert!(copyright.contains("Files: *vendor/httparse-1.8.0/*\n"), "{copyright}");
        assert!(unpacked.join("wire/lamp_wiregen.c").is_file(), "derived files are in the orig tarball");
        assert!(unpacked.join("external/tinyhash/map.c").is_file(), "submodules are in the orig tarball");
    }
    check_vendored_crates(&at("debian12.1"));

    // dpkg-source writes the same fields for the same tree.
    let unpacked = at("debian12.1");
    run(&unpacked, &["dpkg-source", "--build", "."], &[]);
    let field = |path: &std::path::Path, name: &str| {
        let text = fs::read_to_string(path).unwrap();
        drydock_deb::control::parse_one(&text).unwrap().line(name)
    };
    let theirs = directory.path().join(format!("lanternd_{VERSION}~debian12.1.dsc"));
    for name in ["Format", "Source", "Binary", "Architecture", "Version", "Testsuite", "Build-Depends", "Package-List"]
    {
        assert_eq!(field(&one.file("debian12.1", ".dsc"), name), field(&theirs, name), "{name}");
    }

    let (home, fingerprint) = key(directory.path());
    let signed = Deb::new(lanternd(), &at("one")).env("GNUPGHOME", text(&home));
    signed.ok(&["source", "--series", "bookworm", "--key", &fingerprint]);
    let ring = at("ring.gpg");
    run(directory.path(), &["gpg", "--batch", "--export", "-o", &text(&ring)], &[("GNUPGHOME", &text(&home))]);
    let changes = text(&one.file("debian12.1", "_source.changes"));
    run(directory.path(), &["dscverify", "--keyring", &text(&ring), &changes], &[]);
    signed.ok(&["check", "--series", "bookworm"]);
    run(directory.path(), &["lintian", "--fail-on", "error", "--allow-root", &changes], &[]);
}

/// The vendored files are those of `cargo vendor`, except for those that are left out.
fn check_vendored_crates(unpacked: &std::path::Path) {
    if !need_tool("cargo", "cargo") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let theirs = directory.path().join("vendor");
    let output = Command::new("cargo")
        .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
        .arg(&theirs)
        .current_dir(unpacked.join("plugins/http"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ours, theirs) =
        (crate::release::fixture::tree(&unpacked.join("vendor")), crate::release::fixture::tree(&theirs));
    assert!(ours.len() > 20, "{ours:?}");
    for (path, what) in &ours {
        if !path.ends_with(".cargo-checksum.json") {
            let checksum = |what: &String| what.split(' ').next_back().unwrap().to_owned();
            assert_eq!(theirs.get(path).map(checksum), Some(checksum(what)), "{path}");
        }
    }
    let left_out: Vec<&String> = theirs.keys().filter(|path| !ours.contains_key(*path)).collect();
    let expected = |path: &&&String| path.ends_with(".orig") || path.contains("/.") || path.contains("/.github");
    assert!(left_out.iter().all(|path| expected(&path)), "{left_out:?}");
}

#[test]
fn candidates_and_nightlies_have_versions_and_targets() {
    if !has_tools(&[]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().join("project");
    run(directory.path(), &["cp", "-a", &text(lanternd()), &text(&project)], &[]);
    run(&project, &["git", "-c", "user.name=n", "-c", "user.email=m", "tag", "v26.06rc1"], &[]);
    let deb = Deb::new(&project, &directory.path().join("state"));
    let candidate = deb.ok(&["source", "--dry-run", "--tag", "v26.06rc1", "--series", "noble"]);
    assert!(candidate.stdout.contains("26.06~rc1-0ubuntu1~ppa1~ubuntu24.04.1\n"), "{}", candidate.stdout);
    // A release that the changelog does not have is refused before anything is built.
    let silent = deb.call(&["source", "--tag", "v26.06rc1", "--series", "noble"]);
    let text = "CHANGELOG.md:8: no entry for the version: the topmost heading is `0.3.0 - 2026-06-01`; \
                add a heading such as `## [26.06rc1] - DATE` with the changes below it, and commit it";
    assert!(silent.code() == 1 && silent.stderr.contains(text), "{}", silent.transcript());
    assert!(!directory.path().join("state/dist/26.06rc1/SHA256SUMS").exists());
    let nightly = deb.ok(&["source", "--dry-run", "--nightly", "26.09", "--series", "jammy"]);
    assert!(nightly.stdout.contains("26.09~~git20260601.1.g"), "{}", nightly.stdout);
    // Nightlies and releases have different targets.
    for (args, place) in [
        (["--nightly", "26.09"], "to ppa:example/lantern-nightly\n"),
        (["--tag", "v0.3.0"], "to ppa:example/lantern\n"),
    ] {
        let plan = deb.ok(&[&["upload", "--dry-run", "--series", "jammy"][..], &args].concat());
        assert!(plan.stdout.starts_with(place), "{}", plan.stdout);
    }
    let unknown = deb.call(&["source", "--dry-run", "--tag", "v0.3.0", "--series", "sid"]);
    assert!(
        unknown.code() == 2 && unknown.stderr.contains("use one of jammy, noble, bookworm, trixie"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn packages_are_built_on_this_machine() {
    if !has_tools(&[("dpkg-buildpackage", "dpkg-dev"), ("dh", "debhelper")]) {
        return;
    }
    let project = crate::release::fixture::project(
        "name: words\nversion: {}\narchives: [{format: tar.gz}]\ndeb:\n  maintainer: A Name <name@example.org>\n  \
         orig: tar.gz\n  revision: \"1\"\n  series: {bookworm: {number: \"12\", distribution: debian}}\n",
    );
    let control = "Source: words\nSection: misc\nPriority: optional\nMaintainer: A Name <name@example.org>\n\
                   Build-Depends: debhelper-compat (= 13)\nStandards-Version: 4.6.2\n\nPackage: words\n\
                   Architecture: all\nDescription: some words\n";
    let project = project
        .file("words.txt", "some\n")
        .file("packaging/debian/control", control)
        .file("packaging/debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n")
        .file("packaging/debian/copyright", "None.\n")
        .file("packaging/debian/words.install", "words.txt usr/share/words\n")
        .file("packaging/debian/series/bookworm/words.docs", "words.txt\n");
    crate::release::fixture::commit(&project);
    let built = project.xtask(&["deb", "build"]).run();
    assert_eq!(built.code(), 0, "{}", built.transcript());
    let package = project.state().join("dist/1.0/deb/local/words_1.0-1~debian12.1_all.deb");
    assert_eq!(built.stdout.trim(), text(&package));
    let listed = run(project.path(), &["dpkg-deb", "-c", &text(&package)], &[]);
    for path in ["./usr/share/words/words.txt", "./usr/share/doc/words/words.txt"] {
        assert!(listed.contains(path), "{listed}");
    }

    // Missing build dependencies are named, with the command that installs them.
    let lacking =
        project.file("packaging/debian/control", &control.replace("(= 13)", "(= 13), no-such-package (>= 3)"));
    crate::release::fixture::commit(&lacking);
    let refused = lacking.xtask(&["deb", "build"]).run();
    let remedy = "install them with `apt-get satisfy 'debhelper-compat (= 13), no-such-package (>= 3)'`";
    assert!(refused.code() == 4 && refused.stderr.contains(remedy), "{}", refused.transcript());
    let nothing = lacking.xtask(&["deb", "check", "words.txt"]).run();
    assert!(
        nothing.code() == 1 && nothing.stdout.contains("Unable to parse words.txt: line 1: a `:` is missing"),
        "{}",
        nothing.transcript()
    );
}

#[test]
fn a_missing_declaration_is_said_before_a_missing_tool() {
    let project = project("name: p\nversion: {}\narchives: [{format: tar.gz}]\n").file("README", "x\n");
    commit(&project);
    let directory = tempfile::tempdir().unwrap();
    let path = only_git(&directory.path().join("bin"));
    for command in ["source", "check", "prove", "build", "upload", "status"] {
        let said = project.xtask(&["deb", command]).env("PATH", &path).run();
        let words = "packaging/release.yaml has no `deb` section; ";
        assert!(said.code() == 3 && said.stderr.contains(words), "{command}: {}", said.transcript());
    }
}
