//! A writer of HTML that escapes everything but its own words: markup is `&'static str`, so that nothing read from a
//! run can become markup, and elements close themselves.

use drydock_base::text::{is_unprintable, without_escapes};
use std::io;

/// Texts of a run are cut to so many characters.
const LONGEST: usize = 2000;

/// A page as it grows.
#[derive(Debug, Default)]
pub struct Html {
    text: String,
}

impl Html {
    /// The whole.
    pub fn finish(self) -> String {
        self.text
    }

    /// Writes what is there, and goes on behind it.
    pub(super) fn pass_on(&mut self, to: &mut dyn io::Write) -> io::Result<()> {
        to.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }

    /// Bytes since they were last passed on.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Markup that was written here.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.text.push_str(markup);
        self
    }

    /// Text, escaped and cut.
    pub fn text(&mut self, text: &str) -> &mut Html {
        escape(&mut self.text, text, LONGEST);
        self
    }

    /// Text in which what stands between backquotes is code.
    pub fn prose(&mut self, text: &str) -> &mut Html {
        let parts: Vec<&str> = text.split('`').collect();
        for (number, part) in parts.iter().enumerate() {
            let last = number + 1 == parts.len();
            match number % 2 {
                1 if !last => self.tag("code", &[], part),
                1 => self.raw("`").text(part).end(),
                _ => self.text(part).end(),
            }
        }
        self
    }

    /// Ends a chain of calls where nothing is to be returned.
    pub fn end(&mut self) {}

    /// An element, with what `inside` writes.
    pub fn within(&mut self, tag: &'static str, attributes: &[(&'static str, &str)], inside: impl FnOnce(&mut Html)) {
        self.start(tag, attributes);
        self.text.push('>');
        inside(self);
        self.text.push_str("</");
        self.text.push_str(tag);
        self.text.push('>');
    }

    /// An element with text.
    pub fn tag(&mut self, tag: &'static str, attributes: &[(&'static str, &str)], text: &str) {
        self.within(tag, attributes, |html| {
            html.text(text);
        });
    }

    /// An element without content.
    pub fn void(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.start(tag, attributes);
        self.text.push_str("/>");
    }

    /// A link.
    pub fn link(&mut self, target: &str, text: &str) {
        self.tag("a", &[("href", target)], text);
    }

    /// A description list of what has a value.
    pub fn facts(&mut self, class: &'static str, facts: &[(&'static str, String)]) {
        self.within("dl", &[("class", class)], |html| {
            for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                html.within("div", &[], |html| {
                    html.tag("dt", &[], name);
                    html.tag("dd", &[], value);
                });
            }
        });
    }

    /// Values for the script, in an element that no browser runs.
    pub(super) fn data(&mut self, id: &'static str, value: &serde_json::Value) {
        self.start("script", &[("type", "application/json"), ("id", id)]);
        self.text.push('>');
        // Inside a script nothing is unescaped, so what could end it must not appear.
        self.text.push_str(&value.to_string().replace('<', "\\u003c"));
        self.text.push_str("</script>");
    }

    fn start(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.text.push('<');
        self.text.push_str(tag);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            // Values without special letters need no quotes, which saves much where there are thousands.
            let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_#.%".contains(&letter);
            if !value.is_empty() && value.bytes().all(plain) {
                self.text.push('=');
                self.text.push_str(value);
            } else {
                self.text.push_str("=\"");
                escape(&mut self.text, value, usize::MAX);
                self.text.push('"');
            }
        }
        // Without a space the slash of an empty element would belong to the last value.
        if !attributes.is_empty() {
            self.text.push(' ');
        }
    }
}

/// Text that is safe between tags and between quotes. Control characters are replaced, and those that nobody sees or
/// that turn the direction of writing are shown by their number, so that a line of a log means what it shows.
fn escape(into: &mut String, text: &str, longest: usize) {
    for (count, letter) in without_escapes(text).chars().enumerate() {
        if count == longest {
            into.push('…');
            return;
        }
        match letter {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            '\n' | '\t' => into.push(letter),
            _ if letter.is_control() => into.push('\u{fffd}'),
            _ if is_unprintable(letter) => into.push_str(&format!("⟨U+{:04X}⟩", u32::from(letter))),
            _ => into.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut html = Html::default();
        html.text(text);
        assert_eq!(html.finish(), expected);
    }

    #[test]
    fn everything_special_is_escaped() {
        check("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d");
        check("</script><script>alert(1)</script>", "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
        check("\" onmouseover='x'", "&quot; onmouseover=&#39;x&#39;");
        check("&lt;", "&amp;lt;");
        check("<!-- ]]>", "&lt;!-- ]]&gt;");
        check("\x1b[31mred\x07\0\x1b[", "red\u{fffd}\u{fffd}\u{fffd}[");
        check("\u{9b}31m\r", "\u{fffd}31m\u{fffd}");
        check("evil\u{202e}gpj.exe", "evil⟨U+202E⟩gpj.exe");
        check("a\u{200b}b\u{feff}\u{2066}\u{2028}", "a⟨U+200B⟩b⟨U+FEFF⟩⟨U+2066⟩⟨U+2028⟩");
        check("tab\tand\nline", "tab\tand\nline");
        check("grüße 漢字 ✓", "grüße 漢字 ✓");
    }

    #[test]
    fn what_stands_between_backquotes_is_code() {
        let mut html = Html::default();
        html.prose("run `a < b` or `it's");
        assert_eq!(html.finish(), "run <code>a &lt; b</code> or `it&#39;s");
    }

    #[test]
    fn long_text_is_cut() {
        let mut html = Html::default();
        html.text(&"<".repeat(1_000_000));
        assert_eq!(html.finish(), format!("{}…", "&lt;".repeat(LONGEST)));
    }

    #[test]
    fn values_of_attributes_cannot_end_them() {
        let mut html = Html::default();
        html.within("a", &[("href", "#j1"), ("title", "x y\" onclick=\"z"), ("id", "")], |html| {
            html.void("rect", &[("x", "1.5%"), ("class", "p/")]);
        });
        assert_eq!(
            html.finish(),
            "<a href=#j1 title=\"x y&quot; onclick=&quot;z\" id=\"\" ><rect x=1.5% class=\"p/\" /></a>"
        );
    }

    #[test]
    fn data_cannot_end_its_script() {
        let mut html = Html::default();
        html.data("d", &serde_json::json!({"name": "</script><!--"}));
        assert_eq!(
            html.finish(),
            "<script type=\"application/json\" id=d >{\"name\":\"\\u003c/script>\\u003c!--\"}</script>"
        );
    }
}
