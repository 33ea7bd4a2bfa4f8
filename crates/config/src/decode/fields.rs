//! The keys of a declaration struct: the part of [`declaration!`](super::declaration) that needs no macro.

use super::{Decode, mismatch};
use crate::diagnostic::{Problem, Problems};
use crate::yaml::{Entry, Node, Value};
use drydock_base::text::quoted;
use schemars::Schema;
use serde_json::{Map, json};

/// The entries of a mapping whose keys have been checked.
pub(crate) struct Fields<'n> {
    node: &'n Node,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// Opens a mapping, and reports the keys that are not among `known` (field names).
    pub(crate) fn open(node: &'n Node, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let known: Vec<String> = known.iter().map(|field| kebab(field)).collect();
        let list = || one_of(known.iter().map(String::as_str));
        let entries = match &node.value {
            Value::Mapping(entries) => entries,
            Value::Scalar(_) | Value::Sequence(_) => {
                problems.push(mismatch(node, "a mapping").expected(format!("keys such as {}", list())));
                return None;
            }
            Value::Refused => return None,
        };
        for Entry { key, .. } in entries {
            if !known.contains(&key.text) {
                let near = problems.nearest(&key.text, known.iter().map(String::as_str));
                let problem = Problem::new(key.place, format!("unknown key {}", quoted(&key.text)));
                problems.push(problem.did_you_mean(near, list));
            }
        }
        Some(Self { node, entries })
    }

    /// Reads one field, or takes what it is when it is left out.
    pub(crate) fn take<T: Decode>(&self, field: &str, absent: fn() -> Option<T>, problems: &mut Problems) -> Option<T> {
        let name = kebab(field);
        match self.entries.iter().find(|entry| entry.key.text == name) {
            Some(entry) => T::decode(&entry.value, problems).or_else(absent).or_else(T::stand_in),
            None => absent().or_else(|| {
                problems.push(Problem::new(self.node.owner, format!("the required key `{name}` is missing")));
                T::stand_in()
            }),
        }
    }
}

/// The key of a field: `log_limit` → `log-limit`.
fn kebab(field: &str) -> String {
    field.replace('_', "-")
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} or {last}", words.join(", ")) }
}

/// One field, as the JSON Schema describes it.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    pub(crate) schema: Schema,
    pub(crate) required: bool,
    pub(crate) default: Option<serde_json::Value>,
}

/// The JSON Schema of a declaration struct.
pub(crate) fn object_schema(doc: &[&str], fields: Vec<Field>) -> Schema {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let key = kebab(field.name);
        if field.required {
            required.push(json!(key));
        }
        let mut schema = field.schema;
        schema.insert("description".into(), prose(field.doc).into());
        if let Some(default) = field.default {
            schema.insert("default".into(), default);
        }
        properties.insert(key, schema.to_value());
    }
    let mut schema = Schema::default();
    schema.insert("description".into(), prose(doc).into());
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties.into());
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    schema.insert("additionalProperties".into(), false.into());
    schema
}

/// A doc comment as one paragraph.
fn prose(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}
