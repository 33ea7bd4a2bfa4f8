//! Errors of requests.

use std::time::Duration;

use reqwest::Method;

use crate::error_body;
use crate::url::Url;

/// The ways in which a request does not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client or a request cannot be made: a certificate file, a proxy, a header.
    #[error("{0}")]
    Setup(String),
    /// No response came, or it cannot be read.
    #[error("{method} {url}: no response{}: {reason}", attempts(*.tried))]
    NoResponse {
        /// The method.
        method: Method,
        /// The address, shown without its query.
        url: Box<Url>,
        /// The number of attempts.
        tried: u32,
        /// The reason with its remedy.
        reason: Box<str>,
    },
    /// The content of a response is cut, longer than allowed, or does not end.
    #[error("the response to {method} {url} {reason}")]
    BadContent {
        /// The method.
        method: Method,
        /// The address, shown without its query.
        url: Box<Url>,
        /// The defect, as the end of a sentence about the response.
        reason: Box<str>,
    },
    /// The server refused.
    #[error("{method} {url}: {}{}{}{}", error_body::status(*.status), said(.message), wait(*.retry_after), last(.remedy))]
    Refused {
        /// The method.
        method: Method,
        /// The address, shown without its query.
        url: Box<Url>,
        /// The status, 400 or above, or one that was not expected.
        status: u16,
        /// The error message of the server, fit for a terminal.
        message: Option<Box<str>>,
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
        /// The remedy; empty when none is known.
        remedy: Box<str>,
    },
}

fn attempts(tried: u32) -> String {
    if tried > 1 { format!(" to {tried} attempts") } else { String::new() }
}

fn said(message: &Option<Box<str>>) -> String {
    message.as_ref().map_or_else(String::new, |message| format!(": {message}"))
}

fn wait(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!("; the server asks to wait {} s", wait.as_secs()))
}

fn last(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("; {remedy}") }
}

/// Whether the same request may succeed a little later: no response, a cut one, or a server that is busy or broken for a while.
pub fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Error>() {
        Some(Error::NoResponse { .. } | Error::BadContent { .. }) => true,
        Some(Error::Refused { status, .. }) => matches!(status, 408 | 425 | 429 | 500..),
        Some(Error::Setup(_)) | None => false,
    }
}

/// Whether an error is that no response came, as opposed to a response that is a refusal.
pub fn is_unanswered(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Error>(), Some(Error::NoResponse { .. }))
}

/// The part of an error that a line about another attempt gives as its reason: without the request.
pub fn short_reason(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Error>() {
        Some(Error::NoResponse { reason, .. } | Error::BadContent { reason, .. }) => reason.to_string(),
        Some(Error::Refused { status, .. }) => error_body::status(*status),
        Some(Error::Setup(_)) | None => format!("{error:#}"),
    }
}
