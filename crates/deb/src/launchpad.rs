//! What Launchpad refuses, as rules over an upload, each with the text of the mail that it would send.
//!
//! The rules are pure functions of an [`Upload`], which was read before, and [`Facts`] about the archive. The texts are
//! those of Launchpad's archive uploader; where it says nothing at all, the text says so.

mod contents;
mod lists;
mod names;
pub mod relations;
pub mod remote;
mod series;
mod signatures;
mod upload;

pub use upload::{Document, Listed, Signature, Sources, UnpackFailure, Upload};

use drydock_config::release::deb::Distribution;
use remote::Remote;

/// What a rule may know beside the upload.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whose series are meant.
    pub distribution: Distribution,
    /// The day, `2026-06-01`.
    pub today: String,
    /// Whether a missing signature is no mistake, as it is added later.
    pub unsigned: bool,
    /// What the archive has; none when it was not asked.
    pub remote: Option<Remote>,
}

/// A reason for which an upload would be refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rejection {
    /// The rule.
    pub rule: &'static str,
    /// What Launchpad would write.
    pub text: String,
    /// What mends it.
    pub remedy: &'static str,
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What mends a breach of it.
    pub remedy: &'static str,
    /// The texts for all breaches of it.
    pub check: fn(&Upload, &Facts) -> Vec<String>,
}

const fn rule(name: &'static str, check: fn(&Upload, &Facts) -> Vec<String>, remedy: &'static str) -> Rule {
    Rule { name, remedy, check }
}

/// Every rule, in the order in which Launchpad looks.
pub const RULES: [Rule; 27] = [
    rule("changes-fields", names::mandatory_fields, "make it with `cargo xtask deb source`"),
    rule("changes-format", names::changes_format, "write Format: 1.8"),
    rule("changes-name", names::changes_name, "call it <package>_<version>_source.changes"),
    rule("changes-signature", signatures::changes, "sign with a key that is registered in Launchpad"),
    rule("dsc-signature", signatures::dsc, "sign with a key that is registered in Launchpad"),
    rule("series", series::known, "use the code name of a series of Ubuntu"),
    rule("pocket", series::pocket, "leave out the pocket: noble, not noble-updates"),
    rule("obsolete-series", series::obsolete, "drop the series from packaging/release.yaml"),
    rule("file-lines", lists::file_lines, "write the file again"),
    rule("file-kinds", lists::file_kinds, "upload a source package and nothing else"),
    rule("file-names", lists::file_names, "rename the file: letters, digits and `- + ~ / . _`"),
    rule("sections", lists::sections, "choose a section of Debian Policy"),
    rule("sums", lists::sums, "make the files again; something changed them"),
    rule("source-only", lists::source_only, "build with `cargo xtask deb source`"),
    rule("one-dsc", lists::one_dsc, "upload one source package at a time"),
    rule("dsc-fields", names::dsc_fields, "mend debian/control"),
    rule("dsc-source", names::dsc_source, "mend debian/control and the version"),
    rule("versions-agree", names::versions_agree, "make .dsc and .changes together"),
    rule("dsc-format", lists::dsc_format, "write `3.0 (quilt)` into debian/source/format"),
    rule("dsc-files", lists::dsc_files, "compress by xz, gzip or bzip2"),
    rule("dsc-sums", lists::dsc_sums, "upload the orig once with the first series"),
    rule("build-depends", relations::build_depends, "mend Build-Depends in debian/control"),
    rule("unpacks", contents::unpacks, "try `dpkg-source -x`"),
    rule("documents", contents::documents, "write plain files of at most 10 MiB"),
    rule("same-bytes", remote::same_bytes, "raise the version: deleting the package does not free the name"),
    rule("higher-version", remote::higher_version, "raise `upload-number` or the version, in all series"),
    rule("quota", remote::quota, "delete old packages, or ask for more space"),
];

/// Everything for which an upload would be refused.
pub fn check(upload: &Upload, facts: &Facts) -> Vec<Rejection> {
    let one = |rule: &Rule| {
        let texts = (rule.check)(upload, facts);
        let (rule, remedy) = (rule.name, rule.remedy);
        texts.into_iter().map(move |text| Rejection { rule, text, remedy })
    };
    RULES.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests;
