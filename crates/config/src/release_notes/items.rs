//! From the events of an entry to its changes.

use drydock_base::text::printable_char;
use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::{NoteBlock, NoteItem};

/// Reads the changes of an entry.
pub(super) fn read(events: &[Event<'_>]) -> Vec<NoteItem> {
    let mut reader = Reader::default();
    events.iter().for_each(|event| reader.event(event));
    reader.flush();
    reader.items
}

/// Adds the text of an inline event: links and emphasis leave their text, images their description, and code its backquotes.
pub(super) fn push_inline(text: &mut String, event: &Event<'_>) {
    match event {
        Event::Text(words) => text.push_str(words),
        Event::Code(code) => {
            // A code span may contain backquotes, if it is fenced by more of them.
            let fence = if code.contains('`') { "``" } else { "`" };
            text.push_str(&format!("{fence}{code}{fence}"));
        }
        Event::SoftBreak | Event::HardBreak => text.push(' '),
        Event::InlineHtml(tag) if tag.to_ascii_lowercase().starts_with("<br") => text.push(' '),
        Event::TaskListMarker(done) => text.push_str(if *done { "" } else { "[ ] " }),
        _ => {}
    }
}

#[derive(Default)]
struct Reader {
    items: Vec<NoteItem>,
    /// The headings around this place, the outermost first.
    sections: Vec<(HeadingLevel, String)>,
    /// For each list item around this place, the outermost first, the index of what it has in `items`, if any.
    open: Vec<Option<usize>>,
    /// The text of the paragraph, heading or cell.
    text: String,
    /// The contents of a block of code.
    code: Option<String>,
    /// The contents of a block of HTML.
    html: String,
    /// The level of the heading that is being read.
    heading: Option<HeadingLevel>,
}

impl Reader {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => {
                self.flush();
                self.code = Some(String::new());
            }
            Event::End(TagEnd::CodeBlock) => {
                let code = self.code.take().unwrap_or_default();
                let code_line = |line: &str| line.replace('\t', "        ").chars().map(shown).collect::<String>();
                let lines: Vec<String> = code.trim_end().lines().map(|line| code_line(line.trim_end())).collect();
                if !lines.is_empty() {
                    self.add(NoteBlock::Code(lines));
                }
            }
            Event::Text(text) if self.code.is_some() => self.code.iter_mut().for_each(|code| code.push_str(text)),
            Event::Start(Tag::Heading { level, .. }) => {
                self.flush();
                self.heading = self.open.is_empty().then_some(*level);
            }
            Event::End(TagEnd::Heading(_)) => match self.heading.take() {
                Some(level) => self.end_heading(level),
                None => self.flush(),
            },
            Event::Start(Tag::Item) => {
                self.flush();
                self.open.push(None);
            }
            Event::End(TagEnd::Item) => {
                self.flush();
                self.open.pop();
            }
            Event::End(TagEnd::TableCell) => self.text.push_str(" | "),
            Event::End(TagEnd::TableHead | TagEnd::TableRow) => {
                let row = self.text.trim_end_matches([' ', '|']).to_owned();
                self.text = row;
                self.flush();
            }
            Event::Html(html) => self.html.push_str(html),
            Event::End(TagEnd::HtmlBlock) => {
                let html = std::mem::take(&mut self.html);
                self.text = text_of_html(&html);
                self.flush();
            }
            Event::Start(
                Tag::Paragraph | Tag::List(_) | Tag::BlockQuote(_) | Tag::HtmlBlock | Tag::Table(_) | Tag::TableHead,
            )
            | Event::End(TagEnd::Paragraph | TagEnd::List(_) | TagEnd::BlockQuote(_)) => self.flush(),
            inline => push_inline(&mut self.text, inline),
        }
    }

    /// Ends the paragraph.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        let text = one_line(&text);
        if !text.is_empty() {
            self.add(NoteBlock::Prose(text));
        }
    }

    /// Makes the heading's text a section, and ends those of the same and lower levels.
    fn end_heading(&mut self, level: HeadingLevel) {
        let name = one_line(&std::mem::take(&mut self.text));
        self.sections.retain(|(other, _)| *other < level);
        if !name.is_empty() {
            self.sections.push((level, name.trim_end_matches(':').to_owned()));
        }
    }

    /// Adds a part to the item at this place.
    fn add(&mut self, block: NoteBlock) {
        let section = self.sections.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(": ");
        let next = self.items.len();
        let last = self.items.last_mut();
        let (depth, continued) = match self.open.last_mut() {
            None => {
                let is_code = matches!(block, NoteBlock::Code(_));
                match last.filter(|last| is_code && last.section == section) {
                    // It belongs to what comes before it.
                    Some(last) => return last.blocks.push(block),
                    None => (0, false),
                }
            }
            Some(place) => {
                let known = place.replace(next);
                if let (Some(index), Some(last)) = (known.filter(|index| index + 1 == next), last) {
                    *place = Some(index);
                    return last.blocks.push(block);
                }
                (self.open.len() - 1, known.is_some())
            }
        };
        self.items.push(NoteItem { section, depth, continued, blocks: vec![block] });
    }
}

/// A text on one line, with single spaces.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().map(shown).collect()
}

/// The character, or U+FFFD in the place of one that would conceal or reorder text. Those that join letters stay: Persian and
/// the languages of India need them, and so do emoji.
fn shown(letter: char) -> char {
    if matches!(letter, '\u{200c}' | '\u{200d}') { letter } else { printable_char(letter) }
}

/// The text of a block of HTML: without tags and comments, and with its character references resolved.
fn text_of_html(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        let tag = &rest[start..];
        let end =
            if tag.starts_with("<!--") { tag.find("-->").map(|end| end + 3) } else { tag.find('>').map(|end| end + 1) };
        rest = end.map_or("", |end| &tag[end..]);
        // Tags of blocks separate words.
        text.push(' ');
    }
    text.push_str(rest);
    let mut resolved = String::new();
    for event in Parser::new(text.trim()) {
        match event {
            Event::End(_) => resolved.push(' '),
            other => push_inline(&mut resolved, &other),
        }
    }
    resolved
}
