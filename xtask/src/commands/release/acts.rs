//! The one table of the acts of a release: `release` obeys it, `release status` shows it, and the captain's guide is made of it.

use serde::Serialize;

mod guide;
mod situation;

pub(super) use guide::{beside, guide};
pub(super) use situation::{Situation, announce};

use drydock_base::hint;
use drydock_config::release::{PublishTarget, Release};

/// An act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ActId {
    Bump,
    Tag,
    Check,
    Build,
    Prove,
    Packages,
    Images,
    Approve,
    Publish,
    Announce,
    Next,
}

/// Who does an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum By {
    /// A person, who decides something.
    Hand,
    /// A command of Drydock, whoever calls it.
    Command,
}

/// A row of the table.
pub(super) struct Act {
    pub(super) id: ActId,
    /// What is done, as a request.
    pub(super) title: &'static str,
    pub(super) by: By,
    /// The acts that come before, and without which it is refused.
    pub(super) after: &'static [ActId],
    /// What shows that it is done.
    pub(super) evidence: &'static str,
    /// Whether a project with this declaration has it.
    pub(super) is_declared: fn(&Release) -> bool,
    /// How far it is.
    progress: fn(&Situation) -> Progress,
    /// The commands that do it, exact as far as they are known, in the form that is kept.
    commands: fn(&Situation) -> Vec<String>,
}

/// How far an act is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is done, by this evidence.
    Done(String),
    /// It is not done, for this reason.
    Open(String),
}

const ALWAYS: fn(&Release) -> bool = |_| true;

/// All acts, in order.
pub(super) const ACTS: &[Act] = &[
    Act {
        id: ActId::Bump,
        title: "write the version, the lock files and the entry of the changelog",
        by: By::Command,
        after: &[],
        evidence: "the version files and the changelog of the commit have a version that was not released",
        is_declared: |release| !release.version_files.is_empty() || release.changelog.is_some(),
        progress: |situation| situation.bumped.clone(),
        commands: |situation| vec![drydock(&["release", "bump", &situation.next_version])],
    },
    Act {
        id: ActId::Tag,
        title: "sign the tag, and push it",
        by: By::Hand,
        after: &[ActId::Bump],
        evidence: "exactly one release tag at the commit, with the signature of a declared key where keys are declared; whether it is \
                   pushed is not looked at",
        is_declared: ALWAYS,
        progress: |situation| situation.tagged.clone(),
        commands: |situation| {
            let git = |words: &[&str]| hint::git(&situation.project, words).to_string();
            vec![
                git(&["tag", "-s", "-m", &situation.tag, &situation.tag, &situation.commit]),
                git(&["push", "origin", &situation.tag]),
            ]
        },
    },
    Act {
        id: ActId::Check,
        title: "check everything that keeps the commit from being released",
        by: By::Command,
        after: &[ActId::Tag],
        evidence: "everything that the check looks at holds",
        is_declared: ALWAYS,
        progress: Situation::checked,
        commands: |_| vec![drydock(&["release", "check"])],
    },
    Act {
        id: ActId::Build,
        title: "build the archives, the binary tarballs, release.json and SHA256SUMS",
        by: By::Command,
        after: &[ActId::Check],
        evidence: "intact files of exactly this commit in the state directory",
        is_declared: ALWAYS,
        progress: |situation| situation.built.clone(),
        commands: |_| vec![drydock(&["release"])],
    },
    Act {
        id: ActId::Prove,
        title: "build again in another environment, and without a network",
        by: By::Command,
        after: &[ActId::Build],
        evidence: "proof.json about exactly these files",
        is_declared: ALWAYS,
        progress: |situation| situation.proved.clone(),
        commands: |_| vec![drydock(&["release", "prove"])],
    },
    Act {
        id: ActId::Packages,
        title: "make and prove the Debian packages",
        by: By::Command,
        after: &[ActId::Prove],
        evidence: "a source package and a proof for each series",
        is_declared: |release| release.publish.iter().any(|one| matches!(one, PublishTarget::Deb { .. })),
        progress: |situation| situation.packages.clone(),
        commands: |_| vec![drydock(&["deb"]), drydock(&["deb", "prove"])],
    },
    Act {
        id: ActId::Images,
        title: "build the images",
        by: By::Command,
        after: &[ActId::Prove],
        evidence: "a build record for each image",
        is_declared: |release| release.publish.iter().any(|one| matches!(one, PublishTarget::Images(_))),
        progress: |situation| situation.images.clone(),
        commands: |_| vec![drydock(&["docker", "build"])],
    },
    Act {
        id: ActId::Approve,
        title: "approve it: rebuild, compare and sign, as many people as the quorum asks for",
        by: By::Hand,
        after: &[ActId::Prove],
        evidence: "valid signatures of SHA256SUMS by enough declared people",
        is_declared: |release| release.signing.is_some(),
        progress: Situation::approved,
        commands: |situation| {
            let key = situation.key.as_deref().unwrap_or("KEY");
            if situation.signed_by.is_empty() {
                return vec![drydock(&["release", "sign", "--key", key])];
            }
            let verify = drydock(&["release", "verify", &situation.directory, "--rebuild", "--sign", "--key", "KEY"]);
            vec![verify, drydock(&["release", "sign", "--add", "FILE"])]
        },
    },
    Act {
        id: ActId::Publish,
        title: "publish to all targets, read everything back, and compare",
        by: By::Command,
        after: &[ActId::Check, ActId::Prove, ActId::Packages, ActId::Images, ActId::Approve],
        evidence: "every target has exactly the files of the release",
        is_declared: |release| !release.publish.is_empty(),
        progress: |situation| situation.published.clone(),
        commands: |_| vec![drydock(&["release", "publish"])],
    },
    Act {
        id: ActId::Announce,
        title: "announce it, and record where",
        by: By::Hand,
        after: &[ActId::Publish],
        evidence: "the address of the announcement in the journal",
        is_declared: |release| !release.publish.is_empty(),
        progress: |situation| situation.announced.clone(),
        commands: |_| vec![drydock(&["release", "status", "--announced", "URL"])],
    },
    Act {
        id: ActId::Next,
        title: "begin the next version",
        by: By::Command,
        after: &[ActId::Prove, ActId::Publish],
        evidence: "the main branch declares a version above the released one",
        is_declared: |release| !release.version_files.is_empty() || release.nightly.next.is_some(),
        progress: |situation| situation.begun.clone(),
        commands: |_| vec![drydock(&["release", "bump", "--next"])],
    },
];

fn drydock(words: &[&str]) -> String {
    hint::drydock(words).kept()
}

/// The commands of an act, for the reader of this process.
fn shown(act: &Act, situation: &Situation) -> Vec<String> {
    (act.commands)(situation).iter().map(|command| hint::shown(command)).collect()
}

/// The row of an act.
pub(super) fn find(id: ActId) -> &'static Act {
    ACTS.iter().find(|act| act.id == id).unwrap_or(&ACTS[0])
}

/// An act of a release with its state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ActReport {
    pub(super) act: ActId,
    pub(super) title: &'static str,
    pub(super) by: By,
    pub(super) state: ActState,
    /// The evidence that it is done, or the reason why it is not.
    pub(super) evidence: String,
    /// Whose turn it is, once it can be done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) turn: Vec<String>,
    /// The commands, once it can be done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) commands: Vec<String>,
}

/// The state of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ActState {
    Done,
    /// It can be done now.
    Ready,
    /// Others come before.
    Later,
}

/// The states of all acts that the project has, in order; a pure function of the situation.
pub(super) fn states(release: &Release, situation: &Situation) -> Vec<ActReport> {
    let acts: Vec<&Act> = ACTS.iter().filter(|act| (act.is_declared)(release)).collect();
    let is_done = |id: ActId| {
        let act = acts.iter().find(|act| act.id == id);
        act.is_none_or(|act| matches!((act.progress)(situation), Progress::Done(_)))
    };
    let report = |act: &&Act| {
        let (state, evidence) = match (act.progress)(situation) {
            Progress::Done(evidence) => (ActState::Done, evidence),
            Progress::Open(why) if act.after.iter().all(|before| is_done(*before)) => (ActState::Ready, why),
            Progress::Open(why) => (ActState::Later, why),
        };
        let is_ready = state == ActState::Ready;
        ActReport {
            act: act.id,
            title: act.title,
            by: act.by,
            state,
            evidence,
            turn: if is_ready { situation.turn(act.id) } else { Vec::new() },
            commands: if is_ready { shown(act, situation) } else { Vec::new() },
        }
    };
    acts.iter().map(report).collect()
}

/// The act that is next: the first that can be done.
pub(super) fn next(states: &[ActReport]) -> Option<&ActReport> {
    states.iter().find(|one| one.state == ActState::Ready)
}

#[cfg(test)]
mod tests;
