//! The stand-ins of a rehearsal: real servers on this machine, each on a free port of the loopback interface. They end with this
//! process, whatever ends that.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::yaml::Yaml;
use drydock_base::exec::{self, Contained};
use drydock_base::failure::Failure;
use drydock_github::stand_in::StandIn;

/// OpenSSH's server, which is in no directory of `PATH`.
const SSHD: &str = "/usr/sbin/sshd";
/// The longest wait for a server to listen.
const START: Duration = Duration::from_secs(30);
/// The password of everything.
const TOKEN: &str = "rehearsal-token";
/// It for pypiserver, in the format of htpasswd (SHA-1).
const HTPASSWD: &str = "{SHA}V8NwV6gUH9fb10FgrvkDD4WyNtU=";
/// The module of the rsync daemon.
const MODULE: &str = "published";

/// A program that a stand-in needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needed {
    /// The name of the program.
    pub(super) name: &'static str,
    /// The package that has it.
    pub(super) package: &'static str,
    /// Whether that is one of PyPI.
    pub(super) is_python: bool,
}

const fn debian(name: &'static str, package: &'static str) -> Needed {
    Needed { name, package, is_python: false }
}

/// The programs of each kind of target, in one table.
const NEEDED: &[(&str, &[Needed])] = &[
    ("directory", &[]),
    ("sftp", &[debian("sshd", "openssh-server"), debian("sftp", "openssh-client")]),
    ("rsync", &[debian("rsync", "rsync")]),
    (
        "deb",
        &[
            debian("sshd", "openssh-server"),
            debian("sftp", "openssh-client"),
            debian("reprepro", "reprepro"),
            debian("dpkg-source", "dpkg-dev"),
            debian("dh_clean", "debhelper"),
        ],
    ),
    ("images", &[debian("docker-registry", "docker-registry")]),
    ("github", &[]),
    (
        "pypi",
        &[
            Needed { name: "twine", package: "twine", is_python: true },
            Needed { name: "pypi-server", package: "pypiserver[passlib]", is_python: true },
        ],
    ),
];

/// The servers, and where they keep what they got.
pub(super) struct Servers {
    /// The directory of the rehearsal, which stays.
    results: PathBuf,
    /// The directory of keys, passwords and settings, which does not.
    secret: PathBuf,
    /// The name of this user.
    login: String,
    /// The fingerprint of the captain's key.
    captain: String,
    /// The series of the packages.
    series: Vec<String>,
    sshd: Option<u16>,
    rsyncd: Option<u16>,
    registry: Option<String>,
    indexes: Option<[u16; 2]>,
    pub(super) github: Option<StandIn>,
}

impl Servers {
    /// No server yet. `release` is the declaration.
    pub(super) fn new(results: &Path, secret: &Path, captain: &str, release: &str) -> anyhow::Result<Servers> {
        let login = exec::read_within(&["id".into(), "-un".into()], Path::new("/"), exec::Bounds::NONE)?;
        let document = Yaml::parse(release);
        let series = document.as_ref().and_then(|document| document.get("deb")?.get("series"));
        let series = match series {
            Some(Yaml::Map(map)) => map.iter().map(|(name, _)| name.clone()).collect(),
            _ => Vec::new(),
        };
        Ok(Servers {
            results: results.to_owned(),
            secret: secret.to_owned(),
            login,
            captain: captain.to_owned(),
            series,
            sshd: None,
            rsyncd: None,
            registry: None,
            indexes: None,
            github: None,
        })
    }

    /// The directory of the rehearsal.
    pub(super) fn results(&self) -> &Path {
        &self.results
    }

    /// The registry, as `HOST:PORT`, if there is one.
    pub(super) fn registry(&self) -> Option<String> {
        self.registry.clone()
    }

    /// The variables that lead commands to the stand-ins.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::from([
            ("DRYDOCK_SSH_CONFIG".to_owned(), self.secret.join("ssh_config").display().to_string()),
            ("PYPI_TOKEN".to_owned(), TOKEN.to_owned()),
            ("TESTPYPI_TOKEN".to_owned(), TOKEN.to_owned()),
            ("USER".to_owned(), self.login.clone()),
            ("LOGNAME".to_owned(), self.login.clone()),
        ]);
        if let Some(github) = &self.github {
            variables.insert("GITHUB_API_URL".into(), github.address.clone());
            variables.insert("GH_TOKEN".into(), TOKEN.to_owned());
        }
        variables
    }

    /// A target on this machine in place of the declared one of this kind, at this position of the list; or what its server needs.
    ///
    /// # Errors
    /// A server does not start.
    pub(super) fn target(
        &mut self,
        kind: &str,
        declared: &Yaml,
        at: usize,
    ) -> anyhow::Result<Result<Yaml, Vec<Needed>>> {
        let needed = NEEDED.iter().find(|(name, _)| *name == kind).map(|(_, needed)| *needed);
        let needed = needed.with_context(|| format!("the target `{kind}` has no stand-in"))?;
        let is_there = |needed: &&Needed| match needed.name {
            "sshd" => Path::new(SSHD).exists(),
            name => exec::is_installed(name),
        };
        let missing: Vec<Needed> = needed.iter().filter(|needed| !is_there(needed)).copied().collect();
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        let name = format!("{}-{kind}", at + 1);
        let mut target = declared.clone();
        target.remove("url");
        let last = |key: &str| {
            let path = declared.get(key).and_then(Yaml::as_text).unwrap_or("{version}");
            path.rsplit('/').next().unwrap_or(path).to_owned()
        };
        let published = self.results.join("published");
        match kind {
            "directory" | "sftp" => {
                fs::create_dir_all(published.join(&name)).context("cannot make a directory of the rehearsal")?;
                target.set("path", Yaml::text(format!("{}/{name}/{}", published.display(), last("path"))));
                if kind == "sftp" {
                    let port = self.sshd()?;
                    target.set("host", Yaml::text(format!("127.0.0.1:{port}")));
                    target.set("login", Yaml::text(&self.login));
                }
            }
            "rsync" => {
                fs::create_dir_all(published.join(&name)).context("cannot make a directory of the rehearsal")?;
                let port = self.rsyncd()?;
                target.set("to", Yaml::text(format!("rsync://127.0.0.1:{port}/{MODULE}/{name}/{}", last("to"))));
            }
            "deb" => {
                self.sshd()?;
                self.archive()?;
                target.set("wait", Yaml::Plain("2".to_owned()));
            }
            "images" => self.start_registry()?,
            "github" => {
                let repository = declared.get("repository").and_then(Yaml::as_text).unwrap_or_default();
                if self.github.is_none() {
                    self.github = Some(StandIn::start(repository, TOKEN).context("cannot open a port")?);
                }
            }
            _ => {
                let ports = self.indexes()?;
                for (key, port) in ["index", "candidates"].into_iter().zip(ports) {
                    let url = |path: &str| Yaml::text(format!("http://127.0.0.1:{port}/{path}"));
                    target.set(key, Yaml::map([("upload", url("")), ("simple", url("simple/"))]));
                }
            }
        }
        Ok(Ok(target))
    }

    /// The place that packages are uploaded to.
    pub(super) fn queue(&self) -> Yaml {
        let archive = |name: &str| Yaml::text(self.results.join("archive").join(name).display().to_string());
        let host = format!("127.0.0.1:{}", self.sshd.unwrap_or_default());
        Yaml::map([
            ("target", Yaml::text("queue")),
            ("method", Yaml::text("sftp")),
            ("host", Yaml::text(host)),
            ("login", Yaml::text(&self.login)),
            ("incoming", archive("incoming")),
            ("log", archive("queue.log")),
            ("key", Yaml::text(&self.captain)),
        ])
    }

    fn sshd(&mut self) -> anyhow::Result<u16> {
        if let Some(port) = self.sshd {
            return Ok(port);
        }
        let at = self.secret.display().to_string();
        for name in ["host", "user"] {
            let path = format!("{at}/{name}");
            self.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &path])?;
        }
        if rustix::process::geteuid().is_root() {
            // The server's unprivileged part has its root there; the package's service makes it.
            fs::create_dir_all("/run/sshd").context("cannot make /run/sshd")?;
        }
        let port = free_port()?;
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n\
             ForceCommand internal-sftp\n"
        );
        self.write("sshd_config", &config)?;
        let host = fs::read_to_string(self.secret.join("host.pub")).context("cannot read a key of the rehearsal")?;
        self.write("known_hosts", &format!("[127.0.0.1]:{port} {host}"))?;
        let client = format!(
            "Host *\nIdentityFile {at}/user\nIdentitiesOnly yes\nIdentityAgent none\nGlobalKnownHostsFile /dev/null\n\
             UserKnownHostsFile {at}/known_hosts\n"
        );
        self.write("ssh_config", &client)?;
        self.serve("sshd", &[SSHD, "-D", "-e", "-f", &format!("{at}/sshd_config")], port)?;
        self.sshd = Some(port);
        Ok(port)
    }

    fn rsyncd(&mut self) -> anyhow::Result<u16> {
        if let Some(port) = self.rsyncd {
            return Ok(port);
        }
        let port = free_port()?;
        let published = self.results.join("published").display().to_string();
        let ids = if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
        let module =
            format!("[{MODULE}]\npath = {published}\nread only = no\nuse chroot = no\nmunge symlinks = no\n{ids}");
        self.write("rsyncd.conf", &format!("pid file = \n{module}"))?;
        let config = format!("--config={}", self.secret.join("rsyncd.conf").display());
        let port_option = format!("--port={port}");
        self.serve(
            "rsyncd",
            &["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", &port_option, &config],
            port,
        )?;
        self.rsyncd = Some(port);
        Ok(port)
    }

    fn start_registry(&mut self) -> anyhow::Result<()> {
        if self.registry.is_some() {
            return Ok(());
        }
        let port = free_port()?;
        let storage = self.results.join("registry").display().to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: \"{storage}\"}}\n\
             http:\n  addr: 127.0.0.1:{port}\n"
        );
        self.write("registry.yml", &config)?;
        let config = self.secret.join("registry.yml").display().to_string();
        self.serve("registry", &["docker-registry", "serve", &config], port)?;
        self.registry = Some(format!("127.0.0.1:{port}"));
        Ok(())
    }

    fn indexes(&mut self) -> anyhow::Result<[u16; 2]> {
        if let Some(ports) = self.indexes {
            return Ok(ports);
        }
        self.write("htpasswd", &format!("__token__:{HTPASSWD}\n"))?;
        let passwords = self.secret.join("htpasswd").display().to_string();
        let mut ports = [0; 2];
        for (port, name) in ports.iter_mut().zip(["index", "test-index"]) {
            *port = free_port()?;
            let packages = self.results.join(name);
            fs::create_dir_all(&packages).context("cannot make a directory of the rehearsal")?;
            let (packages, number) = (packages.display().to_string(), port.to_string());
            let run = ["pypi-server", "run", "--host", "127.0.0.1", "--port", &number, "--disable-fallback"];
            let more = ["--authenticate", "update", "--passwords", &passwords, &packages];
            self.serve(name, &[run.as_slice(), more.as_slice()].concat(), *port)?;
        }
        self.indexes = Some(ports);
        Ok(ports)
    }

    /// Starts an archive of reprepro, whose queue is looked at by a thread.
    fn archive(&self) -> anyhow::Result<()> {
        let root = self.results.join("archive");
        for name in ["conf", "incoming", "tmp"] {
            fs::create_dir_all(root.join(name)).context("cannot make a directory of the rehearsal")?;
        }
        let stanza = |series: &String| {
            format!("Codename: {series}\nArchitectures: source amd64\nComponents: main\nUploaders: uploaders\n\n")
        };
        let key = self.captain.get(self.captain.len().saturating_sub(16)..).unwrap_or_default();
        let series = self.series.join(" ");
        let files = [
            ("distributions", self.series.iter().map(stanza).collect()),
            ("uploaders", format!("allow * by key {key}\n")),
            (
                "incoming",
                format!(
                    "Name: queue\nIncomingDir: incoming\nTempDir: tmp\nAllow: {series}\nCleanup: on_deny on_error\n"
                ),
            ),
        ];
        for (name, content) in files {
            fs::write(root.join("conf").join(name), content).context("cannot write the settings of the archive")?;
        }
        let home = self.secret.join("gnupg");
        // It ends with this process.
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(200));
                for entry in fs::read_dir(root.join("incoming")).into_iter().flatten().flatten() {
                    let Ok(name) = entry.file_name().into_string() else { continue };
                    if name.ends_with(".changes") {
                        // A log that cannot be written is seen as no answer.
                        take_in(&root, &home, &name).ok();
                    }
                }
            }
        });
        Ok(())
    }

    /// Runs a program in the directory of secrets.
    fn run(&self, argv: &[&str]) -> anyhow::Result<()> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        exec::contained(&argv, &self.secret, exec::environment(&[], &BTreeMap::new()))?;
        Ok(())
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.secret.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Starts a server, and waits until it listens. A thread runs it, so that it ends with this process.
    fn serve(&self, name: &str, argv: &[&str], port: u16) -> anyhow::Result<()> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let directory = self.results.clone();
        // A registry would look for a collector of traces.
        let variables = BTreeMap::from([
            ("HOME".to_owned(), self.secret.join("home").display().to_string()),
            ("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned()),
        ]);
        let environment = exec::environment(&[], &variables);
        let log = self.results.join("logs").join(format!("{name}.txt"));
        std::thread::spawn(move || {
            let ended = Contained { merged: true, ..Contained::new(&argv, &directory, environment) }.run();
            let text = ended.map_or_else(|error| format!("{error}\n").into_bytes(), |output| output.stdout);
            fs::write(log, text).ok(); // only what the reader finds of a server that ended
        });
        let started = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if started.elapsed() > START {
                let log = self.results.join("logs").join(format!("{name}.txt"));
                return Err(Failure::missing(format!("the stand-in {name} does not start; see {}", log.display())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Processes one upload, and notes the answer as an archive does.
fn take_in(root: &Path, home: &Path, name: &str) -> anyhow::Result<()> {
    let argv = ["reprepro", "-b", &root.display().to_string(), "processincoming", "queue", name].map(str::to_owned);
    let mut environment: BTreeMap<OsString, OsString> = exec::environment(&[], &BTreeMap::new());
    environment.insert("GNUPGHOME".into(), home.into());
    let output = Contained { merged: true, ..Contained::new(&argv, root, environment) }.run()?;
    let said = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    let verdict = if output.status.success() { "accepted".to_owned() } else { format!("rejected: {said}") };
    let log = root.join("queue.log");
    let old = fs::read_to_string(&log).unwrap_or_default();
    fs::write(&log, format!("{old}{name} {verdict}\n"))?;
    Ok(())
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot open a port")?;
    Ok(listener.local_addr()?.port())
}
