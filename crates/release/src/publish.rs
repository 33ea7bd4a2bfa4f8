//! Publishing: what is left to do is a pure decision over what the targets hold and what the journal says; [`advance`] then does
//! it, one journalled step after the other.
//!
//! The state of a target is always read from the target. The journal adds what a target cannot tell: that something was there
//! and is gone. So a release can be continued from another clone, which has no journal.

use std::fmt;

use serde::{Deserialize, Serialize};

use drydock_base::failure::Failure;

mod expected;
pub mod files;
mod journal;
pub mod latest;
pub mod store;

pub use expected::{ExpectedFile, expected_files, is_signature};
pub use journal::{Journal, JournalEvent, JournalRecord, PublishedRelease};

use crate::sign::Incoming;

/// The stages of all targets, in order. No target enters one before all have passed the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// What nobody but maintainers can see, and what can be taken back. It needs no signatures.
    Draft,
    /// What users can download. It needs the quorum.
    Files,
    /// What leads users there: the published draft, and pointers to the latest release.
    Announce,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 3] = [Stage::Draft, Stage::Files, Stage::Announce];
}

/// What a target holds of one step's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing yet.
    Absent,
    /// What the step makes, by this evidence.
    Same(String),
    /// An older or incomplete form, which the step replaces for this reason.
    Outdated(String),
    /// Something else, which is never replaced.
    Other(Conflict),
}

/// Something at a target that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What is there.
    pub found: String,
    /// The way out.
    pub remedy: String,
}

/// A step of a target as it was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedStep {
    /// The name of the step, unique in its target.
    pub step: String,
    /// Its stage.
    pub stage: Stage,
    /// What the target holds.
    pub held: Held,
    /// Whether its result can never be made again once it was removed.
    pub is_final: bool,
}

/// A target of a release. Its steps are done in the order in which `observe` returns them.
pub trait Target {
    /// The name in messages and in the journal.
    fn name(&self) -> &str;

    /// What is missing on this machine: programs, keys, credentials; each with its remedy. Nothing is connected to.
    fn missing(&self) -> Vec<String>;

    /// Checks that the credentials are valid and may publish, without publishing anything; the evidence, or none if the target does
    /// not tell that before.
    ///
    /// # Errors
    /// They are not valid or may not publish, or the target cannot be asked.
    fn rights(&mut self) -> anyhow::Result<Option<String>> {
        Ok(None)
    }

    /// The steps of a stage with what the target holds, without changing anything.
    ///
    /// # Errors
    /// The target cannot be asked. That is never the same as [`Held::Absent`].
    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>>;

    /// Does one step, and returns the evidence.
    ///
    /// # Errors
    /// The step was not done, or the answer did not arrive.
    fn act(&mut self, step: &str) -> anyhow::Result<String>;

    /// The signatures of the checksums that the target holds; valid after `observe`.
    fn signatures(&self) -> Vec<Incoming> {
        Vec::new()
    }
}

/// What is to be done about one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "action", content = "text")]
pub enum Action {
    /// Nothing: the target holds the result, by this evidence.
    Keep(String),
    /// The step, with a remark.
    Act(Option<String>),
    /// Nothing, and the release stops: what is there, and the remedy.
    Refuse(String, String),
}

/// The decision about one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// The target's name.
    pub target: String,
    /// The step.
    pub step: String,
    /// Its stage.
    pub stage: Stage,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
}

/// Decides about the steps of one target: from what it holds, and what the journal says about it.
pub fn decide(target: &str, observed: &[ObservedStep], journal: &[JournalRecord]) -> Vec<Decision> {
    let decision = |one: &ObservedStep| {
        let of_step = journal.iter().rev().filter(|record| record.target == target && record.step == one.step);
        let was_there = |record: &&JournalRecord| matches!(record.event, JournalEvent::Done | JournalEvent::Found);
        let done = of_step.clone().find(was_there);
        let action = match &one.held {
            Held::Same(evidence) => Action::Keep(evidence.clone()),
            Held::Other(Conflict { found, remedy }) => Action::Refuse(found.clone(), remedy.clone()),
            Held::Outdated(why) => Action::Act(Some(why.clone())),
            Held::Absent => match done {
                Some(done) if one.is_final => Action::Refuse(
                    format!("it was there at {}, and is gone now", done.when()),
                    "find out who removed it; it cannot be published again under this version, so release a new one"
                        .into(),
                ),
                Some(done) => Action::Act(Some(format!("it was there at {}, and is gone now", done.when()))),
                None if of_step.clone().next().is_some() => {
                    Action::Act(Some("it was begun before, and did not arrive".into()))
                }
                None => Action::Act(None),
            },
        };
        Decision { target: target.to_owned(), step: one.step.clone(), stage: one.stage, action }
    };
    observed.iter().map(decision).collect()
}

/// Asks all targets, and decides about every step of every stage. The order is that in which [`advance`] would act.
///
/// # Errors
/// A target cannot be asked.
pub fn plan(targets: &mut [Box<dyn Target + '_>], journal: &Journal) -> anyhow::Result<Vec<Decision>> {
    let mut decisions = Vec::new();
    for stage in Stage::ALL {
        for target in targets.iter_mut() {
            let observed = asked(target.as_mut(), stage)?;
            decisions.extend(decide(target.name(), &observed, &journal.records));
        }
    }
    Ok(decisions)
}

/// The result of [`advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// Every step is done.
    Published,
    /// The drafts are whole; the rest waits for signatures.
    WaitsForSignatures,
}

/// Whether the release may leave the draft stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// Enough people signed.
    Complete,
    /// They did not.
    Incomplete,
}

/// Does what `decisions` say, in order, and reads the results back. `decisions` come from [`plan`] and contain no refusal. Returns
/// the decisions about what was read back, too.
///
/// # Errors
/// A step failed and its result is not there, or what was read back differs. The same call continues.
pub fn advance(
    targets: &mut [Box<dyn Target + '_>],
    decisions: &[Decision],
    quorum: &Quorum,
    journal: &mut Journal,
    report: &mut dyn FnMut(String),
) -> anyhow::Result<(Advanced, Vec<Decision>)> {
    let mut done = Vec::new();
    for stage in Stage::ALL {
        if stage > Stage::Draft && *quorum == Quorum::Incomplete {
            done.extend(decisions.iter().filter(|one| one.stage >= stage).cloned());
            return Ok((Advanced::WaitsForSignatures, done));
        }
        for target in targets.iter_mut() {
            let of_stage = |one: &&Decision| one.stage == stage && one.target == target.name();
            let steps: Vec<&Decision> = decisions.iter().filter(of_stage).collect();
            done.extend(serve(target.as_mut(), stage, &steps, journal, report)?);
        }
    }
    Ok((Advanced::Published, done))
}

/// Does the steps of one stage of one target, and reads them back; the decisions about what was read.
fn serve(
    target: &mut dyn Target,
    stage: Stage,
    steps: &[&Decision],
    journal: &mut Journal,
    report: &mut dyn FnMut(String),
) -> anyhow::Result<Vec<Decision>> {
    let name = target.name().to_owned();
    let mut has_acted = false;
    for decision in steps {
        let remark = match &decision.action {
            Action::Keep(evidence) => {
                journal.found(&name, &decision.step, evidence)?;
                continue;
            }
            Action::Refuse(found, remedy) => return Err(refusal(&name, &decision.step, found, remedy)),
            Action::Act(remark) => remark,
        };
        let remark = remark.as_ref().map_or_else(String::new, |remark| format!(" ({remark})"));
        report(format!("{name}: {}{remark}", decision.step));
        has_acted = true;
        journal.add(&name, &decision.step, JournalEvent::Begun, String::new())?;
        match target.act(&decision.step) {
            Ok(evidence) => journal.add(&name, &decision.step, JournalEvent::Done, evidence)?,
            Err(error) => {
                let text = format!("{error:#}");
                // The answer may have been lost after the step was done; only the target knows.
                let arrived = target.observe(stage).is_ok_and(|observed| {
                    observed.iter().any(|one| one.step == decision.step && matches!(one.held, Held::Same(_)))
                });
                if !arrived {
                    journal.add(&name, &decision.step, JournalEvent::Failed, text)?;
                    return Err(error.context(format!("{name}: cannot {}", decision.step)));
                }
                report(format!("{name}: {}: it failed ({text}), but the result is there", decision.step));
                journal.add(&name, &decision.step, JournalEvent::Done, format!("found after: {text}"))?;
            }
        }
    }
    if !has_acted {
        return Ok(steps.iter().copied().cloned().collect());
    }
    let observed = asked(target, stage)?;
    let wrong = observed.iter().find_map(|one| match &one.held {
        Held::Same(_) => None,
        Held::Absent => Some((one, "it is not there".to_owned())),
        Held::Outdated(found) => Some((one, found.clone())),
        Held::Other(conflict) => Some((one, conflict.found.clone())),
    });
    match wrong {
        None => Ok(decide(&name, &observed, &journal.records)),
        Some((one, found)) => Err(Failure::not_reproducible(format!(
            "{name}: after everything was uploaded, `{}` does not hold: {found}; nothing was announced",
            one.step
        ))),
    }
}

fn asked(target: &mut dyn Target, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
    target.observe(stage).map_err(|error| error.context(format!("cannot ask the target {}", target.name())))
}

/// The error for a step that is in conflict with what a target holds.
pub fn refusal(target: &str, step: &str, found: &str, remedy: &str) -> anyhow::Error {
    Failure::not_reproducible(format!("{target}: cannot {step}: {found}; {remedy}"))
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Draft => "draft",
            Stage::Files => "files",
            Stage::Announce => "announce",
        })
    }
}

#[cfg(test)]
mod tests;
