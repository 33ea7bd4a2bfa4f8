//! The suppression of a cause: exact where its findings agree, with `...` only where they differ. It matches nothing else.

use drydock_base::text::{is_unprintable, one_line};
use std::collections::BTreeSet;

use super::cause::Cause;
use super::finding::Finding;
use super::stack::{self, Frame};
use super::suppression::{MOST_FRAMES, Pattern, Subject, Suppression};

/// The author, the expiry date and the reason of a suppression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The reason.
    pub reason: String,
    /// The person who answers for the reason.
    pub author: String,
    /// The day of writing.
    pub added: jiff::civil::Date,
    /// The day after which the suppression must be reviewed.
    pub expires: jiff::civil::Date,
}

/// The reason why no suppression was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The findings are not of one kind.
    #[error("{0} and {1} are of different kinds; suppress them one by one")]
    Kinds(String, String),
    /// Not one frame is the same in all findings, or none has a name.
    #[error("the stacks of these findings have nothing in common that a suppression could name")]
    Nothing,
    /// A log that was not written by valgrind has names that would change the meaning of the suppression.
    #[error("their log names functions that no suppression file can hold")]
    Unwritable,
    /// It would suppress other findings of the same runs.
    #[error("it would also suppress {}", .0.join(", "))]
    TooMuch(Vec<String>),
    /// A finding of the cause would still be reported.
    #[error("it would not suppress all of the finding: {0}")]
    TooLittle(String),
}

/// The suppression of these causes of one tool, checked against all causes of the runs that are known.
///
/// # Errors
/// When it would suppress less than them or more.
pub fn suppression(chosen: &[&Cause<'_>], all: &[Cause<'_>], note: &Note) -> Result<Suppression, Refusal> {
    let members: Vec<(&str, &Finding)> =
        chosen.iter().flat_map(|cause| cause.members.iter().map(|member| (cause.tool, member.finding))).collect();
    let subjects: Vec<Subject> = members.iter().map(|(tool, finding)| finding.subject(&word(tool))).collect();
    let first = subjects.first().ok_or(Refusal::Nothing)?;
    if let Some(other) = subjects.iter().find(|subject| subject.kind != first.kind || subject.extra != first.extra) {
        return Err(Refusal::Kinds(kind_in_words(first), kind_in_words(other)));
    }
    let (tools, kind) = first.kind.split_once(':').ok_or(Refusal::Nothing)?;
    let ids: Vec<&str> = chosen.iter().map(|cause| cause.id.as_str()).collect();
    let place = members.first().map_or_else(String::new, |(_, finding)| place_in_words(finding));
    let jobs: BTreeSet<usize> = chosen.iter().flat_map(|cause| cause.jobs()).collect();
    let count = if jobs.len() == 1 { "1 job".to_owned() } else { format!("{} jobs", jobs.len()) };
    let suppression = Suppression {
        comments: vec![
            format!("reason: {}", one_line(&note.reason, 300)),
            format!("author: {}", one_line(&note.author, 300)),
            format!("added: {}, when {count} had it", note.added),
            format!("expires: {}", note.expires),
        ],
        name: one_line(&format!("{} {place}", ids.join(" ")), 300),
        tools: vec![tools.to_owned()],
        kind: kind.to_owned(),
        extra: first.extra.clone(),
        frames: in_common(&subjects.iter().map(locations).collect::<Vec<_>>()),
        line: 0,
    };
    let named = |frame: &Pattern| match frame {
        Pattern::Function(name) | Pattern::Object(name) | Pattern::Source(name) => {
            !name.trim_matches(['*', '?', '/']).is_empty()
        }
        Pattern::Any => false,
    };
    if !suppression.frames.iter().any(named) {
        return Err(Refusal::Nothing);
    }
    // A job's log is not to be trusted: the written suppression must be read back as the one that was checked.
    let read = super::suppression::parse(&suppression.to_string()).unwrap_or_default();
    if !matches!(read.as_slice(), [one] if Suppression { line: 0, ..one.clone() } == suppression) {
        return Err(Refusal::Unwritable);
    }
    if let Some(position) = subjects.iter().position(|subject| !suppression.matches_subject(subject)) {
        return Err(Refusal::TooLittle(members[position].1.line()));
    }
    let others: Vec<String> = all
        .iter()
        .filter(|cause| !ids.contains(&cause.id.as_str()))
        .filter(|cause| {
            cause.members.iter().any(|member| suppression.matches_subject(&member.finding.subject(&word(cause.tool))))
        })
        .map(|cause| format!("{} ({})", cause.id, cause.title()))
        .collect();
    if others.is_empty() { Ok(suppression) } else { Err(Refusal::TooMuch(others)) }
}

/// The name of a tool in valgrind's suppressions.
fn word(tool: &str) -> String {
    match tool {
        "memcheck" => "Memcheck".into(),
        "helgrind" => "Helgrind".into(),
        tool => tool.to_owned(),
    }
}

/// Function and file. The line is left out because it changes with every edit, and the directory because it differs
/// between machines.
fn place_in_words(finding: &Finding) -> String {
    let Some(frame) = finding.stack.get(stack::place(&finding.stack)) else { return String::new() };
    let file = frame.file.as_ref().or(frame.object.as_ref()).map_or("", |path| stack::base_name(path));
    format!("{} ({file})", frame.function.as_deref().unwrap_or("???"))
}

fn kind_in_words(subject: &Subject) -> String {
    match &subject.extra {
        Some(extra) => format!("{} ({extra})", subject.kind),
        None => subject.kind.clone(),
    }
}

/// One location a frame, innermost first, without the library's frames at the outer end.
fn locations(subject: &Subject) -> Vec<Pattern> {
    // The frames that start the program or a thread belong to the library, and change with it.
    let own = subject.frames.iter().rposition(|frame| !stack::is_library(frame));
    let last = own.map_or(subject.frames.len(), |last| last + 1);
    subject.frames.iter().take(last.min(MOST_FRAMES)).map(location).collect()
}

fn location(frame: &Frame) -> Pattern {
    match (&frame.function, &frame.object) {
        (Some(function), _) => Pattern::Function(lasting(function)),
        // The build directory differs between machines.
        (None, Some(object)) if object.contains('/') => {
            Pattern::Object(format!("*/{}", printable(stack::base_name(object))))
        }
        (None, Some(object)) => Pattern::Object(printable(object)),
        (None, None) => Pattern::Object("*".into()),
    }
}

/// The name without the parts that change with each build by the Rust compiler: the hash at the end of `_ZN…17h0123456789abcdefE`, and
/// the crate's disambiguator in `_RNvCs1234_…`.
fn lasting(function: &str) -> String {
    let name = printable(function);
    if let Some(at) = name.find("17h").filter(|_| name.starts_with("_ZN")) {
        let hash = name.get(at + 3..at + 19).unwrap_or_default();
        if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return format!("{}17h*", &name[..at]);
        }
    }
    if name.starts_with("_R") {
        let mut lasting = String::new();
        let mut rest = name.as_str();
        while let Some(at) = rest.find("Cs") {
            let (before, after) = rest.split_at(at + 2);
            lasting.push_str(before);
            let end = after.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(after.len());
            if after[end..].starts_with('_') {
                lasting.push('*');
                rest = &after[end..];
            } else {
                rest = after;
            }
        }
        return lasting + rest;
    }
    name
}

/// Unprintable characters become a wildcard. A `*` of the name itself, as in `<*const u8>::cast`, becomes the wildcard
/// for one letter, so that it does not match any name.
fn printable(name: &str) -> String {
    let mut text = String::new();
    for letter in name.trim().chars() {
        match letter {
            '*' => text.push('?'),
            letter if is_unprintable(letter) || letter == char::REPLACEMENT_CHARACTER => {
                if !text.ends_with('*') {
                    text.push('*');
                }
            }
            letter => text.push(letter),
        }
    }
    text
}

/// The frames at which all stacks begin, then, when they differ in between, `...` and the frames at which all end.
fn in_common(stacks: &[Vec<Pattern>]) -> Vec<Pattern> {
    let Some((first, rest)) = stacks.split_first() else { return Vec::new() };
    let shared = |frames: &dyn Fn(&Vec<Pattern>, usize) -> Option<Pattern>, most: usize| {
        (0..most).take_while(|at| rest.iter().all(|stack| frames(stack, *at) == frames(first, *at))).count()
    };
    let begin = shared(&|stack, at| stack.get(at).cloned(), first.len());
    if stacks.iter().all(|stack| stack.len() == begin) {
        return first.clone();
    }
    let shortest = stacks.iter().map(Vec::len).min().unwrap_or(0);
    // A frame belongs to the beginning or to the end, not to both.
    let end = shared(
        &|stack, at| stack.len().checked_sub(at + 1).and_then(|index| stack.get(index)).cloned(),
        shortest.saturating_sub(begin),
    );
    let mut frames: Vec<Pattern> = first[..begin].to_vec();
    if end > 0 {
        frames.push(Pattern::Any);
        frames.extend_from_slice(&first[first.len() - end..]);
        frames.truncate(MOST_FRAMES);
    }
    frames
}

#[cfg(test)]
mod tests;
