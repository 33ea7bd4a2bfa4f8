//! The format of control files: paragraphs of fields, as in `debian/control`, `.dsc` and `.changes`.
//!
//! deb822(5), and OpenPGP clear signatures (RFC 4880, section 7) around it.

/// The most bytes that are read of a control file.
pub const MAX_SIZE: u64 = 10 << 20;

/// Fields with their values, in order. Names are case-insensitive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// A paragraph without fields.
    pub fn new() -> Paragraph {
        Paragraph::default()
    }

    /// The value of a field: its lines without their leading space, the first line trimmed.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// The value of a field on one line; `None` if it is blank.
    pub fn line(&self, name: &str) -> Option<String> {
        let words: Vec<&str> = self.get(name)?.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The non-blank lines of a value, trimmed.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get(name).unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// Adds a field, or replaces its value in place.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.fields.iter_mut().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    /// Adds a field if there is a value for it.
    pub fn set_some(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Removes a field.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The paragraph as text, each field on lines of its own.
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

/// Why a control file cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A line is invalid.
    #[error("line {line}: {problem}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// The problem in words.
        problem: String,
    },
    /// The clear signature is incomplete.
    #[error("the clear signature is incomplete")]
    IncompleteSignature,
    /// The signed text has a clear signature itself.
    #[error("it is signed twice")]
    SignedTwice,
    /// There is text after the signature, which is not signed.
    #[error("unsigned text after the signature")]
    UnsignedText,
    /// One paragraph is expected, and there is none.
    #[error("there is no paragraph")]
    Empty,
    /// One paragraph is expected, and there are more.
    #[error("there is more than one paragraph")]
    SeveralParagraphs,
}

/// Parses all paragraphs. Comments are skipped, and so is a clear signature, which is not verified.
///
/// # Errors
/// [`ControlError`]
pub fn parse(text: &str) -> Result<Vec<Paragraph>, ControlError> {
    let mut paragraphs = Vec::new();
    let mut current = Paragraph::new();
    for (number, line) in signed_text(text)?.lines().enumerate() {
        let wrong = |problem: &str| Err(ControlError::Line { line: number + 1, problem: problem.to_owned() });
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !current.fields.is_empty() {
                paragraphs.push(std::mem::take(&mut current));
            }
        } else if line.starts_with([' ', '\t']) {
            let Some((_, value)) = current.fields.last_mut() else {
                return wrong("there is no field before this continuation line");
            };
            value.push('\n');
            // A single dot stands for an empty line.
            value.push_str(if line.trim() == "." { "" } else { &line[1..] });
        } else {
            let Some((name, value)) = line.split_once(':') else {
                return wrong("a `:` is missing after the field's name");
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return wrong("the field's name is invalid");
            }
            if current.get(name).is_some() {
                return wrong(&format!("duplicate field `{name}`"));
            }
            current.fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    if !current.fields.is_empty() {
        paragraphs.push(current);
    }
    Ok(paragraphs)
}

/// Parses a file that must have exactly one paragraph.
///
/// # Errors
/// [`ControlError`]
pub fn parse_one(text: &str) -> Result<Paragraph, ControlError> {
    let mut paragraphs = parse(text)?;
    match paragraphs.pop() {
        Some(one) if paragraphs.is_empty() => Ok(one),
        Some(_) => Err(ControlError::SeveralParagraphs),
        None => Err(ControlError::Empty),
    }
}

/// Whether a text is clear-signed.
pub fn is_signed(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end).skip_while(|line| line.is_empty());
    lines.next() == Some("-----BEGIN PGP SIGNED MESSAGE-----") && lines.any(|line| line == SIGNATURE)
}

/// The line before a signature. Spaces and a carriage return after such lines do not count, for gpg and dpkg neither.
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

/// The text that a clear signature covers; the whole text without one.
fn signed_text(text: &str) -> Result<String, ControlError> {
    if !is_signed(text) {
        return Ok(text.to_owned());
    }
    let mut lines = text.trim_start().lines().skip(1);
    // A line of spaces ends the header, too. Other headers than these are refused by gpg, or change what is signed.
    let mut header = lines.by_ref().take_while(|line| !line.trim().is_empty());
    if !header.all(|line| ["Hash:", "Charset:", "Comment:", "Version:"].iter().any(|name| line.starts_with(name))) {
        return Err(ControlError::IncompleteSignature);
    }
    let mut body = String::new();
    loop {
        match lines.next() {
            Some(line) if line.trim_end() == SIGNATURE => break,
            Some(line) => body.extend([line.strip_prefix("- ").unwrap_or(line), "\n"]),
            None => return Err(ControlError::IncompleteSignature),
        }
    }
    if !lines.any(|line| line.trim_end() == "-----END PGP SIGNATURE-----") {
        return Err(ControlError::IncompleteSignature);
    }
    if lines.any(|line| !line.trim().is_empty()) {
        return Err(ControlError::UnsignedText);
    }
    if is_signed(&body) { Err(ControlError::SignedTwice) } else { Ok(body) }
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
    fn errors_have_line_numbers() {
        for (text, why) in [
            (" x\n", "line 1: there is no field before this continuation line"),
            ("a: 1\nb\n", "line 2: a `:` is missing after the field's name"),
            ("a: 1\nA: 2\n", "line 2: duplicate field `A`"),
            ("a b: 1\n", "line 1: the field's name is invalid"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn only_what_was_signed_is_read() {
        let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSource: x\n- -dash: 1\n\n-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";
        let one = parse_one(signed).unwrap();
        assert_eq!((one.get("Source"), one.get("-dash")), (Some("x"), Some("1")));
        assert_eq!(parse(&format!("{signed}Evil: 1\n")), Err(ControlError::UnsignedText));
        let escaped: String =
            signed.lines().map(|line| format!("{}{line}\n", if line.starts_with('-') { "- " } else { "" })).collect();
        let end = "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";
        let twice = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{escaped}\n{end}");
        assert_eq!(parse(&twice), Err(ControlError::SignedTwice));
        assert_eq!(parse(&signed.replace("-----END", "-----")), Err(ControlError::IncompleteSignature));
        assert_eq!(
            parse(&signed.replace("Hash: SHA512\n\n", "Hash: SHA512\n")),
            Err(ControlError::IncompleteSignature)
        );
        // As mail programs and editors leave it.
        for spelling in [
            signed.replace('\n', "\r\n"),
            signed.replace("MESSAGE-----", "MESSAGE----- \t").replace("SIGNATURE-----", "SIGNATURE----- "),
            signed.replace("SHA512\n\n", "SHA512\n \t\n"),
            format!("\n{signed}\n\n"),
        ] {
            assert!(is_signed(&spelling) && parse_one(&spelling).as_ref() == Ok(&one), "{spelling}");
        }
        // What dpkg reads first is not skipped.
        let two = signed.replace("SHA512\n\n", "SHA512\n \nSource: evil\n\n");
        assert_eq!(parse(&two).unwrap()[0].get("Source"), Some("evil"));
    }
}
