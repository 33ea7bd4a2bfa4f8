//! A declaration that is being written: keys and values with the comments above them, as YAML.

use drydock_base::text::printable;

/// The width that comments are wrapped at.
const WIDTH: usize = 118;
/// The longest line with a list in brackets.
const WIDEST_LIST: usize = 100;

/// A longer list is not written with one word a line.
const LONGEST_COLUMN: usize = 20;

/// One key with its value, and the comments above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Lines above it, each wrapped.
    pub comments: Vec<String>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, quoted where YAML would take it for something else.
    Text(String),
    /// A word of the vocabulary, such as `true` or `memcheck`, never quoted.
    Word(String),
    /// A list of texts.
    List(Vec<String>),
    /// A list of mappings.
    Entries(Vec<Vec<Field>>),
    /// A mapping on lines of its own.
    Map(Vec<Field>),
    /// A mapping in braces.
    Inline(Vec<Field>),
}

impl Field {
    /// A key without comments.
    pub fn new(key: impl Into<String>, value: Value) -> Field {
        Field { key: key.into(), value, comments: Vec::new() }
    }

    /// A key with a text.
    pub fn text(key: impl Into<String>, text: impl Into<String>) -> Field {
        Field::new(key, Value::Text(text.into()))
    }

    /// A key with a word of the vocabulary.
    pub fn word(key: impl Into<String>, word: impl Into<String>) -> Field {
        Field::new(key, Value::Word(word.into()))
    }

    /// A key with a list of texts.
    pub fn list<W: Into<String>>(key: impl Into<String>, words: impl IntoIterator<Item = W>) -> Field {
        Field::new(key, Value::List(words.into_iter().map(Into::into).collect()))
    }

    /// The same with these comments.
    #[must_use]
    pub fn because<W: Into<String>>(mut self, comments: impl IntoIterator<Item = W>) -> Field {
        self.comments.extend(comments.into_iter().map(Into::into));
        self
    }
}

/// The text of a declaration that begins with these comments.
pub fn yaml(head: &[String], fields: &[Field]) -> String {
    let mut text = String::new();
    head.iter().for_each(|line| comment(&mut text, 0, line));
    map(&mut text, 0, fields);
    text
}

fn map(text: &mut String, indent: usize, fields: &[Field]) {
    for field in fields {
        field.comments.iter().for_each(|line| comment(text, indent, line));
        text.push_str(&" ".repeat(indent));
        member(text, indent, field);
    }
}

/// The key and its value. The indent has been written.
fn member(text: &mut String, indent: usize, field: &Field) {
    text.push_str(&scalar(&field.key));
    text.push(':');
    match &field.value {
        Value::Map(fields) => {
            text.push('\n');
            map(text, indent + 2, fields);
        }
        Value::Entries(entries) => {
            text.push('\n');
            for entry in entries {
                let flow = inline(&Value::Inline(entry.clone()));
                text.push_str(&format!("{}- {flow}\n", " ".repeat(indent + 2)));
            }
        }
        Value::List(words) if words.len() > LONGEST_COLUMN => {
            text.push_str(" [");
            let mut row = String::new();
            for (at, word) in words.iter().enumerate() {
                let word = scalar(word) + if at + 1 < words.len() { "," } else { "]" };
                if row.is_empty() || indent + row.len() + word.len() > WIDEST_LIST {
                    text.push_str(row.trim_end());
                    row = format!("\n{}", " ".repeat(indent + 2));
                }
                row.push_str(&word);
                row.push(' ');
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        Value::List(words) if indent + field.key.len() + inline(&field.value).len() > WIDEST_LIST => {
            text.push('\n');
            words.iter().for_each(|word| text.push_str(&format!("{}- {}\n", " ".repeat(indent + 2), scalar(word))));
        }
        Value::Text(_) | Value::Word(_) | Value::List(_) | Value::Inline(_) => {
            text.push_str(&format!(" {}\n", inline(&field.value)));
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Text(word) => scalar(word),
        Value::Word(word) => word.clone(),
        Value::List(words) => format!("[{}]", words.iter().map(|word| scalar(word)).collect::<Vec<_>>().join(", ")),
        Value::Map(fields) | Value::Inline(fields) => {
            let members: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", scalar(&field.key), inline(&field.value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Entries(_) => "[]".to_owned(),
    }
}

/// A comment, wrapped at words. What comes from the project cannot end the line.
fn comment(text: &mut String, indent: usize, line: &str) {
    let line = printable(line, 600);
    let start = format!("{}#", " ".repeat(indent));
    let mut row = start.clone();
    for word in line.split(' ') {
        if row.chars().count() + 1 + word.chars().count() > WIDTH && row.len() > start.len() {
            text.push_str(row.trim_end());
            text.push('\n');
            row = format!("{start}  ");
        }
        row.push(' ');
        row.push_str(word);
    }
    text.push_str(row.trim_end());
    text.push('\n');
}

/// A text as a scalar of YAML, also for lists in brackets.
fn scalar(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_./+=%$^@~-".contains(letter);
    let starts = word.starts_with(|first: char| first.is_ascii_alphabetic() || "_./$^+".contains(first))
        || word.starts_with('-') && word.len() > 1 && !word.starts_with("---");
    let is_number = word.trim_start_matches(['-', '+', '.']).starts_with(|first: char| first.is_ascii_digit())
        || [".inf", ".nan", "-.inf", "+.inf"].contains(&word.to_ascii_lowercase().as_str());
    let means_something = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"];
    let means_something = means_something.contains(&word.to_ascii_lowercase().as_str());
    if starts && word.chars().all(is_plain) && !is_number && !means_something {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for letter in word.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(letter) & 0xff)),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_yaml_would_read_something_else() {
        for plain in ["make", "-j", "./configure", "--leak-check=full", "/usr/bin/ls", "_x", "a.b"] {
            assert_eq!(scalar(plain), plain);
        }
        for (word, expected) in [
            ("{jobs}", "\"{jobs}\""),
            ("1", "\"1\""),
            ("yes", "\"yes\""),
            ("NO", "\"NO\""),
            ("-1", "\"-1\""),
            (".5", "\".5\""),
            ("-", "\"-\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("a\"\\\n", "\"a\\\"\\\\\\n\""),
            ("*.c", "\"*.c\""),
            ("~", "\"~\""),
        ] {
            assert_eq!(scalar(word), expected);
        }
    }

    #[test]
    fn a_comment_is_wrapped_and_cannot_end_early() {
        let mut text = String::new();
        comment(&mut text, 2, &format!("saw: {} \nrun: evil", "word ".repeat(40)));
        assert!(text.lines().all(|line| line.starts_with("  #") && line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().count() > 1);
    }
}
