//! `packaging/release.yaml` from the facts.

use std::path::Path;

use crate::draft::{Field, Value, yaml};
use crate::facts::debian::{SERIES, USUAL_SERIES, is_address};
use crate::facts::{Facts, GeneratorDraft, System};
use drydock_base::exec;
use drydock_config::diagnostic::Diagnostics;
use drydock_config::release::Release;

/// The file, relative to the project.
pub const FILE: &str = "packaging/release.yaml";

/// The text of the declaration.
pub fn text(facts: &Facts, head: &[String]) -> String {
    let (name, why) = &facts.name;
    let scripts = facts.release_scripts.iter().map(|path| format!("saw {path}, which makes releases today"));
    let mut fields = vec![Field::text("name", name.clone()).because([why.clone()])];
    fields.push(Field::new("version", Value::Map(version(facts))));
    let mut source = Vec::new();
    if facts.submodules {
        let why = "saw .gitmodules: the archives have the files of submodules, at the commits that are pinned";
        source.push(Field::word("submodules", "true").because([why]));
    }
    if let Some(why) = &facts.unportable {
        source.push(Field::word("portable-names", "false").because([why.clone()]));
    }
    if !facts.generators.is_empty() {
        let all = facts.generators.iter().map(generator);
        source.push(Field::new("derived", Value::Map(all.collect())));
    }
    if !source.is_empty() {
        fields.push(Field::new("source", Value::Map(source)));
    }
    let network = facts.fetches.as_ref().map(|saw| {
        let unless =
            if saw.text.to_ascii_lowercase().contains("cargo") { " unless `source.vendor` ships them" } else { "" };
        format!("no offline proof is declared: saw {saw}, which takes files from the network{unless}")
    });
    fields.push(archives(facts).because(scripts).because(network));
    fields.extend(offline_proof(facts));
    fields.extend(deb(facts));
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
            entry.extend((!place.lines.is_empty()).then(|| Field::list("lines", place.lines.clone())));
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

fn generator(draft: &GeneratorDraft) -> Field {
    let mut fields = vec![
        Field::list("run", draft.run.clone()),
        Field::list("inputs", draft.inputs.clone()),
        Field::list("outputs", draft.outputs.clone()),
    ];
    fields.extend((!draft.scratch.is_empty()).then(|| Field::list("scratch", draft.scratch.clone())));
    fields.extend((!draft.needs.is_empty()).then(|| Field::list("needs", draft.needs.clone())));
    fields.extend(draft.copies.then(|| Field::word("copies", "true")));
    Field::new(draft.name, Value::Map(fields)).because(draft.comments.clone())
}

/// The archives that are made today, and a tar.xz where there are none.
fn archives(facts: &Facts) -> Field {
    let entry = |archive: &crate::facts::ArchiveFact| {
        let mut entry = vec![Field::word("format", archive.format)];
        entry.extend(archive.name.clone().map(|name| Field::text("name", name)));
        entry
    };
    let mut entries: Vec<Vec<Field>> = facts.archives.iter().map(entry).collect();
    if entries.is_empty() || facts.archives.iter().all(|archive| archive.format == "zip") {
        // Under the name of the zip file.
        let zip = facts.archives.iter().find_map(|archive| archive.name.as_deref()?.strip_suffix(".zip"));
        let mut entry = vec![Field::word("format", "tar.xz")];
        entry.extend(zip.map(|name| Field::text("name", format!("{name}.tar.xz"))));
        entries.push(entry);
    }
    let mut why: Vec<String> = facts.archives.iter().map(|archive| archive.why.clone()).collect();
    why.dedup();
    Field::new("archives", Value::Entries(entries)).because(why)
}

/// The Debian package, if the project has one, or if one is written.
fn deb(facts: &Facts) -> Option<Field> {
    let debian = facts.debian.as_ref()?;
    facts.versions.changelog.as_ref()?;
    let mut fields = Vec::new();
    if debian.directory != "packaging/debian" {
        fields.push(Field::text("directory", debian.directory.clone()));
    }
    let author = facts.git.author.clone().filter(|author| is_address(author));
    fields.push(match (&debian.maintainer, author) {
        (Some((name, saw)), _) if is_address(name) => {
            Field::text("maintainer", name.clone()).because([format!("saw {saw}")])
        }
        (_, Some(author)) => Field::text("maintainer", author).because(["saw the author of the newest commit"]),
        (_, None) => Field::text("maintainer", "A Name <name@example.org>").because(["saw no name; write yours"]),
    });
    let formats = facts.archives.iter().map(|archive| archive.format);
    let orig = formats.filter(|format| *format != "zip").min_by_key(|format| *format != "tar.xz");
    fields.extend(orig.filter(|format| *format != "tar.xz").map(|format| Field::word("orig", format)));
    let is_revision = |text: &&String| {
        text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.~".contains(&byte))
    };
    let revision = debian.revision.as_ref().filter(is_revision).cloned().unwrap_or_else(|| "1".to_owned());
    fields.push(Field::text("revision", revision));
    let named = debian.distribution.as_ref().and_then(|(name, saw)| {
        let series = SERIES.iter().find(|(series, _, _)| series == name)?;
        Some((series, format!("saw {saw}")))
    });
    let usual = || {
        let why = match &debian.distribution {
            Some((_, saw)) => format!("saw {saw}, which is no stable series; this is the newest one of Debian"),
            None => "the newest stable series of Debian".to_owned(),
        };
        SERIES.iter().find(|(series, _, _)| *series == USUAL_SERIES).map(|series| (series, why))
    };
    let ((series, number, distribution), why) = named.or_else(usual)?;
    let entry = vec![Field::text("number", *number), Field::word("distribution", *distribution)];
    let series = Field::new("series", Value::Map(vec![Field::new(*series, Value::Inline(entry))]));
    fields.push(series.because([why]));
    let why =
        format!("saw {}/control, rules and copyright; the changelog is made from the project's own", debian.directory);
    Some(Field::new("deb", Value::Map(fields)).because([why]))
}

/// Why the Debian package that the project has is not declared; none if it is, or if there is none.
pub fn undeclared_package(facts: &Facts) -> Option<String> {
    let debian = facts.debian.as_ref().filter(|_| facts.versions.changelog.is_none())?;
    Some(format!(
        "no `deb` is declared for {}: its changelog is made from the project's own, and none names the last release; \
         declare `version.changelog`, and run init again",
        debian.directory
    ))
}

/// The build of the archive without a network, where the first build system says how.
fn offline_proof(facts: &Facts) -> Option<Field> {
    let group = facts.groups.iter().find(|group| !group.build_release.is_empty())?;
    // Crates come from the network unless the archive has them.
    if group.system == System::Cargo || facts.fetches.is_some() {
        return None;
    }
    let mut commands = group.build_release.clone();
    let ships_configure = facts.generators.iter().any(|generator| generator.name == "configure");
    if let Some(bootstrap) = group.jobs.iter().find(|job| job.name == "bootstrap" && !ships_configure) {
        commands.insert(0, bootstrap.run.clone());
    }
    if !group.directory.is_empty() {
        commands.insert(0, vec!["cd".to_owned(), group.directory.clone()]);
    }
    let run = match &commands[..] {
        [only] => only.clone(),
        _ => {
            let lines: Vec<String> = commands.iter().map(|words| exec::paste(words)).collect();
            vec!["sh".to_owned(), "-c".to_owned(), lines.join(" && ")]
        }
    };
    let why = format!("the archive is built without a network, as {} does it", group.system.name());
    let mut fields = vec![Field::list("build", run)];
    if ships_configure {
        let why = "the archive has what these would write";
        fields.push(Field::list("poisoned", ["autoconf", "automake", "aclocal", "autoheader"]).because([why]));
    }
    Some(Field::new("offline-proof", Value::Map(fields)).because([why]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::GitFacts;
    use crate::tree::Tree;

    #[test]
    fn archives_and_the_project_have_the_name_that_its_script_gives() {
        let script = "#!/bin/sh\nVERSION=$(git tag --points-at HEAD)\nzip -X \"lampd-$VERSION.zip\" .\n";
        let git = GitFacts {
            directory: "lamp".to_owned(),
            tags: vec!["v1.2".to_owned()],
            is_repository: true,
            ..GitFacts::default()
        };
        let release = |more: &[(&str, &str)]| {
            let files = [("tools/build-release.sh", script)].into_iter().chain(more.iter().copied());
            let text = text(&Facts::find(&Tree::from_texts(files), &git), &[]);
            check(&text).unwrap();
            text
        };
        let found = release(&[]);
        assert!(found.contains("\nname: lampd\n"), "{found}");
        for archive in
            ["{format: zip, name: \"lampd-v{version}.zip\"}", "{format: tar.xz, name: \"lampd-v{version}.tar.xz\"}"]
        {
            assert!(found.contains(archive), "{archive}\n{found}");
        }
        // A manifest knows better.
        let found = release(&[("meson.build", "project('lamp', 'c', version: '1.2')\n")]);
        assert!(found.contains("\nname: lamp\n") && found.contains("lampd-v{version}.zip"), "{found}");
    }

    #[test]
    fn no_offline_proof_is_declared_for_a_build_that_takes_packages_from_the_network() {
        let git = GitFacts::default();
        let release = |recipe: &str| {
            let makefile = format!("all: a plugin\na: a.c\n\t$(CC) -o a a.c\nplugin:\n\t{recipe}\n");
            text(&Facts::find(&Tree::from_texts([("Makefile", makefile.as_str()), ("a.c", "")]), &git), &[])
        };
        let fetches = release("$(CARGO) build --bin plugin").replace("\n#   ", " ");
        assert!(fetches.contains("# no offline proof is declared: saw Makefile:5"), "{fetches}");
        assert!(!fetches.contains("offline-proof:"), "{fetches}");
        assert!(release("cp a b").contains("offline-proof:"));
    }

    #[test]
    fn tags_and_changelogs_are_declared_in_the_forms_that_people_use() {
        let news =
            "NEWS of lamp\n\n* Noteworthy changes in release 2.6.1 (2024-01-02) [stable]\n\n** Bug fixes\n\n  One.\n";
        let files = [("ChangeLog", "2024-01-02  A Name  <a@b.c>\n\n\t* a.c: Fix.\n"), ("NEWS", news)];
        let git =
            GitFacts { tags: vec!["R_2_6_1".into(), "R_2_6_0".into()], is_repository: true, ..GitFacts::default() };
        let found = text(&Facts::find(&Tree::from_texts(files), &git), &[]);
        check(&found).unwrap();
        assert!(found.contains("tag: \"R_{version:_}\"") && found.contains("2 of 2 tags"), "{found}");
        assert!(found.contains("saw NEWS:3") && found.contains("changelog: NEWS\n"), "{found}");
    }
}
