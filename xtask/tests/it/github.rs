//! GitHub: the output for a runner of GitHub Actions, and requests to its API.

mod commands;
mod executed;
pub(crate) mod fake;
mod runner_output;
mod setup;
mod workflows;
