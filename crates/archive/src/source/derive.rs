//! Derived files: generators run twice in clean copies of the sources, and only what both runs agree about is kept.
//!
//! The first run has the surroundings of every child of Drydock; the second has those of a twin. A generator that writes
//! what it does not declare, declares what it does not write, or changes a tracked file is refused, as is an output that
//! differs between the runs or holds what another machine would write differently.

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
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::twin::{Twin, Variation, cargo_directories};
use drydock_config::globs::FileGlob;
use drydock_config::release::Generator;
use snapshot::{FileState, Snapshot};

/// What the generators made, and how.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    /// The files to ship.
    pub entries: Vec<SourceEntry>,
    /// The generators, in the order in which they ran.
    pub generators: Vec<GeneratorRecord>,
    /// What the second run varied, and what it could not.
    pub variations: Vec<Variation>,
}

/// What a generator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GeneratorRecord {
    /// Its name.
    pub name: String,
    /// Its command.
    pub run: Vec<String>,
    /// What it read, as its patterns say.
    pub inputs: Vec<String>,
    /// What it made that is shipped.
    pub outputs: Vec<String>,
}

/// Runs the generators. `watch` hears what is about to be done.
///
/// # Errors
/// A missing tool, a generator that fails, or outputs that are refused, by name.
pub fn run(tree: &SourceTree, generators: &[Generator], watch: &mut dyn FnMut(&str)) -> anyhow::Result<Derived> {
    if generators.is_empty() {
        return Ok(Derived::default());
    }
    let mut twin = Twin::probe();
    let directory =
        tempfile::Builder::new().prefix("drydock-derive-").tempdir().context("cannot make a temporary directory")?;
    let home = directory.path().join("home");
    fs::create_dir(&home).context("cannot make a temporary directory")?;
    let plain =
        Run { directory: directory.path().join("a"), twin: None, variables: cargo_directories(), epoch: tree.epoch };
    let started = traces::now();
    let began = Instant::now();
    let first = plain.all(tree, generators, watch)?;
    let patience = (began.elapsed() * 10).max(PATIENCE);
    let (other, second) = loop {
        let name = if twin.has_clock() { "elsewhere/under/a longer name" } else { "elsewhere/a third time" };
        let variables = twin.variables(&home).context("cannot write to a temporary directory")?;
        let other = Run {
            directory: directory.path().join(name),
            variables,
            twin: Some((twin.clone(), patience)),
            epoch: tree.epoch,
        };
        match other.all(tree, generators, watch) {
            Ok(second) => break (other.directory, second),
            // Some programs never get beyond their start when their clock is another.
            Err(error) if error.is::<OutOfTime>() && twin.has_clock() => {
                watch(&format!("{error}; again with the true clock"));
                twin = twin.with_true_clock();
            }
            Err(error) => return Err(error),
        }
    };
    compare::same(&first, &second, &plain.directory, &other, &twin)?;
    traces::check(&first, generators, &plain.directory, started)?;

    let mut derived = Derived { variations: twin.variations(), ..Derived::default() };
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

/// The least time that a generator gets in other surroundings.
const PATIENCE: Duration = Duration::from_secs(60);

/// A generator did not end in other surroundings.
/// The exit code of `timeout` when the time is over.
const TIMED_OUT: i32 = 124;

#[derive(Debug, thiserror::Error)]
#[error("the generator {generator} does not end within {patience:?} in other surroundings")]
struct OutOfTime {
    generator: String,
    patience: Duration,
}

/// What one generator made in one run.
#[derive(Debug)]
struct Made {
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

/// The surroundings of one run.
struct Run {
    directory: PathBuf,
    /// The other surroundings, and how long a generator may take in them.
    twin: Option<(Twin, Duration)>,
    variables: BTreeMap<String, String>,
    epoch: u64,
}

impl Run {
    fn all(
        &self,
        tree: &SourceTree,
        generators: &[Generator],
        watch: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Vec<Made>> {
        fs::create_dir_all(&self.directory).context("cannot make a temporary directory")?;
        tree.export(&self.directory)?;
        let mut before = Snapshot::take(&self.directory)?;
        let mut written = BTreeMap::new();
        let mut all = Vec::new();
        for generator in generators {
            let which = if self.twin.is_some() { "again elsewhere" } else { "derive" };
            watch(&format!("{which} {}: {}", generator.name, exec::paste(&generator.run)));
            let inputs = inputs(generator, &before)?;
            self.run(generator)?;
            let after = Snapshot::take(&self.directory)?;
            let outputs = self.outputs(generator, tree, &before, &after, &mut written)?;
            all.push(Made { name: generator.name.clone(), inputs, outputs });
            before = after;
        }
        Ok(all)
    }

    fn run(&self, generator: &Generator) -> anyhow::Result<()> {
        let mut set = self.variables.clone();
        set.insert("SOURCE_DATE_EPOCH".into(), self.epoch.to_string());
        let environment = exec::environment(&[], &set);
        let search = environment.get(std::ffi::OsStr::new("PATH"));
        let program = generator.run.first().map_or("", String::as_str);
        exec::find(program, &self.directory, search).map_err(|why| {
            let install = match generator.needs.as_slice() {
                [] => String::new(),
                needs => format!("; install it with `apt-get install {}`", needs.join(" ")),
            };
            Failure::missing(format!("the generator {} cannot run: {why}{install}", generator.name))
        })?;
        let command = match &self.twin {
            None => generator.run.clone(),
            Some((twin, patience)) => {
                let limit = ["timeout".into(), "--kill-after=10".into(), patience.as_secs().to_string()];
                limit.into_iter().chain(twin.command(&generator.run)).collect()
            }
        };
        match (exec::bytes(&command, &self.directory, environment), &self.twin) {
            (Ok(_), _) => Ok(()),
            (Err(why), Some((_, patience))) if why.exit_code() == Some(TIMED_OUT) => {
                Err(OutOfTime { generator: generator.name.clone(), patience: *patience }.into())
            }
            (Err(why), _) => {
                let where_ = if self.twin.is_some() { " when it ran again in other surroundings" } else { "" };
                // The reader knows the generator, not the program that varies its environment.
                let why = why.shown_as(&generator.run);
                Err(Failure::rejected(format!("the generator {} failed{where_}: {why}", generator.name)))
            }
        }
    }

    /// What the generator wrote, when all of it is declared and all that is declared was written.
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
                problems.push(format!("changes {path}, which is in git; remove it there, or write elsewhere"));
            } else if let (Some(other), false) = (written.get(path), matches(&generator.scratch, path)) {
                problems.push(format!("changes {path}, which the generator {other} made"));
            } else if matches(&generator.outputs, path) {
                match output(&self.directory, path, state) {
                    Ok(output) => outputs.push(output),
                    Err(why) => problems.push(format!("makes {path}, which {why}")),
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

/// The files that the generator's inputs match.
fn inputs(generator: &Generator, before: &Snapshot) -> anyhow::Result<Vec<String>> {
    for pattern in &generator.inputs {
        if !before.paths().any(|path| pattern.matches_written(path)) {
            let text = format!("the input `{}` of the generator {} matches no file", pattern.as_str(), generator.name);
            return Err(Failure::declaration(format!("{text}; mend the pattern in packaging/release.yaml")));
        }
    }
    Ok(before.paths().filter(|path| matches(&generator.inputs, path)).map(str::to_owned).collect())
}

fn output(directory: &Path, path: &str, state: &FileState) -> Result<Output, String> {
    let (kind, content): (EntryKind, Arc<[u8]>) = match state {
        FileState::File { executable, .. } => {
            let content = fs::read(directory.join(path)).map_err(|error| exec::plain(&error))?;
            (EntryKind::File { executable: *executable }, content.into())
        }
        FileState::Link { target } => {
            if let Some(why) = names::wrong_target(path, target) {
                return Err(why);
            }
            (EntryKind::Symlink { target: target.clone() }, target.as_bytes().into())
        }
        FileState::Other => return Err("is neither a file nor a link".into()),
    };
    Ok(Output { path: path.to_owned(), kind, content })
}
