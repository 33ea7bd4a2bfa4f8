//! Decoders of lists, mappings, and of values with their place.

use super::{Declared, Decode, FromText, mismatch};
use crate::diagnostic::{Place, Problem, Problems};
use crate::yaml::{Entry, Kind, Node, Value};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A value with its place, for checks that follow. The value is `None` after a problem with it was reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spanned<T> {
    /// Where the value starts.
    pub place: Place,
    /// The value, unless it is wrong.
    pub value: Option<T>,
}

impl<T> Spanned<T> {
    /// A default, which is written nowhere.
    pub fn unwritten(value: T) -> Self {
        Self { place: Place::START, value: Some(value) }
    }

    /// True if the declaration has it. The first character of a file begins its outermost key, so no value stands there.
    pub fn is_written(&self) -> bool {
        self.place != Place::START
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Self { place: node.place, value: T::decode(node, problems) })
    }

    fn stand_in() -> Option<Self> {
        Some(Self { place: Place::START, value: None })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T: Declared> Declared for Spanned<T> {
    fn declared(&self) -> serde_json::Value {
        self.value.as_ref().map_or(serde_json::Value::Null, Declared::declared)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Sequence(items) => {
                return Some(items.iter().filter_map(|item| T::decode(item, problems)).collect());
            }
            Value::Scalar(scalar) if matches!(scalar.kind, Kind::Text | Kind::Integer) => {
                let words: Vec<&str> = scalar.text.split_whitespace().take(8).collect();
                let simple =
                    words.iter().all(|word| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=+".contains(&b)));
                let problem = mismatch(node, "a list");
                problems.push(if simple && words.len() < 8 {
                    problem.help(format!("write it as a list: `[{}]`", words.join(", ")))
                } else {
                    problem.help("write it as a list with one word per element; Drydock runs no shell to split it")
                });
            }
            Value::Scalar(_) | Value::Mapping(_) => {
                problems.push(mismatch(node, "a list").expected("a list such as `[a, b]`"))
            }
            Value::Refused => {}
        }
        None
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": T::schema(generator)})
    }
}

impl<T: Declared> Declared for Vec<T> {
    fn declared(&self) -> serde_json::Value {
        self.iter().map(Declared::declared).collect()
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Sequence(_) => Vec::decode(node, problems).map(Self),
            Value::Scalar(_) | Value::Mapping(_) | Value::Refused => {
                T::decode(node, problems).map(|value| Self(vec![value]))
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [T::schema(generator), Vec::<T>::schema(generator)]})
    }
}

/// A mapping with free keys, in file order.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries<K, V>(pub Vec<(Spanned<K>, V)>);

impl<K, V> Entries<K, V> {
    /// A mapping without entries.
    pub fn new() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: FromText, V: Decode> Decode for Entries<K, V> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let entries = match &node.value {
            Value::Mapping(entries) => entries,
            Value::Scalar(_) | Value::Sequence(_) => {
                problems.push(mismatch(node, "a mapping").expected("a mapping such as `{key: value}`"));
                return None;
            }
            Value::Refused => return None,
        };
        let decode = |Entry { key, value }: &Entry| {
            let name = K::from_text(&key.text).map_err(|bad| problems.push(Problem::bad_value(key.place, bad))).ok();
            let value = V::decode(value, problems).or_else(V::stand_in)?;
            Some((Spanned { place: key.place, value: name }, value))
        };
        Some(Self(entries.iter().filter_map(decode).collect()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": K::text_schema(),
            "additionalProperties": V::schema(generator),
        })
    }
}

impl<K: Declared, V: Declared> Declared for Entries<K, V> {
    fn declared(&self) -> serde_json::Value {
        let entry = |(key, value): &(Spanned<K>, V)| Some((key.declared().as_str()?.to_owned(), value.declared()));
        self.0.iter().filter_map(entry).collect::<serde_json::Map<_, _>>().into()
    }
}
