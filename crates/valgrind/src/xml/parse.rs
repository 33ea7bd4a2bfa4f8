//! The pull parser behind [`super::read`].
//!
//! The order of siblings matters, and a killed process leaves a file that just stops: everything up to the last complete
//! error is kept, and the log is marked as cut. Nothing is expanded, no element is looked back at, and whatever is kept
//! is bounded, so time and memory grow with the bytes read and with nothing else.

use drydock_base::text::printable_char;
use std::collections::BTreeMap;
use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Auxiliary, Error, Extent, Frame, Log, RawSuppression};
use crate::suppression::Pattern;

/// Errors beyond this number are counted, not kept.
const KEPT_ERRORS: usize = 10_000;
/// Text of one element beyond this length is cut.
const LONGEST_TEXT: usize = 4096;
/// Frames of one stack; valgrind's own limit is 500.
const DEEPEST_STACK: usize = 500;
/// Options of valgrind.
const MOST_OPTIONS: usize = 256;
/// Words of the command line.
const MOST_WORDS: usize = 64;
/// Further sentences of one error.
const MOST_AUXILIARY: usize = 64;
/// Elements within elements: the protocol needs eight.
const DEEPEST_NESTING: usize = 64;
/// Threads whose creation is kept, and suppressions whose use is.
const MOST_NAMED: usize = 1024;
/// Kinds of errors that are counted and not kept.
const MOST_KINDS: usize = 64;
/// Names of elements are compared up to this length.
const LONGEST_NAME: usize = 64;

/// Parses a log up to its end, or to the first thing that is not well-formed.
pub fn parse(input: impl BufRead) -> Log {
    let mut reader = Reader::from_reader(input);
    // The names are compared below, where an element may also have been skipped.
    reader.config_mut().check_end_names = false;
    // Valgrind escapes what it quotes; where it does not, the rest of the log is still read.
    reader.config_mut().allow_dangling_amp = true;
    let mut state = State::default();
    let mut buffer = Vec::new();
    let stopped = loop {
        buffer.clear();
        if state.closed {
            match goes_on(&mut reader) {
                Ok(true) => break Some("it goes on after its end, so another process wrote it too".into()),
                Ok(false) => break None,
                Err(error) => break Some(error.to_string()),
            }
        }
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(tag)) => {
                let name = tag.name();
                let raw = name.as_ref() == b"rawtext";
                if let Err(error) = state.open(&known(name.as_ref())) {
                    break Some(error.to_string());
                }
                // The text repeats `skind` and `sframe` and is not escaped, so a symbol with `]]>` in it would end it.
                if raw {
                    if let Err(error) = skip_rawtext(&mut reader) {
                        break Some(error.to_string());
                    }
                    state.close();
                }
            }
            Ok(Event::End(tag)) => {
                let name = known(tag.name().as_ref());
                if state.path.last() != Some(&name) {
                    break Some(format!(
                        "it is not well-formed at byte {}: </{name}> was never opened",
                        reader.buffer_position()
                    ));
                }
                state.close();
            }
            Ok(Event::Text(text)) => state.text(&text),
            Ok(Event::GeneralRef(reference)) => state.reference(&String::from_utf8_lossy(&reference)),
            Ok(Event::CData(text)) => state.text(&text),
            Ok(Event::Eof) => break None,
            Ok(Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
            Err(error) => break Some(format!("it is not well-formed at byte {}: {error}", reader.error_position())),
        }
    };
    // A process that is killed leaves a log that is well-formed up to its end.
    let at_end = reader.get_mut().fill_buf().map_or(true, <[u8]>::is_empty);
    state.finish(stopped, at_end)
}

/// Whether anything but white space follows.
fn goes_on<R: BufRead>(reader: &mut Reader<R>) -> std::io::Result<bool> {
    let mut stream = reader.stream();
    loop {
        let available = stream.fill_buf()?;
        if available.is_empty() {
            return Ok(false);
        }
        if !available.iter().all(u8::is_ascii_whitespace) {
            return Ok(true);
        }
        let read = available.len();
        stream.consume(read);
    }
}

/// The name of an element, cut to [`LONGEST_NAME`].
fn known(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(LONGEST_NAME)]).into_owned()
}

/// Raw text that is longer than this is taken for cut.
const LONGEST_RAWTEXT: u64 = 1 << 20;

/// Reads on until `</rawtext>`, and closes the element for the reader.
fn skip_rawtext<R: BufRead>(reader: &mut Reader<R>) -> std::io::Result<()> {
    const END: &[u8] = b"</rawtext>";
    let mut stream = reader.stream();
    let mut window: Vec<u8> = Vec::with_capacity(END.len());
    let mut read = 0_u64;
    loop {
        let available = stream.fill_buf()?;
        if available.is_empty() || read > LONGEST_RAWTEXT {
            return Err(std::io::Error::other("it stops in the middle of a suppression"));
        }
        // Up to the next `>` the end can only be at its end.
        let upto = available.iter().position(|byte| *byte == b'>').map_or(available.len(), |at| at + 1);
        let piece = &available[..upto];
        window.extend_from_slice(&piece[piece.len().saturating_sub(END.len())..]);
        let excess = window.len().saturating_sub(END.len());
        window.drain(..excess);
        stream.consume(upto);
        read += upto as u64;
        if window == END {
            return Ok(());
        }
    }
}

/// Elements within elements without end.
#[derive(Debug, thiserror::Error)]
#[error("its elements are nested deeper than those of any valgrind log")]
struct TooDeep;

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
    /// A sentence inside an element of its own, waiting for its stack: drd's `first_observed_at` and its like.
    aside: Option<String>,
    /// Helgrind's `announcethread`: where each thread was created.
    threads: BTreeMap<u32, Vec<Frame>>,
    thread: Option<u32>,
    used: (u64, String),
}

impl State {
    fn open(&mut self, name: &str) -> Result<(), TooDeep> {
        if self.path.len() >= DEEPEST_NESTING {
            return Err(TooDeep);
        }
        self.any = true;
        self.text.clear();
        match name {
            "error" if self.path.len() == 1 => {
                self.error = Some(Error { at_end: self.finished, ..Error::default() });
            }
            "suppression" => self.edit(|error| error.suppression = Some(RawSuppression::default())),
            "stack" => self.stack = Vec::new(),
            "frame" => self.frame = Frame::default(),
            "pair" => self.used = (0, String::new()),
            _ => {}
        }
        self.path.push(name.to_owned());
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        let room = LONGEST_TEXT.saturating_sub(self.text.len()) / 4;
        // A character has four bytes at most.
        let text = String::from_utf8_lossy(&text[..text.len().min(room * 4)]);
        // Symbol names and arguments hold any character; those that are unprintable must not reach a terminal.
        let printable = text.chars().map(|letter| if letter == '\n' { letter } else { printable_char(letter) });
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
            self.text(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    fn close(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let parent = self.path.last().map_or("", String::as_str);
        // Valgrind repeats the suppression of an error after it.
        if parent == "valgrindoutput" && name != "suppression" {
            self.log.after_error = name == "error";
        }
        match (parent, name.as_str()) {
            ("", "valgrindoutput") => self.closed = true,
            ("valgrindoutput", "suppcounts") => self.log.counts_used = true,
            ("valgrindoutput", "protocolversion") => self.log.protocol = text.parse().ok(),
            ("valgrindoutput", "protocoltool") => self.log.tool = Some(text.to_owned()),
            ("valgrindoutput", "pid") => self.log.pid = text.parse().ok(),
            ("valgrindoutput", "ppid") => self.log.parent = text.parse().ok(),
            ("vargv", "arg") if self.log.options.len() < MOST_OPTIONS => self.log.options.push(text.to_owned()),
            ("argv", "exe" | "arg") if self.log.command.len() < MOST_WORDS => self.log.command.push(text.to_owned()),
            ("status", "state") => match text {
                "RUNNING" => self.running = true,
                "FINISHED" => self.finished = true,
                _ => {}
            },
            ("error_summary", "errors") => self.log.counted = text.parse().ok(),
            ("fatal_signal", "signo") => self.log.fatal_signal = text.parse().ok(),
            ("fatal_signal", "stack") => self.log.fatal_stack = std::mem::take(&mut self.stack),
            ("announcethread", "hthreadid") => self.thread = text.parse().ok(),
            ("announcethread", "stack") => {
                if let Some(thread) = self.thread.take().filter(|_| self.threads.len() < MOST_NAMED) {
                    self.threads.insert(thread, std::mem::take(&mut self.stack));
                }
            }
            ("pair", "count") => self.used.0 = text.parse().unwrap_or_default(),
            ("pair", "name") => self.used.1 = text.to_owned(),
            ("suppcounts", "pair") if self.log.used.len() < MOST_NAMED => {
                let (count, name) = std::mem::take(&mut self.used);
                self.log.used.push((name, count));
            }
            ("frame", _) => self.frame_part(&name, text),
            ("stack", "frame") if self.stack.len() < DEEPEST_STACK => self.stack.push(std::mem::take(&mut self.frame)),
            ("suppression" | "sframe", _) => self.suppression_part(&name, text),
            ("valgrindoutput", "error") => self.keep_error(),
            _ if self.error.is_some() => self.error_part(&name, text),
            _ => {}
        }
    }

    fn frame_part(&mut self, name: &str, text: &str) {
        match name {
            "obj" => self.frame.object = Some(text.to_owned()),
            "fn" => self.frame.function = Some(text.to_owned()),
            "dir" => self.frame.directory = Some(text.to_owned()),
            "file" => self.frame.file = Some(text.to_owned()),
            "line" => self.frame.line = text.parse().ok(),
            _ => {}
        }
    }

    fn suppression_part(&mut self, name: &str, text: &str) {
        let Some(suppression) = self.error.as_mut().and_then(|error| error.suppression.as_mut()) else { return };
        match name {
            "skind" => text.clone_into(&mut suppression.kind),
            "skaux" => suppression.extra = Some(text.to_owned()),
            "fun" if suppression.frames.len() < DEEPEST_STACK => {
                suppression.frames.push(Pattern::Function(text.to_owned()));
            }
            "obj" if suppression.frames.len() < DEEPEST_STACK => {
                suppression.frames.push(Pattern::Object(text.to_owned()));
            }
            _ => {}
        }
    }

    /// Takes an element of `error` other than its frames and its suppression.
    fn error_part(&mut self, name: &str, text: &str) {
        let parent = self.path.last().cloned().unwrap_or_default();
        match (parent.as_str(), name) {
            ("error", "kind") => self.edit(|error| text.clone_into(&mut error.kind)),
            ("error", "what") | ("xwhat", "text") => self.edit(|error| {
                if error.what.is_empty() {
                    text.clone_into(&mut error.what);
                } else {
                    aside(error, text.to_owned(), Vec::new());
                }
            }),
            ("error", "auxwhat") | ("xauxwhat", "text") => self.edit(|error| aside(error, text.to_owned(), Vec::new())),
            ("error", "stack") => {
                let stack = std::mem::take(&mut self.stack);
                self.edit(|error| match error.auxiliary.last_mut() {
                    Some(auxiliary) if auxiliary.stack.is_empty() && !error.stack.is_empty() => auxiliary.stack = stack,
                    _ if error.stack.is_empty() => error.stack = stack,
                    _ => aside(error, String::new(), stack),
                });
            }
            (_, "what") => self.aside = Some(text.to_owned()),
            (_, "stack") => {
                let stack = std::mem::take(&mut self.stack);
                let what = self.aside.take().unwrap_or_else(|| parent.replace('_', " "));
                self.edit(|error| aside(error, what, stack));
            }
            _ => {}
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut Error)) {
        if let Some(error) = &mut self.error {
            change(error);
        }
    }

    fn keep_error(&mut self) {
        let Some(mut error) = self.error.take() else { return };
        self.aside = None;
        if self.log.errors.len() >= KEPT_ERRORS {
            // No tool has so many kinds; whoever makes them up has them counted as one.
            let key = (error.kind, error.at_end);
            let known = self.log.more_errors.len() < MOST_KINDS || self.log.more_errors.contains_key(&key);
            let key = if known { key } else { ("of further kinds".to_owned(), false) };
            *self.log.more_errors.entry(key).or_default() += 1;
            return;
        }
        for thread in threads_named(&error).into_iter().take(4) {
            if let Some(stack) = self.threads.get(&thread) {
                aside(&mut error, format!("Thread #{thread} was created"), stack.clone());
            }
        }
        self.log.errors.push(error);
    }

    fn finish(mut self, stopped: Option<String>, at_end: bool) -> Log {
        self.log.extent = match stopped {
            _ if !self.any && at_end => Extent::Empty,
            Some(why) if at_end => Extent::Cut(why),
            Some(why) => Extent::Damaged(why),
            None if self.log.protocol.is_some_and(|version| version < 4) => {
                Extent::Cut("its protocol is older than version 4".into())
            }
            None if self.closed && self.finished => Extent::Complete,
            None if !self.running && !self.log.command.is_empty() && self.log.errors.is_empty() => Extent::Stub,
            None => Extent::Cut(
                "it stops in the middle: the process was killed, or became a program that is not traced".into(),
            ),
        };
        self.log
    }
}

fn aside(error: &mut Error, what: String, stack: Vec<Frame>) {
    if error.auxiliary.len() < MOST_AUXILIARY {
        error.auxiliary.push(Auxiliary { what, stack });
    }
}

/// The numbers after `#` in helgrind's sentences, each once.
fn threads_named(error: &Error) -> Vec<u32> {
    let mut threads = Vec::new();
    for text in std::iter::once(&error.what).chain(error.auxiliary.iter().map(|auxiliary| &auxiliary.what)) {
        for piece in text.split("hread #").skip(1) {
            let digits: String = piece.chars().take_while(char::is_ascii_digit).collect();
            threads.extend(digits.parse::<u32>().ok().filter(|thread| !threads.contains(thread)));
        }
    }
    threads
}
