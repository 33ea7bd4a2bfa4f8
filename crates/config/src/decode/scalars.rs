//! Decoders of single values: texts, numbers, booleans, units and words.

use super::fields::one_of;
use super::{Declared, Decode, mismatch};
use crate::diagnostic::{Problem, Problems, nearest};
use crate::yaml::{Kind, Node, Scalar, Value};
use drydock_base::text::quoted;
use drydock_base::units::{self, BadValue, ByteSize, JobName, Percent};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::time::Duration;

/// A value that is written as one text with a grammar of its own.
pub trait FromText: Sized {
    /// The description of a value in messages: ``a size such as `512MiB` ``.
    const WHAT: &'static str;

    /// Parses the text.
    ///
    /// # Errors
    /// The text does not follow the grammar; the error names the text and what was expected.
    fn from_text(text: &str) -> Result<Self, BadValue>;

    /// The JSON Schema of the text.
    fn text_schema() -> Schema;
}

impl<T: FromText> Decode for T {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let scalar = scalar(node, T::WHAT, problems)?;
        match scalar.kind {
            Kind::Text | Kind::Integer | Kind::Number => match T::from_text(&scalar.text) {
                Ok(value) => return Some(value),
                Err(bad) => problems.push(Problem::bad_value(node.place, bad)),
            },
            Kind::Null => problems.push(mismatch(node, T::WHAT)),
            Kind::Bool(_) | Kind::OldBool => problems.push(ambiguous(node, scalar, T::WHAT)),
        }
        None
    }

    fn schema(_generator: &mut SchemaGenerator) -> Schema {
        T::text_schema()
    }
}

/// A text. Integers are taken as they are written, so that `[make, -j, 2]` needs no quotes.
impl Decode for String {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Some(word) = unquoted_placeholder(node) {
            let problem = mismatch(node, "a text");
            problems.push(problem.help(format!("quote the placeholder: \"{{{word}}}\"")));
            return None;
        }
        let scalar = scalar(node, "a text", problems)?;
        match scalar.kind {
            Kind::Text | Kind::Integer if scalar.text.contains('\0') => {
                problems
                    .push(Problem::new(node.place, "the text contains a NUL byte").expected("a text without `\\0`"));
                None
            }
            Kind::Text | Kind::Integer => Some(scalar.text.clone()),
            Kind::Null => {
                problems.push(mismatch(node, "a text").expected("a text; `\"\"` for an empty one"));
                None
            }
            Kind::Bool(_) | Kind::OldBool | Kind::Number => {
                problems.push(ambiguous(node, scalar, "a text"));
                None
            }
        }
    }

    fn schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"]})
    }
}

impl Declared for String {
    fn declared(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

impl Decode for bool {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Scalar(Scalar { kind: Kind::Bool(value), .. }) => return Some(*value),
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => {
                problems.push(mismatch(node, "a boolean").expected("`true` or `false`"));
            }
            Value::Refused => {}
        }
        None
    }

    fn schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "boolean"})
    }
}

impl Declared for bool {
    fn declared(&self) -> serde_json::Value {
        (*self).into()
    }
}

/// A whole number between two bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Decode for Bounded<MIN, MAX> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let scalar = scalar(node, "a number", problems)?;
        let in_range = |number: &u32| (MIN..=MAX).contains(number);
        let value = match scalar.kind {
            Kind::Integer => scalar.text.parse().ok().filter(in_range),
            Kind::Text | Kind::Null | Kind::Bool(_) | Kind::OldBool | Kind::Number => None,
        };
        if value.is_none() {
            let problem = match scalar.kind {
                Kind::Integer => Problem::new(node.place, format!("{} is out of range", quoted(&scalar.text))),
                Kind::Text | Kind::Null | Kind::Bool(_) | Kind::OldBool | Kind::Number => {
                    mismatch(node, "a whole number")
                }
            };
            problems.push(problem.expected(format!("a whole number from {MIN} to {MAX}")));
        }
        value.map(Self)
    }

    fn schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

impl<const MIN: u32, const MAX: u32> Declared for Bounded<MIN, MAX> {
    fn declared(&self) -> serde_json::Value {
        self.0.into()
    }
}

/// A size that limits or reserves something: not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub ByteSize);

impl FromText for Size {
    const WHAT: &'static str = "a size such as `512MiB`";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let size: ByteSize = text.parse()?;
        if size.is_zero() {
            return Err(BadValue::new(
                format!("{} is not greater than zero", quoted(text)),
                "a size greater than zero, such as `512MiB`",
            ));
        }
        Ok(Self(size))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": ByteSize::PATTERN})
    }
}

impl Declared for Size {
    fn declared(&self) -> serde_json::Value {
        self.0.exact().into()
    }
}

/// A duration that limits something: more than zero, at most seven days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Duration);

impl FromText for Limit {
    const WHAT: &'static str = "a duration such as `90s` or `2m`";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        units::parse_limit(text).map(Self)
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": units::DURATION_PATTERN})
    }
}

impl Declared for Limit {
    fn declared(&self) -> serde_json::Value {
        units::exact(self.0).into()
    }
}

impl FromText for Percent {
    const WHAT: &'static str = "a share such as `2%`";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": Percent::PATTERN})
    }
}

impl FromText for JobName {
    const WHAT: &'static str = "the name of a job";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }

    fn text_schema() -> Schema {
        json_schema!({"type": ["string", "integer"], "maxLength": Self::LONGEST, "pattern": Self::PATTERN})
    }
}

impl Declared for JobName {
    fn declared(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvName(pub String);

impl FromText for EnvName {
    const WHAT: &'static str = "the name of an environment variable";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if text.is_empty() || !letters || text.starts_with(|c: char| c.is_ascii_digit()) {
            let problem = format!("{} is not the name of an environment variable", quoted(text));
            return Err(BadValue::new(problem, "letters, digits and `_`, not starting with a digit"));
        }
        Ok(Self(text.to_owned()))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})
    }
}

impl Declared for EnvName {
    fn declared(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// A choice between fixed words.
pub trait Keyword: Copy + PartialEq + 'static {
    /// The description of a value in messages: `a tool`.
    const WHAT: &'static str;
    /// The words, in the order in which messages list them.
    const WORDS: &'static [(&'static str, Self)];
    /// Other words that people write, each with the one that they mean.
    const MEANT: &'static [(&'static str, &'static str)] = &[];
}

impl<T: Keyword> FromText for T {
    const WHAT: &'static str = T::WHAT;

    fn from_text(text: &str) -> Result<Self, BadValue> {
        if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let words = || T::WORDS.iter().map(|(word, _)| *word);
        let meant = T::MEANT.iter().find(|(other, _)| *other == text).map(|(_, word)| *word);
        let expected = match meant.or_else(|| nearest(text, words())) {
            Some(word) => format!("{}, perhaps `{word}`", one_of(words())),
            None => one_of(words()),
        };
        Err(BadValue::new(format!("{} is not {}", quoted(text), T::WHAT), expected))
    }

    fn text_schema() -> Schema {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

impl<T: Keyword> Declared for T {
    fn declared(&self) -> serde_json::Value {
        T::WORDS.iter().find(|(_, value)| value == self).map_or(serde_json::Value::Null, |(word, _)| (*word).into())
    }
}

/// The scalar in a node, or a problem.
fn scalar<'n>(node: &'n Node, wanted: &str, problems: &mut Problems) -> Option<&'n Scalar> {
    match &node.value {
        Value::Scalar(scalar) => return Some(scalar),
        Value::Sequence(_) | Value::Mapping(_) => problems.push(mismatch(node, wanted)),
        Value::Refused => {}
    }
    None
}

/// A plain scalar that readers of YAML may turn into another text.
fn ambiguous(node: &Node, scalar: &Scalar, wanted: &str) -> Problem {
    mismatch(node, wanted).help(format!("quote it: \"{}\"", scalar.text))
}

/// `{item}` without quotes is a mapping with the key `item` and no value.
fn unquoted_placeholder(node: &Node) -> Option<&str> {
    let Value::Mapping(entries) = &node.value else {
        return None;
    };
    let [entry] = entries.as_slice() else {
        return None;
    };
    match &entry.value.value {
        Value::Scalar(Scalar { kind: Kind::Null, text }) if text.is_empty() => Some(&entry.key.text),
        Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Refused => None,
    }
}
