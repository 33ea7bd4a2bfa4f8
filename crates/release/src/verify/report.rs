//! The result of a verification, as text and as JSON.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::keyring::SignedBy;
use crate::manifest::Manifest;
use drydock_archive::difference::Difference;
use drydock_base::text::{one_line, plural};

/// The version of the file format.
pub(super) const FORMAT: u32 = 1;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "release verify --format json")]
pub struct Verification {
    /// The version of this format.
    pub format: u32,
    /// What was proved.
    pub result: Proved,
    /// What was proved and what was not, in words.
    pub summary: String,
    /// The directory of the files.
    pub directory: PathBuf,
    /// The release that release.json names; none without that file, or if it is wrong.
    pub release: Option<NamedRelease>,
    /// The keys and the quorum that decided; none if there are none.
    pub policy: Option<UsedPolicy>,
    /// The lists of checksums, by name.
    pub lists: Vec<CheckedList>,
    /// The files that were checked, by name.
    pub files: Vec<CheckedFile>,
    /// The files and directories beside them of which nothing is proved, such as build-info.json.
    pub not_covered: Vec<String>,
    /// Problems that are not those of a single file.
    pub problems: Vec<String>,
    /// What does not matter to the result, such as signatures of strangers.
    pub notes: Vec<String>,
    /// Whether a build of the commit made the same bytes.
    pub rebuilt: bool,
}

/// What a verification proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proved {
    /// Enough declared people signed a list, and all files that were asked for are as it says.
    Authenticated,
    /// All files are as a list says, and who made the list was not asked.
    IntegrityOnly,
    /// Something is wrong or missing.
    NotAuthenticated,
}

/// The release that release.json names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NamedRelease {
    /// The name of the project.
    pub name: String,
    /// The version.
    pub version: String,
    /// The commit.
    pub commit: String,
    /// The name of the tag; none for a nightly or a trial.
    pub tag: Option<String>,
}

/// The keys and the quorum that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UsedPolicy {
    /// The place of the keys, in words.
    pub keys: String,
    /// The number of people that must have signed.
    pub quorum: u32,
    /// The people who may sign.
    pub people: BTreeSet<String>,
}

/// A list of checksums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CheckedList {
    /// The file name.
    pub name: String,
    /// The number of files that it lists.
    pub files: usize,
    /// Whether enough people signed it.
    pub authenticated: bool,
    /// The people whose signatures count.
    pub signed_by: BTreeSet<String>,
    /// All signatures.
    pub signatures: Vec<CheckedSignature>,
}

/// A signature of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CheckedSignature {
    /// The name of the file with the signature.
    pub file: String,
    /// `OpenPGP` or `SSH`.
    pub kind: String,
    /// The fingerprint or key id that the signature names.
    pub key: String,
    /// The person to whom the key belongs; none for a stranger.
    pub person: Option<String>,
    /// The time at which the signature states to be made, in seconds since 1970.
    pub made: Option<i64>,
    /// Whether it counts.
    pub counts: bool,
    /// The reason why it does not count, or what limits it.
    pub remark: String,
}

/// The result of checking one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CheckedFile {
    /// The file name.
    pub name: String,
    /// The problem; none if the file is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The first difference from what the file should contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

impl From<&Manifest> for NamedRelease {
    fn from(manifest: &Manifest) -> NamedRelease {
        NamedRelease {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            commit: manifest.commit.clone(),
            tag: manifest.tag.as_ref().map(|tag| tag.name.clone()),
        }
    }
}

impl fmt::Display for NamedRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "release {} of {}", shown(&self.version), shown(&self.name))?;
        if let Some(tag) = &self.tag {
            write!(f, ", tag {}", shown(tag))?;
        }
        write!(f, ", commit {}", shown(self.commit.get(..12).unwrap_or(&self.commit)))
    }
}

impl CheckedSignature {
    pub(super) fn new(file: &str, signed: &SignedBy) -> CheckedSignature {
        CheckedSignature {
            file: file.to_owned(),
            kind: signed.kind.to_owned(),
            key: signed.key.clone(),
            person: signed.person.clone(),
            made: signed.made,
            counts: signed.judgement.counts(),
            remark: signed.judgement.to_string(),
        }
    }
}

impl Verification {
    /// Whether nothing is wrong with the files and the release, apart from signatures.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty() && self.files.iter().all(|file| file.problem.is_none())
    }

    /// Decides the result, and puts it into words. `unsigned` is the reason why signatures do not suffice, if they do not, and
    /// `integrity_only` whether that is accepted.
    pub fn conclude(&mut self, unsigned: Option<&str>, integrity_only: bool) {
        let wrong = self.files.iter().filter(|file| file.problem.is_some()).count();
        let files = plural(self.files.len(), "file");
        let mut reasons: Vec<String> = unsigned.filter(|_| !integrity_only).map(str::to_owned).into_iter().collect();
        if wrong > 0 {
            reasons.push(format!("{wrong} of {files} {} wrong or missing", if wrong == 1 { "is" } else { "are" }));
        }
        reasons.extend(self.problems.first().cloned());
        let release = self.release.as_ref();
        (self.result, self.summary) = if !reasons.is_empty() {
            (Proved::NotAuthenticated, format!("NOT AUTHENTICATED: {}", reasons.join("; ")))
        } else if integrity_only {
            let lists: Vec<&str> = self.lists.iter().map(|list| list.name.as_str()).collect();
            let claim = release.map_or_else(String::new, |release| format!(", which claim to be {release}"));
            let text = format!(
                "INTEGRITY ONLY: {files} as in {}{claim}{}. Not proved: who made them, and that they were not replaced together",
                shown(&lists.join(" and ")),
                if self.rebuilt { "; a build of the commit made the same bytes" } else { "" }
            );
            (Proved::IntegrityOnly, text)
        } else {
            (Proved::Authenticated, self.authenticated())
        };
    }

    fn authenticated(&self) -> String {
        let people: BTreeSet<&str> = self
            .lists
            .iter()
            .filter(|list| list.authenticated)
            .flat_map(|list| list.signed_by.iter().map(String::as_str))
            .collect();
        let people = people.into_iter().collect::<Vec<_>>().join(", ");
        let quorum = self.policy.as_ref().map_or(0, |policy| policy.quorum);
        let files = plural(self.files.len(), "file");
        let what = match &self.release {
            Some(release) => format!("{release}"),
            None => "the files of a list that names no version".to_owned(),
        };
        let build = match (&self.release, self.rebuilt) {
            (_, true) => "; a build of the commit made the same bytes",
            (Some(_), false) => {
                "; not proved: that the commit builds these files (--rebuild), and that no newer release exists"
            }
            (None, false) => "; not proved: which version they are, and that no newer release exists",
        };
        format!("AUTHENTICATED: {what}: {files} signed by {people} ({quorum} required){build}")
    }

    /// The result as text: one line a file, then signatures, notes and problems; the last line is the summary.
    pub fn text(&self, manifest: Option<&Manifest>) -> String {
        let mut lines = Vec::new();
        // Without signatures, a file is only as somebody's list says.
        let good = if self.result == Proved::Authenticated { "ok    " } else { "listed" };
        for file in &self.files {
            match &file.problem {
                None => lines.push(format!("{good} {}", shown(&file.name))),
                Some(problem) => lines.push(format!("WRONG  {}: {problem}", shown(&file.name))),
            }
            if let Some(difference) = &file.difference {
                let text = manifest
                    .map_or_else(|| difference.to_string(), |manifest| super::with_origin(difference, manifest));
                lines.push(format!("         first difference: {text}"));
            }
        }
        for list in &self.lists {
            for signature in list.signatures.iter().filter(|signature| signature.counts) {
                let CheckedSignature { kind, key, person, remark, .. } = signature;
                let person = person.as_deref().unwrap_or_default();
                let remark = if remark == "it is good" { String::new() } else { format!("; {remark}") };
                lines.push(format!("signed {} by {person} ({kind} {key}{remark})", shown(&list.name)));
            }
        }
        lines.extend(self.notes.iter().map(|note| format!("note   {note}")));
        lines.extend(self.problems.iter().map(|problem| format!("WRONG  {problem}")));
        if !self.not_covered.is_empty() {
            let names: Vec<String> = self.not_covered.iter().map(|name| shown(name)).collect();
            lines.push(format!("note   not checked: {}", names.join(", ")));
        }
        if let Some(policy) = &self.policy {
            let people = policy.people.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            lines.push(format!("keys   {} ({people}); {} must have signed", policy.keys, policy.quorum));
        }
        lines.push(self.summary.clone());
        lines.join("\n")
    }
}

/// A name from outside on one line, safe for a terminal.
pub(super) fn shown(name: &str) -> String {
    one_line(name, 200)
}
