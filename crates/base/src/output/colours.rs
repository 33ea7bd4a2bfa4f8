//! Colours of what is printed on a terminal. They only repeat what the words say.

use std::io::IsTerminal;

/// What a part of a line is, with its "select graphic rendition" parameters (ECMA-48, 8.3.117). Only the eight colours that
/// each terminal lets its user choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bad,
    Good,
    Remark,
    Minor,
    Strong,
}

impl Style {
    fn parameters(self) -> &'static str {
        match self {
            Style::Bad => "1;31",
            Style::Good => "32",
            Style::Remark => "33",
            Style::Minor => "2",
            Style::Strong => "1",
        }
    }

    fn paint(self, text: &str) -> String {
        format!("\x1b[{}m{text}\x1b[0m", self.parameters())
    }
}

/// Marks at the beginning of a line, behind its indentation.
const MARKS: [(&str, Style); 17] = [
    ("error:", Style::Bad),
    ("WRONG ", Style::Bad),
    ("MISSING ", Style::Bad),
    ("REJECTED ", Style::Bad),
    ("✗ ", Style::Bad),
    ("warning:", Style::Remark),
    ("danger ", Style::Remark),
    ("! ", Style::Remark),
    ("ok ", Style::Good),
    ("proved ", Style::Good),
    ("listed ", Style::Good),
    ("to do:", Style::Strong),
    ("== ", Style::Strong),
    ("because ", Style::Minor),
    ("more:", Style::Minor),
    ("to suppress it:", Style::Minor),
    ("recorded in ", Style::Minor),
];

/// The words of ended jobs, which end in this column.
const VERDICT_COLUMN: usize = 9;
const VERDICTS: [(&str, Style); 17] = [
    ("pass", Style::Good),
    ("skip", Style::Minor),
    ("not run", Style::Minor),
    ("cancel", Style::Minor),
    ("FAIL", Style::Bad),
    ("NO-TEST", Style::Bad),
    ("FINDINGS", Style::Bad),
    ("CRASH", Style::Bad),
    ("OOM", Style::Bad),
    ("NO-ALLOC", Style::Bad),
    ("TIMEOUT", Style::Bad),
    ("KILLED", Style::Bad),
    ("HEAP", Style::Bad),
    ("DISK", Style::Bad),
    ("NO-START", Style::Bad),
    ("LOST", Style::Bad),
    ("STALE", Style::Bad),
];

/// Whether a stream gets colours: a terminal does, unless `NO_COLOR` is set, `CLICOLOR` is 0 or `TERM` is `dumb`; with
/// `CLICOLOR_FORCE`, every stream does, but for `NO_COLOR` (<https://no-color.org>, <https://bixense.com/clicolors>).
pub(super) fn are_wanted(stream: &impl IsTerminal) -> bool {
    let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
    let clicolor = anstyle_query::clicolor();
    let terminal = || {
        stream.is_terminal()
            && (anstyle_query::term_supports_ansi_color() || clicolor == Some(true))
            && clicolor != Some(false)
    };
    !anstyle_query::no_color() && (forced || terminal())
}

/// The lines with their marks painted.
pub(super) fn painted(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn line(text: &str) -> String {
    let body = text.trim_start_matches(' ');
    let indent = &text[..text.len() - body.len()];
    let verdict = VERDICTS.iter().find(|(word, _)| {
        indent.len() + word.len() == VERDICT_COLUMN && body.strip_prefix(word).is_some_and(|rest| rest.starts_with(' '))
    });
    let marks = || MARKS.iter().find(|(mark, _)| body.starts_with(mark));
    let Some((mark, style)) = verdict.or_else(marks) else { return text.to_owned() };
    // The title of a cause.
    let mark = if *mark == "✗ " { body } else { mark };
    format!("{indent}{}{}", style.paint(mark), &body[mark.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_at_the_beginning_of_a_line_are_painted_and_nothing_else() {
        for (text, expected) in [
            ("error: no such job", "\x1b[1;31merror:\x1b[0m no such job"),
            ("    to do: raise it", "    \x1b[1mto do:\x1b[0m raise it"),
            ("     pass    0.59s     8 MiB  build", "     \x1b[32mpass\x1b[0m    0.59s     8 MiB  build"),
            ("  TIMEOUT    1m 1s", "  \x1b[1;31mTIMEOUT\x1b[0m    1m 1s"),
            ("✗ timed out\n    1 job: a", "\x1b[1;31m✗ timed out\x1b[0m\n    1 job: a"),
            ("the error: is inside", "the error: is inside"),
            ("pass 0.59s", "pass 0.59s"),
            ("  | error: of a log", "  | error: of a log"),
            ("{\"error:\": 1}", "{\"error:\": 1}"),
            ("okay", "okay"),
            ("", ""),
        ] {
            assert_eq!(painted(text), expected, "{text:?}");
        }
    }
}
