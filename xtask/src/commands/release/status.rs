//! `cargo xtask release status`: the checklist of a release with its evidence, whose turn it is, and the exact next command; and
//! `cargo xtask release guide`: the same table without a release.

use anyhow::Context as _;
use serde::Serialize;

use super::acts::{self, ActReport, ActState, Situation};
use super::publish::Options;
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::{DeclaredCommit, ReleaseSelector};
use crate::exit::Exit;
use drydock_base::{output, paths};
use drydock_release::preflight::Finding;

mod page;

/// The status as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status<'a> {
    name: &'a str,
    version: &'a str,
    tag: &'a str,
    commit: &'a str,
    acts: &'a [ActReport],
    /// The act that is next; none if all are done.
    next: Option<&'a ActReport>,
    quorum: u32,
    signed_by: Vec<&'a str>,
    findings: &'a [Finding],
}

impl cli::ReleaseStatus {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let selector = ReleaseSelector::from(self.of);
        let options = Options { key: None, without_proof: None, api: self.api, drafts: false };
        if let Some(address) = &self.announced {
            let _lock = ctx.lock("publish.lock", "another publication")?;
            acts::announce(ctx, &selector, &options, address)?;
        }
        let situation = Situation::gather(ctx, &selector, &options, self.offline)?;
        let declaration = DeclaredCommit::resolve(ctx, &selector.revision)?.declaration;
        let states = acts::states(&declaration, &situation);
        let next = acts::next(&states);
        if let Some(path) = &self.html {
            paths::write_atomically(path, page::render(&situation, &states).as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        match self.format {
            cli::Format::Json => {
                let Situation { name, version, tag, commit, quorum, findings, .. } = &situation;
                let signed_by = situation.signed_by.iter().map(String::as_str).collect();
                let status =
                    Status { name, version, tag, commit, acts: &states, next, quorum: *quorum, signed_by, findings };
                output::out(serde_json::to_string_pretty(&status)?);
            }
            cli::Format::Text => print(&situation, &states),
        }
        Ok(Exit::Success)
    }
}

impl cli::ReleaseGuide {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = DeclaredCommit::resolve(ctx, "HEAD")?.declaration;
        output::out(acts::guide(Some(&release)).trim_end());
        if self.beside {
            output::out(format_args!("\n{}", acts::beside().trim_end()));
        }
        Ok(Exit::Success)
    }
}

fn print(situation: &Situation, states: &[ActReport]) {
    output::out(format_args!("{} {} ({})", situation.name, situation.version, situation.commit));
    for one in states {
        let mark = match one.state {
            ActState::Done => "done ",
            ActState::Ready => "READY",
            ActState::Later => "later",
        };
        output::out(format_args!("  {mark}  {}", one.title));
        output::out(format_args!("           {}", one.evidence));
    }
    match acts::next(states) {
        None => output::out("everything is done"),
        Some(next) => {
            output::out(format_args!("next: {}: {}", next.turn.join(", "), next.title));
            next.commands.iter().for_each(|command| output::out(format_args!("    {command}")));
        }
    }
}
