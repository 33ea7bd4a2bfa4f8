//! Packages that `deb prove` must not prove, each built by the real sbuild: they reach for the network, leave files outside of their
//! tree, fail their tests, or differ between two builds.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::fixture::{has_tools, kept_directory, run};
use crate::support::{Finished, marker, processes_with, text, wait_for, xtask_binary};

/// The rules of a package without debhelper: each build of each package here unpacks what its build needs.
const RULES: &str = "\
#!/usr/bin/make -f
D = debian/{name}/usr/share/{name}
build build-arch build-indep binary-arch:
clean:
\trm -rf debian/{name} debian/files
binary: binary-indep
binary-indep:
\tmkdir -p $(D) debian/{name}/DEBIAN
{recipe}\tdpkg-gencontrol -p{name} -Pdebian/{name}
\tchmod -R u+rwX,go=rX debian/{name}
\tdpkg-deb --root-owner-group --build debian/{name} ..
.PHONY: build build-arch build-indep binary binary-arch binary-indep clean
";

/// A native source package that is installed by this recipe, one command a line.
fn package(directory: &Path, name: &str, recipe: &str, test: &str) -> PathBuf {
    let tree = directory.join(name);
    fs::create_dir_all(tree.join("debian/tests")).unwrap();
    fs::create_dir_all(tree.join("debian/source")).unwrap();
    let write = |path: &str, content: &str| fs::write(tree.join("debian").join(path), content).unwrap();
    write("source/format", "3.0 (native)\n");
    fs::create_dir(tree.join("data")).unwrap();
    fs::write(tree.join("data/words"), "#!/bin/sh\necho a word of the sources\n").unwrap();
    fs::set_permissions(tree.join("data/words"), fs::Permissions::from_mode(0o755)).unwrap();
    write(
        "control",
        &format!(
            "Source: {name}\nSection: misc\nPriority: optional\nMaintainer: A Tester <tester@example.org>\n\
             Standards-Version: 4.6.2\nRules-Requires-Root: no\n\nPackage: {name}\nArchitecture: all\n\
             Description: example\n An example.\n"
        ),
    );
    let date = "Mon, 01 Jun 2026 12:00:00 +0000";
    write(
        "changelog",
        &format!("{name} (1.0) bookworm; urgency=medium\n\n  * First.\n\n -- A Tester <tester@example.org>  {date}\n"),
    );
    let recipe: String = recipe.lines().map(|line| format!("\t{line}\n")).collect();
    write("rules", &RULES.replace("{name}", name).replace("{recipe}", &recipe));
    fs::set_permissions(tree.join("debian/rules"), fs::Permissions::from_mode(0o755)).unwrap();
    write("tests/control", &format!("Test-Command: {test}\nDepends: @\n"));
    run(directory, &["dpkg-source", "-b", name], &[]);
    directory.join(format!("{name}_1.0.dsc"))
}

fn prove(dsc: &Path, chroots: &Path) -> Command {
    let mut command = Command::new(xtask_binary());
    command.args(["deb", "prove", &format!("bookworm={}", text(dsc)), "--chroots", &text(chroots)]);
    command.current_dir(dsc.parent().unwrap()).env_remove("CI");
    command
}

const TOOLS: [(&str, &str); 5] = [
    ("sbuild", "sbuild"),
    ("mmdebstrap", "mmdebstrap"),
    ("newuidmap", "uidmap"),
    ("autopkgtest", "autopkgtest"),
    ("diffoscope", "diffoscope-minimal"),
];

#[test]
fn a_proof_that_is_interrupted_leaves_nothing() {
    if !has_tools(&TOOLS) {
        return;
    }
    let chroots = kept_directory("deb-chroots");
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // A build that leaves a daemon deaf to signals, and waits itself.
    let waits = marker("waits");
    let recipe = format!(
        "setsid sh -c 'trap \"\" TERM INT HUP; while :; do sleep 1000 || :; done' {waits} &\n\
         sh -c 'trap \"\" TERM INT HUP; while :; do sleep 1000 || :; done' {waits}"
    );
    let dsc = package(directory.path(), "waiting", &recipe, "true");
    let scratch = directory.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777)).unwrap();
    let mut chroots_of_builds = BTreeSet::new();
    // What a killed proof leaves of files, the next one removes.
    for signal in [Signal::KILL, Signal::TERM] {
        let mut command = prove(&dsc, &chroots);
        let mut child = command.env("TMPDIR", &scratch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        // It may have to make the chroot first.
        let began = wait_for(Duration::from_secs(600), || match processes_with(&waits).len() {
            2.. => Some(true),
            _ => child.try_wait().unwrap().map(|_| false),
        });
        let roots =
            processes_with(&waits).into_iter().map(|one| fs::read_link(format!("/proc/{}/root", one.pid)).unwrap());
        chroots_of_builds.extend(roots);
        rustix::process::kill_process(pid, signal).unwrap();
        let ended: Finished = child.wait_with_output().unwrap().into();
        let said = ended.transcript();
        assert_eq!(began, Some(true), "{said}");
        // Of a killed Drydock, the supervisor ends what it started.
        let gone = wait_for(Duration::from_secs(10), || processes_with(&waits).is_empty().then_some(()));
        assert!(gone.is_some(), "{signal:?} leaves {:?}: {said}", processes_with(&waits));
        if signal == Signal::TERM {
            assert_eq!(ended.code(), 9, "{said}");
            let left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "{left:?}: {said}");
        }
    }
    assert_eq!(chroots_of_builds.len(), 2, "{chroots_of_builds:?}");
    assert!(
        chroots_of_builds.iter().all(|chroot| chroot != Path::new("/") && !chroot.exists()),
        "{chroots_of_builds:?}"
    );
}

#[test]
fn packages_that_must_not_be_proved() {
    if !has_tools(&TOOLS) {
        return;
    }
    let chroots = kept_directory("deb-chroots");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!(
        "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(\"127.0.0.1:{port}\") or die \"no network: $$!\\n\"'"
    );
    // Name, recipe, test, exit code, and what is said.
    let rows: [(&str, &str, &str, i32, &[&str]); 4] = [
        ("networked", &connect, "true", 1, &["cannot build", "no network: "]),
        (
            "outside",
            "touch ../left-behind $(HOME)/.cache-of-a-tool",
            "true",
            7,
            &["leaves files outside of its tree: ", "/left-behind", ".cache-of-a-tool"],
        ),
        // The whole source package is there for its tests, with the bits of its files.
        (
            "untested",
            "true",
            "sh -c 'data/words >&2; exit 3'",
            1,
            &["fail their tests", " FAIL non-zero exit status 3", "a word of the sources"],
        ),
        (
            "differing",
            "pwd > $(D)/tree\ndate +%z > $(D)/zone\necho $$HOME > $(D)/home\nlocale | grep LC_ALL > $(D)/locale\n\
             nproc > /dev/null; echo $(patsubst parallel=%,%,$(filter parallel=%,$(DEB_BUILD_OPTIONS))) > $(D)/jobs\n\
             date +%N > $(D)/clock\ntouch $(D)/same\necho $$COLUMNS > $(D)/columns\n\
             echo \"char x[] = \\\"at $$PWD\\\"; int main(void) { return 0; }\" > x.c\n\
             gcc -o $(D)/program x.c\npwd | gzip -n > $(D)/packed.gz",
            "true",
            7,
            &[
                "differing_1.0_all.deb differs",
                "usr/share/differing/program: section .data is `at /build/first/",
                "usr/share/differing/packed.gz: within gzip, line 1 is `/build/first/",
                "all differences of differing_1.0_all.deb, by diffoscope: ",
                "usr/share/differing/tree: line 1 is `/build/first/",
                "(it holds the directory)",
                "usr/share/differing/zone: line 1 is `+0000`, then `+1345` (it holds the time zone)",
                "usr/share/differing/home: line 1 is ",
                "(it holds the home and user name)",
                "usr/share/differing/locale: line 1 is ",
                "(it holds the locale)",
                "usr/share/differing/jobs: line 1 is `1`, then `2` (it holds the number of jobs)",
                "usr/share/differing/clock: line 1 is ",
                "not varied: clock; both builds get the true one",
            ],
        ),
    ];
    for (name, recipe, test, code, words) in rows {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let dsc = package(directory.path(), name, recipe, test);
        let proved: Finished = prove(&dsc, &chroots).output().unwrap().into();
        let said = proved.transcript();
        assert_eq!(proved.code(), code, "{name}: {said}");
        for word in words {
            assert!(said.contains(word), "{name}: {word:?} is not in {said}");
        }
        assert!(!said.contains("usr/share/differing/same"), "{said}");
        println!("refused  {name}");
    }
}
