//! Reading a suppression file, line by line, as valgrind does, but with the comments.

use super::{MOST_FRAMES, Pattern, Suppression};

/// A line that valgrind would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Syntax {
    /// From 1.
    pub line: usize,
    /// The problem with the line.
    pub what: String,
}

/// Files with more suppressions than this are refused.
const MOST: usize = 20_000;
/// More comment lines of one suppression are not kept.
const MOST_COMMENTS: usize = 64;

/// Reads all suppressions of a text.
///
/// # Errors
/// The first line that valgrind would refuse.
pub fn parse(text: &str) -> Result<Vec<Suppression>, Syntax> {
    let mut all = Vec::new();
    let mut comments: Vec<String> = Vec::new();
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    while let Some((number, line)) = lines.next() {
        if let Some(comment) = line.strip_prefix('#') {
            keep(&mut comments, comment);
        } else if line.is_empty() {
            // A comment above a blank line belongs to the file, not to the next suppression.
            comments.clear();
        } else if line == "{" {
            if all.len() >= MOST {
                return Err(wrong(number, format!("there are more than {MOST} suppressions")));
            }
            all.push(one(number, std::mem::take(&mut comments), &mut lines)?);
        } else {
            return Err(wrong(number, format!("expected {{, the start of a suppression, found `{}`", short(line))));
        }
    }
    Ok(all)
}

fn one<'a>(
    start: usize,
    comments: Vec<String>,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Suppression, Syntax> {
    let mut this = Suppression { comments, line: start, ..Suppression::default() };
    let mut place = 0;
    for (number, line) in lines {
        if let Some(comment) = line.strip_prefix('#') {
            keep(&mut this.comments, comment);
            continue;
        }
        if line.is_empty() {
            continue;
        }
        if line == "}" {
            return closed(this, number);
        }
        match place {
            // As the logs of valgrind have it, which name the suppressions that were used.
            0 => this.name = shown(line),
            1 => {
                let kind = line.split_once(':').filter(|(tools, kind)| !tools.is_empty() && !kind.is_empty());
                let (tools, kind) = kind.ok_or_else(|| {
                    wrong(number, format!("`{}` is not TOOL:KIND, such as Memcheck:Leak", short(line)))
                })?;
                this.tools = tools.split(',').map(|tool| tool.trim().to_owned()).collect();
                kind.trim().clone_into(&mut this.kind);
            }
            _ => match location(line) {
                Some(frame) if this.frames.len() < MOST_FRAMES => this.frames.push(frame),
                Some(_) => return Err(wrong(number, format!("valgrind takes at most {MOST_FRAMES} locations"))),
                // Some kinds have one more line, before the locations.
                None if place == 2 => this.extra = Some(line.to_owned()),
                None => {
                    return Err(wrong(number, format!("`{}` is not fun:, obj:, src: or ...", short(line))));
                }
            },
        }
        place += 1;
    }
    Err(wrong(start, "this suppression has no closing }".into()))
}

fn closed(this: Suppression, number: usize) -> Result<Suppression, Syntax> {
    if this.kind.is_empty() {
        return Err(wrong(number, "a suppression starts with its name and TOOL:KIND".into()));
    }
    if this.frames.iter().all(|frame| *frame == Pattern::Any) {
        return Err(wrong(number, "a suppression needs a location that is not ...".into()));
    }
    Ok(this)
}

fn location(line: &str) -> Option<Pattern> {
    if line == "..." {
        return Some(Pattern::Any);
    }
    let (kind, what) = line.split_once(':')?;
    match kind {
        "fun" => Some(Pattern::Function(what.to_owned())),
        "obj" => Some(Pattern::Object(what.to_owned())),
        "src" => Some(Pattern::Source(what.to_owned())),
        _ => None,
    }
}

fn keep(comments: &mut Vec<String>, comment: &str) {
    if comments.len() < MOST_COMMENTS {
        comments.push(shown(comment.trim()));
    }
}

fn wrong(line: usize, what: String) -> Syntax {
    Syntax { line, what }
}

/// Names and comments go to terminals and reports.
fn shown(text: &str) -> String {
    text.chars().map(drydock_base::text::printable_char).collect()
}

fn short(text: &str) -> String {
    drydock_base::text::printable(text, 60)
}
