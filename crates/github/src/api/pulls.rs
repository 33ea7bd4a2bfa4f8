//! Pull requests, as far as release notes need them.

use serde::Deserialize;

use super::Api;
use crate::error::Error;

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PullRequest {
    /// The number, which is also its id in lists.
    pub number: u64,
    /// The title.
    pub title: String,
    /// Who opened it; none if the account is gone.
    pub user: Option<User>,
    /// Its labels.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// The time at which it was merged; none if it was not.
    #[serde(default)]
    pub merged_at: Option<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The login.
    pub login: String,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// The name.
    #[serde(default)]
    pub name: String,
}

impl Api {
    /// The pull requests that brought a commit.
    ///
    /// # Errors
    /// [`Error`].
    pub fn pulls_of(&self, commit: &str) -> Result<Vec<PullRequest>, Error> {
        self.entries(&format!("commits/{commit}/pulls"))
    }
}
