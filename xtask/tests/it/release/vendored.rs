//! Crates in the archives of a release: built without a network by the real cargo, and every way in which they may be missing.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fixture::{build, commit, project, release, tree};
use crate::support::{Project, git, need_tools, text, xtask_binary};

const DECLARATION: &str = "\
name: p
version: {}
source:
  vendor: {cargo: [tool/Cargo.toml], directory: tool/crates}
archives: [{format: tar.gz}, {format: zip}]
offline-proof:
  build: [cargo, --config, tool/crates/config.toml, build, --quiet, --offline, --locked, --manifest-path, tool/Cargo.toml]
  poisoned: [git, curl]
deb:
  directory: debian
  maintainer: A Name <name@example.org>
  orig: tar.gz
  revision: 0ubuntu1~ppa1
  series: {trixie: {number: \"13\", distribution: debian}}
";
/// The line with the crates.
const VENDOR: &str = "  vendor: {cargo: [tool/Cargo.toml], directory: tool/crates}\n";
const TOML: &str =
    "[package]\nname = \"tool\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[dependencies]\nhttparse = \"=1.8.0\"\n";
const LOCK: &str = "version = 3\n
[[package]]\nname = \"httparse\"\nversion = \"1.8.0\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"d897f394bad6a705d5f4104762e116a75639e470d80901eed05a860a95cb1904\"\n
[[package]]\nname = \"tool\"\nversion = \"1.0.0\"\ndependencies = [\n \"httparse\",\n]\n";
const CONTROL: &str = "Source: pp\nSection: utils\nPriority: optional\nMaintainer: A Name <name@example.org>\n\
    Build-Depends: debhelper-compat (= 13), cargo\nStandards-Version: 4.6.2\n\n\
    Package: pp\nArchitecture: any\nDepends: ${misc:Depends}\nDescription: tool for tests\n It does nothing.\n";
const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
    Files: *\nCopyright: 2026 A Name\nLicense: Expat\n\nLicense: Expat\n Permission is hereby granted.\n";

/// The project, with its files committed.
fn rust_project(declaration: &str) -> Project {
    let project = project(declaration)
        .file("tool/Cargo.toml", TOML)
        .file("tool/Cargo.lock", LOCK)
        .file("tool/src/main.rs", "fn main() {\n    println!(\"{}\", httparse::EMPTY_HEADER.name.len());\n}\n")
        .file("debian/control", CONTROL)
        .file("debian/copyright", COPYRIGHT)
        .file("debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n\noverride_dh_auto_clean:\n");
    commit(&project);
    project
}

#[test]
fn an_archive_with_its_crates_is_built_without_a_network() {
    if !need_tools(&[("cargo", "cargo"), ("git", "git"), ("tar", "tar"), ("dpkg-source", "dpkg-dev")]) {
        return;
    }
    let project = rust_project(DECLARATION);
    let directory = build(&project);
    let manifest = fs::read_to_string(directory.join("release.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let record = &manifest["generators"][0];
    assert_eq!((record["name"].as_str(), &record["inputs"][0]), (Some("(vendor)"), &"tool/Cargo.lock".into()));
    let proved = release(&project, &["prove"]);
    assert_eq!(proved.code(), 0, "{}", proved.transcript());
    let verified = release(&project, &["verify", "--rebuild", "--integrity-only", &text(&directory)]);
    assert_eq!(verified.code(), 0, "{}", verified.transcript());

    // The files are those that cargo itself vendors, but for what is left out.
    let (ours, theirs) = (project.path().join("ours"), project.path().join("theirs"));
    fs::create_dir(&ours).unwrap();
    run(Command::new("tar").args(["-xzf", &text(&directory.join("p-1.0.tar.gz")), "-C", &text(&ours)]));
    let mut vendor = Command::new("cargo");
    let manifest = text(&project.path().join("tool/Cargo.toml"));
    run(vendor.args(["vendor", "--locked", "--versioned-dirs", "--quiet", "--manifest-path", &manifest]).arg(&theirs));
    let (ours, theirs) = (tree(&ours.join("p-1.0/tool/crates")), tree(&theirs));
    let sum = |what: &String| what.split(' ').next_back().map(str::to_owned);
    for (path, what) in ours.iter().filter(|(path, _)| !path.ends_with(".json") && *path != "config.toml") {
        assert_eq!(theirs.get(path).and_then(sum), sum(what), "{path}");
    }
    assert!(ours.contains_key("httparse-1.8.0/src/lib.rs") && !ours.contains_key("httparse-1.8.0/.gitignore"));

    // The Debian package has them once, in the orig tarball, and says whose they are.
    let deb = |args: &[&str]| project.xtask(&[&["deb"], args].concat()).run();
    let source = deb(&["source"]);
    assert_eq!(source.code(), 0, "{}", source.transcript());
    let packages = project.state().join("dist/1.0/deb");
    let origs: Vec<String> = fs::read_dir(&packages).unwrap().map(|entry| text(&entry.unwrap().path())).collect();
    assert_eq!(origs.iter().filter(|name| name.contains(".orig")).count(), 1, "{origs:?}");
    let dsc = packages.join("pp_1.0-0ubuntu1~ppa1~debian13.1.dsc");
    let unpacked = project.path().join("unpacked");
    run(Command::new("dpkg-source").args(["--no-check", "-x", &text(&dsc), &text(&unpacked)]));
    let copyright = fs::read_to_string(unpacked.join("debian/copyright")).unwrap();
    assert!(copyright.contains("\nFiles: *crates/httparse-1.8.0/*\n"), "{copyright}");
    if !need_tools(&[("dh_clean", "debhelper")]) {
        return;
    }
    let check = deb(&["check", "--unsigned"]);
    assert_eq!(check.code(), 0, "{}", check.transcript());
    // One whose `clean` removes a file of a crate could not be built.
    let rules = "#!/usr/bin/make -f\n%:\n\tdh $@\n\noverride_dh_auto_clean:\n\trm tool/crates/*/src/lib.rs\n";
    fs::write(project.path().join("debian/rules"), rules).unwrap();
    git(project.path(), &["rm", "-rq", "--cached", "."]);
    git(project.path(), &["add", "packaging", "tool/Cargo.toml", "tool/Cargo.lock", "tool/src", "debian"]);
    git(project.path(), &["commit", "-q", "-m", "rules"]);
    git(project.path(), &["tag", "-f", "-a", "-m", "1.0", "v1.0"]);
    let source = deb(&["source"]);
    assert_eq!(source.code(), 0, "{}", source.transcript());
    let check = deb(&["check", "--unsigned"]);
    let words = "tool/crates/httparse-1.8.0/src/lib.rs is missing after `debian/rules clean`";
    assert!(check.code() == 1 && check.stdout.contains(words), "{}", check.transcript());
}

#[test]
fn an_archive_without_a_crate_is_never_proved() {
    if !need_tools(&[("cargo", "cargo"), ("git", "git")]) {
        return;
    }
    // Without the crates: cargo has no network, and none of this machine's crates.
    let project = rust_project(&DECLARATION.replace(VENDOR, "  submodules: true\n"));
    fs::create_dir_all(project.path().join("tool/crates")).unwrap();
    fs::write(project.path().join("tool/crates/config.toml"), "").unwrap();
    commit(&project);
    build(&project);
    let proved = release(&project, &["prove"]);
    assert!(proved.code() == 7, "{}", proved.transcript());
    assert!(proved.stderr.contains("p-1.0.tar.gz cannot be built offline"), "{}", proved.transcript());

    // A file that the build needs and the declaration removes.
    let pruned = DECLARATION.replace("tool/crates}", "tool/crates, prune: ['httparse-*/src/macros.rs']}");
    let project = rust_project(&pruned);
    build(&project);
    let proved = release(&project, &["prove"]);
    assert!(proved.code() == 7 && proved.stderr.contains("could not compile `httparse`"), "{}", proved.transcript());

    let git_source = "source = \"git+https://example.org/httparse#0123456789012345678901234567890123456789\"";
    let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let rows: [(&str, &str, &str, i32, &str); 6] = [
        ("tool/Cargo.lock", "d897f", "d897e", 8, "unable to verify that `httparse v1.8.0` is the same"),
        (
            "tool/Cargo.lock",
            registry,
            git_source,
            3,
            "tool/Cargo.lock: httparse 1.8.0 comes from git+https://example.org",
        ),
        ("tool/Cargo.lock", "\nchecksum", "\n# checksum", 3, "tool/Cargo.lock: httparse 1.8.0 has no `checksum`"),
        ("tool/Cargo.lock", "[[package]]", "[[package", 3, "tool/Cargo.lock: not a Cargo.lock"),
        ("packaging/release.yaml", "tool/Cargo.toml]", "Cargo.toml]", 3, "Cargo.lock is not in the sources"),
        (
            "packaging/release.yaml",
            "directory: tool/crates",
            "directory: tool/src",
            3,
            "tool/src/main.rs is in git, but",
        ),
    ];
    for (file, old, new, code, words) in rows {
        let project = rust_project(DECLARATION);
        let before = fs::read_to_string(project.path().join(file)).unwrap();
        fs::write(project.path().join(file), before.replacen(old, new, 1)).unwrap();
        commit(&project);
        // What the sources tell is found before anything is built.
        let checked = release(&project, &["check"]);
        let is_found = file == "packaging/release.yaml" && new.starts_with("Cargo") || words.contains("Cargo.lock: ");
        assert_eq!(checked.stdout.contains(words), is_found, "{file} {new}: {}", checked.transcript());
        assert_eq!(checked.code(), i32::from(is_found), "{file} {new}: {}", checked.transcript());
        let built = release(&project, &["build"]);
        assert!(built.code() == code && built.stderr.contains(words), "{file} {new}: {}", built.transcript());
        assert!(!project.state().join("dist/1.0/release.json").exists(), "{file} {new}");
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Drydock's own declaration: its archives have all crates and a proof, and nobody can release it until enough people have keys.
#[test]
fn drydocks_own_release_needs_a_proof_and_a_quorum() {
    if !need_tools(&[("git", "git"), ("ssh-keygen", "openssh-client")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let clone = directory.path().join("clone");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    git(own, &["clone", "-q", "--no-hardlinks", &text(own), &text(&clone)]);
    let check = || {
        let state = directory.path().join("state");
        let args = ["--state", &text(&state), "--project", &text(&clone), "release", "check", "--untagged"];
        let output = Command::new(xtask_binary()).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, without) = check();
    assert!(code == Some(1) && without.contains("packaging/keys has no keys"), "{code:?} {without}");
    for person in ["one", "two"] {
        let key = directory.path().join(person);
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &text(&key)]));
        fs::copy(key.with_extension("pub"), clone.join(format!("packaging/keys/{person}.pub"))).unwrap();
        git(&clone, &["add", "packaging/keys"]);
        git(&clone, &["commit", "-q", "-m", "key"]);
        let (_, found) = check();
        let enough = person == "two";
        assert_eq!(found.contains("only 1 can"), !enough, "{found}");
        assert_eq!(found.contains("2 have valid keys"), enough, "{found}");
    }
    let declared = fs::read_to_string(own.join("packaging/release.yaml")).unwrap();
    let path = Path::new("packaging/release.yaml");
    let declared = drydock_config::release::Release::parse(&declared, path).unwrap();
    assert!(declared.vendor.is_some() && declared.offline_proof.is_some_and(|proof| proof.test.is_some()));
}
