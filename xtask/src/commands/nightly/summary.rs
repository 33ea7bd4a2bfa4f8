//! The one summary of a night: for a person, for a program, and for the page of a run on GitHub.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::record::{Outcome, Pushed, Record};
use drydock_base::units;

/// For a person.
pub(super) fn text(record: &Record) -> String {
    let mut text = format!("{} {} of {} ({:.12})", record.result.word(), record.version, record.name, record.commit);
    if !record.why.is_empty() {
        text.push_str(&format!("\n  because {}", record.why));
    }
    for step in &record.steps {
        let time = if step.reused { "before".to_owned() } else { time(step.milliseconds) };
        text.push_str(&format!("\n  {:<15} {time:>8}  {}", step.step, step.found));
    }
    for (image, pushed) in &record.images {
        text.push_str(&format!("\n  image {image}: {}@{}", pushed.repository, pushed.digest));
        if !pushed.tags.is_empty() {
            text.push_str(&format!("\n    {}", pushed.tags.join(", ")));
        }
    }
    if record.result == Outcome::Published && record.tag.is_some() {
        text.push_str("\n  this is the build of a release: `cargo xtask docker promote` makes it one");
    }
    if let Some(failure) = &record.failure {
        text.push_str(&format!("\n  {}", failure.replace('\n', "\n  ")));
        text.push_str(&format!("\n  {}; the same command goes on from here", standing(record)));
    }
    text
}

/// What is published after a step failed.
fn standing(record: &Record) -> &'static str {
    let took = |word: &str| record.steps.iter().any(|step| step.step == word);
    let is_tagged = |pushed: &Pushed| !pushed.tags.is_empty();
    match (took("tags") || (record.images.is_empty() && took("upload")), took("upload")) {
        (true, _) => "this nightly is published, as all that failed comes after",
        (false, false) if !record.images.values().any(is_tagged) => "the last nightly stays as it was",
        (false, true | false) => "a part of this nightly is published",
    }
}

/// For a page of GitHub. What comes from outside cannot become markup: it is escaped or quoted.
pub(super) fn markdown(record: &Record) -> String {
    let mut text = format!("## Nightly {}: {}\n\n", plain(&record.version), record.result.word());
    text.push_str(&format!("{} at `{}`", plain(&record.name), record.commit));
    let why = if record.why.is_empty() { String::new() } else { format!(", because {}", plain(&record.why)) };
    text.push_str(&format!("{why}\n"));
    if !record.steps.is_empty() {
        text.push_str("\n| step | time | result |\n|---|---:|---|\n");
    }
    for step in &record.steps {
        let time = if step.reused { "before".to_owned() } else { time(step.milliseconds) };
        text.push_str(&format!("| {} | {time} | {} |\n", step.step, plain(&step.found)));
    }
    for (image, pushed) in &record.images {
        let tags = pushed.tags.join("`, `");
        text.push_str(&format!("\n- {}: `{}@{}` `{tags}`", plain(image), pushed.repository, pushed.digest));
    }
    if let Some(failure) = &record.failure {
        let fence = "~".repeat(4 + failure.matches('~').count());
        text.push_str(&format!("\n{fence}text\n{failure}\n{fence}\nAfter this, {}.\n", standing(record)));
    }
    text + "\n"
}

/// Adds it to the page that GitHub shows.
pub(super) fn append(record: &Record, page: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write the summary to {}", page.display());
    let mut file = OpenOptions::new().create(true).append(true).open(page).with_context(cannot)?;
    file.write_all(markdown(record).as_bytes()).with_context(cannot)
}

fn time(milliseconds: u64) -> String {
    units::human(Duration::from_millis(milliseconds))
}

/// Without what Markdown or HTML would take for something.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '@' => plain.extend(['\\', letter]),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\n' | '\r' => plain.push(' '),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::record::Taken;
    use super::*;
    use std::collections::BTreeMap;

    fn record() -> Record {
        let taken = |step: &str, reused: bool, milliseconds: u64, found: &str| Taken {
            step: step.into(),
            reused,
            milliseconds,
            found: found.into(),
        };
        Record {
            format: 1,
            name: "lanternd".into(),
            version: "0.4.0-0.nightly20260701.7.g0123456".into(),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            tag: None,
            started: 1,
            why: "the nightly of lanternd is 0.3.0, made of another commit".into(),
            result: Outcome::Published,
            failure: None,
            steps: vec![taken("sources", true, 0, "4 archives"), taken("images", false, 61_500, "a | b")],
            images: BTreeMap::from([(
                "lanternd".to_owned(),
                Pushed {
                    repository: "registry.example/n".into(),
                    digest: "sha256:00".into(),
                    tags: vec!["sha-0123".into(), "nightly".into()],
                },
            )]),
        }
    }

    #[test]
    fn a_person_sees_what_came_of_each_step() {
        insta::assert_snapshot!(text(&record()), @r"
        published 0.4.0-0.nightly20260701.7.g0123456 of lanternd (0123456789ab)
          because the nightly of lanternd is 0.3.0, made of another commit
          sources           before  4 archives
          images             1m 2s  a | b
          image lanternd: registry.example/n@sha256:00
            sha-0123, nightly
        ");
        let failed = |steps: &[&str], tagged: bool| {
            let mut failed =
                Record { result: Outcome::Failed, failure: Some("images: it printed\nsomething".into()), ..record() };
            let taken = |step: &&str| Taken { step: (*step).into(), reused: false, milliseconds: 1, found: "".into() };
            failed.steps = steps.iter().map(taken).collect();
            if !tagged {
                failed.images.values_mut().for_each(|pushed| pushed.tags.clear());
            }
            failed
        };
        assert!(text(&failed(&["sources"], false)).ends_with(
            "images: it printed\n  something\n  the last nightly stays as it was; the same command goes on from here"
        ));
        for (steps, tagged, expected) in [
            (&["push"][..], false, "the last nightly stays as it was"),
            (&["push", "upload"], false, "a part of this nightly is published"),
            (&["push"], true, "a part of this nightly is published"),
            (&["push", "tags"], true, "this nightly is published"),
        ] {
            let failed = failed(steps, tagged);
            assert!(text(&failed).contains(expected) && markdown(&failed).contains(expected), "{steps:?}");
        }
    }

    #[test]
    fn nothing_becomes_markup() {
        insta::assert_snapshot!(markdown(&record()), @r"
        ## Nightly 0.4.0-0.nightly20260701.7.g0123456: published

        lanternd at `0123456789abcdef0123456789abcdef01234567`, because the nightly of lanternd is 0.3.0, made of another commit

        | step | time | result |
        |---|---:|---|
        | sources | before | 4 archives |
        | images | 1m 2s | a \| b |

        - lanternd: `registry.example/n@sha256:00` `sha-0123`, `nightly`
        ");
        let hostile = "</details><img src=x> ~~~~\n# x | `y`";
        let failed = Record { why: hostile.into(), failure: Some(hostile.into()), ..record() };
        let page = markdown(&failed);
        assert!(!page.split("~~~~~").next().unwrap().contains("<img") && page.contains("\n~~~~~~~~text\n"), "{page}");
    }
}
