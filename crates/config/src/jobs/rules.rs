//! The rules of a job by which its exit code and its output become a result.

use super::TestRules;
use super::declared::{JobDeclaration, Text};
use crate::decode::Bounded;
use crate::diagnostic::{Problem, Problems};
use drydock_base::text::quoted;

/// The valid rules; problems are added to `problems`.
pub(super) fn resolve(declared: &JobDeclaration, problems: &mut Problems) -> Option<TestRules> {
    let mut valid = true;
    let mut skip_exit = Vec::new();
    for code in &declared.skip_exit {
        let Some(Bounded(value)) = code.value else {
            valid = false;
            continue;
        };
        if value == declared.expect_exit.0 {
            let problem = Problem::new(code.place, format!("the exit code {value} is also that of `expect-exit`"));
            problems.push(problem.help("remove it from one of them"));
        }
        skip_exit.extend(i32::try_from(value));
    }
    let mut expect_output = None;
    if let Some(text) = &declared.expect_output {
        let checked = text.value.as_deref().map(|expression| (expression, regex_lite::Regex::new(expression)));
        match checked {
            Some((expression, Ok(_))) => expect_output = Some(expression.to_owned()),
            Some((expression, Err(error))) => {
                let problem = format!("{} is not a regular expression: {error}", quoted(expression));
                problems.push(Problem::new(text.place, problem).expected("an expression such as `[1-9][0-9]* tests`"));
            }
            None => valid = false,
        }
    }
    for lock in &declared.locks {
        if lock.value.as_ref().is_some_and(|name| name.trim().is_empty()) {
            problems
                .push(Problem::new(lock.place, "the name of a lock is empty").expected("a name such as `port-8080`"));
        }
    }
    let rules = TestRules { skip_exit, expect_output, allow_no_tests: declared.allow_no_tests, ..TestRules::default() };
    valid.then_some(rules)
}

/// The name or number of a user.
pub(super) fn user(text: &Text, problems: &mut Problems) -> Option<String> {
    let name = text.value.as_deref()?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte));
    if is_name && !name.starts_with('-') {
        return Some(name.to_owned());
    }
    let problem = Problem::new(text.place, format!("{} is not a user", quoted(name)));
    problems.push(problem.expected("a name such as `nobody`, or a number"));
    None
}
