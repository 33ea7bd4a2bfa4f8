//! Compares the outputs of two runs of the generators, and explains the first line that differs.

use std::collections::BTreeMap;
use std::path::Path;

use super::{GeneratorRun, Output};
use crate::source::names::shown;
use drydock_base::failure::Failure;
use drydock_base::variations::Variations;

/// Fails if the outputs of two runs differ, with the first differing line of each.
pub(super) fn same<'a>(
    first: &'a [GeneratorRun],
    second: &'a [GeneratorRun],
    here: &Path,
    there: &Path,
    varied: &Variations,
) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    for (one, other) in first.iter().zip(second) {
        let by_path = |made: &'a GeneratorRun| -> BTreeMap<&'a str, &'a Output> {
            made.outputs.iter().map(|output| (output.path.as_str(), output)).collect()
        };
        let (ours, theirs) = (by_path(one), by_path(other));
        let lacks = |all: &BTreeMap<&str, &Output>, path: &&&str| !all.contains_key(**path);
        let lonely =
            ours.keys().filter(|path| lacks(&theirs, path)).chain(theirs.keys().filter(|path| lacks(&ours, path)));
        problems.extend(
            lonely.map(|path| format!("{path} (generator {}) exists after one of the two runs only", one.name)),
        );
        for (path, output) in &ours {
            let why = theirs.get(path).and_then(|again| difference(output, again, here, there, varied));
            problems.extend(why.map(|why| format!("{path} (generator {}) {why}", one.name)));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let list = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    let help = "make the generator deterministic (SOURCE_DATE_EPOCH is set), or declare `host-independent: false` so that \
                builders generate them";
    Err(Failure::not_reproducible(format!("derived files differ between two runs:{list}\n  {help}")))
}

fn difference(one: &Output, other: &Output, here: &Path, there: &Path, varied: &Variations) -> Option<String> {
    if one.kind != other.kind {
        return Some("differs in its type or mode".into());
    }
    if one.content == other.content {
        return None;
    }
    let lines = |content: &[u8]| content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (ours, theirs) = (lines(&one.content), lines(&other.content));
    let at = ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or_else(|| ours.len().min(theirs.len()));
    let text = |lines: &[Vec<u8>]| {
        lines.get(at).map_or_else(|| "(nothing)".into(), |line| String::from_utf8_lossy(line).into_owned())
    };
    let (ours, theirs) = (text(&ours), text(&theirs));
    let cause = cause(&ours, &theirs, here, there, varied);
    Some(format!("differs in line {}{cause}:\n      {}\n      {}", at + 1, shown(&ours), shown(&theirs)))
}

/// The variation that two differing lines show; empty if it is not known.
fn cause(ours: &str, theirs: &str, here: &Path, there: &Path, varied: &Variations) -> &'static str {
    let (here, there) = (here.display().to_string(), there.display().to_string());
    if ours.contains(&here) || theirs.contains(&there) {
        return ", which contains the directory that it was generated in";
    }
    if varied.host().is_some_and(|host| theirs.contains(host)) {
        return ", which contains the host name";
    }
    let digits = |line: &str| line.bytes().filter(u8::is_ascii_digit).count();
    let letters = |line: &str| line.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    const CLOCK_WORDS: [&str; 9] = ["time", "date", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let mentions_time = CLOCK_WORDS.iter().any(|word| ours.contains(word) || theirs.contains(word));
    if digits(ours) >= 4 && (letters(ours) == letters(theirs) || mentions_time) {
        return ", which seems to contain the time";
    }
    if ours.contains("/root") || theirs.contains("varied") {
        return ", which contains the user or the home directory";
    }
    ""
}
