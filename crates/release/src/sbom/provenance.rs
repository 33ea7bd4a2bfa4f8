//! The provenance of a release: an in-toto statement with the predicate of SLSA 1.0, <https://slsa.dev/spec/v1.0/provenance>.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ENDINGS;
use crate::binaries::BinaryRecord;
use crate::manifest::{Artifact, Identity, Manifest};
use drydock_archive::source::SourceTree;
use drydock_base::paths;

/// The type of statements.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// The type of the build: the archives of a commit as its declaration says.
const BUILD: &str = "https://drydock.example/release/v1";

/// A statement, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

/// A file that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

/// The statement about files.
pub(super) fn statement(
    identity: &Identity<'_>,
    tree: &SourceTree,
    subjects: &[Artifact],
    binaries: &[BinaryRecord],
) -> Value {
    let subject: Vec<Value> =
        subjects.iter().map(|one| json!({"name": one.name, "digest": {"sha256": one.sha256.to_string()}})).collect();
    let source = |path: &str, commit: &str| json!({"name": path, "digest": {"gitCommit": commit}});
    let dependencies: Vec<Value> = tree
        .repositories
        .iter()
        .map(|one| {
            source(if one.prefix.is_empty() { "." } else { one.prefix.trim_end_matches('/') }, one.commit.as_str())
        })
        .chain(binaries.iter().map(base))
        .collect();
    json!({
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {
                    "name": identity.release.name,
                    "version": identity.version.as_str(),
                    "tag": identity.tag.as_ref().map(|tag| json!({"name": tag.name, "object": tag.object})),
                    "declaration": {"path": "packaging/release.yaml", "digest": {"sha256": identity.declaration.to_string()}},
                },
                "resolvedDependencies": dependencies,
            },
            // Who built it is said by the signatures of SHA256SUMS: everybody who builds it signs the same bytes.
            "runDetails": {"builder": {"id": BUILD}},
        },
    })
}

/// The base of a binary tarball, as a dependency of its build.
fn base(record: &BinaryRecord) -> Value {
    let digest = record.digest.strip_prefix("sha256:").unwrap_or(&record.digest);
    json!({"name": record.base, "digest": {"sha256": digest}, "annotations": {"platform": record.platform, "of": record.artifacts}})
}

/// The largest statement that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// What is wrong with the statements in the directory of a release, as `FILE: PROBLEM`. Files that are not there are no problem here.
pub fn problems(manifest: &Manifest, directory: &Path) -> Vec<String> {
    let statements = manifest.artifacts.iter().filter(|one| one.name.ends_with(ENDINGS[2]));
    let problem = |one: &Artifact| {
        let mut content = Vec::new();
        let file = paths::open_regular(&directory.join(&one.name)).ok()?;
        file.take(LARGEST).read_to_end(&mut content).ok()?;
        problem(manifest, &one.name, &content).map(|problem| format!("{}: {problem}", one.name))
    };
    statements.filter_map(problem).collect()
}

/// What is wrong with the provenance of a release; none if it is about exactly its other artifacts.
fn problem(manifest: &Manifest, name: &str, content: &[u8]) -> Option<String> {
    let statement: Statement = match serde_json::from_slice(content) {
        Ok(statement) => statement,
        Err(error) => return Some(format!("it is not an in-toto statement: {error}")),
    };
    if statement.kind != STATEMENT || statement.predicate_type != PREDICATE {
        return Some("it is not a statement of SLSA 1.0".to_owned());
    }
    let stated: BTreeMap<&str, Option<&String>> =
        statement.subject.iter().map(|one| (one.name.as_str(), one.digest.get("sha256"))).collect();
    for artifact in manifest.artifacts.iter().filter(|one| one.name != name) {
        let sha256 = artifact.sha256.to_string();
        match stated.get(artifact.name.as_str()) {
            None => return Some(format!("it is not about {}", artifact.name)),
            Some(stated) if *stated != Some(&sha256) => {
                return Some(format!("it states another SHA-256 of {} than release.json", artifact.name));
            }
            Some(_) => {}
        }
    }
    let is_known = |name: &&&str| manifest.artifacts.iter().any(|one| one.name == ***name);
    let extra = stated.keys().find(|name| !is_known(name));
    extra.map(|name| format!("it is about {name}, which release.json does not list"))
}
