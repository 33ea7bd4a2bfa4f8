//! Notes from the messages of commits: conventional ones by their type, others by their trailer `Changelog: KIND`.

use std::collections::BTreeSet;

use super::{ChangeKind, Note};

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitMessage {
    /// The author's name.
    pub author: String,
    /// The whole message.
    pub message: String,
    /// Whether it has several parents.
    pub is_merge: bool,
}

/// The notes of commits, the oldest first, and the subjects of those that have none.
///
/// Merges say again what their commits say, so only their pull request's number is taken, for a note with the same text. A commit that was
/// reverted, and the commit that reverts it, have no note.
pub fn from_commits(commits: &[CommitMessage]) -> (Vec<Note>, Vec<String>) {
    let (mut notes, mut silent): (Vec<Note>, Vec<String>) = (Vec::new(), Vec::new());
    let reverted: Vec<&str> = commits.iter().filter_map(|one| reverts(subject(one))).collect();
    for commit in commits {
        let subject = subject(commit);
        if commit.is_merge {
            let title = commit.message.lines().skip(1).map(str::trim).find(|line| !line.is_empty());
            let number = subject.strip_prefix("Merge pull request #").and_then(leading_number);
            if let (Some(title), Some(number)) = (title, number) {
                let title = parsed(title).map_or(title, |(_, text)| text);
                notes.iter_mut().filter(|note| note.text == title).for_each(|note| {
                    note.numbers.insert(number);
                });
            }
            continue;
        }
        if reverts(subject).is_some() || reverted.contains(&subject) {
            continue;
        }
        let (plain, number) = without_number(subject);
        let breaking = trailers(&commit.message, "BREAKING CHANGE").next().is_some();
        let by_trailer = trailers(&commit.message, "Changelog").find_map(|word| ChangeKind::from_word(word.trim()));
        let Some((kind, text)) = by_trailer.map(|kind| (kind, plain)).or_else(|| parsed(plain)) else {
            silent.push(subject.to_owned());
            continue;
        };
        let kind = if breaking { ChangeKind::Breaking } else { kind };
        let closes = ["Closes", "Fixes", "Resolves"].into_iter();
        let closed = closes
            .flat_map(|key| trailers(&commit.message, key))
            .filter_map(|text| leading_number(text.trim_start_matches('#')));
        let co = trailers(&commit.message, "Co-authored-by")
            .map(|who| who.split('<').next().unwrap_or(who).trim().to_owned());
        notes.push(Note {
            kind,
            text: capitalised(text),
            numbers: number.into_iter().chain(closed).collect(),
            authors: [commit.author.clone()]
                .into_iter()
                .chain(co)
                .filter(|name| !is_a_bot(name))
                .collect::<BTreeSet<_>>(),
        });
    }
    (notes, silent)
}

fn subject(commit: &CommitMessage) -> &str {
    commit.message.lines().next().unwrap_or_default().trim()
}

/// The subject that `Revert "…"` takes back.
fn reverts(subject: &str) -> Option<&str> {
    let rest = subject.strip_prefix("Revert \"").or_else(|| subject.strip_prefix("revert: "))?;
    Some(rest.split_once("\" (#").map_or_else(|| rest.trim_end_matches('"'), |(inner, _)| inner))
}

/// The kind and text of `type(scope)!: text`.
fn parsed(subject: &str) -> Option<(ChangeKind, &str)> {
    let (head, text) = subject.split_once(": ")?;
    let is_breaking = head.ends_with('!');
    let head = head.trim_end_matches('!');
    let word = head.split('(').next()?;
    if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) || (head.contains('(') && !head.ends_with(')')) {
        return None;
    }
    let kind = if is_breaking { ChangeKind::Breaking } else { ChangeKind::from_word(word)? };
    Some((kind, text.trim()))
}

/// A subject without the number of a pull request that GitHub adds: `Text (#12)`.
fn without_number(subject: &str) -> (&str, Option<u64>) {
    let found = subject.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (#"));
    match found.and_then(|(text, number)| Some((text, number.parse().ok()?))) {
        Some((text, number)) => (text, Some(number)),
        None => (subject, None),
    }
}

fn leading_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The values of a trailer: lines `KEY: VALUE` of the message below its first line.
fn trailers<'a>(message: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    message.lines().skip(1).filter_map(move |line| {
        let (found, value) = line.split_once(':').or_else(|| line.split_once(" #"))?;
        found.trim().eq_ignore_ascii_case(key).then_some(value.trim())
    })
}

fn is_a_bot(name: &str) -> bool {
    name.is_empty() || name.ends_with("[bot]")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_say_what_users_read() {
        let commit = |author: &str, message: &str| CommitMessage {
            author: author.into(),
            message: message.into(),
            is_merge: message.starts_with("Merge "),
        };
        let (notes, silent) = from_commits(&[
            commit(
                "Alice",
                "feat(ui): a button (#7)\n\nLong text: with a colon.\n\nCo-authored-by: Carol <c@x>\nCo-authored-by: dependabot[bot] <d@x>",
            ),
            commit("Alice", "Merge pull request #8 from a/b\n\nfeat(ui): a button"),
            commit("Bob", "fix: a crash\n\nFixes #3"),
            commit("Bob", "fix: a bad idea"),
            commit("Bob", "Revert \"fix: a bad idea\"\n\nThis reverts commit 0."),
            commit("Bob", "perf!: other defaults"),
            commit("Bob", "Reword the manual\n\nChangelog: changed"),
            commit("Bob", "ci: newer runners"),
            commit("Bob", "Tidy: up"),
            commit("Bob", "feat: new keys\n\nBREAKING CHANGE: old keys are refused"),
        ]);
        let shown: Vec<String> = notes
            .iter()
            .map(|one| format!("{}: {} {:?} {:?}", one.kind.heading(), one.text, one.numbers, one.authors))
            .collect();
        assert_eq!(
            shown,
            [
                "Added: A button {7} {\"Alice\", \"Carol\"}",
                "Fixed: A crash {3} {\"Bob\"}",
                "Breaking changes: Other defaults {} {\"Bob\"}",
                "Changed: Reword the manual {} {\"Bob\"}",
                "Breaking changes: New keys {} {\"Bob\"}",
            ]
        );
        assert_eq!(silent, ["ci: newer runners", "Tidy: up"]);
    }
}
