//! What `init` writes beside the two declarations: workflows, images, derived files, a Debian package, a package of cargo.

use std::fs;

use super::{init, needed, project, read};
use crate::support::git;

const MAKEFILE: &str = "all: lamp\nlamp: lamp.c\n\t$(CC) -o lamp lamp.c\ncheck: lamp\n\t./lamp\nlamp.1: lamp.1.md\n\tlowdown -sTman $< > $@\n\
                        install: all\n\tinstall -D lamp $(DESTDIR)$(PREFIX)/bin/lamp\n";
const FILES: &[(&str, &str)] = &[
    ("Makefile", MAKEFILE),
    ("lamp.c", "int main(void) { return 0; }\n"),
    ("lamp.1.md", "% LAMP(1)\n"),
    (".gitignore", "*.1\nlamp\ntarget\n"),
    ("CHANGELOG.md", "# Changes\n\n## 1.0\n\n- First.\n"),
    ("VERSION", "1.0\n"),
    ("LICENSE", "Copyright (c) 2020 A Name\n\nPermission is hereby granted, free of charge, to any person\n"),
    (".github/workflows/ci.yml", "name: mine\non: push\njobs: {}\n"),
    ("docker/Dockerfile", "FROM debian:12\nRUN true\n"),
    ("tools/make-release.sh", "#!/bin/sh\nVERSION=$(git describe)\nzip -r lampd-$VERSION.zip .\n"),
];

#[test]
fn workflows_derived_files_archives_and_a_package_are_written_and_nothing_is_replaced() {
    if !needed(&[]) {
        return;
    }
    let pinned = format!("FROM scratch\nCOPY lamp /lamp\nENTRYPOINT [\"/lamp\"]\n# sha256:{}\n", "0".repeat(64));
    let files: Vec<(&str, &str)> =
        FILES.iter().copied().chain([("docker/pinned/Dockerfile", pinned.as_str())]).collect();
    let project = project(&files);
    git(project.path(), &["tag", "v1.0"]);
    let at = project.path();
    let finished = init(&project, &[]);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    // The project's own workflow stays, and Drydock's is beside it.
    assert_eq!(read(&at.join(".github/workflows/ci.yml")), "name: mine\non: push\njobs: {}\n");
    assert!(read(&at.join(".github/workflows/drydock-ci.yml")).contains("drydock ci plan --github"));
    assert!(read(&at.join(".github/workflows/release.yml")).contains("tags: [\"v*\"]"));
    assert!(
        finished.stderr.contains("docker/Dockerfile is not declared as an image: line 1"),
        "{}",
        finished.transcript()
    );
    assert!(read(&at.join("docker/images.yaml")).contains("{dockerfile: docker/pinned/Dockerfile}"));
    let release = read(&at.join("packaging/release.yaml"));
    for wanted in [
        "run: [make, lamp.1]",
        "needs: [lowdown, make]",
        "# saw tools/make-release.sh, which makes releases today",
        "{format: zip, name: \"lampd-v{version}.zip\"}",
        "{format: tar.xz, name: \"lampd-v{version}.tar.xz\"}",
    ] {
        assert!(release.contains(wanted), "{wanted} is not in\n{release}");
    }
    assert!(!release.contains("deb:") && !at.join("packaging/debian").exists());
    let before = read(&at.join("ci/jobs.yaml"));
    assert!(before.contains("skip-children: [\n      /usr/bin/basename,"), "{before}");

    // What was built on this machine has no address, and its name in a registry may be anybody's.
    let action = read(&at.join(".github/actions/setup/action.yml"));
    assert!(action.contains("run init again with --from URL#COMMIT") && !action.contains("cargo install"), "{action}");
    assert!(finished.stderr.contains("the action for the workflows fails until one is given"), "{}", finished.stderr);

    // The package comes later, into the declaration that init wrote itself.
    let dry = init(&project, &["--deb", "--dry-run"]);
    assert!(
        dry.stdout.contains("new file mode 100755\n--- /dev/null\n+++ b/packaging/debian/rules"),
        "{}",
        dry.transcript()
    );
    let finished = init(&project, &["--deb"]);
    assert_eq!(
        finished.stdout,
        "packaging/release.yaml\npackaging/debian/control\npackaging/debian/rules\npackaging/debian/copyright\n",
        "{}",
        finished.transcript()
    );
    assert!(read(&at.join("packaging/release.yaml")).contains("  series:\n"));
    assert_eq!(read(&at.join("ci/jobs.yaml")), before);
    git(at, &["add", "--all"]);
    git(at, &["commit", "--quiet", "-m", "declare"]);
    if needed(&[("lowdown", "lowdown"), ("dpkg-source", "dpkg-dev"), ("dh", "debhelper")]) {
        let made = project.xtask(&["deb", "--untagged"]).run();
        assert_eq!(made.code(), 0, "{}", made.transcript());
    }

    // A declaration that the user changed stays.
    fs::write(at.join("packaging/release.yaml"), "name: mine\n").unwrap();
    let kept = init(&project, &["--deb"]);
    assert_eq!(read(&at.join("packaging/release.yaml")), "name: mine\n");
    // What it lacks can be pasted.
    let (_, section) = kept.stderr.split_once("add this to it:\n\n").unwrap_or_else(|| panic!("{}", kept.transcript()));
    let section = section.lines().take_while(|line| line.is_empty() || line.starts_with([' ', '#']) || *line == "deb:");
    let section = section.collect::<Vec<_>>().join("\n");
    assert!(section.contains("\ndeb:\n") && section.contains("\n  series:\n"), "{}", kept.transcript());
    let release = read(&at.join("packaging/release.yaml"));
    fs::write(at.join("packaging/release.yaml"), format!("{release}\n{section}\n")).unwrap();
    let complete = init(&project, &["--deb"]);
    assert!(!complete.stderr.contains("add this to it"), "{}", complete.transcript());
}

#[test]
fn an_action_of_the_project_stays_and_the_workflows_call_the_one_beside_it() {
    if !needed(&[]) {
        return;
    }
    let own = ".github/actions/setup/action.yml";
    let project = project(&[FILES, &[(own, "name: mine\n")]].concat());
    let at = project.path();
    let finished = init(&project, &[]);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    assert_eq!(read(&at.join(own)), "name: mine\n");
    assert!(read(&at.join(".github/actions/drydock/action.yml")).contains("name: Install Drydock"));
    let workflow = read(&at.join(".github/workflows/nightly.yml"));
    assert!(workflow.contains("actions/drydock") && !workflow.contains("actions/setup"), "{workflow}");
    assert!(finished.stderr.contains("the action for the workflows fails until one is given"), "{}", finished.stderr);
}

#[test]
fn a_project_may_have_drydock_as_its_own_program() {
    if !needed(&[("cargo", "cargo")]) {
        return;
    }
    let own = [
        ("Cargo.toml", "[package]\nname = \"r\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
        ("src/lib.rs", ""),
        (".gitignore", "target\n"),
    ];
    let project = project(&own);
    let at = project.path();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let finished = init(&project, &["--xtask", "--from", root.to_str().unwrap()]);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    assert!(finished.stderr.ends_with("next: cargo xtask ci\n"), "{}", finished.transcript());
    assert_eq!(read(&at.join("xtask/src/main.rs")).lines().count(), 3);
    assert!(read(&at.join(".github/workflows/ci.yml")).contains("cargo xtask ci plan"));
    // Cargo finds the package where the alias says, with Drydock as its dependency, and the project's own beside it.
    let metadata = |directory: &std::path::Path| {
        let mut cargo = std::process::Command::new("cargo");
        cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(directory);
        let output = cargo.env_remove("CARGO_MANIFEST_DIR").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        value["packages"].clone()
    };
    let package = metadata(&at.join("xtask"));
    assert_eq!((package[0]["name"].as_str(), package.as_array().unwrap().len()), (Some("xtask"), 1));
    assert_eq!(package[0]["dependencies"][0]["name"], "drydock");
    assert_eq!(metadata(at)[0]["name"], "r");
    let config: toml::Table = read(&at.join(".cargo/config.toml")).parse().unwrap();
    assert_eq!(config["alias"]["xtask"].as_str(), Some("run --quiet --manifest-path xtask/Cargo.toml --"));
    // The second call changes nothing, and a wrong source is refused.
    let again = init(&project, &["--xtask", "--from", root.to_str().unwrap()]);
    assert_eq!(again.stdout, "", "{}", again.transcript());
    assert_eq!(init(&project, &["--xtask", "--from", "nowhere"]).code(), 2);
}

#[test]
fn the_next_command_is_one_that_works() {
    if !needed(&[]) {
        return;
    }
    let next = |files: &[(&str, &str)], options: &[&str]| {
        let project = project(files);
        let finished = init(&project, options);
        let line = finished.stderr.lines().last().unwrap().to_owned();
        (line, project.hint("ci"), finished.transcript())
    };
    let from = ["--xtask", "--from", "https://example.org/drydock#0123456789012345678901234567890123456789"];
    let plain = FILES[..2].to_vec();
    let (line, drydock, all) = next(&plain, &[]);
    assert_eq!(line, format!("next: {drydock}"), "{all}");
    assert_eq!(next(&plain, &from).0, "next: cargo xtask ci");
    let taken = [&plain[..], &[("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n")]].concat();
    assert_eq!(next(&taken, &from).0, "next: cargo drydock ci");
    // The alias has to be added by hand, so that it does not work yet.
    let by_hand = [&plain[..], &[(".cargo/config.toml", "[build]\njobs = 1\n")]].concat();
    let (line, drydock, all) = next(&by_hand, &from);
    assert_eq!(line, format!("next: {drydock}"), "{all}");
}

#[test]
fn archives_have_the_version_that_git_tells_a_clone() {
    if !needed(&[("cmake", "cmake")]) {
        return;
    }
    let cmake = "cmake_minimum_required(VERSION 3.13)\n\
                 if(EXISTS ${CMAKE_SOURCE_DIR}/.tarball-version)\n  file(READ .tarball-version LAMP)\n\
                 else()\n  execute_process(COMMAND git describe OUTPUT_VARIABLE LAMP)\nendif()\n\
                 project(lamp C)\nmessage(STATUS \"this is lamp ${LAMP}\")\nadd_executable(lamp lamp.c)\n";
    let project = project(&[("CMakeLists.txt", cmake), FILES[1]]);
    let at = project.path();
    git(at, &["tag", "v1.0"]);
    let finished = init(&project, &[]);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let release = read(&at.join("packaging/release.yaml"));
    assert!(release.contains("  derived:\n    # saw CMakeLists.txt:2 `if(EXISTS"), "{release}");
    git(at, &["add", "--all"]);
    git(at, &["commit", "--quiet", "-m", "declare"]);
    let built = project.xtask(&["release", "build", "--untagged"]).run();
    assert_eq!(built.code(), 0, "{}", built.transcript());
    let dist = fs::read_dir(project.state().join("dist")).unwrap().next().unwrap().unwrap();
    let version = dist.file_name().into_string().unwrap();
    assert!(version.starts_with("1.0+git"), "{version}");
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).current_dir(dist.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let archives = fs::read_dir(dist.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let archive = archives.into_iter().find(|name| name.ends_with(".tar.xz")).unwrap();
    run("tar", &["-xf", &archive]);
    let configured = run("cmake", &["-S", archive.strip_suffix(".tar.xz").unwrap(), "-B", "b"]);
    assert!(configured.contains(&format!("this is lamp {version}\n")), "{configured}");
}

#[test]
fn a_runner_gets_uv_where_the_project_needs_it() {
    if !needed(&[]) {
        return;
    }
    let setup = |files: &[(&str, &str)]| {
        let project = project(files);
        let finished = init(&project, &[]);
        assert_eq!(finished.code(), 0, "{}", finished.transcript());
        read(&project.path().join(".github/actions/setup/action.yml"))
    };
    let files = [
        ("pyproject.toml", "[project]\nname = \"p\"\nversion = \"0.1\"\n"),
        ("tests/test_one.py", "def test_one(): pass\n"),
    ];
    let locked = [&files[..], &[("uv.lock", "version = 1\n")]].concat();
    let with = setup(&locked);
    let (before, after) =
        with.split_once("    - name: Install uv\n      shell: bash\n      run: pipx install uv\n").unwrap();
    assert!(before.contains("\n          pipx\n") && after.contains("doctor ci --install"), "{with}");
    let without = setup(&files);
    assert!(!without.contains("uv") && !without.contains("pipx"), "{without}");
}

/// A script that asks git gets the version of the release in the archive, too, and what builds from there has it.
#[test]
fn a_script_that_asks_git_while_a_release_is_built_finds_its_tag() {
    if !needed(&[("autoreconf", "autoconf"), ("automake", "automake")]) {
        return;
    }
    let script = "#!/bin/sh\nset -e\nv=$(git describe)\necho \"m4_define([LAMP], [${v#v}])\" > version.m4\necho $v > lamp.spec\nexec autoreconf -i\n";
    let configure = "m4_include([version.m4])\nAC_INIT([lamp],[LAMP])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n";
    let project = project(&[
        ("configure.ac", configure),
        ("Makefile.am", "bin_PROGRAMS = lamp\nlamp_SOURCES = lamp.c\n"),
        ("autogen.sh", script),
        (".gitignore", "lamp.spec\n"),
        FILES[1],
    ]);
    let at = project.path();
    git(at, &["tag", "v1.0"]);
    assert_eq!(init(&project, &[]).code(), 0);
    git(at, &["add", "--all"]);
    git(at, &["commit", "--quiet", "-m", "declare"]);
    git(at, &["tag", "v1.1"]);
    let built = project.xtask(&["release", "build"]).run();
    assert_eq!(built.code(), 0, "{}", built.transcript());
    let dist = project.state().join("dist/1.1");
    let tar = ["-xOf", "lamp-1.1.tar.gz", "lamp-1.1/configure", "lamp-1.1/version.m4"];
    let output = std::process::Command::new("tar").args(tar).current_dir(&dist).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("PACKAGE_VERSION='1.1'\n") && text.contains("m4_define([LAMP], [1.1])"), "{text:.2000}");
}

#[test]
fn files_of_automake_that_git_has_stay_as_they_are() {
    if !needed(&[("autoreconf", "autoconf"), ("automake", "automake")]) {
        return;
    }
    let configure = "AC_INIT([lamp],[1.0])\nAC_CONFIG_AUX_DIR([build-aux])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\n\
                     AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n";
    let project = project(&[
        ("configure.ac", configure),
        ("Makefile.am", "bin_PROGRAMS = lamp\nlamp_SOURCES = lamp.c\n"),
        ("build-aux/missing", "#!/bin/sh\n# ours\nexit 0\n"),
        FILES[1],
    ]);
    assert_eq!(init(&project, &[]).code(), 0);
    git(project.path(), &["add", "--all"]);
    git(project.path(), &["commit", "--quiet", "-m", "declare"]);
    let built = project.xtask(&["release", "build", "--untagged"]).run();
    assert_eq!(built.code(), 0, "{}", built.transcript());
    let finished = project.xtask(&["ci", "bootstrap"]).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    assert!(read(&project.path().join("build-aux/missing")).contains("# ours"));
}
