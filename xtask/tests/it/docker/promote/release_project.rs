//! A project with signed tags, two keys, and images that were built and pushed as a release's are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drydock_config::images::{Platform, Repository};
use drydock_oci::build_record::{self, BuildRecord, PlatformRecord, RecordTag, SmokeTestResult};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index};
use drydock_oci::registry::{Attachment, Credentials, Registry, attach};
use tempfile::TempDir;

use crate::docker::registry_server::{Server, client, repository};
use crate::docker::test_images::{ImageFactory, project_at};
use crate::support::{Finished, Project, git, git_with, text, xtask_binary};

/// An image to build and push.
#[derive(Clone, Copy)]
pub(super) struct Built<'a> {
    pub(super) image: &'a str,
    pub(super) tag: &'a str,
    pub(super) version: &'a str,
    pub(super) commit: &'a str,
    /// The commit in the label of one platform.
    pub(super) revision: &'a str,
    pub(super) printed: &'a str,
    pub(super) has_record: bool,
    pub(super) seed: u64,
}

impl<'a> Built<'a> {
    /// An image without defects. The output of its smoke test is made of the version.
    pub(super) fn new(tag: &'a str, version: &'a str, commit: &'a str) -> Built<'a> {
        Built { image: "mine", tag, version, commit, revision: commit, printed: "", has_record: true, seed: 5 }
    }
}

/// The project, its keys and its repositories.
pub(super) struct ReleaseProject {
    pub(super) project: Project,
    pub(super) home: TempDir,
    factory: ImageFactory,
    pub(super) registry: Registry,
    pub(super) nightly: Repository,
    pub(super) release: Repository,
    /// The fingerprint of a declared key.
    pub(super) captain: String,
    /// The fingerprint of another.
    pub(super) mallory: String,
    /// The variables with the login of the registry.
    login: Vec<(&'static str, String)>,
}

impl ReleaseProject {
    pub(super) fn new(host: &str) -> ReleaseProject {
        ReleaseProject::with(host, 1, false)
    }

    /// A project at a registry that may need a login.
    pub(in crate::docker) fn at(server: &Server) -> ReleaseProject {
        let (registry, login) = (server.client(), server.login());
        ReleaseProject { registry, login, ..ReleaseProject::new(&server.host()) }
    }

    /// A project with a quorum of signatures; `both` declares the second key too.
    pub(super) fn with(host: &str, quorum: u32, both: bool) -> ReleaseProject {
        let home = TempDir::with_prefix("drydock-keys-").unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let signing = format!("signing: {{keys: packaging/keys, quorum: {quorum}}}\n");
        let project = project_at(host, &signing, "    platforms: [linux/amd64, linux/arm64]\n");
        let registry = client(host, &Credentials::default());
        let (nightly, release) = (repository(host, "mine/nightly"), repository(host, "mine/release"));
        let (captain, mallory) = (String::new(), String::new());
        let mut setup = ReleaseProject {
            project,
            home,
            factory: ImageFactory::new(),
            registry,
            nightly,
            release,
            captain,
            mallory,
            login: Vec::new(),
        };
        setup.captain = setup.key("captain");
        setup.mallory = setup.key("mallory");
        let keys = setup.project.path().join("packaging/keys");
        fs::create_dir(&keys).unwrap();
        for key in [Some(&setup.captain), both.then_some(&setup.mallory)].into_iter().flatten() {
            fs::write(keys.join(format!("{key}.asc")), setup.gpg(&["--armor", "--export", key], &[])).unwrap();
        }
        setup
    }

    fn key(&self, name: &str) -> String {
        let user = format!("{name} <{name}@example.org>");
        self.gpg(&["--passphrase", "", "--quick-generate-key", &user, "ed25519", "sign", "never"], &[]);
        let listed = String::from_utf8(self.gpg(&["--list-keys", "--with-colons", name], &[])).unwrap();
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
        line.trim_matches(':').to_owned()
    }

    fn gpg(&self, args: &[&str], files: &[&Path]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--yes"]).args(args).args(files).env("GNUPGHOME", self.home.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(super) fn git(&self, args: &[&str]) {
        git(self.project.path(), args);
    }

    /// Commits something new; its name.
    pub(super) fn commit(&self, what: &str) -> String {
        fs::write(self.project.path().join("a.txt"), what).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", what]);
        git(self.project.path(), &["rev-parse", "HEAD"])
    }

    /// Tags HEAD, signed with a key.
    pub(super) fn sign_tag(&self, tag: &str, key: &str) {
        let home = text(self.home.path());
        git_with(self.project.path(), &["tag", "-s", "-u", key, "-m", tag, tag], &[("GNUPGHOME", &home)]);
    }

    /// Adds a signature to those of a release's sums.
    pub(super) fn sign_sums(&self, version: &str, key: &str) {
        let sums = self.dist(version).join("SHA256SUMS");
        let signature = self.gpg(&["--armor", "--detach-sign", "--local-user", key, "--output", "-"], &[&sums]);
        let path = self.dist(version).join("SHA256SUMS.asc");
        let mut all = fs::read(&path).unwrap_or_default();
        all.extend(signature);
        fs::write(path, all).unwrap();
    }

    /// Whether gpg says that a key signed a text.
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8], key: &str) -> bool {
        let directory = TempDir::new().unwrap();
        let (file, detached) = (directory.path().join("file"), directory.path().join("file.asc"));
        fs::write(&file, signed).unwrap();
        fs::write(&detached, signature).unwrap();
        let mut command = Command::new("gpg");
        command.args(["--batch", "--status-fd", "1", "--verify"]).args([&detached, &file]);
        let output = command.env("GNUPGHOME", self.home.path()).output().unwrap();
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success() && status.lines().any(|line| line.contains("VALIDSIG") && line.ends_with(key))
    }

    pub(super) fn dist(&self, version: &str) -> PathBuf {
        self.project.state().join("dist").join(version)
    }

    /// Builds an image, pushes it to the nightly repository and tags it with its commit.
    pub(super) fn push(&self, built: &Built<'_>) -> Descriptor {
        let top = self.push_to(&self.nightly, built);
        let tag = format!("sha-{}", &built.commit[..12]);
        super::set(&self.registry, &self.nightly, &top, &[&tag]);
        top
    }

    /// Builds and proves the release at HEAD.
    pub(super) fn prove(&self) {
        let proved = self.project.xtask(&["release", "prove"]).run();
        assert_eq!(proved.code(), 0, "{}", proved.transcript());
    }

    /// Leaves an image on this machine as a build does.
    pub(super) fn build(&self, built: &Built<'_>, top: &Descriptor) {
        let directory = self.dist(built.version).join("oci");
        let layout = Layout::create(&directory.join("mine")).unwrap();
        let index = layout.put(&top.media_type, &self.factory.layout.read(top).unwrap()).unwrap();
        layout.set_index(vec![index]).unwrap();
        self.record(built, top).save(&layout).unwrap();
    }

    pub(super) fn push_to(&self, repository: &Repository, built: &Built<'_>) -> Descriptor {
        let child = |platform, seed, revision| {
            let labels =
                [("org.opencontainers.image.revision", revision), ("org.opencontainers.image.version", built.version)];
            self.factory.child(platform, seed, &labels)
        };
        let children = vec![
            child(Platform::Amd64, built.seed, built.commit),
            child(Platform::Arm64, built.seed + 1, built.revision),
        ];
        let top = self.factory.index(children);
        self.factory.push(&self.registry, repository, &top, &[]);
        if built.has_record {
            let bytes = self.record(built, &top).text().unwrap();
            let file = Attachment { media_type: "application/json", bytes: bytes.as_bytes(), annotations: &[] };
            attach(&self.registry, repository, &top, build_record::ARTIFACT_TYPE, &[file]).unwrap();
        }
        top
    }

    fn record(&self, built: &Built<'_>, top: &Descriptor) -> BuildRecord {
        let index: Index = serde_json::from_slice(&self.factory.layout.read(top).unwrap()).unwrap();
        let printed = match built.printed {
            "" => format!("mine {}", built.version),
            printed => printed.to_owned(),
        };
        let test = SmokeTestResult { run: vec!["mine".into(), "--version".into()], printed };
        let platform = |at: usize| PlatformRecord {
            digest: index.manifests[at].digest,
            base: None,
            smoke_test: Some(test.clone()),
        };
        let object = git(self.project.path(), &["rev-parse", &format!("refs/tags/{}", built.tag)]);
        BuildRecord {
            format: build_record::FORMAT,
            image: built.image.into(),
            version: built.version.into(),
            commit: built.commit.into(),
            tag: Some(RecordTag { name: built.tag.into(), object }),
            epoch: 1_780_315_200,
            digest: top.digest,
            platforms: BTreeMap::from([("linux/amd64".into(), platform(0)), ("linux/arm64".into(), platform(1))]),
            inputs: Vec::new(),
            without_proof: None,
            made_by: None,
        }
    }

    /// `xtask docker promote ARGS…`, about to start.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(xtask_binary());
        command
            .args(["--project", &text(self.project.path()), "docker", "promote"])
            .args(args.iter().filter(|arg| **arg != "--proved"));
        // The images and their sources are made by these tests.
        if !args.contains(&"--proved") {
            command.args(["--without-proof", "made by a test"]);
        }
        command.env("GNUPGHOME", self.home.path()).env_remove("CI").stdin(Stdio::null());
        command.envs(self.login.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub(super) fn call(&self, args: &[&str]) -> Finished {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap().into()
    }

    /// A call that must succeed.
    #[track_caller]
    pub(super) fn ok(&self, args: &[&str]) -> Finished {
        let finished = self.call(args);
        assert_eq!(finished.code(), 0, "{args:?}: {}", finished.transcript());
        finished
    }
}
