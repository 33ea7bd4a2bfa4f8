//! `ci/quarantine.yaml`: jobs whose failures are known and do not fail a run until a date.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use schemars::{Schema, json_schema};

use super::decode::{self, Declared, Entries, FromText, Spanned, declaration};
use super::diagnostic::{Diagnostics, Place, Problem, Problems};
use super::jobs::{LoadError, RetryOn};
use super::yaml;
use drydock_base::text::quoted;
use drydock_base::units::BadValue;

/// The maximum number of days that an entry may last from today.
pub const MOST_DAYS: i32 = 180;

declaration! {
    /// Jobs whose failures are known. They still run and are still reported, but do not fail a run until a date.
    pub(in crate) struct QuarantineFile {
        /// The entries: a job's name, or a glob such as `units/*`.
        quarantine: Entries<Selector, EntryDeclaration>,
    }
}

declaration! {
    /// The reason, the last day, and the outcomes that do not fail a run.
    pub(in crate) struct EntryDeclaration {
        /// The reason, such as a link to the issue that discusses the cause.
        reason: Spanned<String>,
        /// The person responsible.
        author: Option<Spanned<String>>,
        /// The last day on which the entry applies, such as `2026-12-31`, at most 180 days ahead.
        expires: Spanned<Day>,
        /// The outcomes that do not fail a run: `failed`, `timed-out`, `crashed`, `allocation-failure`. A valgrind
        /// finding always does, even in a job that also failed otherwise.
        on: Vec<Spanned<RetryOn>> = vec![
            Spanned::unwritten(RetryOn::Failed), Spanned::unwritten(RetryOn::TimedOut)
        ],
    }
}

/// A valid entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// A job's name or a glob.
    pub selector: String,
    /// The reason.
    pub reason: String,
    /// The person responsible.
    pub author: Option<String>,
    /// The last day on which the entry applies.
    pub expires: Date,
    /// The outcomes that do not fail a run.
    pub on: Vec<RetryOn>,
    /// The place of the declaration.
    pub place: Place,
}

/// All entries of a project.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quarantine {
    /// In file order.
    pub entries: Vec<Entry>,
    file: PathBuf,
    text: String,
}

/// A job's name or a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(String);

impl Selector {
    /// The text.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl FromText for Selector {
    const WHAT: &'static str = "the name of a job or a glob";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        match glob::Pattern::new(text) {
            Ok(_) if !text.is_empty() => Ok(Self(text.to_owned())),
            Ok(_) | Err(_) => Err(BadValue::new(
                format!("{} is not a selector", quoted(text)),
                "a name such as `units/run-json` or a glob",
            )),
        }
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

impl Declared for Selector {
    fn declared(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day(Date);

impl FromText for Day {
    const WHAT: &'static str = "a date such as `2026-12-31`";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let day = Date::strptime("%Y-%m-%d", text).ok().filter(|_| text.len() == "2026-12-31".len());
        day.map(Self).ok_or_else(|| BadValue::new(format!("{} is not a date", quoted(text)), Self::WHAT))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
    }
}

impl Quarantine {
    /// Reads a file; a missing file has no entries.
    ///
    /// # Errors
    /// [`LoadError::Unreadable`], or all problems of the file at once.
    pub fn load(file: &Path, project: &Path, today: Date) -> Result<Quarantine, LoadError> {
        let shown_as = file.strip_prefix(project).unwrap_or(file);
        match yaml::read(file) {
            Ok(Ok(text)) => Ok(Quarantine::parse(&text, shown_as, today)?),
            Ok(Err((problem, text))) => Err(Problems::from(vec![problem]).in_file(shown_as, &text).into()),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Quarantine::default()),
            Err(cause) => Err(LoadError::Unreadable { file: shown_as.to_owned(), cause }),
        }
    }

    /// Validates a text.
    ///
    /// # Errors
    /// All problems of the text at once.
    pub fn parse(text: &str, shown_as: &Path, today: Date) -> Result<Quarantine, Diagnostics> {
        let mut problems = Problems::default();
        let declared: Option<QuarantineFile> = decode::document(text, &mut problems);
        let declared = declared.map(|file| file.quarantine.0).unwrap_or_default();
        let entries =
            declared.into_iter().filter_map(|(key, entry)| resolve(key, entry, today, &mut problems)).collect();
        if problems.is_empty() {
            Ok(Quarantine { entries, file: shown_as.to_owned(), text: text.to_owned() })
        } else {
            Err(problems.in_file(shown_as, text))
        }
    }

    /// Shows problems that are found later as those of the file are shown.
    pub fn diagnose(&self, problems: Vec<Problem>) -> Diagnostics {
        Problems::from(problems).in_file(&self.file, &self.text)
    }
}

fn resolve(key: Spanned<Selector>, entry: EntryDeclaration, today: Date, problems: &mut Problems) -> Option<Entry> {
    let EntryDeclaration { reason, author, expires, on } = entry;
    if reason.value.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        let problem = Problem::new(reason.place, "the reason is empty");
        problems.push(problem.expected("the cause of the failures, such as a link to the issue that discusses it"));
    }
    if let Some(Day(day)) = expires.value {
        let ahead = (day - today).get_days();
        if ahead > MOST_DAYS {
            let problem = Problem::new(expires.place, format!("{day} is {ahead} days ahead"));
            problems.push(
                problem.expected(format!("at most {MOST_DAYS} days; renew the entry if it is still needed then")),
            );
        }
    }
    for outcome in &on {
        if let Some(RetryOn::Findings | RetryOn::OverBudget) = outcome.value {
            let problem = Problem::new(outcome.place, "findings cannot be quarantined");
            problems.push(problem.help("remove it, and suppress the finding in a suppression file with a reason"));
        }
    }
    Some(Entry {
        selector: key.value?.0,
        reason: reason.value?,
        author: author.and_then(|author| author.value),
        expires: expires.value?.0,
        on: on.into_iter().filter_map(|outcome| outcome.value).collect(),
        place: key.place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 3, 1);

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let shown = Quarantine::parse(text, Path::new("ci/quarantine.yaml"), TODAY).unwrap_err().to_string();
        for part in expected {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
    }

    #[test]
    fn an_entry_has_a_reason_and_a_last_day() {
        let text = "quarantine:\n  units/a: {reason: races, expires: 2026-03-31}\n  'units/b*':\n    reason: slow\n    \
                    author: me\n    expires: 2026-02-01\n    on: [timed-out]\n";
        let quarantine = Quarantine::parse(text, Path::new("q"), TODAY).unwrap();
        let [a, b] = quarantine.entries.as_slice() else { panic!("{quarantine:?}") };
        assert_eq!((a.selector.as_str(), a.on.as_slice()), ("units/a", &[RetryOn::Failed, RetryOn::TimedOut][..]));
        assert_eq!(
            (b.expires, b.author.as_deref(), b.on.as_slice()),
            (jiff::civil::date(2026, 2, 1), Some("me"), &[RetryOn::TimedOut][..])
        );
    }

    #[test]
    fn invalid_entries_are_reported_at_their_place() {
        refused("quarantine:\n  a: {expires: 2026-03-31}\n", &["quarantine.yaml:2:", "`reason` is missing"]);
        refused("quarantine:\n  a: {reason: ' ', expires: 2026-03-31}\n", &[":2:15", "the reason is empty"]);
        refused("quarantine:\n  a: {reason: x}\n", &["`expires` is missing"]);
        refused("quarantine:\n  a: {reason: x, expires: 2026-02-30}\n", &["`2026-02-30` is not a date"]);
        refused("quarantine:\n  a: {reason: x, expires: 2026-12-31}\n", &["305 days ahead", "at most 180 days"]);
        refused(
            "quarantine:\n  a: {reason: x, expires: 2026-03-31, on: [findings]}\n",
            &["findings cannot be quarantined"],
        );
        refused("quarantine:\n  '[': {reason: x, expires: 2026-03-31}\n", &["`[` is not a selector"]);
    }
}
