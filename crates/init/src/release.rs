//! `packaging/release.yaml` from the facts.

use std::path::Path;

use crate::draft::{Field, Value, yaml};
use crate::facts::{Facts, System};
use drydock_base::exec;
use drydock_config::diagnostic::Diagnostics;
use drydock_config::release::Release;

/// The file, relative to the project.
pub const FILE: &str = "packaging/release.yaml";

/// The text of the declaration.
pub fn text(facts: &Facts, head: &[String]) -> String {
    let (name, why) = &facts.name;
    let mut fields = vec![Field::text("name", name.clone()).because([why.clone()])];
    fields.push(Field::new("version", Value::Map(version(facts))));
    if facts.submodules {
        let source = Field::new("source", Value::Inline(vec![Field::word("submodules", "true")]));
        fields.push(
            source.because([
                "saw .gitmodules: the archives have the files of submodules, at the commits that are pinned",
            ]),
        );
    }
    fields.push(Field::new("archives", Value::Entries(vec![vec![Field::word("format", "tar.xz")]])));
    fields.extend(offline_proof(facts));
    yaml(head, &fields)
}

/// The problems of the text.
///
/// # Errors
/// All problems at once.
pub fn check(text: &str) -> Result<(), Diagnostics> {
    Release::parse(text, Path::new(FILE)).map(drop)
}

fn version(facts: &Facts) -> Vec<Field> {
    let versions = &facts.versions;
    let mut fields = Vec::new();
    fields.push(match &versions.tag {
        Some((pattern, why)) => Field::text("tag", pattern.clone()).because([why.clone()]),
        None => Field::text("tag", "v{version}").because(["saw no tag that names a version; this is the usual form"]),
    });
    if !versions.places.is_empty() {
        let entry = |place: &crate::facts::versions::VersionPlace| {
            let mut entry = vec![Field::text("path", place.path.clone())];
            entry.extend(place.line.clone().map(|line| Field::text("line", line)));
            entry.extend(place.key.map(|key| Field::text("key", key)));
            entry
        };
        let files = Field::new("files", Value::Entries(versions.places.iter().map(entry).collect()));
        fields.push(files.because(versions.places.iter().map(|place| place.why.clone())));
    }
    match (&versions.changelog, &versions.unusable_changelog) {
        (Some((path, why)), _) => fields.push(Field::text("changelog", path.clone()).because([why.clone()])),
        (None, Some(why)) => {
            if let Some(last) = fields.last_mut() {
                last.comments.push(format!("no changelog is declared: {why}"));
            }
        }
        (None, None) => {}
    }
    fields
}

/// The build of the archive without a network, where the first build system says how.
fn offline_proof(facts: &Facts) -> Option<Field> {
    let group = facts.groups.iter().find(|group| !group.build_release.is_empty())?;
    // Crates come from the network unless the archive has them.
    if group.system == System::Cargo {
        return None;
    }
    let mut commands = group.build_release.clone();
    if let Some(bootstrap) = group.jobs.iter().find(|job| job.name == "bootstrap") {
        commands.insert(0, bootstrap.run.clone());
    }
    let run = match &commands[..] {
        [only] => only.clone(),
        _ => {
            let lines: Vec<String> = commands.iter().map(|words| exec::paste(words)).collect();
            vec!["sh".to_owned(), "-c".to_owned(), lines.join(" && ")]
        }
    };
    let why = format!("the archive is built without a network, as {} does it", group.system.name());
    Some(Field::new("offline-proof", Value::Map(vec![Field::list("build", run)])).because([why]))
}
