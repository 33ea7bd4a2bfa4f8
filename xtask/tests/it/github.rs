//! GitHub: the output for a runner of GitHub Actions, and requests to its API.

mod runner_output;
