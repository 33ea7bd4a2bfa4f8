//! A target of make whose prerequisites are the tests: what make itself would run for each of them, read from its dry run with
//! `--trace` and from the data base that it prints with `-p` (GNU make manual, "Summary of Options").

use std::collections::BTreeMap;

use super::{Context, ListError, malformed, words};
use drydock_base::units::ByteSize;
use drydock_config::jobs::{ListedTest, TestRules};

mod database;
mod plan;

use database::Database;
use plan::Test;

/// The most that make may print: in a large project, each object file has a line with all of its headers.
const MOST_PRINTED: ByteSize = ByteSize::mib(512);
/// The test that makes what the others need.
const PREREQUISITES: &str = "prerequisites";
/// Variables that make changes in the environment of everything that it runs.
const OF_MAKE: [&str; 8] =
    ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR", "SHLVL", "_"];

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let directory = &context.directory;
    if !["GNUmakefile", "makefile", "Makefile"].iter().any(|name| directory.join(name).is_file()) {
        return Err(ListError::Missing(directory.join("Makefile")));
    }
    let suite = &context.source.at;
    let mut argv = words(&["make", "-n", "-p", "--trace"]);
    argv.extend(context.source.args.iter().cloned());
    argv.push(suite.clone());
    // Recipes may call programs in Python.
    let activated = context.activated("python3");
    let text = context.read_within(&argv, directory, &activated, MOST_PRINTED)?;
    let database = database::read(&text).ok_or_else(|| malformed(&argv, "it has no data base of make"))?;
    let plan = plan::plan(&database, suite);
    if plan.tests.is_empty() {
        return Ok(Vec::new());
    }
    let (env, unset) = environment(context, &activated)?;
    let own: BTreeMap<String, String> = activated.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let base = ListedTest { directory: directory.display().to_string(), env, unset, ..ListedTest::default() };
    let made: Vec<String> = plan.made.iter().map(|name| (*name).to_owned()).collect();
    let mut tests = Vec::with_capacity(plan.tests.len() + 1);
    if !made.is_empty() {
        tests.push(ListedTest {
            name: PREREQUISITES.to_owned(),
            argv: [words(&["make", "--no-print-directory"]), context.source.args.clone(), made].concat(),
            directory: base.directory.clone(),
            env: own.clone(),
            native: Some("it makes what the tests need".to_owned()),
            rules: TestRules { allow_no_tests: true, ..TestRules::default() },
            ..ListedTest::default()
        });
    }
    for test in &plan.tests {
        let mut needs: Vec<String> = test.needs.iter().map(|name| (*name).to_owned()).collect();
        needs.extend((!plan.made.is_empty()).then(|| PREREQUISITES.to_owned()));
        let name = test.name.to_owned();
        tests.push(match command(&database, test) {
            Some(argv) => ListedTest { name, argv, needs, ..base.clone() },
            // make sets its own environment.
            None => ListedTest {
                argv: by_make(context, test),
                name,
                needs,
                directory: base.directory.clone(),
                env: own.clone(),
                ..ListedTest::default()
            },
        });
    }
    Ok(tests)
}

/// The command of a test without make; none if its rule has something that only make can do.
fn command(database: &Database<'_>, test: &Test<'_>) -> Option<Vec<String>> {
    let rule = database.rules.get(test.name)?;
    let shell = database.shell.as_ref()?;
    if rule.only_by_make {
        return None;
    }
    let lines = database.runs.get(test.name)?;
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

/// The command by which make runs a test, without making again what it needs.
fn by_make(context: &Context<'_>, test: &Test<'_>) -> Vec<String> {
    let mut argv = words(&["make", "--no-print-directory"]);
    argv.extend(context.source.args.iter().cloned());
    argv.extend(test.made.iter().chain(&test.needs).map(|need| format!("--old-file={need}")));
    argv.push(test.name.to_owned());
    argv
}

/// The values of variables of the environment.
type Variables = BTreeMap<String, String>;

/// The variables that make exports to what it runs, and those that it removes.
fn environment(context: &Context<'_>, activated: &[(&str, String)]) -> Result<(Variables, Vec<String>), ListError> {
    let read = |argv: &[String], more: &[(&str, String)]| -> Result<Variables, ListError> {
        let output = context.read(argv, &context.directory, more)?;
        // What comes before the first NUL was printed by the Makefile itself.
        let pairs = output.split('\0').skip(1).filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| malformed(argv, "a line without `=`"))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        pairs.filter(|pair| pair.as_ref().map_or(true, |(name, _)| !OF_MAKE.contains(&name.as_str()))).collect()
    };
    let print = "printf '\\000'; env -0";
    let before = read(&words(&["sh", "-c", print]), &[])?;
    let mut argv = words(&["make", "--no-print-directory", "-s"]);
    argv.extend(context.source.args.iter().cloned());
    argv.extend([format!("--eval=.PHONY: drydock-list\ndrydock-list: ; {print}"), "drydock-list".to_owned()]);
    let mut after = read(&argv, activated)?;
    let unset = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
    after.retain(|name, value| before.get(name) != Some(value));
    Ok((after, unset))
}
