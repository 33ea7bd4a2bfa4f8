//! The captain's guide: the table of acts as Markdown.

use std::fmt::Write as _;

use super::{ACTS, Act, ActId, By, Situation, find};
use drydock_base::hint;
use drydock_config::release::Release;

/// An act of the checklist of Core Lightning, as of 2026, and the act that it became.
struct TheirAct {
    act: &'static str,
    how: &'static str,
    ours: Ours,
}

/// What an act became.
enum Ours {
    /// It stays what it was.
    Same,
    Act(ActId),
    /// A command beside the acts of every release.
    Other(&'static str),
}

const fn theirs(act: &'static str, how: &'static str, ours: ActId) -> TheirAct {
    TheirAct { act, how, ours: Ours::Act(ours) }
}

/// The checklist, in its order. The first is a decision about the project, which no tool takes.
const CHECKLIST: &[TheirAct] = &[
    TheirAct { act: "settle blockers, and close the milestone", how: "by hand", ours: Ours::Same },
    theirs("collect the changelog", "script", ActId::Bump),
    theirs("order it, and remove duplicates", "by hand", ActId::Bump),
    theirs("write the versions", "partly by make", ActId::Bump),
    theirs("open the pull request of the release", "by hand", ActId::Tag),
    theirs("sign the tag, and push it", "by hand", ActId::Tag),
    theirs("check the tag", "CI", ActId::Check),
    theirs("make the images of the builders", "script", ActId::Build),
    theirs("build", "script", ActId::Build),
    theirs("sign the checksums", "script", ActId::Approve),
    theirs("wait until CI has built and drafted", "CI", ActId::Publish),
    theirs("compare the own checksums with those of the draft", "by hand", ActId::Publish),
    theirs("append the signatures of others", "by hand", ActId::Publish),
    theirs("upload the signatures again", "by hand", ActId::Publish),
    theirs("let the team rebuild and sign", "script, broken", ActId::Approve),
    theirs("look whether Docker has the images", "by hand", ActId::Publish),
    theirs("look whether PyPI has the packages", "by hand", ActId::Publish),
    theirs("publish the draft", "by hand", ActId::Publish),
    theirs("announce", "by hand", ActId::Announce),
    theirs("begin the next version", "by hand", ActId::Next),
    TheirAct {
        act: "make branches for fixes",
        how: "by hand",
        ours: Ours::Other("make the branch of a point release"),
    },
];

/// The guide; of one project, or of any with `None`.
pub(in crate::commands::release) fn guide(release: Option<&Release>) -> String {
    let situation = Situation::unknown(release.map_or("mine", |release| &release.name));
    let acts: Vec<&Act> = ACTS.iter().filter(|act| release.is_none_or(|release| (act.is_declared)(release))).collect();
    let number = |id: ActId| acts.iter().position(|act| act.id == id).map(|at| at + 1);
    let mut text = String::from("| | act | by | how | done when | after |\n|---|---|---|---|---|---|\n");
    for (at, act) in acts.iter().enumerate() {
        let by = match act.by {
            By::Hand => "**hand**",
            By::Command => "command",
        };
        let commands = (act.commands)(&situation);
        let commands: Vec<String> = commands.iter().map(|one| format!("`{}`", written(one, release))).collect();
        let after: Vec<String> = act.after.iter().filter_map(|id| number(*id)).map(|at| at.to_string()).collect();
        let (title, how, after) = (act.title, commands.join(", "), after.join(", "));
        // Writing to a string cannot fail.
        writeln!(text, "| {} | {title} | {by} | {how} | {} | {after} |", at + 1, act.evidence).ok();
    }
    let by_hand = acts.iter().filter(|act| act.by == By::Hand).count();
    let status = written(&hint::drydock(&["release", "status"]).kept(), release);
    writeln!(
        text,
        "\n{by_hand} acts are done by hand. `{status}` says which one is next, whose turn it is, and the exact command."
    )
    .ok();
    text
}

/// The acts of Core Lightning's checklist beside these, as Markdown.
pub(in crate::commands::release) fn beside() -> String {
    let mut text = String::from("| Core Lightning's checklist | how | here | how |\n|---|---|---|---|\n");
    for TheirAct { act, how, ours } in CHECKLIST {
        let (here, by) = match ours {
            Ours::Same => ("the same: it is a decision about the project", "by hand"),
            Ours::Other(what) => (*what, "command"),
            Ours::Act(id) => {
                let act = find(*id);
                (act.title, if act.by == By::Hand { "by hand" } else { "command" })
            }
        };
        // Writing to a string cannot fail.
        writeln!(text, "| {act} | {how} | {here} | {by} |").ok();
    }
    let count = |how: &str| CHECKLIST.iter().filter(|one| one.how.contains(how)).count();
    let ours = ACTS.iter().filter(|act| act.by == By::Hand).count();
    let (all, by_hand) = (CHECKLIST.len(), count("by hand"));
    writeln!(text, "\nOf {all} acts there, {by_hand} are done by hand; here, {ours} are.").ok();
    text
}

/// A command as the reader has to call it; in the documents, which are about no project, as most call it. Kept, `{drydock}` is in the
/// place of the call.
fn written(command: &str, release: Option<&Release>) -> String {
    if release.is_some() {
        return hint::shown(command).replace("git -C . ", "git ");
    }
    match command.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((_, rest)) => format!("{}{rest}", ["cargo", "xtask"].join(" ")),
        None => command.replace("git -C . ", "git "),
    }
}
