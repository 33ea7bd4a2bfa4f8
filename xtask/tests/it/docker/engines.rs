//! Builds from Dockerfiles with buildah, podman and Debian's docker: each engine builds the same digest everywhere.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock_config::images::Platform;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::build_project::{BuildProject, debian_in, declaration, small_in};
use super::registry_server::Server;
use crate::deb::fixture::run;
use crate::support::privilege::{as_root, succeeds_as_root};
use crate::support::{Finished, marker, need, need_tool, processes_with, skip, text, wait_for};

const DOCKERFILE: &str = "\
ARG BASE
FROM ${BASE}
ARG WHAT
COPY packages/ /packages/
RUN dpkg -i /packages/*.deb && rm -r /packages && useradd --system lamp && echo \"$WHAT\" >/etc/what && date +%N >/var/log/now
COPY . /usr/src/lanternd
";

/// The smoke test looks into the image: leftovers and stray files are not there, modes and dates are the commit's.
fn image() -> String {
    let script = "(cat /etc/what; lanternd --version; find /var/log -type f; stat -c '%a %Y' /usr/src/lanternd/Makefile; \
                  test ! -e /usr/src/lanternd/stray; grep ^lamp: /etc/shadow | cut -d: -f3) | tr '\\n' ' '";
    let expect = format!("v0.3.0 lanternd {{version}} 644 1780315200 {}", 1_780_315_200 / 86_400);
    format!(
        "from: {{dockerfile: docker/Dockerfile, debs: lanternd, args: {{WHAT: 'v{{version}}'}}, series: bookworm}}\n\
         entrypoint: [lanternd]\nsmoke-test: {{run: [sh, -c, \"{script}\"], expect: \"{expect}\"}}\n"
    )
}

fn lanternd_project(server: &Server) -> Option<BuildProject> {
    let build = BuildProject::lanternd(&declaration(&debian_in(server)?, &image())).proved()?;
    fs::write(build.at("config/docker/Dockerfile"), DOCKERFILE).unwrap();
    Some(build)
}

/// Builds twice, the second time from another directory with other files in it, under another umask, host and home.
fn twice(server: &Server, engine: &str, variables: &[(&str, &str)]) -> Option<BuildProject> {
    let first = lanternd_project(server)?;
    let one = first.built(&first.call(&["--engine", engine], variables), "0.3.0");
    let second = lanternd_project(server)?.elsewhere();
    let other = second.built(&second.call_varied_for_engine(&["--engine", engine], variables), "0.3.0");
    assert_eq!(other.clone().without_machine(), one.clone().without_machine());
    let way = one.made_by.unwrap().method;
    assert!(way.starts_with(engine), "{way}");
    Some(first)
}

/// Ends Drydock by a signal while the engine runs a command of the Dockerfile that ignores signals: no process of it is left, and the
/// next build is not disturbed by what was there.
fn interrupt(server: &Server, engine: &str, variables: &[(&str, &str)]) {
    let image = "from: {dockerfile: docker/Dockerfile}\nentrypoint: [sh]\nsmoke-test: {run: [sh, -c, 'echo 0.3.0']}\n";
    let build = BuildProject::lanternd(&declaration(&small_in(server), image));
    let waits = marker("waits");
    let deaf = "trap \"\" TERM INT HUP; while :; do sleep 1000 || :; done";
    let dockerfile = format!("ARG BASE\nFROM ${{BASE}}\nRUN sh -c '{deaf}' {waits} & sh -c '{deaf}' {waits}\n");
    fs::write(build.at("config/docker/Dockerfile"), dockerfile).unwrap();
    let argv = build.argv(&["build", "--engine", engine, "--platform", "linux/amd64"]);
    for signal in [Signal::KILL, Signal::TERM] {
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).env_remove("CI").envs(variables.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let runs = || processes_with(&waits).len() >= 2;
        let began = wait_for(Duration::from_secs(60), || runs().then_some(()));
        kill_process(pid, signal).unwrap();
        let ended: Finished = child.wait_with_output().unwrap().into();
        let said = ended.transcript();
        assert!(began.is_some(), "{engine}: {said}");
        let gone = wait_for(Duration::from_secs(20), || processes_with(&waits).is_empty().then_some(()));
        assert!(gone.is_some(), "{engine} {signal:?} leaves {:?}: {said}", processes_with(&waits));
        assert_eq!(ended.code(), if signal == Signal::KILL { -9 } else { 9 }, "{engine}: {said}");
    }
    fs::write(build.at("config/docker/Dockerfile"), "ARG BASE\nFROM ${BASE}\nRUN date\n").unwrap();
    build.built(&build.call(&["build", "--engine", engine, "--platform", "linux/amd64"], variables), "0.3.0");
}

fn here() -> bool {
    need(Platform::here() == Some(Platform::Amd64), "the tests' package is for amd64")
}

#[test]
fn buildah_makes_the_same_image_twice() {
    let Some(server) = Server::start() else { return };
    if here() && need_tool("buildah", "buildah") {
        interrupt(&server, "buildah", &[]);
        twice(&server, "buildah", &[]);
    }
}

#[test]
fn podman_makes_the_same_image_twice() {
    let Some(server) = Server::start() else { return };
    if here() && need_tool("podman", "podman") {
        interrupt(&server, "podman", &[]);
        twice(&server, "podman", &[]);
    }
}

/// Debian's docker engine, with everything that it keeps in directories of its own.
struct Daemon {
    child: Child,
    directory: TempDir,
    storage: TempDir,
}

impl Daemon {
    /// None where the kernel or the container that the tests run in does not let it start.
    fn start() -> Option<Daemon> {
        if !need_tool("dockerd", "docker.io") || !need_tool("docker", "docker.io") {
            return None;
        }
        let directory = TempDir::with_prefix("drydock-dockerd-").unwrap();
        let memory = drydock_base::scratch::roomy_memory().map_or_else(std::env::temp_dir, Path::to_owned);
        let storage = TempDir::with_prefix_in("drydock-dockerd-", memory).unwrap();
        let at = |name: &str| text(&directory.path().join(name));
        let log = File::create(directory.path().join("log")).unwrap();
        let words = ["dockerd", "--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"];
        let places = ["--data-root", &text(storage.path()), "--exec-root", &at("exec"), "--pidfile", &at("pid")];
        // The socket belongs to the group of the user who runs the tests.
        let group = rustix::process::getegid().as_raw().to_string();
        let socket = format!("unix://{}", at("socket"));
        let listen = ["--group", &group, "--host", &socket];
        let Some(mut command) = as_root(&[&words[..], &places, &listen].concat()) else {
            let _skipped = need(false, "dockerd cannot be started: that takes root, or sudo without a password");
            return None;
        };
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut daemon = Daemon { child, directory, storage };
        let host = daemon.host();
        let answers = || {
            let mut ask = Command::new("docker");
            ask.args(["version", "--format", "{{.Server.Version}}"]).env("DOCKER_HOST", &host).stdin(Stdio::null());
            ask.output().is_ok_and(|output| output.status.success())
        };
        let up = wait_for(Duration::from_secs(60), || match daemon.child.try_wait().unwrap() {
            Some(_) => Some(false),
            None => answers().then_some(true),
        });
        if up != Some(true) {
            let log = fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default();
            skip(&format!("dockerd does not start here: {}", log.lines().last().unwrap_or_default()));
            return None;
        }
        Some(daemon)
    }

    fn host(&self) -> String {
        format!("unix://{}", text(&self.directory.path().join("socket")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // On SIGTERM, dockerd ends its children and removes its mounts. A user may not signal root's process.
        let pid = fs::read_to_string(self.directory.path().join("pid")).unwrap_or_default();
        succeeds_as_root(&["kill", pid.trim()]);
        if wait_for(Duration::from_secs(20), || self.child.try_wait().unwrap()).is_none() {
            succeeds_as_root(&["kill", "-KILL", pid.trim()]);
            self.child.kill().ok();
        }
        self.child.wait().ok();
        succeeds_as_root(&["rm", "-rf", &text(self.directory.path()), &text(self.storage.path())]);
    }
}

#[test]
fn debians_docker_makes_the_same_image_twice_and_runs_both_kinds() {
    let Some(server) = Server::start() else { return };
    if !here() {
        return;
    }
    let Some(daemon) = Daemon::start() else { return };
    let host = daemon.host();
    let variables = [("DOCKER_HOST", host.as_str()), ("DOCKER_BUILDKIT", "0")];
    interrupt(&server, "docker", &variables);
    let Some(built) = twice(&server, "docker", &variables) else { return };
    let left = run(Path::new("/"), &["docker", "images", "--all", "--quiet"], &variables);
    assert_eq!(left, "", "the daemon keeps nothing of the builds");

    // docker runs the image that it built, and one that was built without it.
    let Some(base) = debian_in(&server) else { return };
    let made = BuildProject::lanternd(&declaration(&base, super::build_project::LANTERND)).proved().unwrap();
    made.built(&made.call(&[], &[]), "0.3.0");
    for (build, entrypoint) in [(&built, "built"), (&made, "made")] {
        let (archive, name) = (build.at("archive.tar"), format!("localhost/{entrypoint}:1"));
        let from = format!("oci:{}", text(&build.oci("0.3.0").join("mine")));
        let to = format!("docker-archive:{}:{name}", text(&archive));
        run(Path::new("/"), &["skopeo", "copy", "--quiet", &from, &to], &[]);
        run(Path::new("/"), &["docker", "load", "--quiet", "--input", &text(&archive)], &variables);
        let words = ["docker", "run", "--rm", "--network=none", &name, "--version"];
        assert_eq!(run(Path::new("/"), &words, &variables).trim(), "lanternd 0.3.0");
    }
}
