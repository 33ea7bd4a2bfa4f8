//! The end of an attempt's main process, as the rules of judgement use it.

use super::{signal_name, signals};
use crate::evidence::{End, Evidence};
use drydock_base::text::plural;

/// `true` if the main process died of SIGKILL, the only signal that the kernel's out-of-memory killer sends.
pub(super) fn main_was_sigkilled(evidence: &Evidence) -> bool {
    matches!(evidence.end, End::Signaled { signal: signals::KILL, .. })
}

/// A predicate that follows "the main process", such as `died of SIGKILL`.
pub(super) fn end_in_words(end: &End) -> String {
    match end {
        End::Exited { code } => format!("ended with exit code {code}"),
        End::Signaled { signal, .. } => format!("died of {}", signal_name(*signal)),
        End::NotStarted { .. } => "was never started".into(),
        End::NoRecord => "left no end record".into(),
    }
}

/// A number of errors in words.
pub(super) fn errors(count: u64) -> String {
    plural(usize::try_from(count).unwrap_or(usize::MAX), "error")
}
