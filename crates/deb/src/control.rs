//! The format of control files: paragraphs of fields, as in `debian/control`, `.dsc` and `.changes`.
//!
//! deb822(5), and OpenPGP clear signatures (RFC 4880, section 7) around it.

/// How large a control file may be.
pub const LARGEST: u64 = 10 << 20;

/// Fields with their values, in order. Names are compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// One without fields.
    pub fn new() -> Paragraph {
        Paragraph::default()
    }

    /// The value of a field: its lines without the blank that starts each of them, the first line trimmed.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// The value of a field that is not blank, on one line.
    pub fn line(&self, name: &str) -> Option<String> {
        let words: Vec<&str> = self.get(name)?.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The lines of a value that are not blank, trimmed.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get(name).unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// Adds a field, or replaces it where it stands.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.fields.iter_mut().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    /// Adds a field where there is a value for it.
    pub fn set_some(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The text, each field on lines of its own.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            let mut lines = value.lines();
            let first = lines.next().unwrap_or_default();
            text.push_str(&if first.is_empty() { format!("{name}:\n") } else { format!("{name}: {first}\n") });
            for line in lines {
                text.push_str(&if line.trim().is_empty() { " .\n".to_owned() } else { format!(" {line}\n") });
            }
        }
        text
    }
}

/// Reads all paragraphs of a text. Comments are left out, a clear signature around it is not looked at.
///
/// # Errors
/// The line that is no field and continues none, or a field that is there twice.
pub fn parse(text: &str) -> Result<Vec<Paragraph>, String> {
    let mut paragraphs = Vec::new();
    let mut current = Paragraph::new();
    for (number, line) in signed_text(text)?.lines().enumerate() {
        let wrong = |what: &str| Err(format!("line {}: {what}", number + 1));
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !current.fields.is_empty() {
                paragraphs.push(std::mem::take(&mut current));
            }
        } else if line.starts_with([' ', '\t']) {
            let Some((_, value)) = current.fields.last_mut() else { return wrong("it continues no field") };
            value.push('\n');
            // A single dot stands for an empty line.
            value.push_str(if line.trim() == "." { "" } else { &line[1..] });
        } else {
            let Some((name, value)) = line.split_once(':') else { return wrong("a field has a `:` after its name") };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return wrong("the name of a field has no blanks in it");
            }
            if current.get(name).is_some() {
                return wrong(&format!("the field `{name}` is there twice"));
            }
            current.fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    if !current.fields.is_empty() {
        paragraphs.push(current);
    }
    Ok(paragraphs)
}

/// Reads a file of one paragraph.
///
/// # Errors
/// As [`parse`]; none, or more than one.
pub fn parse_one(text: &str) -> Result<Paragraph, String> {
    let mut paragraphs = parse(text)?;
    match paragraphs.pop() {
        Some(one) if paragraphs.is_empty() => Ok(one),
        Some(_) => Err("there is more than one paragraph".into()),
        None => Err("it is empty".into()),
    }
}

/// Whether a text has a clear signature around it.
pub fn is_signed(text: &str) -> bool {
    text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----\n") && text.contains("\n-----BEGIN PGP SIGNATURE-----\n")
}

/// What a clear signature signs; the whole text when there is none.
fn signed_text(text: &str) -> Result<String, String> {
    if !is_signed(text) {
        return Ok(text.to_owned());
    }
    let (_, body) = text.split_once("\n\n").ok_or("the signed text has no empty line after its head")?;
    let (body, signature) = body.split_once("\n-----BEGIN PGP SIGNATURE-----\n").unwrap_or((body, ""));
    let after = signature.split_once("-----END PGP SIGNATURE-----").ok_or("the signature has no end")?.1;
    if !after.trim().is_empty() {
        return Err("there is text after the signature, which nobody signed".into());
    }
    Ok(body.lines().map(|line| line.strip_prefix("- ").unwrap_or(line).to_owned() + "\n").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\nSource: x\nDescription: short\n long\n .\n  indented\n\nPackage: y\nempty:\n";

    #[test]
    fn paragraphs_are_read_and_written() {
        let paragraphs = parse(TEXT).unwrap();
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("description"), Some("short\nlong\n\n indented"));
        assert_eq!(paragraphs[1].line("Empty"), None);
        let written: String = paragraphs.iter().map(|one| one.text() + "\n").collect();
        assert_eq!(written, "Source: x\nDescription: short\n long\n .\n  indented\n\nPackage: y\nempty:\n\n");
        assert_eq!(parse(&written).unwrap(), paragraphs);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, why) in [
            (" x\n", "line 1: it continues no field"),
            ("a: 1\nb\n", "line 2: a field has a `:` after its name"),
            ("a: 1\nA: 2\n", "line 2: the field `A` is there twice"),
            ("a b: 1\n", "line 1: the name of a field has no blanks in it"),
        ] {
            assert_eq!(parse(text).unwrap_err(), why);
        }
    }

    #[test]
    fn only_what_was_signed_is_read() {
        let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSource: x\n- -dash: 1\n\n-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";
        let one = parse_one(signed).unwrap();
        assert_eq!((one.get("Source"), one.get("-dash")), (Some("x"), Some("1")));
        assert!(parse(&format!("{signed}Evil: 1\n")).unwrap_err().contains("after the signature"));
    }
}
