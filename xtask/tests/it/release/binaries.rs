//! Binary tarballs and a source RPM: built on an image of a real registry, pinned by its digest, by a real rpmbuild; and the builds that
//! are refused. With `DRYDOCK_TEST_BINARIES=1`, lanternd's are built on a Debian from the network, with gcc and cargo, which takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Manifest as ImageManifest, media};
use drydock_oci::registry::push;
use drydock_release::manifest::Manifest;
use serde_json::{Value, json};

use super::fixture::{build, project, release, run};
use crate::docker::registry_server;
use crate::docker::test_images::quick_directory;
use crate::github::fake::{Said, Server};
use crate::support::{Finished, Project, git, need, need_tools, skip, text, xtask_binary};

/// The tools, each with its Debian package.
const TOOLS: &[(&str, &str)] = &[
    ("rpmbuild", "rpm"),
    ("file", "file"),
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("unshare", "util-linux"),
];

/// Makes a root file system of rpmbuild and what it calls, and of busybox for all else: `SCRIPT DIRECTORY`.
const MAKE_ROOT: &str = r#"
set -e
mkdir -p "$1/usr/bin" "$1/usr/lib" "$1/usr/lib64" "$1/etc"
for name in bin lib lib64; do ln -s "usr/$name" "$1/$name"; done
programs=
for name in rpm rpmbuild sh sed grep find xargs file tar xz gzip cat chmod cp date id ln ls mkdir mv rm uname; do
    programs="$programs $(command -v "$name")"
done
cp -L $programs "$1/usr/bin/"
cp -L "$(command -v busybox)" "$1/usr/bin/busybox"
for applet in $(busybox --list); do
    [ -e "$1/usr/bin/$applet" ] || ln -s busybox "$1/usr/bin/$applet"
done
cp -a /usr/lib/rpm "$1/usr/lib/"
for program in elfdeps rpmdeps; do [ ! -x "/usr/lib/rpm/$program" ] || programs="$programs /usr/lib/rpm/$program"; done
ldd $programs | sed -n 's,^[^/]*\(/[^ ]*\) (0x.*,\1,p' | sort -u | while read -r library; do
    cp -L --parents "$library" "$1"
done
for file in /usr/lib/file/magic.mgc /usr/share/misc/magic.mgc /etc/magic; do
    [ ! -e "$file" ] || cp -L --parents "$file" "$1"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$1/etc/passwd"
echo 'root:x:0:' >"$1/etc/group"
"#;

/// A registry with an image to build on.
struct Base {
    server: registry_server::Server,
    top: Descriptor,
    _directory: tempfile::TempDir,
}

impl Base {
    fn start() -> Option<Base> {
        if !need_tools(TOOLS) {
            return None;
        }
        let server = registry_server::Server::start()?;
        let directory = quick_directory();
        let at = |name: &str| directory.path().join(name);
        run(directory.path(), "sh", &["-c", MAKE_ROOT, "sh", &text(&at("root"))]);
        run(directory.path(), "tar", &["-C", "root", "--owner=0", "--group=0", "-cf", "layer.tar", "."]);
        let layout = Layout::create(&at("layout")).unwrap();
        let layer = layout.put(media::LAYER, &fs::read(at("layer.tar")).unwrap()).unwrap();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = layout.put_json(media::CONFIG, &config).unwrap();
        let top = layout.put_json(media::MANIFEST, &ImageManifest::new(config, vec![layer])).unwrap();
        push(&server.client(), &server.repository("tiny"), &layout, &top, &[]).unwrap();
        Some(Base { server, top, _directory: directory })
    }

    /// A project whose tarball is built by these two scripts.
    fn project(&self, build: &str, install: &str) -> Project {
        let declaration = format!(
            "name: p\nversion: {{}}\narchives: [{{format: tar.xz}}]\nsbom: {{}}\nbinaries:\n  Tiny-1-amd64:\n    \
             base: {{image: \"{}/tiny:1\", digest: \"{}\"}}\n    build: [sh, build.sh]\n    install: [sh, install.sh, \"{{destdir}}\"]\n    \
             srpm: {{license: MIT, summary: A test}}\n",
            self.server.host(),
            self.top.digest
        );
        let project = project(&declaration).file("build.sh", build).file("install.sh", install);
        commit(&project);
        project
    }
}

/// Commits everything but the state, and tags it `v1.0`.
fn commit(project: &Project) {
    git(project.path(), &["add", "-A", "--", ".", ":!target"]);
    git(project.path(), &["commit", "-q", "-m", "all"]);
    git(project.path(), &["tag", "-f", "-a", "-m", "1.0", "v1.0"]);
}

const BUILD: &str = "set -e\nprintf '#!/bin/sh\\necho p\\n' >p\nchmod 755 p\n";
const INSTALL: &str = "set -e\nmkdir -p \"$1/usr/bin\" \"$1/usr/share/man/man1\"\ncp p \"$1/usr/bin/p\"\nln -s p \"$1/usr/bin/q\"\n\
                       echo manual >\"$1/usr/share/man/man1/p.1\"\n";
const TARBALL: &str = "p-v1.0-Tiny-1-amd64.tar.xz";
const SRPM: &str = "p-1.0-1.src.rpm";

#[test]
fn tarballs_are_built_of_the_released_sources_and_nothing_else() {
    let Some(base) = Base::start() else { return };
    let project = base.project(BUILD, INSTALL);
    let plan = release(&project, &["build", "--dry-run"]);
    assert!(plan.stdout.contains(&format!("build     {TARBALL}: sh build.sh")), "{}", plan.transcript());
    assert!(plan.stdout.contains(&format!("build     {SRPM}, and rebuild it from itself")), "{}", plan.transcript());

    let proved = release(&project, &["prove"]);
    assert_eq!(proved.code(), 0, "{}", proved.transcript());
    let dist = project.state().join("dist/1.0");
    let manifest = Manifest::load(&dist.join("release.json")).unwrap();
    let record = &manifest.binaries[0];
    assert_eq!(record.artifacts, [TARBALL, SRPM]);
    assert_eq!(
        (record.digest.as_str(), record.source.as_str()),
        (base.top.digest.to_string().as_str(), "p-1.0.tar.xz")
    );
    let sums = fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    let statement: Value = serde_json::from_slice(&fs::read(dist.join("p-1.0.intoto.json")).unwrap()).unwrap();
    let proof: Value = serde_json::from_slice(&fs::read(dist.join("proof.json")).unwrap()).unwrap();
    for name in [TARBALL, SRPM] {
        assert!(sums.contains(&format!("  {name}\n")), "{sums}");
        assert!(statement["subject"].as_array().unwrap().iter().any(|one| one["name"] == name), "{statement}");
        assert!(proof["rebuild"]["identical"].as_array().unwrap().contains(&json!(name)), "{proof}");
    }
    let dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"].to_string();
    assert!(dependencies.contains(&base.top.digest.hex().to_string()), "{dependencies}");
    // Nothing of the builder is in the files, and real programs read them.
    let listed = run(&dist, "tar", &["--numeric-owner", "-tvf", TARBALL]);
    let names: Vec<&str> = listed.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["usr/bin/p", "p", "usr/share/man/man1/p.1"], "{listed}");
    assert!(listed.lines().all(|line| line.contains(" 0/0 ")) && listed.starts_with("-rwxr-xr-x"), "{listed}");
    let query = run(&dist, "rpm", &["-qp", "--qf", "%{NAME} %{VERSION} %{LICENSE} %{BUILDHOST} %{BUILDTIME}\n", SRPM]);
    assert_eq!(query.trim(), format!("p 1.0 MIT reproducible {}", manifest.epoch));
    let files = run(&dist, "rpm", &["-qpl", SRPM]);
    assert_eq!(files.lines().collect::<Vec<_>>(), ["p-1.0.tar.xz", "p.spec"]);
    // What the two builds saw differently.
    let info: Value = serde_json::from_slice(&fs::read(dist.join("build-info.json")).unwrap()).unwrap();
    for name in ["directory", "umask", "time zone", "home and user name", "host name"] {
        let variations = info["binaries"]["Tiny-1-amd64"]["variations"].as_array().unwrap();
        assert!(variations.iter().any(|one| one["name"] == name && one["value"].is_string()), "{name}: {variations:?}");
    }
    let verified = release(&project, &["verify", "--rebuild", "--integrity-only"]);
    assert_eq!(verified.code(), 0, "{}", verified.transcript());

    // Another tarball or source RPM is not what the commit builds.
    for name in [TARBALL, SRPM] {
        let kept = fs::read(dist.join(name)).unwrap();
        let mut changed = kept.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(dist.join(name), changed).unwrap();
        let said = release(&project, &["verify", "--integrity-only"]);
        assert!(said.code() == 7 && said.stdout.contains(name), "{}", said.transcript());
        fs::write(dist.join(name), kept).unwrap();
    }
    // Without them, the release is not complete; a trial has none.
    let said = release(&project, &["build", "--sources-only"]);
    assert!(said.code() == 0 && !said.stdout.contains(TARBALL), "{}", said.transcript());
    let said = release(&project, &["status", "--offline"]);
    assert!(said.stdout.contains(&format!("it was built without {TARBALL}, {SRPM}")), "{}", said.transcript());
    let said = release(&project, &["build", "--untagged"]);
    assert!(said.code() == 0 && !said.stdout.contains("Tiny"), "{}", said.transcript());
}

#[test]
fn builds_that_nobody_could_repeat_are_refused() {
    let Some(base) = Base::start() else { return };
    let host = base.server.host();
    // With a network, this works.
    run(Path::new("/"), "busybox", &["wget", "-q", "-O", "/dev/null", &format!("http://{host}/v2/")]);
    let wants_network = format!("set -e\nwget -q -O p http://{host}/v2/\n");
    let no_directory = format!("{INSTALL}echo x >/usr/share/x\n");
    // Links to files of this machine: none is packed, and nothing is written through one.
    let secrets = tempfile::tempdir().unwrap();
    fs::write(secrets.path().join("secret"), "s").unwrap();
    fs::write(secrets.path().join("p.spec"), "untouched").unwrap();
    let machine = secrets.path().display();
    let packs_machine = format!("rm -r $1; ln -s {machine} $1\n");
    fs::create_dir(secrets.path().join("destdir")).unwrap();
    let packs_above = format!("{INSTALL}cd /; above=${{1%/*}}; mv $above /build/moved; ln -s {machine} $above\n");
    let rows: [(&str, &str, &str, i32, &[&str]); 10] = [
        ("a link for what is installed", BUILD, &packs_machine, 1, &["replaced /build/", "must stay a directory"]),
        ("a link above it", BUILD, &packs_above, 1, &["replaced /build/", "must stay a directory"]),
        ("the directory", "pwd >p\n", INSTALL, 7, &[TARBALL, "is not the same when it is built again", "usr/bin/p"]),
        (
            "the host",
            "hostname >p\n",
            INSTALL,
            7,
            &["is not the same when it is built again with another directory", "host name"],
        ),
        ("the network", &wants_network, INSTALL, 1, &["cannot be built: `sh build.sh`", "it has no network"]),
        ("another directory", BUILD, &no_directory, 1, &["cannot be installed", "Read-only file system"]),
        ("nothing installed", BUILD, "true\n", 1, &["would be empty", "installed nothing"]),
        ("a set-ID bit", BUILD, "mkdir $1/x; cp p $1/x/p; chmod 4755 $1/x/p\n", 1, &["/x/p has a set-ID bit"]),
        (
            "its own build",
            "[ -z \"$RPM_BUILD_ROOT\" ] && echo p >p\n",
            INSTALL,
            1,
            &[SRPM, "cannot be rebuilt from itself"],
        ),
        ("a failure", "echo because; exit 3\n", INSTALL, 1, &["exit status: 3: because"]),
    ];
    println!("| a build that depends on | exit |");
    let project = base.project(BUILD, INSTALL);
    for (what, build_script, install_script, code, words) in rows {
        for (name, content) in [("build.sh", build_script), ("install.sh", install_script)] {
            fs::write(project.path().join(name), content).unwrap();
        }
        commit(&project);
        let said = release(&project, &["build"]);
        let has_all = words.iter().all(|words| said.stderr.contains(words));
        assert!(said.code() == code && has_all, "{what}: {}", said.transcript());
        assert!(!project.state().join("dist/1.0/release.json").exists(), "{what}");
        println!("| {what} | {code} |");
    }
    // A link at the place of the spec file: it is made all the same, and nothing is written to where the link leads.
    let writes_spec = format!("{INSTALL}mkdir -p /build/rpm; ln -sf {machine}/p.spec /build/rpm/p.spec\n");
    for (name, content) in [("build.sh", BUILD), ("install.sh", &writes_spec)] {
        fs::write(project.path().join(name), content).unwrap();
    }
    commit(&project);
    let said = release(&project, &["build"]);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    assert_eq!(fs::read_to_string(secrets.path().join("p.spec")).unwrap(), "untouched");
    fs::remove_dir_all(build(&project)).unwrap();
    // A base with another digest, and one for another platform, are not built on.
    let declaration = project.path().join("packaging/release.yaml");
    let good = fs::read_to_string(&declaration).unwrap();
    for (from, to, code) in [
        (base.top.digest.to_string(), format!("sha256:{}", "0".repeat(64)), 8),
        ("    build: [".to_owned(), "    platform: linux/riscv64\n    build: [".to_owned(), 4),
    ] {
        fs::write(&declaration, good.replace(&from, &to)).unwrap();
        commit(&project);
        let said = release(&project, &["build"]);
        assert_eq!(said.code(), code, "{}", said.transcript());
    }
    // A spec file of the project, with another version than the release.
    let srpm = "srpm: {license: MIT, summary: A test}";
    fs::write(&declaration, good.replace(srpm, "srpm: {spec: p.spec}")).unwrap();
    let spec = |version: &str| {
        format!(
            "Name: p\nVersion: {version}\nRelease: 1\nSummary: A test\nLicense: MIT\nSource0: p-1.0.tar.xz\nBuildArch: noarch\n\
             %description\nA test.\n%prep\n%setup -q\n%build\nsh build.sh\n%install\nsh install.sh %{{buildroot}}\n\
             %files\n/usr/bin/*\n/usr/share/man/man1/*\n"
        )
    };
    fs::write(project.path().join("build.sh"), BUILD).unwrap();
    for (version, code) in [("0.9", 1), ("1.0", 0)] {
        fs::write(project.path().join("p.spec"), spec(version)).unwrap();
        commit(&project);
        let said = release(&project, &["build"]);
        assert_eq!(said.code(), code, "{}", said.transcript());
        let says_why = said.stderr.contains("rpmbuild made p-0.9-1.src.rpm; the version in the spec file must be 1.0");
        assert_eq!(says_why, code == 1, "{}", said.transcript());
    }
    assert!(build(&project).join(SRPM).is_file());
}

/// Redirects every dated archive to today's, as the real ones are out of reach for many machines.
fn dated_archive() -> Server {
    Server::new(|line| {
        let path = line.trim_start_matches("GET /").split_once('/').map_or("", |(_, rest)| rest);
        Said(302, vec![("location", format!("http://deb.debian.org/{path}"))], Vec::new())
    })
}

#[test]
fn lanternd_has_a_tarball_for_debian() {
    if std::env::var_os("DRYDOCK_TEST_BINARIES").is_none() {
        skip("it installs a Debian and builds on it; set DRYDOCK_TEST_BINARIES=1 to run it");
        return;
    }
    if !need_tools(&[("mmdebstrap", "mmdebstrap"), ("lowdown", "lowdown")]) {
        return;
    }
    assert!(need(
        Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").exists(),
        "apt-get install debian-archive-keyring"
    ));
    let directory = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lanternd/tools/make-project.sh");
    run(directory.path(), "sh", &[&text(&script), "made"]);
    let project = directory.path().join("made/lanternd");
    let archive = dated_archive();
    let declaration = project.join("packaging/release.yaml");
    let declared = fs::read_to_string(&declaration).unwrap();
    let mirror = format!("{}/{{snapshot}}/debian", archive.address);
    let changed = declared.replace("packages: [cargo", &format!("mirror: \"{mirror}\", packages: [cargo"));
    assert_ne!(changed, declared);
    fs::write(&declaration, changed).unwrap();
    run(&project, "git", &["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qam", "mirror"]);
    run(&project, "git", &["-c", "user.name=x", "-c", "user.email=x@example.org", "tag", "-f", "-am", "x", "v0.3.0"]);
    let said: Finished =
        Command::new(xtask_binary()).args(["--project", &text(&project), "release"]).output().unwrap().into();
    assert_eq!(said.code(), 0, "{}", said.transcript());
    let dist: PathBuf = project.join("target/xtask/dist/0.3.0");
    run(directory.path(), "tar", &["-xf", &text(&dist.join("lanternd-v0.3.0-Debian-12-amd64.tar.xz"))]);
    let version = run(directory.path(), "usr/bin/lanternd", &["--version"]);
    assert_eq!(version.trim(), "lanternd 0.3.0");
    assert!(dist.join("lanternd-0.3.0-1.src.rpm").is_file());
}
