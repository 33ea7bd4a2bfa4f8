//! Whether there is anything to do tonight: a decision over what the nightly repositories hold.

use drydock_config::debversion::is_above;
use drydock_config::release::{NightlyVersion, Version};
use drydock_oci::nightly::Published;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// There is something new, as these words say.
    Build(String),
    /// Nothing changed, as these words say.
    Skip(String),
    /// This would put an older version over a newer one.
    Refuse(String),
}

/// What would be published.
pub(super) struct Tonight<'a> {
    pub(super) version: &'a Version,
    pub(super) commit: &'a str,
    /// Whether another commit has the same files and submodules.
    pub(super) same_tree: &'a dyn Fn(&str) -> bool,
}

/// Compares tonight with what every image's repository has; `published` has an image's name and what its tag names.
pub(super) fn decide(tonight: &Tonight<'_>, published: &[(String, Option<Published>)]) -> Decision {
    // All of them are looked at before anything is built: one that is missing is no leave to put another one back.
    for (image, before) in published {
        let Some((before, version)) = before.as_ref().and_then(|one| Some((one, one.version.as_ref()?))) else {
            continue;
        };
        if is_above(version, tonight.version) && !is_same(tonight, before) {
            return Decision::Refuse(format!(
                "the nightly of {image} is {version}, which is above {}; is this an older commit, or another branch?",
                tonight.version
            ));
        }
    }
    let mut same = Vec::new();
    for (image, before) in published {
        let Some(before) = before else { return Decision::Build(format!("there is no nightly of {image}")) };
        let Some(version) = &before.version else {
            return Decision::Build(format!("the nightly of {image} does not tell its version"));
        };
        match is_same(tonight, before) {
            true => same.push(format!("{image} {version}")),
            false => {
                return Decision::Build(format!("the nightly of {image} is {version}, made of another commit"));
            }
        }
    }
    match same.is_empty() {
        true => Decision::Build("there are no images to compare with".to_owned()),
        false => Decision::Skip(format!("nothing changed since the last nightly ({})", same.join(", "))),
    }
}

/// Whether an image has what would be built: the same commit as the same version, or, while it stays a nightly, the same
/// files of another commit. A release is never skipped for a nightly of the same files: only it can be promoted.
fn is_same(tonight: &Tonight<'_>, before: &Published) -> bool {
    let is_nightly = |version: &Version| NightlyVersion::parse(version).is_some();
    let Some((revision, version)) = before.revision.as_ref().zip(before.version.as_ref()) else { return false };
    match revision == tonight.commit {
        true => version == tonight.version,
        false => is_nightly(version) && is_nightly(tonight.version) && (tonight.same_tree)(revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::images::Digest;

    const NIGHTLY: &str = "0.4.0-0.nightly20260702.9.gbbbbbbb";

    /// Published as REVISION and VERSION in one word each; the commit `same` has the files of the commit `b`.
    #[track_caller]
    fn check(version: &str, published: &[&str], expected: &str) {
        let published: Vec<(String, Option<Published>)> = published
            .iter()
            .enumerate()
            .map(|(index, text)| {
                let before = text.split_once(' ').map(|(revision, version)| Published {
                    digest: Digest::of(text.as_bytes()),
                    revision: (revision != "-").then(|| revision.to_owned()),
                    version: version.parse().ok(),
                });
                (format!("image{index}"), before)
            })
            .collect();
        let version = version.parse().unwrap();
        let tonight = Tonight { version: &version, commit: "b", same_tree: &|other| other == "same" };
        let found = format!("{:?}", decide(&tonight, &published));
        assert!(found.contains(expected), "{version} {published:?}: {found}");
    }

    #[test]
    fn a_night_without_changes_is_skipped() {
        check(NIGHTLY, &[&format!("b {NIGHTLY}")], "Skip(\"nothing changed");
        check(NIGHTLY, &["same 0.4.0-0.nightly20260701.8.gaaaaaaa"], "Skip(\"nothing changed");
        check(NIGHTLY, &[&format!("b {NIGHTLY}"), "same 0.4.0-0.nightly20260701.8.gaaaaaaa"], "Skip(");
        check("0.4.0", &["b 0.4.0"], "Skip(");
    }

    #[test]
    fn what_is_new_is_built() {
        check(NIGHTLY, &[], "Build(\"there are no images");
        check(NIGHTLY, &["none"], "Build(\"there is no nightly of image0");
        check(NIGHTLY, &["a 0.4.0-0.nightly20260701.8.gaaaaaaa"], "made of another commit");
        check(NIGHTLY, &["a 0.3.0"], "made of another commit");
        check(NIGHTLY, &["- -"], "does not tell its version");
        check(NIGHTLY, &[&format!("- {NIGHTLY}")], "Build(");
        // One of two is not there yet: the call before was cut off.
        check(NIGHTLY, &[&format!("b {NIGHTLY}"), "a 0.4.0-0.nightly20260701.8.gaaaaaaa"], "nightly of image1");
        // Another next version was declared meanwhile.
        check(NIGHTLY, &["b 0.3.1-0.nightly20260702.9.gbbbbbbb"], "Build(");
    }

    #[test]
    fn a_release_is_built_although_its_files_were_a_nightly() {
        check("0.4.0", &[&format!("b {NIGHTLY}")], "Build(");
        check("0.4.0", &["same 0.4.0-0.nightly20260701.8.gaaaaaaa"], "Build(");
        check("0.5.0-0.nightly20260702.9.gbbbbbbb", &["same 0.4.0"], "Build(");
    }

    #[test]
    fn an_older_version_never_goes_over_a_newer_one() {
        check(
            NIGHTLY,
            &["a 0.4.0-0.nightly20260703.10.gaaaaaaa"],
            "Refuse(\"the nightly of image0 is 0.4.0-0.nightly20260703",
        );
        check(NIGHTLY, &["a 0.4.0"], "Refuse(");
        // Whatever the ones before it say: none, one without a version, an older one.
        for first in ["none", "- -", "a 0.4.0-0.nightly20260701.8.gaaaaaaa"] {
            check(NIGHTLY, &[first, "a 0.4.0-0.nightly20260703.10.gaaaaaaa"], "Refuse(\"the nightly of image1");
        }
        // The same files with a later date are no reason.
        check(NIGHTLY, &["same 0.4.0-0.nightly20260703.10.gaaaaaaa"], "Skip(");
    }
}
