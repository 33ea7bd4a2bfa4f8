//! Declarations that no image can be built from: each is refused with a message that says how to fix it.

use std::fs;
use std::path::Path;

use drydock_base::checksum::Checksum;
use drydock_deb::control;
use drydock_deb::prove::identity;

use super::build_project::{BuildProject, LANTERND, debian_in, declaration, small_in};
use super::registry_server::Server;
use crate::deb::fixture::run;
use crate::support::{need, only_git, text};

/// Makes a package by dpkg-deb, from its fields and more control files.
pub(super) fn package(directory: &Path, fields: &str, control: &[(&str, &str)], files: &[&str]) -> Vec<u8> {
    let tree = directory.join("tree");
    fs::remove_dir_all(&tree).ok();
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::write(tree.join("DEBIAN/control"), format!("Maintainer: A <a@example.org>\nDescription: x\n{fields}")).unwrap();
    for (name, content) in control {
        fs::write(tree.join("DEBIAN").join(name), content).unwrap();
        fs::set_permissions(tree.join("DEBIAN").join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    for file in files {
        fs::create_dir_all(tree.join(file).parent().unwrap()).unwrap();
        fs::write(tree.join(file), "x\n").unwrap();
    }
    let deb = directory.join("made.deb");
    run(directory, &["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", &text(&tree), &text(&deb)], &[]);
    fs::read(deb).unwrap()
}

/// A proof of a package, of a source package.
pub(super) fn prove(deb: &Path, dsc: &Path, differences: &[&str]) {
    let dsc = identity(&control::parse_one(&fs::read_to_string(dsc).unwrap()).unwrap());
    let name = deb.file_name().unwrap().to_str().unwrap();
    let proof = serde_json::json!({
        "source": "", "dsc": dsc, "series": "", "proved-on": "", "substitute-reason": null, "chroot-date": "",
        "variations": [], "differences": differences, "tests": [], "seconds": 1,
        "packages": {name: Checksum::new(&fs::read(deb).unwrap())},
    });
    fs::write(deb.with_file_name("proof.json"), proof.to_string()).unwrap();
}

pub(super) const FIELDS: &str = "Package: lanternd\nVersion: 0.3.0-0ubuntu1~ppa1~debian12.1\nArchitecture: amd64\n";

#[test]
fn what_would_not_work_is_refused_with_its_remedy() {
    let Some(server) = Server::start() else { return };
    let Some(base) = debian_in(&server) else { return };
    let directory = tempfile::tempdir().unwrap();
    let build =
        BuildProject::lanternd(&declaration(&base, &LANTERND.replace("lanternd]}", "lanternd], series: bookworm}")));
    let deb = build.package();
    fs::create_dir_all(deb.parent().unwrap()).unwrap();
    let refused = |code: i32, words: &[&str]| {
        let found = build.call(&[], &[]);
        assert_eq!(found.code(), code, "{words:?}: {}", found.transcript());
        for word in words {
            assert!(found.stderr.contains(word), "{word}: {}", found.stderr);
        }
        assert!(!build.oci("0.3.0").join("mine").exists());
    };
    let prove_it = build.hint("deb prove --series bookworm");
    refused(2, &["_amd64.deb is not in ", &format!("build it with {prove_it}")]);

    let dsc = build.sources();
    let made = |fields: &str, control: &[(&str, &str)], files: &[&str]| {
        fs::write(&deb, package(directory.path(), &format!("{FIELDS}{fields}"), control, files)).unwrap();
        prove(&deb, &dsc, &[]);
    };
    made("Depends: libc6 (>= 99), libnowhere1 | libnowhere2, libc6\nPre-Depends: dpkg (>= 1)\n", &[], &[]);
    let unmet = [
        "libc6 (>= 99); found libc6 2.36",
        "libnowhere1 | libnowhere2; not found",
        "to `packages` of the base or to `debs`",
    ];
    refused(1, &unmet);
    made("Conflicts: dash\n", &[("postinst", "#!/bin/sh\n"), ("prerm", "#!/bin/sh\n")], &[]);
    refused(1, &["Conflicts dash; found dash", "lanternd has postinst, prerm", "`skip-scripts: true`"]);
    made("", &[], &["etc/passwd"]);
    refused(1, &["cannot unpack lanternd", "/etc/passwd exists in the base image"]);
    made("", &[], &["bin/lanternd"]);
    refused(1, &["the smoke test `lanternd --version`"]);

    // Packages that are none, or would write elsewhere.
    let good = fs::read(&deb).unwrap();
    fs::write(&deb, &good[..good.len() / 2]).unwrap();
    refused(7, &["lanternd_0.3.0-0ubuntu1~ppa1~debian12.1_amd64.deb: it is "]);
    fs::write(&deb, "no package").unwrap();
    refused(7, &["it is damaged"]);
    let foreign = FIELDS.replace("amd64", "arm64");
    fs::write(&deb, package(directory.path(), &foreign, &[], &[])).unwrap();
    refused(7, &["holds lanternd of arm64, which does not match its name"]);
    let evil = directory.path().join("evil");
    fs::create_dir_all(&evil).unwrap();
    fs::write(evil.join("data"), "x").unwrap();
    run(&evil, &["tar", "-czf", "data.tar.gz", "--transform", "s,data,../../etc/evil,", "-P", "data"], &[]);
    fs::write(evil.join("made.deb"), package(directory.path(), FIELDS, &[], &[])).unwrap();
    run(&evil, &["ar", "x", "made.deb", "control.tar.gz", "debian-binary"], &[]);
    run(&evil, &["ar", "rcD", text(&deb).as_str(), "debian-binary", "control.tar.gz", "data.tar.gz"], &[]);
    prove(&deb, &dsc, &[]);
    refused(7, &["contains a `..` component"]);
    fs::remove_file(&deb).unwrap();
    run(&evil, &["ar", "rcD", text(&deb).as_str(), "debian-binary", "control.tar.gz", "data.tar.gz"], &[]);
    prove(&deb, &dsc, &[]);
    refused(7, &["contains a `..` component"]);

    // A package that is not the one that was proved, or of another commit, or of a failed proof, or with none at all.
    fs::write(&deb, &good).unwrap();
    refused(7, &[&format!("is not the file that was proved; prove it again with {prove_it}")]);
    prove(&deb, &dsc, &["the length"]);
    refused(7, &["differed between two builds"]);
    let stale = directory.path().join("stale.dsc");
    fs::write(&stale, "Source: lanternd\nVersion: 0.2\n").unwrap();
    prove(&deb, &stale, &[]);
    refused(7, &["was built from another source package"]);
    fs::remove_file(deb.with_file_name("proof.json")).unwrap();
    refused(7, &["has no proof beside it"]);
    // Nor what was built without a proof.
    let local = build.at("state/dist/0.3.0/deb/local");
    fs::create_dir(&local).unwrap();
    fs::rename(&deb, local.join(deb.file_name().unwrap())).unwrap();
    refused(2, &["_amd64.deb is not in "]);
}

#[test]
fn bases_and_dockerfiles_that_may_change_are_refused() {
    let Some(server) = Server::start() else { return };
    if !need(Path::new("/bin/busybox").exists(), "busybox is missing: apt-get install busybox-static") {
        return;
    }
    let base = small_in(&server);
    let dockerfile = "from: {dockerfile: docker/Dockerfile}\nsmoke-test: {run: [sh]}\n";
    let build = BuildProject::lanternd(&declaration(&base, dockerfile));
    let refused = |code: i32, words: &[&str]| {
        let found = build.call(&["--engine", "buildah"], &[]);
        assert_eq!(found.code(), code, "{words:?}: {}", found.transcript());
        words.iter().for_each(|word| assert!(found.stderr.contains(word), "{word}: {}", found.stderr));
    };
    refused(3, &["has no docker/Dockerfile"]);
    fs::write(build.at("config/docker/Dockerfile"), "FROM debian:12\nCOPY --from=busybox:1 /x /x\nFROM ${BASE}\n")
        .unwrap();
    refused(3, &["line 1: FROM debian:12 is not pinned", "line 2: --from busybox:1", "line 3: FROM ${BASE} needs"]);

    let digest = base.split("sha256:").nth(1).unwrap().trim_end_matches("'}");
    let wrong = base.replace(digest, &"0".repeat(64));
    build.declare(&declaration(&wrong, LANTERND));
    refused(8, &["has no manifest sha256:"]);
    build.declare(&declaration(&base, &format!("{LANTERND}platforms: [linux/arm/v7]\n")));
    refused(3, &["is not available for linux/arm/v7; its platforms are linux/amd64, linux/arm64"]);
    // A base without a list of packages cannot tell whether they would work.
    build.declare(&declaration(&base, &LANTERND.replace("lanternd]}", "lanternd], series: bookworm}")));
    let deb = build.package();
    fs::create_dir_all(deb.parent().unwrap()).unwrap();
    fs::write(&deb, package(&build.at(""), FIELDS, &[], &[])).unwrap();
    prove(&deb, &build.sources(), &[]);
    refused(3, &["has no list of installed packages"]);
    // What is declared wrong is said before anything is pulled, and before a tool is missed.
    let gone = wrong.replace(&server.host(), "127.0.0.1:1");
    let image = |name: &str, base: &str, from: &str| {
        format!(
            "  {name}:\n    repositories: {{nightly: 127.0.0.1:1/{name}/n, release: 127.0.0.1:1/{name}/r}}\n    base: {base}\n    \
             from: {{{from}}}\n    smoke-test: {{run: [sh]}}\n"
        )
    };
    let [mine, other] =
        [("mine", &base, "dockerfile: docker/Dockerfile"), ("other", &gone, "archive: build/none.tar.gz")]
            .map(|(name, base, from)| image(name, base, from));
    build.declare(&format!("images:\n{mine}{other}"));
    fs::write(build.at("config/docker/Dockerfile"), "ARG BASE\nFROM ${BASE}\n").unwrap();
    let path = only_git(&build.at("no-tools"));
    let without = |words: &[&str]| build.call(words, &[("PATH", &path)]);
    let said = without(&["--engine", "buildah"]);
    let words = "build/none.tar.gz does not exist; build it before the image, or correct `archive`";
    assert!(said.code() == 2 && said.stderr.contains(words), "{}", said.transcript());
    assert!(!said.stderr.contains("== ") && !said.stderr.contains("problems"), "nothing was begun: {}", said.stderr);
    // All of it at once: of every image and platform, and what is wrong on several platforms only once.
    let both = "    platforms: [linux/amd64, linux/arm64]\n";
    let unpinned = image("third", &base, "dockerfile: docker/Unpinned");
    let missing = image("fourth", &base, "archive: 'build/none-{architecture}.tar.gz'");
    build.declare(&format!("images:\n{mine}{other}{unpinned}{both}{missing}{both}"));
    fs::write(build.at("config/docker/Unpinned"), "FROM debian:12\n").unwrap();
    let said = without(&["--engine", "buildah"]);
    let words = [
        "4 problems:\n  other for linux/amd64: ",
        "\n  third for linux/amd64, linux/arm64: cannot build docker/Unpinned:\n    line 1: FROM debian:12 is not pinned",
        "\n  fourth for linux/amd64: ",
        "none-amd64.tar.gz does not exist",
        "\n  fourth for linux/arm64: ",
        "none-arm64.tar.gz does not exist",
    ];
    assert_eq!(said.code(), 2, "{}", said.transcript());
    words.iter().for_each(|word| assert!(said.stderr.contains(word), "{word}: {}", said.stderr));
    let said = without(&["--engine", "buildah", "--platform", "linux/arm64"]);
    let words =
        ["image mine is not declared for linux/arm64", "image other is not", "third for linux/arm64: ", "none-arm64"];
    assert!(said.code() == 2 && words.iter().all(|word| said.stderr.contains(word)), "{}", said.transcript());
    build.declare(&format!("images:\n{mine}{other}"));
    let said = without(&["mine", "--engine", "buildah"]);
    let words = "no engine for Dockerfiles works on this machine";
    assert!(said.code() == 4 && said.stderr.contains(words), "{}", said.transcript());
    // Images and platforms that are not declared.
    build.declare(&declaration(&base, LANTERND));
    let unknown = build.call(&["nothing"], &[]);
    assert!(unknown.code() == 2 && unknown.stderr.contains("image nothing is not declared; declared are mine"));
    for (written, meant) in [("promot", "docker promote`?"), ("min", "did you mean `mine`?")] {
        let said = build.call(&[written], &[]);
        assert!(said.code() == 2 && said.stderr.contains(meant), "{}", said.transcript());
    }
    let platform = build.call(&["--platform", "linux/riscv64"], &[]);
    assert!(
        platform.code() == 2 && platform.stderr.contains("is not declared for linux/riscv64"),
        "{}",
        platform.stderr
    );
}
