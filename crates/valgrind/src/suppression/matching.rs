//! Valgrind's rules for whether a suppression matches an error, so that the effect of a new one is known before it is
//! written.

use super::{Pattern, Suppression};
use crate::stack::Frame;

/// An error as suppressions see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// `Memcheck:Leak`.
    pub kind: String,
    /// `match-leak-kinds: definite`, `write(buf)`…
    pub extra: Option<String>,
    /// Innermost first, each with the name that the linker knows.
    pub frames: Vec<Frame>,
}

impl Suppression {
    /// Whether valgrind would suppress the error.
    pub fn matches_subject(&self, subject: &Subject) -> bool {
        let Some((tool, kind)) = subject.kind.split_once(':') else { return false };
        self.is_for(tool)
            && self.same_kind(kind)
            && self.same_extra(subject.extra.as_deref())
            && matches_frames(&self.frames, &subject.frames)
    }

    fn same_kind(&self, kind: &str) -> bool {
        // `Cond` has an older name.
        let usual = |kind: &str| if kind == "Value0" { "Cond".to_owned() } else { kind.to_owned() };
        usual(&self.kind) == usual(kind)
    }

    fn same_extra(&self, extra: Option<&str>) -> bool {
        if self.kind != "Leak" {
            return self.extra.as_deref() == extra;
        }
        let kinds = |line: &str| {
            let list = line.strip_prefix("match-leak-kinds:").unwrap_or(line);
            list.split(',').map(|kind| kind.trim().to_owned()).collect::<Vec<_>>()
        };
        match (self.extra.as_deref().map(kinds), extra.map(kinds)) {
            (None, _) => true,
            (Some(suppressed), _) if suppressed.iter().any(|kind| kind == "all") => true,
            (Some(suppressed), Some(found)) => found.iter().any(|kind| suppressed.contains(kind)),
            (Some(_), None) => false,
        }
    }
}

/// The patterns must fit the innermost frames; frames beyond them are free. Takes a number of steps that is at most the
/// product of both lengths, as the next function.
fn matches_frames(patterns: &[Pattern], frames: &[Frame]) -> bool {
    let (mut at, mut frame) = (0, 0);
    // The positions to continue at after the last `...`, which takes one frame more each time.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match patterns.get(at) {
            None => return true,
            Some(Pattern::Any) => {
                at += 1;
                retry = Some((at, frame));
                continue;
            }
            Some(pattern) => {
                if frames.get(frame).is_some_and(|frame| fits(pattern, frame)) {
                    at += 1;
                    frame += 1;
                    continue;
                }
            }
        }
        let Some((after, swallowed)) = retry else { return false };
        if swallowed >= frames.len() {
            return false;
        }
        retry = Some((after, swallowed + 1));
        (at, frame) = (after, swallowed + 1);
    }
}

fn fits(pattern: &Pattern, frame: &Frame) -> bool {
    match pattern {
        Pattern::Function(name) => glob_matches(name, frame.function.as_deref().unwrap_or("???")),
        Pattern::Object(path) => glob_matches(path, frame.object.as_deref().unwrap_or("???")),
        Pattern::Source(place) => {
            let Some(file) = &frame.file else { return false };
            match place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse::<u32>().ok()?))) {
                Some((pattern, line)) => glob_matches(pattern, file) && frame.line == Some(line),
                None => glob_matches(place, file),
            }
        }
        Pattern::Any => true,
    }
}

/// `*` stands for any text, `?` for one letter.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut letter) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while letter < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, letter));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[letter] => {
                at += 1;
                letter += 1;
            }
            Some(_) | None => {
                let Some((after, swallowed)) = retry else { return false };
                retry = Some((after, swallowed + 1));
                (at, letter) = (after, swallowed + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}
