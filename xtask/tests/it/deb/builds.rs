//! Following the builds in a PPA: uploaded to a real SFTP server under Launchpad's name, with a fake of Launchpad's API.

use std::fs;
use std::path::Path;
use std::time::Duration;

use drydock_base::checksum::Checksum;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::fake_launchpad::FakeLaunchpad;
use super::fixture::{has_tools, key, run};
use super::uploads::{CONTROL, Sftp};
use crate::release::fixture::{commit, project};
use crate::support::{Finished, Project, Xtask, need, text};

const DECLARATION: &str = "name: words\nversion: {changelog: CHANGELOG.md}\narchives: [{format: tar.gz}]\ndeb:\n  maintainer: A Name \
    <name@example.org>\n  orig: tar.gz\n  revision: \"1\"\n  series:\n    noble: {number: \"24.04\", distribution: ubuntu}\n  upload: \
    {target: ppa, owner: example, archive: words, login: LOGIN}\n";
const ARCHIVE: &str = "/~example/+archive/ubuntu/words";
const VERSION: &str = "1.0-1~ubuntu24.04.1";

/// The project, its PPA and what its owner has.
struct World<'a> {
    project: &'a Project,
    launchpad: &'a FakeLaunchpad,
    home: String,
    ssh_config: String,
    fingerprint: String,
}

impl World<'_> {
    fn call(&self, words: &[&str]) -> Xtask {
        let words: Vec<&str> =
            ["deb"].iter().chain(words).chain(&["--api", self.launchpad.address.as_str()]).copied().collect();
        let call = self.project.xtask(&words).env("GNUPGHOME", &self.home);
        call.env("DRYDOCK_SSH_CONFIG", &self.ssh_config)
    }

    fn upload(&self, words: &[&str]) -> Xtask {
        let fixed = ["upload", "--key", &self.fingerprint, "--without-proof", "made by a test", "--pause", "1"];
        self.call(&[&fixed, words].concat())
    }

    fn watch(&self) -> Finished {
        self.call(&["status", "--watch", "--pause", "1"]).run()
    }

    /// The archive has our upload, or another one, with this status.
    fn has(&self, dsc: &str, status: &str) {
        let address = &self.launchpad.address;
        let entry = json!({
            "self_link": format!("{address}{ARCHIVE}/+sourcepub/1"),
            "source_package_version": VERSION,
            "distro_series_link": format!("{address}/ubuntu/noble"),
            "status": status,
        });
        self.published(&json!([entry]));
        let url = format!("{address}/words_{VERSION}.dsc");
        self.launchpad.respond(
            &format!("{ARCHIVE}/+sourcepub/1?ws.op=sourceFileUrls&include_meta=true"),
            &json!([{"url": url, "sha256": dsc}]),
        );
    }

    fn published(&self, entries: &Value) {
        let path = format!("{ARCHIVE}?ws.op=getPublishedSources&exact_match=true&source_name=words");
        self.launchpad.respond(&path, &json!({"entries": entries}));
    }

    fn builds(&self, answers: &[(u16, Value)]) {
        self.launchpad.respond_in_turn(&format!("{ARCHIVE}/+sourcepub/1?ws.op=getBuilds"), answers);
    }
}

fn builds(states: &[(&str, &str)]) -> (u16, Value) {
    let build = |(architecture, state): &(&str, &str)| json!({"arch_tag": architecture, "buildstate": state});
    (200, json!({"entries": states.iter().map(build).collect::<Vec<Value>>()}))
}

#[test]
fn builds_are_followed_to_their_end() {
    let tools = [("sftp", "openssh-client"), ("dh_clean", "debhelper")];
    let has_server = Path::new("/usr/sbin/sshd").exists();
    if !has_tools(&tools) || !need(has_server, "sshd is missing: apt-get install openssh-server") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (home, fingerprint) = key(directory.path());
    let sftp = Sftp::start(&at("ssh"));
    sftp.let_in();
    let incoming = at("ssh/home/~example/ubuntu/words");
    fs::create_dir_all(&incoming).unwrap();
    let user = run(directory.path(), &["id", "-un"], &[]);
    // OpenSSH itself leads Launchpad's name to the server here.
    let port = sftp.server.port;
    let alias = format!("Host ppa.launchpad.net\nHostName 127.0.0.1\nPort {port}\n");
    let config = fs::read_to_string(at("ssh/ssh_config")).unwrap();
    fs::write(at("ssh/ssh_config"), alias + &config).unwrap();
    let project = project(&DECLARATION.replace("LOGIN", user.trim()))
        .file("CHANGELOG.md", "## [1.0] - 2026-06-01\n\n- One.\n")
        .file("packaging/debian/control", CONTROL)
        .file("packaging/debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n")
        .file("packaging/debian/copyright", "None.\n");
    commit(&project);
    let launchpad = FakeLaunchpad::start();
    launchpad.respond(ARCHIVE, &json!({"authorized_size": 8192}));
    launchpad.respond("/ubuntu/noble", &json!({"name": "noble", "status": "Supported"}));
    let ssh_config = text(&at("ssh/ssh_config"));
    let world = World { project: &project, launchpad: &launchpad, home: text(&home), ssh_config, fingerprint };
    world.published(&json!([]));

    let nothing = world.watch();
    assert!(nothing.code() == 2 && nothing.stderr.contains("nothing was uploaded"), "{}", nothing.transcript());
    let sent = world.upload(&["--wait", "0"]).run();
    assert!(sent.code() == 0 && sent.stdout.starts_with("uploaded   "), "{}", sent.transcript());
    let dsc = fs::read(incoming.join(format!("words_{VERSION}.dsc"))).unwrap();
    let dsc = Checksum::new(&dsc).to_string();

    // A signal ends the wait, and the same command goes on with it.
    world.has(&dsc, "Pending");
    world.builds(&[builds(&[("amd64", "Currently building")])]);
    let mut running = world.upload(&["--wait"]).spawn();
    let questions = || launchpad.requests().iter().filter(|path| path.ends_with("getBuilds")).count();
    running.wait_for(Duration::from_secs(60), || (questions() > 2).then_some(())).unwrap();
    running.signal(Signal::INT).unwrap();
    let interrupted = running.wait();
    assert!(interrupted.code() == 9 && interrupted.stdout.starts_with("accepted   "), "{}", interrupted.transcript());
    let next = format!("{}{ARCHIVE}/+sourcepub/1?ws.op=getBuilds&ws.start=1", launchpad.address);
    let mut page = builds(&[("amd64", "Successfully built")]);
    page.1["next_collection_link"] = next.into();
    let second = format!("{ARCHIVE}/+sourcepub/1?ws.op=getBuilds&ws.start=1");
    launchpad.respond_in_turn(
        &second,
        &[builds(&[("arm64", "Uploading build")]), builds(&[("arm64", "Successfully built")])],
    );
    let broken = (503, json!("busy"));
    world.builds(&[
        builds(&[]),
        (429, json!("slow down")),
        builds(&[("amd64", "Needs building")]),
        broken.clone(),
        broken.clone(),
        broken,
        builds(&[("amd64", "Gathering build output"), ("arm64", "A state of the future")]),
        page,
    ]);
    let built = world.upload(&["--wait"]).run();
    let said = built.transcript();
    assert_eq!(built.code(), 0, "{said}");
    let lines = format!("accepted   {VERSION} (earlier)\nbuilt      {VERSION} (amd64, arm64)\n");
    assert_eq!(built.stdout, lines, "{said}");
    for line in
        ["amd64: Needs building", "503", "asking again", "arm64: A state of the future", "arm64: Uploading build"]
    {
        assert!(built.stderr.contains(line), "{line}: {said}");
    }
    assert_eq!(built.stderr.matches("amd64: Successfully built").count(), 1, "{said}");

    // What failed is reported for each architecture, with what helps.
    let failed = json!([
        {"arch_tag": "amd64", "buildstate": "Successfully built"},
        {"arch_tag": "arm64", "buildstate": "Failed to build", "build_log_url": "https://launchpad.net/log.gz"},
        {"arch_tag": "armhf", "buildstate": "Dependency wait", "dependencies": "libfoo-dev (>= 2)"},
        {"arch_tag": "ppc64el", "buildstate": "Chroot problem"},
        {"arch_tag": "riscv64", "buildstate": "Failed to upload", "upload_log_url": "https://launchpad.net/upload.txt"},
        {"arch_tag": "s390x", "buildstate": "Cancelled build"},
    ]);
    world.builds(&[builds(&[("arm64", "Cancelling build")]), (200, json!({"entries": failed}))]);
    let failed = world.watch();
    let line =
        format!("NOT BUILT  {VERSION}: arm64: Failed to build; read the log; https://launchpad.net/log.gz, armhf: ");
    assert!(failed.code() == 1 && failed.stderr.contains(&line), "{}", failed.transcript());
    for words in [
        "misses libfoo-dev (>= 2)",
        "ppc64el: Chroot problem; retry",
        "https://launchpad.net/upload.txt",
        "s390x: Cancelled",
    ] {
        assert!(failed.stderr.contains(words) && failed.stdout.contains(words), "{words}: {}", failed.transcript());
    }

    world.has(&dsc, "Superseded");
    world.builds(&[builds(&[("amd64", "Build for superseded Source"), ("arm64", "Needs building")])]);
    let gone = world.watch();
    assert!(gone.code() == 1 && gone.stderr.contains("lists this version as superseded"), "{}", gone.transcript());
    world.builds(&[(401, json!("no"))]);
    let refused = world.watch();
    assert!(refused.code() == 8 && refused.stderr.contains("401"), "{}", refused.transcript());
}
