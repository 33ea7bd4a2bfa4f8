//! `cargo xtask nightly`: builds, proves and publishes a commit, unless nothing changed since the last nightly.

mod build;
mod decision;
mod nightly_build;
mod packed;
mod preflight;
mod publish;
mod record;
mod step;
mod summary;

use std::time::Instant;

use super::Context;
use super::release::build::threads;
use super::step_output::step_output;
use crate::cli;
use crate::exit::Exit;
use decision::{Candidate, Decision, decide, decide_without_images};
use drydock_base::failure::Failure;
use drydock_base::output;
use nightly_build::{NightlyBuild, Options};
use publish::NightlyRepositories;
use record::{NightlyRecord, Outcome, StepRecord};
use step::Step;

/// The steps, in order. Each finds the results of earlier steps on disk. A step is skipped if its own results exist and
/// belong to this build, which is judged by their checksums; so an interrupted nightly can be continued. Nothing leaves this
/// machine before the last proof, and nobody sees what was pushed before the tags are moved.
const STEPS: [Step; 10] = [
    // The archives of the commit's files and of derived files, with the nightly's version in the version files.
    Step::Sources,
    // A varied rebuild of the archives, and a build from them without a network.
    Step::SourcesProof,
    // Debian source packages of these archives, for all series.
    Step::Packages,
    // A cheap check, before the steps that take long.
    Step::PackagesCheck,
    // Two builds in clean chroots without a network, compared, installed and tested. This makes the binary packages.
    Step::PackagesProof,
    // Images of these binary packages, tested by running them.
    Step::Images,
    // By digest, with the build records and the sources, so that only who knows the digest finds them.
    Step::Push,
    // Signed source packages. An archive never accepts a version twice, so this comes after all else is there, and only
    // while nobody else has moved the tag `nightly`.
    Step::Upload,
    // The tags of the commit, of the date, and last `nightly`, unless somebody else has moved it for any image.
    Step::Tags,
    // Expired nightlies, in the nightly repositories and in the state directory.
    Step::Prune,
];

impl cli::Nightly {
    pub(crate) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let options = Options {
            revision: self.commit,
            next: self.next,
            force: self.force,
            publish: !self.no_publish,
            is_unpacked: self.unpack.is_some(),
            threads: threads(self.threads),
            engines: self.engine.kinds(),
            proof: self.proof.environment(ctx.state.root()),
            key: self.key,
            wait: self.wait,
            api: self.api,
        };
        let nightly = NightlyBuild::new(ctx, options)?;
        if self.dry_run {
            return print_plan(&nightly, self.format);
        }
        let _lock = record::lock(ctx)?;
        if let Some(file) = &self.unpack {
            packed::unpack(&ctx.state, file)?;
        }
        output::err(format_args!("{}", nightly.title()));
        let mut repositories = NightlyRepositories::new();
        let mut record = nightly.new_record();
        let result = run_steps(&nightly, &mut repositories, &mut record);
        if let Err(error) = &result {
            record.result = Outcome::Failed;
            record.failure = Some(format!("{error:#}"));
        }
        record.images = repositories.pushed;
        record.write(ctx.state.root())?;
        print_summary(&record, self.format)?;
        result?;
        if let Some(file) = self.pack.filter(|_| record.result == Outcome::Built) {
            packed::pack(&ctx.state, &file)?;
        }
        step_output("result", record.result.word())?;
        Ok(Exit::Success)
    }
}

/// Decides whether to build, checks the requirements, and runs the steps.
fn run_steps(
    nightly: &NightlyBuild,
    repositories: &mut NightlyRepositories,
    record: &mut NightlyRecord,
) -> anyhow::Result<()> {
    let state = nightly.ctx().state.root();
    let is_forced = nightly.options.force;
    match decision(nightly, repositories)? {
        Decision::Skip(reason) if !is_forced => {
            record.reason = reason;
            record.result = Outcome::Skipped;
            // Without images, only the last record of this version allows to skip it.
            let last = NightlyRecord::read(state).filter(|_| nightly.images().is_empty());
            record.unpublished = last.is_some_and(|last| last.unpublished);
            return Ok(());
        }
        Decision::Refuse(reason) if !is_forced => {
            return Err(Failure::remote(format!("{reason}; use --force to build it anyway")));
        }
        Decision::Build(reason) => record.reason = reason,
        Decision::Skip(reason) | Decision::Refuse(reason) => {
            record.reason = format!("--force was used, although {reason}")
        }
    }
    record.write(state)?;
    timed("preflight", record, || preflight::check(nightly).map(Progress::Ran))?;
    // Once a step runs, the steps that depend on it must run as well.
    let mut inputs_changed = false;
    for step in STEPS {
        if step.plan(nightly).is_none() {
            continue;
        }
        timed(step.name(), record, || {
            let done = if inputs_changed { None } else { step.done(nightly)? };
            if let Some(summary) = done {
                return Ok(Progress::Reused(summary));
            }
            inputs_changed |= step.makes_inputs();
            step.run(nightly, repositories).map(Progress::Ran)
        })?;
        record.write(state)?;
    }
    record.result = match (nightly.options.publish, publishes(nightly)) {
        (false, _) => Outcome::Built,
        (true, false) => Outcome::Proved,
        (true, true) => Outcome::Published,
    };
    record.unpublished = record.result == Outcome::Proved;
    Ok(())
}

/// Whether something is declared to publish, and publishing was not switched off.
fn publishes(nightly: &NightlyBuild) -> bool {
    STEPS.iter().any(|step| step.publishes() && step.plan(nightly).is_some())
}

/// Asks the nightly repositories what is published, and decides.
fn decision(nightly: &NightlyBuild, repositories: &mut NightlyRepositories) -> anyhow::Result<Decision> {
    let candidate = Candidate {
        version: &nightly.release.version,
        commit: nightly.release.commit.id.as_str(),
        has_same_tree: &|other| nightly.has_same_tree(other),
    };
    if nightly.images().is_empty() {
        let last = NightlyRecord::read(nightly.ctx().state.root());
        return Ok(decide_without_images(&candidate, last.as_ref(), publishes(nightly)));
    }
    let mut published = Vec::new();
    for image in nightly.images() {
        let current = match repositories.current(&image.repositories.nightly) {
            Ok(current) => current,
            // The repository may need a login, which only publishing requires.
            Err(error) if !nightly.options.publish => {
                return Ok(Decision::Build(format!("the last nightly is unknown: {error:#}")));
            }
            Err(error) => return Err(error),
        };
        published.push((image.name.to_string(), current));
    }
    Ok(decide(&candidate, &published))
}

/// Prints the steps that would run.
fn print_plan(nightly: &NightlyBuild, format: cli::Format) -> anyhow::Result<Exit> {
    let mut steps = Vec::new();
    let mut inputs_changed = false;
    for step in STEPS {
        let Some(plan) = step.plan(nightly) else { continue };
        let done = if inputs_changed { None } else { step.done(nightly)? };
        inputs_changed |= done.is_none() && step.makes_inputs();
        steps.push((step.name(), plan, done));
    }
    let (release, into) = (&nightly.release, nightly.release.directory());
    if format == cli::Format::Json {
        let steps =
            steps.iter().map(|(step, plan, done)| serde_json::json!({"step": step, "plan": plan, "done": done}));
        let repositories = nightly.images().iter().map(|image| image.repositories.nightly.to_string());
        let plan = serde_json::json!({
            "version": release.version.as_str(),
            "commit": release.commit.id.as_str(),
            "tag": release.tag.as_ref().map(|tag| tag.name.as_str()),
            "tags": if nightly.images().is_empty() { Vec::new() } else { publish::tag_names(nightly) },
            "repositories": repositories.collect::<Vec<_>>(),
            "into": into,
            "steps": steps.collect::<Vec<_>>(),
        });
        output::out(serde_json::to_string_pretty(&plan)?);
        return Ok(Exit::Success);
    }
    output::out(nightly.title());
    for (step, plan, done) in steps {
        let done = done.map_or_else(String::new, |done| format!(" (done: {done})"));
        output::out(format_args!("  {step:<15} {plan}{done}"));
    }
    output::out(format_args!("  into            {}", into.display()));
    Ok(Exit::Success)
}

fn print_summary(record: &NightlyRecord, format: cli::Format) -> anyhow::Result<()> {
    if let Some(page) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|page| !page.is_empty()) {
        summary::append(record, page.as_ref())?;
    }
    match format {
        cli::Format::Json => output::out(serde_json::to_string_pretty(record)?),
        cli::Format::Text => output::out(summary::text(record)),
    }
    Ok(())
}

/// The way in which a step was completed, with a summary of its results.
enum Progress {
    /// The results were there.
    Reused(String),
    /// The step ran.
    Ran(String),
}

/// Runs a step, indents its output below its name, and records its time.
fn timed(name: &str, record: &mut NightlyRecord, run: impl FnOnce() -> anyhow::Result<Progress>) -> anyhow::Result<()> {
    output::err(format_args!("{name}"));
    let began = Instant::now();
    let _indented = output::indented();
    let progress = run().map_err(|error| error.context(format!("{name} failed")))?;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (reused, summary) = match progress {
        Progress::Reused(summary) => {
            output::err(format_args!("done before: {summary}"));
            (true, summary)
        }
        Progress::Ran(summary) => {
            output::err(format_args!("{summary} ({})", drydock_base::units::human(began.elapsed())));
            (false, summary)
        }
    };
    record.steps.push(StepRecord { step: name.to_owned(), reused, milliseconds, summary });
    Ok(())
}
