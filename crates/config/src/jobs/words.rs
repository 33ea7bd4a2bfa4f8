//! Texts of a declaration with their placeholders: commands and single words.

use super::declared::Text;
use crate::decode::Spanned;
use crate::diagnostic::{Problem, Problems};
use crate::template::{Placeholder, Template};

/// A command: a program and its arguments; none after a problem was added.
pub(super) fn command(
    words: &Spanned<Vec<Text>>,
    allowed: &[Placeholder],
    problems: &mut Problems,
) -> Option<Vec<Template>> {
    let list = words.value.as_ref()?;
    match list.first() {
        None => {
            problems.push(
                Problem::new(words.place, "the command is empty")
                    .expected("a program and its arguments, such as `[make, check]`"),
            );
        }
        Some(Spanned { place, value: Some(program) }) if program.trim().is_empty() => {
            problems
                .push(Problem::new(*place, "the program is empty").expected("a program, such as `make` or `./run`"));
        }
        Some(_) => {}
    }
    list.iter().map(|word| template(word, allowed, problems)).collect::<Vec<_>>().into_iter().collect()
}

/// A text with placeholders.
pub(super) fn template(text: &Text, allowed: &[Placeholder], problems: &mut Problems) -> Option<Template> {
    let parsed = Template::parse(text.value.as_ref()?, allowed);
    parsed.map_err(|bad| problems.push(Problem::bad_value(text.place, bad))).ok()
}
