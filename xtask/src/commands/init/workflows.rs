//! The workflows of a project, and the action that puts Drydock and the project's packages on a runner.

use std::path::Path;

use super::drafts::{Drafted, Project};
use crate::commands::workflows::{NightlyFacts, ReleaseFacts, WorkflowFacts, facts_of, generate};
use drydock_base::exec;
use drydock_config::images::Images;
use drydock_config::release::Release;
use drydock_init::facts::Facts;
use drydock_init::member::Source;
use drydock_init::{images, release};

/// The directory of the action, and the one for a project that has another action there.
const SETUP: [&str; 2] = [".github/actions/setup", ".github/actions/drydock"];

/// True if a file is the action.
pub(super) fn is_action(file: &str) -> bool {
    SETUP.iter().any(|directory| file.strip_prefix(directory) == Some("/action.yml"))
}

/// The directory for the action: the usual one, unless the project has an action of its own there.
fn directory_of_action(project: &Project, text: &str) -> &'static str {
    let tree = project.tree;
    let first = |text: &str| text.lines().next().map(str::to_owned);
    let own = ["action.yml", "action.yaml"].iter().find_map(|name| tree.text(&format!("{}/{name}", SETUP[0])));
    // One that was changed after init wrote it is kept.
    let is_free = own.is_none_or(|own| first(&own) == first(text));
    if is_free { SETUP[0] } else { SETUP[1] }
}

/// True if the project is, or may be, on GitHub.
fn is_for_github(facts: &Facts) -> bool {
    if facts.git.on_github().is_some() || facts.workflows.iter().any(|path| path.starts_with(".github/")) {
        return true;
    }
    // Of a project that has another service, nobody needs these.
    let elsewhere = ["gitlab", "sr.ht", "codeberg", "bitbucket", "salsa.debian"];
    let remote = facts.git.remote.as_deref().unwrap_or_default();
    facts.workflows.is_empty() && !elsewhere.iter().any(|host| remote.contains(host))
}

/// The files with their paths; none without jobs, or for a project that is elsewhere.
pub(super) fn files(project: &Project, drafts: &[Drafted]) -> Vec<(String, String)> {
    let facts = project.facts;
    if facts.groups.is_empty() || !is_for_github(facts) {
        return Vec::new();
    }
    let command = match project.member {
        Some(member) => format!("cargo {}", member.name),
        None => "drydock".to_owned(),
    };
    let fits = |branch: &&String| {
        branch.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)) && branch.len() < 100
    };
    // Of tags without a beginning, versions start with a digit.
    let (release, nightly) = declared(drafts);
    let release = release.map(|release| match release.tags.as_str() {
        "*" => ReleaseFacts { tags: "[0-9]*".to_owned(), ..release },
        _ => release,
    });
    let is_plain = |tags: &str| tags.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/*[]+".contains(&byte));
    let action = setup(project, &command);
    let directory = directory_of_action(project, &action);
    let made = generate(&WorkflowFacts {
        command,
        setup: format!("$/{directory}"),
        branch: facts.git.branch.as_ref().filter(fits).cloned().unwrap_or_else(|| "main".to_owned()),
        release: release.filter(|release| is_plain(&release.tags)),
        nightly,
        ..WorkflowFacts::default()
    });
    let mut files = vec![(format!("{directory}/action.yml"), action)];
    files.extend(made.into_iter().map(|(path, text)| (path.display().to_string(), text)));
    files
}

/// What the declarations that are written say; nothing if one of them is not valid, which init cannot have written.
fn declared(drafts: &[Drafted]) -> (Option<ReleaseFacts>, NightlyFacts) {
    let text = |file: &str| drafts.iter().find(|draft| draft.file == file).map(|draft| draft.text.as_str());
    let release = text(release::FILE).and_then(|text| Release::parse(text, Path::new(release::FILE)).ok());
    let images = text(images::FILE).and_then(|text| Images::parse(text, Path::new(images::FILE)).ok());
    match release {
        Some(release) => facts_of(&release, images.as_ref()),
        None => (None, NightlyFacts::Suites),
    }
}

/// The path of a workflow whose own name is taken.
pub(super) fn beside(file: &str) -> String {
    match file.rsplit_once('/') {
        Some((directory, name)) => format!("{directory}/drydock-{name}"),
        None => format!("drydock-{file}"),
    }
}

/// The action: the packages that the project needs, then Drydock.
fn setup(project: &Project, command: &str) -> String {
    let facts = project.facts;
    let programs = facts.groups.iter().flat_map(|group| &group.programs).map(|(_, package)| *package);
    let mut packages: Vec<&str> = programs.chain(facts.packages.iter().map(|package| package.name.as_str())).collect();
    packages.sort_unstable();
    packages.dedup();
    // What was built from a directory of this machine has no address that a runner could use, and what has its name in a registry may
    // be anybody's.
    let install = match project.source.install() {
        Some(words) => exec::paste(&[vec!["cargo".to_owned()], words].concat()),
        None => "echo 'nothing says where Drydock is; run init again with --from URL#COMMIT' >&2; exit 1".to_owned(),
    };
    let mut text = include_str!("templates/action.yml").to_owned();
    // A package of the project needs no installation.
    match (text.split_once("#[INSTALL\n"), text.split_once("#]\n")) {
        (Some((before, _)), Some((_, after))) if project.member.is_some() => text = format!("{before}{after}"),
        _ => text = text.replace("#[INSTALL\n", "").replace("#]\n", ""),
    }
    // Debian has no package of uv.
    let has_uv = facts.groups.iter().flat_map(|group| &group.programs).any(|(program, _)| *program == "uv");
    let uv = if has_uv { "    - name: Install uv\n      shell: bash\n      run: pipx install uv\n" } else { "" };
    text = text.replace("@UV@", uv);
    let own =
        [("@PACKAGES@", packages.join("\n          ")), ("@INSTALL@", install), ("@DRYDOCK@", command.to_owned())];
    own.iter().fold(text, |text, (name, value)| text.replace(name, value))
}

/// A note for a Drydock that only this machine has.
pub(super) fn remark(project: &Project) -> Option<String> {
    let Source::Directory(directory) = project.source else { return None };
    Some(format!(
        "Drydock was built in {}, which has no address that other machines know; the action for the workflows fails until one is given \
         by --from URL#COMMIT",
        directory.parent().unwrap_or(directory).display()
    ))
}
