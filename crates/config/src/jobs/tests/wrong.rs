//! The problems of wrong declarations, reported all at once.

use super::*;

#[test]
fn every_problem_of_a_job_is_reported() {
    let one = |body: &str| format!("jobs: {{a: {{run: [x], {body}}}}}");
    says(
        &one("timeout: 1s, grace: 2s"),
        &["the `grace` of 2s is longer than the `timeout` of 1s (at most `1s`, or a longer `timeout`)"],
    );
    says(&one("memory-limit: 100B"), &["no program can start within 100B (at least `1MiB`)"]);
    says(&one("heap: {limit: 1MiB}"), &["`heap` in a job that does not run under massif (`tool: massif` in this job)"]);
    says(
        &one("tool: masif, heap: {limit: 1MiB}"),
        &["`masif` is not a tool (`none`, `memcheck`, `helgrind`, `drd`, `massif` or `dhat`, perhaps `massif`)"],
    );
    says(
        &one("tool: valgrind"),
        &["`valgrind` is not a tool (`none`, `memcheck`, `helgrind`, `drd`, `massif` or `dhat`, perhaps `memcheck`)"],
    );
    let heap = |body: &str| one(&format!("tool: massif, heap: {{{body}}}"));
    says(
        &heap(""),
        &["neither `limit` nor `baseline` (a `limit` such as `4MiB`, a `baseline` with a massif file, or both)"],
    );
    says(&heap("limit: 1MiB, tolerance: 2%"), &["`tolerance` without `baseline` (remove it; the `limit` is exact)"]);
    says(&heap("baseline: x, tolerance: 2"), &["`2` has no unit (`2%`)"]);
    says(
        &heap("baseline: ../x, tolerance: two"),
        &[
            "the path `../x` contains a `..` component (a path relative to the project and inside of it)",
            "`two` is not a share in percent (a share in percent, for instance `2%` or `0.5%`, at most `1000%`)",
        ],
    );
    says(
        &heap("baseline: 'ci/{stem}.massif'"),
        &["`{stem}` in a job without `for-each` (a `for-each` in this job, or one of `{name}`, `{jobs}`)"],
    );
    says(
        "tools: {massif: {wrappers: ['*', '', xmalloc]}}\njobs: {a: {run: [x]}}",
        &[
            "`*` is not the name of a function (a name such as `xmalloc`, or a pattern such as `tal_alloc_*`)",
            "`` is not the name of a function (a name such as `xmalloc`, or a pattern such as `tal_alloc_*`)",
        ],
    );
    says(
        &one("tool-args: [-v]"),
        &["`tool-args` in a job without a tool (a `tool` in this job, such as `tool: memcheck`)"],
    );
    says(
        &one("valgrind: by-suite"),
        &["`valgrind` in a job without a tool (the `tool` that the suite uses, such as `tool: memcheck`)"],
    );
    says(
        &one("valgrind: wrap, tool: none"),
        &["`valgrind` in a job without a tool (the `tool` that the suite uses, such as `tool: memcheck`)"],
    );
    says(&one("tool: drd, valgrind: by-hand"), &["`by-hand` is not a way to start valgrind (`wrap` or `by-suite`)"]);
    says(
        &one("tool: drd, valgrind: by-suite, tool-args: ['--a=b c']"),
        &[
            "`--a=b c` contains a blank, at which VALGRIND_OPTS is split (remove the blank; in patterns `?` stands for any character and `*` for any number of them)",
        ],
    );
    says(
        &one("retry: {attempts: 11, on: [flaky, failed, failed]}"),
        &[
            "`11` is out of range (a whole number from 2 to 10)",
            "`flaky` is not an outcome that can be retried (`timed-out`, `failed`, `findings`, `crashed`, `allocation-failure` or `over-budget`)",
            "the outcome is listed twice (remove one of them)",
        ],
    );
    says(
        &one("for-each: {}"),
        &[
            "`for-each` has no source of items (one of `glob` with a pattern of files, `lines-of` with a command, and the suites \
           `ctest`, `meson`, `automake`, `pytest`, `cargo-test`, `tap` and `make`)",
        ],
    );
    says(&one("for-each: {glob: [], lines-of: [x]}"), &["both `glob` and `lines-of` (one source)"]);
    says(&one("for-each: {glob: []}"), &["the list of patterns is empty (a pattern such as `tests/run-*.c`)"]);
    says(&one("env: {A: x}, pass-env: [A]"), &["`A` is both in `env` and in `pass-env` (remove it from one of them)"]);
    says(&one("directory: /tmp"), &["the path `/tmp` is absolute (a path relative to the project and inside of it)"]);
    says("jobs: {a: {run: []}}", &["the command is empty (a program and its arguments, such as `[make, check]`)"]);
    says("jobs: {a: {run: ['']}}", &["the program is empty (a program, such as `make` or `./run`)"]);
    says("jobs: {}", &["`jobs` is empty (at least one job with a `run`)"]);
    says("jobs:", &["found nothing instead of a mapping (a mapping such as `{key: value}`)"]);
    says(
        "tools: {memcheck: {suppressions: [../x]}}\njobs: {a: {run: [x]}}",
        &["the path `../x` contains a `..` component (a path relative to the project and inside of it)"],
    );
    says(
        "jobs: {a b: {run: [x]}, 'a/1': {run: [x]}}",
        &[
            "`a b` contains ` `, which the name of a job may not (letters, digits and `. _ - + @ = :`, in parts separated by `/`, none starting with `-` or `.`)",
            "`a/1` has a part of digits only after a `/`, which is reserved for the directories of attempts (letters, digits and `. _ - + @ = :`, in parts separated by `/`, none starting with `-` or `.`)",
        ],
    );
}

/// One file with most of the possible mistakes, which is part of the corpus too.
#[test]
fn all_problems_of_a_file_are_shown_at_once() {
    let text = include_str!("../../../../../xtask/tests/corpus/jobs-yaml/bad-everything.yaml");
    insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
ci/jobs.yaml is not valid
ci/jobs.yaml:1:21: `10` has no unit
 1 | defaults: {timeout: 10, grace: 5s}
   |                     ^^
   = expected: the unit as well, for instance `10s` or `10m`

ci/jobs.yaml:4:33: `--xml=no` changes the output that Drydock reads findings from
 4 |     args: [--track-origins=yes, --xml=no, --xml-fd=3]
   |                                 ^^^^^^^^
   = help: remove it; Drydock always asks for XML and keeps it

ci/jobs.yaml:4:43: `--xml-fd=3` changes the output that Drydock reads findings from
 4 |     args: [--track-origins=yes, --xml=no, --xml-fd=3]
   |                                           ^^^^^^^^^^
   = help: remove it; Drydock always asks for XML and keeps it

ci/jobs.yaml:5:5: unknown key `supressions`
 5 |     supressions: [x]
   |     ^^^^^^^^^^^
   = help: did you mean `suppressions`?

ci/jobs.yaml:8:10: found the text `make -j 4` instead of a list
 8 |     run: make -j 4
   |          ^^^^
   = help: write it as a list: `[make, -j, 4]`

ci/jobs.yaml:9:5: unknown key `timout`
 9 |     timout: 2m
   |     ^^^^^^
   = help: did you mean `timeout`?

ci/jobs.yaml:11:13: unknown job `biuld`
 11 |     needs: [biuld, units]
    |             ^^^^^
    = help: did you mean `build`?

ci/jobs.yaml:11:20: the job `units` needs itself
 11 |     needs: [biuld, units]
    |                    ^^^^^
    = help: remove it

ci/jobs.yaml:12:22: the pattern `tests/[a` is not valid: invalid range pattern
 12 |     for-each: {glob: "tests/[a"}
    |                      ^^^^^^^^^^
    = expected: a pattern such as `tests/run-*.c`

ci/jobs.yaml:13:11: found a mapping instead of a text
 13 |     run: [{item}]
    |           ^
    = help: quote the placeholder: "{item}"

ci/jobs.yaml:14:11: `memchek` is not a tool
 14 |     tool: memchek
    |           ^^^^^^^
    = expected: `none`, `memcheck`, `helgrind`, `drd`, `massif` or `dhat`, perhaps `memcheck`

ci/jobs.yaml:17:14: found the boolean `no` instead of a text
 17 |     run: [x, no, 1.10, 2, 010]
    |              ^^
    = help: quote it: "no"

ci/jobs.yaml:17:18: found the number `1.10` instead of a text
 17 |     run: [x, no, 1.10, 2, 010]
    |                  ^^^^
    = help: quote it: "1.10"

ci/jobs.yaml:17:27: found the number `010` instead of a text
 17 |     run: [x, no, 1.10, 2, 010]
    |                           ^^^
    = help: quote it: "010"

ci/jobs.yaml:19:12: the `grace` of 3s is longer than the `timeout` of 2s
 19 |     grace: 3s
    |            ^^
    = expected: at most `2s`, or a longer `timeout`

ci/jobs.yaml:20:11: `heap` in a job that does not run under massif
 20 |     heap: {limit: 0MiB}
    |           ^
    = expected: `tool: massif` in this job

ci/jobs.yaml:20:19: `0MiB` is not greater than zero
 20 |     heap: {limit: 0MiB}
    |                   ^^^^
    = expected: a size greater than zero, such as `512MiB`

ci/jobs.yaml:22:13: the jobs need each other: a → b → a
 22 |     needs: [a]
    |             ^
    = help: remove one of these needs

ci/jobs.yaml:23:17: `{stem}` in a job without `for-each`
 23 |     run: [echo, "{stem}"]
    |                 ^^^^^^^^
    = expected: a `for-each` in this job, or one of `{name}`, `{jobs}`

ci/jobs.yaml:24:23: `1` is out of range
 24 |     retry: {attempts: 1, on: []}
    |                       ^
    = expected: a whole number from 2 to 10

ci/jobs.yaml:24:30: `on` is empty
 24 |     retry: {attempts: 1, on: []}
    |                              ^
    = expected: at least one outcome, such as `[timed-out]`, or no `retry`

ci/jobs.yaml:26:19: the memory limit of 1GiB is below the memory of 2GiB that is reserved
 26 |     memory-limit: 1GiB
    |                   ^^^^
    = expected: at least `2GiB`, or less `memory`

ci/jobs.yaml:27:3: the required key `run` is missing
 27 |   c:
    |   ^^

ci/jobs.yaml:28:11: `1A` is not the name of an environment variable
 28 |     env: {1A: x, B: {c: d}}
    |           ^^
    = expected: letters, digits and `_`, not starting with a digit

ci/jobs.yaml:28:21: found a mapping instead of a text
 28 |     env: {1A: x, B: {c: d}}
    |                     ^

ci/jobs.yaml:29:16: the path `../x` contains a `..` component
 29 |     directory: ../x
    |                ^^^^
    = expected: a path relative to the project and inside of it

ci/jobs.yaml:30:18: `256` is out of range
 30 |     expect-exit: 256
    |                  ^^^
    = expected: a whole number from 0 to 255

ci/jobs.yaml:31:3: duplicate key `a`
 31 |   a:
    |   ^
    = help: it is already set at line 15; remove one of them

28 problems in ci/jobs.yaml
"#);
}

#[test]
fn circles_are_named_once() {
    let jobs = |needs: &[(&str, &str)]| {
        let job = |(name, needs): &(&str, &str)| format!("  {name}: {{run: [x], needs: [{needs}]}}\n");
        format!("jobs:\n{}", needs.iter().map(job).collect::<String>())
    };
    check(
        &jobs(&[("a", "b"), ("b", "c"), ("c", "b, a")]),
        &["4:25: the jobs need each other: b → c → b (remove one of these needs)"],
    );
    check(
        &jobs(&[("z", "a"), ("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]),
        &[
            "4:25: the jobs need each other: a → b → a (remove one of these needs)",
            "6:25: the jobs need each other: c → d → c (remove one of these needs)",
        ],
    );
    let names: Vec<String> = (0..4000).map(|n| format!("j{n}")).collect();
    let ring: Vec<(&str, &str)> = (0..4000).map(|n| (names[n].as_str(), names[(n + 1) % 4000].as_str())).collect();
    check(
        &jobs(&ring),
        &[
            "4001:29: the jobs need each other: j0 → j1 → j2 → j3 → j4 → j5 → j6 → j7 → … 3992 more → j0 (remove one of these needs)",
        ],
    );
}

#[test]
fn small_texts_cannot_become_large_suites() {
    let text = format!("defaults: {{env: {{A: {}}}}}\njobs:\n", "x".repeat(500_000));
    let jobs: String = (0..4000).map(|n| format!("  j{n}: {{run: [x]}}\n")).collect();
    check(
        &(text + &jobs),
        &["3:3: `defaults` and `tools` are too large for this number of jobs (less text under `defaults` and `tools`)"],
    );
}
