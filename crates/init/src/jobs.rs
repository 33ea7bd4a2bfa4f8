//! `ci/jobs.yaml` from the facts.

use std::path::Path;

use crate::draft::{Field, Value, yaml};
use crate::facts::{Facts, JobDraft};
use drydock_config::diagnostic::Diagnostics;
use drydock_config::jobs::Suite;

/// The file, relative to the project.
pub const FILE: &str = "ci/jobs.yaml";

/// The text of the declaration; none if the project has nothing to run.
pub fn text(facts: &Facts, head: &[String]) -> Option<String> {
    let jobs: Vec<&JobDraft> = facts.groups.iter().flat_map(|group| &group.jobs).collect();
    if jobs.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    if jobs.iter().any(|job| job.memcheck) {
        fields.push(tools(facts));
    }
    let mut declared = Vec::new();
    for group in &facts.groups {
        let mut first = true;
        for job in &group.jobs {
            let mut field = Field::new(job.name.clone(), Value::Map(fields_of(job)));
            if std::mem::take(&mut first) {
                field.comments.push(format!("{}: saw {}", group.system.name(), group.because));
            }
            let comments = job.comments.iter().filter(|comment| **comment != format!("saw {}", group.because));
            field.comments.extend(comments.cloned());
            declared.push(field);
        }
    }
    let unused = facts.unused.iter().map(|why| format!("not declared: {why}"));
    fields.push(Field::new("jobs", Value::Map(declared)).because(unused));
    Some(yaml(head, &fields))
}

/// The problems of the text, with the files of the project.
///
/// # Errors
/// All problems at once.
pub fn check(text: &str, project: &Path) -> Result<(), Diagnostics> {
    Suite::parse(text, Path::new(FILE), Some(project)).map(drop)
}

/// Programs of the system that scripts of tests call by the hundred and that start no others. Shells are not among them, since they
/// start the programs of the project.
const LEAVES: [&str; 33] = [
    "basename",
    "cat",
    "chmod",
    "cmp",
    "cp",
    "cut",
    "diff",
    "dirname",
    "echo",
    "expr",
    "grep",
    "head",
    "ls",
    "mkdir",
    "mv",
    "printf",
    "rm",
    "sed",
    "sort",
    "tail",
    "touch",
    "tr",
    "uname",
    "wc",
    "cc",
    "c++",
    "gcc",
    "g++",
    "clang",
    "clang++",
    "ld",
    "ar",
    "pkg-config",
];

/// The programs that run without valgrind: they take most of the time of a suite of scripts, and nothing of the project is in them.
fn skipped(facts: &Facts) -> Option<Field> {
    let mut jobs = facts.groups.iter().flat_map(|group| &group.jobs).filter(|job| job.memcheck && !job.by_suite);
    let program =
        |job: &JobDraft| job.run.iter().find(|word| !["uv", "run", "--frozen"].contains(&word.as_str())).cloned();
    let is_script = |job: &JobDraft| match (&job.suite, program(job)) {
        (Some(suite), _) => ["automake", "make"].contains(&suite.key),
        (None, Some(first)) => {
            ["make", "bmake", "gmake", "cmake", "sh", "bash", "python3", "perl"].contains(&first.as_str())
                || first.ends_with(".sh")
        }
        (None, None) => false,
    };
    if !jobs.any(is_script) || facts.valgrind.preload.is_some() {
        return None;
    }
    let patterns = LEAVES.iter().map(|name| format!("/usr/bin/{name}"));
    let why = "scripts of tests spend their time in these, which start no program of the project; saw no LD_PRELOAD, by which they would";
    Some(Field::list("skip-children", patterns).because([why]))
}

fn tools(facts: &Facts) -> Field {
    let valgrind = &facts.valgrind;
    let mut args = vec!["--leak-check=full".to_owned()];
    let mut comments = Vec::new();
    let kinds = valgrind.options.iter().any(|(option, _)| option.starts_with("--errors-for-leak-kinds="));
    if !kinds {
        args.push("--errors-for-leak-kinds=definite".to_owned());
    }
    for (option, saw) in &valgrind.options {
        let comment = format!("saw {saw}");
        if !comments.contains(&comment) {
            comments.push(comment);
        }
        args.push(option.clone());
    }
    let mut memcheck = vec![Field::list("args", args).because(comments)];
    if !valgrind.suppressions.is_empty() {
        let why = valgrind.suppressions.iter().map(|path| format!("saw {path}, which has suppressions for memcheck"));
        let other = valgrind.other_suppressions.iter().map(|why| format!("not used: {why}"));
        memcheck.push(Field::list("suppressions", valgrind.suppressions.clone()).because(why.chain(other)));
    }
    memcheck.extend(skipped(facts));
    Field::new("tools", Value::Map(vec![Field::new("memcheck", Value::Map(memcheck))]))
}

fn fields_of(job: &JobDraft) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut add = |wanted: bool, field: Field| fields.extend(wanted.then_some(field));
    add(!job.run.is_empty(), Field::list("run", job.command_line().iter().map(|word| escaped(word))));
    add(!job.directory.is_empty(), Field::text("directory", escaped(&job.directory)));
    add(!job.needs.is_empty(), Field::list("needs", job.needs.clone()));
    if let Some(suite) = &job.suite {
        let mut list = vec![Field::text(suite.key, suite.at.clone())];
        list.extend((!suite.args.is_empty()).then(|| Field::list("args", suite.args.clone())));
        list.extend((!suite.after.is_empty()).then(|| Field::list("after", suite.after.clone())));
        add(true, Field::new("for-each", Value::Inline(list)));
    }
    let env = job.env.iter().map(|(name, value)| Field::text(name.clone(), escaped(value)));
    add(!job.env.is_empty(), Field::new("env", Value::Inline(env.collect())));
    add(job.memcheck, Field::word("tool", "memcheck"));
    add(job.by_suite, Field::word("valgrind", "by-suite"));
    add(!job.timeout.is_empty(), Field::word("timeout", job.timeout.clone()));
    add(!job.memory.is_empty(), Field::word("memory", job.memory.clone()));
    add(job.allow_no_tests, Field::word("allow-no-tests", "true"));
    fields
}

/// A word in which braces of the project are not placeholders. `{jobs}` is the only placeholder of drafts.
fn escaped(word: &str) -> String {
    if word == "{jobs}" { word.to_owned() } else { word.replace('{', "{{").replace('}', "}}") }
}
