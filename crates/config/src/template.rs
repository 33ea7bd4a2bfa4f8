//! Placeholders in declared texts: `{item}`, `{stem}`, `{dir}`, `{name}`, `{jobs}`; `{{` and `}}` are braces.

use drydock_base::text::quoted;
use drydock_base::units::BadValue;
use std::fmt;

/// A text with placeholders, checked when it was parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// The placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{item}`: the item of `for-each`: a path relative to the project, or a line.
    Item,
    /// `{stem}`: the file name of the item without its last extension: `tests/run-wire.c` → `run-wire`.
    Stem,
    /// `{dir}`: the directory of the item, or `.`: `tests/run-wire.c` → `tests`.
    Dir,
    /// `{name}`: the name of the job, with the item: `units/run-wire`.
    Name,
    /// `{jobs}`: the maximum number of jobs that run at once, for `make -j`.
    Jobs,
}

impl Placeholder {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 5] = [Self::Item, Self::Stem, Self::Dir, Self::Name, Self::Jobs];
    /// Those that need an item, and so a `for-each`.
    pub const OF_ITEM: [Self; 3] = [Self::Item, Self::Stem, Self::Dir];
    /// Those that any job has.
    pub const OF_JOB: [Self; 2] = [Self::Name, Self::Jobs];

    /// The word between the braces.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Stem => "stem",
            Self::Dir => "dir",
            Self::Name => "name",
            Self::Jobs => "jobs",
        }
    }
}

/// The values of the placeholders in one planned job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The item of `for-each`; without one, `{item}`, `{stem}` and `{dir}` render as nothing.
    pub item: Option<String>,
    /// The name of the planned job, with its item: `units/run-wire`.
    pub name: String,
    /// The maximum number of jobs that run at once.
    pub jobs: usize,
}

impl Template {
    /// Parses a text that may contain the `allowed` placeholders.
    ///
    /// # Errors
    /// Unknown placeholders (with the nearest known one), those that are not allowed here, and unmatched braces.
    pub fn parse(text: &str, allowed: &[Placeholder]) -> Result<Self, BadValue> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            literal.push_str(before);
            if let Some(tail) = after.strip_prefix("{{") {
                literal.push('{');
                rest = tail;
            } else if let Some(tail) = after.strip_prefix("}}") {
                literal.push('}');
                rest = tail;
            } else if after.starts_with('}') {
                return Err(lone_brace(text, '}'));
            } else {
                let Some(end) = after.find('}') else {
                    return Err(lone_brace(text, '{'));
                };
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(placeholder(&after[1..end], allowed)?));
                rest = &after[end + 1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// A text in which nothing is replaced; braces stand for themselves.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::default() } else { Self { parts: vec![Part::Text(text)] } }
    }

    /// One placeholder and nothing else.
    pub fn only(placeholder: Placeholder) -> Self {
        Self { parts: vec![Part::Placeholder(placeholder)] }
    }

    /// The text with every placeholder replaced.
    pub fn render(&self, values: &Values) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => text.push_str(&values.get(*placeholder)),
            }
        }
        text
    }

    /// True if the placeholder occurs, for instance to know whether a command depends on its item.
    pub fn uses(&self, placeholder: Placeholder) -> bool {
        self.parts.contains(&Part::Placeholder(placeholder))
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let text = |part: &Part| match part {
            Part::Text(text) => text.len(),
            Part::Placeholder(_) => 0,
        };
        self.parts.iter().map(|part| text(part) + size_of::<Part>()).sum()
    }
}

/// As it is written in a declaration, with braces escaped again.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Part::Placeholder(placeholder) => write!(f, "{{{}}}", placeholder.word())?,
            }
        }
        Ok(())
    }
}

impl Values {
    /// The value of one placeholder.
    fn get(&self, placeholder: Placeholder) -> String {
        let item = self.item.as_deref().unwrap_or_default();
        match placeholder {
            Placeholder::Item => item.to_owned(),
            Placeholder::Stem => stem(item).to_owned(),
            Placeholder::Dir => dir(item).to_owned(),
            Placeholder::Name => self.name.clone(),
            Placeholder::Jobs => self.jobs.to_string(),
        }
    }
}

/// The file name without its last extension; a name that only has a leading dot keeps it.
fn stem(item: &str) -> &str {
    let name = item.rsplit('/').next().unwrap_or(item);
    match name.rfind('.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    }
}

fn dir(item: &str) -> &str {
    match item.rfind('/') {
        Some(0) => "/",
        Some(slash) => &item[..slash],
        None => ".",
    }
}

fn placeholder(word: &str, allowed: &[Placeholder]) -> Result<Placeholder, BadValue> {
    let shown = quoted(&format!("{{{word}}}"));
    let list = || allowed.iter().map(|p| format!("`{{{}}}`", p.word())).collect::<Vec<_>>().join(", ");
    let Some(known) = Placeholder::ALL.into_iter().find(|p| p.word() == word) else {
        let nearest = super::diagnostic::nearest(word, allowed.iter().map(|p| p.word()));
        let expected = match nearest {
            Some(near) => format!("`{{{near}}}`"),
            None if allowed.is_empty() => "no placeholder here; write `{{` and `}}` for literal braces".to_owned(),
            None => format!("one of {}; write `{{{{` and `}}}}` for literal braces", list()),
        };
        return Err(BadValue::new(format!("unknown placeholder {shown}"), expected));
    };
    if allowed.contains(&known) {
        return Ok(known);
    }
    if Placeholder::OF_ITEM.contains(&known) && !allowed.is_empty() {
        return Err(BadValue::new(
            format!("{shown} in a job without `for-each`"),
            format!("a `for-each` in this job, or one of {}", list()),
        ));
    }
    let expected = if allowed.is_empty() { "no placeholder here".to_owned() } else { format!("one of {}", list()) };
    Err(BadValue::new(format!("{shown} has no value here"), expected))
}

fn lone_brace(text: &str, brace: char) -> BadValue {
    BadValue::new(
        format!("unmatched `{brace}` in {}", quoted(text)),
        format!("`{brace}{brace}` for a literal brace, or a placeholder such as `{{name}}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> Values {
        Values { item: Some("tests/unit/run-wire.tar.c".to_owned()), name: "units/run-wire".to_owned(), jobs: 4 }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        match (Template::parse(text, &Placeholder::ALL), expected) {
            (Ok(template), Ok(rendered)) => {
                assert_eq!(template.render(&values()), rendered, "{text}");
                assert_eq!(Template::parse(&template.to_string(), &Placeholder::ALL), Ok(template), "{text}");
            }
            (Err(error), Err(message)) => assert_eq!(error.to_string(), message, "{text}"),
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn placeholders_are_replaced() {
        check("make", Ok("make"));
        check("", Ok(""));
        check("{item}", Ok("tests/unit/run-wire.tar.c"));
        check("{dir}/{stem}.o", Ok("tests/unit/run-wire.tar.o"));
        check("-j{jobs} {name}", Ok("-j4 units/run-wire"));
        check("{{item}} }}{{", Ok("{item} }{"));
        check("${{HOME}}", Ok("${HOME}"));
        check("{itme}", Err("unknown placeholder `{itme}`; expected `{item}`"));
        check("a{", Err("unmatched `{` in `a{`; expected `{{` for a literal brace, or a placeholder such as `{name}`"));
        check("a}", Err("unmatched `}` in `a}`; expected `}}` for a literal brace, or a placeholder such as `{name}`"));
    }

    #[test]
    fn items_need_a_for_each() {
        let error = Template::parse("{stem}", &Placeholder::OF_JOB).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`{stem}` in a job without `for-each`; expected a `for-each` in this job, or one of `{name}`, `{jobs}`"
        );
        let error = Template::parse("{jobs}", &Placeholder::OF_ITEM).unwrap_err();
        assert_eq!(error.to_string(), "`{jobs}` has no value here; expected one of `{item}`, `{stem}`, `{dir}`");
    }

    #[test]
    fn parts_of_items_that_are_not_ordinary_paths() {
        let parts = |item: &str| (stem(item).to_owned(), dir(item).to_owned());
        let pair = |stem: &str, dir: &str| (stem.to_owned(), dir.to_owned());
        assert_eq!(parts("run"), pair("run", "."));
        assert_eq!(parts("a/.hidden"), pair(".hidden", "a"));
        assert_eq!(parts("/x.c"), pair("x", "/"));
        assert_eq!(parts(""), pair("", "."));
    }

    proptest! {
        #[test]
        fn literals_render_as_themselves(text in "\\PC{0,40}") {
            let template = Template::literal(text.clone());
            prop_assert_eq!(template.render(&values()), text);
            prop_assert_eq!(Template::parse(&template.to_string(), &[]), Ok(template));
        }

        #[test]
        fn nothing_panics(text in "[{}a-z]{0,20}") {
            drop(Template::parse(&text, &Placeholder::ALL).map(|template| template.render(&values())));
        }
    }
}
