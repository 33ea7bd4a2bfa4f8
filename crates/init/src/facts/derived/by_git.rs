//! Scripts that ask git for the version while they make `configure`: they get a repository whose only commit has the tag of the
//! release.

use super::super::{JobDraft, Saw};
use crate::tree::Tree;

/// The largest script that is read.
const LARGEST: usize = 100_000;
/// What asks git for a version.
const QUESTIONS: [&str; 2] = ["git describe", "git-version-gen"];

/// Where `configure.ac`, the script that makes `configure`, or a script that one of them names asks git; and the scripts.
pub(super) fn question(tree: &Tree, configure: &str, bootstrap: &JobDraft) -> Option<(Saw, Vec<String>)> {
    let script = bootstrap.run.iter().filter_map(|word| word.strip_prefix("./")).map(str::to_owned);
    let first: Vec<String> = [configure.to_owned()].into_iter().chain(script).collect();
    let named: Vec<String> = first.iter().flat_map(|path| named(tree, path)).collect();
    let mut all = first;
    all.extend(named);
    all.dedup();
    let saw = all.iter().find_map(|path| {
        let text = tree.text(path)?;
        let is_code = |line: &str| !["#", "dnl", "//"].iter().any(|start| line.trim_start().starts_with(start));
        let asks = |line: &str| QUESTIONS.iter().any(|question| line.contains(question));
        let (number, line) = text.lines().enumerate().find(|(_, line)| is_code(line) && asks(line))?;
        Some(Saw::line(path, number + 1, line))
    })?;
    Some((saw, all))
}

/// The files of the project that a script names.
fn named(tree: &Tree, path: &str) -> Vec<String> {
    let text = tree.text(path).filter(|text| text.len() <= LARGEST).unwrap_or_default();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_./-".contains(letter);
    let words =
        text.lines().filter(|line| !line.trim_start().starts_with(['#'])).flat_map(|line| line.split(|c| !is_part(c)));
    let mut found: Vec<String> = words
        .map(|word| word.trim_start_matches("./"))
        .filter(|word| !word.ends_with(".am") && !word.ends_with(".in") && tree.has(word))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found.truncate(20);
    found
}

/// The script within a repository of the sources, whose only commit has the tag of the release. `tag` is its pattern.
pub(super) fn in_repository(script: &str, tag: &str) -> String {
    let tag = tag.replace("{version}", "$DRYDOCK_VERSION");
    let tag = if tag.contains('{') { "v$DRYDOCK_VERSION".to_owned() } else { tag };
    let person = "GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a";
    format!(
        "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 {person} && git init -q && git add -A -f && \
         git commit -q -m a && git tag -a -m a \"{tag}\" && {script} && rm -rf .git"
    )
}

/// Files that git ignores and that one of the scripts names: what the scripts leave behind beside their outputs.
pub(super) fn left_behind(tree: &Tree, scripts: &[String], outputs: &[String]) -> Vec<String> {
    let ignored = tree.text(".gitignore").unwrap_or_default();
    let texts: Vec<String> = scripts.iter().filter_map(|path| tree.text(path)).collect();
    let is_plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/+".contains(&byte))
    };
    let names = ignored.lines().map(|line| line.trim().trim_start_matches('/')).filter(is_plain);
    let names =
        names.filter(|name| !name.ends_with('/') && name.contains('.') && !outputs.iter().any(|own| own == name));
    names.filter(|name| texts.iter().any(|text| text.contains(name))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use crate::facts::{Facts, GitFacts};
    use crate::tree::Tree;

    #[test]
    fn a_script_that_asks_git_finds_a_tag() {
        let configure = "m4_include([version.m4])\nAC_INIT([lamp],[VERSION])\nAM_INIT_AUTOMAKE([foreign])\n";
        let git = GitFacts { tags: vec!["lamp-1.2".into()], is_repository: true, ..GitFacts::default() };
        let found = |script: &str| {
            let files = [
                ("configure.ac", configure),
                ("Makefile.am", ""),
                ("autogen.sh", "#!/bin/sh\nperl tools/version.pl\nautoreconf -i\n"),
                ("tools/version.pl", script),
                (".gitignore", "/lamp.spec\nMakefile.in\n"),
            ];
            let mut drafts = Facts::find(&Tree::from_texts(files), &git).generators;
            drafts.remove(0)
        };
        let draft = found("my $version = `git describe`;\nwrite_file('lamp.spec', $spec);\n");
        let script = &draft.run[2];
        assert!(script.contains("git tag -a -m a \"lamp-$DRYDOCK_VERSION\" && ./autogen.sh && find "), "{script}");
        assert!(script.ends_with(" && rm -rf .git"), "{script}");
        assert!(draft.comments.iter().any(|why| why.starts_with("saw tools/version.pl:1 ")), "{:?}", draft.comments);
        assert!(draft.needs.contains(&"git".to_owned()));
        assert_eq!(draft.scratch.last().unwrap(), "lamp.spec");
        let draft = found("# git describe\nprint '1.2';\n");
        assert!(!draft.run[2].contains("git init"), "{:?}", draft.run);
    }
}
