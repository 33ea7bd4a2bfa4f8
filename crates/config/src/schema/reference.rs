//! The reference of a declaration for readers: its JSON Schema as Markdown, with a table of keys for each part.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The suffix of the schema's names that says nothing to a reader.
const SUFFIX: &str = "Declaration";

/// Renders a schema of this crate.
///
/// The parts follow in the order in which the keys mention them first, each under a heading of its own.
pub fn reference(schema: &Value, word: &str) -> String {
    let mut text = format!("# `{}`\n\n", schema["title"].as_str().unwrap_or_default());
    text.push_str(&format!(
        "{} This page is made from the [schema](../../xtask/schema/{word}.schema.json).\n\n",
        sentence(schema)
    ));
    text.push_str(&table(schema));
    let mut seen = BTreeSet::new();
    let mut queue = parts(schema);
    while !queue.is_empty() {
        let part = queue.remove(0);
        if !seen.insert(part.clone()) {
            continue;
        }
        let definition = &schema["$defs"][&part];
        text.push_str(&format!("\n## {}\n\n{}\n\n{}", heading(&part), sentence(definition), table(definition)));
        // What a part mentions follows it.
        queue.splice(0..0, parts(definition));
    }
    text
}

/// The parts that the keys of an object refer to, in their order.
fn parts(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for property in properties(object).into_iter().flatten() {
        collect(property.1, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(part) = fields.get("$ref").and_then(part_of) {
                found.push(part);
            }
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn part_of(reference: &Value) -> Option<String> {
    Some(reference.as_str()?.strip_prefix("#/$defs/")?.to_owned())
}

/// The words of a part's name: `ForEachDeclaration` is `for each`.
fn heading(part: &str) -> String {
    let mut words = String::new();
    for letter in part.strip_suffix(SUFFIX).unwrap_or(part).chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn link(part: &str) -> String {
    let heading = heading(part);
    format!("[{heading}](#{})", heading.replace(' ', "-"))
}

fn sentence(value: &Value) -> String {
    value["description"].as_str().unwrap_or_default().to_owned()
}

fn properties(object: &Value) -> Option<&Map<String, Value>> {
    object["properties"].as_object()
}

/// The table of an object's keys.
fn table(object: &Value) -> String {
    let Some(properties) = properties(object) else { return String::new() };
    let required: Vec<&str> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = String::from("| key | value | default | meaning |\n|---|---|---|---|\n");
    for (key, value) in properties {
        let (meaning, default) = meaning_and_default(value, required.contains(&key.as_str()));
        // A bar would end the cell.
        let cells = [format!("`{key}`"), kind(value), default, meaning].map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// The description without the sentence about the default, and the default.
fn meaning_and_default(value: &Value, required: bool) -> (String, String) {
    let description = sentence(value);
    let (meaning, told) = match description.split_once("Default: ") {
        Some((meaning, told)) => (meaning.trim_end().to_owned(), Some(told.trim_end_matches('.').to_owned())),
        None => (description, None),
    };
    let default = match (value.get("default"), told) {
        (_, Some(told)) => told,
        (Some(Value::Array(list)), None) if list.is_empty() => "none".into(),
        (Some(Value::Object(map)), None) if map.is_empty() => "none".into(),
        (Some(Value::String(text)), None) => format!("`{text}`"),
        (Some(default), None) => format!("`{default}`"),
        (None, None) if required => "required".into(),
        (None, None) => String::new(),
    };
    (meaning, default)
}

/// What kind of value a key has.
fn kind(value: &Value) -> String {
    if let Some(part) = value.get("$ref").and_then(part_of) {
        return link(&part);
    }
    if let Some(words) = value["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        return words.collect::<Vec<_>>().join(", ");
    }
    if let Some(options) = value["anyOf"].as_array() {
        let kinds: Vec<String> = options.iter().map(kind).filter(|kind| !kind.is_empty()).collect();
        return kinds.join(", or ");
    }
    match first_type(value) {
        Some("array") => format!("list of {}", kind(&value["items"])),
        Some("object") if value["additionalProperties"].is_object() => {
            format!("{} by name", kind(&value["additionalProperties"]))
        }
        Some("object") => "keys".into(),
        Some("boolean") => "`true` or `false`".into(),
        Some("integer" | "number") => match (&value["minimum"], &value["maximum"]) {
            (Value::Number(least), Value::Number(most)) => format!("number from {least} to {most}"),
            (Value::Number(least), _) => format!("number from {least}"),
            _ => "number".into(),
        },
        Some("string") => match value["pattern"].as_str() {
            Some(pattern) if pattern.contains("|ms)") => "duration, such as `90s`".into(),
            Some(pattern) if pattern.contains("MiB") => "size, such as `512MiB`".into(),
            Some(_) | None => "text".into(),
        },
        Some(_) | None => String::new(),
    }
}

/// The type; texts may be written as numbers.
fn first_type(value: &Value) -> Option<&str> {
    let name = &value["type"];
    name.as_str().or_else(|| name.as_array()?.first()?.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_becomes_tables_in_the_order_of_its_keys() {
        let schema = json!({
            "title": "x.yaml", "description": "A thing.", "required": ["jobs"],
            "properties": {
                "jobs": {"type": "object", "additionalProperties": {"$ref": "#/$defs/JobDeclaration"}, "description": "All."},
                "size": {"type": "string", "pattern": "^[0-9]+ ?(B|MiB)$", "default": "1MiB", "description": "Bytes: a|b."},
            },
            "$defs": {
                "JobDeclaration": {"description": "One job.", "properties": {
                    "for-each": {"$ref": "#/$defs/ForEachDeclaration", "description": "The items. Default: it runs once."},
                    "run": {"type": "array", "items": {"type": ["string", "integer"]}, "description": "Words."},
                }},
                "ForEachDeclaration": {"description": "Items.", "properties": {
                    "n": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2, "description": "A number."},
                    "on": {"type": "array", "items": {"enum": ["a", "b"], "type": "string"}, "default": [], "description": "When."},
                }},
            },
        });
        let expected = "# `x.yaml`\n\nA thing. This page is made from the [schema](../../xtask/schema/x.schema.json).\n\n\
            | key | value | default | meaning |\n|---|---|---|---|\n\
            | `jobs` | [job](#job) by name | required | All. |\n\
            | `size` | size, such as `512MiB` | `1MiB` | Bytes: a\\|b. |\n\
            \n## job\n\nOne job.\n\n| key | value | default | meaning |\n|---|---|---|---|\n\
            | `for-each` | [for each](#for-each) | it runs once | The items. |\n\
            | `run` | list of text |  | Words. |\n\
            \n## for each\n\nItems.\n\n| key | value | default | meaning |\n|---|---|---|---|\n\
            | `n` | number from 1 to 9 | `2` | A number. |\n\
            | `on` | list of `a`, `b` | none | When. |\n";
        assert_eq!(reference(&schema, "x"), expected);
    }
}
