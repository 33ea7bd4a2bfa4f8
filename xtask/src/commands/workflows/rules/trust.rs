//! Secrets and the code of contributors, which must not meet.

use drydock_config::diagnostic::Problem;
use drydock_config::yaml::{Node, Value};

use super::{Step, Workflow, entries, field, text};

/// Events at which a workflow of the default branch runs with its secrets, for something that anybody may have sent.
const PRIVILEGED: [&str; 3] = ["pull_request_target", "workflow_run", "issue_comment"];

/// The token that checked the repository out is in its configuration, where every later program can read it.
pub(super) fn credentials(step: &Step<'_>) -> Vec<Problem> {
    let is_checkout = step.action().is_some_and(|action| action.eq_ignore_ascii_case("actions/checkout"));
    if !is_checkout || step.input("persist-credentials") == Some("false") {
        return Vec::new();
    }
    let place = step.node.place;
    let problem = Problem::new(place, "the checkout leaves the token in the repository's configuration");
    vec![problem.help("write `with: {persist-credentials: false}`")]
}

pub(super) fn secrets(workflow: &Workflow<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if workflow.starts_on(&PRIVILEGED) {
        for step in &workflow.steps {
            problems.extend(contributed(step));
        }
        if workflow.starts_on(&["issue_comment"]) {
            for (name, job) in &workflow.jobs {
                let condition = field(job, "if").and_then(text).unwrap_or_default();
                if !condition.contains("author_association") {
                    let problem =
                        Problem::new(job.owner, format!("anybody who may comment can start the job `{name}`"));
                    problems.push(problem.help("compare `github.event.comment.author_association` in `if`"));
                }
            }
        }
    }
    // Jobs of a pull request run its code.
    if workflow.starts_on(&["pull_request", "pull_request_target"]) {
        for (name, job) in &workflow.jobs {
            let mut found = Vec::new();
            strings(job, &mut found);
            let secret = |text: &&str| {
                let named = text.split("secrets.").skip(1);
                named
                    .map(|rest| rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next())
                    .any(|word| word != Some("GITHUB_TOKEN"))
                    || text.contains("secrets[")
                    || *text == "inherit"
            };
            if found.iter().any(secret) {
                let problem = Problem::new(job.owner, format!("the job `{name}` of pull requests has secrets"));
                problems
                    .push(problem.help("move what needs them into a workflow that runs on the default branch only"));
            }
        }
        let all = std::iter::once(("this workflow", workflow.file)).chain(workflow.jobs.iter().copied());
        for (name, node) in all {
            let declared = field(node, "permissions");
            let written = entries(declared).iter().find(|entry| text(&entry.value) == Some("write"));
            if let Some(entry) = written.filter(|entry| entry.key.text != "security-events") {
                let what = &entry.key.text;
                let problem =
                    Problem::new(entry.key.place, format!("`{name}` runs code of pull requests with `{what}: write`"));
                problems.push(problem.help("let a job of its own do that, which runs no code of the pull request"));
            }
        }
    }
    problems
}

/// A checkout of what a contributor sent.
fn contributed(step: &Step<'_>) -> Option<Problem> {
    let of_contributor = |text: &str| {
        ["pull_request.head", "head_ref", "head_sha", "head_branch", "refs/pull", "workflow_run.head", "issue.number"]
            .iter()
            .any(|part| text.contains(part))
    };
    let inputs = ["ref", "repository"].into_iter().filter_map(|key| step.input(key));
    let mut scripts: Vec<&str> = step.text("run").map(|(script, _)| script).into_iter().collect();
    scripts.retain(|script| script.contains("gh pr checkout") || script.contains("refs/pull"));
    let found =
        inputs.chain(scripts.iter().copied()).any(|text| of_contributor(text) || text.contains("gh pr checkout"));
    found.then(|| {
        let problem = Problem::new(step.node.place, "code of a contributor is checked out where secrets are");
        problem.help("do that in a workflow of `pull_request`, whose token can only read")
    })
}

/// All texts below a value.
fn strings<'a>(node: &'a Node, found: &mut Vec<&'a str>) {
    match &node.value {
        Value::Scalar(scalar) => found.push(&scalar.text),
        Value::Sequence(list) => list.iter().for_each(|node| strings(node, found)),
        Value::Mapping(map) => map.iter().for_each(|entry| strings(&entry.value, found)),
        Value::Refused => {}
    }
}
