//! GitHub: the output for a runner of GitHub Actions, and requests to its API.

mod commands;
mod executed;
mod fake;
mod runner_output;
mod workflows;
