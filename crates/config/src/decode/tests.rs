//! The machinery on a small declaration: struct, decoder and schema come from one text.

use super::*;
use crate::diagnostic::Problems;
use std::path::Path;

declaration! {
    /// A thing
    /// on two lines.
    struct Thing {
        /// The name.
        name: String,
        /// The duration, with its unit.
        how_long: Limit = Limit(std::time::Duration::from_secs(90)),
        /// Parts.
        parts: Option<OneOrMany<Part>>,
        /// True if it is on.
        on: bool = false,
    }
}

declaration! {
    /// A part, of which everything may be left out.
    struct Part {
        /// A number.
        number: Bounded<1, 9> = Bounded(1),
    }
}

#[track_caller]
fn check(text: &str, expected: Result<Thing, &[&str]>) {
    let mut problems = Problems::default();
    let thing: Option<Thing> = document(text, &mut problems);
    let diagnostics = problems.in_file(Path::new("t.yaml"), text);
    let shown: Vec<String> = diagnostics
        .iter()
        .map(|d| {
            let advice =
                d.help.as_ref().or(d.expected.as_ref()).map(|advice| format!(" ({advice})")).unwrap_or_default();
            format!("{}:{}: {}{advice}", d.line, d.column, d.problem)
        })
        .collect();
    match expected {
        Ok(expected) => assert_eq!((thing, shown), (Some(expected), Vec::new())),
        Err(expected) => assert_eq!(shown, expected),
    }
}

fn thing(name: &str) -> Thing {
    Thing { name: name.to_owned(), how_long: Limit(std::time::Duration::from_secs(90)), parts: None, on: false }
}

#[test]
fn defaults_are_applied_and_everything_is_read() {
    check("name: x\n", Ok(thing("x")));
    check("name: 2\n", Ok(thing("2")));
    check("name: 'no'\n", Ok(thing("no")));
    let part = |number| Part { number: Bounded(number) };
    let parts = Some(OneOrMany(vec![part(9), part(1)]));
    check("name: x\non: true\nparts: [{number: 9}, {}]\n", Ok(Thing { on: true, parts, ..thing("x") }));
    check("name: x\nparts: {number: 3}\n", Ok(Thing { parts: Some(OneOrMany(vec![part(3)])), ..thing("x") }));
}

#[test]
fn all_problems_are_reported() {
    check("", Err(&["1:1: the file declares nothing"]));
    check("[a]", Err(&["1:1: found a list instead of a mapping (keys such as `name`, `how-long`, `parts` or `on`)"]));
    check(
        "nmae: x\nhow_long: 2m\nparts: {number: 10}\non: yes\n",
        Err(&[
            "1:1: unknown key `nmae` (did you mean `name`?)",
            "1:1: the required key `name` is missing",
            "2:1: unknown key `how_long` (did you mean `how-long`?)",
            "3:17: `10` is out of range (a whole number from 1 to 9)",
            "4:5: found the boolean `yes` instead of a boolean (`true` or `false`)",
        ]),
    );
    check(
        "name: no\ncolour: red\nhow-long: 0s\nparts: [{number: 1.5}, x]\n",
        Err(&[
            "1:7: found the boolean `no` instead of a text (quote it: \"no\")",
            "2:1: unknown key `colour` (`name`, `how-long`, `parts` or `on`)",
            "3:11: `0s` leaves no time at all (more than zero, for instance `90s`)",
            "4:18: found the number `1.5` instead of a whole number (a whole number from 1 to 9)",
            "4:24: found the text `x` instead of a mapping (keys such as `number`)",
        ]),
    );
    check("name: {item}\n", Err(&["1:7: found a mapping instead of a text (quote the placeholder: \"{item}\")"]));
    check("name:\n", Err(&["1:1: found nothing instead of a text (a text; `\"\"` for an empty one)"]));
    check("name: \"a\\0b\"\n", Err(&["1:7: the text contains a NUL byte (a text without `\\0`)"]));
}

#[test]
fn the_schema_describes_the_same() {
    let schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Thing>();
    let schema = schema.to_value();
    assert_eq!(schema["description"], "A thing on two lines.");
    assert_eq!(schema["required"], serde_json::json!(["name"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["how-long"]["default"], "1m30s");
    assert_eq!(schema["properties"]["how-long"]["description"], "The duration, with its unit.");
    assert_eq!(schema["$defs"]["Part"]["properties"]["number"]["maximum"], 9);
}
