//! What expressions refer to: GitHub takes what is not there for an empty text, so a misspelt condition is never true.

use std::collections::BTreeSet;

use drydock_config::diagnostic::{Place, Problem};
use drydock_config::yaml::{Node, Value};

use super::{Workflow, elements, entries, field, text, words};

/// Jobs and steps that expressions name and that are not there, or that the job does not wait for.
pub(super) fn unknown(workflow: &Workflow<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (_, job) in &workflow.jobs {
        let needs = words(field(job, "needs"));
        let has_matrix = field(job, "strategy").and_then(|strategy| field(strategy, "matrix")).is_some();
        let ids: Vec<&str> =
            elements(field(job, "steps")).iter().filter_map(|step| field(step, "id").and_then(text)).collect();
        let mut found = Vec::new();
        expressions(job, false, &mut found);
        let mut told = BTreeSet::new();
        for (expression, place) in found {
            let mut tell = |what: String, help: &str| {
                if told.insert(what.clone()) {
                    problems.push(Problem::new(place, what).help(help));
                }
            };
            for name in named(expression, "needs").filter(|name| !needs.contains(name)) {
                tell(
                    format!("`needs.{name}` is empty: the job does not need `{name}`"),
                    "add it to `needs`, or correct the name",
                );
            }
            for name in named(expression, "steps").filter(|name| !ids.contains(name)) {
                tell(
                    format!("`steps.{name}` is empty: no step of the job has the id `{name}`"),
                    "give the step that `id`, or correct the name",
                );
            }
            if !has_matrix && named(expression, "matrix").next().is_some() {
                tell("`matrix` is empty: the job has none".to_owned(), "declare `strategy: {matrix: …}`");
            }
        }
    }
    problems
}

/// The names behind `context.` in an expression.
fn named<'a>(expression: &'a str, context: &'a str) -> impl Iterator<Item = &'a str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    expression.match_indices(context).filter_map(move |(at, _)| {
        // Part of another word, or a property of something else.
        if expression[..at].ends_with(|letter: char| is_word(letter) || letter == '.') {
            return None;
        }
        let rest = expression[at + context.len()..].strip_prefix('.')?;
        let end = rest.find(|letter: char| !is_word(letter)).unwrap_or(rest.len());
        Some(&rest[..end]).filter(|name| !name.is_empty())
    })
}

/// The expressions below a value: what is in `${{ }}`, and conditions. Texts in quotes are left out.
fn expressions<'a>(node: &'a Node, is_condition: bool, found: &mut Vec<(&'a str, Place)>) {
    match &node.value {
        Value::Scalar(scalar) => {
            if is_condition {
                found.push((&scalar.text, node.place));
            } else {
                let parts = scalar.text.split("${{").skip(1);
                found.extend(parts.map(|part| (part.split("}}").next().unwrap_or(part), node.place)));
            }
        }
        Value::Sequence(list) => list.iter().for_each(|node| expressions(node, false, found)),
        Value::Mapping(_) => {
            for entry in entries(Some(node)) {
                expressions(&entry.value, entry.key.text == "if", found);
            }
        }
        Value::Refused => {}
    }
}
