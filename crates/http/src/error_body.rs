//! The content of refusals: error codes and messages of registries and GitHub, and how long to wait.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::printable;

/// The errors of the OCI distribution specification (1.1, "Error Codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<One>,
}

/// One error of that list. GitHub sends one without a list.
#[derive(Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value,
}

/// The words of an error's content, on one line.
pub(super) fn words(content: &[u8]) -> Option<String> {
    let errors = match serde_json::from_slice::<Errors>(content) {
        Ok(list) => list.errors,
        Err(_) => serde_json::from_slice::<One>(content).into_iter().collect(),
    };
    let said: Vec<String> = errors
        .iter()
        .take(3)
        .map(|one| match (one.code.as_str(), one.message.as_str()) {
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}, {message}"),
        })
        .zip(&errors)
        .map(|(said, one)| match &one.detail {
            serde_json::Value::String(detail) if !detail.is_empty() => format!("{said} ({detail})"),
            detail => match system_error(detail) {
                Some(number) => {
                    let text = std::io::Error::from_raw_os_error(number).to_string();
                    format!("{said} ({})", text.split(" (os error").next().unwrap_or_default().to_lowercase())
                }
                None => said,
            },
        })
        .filter(|said| !said.is_empty())
        .collect();
    let text = if !said.is_empty() {
        said.join("; ")
    } else if content.trim_ascii_start().starts_with(b"<") {
        // An HTML page holds nothing that fits on one line.
        return None;
    } else {
        String::from_utf8_lossy(content).trim().to_owned()
    };
    (!text.is_empty()).then(|| printable(&text))
}

/// The number of an error of the registry's system, such as a full disk: docker-registry says
/// `{"Enclosed": {"Op": "write", "Err": 28}}`.
fn system_error(detail: &serde_json::Value) -> Option<i32> {
    let inner = detail.get("Enclosed").unwrap_or(detail);
    inner.get("Err")?.as_i64()?.try_into().ok()
}

/// A status with its meaning.
pub(super) fn status(code: u16) -> String {
    let meaning = reqwest::StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason());
    match meaning {
        Some(meaning) => format!("{code} {meaning}"),
        None => code.to_string(),
    }
}

/// Seconds, or a date of RFC 9110, 5.6.7.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Duration::from_secs(u64::try_from(date.as_second() - now.as_second()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_servers_are_found_and_tamed() {
        for (content, expected) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no access","detail":null},{"code":"X"}]}"#,
                Some("DENIED, no access; X"),
            ),
            (r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"disk full"}]}"#, {
                Some("UNKNOWN, unknown error (disk full)")
            }),
            (
                r#"{"errors":[{"code":"UNKNOWN","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Err":28}}}]}"#,
                Some("UNKNOWN (no space left on device)"),
            ),
            (r#"{"message":"Bad credentials","documentation_url":"x"}"#, Some("Bad credentials")),
            ("plain\x1b[31m words\n\u{202e}more", Some("plain words \u{fffd}more")),
            ("<html><h1>502</h1></html>", None),
            ("{}", Some("{}")),
            ("", None),
        ] {
            assert_eq!(words(content.as_bytes()).as_deref(), expected, "{content}");
        }
        assert_eq!(printable(&"x".repeat(9000)).chars().count(), 401);
        assert_eq!((status(404).as_str(), status(599).as_str()), ("404 Not Found", "599"));
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("99999999999", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
