//! GitHub's API: runs, jobs and artifacts of GitHub Actions, and releases.
//!
//! * [`Api`] sends requests: it waits where GitHub asks for it, reads lists to their end, and follows links to files without
//!   the token.
//! * [`rerun`] runs failed jobs again and waits for their end; [`lost`] recognises a runner that went away.
//! * [`Artifacts`] writes artifacts of the run that this process is a part of.
//! * [`checks`] decides whether everything that tested a commit passed.
//! * [`Repository`] and [`RunReference`] are what users write.
//!
//! Source: GitHub's REST API, version 2022-11-28; the tests compare requests with GitHub's own description of it.

mod api;
mod artifacts;
pub mod checks;
mod error;
mod limits;
pub mod lost;
mod model;
mod pages;
mod reference;
pub mod rerun;
pub mod stand_in;
mod token;

pub use api::{Api, Asset, Label, NewRelease, PullRequest, Release, Settings, User};
pub use artifacts::{Artifacts, Runtime};
pub use error::Error;
pub use model::{Artifact, Job, Step, WorkflowRun};
pub use reference::{Repository, RunReference};
pub use token::Token;
