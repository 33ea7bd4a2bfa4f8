//! The decision whether to build: what would be built is compared with what is published.

use super::record::NightlyRecord;
use drydock_config::debversion::is_above;
use drydock_config::release::{NightlyVersion, Version};
use drydock_oci::nightly::Published;

/// A decision, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Build, because something is new.
    Build(String),
    /// Build nothing, because nothing changed.
    Skip(String),
    /// Refuse to replace a newer version by an older one.
    Refuse(String),
}

/// The build that would be published.
pub(super) struct Candidate<'a> {
    pub(super) version: &'a Version,
    pub(super) commit: &'a str,
    /// Whether another commit has the same files and submodules.
    pub(super) has_same_tree: &'a dyn Fn(&str) -> bool,
}

/// Compares the candidate with the current nightlies: `published` has the name of each image and its nightly.
pub(super) fn decide(candidate: &Candidate<'_>, published: &[(String, Option<Published>)]) -> Decision {
    // All images are checked first, so that a newer one is found although another is missing.
    for (image, before) in published {
        let Some((before, version)) = before.as_ref().and_then(|one| Some((one, one.version.as_ref()?))) else {
            continue;
        };
        if is_above(version, candidate.version) && !is_same(candidate, before) {
            return Decision::Refuse(format!(
                "the nightly of {image} is {version}, which is above {}; is this an older commit, or another branch?",
                candidate.version
            ));
        }
    }
    let mut same = Vec::new();
    for (image, before) in published {
        let Some(before) = before else { return Decision::Build(format!("there is no nightly of {image}")) };
        let Some(version) = &before.version else {
            return Decision::Build(format!("the nightly of {image} has no version"));
        };
        if !is_same(candidate, before) {
            return Decision::Build(format!("the nightly of {image} is {version}, built from another commit"));
        }
        same.push(format!("{image} {version}"));
    }
    Decision::Skip(format!("nothing changed since the last nightly ({})", same.join(", ")))
}

/// Compares the candidate with the last nightly of this machine, for projects without images. `publishes` is false if nothing is
/// to be published: then it suffices that the candidate was built and proved.
pub(super) fn decide_without_images(
    candidate: &Candidate<'_>,
    last: Option<&NightlyRecord>,
    publishes: bool,
) -> Decision {
    let version = candidate.version.as_str();
    let is_same = |last: &&NightlyRecord| last.version == version && last.commit == candidate.commit;
    match last.filter(is_same).filter(|last| last.result.is_complete()) {
        // What was proved before a place was declared is still to be published there.
        Some(last) if last.unpublished && publishes => {
            Decision::Build(format!("{version} was proved, but not published"))
        }
        Some(last) if last.unpublished => Decision::Skip(format!("{version} was built and proved before")),
        Some(_) => Decision::Skip(format!("{version} is published")),
        None if publishes => Decision::Build(format!("{version} was not published before")),
        None => Decision::Build(format!("{version} was not built before")),
    }
}

/// Whether a published image is what would be built: the same commit and version, or, for nightlies, another commit with the
/// same files. A release is not the same as a nightly with the same files, because only a release can be promoted.
fn is_same(candidate: &Candidate<'_>, before: &Published) -> bool {
    let is_nightly = |version: &Version| NightlyVersion::parse(version).is_some();
    let Some((revision, version)) = before.revision.as_ref().zip(before.version.as_ref()) else { return false };
    if revision == candidate.commit {
        return version == candidate.version;
    }
    is_nightly(version) && is_nightly(candidate.version) && (candidate.has_same_tree)(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::nightly::record::Outcome;
    use drydock_config::images::Digest;

    const NIGHTLY: &str = "0.4.0-0.nightly20260702.9.gbbbbbbb";

    /// Checks the decision for a candidate of commit `b`. Each published image is `REVISION VERSION`, or a single word for
    /// none. The commit `same` has the same files as `b`.
    #[track_caller]
    fn check(version: &str, published: &[&str], expected: &str) {
        let published: Vec<(String, Option<Published>)> = published
            .iter()
            .enumerate()
            .map(|(index, text)| {
                let before = text.split_once(' ').map(|(revision, version)| Published {
                    digest: Digest::for_bytes(text.as_bytes()),
                    revision: (revision != "-").then(|| revision.to_owned()),
                    version: version.parse().ok(),
                });
                (format!("image{index}"), before)
            })
            .collect();
        let version = version.parse().unwrap();
        let candidate = Candidate { version: &version, commit: "b", has_same_tree: &|other| other == "same" };
        let found = format!("{:?}", decide(&candidate, &published));
        assert!(found.contains(expected), "{version} {published:?}: {found}");
    }

    #[test]
    fn a_nightly_without_changes_is_skipped() {
        check(NIGHTLY, &[&format!("b {NIGHTLY}")], "Skip(\"nothing changed");
        check(NIGHTLY, &["same 0.4.0-0.nightly20260701.8.gaaaaaaa"], "Skip(\"nothing changed");
        check(NIGHTLY, &[&format!("b {NIGHTLY}"), "same 0.4.0-0.nightly20260701.8.gaaaaaaa"], "Skip(");
        check("0.4.0", &["b 0.4.0"], "Skip(");
    }

    #[test]
    fn changes_are_built() {
        check(NIGHTLY, &["none"], "Build(\"there is no nightly of image0");
        check(NIGHTLY, &["a 0.4.0-0.nightly20260701.8.gaaaaaaa"], "built from another commit");
        check(NIGHTLY, &["a 0.3.0"], "built from another commit");
        check(NIGHTLY, &["- -"], "has no version");
        check(NIGHTLY, &[&format!("- {NIGHTLY}")], "Build(");
        // The last nightly was interrupted, so one of two images is missing.
        check(NIGHTLY, &[&format!("b {NIGHTLY}"), "a 0.4.0-0.nightly20260701.8.gaaaaaaa"], "nightly of image1");
        // Another next version was declared in the meantime.
        check(NIGHTLY, &["b 0.3.1-0.nightly20260702.9.gbbbbbbb"], "Build(");
    }

    #[test]
    fn a_release_is_built_although_its_files_were_a_nightly() {
        check("0.4.0", &[&format!("b {NIGHTLY}")], "Build(");
        check("0.4.0", &["same 0.4.0-0.nightly20260701.8.gaaaaaaa"], "Build(");
        check("0.5.0-0.nightly20260702.9.gbbbbbbb", &["same 0.4.0"], "Build(");
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        check(
            NIGHTLY,
            &["a 0.4.0-0.nightly20260703.10.gaaaaaaa"],
            "Refuse(\"the nightly of image0 is 0.4.0-0.nightly20260703",
        );
        check(NIGHTLY, &["a 0.4.0"], "Refuse(");
        // Whatever the first image has: no nightly, one without a version, or an older one.
        for first in ["none", "- -", "a 0.4.0-0.nightly20260701.8.gaaaaaaa"] {
            check(NIGHTLY, &[first, "a 0.4.0-0.nightly20260703.10.gaaaaaaa"], "Refuse(\"the nightly of image1");
        }
        // A later date alone does not matter.
        check(NIGHTLY, &["same 0.4.0-0.nightly20260703.10.gaaaaaaa"], "Skip(");
    }

    #[test]
    fn without_images_the_last_record_decides() {
        let version = NIGHTLY.parse().unwrap();
        let candidate = Candidate { version: &version, commit: "b", has_same_tree: &|_| false };
        let record = |result, commit: &str| NightlyRecord {
            result,
            version: NIGHTLY.to_owned(),
            commit: commit.to_owned(),
            ..NightlyRecord::default()
        };
        let is_skipped =
            |last: Option<&NightlyRecord>| matches!(decide_without_images(&candidate, last, true), Decision::Skip(_));
        assert!(is_skipped(Some(&record(Outcome::Published, "b"))));
        assert!(is_skipped(Some(&record(Outcome::Skipped, "b"))));
        for last in [(Outcome::Published, "a"), (Outcome::Built, "b"), (Outcome::Failed, "b"), (Outcome::Running, "b")]
        {
            assert!(!is_skipped(Some(&record(last.0, last.1))), "{last:?}");
        }
        assert!(!is_skipped(None));
        // One that was proved is complete until a place to publish it is declared.
        for result in [Outcome::Proved, Outcome::Skipped] {
            let last = |commit| NightlyRecord { unpublished: true, ..record(result, commit) };
            assert!(!is_skipped(Some(&last("b"))), "{result:?}");
            let without = |last: &NightlyRecord| decide_without_images(&candidate, Some(last), false);
            let Decision::Skip(reason) = without(&last("b")) else { panic!("{result:?}") };
            assert!(reason.ends_with(" was built and proved before"), "{reason}");
            assert!(matches!(without(&last("a")), Decision::Build(_)), "{result:?}");
        }
    }
}
