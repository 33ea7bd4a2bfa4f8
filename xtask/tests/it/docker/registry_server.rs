//! A real registry on a free port of this machine, docker's unless a test names another, and small images to put into it.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock_config::images::{Digest, Platform, Repository};
use drydock_http::{Clock, RetryPolicy};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index, Manifest, media};
use drydock_oci::registry::{Credentials, Registry, RegistryError, Settings};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::support::{need_tool, wait_for};

/// The user of a registry with a password.
pub(crate) const USER: &str = "captain";
/// The password of that user.
pub(crate) const PASSWORD: &str = "right-horse";
/// Both in the format of htpasswd (bcrypt).
const HTPASSWD: &str = "captain:$2y$05$abcdefghijklmnopqrstuukAGqk1114ICnhl6dLOh9a3Ti/e0h/ma\n";

/// The program that is a registry.
#[derive(Clone, Default)]
pub(crate) enum Program {
    /// Debian's docker-registry.
    #[default]
    Docker,
    /// Zuul's registry; writing needs the password. It deletes nothing and has pages, ranges and mounts of no kind.
    Zuul(PathBuf),
    /// The program of the crate `container-registry`, which needs the password for everything.
    ContainerRegistry(PathBuf),
}

/// The options of a registry.
#[derive(Default)]
pub(crate) struct Options {
    /// The program. The others heed no further option.
    pub(crate) program: Program,
    /// Whether the registry requires the password.
    pub(crate) password: bool,
    /// The token service that the registry refers to, and the certificate of the key that signs its tokens.
    pub(crate) token: Option<(String, PathBuf)>,
    /// The directory with `server.crt` and `server.key` for HTTPS.
    pub(crate) tls: Option<PathBuf>,
    /// The storage directory, if not one of its own.
    pub(crate) storage: Option<PathBuf>,
    /// Whether deletion is disabled.
    pub(crate) keeps_all: bool,
}

/// Whether the error is the registry's: a refusal, no response, or an invalid one.
pub(crate) fn is_remote(error: &anyhow::Error) -> bool {
    is_refusal(error) || error.chain().any(|cause| cause.is::<drydock_http::Error>())
}

/// Returns true for an error of a registry, but for content that does not match its digest.
fn is_refusal(error: &anyhow::Error) -> bool {
    RegistryError::find(error).is_some_and(|found| !matches!(found, RegistryError::WrongContent(_)))
}

/// Returns true for content that does not match its digest.
pub(crate) fn is_wrong_content(error: &anyhow::Error) -> bool {
    matches!(RegistryError::find(error), Some(RegistryError::WrongContent(_)))
}

/// A running registry; killed when dropped.
pub(crate) struct Server {
    program: Program,
    child: Child,
    directory: TempDir,
    port: u16,
}

impl Server {
    /// A registry without a password; `None` if docker-registry is missing.
    pub(crate) fn start() -> Option<Server> {
        Server::with(Options::default())
    }

    /// A registry with options; `None` if docker-registry is missing.
    pub(crate) fn with(options: Options) -> Option<Server> {
        if matches!(options.program, Program::Docker) && !need_tool("docker-registry", "docker-registry") {
            return None;
        }
        let directory = TempDir::with_prefix("drydock-registry-").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = options.program.clone();
        let storage = options.storage.unwrap_or_else(|| directory.path().join("storage"));
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  delete: {{enabled: {}}}\n  \
             filesystem: {{rootdirectory: {}}}\n  maintenance: {{uploadpurging: {{enabled: false}}}}\nhttp:\n  \
             addr: 127.0.0.1:{port}\n  secret: kept-over-restarts\n",
            !options.keeps_all,
            storage.display()
        );
        if let Some(tls) = options.tls {
            let tls = tls.display();
            config.push_str(&format!("  tls: {{certificate: {tls}/server.crt, key: {tls}/server.key}}\n"));
        }
        if options.password {
            let passwords = directory.path().join("htpasswd");
            fs::write(&passwords, HTPASSWD).unwrap();
            config.push_str(&format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", passwords.display()));
        }
        if let Some((realm, certificate)) = options.token {
            config.push_str(&format!(
                "auth: {{token: {{realm: \"{realm}\", service: registry, issuer: tests, rootcertbundle: {}}}}}\n",
                certificate.display()
            ));
        }
        if let Program::Zuul(_) = program {
            config = format!(
                "registry:\n  address: 127.0.0.1\n  port: {port}\n  public-url: http://127.0.0.1:{port}\n  secret: tests\n  \
                 users: [{{name: {USER}, pass: {PASSWORD}, access: write}}]\n  storage: {{driver: filesystem, root: {}}}\n",
                storage.display()
            );
        }
        fs::write(directory.path().join("config.yml"), config).unwrap();
        let child = spawn(&program, directory.path(), port);
        let mut server = Server { program, child, directory, port };
        server.wait();
        Some(server)
    }

    fn wait(&mut self) {
        let port = self.port;
        let up = wait_for(Duration::from_secs(20), || match self.child.try_wait().unwrap() {
            Some(_) => Some(false),
            None => TcpStream::connect(("127.0.0.1", port)).ok().map(|_| true),
        });
        assert_eq!(up, Some(true), "the registry does not start: {}", self.log());
    }

    /// The log of the registry.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The storage directory without the option `storage`.
    pub(crate) fn storage(&self) -> PathBuf {
        self.directory.path().join("storage")
    }

    /// Frees the space of what was deleted.
    pub(crate) fn collect_garbage(&self) {
        let config = self.directory.path().join("config.yml");
        let output = Command::new("docker-registry").arg("garbage-collect").arg(config).env_clear().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts it again, on the same port with the same storage.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.program, self.directory.path(), self.port);
        self.wait();
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A repository of it.
    pub(crate) fn repository(&self, path: &str) -> Repository {
        repository(&self.host(), path)
    }

    /// The variables of a process that may write; none for docker's registry, whose clients are everybody.
    pub(crate) fn login(&self) -> Vec<(&'static str, String)> {
        let names = ["DRYDOCK_REGISTRY_HOST", "DRYDOCK_REGISTRY_USER", "DRYDOCK_REGISTRY_PASSWORD"];
        match self.program {
            Program::Docker => Vec::new(),
            _ => names.into_iter().zip([self.host(), USER.to_owned(), PASSWORD.to_owned()]).collect(),
        }
    }

    /// The client of a user who may write.
    pub(crate) fn client(&self) -> Registry {
        let variables = self.login().into_iter().map(|(name, value)| (name.into(), value.into()));
        client(&self.host(), &Credentials::new(variables.collect()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(program: &Program, directory: &Path, port: u16) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let config = directory.join("config.yml");
    let mut command;
    match program {
        Program::Docker => {
            command = Command::new("docker-registry");
            command.arg("serve").arg(config);
        }
        Program::Zuul(program) => {
            command = Command::new(program);
            command.arg("-c").arg(config).arg("serve");
        }
        Program::ContainerRegistry(program) => {
            command = Command::new(program);
            command.args(["--bind", &format!("127.0.0.1:{port}"), "--password", PASSWORD, "--storage"]);
            command.arg(directory.join("storage"));
        }
    }
    command
        .env_clear()
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A repository of a host.
pub(crate) fn repository(host: &str, path: &str) -> Repository {
    format!("{host}/{path}").parse().unwrap()
}

/// A clock that does not wait, and remembers for how long it should have.
#[derive(Default)]
pub(crate) struct Recorded {
    slept: Mutex<Vec<Duration>>,
}

impl Recorded {
    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }
}

impl Clock for Recorded {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, wait: Duration) {
        self.slept.lock().unwrap().push(wait);
    }
}

/// A client by that clock, with the default retry policy.
pub(crate) fn recorded(host: &str) -> (Registry, Arc<Recorded>) {
    let clock = Arc::new(Recorded::default());
    let retry_policy = RetryPolicy { clock: clock.clone(), ..RetryPolicy::default() };
    let settings = Settings { retry_policy, chunk_size: 1 << 20, parallel: 3 };
    (Registry::with(host, &Credentials::default(), settings).unwrap(), clock)
}

/// An image for one platform in a layout of its own.
pub(crate) fn image_in(directory: &TempDir, seed: u64, size: usize) -> (Layout, Descriptor) {
    let layout = Layout::create(&directory.path().join(format!("image-{seed}"))).unwrap();
    let top = image(&layout, seed, size, &[Platform::Amd64]);
    (layout, top)
}

/// RetryPolicy for tests: as often, but shorter.
pub(crate) fn impatient() -> Settings {
    let retry_policy = RetryPolicy {
        first_wait: Duration::from_millis(20),
        longest_wait: Duration::from_secs(2),
        connect: Duration::from_secs(5),
        silence: Duration::from_secs(10),
        ..RetryPolicy::default()
    };
    Settings { retry_policy, chunk_size: 1 << 20, parallel: 3 }
}

/// A client with the retry policy of tests.
pub(crate) fn client(host: &str, credentials: &Credentials) -> Registry {
    Registry::with(host, credentials, impatient()).unwrap()
}

/// Bytes that no compressor makes smaller, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut noise);
    noise
}

/// An image for these platforms in a layout: an index, with one image a platform, each with a layer of its own and a
/// shared one of `size` bytes.
pub(crate) fn image(layout: &Layout, seed: u64, size: usize, platforms: &[Platform]) -> Descriptor {
    let shared = layout.put(media::LAYER_GZIP, &noise(seed, size)).unwrap();
    let mut manifests = Vec::new();
    for (number, platform) in (1000..).zip(platforms) {
        let own = layout.put(media::LAYER_GZIP, &noise(seed + number, 4000)).unwrap();
        let config = format!(
            "{{\"architecture\":\"{}\",\"os\":\"linux\",\"config\":{{\"Labels\":{{\"seed\":\"{seed}\"}}}},\"rootfs\":\
             {{\"type\":\"layers\",\"diff_ids\":[\"{}\",\"{}\"]}}}}",
            platform.architecture(),
            shared.digest,
            own.digest
        );
        let config = layout.put(media::CONFIG, config.as_bytes()).unwrap();
        let manifest = Manifest::new(config, vec![shared.clone(), own]);
        let mut descriptor = layout.put(media::MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap();
        descriptor.platform = Some((*platform).into());
        manifests.push(descriptor);
    }
    let index = Index::new(manifests);
    let top = layout.put(media::INDEX, &serde_json::to_vec(&index).unwrap()).unwrap();
    layout.set_index(vec![top.clone()]).unwrap();
    top
}

/// The digest of the manifest that skopeo gets for a reference.
pub(crate) fn skopeo_digest(reference: &str) -> anyhow::Result<Digest> {
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false"])
        .arg(format!("docker://{reference}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(Digest::for_bytes(&output.stdout))
}

/// Pulls all platforms by skopeo into a directory, which fails unless each blob has its digest.
pub(crate) fn skopeo_pull(reference: &str, directory: &Path) -> anyhow::Result<()> {
    let output = Command::new("skopeo")
        .args(["copy", "--all", "--quiet", "--src-tls-verify=false"])
        .arg(format!("docker://{reference}"))
        .arg(format!("oci:{}:pulled", directory.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
