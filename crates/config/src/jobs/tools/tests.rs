//! Which options of valgrind are refused, and with which advice.

use super::*;

#[track_caller]
fn check(option: &str, expected: Option<&str>) {
    let problem = refusal(Tool::Memcheck, option).map(|problem| problem.help.or(problem.expected).unwrap_or_default());
    assert_eq!(problem.as_deref(), expected, "{option}");
}

#[test]
fn options_that_take_valgrind_away_are_refused() {
    for good in [
        "-q",
        "--quiet",
        "--xml=yes",
        "--error-exitcode=7",
        "--trace-children-skip-by-arg=x",
        "--track-origins=yes",
        "-v",
        "--leak-check=full",
        "--gen-suppressions=all",
        "--num-callers=40",
    ] {
        check(good, None);
    }
    let xml = Some("remove it; Drydock always asks for XML and keeps it");
    for option in ["--xml=no", "--memcheck:xml=no", "--xml-file=x", "--xml-fd=3", "--xml-user-comment=x"] {
        check(option, xml);
    }
    let log = Some("remove it; the log is in the directory of the run");
    for option in ["--log-file=x", "--log-fd=3", "--log-socket=127.0.0.1"] {
        check(option, log);
    }
    check("--tool=dhat", Some("use the key `tool` of the job"));
    check("--trace-children=no", Some("use the key `trace-children` under `tools`"));
    check("--trace-children-skip=x", Some("use the key `skip-children` under `tools`"));
    check("--massif-out-file=x", Some("remove it; the profile is in the directory of the run"));
    check("--child-silent-after-fork=yes", Some("remove it; Drydock reads the findings of each process"));
    check("--gen-suppressions=yes", Some("use `--gen-suppressions=all`"));
    check("--help-debug", Some("remove it"));
    check("--memcheck:log-file=x", log);
    check("--helgrind:log-file=x", None);
    check("tests/run", Some("options that start with `-`, with their values after `=`"));
    check("--", Some("options that start with `-`, with their values after `=`"));
}
