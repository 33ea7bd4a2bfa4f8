//! Versions whose numbers are on lines of their own, as in `#define LAMP_VERSION_MAJOR 1`.

use std::fmt;
use std::ops::Range;

use schemars::{Schema, json_schema};

use super::super::Version;
use super::{is_comment, lines};
use crate::decode::{Declared, FromText};
use drydock_base::text::quoted;
use drydock_base::units::BadValue;

/// One of the numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Major,
    Minor,
    Patch,
}

impl Part {
    const ALL: [(&'static str, Part); 3] =
        [("{major}", Part::Major), ("{minor}", Part::Minor), ("{patch}", Part::Patch)];

    /// This number of a version; 0 if the version is shorter. In 26.06rc1, the minor number is 6.
    pub(super) fn of(self, version: &Version) -> u64 {
        let mut numbers = Vec::new();
        for part in version.as_str().split('.') {
            let end = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
            if end > 0 {
                // A number that no line can have agrees with none.
                numbers.push(part[..end].parse::<u64>().unwrap_or(u64::MAX));
            }
            if end < part.len() {
                break;
            }
        }
        numbers.get(self as usize).copied().unwrap_or(0)
    }
}

/// A line with one or more numbers of a version: `#define LAMP_VERSION_MAJOR {major}`, or `FILEVERSION {major},{minor},{patch},0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberLine {
    /// Each number, and the text before it.
    numbers: Vec<(String, Part)>,
    /// The text after the last.
    after: String,
}

impl NumberLine {
    /// The numbers that it has.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.numbers.iter().map(|(_, part)| *part)
    }

    /// The numbers of a line of this form, whatever blanks are around it and whatever comment follows.
    fn read(&self, line: &str) -> Option<Vec<(Part, Range<usize>)>> {
        let mut at = line.len() - line.trim_start().len();
        let mut found = Vec::new();
        for (index, (before, part)) in self.numbers.iter().enumerate() {
            let before = if index == 0 { before.trim_start() } else { before };
            let rest = line[at..].strip_prefix(before)?;
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse::<u64>().ok()?;
            let start = at + before.len();
            found.push((*part, start..start + digits));
            at = start + digits;
        }
        line[at..].strip_prefix(self.after.trim_end()).filter(|rest| is_comment(rest)).map(|_| found)
    }
}

impl fmt::Display for NumberLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (before, part) in &self.numbers {
            let written = Part::ALL.iter().find(|(_, one)| one == part).map_or("", |(written, _)| written);
            write!(f, "{before}{written}")?;
        }
        f.write_str(&self.after)
    }
}

impl FromText for NumberLine {
    const WHAT: &'static str = "a line with `{major}`, `{minor}` or `{patch}`";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let bad = |why: &str| Err(BadValue::new(format!("{} {why}", quoted(text)), "such as `#define MAJOR {major}`"));
        if text.contains('\n') {
            return bad("has more than one line");
        }
        let (mut numbers, mut rest) = (Vec::new(), text);
        let next = |rest: &str| {
            let places =
                Part::ALL.iter().filter_map(|(written, part)| Some((rest.find(written)?, written.len(), *part)));
            places.min_by_key(|(at, _, _)| *at)
        };
        while let Some((at, length, part)) = next(rest) {
            if numbers.last().is_some() && at == 0 {
                return bad("has nothing between two numbers");
            }
            numbers.push((rest[..at].to_owned(), part));
            rest = &rest[at + length..];
        }
        if numbers.is_empty() {
            return bad("does not contain `{major}`, `{minor}` or `{patch}`");
        }
        Ok(NumberLine { numbers, after: rest.to_owned() })
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": r"\{(major|minor|patch)\}"})
    }
}

impl Declared for NumberLine {
    fn declared(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

/// What is wrong with these lines together; none if they have the major number, and none twice.
pub(in super::super) fn problem(forms: &[NumberLine]) -> Option<&'static str> {
    let mut parts: Vec<Part> = forms.iter().flat_map(NumberLine::parts).collect();
    parts.sort_unstable();
    if parts.first() != Some(&Part::Major) {
        return Some("no line has `{major}`");
    }
    parts.windows(2).any(|two| two[0] == two[1]).then_some("a number is there twice")
}

/// A number in a text.
pub(super) struct FoundNumber {
    pub(super) part: Part,
    /// The line, from 1.
    line: usize,
    value: String,
    pub(super) bytes: Range<usize>,
}

/// The numbers of the first line of each form, in the order of the text; none if a form has no line.
pub(super) fn found(forms: &[NumberLine], text: &str) -> Option<Vec<FoundNumber>> {
    let mut all = Vec::new();
    for form in forms {
        let (line, start, numbers) =
            lines(text).find_map(|(number, start, line)| Some((number, start, form.read(line)?)))?;
        all.extend(numbers.into_iter().map(|(part, bytes)| {
            let bytes = start + bytes.start..start + bytes.end;
            FoundNumber { part, line, value: text[bytes.clone()].to_owned(), bytes }
        }));
    }
    all.sort_by_key(|number| number.bytes.start);
    Some(all)
}

/// The version of these numbers, and the line of the first.
pub(super) fn version(found: &[FoundNumber]) -> Option<(Version, usize)> {
    let mut numbers: Vec<&FoundNumber> = found.iter().collect();
    numbers.sort_by_key(|number| number.part);
    let text = numbers.iter().map(|number| number.value.as_str()).collect::<Vec<_>>().join(".");
    Some((text.parse().ok()?, numbers.first()?.line))
}

#[cfg(test)]
mod tests {
    use super::super::{VersionFile, VersionPlace};
    use super::*;

    fn file(forms: &[&str]) -> VersionFile {
        let forms = forms.iter().map(|form| NumberLine::from_text(form).unwrap()).collect();
        VersionFile { path: "f".to_owned(), place: VersionPlace::Numbers(forms) }
    }

    #[track_caller]
    fn check(forms: &[&str], text: &str, held: Option<(usize, &str)>, new: &str, expected: &str) {
        let file = file(forms);
        let found = file.held(text);
        assert_eq!(found.first().map(|held| (held.line, held.version.as_str())), held, "{text}");
        let changed = file.with_version(text, &new.parse().unwrap());
        assert_eq!(changed.as_deref(), held.map(|_| expected), "{text}");
        if let Some(changed) = changed {
            assert!(file.agrees(&file.held(&changed)[0].version, &new.parse().unwrap()), "{changed}");
        }
    }

    #[test]
    fn each_number_is_read_and_written_on_its_line() {
        let header = ["#define L_MAJOR    {major}", "#define L_MINOR   {minor}", "#define L_RELEASE  {patch}"];
        check(
            &header,
            "/* 1 */\n#define L_MAJOR    1    /* breaking */\n#define L_MINOR   10 // x\r\n#define L_RELEASE  0\n#define L_MINOR   3\n",
            Some((2, "1.10.0")),
            "2.9.123",
            "/* 1 */\n#define L_MAJOR    2    /* breaking */\n#define L_MINOR   9 // x\r\n#define L_RELEASE  123\n#define L_MINOR   3\n",
        );
        // In whatever order; a release candidate and a nightly have the numbers of their release.
        let cmake = ["set(M \"{minor}\")", "set(A \"{major}\")"];
        check(
            &cmake,
            "set(M \"06\")\n  set(A \"26\") # y\n",
            Some((2, "26.06")),
            "26.9rc1",
            "set(M \"9\")\n  set(A \"26\") # y\n",
        );
        let nightly = "26.09-0.nightly20260701.3.g0123456";
        check(&cmake, "set(M \"6\")\nset(A \"26\")", Some((2, "26.6")), nightly, "set(M \"9\")\nset(A \"26\")");
        let windows = ["FILEVERSION {major},{minor},{patch},0"];
        check(&windows, " FILEVERSION 1,2,3,0\n", Some((1, "1.2.3")), "1.3", " FILEVERSION 1,3,0,0\n");
        // A line that is missing, a number that is none, more on the line.
        for text in ["#define L_MAJOR    1\n#define L_MINOR   2\n", "#define L_MAJOR    x", ""] {
            check(&header, text, None, "1.0", "");
        }
        check(&windows, "FILEVERSION 1,2,3,0,1\n", None, "1.0", "");
        let file = file(&cmake);
        let agrees = |held: &str, version: &str| file.agrees(&held.parse().unwrap(), &version.parse().unwrap());
        assert!(agrees("26.6", "26.06") && agrees("26.6", "26.06.1") && agrees("26.0", "26"));
        assert!(!agrees("26.6", "26.60") && !agrees("26.6", "26"));
        assert!(!agrees("26.6", &format!("26.{}.6", "9".repeat(30))));
    }

    #[test]
    fn forms_without_numbers_or_with_one_twice_are_refused() {
        for (form, why) in [
            ("#define MAJOR 1", "does not contain"),
            ("{major}{minor}", "nothing between"),
            ("a {major}\nb", "more than one line"),
        ] {
            let error = NumberLine::from_text(form).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let forms = |forms: &[&str]| -> Option<&str> {
            problem(&forms.iter().map(|form| NumberLine::from_text(form).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(forms(&["a {major}", "b {minor}"]), None);
        assert_eq!(forms(&["b {minor}"]), Some("no line has `{major}`"));
        assert_eq!(forms(&["a {major}", "b {major}"]), Some("a number is there twice"));
        assert_eq!(NumberLine::from_text("a {minor}, {major}; b").unwrap().to_string(), "a {minor}, {major}; b");
    }
}
