//! Commands to a runner of GitHub Actions, which it finds in the output of a step: annotations and groups of lines.
//!
//! The runner reads standard output and standard error, and takes two spellings: `::name properties::message` at the
//! beginning of a line, after white space, and the older `##[name properties]message` anywhere in it (`ActionCommand` of
//! actions/runner). Percent signs, line ends, and in properties colons and commas are escaped.

use std::fmt;

/// The most characters of a message: the runner cuts what is longer at 4,096.
const LONGEST_MESSAGE: usize = 4000;
/// The most characters of a property.
const LONGEST_PROPERTY: usize = 250;

/// The severity of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A failure.
    Error,
    /// Something to look at.
    Warning,
}

/// A line of a file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path, relative to the root of the repository.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u32>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowCommand {
    /// A message on the page of the run and, with a place, beside the line of the file.
    Annotation {
        /// The severity.
        severity: Severity,
        /// The heading.
        title: String,
        /// The place.
        place: Option<Place>,
        /// The text, of one or more lines.
        message: String,
    },
    /// The lines from here on can be folded.
    Group(String),
    /// The end of those lines.
    EndGroup,
}

impl fmt::Display for WorkflowCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkflowCommand::Annotation { severity, title, place, message } => {
                let name = match severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                };
                write!(f, "::{name} title={}", property(title))?;
                if let Some(Place { file, line }) = place {
                    write!(f, ",file={}", property(file))?;
                    if let Some(line) = line {
                        write!(f, ",line={line}")?;
                    }
                }
                write!(f, "::{}", data(message))
            }
            WorkflowCommand::Group(title) => write!(f, "::group::{}", data(title)),
            WorkflowCommand::EndGroup => f.write_str("::endgroup::"),
        }
    }
}

/// A message with its line ends escaped.
fn data(text: &str) -> String {
    escaped(text.trim(), LONGEST_MESSAGE, "")
}

/// The value of a property.
fn property(text: &str) -> String {
    escaped(text.trim(), LONGEST_PROPERTY, ":,")
}

/// At most `most` characters of a text, with `%`, line ends and `more` escaped.
fn escaped(text: &str, most: usize, more: &str) -> String {
    let mut escaped = String::new();
    let mut letters = text.chars();
    for letter in letters.by_ref().take(most) {
        if matches!(letter, '%' | '\r' | '\n') || more.contains(letter) {
            escaped.push_str(&format!("%{:02X}", u32::from(letter)));
        } else {
            escaped.push(letter);
        }
    }
    if letters.next().is_some() {
        escaped.push('…');
    }
    // The older spelling is found anywhere in a line, also in one that is a command.
    escaped.replace("##[", "##\\[")
}

/// A text of which no line is a command: a backslash goes before what would make it one.
pub fn disarmed(text: &str) -> String {
    let mut disarmed = String::with_capacity(text.len());
    for line in text.split_inclusive(['\n', '\r']) {
        let start = line.trim_start();
        if start.starts_with("::") {
            disarmed.push_str(&line[..line.len() - start.len()]);
            disarmed.push('\\');
            disarmed.push_str(&start.replace("##[", "##\\["));
        } else {
            disarmed.push_str(&line.replace("##[", "##\\["));
        }
    }
    disarmed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The command in a line, as the runner finds it.
    fn found(line: &str) -> bool {
        line.trim().starts_with("::") || line.contains("##[")
    }

    #[test]
    fn what_would_end_a_property_or_a_message_is_escaped() {
        let place = Some(Place { file: "a,b:c%/d.c".into(), line: Some(7) });
        let (title, message) = ("1: 100%, ok".into(), "a\r\nb::error::c,d ##[error]e".into());
        let command = WorkflowCommand::Annotation { severity: Severity::Error, title, place, message };
        let expected =
            "::error title=1%3A 100%25%2C ok,file=a%2Cb%3Ac%25/d.c,line=7::a%0D%0Ab::error::c,d ##\\[error]e";
        assert_eq!(command.to_string(), expected);
        assert_eq!(WorkflowCommand::Group("a\n::error::b".into()).to_string(), "::group::a%0A::error::b");
        let long = WorkflowCommand::Group("灯".repeat(5000)).to_string();
        assert_eq!(long.chars().count(), "::group::".len() + LONGEST_MESSAGE + 1);
    }

    #[test]
    fn a_line_of_a_job_is_not_a_command() {
        for (line, expected) in [
            ("::error::x", "\\::error::x"),
            ("  \t\u{a0}\u{2003}::add-mask::e", "  \t\u{a0}\u{2003}\\::add-mask::e"),
            ("::stop-commands::x\n::x::", "\\::stop-commands::x\n\\::x::"),
            ("progress\r::set-env name=PATH::/tmp", "progress\r\\::set-env name=PATH::/tmp"),
            ("at 17:03 ##[set-env name=A;]b", "at 17:03 ##\\[set-env name=A;]b"),
            ("::x ##[error]y", "\\::x ##\\[error]y"),
            ("std::string::x", "std::string::x"),
            ("# heading [x]", "# heading [x]"),
        ] {
            assert_eq!(disarmed(line), expected);
        }
    }

    proptest! {
        #[test]
        fn no_text_holds_a_command(text in "[:# \\[\\]\r\n\ta-c\u{2028}\u{85}\u{feff}]{0,40}") {
            let safe = disarmed(&text);
            let lines = |text: &str| text.split(['\n', '\r']).any(found);
            prop_assert!(!lines(&safe), "{safe:?}");
            prop_assert_eq!(lines(&text), safe != text);
            let one = WorkflowCommand::Group(text).to_string();
            prop_assert!(!one.contains(['\n', '\r']) && !one.contains("##["));
        }
    }
}
