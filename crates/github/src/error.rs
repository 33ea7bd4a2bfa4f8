//! Errors of GitHub's API.

use std::time::Duration;

/// The ways in which a request to GitHub does not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No response came, it cannot be read, or the client cannot be made.
    #[error(transparent)]
    Http(#[from] drydock_http::Error),
    /// GitHub refused.
    #[error("GitHub refused {request}: {status}{}{}", said(.message), last(.remedy))]
    Refused {
        /// The method and the address, without its query.
        request: String,
        /// The status, 400 or above.
        status: u16,
        /// GitHub's own words; empty if there are none.
        message: String,
        /// The remedy; empty if none is known.
        remedy: &'static str,
    },
    /// GitHub asks to wait longer than the caller may.
    #[error("GitHub's rate limit is used up; it asks to wait {} s before {request}; try again later, or use a token with a higher limit", .wait.as_secs())]
    Limited {
        /// The method and the address.
        request: String,
        /// The wait.
        wait: Duration,
    },
    /// A response is not what the API promises.
    #[error("unexpected response to {request}: {problem}")]
    Protocol {
        /// The method and the address.
        request: String,
        /// The defect.
        problem: String,
    },
    /// What the user asked for is not possible.
    #[error("{0}")]
    Usage(String),
    /// The settings cannot be used.
    #[error("{0}")]
    Setup(String),
    /// Something did not happen within the time that the user gave.
    #[error("{0}")]
    TooLate(String),
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn last(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("; {remedy}") }
}
