//! The examples in README.md and docs: each is a declaration that its loader accepts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use drydock_ci::outcome::{Blame, OutcomeKind};
use drydock_config::images::Images;
use drydock_config::jobs::Suite;
use drydock_config::properties::Properties;
use drydock_config::quarantine::Quarantine;
use drydock_config::release::Release;

use crate::support::{Project, RunJson, need_tools};

/// Precedes an example that is a part of packaging/release.yaml.
const RELEASE_START: &str = "name: mine\narchives: [{format: tar.xz}]\n";

/// An example: the rest of the comment in its first line names the file that it belongs to.
struct Example {
    document: String,
    line: usize,
    text: String,
}

/// Every block of a document that is marked as YAML.
fn examples(document: &Path) -> Vec<Example> {
    let text = fs::read_to_string(document).unwrap();
    let mut examples = Vec::new();
    let mut open: Option<Example> = None;
    for (index, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => examples.extend(open.take()),
            Some(example) => example.text.extend([line, "\n"]),
            None if line == "```yaml" => {
                let document = document.file_name().unwrap().to_string_lossy().into_owned();
                open = Some(Example { document, line: index + 1, text: String::new() });
            }
            None => {}
        }
    }
    assert!(open.is_none(), "{}: a block has no end", document.display());
    examples
}

/// A project with the files that examples of ci/jobs.yaml mention.
fn project() -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    for file in ["tests/run-wire.c", "ci/suppressions/project.supp", "ci/heap/startup.massif"] {
        let file = project.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    project
}

/// The reason why an example is not accepted.
fn refusal(example: &Example, project: &Path) -> Option<String> {
    let name = example.text.lines().next().unwrap_or_default();
    let shown_as = Path::new(&example.document);
    let text = &example.text;
    let loaded = match name {
        "# ci/jobs.yaml" => Suite::parse(text, shown_as, Some(project)).map(drop),
        "# ci/quarantine.yaml" => Quarantine::parse(text, shown_as, jiff::civil::date(2026, 11, 1)).map(drop),
        "# ci/suite.yaml" => Properties::parse(text, shown_as).map(drop),
        "# packaging/release.yaml" => Release::parse(text, shown_as).map(drop),
        "# in packaging/release.yaml" => Release::parse(&format!("{RELEASE_START}{text}"), shown_as).map(drop),
        "# docker/images.yaml" => Images::parse(text, shown_as).map(drop),
        _ => return Some(format!("its first line is `{name}`, which is not a comment that names a declaration")),
    };
    loaded.err().map(|diagnostics| diagnostics.to_string())
}

#[test]
fn the_examples_in_the_documents_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut documents: Vec<PathBuf> = vec![root.join("README.md")];
    documents.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    documents.retain(|document| document.extension().is_some_and(|extension| extension == "md"));
    let project = project();
    let examples: Vec<Example> = documents.iter().flat_map(|document| examples(document)).collect();
    let refused: Vec<String> = examples
        .iter()
        .filter_map(|example| {
            let reason = refusal(example, project.path())?;
            Some(format!("{}:{}: {reason}", example.document, example.line))
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(examples.len() >= 8, "only {} examples in {} documents", examples.len(), documents.len());
}

/// The Makefile of a project that the first example of README.md fits: each `tests/run-*.c` is a program.
const MAKEFILE: &str =
    "PROGRAMS := $(patsubst %.c,%,$(wildcard tests/run-*.c))\nall: $(PROGRAMS)\n%: %.c\n\t$(CC) -g -o $@ $<\n";

/// Someone who has nothing but a project and the README pastes the first example, and calls the command below it.
#[test]
fn the_first_example_of_the_readme_runs_as_it_stands() {
    if !need_tools(&[("valgrind", "valgrind"), ("make", "make"), ("gcc", "gcc")]) {
        return;
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
    let example = examples(&readme).into_iter().next().unwrap();
    let project = Project::new()
        .jobs(&example.text)
        .file("Makefile", MAKEFILE)
        .file("tests/run-wire.c", "int main(void) { return 0; }\n")
        .file("tests/run-json.c", "#include <stdlib.h>\nint main(void) { free(malloc(7)); return 0; }\n");
    let run = project.xtask(&["ci"]).run();
    assert_eq!(run.code(), 0, "{}", run.transcript());
    let jobs = RunJson::latest(&project.state()).unwrap().jobs;
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["build", "units/run-json", "units/run-wire"], "{}", run.transcript());

    // It also finds what is to be found.
    let wrong = "#include <stdlib.h>\nint main(void) { char *a = malloc(7); return a[7] ? 0 : 0; }\n";
    let project = project.file("tests/run-wire.c", wrong);
    let run = project.xtask(&["ci"]).run();
    assert_eq!(run.code(), 1, "{}", run.transcript());
    let jobs = RunJson::latest(&project.state()).unwrap().jobs;
    let kinds: Vec<&str> = jobs.iter().map(|job| job.attempts[0].outcome.kind.as_str()).collect();
    assert_eq!(kinds, ["passed", "passed", "findings"], "{}", run.transcript());
}

/// docs/why.md explains each verdict, and says who caused it.
#[test]
fn every_verdict_is_explained() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs/why.md");
    let page = fs::read_to_string(page).unwrap();
    let sections = page.split("\n## `").skip(1).map(|section| section.split_once("`\n\nFailure of: ").unwrap());
    let explained: Vec<(&str, &str)> =
        sections.map(|(word, text)| (word, text.split(['.', ',']).next().unwrap())).collect();
    // The words come from the type, by its schema.
    let schema = schemars::schema_for!(OutcomeKind).to_value();
    let words: Vec<&str> = match schema["oneOf"].as_array() {
        Some(variants) => variants.iter().filter_map(|variant| variant["const"].as_str()).collect(),
        None => schema["enum"].as_array().unwrap().iter().filter_map(|word| word.as_str()).collect(),
    };
    assert!(words.len() >= 15, "{schema}");
    let expected = words.iter().map(|word| {
        let kind: OutcomeKind = serde_json::from_value((*word).into()).unwrap();
        let who = match kind.blame() {
            Blame::Nobody => "nobody",
            Blame::Job => "the job",
            Blame::Machine => "the machine",
            Blame::User => "the user",
        };
        (*word, who)
    });
    let owned =
        |rows: Vec<(&str, &str)>| rows.iter().map(|(word, who)| format!("{word}: {who}")).collect::<BTreeSet<_>>();
    assert_eq!(owned(explained), owned(expected.collect()));
}

/// Links between the documents lead to files that exist.
#[test]
fn links_of_the_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut broken = Vec::new();
    let mut count = 0;
    for directory in ["", "docs", "docs/reference"] {
        for file in fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
                count += 1;
                if !file.with_file_name(target).exists() {
                    broken.push(format!("{}: {target}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty() && count > 30, "{broken:#?} of {count}");
}
