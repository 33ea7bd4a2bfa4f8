//! Identifiers of runs.

use std::hash::{BuildHasher as _, RandomState};

/// The identifier of a run that begins now: the time and a random number. It also names cgroups and marks processes of the machine,
/// so it must differ from those of runs with other state directories; in containers, they all may have the same process id.
pub(super) fn new() -> String {
    let random = RandomState::new().hash_one(std::process::id()) & 0xff_ffff;
    format!("{}-{random:06x}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn runs_that_begin_at_once_differ() {
        let some: HashSet<String> = (0..50).map(|_| super::new()).collect();
        assert!(some.len() >= 49, "{some:?}");
    }
}
