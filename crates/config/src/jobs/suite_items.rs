//! Items that are the tests of a suite: each has its own command, and a name of its own.

use super::declared::{ForEachDeclaration, Text};
use super::for_each::MOST_ITEMS;
use super::{Job, Listed, ListedTest, Lister, PlannedItem, SuiteKind, SuiteTest, TestSource};
use crate::decode::Spanned;
use crate::diagnostic::{Problem, Problems};
use crate::paths;
use crate::template::{Template, Values};
use drydock_base::units::{BadValue, JobName};
use std::collections::{HashMap, HashSet};

/// The declared suite; `None` if there is none, and `Some(None)` after a problem was added.
pub(super) fn declared(declared: &ForEachDeclaration, problems: &mut Problems) -> Option<Option<TestSource>> {
    let ForEachDeclaration { ctest, meson, automake, pytest, cargo_test, tap, make, args, after, .. } = declared;
    let sources = [ctest, meson, automake, pytest, cargo_test, tap, make];
    let mut written = SuiteKind::WORDS.iter().zip(sources).filter_map(|(kind, at)| Some((*kind, at.as_ref()?)));
    let ((word, kind), at) = written.next()?;
    if let Some(((other, _), second)) = written.next() {
        let problem = Problem::new(second.place, format!("both `{word}` and `{other}`"));
        problems.push(problem.expected("one suite; declare another job for the other one"));
        return Some(None);
    }
    Some(source(kind, at, args, after, problems))
}

fn source(
    kind: SuiteKind,
    at: &Text,
    args: &Spanned<Vec<Text>>,
    after: &Spanned<Vec<Spanned<JobName>>>,
    problems: &mut Problems,
) -> Option<TestSource> {
    let text = at.value.as_ref()?;
    if let Err(bad) = paths::inside(text) {
        problems.push(Problem::bad_value(at.place, bad));
        return None;
    }
    Some(TestSource {
        kind,
        at: text.clone(),
        args: args.value.as_ref()?.iter().filter_map(|arg| arg.value.clone()).collect(),
        after: after.value.as_ref()?.iter().filter_map(|job| job.value.clone()).collect(),
    })
}

/// The planned jobs of a suite.
pub(super) fn expand(
    job: &Job,
    source: &TestSource,
    name: &Template,
    lister: &mut Lister<'_, '_>,
) -> Result<Vec<PlannedItem>, Vec<Problem>> {
    let tests = match (lister.tests_of)(job, source) {
        Listed::Tests(tests) => tests,
        Listed::Later(why) => {
            return Ok(vec![PlannedItem { name: job.name.clone(), item: None, test: None, unlisted: Some(why) }]);
        }
    };
    let place = job.for_each.as_ref().map_or(job.place, |for_each| for_each.place);
    if tests.len() > MOST_ITEMS {
        let problem = Problem::new(place, format!("the suite has {} tests", tests.len()));
        return Err(vec![problem.expected(format!("at most {MOST_ITEMS}"))]);
    }
    let mut taken = HashSet::with_capacity(tests.len());
    let mut names = Vec::with_capacity(tests.len());
    for test in &tests {
        names.push(unique(job, name, test, &mut taken).map_err(|bad| vec![Problem::bad_value(place, bad)])?);
    }
    let mut jobs: HashMap<&str, Vec<&JobName>> = HashMap::new();
    for (test, name) in tests.iter().zip(&names) {
        jobs.entry(&test.name).or_default().push(name);
    }
    let of = |own: &JobName, wanted: &[String]| -> Vec<JobName> {
        let found = wanted.iter().filter_map(|name| jobs.get(name.as_str())).flatten();
        found.filter(|name| **name != own).map(|name| (*name).clone()).collect()
    };
    let needed: Vec<(Vec<JobName>, Vec<JobName>)> =
        tests.iter().zip(&names).map(|(test, own)| (of(own, &test.needs), of(own, &test.follows))).collect();
    drop(jobs);
    let planned = names.into_iter().zip(tests).zip(needed).map(|((name, listed), (needs, follows))| PlannedItem {
        name,
        item: Some(listed.name.clone()),
        test: Some(Box::new(SuiteTest { listed, needs, follows })),
        unlisted: None,
    });
    Ok(planned.collect())
}

/// A name that no other test of the suite has: with a number behind it if another has the same.
fn unique(
    job: &Job,
    template: &Template,
    test: &ListedTest,
    taken: &mut HashSet<JobName>,
) -> Result<JobName, BadValue> {
    let values = Values { item: Some(test.name.clone()), name: job.name.to_string(), jobs: 1 };
    let slug = JobName::slug(&template.render(&values));
    let slug = if slug.is_empty() { "test".to_owned() } else { slug };
    let room = JobName::LONGEST.saturating_sub(job.name.as_str().len() + 16);
    let slug = if slug.len() > room { format!("{}-{:08x}", shortened(&slug, room), hash(&test.name)) } else { slug };
    let mut number = 1_usize;
    loop {
        let text = if number == 1 { slug.clone() } else { format!("{slug}-{number}") };
        let name: JobName = format!("{}/{text}", job.name).parse()?;
        if taken.insert(name.clone()) {
            return Ok(name);
        }
        number += 1;
    }
}

/// The beginning of a slug, which is ASCII, without a separator at its end.
fn shortened(slug: &str, room: usize) -> &str {
    slug.get(..room.saturating_sub(9)).unwrap_or_default().trim_end_matches(['/', '-', '.'])
}

/// The 32-bit FNV-1a hash.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
