//! Requests over HTTP, with limits in time and size, retries where a retry is safe, and errors that name the request and
//! never a secret.
//!
//! RFC 9110 says which requests may be sent again (9.2.2) and how long to wait (10.2.3, Retry-After). Redirects are not
//! followed here: the caller decides what may go to another host.

mod client;
mod error;
mod error_body;
mod failure;
mod network_env;
mod request;
mod response;
mod retry;
mod url;
mod waiting;

pub use client::Client;
pub use error::{Error, is_passing, is_unanswered, short_reason};
pub use network_env::{NetworkEnv, Proxy, Roots};
pub use request::{Content, Request};
pub use reqwest::Method;
pub use reqwest::header::HeaderMap;
pub use response::Response;
pub use retry::{Clock, Retry, RetryPolicy, WallClock};
pub use url::{Url, is_loopback};

/// Foreign text for a message, on one line of at most 400 characters.
pub fn printable(text: &str) -> String {
    drydock_base::text::one_line(text, 400)
}
