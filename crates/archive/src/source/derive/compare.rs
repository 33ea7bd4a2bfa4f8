//! Whether two runs of the generators made the same, and where they did not, which line differs and why.

use std::path::Path;

use super::{Made, Output};
use crate::source::names::shown;
use drydock_base::failure::Failure;
use drydock_base::twin::Twin;

/// Refuses outputs that differ, each by name with its first differing line.
pub(super) fn same(first: &[Made], second: &[Made], here: &Path, there: &Path, twin: &Twin) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    for (one, other) in first.iter().zip(second) {
        let paths = |made: &Made| made.outputs.iter().map(|output| output.path.clone()).collect::<Vec<_>>();
        let (ours, theirs) = (paths(one), paths(other));
        for path in
            ours.iter().filter(|path| !theirs.contains(path)).chain(theirs.iter().filter(|path| !ours.contains(path)))
        {
            problems.push(format!("{path} (generator {}) was made in one of two runs only", one.name));
        }
        for output in &one.outputs {
            let Some(again) = other.outputs.iter().find(|again| again.path == output.path) else { continue };
            if let Some(why) = difference(output, again, here, there, twin) {
                problems.push(format!("{} (generator {}) {why}", output.path, one.name));
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let list = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    let help = "make the generator write the same everywhere (SOURCE_DATE_EPOCH is set), or declare \
                `host-independent: false` so that a builder makes them";
    Err(Failure::not_reproducible(format!("derived files differ from run to run:{list}\n  {help}")))
}

fn difference(one: &Output, other: &Output, here: &Path, there: &Path, twin: &Twin) -> Option<String> {
    if one.kind != other.kind {
        return Some("is a file, an executable or a link, depending on the run".into());
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
    let cause = cause(&ours, &theirs, here, there, twin);
    Some(format!("differs in line {}{cause}:\n      {}\n      {}", at + 1, shown(&ours), shown(&theirs)))
}

/// What the two lines hold that the two runs did not share.
fn cause(ours: &str, theirs: &str, here: &Path, there: &Path, twin: &Twin) -> &'static str {
    let (here, there) = (here.display().to_string(), there.display().to_string());
    if ours.contains(&here) || theirs.contains(&there) {
        return ", which holds the directory it was made in";
    }
    if twin.host().is_some_and(|host| theirs.contains(host)) {
        return ", which holds the name of the host";
    }
    let digits = |line: &str| line.bytes().filter(u8::is_ascii_digit).count();
    let letters = |line: &str| line.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    const CLOCK_WORDS: [&str; 9] = ["time", "date", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let speaks_of_time = CLOCK_WORDS.iter().any(|word| ours.contains(word) || theirs.contains(word));
    if digits(ours) >= 4 && (letters(ours) == letters(theirs) || speaks_of_time) {
        return ", which seems to hold the time";
    }
    if ours.contains("/root") || theirs.contains("twin") {
        return ", which holds the user or the home";
    }
    ""
}
