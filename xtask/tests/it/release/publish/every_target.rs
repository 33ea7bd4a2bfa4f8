//! Packages, images and packages of Python as targets of one release, with real SFTP, reprepro, docker-registry and pypiserver: killed
//! before and after their steps, refused, cut and answered late. With `DRYDOCK_TEST_PUBLISH=1`, all targets and all their steps are.
//!
//! The tables are printed: `cargo test -p drydock --test it release::publish -- --nocapture | grep '^|'`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use drydock_config::images::{Platform, Repository};
use drydock_github::stand_in::StandIn;
use drydock_oci::build_record::{self, BuildRecord, PlatformRecord, RecordTag, SmokeTestResult};
use drydock_oci::model::Index;
use drydock_oci::registry::{Attachment, Credentials, attach};
use serde_json::Value;

use super::killed::killed_at;
use super::pypi::{self, PACKAGE};
use super::{Release, TOKEN, rsyncd};
use crate::deb::end_to_end::Archive;
use crate::deb::uploads::{CONTROL, Server, Sftp};
use crate::docker::proxy::{Act, Proxy, Request};
use crate::docker::registry_server::{self, client};
use crate::docker::test_images::{ImageFactory, set};
use crate::support::{git, need, need_tools, text};

/// The tools, each with its Debian package.
const TOOLS: &[(&str, &str)] = &[
    ("rsync", "rsync"),
    ("sftp", "openssh-client"),
    ("reprepro", "reprepro"),
    ("dpkg-source", "dpkg-dev"),
    ("dh_clean", "debhelper"),
    ("docker-registry", "docker-registry"),
    ("strace", "strace"),
];

/// All targets with their servers.
struct Everything {
    release: Release,
    archive: Archive,
    sftp: Sftp,
    proxy: Proxy,
    github: StandIn,
    _registry: registry_server::Server,
    _index: pypi::Index,
    _rsyncd: Server,
    /// The names of the declared targets, in order.
    names: Vec<String>,
}

/// A step, as a plan has it, with what is known of it.
#[derive(Debug, Clone)]
struct Step {
    target: String,
    step: String,
    stage: String,
    is_done: bool,
    is_in_journal: bool,
}

impl Everything {
    /// Declares all targets, or only those that no other test has. None if tools are missing.
    fn new(is_all: bool) -> Option<Everything> {
        let has_sshd = need(Path::new("/usr/sbin/sshd").exists(), "sshd is missing: apt-get install openssh-server");
        if !has_sshd || !need_tools(TOOLS) || !pypi::has_tools() {
            return None;
        }
        let registry = registry_server::Server::start()?;
        let proxy = Proxy::start(&registry.host(), |_| Act::Pass);
        let images = format!(
            "repositories: {{nightly: {0}/p/nightly, release: {0}/p/release}}\nimages:\n  p:\n    from: {{dockerfile: Dockerfile}}\n    \
             platforms: [linux/amd64]\n    smoke-test: {{run: [p, --version], expect: 'p {{version}}'}}\n",
            proxy.host()
        );
        let files = [
            ("docker/images.yaml", images.as_str()),
            ("packaging/debian/control", CONTROL),
            ("packaging/debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n"),
            ("packaging/debian/copyright", "None.\n"),
            ("CHANGELOG.md", "## 1.1 - 2026-01-01\n\n- One.\n"),
        ];
        let all: Vec<(&str, &str)> = files.into_iter().chain(PACKAGE).collect();
        let mut release = Release::with(1, "- {images: {}}\n", &all)?;
        let at = |name: &str| release.world.at(name);
        let key = release.world.sh(&at("."), "fingerprint alice").trim().to_owned();
        let archive = Archive::new(&at("archive"), &at("keyring"), &key);
        let sftp = Sftp::start(&at("sshd"));
        sftp.let_in();
        for name in ["www", "daemon", "sshd/home/mirror"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let daemon = rsyncd(&at("daemon"), &at("rsyncd.log"));
        let index = pypi::Index::start(&at("index"));
        let github = StandIn::start("o/r", TOKEN).unwrap();
        release.github = Some(github.address.clone());
        let host = format!("127.0.0.1:{}", sftp.server.port);
        let user = super::super::fixture::run(&at("."), "id", &["-un"]).trim().to_owned();
        let python = pypi::target(&format!("127.0.0.1:{}", index.server.port), "127.0.0.1:1");
        let files = format!(
            "- {{directory: {{path: \"{{at}}www/{{version}}\", latest: true}}}}\n\
             - {{sftp: {{host: \"{host}\", path: \"mirror/{{version}}\"}}}}\n\
             - {{rsync: {{to: \"rsync://127.0.0.1:{}/m/{{version}}\"}}}}\n\
             - {{github: {{repository: o/r}}}}\n",
            daemon.port
        );
        let files = if is_all { files } else { String::new() };
        let upload = format!(
            "upload: {{target: queue, method: sftp, host: \"{host}\", login: {user}, incoming: \"{0}/incoming\", log: \"{0}/queue.log\"}}",
            text(&at("archive"))
        );
        release.declare(&format!(
            "{files}- {{deb: {{wait: 1}}}}\n- {{images: {{}}}}\n{python}deb:\n  maintainer: A Name <name@example.org>\n  orig: tar.gz\n  \
             revision: \"1\"\n  series: {{bookworm: {{number: \"12\", distribution: debian}}}}\n  {upload}\n"
        ));
        let project = release.world.project.path();
        git(project, &["tag", "-d", "v1.1"]);
        release.world.commit("v1.1", "three\n");
        release.world.build("1.1", "honest");
        release.sign("alice");
        github.state().tags.insert("v1.1".into(), git(project, &["rev-parse", "v1.1"]).trim().to_owned());
        push_image(&proxy.host(), project);
        let mut every = Everything {
            release,
            archive,
            sftp,
            proxy,
            github,
            _registry: registry,
            _index: index,
            _rsyncd: daemon,
            names: Vec::new(),
        };
        every.archive.open();
        for step in every.plan() {
            if !every.names.contains(&step.target) {
                every.names.push(step.target);
            }
        }
        Some(every)
    }

    /// The steps, in the order in which they are done.
    fn plan(&self) -> Vec<Step> {
        let said = self.publish(&["--dry-run", "--format", "json"]);
        assert_eq!(said.code(), 0, "{}", said.transcript());
        let plan: Value = serde_json::from_str(&said.stdout).unwrap();
        let one = |step: &Value| Step {
            target: step["target"].as_str().unwrap().to_owned(),
            step: step["step"].as_str().unwrap().to_owned(),
            stage: step["stage"].as_str().unwrap().to_owned(),
            is_done: step["action"] == "keep",
            is_in_journal: false,
        };
        plan["steps"].as_array().unwrap().iter().map(one).collect()
    }

    fn publish(&self, more: &[&str]) -> crate::support::Finished {
        let key = ["--key", "alice@example.org"];
        self.release.command(self.release.world.project.path(), &[&key[..], more].concat()).output().unwrap().into()
    }

    fn journal(&self) -> PathBuf {
        self.release.world.project.state().join("publish/1.1.jsonl")
    }

    /// What all targets have, by their places.
    fn held(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for place in ["www", "daemon", "sshd/home/mirror", "index"] {
            let found = super::tree(&self.release.world.at(place));
            all.extend(found.into_iter().map(|(name, what)| (format!("{place}/{name}"), what)));
        }
        for release in &self.github.state().releases {
            let names: Vec<&String> = release.assets.keys().collect();
            all.insert(format!("github {}", release.tag), format!("{} {names:?}", release.draft));
        }
        all.insert("deb".into(), self.archive.reprepro(&["list", "bookworm"]).1);
        let host = self.proxy.host();
        let registry = client(&host, &Credentials::default());
        let tags = registry.tags(&registry_server::repository(&host, "p/release")).unwrap();
        let tags: Vec<String> =
            tags.iter().map(ToString::to_string).filter(|tag| !tag.starts_with("sha256-")).collect();
        all.insert("images".into(), format!("{tags:?}"));
        all
    }
}

/// Pushes an image as a nightly build of the release does.
fn push_image(host: &str, project: &Path) {
    let factory = ImageFactory::new();
    let registry = client(host, &Credentials::default());
    let nightly: Repository = registry_server::repository(host, "p/nightly");
    let commit = git(project, &["rev-parse", "HEAD"]).trim().to_owned();
    let labels = [("org.opencontainers.image.revision", commit.as_str()), ("org.opencontainers.image.version", "1.1")];
    let top = factory.index(vec![factory.child(Platform::Amd64, 1, &labels)]);
    factory.push(&registry, &nightly, &top, &[]);
    let index: Index = serde_json::from_slice(&factory.layout.read(&top).unwrap()).unwrap();
    let test = SmokeTestResult { run: vec!["p".into(), "--version".into()], printed: "p 1.1".into() };
    let platform = PlatformRecord { digest: index.manifests[0].digest, base: None, smoke_test: Some(test) };
    let object = git(project, &["rev-parse", "refs/tags/v1.1"]).trim().to_owned();
    let record = BuildRecord {
        format: build_record::FORMAT,
        image: "p".into(),
        version: "1.1".into(),
        commit: commit.clone(),
        tag: Some(RecordTag { name: "v1.1".into(), object }),
        epoch: 0,
        digest: top.digest,
        platforms: BTreeMap::from([("linux/amd64".into(), platform)]),
        inputs: Vec::new(),
        without_proof: None,
        made_by: None,
    };
    let bytes = record.text().unwrap();
    let file = Attachment { media_type: "application/json", bytes: bytes.as_bytes(), annotations: &[] };
    attach(&registry, &nightly, &top, build_record::ARTIFACT_TYPE, &[file]).unwrap();
    set(&registry, &nightly, &top, &[&format!("sha-{}", &commit[..12])]);
}

#[test]
fn packages_images_and_python_are_published_whatever_happens() {
    let is_all = std::env::var_os("DRYDOCK_TEST_PUBLISH").is_some();
    let Some(every) = Everything::new(is_all) else { return };
    let count = if is_all { 7 } else { 3 };
    assert_eq!(every.names.len(), count, "{:?}", every.names);

    // Every answer of the registry but the right one, before anything is done.
    println!("| answer of the registry | exit | result |");
    let status = |status: u16| move |_: &Request| Act::Response(status, vec![], b"{}".to_vec());
    type Script = Box<dyn Fn(&Request) -> Act + Send + Sync>;
    let mut rows: Vec<(&str, Script)> = vec![
        ("401", Box::new(status(401))),
        ("403", Box::new(status(403))),
        ("409", Box::new(status(409))),
        ("422", Box::new(status(422))),
        ("429", Box::new(|_| Act::Response(429, vec![("retry-after", "100000".into())], vec![]))),
        ("503", Box::new(|_| Act::Response(503, vec![("retry-after", "100000".into())], vec![]))),
        ("truncated", Box::new(|request| if request.method == "GET" { Act::CutAnswer(3) } else { Act::Pass })),
    ];
    if is_all {
        // It is asked again for half a minute.
        rows.push(("500", Box::new(status(500))));
        rows.push(("none, although it was served", Box::new(|_| Act::LoseAnswer)));
    }
    for (name, script) in rows {
        every.proxy.script(script);
        let said = every.publish(&[]);
        assert!(
            said.code() == 8 && said.stderr.contains("cannot ask the target images"),
            "{name}: {}",
            said.transcript()
        );
        println!("| {name} | {} | nothing was done anywhere |", said.code());
        every.proxy.script(|_| Act::Pass);
    }
    assert!(!every.journal().exists() && !every.release.world.at("index").join("p-words-1.1.tar.gz").exists());
    // It is slow, and that is all.
    every.proxy.script(|_| {
        std::thread::sleep(Duration::from_millis(100));
        Act::Pass
    });

    // The archive is not there, refuses to take anything, and breaks off: nothing is taken for uploaded.
    println!("| answer of the archive | exit | result |");
    for (fault, content) in [("deny", ""), ("cut", "1500")] {
        fs::write(every.release.world.at("sshd").join(fault), content).unwrap();
        let said = every.publish(&[]);
        let is_refused = matches!(said.code(), 4 | 8) && !said.stdout.contains("is published");
        assert!(is_refused, "{fault}: {}", said.transcript());
        assert!(!every.archive.reprepro(&["list", "bookworm"]).1.contains("words"), "{fault}");
        println!("| {fault} | {} | nothing is in the archive, `latest` stays |", said.code());
        fs::remove_file(every.release.world.at("sshd").join(fault)).unwrap();
    }
    // Every second answer to what is written is lost, although it was served: it is asked what is there.
    let (count_of, lost) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let losing = Arc::clone(&lost);
    every.proxy.script(move |request| {
        if request.method == "PUT" && count_of.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
            losing.fetch_add(1, Ordering::Relaxed);
            return Act::LoseAnswer;
        }
        Act::Pass
    });

    // Killed around the first step of each target in each stage: before the journal says that it begins, before it is done, and
    // before the journal says that it is done.
    let mut steps = every.plan();
    let journal = fs::read_to_string(every.journal()).unwrap_or_default();
    for step in &mut steps {
        let of_step = |line: &&str| {
            line.contains(&format!("\"step\":\"{}\"", step.step))
                && line.contains(&format!("\"target\":\"{}\"", step.target))
        };
        let last = journal.lines().rev().find(of_step).unwrap_or_default();
        step.is_in_journal = last.contains("\"event\":\"done\"") || last.contains("\"event\":\"found\"");
    }
    let firsts: Vec<usize> = (0..steps.len())
        .filter(|at| {
            let is_same = |other: &Step| (&other.target, &other.stage) == (&steps[*at].target, &steps[*at].stage);
            !steps[*at].is_done && !steps[..*at].iter().any(|other| is_same(other) && !other.is_done)
        })
        .collect();
    assert!(firsts.len() >= count, "{steps:?}");
    println!("| killed | before it begins | begun | done |");
    let mut kills = 0;
    for at in firsts {
        let moments: &[(&str, usize)] =
            if is_all { &[("write", 1), ("fdatasync", 1), ("write", 2)] } else { &[("write", 2)] };
        let mut row = Vec::new();
        for (call, of_step) in moments {
            let writes = |step: &Step| match (step.is_done, step.is_in_journal) {
                (true, true) => 0,
                (true, false) => 1,
                (false, _) => 2,
            };
            let before: usize = steps[..at].iter().map(writes).sum();
            assert!(killed_at(&every.release, &every.journal(), call, before + of_step), "{:?}", steps[at]);
            kills += 1;
            for step in &mut steps[..at] {
                (step.is_done, step.is_in_journal) = (true, true);
            }
            steps[at].is_done = *of_step == 2;
            let known = fs::read_to_string(every.journal()).unwrap();
            let last = known.lines().last().unwrap_or_default();
            let is_begun = last.contains("\"event\":\"begun\"") && last.contains(&steps[at].step);
            assert_eq!(is_begun, *call == "fdatasync" || *of_step == 2, "{call} {of_step}: {last}");
            row.push("goes on");
        }
        println!("| {}: {} | {} |", steps[at].target, steps[at].step, row.join(" | "));
    }
    // The same command ends in the same state as one that nobody killed.
    let said = every.publish(&[]);
    assert!(said.code() == 0 && said.stdout.contains("is published"), "{}", said.transcript());
    let lost = lost.load(Ordering::Relaxed);
    println!(
        "| {lost} answers of the registry lost after they were served | {} | everything is there once |",
        said.code()
    );
    assert!(lost > 0);
    every.proxy.script(|_| Act::Pass);
    let held = every.held();
    assert_eq!(held["deb"].trim(), "bookworm|main|source: words 1.1-1~debian12.1", "{held:?}");
    assert_eq!(held["images"], "[\"latest\", \"v1.1\"]");
    assert!(held.contains_key("index/p-words-1.1.tar.gz") && held.contains_key("index/p_words-1.1-py3-none-any.whl"));
    if is_all {
        for place in ["www/1.1", "daemon/1.1", "sshd/home/mirror/1.1"] {
            every.release.check(&every.release.world.at(place));
        }
        assert!(held["github v1.1"].starts_with("false "), "{held:?}");
    }
    let again = every.publish(&[]);
    assert!(again.code() == 0 && !again.stdout.contains("  to do "), "{}", again.transcript());
    assert_eq!(every.held(), held, "nothing is done twice");
    assert_eq!(fs::read_to_string(every.release.world.at("archive/queue.log")).unwrap().lines().count(), 1);
    println!("{kills} kills, {} steps", steps.len());
    assert!(kills >= count);

    // What was promoted is never replaced.
    let host = every.proxy.host();
    let registry = client(&host, &Credentials::default());
    let factory = ImageFactory::new();
    let other = factory.index(vec![factory.child(Platform::Amd64, 9, &[])]);
    let repository = registry_server::repository(&host, "p/release");
    factory.push(&registry, &repository, &other, &["v1.1"]);
    let said = every.publish(&[]);
    let words = ["REFUSED  images", "cannot be replaced"];
    assert!(said.code() == 7 && words.iter().all(|words| said.stdout.contains(words)), "{}", said.transcript());
    assert!(every.sftp.server.port > 0);
}
