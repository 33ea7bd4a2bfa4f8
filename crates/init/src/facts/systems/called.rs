//! Scripts that test and that only the project's own workflows start, such as `python3 ./scripts/run-tests.py`.

use super::super::jobs::JobDraft;
use super::super::{Saw, packages};
use crate::tree::{Kind, Tree};

/// Programs that run a script, as workflows call them, and as the job does.
const INTERPRETERS: [(&str, &str); 6] =
    [("python3", "python3"), ("python", "python3"), ("sh", "sh"), ("bash", "bash"), ("perl", "perl"), ("ruby", "ruby")];

/// The endings of scripts, each with its interpreter.
const ENDINGS: [(&str, &str); 4] = [("py", "python3"), ("sh", "sh"), ("pl", "perl"), ("rb", "ruby")];

/// A call of a script in a workflow.
struct Call {
    /// The interpreter; none for a script that is executed itself.
    interpreter: Option<&'static str>,
    /// The script, relative to the project.
    script: String,
    /// Its arguments.
    args: Vec<String>,
    /// The directory that it is called in, as the workflow names it; empty for the project's own.
    directory: String,
    /// The directory of the build, as the workflow names it; none where it builds in the sources.
    build: Option<String>,
    saw: Saw,
}

/// The job of the first such script. `build` is the directory in which the project is built here; none if that is in the sources.
pub(super) fn suite(tree: &Tree, build: Option<&str>) -> Option<JobDraft> {
    let mut files = packages::with_scripts(tree).into_iter();
    let call = files.find_map(|(path, text)| {
        let mut calls = calls(tree, &path, &text);
        // Arguments may be for a build of another kind.
        let plain = calls.iter().position(|call| call.script == calls[0].script && call.args.is_empty());
        (!calls.is_empty()).then(|| calls.swap_remove(plain.unwrap_or(0)))
    })?;
    let is_built = !call.directory.is_empty() && !tree.has_directory(&call.directory);
    // Where the workflow builds in the sources, the directory of the project is that of the build.
    let in_build = is_built || call.directory.is_empty() && call.build.is_none();
    let directory = match build.filter(|_| in_build) {
        Some(build) => build.to_owned(),
        None if is_built => String::new(),
        None => call.directory.clone(),
    };
    let depth = directory.split('/').filter(|part| !part.is_empty()).count();
    let script = match depth {
        0 if call.interpreter.is_none() => format!("./{}", call.script),
        _ => "../".repeat(depth) + &call.script,
    };
    let args = call.args.into_iter().map(|word| match (build, call.build.as_deref()) {
        (Some(own), Some(other)) if word.trim_start_matches("./").trim_end_matches('/') == other => own.to_owned(),
        _ => word,
    });
    let run = call.interpreter.map(str::to_owned).into_iter().chain([script]).chain(args);
    let mut job = JobDraft::command("check", run).after(&["build"]).checked().within("1h");
    job.directory = directory;
    Some(job.because(format!(
        "saw {}: the suite is one job, since nothing lists its tests; all programs that it starts run under memcheck",
        call.saw
    )))
}

/// The calls of scripts that test, in a workflow or in a script that one calls.
fn calls(tree: &Tree, path: &str, text: &str) -> Vec<Call> {
    let mut found = Vec::new();
    let mut directory = String::new();
    let mut build: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let line_of = line.trim_start();
        let step = line_of.strip_prefix("- ");
        let code = step.unwrap_or(line_of);
        if step.is_some() {
            directory.clear();
        }
        if let Some(named) = code.strip_prefix("working-directory:") {
            plain(named).clone_into(&mut directory);
            continue;
        }
        let code = code.strip_prefix("run:").or_else(|| code.strip_prefix("script:")).unwrap_or(code);
        for command in code.split("&&").flat_map(|part| part.split([';', '|'])) {
            let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
            match words.first() {
                Some(&"cd") => plain(words.get(1).copied().unwrap_or_default()).clone_into(&mut directory),
                Some(&"cmake") => {
                    let named = words.windows(2).find(|pair| pair[0] == "-B").map(|pair| pair[1]);
                    let named = named.or_else(|| words.iter().find_map(|word| word.strip_prefix("-B"))).map(plain);
                    build = named.filter(|named| !named.is_empty()).map(str::to_owned).or(build);
                }
                Some(&"meson") => {
                    let named = words.iter().skip(1).find(|word| !word.starts_with('-') && **word != "setup");
                    build = named.filter(|_| build.is_none()).map(|named| plain(named).to_owned()).or(build);
                }
                _ => {}
            }
            if let Some((interpreter, script, args)) = script(tree, &directory, &words) {
                let saw = Saw::line(path, number + 1, line);
                found.push(Call { interpreter, script, args, directory: directory.clone(), build: build.clone(), saw });
            }
        }
    }
    found
}

/// A directory as it is compared.
fn plain(word: &str) -> &str {
    word.trim().trim_start_matches("./").trim_end_matches('/').trim_matches('.')
}

/// The interpreter, the script and its arguments, if a command starts a script of the project whose name says that it tests.
fn script(tree: &Tree, directory: &str, words: &[&str]) -> Option<(Option<&'static str>, String, Vec<String>)> {
    let is_before = |word: &&&str| word.contains('=') || ["sudo", "time", "-"].contains(*word);
    let words = &words[words.iter().take_while(is_before).count()..];
    let first = *words.first()?;
    let known = INTERPRETERS.iter().find(|(name, _)| *name == first).map(|(_, own)| *own);
    // A variable has the name of an interpreter that the ending of the script tells.
    let of_ending = || {
        let (_, end) = words.get(1)?.rsplit_once('.')?;
        ENDINGS.iter().find(|(known, _)| *known == end).map(|(_, own)| *own)
    };
    let known = known.or_else(|| first.strip_prefix('$').and_then(|_| of_ending()));
    let words = if known.is_some() { &words[1..] } else { words };
    let named = *words.first()?;
    let is_path = known.is_some() || named.starts_with("./") || named.starts_with("../");
    if !is_path || words.iter().any(|word| word.contains(['$', '`', '<', '>', '*'])) {
        return None;
    }
    let path = resolved(directory, named)?;
    let stem = path.rsplit('/').next()?.split('.').next()?.to_ascii_lowercase();
    let says = ["test", "tests", "runtest", "runtests", "unittest", "unittests", "testsuite", "check", "regress"];
    // These look at the sources.
    let other = [
        "style",
        "lint",
        "format",
        "formatting",
        "spelling",
        "spell",
        "typos",
        "license",
        "licenses",
        "copyright",
        "whitespace",
        "docs",
        "links",
        "commit",
        "commits",
        "changelog",
        "version",
        "includes",
        "symbols",
        "abi",
    ];
    let mut parts = stem.split(['-', '_']);
    let is_test = parts.clone().any(|part| says.contains(&part)) && !parts.any(|part| other.contains(&part));
    let runs = matches!(tree.kind(&path), Some(Kind::File { executable }) if executable || known.is_some());
    (is_test && runs).then(|| (known, path, words[1..].iter().map(|word| (*word).to_owned()).collect()))
}

/// A path relative to the project, from one relative to a directory; none outside of the project.
fn resolved(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(workflow: &str, build: Option<&str>) -> Option<String> {
        let files = [
            (".github/workflows/ci.yml", workflow),
            ("tests/check-c-style.sh", "#!/bin/sh\n"),
            ("scripts/run-tests.py", "import sys\n"),
            ("tests/check.sh", "#!/bin/sh\n"),
            ("scripts/deploy.sh", "#!/bin/sh\n"),
        ];
        let job = suite(&Tree::from_texts(files), build)?;
        Some(format!("{} in {:?}", job.run.join(" "), job.directory))
    }

    #[test]
    fn a_script_runs_where_the_workflow_runs_it() {
        for (workflow, build, expected) in [
            (
                "- run: cmake .\n- run: python3 ./scripts/run-tests.py\n",
                Some("build"),
                "python3 ../scripts/run-tests.py in \"build\"",
            ),
            (
                "- run: make\n- run: $PY ./scripts/run-tests.py --suffix=_d\n- run: $PY ./scripts/run-tests.py\n",
                None,
                "python3 scripts/run-tests.py in \"\"",
            ),
            ("- run: make\n- run: python scripts/run-tests.py -v\n", None, "python3 scripts/run-tests.py -v in \"\""),
            (
                "- run: cmake -B out\n- run: |\n    A=1 ./tests/check.sh out/\n",
                Some("build"),
                "./tests/check.sh build in \"\"",
            ),
            (
                "- run: mkdir out && cd out && cmake ..\n  x: y\n- run: cd out && ../tests/check.sh\n",
                Some("build/x"),
                "../../tests/check.sh in \"build/x\"",
            ),
            (
                "- run: cmake -S . -B out\n- working-directory: out\n  run: sh ../tests/check.sh\n",
                Some("build"),
                "sh ../tests/check.sh in \"build\"",
            ),
            ("- run: cmake -B out\n- run: cd tests; ./check.sh\n", Some("build"), "../tests/check.sh in \"tests\""),
            (
                "- run: meson setup out\n- run: tests/check.sh\n- run: ./tests/check.sh ./out\n",
                Some("build"),
                "./tests/check.sh build in \"\"",
            ),
        ] {
            assert_eq!(found(workflow, build).as_deref(), Some(expected), "{workflow}");
        }
    }

    #[test]
    fn other_commands_are_no_suites() {
        for workflow in [
            "- run: ./scripts/deploy.sh\n",
            "- run: python3 scripts/none-tests.py\n",
            "- run: ./tests/check.sh ${{ matrix.kind }}\n",
            "- run: python3 ../../scripts/run-tests.py\n",
            "- uses: ./tests/check.sh\n",
            "# - run: ./tests/check.sh\n",
            "- run: ./tests/check-c-style.sh\n",
        ] {
            assert_eq!(found(workflow, None), None, "{workflow}");
        }
    }
}
