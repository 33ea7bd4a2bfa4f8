//! Documents of a release: components as CycloneDX and SPDX, judged by the tools of these formats; the provenance; and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::fixture::{commit, project, release};
use crate::support::{Project, git, need_tools, text};
use drydock_base::checksum::Checksum;

const DECLARATION: &str = "\
name: p
version: {}
source: {derived: {g: {run: [cp, a, b], inputs: [a], outputs: [b], needs: [python3-mako]}}}
archives: [{format: tar.gz}]
sbom:
  vendored:
    own-lib: {path: external/own, version: \"2.0\", license: MIT, purl: \"pkg:github/o/own@v2.0\"}
";

const LOCK: &str = "\
version = 4

[[package]]
name = \"own\"
version = \"1.0.0\"
dependencies = [\"httparse\"]

[[package]]
name = \"httparse\"
version = \"1.10.1\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"6dbf3de79e51f3d586ab4cb9d5c3e2c14aa28ed23d180cf89b4df0454a69cc87\"
dependencies = [\"libc\"]

[[package]]
name = \"libc\"
version = \"0.2.1\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"0000000000000000000000000000000000000000000000000000000000000000\"
";

fn fixture() -> (Project, Project) {
    let library = Project::new().file("configure.ac", "AC_INIT([libsodium],[1.0.18],[url])\n");
    git(library.path(), &["init", "-q"]);
    git(library.path(), &["add", "-A"]);
    git(library.path(), &["commit", "-q", "-m", "x"]);
    let project = project(DECLARATION)
        .file("a", "x")
        .file("Cargo.lock", LOCK)
        .file("external/zlib/zlib.h", "#define ZLIB_VERSION \"1.3.1\"\n")
        .file("external/own/zlib.h", "#define ZLIB_VERSION \"9\"\n");
    git(project.path(), &["submodule", "--quiet", "add", &text(library.path()), "external/sodium"]);
    commit(&project);
    (library, project)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs `verify DIR --integrity-only ARGS…`, which must fail with these words.
#[track_caller]
fn refused(project: &Project, dist: &Path, args: &[&str], words: &[&str]) {
    let said = release(project, &[&["verify", &text(dist), "--integrity-only"], args].concat());
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(said.code() == 7 && words.iter().all(|word| all.contains(word)), "{words:?}: {}", said.transcript());
}

/// Writes a document anew, and makes `release.json` and the checksums agree with it.
fn replace(dist: &Path, name: &str, content: &[u8]) {
    fs::write(dist.join(name), content).unwrap();
    let path = dist.join("release.json");
    let mut manifest = json_of(&path);
    for one in manifest["artifacts"].as_array_mut().unwrap() {
        if one["name"] == name {
            (one["size"], one["sha256"]) = (content.len().into(), Checksum::new(content).to_string().into());
        }
    }
    fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&manifest).unwrap())).unwrap();
    let names = fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    let line = |line: &str| {
        let name = line.split("  ").nth(1).unwrap();
        format!("{}  {name}\n", Checksum::from_file(&dist.join(name)).unwrap().0)
    };
    fs::write(dist.join("SHA256SUMS"), names.lines().map(line).collect::<String>()).unwrap();
}

#[test]
fn components_and_provenance_are_whole_valid_reproducible_and_checked() {
    if !need_tools(&[
        ("pyspdxtools", "pipx, then pipx install spdx-tools"),
        ("cyclonedx-py", "pipx, then pipx install cyclonedx-bom"),
    ]) {
        return;
    }
    let (library, project) = fixture();
    let dist = super::fixture::build(&project);
    let at = |ending: &str| dist.join(format!("p-1.0{ending}"));
    let cyclonedx = json_of(&at(".cdx.json"));
    let id = git(library.path(), &["rev-parse", "HEAD"]).trim().to_owned();
    let found: BTreeMap<&str, &str> = cyclonedx["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["purl"].as_str().unwrap(), one["scope"].as_str().unwrap()))
        .collect();
    let sodium = format!("pkg:generic/sodium@{id}");
    let expected = BTreeMap::from([
        ("pkg:cargo/httparse@1.10.1", "required"),
        ("pkg:cargo/libc@0.2.1", "required"),
        (sodium.as_str(), "required"),
        ("pkg:generic/libsodium@1.0.18", "required"),
        ("pkg:generic/zlib@1.3.1", "required"),
        ("pkg:github/o/own@v2.0", "required"),
        ("pkg:deb/debian/python3-mako", "excluded"),
    ]);
    assert_eq!(found, expected);
    let spdx = json_of(&at(".spdx.json"));
    assert_eq!(spdx["packages"].as_array().unwrap().len(), expected.len() + 1);

    // The formats' own tools.
    let judged = Command::new("pyspdxtools").arg("-i").arg(at(".spdx.json")).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    let script = "import sys\nfrom cyclonedx.validation.json import JsonStrictValidator\nfrom cyclonedx.schema import SchemaVersion\n\
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\nsys.exit(str(error) if error else 0)\n";
    let program = crate::support::text(&which("cyclonedx-py"));
    let python = fs::read_to_string(&program).unwrap().lines().next().unwrap().trim_start_matches("#!").to_owned();
    let judge = |file: &Path| Command::new(&python).args(["-c", script]).arg(file).output().unwrap();
    let judged = judge(&at(".cdx.json"));
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    let broken = dist.parent().unwrap().join("broken.json");
    fs::write(&broken, cyclonedx.to_string().replace("\"required\"", "\"needed\"")).unwrap();
    assert!(!judge(&broken).status.success(), "the judge accepts everything");

    // The same bytes from another clone in another place.
    let clone = Project::new();
    fs::remove_dir(clone.path()).unwrap();
    git(
        Path::new("/"),
        &[
            "-c",
            "protocol.file.allow=always",
            "clone",
            "-q",
            "--recurse-submodules",
            &text(project.path()),
            &text(clone.path()),
        ],
    );
    let again = super::fixture::build(&clone);
    for ending in [".cdx.json", ".spdx.json", ".intoto.json"] {
        assert!(fs::read(again.join(format!("p-1.0{ending}"))).unwrap() == fs::read(at(ending)).unwrap(), "{ending}");
    }

    // The provenance is about every other artifact, and what GitHub attests is the same.
    let statement = json_of(&at(".intoto.json"));
    let subjects: Vec<&str> =
        statement["subject"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["p-1.0.cdx.json", "p-1.0.spdx.json", "p-1.0.tar.gz"]);
    let said = release(&project, &["provenance", "--format", "subjects"]);
    let sums = fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    assert!(
        said.stdout.lines().count() == 3 && said.stdout.lines().all(|line| sums.lines().any(|one| one == line)),
        "{}",
        said.transcript()
    );
    let said = release(&project, &["provenance", "--format", "predicate"]);
    assert_eq!(serde_json::from_str::<Value>(&said.stdout).unwrap(), statement["predicate"]);

    let said = release(&project, &["verify", &text(&dist), "--integrity-only", "--rebuild"]);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    // A digest that is not that of the archive.
    let mut other = statement.clone();
    other["subject"][2]["digest"]["sha256"] = "0".repeat(64).into();
    replace(&dist, "p-1.0.intoto.json", other.to_string().as_bytes());
    refused(&project, &dist, &[], &["p-1.0.intoto.json: it states another SHA-256 of p-1.0.tar.gz than release.json"]);
    other["subject"] = json!([statement["subject"][0], statement["subject"][1]]);
    replace(&dist, "p-1.0.intoto.json", other.to_string().as_bytes());
    refused(&project, &dist, &[], &["p-1.0.intoto.json: it is not about p-1.0.tar.gz"]);
    // A crate that is missing, although all files agree with each other.
    let mut fewer = cyclonedx.clone();
    fewer["components"].as_array_mut().unwrap().retain(|one| one["name"] != "httparse");
    let text_of = |value: &Value| format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    let fewer = text_of(&fewer);
    let mut agreeing = statement.clone();
    agreeing["subject"][0]["digest"]["sha256"] = Checksum::new(fewer.as_bytes()).to_string().into();
    replace(&dist, "p-1.0.cdx.json", fewer.as_bytes());
    replace(&dist, "p-1.0.intoto.json", text_of(&agreeing).as_bytes());
    let said = release(&project, &["verify", &text(&dist), "--integrity-only"]);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    refused(&project, &dist, &["--rebuild"], &["p-1.0.cdx.json"]);
    // A lock file that lacks a crate.
    let cut = LOCK.split("[[package]]\nname = \"libc\"").next().unwrap();
    fs::write(project.path().join("Cargo.lock"), cut).unwrap();
    commit(&project);
    let said = release(&project, &["build"]);
    assert!(
        said.code() != 0
            && said.stderr.contains("Cargo.lock: not a Cargo.lock: httparse depends on libc, which it does not have"),
        "{}",
        said.transcript()
    );
}

fn which(program: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file());
    fs::canonicalize(found.unwrap()).unwrap()
}
