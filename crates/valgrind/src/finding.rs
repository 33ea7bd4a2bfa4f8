//! One error of one job, as it is journalled: bounded, with enough for every report and for a suppression.

use drydock_base::text::printable_char;
use serde::{Deserialize, Serialize};

use super::stack::{self, Frame};
use super::suppression::{MOST_FRAMES, Pattern, Subject};
use super::xml::{Auxiliary, Error, RawSuppression};

/// Frames of a side stack that are kept.
const MOST_SIDE_FRAMES: usize = 12;
/// Side stacks that are kept.
const MOST_SIDES: usize = 8;
/// Names and paths are kept to this length; longer ones are rare templates.
const LONGEST_NAME: usize = 1000;
/// Sentences are kept to this length.
const LONGEST_SENTENCE: usize = 400;

/// One error that valgrind found in a job, once, whichever of its processes reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// `InvalidRead`, `Leak_DefinitelyLost`…
    pub kind: String,
    /// Valgrind's sentence, for a leak without its number among the others.
    pub what: String,
    /// The frame to look at first, `function (file:line)`.
    pub place: String,
    /// The frames, innermost first.
    pub stack: Vec<Frame>,
    /// The number of further frames, which were not kept.
    #[serde(default)]
    pub more_frames: usize,
    /// Further sentences with their stacks: where a block was allocated, what it conflicts with.
    #[serde(default)]
    pub auxiliary: Vec<Auxiliary>,
    /// The suppression that valgrind proposes for it.
    #[serde(default)]
    pub suppression: Option<RawSuppression>,
    /// The number of records of it in the process that reported it most often.
    #[serde(default)]
    pub records: u64,
    /// The number of processes that reported it; forked children repeat what they inherited.
    #[serde(default)]
    pub processes: u64,
}

impl Finding {
    /// Keeps a bounded part of an error.
    pub fn new(error: Error) -> Finding {
        let place = error.stack.get(stack::place(&error.stack));
        let place = place.map_or_else(|| "an unknown place".to_owned(), Frame::describe);
        let more_frames = error.stack.len().saturating_sub(MOST_FRAMES);
        let sentence = error.what.split(" in loss record ").next().unwrap_or_default();
        Finding {
            kind: cut(&error.kind, LONGEST_SENTENCE),
            what: cut(sentence, LONGEST_SENTENCE),
            place,
            stack: error.stack.into_iter().take(MOST_FRAMES).map(bounded).collect(),
            more_frames,
            auxiliary: error.auxiliary.into_iter().take(MOST_SIDES).map(side).collect(),
            suppression: error.suppression.filter(|raw| !raw.kind.is_empty()).map(|raw| RawSuppression {
                kind: cut(&raw.kind, LONGEST_SENTENCE),
                extra: raw.extra.map(|extra| cut(&extra, LONGEST_SENTENCE)),
                frames: raw.frames.into_iter().take(MOST_FRAMES).map(pattern).collect(),
            }),
            records: 1,
            processes: 1,
        }
    }

    /// One line for a person.
    pub fn line(&self) -> String {
        format!("{}: {}, at {}", self.kind, self.what, self.place)
    }

    /// The error as suppressions see it: the names of its frames are those that valgrind compares with.
    pub fn subject(&self, tool: &str) -> Subject {
        let mut frames = self.stack.clone();
        let Some(raw) = &self.suppression else {
            return Subject { kind: format!("{tool}:{}", self.suppression_kind()), extra: self.leak_kinds(), frames };
        };
        for (index, pattern) in raw.frames.iter().enumerate() {
            if index >= frames.len() {
                frames.push(Frame::default());
            }
            match pattern {
                Pattern::Function(name) => frames[index].function = Some(name.clone()),
                Pattern::Object(path) => {
                    frames[index].function = None;
                    frames[index].object.get_or_insert_with(|| path.clone());
                }
                Pattern::Source(_) | Pattern::Any => {}
            }
        }
        Subject { kind: raw.kind.clone(), extra: raw.extra.clone(), frames }
    }

    /// The name of the kind in suppressions, where valgrind proposed none (`memcheck/mc_errors.c`).
    fn suppression_kind(&self) -> String {
        let size = || self.what.rsplit(' ').next().filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()));
        match self.kind.as_str() {
            kind if kind.starts_with("Leak_") => "Leak".into(),
            "InvalidRead" | "InvalidWrite" => format!("Addr{}", size().unwrap_or("1")),
            "UninitCondition" => "Cond".into(),
            "UninitValue" => format!("Value{}", size().unwrap_or("8")),
            "SyscallParam" => "Param".into(),
            "InvalidFree" | "MismatchedFree" => "Free".into(),
            "InvalidJump" => "Jump".into(),
            "InvalidMemPool" => "Mempool".into(),
            "ClientCheck" => "User".into(),
            kind => kind.to_owned(),
        }
    }

    fn leak_kinds(&self) -> Option<String> {
        let kind = match self.kind.as_str() {
            "Leak_DefinitelyLost" => "definite",
            "Leak_IndirectlyLost" => "indirect",
            "Leak_PossiblyLost" => "possible",
            "Leak_StillReachable" => "reachable",
            _ => return None,
        };
        Some(format!("match-leak-kinds: {kind}"))
    }
}

fn side(auxiliary: Auxiliary) -> Auxiliary {
    Auxiliary {
        what: cut(&auxiliary.what, LONGEST_SENTENCE),
        stack: auxiliary.stack.into_iter().take(MOST_SIDE_FRAMES).map(bounded).collect(),
    }
}

fn bounded(frame: Frame) -> Frame {
    let short = |text: Option<String>| text.map(|text| cut(&text, LONGEST_NAME));
    Frame {
        object: short(frame.object),
        function: short(frame.function),
        directory: short(frame.directory),
        file: short(frame.file),
        line: frame.line,
    }
}

/// A name that is too long is cut, and ends with the character that becomes a wildcard in a suppression.
fn pattern(pattern: Pattern) -> Pattern {
    let short = |text: String| {
        let kept = cut(&text, LONGEST_NAME);
        if text.chars().nth(LONGEST_NAME).is_some() { kept + "\u{fffd}" } else { kept }
    };
    match pattern {
        Pattern::Function(name) => Pattern::Function(short(name)),
        Pattern::Object(path) => Pattern::Object(short(path)),
        Pattern::Source(place) => Pattern::Source(short(place)),
        Pattern::Any => Pattern::Any,
    }
}

/// One line of at most so many characters: the text of a log goes into files that are read line by line.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).map(printable_char).collect()
}
