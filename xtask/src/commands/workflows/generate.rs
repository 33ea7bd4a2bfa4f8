//! Workflows for GitHub Actions, made of what is known of a project. A pure function: facts → files.

use std::path::PathBuf;

/// Actions of GitHub, each at the commit of a release.
const ACTIONS: [(&str, &str); 6] = [
    ("@CHECKOUT@", "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"),
    ("@UPLOAD@", "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2"),
    ("@DOWNLOAD@", "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0"),
    ("@RESTORE@", "actions/cache/restore@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3"),
    ("@SAVE@", "actions/cache/save@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3"),
    ("@SCRIPT@", "actions/github-script@60a0d83039c74a4aee543508d2ffcb1c3799cdea # v7.0.1"),
];

/// What the workflows of a project depend on.
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
    /// The releases, if the project declares some.
    pub(crate) release: Option<ReleaseFacts>,
    /// The nightly build.
    pub(crate) nightly: NightlyFacts,
}

impl Default for WorkflowFacts {
    fn default() -> Self {
        WorkflowFacts {
            command: "drydock".into(),
            setup: "$/.github/actions/setup".into(),
            branch: "main".into(),
            duration: "10m".into(),
            release: None,
            nightly: NightlyFacts::Suites,
        }
    }
}

/// Releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleaseFacts {
    /// The glob of their tags, such as `v*`.
    pub(crate) tags: String,
    /// Whether they are published on GitHub, so that a draft is made.
    pub(crate) draft: bool,
}

/// What the nightly workflow does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NightlyFacts {
    /// All test suites.
    Suites,
    /// All test suites; and sources, packages and images are built and proved.
    Builds,
    /// The same, and images are pushed to GitHub's registry.
    Pushes,
}

/// A workflow and its path in the project.
pub(crate) type WorkflowFile = (PathBuf, String);

/// The workflows of a project.
pub(crate) fn generate(facts: &WorkflowFacts) -> Vec<WorkflowFile> {
    let file = |name: &str, template: &str| (PathBuf::from(".github/workflows").join(name), fill(template, facts));
    let mut files =
        vec![file("ci.yml", include_str!("templates/ci.yml")), file("rerun.yml", include_str!("templates/rerun.yml"))];
    files.push(file("nightly.yml", include_str!("templates/nightly.yml")));
    if facts.release.is_some() {
        files.push(file("release.yml", include_str!("templates/release.yml")));
    }
    files
}

/// A template with the facts in it. What is between a line `#[NAME` and a line `#]` is there only where the fact of that name holds.
fn fill(template: &str, facts: &WorkflowFacts) -> String {
    let holds = |name: &str| match name {
        "DRAFT" => facts.release.as_ref().is_some_and(|release| release.draft),
        "BUILDS" => facts.nightly != NightlyFacts::Suites,
        _ => facts.nightly == NightlyFacts::Pushes,
    };
    let mut text = String::with_capacity(template.len());
    let mut open: Vec<bool> = Vec::new();
    for line in template.lines() {
        if let Some(name) = line.trim_start().strip_prefix("#[") {
            open.push(holds(name));
        } else if line.trim_start() == "#]" {
            open.pop();
        } else if open.iter().all(|holds| *holds) {
            text.push_str(line);
            text.push('\n');
        }
    }
    let tags = facts.release.as_ref().map_or("", |release| release.tags.as_str());
    let own = [
        ("@DRYDOCK@", facts.command.as_str()),
        ("@SETUP@", &facts.setup),
        ("@BRANCH@", &facts.branch),
        ("@DURATION@", &facts.duration),
        ("@TAGS@", tags),
    ];
    for (name, value) in ACTIONS.into_iter().chain(own) {
        text = text.replace(name, value);
    }
    text
}
