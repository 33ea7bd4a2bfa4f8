//! `cargo xtask workflows check`: workflows and actions against their schema, zizmor, the shell, and rules of their own.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Context;
use crate::cli;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::paths;
use drydock_base::text::plural;
use drydock_base::units::parse_duration;
use drydock_config::Declarations;
use drydock_config::diagnostic::{Diagnostics, Problems};
use drydock_config::images::{Image, Images};
use drydock_config::release::{PublishTarget, Release};
use drydock_config::yaml;

mod generate;
mod rules;
mod shell;

pub(crate) use generate::{NightlyFacts, ReleaseFacts, WorkflowFacts, generate};

/// The tools of the check, with the package of each.
const TOOLS: [(&str, &str); 2] = [("check-jsonschema", "check-jsonschema"), ("zizmor", "zizmor")];

impl cli::Workflows {
    pub(crate) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        match self.command {
            // A project without declarations may have workflows, too.
            cli::WorkflowsCommand::Check(check) => check.run(place),
            cli::WorkflowsCommand::Write(write) => write.run(&Context::find(place)?),
        }
    }
}

impl cli::WorkflowsCheck {
    /// Checks the workflows of the project, or of the nearest directory that has some.
    fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        if let Ok(ctx) = Context::find(place) {
            return self.check(&ctx.declarations.project);
        }
        let here =
            || std::env::current_dir().context("cannot tell the current directory; name the project with --project");
        let project = place.project.clone().map_or_else(here, Ok)?;
        let nearest = project.ancestors().find(|directory| directory.join(".github").is_dir());
        self.check(nearest.filter(|_| place.project.is_none()).unwrap_or(&project))
    }

    fn check(self, project: &Path) -> anyhow::Result<Exit> {
        let files = if self.files.is_empty() { found(project)? } else { self.files };
        if files.is_empty() {
            return Err(Failure::usage(format!(
                "there are no workflows in {}; `{}` writes declarations and workflows, `{}` only workflows",
                project.join(".github").display(),
                hint::drydock(&["init"]),
                hint::drydock(&["workflows", "write"])
            )));
        }
        let mut count = 0;
        for file in &files {
            count += own_rules(file)?;
        }
        let mut missing = Vec::new();
        for (tool, package) in TOOLS {
            if exec::is_installed(tool) {
                count += foreign(tool, &files)?;
            } else {
                missing.push(package);
            }
        }
        if !exec::is_installed(shell::BASH) {
            missing.push(shell::BASH);
        }
        if !exec::is_installed(shell::SHELLCHECK) {
            output::err("note: shellcheck is not installed, so only the syntax of scripts was checked");
        }
        if count > 0 {
            output::out(format_args!("{} in {}", plural(count, "problem"), plural(files.len(), "file")));
            return Ok(Exit::CheckFailed);
        }
        if !missing.is_empty() {
            return Err(Failure::missing(format!(
                "the rules found nothing, but {} did not look: install them (pipx install {})",
                missing.join(" and "),
                missing.join(" ")
            )));
        }
        output::out(format_args!("nothing to report in {}", plural(files.len(), "file")));
        Ok(Exit::Success)
    }
}

impl cli::WorkflowsWrite {
    fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let project = &ctx.declarations.project;
        let cli::WorkflowsWrite { command, setup, branch, duration, tags, force } = self;
        let (release, nightly) = declared(&ctx.declarations)?;
        let release = match (tags, release) {
            (Some(tags), release) => Some(ReleaseFacts { tags, draft: release.is_some_and(|release| release.draft) }),
            (None, release) => release,
        };
        let tags = release.as_ref().map(|release| &release.tags);
        parse_duration(&duration).map_err(|error| Failure::usage(error.to_string()))?;
        let odd = |text: &str| {
            text.is_empty() || text.contains(|letter: char| letter.is_control() || "\"'`${}#,[]".contains(letter))
        };
        for (name, value) in [("--command", Some(&command)), ("--branch", Some(&branch)), ("--tags", tags)] {
            if value.is_some_and(|value| odd(value)) {
                return Err(Failure::usage(format!("{name} has characters that a workflow would not take literally")));
            }
        }
        if setup.contains(|letter: char| letter.is_control()) {
            return Err(Failure::usage("--setup must be on one line"));
        }
        let files = generate(&WorkflowFacts { command, setup, branch, duration, release, nightly });
        let there: Vec<String> = files
            .iter()
            .filter(|(path, _)| project.join(path).exists())
            .map(|(path, _)| path.display().to_string())
            .collect();
        if !there.is_empty() && !force {
            return Err(Failure::usage(format!("{} would be replaced; use --force to do that", there.join(", "))));
        }
        for (path, text) in files {
            let path = project.join(path);
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
            }
            paths::write_atomically(&path, text.as_bytes())?;
            output::out(path.display());
        }
        Ok(Exit::Success)
    }
}

/// What a project declares that its workflows depend on.
///
/// # Errors
/// A declaration is not valid.
pub(crate) fn declared(declarations: &Declarations) -> anyhow::Result<(Option<ReleaseFacts>, NightlyFacts)> {
    let read = |file: &Path| match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let (release, images) = (declarations.release(), declarations.images());
    let Some(text) = read(&release)? else { return Ok((None, NightlyFacts::Suites)) };
    let release = Release::parse(&text, &release)?;
    let images = read(&images)?.map(|text| Images::parse(&text, &images)).transpose()?;
    Ok(facts_of(&release, images.as_ref()))
}

/// What workflows depend on in the declarations of a release and of images.
pub(crate) fn facts_of(release: &Release, images: Option<&Images>) -> (Option<ReleaseFacts>, NightlyFacts) {
    let is_ours = |image: &Image| image.repositories.nightly.to_string().starts_with("ghcr.io/");
    let nightly = match images {
        Some(images) if images.images.iter().any(is_ours) => NightlyFacts::Pushes,
        Some(_) | None => NightlyFacts::Builds,
    };
    let draft = release.publish.iter().any(|target| matches!(target, PublishTarget::Github(_)));
    (Some(ReleaseFacts { tags: release.tag.glob(), draft }), nightly)
}

/// The workflows and actions of a project.
fn found(project: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![project.join(".github/workflows"), project.join(".github/actions")];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", directory.display()))?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What breaks a rule in the text of a workflow or an action, without what a shell says about its scripts.
pub(crate) fn problems(text: &str, file: &Path) -> Diagnostics {
    Diagnostics::new(rule_problems(text).0, file, text)
}

fn rule_problems(text: &str) -> (Problems, Option<yaml::Node>) {
    let mut problems = Problems::default();
    let tree = yaml::parse(text, &mut problems);
    for problem in tree.iter().flat_map(rules::problems) {
        problems.push(problem);
    }
    (problems, tree)
}

/// Prints what breaks a rule, and returns the number.
fn own_rules(file: &Path) -> anyhow::Result<usize> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (mut problems, tree) = rule_problems(&text);
    if let Some(tree) = &tree {
        shell::problems(tree)?.into_iter().for_each(|problem| problems.push(problem));
    }
    let diagnostics = Diagnostics::new(problems, file, &text);
    if !diagnostics.is_empty() {
        output::out(format_args!("{diagnostics}"));
    }
    Ok(diagnostics.count())
}

/// Prints what another program says, and returns the number of its calls that found something.
fn foreign(tool: &str, files: &[PathBuf]) -> anyhow::Result<usize> {
    let is_action = |file: &&PathBuf| file.file_stem() == Some(OsStr::new("action"));
    let call = |options: &[&str], files: &[&PathBuf]| -> anyhow::Result<usize> {
        if files.is_empty() {
            return Ok(0);
        }
        let done = duct::cmd(
            tool,
            options
                .iter()
                .map(|word| OsStr::new(*word).to_owned())
                .chain(files.iter().map(|file| file.as_os_str().to_owned())),
        )
        .stdin_null()
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .with_context(|| format!("cannot run {tool}"))?;
        if done.status.success() {
            return Ok(0);
        }
        output::out(String::from_utf8_lossy(&done.stdout).trim_end());
        Ok(1)
    };
    let all: Vec<&PathBuf> = files.iter().collect();
    if tool == "zizmor" {
        // Without a network, as everything else here.
        return call(&["--offline", "--no-progress", "--color=never", "--quiet"], &all);
    }
    let (actions, workflows): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(is_action);
    let schema = |name: &str| ["--builtin-schema".to_owned(), format!("vendor.{name}")];
    let [option, name] = schema("github-workflows");
    let of_workflows = call(&[&option, &name], &workflows)?;
    let [option, name] = schema("github-actions");
    Ok(of_workflows + call(&[&option, &name], &actions)?)
}
