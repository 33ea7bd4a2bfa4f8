//! A target of make whose prerequisites are the tests: what make itself would run for each of them, read from its dry run with
//! `--trace` and from the data base that it prints with `-p` (GNU make manual, "Summary of Options").

use std::collections::BTreeMap;

use super::environment::{self, Changes};
use super::{Context, ListError, malformed, words};
use drydock_base::units::ByteSize;
use drydock_config::jobs::{ListedTest, TestRules};

mod database;
mod plan;
mod products;

use database::Database;
use plan::Test;

/// The most that make may print: in a large project, each object file has a line with all of its headers.
const MOST_PRINTED: ByteSize = ByteSize::mib(512);
/// The test that makes what the others need.
const PREREQUISITES: &str = "prerequisites";
/// The target that forces others.
const FORCE: &str = "drydock-force";
/// What make says if it takes a test for done.
const DID_NOTHING: [&str; 2] = [r"(?m)^make: '.*' is up to date\.$", r"(?m)^make: Nothing to be done for '.*'\.$"];

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let directory = &context.directory;
    if !["GNUmakefile", "makefile", "Makefile"].iter().any(|name| directory.join(name).is_file()) {
        return Err(ListError::Missing(directory.join("Makefile")));
    }
    let suite = &context.source.at;
    // Recipes may call programs in Python.
    let activated = context.activated("python3");
    let dry_run = |more: &[&str], targets: &[&str]| -> Result<(Vec<String>, String), ListError> {
        // `-w` makes each make say where it is, whatever `MAKEFLAGS` of the Makefile say.
        let mut argv = [words(&["make", "-n", "-w", "--trace"]), words(more)].concat();
        argv.extend(context.source.args.iter().cloned());
        argv.extend(words(targets));
        let text = context.read_within(&argv, directory, &activated, MOST_PRINTED)?;
        Ok((argv, text))
    };
    let (argv, text) = dry_run(&["-p"], &[suite])?;
    let mut database = database::read(&text).map_err(|problem| malformed(&argv, problem))?;
    let mut plan = plan::plan(&database, suite);
    if !plan.dormant.is_empty() {
        // A test that failed or was ended may have left a file that make takes for its success.
        let force = force(&plan.dormant);
        let more: Vec<&str> = force.iter().map(String::as_str).collect();
        let (_, text) = dry_run(&more, &plan.dormant)?;
        let mut runs = database::traced_runs(&text);
        database.runs.extend(plan.dormant.iter().filter_map(|name| Some((*name, runs.remove(*name)?))));
        plan = plan::plan(&database, suite);
    }
    if plan.tests.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(target) = plan.variables_of {
        let problem = format!(
            "`{target}` has variables of its own, which its prerequisites get only when make runs them all: set them for the whole \
             Makefile, or let one job run `make {suite}`"
        );
        return Err(malformed(&argv, problem));
    }
    let goals = goals(&database, context);
    let Changes { set: env, unset } = environment::of_make(context, &context.directory, &goals, &activated)?;
    let own: BTreeMap<String, String> = activated.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let base = ListedTest { directory: directory.display().to_string(), env, unset, ..ListedTest::default() };
    let made: Vec<String> = plan.made.iter().map(|name| (*name).to_owned()).collect();
    let make = [words(&["make", "--no-print-directory"]), context.source.args.clone(), goals].concat();
    let mut tests = Vec::with_capacity(plan.tests.len() + 1);
    if !made.is_empty() {
        tests.push(ListedTest {
            name: PREREQUISITES.to_owned(),
            argv: [make.clone(), made].concat(),
            directory: base.directory.clone(),
            env: own.clone(),
            native: Some("it makes what the tests need".to_owned()),
            rules: TestRules { allow_no_tests: true, ..TestRules::default() },
            ..ListedTest::default()
        });
    }
    let mut before: Option<String> = None;
    for test in &plan.tests {
        let mut needs: Vec<String> = test.needs.iter().map(|name| (*name).to_owned()).collect();
        needs.extend((!plan.made.is_empty()).then(|| PREREQUISITES.to_owned()));
        let name = test.name.to_owned();
        let follows = before.replace(name.clone()).filter(|_| database.in_order()).into_iter().collect();
        tests.push(match command(&database, test) {
            Some(argv) => ListedTest { name, argv, needs, follows, ..base.clone() },
            // make sets its own environment.
            None => ListedTest {
                argv: by_make(&database, &make, test),
                name,
                needs,
                follows,
                directory: base.directory.clone(),
                env: own.clone(),
                rules: TestRules { fail: words(&DID_NOTHING), ..TestRules::default() },
                ..ListedTest::default()
            },
        });
    }
    Ok(tests)
}

/// The options that let make run the recipes of files although these are up to date. A target of its own in `.PHONY` would not get
/// the recipe of a pattern rule. Makes that this one calls get the same options, and must not take a target in them for their goal.
fn force(targets: &[&str]) -> Vec<String> {
    let forced = format!("--eval={}: {FORCE}", targets.join(" "));
    vec![format!("--eval=.PHONY: {FORCE}"), forced, "--eval=.DEFAULT_GOAL :=".to_owned()]
}

/// The variable that tells a Makefile the goal, if it asks for that: each test has another goal than the suite.
fn goals(database: &Database<'_>, context: &Context<'_>) -> Vec<String> {
    let name = "MAKECMDGOALS";
    let asks =
        |file: &str| std::fs::read(context.directory.join(file)).is_ok_and(|text| contains(&text, name.as_bytes()));
    let files = database.variable("MAKEFILE_LIST").unwrap_or_default();
    if files.split_whitespace().any(asks) { vec![format!("{name}={}", context.source.at)] } else { Vec::new() }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// The command of a test without make; none if its rule has something that only make can do.
fn command(database: &Database<'_>, test: &Test<'_>) -> Option<Vec<String>> {
    let rule = database.rules.get(test.name)?;
    let shell = database.shell.as_ref()?;
    let lines = database.runs.get(test.name)?;
    // Another number of lines than the recipe has: what a function of make printed, or a line that is empty.
    if rule.only_by_make || lines.len() != rule.lines || lines.iter().any(|line| line.contains(FORCE)) {
        return None;
    }
    if let [line] = &lines[..] {
        return Some(simple(line).unwrap_or_else(|| [shell.clone(), vec![line.clone()]].concat()));
    }
    // Each line has a shell of its own, and the first that fails is the last.
    let each = format!("for line do {} \"$line\" || exit; done", shell.join(" "));
    Some([words(&["sh", "-c", &each, "sh"]), lines.clone()].concat())
}

/// The words of a line that needs no shell: a program by its path, and arguments without any special character.
fn simple(line: &str) -> Option<Vec<String>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:+@%= \t".contains(c);
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let first = words.first()?;
    (line.chars().all(plain) && first.contains('/') && !first.contains('=')).then_some(words)
}

/// The command by which make runs a test, without making again what it needs, and although a file with its name may be up to date.
fn by_make(database: &Database<'_>, make: &[String], test: &Test<'_>) -> Vec<String> {
    let rule = database.rules.get(test.name);
    let is_file = |name: &str| !database.rules.get(name).is_some_and(|rule| rule.phony);
    let is_forced = !is_file(test.name) || !rule.is_some_and(|rule| rule.asks_for_needs);
    let mut argv = make.to_vec();
    if is_file(test.name) && is_forced {
        argv.extend(force(&[test.name]));
    }
    // Its recipe would get the name that forces it. If it needs no file, either, and make does nothing, it fails.
    let newer = rule.and_then(|rule| rule.needs.iter().find(|need| is_file(need))).filter(|_| !is_forced);
    argv.extend(newer.map(|need| format!("--assume-new={need}")));
    let is_old = |need: &&&str| is_forced || !is_file(need);
    argv.extend(test.made.iter().chain(&test.needs).filter(is_old).map(|need| format!("--old-file={need}")));
    argv.push(test.name.to_owned());
    argv
}
