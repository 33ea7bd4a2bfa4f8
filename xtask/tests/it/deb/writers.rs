//! Uploads as the programs of Debian write them: debuild, git-buildpackage, dgit and sbuild. All pass.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fixture::{has_tools, roomy, run};
use super::rules::{From, World, changes};
use crate::support::{text, xtask_binary};

/// The program, its Debian package, and how it makes an upload in `tree`.
const WRITERS: [(&str, &str, &str); 4] = [
    ("debuild", "devscripts", "debuild -S -sa -d -k$KEY"),
    ("dpkg-buildpackage", "dpkg-dev", "dpkg-buildpackage -S -sa -d -k$KEY"),
    (
        "gbp",
        "git-buildpackage",
        "gbp buildpackage --git-ignore-branch --git-no-pristine-tar --git-no-create-orig --git-builder=\"debuild -S -sa -d -k$KEY\"",
    ),
    ("dgit", "dgit", "dgit -k$KEY --new -wgf -v_ build-source; cd ..; debsign --no-re-sign -k$KEY *.changes"),
];

#[test]
fn uploads_of_every_program_pass() {
    let tools: Vec<(&str, &str)> = WRITERS.iter().map(|(program, package, _)| (*program, *package)).collect();
    if !has_tools(&tools) || !has_tools(&[("reprepro", "reprepro"), ("debsign", "devscripts")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let world = World::new(directory.path());
    let identity = "export DEBFULLNAME='A Tester' DEBEMAIL=tester@example.org EMAIL=tester@example.org HOME=$PWD";
    let commit = "git init -q -b master; git add -A; git -c user.name=n -c user.email=m@example.org commit -qm x";
    for (program, _, command) in WRITERS {
        let script = format!(
            "{identity}; mv tree words-1.0; cd words-1.0; {commit}; ({command}) >../log 2>&1 || {{ cat ../log; false; }}"
        );
        let written = world.package(program, From::Bare, &script);
        let (good, found) = world.check(&written, None);
        assert!(good, "{program}: {found:#?}\n{}", fs::read_to_string(changes(&written)).unwrap());
        let (accepted, said) = world.reprepro(&written, None);
        assert!(accepted, "{program}: {said}");
        println!("passes  {program}");
    }
}

/// The newest chroot of Debian 13 with compilers that was kept.
pub(super) fn chroot_of_trixie(chroots: &Path) -> std::path::PathBuf {
    let all = fs::read_dir(chroots).unwrap().map(|entry| entry.unwrap().path());
    let all = all.filter(|path| text(path).contains("/trixie-build-"));
    all.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).expect("no chroot of trixie was kept")
}

/// Lets sbuild write the upload of a source package in the chroot of Debian 13, which was made before, and checks it.
pub(super) fn sbuild(directory: &Path, dsc: &Path, chroots: &Path) {
    let chroot = chroot_of_trixie(chroots);
    // Not below a directory that only root can enter.
    let place = tempfile::Builder::new().prefix("drydock-sbuild-").tempdir_in("/var/tmp").unwrap();
    fs::create_dir(directory).unwrap();
    run(dsc.parent().unwrap(), &["dcmd", "cp", &text(dsc), &text(place.path())], &[]);
    let mut words = Vec::new();
    if rustix::process::geteuid().is_root() {
        run(place.path(), &["chown", "-R", "drydock-build:", &text(place.path())], &[]);
        words.extend(["runuser", "-u", "drydock-build", "--"]);
    }
    let (chroot, name) = (text(&chroot), text(Path::new(dsc.file_name().unwrap())));
    let home = format!("HOME={}", text(place.path()));
    let temporary = format!("TMPDIR={}", text(&roomy()));
    words.extend(["env", &home, &temporary, "sbuild", "--chroot-mode=unshare", "--chroot", &chroot, "--dist=trixie"]);
    words.extend([
        "--source",
        "--no-arch-any",
        "--no-arch-all",
        "--no-run-lintian",
        "--no-run-autopkgtest",
        "--no-run-piuparts",
    ]);
    words.extend(["--no-apt-update", "--no-apt-upgrade", "--no-apt-distupgrade", &name]);
    let output = Command::new(words[0]).args(&words[1..]).current_dir(place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "sbuild: {said}");
    let written = changes(place.path());
    let content = fs::read_to_string(&written).unwrap();
    assert!(content.contains("\nArchitecture: source\n"), "{content}");
    let output =
        Command::new(xtask_binary()).args(["deb", "check", "--unsigned", "--format", "json"]).arg(&written).output();
    let found: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let rules: Vec<&str> =
        found[0]["rejections"].as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap()).collect();
    // Only the series is not one of Ubuntu.
    assert_eq!(rules, ["series"], "{found:#}\n{content}");
}
