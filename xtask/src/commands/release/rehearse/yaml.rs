//! Declarations that are changed and written again. What is not changed keeps its meaning: scalars that were not quoted stay so.

use std::fmt::Write as _;

use drydock_config::diagnostic::Problems;
use drydock_config::yaml::{self, Kind, Node, Value};

/// A value of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A number, boolean or nothing, as it was written.
    Plain(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Yaml>),
    /// A mapping, in order.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// The tree of a text; `None` if it is not one.
    pub(super) fn parse(text: &str) -> Option<Yaml> {
        let mut problems = Problems::default();
        let node = yaml::parse(text, &mut problems)?;
        problems.is_empty().then(|| Yaml::from_node(&node))
    }

    fn from_node(node: &Node) -> Yaml {
        match &node.value {
            Value::Scalar(scalar) if scalar.kind == Kind::Text => Yaml::Text(scalar.text.clone()),
            Value::Scalar(scalar) if scalar.text.is_empty() => Yaml::Plain("null".to_owned()),
            Value::Scalar(scalar) => Yaml::Plain(scalar.text.clone()),
            Value::Sequence(list) => Yaml::List(list.iter().map(Yaml::from_node).collect()),
            Value::Mapping(map) => {
                Yaml::Map(map.iter().map(|entry| (entry.key.text.clone(), Yaml::from_node(&entry.value))).collect())
            }
            Value::Refused => Yaml::Plain("null".to_owned()),
        }
    }

    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Yaml {
        Yaml::Text(text.into())
    }

    /// A mapping.
    pub(super) fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
        Yaml::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Yaml> {
        let Yaml::Map(map) = self else { return None };
        map.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Yaml> {
        let Yaml::Map(map) = self else { return None };
        map.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets the value of a key.
    pub(super) fn set(&mut self, key: &str, value: Yaml) {
        self.remove(key);
        if let Yaml::Map(map) = self {
            map.push((key.to_owned(), value));
        }
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: &str) {
        if let Yaml::Map(map) = self {
            map.retain(|(name, _)| name != key);
        }
    }

    /// The text of a scalar.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Yaml::Plain(text) | Yaml::Text(text) => Some(text),
            Yaml::List(_) | Yaml::Map(_) => None,
        }
    }

    /// The text of the document.
    pub(super) fn document(&self) -> String {
        let Yaml::Map(map) = self else { return self.shown() };
        let mut text = String::new();
        for (key, value) in map {
            // Writing to a String cannot fail.
            writeln!(text, "{}: {}", quoted(key), value.shown()).ok();
        }
        text
    }

    fn shown(&self) -> String {
        match self {
            Yaml::Plain(text) => text.clone(),
            Yaml::Text(text) => quoted(text),
            Yaml::List(list) => format!("[{}]", list.iter().map(Yaml::shown).collect::<Vec<_>>().join(", ")),
            Yaml::Map(map) => {
                let entries: Vec<String> =
                    map.iter().map(|(key, value)| format!("{}: {}", quoted(key), value.shown())).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// A text as JSON writes it, which YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_that_is_written_again_means_the_same() {
        let text = "name: p\nversion: {}\narchives: [{format: tar.xz}]\nsource:\n  submodules: true\n  derived: {}\n\
            deb:\n  upload-number: 12\n  text: |\n    two\n    lines\nnightly: {next: \"0.10\"}\n";
        let parsed = Yaml::parse(text).unwrap();
        let written = parsed.document();
        assert_eq!(Yaml::parse(&written).unwrap(), parsed, "{written}");
        assert!(written.contains("\"submodules\": true") && written.contains("\"next\": \"0.10\""), "{written}");
        assert_eq!(Yaml::parse("a: [1"), None);
    }
}
