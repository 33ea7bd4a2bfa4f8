//! Rules about workflows and actions that neither the schema nor zizmor has, each with its remedy.

use drydock_config::diagnostic::{Place, Problem};
use drydock_config::yaml::{Entry, Node, Value};

mod gate;
mod references;
mod scripts;
mod trust;

/// Everything that breaks a rule in a workflow or an action.
pub(super) fn problems(file: &Node) -> Vec<Problem> {
    let workflow = Workflow::new(file);
    let mut problems = Vec::new();
    for rule in [pinned, trust::credentials, scripts::expressions, scripts::hidden_failures] {
        problems.extend(workflow.steps.iter().flat_map(|step| rule(step)));
    }
    problems.extend(permissions(&workflow));
    problems.extend(timeouts(&workflow));
    problems.extend(trust::secrets(&workflow));
    problems.extend(gate::gates(&workflow));
    problems.extend(references::unknown(&workflow));
    problems
}

/// A script of a step.
pub(super) struct Script<'a> {
    pub(super) text: &'a str,
    /// As the step names it.
    pub(super) shell: Option<&'a str>,
    pub(super) place: Place,
}

/// The scripts of all steps.
pub(super) fn scripts(file: &Node) -> Vec<Script<'_>> {
    let mut found = Vec::new();
    for step in Workflow::new(file).steps {
        if let Some((text, place)) = step.text("run") {
            found.push(Script { text, shell: step.text("shell").map(|(shell, _)| shell), place });
        }
    }
    found
}

/// The parts of a workflow, or the steps of an action.
struct Workflow<'a> {
    file: &'a Node,
    /// Names and contents of jobs; none in an action.
    jobs: Vec<(&'a str, &'a Node)>,
    steps: Vec<Step<'a>>,
    /// The names of the events that start it.
    events: Vec<&'a str>,
}

/// A step of a job or of an action.
struct Step<'a> {
    node: &'a Node,
}

impl<'a> Workflow<'a> {
    fn new(file: &'a Node) -> Workflow<'a> {
        let jobs: Vec<(&str, &Node)> =
            entries(field(file, "jobs")).iter().map(|entry| (entry.key.text.as_str(), &entry.value)).collect();
        let of_action = field(file, "runs").and_then(|runs| field(runs, "steps"));
        let lists = jobs.iter().filter_map(|(_, job)| field(job, "steps")).chain(of_action);
        let steps = lists.flat_map(|list| elements(Some(list))).map(|node| Step { node }).collect();
        // A workflow that is called has the secrets of its caller; its events are not known.
        let on = field(file, "on");
        let events = match on.map(|on| &on.value) {
            Some(Value::Scalar(scalar)) => vec![scalar.text.as_str()],
            Some(Value::Sequence(list)) => list.iter().filter_map(text).collect(),
            Some(Value::Mapping(map)) => map.iter().map(|entry| entry.key.text.as_str()).collect(),
            Some(Value::Refused) | None => Vec::new(),
        };
        Workflow { file, jobs, steps, events }
    }

    fn starts_on(&self, events: &[&str]) -> bool {
        self.events.iter().any(|event| events.contains(event))
    }
}

impl<'a> Step<'a> {
    fn text(&self, key: &str) -> Option<(&'a str, Place)> {
        let node = field(self.node, key)?;
        Some((text(node)?, node.place))
    }

    /// The action, without its version.
    fn action(&self) -> Option<&'a str> {
        let (uses, _) = self.text("uses")?;
        Some(uses.split('@').next().unwrap_or(uses))
    }

    fn input(&self, key: &str) -> Option<&'a str> {
        text(field(field(self.node, "with")?, key)?)
    }
}

fn entries(node: Option<&Node>) -> &[Entry] {
    match node.map(|node| &node.value) {
        Some(Value::Mapping(entries)) => entries,
        Some(Value::Scalar(_) | Value::Sequence(_) | Value::Refused) | None => &[],
    }
}

fn elements(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::Sequence(list)) => list,
        Some(Value::Scalar(_) | Value::Mapping(_) | Value::Refused) | None => &[],
    }
}

fn field<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    entries(Some(node)).iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar.text.as_str()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Refused => None,
    }
}

/// The words of a value that is one word or a list of them.
fn words(node: Option<&Node>) -> Vec<&str> {
    match node {
        Some(node) => {
            text(node).map_or_else(|| elements(Some(node)).iter().filter_map(text).collect(), |word| vec![word])
        }
        None => Vec::new(),
    }
}

/// An action of others is named by its commit: a tag can be moved to other code.
fn pinned(step: &Step<'_>) -> Vec<Problem> {
    let Some((uses, place)) = step.text("uses") else { return Vec::new() };
    let is_commit = |version: &str| version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_pinned = if let Some(image) = uses.strip_prefix("docker://") {
        image.contains("@sha256:")
    } else {
        uses.starts_with("./")
            || uses.starts_with("$/")
            || uses.rsplit_once('@').is_some_and(|(_, version)| is_commit(version))
    };
    if is_pinned {
        return Vec::new();
    }
    let problem = Problem::new(place, format!("`{uses}` is not pinned: its owner can replace what runs"));
    vec![problem.help("name the commit, `owner/name@40 hexadecimal digits # v1.2.3`, or the digest of an image")]
}

/// Every token has named permissions: otherwise the settings of the repository decide, and may allow everything.
fn permissions(workflow: &Workflow<'_>) -> Vec<Problem> {
    let all = std::iter::once(workflow.file).chain(workflow.jobs.iter().map(|(_, job)| *job));
    let declared = all.filter_map(|node| field(node, "permissions"));
    let mut problems: Vec<Problem> = declared
        .filter(|node| matches!(text(node), Some("write-all" | "read-all")))
        .map(|node| {
            let problem = Problem::new(node.place, "the token may do more than any job needs");
            problem.help("name what is needed, such as `permissions: {contents: read}`")
        })
        .collect();
    if field(workflow.file, "permissions").is_none() {
        for (name, job) in workflow.jobs.iter().filter(|(_, job)| field(job, "permissions").is_none()) {
            let problem = Problem::new(job.owner, format!("the job `{name}` has no `permissions`"));
            problems.push(problem.help("write `permissions: {contents: read}` at the top of the file"));
        }
    }
    problems
}

/// Every job has a limit: without one, a job that hangs is ended after six hours.
fn timeouts(workflow: &Workflow<'_>) -> Vec<Problem> {
    let without =
        workflow.jobs.iter().filter(|(_, job)| field(job, "uses").is_none() && field(job, "timeout-minutes").is_none());
    without
        .map(|(name, job)| {
            let problem = Problem::new(job.owner, format!("the job `{name}` has no `timeout-minutes`"));
            problem.help("give it about twice the time that it takes; the default is six hours")
        })
        .collect()
}
