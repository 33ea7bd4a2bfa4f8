//! The offline proof: what was unpacked from an archive is built and tested without a network, and without the tools that
//! a builder need not have.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::OfflineProof;
use crate::manifest::Manifest;
use drydock_archive::read::{self, Limits};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::twin::cargo_directories;
use drydock_config::release::{self, Format};

/// The end of what the commands print, kept beside the release.
pub const LOG: &str = "offline-proof.log";
/// Directories that are looked in even when they are not in `PATH`.
const USUAL: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Proves it with the first archive that is a tar, or else the first one.
///
/// # Errors
/// This machine cannot take the network away; the archive cannot be built; its tests fail.
pub fn prove(
    declared: &release::OfflineProof,
    manifest: &Manifest,
    directory: &Path,
    watch: &mut dyn FnMut(&str),
) -> anyhow::Result<OfflineProof> {
    let mut files: Vec<_> = manifest.files(directory).collect();
    files.sort_by_key(|(_, format, _)| *format == Format::Zip);
    let (artifact, format, path) = files.first().context("the release has no archive")?;
    let scratch =
        tempfile::Builder::new().prefix("drydock-offline-").tempdir().context("cannot make a temporary directory")?;
    let at = |name: &str| scratch.path().join(name);
    for name in ["sources", "home", "poison", "tmp"] {
        fs::create_dir(at(name)).context("cannot make a temporary directory")?;
    }
    read::unpack(path, *format, Limits::UNKNOWN, &at("sources"))
        .map_err(|error| Failure::not_reproducible(format!("{}: {error}", artifact.name)))?;
    let sources = at("sources").join(&manifest.directory);

    let poison = Poison::prepare(&declared.poisoned, &at("poison"), &at("called"))?;
    let cage = Cage::probe(&poison)?;
    let mut set = cargo_directories();
    set.insert("CARGO_HOME".into(), at("home").join(".cargo").display().to_string());
    set.insert("HOME".into(), at("home").display().to_string());
    set.insert("TMPDIR".into(), at("tmp").display().to_string());
    let search = std::env::var("PATH").unwrap_or_default();
    set.insert("PATH".into(), format!("{}:{search}", at("poison").display()));
    let environment = exec::environment(&[], &set);

    let log = directory.join(LOG);
    let mut text = Vec::new();
    for (what, command) in [("build", Some(&declared.build)), ("test", declared.test.as_ref())] {
        let Some(command) = command else { continue };
        watch(&format!("without a network, {what}: {}", exec::paste(command)));
        let argv = cage.command(&poison, command);
        let program = exec::find(&argv[0], &sources, environment.get(std::ffi::OsStr::new("PATH")))
            .map_err(|why| Failure::missing(why))?;
        let output = duct::cmd(program, &argv[1..])
            .dir(&sources)
            .full_env(environment.clone())
            .stdin_null()
            .stderr_to_stdout()
            .stdout_capture()
            .unchecked()
            .run()
            .with_context(|| format!("cannot run `{}`", exec::paste(command)))?;
        text.extend(format!("$ {}\n", exec::paste(command)).bytes());
        text.extend(&output.stdout);
        drydock_base::paths::write_atomically(&log, &text)?;
        if !output.status.success() {
            let called = poison.called();
            let called = match called.is_empty() {
                true => String::new(),
                false => format!(
                    "; it called {}, which a builder need not have: is a derived file missing under `source.derived`?",
                    called.into_iter().collect::<Vec<_>>().join(", ")
                ),
            };
            return Err(Failure::not_reproducible(format!(
                "{} cannot be {} offline: `{}` ended with {}: {}{called}; the whole output is in {}",
                artifact.name,
                if what == "build" { "built" } else { "tested" },
                exec::paste(command),
                output.status,
                exec::end_of(&output.stdout),
                log.display()
            )));
        }
    }
    Ok(OfflineProof {
        archive: artifact.name.clone(),
        build: declared.build.clone(),
        test: declared.test.clone(),
        poisoned: declared.poisoned.clone(),
        poisoned_by: if cage.mounts { "bind mounts and PATH".into() } else { "PATH".into() },
        called: poison.called().into_iter().collect(),
    })
}

/// Programs that fail, in place of those that nobody should need.
struct Poison {
    log: PathBuf,
    /// The program that fails, and the files that it is mounted over.
    covered: Vec<(PathBuf, PathBuf)>,
}

impl Poison {
    fn prepare(names: &[String], directory: &Path, log: &Path) -> anyhow::Result<Poison> {
        let mut covered = Vec::new();
        let search = std::env::var_os("PATH").unwrap_or_default();
        let directories: Vec<PathBuf> = std::env::split_paths(&search).chain(USUAL.map(PathBuf::from)).collect();
        for name in names {
            let stub = directory.join(name);
            let script = format!(
                "#!/bin/sh\necho {0} >>'{1}'\necho '{0}: a builder need not have it, so here it fails' >&2\nexit 127\n",
                name,
                log.display()
            );
            fs::write(&stub, script).with_context(|| format!("cannot write {}", stub.display()))?;
            fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).context("cannot write")?;
            let found: BTreeSet<PathBuf> = directories
                .iter()
                .filter_map(|directory| directory.join(name).canonicalize().ok())
                // A file that has another name may be other programs as well, as that of rustup is.
                .filter(|file| file.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name.as_str())))
                .collect();
            covered.extend(found.into_iter().map(|file| (stub.clone(), file)));
        }
        Ok(Poison { log: log.to_owned(), covered })
    }

    /// Those that were called.
    fn called(&self) -> BTreeSet<String> {
        fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// How the network, and with it the files of poisoned programs, are taken away.
struct Cage {
    mounts: bool,
    as_root: bool,
}

/// Brings the loopback up where a tool for that is there, then becomes the command.
const LOOPBACK: &str = "ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null; exec \"$@\"";

impl Cage {
    fn probe(poison: &Poison) -> anyhow::Result<Cage> {
        let as_root = rustix::process::geteuid().is_root();
        for mounts in [true, false] {
            let cage = Cage { mounts, as_root };
            if exec::read(&cage.command(poison, &["true".to_owned()]), Path::new("/")).is_ok() {
                return Ok(cage);
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
