//! Lines on standard error about waits for a server, and which servers have responded so far.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use drydock_base::{output, units};

use crate::printable;
use crate::retry::RetryPolicy;

/// The hosts that a client sent requests to, by their authority.
#[derive(Default)]
pub(crate) struct Hosts {
    responded: Mutex<HashSet<String>>,
    /// The last reason that was printed for each, so that parallel requests print one line.
    printed: Mutex<HashMap<String, String>>,
}

impl Hosts {
    /// Records a response.
    pub(crate) fn respond(&self, authority: &str) {
        let mut responded = self.responded.lock().unwrap_or_else(PoisonError::into_inner);
        if !responded.contains(authority) {
            responded.insert(authority.to_owned());
        }
    }

    /// Records a response that is no reason to wait.
    pub(crate) fn succeed(&self, authority: &str) {
        self.respond(authority);
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).remove(authority);
    }

    /// The most attempts for a request that gets no response.
    pub(crate) fn tries(&self, authority: &str, policy: &RetryPolicy) -> u32 {
        let responded = self.responded.lock().unwrap_or_else(PoisonError::into_inner).contains(authority);
        if responded { policy.tries } else { policy.first_tries }
    }

    /// Prints why there is a wait, unless the last line about that host gave the same reason.
    pub(crate) fn announce(&self, authority: &str, reason: &str, wait: Wait) {
        let reason = printable(reason);
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.get(authority) != Some(&reason) {
            output::announce(line(authority, &reason, wait));
            printed.insert(authority.to_owned(), reason);
        }
    }
}

/// The wait of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// The server asks for it.
    Requested(Duration),
    /// All waits of the attempts that are left.
    AtMost(Duration),
}

fn line(authority: &str, reason: &str, wait: Wait) -> String {
    match wait {
        Wait::Requested(wait) => format!("trying {authority} again in {}, as it asks: {reason}", units::human(wait)),
        Wait::AtMost(wait) => format!("trying {authority} again for up to {}: {reason}", units::human(wait)),
    }
}

/// Prints that a server has not responded so far.
pub(crate) fn announce_silence(authority: &str, elapsed: Duration, limit: Duration) {
    let (elapsed, limit) = (units::human(elapsed), units::human(limit));
    output::announce(format_args!("waiting for {authority}: no response for {elapsed}; the limit is {limit}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_the_host_the_reason_and_the_time() {
        let refused = line("127.0.0.1:1", "Connection refused", Wait::AtMost(Duration::from_millis(1500)));
        assert_eq!(refused, "trying 127.0.0.1:1 again for up to 1.5s: Connection refused");
        let busy = line("r.example", "429 Too Many Requests", Wait::Requested(Duration::from_secs(7)));
        assert_eq!(busy, "trying r.example again in 7s, as it asks: 429 Too Many Requests");
    }

    #[test]
    fn a_host_that_never_responded_is_tried_less_often() {
        let (hosts, policy) = (Hosts::default(), RetryPolicy::default());
        assert_eq!(hosts.tries("a", &policy), 3);
        hosts.respond("a");
        assert_eq!((hosts.tries("a", &policy), hosts.tries("b", &policy)), (6, 3));
    }
}
