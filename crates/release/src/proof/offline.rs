//! The offline proof: an archive is unpacked, built and tested without a network and without the tools that a builder
//! should not need.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::Context as _;

use super::OfflineProof;
use crate::manifest::Manifest;
use drydock_archive::read::{self, Limits};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::variations::cargo_directories;
use drydock_config::release::{self, Format};

/// The name of the file with the output of the commands, beside the release.
pub const LOG: &str = "offline-proof.log";
/// Directories of programs that may not be in `PATH`.
const USUAL_DIRECTORIES: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Builds and tests the first tar archive, or the zip file if there is none, as declared. `watch` is called with each
/// command before it starts.
///
/// # Errors
/// This machine cannot take the network away, or the archive cannot be built, or its tests fail.
pub fn prove(
    declared: &release::OfflineProof,
    manifest: &Manifest,
    directory: &Path,
    watch: &mut dyn FnMut(&str),
) -> anyhow::Result<OfflineProof> {
    let mut files: Vec<_> = manifest.files(directory).collect();
    files.sort_by_key(|(_, format, _)| *format == Format::Zip);
    let (artifact, format, path) = files.first().ok_or_else(|| Failure::rejected("the release has no archive"))?;
    let place = Sandbox::prepare(declared, manifest)?;
    read::unpack(path, *format, Limits::UNKNOWN, &place.at("sources"))
        .map_err(|error| Failure::not_reproducible(format!("{}: {error}", artifact.name)))?;
    let log = directory.join(LOG);
    let mut text = Vec::new();
    for (step, command) in [("built", Some(&declared.build)), ("tested", declared.test.as_ref())] {
        let Some(command) = command else { continue };
        watch(&format!("without a network: {}", exec::paste(command)));
        let output = place.run(command)?;
        text.extend(format!("$ {}\n", exec::paste(command)).bytes());
        text.extend(&output.stdout);
        drydock_base::paths::write_atomically(&log, &text)?;
        if !output.status.success() {
            return Err(Failure::not_reproducible(format!(
                "{} cannot be {step} offline: `{}` ended with {}: {}{}; the output is in {}",
                artifact.name,
                exec::paste(command),
                output.status,
                exec::end_of(&output.stdout),
                place.poison.hint(),
                log.display()
            )));
        }
    }
    Ok(OfflineProof {
        archive: artifact.name.clone(),
        build: declared.build.clone(),
        test: declared.test.clone(),
        poisoned: declared.poisoned.clone(),
        poisoned_by: if place.isolation.mounts { "bind mounts and PATH".into() } else { "PATH".into() },
        called: place.poison.called().into_iter().collect(),
    })
}

/// A temporary directory to build in, and the environment of the commands.
struct Sandbox {
    directory: tempfile::TempDir,
    /// The unpacked archive.
    sources: PathBuf,
    poison: Poison,
    isolation: Isolation,
    environment: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    fn prepare(declared: &release::OfflineProof, manifest: &Manifest) -> anyhow::Result<Sandbox> {
        let directory = tempfile::Builder::new().prefix("drydock-offline-").tempdir();
        let directory = directory.context("cannot create a temporary directory")?;
        let at = |name: &str| directory.path().join(name);
        for name in ["sources", "home", "poison", "tmp"] {
            fs::create_dir(at(name)).context("cannot create a temporary directory")?;
        }
        let poison = Poison::prepare(&declared.poisoned, &at("poison"), &at("called"))?;
        let isolation = Isolation::probe(&poison)?;
        let mut set = cargo_directories();
        let search = std::env::var("PATH").unwrap_or_default();
        set.extend([
            ("CARGO_HOME".to_owned(), at("home/.cargo").display().to_string()),
            ("HOME".to_owned(), at("home").display().to_string()),
            ("TMPDIR".to_owned(), at("tmp").display().to_string()),
            ("PATH".to_owned(), format!("{}:{search}", at("poison").display())),
        ]);
        let (environment, sources) = (exec::environment(&[], &set), at("sources").join(&manifest.directory));
        Ok(Sandbox { directory, sources, poison, isolation, environment })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command in the sources; standard error goes to standard output.
    fn run(&self, command: &[String]) -> anyhow::Result<Output> {
        let argv = self.isolation.command(&self.poison, command);
        let program =
            exec::find(&argv[0], &self.sources, self.environment.get(OsStr::new("PATH"))).map_err(Failure::missing)?;
        duct::cmd(program, &argv[1..])
            .dir(&self.sources)
            .full_env(self.environment.clone())
            .stdin_null()
            .stderr_to_stdout()
            .stdout_capture()
            .unchecked()
            .run()
            .with_context(|| format!("cannot run `{}`", exec::paste(command)))
    }
}

/// Failing programs in place of those that a builder should not need.
struct Poison {
    log: PathBuf,
    /// Each failing program with a file that it is mounted over.
    covered: Vec<(PathBuf, PathBuf)>,
}

impl Poison {
    /// Writes failing programs to `directory`, which write their names to `log`.
    fn prepare(names: &[String], directory: &Path, log: &Path) -> anyhow::Result<Poison> {
        let mut covered = Vec::new();
        let search = std::env::var_os("PATH").unwrap_or_default();
        let directories: Vec<PathBuf> =
            std::env::split_paths(&search).chain(USUAL_DIRECTORIES.map(PathBuf::from)).collect();
        for name in names {
            let stub = directory.join(name);
            let script = format!(
                "#!/bin/sh\necho {0} >>'{1}'\necho '{0}: a builder should not need this program, so it fails here' >&2\nexit 127\n",
                name,
                log.display()
            );
            fs::write(&stub, script).with_context(|| format!("cannot write {}", stub.display()))?;
            fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).context("cannot write")?;
            let found: BTreeSet<PathBuf> = directories
                .iter()
                .filter_map(|directory| directory.join(name).canonicalize().ok())
                // A file of another name may serve other programs as well, as that of rustup does.
                .filter(|file| file.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name.as_str())))
                .collect();
            covered.extend(found.into_iter().map(|file| (stub.clone(), file)));
        }
        Ok(Poison { log: log.to_owned(), covered })
    }

    /// A remedy if a build failed that called replaced programs; else empty.
    fn hint(&self) -> String {
        let called: Vec<String> = self.called().into_iter().collect();
        if called.is_empty() {
            return String::new();
        }
        let programs = called.join(", ");
        format!("; it called {programs}, which a builder should not need: is a file missing under `source.derived`?")
    }

    /// The programs that were called.
    fn called(&self) -> BTreeSet<String> {
        fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// The isolation of a command from the network and from the replaced programs.
struct Isolation {
    /// Whether failing programs are mounted over the files of the replaced ones.
    mounts: bool,
    as_root: bool,
}

/// Brings the loopback interface up if a tool for that is installed, then executes the command.
const LOOPBACK: &str = "ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null; exec \"$@\"";

impl Isolation {
    /// The strongest isolation that this machine allows.
    fn probe(poison: &Poison) -> anyhow::Result<Isolation> {
        let as_root = rustix::process::geteuid().is_root();
        for mounts in [true, false] {
            let isolation = Isolation { mounts, as_root };
            if exec::read(&isolation.command(poison, &["true".to_owned()]), Path::new("/")).is_ok() {
                return Ok(isolation);
            }
        }
        Err(Failure::missing(
            "this machine cannot take the network away from a process (`unshare --net` fails); run as root, or allow user \
             namespaces (on Ubuntu: sysctl --write kernel.apparmor_restrict_unprivileged_userns=0)",
        ))
    }

    fn command(&self, poison: &Poison, command: &[String]) -> Vec<String> {
        let mut argv: Vec<String> = vec!["unshare".into(), "--net".into()];
        if !self.as_root {
            argv.extend(["--user", "--map-root-user"].map(str::to_owned));
        }
        let mut script = String::new();
        if self.mounts {
            argv.push("--mount".into());
            for (stub, file) in &poison.covered {
                let words =
                    ["mount", "--bind", &stub.display().to_string(), &file.display().to_string()].map(str::to_owned);
                script.push_str(&format!("{} || exit 99\n", exec::paste(&words)));
            }
        }
        script.push_str(LOOPBACK);
        argv.extend(["sh", "-c", &script, "sh"].map(str::to_owned));
        argv.extend(command.iter().cloned());
        argv
    }
}
