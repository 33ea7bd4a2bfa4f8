//! Commands that start valgrind by themselves, which is seen in their words.

use super::PlannedJob;
use drydock_valgrind::around::is_launcher;
use drydock_valgrind::stack::base_name;
use std::path::Path;

/// Makes a job whose command starts valgrind one that Drydock does not start under valgrind as well.
pub(super) fn recognise(job: &mut PlannedJob) {
    let tool = &job.tool;
    // Its options come in a variable, which is split at blanks.
    let has_blank = [&tool.args, &tool.reduced_args, &tool.skip_children]
        .into_iter()
        .flatten()
        .any(|word| word.contains(char::is_whitespace));
    if tool.kind.is_valgrind() && !tool.by_suite && !has_blank && starts_valgrind(&job.argv) {
        let tool = job.tool_mut();
        tool.by_suite = true;
        tool.recognised = true;
    }
}

/// Whether valgrind is the command, or what a program is given that runs others: `libtool --mode=execute valgrind ./x`,
/// `env A=1 valgrind ./x`, `sh -c 'valgrind ./x'`.
fn starts_valgrind(argv: &[String]) -> bool {
    let Some((first, rest)) = argv.split_first() else { return false };
    let runs_others = || is_launcher(Path::new(first)) || base_name(first) == "libtool";
    is_valgrind(first) || runs_others() && rest.iter().any(|word| is_valgrind(word) || runs_in_shell(word))
}

fn is_valgrind(word: &str) -> bool {
    base_name(word) == "valgrind"
}

/// Whether a shell would run valgrind: its name is where a command begins.
fn runs_in_shell(text: &str) -> bool {
    let mut begins = true;
    for word in text.split_inclusive(|c: char| c.is_whitespace() || ";&|(".contains(c)) {
        let name = word.trim_end_matches(|c: char| c.is_whitespace() || ";&|(".contains(c));
        if begins && is_valgrind(name) && name.len() < text.len() {
            return true;
        }
        let ends = word.ends_with([';', '&', '|', '(', '\n']);
        let goes_on =
            name.is_empty() || name.contains('=') || ["exec", "then", "do", "else", "if", "!"].contains(&name);
        begins = ends || begins && goes_on;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valgrind_is_recognised_where_a_command_runs_it() {
        for (command, expected) in [
            ("valgrind ./x", true),
            ("/usr/bin/valgrind -q ./x", true),
            ("./libtool --mode=execute valgrind ./x", true),
            ("env A=1 timeout 5 valgrind ./x", true),
            ("sh -c|valgrind ./x", true),
            ("sh -c|set -e; A=1 exec valgrind -q ./x", true),
            ("sh -c|if valgrind ./x; then exit 1; fi", true),
            ("sh -c|command -v valgrind", false),
            ("sh -c|echo valgrind; ./x", false),
            ("sh -c|grep -r valgrind .", false),
            ("echo valgrind", false),
            ("./tests/valgrind.sh", false),
            ("make check-valgrind", false),
            ("make VALGRIND=valgrind", false),
        ] {
            let words = command.split_once('|').map_or_else(
                || command.split(' ').map(str::to_owned).collect::<Vec<_>>(),
                |(before, text)| before.split(' ').map(str::to_owned).chain([text.to_owned()]).collect(),
            );
            assert_eq!(starts_valgrind(&words), expected, "{command}");
        }
    }
}
