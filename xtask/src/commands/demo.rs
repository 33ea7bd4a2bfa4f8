//! `cargo xtask demo`: the whole pipeline on lanternd, with a table of the proofs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use xshell::{Shell, cmd};

use super::release_context::{ReleaseSelector, VersionSource};
use super::{Context, release};
use crate::cli::{self, Place};
use crate::exit::Exit;
use crate::invocation;
use crate::tools::Purpose;
use drydock_base::hint;
use drydock_base::output;

mod example;
mod packages;
mod rows;

/// The example's version.
const VERSION: &str = include_str!("../../../examples/lanternd/VERSION").trim_ascii_end();

impl cli::Demo {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        super::doctor::preflight(Purpose::Demo, self.install)?;
        if self.all {
            super::doctor::preflight(Purpose::Deb, self.install)?;
            super::doctor::preflight(Purpose::Docker, self.install)?;
        }
        let temporary = match &self.keep {
            Some(_) => None,
            None => {
                let made = tempfile::Builder::new().prefix("drydock-demo-").tempdir();
                Some(made.context("cannot make a temporary directory")?)
            }
        };
        let directory = match (&self.keep, &temporary) {
            (Some(directory), _) => std::path::absolute(directory)?,
            (None, temporary) => temporary.as_ref().map_or_else(std::env::temp_dir, |made| made.path().to_owned()),
        };
        let project = make_project(&directory)?;
        let place = Place { project: Some(project.clone()), ..Place::default() };
        invocation::announce(&place);
        let ctx = Context::find(&place)?;
        output::announce(format_args!("ci: {}", hint::drydock(&["ci"])));
        let ran = super::ci::run_all(&ctx)?;
        let (_, run) = super::ci::recorded(&ctx.state, None)?;
        output::announce(format_args!("release: {}", hint::drydock(&["release"])));
        let selector = ReleaseSelector { revision: "HEAD".into(), version: VersionSource::Tag(None) };
        let released = release::All {
            selector: selector.clone(),
            threads: release::build::threads(None),
            allow_dirty: false,
            // They take minutes.
            sources_only: true,
            format: cli::Format::Text,
        }
        .run(&ctx);
        let mut rows = rows::proved(&run);
        rows.extend(rows::of_release(&ctx.state, &released));
        let packaged = match (&released, self.all) {
            (Ok(Exit::Success), all) => packages::show(&ctx, &selector, all, &mut rows),
            (Ok(_) | Err(_), _) => Ok(Exit::Success),
        };
        output::out(format_args!("\n{}", table(&rows)));
        let mut exit = ran;
        for result in [released, packaged] {
            // The table has all reasons; the first failure decides.
            if exit == Exit::Success {
                exit = result?;
            }
        }
        end(temporary, &project, exit);
        Ok(exit)
    }
}

/// Says where the project is.
fn end(temporary: Option<tempfile::TempDir>, project: &Path, exit: Exit) {
    match temporary {
        None => output::out(format_args!(
            "the project is in {}; try `{}`",
            project.display(),
            hint::drydock(&["ci", "explain", "units/run-json"])
        )),
        // The commands that were printed above work on it.
        Some(temporary) if exit != Exit::Success => {
            output::out(format_args!("the project is kept in {}", temporary.keep().display()));
        }
        Some(_) => output::out("the project was temporary; `--keep DIR` keeps it, with logs and reports"),
    }
}

/// Creates a git project from the example: a repository with a submodule and a tag.
fn make_project(directory: &Path) -> anyhow::Result<PathBuf> {
    let shell = Shell::new()?;
    let example = example::find()?;
    let script = example.directory().join("tools/make-project.sh");
    output::announce(format_args!("project: sh {} {}", script.display(), directory.display()));
    cmd!(shell, "sh {script} {directory}")
        .quiet()
        .ignore_stdout()
        .run()
        .context("cannot create a project from examples/lanternd")?;
    Ok(directory.join("lanternd"))
}

/// A claim with its proof.
struct Row {
    claim: String,
    proof: String,
    verdict: Verdict,
}

impl Row {
    fn new(claim: impl Into<String>, proof: impl Into<String>, verdict: Verdict) -> Row {
        Row { claim: claim.into(), proof: proof.into(), verdict }
    }
}

/// The result of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Proved,
    NotProved,
    /// Nothing was tried; the row says how to.
    NotShown,
}

impl From<bool> for Verdict {
    fn from(proved: bool) -> Verdict {
        if proved { Verdict::Proved } else { Verdict::NotProved }
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Proved => "proved",
            Verdict::NotProved => "NOT PROVED",
            Verdict::NotShown => "not shown",
        }
    }
}

/// The rows as aligned text. The verdict stands first, where a narrow terminal does not break it off.
fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.claim.chars().count()).max().unwrap_or(0);
    let mut text = String::from("what was proved\n");
    for Row { claim, proof, verdict } in rows {
        let head = format!("  {:<10}  {claim:<width$}  ", verdict.word());
        text.push_str(&output::hanging(&head, proof));
        text.push('\n');
    }
    text
}
