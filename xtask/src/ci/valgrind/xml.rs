//! Valgrind's XML logs, protocol 4 and later (docs/internals/xml-output-protocol4.txt and its successors).
//!
//! A pull parser, because the order of siblings matters and because a killed process leaves a file that just stops:
//! everything up to the last complete error is kept, and the log is marked as cut.

use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};

use crate::paths;

/// Files beyond this size are read up to here and count as cut.
const LARGEST: u64 = 256 << 20;
/// Errors beyond this number are counted, not kept.
const KEPT_ERRORS: usize = 10_000;
/// Text of one element beyond this length is cut.
const LONGEST_TEXT: usize = 4096;
/// Frames of one stack.
const DEEPEST_STACK: usize = 500;
/// Words of the command line.
const MOST_WORDS: usize = 64;
/// Further sentences of one error.
const MOST_AUXILIARY: usize = 64;
/// Elements within elements: the protocol needs eight.
const DEEPEST_NESTING: usize = 64;

/// The log of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// `protocolversion`.
    pub protocol: Option<u32>,
    /// The tool that wrote it.
    pub tool: Option<String>,
    /// The process.
    pub pid: Option<u32>,
    /// Its parent.
    pub parent: Option<u32>,
    /// The traced program and its arguments.
    pub command: Vec<String>,
    /// Errors in the order of the file, each once.
    pub errors: Vec<Error>,
    /// Errors that were not kept.
    pub more_errors: u64,
    /// The number of the signal that the process died of.
    pub fatal_signal: Option<i32>,
    /// Where it was then, innermost frame first.
    pub fatal_stack: Vec<Frame>,
    /// How far the log goes.
    pub extent: Extent,
}

/// How far a log goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// To its end: the process finished under valgrind's eyes.
    Complete,
    /// To the arguments only, as a process leaves it that forked and then ran another program untraced.
    Stub,
    /// It stops in the middle; why.
    Cut(String),
    /// There is nothing in it.
    #[default]
    Empty,
}

/// One error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Error {
    /// `InvalidRead`, `Leak_DefinitelyLost`…
    pub kind: String,
    /// The sentence.
    pub what: String,
    /// The main stack, innermost frame first.
    pub stack: Vec<Frame>,
    /// Further sentences and stacks in order.
    pub auxiliary: Vec<Auxiliary>,
}

/// What stands beside the main stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Auxiliary {
    /// The sentence, such as where a block was allocated.
    pub what: String,
    /// Its stack.
    pub stack: Vec<Frame>,
}

/// One frame of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Frame {
    /// The object file.
    pub object: Option<String>,
    /// The function.
    pub function: Option<String>,
    /// The source folder.
    pub directory: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
}

impl Frame {
    /// `function (file:line)` as far as it is known.
    pub fn describe(&self) -> String {
        let function = self.function.as_deref().unwrap_or("???");
        match (&self.file, self.line, &self.object) {
            (Some(file), Some(line), _) => format!("{function} ({file}:{line})"),
            (Some(file), None, _) => format!("{function} ({file})"),
            (None, _, Some(object)) => format!("{function} (in {object})"),
            (None, _, None) => function.to_owned(),
        }
    }
}

/// Reads a log; a file that cannot be opened is the only error.
pub fn read(path: &Path) -> io::Result<Log> {
    Ok(parse(BufReader::new(paths::open_regular(path)?.take(LARGEST))))
}

/// Parses as far as it goes.
pub fn parse(input: impl BufRead) -> Log {
    let mut reader = Reader::from_reader(input);
    reader.config_mut().check_end_names = true;
    let mut state = State::default();
    let mut buffer = Vec::new();
    let stopped = loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(tag)) => {
                if let Err(why) = state.open(&String::from_utf8_lossy(tag.name().as_ref())) {
                    break Some(why);
                }
            }
            Ok(Event::End(_)) => state.close(),
            Ok(Event::Text(text)) => state.text(&String::from_utf8_lossy(&text)),
            Ok(Event::GeneralRef(reference)) => state.reference(&String::from_utf8_lossy(&reference)),
            Ok(Event::CData(text)) => state.text(&String::from_utf8_lossy(&text)),
            Ok(Event::Eof) => break None,
            Ok(Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
            Err(error) => break Some(format!("not well-formed at byte {}: {error}", reader.error_position())),
        }
    };
    state.finish(stopped)
}

#[derive(Default)]
struct State {
    log: Log,
    path: Vec<String>,
    text: String,
    running: bool,
    finished: bool,
    closed: bool,
    any: bool,
    error: Option<Error>,
    frame: Frame,
    stack: Vec<Frame>,
}

impl State {
    fn open(&mut self, name: &str) -> Result<(), String> {
        if self.path.len() >= DEEPEST_NESTING {
            return Err("elements are nested deeper than any valgrind log".into());
        }
        self.any = true;
        self.text.clear();
        match name {
            "error" if self.path.len() == 1 => self.error = Some(Error::default()),
            "stack" => self.stack = Vec::new(),
            "frame" => self.frame = Frame::default(),
            _ => {}
        }
        self.path.push(name.to_owned());
        Ok(())
    }

    fn text(&mut self, text: &str) {
        // Control characters come from symbol names and arguments; they must not reach a terminal.
        let printable =
            text.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter });
        let room = LONGEST_TEXT.saturating_sub(self.text.len()) / 4;
        self.text.extend(printable.take(room));
    }

    fn reference(&mut self, name: &str) {
        let letter = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => name.strip_prefix('#').and_then(|number| {
                let code = number
                    .strip_prefix('x')
                    .map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
                code.and_then(char::from_u32)
            }),
        };
        if let Some(letter) = letter {
            self.text(letter.encode_utf8(&mut [0; 4]));
        }
    }

    fn close(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let parent = self.path.last().map_or("", String::as_str);
        let in_error = self.error.is_some();
        let auxiliaries = self.error.as_ref().map_or(0, |error| error.auxiliary.len());
        match (parent, name.as_str()) {
            ("", "valgrindoutput") => self.closed = true,
            ("valgrindoutput", "protocolversion") => self.log.protocol = text.parse().ok(),
            ("valgrindoutput", "protocoltool") => self.log.tool = Some(text.to_owned()),
            ("valgrindoutput", "pid") => self.log.pid = text.parse().ok(),
            ("valgrindoutput", "ppid") => self.log.parent = text.parse().ok(),
            ("argv", "exe" | "arg") if self.log.command.len() < MOST_WORDS => self.log.command.push(text.to_owned()),
            ("status", "state") => match text {
                "RUNNING" => self.running = true,
                "FINISHED" => self.finished = true,
                _ => {}
            },
            ("fatal_signal", "signo") => self.log.fatal_signal = text.parse().ok(),
            ("fatal_signal", "stack") => self.log.fatal_stack = std::mem::take(&mut self.stack),
            ("frame", "obj") => self.frame.object = Some(text.to_owned()),
            ("frame", "fn") => self.frame.function = Some(text.to_owned()),
            ("frame", "dir") => self.frame.directory = Some(text.to_owned()),
            ("frame", "file") => self.frame.file = Some(text.to_owned()),
            ("frame", "line") => self.frame.line = text.parse().ok(),
            ("stack", "frame") if self.stack.len() < DEEPEST_STACK => self.stack.push(std::mem::take(&mut self.frame)),
            ("error", "kind") => self.edit(|error| error.kind = text.to_owned()),
            ("error", "what") | ("xwhat", "text") => self.edit(|error| error.what = text.to_owned()),
            ("error", "auxwhat") | ("xauxwhat", "text") => self.edit(|error| {
                if error.auxiliary.len() < MOST_AUXILIARY {
                    error.auxiliary.push(Auxiliary { what: text.to_owned(), stack: Vec::new() });
                }
            }),
            ("error", "stack") if in_error && auxiliaries < MOST_AUXILIARY => {
                let stack = std::mem::take(&mut self.stack);
                self.edit(|error| match error.auxiliary.last_mut() {
                    Some(auxiliary) if auxiliary.stack.is_empty() => auxiliary.stack = stack,
                    None if error.stack.is_empty() => error.stack = stack,
                    _ => error.auxiliary.push(Auxiliary { what: String::new(), stack }),
                });
            }
            ("valgrindoutput", "error") => {
                if let Some(error) = self.error.take() {
                    if self.log.errors.len() < KEPT_ERRORS {
                        self.log.errors.push(error);
                    } else {
                        self.log.more_errors += 1;
                    }
                }
            }
            _ => {}
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut Error)) {
        if let Some(error) = &mut self.error {
            change(error);
        }
    }

    fn finish(mut self, stopped: Option<String>) -> Log {
        self.log.extent = match stopped {
            _ if !self.any => Extent::Empty,
            Some(why) => Extent::Cut(why),
            None if self.closed && self.finished => Extent::Complete,
            None if self.log.protocol.is_some_and(|version| version < 4) => {
                Extent::Cut("its protocol is older than version 4".into())
            }
            None if !self.running && !self.log.command.is_empty() => Extent::Stub,
            None => Extent::Cut("it stops in the middle: the process was killed".into()),
        };
        self.log
    }
}

#[cfg(test)]
mod tests;
