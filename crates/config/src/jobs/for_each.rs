//! `for-each`: the items of a job, and the planned jobs made from them.

use super::declared::{ForEachDeclaration, Text};
use super::words::{command, template};
use super::{ForEach, Items, Job, LinesOf, Lister, Listing, PlannedItem, suite_items};
use crate::decode::{OneOrMany, Spanned};
use crate::diagnostic::{Problem, Problems};
use crate::globs::{self, FileGlob};
use crate::paths;
use crate::template::{Placeholder, Template, Values};
use drydock_base::text::quoted;
use drydock_base::units::JobName;
use std::collections::HashMap;
use std::path::Path;

/// The most items that one job may have.
pub(super) const MOST_ITEMS: usize = 100_000;
/// The maximum number of problems reported for the items of one job.
const MOST_PROBLEMS: usize = 10;

/// Checks a declared `for-each`.
pub(super) fn resolve(declared: &Spanned<ForEachDeclaration>, problems: &mut Problems) -> Option<ForEach> {
    let Spanned { place, value } = declared;
    let declared = value.as_ref()?;
    let ForEachDeclaration { glob, except, lines_of, name, args, after, properties, .. } = declared;
    let properties = properties.as_ref().and_then(|file| {
        let path = file.value.as_deref()?;
        match paths::inside(path) {
            Ok(_) => Some(path.to_owned()),
            Err(bad) => {
                problems.push(Problem::bad_value(file.place, bad));
                None
            }
        }
    });
    let one_of = "one of `glob` with a pattern of files, `lines-of` with a command, and the suites `ctest`, `meson`, `automake`, \
                  `pytest`, `cargo-test`, `tap` and `make`";
    if let Some(source) = suite_items::declared(declared, problems) {
        let others = glob.as_ref().map(|glob| glob.place).or(lines_of.as_ref().map(|lines| lines.place));
        if let Some(place) = others {
            problems.push(
                Problem::new(place, format!("both `{}` and another source", source?.kind.word())).expected(one_of),
            );
            return None;
        }
        if except.is_written() {
            let problem = Problem::new(except.place, "`except` without `glob`");
            problems.push(problem.help("remove it; selectors on the command line choose among the tests of a suite"));
        }
        let name = match name {
            Some(name) => template(name, &Placeholder::OF_ITEM, problems)?,
            None => Template::only(Placeholder::Item),
        };
        return Some(ForEach { items: Items::Suite(source?), name, properties, place: *place });
    }
    let only_suites = [(args.is_written(), args.place, "args"), (after.is_written(), after.place, "after")];
    for (_, place, key) in only_suites.into_iter().filter(|(written, ..)| *written) {
        problems.push(Problem::new(place, format!("`{key}` without a test suite")).help("remove it"));
    }
    let items = match (glob, lines_of) {
        (Some(patterns), None) => {
            let list = patterns.value.as_ref().map_or(&[][..], |OneOrMany(list)| list);
            if list.is_empty() && patterns.value.is_some() {
                problems.push(
                    Problem::new(patterns.place, "the list of patterns is empty")
                        .expected("a pattern such as `tests/run-*.c`"),
                );
            }
            let except = except.value.as_deref().unwrap_or_default();
            Items::Glob { patterns: self::patterns(list, problems), except: self::patterns(except, problems) }
        }
        (None, Some(lines_of)) => {
            if except.value.as_ref().is_some_and(|except| !except.is_empty()) {
                problems.push(
                    Problem::new(except.place, "`except` without `glob`")
                        .help("change the command of `lines-of` so that it does not print them"),
                );
            }
            Items::LinesOf { run: command(lines_of, &[Placeholder::Name], problems)? }
        }
        (Some(_), Some(lines_of)) => {
            problems.push(Problem::new(lines_of.place, "both `glob` and `lines-of`").expected("one source"));
            return None;
        }
        (None, None) => {
            problems.push(Problem::new(*place, "`for-each` has no source of items").expected(one_of));
            return None;
        }
    };
    let usual = match items {
        Items::Glob { .. } => Placeholder::Stem,
        Items::LinesOf { .. } | Items::Suite(_) => Placeholder::Item,
    };
    let name = match name {
        Some(name) => template(name, &Placeholder::OF_ITEM, problems)?,
        None => Template::only(usual),
    };
    Some(ForEach { items, name, properties, place: *place })
}

/// The valid patterns; the others are reported.
fn patterns(declared: &[Text], problems: &mut Problems) -> Vec<String> {
    let mut kept = Vec::new();
    for Spanned { place, value } in declared {
        let Some(text) = value else { continue };
        match FileGlob::parse(text) {
            Ok(_) => kept.push(text.clone()),
            Err(bad) => problems.push(Problem::bad_value(*place, bad)),
        }
    }
    kept
}

/// The planned jobs of a job. Without a lister, items that other programs list are left out.
pub(super) fn expand(
    job: &Job,
    project: &Path,
    lister: Option<&mut Lister<'_, '_>>,
) -> Result<Vec<PlannedItem>, Vec<Problem>> {
    let Some(for_each) = &job.for_each else {
        let only = PlannedItem { name: job.name.clone(), item: None, test: None, unlisted: None };
        let outside = outside(job, &only).map(|why| Problem::new(job.place, why));
        return outside.map_or(Ok(vec![only]), |problem| Err(vec![problem]));
    };
    let problem = |text: String| Problem::new(for_each.place, text);
    let items = match &for_each.items {
        Items::Glob { patterns, except } => matching(project, patterns, except),
        Items::Suite(source) => match lister {
            Some(lister) => return suite_items::expand(job, source, &for_each.name, lister),
            None => return Ok(Vec::new()),
        },
        Items::LinesOf { run } => match lister {
            Some(lister) => printed(job, run, &mut *lister.lines_of),
            None => return Ok(Vec::new()),
        },
    };
    let items = items.map_err(|(why, help)| vec![problem(why).help(help)])?;
    if items.len() > MOST_ITEMS {
        return Err(vec![
            problem(format!("the job has {} items", items.len())).expected(format!("at most {MOST_ITEMS}")),
        ]);
    }
    let mut problems = Vec::new();
    let mut planned: Vec<PlannedItem> = Vec::with_capacity(items.len());
    let mut names: HashMap<JobName, usize> = HashMap::new();
    for item in items {
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
        match plan(job, &for_each.name, item) {
            Ok(new) => match names.insert(new.name.clone(), planned.len()) {
                Some(first) => problems.push(same_name(&planned[first], &new, &for_each.name, problem(String::new()))),
                None => planned.push(new),
            },
            Err(why) => problems.push(
                problem(why.to_string()).help("set `name` in this `for-each`, made of `{item}`, `{stem}` and `{dir}`"),
            ),
        }
    }
    if problems.is_empty() { Ok(planned) } else { Err(problems) }
}

/// A problem and its remedy.
type Advised = (String, String);

fn matching(project: &Path, patterns: &[String], except: &[String]) -> Result<Vec<String>, Advised> {
    let compile = |list: &[String]| list.iter().map(|text| FileGlob::parse(text)).collect::<Result<Vec<_>, _>>();
    let advised = |why: String| (why, "narrow the pattern, or exclude files with `except`".to_owned());
    let compiled = compile(patterns).and_then(|patterns| Ok((patterns, compile(except)?)));
    let (compiled, exceptions) = compiled.map_err(|bad| advised(bad.problem))?;
    let files = globs::files(project, &compiled, &exceptions).map_err(|error| advised(error.to_string()))?;
    if files.is_empty() {
        let shown: Vec<String> = patterns.iter().take(3).map(|pattern| quoted(pattern)).collect();
        let left = if except.is_empty() { "" } else { " that `except` does not exclude" };
        let help = "patterns are relative to the project; `*` stays in one directory, `**` crosses directories";
        return Err((format!("{} matches no file{left}", shown.join(" or ")), help.to_owned()));
    }
    Ok(files)
}

/// The lines that a command prints, without blank ones.
fn printed(job: &Job, run: &[Template], lines_of: &mut LinesOf<'_>) -> Result<Vec<String>, Advised> {
    let values = Values { item: None, name: job.name.to_string(), jobs: 1 };
    let argv: Vec<String> = run.iter().map(|word| word.render(&values)).collect();
    let shown = quoted(&argv.join(" "));
    let help = "run the command in the project to see what it prints".to_owned();
    let lines = match lines_of(&Listing { argv, limit: job.timeout }) {
        Ok(lines) => lines,
        Err(why) => {
            return Err((format!("cannot list the items of {} with {shown}: {why}", quoted(job.name.as_str())), help));
        }
    };
    let items: Vec<String> =
        lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if items.is_empty() { Err((format!("{shown} printed no items"), help)) } else { Ok(items) }
}

/// The ways in which an item cannot become a job.
#[derive(Debug, thiserror::Error)]
enum ItemError {
    #[error("the item {} contains a NUL byte", quoted(.0))]
    Nul(String),
    #[error("the item {} contains no character that a name may have", quoted(.0))]
    Nameless(String),
    #[error("the item {} results in an invalid name: {problem}", quoted(.item))]
    InvalidName { item: String, problem: String },
    #[error("{0}")]
    Outside(String),
}

/// One item as a planned job.
fn plan(job: &Job, name: &Template, item: String) -> Result<PlannedItem, ItemError> {
    if item.contains('\0') {
        return Err(ItemError::Nul(item));
    }
    let values = Values { item: Some(item.clone()), name: job.name.to_string(), jobs: 1 };
    let slug = JobName::slug(&name.render(&values));
    if slug.is_empty() {
        return Err(ItemError::Nameless(item));
    }
    let name = format!("{}/{slug}", job.name).parse::<JobName>();
    let name = name.map_err(|bad| ItemError::InvalidName { item: item.clone(), problem: bad.problem })?;
    let planned = PlannedItem { name, item: Some(item), test: None, unlisted: None };
    outside(job, &planned).map_or(Ok(planned), |why| Err(ItemError::Outside(why)))
}

/// The problem of a planned job that would run outside of the project.
fn outside(job: &Job, planned: &PlannedItem) -> Option<String> {
    let directory = job.directory.render(&planned.values(1));
    let bad = paths::inside(&directory).err()?;
    Some(format!("{} cannot run in its directory: {}", quoted(planned.name.as_str()), bad.problem))
}

fn same_name(first: &PlannedItem, second: &PlannedItem, name: &Template, problem: Problem) -> Problem {
    let item = |planned: &PlannedItem| quoted(planned.item.as_deref().unwrap_or_default());
    let place = problem.place;
    if first.item == second.item {
        return Problem::new(place, format!("the item {} is listed twice", item(first)))
            .help("change the command of `lines-of` so that it prints the item once");
    }
    let text = format!("the items {} and {} have the same name, `{}`", item(first), item(second), second.name);
    let whole = *name == Template::only(Placeholder::Item);
    let help = if whole {
        "rename one of them"
    } else {
        "set `for-each: {…, name: \"{item}\"}`, which gives every item its own name"
    };
    Problem::new(place, text).help(help)
}
