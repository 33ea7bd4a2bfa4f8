//! Summaries of a nightly: as text, and as Markdown for GitHub's page of a run.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::record::{NightlyRecord, Outcome, PushedImage};
use drydock_base::hint;
use drydock_base::units;

/// The reason why a nightly that passed was not published.
const NOTHING_PUBLISHED: &str = "nothing was published, because no place is declared: an image with a nightly repository in \
    docker/images.yaml, or `nightly: {upload: …}` in packaging/release.yaml";

/// The summary as text.
pub(super) fn text(record: &NightlyRecord) -> String {
    let mut text = format!("{} {} of {} ({:.12})", record.result.word(), record.version, record.name, record.commit);
    if let Some(why) = why(record) {
        text.push_str(&format!("\n  {why}"));
    }
    for step in &record.steps {
        let time = if step.reused { "reused".to_owned() } else { time(step.milliseconds) };
        text.push_str(&format!("\n  {:<15} {time:>8}  {}", step.step, step.summary));
    }
    for (image, pushed) in &record.images {
        text.push_str(&format!("\n  image {image}: {}@{}", pushed.repository, pushed.digest));
        if !pushed.tags.is_empty() {
            text.push_str(&format!("\n    {}", pushed.tags.join(", ")));
        }
    }
    if record.unpublished {
        text.push_str(&format!("\n  {NOTHING_PUBLISHED}"));
    }
    if record.result == Outcome::Published && record.tag.is_some() && !record.images.is_empty() {
        let promote = hint::drydock(&["docker", "promote"]);
        text.push_str(&format!("\n  this is the build of a release; publish its images with `{promote}`"));
    }
    if let Some(failure) = &record.failure {
        text.push_str(&format!("\n  {}", failure.replace('\n', "\n  ")));
        text.push_str(&format!("\n  {}; run the same command to continue", state_of_publication(record)));
    }
    text
}

/// Why it was built or not built, which is no reason for a failure.
fn why(record: &NightlyRecord) -> Option<String> {
    let what = match record.result {
        Outcome::Skipped => "not built",
        Outcome::Running | Outcome::Failed | Outcome::Built | Outcome::Proved | Outcome::Published => "built",
    };
    (!record.reason.is_empty()).then(|| format!("{what} because {}", record.reason))
}

/// A sentence about what is published after a step failed.
fn state_of_publication(record: &NightlyRecord) -> &'static str {
    let completed = |name: &str| record.steps.iter().any(|step| step.step == name);
    let is_tagged = |pushed: &PushedImage| !pushed.tags.is_empty();
    if completed("tags") || (record.images.is_empty() && completed("upload")) {
        "this nightly is published"
    } else if completed("upload") || record.images.values().any(is_tagged) {
        "this nightly is partly published"
    } else {
        "the last nightly is unchanged"
    }
}

/// The summary as Markdown for GitHub. Text from outside is escaped or quoted, so that it cannot become markup.
pub(super) fn markdown(record: &NightlyRecord) -> String {
    let mut text = format!("## Nightly {}: {}\n\n", escape(&record.version), record.result.word());
    text.push_str(&format!("{} at `{}`", escape(&record.name), record.commit));
    let why = why(record).map_or_else(String::new, |why| format!(", {}", escape(&why)));
    text.push_str(&format!("{why}\n"));
    if record.unpublished {
        text.push_str(&format!("\n{}.\n", escape(NOTHING_PUBLISHED)));
    }
    if !record.steps.is_empty() {
        text.push_str("\n| step | time | result |\n|---|---:|---|\n");
    }
    for step in &record.steps {
        let time = if step.reused { "reused".to_owned() } else { time(step.milliseconds) };
        text.push_str(&format!("| {} | {time} | {} |\n", step.step, escape(&step.summary)));
    }
    for (image, pushed) in &record.images {
        let tags = pushed.tags.join("`, `");
        text.push_str(&format!("\n- {}: `{}@{}` `{tags}`", escape(image), pushed.repository, pushed.digest));
    }
    if let Some(failure) = &record.failure {
        let fence = "~".repeat(4 + failure.matches('~').count());
        text.push_str(&format!("\n{fence}text\n{failure}\n{fence}\nState: {}.\n", state_of_publication(record)));
    }
    text + "\n"
}

/// Appends the Markdown summary to the file that GitHub shows.
pub(super) fn append(record: &NightlyRecord, page: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write the summary to {}", page.display());
    let mut file = OpenOptions::new().create(true).append(true).open(page).with_context(cannot)?;
    file.write_all(markdown(record).as_bytes()).with_context(cannot)
}

fn time(milliseconds: u64) -> String {
    units::human(Duration::from_millis(milliseconds))
}

/// Escapes what Markdown or HTML would interpret.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '@' => escaped.extend(['\\', letter]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::record::StepRecord;
    use super::*;
    use std::collections::BTreeMap;

    fn record() -> NightlyRecord {
        let step = |step: &str, reused: bool, milliseconds: u64, summary: &str| StepRecord {
            step: step.into(),
            reused,
            milliseconds,
            summary: summary.into(),
        };
        NightlyRecord {
            format: 1,
            name: "lanternd".into(),
            version: "0.4.0-0.nightly20260701.7.g0123456".into(),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            tag: None,
            started: 1,
            reason: "the nightly of lanternd is 0.3.0, built from another commit".into(),
            result: Outcome::Published,
            unpublished: false,
            failure: None,
            steps: vec![step("sources", true, 0, "4 archives"), step("images", false, 61_500, "a | b")],
            images: BTreeMap::from([(
                "lanternd".to_owned(),
                PushedImage {
                    repository: "registry.example/n".into(),
                    digest: "sha256:00".into(),
                    tags: vec!["sha-0123".into(), "nightly".into()],
                },
            )]),
        }
    }

    #[test]
    fn the_text_has_the_result_of_each_step() {
        insta::assert_snapshot!(text(&record()), @r"
        published 0.4.0-0.nightly20260701.7.g0123456 of lanternd (0123456789ab)
          built because the nightly of lanternd is 0.3.0, built from another commit
          sources           reused  4 archives
          images             1m 2s  a | b
          image lanternd: registry.example/n@sha256:00
            sha-0123, nightly
        ");
        let failed = |steps: &[&str], tagged: bool| {
            let mut failed = NightlyRecord {
                result: Outcome::Failed,
                failure: Some("images: it printed\nsomething".into()),
                ..record()
            };
            let step = |step: &&str| StepRecord {
                step: (*step).into(),
                reused: false,
                milliseconds: 1,
                summary: String::new(),
            };
            failed.steps = steps.iter().map(step).collect();
            if !tagged {
                failed.images.values_mut().for_each(|pushed| pushed.tags.clear());
            }
            failed
        };
        assert!(text(&failed(&["sources"], false)).ends_with(
            "images: it printed\n  something\n  the last nightly is unchanged; run the same command to continue"
        ));
        for (steps, tagged, expected) in [
            (&["push"][..], false, "the last nightly is unchanged"),
            (&["push", "upload"], false, "this nightly is partly published"),
            (&["push"], true, "this nightly is partly published"),
            (&["push", "tags"], true, "this nightly is published"),
        ] {
            let failed = failed(steps, tagged);
            assert!(text(&failed).contains(expected) && markdown(&failed).contains(expected), "{steps:?}");
        }
    }

    #[test]
    fn hostile_text_is_escaped() {
        insta::assert_snapshot!(markdown(&record()), @r"
        ## Nightly 0.4.0-0.nightly20260701.7.g0123456: published

        lanternd at `0123456789abcdef0123456789abcdef01234567`, built because the nightly of lanternd is 0.3.0, built from another commit

        | step | time | result |
        |---|---:|---|
        | sources | reused | 4 archives |
        | images | 1m 2s | a \| b |

        - lanternd: `registry.example/n@sha256:00` `sha-0123`, `nightly`
        ");
        let hostile = "</details><img src=x> ~~~~\n# x | `y`";
        let failed = NightlyRecord { reason: hostile.into(), failure: Some(hostile.into()), ..record() };
        let page = markdown(&failed);
        assert!(!page.split("~~~~~").next().unwrap().contains("<img") && page.contains("\n~~~~~~~~text\n"), "{page}");
    }
}
