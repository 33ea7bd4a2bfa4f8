//! `cargo xtask release check`: everything that keeps a commit from being released, at once.

use super::publish::Options;
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::{
    DeclaredCommit, EarlierRelease, ReleaseSelector, TAG_NAMES_VERSION, VersionError, VersionSource,
};
use crate::exit::Exit;
use drydock_base::git::Untracked;
use drydock_base::output;
use drydock_base::text::plural;
use drydock_config::release::Version;
use drydock_release::manifest::Tag;
use drydock_release::preflight::{self, Finding};

mod history;
pub(super) mod remote;
pub(super) mod signing;
mod submodules;

/// The result of a check.
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// The version and its tag, when the sources are complete and a version can be told.
    pub(super) version: Option<(Version, Option<Tag>)>,
}

impl cli::ReleaseCheck {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let selector = ReleaseSelector::from(self.of);
        let commit = DeclaredCommit::resolve(ctx, &selector.revision)?;
        let Checked { mut findings, version } = check(&commit, &selector.version, self.allow_dirty)?;
        if !self.offline {
            // HEAD says what must have tested a commit, not the commit itself.
            let head = DeclaredCommit::resolve(ctx, "HEAD")?;
            findings.extend(head.declaration.ci.as_ref().map(|ci| remote::ci(ci, commit.id.as_str())));
            // Nothing is published without a tag.
            if let Some((version, tag @ Some(_))) = version {
                findings.push(remote::tools(&commit));
                let release = commit.release_of(version, tag)?;
                findings.extend(remote::targets(
                    release,
                    &Options { key: None, without_proof: None, api: self.api, drafts: false },
                ));
            }
        }
        match self.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(&findings)?),
            cli::Format::Text => findings.iter().for_each(|finding| output::out(shown(finding))),
        }
        Ok(exit(&findings))
    }
}

/// Checks everything, so that all that is wrong is reported at once.
pub(super) fn check(commit: &DeclaredCommit, version: &VersionSource, allow_dirty: bool) -> anyhow::Result<Checked> {
    let declaration = &commit.declaration;
    let mut findings = vec![Finding::good("the declaration is valid", "packaging/release.yaml")];
    let mut found = None;
    match commit.sources() {
        Ok(tree) => {
            let (files, excluded) = (tree.entries.len(), tree.excluded.len());
            let submodules = tree.repositories.len() - 1;
            let text = format!("{}, {}, {excluded} excluded", plural(files, "file"), plural(submodules, "submodule"));
            findings.push(Finding::good("the sources are whole", text));
            findings.extend(preflight::dates(declaration, tree));
            findings.extend(preflight::crates(declaration, tree));
            findings.extend(submodules::check(tree));
            match commit.version(version) {
                Ok((version, tag)) => {
                    let name = tag.as_ref().map_or("none", |tag| tag.name.as_str());
                    findings.push(Finding::good(TAG_NAMES_VERSION, format!("{version} ({name})")));
                    // The changelog and the version files of a nightly or a trial are those of the release before.
                    if tag.is_some() {
                        findings.extend(preflight::version_files(declaration, tree, &version)?);
                        let earlier = commit.releases_before(&version)?;
                        let dates = dates_around(commit, tag.as_ref(), earlier.first())?;
                        findings.extend(preflight::changelog(declaration, tree, &version, dates)?);
                        findings.extend(history::check(commit, &version, &earlier)?);
                    }
                    findings.extend(signing::check(commit, tag.as_ref())?);
                    found = Some((version, tag));
                }
                Err(VersionError::Tag(finding)) => findings.push(finding),
                Err(VersionError::Other(error)) => return Err(error),
            }
        }
        // Nothing that depends on the sources can be checked.
        Err(error) => findings.push(Finding::bad("the sources are whole", format!("{error:#}"), "")),
    }
    findings.extend(preflight::packages(declaration));
    findings.extend((!allow_dirty).then(|| clean(commit)).flatten());
    Ok(Checked { findings, version: found })
}

/// The days between which the date in the changelog must be.
fn dates_around(
    commit: &DeclaredCommit,
    tag: Option<&Tag>,
    earlier: Option<&EarlierRelease>,
) -> anyhow::Result<preflight::Between> {
    let repository = &commit.repository;
    let day = |object: &str| -> anyhow::Result<jiff::civil::Date> {
        let seconds =
            repository.ask(&["for-each-ref", "--points-at", object, "--format=%(creatordate:unix)", "refs/tags"])?;
        let seconds = seconds.lines().filter_map(|line| line.parse().ok()).max().unwrap_or_default();
        Ok(jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(seconds)?).date())
    };
    let latest = day(tag.map_or(commit.id.as_str(), |tag| tag.object.as_str()))?;
    let earliest = earlier.map(|one| day(one.commit.as_str())).transpose()?;
    Ok(preflight::Between { earliest, latest })
}

/// Prints, on standard error, how many requirements hold, and those that do not.
pub(super) fn print_failed(findings: &[Finding]) {
    let bad: Vec<&Finding> = findings.iter().filter(|finding| !finding.holds).collect();
    output::announce(format_args!("check: {} of {} things hold", findings.len() - bad.len(), findings.len()));
    bad.iter().for_each(|finding| output::err(shown(finding)));
}

/// Whether the work tree is free of changes that would not be released; `None` when another commit is checked out.
fn clean(commit: &DeclaredCommit) -> Option<Finding> {
    if commit.repository.resolve("HEAD", "commit").as_ref() != Some(&commit.id) {
        return None;
    }
    let what = "the work tree has no changes";
    Some(match commit.repository.changes(Untracked::Counted) {
        Ok(changes) if changes.is_empty() => Finding::good(what, "none"),
        Ok(changes) => {
            let first: Vec<String> = changes.iter().take(5).map(ToString::to_string).collect();
            let more = if changes.len() > 5 { format!(" and {} more", changes.len() - 5) } else { String::new() };
            let remedy = "commit them, or pass --allow-dirty: they will not be released";
            Finding::bad(what, format!("{}{more}", first.join(", ")), remedy)
        }
        Err(error) => Finding::bad(what, format!("{error:#}"), ""),
    })
}

/// The exit code that findings lead to.
pub(super) fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().all(|finding| finding.holds) { Exit::Success } else { Exit::CheckFailed }
}

fn shown(finding: &Finding) -> String {
    let mark = if finding.holds { "ok     " } else { "MISSING" };
    let mut text = format!("{mark}  {:<44} {}", finding.what, finding.found);
    if let Some(remedy) = &finding.remedy {
        text.push_str(&format!("\n           to do: {remedy}"));
    }
    text
}
