//! `run.sarif`: valgrind's findings by cause, for code scanning. SARIF 2.1.0, within the limits of GitHub.
//!
//! One result is one cause, at the place that is to be changed. Its fingerprint is the cause's id, which stays the same when
//! lines move and when more tests reach it, so an alert is not closed and opened again. GitHub compares results by
//! `primaryLocationLineHash` only. Sources: the OASIS standard, and "SARIF support for code scanning" of GitHub's manual.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::sources::Sources;
use super::{ReportInput, findings};
use drydock_base::text::plural;
use drydock_valgrind::cause::Cause;
use drydock_valgrind::finding::Finding;
use drydock_valgrind::source;
use drydock_valgrind::stack::Frame;

mod rules;

/// The most results: GitHub shows no more of one analysis, and refuses one with 25,000.
const MOST_RESULTS: usize = 5_000;
/// The most related locations of a result: GitHub shows 100.
const MOST_RELATED: usize = 50;
/// The frames of a stack that are kept.
const MOST_FRAMES: usize = 32;
/// The largest file in bytes. GitHub refuses more than 10 MB of it compressed, so this is always accepted.
const LARGEST: usize = 9_500_000;

/// The file's content.
///
/// # Errors
/// The JSON cannot be written.
pub(super) fn render(input: ReportInput<'_>) -> anyhow::Result<Vec<u8>> {
    let causes: Vec<&Cause<'_>> = input.causes.all().iter().take(MOST_RESULTS).collect();
    let mut detail = Detail { causes: &causes, stacks: true };
    loop {
        let bytes = serde_json::to_vec(&log(input, detail))?;
        if bytes.len() <= LARGEST || detail.causes.len() <= 1 && !detail.stacks {
            return Ok(bytes);
        }
        // Stacks go first, then the causes of the fewest jobs.
        detail = if detail.stacks {
            Detail { stacks: false, ..detail }
        } else {
            Detail { causes: &detail.causes[..detail.causes.len() / 2], ..detail }
        };
    }
}

/// What of the findings is in the file.
#[derive(Clone, Copy)]
struct Detail<'a> {
    causes: &'a [&'a Cause<'a>],
    stacks: bool,
}

fn log(input: ReportInput<'_>, detail: Detail<'_>) -> Value {
    let run = input.run;
    let sources = Sources::new(&run.plan.project);
    let mut rules: BTreeMap<String, Value> = BTreeMap::new();
    let of_causes = detail.causes.iter().filter_map(|cause| Some((*cause, cause.example()?)));
    for (cause, finding) in of_causes.clone() {
        let id = rules::id(cause.tool, &finding.kind);
        rules.entry(id).or_insert_with_key(|id| rules::rule(id, cause.tool, &finding.kind));
    }
    let index = |id: &str| rules.keys().position(|known| known == id);
    let declaration = sources.of_path(&run.plan.declaration).unwrap_or_else(|| "ci/jobs.yaml".into());
    let results: Vec<Value> = of_causes
        .map(|(cause, finding)| {
            let id = rules::id(cause.tool, &finding.kind);
            let rule_index = index(&id);
            let writer = Writer { input, sources: &sources, declaration: &declaration, stacks: detail.stacks };
            writer.result(cause, finding, (&id, rule_index))
        })
        .collect();
    let left_out = input.causes.all().len() - detail.causes.len();
    let dropped = findings::dropped(run);
    let mut notes: Vec<Value> = Vec::new();
    if left_out > 0 {
        notes.push(notification(&format!("{} with the fewest jobs left out", plural(left_out, "cause"))));
    }
    if !detail.stacks {
        notes.push(notification("the file would be too large with the stacks, which were left out"));
    }
    if dropped > 0 {
        notes.push(notification(&format!("{dropped} findings of jobs with very many were counted, but not kept")));
    }
    let whole = run.result.is_some() && run.interrupted.is_none();
    let mut invocation = json!({"executionSuccessful": whole});
    if !notes.is_empty() {
        invocation["toolExecutionNotifications"] = Value::Array(notes);
    }
    let mut of_run = json!({
        "tool": {"driver": {
            "name": "Drydock",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules.into_values().collect::<Vec<_>>(),
        }},
        "automationDetails": {"id": format!("drydock-ci/{}", input.dir.id())},
        "columnKind": "utf16CodeUnits",
        "invocations": [invocation],
        "results": results,
    });
    if let Some(valgrind) = run.started.as_ref().and_then(|started| started.valgrind.as_ref()) {
        of_run["tool"]["extensions"] = json!([{"name": "valgrind", "version": valgrind}]);
    }
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [of_run],
    })
}

fn notification(text: &str) -> Value {
    json!({"level": "warning", "message": {"text": text}})
}

/// Writes the results.
struct Writer<'a> {
    input: ReportInput<'a>,
    sources: &'a Sources,
    /// The file that a finding outside of the repository is attributed to.
    declaration: &'a str,
    stacks: bool,
}

impl Writer<'_> {
    fn result(&self, cause: &Cause<'_>, finding: &Finding, rule: (&str, Option<usize>)) -> Value {
        let run = self.input.run;
        let jobs = cause.jobs();
        let first = jobs.first().map_or("", |job| run.plan.jobs[*job].name.as_str());
        let in_jobs = match jobs.len() {
            0 | 1 => format!("in {first}"),
            more => format!("in {more} jobs, such as {first}"),
        };
        let text = format!("{}, at {}; {in_jobs}. Cause {}.", finding.what, finding.place, cause.id);
        let level = if findings::failed_a_job(cause, run) { rules::level(&finding.kind) } else { "warning" };
        let related = self.related(cause, finding);
        let mut result = json!({
            "ruleId": rule.0,
            "level": level,
            "kind": "fail",
            "message": {"text": text},
            "locations": [self.location(&finding.stack)],
            "partialFingerprints": {
                "primaryLocationLineHash": format!("{}:1", cause.id.replace(':', "-")),
                "drydockCause/v1": cause.id,
            },
            "occurrenceCount": cause.count().max(1),
            "properties": {
                "jobs": jobs.iter().take(MOST_RELATED).map(|job| run.plan.jobs[*job].name.as_str()).collect::<Vec<_>>(),
                "job-count": jobs.len(),
            },
        });
        if let Some(index) = rule.1 {
            result["ruleIndex"] = json!(index);
        }
        if !related.is_empty() {
            result["relatedLocations"] = Value::Array(related);
        }
        if self.stacks {
            let sides = finding.auxiliary.iter().map(|side| self.stack(&side.what, &side.stack));
            let stacks = [self.stack(&finding.what, &finding.stack)].into_iter().chain(sides);
            result["stacks"] = Value::Array(stacks.filter(|stack| stack["frames"] != json!([])).collect());
        }
        result
    }

    /// The place that a reader looks at first. One is needed, or GitHub refuses the file: where no file of the repository
    /// is involved, it is the declaration of the jobs.
    fn location(&self, frames: &[Frame]) -> Value {
        match self.sources.best(frames) {
            Some((at, file)) => self.physical(&frames[at], &file),
            None => json!({"physicalLocation": {
                "artifactLocation": {"uri": uri(self.declaration), "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 1},
            }}),
        }
    }

    fn physical(&self, frame: &Frame, file: &str) -> Value {
        let mut region = json!({"startLine": frame.line.unwrap_or(1).max(1)});
        if let Some(line) = source::line(&self.input.run.plan.project, frame) {
            region["snippet"] = json!({"text": line});
        }
        let mut location = json!({"physicalLocation": {
            "artifactLocation": {"uri": uri(file), "uriBaseId": "%SRCROOT%"},
            "region": region,
        }});
        if let Some(function) = &frame.function {
            location["logicalLocations"] = json!([{"fullyQualifiedName": function, "kind": "function"}]);
        }
        location
    }

    /// Other lines with the same cause, the callers, and the places that side stacks name.
    fn related(&self, cause: &Cause<'_>, example: &Finding) -> Vec<Value> {
        let mut related: Vec<Value> = Vec::new();
        let mut seen: Vec<(String, Option<u32>)> =
            self.sources.best(&example.stack).map(|(at, file)| (file, example.stack[at].line)).into_iter().collect();
        let mut add = |text: String, frames: &[Frame]| {
            let Some((at, file)) = self.sources.best(frames) else { return };
            let place = (file, frames[at].line);
            if related.len() < MOST_RELATED && !seen.contains(&place) {
                let mut location = self.physical(&frames[at], &place.0);
                location["id"] = json!(related.len() + 1);
                location["message"] = json!({"text": text});
                related.push(location);
                seen.push(place);
            }
        };
        for side in &example.auxiliary {
            add(side.what.clone(), &side.stack);
        }
        for member in &cause.members {
            add("the same cause".into(), &member.finding.stack);
            let Some((at, _)) = self.sources.best(&member.finding.stack) else { continue };
            add("called from here".into(), member.finding.stack.get(at + 1..at + 2).unwrap_or_default());
        }
        related
    }

    fn stack(&self, what: &str, frames: &[Frame]) -> Value {
        let frames: Vec<Value> = frames
            .iter()
            .take(MOST_FRAMES)
            .map(|frame| {
                let mut location = match self.sources.of_frame(frame) {
                    Some(file) => self.physical(frame, &file),
                    None => json!({}),
                };
                location["message"] = json!({"text": frame.describe()});
                json!({"location": location})
            })
            .collect();
        json!({"message": {"text": what}, "frames": frames})
    }
}

/// A relative path as a URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'+' | b'@' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests;
