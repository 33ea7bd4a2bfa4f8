//! Builds the tree from parser events, with an explicit stack instead of recursion.

use super::{Entry, Key, MAX_DEPTH, MAX_VALUES, Node, Scalar, Value};
use crate::diagnostic::{Place, Problem, Problems};
use drydock_base::text::quoted;
use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// A list or mapping that is not complete yet.
struct Frame {
    place: Place,
    owner: Place,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, seen: HashMap<String, Place>, key: Pending },
}

/// The key of the entry that is being read.
enum Pending {
    /// The next value is a key.
    None,
    /// The next value belongs to this key.
    Key(Key),
    /// The next value belongs to a key that was refused, and goes with it.
    Refused,
}

/// Builds the tree of the only document in a text.
pub(super) fn tree(text: &str, problems: &mut Problems) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder { stack: Vec::new(), root: None, problems };
    let mut documents = 0;
    let mut values = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(next) => next,
            Err(error) => {
                builder.problems.push(scan_problem(&error));
                return None;
            }
        };
        let place = place_of(&span.start);
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Comment(..) => {
                continue;
            }
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    let problem =
                        Problem::new(place, "a second document in one file").expected("one document, without `---`");
                    builder.problems.push(problem);
                    return None;
                }
                continue;
            }
            Event::Alias(_) => builder.alias(place),
            Event::Scalar(text, style, anchor, tag) => {
                builder.refuse_extras(place, anchor, tag.as_ref());
                let plain = matches!(style, ScalarStyle::Plain);
                // The parser writes `~` for a value that is not there, and puts it where the next token is.
                let absent = plain && span.is_empty();
                let text = if absent { String::new() } else { text.into_owned() };
                let place = if absent { builder.owner(place) } else { place };
                let scalar = if plain { Scalar::plain(text) } else { Scalar::quoted(text) };
                builder.value(place, Value::Scalar(scalar));
            }
            Event::SequenceStart(_, anchor, tag) => {
                builder.refuse_extras(place, anchor, tag.as_ref());
                builder.open(place, Content::Sequence(Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                builder.refuse_extras(place, anchor, tag.as_ref());
                builder.open(place, Content::Mapping { entries: Vec::new(), seen: HashMap::new(), key: Pending::None });
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close(),
            // The enum may grow; what is not known is not data.
            _ => continue,
        }
        values += 1;
        if values > MAX_VALUES {
            let problem = Problem::new(place, "the file has too many values for a declaration");
            builder.problems.push(problem.expected(format!("at most {MAX_VALUES}")));
            return None;
        }
        if builder.stack.len() > MAX_DEPTH {
            builder.problems.push(too_deep(place));
            return None;
        }
    }
    builder.root
}

struct Builder<'p> {
    stack: Vec<Frame>,
    root: Option<Node>,
    problems: &'p mut Problems,
}

impl Builder<'_> {
    /// The place of the key of the next value, or else of the value itself.
    fn owner(&self, place: Place) -> Place {
        match self.stack.last() {
            Some(Frame { content: Content::Mapping { key: Pending::Key(key), .. }, .. }) => key.place,
            Some(_) | None => place,
        }
    }

    fn open(&mut self, place: Place, content: Content) {
        let owner = self.owner(place);
        self.stack.push(Frame { place, owner, content });
    }

    fn close(&mut self) {
        let Some(Frame { place, owner, content }) = self.stack.pop() else {
            return;
        };
        let value = match content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping { entries, .. } => Value::Mapping(entries),
        };
        self.attach(Node { place, owner, value });
    }

    fn value(&mut self, place: Place, value: Value) {
        let owner = self.owner(place);
        self.attach(Node { place, owner, value });
    }

    fn alias(&mut self, place: Place) {
        let problem = Problem::new(place, "aliases are not supported");
        self.problems
            .push(problem.help("write the value out, or put it under `defaults`; quote a text that starts with `*`"));
        self.value(place, Value::Refused);
    }

    fn refuse_extras(&mut self, place: Place, anchor: usize, tag: Option<&Cow<'_, Tag>>) {
        if anchor != 0 {
            let problem = Problem::new(place, "anchors are not supported");
            self.problems.push(problem.help("remove the `&name`; quote a text that starts with `&`"));
        }
        if let Some(tag) = tag {
            let problem = Problem::new(place, format!("the tag {} is not supported", quoted(&tag.original())));
            self.problems.push(problem.help("remove it; quote a text that starts with `!`"));
        }
    }

    /// Adds a complete value to the collection that contains it.
    fn attach(&mut self, node: Node) {
        let Some(Frame { content, .. }) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        match content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { entries, seen, key } => match std::mem::replace(key, Pending::None) {
                Pending::None => *key = pending(node, seen, self.problems),
                Pending::Key(key) => entries.push(Entry { key, value: node }),
                Pending::Refused => {}
            },
        }
    }
}

/// Makes a key of a value, unless it cannot be one.
fn pending(node: Node, seen: &mut HashMap<String, Place>, problems: &mut Problems) -> Pending {
    let place = node.place;
    let text = match node.value {
        Value::Scalar(scalar) if scalar.kind != super::Kind::Null => scalar.text,
        Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => {
            problems
                .push(Problem::new(place, "a key must be a text").help("quote a key that contains `{`, `[` or `?`"));
            return Pending::Refused;
        }
        Value::Refused => return Pending::Refused,
    };
    if text == "<<" {
        problems.push(
            Problem::new(place, "merge keys are not supported")
                .help("write the entries out, or put them under `defaults`"),
        );
        return Pending::Refused;
    }
    if let Some(first) = seen.get(&text) {
        let problem = Problem::new(place, format!("duplicate key {}", quoted(&text)));
        problems.push(problem.help(format!("it is already set at line {}; remove one of them", first.line)));
        return Pending::Refused;
    }
    seen.insert(text.clone(), place);
    Pending::Key(Key { text, place })
}

fn place_of(marker: &Marker) -> Place {
    Place { line: (marker.line() as u64).max(1), column: marker.col() as u64 + 1 }
}

fn too_deep(place: Place) -> Problem {
    Problem::new(place, "nested too deeply").expected(format!("at most {MAX_DEPTH} levels"))
}

/// The parser's message, with advice where the usual cause is known.
fn scan_problem(error: &ScanError) -> Problem {
    let place = place_of(error.marker());
    let kind = error.kind();
    if matches!(kind, ErrorKind::RecursionLimitExceeded) {
        return too_deep(place);
    }
    if matches!(kind, ErrorKind::UnknownAnchor) {
        return Problem::new(place, "aliases are not supported").help("quote a text that starts with `*`");
    }
    let problem = Problem::new(place, format!("not YAML: {}", error.info()));
    use ErrorKind as E;
    if matches!(kind, E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabInPlainScalar) {
        problem.help("indent with spaces instead of tabs")
    } else if matches!(
        kind,
        E::ExpectedFlowSequenceSeparator | E::ExpectedFlowMappingSeparator | E::UnexpectedEndOfPlainScalar
    ) {
        problem.help(
            "inside `[…]` and `{…}`, quote a text that contains `{`, `}`, `[`, `]` or `,`, such as \"--file={item}\"",
        )
    } else if matches!(kind, E::UnexpectedCharacter { .. }) {
        problem.help("quote a text that starts with this character")
    } else if matches!(kind, E::MappingValueNotAllowed | E::InvalidColonPlacement) {
        problem.help("quote a text that contains `: `, and indent the keys of one mapping equally")
    } else if matches!(kind, E::UnclosedQuotedScalar | E::UnclosedFlowCollection { .. } | E::UnexpectedEof) {
        problem.help("look for the quote or bracket that is not closed")
    } else if matches!(kind, E::ExpectedBlockMappingKey | E::InvalidIndentation | E::ExpectedBlockSequenceEntry) {
        problem.help("indent the entries of one mapping or list equally")
    } else {
        problem
    }
}
