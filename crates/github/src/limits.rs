//! When GitHub asks to wait, and how long. Source: "Rate limits for the REST API" and "Best practices" of its manual.

use std::time::Duration;

use drydock_http::{Response, RetryPolicy};
use jiff::Timestamp;
use serde::Deserialize;

/// The least wait after a secondary limit that names none; it doubles with each.
const SECONDARY: Duration = Duration::from_secs(60);

/// The content of a refusal.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RefusalBody {
    /// The reason in words.
    #[serde(default)]
    pub(crate) message: String,
    /// The page of the manual about it.
    #[serde(default)]
    documentation_url: String,
}

/// What a response says about limits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) status: u16,
    /// `retry-after`.
    retry_after: Option<Duration>,
    /// `x-ratelimit-remaining`.
    remaining: Option<u64>,
    /// The time until `x-ratelimit-reset`, plus a second for clocks that differ.
    reset: Option<Duration>,
}

impl Asked {
    pub(crate) fn new(response: &Response, now: Timestamp) -> Asked {
        let number = |name: &str| response.header(name)?.trim().parse::<i64>().ok();
        let reset = number("x-ratelimit-reset").map(|at| {
            let seconds = at.saturating_sub(now.as_second()).saturating_add(1).max(1);
            Duration::from_secs(seconds.unsigned_abs())
        });
        Asked {
            status: response.status,
            retry_after: response.retry_after(now),
            remaining: number("x-ratelimit-remaining").and_then(|left| u64::try_from(left).ok()),
            reset,
        }
    }

    /// The wait before another try, after `tried` of them; `None` if this is a refusal that no wait changes.
    pub(crate) fn wait(&self, body: &RefusalBody, tried: u32, policy: &RetryPolicy, again: bool) -> Option<Duration> {
        let second = Duration::from_secs(1);
        let by_manual = ["rate-limit", "abuse"].iter().any(|page| body.documentation_url.contains(page));
        match self.status {
            403 | 429 => match (self.retry_after, self.remaining, self.reset) {
                (Some(wait), _, _) => Some(wait.max(second)),
                (None, Some(0), Some(reset)) => Some(reset),
                _ if self.status == 429 || by_manual => {
                    Some(SECONDARY.saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1).min(6))))
                }
                _ => None,
            },
            500 | 502 | 503 | 504 if again => Some(self.retry_after.unwrap_or_else(|| policy.wait(tried)).max(second)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_response_asks_for_is_what_is_waited_for() {
        let seconds = Duration::from_secs;
        let policy = RetryPolicy::default();
        let none = Asked::default();
        let secondary =
            "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits";
        for (asked, page, tried, expected) in [
            (Asked { status: 403, retry_after: Some(seconds(37)), ..none }, "", 1, Some(37)),
            (Asked { status: 429, retry_after: Some(seconds(0)), ..none }, "", 1, Some(1)),
            (Asked { status: 403, remaining: Some(0), reset: Some(seconds(90)), ..none }, "", 1, Some(90)),
            (Asked { status: 403, remaining: Some(7), reset: Some(seconds(90)), ..none }, "", 1, None),
            (Asked { status: 403, remaining: Some(7), ..none }, secondary, 1, Some(60)),
            (Asked { status: 403, ..none }, secondary, 3, Some(240)),
            (Asked { status: 429, ..none }, "", 2, Some(120)),
            (Asked { status: 403, ..none }, "https://docs.github.com/rest/actions/workflow-jobs", 1, None),
            (Asked { status: 502, ..none }, "", 1, Some(1)),
            (Asked { status: 503, retry_after: Some(seconds(9)), ..none }, "", 1, Some(9)),
            (Asked { status: 404, remaining: Some(0), reset: Some(seconds(9)), ..none }, "", 1, None),
        ] {
            let body = RefusalBody { documentation_url: page.into(), ..RefusalBody::default() };
            let waited = asked.wait(&body, tried, &policy, true).map(|wait| wait.as_secs());
            assert_eq!(waited, expected, "{asked:?} {page} {tried}");
        }
        let body = RefusalBody::default();
        assert!(
            Asked { status: 502, ..none }.wait(&body, 1, &policy, false).is_none(),
            "not for what may be done already"
        );
    }
}
