//! When a request is sent again, and after which wait.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// Limits of attempts and waits.
#[derive(Clone)]
pub struct RetryPolicy {
    /// The most attempts for one request.
    pub tries: u32,
    /// The most attempts for one request while its host has never responded: there may be no server at all.
    pub first_tries: u32,
    /// The wait before the second try; it doubles with each.
    pub first_wait: Duration,
    /// The longest wait. If a server asks for more, the request is not sent again.
    pub longest_wait: Duration,
    /// The time within which a connection has to be made.
    pub connect: Duration,
    /// The time within which the server has to send the head of a response, or more of its content. An upload gets more
    /// by its length.
    pub silence: Duration,
    /// The time without a response after which a line says what is waited for.
    pub notice: Duration,
    /// The clock that waits are measured by.
    pub clock: Arc<dyn Clock>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            tries: 6,
            first_tries: 3,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(120),
            notice: Duration::from_secs(10),
            clock: Arc::new(WallClock),
        }
    }
}

/// A clock, so that tests need not wait.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, wait: Duration);
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, wait: Duration) {
        std::thread::sleep(wait);
    }
}

impl RetryPolicy {
    /// The wait after `tried` attempts: it doubles with each, up to [`RetryPolicy::longest_wait`].
    pub fn wait(&self, tried: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(tried.saturating_sub(1));
        self.first_wait.saturating_mul(doubled).min(self.longest_wait)
    }

    /// The wait after `tried` attempts, where the server may have asked for one. `None` when there is no further try.
    pub fn again(&self, tried: u32, asked: Option<Duration>) -> Option<Duration> {
        match asked {
            _ if tried >= self.tries => None,
            Some(asked) if asked > self.longest_wait => None,
            Some(asked) => Some(asked.max(self.first_wait)),
            None => Some(self.wait(tried)),
        }
    }
}

/// The conditions under which a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// After any failure: sending it twice does no harm.
    Always,
    /// Only when the server says that it did nothing (429, 503).
    Refused,
    /// Never; the caller handles failures itself.
    Never,
}

impl Retry {
    /// Whether a response of this status is a reason to send the request again.
    pub(crate) fn applies_to(self, status: u16) -> bool {
        match self {
            Retry::Always => matches!(status, 429 | 500 | 502 | 503 | 504),
            Retry::Refused => matches!(status, 429 | 503),
            Retry::Never => false,
        }
    }
}
