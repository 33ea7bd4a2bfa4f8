//! The classes of machines of a plan for several machines, and what their jobs share.

use super::declared::Text;
use crate::decode::{Bounded, Entries, Limit, OneOrMany, Size, Spanned, declaration};
use crate::diagnostic::{Problem, Problems};
use crate::paths;
use drydock_base::text::quoted;
use drydock_base::units::{ByteSize, JobName};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most characters of a label of a runner.
const LONGEST_LABEL: usize = 256;

declaration! {
    /// A class of machines that a plan for several machines may use.
    pub(in crate) struct RunnerDeclaration {
        /// The label of a runner for `runs-on` of GitHub Actions, or the list of labels that it must have.
        runs_on: Spanned<OneOrMany<Text>>,
        /// The number of its processors: 1 to 1024.
        cores: Bounded<1, 1024>,
        /// Its memory, as a size with a unit.
        memory: Spanned<Size>,
        /// The cost of a minute beside those of the other classes: 0 to 100000. A job runs on the cheapest class that it
        /// fits.
        cost: Bounded<0, 100000> = Bounded(1),
        /// The time from the start of a machine to that of its first job, as a duration with units: checkout, tools, caches.
        setup: Spanned<Limit> = Spanned::unwritten(Limit(Duration::from_secs(60))),
    }
}

/// A class of machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Runner {
    /// Its name in the declaration.
    pub name: JobName,
    /// The labels for `runs-on`, at least one.
    pub runs_on: Vec<String>,
    /// The number of processors, at least 1.
    pub cores: u32,
    /// The memory of the machine.
    pub memory: ByteSize,
    /// The cost of a minute beside those of other classes.
    pub cost: u32,
    /// Milliseconds from the start of a machine to that of its first job.
    pub setup_ms: u64,
}

/// The class that is used where none is declared: a runner of GitHub for public repositories. `None` never happens.
pub fn usual_runner() -> Option<Runner> {
    Some(Runner {
        name: "hosted".parse().ok()?,
        runs_on: vec!["ubuntu-24.04".to_owned()],
        cores: 4,
        memory: ByteSize::gib(16),
        cost: 1,
        setup_ms: 60_000,
    })
}

/// The valid classes, in file order.
pub(super) fn resolve(
    declared: Option<Spanned<Entries<JobName, Spanned<RunnerDeclaration>>>>,
    problems: &mut Problems,
) -> Vec<Runner> {
    let Some(Spanned { place, value: Some(Entries(entries)) }) = declared else { return Vec::new() };
    if entries.is_empty() {
        let problem = Problem::new(place, "`runners` is empty");
        problems.push(
            problem.expected("at least one class such as `hosted: {runs-on: ubuntu-24.04, cores: 4, memory: 16GiB}`"),
        );
    }
    entries.iter().filter_map(|(name, runner)| self::runner(name, runner.value.as_ref()?, problems)).collect()
}

fn runner(name: &Spanned<JobName>, declared: &RunnerDeclaration, problems: &mut Problems) -> Option<Runner> {
    let OneOrMany(labels) = declared.runs_on.value.as_ref()?;
    if labels.is_empty() {
        let problem = Problem::new(declared.runs_on.place, "`runs-on` is empty");
        problems.push(problem.expected("a label such as `ubuntu-24.04`, or a list of labels"));
        return None;
    }
    let mut runs_on = Vec::new();
    for label in labels {
        let text = label.value.as_ref()?;
        let wrong = text.is_empty()
            || text.len() > LONGEST_LABEL
            || text.chars().any(|letter| letter.is_control() || letter.is_whitespace())
            || text.contains("${{");
        if wrong {
            let problem = Problem::new(label.place, format!("{} is not a label of a runner", quoted(text)));
            problems.push(problem.expected("a label such as `ubuntu-24.04`, without spaces and expressions"));
            return None;
        }
        runs_on.push(text.clone());
    }
    Some(Runner {
        name: name.value.clone()?,
        runs_on,
        cores: declared.cores.0,
        memory: declared.memory.value?.0,
        cost: declared.cost.0,
        setup_ms: u64::try_from(declared.setup.value?.0.as_millis()).ok()?,
    })
}

/// The paths that a job shares.
pub(super) fn share(declared: &[Text], problems: &mut Problems) -> Vec<String> {
    let mut shared: Vec<String> = Vec::new();
    for text in declared {
        let Some(path) = &text.value else { continue };
        let plain = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/");
        if let Err(bad) = paths::inside(path) {
            problems.push(Problem::bad_value(text.place, bad));
        } else if plain.is_empty() || plain == ".git" || plain.starts_with(".git/") {
            let problem = Problem::new(text.place, format!("{} cannot be shared", quoted(path)));
            problems.push(problem.expected("a file or directory that the job makes, such as `build`"));
        } else if let Some(other) = shared.iter().find(|other| overlap(other, &plain)) {
            let problem = format!("{} overlaps with {}", quoted(path), quoted(other));
            problems.push(Problem::new(text.place, problem).help("remove one of them"));
        } else {
            shared.push(plain);
        }
    }
    shared
}

/// `true` if one of the paths is the other, or is in it.
fn overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}
