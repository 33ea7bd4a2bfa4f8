//! Builds of a package in a personal package archive, and what their states mean.

use serde::{Deserialize, Serialize};

/// A version that the archive has in a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The SHA-256 checksum of its `.dsc`, with the signature; none if Launchpad did not say it.
    pub dsc: Option<String>,
    /// The status: `Pending`, `Published`, `Superseded`, `Deleted` or `Obsolete`.
    pub status: String,
    /// Its builds; none before Launchpad has made them.
    pub builds: Vec<Build>,
}

/// A build of a package in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Build {
    /// The Debian architecture.
    #[serde(rename = "arch_tag", default)]
    pub architecture: String,
    /// The state: `Successfully built`, `Failed to build`, `Needs building` …
    #[serde(rename = "buildstate", default)]
    pub state: String,
    /// The URL of the build log.
    #[serde(rename = "build_log_url", default)]
    pub log: Option<String>,
    /// The URL of the log of the upload of what was built.
    #[serde(rename = "upload_log_url", default, skip_serializing_if = "Option::is_none")]
    pub upload_log: Option<String>,
    /// The build dependencies that are missing, as in `Build-Depends`.
    #[serde(rename = "dependencies", default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The URL of the build's page.
    #[serde(rename = "web_link", default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It goes on by itself.
    Waiting,
    /// It ended well.
    Done,
    /// It ended otherwise, or goes on only when somebody does something.
    Failed,
}

/// The states of Launchpad's `BuildStatus`, with what they mean and what to do.
const STATES: [(&str, Progress, &str); 12] = [
    ("Needs building", Progress::Waiting, ""),
    ("Currently building", Progress::Waiting, ""),
    ("Gathering build output", Progress::Waiting, ""),
    ("Uploading build", Progress::Waiting, ""),
    ("Cancelling build", Progress::Waiting, ""),
    ("Successfully built", Progress::Done, ""),
    ("Failed to build", Progress::Failed, "read the log"),
    ("Dependency wait", Progress::Failed, "upload the missing build dependencies to the archive, or drop them"),
    ("Chroot problem", Progress::Failed, "retry the build on its page, or ask Launchpad's administrators"),
    ("Build for superseded Source", Progress::Failed, "a newer version took its place before it was built"),
    ("Failed to upload", Progress::Failed, "read the log of the upload"),
    ("Cancelled build", Progress::Failed, "retry the build on its page"),
];

impl Build {
    /// How far it is. A state that Drydock does not know is no success.
    pub fn progress(&self) -> Progress {
        let known = STATES.iter().find(|(state, ..)| *state == self.state);
        known.map_or(Progress::Waiting, |(_, progress, _)| *progress)
    }

    /// The architecture and the state, and what helps if it failed.
    pub fn summary(&self) -> String {
        let mut text = format!("{}: {}", self.architecture, self.state);
        if self.progress() != Progress::Failed {
            return text;
        }
        let missing = self.missing.as_ref().map(|missing| format!("misses {missing}"));
        let logs = [&self.upload_log, &self.log, &self.page];
        let log = logs.into_iter().flatten().next().cloned();
        let remedy = STATES.iter().find(|(state, ..)| *state == self.state).map(|(.., remedy)| (*remedy).to_owned());
        for part in [missing, remedy, log].into_iter().flatten() {
            text.push_str(&format!("; {part}"));
        }
        text
    }
}

impl Publication {
    /// How far its builds are. Without builds it is waited for them.
    pub fn progress(&self) -> Progress {
        let all: Vec<Progress> = self.builds.iter().map(Build::progress).collect();
        if !all.is_empty() && all.iter().all(|one| *one == Progress::Done) {
            return Progress::Done;
        }
        if self.is_gone() {
            return Progress::Failed;
        }
        match all.contains(&Progress::Waiting) || all.is_empty() {
            true => Progress::Waiting,
            false => Progress::Failed,
        }
    }

    /// Whether the archive no longer offers it, so that Launchpad does not go on building it.
    pub fn is_gone(&self) -> bool {
        ["Superseded", "Deleted", "Obsolete"].contains(&self.status.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(status: &str, states: &[&str]) -> Publication {
        let build = |state: &&str| {
            serde_json::from_value(serde_json::json!({"arch_tag": "amd64", "buildstate": state})).unwrap()
        };
        Publication { dsc: None, status: status.to_owned(), builds: states.iter().map(build).collect() }
    }

    #[test]
    fn only_builds_that_all_succeeded_are_a_success() {
        for (status, states, progress) in [
            ("Pending", &[] as &[&str], Progress::Waiting),
            ("Published", &["Successfully built", "Successfully built"], Progress::Done),
            ("Published", &["Successfully built", "Needs building"], Progress::Waiting),
            ("Published", &["Failed to build", "Uploading build"], Progress::Waiting),
            ("Published", &["Failed to build", "Successfully built"], Progress::Failed),
            ("Published", &["Dependency wait"], Progress::Failed),
            ("Published", &["Some new state"], Progress::Waiting),
            ("Published", &[""], Progress::Waiting),
            ("Superseded", &["Successfully built"], Progress::Done),
            ("Superseded", &["Needs building"], Progress::Failed),
            ("Superseded", &["Build for superseded Source"], Progress::Failed),
            ("Deleted", &[], Progress::Failed),
        ] {
            assert_eq!(publication(status, states).progress(), progress, "{status} {states:?}");
        }
    }
}
