//! Consumers of the event stream.

use std::time::Duration;

use super::event::Stamped;
use super::run::Run;
use drydock_base::units::JobName;

pub mod explain;
pub mod findings;
pub mod html;
pub mod json;
pub mod junit;
pub mod summary;
pub mod suppressions;
pub mod terminal;

/// A job that is running now.
#[derive(Debug, Clone)]
pub struct Live {
    /// The job.
    pub job: JobName,
    /// Since its start.
    pub elapsed: Duration,
    /// Its memory in bytes at the last sample.
    pub bytes: u64,
    /// Whether it is being ended.
    pub ending: bool,
}

/// Whoever watches a run while it goes on.
pub trait Watcher: Send {
    /// After each event; `run` holds its effect.
    fn event(&mut self, event: &Stamped, run: &Run);
    /// A few times a second.
    fn progress(&mut self, live: &[Live], run: &Run);
}
