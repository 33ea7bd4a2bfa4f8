//! Workflows for GitHub Actions, made of what is known of a project. A pure function: facts → files.

use std::path::PathBuf;

/// Actions of GitHub, each at the commit of a release.
const ACTIONS: [(&str, &str); 5] = [
    ("@CHECKOUT@", "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"),
    ("@UPLOAD@", "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2"),
    ("@DOWNLOAD@", "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0"),
    ("@RESTORE@", "actions/cache/restore@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3"),
    ("@SAVE@", "actions/cache/save@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3"),
];

/// What the workflows depend on.
#[derive(Debug, Clone)]
pub(crate) struct WorkflowFacts {
    /// The words that call Drydock in a step.
    pub(crate) command: String,
    /// The action that puts it there: `$/.github/actions/setup`, or `owner/name/.github/actions/setup@COMMIT # VERSION`.
    pub(crate) setup: String,
    /// The default branch.
    pub(crate) branch: String,
    /// The time that a shard should take, such as `10m`.
    pub(crate) duration: String,
    /// The glob of release tags, if the project declares releases.
    pub(crate) tags: Option<String>,
}

/// A workflow and its path in the project.
pub(crate) type WorkflowFile = (PathBuf, String);

/// The workflows of a project.
pub(crate) fn generate(facts: &WorkflowFacts) -> Vec<WorkflowFile> {
    let fill = |template: &str| {
        let mut text = template.to_owned();
        let own = [
            ("@DRYDOCK@", facts.command.as_str()),
            ("@SETUP@", &facts.setup),
            ("@BRANCH@", &facts.branch),
            ("@DURATION@", &facts.duration),
            ("@TAGS@", facts.tags.as_deref().unwrap_or_default()),
        ];
        for (name, value) in ACTIONS.into_iter().chain(own) {
            text = text.replace(name, value);
        }
        text
    };
    let file = |name: &str, template: &str| (PathBuf::from(".github/workflows").join(name), fill(template));
    let mut files =
        vec![file("ci.yml", include_str!("templates/ci.yml")), file("rerun.yml", include_str!("templates/rerun.yml"))];
    if facts.tags.is_some() {
        files.push(file("release.yml", include_str!("templates/release.yml")));
    }
    files
}
