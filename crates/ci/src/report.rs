//! Renderers of a [`Run`](super::run::Run), and the terminal, which follows its events.

use std::time::Duration;

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
