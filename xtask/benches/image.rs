//! What images cost: one built of an archive with programs on a base, tried and pushed, beside `buildah bud` and `buildah
//! push` of the same content on the same base; and the whole promotion of that image, from the check of the signed tag to the
//! signed record and the tags, beside `skopeo copy --all`, which does a part of it, and beside a script that does it all.
//!
//! `cargo bench -p drydock --bench image [-- --strict]`. The registry is a real docker-registry on this machine, the base a
//! minimal Debian by mmdebstrap, which wants a network. Both sides take turns, each time with content that the registry
//! does not have yet; both have the base already. The ratio is taken round by round, and its median counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use drydock_config::images::{Images, Repository};
use drydock_oci::image::WrittenImage;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, ParsedManifest};
use drydock_oci::registry::{self, Credentials, Registry};
use drydock_oci::smoke;

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/peers.rs"]
mod peers;
mod support;

use peers::shell;
use support::{Figures, median};

const ROUNDS: usize = 5;
/// The size of the layer above the base, in bytes.
const CONTENT: u64 = 30_000_000;

/// With these arguments this program pushes or tests and does nothing else, as a process of its own like its peers.
const PUSH: &str = "--push-layout";
const SMOKE: &str = "--smoke-test";

/// Builds and pushes; `$OUT` is the target. With its fastest storage, and without an intermediate image.
const PEER_BUILD: &str = "$BUILDAH bud --quiet --isolation chroot --layers=false --timestamp 1780315200 -t bench context \
                          >/dev/null && $BUILDAH push --quiet --tls-verify=false bench docker://$OUT";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == PUSH) {
        push(Path::new(&arguments[at + 1]), &arguments[at + 2], &arguments[at + 3]);
        return ExitCode::SUCCESS;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == SMOKE) {
        smoke_test(Path::new(&arguments[at + 1]), &arguments[at + 2]);
        return ExitCode::SUCCESS;
    }
    let mut figures = Figures::new("image");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    let tools = [
        ("git", "git"),
        ("mmdebstrap", "mmdebstrap"),
        ("docker-registry", "docker-registry"),
        ("buildah", "buildah"),
        ("skopeo", "skopeo"),
        ("gpg", "gpg"),
    ];
    if !peers::are_there(&mut figures, &tools) {
        return figures.finish();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&directory.path().join("registry"));
    let bench = Bench::set_up(directory.path(), &server.host);

    let [mut build, mut promote, mut by_script] = [(); 3].map(|()| Times::default());
    let mut smoke = Vec::new();
    for round in 0..=ROUNDS {
        let own = bench.build(round);
        let tested = bench.tests(round);
        let peer = bench.peer_builds(round);
        let (promoted, copied, scripted) = bench.promote(round);
        // The first round warms the caches.
        if round > 0 {
            build.push(own, peer);
            smoke.push(tested);
            promote.push(promoted, copied);
            by_script.push(promoted, scripted);
        }
    }
    println!("{} MB of text on a minimal Debian, {ROUNDS} rounds\n", CONTENT / 1_000_000);
    println!("{:<44} {:>8}", "", "median s");
    println!("{:<44} {:>8.2}", "drydock: build, smoke test, push", median(&mut build.own));
    println!("{:<44} {:>8.2}", "  of which the smoke test", median(&mut smoke));
    println!("{:<44} {:>8.2}", "buildah bud, push", median(&mut build.peer));
    println!("{:<44} {:>8.3}", "drydock: docker promote", median(&mut promote.own));
    println!("{:<44} {:>8.3}", "skopeo copy --all", median(&mut promote.peer));
    println!("{:<44} {:>8.3}\n", "git verify-tag, skopeo, gpg, two tags", median(&mut by_script.peer));
    let ratio = median(&mut build.ratios);
    // The peer tries nothing, so the smoke test is measured in a process of its own.
    let without: Vec<f64> = build.own.iter().zip(&smoke).map(|(own, tested)| own - tested).collect();
    let mut untried: Vec<f64> = without.iter().zip(&build.peer).map(|(own, peer)| own / peer).collect();
    let untried = median(&mut untried);
    figures.figure(&format!("{untried:.2} x buildah bud and push"), "0.5 x", untried <= 0.5);
    figures.figure(&format!("{ratio:.2} x with the smoke test, which they do not make"), "0.5 x", ratio <= 0.5);
    let ratio = median(&mut promote.ratios);
    figures.figure(&format!("{ratio:.2} x skopeo copy --all, the whole promotion"), "1.0 x", ratio <= 1.0);
    let ratio = median(&mut by_script.ratios);
    figures.figure(&format!("{ratio:.2} x a script that does as much"), "1.0 x", ratio <= 1.0);
    figures.finish()
}

/// Wall seconds of both sides, round by round.
#[derive(Default)]
struct Times {
    own: Vec<f64>,
    peer: Vec<f64>,
    ratios: Vec<f64>,
}

impl Times {
    fn push(&mut self, own: f64, peer: f64) {
        self.own.push(own);
        self.peer.push(peer);
        self.ratios.push(own / peer);
    }
}

struct Bench<'a> {
    directory: &'a Path,
    host: &'a str,
    buildah: String,
}

impl Bench<'_> {
    /// The base in the registry and in the stores of both sides, a project whose image is made of an archive, and the
    /// same as a Dockerfile.
    fn set_up<'a>(directory: &'a Path, host: &'a str) -> Bench<'a> {
        let storage = if overlay_works(directory) { "overlay" } else { "vfs" };
        let (root, run) = (directory.join("storage"), directory.join("run"));
        let buildah =
            format!("buildah --storage-driver {storage} --root {} --runroot {}", root.display(), run.display());
        let bench = Bench { directory, host, buildah };
        bench.shell(
            "mmdebstrap --quiet --variant=minbase --mode=root bookworm base.tar && c=$($BUILDAH from scratch) && \
             $BUILDAH add --quiet $c base.tar >/dev/null && $BUILDAH commit --quiet --timestamp 1780315200 $c base \
             >/dev/null && $BUILDAH push --quiet --tls-verify=false base docker://$OUT",
            &format!("{host}/base:1"),
        );
        let digest =
            bench.read(&format!("skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{host}/base:1"));

        let content = corpus::project(directory, CONTENT);
        let programs = content.join("bin");
        fs::create_dir_all(&programs).expect("a directory");
        fs::write(programs.join("mine"), "#!/bin/sh\nread -r _ round </opt/mine/round\necho 1.$round\n")
            .expect("a file");
        bench.shell("chmod 755 project/bin/mine", "");

        let project = directory.join("mine");
        fs::create_dir_all(project.join("packaging")).expect("a directory");
        fs::create_dir_all(project.join("docker")).expect("a directory");
        let signing = "name: mine\nversion: {}\narchives: [{format: tar.xz}]\nsigning: {keys: packaging/keys}\n";
        fs::write(project.join("packaging/release.yaml"), signing).expect("a file");
        bench.shell(
            "mkdir -m 700 keys && mkdir mine/packaging/keys && export GNUPGHOME=$PWD/keys && gpg --batch --quiet \
             --passphrase '' --quick-generate-key captain@example.org ed25519 sign never && gpg --armor --export \
             >mine/packaging/keys/captain.asc",
            "",
        );
        fs::write(
            project.join("docker/images.yaml"),
            format!(
                "repositories: {{nightly: '{host}/nightly', release: '{host}/release'}}\nimages:\n  mine:\n    \
                 base: {{image: '{host}/base', digest: '{digest}'}}\n    \
                 from: {{archive: 'build/mine.tar.gz', into: /opt/mine}}\n    \
                 smoke-test: {{run: [/opt/mine/bin/mine], expect: '{{version}}'}}\n"
            ),
        )
        .expect("a file");
        fs::write(project.join(".gitignore"), "build/\ntarget/\n").expect("a file");
        corpus::commit(&project);
        bench.shell("mkdir mine/build context", "");
        fs::write(
            directory.join("context/Dockerfile"),
            format!("FROM {host}/base@{digest}\nADD mine.tar.gz /opt/mine\n"),
        )
        .expect("a file");
        bench.shell("$BUILDAH pull --quiet --tls-verify=false $OUT >/dev/null", &format!("{host}/base@{digest}"));
        bench
    }

    /// New content for a side, which is not part of what is measured.
    fn content(&self, word: &str, file: &str) {
        fs::write(self.directory.join("project/round"), format!("{word}\n")).expect("a file");
        self.shell(&format!("tar -C project -czf {file} ."), "");
    }

    /// Runs `drydock docker` with these arguments.
    fn docker(&self, arguments: &[&str]) {
        let done = Command::new(peers::users_binary())
            .args(["--project".as_ref(), self.directory.join("mine").as_os_str()])
            .arg("docker")
            .args(arguments)
            .env("GNUPGHOME", self.directory.join("keys"))
            .output()
            .expect("this program starts");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn layout(&self, round: usize) -> PathBuf {
        self.directory.join(format!("mine/target/xtask/dist/1.{round}/oci/mine"))
    }

    fn build(&self, round: usize) -> f64 {
        self.content(&format!("ours {round}"), "mine/build/mine.tar.gz");
        let tag = "export GNUPGHOME=$PWD/keys; cd mine && git -c user.name=n -c user.email=m commit -q --allow-empty -m \
                   ROUND && git -c user.name=n -c user.email=m tag -u captain@example.org -m 1.ROUND v1.ROUND";
        self.shell(&tag.replace("ROUND", &round.to_string()), "");
        let began = Instant::now();
        self.docker(&["build"]);
        let layout = self.layout(round);
        let target = format!("{}/ours-{round}", self.host);
        own(&[PUSH, &layout.display().to_string(), &target, &format!("{}/base", self.host)]);
        began.elapsed().as_secs_f64()
    }

    fn peer_builds(&self, round: usize) -> f64 {
        self.content(&format!("theirs {round}"), "context/mine.tar.gz");
        self.shell(PEER_BUILD, &format!("{}/theirs-{round}:1", self.host))
    }

    /// Only the smoke test, of the image that was just built.
    fn tests(&self, round: usize) -> f64 {
        let began = Instant::now();
        own(&[SMOKE, &self.directory.join("mine").display().to_string(), &format!("1.{round}")]);
        began.elapsed().as_secs_f64()
    }

    /// The image of this round to the release repository, and to two new repositories by others: with the copy alone, and with all
    /// that a promotion is.
    fn promote(&self, round: usize) -> (f64, f64, f64) {
        let layout = Layout::open(&self.layout(round)).expect("a layout");
        let digest = layout.index().expect("an index").manifests[0].digest.to_string();
        let (version, why) = (format!("1.{round}"), "--without-proof=a benchmark");
        self.docker(&["nightly", why]);
        let began = Instant::now();
        self.docker(&["promote", &version, why]);
        let seconds = began.elapsed().as_secs_f64();
        let from = format!("docker://{}/nightly@{digest}", self.host);
        let copy = "skopeo copy --quiet --all --src-tls-verify=false --dest-tls-verify=false";
        let copied = self.shell(&format!("{copy} {from} docker://$OUT"), &format!("{}/copied-{round}:1", self.host));
        let script = format!(
            "export GNUPGHOME=$PWD/keys; git -C mine verify-tag v{version} 2>verified && {copy} {from} docker://$OUT:{version} && \
             skopeo inspect --raw --tls-verify=false docker://$OUT:{version} >manifest && gpg --batch --quiet --yes --armor \
             --detach-sign manifest && {copy} docker://$OUT:{version} docker://$OUT:latest"
        );
        (seconds, copied, self.shell(&script, &format!("{}/scripted-{round}", self.host)))
    }

    fn shell(&self, line: &str, out: &str) -> f64 {
        let line = line.replace("$BUILDAH", &self.buildah);
        shell(&line, self.directory, Path::new(out))
    }

    fn read(&self, line: &str) -> String {
        let output = Command::new("sh").args(["-c", line]).current_dir(self.directory).output().expect("sh runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// Whether the faster of buildah's ways to store layers works here.
fn overlay_works(directory: &Path) -> bool {
    let line = "mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay m && umount m";
    let tried = directory.join("overlay");
    fs::create_dir(&tried).expect("a directory");
    Command::new("sh").args(["-c", line]).current_dir(tried).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Runs this very program with other arguments.
fn own(arguments: &[&str]) {
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).args(arguments).status().expect("this program starts");
    assert!(status.success(), "{arguments:?} ended with {status}");
}

fn opened(repository: &str) -> (Registry, Repository) {
    let repository: Repository = repository.parse().expect("a repository");
    let registry = Registry::open(repository.host(), &Credentials::from_process()).expect("a registry");
    (registry, repository)
}

fn push(layout: &Path, target: &str, base: &str) {
    let layout = Layout::open(layout).expect("a layout");
    let index = layout.index().expect("an index");
    let (registry, repository) = opened(target);
    let base: Repository = base.parse().expect("a repository");
    registry::push(&registry, &repository, &layout, &index.manifests[0], &[base]).expect("a push");
}

fn smoke_test(project: &Path, version: &str) {
    let declaration = project.join("docker/images.yaml");
    let text = fs::read_to_string(&declaration).expect("a declaration");
    let images = Images::parse(&text, &declaration).expect("a declaration");
    let layout = project.join("target/xtask/dist").join(version).join("oci/mine");
    let layout = Layout::open(&layout).expect("a layout");
    let read = |descriptor: &Descriptor| {
        let bytes = layout.read(descriptor).expect("a manifest");
        ParsedManifest::read(&descriptor.media_type, &bytes).expect("a manifest")
    };
    let ParsedManifest::Index(index) = read(&layout.index().expect("an index").manifests[0]) else {
        panic!("an index")
    };
    let ParsedManifest::Manifest(manifest) = read(&index.manifests[0]) else { panic!("an image") };
    let config = layout.read(&manifest.config).expect("a configuration");
    let config = serde_json::from_slice(&config).expect("a configuration");
    let image = WrittenImage { descriptor: index.manifests[0].clone(), manifest, config };
    let version = version.parse().expect("a version");
    smoke::test(&layout, &image, &images.images[0].smoke_test, &version).expect("it passes");
}

/// A docker-registry on a free port of this machine; killed when dropped.
struct Server {
    child: Child,
    host: String,
}

impl Server {
    fn start(directory: &Path) -> Server {
        fs::create_dir_all(directory).expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let config = directory.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: \
             {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            directory.join("data").display()
        );
        fs::write(&config, text).expect("a file");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry starts");
        let server = Server { child, host: format!("127.0.0.1:{port}") };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not listen");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("the registry can be killed");
        self.child.wait().expect("the registry can be waited for");
    }
}
