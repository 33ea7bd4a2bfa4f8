//! The findings about other releases: the one before must be contained, and the next one must be known.

use crate::commands::release_context::{DeclaredCommit, EarlierRelease};
use drydock_base::failure::Failure;
use drydock_base::git::HistoryError;
use drydock_base::hint;
use drydock_base::text::plural;
use drydock_config::debversion::{is_above, may_be_candidate};
use drydock_config::release::Version;
use drydock_release::preflight::Finding;

/// The number of commits that a finding names.
const SHOWN: usize = 5;

/// Checks the place of a version among the releases of the repository.
pub(super) fn check(
    commit: &DeclaredCommit,
    version: &Version,
    earlier: &[EarlierRelease],
) -> anyhow::Result<Vec<Finding>> {
    Ok(vec![differs(commit, version, earlier), contains(commit, earlier)?, next(commit, version)])
}

/// The commit is not that of a release before, and neither are its files.
fn differs(commit: &DeclaredCommit, version: &Version, earlier: &[EarlierRelease]) -> Finding {
    let what = "the commit differs from earlier releases";
    let again = hint::git(&commit.repository.directory, &["log", "--oneline", "-3"]);
    // What was released as the last candidate is what becomes the release.
    let own_candidate =
        |one: &&EarlierRelease| may_be_candidate(&one.version) && one.version.as_str().starts_with(version.as_str());
    for one in earlier.iter().filter(|one| !own_candidate(one)) {
        let found = if one.commit == commit.id {
            format!("it is the commit of {}", one.tag)
        } else if commit.repository.resolve(one.commit.as_str(), "tree")
            == commit.repository.resolve(commit.id.as_str(), "tree")
        {
            format!("its files are those of {}", one.tag)
        } else {
            continue;
        };
        let remedy = format!("tag the commit that is to be released; `{again}` lists the last ones");
        return Finding::bad(what, found, remedy);
    }
    Finding::good(
        what,
        earlier.first().map_or_else(|| "there is none".to_owned(), |one| format!("the last is {}", one.tag)),
    )
}

/// The release before is in the history, or everything that it changed was carried over.
fn contains(commit: &DeclaredCommit, earlier: &[EarlierRelease]) -> anyhow::Result<Finding> {
    let what = "it contains the release before";
    let Some(before) = earlier.first() else { return Ok(Finding::good(what, "there is none")) };
    let tag = &before.tag;
    match commit.left_behind(&before.commit) {
        Ok(None) => Ok(Finding::good(what, format!("{tag} is in its history"))),
        Ok(Some(left)) if left.is_empty() => Ok(Finding::good(what, format!("all changes of {tag} were carried over"))),
        Ok(Some(left)) => {
            let mut shown = Vec::new();
            for id in left.iter().take(SHOWN) {
                shown.push(format!("{} {}", id.short(), commit.repository.subject(id)?));
            }
            let more = if left.len() > SHOWN { format!(" and {} more", left.len() - SHOWN) } else { String::new() };
            let text = format!(
                "{tag} is not in its history, with {}: {}{more}",
                plural(left.len(), "change"),
                shown.join("; ")
            );
            let merge = hint::git(&commit.repository.directory, &["merge", tag]);
            let ours = hint::git(&commit.repository.directory, &["merge", "-s", "ours", tag]);
            Ok(Finding::bad(
                what,
                text,
                format!("carry them over with `{merge}`; if they are not wanted, say so with `{ours}`"),
            ))
        }
        Err(HistoryError::Shallow(unshallow)) => {
            Ok(Finding::bad(what, "the clone is shallow, so its history is not known", format!("run `{unshallow}`")))
        }
        Err(error) => Err(Failure::missing(error)),
    }
}

/// The version after this one is known, so that nightly builds and the next change do not claim to be this one.
fn next(commit: &DeclaredCommit, version: &Version) -> Finding {
    let what = "the next version is known";
    match (&commit.declaration.nightly.next, version.raised()) {
        (Some(next), _) if is_above(next, version) => Finding::good(what, format!("{next}, as `nightly.next` says")),
        (Some(next), raised) => {
            let example = raised.map_or_else(String::new, |raised| format!(", for example to {raised}"));
            let found = format!("`nightly.next` is {next}, which is not above {version}");
            Finding::bad(
                what,
                found,
                format!("raise it in packaging/release.yaml{example}, and commit that before the tag"),
            )
        }
        (None, Some(raised)) => Finding::good(what, format!("{raised}; `nightly: {{next: VERSION}}` declares another")),
        (None, None) => {
            let found = format!("{version} does not end with a number that can be raised");
            Finding::bad(what, found, "declare `nightly: {next: VERSION}` in packaging/release.yaml")
        }
    }
}
