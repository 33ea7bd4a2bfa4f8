//! Texts of a declaration: commands, patterns and paths.

use crate::decode::Spanned;
use crate::diagnostic::{Problem, Problems};
use crate::globs::FileGlob;
use crate::paths;

/// A text with its place.
pub(super) type Text = Spanned<String>;

/// The patterns; a problem for each that is invalid.
pub(super) fn globs(list: &[Text], problems: &mut Problems) -> Vec<FileGlob> {
    let parse = |text: &Text| {
        FileGlob::parse(text.value.as_ref()?).map_err(|bad| problems.push(Problem::bad_value(text.place, bad))).ok()
    };
    list.iter().filter_map(parse).collect()
}

/// A command: a program and its arguments.
pub(super) fn command(words: &Spanned<Vec<Text>>, problems: &mut Problems) -> Option<Vec<String>> {
    let list = words.value.as_ref()?;
    let program = list.first().and_then(|word| word.value.as_ref());
    if list.is_empty() || program.is_some_and(|program| program.trim().is_empty()) {
        let problem = Problem::new(words.place, "the command has no program");
        problems.push(problem.expected("a program and its arguments, such as `[make, check]`"));
    }
    list.iter().map(|word| word.value.clone()).collect()
}

/// A path that stays inside the project.
pub(super) fn inside(text: &Text, problems: &mut Problems) -> Option<String> {
    let path = text.value.clone()?;
    match paths::inside(&path) {
        Ok(()) => Some(path),
        Err(bad) => {
            problems.push(Problem::bad_value(text.place, bad));
            None
        }
    }
}
