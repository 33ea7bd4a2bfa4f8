//! `cargo xtask release publish`: everything that users get, to all declared targets, in one command that can be repeated.

use serde::Serialize;

use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseSelector;
use crate::exit::Exit;
use drydock_base::{hint, output};
use drydock_release::publish::{self, Action, Advanced, Decision, Quorum, Stage};
use publication::Publication;

mod deb;
mod github;
mod images;
pub(super) mod publication;
mod pypi;
mod served;
mod web;

/// The options that targets take.
pub(in crate::commands) struct Options {
    /// The key that signs packages and promotions; the declared key or gpg's default if `None`.
    pub(in crate::commands) key: Option<String>,
    /// The reason for publishing without a proof.
    pub(in crate::commands) without_proof: Option<String>,
    /// The URL of Launchpad's API.
    pub(in crate::commands) api: String,
    /// Whether only targets with drafts are served, and only these.
    pub(in crate::commands) drafts: bool,
}

/// The result as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Published<'a> {
    version: &'a str,
    commit: &'a str,
    signed_by: Vec<&'a str>,
    quorum: u32,
    published: bool,
    steps: &'a [Decision],
}

impl cli::ReleasePublish {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let options = Options { key: self.key, without_proof: self.without_proof, api: self.api, drafts: self.draft };
        let _lock = if self.dry_run { None } else { Some(ctx.lock("publish.lock", "another publication")?) };
        let selector = ReleaseSelector::from(self.of);
        let mut publication = Publication::resolve(ctx, &selector, &options)?;
        let decisions = publication.plan(&options, !self.dry_run)?;
        let refused = decisions.iter().any(|one| matches!(one.action, Action::Refuse(..)));
        if self.dry_run || refused {
            publication.print(&decisions, false, self.format)?;
            return Ok(if refused { Exit::NotReproducible } else { Exit::Success });
        }
        let quorum = if self.draft { Quorum::Incomplete } else { publication.quorum() };
        let journal = &mut publication.journal;
        let mut targets = publication.local.targets(&options)?;
        let mut report = |line: String| output::announce(format_args!("{line}"));
        let (advanced, done) = publish::advance(&mut targets, &decisions, &quorum, journal, &mut report)?;
        drop(targets);
        publication.print(&done, advanced == Advanced::Published, self.format)?;
        match advanced {
            Advanced::Published => Ok(Exit::Success),
            Advanced::WaitsForSignatures if self.draft => Ok(Exit::Success),
            Advanced::WaitsForSignatures => {
                output::err(publication.who_signs());
                Ok(Exit::NotReproducible)
            }
        }
    }
}

impl Publication {
    fn print(&self, decisions: &[Decision], is_published: bool, format: cli::Format) -> anyhow::Result<()> {
        let local = &self.local;
        if format == cli::Format::Json {
            let published = Published {
                version: local.release.version.as_str(),
                commit: local.release.commit.id.as_str(),
                signed_by: self.signed_by.iter().map(String::as_str).collect(),
                quorum: self.policy.quorum,
                published: is_published,
                steps: decisions,
            };
            output::out(serde_json::to_string_pretty(&published)?);
            return Ok(());
        }
        let (name, version) = (&local.release.declaration().name, &local.release.version);
        output::out(format_args!("{name} {version} ({})", local.release.commit.id.short()));
        for stage in Stage::ALL {
            for one in decisions.iter().filter(|one| one.stage == stage) {
                let what = format!("{}: {}", one.target, one.step);
                match &one.action {
                    Action::Keep(evidence) => output::out(format_args!("  done     {what} ({evidence})")),
                    Action::Act(None) => output::out(format_args!("  to do    {what}")),
                    Action::Act(Some(why)) => output::out(format_args!("  to do    {what} ({why})")),
                    Action::Refuse(found, remedy) => {
                        output::out(format_args!("  REFUSED  {what}: {found}"));
                        output::out(format_args!("             to do: {remedy}"));
                    }
                }
            }
        }
        if is_published {
            output::out(format_args!("{name} {version} is published: every file was read back and compared"));
        }
        Ok(())
    }

    /// Who has to sign, and how.
    fn who_signs(&self) -> String {
        let quorum = self.policy.quorum as usize;
        let missing = quorum.saturating_sub(self.signed_by.len());
        let usable = self.policy.keyring.usable(crate::commands::now());
        let others: Vec<&str> = usable.iter().copied().filter(|person| !self.signed_by.contains(*person)).collect();
        let verify = hint::drydock(&["release", "verify", "DIR", "--rebuild", "--sign", "--key", "KEY"]);
        let add = hint::drydock(&["release", "sign", "--add", "FILE"]);
        let again = hint::drydock(&["release", "publish"]);
        let signatures =
            if missing == 1 { "1 more signature".to_owned() } else { format!("{missing} more signatures") };
        format!(
            "{} of {quorum} people have signed, so nothing is public; {signatures} of {} required: each runs `{verify}` with a copy \
             of {}; then `{add}` and `{again}`",
            self.signed_by.len(),
            others.join(", "),
            self.local.directory.display(),
        )
    }

    /// Whether enough people have signed.
    fn quorum(&self) -> Quorum {
        if self.signed_by.len() >= self.policy.quorum.max(1) as usize { Quorum::Complete } else { Quorum::Incomplete }
    }
}
