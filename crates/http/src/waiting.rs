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
    /// Those of which a line said that they were silent: once is enough.
    silent: Mutex<HashSet<(String, Silence)>>,
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

    /// Prints that a server is silent, once for each host: others of the parallel requests and of the next are silent, too.
    pub(crate) fn announce_silence(&self, authority: &str, what: Silence, elapsed: Duration, limit: Duration) {
        if self.is_new_silence(authority, what) {
            output::announce(silence_line(authority, what, elapsed, limit));
        }
    }

    fn is_new_silence(&self, authority: &str, what: Silence) -> bool {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).insert((authority.to_owned(), what))
    }

    /// Whether a line said that a server is silent.
    #[cfg(test)]
    pub(crate) fn was_silent(&self, authority: &str, what: Silence) -> bool {
        self.silent.lock().unwrap().contains(&(authority.to_owned(), what))
    }
}

/// The wait of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// The server asks for it.
    Requested(Duration),
    /// The number of attempts that are left.
    Further(u32),
}

/// What does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Silence {
    /// No response comes.
    Response,
    /// The server takes no more of an upload.
    Upload,
}

fn line(authority: &str, reason: &str, wait: Wait) -> String {
    match wait {
        Wait::Requested(wait) => format!("trying {authority} again in {}, as it asks: {reason}", units::human(wait)),
        Wait::Further(1) => format!("trying {authority} once more: {reason}"),
        Wait::Further(tries) => format!("trying {authority} up to {tries} more times: {reason}"),
    }
}

fn silence_line(authority: &str, what: Silence, elapsed: Duration, limit: Duration) -> String {
    let what = match what {
        Silence::Response => "no response",
        Silence::Upload => "no progress of the upload",
    };
    format!("waiting for {authority}: {what} for {}; the limit is {}", units::human(elapsed), units::human(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_the_host_the_reason_and_the_time() {
        let refused = line("127.0.0.1:1", "Connection refused", Wait::Further(2));
        assert_eq!(refused, "trying 127.0.0.1:1 up to 2 more times: Connection refused");
        let last = line("127.0.0.1:1", "timeout", Wait::Further(1));
        assert_eq!(last, "trying 127.0.0.1:1 once more: timeout");
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

    #[test]
    fn silence_is_announced_once_for_each_host() {
        let (hosts, policy) = (Hosts::default(), RetryPolicy::default());
        let line = |what| silence_line("r.example", what, policy.notice, policy.silence);
        assert_eq!(line(Silence::Response), "waiting for r.example: no response for 10s; the limit is 2m");
        assert_eq!(line(Silence::Upload), "waiting for r.example: no progress of the upload for 10s; the limit is 2m");
        assert!(hosts.is_new_silence("a", Silence::Response) && hosts.is_new_silence("b", Silence::Response));
        assert!(!hosts.is_new_silence("a", Silence::Response));
        assert!(hosts.is_new_silence("a", Silence::Upload) && !hosts.is_new_silence("a", Silence::Upload));
        assert!(!hosts.is_new_silence("a", Silence::Response));
    }
}
