//! One vocabulary: terms that were retired, and what replaced them.
//!
//! Lines are compared word by word: `is_in_folder`, `Folder` and `folder's` all hold the word `folder`. In plain words and
//! in the names of types, functions and variables alike, so that whoever greps for a term finds all of it.

use super::Breach;

/// A retired term, as lower-case words, and what to write instead.
const RETIRED: [(&str, &str); 44] = [
    ("folder", "directory"),
    ("folders", "directories"),
    ("diet", "reduced checking"),
    ("rung", "retry step"),
    ("rungs", "retry steps"),
    ("ladder", "escalation"),
    ("twin", "varied rebuild"),
    ("twins", "varied rebuilds"),
    ("night", "nightly (a run, a build)"),
    ("nights", "nightlies"),
    ("tonight", "this nightly"),
    ("watcher", "reporter"),
    ("patience", "retry policy"),
    ("memory group", "cgroup"),
    ("memory groups", "cgroups"),
    ("set aside", "reserved"),
    ("sets aside", "reserves"),
    ("light tag", "lightweight tag"),
    ("file of logins", "credentials file"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("lend", "mount from another repository"),
    ("lends", "mounts from another repository"),
    ("lent", "mounted from another repository"),
    ("stands on", "is based on"),
    ("stands in", "is in"),
    ("stood in", "was in"),
    ("be had", "be available"),
    ("came to an end", "finished"),
    ("came to its end", "finished"),
    ("comes to an end", "finishes"),
    ("come to an end", "finish"),
    ("it tells", "name who or what reports it"),
    ("is told", "is reported"),
    ("are told", "are reported"),
    ("is no address", "is not a valid address"),
    ("is no file", "is not a file"),
    ("is no directory", "is not a directory"),
    ("is no name", "is not a name"),
    ("is no number", "is not a number"),
    ("is no path", "is not a path"),
    ("is no valid", "is not a valid"),
    ("it is no", "it is not a"),
];

/// Documentation that says nothing.
const RIDDLES: [&str; 7] = ["What.", "Which.", "Why.", "How.", "Who.", "Its name.", "As it says."];

/// The breaches in a text, code or prose.
pub(super) fn breaches(text: &str) -> Vec<Breach> {
    let retired: Vec<(Vec<&str>, &str)> =
        RETIRED.iter().map(|(term, instead)| (term.split(' ').collect(), *instead)).collect();
    let mut breaches = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words = words(line);
        for (term, instead) in &retired {
            // "There is no file" is plain English; "it is no file" is not.
            let found = words.windows(term.len()).enumerate().any(|(at, window)| {
                let after_there = at > 0 && words[at - 1] == "there" && term[0] == "is";
                !after_there && window.iter().zip(term).all(|(word, term)| word == term)
            });
            if found {
                let rule = format!("`{}` is a retired term; write: {instead}", term.join(" "));
                breaches.push(Breach { line: index + 1, rule });
            }
        }
        let comment = line.trim_start().trim_start_matches('/').trim_start_matches('!').trim();
        if line.trim_start().starts_with("//") && RIDDLES.contains(&comment) {
            let rule = format!("`{comment}` documents nothing; write a sentence about the thing");
            breaches.push(Breach { line: index + 1, rule });
        }
        if names_a_sentence(line) {
            let rule = "a sentence as the name of an unused value; write `.ok();` and a comment that says why";
            breaches.push(Breach { line: index + 1, rule: rule.into() });
        }
    }
    breaches
}

/// The words of a line in lower case: `isInFolder`, `is_in_folder` and `is in folder's` have the word `folder`.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = ' ';
    for letter in line.chars() {
        if letter.is_alphanumeric() {
            let starts = !previous.is_alphanumeric() || letter.is_uppercase() && previous.is_lowercase();
            match words.last_mut() {
                Some(word) if !starts => word.extend(letter.to_lowercase()),
                Some(_) | None => words.push(letter.to_lowercase().collect()),
            }
        }
        previous = letter;
    }
    words
}

/// `let _another_reaper_was_quicker = …`
fn names_a_sentence(line: &str) -> bool {
    let name = line.trim_start().strip_prefix("let _").and_then(|rest| rest.split([' ', ':', '=']).next());
    name.is_some_and(|name| name.matches('_').count() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_term_is_found_in_names_messages_and_comments() {
        for (line, count) in [
            ("let folder = 1;", 1),
            ("fn in_the_folder() {}", 1),
            ("struct SourceFolder;", 1),
            ("const FOLDER: u8 = 1;", 1),
            ("// the folder's owner", 1),
            ("bail!(\"`x` is no directory\")", 1),
            ("bail!(\"there is no directory `x`\")", 0),
            ("/// What.", 1),
            ("let _another_reaper_was_quicker = f();", 1),
            ("manifold, nightly, directory, amended, midnight, spending", 0),
            ("let _lock = f();", 0),
            ("let _drop_guard = f();", 0),
        ] {
            assert_eq!(breaches(line).len(), count, "{line}: {:?}", breaches(line));
        }
    }

    #[test]
    fn every_retired_term_is_one_that_can_be_found() {
        for (term, _) in RETIRED {
            assert_eq!(words(term).join(" "), term);
            assert!(!breaches(term).is_empty(), "{term}");
        }
    }
}
