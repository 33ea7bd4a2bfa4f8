//! Publishing: to directories of every kind with real sshd and rsync, killed before and after every line of the journal, and
//! refused where somebody would get something else than what was signed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::fixture::tree;
use crate::attacks::world::{World, copy};
use crate::deb::uploads::Sftp;
use crate::support::{Finished, git, need, need_tools, text, xtask_binary};

mod accidents;
mod checked;
mod every_target;
mod github;
mod killed;
pub(super) mod pypi;

/// A token of GitHub, which no other host may see.
const TOKEN: &str = "ghp_s3cretTokenThatNobodySees";

/// A signed release 1.1 of the project `p`, and where it goes.
pub(super) struct Release {
    pub(super) world: World,
    pub(super) dist: PathBuf,
    /// The address of GitHub's API.
    pub(super) github: Option<String>,
}

impl Release {
    /// Builds release 1.1 with a quorum and these targets; `{at}` is a directory for them. None if tools are missing.
    pub(super) fn new(quorum: u32, targets: &str) -> Option<Release> {
        Release::with(quorum, targets, &[])
    }

    /// A release whose project has more files.
    fn with(quorum: u32, targets: &str, files: &[(&str, &str)]) -> Option<Release> {
        let world = World::new(quorum)?;
        for (name, content) in files {
            let path = world.project.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        // Their keys are too weak or have expired.
        for who in ["frank.asc", "gina.asc", "hugo.asc", "ivan.asc", "julia.pub"] {
            fs::remove_file(world.keys().join(who)).unwrap();
        }
        let dist = world.project.state().join("dist/1.1");
        let release = Release { world, dist, github: None };
        release.declare(targets);
        release.world.commit("v1.1", "two\n");
        release.world.build("1.1", "honest");
        Some(release)
    }

    pub(super) fn declare(&self, targets: &str) {
        let file = self.world.project.path().join("packaging/release.yaml");
        let declared = fs::read_to_string(&file).unwrap();
        let declared = declared.split("publish:").next().unwrap().to_owned();
        let targets = targets.replace("{at}", &text(&self.world.at("")));
        fs::write(&file, format!("{declared}publish:\n{targets}")).unwrap();
    }

    pub(super) fn sign(&self, who: &str) {
        let said = self.world.release(&["sign", "--key", &format!("{who}@example.org")]);
        assert_eq!(said.code(), 0, "{}", said.transcript());
    }

    pub(super) fn publish(&self, more: &[&str]) -> Finished {
        self.publish_in(self.world.project.path(), more)
    }

    /// Publishes from a clone.
    fn publish_in(&self, clone: &Path, more: &[&str]) -> Finished {
        self.command(clone, more).output().unwrap().into()
    }

    fn command(&self, clone: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(xtask_binary());
        command.args(["--project", &text(clone), "release", "publish", "--without-proof", "made by a test"]).args(more);
        self.surround(&mut command, clone);
        command
    }

    /// Runs `xtask --project PROJECT ARGS…` with all that publishing needs.
    pub(super) fn called(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(xtask_binary());
        let project = self.world.project.path();
        // Commands are printed as this program is called, not as cargo would.
        command.args(["--project", &text(project)]).args(args).env_remove("CARGO");
        self.surround(&mut command, project);
        command.output().unwrap().into()
    }

    /// Sets the directory and the environment of a command.
    pub(super) fn surround(&self, command: &mut Command, directory: &Path) {
        command.current_dir(directory).env_remove("CI").env("GNUPGHOME", self.world.at("keyring"));
        command.env("DRYDOCK_SSH_CONFIG", self.world.at("sshd/ssh_config")).stdin(Stdio::null());
        command.env("PYPI_TOKEN", pypi::TOKEN).env("TESTPYPI_TOKEN", pypi::TOKEN);
        if let Some(github) = &self.github {
            command.env("GITHUB_API_URL", github).env("GH_TOKEN", TOKEN).env_remove("GITHUB_TOKEN");
        }
    }

    #[track_caller]
    fn published(&self, more: &[&str]) -> Finished {
        let said = self.publish(more);
        assert!(said.code() == 0 && said.stdout.contains("is published"), "{}", said.transcript());
        said
    }

    #[track_caller]
    fn refused(&self, code: i32, words: &[&str]) {
        let said = self.publish(&[]);
        let all = format!("{}{}", said.stdout, said.stderr);
        let has_all = words.iter().all(|words| all.contains(words));
        assert!(said.code() == code && has_all, "{words:?}: {}", said.transcript());
    }

    /// The files that every target must have, with their checksums.
    fn expected(&self) -> BTreeMap<String, String> {
        let mut files = tree(&self.dist);
        // What is about this machine, packages and images is not of the release.
        let is_apart = |name: &str| name.starts_with("deb") || name.starts_with("oci");
        files.retain(|name, _| name != "build-info.json" && name != "proof.json" && !is_apart(name));
        files.values_mut().for_each(|file| *file = file.split(' ').next_back().unwrap().to_owned());
        files
    }

    #[track_caller]
    fn check(&self, directory: &Path) {
        let mut found = tree(directory);
        found.values_mut().for_each(|file| *file = file.split(' ').next_back().unwrap().to_owned());
        assert_eq!(found, self.expected(), "{}", directory.display());
    }
}

/// An rsync daemon with the module `m` for a directory. It ends with this value.
fn rsyncd(directory: &Path, log: &Path) -> crate::deb::uploads::Server {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = log.with_extension("conf");
    let module = format!("[m]\npath = {}\nread only = no\nuse chroot = no\nmunge symlinks = no\n", text(directory));
    let root = if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
    fs::write(&config, format!("pid file = \nlog file = {}\n{module}{root}", text(log))).unwrap();
    let mut command = Command::new("rsync");
    command.args(["--daemon", "--no-detach", "--address=127.0.0.1", &format!("--port={port}")]);
    command.arg(format!("--config={}", text(&config))).stdin(Stdio::null()).stderr(Stdio::null());
    let server = crate::deb::uploads::Server::new(command.spawn().unwrap(), port);
    server.wait_until_it_listens();
    server
}

#[test]
fn a_release_goes_to_directories_of_every_kind() {
    if !need_tools(&[("rsync", "rsync"), ("sftp", "openssh-client")])
        || !need(Path::new("/usr/sbin/sshd").exists(), "sshd is missing: apt-get install openssh-server")
    {
        return;
    }
    let Some(release) = Release::new(2, "- {images: {}}\n") else { return };
    let at = |name: &str| release.world.at(name);
    for name in ["www", "daemon", "over-ssh", "sshd/home/mirror"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    let daemon = rsyncd(&at("daemon"), &at("rsyncd.log"));
    let sshd = Sftp::start(&at("sshd"));
    sshd.let_in();
    let (sftp, rsync) = (sshd.server.port, daemon.port);
    let config = fs::read_to_string(at("sshd/ssh_config")).unwrap();
    fs::write(at("sshd/ssh_config"), format!("{config}Host over\nHostName 127.0.0.1\nPort {sftp}\n")).unwrap();
    release.declare(&format!(
        "- {{directory: {{path: \"{{at}}www/{{version}}\", latest: true}}}}\n\
         - {{sftp: {{host: \"127.0.0.1:{sftp}\", path: \"mirror/p-{{version}}\", latest: true}}}}\n\
         - {{rsync: {{to: \"rsync://127.0.0.1:{rsync}/m/{{version}}\", latest: true}}}}\n\
         - {{rsync: {{to: \"over:{{at}}over-ssh/v{{version}}\"}}}}\n",
    ));
    release.world.commit("v1.1-again", "three\n");
    git(release.world.project.path(), &["tag", "-d", "v1.1", "v1.1-again"]);
    release.world.commit("v1.1", "four\n");
    release.world.build("1.1", "honest");
    let places = [at("www/1.1"), at("sshd/home/mirror/p-1.1"), at("daemon/1.1"), at("over-ssh/v1.1")];

    // Nothing is public before two people have signed.
    release.refused(
        7,
        &["0 of 2 people have signed, so nothing is public; 2 more signatures of alice, bob, carol, dave, erin"],
    );
    release.sign("alice");
    release.refused(7, &["1 of 2 people have signed", "1 more signature of bob, carol, dave, erin required"]);
    assert!(places.iter().all(|place| !place.exists()));
    release.sign("bob");
    let plan = release.publish(&["--dry-run"]);
    assert!(plan.code() == 0 && plan.stdout.contains("to do    directory"), "{}", plan.transcript());
    assert!(places.iter().all(|place| !place.exists()));
    release.published(&[]);
    for place in &places {
        release.check(place);
    }
    for (parent, directory) in [("www", "1.1"), ("sshd/home/mirror", "p-1.1"), ("daemon", "1.1")] {
        assert_eq!(fs::read_link(at(parent).join("latest")).unwrap(), Path::new(directory), "{parent}");
        let pointer = fs::read_to_string(at(parent).join("latest.json")).unwrap();
        let pointer: serde_json::Value = serde_json::from_str(&pointer).unwrap();
        assert_eq!((&pointer["version"], &pointer["directory"]), (&"1.1".into(), &directory.into()), "{parent}");
    }
    assert!(!at("over-ssh/latest").exists());

    // Again: nothing is done, here and in another captain's clone, who has another key and no journal.
    let journal = release.world.project.state().join("publish/1.1.jsonl");
    let before = fs::read(&journal).unwrap();
    release.published(&[]);
    assert_eq!(fs::read(&journal).unwrap(), before);
    let clone = at("clone");
    release.world.sh(&at("."), &format!("git clone -q '{}' clone", text(release.world.project.path())));
    let built = release.world.run(&clone, &["--project", &text(&clone), "release", "build"]);
    assert_eq!(built.code(), 0, "{}", built.transcript());
    fs::remove_file(places[2].join("p-1.1.zip")).unwrap();
    let third = ["--project", &text(&clone), "release", "sign", "--key", "erin@example.org"];
    assert_eq!(release.world.run(&clone, &third).code(), 0);
    let said = release.publish_in(&clone, &[]);
    // The signatures of the first two come from the targets; the third goes to them.
    let words = ["added signatures that a target has", "upload p-1.1.zip", "is published"];
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(said.code() == 0 && words.iter().all(|words| all.contains(words)), "{}", said.transcript());
    copy(&clone.join("target/xtask/dist/1.1"), &release.dist);
    for place in &places {
        release.check(place);
    }

    // What sshd refuses or cuts, and a web server that answers something else.
    fs::remove_dir_all(&places[1]).unwrap();
    fs::write(at("sshd/deny"), "").unwrap();
    release.refused(8, &["cannot upload p-1.1.tar.gz", "ermission denied"]);
    fs::remove_file(at("sshd/deny")).unwrap();
    fs::write(at("sshd/cut"), "1500").unwrap();
    release.refused(8, &["127.0.0.1"]);
    fs::remove_file(at("sshd/cut")).unwrap();
    release.published(&[]);
    release.check(&places[1]);
}
