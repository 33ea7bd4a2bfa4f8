//! What tested a commit, and what a token may do.

use drydock_http::Method;
use serde_json::json;

use super::Api;
use crate::checks::{CheckRun, CommitStatus};
use crate::error::Error;

impl Api {
    /// The newest check runs of a commit: jobs of GitHub Actions and of other apps.
    ///
    /// # Errors
    /// [`Error`].
    pub fn check_runs(&self, commit: &str) -> Result<Vec<CheckRun>, Error> {
        self.list(&format!("commits/{commit}/check-runs"), &[("filter", "latest")], "check_runs")
    }

    /// The newest status of a commit in each context, as services without an app set them.
    ///
    /// # Errors
    /// [`Error`].
    pub fn statuses(&self, commit: &str) -> Result<Vec<CommitStatus>, Error> {
        self.list(&format!("commits/{commit}/status"), &[], "statuses")
    }

    /// Checks that the token may write releases, without writing one: GitHub makes notes of a release, which it does not keep,
    /// only for tokens with `contents: write`.
    ///
    /// # Errors
    /// The token is not valid, or may not do it.
    pub fn may_write_releases(&self, tag: &str) -> Result<(), Error> {
        self.change(&Method::POST, "releases/generate-notes", &json!({"tag_name": tag})).map(drop)
    }
}
