//! The commands, one file each. `run` maps the options of the command line onto the parameters of operations.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli;
use crate::exit::Exit;
use drydock_base::lock::Lock;
use drydock_base::paths::{self, State};
use drydock_config::Declarations;

mod arguments;
mod check;
mod ci;
mod deb;
mod demo;
mod docker;
mod doctor;
mod init;
mod nightly;
pub(crate) mod release;
mod release_context;
mod shell;
mod step_output;
mod tidy;
mod workflows;

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
            cli::Command::Init(init) => init.run(&self.place),
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
            cli::Command::Workflows(workflows) => workflows.run(&self.place),
            cli::Command::Completions(completions) => completions.run(),
            cli::Command::Man(man) => man.run(),
        }
    }
}

/// The date in UTC, which is the same on every machine.
pub(crate) fn today() -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date()
}

/// The time in seconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The project that a command works on.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    declarations: Declarations,
    state: State,
}

impl Context {
    fn find(place: &cli::Place) -> anyhow::Result<Context> {
        // A named project does not need the current directory, which may be gone.
        let here = match (std::env::current_dir(), &place.project) {
            (Err(_), Some(project)) => project.clone(),
            (here, _) => {
                here.context("cannot tell the current directory; go to another, or name the project with --project")?
            }
        };
        let shown = |path: &Option<PathBuf>| path.as_deref().map(paths::absolute).transpose();
        let (project, config) = (shown(&place.project)?, shown(&place.config)?);
        let declarations = Declarations::find(&here, project.as_deref(), config.as_deref())?;
        let state = State::new(&declarations.project, place.state.as_deref())?;
        Ok(Context { declarations, state })
    }

    /// Takes a lock file of the state directory. `holder` describes other processes that may hold it.
    ///
    /// # Errors
    /// As [`Lock::take`].
    fn lock(&self, name: &str, holder: &str) -> anyhow::Result<Lock> {
        self.state.create()?;
        Lock::take(&self.state.root().join(name), holder)
    }
}
