//! The offline proof: an archive is unpacked, built and tested without a network and without the tools that a builder
//! should not need.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::Context as _;

use super::OfflineProof;
use super::isolation::Isolation;
use super::poison::Poison;
use crate::manifest::Manifest;
use drydock_archive::read::{self, Limits};
use drydock_base::exec::{self, Contained};
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_base::variations::cargo_directories;
use drydock_config::release::{self, Format};

/// The name of the file with the output of the commands, beside the release.
pub const LOG: &str = "offline-proof.log";

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
    let mut files: Vec<_> = manifest.archives(directory).collect();
    files.sort_by_key(|(_, format, _)| *format == Format::Zip);
    let (artifact, format, path) = files.first().ok_or_else(|| Failure::rejected("the release has no archive"))?;
    let place = Sandbox::prepare(declared, manifest)?;
    let observed = place.isolation.observe(&place.poison)?;
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
        replaced: observed.replaced,
        interfaces: observed.interfaces,
        hidden_sockets: observed.hidden_sockets,
        called: place.poison.called().into_iter().collect(),
        missing: place.isolation.missing(),
    })
}

/// A temporary directory to build in, and the environment of the commands.
struct Sandbox {
    directory: Scratch,
    /// The unpacked archive.
    sources: PathBuf,
    poison: Poison,
    isolation: Isolation,
    environment: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    fn prepare(declared: &release::OfflineProof, manifest: &Manifest) -> anyhow::Result<Sandbox> {
        let directory = Scratch::new("offline")?;
        let at = |name: &str| directory.path().join(name);
        for name in ["sources", "home", "poison", "tmp"] {
            fs::create_dir(at(name)).context("cannot create a temporary directory")?;
        }
        fs::write(at("nothing"), "").context("cannot create a temporary file")?;
        let poison = Poison::prepare(&declared.poisoned, directory.path())?;
        let isolation = Isolation::probe(&poison, &at("nothing"))?;
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
        let contained = Contained { merged: true, ..Contained::new(&argv, &self.sources, self.environment.clone()) };
        contained.run().map_err(|error| match error {
            exec::Error::NotFound { .. } => Failure::missing(error),
            // The reader knows the command, not the isolation.
            other => anyhow::Error::new(other.shown_as(command)).context("cannot run the offline proof"),
        })
    }
}
