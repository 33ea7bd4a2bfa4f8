//! The commands, one file each. `run` maps the options of the command line onto the parameters of operations.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::cli;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::paths::State;
use drydock_config::Declarations;

mod arguments;
mod check;
mod ci;
mod deb;
mod demo;
mod docker;
mod doctor;
mod nightly;
mod release;
mod release_context;
mod tidy;

impl cli::Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// The problem and its remedy; [`Exit::from_error`] gives the exit code.
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            cli::Command::Demo(demo) => demo.run(),
            cli::Command::Check(check) => check.run(),
            cli::Command::Doctor(doctor) => doctor.run(),
            cli::Command::Ci(ci) => match *ci {
                cli::Ci { command: Some(cli::CiCommand::Schema(schema)), .. } => schema.run(),
                // Files can be shown without a project.
                cli::Ci { command: Some(cli::CiCommand::Massif(massif)), .. } => massif.run(&self.place),
                ci => ci.run(&Context::find(&self.place)?),
            },
            cli::Command::Release(release) => release.run(&self.place),
            cli::Command::Deb(deb) => deb.run(&self.place),
            cli::Command::Docker(docker) => docker.run(&self.place),
            cli::Command::Nightly(nightly) => nightly.run(&Context::find(&self.place)?),
        }
    }
}

/// The project that a command works on.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    declarations: Declarations,
    state: State,
}

impl Context {
    fn find(place: &cli::Place) -> anyhow::Result<Context> {
        let here = std::env::current_dir().context("cannot tell the current directory")?;
        let absolute = |path: &Option<PathBuf>| path.as_deref().map(std::path::absolute).transpose();
        let (project, config) = (absolute(&place.project)?, absolute(&place.config)?);
        let declarations = Declarations::find(&here, project.as_deref(), config.as_deref())
            .map_err(|error| Failure::declaration(error.to_string()))?;
        let state = State::new(&declarations.project, place.state.as_deref())?;
        Ok(Context { declarations, state })
    }

    /// Takes a lock in the state directory, which is held until the file is dropped or the process ends.
    ///
    /// # Errors
    /// [`Failure::Busy`] when another process holds it, which `holder` describes.
    fn lock(&self, name: &str, holder: &str) -> anyhow::Result<File> {
        self.state.create()?;
        let path = self.state.root().join(name);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
            Errno::WOULDBLOCK => {
                Failure::busy(format!("{holder} and holds {}; wait for it, or use another --state", path.display()))
            }
            other => anyhow::Error::new(other).context(format!("cannot lock {}", path.display())),
        })?;
        Ok(file)
    }
}
