//! Lists of tests for a project at another path: suites name programs and directories by absolute paths.

use std::collections::BTreeMap;
use std::path::Path;

use drydock_base::units::JobName;
use drydock_config::jobs::ListedTest;

/// The lists with the path of the project on this machine in the place of that where they were made.
pub(super) fn lists(
    lists: &BTreeMap<JobName, Vec<ListedTest>>,
    from: &Path,
    to: &Path,
) -> BTreeMap<JobName, Vec<ListedTest>> {
    let mut lists = lists.clone();
    let (Some(from), Some(to)) = (from.to_str(), to.to_str()) else { return lists };
    if from == to || from.len() < 2 {
        return lists;
    }
    for test in lists.values_mut().flatten() {
        test.argv.iter_mut().for_each(|word| *word = moved(word, from, to));
        test.env.values_mut().for_each(|value| *value = moved(value, from, to));
        test.directory = moved(&test.directory, from, to);
    }
    lists
}

/// The text with one path in the place of another, where that is a whole path or the beginning of one.
fn moved(text: &str, from: &str, to: &str) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || "._-+@/~".contains(letter);
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find(from) {
        let (before, found) = rest.split_at(position);
        let after = &found[from.len()..];
        let previous = before.chars().next_back().or_else(|| done.chars().next_back());
        let begins = !previous.is_some_and(is_part);
        let ends = after.starts_with('/') || !after.chars().next().is_some_and(is_part);
        done.push_str(before);
        done.push_str(if begins && ends { to } else { from });
        rest = after;
    }
    done.push_str(rest);
    done
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn only_whole_paths_are_moved() {
        for (text, expected) in [
            ("/a/b", "/x"),
            ("/a/b/c", "/x/c"),
            ("--dir=/a/b", "--dir=/x"),
            ("/bin:/a/b/bin:/a/b", "/bin:/x/bin:/x"),
            ("/a/bc", "/a/bc"),
            ("/z/a/b", "/z/a/b"),
            ("/a/b-old/x", "/a/b-old/x"),
            ("", ""),
        ] {
            assert_eq!(moved(text, "/a/b", "/x"), expected, "{text}");
        }
    }
}
