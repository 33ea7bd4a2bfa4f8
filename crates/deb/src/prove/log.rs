//! What the logs of sbuild and autopkgtest say about a failure.

/// The line of sbuild's log with which the error ends: that of dpkg-buildpackage, or the last one before the box of the summary.
pub(super) fn before_summary(log: &str) -> Option<usize> {
    let lines: Vec<&str> = log.lines().collect();
    let failed = lines.iter().position(|line| line.starts_with("dpkg-buildpackage: error"));
    let is_box = |pair: &[&str]| pair[0].starts_with("+---") && pair[1].starts_with("| Summary");
    let summary = || lines.windows(2).position(is_box)?.checked_sub(1);
    failed.or_else(summary)
}

/// The last 30 lines of a log, up to and including the line at `end`, indented after the first.
pub(super) fn tail(log: &str, end: Option<usize>) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let end = end.map_or(lines.len(), |at| at + 1);
    lines[end.saturating_sub(30)..end].join("\n  ")
}

/// What the first failed test printed, or the end of the log if no test began. autopkgtest marks both ends of a test's output, and its
/// result follows. Without dpkg's progress.
pub(super) fn failed_test(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("(Reading database ... ")).collect();
    let is_failed = |pair: &[&str]| {
        pair[0].ends_with(" results - - - - - - - - - -") && pair[1].split_whitespace().nth(1) == Some("FAIL")
    };
    let Some(end) = lines.windows(2).position(is_failed) else { return tail(&lines.join("\n"), None) };
    let begin =
        lines[..end].iter().rposition(|line| line.ends_with(": [-----------------------")).map_or(0, |at| at + 1);
    let own: Vec<&str> = lines[begin..end].iter().filter(|line| !line.starts_with("autopkgtest [")).copied().collect();
    tail(&own.join("\n"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_shown_and_not_the_summary_of_sbuild() {
        let summary =
            format!("\n+---+\n| Summary |\n+---+\n{}E: Error creating chroot session\n", "a line\n".repeat(40));
        let no_room = format!("Unpacking chroot.tar\ntar: ./usr: Cannot mkdir: No space left on device\n{summary}");
        let shown = tail(&no_room, before_summary(&no_room));
        assert!(shown.contains("No space left on device") && !shown.contains("Summary"), "{shown}");
        let failed = format!("cc: error\ndpkg-buildpackage: error: debian/rules build gave 2\nmore\n{summary}");
        let shown = tail(&failed, before_summary(&failed));
        assert!(shown.ends_with("gave 2") && shown.contains("cc: error"), "{shown}");
        let cut = "W: nothing more";
        assert_eq!(tail(cut, before_summary(cut)), cut);
    }

    #[test]
    fn the_output_of_a_failed_test_is_shown_and_not_the_progress_of_dpkg() {
        let log = "(Reading database ... 5%(Reading database ... 9 files currently installed.)\nSetting up a (1) ...\n\
                   autopkgtest [09:08:03]: test one: [-----------------------\nHello\n\
                   autopkgtest [09:08:03]: test one: -----------------------]\n\
                   autopkgtest [09:08:03]: test one:  - - - - - - - - - - results - - - - - - - - - -\none                  PASS\n";
        let failed =
            log.replace("one", "two").replace("Hello", "no such file").replace("PASS", "FAIL non-zero exit status 1");
        let more = log.replace("one", "three").replace("Hello", "this passes");
        assert_eq!(failed_test(&format!("{log}{failed}{more}")), "no such file");
        assert_eq!(failed_test("(Reading database ... 5%\nE: no such package\n"), "E: no such package");
    }
}
