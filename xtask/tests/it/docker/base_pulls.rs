//! Pulls of a base that fail: what the user sees, what is left behind, and that the next call goes on.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use drydock_config::images::Platform;
use drydock_oci::bootstrap;
use drydock_oci::layout::Layout;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::build_project::{BuildProject, declaration, small_in};
use super::registry_server::{Options, Server};
use crate::deb::fixture::run;
use crate::release::fixture as git;
use crate::support::{Finished, Project, SmallDisk, need, need_tool, text, wait_for};

/// A project with an image of an archive on a base, and the base as another registry has it.
struct World {
    server: Server,
    base: String,
    build: BuildProject,
    _project: Project,
}

impl World {
    fn new() -> Option<World> {
        if !need(Path::new("/bin/busybox").exists(), "busybox is missing: apt-get install busybox-static") {
            return None;
        }
        let server = Server::start()?;
        let base = small_in(&server);
        let project = git::project("name: p\nversion: {}\narchives: [{format: tar.gz}]\n").file("README", "x\n");
        git::commit(&project);
        let target = project.path().join("target");
        fs::create_dir_all(&target).unwrap();
        run(project.path(), &["tar", "-czf", "target/a.tar.gz", "README"], &[]);
        let build = BuildProject::new(project.path(), "");
        fs::create_dir_all(build.at("config/packaging")).unwrap();
        fs::copy(project.path().join("packaging/release.yaml"), build.at("config/packaging/release.yaml")).unwrap();
        Some(World { server, base, build, _project: project })
    }

    /// Declares the base as one of another host.
    fn declare(&self, host: &str) {
        let base = self.base.replace(&self.server.host(), host);
        let image = "from: {archive: target/a.tar.gz, into: /opt}\nsmoke-test: {run: [sh, -c, 'echo 1.0'], expect: '{version}'}\n";
        self.build.declare(&declaration(&base, image));
    }

    /// Builds the image, which fails; nothing is left behind.
    #[track_caller]
    fn refused(&self, home: &Path, code: i32, words: &[&str]) -> Finished {
        let found = self.build.call(&[], &[("HOME", &text(home))]);
        assert_eq!(found.code(), code, "{}", found.transcript());
        for word in words.iter().copied().chain(["cannot pull the base image", "mine for linux/"]) {
            assert!(found.stderr.contains(word), "{word}: {}", found.stderr);
        }
        assert_eq!(leftovers(&self.build.at("state")), [""; 0]);
        found
    }
}

/// The files of a state that a failed build must not leave: parts of blobs, images, scratch directories.
fn leftovers(state: &Path) -> Vec<String> {
    let output = Command::new("find").arg(state).args(["(", "-name", ".part-*", "-o", "-name", "mine", ")"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Makes `server.crt` and `server.key` by an authority of its own, `ca.crt`, for these names from one year until another.
fn certificates(directory: &Path, name: &str, from: &str, until: &str) {
    let openssl = |arguments: &str| run(directory, &arguments.split_whitespace().collect::<Vec<_>>(), &[]);
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    fs::create_dir_all(directory.join("new")).unwrap();
    fs::write(directory.join("index"), "").unwrap();
    fs::write(
        directory.join("ca.conf"),
        "[ca]\ndefault_ca=a\n[a]\ndatabase=index\nnew_certs_dir=new\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\n\
         commonName=supplied\n",
    )
    .unwrap();
    fs::write(directory.join("names"), format!("subjectAltName={name}\n")).unwrap();
    if !directory.join("ca.crt").exists() {
        openssl(&format!("openssl req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=tests -days 2"));
    }
    openssl(&format!("openssl req {key} -keyout server.key -out server.csr -subj /CN=server"));
    openssl(&format!(
        "openssl ca -batch -notext -config ca.conf -in server.csr -cert ca.crt -keyfile ca.key -extfile names \
         -startdate {from}0101000000Z -enddate {until}0101000000Z -out server.crt"
    ));
}

#[test]
fn what_cannot_succeed_is_said_at_once_and_the_next_call_goes_on() {
    if !need_tool("openssl", "openssl") {
        return;
    }
    let Some(world) = World::new() else { return };
    let home = world.build.at("home");
    fs::create_dir_all(&home).unwrap();

    // Nothing listens. One line says that the host is tried again, and how often.
    world.declare("127.0.0.1:1");
    let words = [
        "== trying 127.0.0.1:1 up to 2 more times: Connection refused",
        "no response to 3 attempts: Connection refused",
        "is the server running?",
    ];
    let found = world.refused(&home, 8, &words);
    assert_eq!(found.stderr.matches("== trying ").count(), 1, "{}", found.stderr);

    // The same storage by TLS, with a certificate that is wrong.
    let tls = world.build.at("tls");
    fs::create_dir_all(&tls).unwrap();
    certificates(&tls, "IP:127.0.0.1", "2020", "2090");
    let storage = Some(world.server.storage());
    let Some(mut server) = Server::with(Options { tls: Some(tls.clone()), storage, ..Options::default() }) else {
        return;
    };
    world.declare(&server.host());
    let trusted = home.join(format!(".config/containers/certs.d/{}", server.host()));
    fs::create_dir_all(&trusted).unwrap();
    let other = world.build.at("other");
    fs::create_dir_all(&other).unwrap();
    certificates(&other, "IP:127.0.0.1", "2020", "2090");
    fs::copy(other.join("ca.crt"), trusted.join("ca.crt")).unwrap();
    let at_once = |words: &[&str]| {
        let found = world.refused(&home, 8, words);
        assert!(!found.stderr.contains("== trying ") && !found.stderr.contains("attempts"), "{}", found.stderr);
        assert!(
            found.stderr.contains(&format!("GET https://{}/v2/base/small/", server_host(&world))),
            "{}",
            found.stderr
        );
    };
    at_once(&["no response: invalid peer certificate", "from an authority that this machine trusts?", "SSL_CERT_FILE"]);
    fs::copy(tls.join("ca.crt"), trusted.join("ca.crt")).unwrap();
    for (name, from, until, words) in [
        ("DNS:registry.example", "2020", "2090", ["not valid for name", "is the host's name right?"]),
        ("IP:127.0.0.1", "2020", "2021", ["certificate expired", "its certificate must be renewed"]),
        ("IP:127.0.0.1", "2080", "2090", ["certificate not valid yet", "is the clock of this machine right?"]),
    ] {
        certificates(&tls, name, from, until);
        server.kill();
        server.restart();
        at_once(&words);
    }
    // A registry without TLS, from which TLS is expected since there is a certificate for it.
    let plain = home.join(format!(".config/containers/certs.d/{}", world.server.host()));
    fs::create_dir_all(&plain).unwrap();
    fs::copy(tls.join("ca.crt"), plain.join("ca.crt")).unwrap();
    world.declare(&world.server.host());
    at_once(&["the server does not speak TLS on this port: is the port right?"]);
    world.declare(&server.host());
    // The host renewed it.
    certificates(&tls, "IP:127.0.0.1", "2020", "2090");
    server.kill();
    server.restart();
    let found = world.build.call(&[], &[("HOME", &text(&home))]);
    assert_eq!(found.code(), 0, "{}", found.transcript());
}

/// The host that the base is declared for.
fn server_host(world: &World) -> String {
    let images = fs::read_to_string(world.build.at("config/docker/images.yaml")).unwrap();
    let base = images.lines().find(|line| line.contains("base:")).unwrap();
    base.split_once('\'').unwrap().1.split('/').next().unwrap().to_owned()
}

#[test]
fn a_registry_that_hangs_is_named_and_the_call_after_an_interruption_goes_on() {
    let Some(world) = World::new() else { return };
    // It accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap().to_string();
    world.declare(&host);
    let argv = world.build.argv(&[]);
    let log = world.build.at("log");
    let mut child = Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let line = format!("== waiting for {host}: no response for 10s; the limit is 2m");
    let said = wait_for(Duration::from_secs(60), || {
        let printed = fs::read_to_string(&log).unwrap().contains(&line);
        (printed || child.try_wait().unwrap().is_some()).then_some(printed)
    });
    kill_process(Pid::from_child(&child), Signal::TERM).ok();
    let status = child.wait().unwrap();
    let printed = fs::read_to_string(&log).unwrap();
    assert_eq!(said, Some(true), "{printed}");
    assert!(!status.success(), "{printed}");
    drop(silent);
    // The next call removes what one left that was interrupted later, and leaves alone what another process writes.
    let blobs = world.build.at("state/base/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let [left, written] = [".part-left", ".part-written"].map(|name| blobs.join(name));
    for part in [&left, &written] {
        fs::write(part, "half").unwrap();
    }
    let lock = fs::File::open(&written).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    world.declare(&world.server.host());
    let found = world.build.call(&[], &[]);
    assert_eq!(found.code(), 0, "{}", found.transcript());
    assert!(!left.exists() && written.exists());
    fs::remove_file(written).unwrap();
    assert_eq!(leftovers(&world.build.at("state")), [text(&world.build.oci("1.0").join("mine"))]);
}

#[test]
fn a_disk_that_becomes_full_while_a_base_is_pulled_is_named_and_the_next_call_goes_on() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let Some(world) = World::new() else { return };
    world.declare(&world.server.host());
    let state = disk.path().join("state");
    let mut argv = world.build.argv(&[]);
    let at = argv.iter().position(|word| word == "--state").unwrap();
    argv[at + 1] = text(&state);
    let call = || -> Finished {
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).env_remove("CARGO").env_remove("CI").output().unwrap().into()
    };
    // All but 200 KiB are in use.
    let filler = disk.path().join("filler");
    fs::create_dir_all(&state).unwrap();
    let mut zeros = std::io::repeat(0).take((16 << 20) - (200 << 10));
    std::io::copy(&mut zeros, &mut fs::File::create(&filler).unwrap()).unwrap();
    let found = call();
    assert_eq!(found.code(), 5, "{}", found.transcript());
    let words =
        ["mine for linux/", "cannot pull the base image", "cannot write sha256:", "the disk is full: free some space"];
    for words in words {
        assert!(found.stderr.contains(words), "{words}: {}", found.stderr);
    }
    assert_eq!(leftovers(&state), [""; 0]);
    fs::remove_file(&filler).unwrap();
    // What a killed pull left is removed by the next one.
    let part = state.join("base/blobs/sha256/.part-killed");
    fs::write(&part, "half").unwrap();
    let found = call();
    assert_eq!(found.code(), 0, "{}", found.transcript());
    assert!(!part.exists());
}

/// mmdebstrap ends with the command line that failed; why it failed is what the user needs.
#[test]
fn a_base_from_packages_that_cannot_be_made_is_refused_with_what_apt_said() {
    if !need_tool("mmdebstrap", "mmdebstrap") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let cache = Layout::create(directory.path()).unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let request = bootstrap::SuiteRequest {
        suite: "bookworm",
        snapshot: "20261101T000000Z",
        mirror: &format!("http://{gone}/debian"),
        packages: &[],
        platform: Platform::here().unwrap(),
    };
    let error = format!("{:#}", bootstrap::make(&cache, &request, &mut |_| {}).unwrap_err());
    let start =
        format!("cannot make the base image bookworm-20261101T000000Z from http://{gone}/debian: mmdebstrap ended");
    assert!(error.starts_with(&start) && error.contains("Failed to fetch"), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
}
