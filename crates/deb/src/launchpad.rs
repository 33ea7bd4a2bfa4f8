//! Launchpad's rules about uploads, each with the text of its rejection mail.
//!
//! The rules are pure functions of an [`Upload`] and a [`CheckContext`]. The texts are those of Launchpad's archive
//! uploader; where Launchpad sends no mail, the text says so.

mod addresses;
mod api;
mod archive;
mod build;
mod content;
mod fields;
mod files;
mod kind;
mod lists;
mod upload;

pub use api::Api;
pub use archive::ArchiveState;
pub use build::{Build, Progress, Publication};
pub use upload::{Document, ListedFile, SourceContents, Upload};

use crate::sign::Signature;
use drydock_base::hint;
use drydock_config::release::deb::Distribution;

/// The circumstances of a check.
#[derive(Debug, Clone)]
pub struct CheckContext {
    /// The distribution whose series uploads are for.
    pub distribution: Distribution,
    /// Today's date in UTC, `2026-06-01`.
    pub today: String,
    /// Whether a missing signature is accepted, because it is added later.
    pub allow_unsigned: bool,
    /// The state of the target archive; `None` if Launchpad was not asked.
    pub archive: Option<ArchiveState>,
}

/// A reason why an upload would be rejected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rejection {
    /// The name of the rule.
    pub rule: &'static str,
    /// The text of the rejection mail.
    pub text: String,
    /// The remedy, in the imperative.
    pub remedy: String,
}

/// The remedy for a missing signature, and for one that does not count.
const SIGN: &str =
    "sign with a key that is registered at Launchpad; pass --unsigned to check a package before it is signed";

/// A rule of Launchpad.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The rule's name, in kebab case.
    pub name: &'static str,
    /// The remedy of a violation, in the imperative, with `{drydock}` for the call of Drydock.
    pub remedy: &'static str,
    /// Returns the rejection text of each violation.
    pub check: fn(&Upload, &CheckContext) -> Vec<String>,
}

const fn rule(name: &'static str, check: fn(&Upload, &CheckContext) -> Vec<String>, remedy: &'static str) -> Rule {
    Rule { name, remedy, check }
}

/// All rules, in the order in which Launchpad checks them.
pub const RULES: [Rule; 34] = [
    rule("parses", fields::parses, "build and sign the package again"),
    rule("changes-fields", fields::mandatory_fields, "build it with `{drydock} deb source`"),
    rule("changes-format", fields::changes_format, "write Format: 1.8"),
    rule("changes-name", fields::changes_name, "call it <package>_<version>_source.changes"),
    rule("changes-signature", fields::changes_signature, SIGN),
    rule("dsc-signature", fields::dsc_signature, SIGN),
    rule(
        "addresses",
        addresses::addresses,
        "write a name of at least two letters and an address: A Name <name@example.org>",
    ),
    rule("series", fields::series_exists, "use the code name of an Ubuntu series"),
    rule("pocket", fields::pocket, "omit the pocket: noble, not noble-updates"),
    rule("obsolete-series", fields::series_is_obsolete, "drop the series from packaging/release.yaml"),
    rule("file-lines", lists::file_lines, "build the package again"),
    rule("duplicates", lists::duplicates, "build the package again, so that each file is listed once"),
    rule("lists-agree", lists::lists_agree, "build the package again, so that all lists have the same files and sizes"),
    rule("file-kinds", files::file_kinds, "upload a source package and nothing else"),
    rule("file-names", files::file_names, "rename the file: letters, digits and `- + ~ / . _`"),
    rule("sections", files::sections, "use a section of Debian Policy"),
    rule("components", content::components, "use one component for the whole package"),
    rule("checksums", files::checksums, "build the package again; its files were changed"),
    rule("architecture", content::architecture, "build with `{drydock} deb source`, or with `dpkg-buildpackage -S`"),
    rule("source-only", content::source_only, "build with `{drydock} deb source`, or with `dpkg-buildpackage -S`"),
    rule("one-dsc", content::one_dsc, "upload one source package at a time"),
    rule("dsc-fields", fields::dsc_fields, "fix debian/control"),
    rule("dsc-source", fields::dsc_source, "fix the name in debian/control or the version"),
    rule("versions-agree", fields::versions_agree, "build .dsc and .changes together"),
    rule("dsc-format", files::dsc_format, "set debian/source/format to `3.0 (quilt)`"),
    rule("dsc-files", files::dsc_files, "compress with xz, gzip or bzip2"),
    rule("dsc-checksums", files::dsc_checksums, "upload the orig tarball with the first series"),
    rule("build-depends", fields::build_depends, "fix the build dependencies in debian/control"),
    rule("unpacks", files::unpacks, "unpack the .dsc with dpkg-source to see the error"),
    rule("documents", files::documents, "use regular files of at most 10 MiB"),
    rule("same-bytes", archive::same_bytes, "raise the version; deleting the package does not free the name"),
    rule("higher-version", archive::higher_version, "raise `upload-number` or the version, in all series"),
    rule(
        "new-version",
        archive::new_version,
        "raise `upload-number` or the version; deleting the package does not free it",
    ),
    rule("quota", archive::quota, "delete old packages, or ask for more space"),
];

/// Checks an upload against all rules.
pub fn check(upload: &Upload, context: &CheckContext) -> Vec<Rejection> {
    let one = |rule: &Rule| {
        let texts = (rule.check)(upload, context);
        let (rule, remedy) = (rule.name, hint::shown(rule.remedy));
        texts.into_iter().map(move |text| Rejection { rule, text, remedy: remedy.clone() })
    };
    // Launchpad does not look at the rest of what it cannot parse either.
    let rules = if upload.unparsable.is_empty() { &RULES[..] } else { &RULES[..1] };
    rules.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests;
