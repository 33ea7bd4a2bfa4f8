//! Pages of the simple API of an index of Python packages, as JSON (PEP 691) or HTML (PEP 503).

use serde::Deserialize;

/// What a client asks for.
pub const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedFile {
    /// The name.
    pub name: String,
    /// The URL, which may be relative to that of the page.
    pub url: String,
    /// The reason why it was withdrawn, which may be empty; `None` if it was not.
    pub yanked: Option<String>,
}

/// A page that is not one of the simple API.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// It is not the JSON of PEP 691.
    #[error("it is not JSON of the simple API: {0}")]
    Json(#[from] serde_json::Error),
    /// It is neither JSON nor HTML.
    #[error("it is neither JSON nor HTML, but {0}")]
    Kind(String),
    /// The HTML does not end.
    #[error("it is not a whole page of HTML")]
    Cut,
}

#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    yanked: serde_json::Value,
}

/// The files that a page lists. `kind` is its media type.
///
/// # Errors
/// [`PageError`].
pub fn files(kind: &str, content: &[u8]) -> Result<Vec<IndexedFile>, PageError> {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.ends_with("json") {
        let page: Page = serde_json::from_slice(content)?;
        let one = |file: PageFile| IndexedFile {
            name: file.filename,
            url: file.url,
            yanked: match file.yanked {
                serde_json::Value::String(reason) => Some(reason),
                serde_json::Value::Bool(true) => Some(String::new()),
                _ => None,
            },
        };
        return Ok(page.files.into_iter().map(one).collect());
    }
    if !kind.ends_with("html") {
        return Err(PageError::Kind(kind));
    }
    let text = String::from_utf8_lossy(content);
    if !text.to_ascii_lowercase().contains("</html") {
        return Err(PageError::Cut);
    }
    Ok(anchors(&text))
}

/// The files of a page of HTML: each is an anchor.
fn anchors(text: &str) -> Vec<IndexedFile> {
    let mut files = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let is_anchor = rest.get(..1).is_some_and(|name| name.eq_ignore_ascii_case("a"))
            && rest[1..].starts_with(|letter: char| letter.is_ascii_whitespace());
        if !is_anchor {
            continue;
        }
        let attributes = attributes(&rest[1..]);
        let find = |name: &str| attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        let Some(url) = find("href") else { continue };
        let path = url.split(['#', '?']).next().unwrap_or_default();
        let name = decoded(path.rsplit('/').next().unwrap_or_default());
        if !name.is_empty() {
            files.push(IndexedFile { name, url, yanked: find("data-yanked") });
        }
    }
    files
}

/// The attributes of a tag whose name was read; names are in lower case.
fn attributes(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('>') {
        let end = rest.find(|letter: char| letter == '=' || letter == '>' || letter.is_ascii_whitespace());
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            (value, rest) = match after.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
                Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                None => {
                    let end = after.find(|letter: char| letter == '>' || letter.is_ascii_whitespace());
                    after.split_at(end.unwrap_or(after.len()))
                }
            };
        }
        found.push((name.to_ascii_lowercase(), unescaped(value)));
        rest = rest.trim_start();
    }
    found
}

/// A value without the escapes of HTML that URLs and sentences have.
fn unescaped(value: &str) -> String {
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&amp;", "&")];
    escapes.iter().fold(value.to_owned(), |value, (from, to)| value.replace(from, to))
}

/// A part of a path without percent signs.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(code) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_page_are_read() {
        let json = br#"{"meta": {"api-version": "1.1"}, "name": "p", "files": [
            {"filename": "p-1.0.tar.gz", "url": "https://h/p-1.0.tar.gz", "hashes": {}, "yanked": false},
            {"filename": "p-0.9.tar.gz", "url": "p-0.9.tar.gz", "yanked": "broken"}]}"#;
        let html = b"<!DOCTYPE html><html><body><a\n HREF=\"https://h/p-1.0.tar.gz#sha256=00\" >p</a><br>\
            <A data-yanked='broken' href=p-0.9.tar.gz>p-0.9.tar.gz</A><abbr href=x></abbr></body></html>";
        let expected = [("p-1.0.tar.gz", None), ("p-0.9.tar.gz", Some("broken".to_owned()))];
        for (kind, content) in
            [("application/vnd.pypi.simple.v1+json", json.as_slice()), ("text/html; charset=utf-8", html.as_slice())]
        {
            let found = files(kind, content).unwrap();
            let found: Vec<(&str, Option<String>)> =
                found.iter().map(|file| (file.name.as_str(), file.yanked.clone())).collect();
            assert_eq!(found, expected, "{kind}");
        }
        let odd = b"<html><a href='/packages/p%2Bx-1.0.tar.gz?a=1&amp;b=2#sha256=0' data-yanked>p</a></html>";
        let found = &files("text/html", odd).unwrap()[0];
        assert_eq!(
            (found.name.as_str(), found.url.as_str()),
            ("p+x-1.0.tar.gz", "/packages/p%2Bx-1.0.tar.gz?a=1&b=2#sha256=0")
        );
        assert_eq!(found.yanked.as_deref(), Some(""));
    }

    #[test]
    fn what_is_not_a_whole_page_is_refused() {
        for (kind, content) in [
            ("text/html", b"<html><a href=p-1.0.tar.gz>".as_slice()),
            ("application/json", b"{\"files\": [".as_slice()),
            ("application/json", b"{}".as_slice()),
            ("text/plain", b"p-1.0.tar.gz".as_slice()),
        ] {
            assert!(files(kind, content).is_err(), "{kind}");
        }
    }
}
