//! `cargo xtask nightly`: from a commit to images, sources and packages where nightlies are; or nothing, when nothing changed.

mod build;
mod decide;
mod night;
mod preflight;
mod publish;
mod record;
mod step;
mod summary;

use std::time::Instant;

use super::Context;
use super::release::build::threads;
use crate::cli;
use crate::exit::Exit;
use decide::{Decision, Tonight};
use drydock_base::failure::Failure;
use drydock_base::output;
use night::{Night, Options};
use publish::Remote;
use record::{Outcome, Record, Taken};
use step::Step;

/// The night, in order. Each step finds on disk what the ones before it made, and is not taken again when its own results
/// are there and tonight's by their sums; so a night that was cut off goes on. Up to the last proof nothing leaves this
/// machine, and up to the tags nobody sees what did: the last nightly stays as it was.
const STEPS: [Step; 10] = [
    // The archives of the commit's files and of what is derived from them; files that hold the version hold tonight's.
    Step::Sources,
    // Built again by a twin in other surroundings, and from the archive without a network.
    Step::SourcesProof,
    // Debian source packages around those very archives, for all series.
    Step::Packages,
    // Whatever an archive would refuse is known before anything takes long.
    Step::PackagesCheck,
    // Built twice in clean chroots without a network, compared, installed and tried: this makes the binary packages.
    Step::PackagesProof,
    // Images of those binary packages, tried by running them.
    Step::Images,
    // By digest, with the build records and the sources beside them: seen only by who knows the digest.
    Step::Push,
    // Source packages, signed, to where nightlies go. An archive never gives a version back, so all else has to be there,
    // and no other night may have moved `nightly` meanwhile.
    Step::Upload,
    // The commit, the day, and last `nightly`, unless somebody else moved that of any image since we began.
    Step::Tags,
    // What is past its time, in nightly repositories and in the state directory only.
    Step::Prune,
];

impl cli::Nightly {
    pub(crate) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let options = Options {
            revision: self.commit,
            next: self.next,
            force: self.force,
            publish: !self.no_publish,
            threads: threads(self.threads),
            engines: self.engine.kinds(),
            proof: self.proof.environment(ctx.state.root()),
            key: self.key,
            wait: self.wait,
            api: self.api,
        };
        let night = Night::find(ctx, options)?;
        if self.dry_run {
            return plan(&night, self.format);
        }
        let _lock = record::lock(ctx)?;
        output::err(format_args!("{}", night.name()));
        let mut remote = Remote::new();
        let mut record = night.record();
        let result = all(&night, &mut remote, &mut record);
        if let Err(error) = &result {
            record.result = Outcome::Failed;
            record.failure = Some(format!("{error:#}"));
        }
        record.images = remote.pushed;
        record.write(ctx.state.root())?;
        tell(&record, self.format)?;
        // The summary has said why.
        result.map(|()| Exit::Success)
    }
}

/// Decides, looks at what is needed, and takes every step.
fn all(night: &Night, remote: &mut Remote, record: &mut Record) -> anyhow::Result<()> {
    let state = night.ctx().state.root();
    match decide(night, remote)? {
        Decision::Skip(why) if !night.options.force => {
            record.why = why;
            record.result = Outcome::Skipped;
            return Ok(());
        }
        Decision::Refuse(why) if !night.options.force => {
            return Err(Failure::remote(format!("{why} (--force goes on)")));
        }
        Decision::Build(why) => record.why = why,
        Decision::Skip(why) | Decision::Refuse(why) => record.why = format!("it was forced, although {why}"),
    }
    record.write(state)?;
    timed("preflight", record, || preflight::check(night).map(Did::Done))?;
    // What comes after a step that had to be made anew is made of something new.
    let mut fresh = false;
    for step in STEPS {
        if step.plan(night).is_none() {
            continue;
        }
        timed(step.word(), record, || {
            let done = if fresh { None } else { step.done(night)? };
            match done {
                Some(found) => Ok(Did::Reused(found)),
                None => {
                    fresh |= step.makes();
                    step.take(night, remote).map(Did::Done)
                }
            }
        })?;
        record.write(state)?;
    }
    record.result = if night.options.publish { Outcome::Published } else { Outcome::Built };
    Ok(())
}

/// Whether there is anything to do.
fn decide(night: &Night, remote: &mut Remote) -> anyhow::Result<Decision> {
    let mut published = Vec::new();
    for image in night.images() {
        let before = match remote.ask(&image.repositories.nightly) {
            Ok(before) => before,
            // Without a login it may be hidden; who publishes will know.
            Err(error) if !night.options.publish => {
                return Ok(Decision::Build(format!("nothing is published, and what was cannot be told: {error:#}")));
            }
            Err(error) => return Err(error),
        };
        published.push((image.name.to_string(), before));
    }
    if night.images().is_empty() {
        return Ok(decide_here(night, Record::last(night.ctx().state.root())));
    }
    let tonight = Tonight {
        version: &night.release.version,
        commit: night.release.commit.id.as_str(),
        same_tree: &|other| night.same_tree(other),
    };
    Ok(decide::decide(&tonight, &published))
}

/// What would be done.
fn plan(night: &Night, format: cli::Format) -> anyhow::Result<Exit> {
    let mut steps = Vec::new();
    let mut fresh = false;
    for step in STEPS {
        let Some(what) = step.plan(night) else { continue };
        let done = if fresh { None } else { step.done(night)? };
        fresh |= done.is_none() && step.makes();
        steps.push((step.word(), what, done));
    }
    let tags = if night.images().is_empty() { Vec::new() } else { publish::tag_names(night) };
    if format == cli::Format::Json {
        let steps =
            steps.iter().map(|(step, what, done)| serde_json::json!({"step": step, "what": what, "done": done}));
        let plan = serde_json::json!({
            "version": night.release.version.as_str(),
            "commit": night.release.commit.id.as_str(),
            "tag": night.release.tag.as_ref().map(|tag| tag.name.as_str()),
            "tags": tags,
            "repositories": night.images().iter().map(|image| image.repositories.nightly.to_string()).collect::<Vec<_>>(),
            "into": night.release.directory(),
            "steps": steps.collect::<Vec<_>>(),
        });
        output::out(serde_json::to_string_pretty(&plan)?);
        return Ok(Exit::Success);
    }
    output::out(night.name());
    for (step, what, done) in steps {
        let done = done.map_or_else(String::new, |done| format!(" (there already: {done})"));
        output::out(format_args!("  {step:<15} {what}{done}"));
    }
    output::out(format_args!("  into            {}", night.release.directory().display()));
    Ok(Exit::Success)
}

fn tell(record: &Record, format: cli::Format) -> anyhow::Result<()> {
    if let Some(page) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|page| !page.is_empty()) {
        summary::append(record, page.as_ref())?;
    }
    match format {
        cli::Format::Json => output::out(serde_json::to_string_pretty(record)?),
        cli::Format::Text => output::out(summary::text(record)),
    }
    Ok(())
}

/// Without images there is only what this machine did before.
fn decide_here(night: &Night, last: Option<Record>) -> Decision {
    let version = night.release.version.as_str();
    match last {
        Some(last)
            if last.result.is_over() && last.version == version && last.commit == night.release.commit.id.as_str() =>
        {
            Decision::Skip(format!("{version} is published"))
        }
        Some(_) | None => Decision::Build("it was not published before".to_owned()),
    }
}

/// What a step did.
enum Did {
    /// Its results were there.
    Reused(String),
    /// It was taken.
    Done(String),
}

/// Takes a step, with its lines of progress below its name and its time at the end.
fn timed(word: &str, record: &mut Record, take: impl FnOnce() -> anyhow::Result<Did>) -> anyhow::Result<()> {
    output::err(format_args!("{word}"));
    let began = Instant::now();
    let did = {
        let _indented = output::indented();
        take().map_err(|error| error.context(format!("{word} failed")))?
    };
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let _indented = output::indented();
    let (reused, found) = match did {
        Did::Reused(found) => {
            output::err(format_args!("there already: {found}"));
            (true, found)
        }
        Did::Done(found) => {
            output::err(format_args!("{found} ({})", drydock_base::units::human(began.elapsed())));
            (false, found)
        }
    };
    record.steps.push(Taken { step: word.to_owned(), reused, milliseconds, found });
    Ok(())
}
