//! GitHub: the output for a runner of GitHub Actions, and requests to its API.

mod commands;
mod fake;
mod runner_output;
