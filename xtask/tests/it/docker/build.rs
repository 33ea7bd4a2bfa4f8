//! Images made without an engine: the same from everywhere, run by others, whole or not there at all.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drydock_config::images::Platform;
use drydock_oci::build_record::BuildRecord;
use drydock_oci::layout::Layout;
use drydock_oci::model::Manifest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::build_project::{BuildProject, LANTERND, debian_in, declaration, small_in};
use super::registry_server::Server;
use crate::deb::fixture::run;
use crate::release::fixture as git;
use crate::support::{MovingHead, Project, SmallDisk, need, need_tool, text, wait_for};

/// The configuration of the only platform, or of one.
fn config(layout: &Layout, record: &BuildRecord, platform: &str) -> (Manifest, Value) {
    let read = |digest| fs::read(layout.path(digest)).unwrap();
    let manifest: Manifest = serde_json::from_slice(&read(&record.platforms[platform].digest)).unwrap();
    let config = serde_json::from_slice(&read(&manifest.config.digest)).unwrap();
    (manifest, config)
}

#[test]
fn lanternds_image_is_the_same_from_everywhere_and_runs_elsewhere() {
    let Some(server) = Server::start() else { return };
    let here = Platform::here() == Some(Platform::Amd64);
    if !need(here, "the tests' package is for amd64")
        || !need_tool("skopeo", "skopeo")
        || !need_tool("buildah", "buildah")
    {
        return;
    }
    let Some(base) = debian_in(&server) else { return };
    let yaml = declaration(&base, LANTERND);
    let Some(build) = BuildProject::lanternd(&yaml).proved() else { return };
    let first = build.built(&build.call(&[], &[]), "0.3.0");
    let passed = first.platforms["linux/amd64"].smoke_test.clone().unwrap();
    assert_eq!((passed.run.join(" "), passed.printed.as_str()), ("lanternd --version".to_owned(), "lanternd 0.3.0"));
    assert_eq!(first.inputs.len(), 1);
    assert_eq!(first.tag.as_ref().map(|tag| tag.name.as_str()), Some("v0.3.0"));

    // Another directory with stray files, another umask, time zone, locale, user, host and clock; its own base cache.
    let other = BuildProject::lanternd(&yaml).elsewhere().proved().unwrap();
    let second = other.built(&other.call_varied(&["build"]), "0.3.0");
    assert_eq!(second.clone().without_machine(), first.clone().without_machine());

    // skopeo takes the layout, and copies what is in it.
    let layout = build.oci("0.3.0").join("mine");
    let raw = run(Path::new("/"), &["skopeo", "inspect", "--raw", &format!("oci:{}", text(&layout))], &[]);
    assert_eq!(drydock_config::images::Digest::for_bytes(raw.as_bytes()), first.digest);
    let copied = build.at("copied");
    run(
        Path::new("/"),
        &["skopeo", "copy", "--quiet", &format!("oci:{}", text(&layout)), &format!("dir:{}", text(&copied))],
        &[],
    );
    assert!(copied.join("manifest.json").is_file());
    let (_, config) = config(&Layout::open(&layout).unwrap(), &first, "linux/amd64");
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], first.commit.as_str());
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["lanternd"]));
    assert!(config["config"].get("Cmd").is_none(), "{config:#}");

    // buildah runs it; dpkg in it knows the package, and finds every file as it should be.
    let storage = build.at("storage");
    let buildah = |words: &[&str]| {
        let root = text(&storage);
        let all = [&["buildah", "--root", &root, "--runroot", &root, "--storage-driver", "vfs"], words].concat();
        // buildah makes a name of the path, which must be short.
        run(&build.oci("0.3.0"), &all, &[])
    };
    let container = buildah(&["from", "oci:mine"]);
    let container = container.trim();
    // On a busy machine buildah sometimes loses what a short command prints, and succeeds.
    let once = |script: &str| buildah(&["run", "--isolation", "chroot", container, "--", "sh", "-ec", script]);
    let inside = |script: &str| (0..3).map(|_| once(script)).find(|said| !said.is_empty()).unwrap_or_default();
    assert_eq!(inside("lanternd --version").trim(), "lanternd 0.3.0");
    let said = inside(
        "dpkg-query -W -f '${db:Status-Status} ${Version}\\n' lanternd; dpkg --verify lanternd; stat -c %a /tmp; readlink /bin; dpkg --audit",
    );
    assert_eq!(said, "installed 0.3.0-0ubuntu1~ppa1~debian12.1\n1777\nusr/bin\n");
}

#[test]
fn an_image_of_packages_is_of_one_commit_although_head_moves() {
    let Some(server) = Server::start() else { return };
    if !need(Platform::here() == Some(Platform::Amd64), "the tests' package is for amd64") {
        return;
    }
    let Some(base) = debian_in(&server) else { return };
    let yaml = declaration(&base, LANTERND);
    let Some(build) = BuildProject::lanternd(&yaml).elsewhere().proved() else { return };
    let head = MovingHead::new(&build.at("a longer directory/project"));
    let record = build.built(&build.call(&[], &[("PATH", &head.path())]), "0.3.0");
    assert_eq!(record.tag.map(|tag| tag.name).as_deref(), Some("v0.3.0"));
    assert_eq!(head.resolved(), 1);
}

/// A project of two archives, one a platform, tagged `v1.0`.
fn archives() -> Project {
    let project = git::project("name: p\nversion: {}\narchives: [{format: tar.gz}]\n").file("README", "x\n");
    git::commit(&project);
    let tree = project.path().join("target/tree/top");
    fs::create_dir_all(tree.join("bin")).unwrap();
    for (architecture, word) in [("arm64", "arm"), ("amd64", "1.0")] {
        let program = tree.join("bin/mine");
        fs::write(&program, format!("#!/bin/sh\necho mine {word}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        fs::remove_file(tree.join("bin/again")).ok();
        fs::hard_link(&program, tree.join("bin/again")).unwrap();
        fs::remove_file(tree.join("bin/other")).ok();
        std::os::unix::fs::symlink("mine", tree.join("bin/other")).unwrap();
        let archive = text(&project.path().join(format!("target/mine-1.0-{architecture}.tar.gz")));
        // In the order of the disk, of whoever calls, and of now.
        run(&tree, &["tar", "-C", "..", "--owner=somebody:4242", "-czf", &archive, "top"], &[]);
    }
    project
}

const ARCHIVE: &str = "\
from: {archive: 'target/mine-{version}-{architecture}.tar.gz', strip: 1, into: /}
platforms: [linux/amd64, linux/arm64]
command: [mine]
smoke-test: {run: [mine], expect: 'mine {version}'}
";

fn archive_project(server: &Server, project: &Project) -> BuildProject {
    let build = BuildProject::new(project.path(), &declaration(&small_in(server), ARCHIVE));
    fs::create_dir_all(build.at("config/packaging")).unwrap();
    fs::copy(project.path().join("packaging/release.yaml"), build.at("config/packaging/release.yaml")).unwrap();
    build
}

#[test]
fn two_archives_make_an_index_of_two_platforms() {
    let Some(server) = Server::start() else { return };
    if !need(Path::new("/bin/busybox").exists(), "busybox is missing: apt-get install busybox-static") {
        return;
    }
    let project = archives();
    let build = archive_project(&server, &project);
    let built = build.call(&["--format", "json"], &[]);
    let record = build.built(&built, "1.0");
    let printed: Vec<BuildRecord> = serde_json::from_str(&built.stdout).unwrap();
    assert_eq!(printed, std::slice::from_ref(&record));
    assert_eq!(record.platforms.len(), 2);
    let tried = |platform: &str| record.platforms[platform].smoke_test.as_ref().map(|passed| passed.printed.clone());
    assert_eq!(tried("linux/amd64").as_deref(), Some("mine 1.0"));
    if tried("linux/arm64").is_none() {
        assert!(built.stderr.contains("note: no smoke test for linux/arm64"), "{}", built.stderr);
    }
    let layout = Layout::open(&build.oci("1.0").join("mine")).unwrap();
    let (manifest, _) = config(&layout, &record, "linux/arm64");
    let layer = layout.path(&manifest.layers.last().unwrap().digest);
    let listed = run(Path::new("/"), &["tar", "-tvzf", &text(&layer)], &[]);
    let lines: Vec<String> = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let shown: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
    // The base's directory keeps its mode; its link to it stays.
    assert!(shown[1].starts_with("drwx--x--x root/root 0 1970-01-01") && shown[1].ends_with(" usr/bin/"), "{shown:?}");
    assert!(
        shown[2].starts_with("-rwsr-xr-x root/root")
            && shown[2].contains(" 2026-06-01 ")
            && shown[2].ends_with(" usr/bin/again"),
        "{shown:?}"
    );
    assert!(
        shown[3].contains("usr/bin/mine link to usr/bin/again") && shown[4].contains("usr/bin/other -> mine"),
        "{shown:?}"
    );
    assert_eq!(shown.len(), 5);

    let one = build.call(&["build", "mine", "--platform", "linux/amd64"], &[]);
    let one = build.built(&one, "1.0");
    assert_eq!(one.platforms["linux/amd64"], record.platforms["linux/amd64"]);
    assert!(one.platforms.len() == 1 && one.digest != record.digest);
    // What was pulled is there; the registry is not asked again.
    drop(server);
    let again = build.built(&build.call(&["build", "mine"], &[]), "1.0");
    assert_eq!(again, record);
}

#[test]
fn a_killed_build_leaves_the_old_image() {
    let Some(server) = Server::start() else { return };
    let project = archives();
    let build = archive_project(&server, &project);
    let old = build.built(&build.call(&[], &[]), "1.0");
    fs::write(project.path().join("target/noise"), super::registry_server::noise(3, 40 << 20)).unwrap();
    let pack = |name: &str| {
        let archive = text(&project.path().join(format!("target/mine-1.0-{name}.tar.gz")));
        run(&project.path().join("target"), &["tar", "-czf", &archive, "noise", "tree/top"], &[]);
    };
    pack("amd64");
    let parts = || -> Vec<PathBuf> {
        let entries = fs::read_dir(build.oci("1.0")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| text(path).contains(".part-")).collect()
    };
    for wait in [400, 120, 30, 0] {
        // The directory that is waited for is this round's own.
        parts().iter().for_each(|part| fs::remove_dir_all(part).unwrap());
        let argv = build.argv(&[]);
        let mut child = std::process::Command::new(&argv[0])
            .args(&argv[1..])
            .stdout(File::create("/dev/null").unwrap())
            .stderr(File::create("/dev/null").unwrap())
            .spawn()
            .unwrap();
        wait_for(Duration::from_secs(20), || (!parts().is_empty()).then_some(()));
        std::thread::sleep(Duration::from_millis(wait));
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(build.record("1.0").unwrap(), old, "killed after {wait} ms");
    }
    assert!(!parts().is_empty(), "something was killed in the middle");
    let new = build.call(&[], &[]);
    // Its program is not at its place any more, and that is found before anything is replaced.
    assert!(new.code() == 1 && new.stderr.contains("the smoke test `mine` failed with 127"), "{}", new.transcript());
    assert!(parts().is_empty() && build.record("1.0").unwrap() == old, "{:?}", parts());
}

#[test]
fn an_archive_that_changes_while_it_is_read_makes_no_image() {
    let Some(server) = Server::start() else { return };
    let project = archives();
    let build = archive_project(&server, &project);
    let old = build.built(&build.call(&[], &[]), "1.0");
    // Reading it takes some time.
    let tree = project.path().join("target/tree");
    fs::write(tree.join("top/noise"), super::registry_server::noise(7, 20 << 20)).unwrap();
    let archive = project.path().join("target/mine-1.0-amd64.tar.gz");
    run(&tree, &["tar", "-czf", &text(&archive), "top"], &[]);
    let file = File::options().write(true).open(&archive).unwrap();
    let is_built = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u32.. {
                if is_built.load(Ordering::Relaxed) {
                    break;
                }
                // The same files, and another time in the header of gzip (RFC 1952).
                file.write_all_at(&number.to_le_bytes(), 4).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let found = build.call(&[], &[]);
        is_built.store(true, Ordering::Relaxed);
        found
    });
    let words = "mine-1.0-amd64.tar.gz changed while the image was built; build it again";
    assert!(found.code() == 7 && found.stderr.contains(words), "{}", found.transcript());
    assert_eq!(build.record("1.0").unwrap(), old);
    assert_eq!(build.call(&[], &[]).code(), 0);
}

#[test]
fn a_full_disk_is_reported_and_leaves_the_old_image() {
    let Some(server) = Server::start() else { return };
    let Some(disk) = SmallDisk::mount(24) else { return };
    let project = archives();
    let build = archive_project(&server, &project);
    std::os::unix::fs::symlink(disk.path(), build.at("state")).unwrap();
    let old = build.built(&build.call(&[], &[]), "1.0");
    // While the layer is written, near its end, and while the archive is unpacked.
    for size in [12, 16, 40] {
        fs::write(project.path().join("target/tree/top/noise"), super::registry_server::noise(5, size << 20)).unwrap();
        let archive = text(&project.path().join("target/mine-1.0-amd64.tar.gz"));
        run(&project.path().join("target/tree"), &["tar", "-czf", &archive, "top"], &[]);
        let full = build.call(&[], &[]);
        assert!(full.code() == 5 && full.stderr.contains("the disk is full: free some space"), "{}", full.transcript());
        assert_eq!(build.record("1.0").unwrap(), old);
    }
}
