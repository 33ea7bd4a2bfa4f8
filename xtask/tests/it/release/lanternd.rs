//! A release of lanternd from end to end: check, build, varied rebuild, offline proof, verify; and a build that is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Finished, git, need_tools, text, xtask_binary};

/// The tools that these tests need, each with its Debian package.
const TOOLS: &[(&str, &str)] = &[
    ("lowdown", "lowdown"),
    ("make", "make"),
    ("gcc", "gcc"),
    ("git", "git"),
    ("faketime", "faketime"),
    ("unshare", "util-linux"),
];

fn call(project: &Path, args: &[&str]) -> Finished {
    Command::new(xtask_binary()).args(["--project", &text(project), "release"]).args(args).output().unwrap().into()
}

#[test]
fn lanternd_is_released_proved_and_verified() {
    if !need_tools(TOOLS) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lanternd/tools/make-project.sh");
    super::fixture::run(directory.path(), "sh", &[&text(&script), "made"]);
    let project = directory.path().join("made/lanternd");

    let all = call(&project, &["--sources-only"]);
    assert_eq!(all.code(), 0, "{}", all.transcript());
    assert!(
        all.stdout.contains("builds and passes its tests without a network and without python3, lowdown, jq, git"),
        "{}",
        all.stdout
    );
    let dist = project.join("target/xtask/dist/0.3.0");
    let proof: serde_json::Value = serde_json::from_str(&fs::read_to_string(dist.join("proof.json")).unwrap()).unwrap();
    assert_eq!(proof["rebuild"]["identical"].as_array().unwrap().len(), 4);
    for name in ["directory", "umask", "time zone", "clock", "user id", "host name", "threads of xz"] {
        let varied = proof["rebuild"]["variations"].as_array().unwrap().iter();
        let one = varied.clone().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is not in {proof}"));
        assert!(one["value"].is_string(), "{name} was not varied: {one}");
    }
    // Only tracked files and declared outputs.
    let manifest = drydock_release::manifest::Manifest::load(&dist.join("release.json")).unwrap();
    let tracked = git(&project, &["ls-files", "--recurse-submodules"]);
    for entry in &manifest.entries {
        let declared = entry.path.contains("_wiregen.")
            || entry.path.starts_with("plugins/http/vendor/")
            || entry.path.starts_with("doc/");
        assert!(
            tracked.lines().any(|line| line == entry.path) || (declared && entry.generator.is_some()),
            "{}",
            entry.path
        );
    }
    assert!(manifest.entries.iter().any(|entry| entry.path == "doc/lanternd.8" && entry.generator.is_some()));

    if need_tools(super::unpackers::TOOLS) {
        let mut expected: BTreeMap<String, String> = BTreeMap::new();
        for entry in &manifest.entries {
            let directories = entry.path.match_indices('/').map(|(at, _)| entry.path[..at].to_owned());
            expected.extend(directories.map(|directory| (directory, "755 directory".to_owned())));
            let what = entry.link.as_ref().map(|target| format!("-> {target}"));
            expected.insert(entry.path.clone(), what.unwrap_or_else(|| format!("{} {}", entry.mode, entry.sha256)));
        }
        super::unpackers::every_unpacker_agrees(&dist, "lanternd-0.3.0", &expected);
    }

    let verify = call(&project, &["verify", "--rebuild", "--integrity-only"]);
    assert_eq!(verify.code(), 0, "{}", verify.transcript());
    assert!(verify.stdout.contains("a build of the commit made the same bytes"), "{}", verify.stdout);

    // The offline proof must not accept an archive without the derived files.
    let without = fs::read_to_string(project.join("packaging/release.yaml")).unwrap();
    let config = directory.path().join("config/packaging");
    fs::create_dir_all(&config).unwrap();
    let start = without.find("    manpages:").unwrap();
    let end = without.find("    crates:").unwrap();
    fs::write(config.join("release.yaml"), format!("{}{}", &without[..start], &without[end..])).unwrap();
    let output = Command::new(xtask_binary())
        .args([
            "--project",
            &text(&project),
            "--config",
            &text(config.parent().unwrap()),
            "release",
            "prove",
            "--allow-dirty",
            "--sources-only",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("cannot be built offline") && said.contains("it called lowdown"), "{said}");
}

#[test]
fn a_killed_build_leaves_no_partial_artifact() {
    let project = super::fixture::project(super::fixture::DECLARATION);
    let noise: String = (0..400_000_u64).map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    fs::write(project.path().join("noise"), noise).unwrap();
    super::fixture::commit(&project);
    let dist = project.state().join("dist/1.0");
    // It gets only the time that this test does not take, so it is caught in the middle.
    let behind = ["nice", "-n", "19", "sh", "-c", "exec {call}"];
    let mut running = project.xtask(&["release", "build"]).through(&behind).spawn();
    // Often: between the first byte and the first whole archive are tenths of a second.
    let began = Instant::now();
    let writes = || {
        let mut entries = fs::read_dir(&dist).into_iter().flatten().flatten();
        // With its lock and a file: until it is locked, the next call takes it for one that is just being made.
        entries.any(|entry| {
            entry.file_name().to_string_lossy().starts_with(".drydock-scratch-")
                && fs::read_dir(entry.path()).is_ok_and(|files| files.count() >= 2)
        })
    };
    let mut is_writing = writes();
    while !is_writing && running.is_running() && began.elapsed() < Duration::from_secs(600) {
        thread::sleep(Duration::from_millis(1));
        is_writing = writes();
    }
    assert!(is_writing, "the build never began to write");
    running.kill().unwrap();
    let killed = running.wait();
    assert_eq!(killed.code(), -9, "{}", killed.transcript());
    let names_in = |dist: &Path| {
        let names = fs::read_dir(dist).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    // What it wrote is hidden, and the next build removes it.
    assert!(names_in(&dist).iter().all(|name| name.starts_with(".drydock-scratch-")), "{:?}", names_in(&dist));
    super::fixture::build(&project);
    let mut files = names_in(&dist);
    files.sort();
    assert_eq!(
        files,
        ["SHA256SUMS", "build-info.json", "p-1.0.tar.bz2", "p-1.0.tar.gz", "p-1.0.tar.xz", "p-1.0.zip", "release.json"]
    );
}
