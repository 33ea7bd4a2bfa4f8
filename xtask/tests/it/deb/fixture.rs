//! Fixtures of these tests: lanternd as a project of its own, a key, calls of `xtask deb`, and proofs of packages.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use drydock_base::checksum::Checksum;
use rustix::fs::{FlockOperation, flock};

use crate::support::{Finished, need_tools, text, xtask_binary};

/// The version of lanternd's packages, without the suffix of a series.
pub(super) const VERSION: &str = "0.3.0-0ubuntu1~ppa1";

/// Whether the tools are installed that every test needs, and some more.
pub(crate) fn has_tools(more: &[(&str, &str)]) -> bool {
    let base = [("git", "git"), ("make", "make"), ("lowdown", "lowdown"), ("dpkg-source", "dpkg-dev"), ("gpg", "gpg")];
    need_tools(&base) && need_tools(more)
}

/// A directory of this process, for what its tests share. Nothing removes it at the end of the process, so the next
/// process does.
fn shared_directory() -> &'static Path {
    const PREFIX: &str = "drydock-tests-of-";
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let all = std::env::temp_dir();
        for entry in fs::read_dir(&all).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                // Another process may be removing it, or another user own it.
                fs::remove_dir_all(entry.path()).ok();
            }
        }
        let prefix = format!("{PREFIX}{}-", std::process::id());
        tempfile::Builder::new().prefix(&prefix).tempdir_in(all).unwrap().keep()
    })
}

/// lanternd in git, shared by all tests, which keep their state elsewhere.
pub(crate) fn lanternd() -> &'static Path {
    static PROJECT: OnceLock<PathBuf> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let made = shared_directory().join("made");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lanternd/tools/make-project.sh");
        let output = Command::new("sh").arg(script).arg(&made).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        made.join("lanternd")
    })
}

/// The state of a project with lanternd's source package for bookworm, built once for all tests that are about something
/// else.
pub(crate) fn lanternd_sources() -> &'static Path {
    static STATE: OnceLock<PathBuf> = OnceLock::new();
    STATE.get_or_init(|| {
        let state = shared_directory().join("sources");
        Deb::new(lanternd(), &state).ok(&["source", "--series", "bookworm"]);
        state
    })
}

/// A home directory of gpg with one key, and the key's fingerprint.
pub(crate) fn key(directory: &Path) -> (PathBuf, String) {
    let home = directory.join("gnupg");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |args: &[&str]| {
        let output =
            Command::new("gpg").args(["--batch", "--quiet"]).args(args).env("GNUPGHOME", &home).output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    gpg(&["--passphrase", "", "--quick-generate-key", "A Tester <tester@example.org>", "ed25519", "sign", "never"]);
    let listed = gpg(&["--list-keys", "--with-colons"]);
    let line = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
    (home.clone(), line.trim_matches(':').to_owned())
}

/// The settings of calls of `xtask deb`.
pub(super) struct Deb {
    project: PathBuf,
    state: PathBuf,
    config: Option<PathBuf>,
    variables: BTreeMap<&'static str, String>,
}

impl Deb {
    pub(super) fn new(project: &Path, state: &Path) -> Deb {
        let (project, state) = (project.to_owned(), state.to_owned());
        Deb { project, state, config: None, variables: BTreeMap::new() }
    }

    pub(super) fn config(mut self, config: &Path) -> Deb {
        self.config = Some(config.to_owned());
        self
    }

    pub(super) fn env(mut self, name: &'static str, value: impl Into<String>) -> Deb {
        self.variables.insert(name, value.into());
        self
    }

    pub(super) fn call(&self, args: &[&str]) -> Finished {
        let mut command = Command::new("sh");
        let umask = self.variables.get("UMASK").map_or("022", String::as_str);
        command.args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask]).arg(xtask_binary());
        command.arg("--project").arg(&self.project).arg("--state").arg(&self.state);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.arg("deb").args(args).envs(&self.variables).env_remove("CI").output().unwrap().into()
    }

    /// A call that must succeed.
    #[track_caller]
    pub(super) fn ok(&self, args: &[&str]) -> Finished {
        let finished = self.call(args);
        assert_eq!(finished.code(), 0, "{args:?}: {}", finished.transcript());
        finished
    }

    /// The directory of lanternd's packages.
    pub(super) fn directory(&self) -> PathBuf {
        self.state.join("dist/0.3.0/deb")
    }

    /// A file of lanternd's packages, for example with `debian12.1` and `.dsc`.
    pub(super) fn file(&self, series: &str, suffix: &str) -> PathBuf {
        self.directory().join(format!("lanternd_{VERSION}~{series}{suffix}"))
    }
}

/// Proofs of lanternd's packages for bookworm, kept between runs of the tests and shared by all that need the package.
pub(crate) struct Proofs {
    directory: PathBuf,
    _lock: File,
}

impl Proofs {
    /// Takes the lock; waits while another test has it.
    pub(crate) fn open() -> Proofs {
        let directory = kept_directory("deb-proofs");
        let lock = File::create(directory.join("lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        Proofs { directory, _lock: lock }
    }

    /// The directory for the proof of a source package.
    fn directory_for(&self, dsc: &Path) -> PathBuf {
        self.directory.join(Checksum::new(&fs::read(dsc).unwrap()).to_string())
    }

    /// Keeps a proof.
    pub(crate) fn keep(&self, dsc: &Path, proof: &Path) {
        let (target, part) = (self.directory_for(dsc), self.directory.join("part"));
        fs::remove_dir_all(&part).ok();
        fs::create_dir(&part).unwrap();
        for (name, bytes) in files(proof) {
            fs::write(part.join(name), bytes).unwrap();
        }
        fs::remove_dir_all(&target).ok();
        fs::rename(part, target).unwrap();
    }

    /// The directory with lanternd's package and its proof, which is created if necessary; `None` without the tools.
    pub(crate) fn lanternd() -> Option<PathBuf> {
        let tools = [("sbuild", "sbuild"), ("mmdebstrap", "mmdebstrap"), ("newuidmap", "uidmap")];
        if !has_tools(&tools) {
            return None;
        }
        let proofs = Proofs::open();
        let state = tempfile::tempdir().unwrap();
        // The proof is not for all who share the sources.
        run(lanternd_sources(), &["cp", "-r", "dist", &text(state.path())], &[]);
        let deb = Deb::new(lanternd(), state.path());
        let dsc = deb.file("debian12.1", ".dsc");
        let found = proofs.directory_for(&dsc);
        // A proof that was kept in an older format is built again.
        let proof = fs::read(found.join("proof.json")).unwrap_or_default();
        if serde_json::from_slice::<drydock_deb::prove::Proof>(&proof).is_err() {
            let chroots = kept_directory("deb-chroots");
            deb.ok(&["prove", "--series", "bookworm", "--chroots", chroots.to_str().unwrap()]);
            proofs.keep(&dsc, &deb.directory().join("proof/bookworm"));
        }
        Some(found)
    }
}

/// The files of a directory: content by name.
pub(super) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    entries.map(|path| (text(Path::new(path.file_name().unwrap())), fs::read(path).unwrap())).collect()
}

/// The directory for a chroot that is unpacked for a moment: in memory, where there is room.
pub(crate) fn roomy() -> PathBuf {
    drydock_base::scratch::roomy_memory().unwrap_or(Path::new("/var/tmp")).to_owned()
}

/// A directory that is kept between runs of the tests.
pub(crate) fn kept_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Runs a program that must succeed, with additional variables. Returns its standard output.
#[track_caller]
pub(crate) fn run(directory: &Path, words: &[&str], variables: &[(&str, &str)]) -> String {
    let output =
        Command::new(words[0]).args(&words[1..]).current_dir(directory).envs(variables.iter().copied()).output();
    let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{words:?}: {stdout}{stderr}");
    stdout
}
