//! Gates: a job that others wait for, such as a required check, must fail whenever one of all jobs did not succeed.
//!
//! GitHub takes a job that was skipped for a success, and skips a job when one that it needs has failed. So a gate without
//! `always()` is green when everything is red, and one that looks only for `failure` is green when a runner was lost.

use drydock_config::diagnostic::Problem;

use super::{Workflow, elements, field, text, words};

/// Words by which jobs are recognised that only sum up the others.
const NAMES: [&str; 6] = ["gate", "all-green", "ci-success", "required", "conclusion", "done"];

pub(super) fn gates(workflow: &Workflow<'_>) -> Vec<Problem> {
    let is_gate = |name: &str| NAMES.iter().any(|word| name == *word || name.ends_with(&format!("-{word}")));
    let gates: Vec<_> = workflow.jobs.iter().filter(|(name, _)| is_gate(name)).collect();
    let mut problems = Vec::new();
    for (name, gate) in &gates {
        let needed = words(field(gate, "needs"));
        let others = workflow.jobs.iter().map(|(other, _)| *other).filter(|other| !is_gate(other));
        let missing: Vec<&str> = others.filter(|other| !needed.contains(other)).collect();
        if !missing.is_empty() {
            let problem = Problem::new(gate.owner, format!("the gate `{name}` does not need {}", missing.join(", ")));
            problems.push(problem.help("add them to `needs`, or it passes whatever they do"));
        }
        let condition = field(gate, "if").and_then(text).unwrap_or_default();
        if !condition.contains("always()") {
            let problem = Problem::new(
                gate.owner,
                format!("the gate `{name}` is skipped when a job fails, which counts as a success"),
            );
            problems.push(problem.help("write `if: always()`"));
        }
        if !judges(gate) {
            let problem = Problem::new(
                gate.owner,
                format!("the gate `{name}` does not see every result: `cancelled` and `skipped` are no success either"),
            );
            problems.push(problem.help(
                "look for each of `failure`, `cancelled` and `skipped` in `needs.*.result`, as the gate of a written workflow does",
            ));
        }
    }
    // A contribution is merged by what the checks say, so one of several jobs has to speak for all.
    if let (true, true, Some((_, first))) = (
        workflow.starts_on(&["pull_request", "merge_group"]) && workflow.jobs.len() > 1,
        gates.is_empty(),
        workflow.jobs.first(),
    ) {
        let problem = Problem::new(first.owner, "no job stands for all jobs of this workflow of pull requests");
        problems
            .push(problem.help("add a job `gate` that needs all others, with `if: always()`, and require that check"));
    }
    problems
}

/// The results that are no success.
const OTHERS: [&str; 3] = ["failure", "cancelled", "skipped"];

/// Whether a step fails unless every result is a success: by a comparison of all, or by looking for each of the others.
fn judges(gate: &drydock_config::yaml::Node) -> bool {
    let looks = |step: &drydock_config::yaml::Node| {
        let script = field(step, "run").and_then(text).unwrap_or_default().trim();
        let variables = super::entries(field(step, "env")).iter().filter(|entry| {
            text(&entry.value).is_some_and(|value| {
                OTHERS.iter().all(|word| value.contains(&format!("contains(needs.*.result, '{word}')")))
                    && !value.contains("&&")
            })
        });
        variables.into_iter().any(|entry| {
            let name = &entry.key.text;
            script == format!("test \"${name}\" = false") || script == format!("[ \"${name}\" = false ]")
        })
    };
    if elements(field(gate, "steps")).iter().any(looks) {
        return true;
    }
    let steps = elements(field(gate, "steps"));
    let is_given = |node: &drydock_config::yaml::Node| {
        super::entries(field(node, "env"))
            .iter()
            .any(|entry| text(&entry.value).is_some_and(|value| value.contains("toJSON(needs)")))
    };
    steps.iter().any(|step| {
        let run = field(step, "run").and_then(text).unwrap_or_default();
        (is_given(step) || is_given(gate)) && run.contains("success") && !run.contains("|| true")
    })
}
