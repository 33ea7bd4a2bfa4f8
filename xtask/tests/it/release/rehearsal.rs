//! Rehearsals: lanternd's whole release against real servers with throw-away keys; a project that declares nothing about publishing;
//! and what is refused or left out.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::fixture;
use super::publish::pypi;
use crate::support::{Finished, git, need, need_tools, path_without, text, xtask_binary};

/// The tools of lanternd's rehearsal, each with its Debian package.
const TOOLS: &[(&str, &str)] = &[
    ("lowdown", "lowdown"),
    ("make", "make"),
    ("gcc", "gcc"),
    ("gpg", "gpg"),
    ("gpg-agent", "gpg-agent"),
    ("ssh-keygen", "openssh-client"),
    ("sftp", "openssh-client"),
    ("rsync", "rsync"),
    ("reprepro", "reprepro"),
    ("dpkg-source", "dpkg-dev"),
    ("dh_clean", "debhelper"),
    ("docker-registry", "docker-registry"),
    ("busybox", "busybox-static"),
];

/// Places that exist nowhere: a rehearsal must not reach for them.
const PUBLISH: &str = "signing: {keys: packaging/keys, quorum: 2}\npublish:\n\
    - {directory: {path: \"/srv/nowhere/{version}\", latest: true, url: \"https://nowhere.invalid/{version}/\"}}\n\
    - {sftp: {host: nowhere.invalid, login: nobody, path: \"/srv/mirror/lanternd-{version}\", latest: true}}\n\
    - {rsync: {to: \"nobody@nowhere.invalid:/srv/{version}\"}}\n\
    - {deb: {}}\n\
    - {images: {}}\n\
    - {github: {repository: example/lantern}}\n\
    - {pypi: {packages: [contrib/pylantern]}}\n";

/// Runs `release rehearse` with a home directory in which nothing may change.
fn rehearse(project: &Path, home: &Path, more: &[&str]) -> Finished {
    let mut command = Command::new(xtask_binary());
    command.args(["--project", &text(project), "release", "rehearse"]).args(more).stdin(Stdio::null());
    // Debian's Python has Debian's packages.
    command.env("PATH", format!("/usr/bin:{}", std::env::var("PATH").unwrap_or_default())).env_remove("CI");
    command.env("GNUPGHOME", home).env("GH_TOKEN", "real").env("PYPI_TOKEN", "real").env_remove("GITHUB_API_URL");
    command.output().unwrap().into()
}

#[test]
fn lanternd_is_rehearsed_end_to_end() {
    let has_sshd = need(Path::new("/usr/sbin/sshd").exists(), "sshd is missing: apt-get install openssh-server");
    if !has_sshd || !need_tools(TOOLS) || !pypi::has_tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lanternd/tools/make-project.sh");
    fixture::run(directory.path(), "sh", &[&text(&script), "made"]);
    let project = at("made/lanternd");
    let declared = project.join("packaging/release.yaml");
    fs::write(&declared, fs::read_to_string(&declared).unwrap() + PUBLISH).unwrap();
    for (name, content) in pypi::PACKAGE {
        let path = project.join(name.replace("python/", "contrib/pylantern/"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.replace("\"1.1\"", "\"0.3.0\"")).unwrap();
    }
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-q", "-m", "publish"]);
    git(&project, &["tag", "-f", "-a", "-m", "x", "v0.3.0"]);
    let before = git(&project, &["for-each-ref"]);
    fs::create_dir(at("home")).unwrap();

    let said = rehearse(&project, &at("home"), &["--into", &text(&at("rehearsal")), "--format", "json"]);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    let result: Value = serde_json::from_str(&said.stdout).unwrap();
    let steps: Vec<&str> =
        result["steps"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let expected = [
        "check, build and prove",
        "push images",
        "sign",
        "publish without the quorum",
        "sign",
        "publish --dry-run",
        "publish",
        "publish again",
        "verify",
    ];
    assert_eq!(steps, expected);
    let targets = ["directory", "sftp", "rsync", "deb", "images", "github", "pypi"];
    assert_eq!(result["targets"], serde_json::json!(targets));
    // What the test is for: the time of each step, in the output of the test.
    for step in result["steps"].as_array().unwrap() {
        println!("{:>6.1} s  {}", step["seconds"].as_f64().unwrap(), step["name"].as_str().unwrap());
    }
    println!("{:>6.1} s  lanternd's rehearsal", result["seconds"].as_f64().unwrap());

    // There is something to look at, everywhere.
    let found = |path: &str| {
        let path = at("rehearsal").join(path);
        assert!(path.exists(), "{} is missing: {}", path.display(), said.transcript());
        path
    };
    for place in ["1-directory/0.3.0", "2-sftp/lanternd-0.3.0", "3-rsync/0.3.0"] {
        let binary = "lanternd-v0.3.0-Debian-12-amd64.tar.xz";
        for name in ["lanternd-0.3.0.tar.xz", binary, "SHA256SUMS.asc", "p_words-0.3.0-py3-none-any.whl"] {
            found(&format!("published/{place}/{name}"));
        }
    }
    assert_eq!(fs::read_link(found("published/1-directory/latest")).unwrap(), Path::new("0.3.0"));
    found("github/v0.3.0/lanternd-v0.3.0.zip");
    let notes = fs::read_to_string(found("github/v0.3.0/RELEASE.txt")).unwrap();
    assert!(notes.contains("(published, latest)") && notes.contains("The plugin `http`"), "{notes}");
    found("index/p-words-0.3.0.tar.gz");
    found("registry/docker/registry/v2/repositories/rehearsal/release/_manifests/tags/v0.3.0");
    let queue = fs::read_to_string(found("archive/queue.log")).unwrap();
    assert_eq!(queue.lines().filter(|line| line.ends_with(" accepted")).count(), 4, "{queue}");
    // The second publication found everything, and the first one waited for the quorum.
    let log = |name: &str| fs::read_to_string(found(&format!("logs/{name}.txt"))).unwrap();
    assert!(log("04-publish-without-the-quorum").contains("1 of 2 people have signed, so nothing is public"));
    assert!(!log("08-publish-again").contains("  to do "), "{}", log("08-publish-again"));
    let left_out = result["not-rehearsed"].to_string();
    for words in ["what its web server offers", "Launchpad", "the source RPM", "the builds of binary tarballs"] {
        assert!(left_out.contains(words), "{left_out}");
    }
    // The project and the user's keys were not touched, and no key is left behind.
    assert_eq!(git(&project, &["for-each-ref"]), before);
    assert_eq!(git(&project, &["status", "--porcelain"]), "");
    assert_eq!(fs::read_dir(at("home")).unwrap().count(), 0);
    let all = fixture::run(&at("rehearsal"), "sh", &["-c", "grep -rl 'PRIVATE KEY' . || true"]);
    assert_eq!(all, "");
}

#[test]
fn any_project_is_rehearsed_and_what_fails_is_shown() {
    if !need_tools(&[("gpg", "gpg"), ("gpg-agent", "gpg-agent"), ("git", "git")]) {
        return;
    }
    // Nothing is declared about signatures and targets, and a version file has the version.
    let project = fixture::project("name: p\nversion: {files: [{path: VERSION}]}\narchives: [{format: tar.gz}]\n");
    fs::write(project.path().join("VERSION"), "1.0\n").unwrap();
    git(project.path(), &["add", "-A"]);
    git(project.path(), &["commit", "-q", "-m", "all"]);
    let home = tempfile::tempdir().unwrap();
    let said = rehearse(project.path(), home.path(), &[]);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    for words in ["the release p 1.0 was rehearsed", "ok      publish again", "targets: directory", "everything is in "]
    {
        assert!(said.stdout.contains(words), "{words}: {}", said.transcript());
    }
    let results = project.state().join("rehearsal");
    assert!(results.join("published/1-directory/1.0/SHA256SUMS").exists() && results.join("github/v1.0").is_dir());
    assert_eq!(git(project.path(), &["tag"]), "");

    // Again, without programs: their part is named, and the rest is rehearsed.
    let bin = path_without(&home.path().join("bin"), &["sftp"]);
    let mut command = Command::new(xtask_binary());
    command.args(["--project", &text(project.path()), "release", "rehearse"]).env("PATH", &bin).env_remove("CI");
    let said: Finished = command.stdin(Stdio::null()).output().unwrap().into();
    let words =
        ["NOT REHEARSED  sftp: sftp is not installed; install it with", "openssh-client", "targets: directory, github"];
    assert!(said.code() == 0 && words.iter().all(|words| said.stdout.contains(words)), "{}", said.transcript());

    // A directory of somebody else, and a version that the project does not have.
    let said = rehearse(project.path(), home.path(), &["--into", &text(project.path())]);
    assert!(said.code() == 2 && said.stderr.contains("is not empty, and is not a rehearsal"), "{}", said.transcript());
    let said = rehearse(project.path(), home.path(), &["--as", "2.0"]);
    assert!(said.code() == 1 && said.stdout.contains("FAILED  check, build and prove"), "{}", said.transcript());
}
