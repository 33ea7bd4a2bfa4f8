//! Derived files: generators run twice in clean copies of the sources, and both runs must produce the same outputs.
//!
//! The first run has the usual environment of child processes, and the second one a varied environment. A generator is
//! refused if it writes undeclared files, does not write a declared one, or changes a tracked file; an output is refused if
//! it differs between the runs, or contains traces of the machine.

mod compare;
mod snapshot;
mod traces;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Origin, SourceEntry, SourceTree, names};
use crate::EntryKind;
use drydock_base::exec::{self, Bounds, Contained};
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::scratch::Scratch;
use drydock_base::text::plural;
use drydock_base::variations::{Observed, Variation, Variations, cargo_directories};
use drydock_config::globs::FileGlob;
use drydock_config::release::{Generator, Version};
use snapshot::{FileState, Snapshot};

/// The result of running the generators.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    /// The files to ship.
    pub entries: Vec<SourceEntry>,
    /// The generators, in the order in which they ran.
    pub generators: Vec<GeneratorRecord>,
    /// The variations of the second run, and those that this machine does not support.
    pub variations: Vec<Variation>,
}

/// The record of a generator's run in `release.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GeneratorRecord {
    /// The name of the generator.
    pub name: String,
    /// The command line.
    pub run: Vec<String>,
    /// The files that match its input patterns.
    pub inputs: Vec<String>,
    /// The files that it wrote and that are shipped.
    pub outputs: Vec<String>,
}

/// The project whose files are derived.
#[derive(Debug, Clone, Copy)]
pub struct Project<'a> {
    /// The name in the declaration, which may stand before the project's own version in a derived file.
    pub name: &'a str,
    /// The version that is released.
    pub version: &'a Version,
}

/// The variable in which generators find the version that is released.
const VERSION: &str = "DRYDOCK_VERSION";

/// Runs the generators of a project. `watch` is called with each step before it starts.
///
/// # Errors
/// A tool is missing, a generator fails, or outputs are refused.
pub fn run(
    tree: &SourceTree,
    project: Project<'_>,
    generators: &[Generator],
    watch: &mut dyn FnMut(&str),
) -> anyhow::Result<Derived> {
    if generators.is_empty() {
        return Ok(Derived::default());
    }
    let mut varied = Variations::probe();
    let directory = Scratch::new("derive")?;
    let home = directory.path().join("home");
    fs::create_dir(&home).context("cannot create a temporary directory")?;
    let version = project.version.as_str();
    let plain = Run {
        directory: directory.path().join("a"),
        varied: None,
        variables: cargo_directories(),
        epoch: tree.epoch,
        version,
    };
    let started = traces::now();
    let began = Instant::now();
    let first = plain.all(tree, generators, watch)?;
    let limit = (began.elapsed() * 10).max(LEAST_LIMIT);
    let (other, second) = loop {
        let name = if varied.has_clock() { "elsewhere/under/a longer name" } else { "elsewhere/a third time" };
        let variables = varied.variables(&home).context("cannot write to a temporary directory")?;
        let other = Run {
            directory: directory.path().join(name),
            variables,
            varied: Some((varied.clone(), limit)),
            epoch: tree.epoch,
            version,
        };
        match other.all(tree, generators, watch) {
            Ok(second) => break (other, second),
            // Some programs hang at their start with a varied clock.
            Err(error) if error.is::<GeneratorTimeout>() && varied.has_clock() => {
                watch(&format!("{error}; retrying with the real clock"));
                let name = error.downcast_ref().map_or("", |timeout: &GeneratorTimeout| timeout.generator.as_str());
                varied = varied.with_true_clock(format!("the generator {name} does not finish under another clock"));
            }
            Err(error) => return Err(error),
        }
    };
    let count = first.iter().map(|made| made.outputs.len()).sum();
    watch(&format!("compare {} of both runs, and search for traces of this machine", plural(count, "derived file")));
    compare::same(&first, &second, &plain.directory, &other.directory, &varied)?;
    let sources = tree.entries.iter().map(|entry| entry.path.as_str()).collect();
    let made =
        traces::Made { generators, runs: &first, sources, directory: &plain.directory, project: project.name, started };
    traces::check(&made)?;

    let variations = varied.compare(&plain.observe()?, &other.observe()?);
    let mut derived = Derived { variations, ..Derived::default() };
    for (generator, made) in generators.iter().zip(&first) {
        let shipped: &[Output] = if generator.host_independent { &made.outputs } else { &[] };
        derived.generators.push(GeneratorRecord {
            name: generator.name.clone(),
            run: generator.run.clone(),
            inputs: made.inputs.clone(),
            outputs: shipped.iter().map(|output| output.path.clone()).collect(),
        });
        derived.entries.extend(shipped.iter().map(|output| SourceEntry {
            path: output.path.clone(),
            kind: output.kind.clone(),
            origin: Origin::Derived { generator: generator.name.clone(), content: Arc::clone(&output.content) },
        }));
    }
    Ok(derived)
}

/// The least time limit of a generator in the varied environment.
const LEAST_LIMIT: Duration = Duration::from_secs(60);

/// A generator did not finish in the varied environment.
#[derive(Debug, thiserror::Error)]
#[error("the generator {generator} does not finish within {limit:?} in the varied environment")]
struct GeneratorTimeout {
    generator: String,
    limit: Duration,
}

/// The files that a generator read and wrote in one run.
#[derive(Debug)]
struct GeneratorRun {
    name: String,
    inputs: Vec<String>,
    outputs: Vec<Output>,
}

/// A file that a generator wrote.
#[derive(Debug, Clone)]
struct Output {
    path: String,
    kind: EntryKind,
    content: Arc<[u8]>,
}

/// A directory with a copy of the sources, and the environment of the generators.
struct Run<'a> {
    directory: PathBuf,
    /// The varied environment, and the time limit of a generator in it; none for the first run.
    varied: Option<(Variations, Duration)>,
    variables: BTreeMap<String, String>,
    epoch: u64,
    version: &'a str,
}

impl Run<'_> {
    fn all(
        &self,
        tree: &SourceTree,
        generators: &[Generator],
        watch: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Vec<GeneratorRun>> {
        fs::create_dir_all(&self.directory).context("cannot create a temporary directory")?;
        tree.export(&self.directory)?;
        let mut before = Snapshot::take(&self.directory)?;
        let mut written = BTreeMap::new();
        let mut all = Vec::new();
        for generator in generators {
            let which = if self.varied.is_some() { "derive again" } else { "derive" };
            watch(&format!("{which} {}: {}", generator.name, exec::paste(&generator.run)));
            let inputs = inputs(generator, &before)?;
            self.run(generator)?;
            let after = Snapshot::take(&self.directory)?;
            let outputs = self.outputs(generator, tree, &before, &after, &mut written)?;
            all.push(GeneratorRun { name: generator.name.clone(), inputs, outputs });
            before = after;
        }
        Ok(all)
    }

    /// What a generator sees of its surroundings.
    fn observe(&self) -> anyhow::Result<Observed> {
        let command = Observed::command(&[]);
        let command = self.varied.as_ref().map_or_else(|| command.clone(), |(varied, _)| varied.command(&command));
        let printed = exec::bytes(&command, &self.directory, exec::environment(&[], &self.variables))?;
        Ok(Observed::parse(&String::from_utf8_lossy(&printed)))
    }

    fn run(&self, generator: &Generator) -> anyhow::Result<()> {
        let mut set = self.variables.clone();
        set.insert("SOURCE_DATE_EPOCH".into(), self.epoch.to_string());
        set.insert(VERSION.into(), self.version.to_owned());
        let environment = exec::environment(&[], &set);
        let search = environment.get(std::ffi::OsStr::new("PATH"));
        let program = generator.run.first().map_or("", String::as_str);
        exec::find(program, &self.directory, search).map_err(|why| {
            let install = match generator.needs.as_slice() {
                [] => String::new(),
                needs => format!("; install it with `{}`", hint::apt_get(["install"]).args(needs)),
            };
            Failure::missing(format!("the generator {} cannot run: {why}{install}", generator.name))
        })?;
        let (command, bounds) = match &self.varied {
            None => (generator.run.clone(), Bounds::NONE),
            Some((varied, limit)) => (varied.command(&generator.run), Bounds { time: *limit, ..Bounds::NONE }),
        };
        let contained = Contained { bounds, ..Contained::new(&command, &self.directory, environment) };
        let Err(error) = contained.read() else { return Ok(()) };
        let when = match &self.varied {
            Some((_, limit)) if matches!(error, exec::Error::TooLong { .. }) => {
                return Err(GeneratorTimeout { generator: generator.name.clone(), limit: *limit }.into());
            }
            Some(_) => " when it ran again in a varied environment",
            None => "",
        };
        // The reader knows the generator, not the program that varies its environment.
        let error = error.shown_as(&generator.run);
        Err(Failure::rejected(format!("the generator {} failed{when}: {error}", generator.name)))
    }

    /// The outputs of the generator. Fails unless it wrote exactly the files that it declares.
    fn outputs(
        &self,
        generator: &Generator,
        tree: &SourceTree,
        before: &Snapshot,
        after: &Snapshot,
        written: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<Vec<Output>> {
        let mut problems = Vec::new();
        let mut outputs = Vec::new();
        for path in before.vanished(after).filter(|path| !matches(&generator.scratch, path)) {
            problems.push(format!("removes {path}"));
        }
        for (path, state) in after.changed_since(before) {
            if tree.get(path).is_some() {
                problems.push(format!("changes {path}, which is in git; remove it from git, or write another file"));
            } else if let (Some(other), false) = (written.get(path), matches(&generator.scratch, path)) {
                problems.push(format!("changes {path}, which the generator {other} wrote"));
            } else if matches(&generator.outputs, path) {
                match output(&self.directory, path, state) {
                    Ok(output) => outputs.push(output),
                    Err(error) => problems.push(format!("writes {path}, which {error}")),
                }
                written.insert(path.to_owned(), generator.name.clone());
            } else if !matches(&generator.scratch, path) {
                problems.push(format!("writes {path}, which is not among its `outputs`, nor its `scratch`"));
            }
        }
        for pattern in &generator.outputs {
            if !outputs.iter().any(|output| pattern.matches_written(&output.path)) {
                problems.push(format!("wrote nothing that matches its output `{}`", pattern.as_str()));
            }
        }
        if problems.is_empty() {
            return Ok(outputs);
        }
        let list = problems.iter().take(20).map(|problem| format!("\n  it {problem}")).collect::<String>();
        let more =
            if problems.len() > 20 { format!("\n  … and {} more", problems.len() - 20) } else { String::new() };
        Err(Failure::rejected(format!("the generator {} does not do what it declares:{list}{more}", generator.name)))
    }
}

fn matches(patterns: &[FileGlob], path: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches_written(path))
}

/// The files that match the generator's input patterns.
fn inputs(generator: &Generator, before: &Snapshot) -> anyhow::Result<Vec<String>> {
    for pattern in &generator.inputs {
        if !before.paths().any(|path| pattern.matches_written(path)) {
            let text = format!("the input `{}` of the generator {} matches no file", pattern.as_str(), generator.name);
            return Err(Failure::declaration(format!("{text}; correct the pattern in packaging/release.yaml")));
        }
    }
    Ok(before.paths().filter(|path| matches(&generator.inputs, path)).map(str::to_owned).collect())
}

/// An output that cannot be shipped; the message continues a sentence about the file.
#[derive(Debug, thiserror::Error)]
enum OutputError {
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The problem with the target, as [`names::wrong_target`] describes it.
    #[error("{0}")]
    Symlink(String),
    #[error("is neither a file nor a symlink")]
    Other,
}

fn output(directory: &Path, path: &str, state: &FileState) -> Result<Output, OutputError> {
    let (kind, content): (EntryKind, Arc<[u8]>) = match state {
        FileState::File { executable, .. } => {
            let content = fs::read(directory.join(path))?;
            (EntryKind::File { executable: *executable }, content.into())
        }
        FileState::Link { target } => {
            if let Some(why) = names::wrong_target(path, target) {
                return Err(OutputError::Symlink(why));
            }
            (EntryKind::Symlink { target: target.clone() }, target.as_bytes().into())
        }
        FileState::Other => return Err(OutputError::Other),
    };
    Ok(Output { path: path.to_owned(), kind, content })
}
