//! `cargo xtask release hotfix`: the branch for a point release, and what has to be carried over between branches.

use std::path::Path;

use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::DeclaredCommit;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::git::{HistoryError, Oid};
use drydock_base::{exec, hint, output};
use drydock_config::debversion::{is_above, may_be_candidate};

/// The number of commits that are named.
const SHOWN: usize = 40;

impl cli::ReleaseHotfix {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let version = &self.version;
        if let Some(released) = head.releases()?.iter().find(|one| one.version == *version) {
            return Err(Failure::usage(format!("{version} is released as {}", released.tag)));
        }
        // The release that is repaired: the highest below.
        let mut before = head.releases_before(version)?;
        before.retain(|one| !may_be_candidate(&one.version));
        let base = before.first().ok_or_else(|| {
            Failure::usage(format!("no release is below {version}; a hotfix begins at the tag of a released version"))
        })?;
        let branch = self.branch.unwrap_or_else(|| format!("release-{version}"));
        let project = &ctx.declarations.project;
        let name = format!("refs/heads/{branch}");
        match head.repository.resolve(&name, "commit") {
            Some(there) if head.repository.contains(&there, &base.commit).map_err(Failure::missing)? => {
                output::out(format_args!("the branch {branch} is there, and contains {}", base.tag));
            }
            Some(there) => {
                let text = format!("the branch {branch} is at {}, which does not contain {}", there.short(), base.tag);
                return Err(Failure::rejected(format!("{text}; choose another name with --branch")));
            }
            None if self.dry_run => output::out(format_args!("would make the branch {branch} at {}", base.tag)),
            None => {
                make_branch(project, &branch, &base.commit)?;
                output::out(format_args!("made the branch {branch} at {} ({})", base.tag, base.commit.short()));
            }
        }
        let commits = candidates(&head, &base.commit)?;
        output::out(format_args!("HEAD has {} changes that {} does not have:", commits.len(), base.tag));
        for id in commits.iter().take(SHOWN) {
            output::out(format_args!("  {} {}", id.short(), head.repository.subject(id)?));
        }
        if commits.len() > SHOWN {
            output::out(format_args!("  and {} more", commits.len() - SHOWN));
        }
        let switch = hint::git(project, &["switch", &branch]);
        let pick = hint::git(project, &["cherry-pick", "-x", "COMMIT"]);
        let bump = hint::drydock(&["release", "bump", version.as_str()]);
        output::out(format_args!("next: `{switch}`, `{pick}` for each fix, then `{bump}`"));
        let is_behind = head.releases()?.iter().any(|one| is_above(&one.version, version));
        let tag = head.declaration.tag.render(version);
        let merge = hint::git(project, &["merge", &tag]);
        let why = if is_behind { ", since newer releases exist" } else { "" };
        output::out(format_args!(
            "after its release, carry over to the main branch what was made only here{why}: `{merge}`; the check of the next release \
             refuses it otherwise"
        ));
        Ok(Exit::Success)
    }
}

/// The commits of HEAD that may be carried over: without merges, and without what belongs to one release only.
fn candidates(head: &DeclaredCommit, base: &Oid) -> anyhow::Result<Vec<Oid>> {
    let all = head.repository.commits_since(&head.id, Some(base))?;
    let mut found = Vec::new();
    for one in all.into_iter().filter(|one| !one.is_merge) {
        let paths = head.repository.changed_paths(&one.id)?;
        if !paths.iter().all(|path| head.is_of_one_release(path)) {
            found.push(one.id);
        }
    }
    if head.repository.is_shallow {
        return Err(Failure::missing(HistoryError::Shallow(head.repository.unshallow())));
    }
    Ok(found)
}

/// Makes a branch, without any hook of the clone.
fn make_branch(project: &Path, branch: &str, commit: &Oid) -> anyhow::Result<()> {
    let words = ["git", "-c", "core.hooksPath=/dev/null", "branch", "--no-track", "--", branch, commit.as_str()];
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    exec::read(&argv, project)
        .map_err(|error| Failure::rejected(format!("cannot make the branch {branch}: {error}")))?;
    Ok(())
}
