//! The files that `init` writes, each with the check of the command that reads it.

use std::path::Path;

use super::write::{self, State};
use super::{images, workflows};
use drydock_base::failure::Failure;
use drydock_config::diagnostic::Diagnostics;
use drydock_init::facts::{Facts, GitPlace};
use drydock_init::member::{self, Member, Source};
use drydock_init::tree::Tree;
use drydock_init::{jobs, package, release};

/// One file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drafted {
    /// Relative to the project.
    pub(super) file: String,
    /// Its text.
    pub(super) text: String,
    /// What is at its place.
    pub(super) state: State,
    /// True for a program.
    pub(super) executable: bool,
}

/// What a project is drafted from.
pub(super) struct Project<'p> {
    /// What it has.
    pub(super) facts: &'p Facts,
    /// Its files.
    pub(super) tree: &'p Tree,
    /// Where it is.
    pub(super) directory: &'p Path,
    /// Where the project is to take Drydock from.
    pub(super) source: &'p Source,
    /// Drydock as a package of the project, if that is wanted.
    pub(super) member: Option<&'p Member>,
    /// True if a Debian package is wanted.
    pub(super) deb: bool,
}

/// A declaration.
struct Declaration {
    /// Relative to the project.
    file: &'static str,
    /// Its text; none if the project has no ground for it.
    text: fn(&Project, &[String]) -> Option<String>,
    /// The check of the command that reads it.
    check: fn(&str, &Path) -> Result<(), Diagnostics>,
}

/// The declarations, in the order in which they are written.
const DECLARATIONS: &[Declaration] = &[
    Declaration { file: jobs::FILE, text: |project, head| jobs::text(project.facts, head), check: jobs::check },
    Declaration {
        file: release::FILE,
        text: |project, head| Some(release::text(project.facts, head)),
        check: |text, _| release::check(text),
    },
    Declaration {
        file: drydock_init::images::FILE,
        text: |project, head| images::text(project.facts, project.tree, head),
        check: |text, _| drydock_init::images::check(text),
    },
];

/// The package that is Drydock, where the project is to have one.
pub(super) fn member_of(tree: &Tree, source: &Source) -> Member {
    member::member(tree, source)
}

/// The files, with their texts and what is there now. A text that does not pass its own check is a bug, and nothing is written.
pub(super) fn all(project: &Project) -> anyhow::Result<Vec<Drafted>> {
    let head = ["Written by init from what the project has: each comment says what it saw. Change what is wrong; \
                 init never replaces this file."
        .to_owned()];
    let wrong = |file: &str, problems: &Diagnostics| {
        anyhow::anyhow!("init made {file} wrongly, and wrote nothing; please report this:\n{problems}")
    };
    let mut drafts: Vec<Drafted> = Vec::new();
    let add = |drafts: &mut Vec<Drafted>, file: &str, text: String, executable: bool| -> anyhow::Result<State> {
        let state = write::state(project.directory, file, &text)?;
        drafts.push(Drafted { file: file.to_owned(), text, state, executable });
        Ok(state)
    };
    // Releases and workflows are of a whole repository.
    let is_part = matches!(project.facts.git.place, GitPlace::Below(_));
    for declaration in DECLARATIONS.iter().filter(|declaration| !is_part || declaration.file == jobs::FILE) {
        let Some(text) = (declaration.text)(project, &head) else { continue };
        if add(&mut drafts, declaration.file, text.clone(), false)? == State::Missing {
            (declaration.check)(&text, project.directory).map_err(|problems| wrong(declaration.file, &problems))?;
        }
    }
    if !is_part && project.deb && project.facts.debian.as_ref().is_none_or(|debian| *debian == package::facts()) {
        let files = package::files(project.facts, project.tree)
            .map_err(|why| Failure::rejected(format!("no Debian package can be drafted: {why}")))?;
        for (file, text, executable) in files {
            add(&mut drafts, file, text, executable)?;
        }
    }
    let workflows = if is_part { Vec::new() } else { workflows::files(project, &drafts) };
    for (file, text) in workflows {
        // A workflow of the project's own by the same name stays, and this one is beside it.
        let taken = write::state(project.directory, &file, &text)? == State::Different;
        let file = if taken { workflows::beside(&file) } else { file };
        if add(&mut drafts, &file, text.clone(), false)? == State::Missing {
            let problems = crate::commands::workflows::problems(&text, Path::new(&file));
            if !problems.is_empty() {
                return Err(wrong(&file, &problems));
            }
        }
    }
    for (file, text) in project.member.into_iter().flat_map(|member| &member.files) {
        add(&mut drafts, file, text.clone(), false)?;
    }
    Ok(drafts)
}
