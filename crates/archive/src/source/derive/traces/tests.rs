//! What counts as a trace, and how much is read to find it.

use std::sync::Arc;

use super::*;
use crate::EntryKind;

#[test]
fn upstream_versions_and_names_of_packages() {
    for (version, expected) in
        [("1:1.2.13.dfsg-1", "1.2.13"), ("3.40.1-2+deb12u1", "3.40.1"), ("1.2.4+ds-1", "1.2.4"), ("2.36", "2.36")]
    {
        assert_eq!(upstream(version), expected);
    }
    for (package, expected) in
        [("libsqlite3-0", "sqlite"), ("python3-mako", "mako"), ("zlib1g", "zlib"), ("lowdown", "lowdown")]
    {
        assert_eq!(stems(package), [expected]);
    }
    assert!(stems("python3").is_empty());
}

fn generator() -> Generator {
    Generator {
        name: "gen".into(),
        run: vec!["gen".into()],
        inputs: Vec::new(),
        outputs: Vec::new(),
        scratch: Vec::new(),
        needs: Vec::new(),
        host_independent: true,
        copies: false,
        allow: Vec::new(),
    }
}

fn output(path: &str, text: &str) -> Output {
    Output { path: path.into(), kind: EntryKind::File { executable: false }, content: Arc::from(text.as_bytes()) }
}

fn machine() -> Machine {
    Machine { directory: "/tmp/x".into(), host: "builder-7".into(), run: 1_700_000_000..=now() }
}

#[test]
fn a_trace_is_what_the_machine_has_and_no_file_of_the_project() {
    let (generator, machine) = (generator(), machine());
    let found = |line: &str, source: &str| {
        let output = output("out", line);
        let mut search = Search::new(&machine, "lamp-tools");
        search.output(&generator, &output);
        search.source(source);
        search.problems().first().map(|problem| problem.describe(&Installed::new())).unwrap_or_default()
    };
    for (line, source, expected) in [
        ("#define ZLIB_VERSION \"1.2.13\"", "", "1.2.13 of zlib, which no file"),
        ("#define ZLIB_VERSION \"1.2.13\"", "needs zlib 1.2.13\n", ""),
        ("#define ZLIB_VERSION \"1.2.13\"", "fixed in our 1.2.13\n", "1.2.13 of zlib"),
        ("#define ZLIB_VERSION \"1.2.13\"", "needs zlib 1.2.130\n", "1.2.13 of zlib"),
        // A file of the version alone, which the output gives a name.
        ("big-lamp 1.2.13", "1.2.13\n", ""),
        ("big-lamp 1.2.13", "version = \"1.2.13\"\n", ""),
        // The project's own, from parts.
        ("lamp 1.2.13", "MAJOR = 1\nMINOR = 2\n", ""),
        // A line that was wrapped in another place.
        ("it came with zlib 1.2.13", "it came with zlib\n1.2.13 or so", ""),
        ("html5lib 1.1", "", ""),
        ("chapter 1.2.13", "", ""),
        ("made in /tmp/x/y", "/tmp/x/y", "directory"),
        ("on builder-7.", "", "host"),
        ("on builder-7.", "ask builder-7", ""),
        ("on builder-77", "", ""),
        ("at 1234567890", "", ""),
        ("at 1700000001", "", "time of the run"),
        ("at 1700000001", "1700000001", ""),
    ] {
        let said = found(line, source);
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{line} with {source:?}: {said}");
    }
}

#[test]
fn what_is_installed_explains_a_verdict_and_does_not_make_it() {
    let (generator, machine) = (generator(), machine());
    let output = output("out", "html 1.1\nzlib version 1.2.13\n");
    let mut search = Search::new(&machine, "p");
    search.output(&generator, &output);
    let package = |name: &str| vec![(name.to_owned(), stems(name))];
    let installed =
        Installed::from([("1.1".into(), package("python3-html5lib")), ("1.2.13".into(), package("zlib1g"))]);
    let problems = search.problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].describe(&installed).contains("the version 1.2.13 of the installed package zlib1g in line 2"));
    assert!(problems[0].describe(&Installed::new()).contains("1.2.13 of zlib, which no file of the project has,"));
}

/// Work is counted in lines: with five thousand outputs and as many sources, each line is read once.
#[test]
fn every_line_is_read_once() {
    let (generator, machine) = (generator(), machine());
    let outputs: Vec<Output> = (0..5000)
        .map(|number| output(&format!("out{number}"), &format!("/* foo 1.2.{number} */\nint a;\nint b;\n")))
        .collect();
    let mut search = Search::new(&machine, "p");
    outputs.iter().for_each(|output| search.output(&generator, output));
    for number in 0..5000 {
        search.source(&format!("foo 1.2.{number}\nbar\n"));
    }
    assert!(search.problems().is_empty());
    assert_eq!(search.lines, 5000 * 3 + 5000 * 2);
}
