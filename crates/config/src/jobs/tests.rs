//! Whole declarations: the resolved jobs, and the problems of wrong declarations.

mod items;
mod wrong;

use super::*;
use crate::decode::{FromText, Limit, Size};
use drydock_base::units::Percent;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Suite, Diagnostics> {
    Suite::parse(text, Path::new("ci/jobs.yaml"), None)
}

/// The problems of a text, each on one line with its advice.
fn problems(diagnostics: &Diagnostics) -> Vec<String> {
    let shown = |d: &super::super::diagnostic::Diagnostic| {
        let advice = d.help.as_ref().or(d.expected.as_ref()).map(|advice| format!(" ({advice})")).unwrap_or_default();
        format!("{}:{}: {}{advice}", d.line, d.column, d.problem)
    };
    diagnostics.iter().map(shown).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = parse(text).err().map(|diagnostics| problems(&diagnostics)).unwrap_or_default();
    assert_eq!(found, expected, "{}", text.chars().take(500).collect::<String>());
}

/// The same without places, for texts on one line.
#[track_caller]
fn says(text: &str, expected: &[&str]) {
    let found = parse(text).err().map(|diagnostics| problems(&diagnostics)).unwrap_or_default();
    let found: Vec<&str> = found.iter().map(|problem| problem.split_once(": ").map_or("", |(_, rest)| rest)).collect();
    assert_eq!(found, expected, "{text}");
}

fn job(text: &str) -> Job {
    let suite = parse(text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    suite.jobs.into_iter().next_back().unwrap()
}

#[test]
fn defaults_are_applied() {
    let job = job("jobs: {a: {run: [make, -j, 2]}}");
    assert_eq!(job.run.iter().map(Template::to_string).collect::<Vec<_>>(), ["make", "-j", "2"]);
    assert_eq!((job.directory.to_string().as_str(), job.needs.len(), &job.for_each), (".", 0, &None));
    assert_eq!((job.tool.kind, job.expect_exit, job.retry), (Tool::None, 0, Retry::NEVER));
    assert_eq!((job.timeout, job.grace), (Duration::from_secs(600), Duration::from_secs(5)));
    assert_eq!((job.memory, job.memory_limit, job.log_limit), (ByteSize::mib(512), None, ByteSize::mib(16)));
    assert_eq!(job.place, Place { line: 1, column: 8 });
}

#[test]
fn a_job_overrides_the_defaults_and_never_exceeds_itself() {
    let text = "\
defaults: {timeout: 1m, grace: 10s, memory: 1GiB, log-limit: 1MiB, env: {A: x, B: y}, pass-env: [CC, C]}
jobs: {a: {run: [x], timeout: 4s, memory-limit: 256MiB, env: {A: z, C: '{name}'}, pass-env: [B]}}";
    let job = job(text);
    assert_eq!((job.timeout, job.grace), (Duration::from_secs(4), Duration::from_secs(4)));
    assert_eq!((job.memory, job.memory_limit), (ByteSize::mib(256), Some(ByteSize::mib(256))));
    assert_eq!(job.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(), ["A=z", "C={name}"]);
    assert_eq!(job.pass_env, ["B", "CC"]);
}

#[test]
fn runners_are_classes_of_machines_and_jobs_share_what_they_make() {
    let text = "\
runners:
  hosted: {runs-on: ubuntu-24.04, cores: 4, memory: 16GiB}
  big: {runs-on: [self-hosted, big], cores: 16, memory: 64GiB, cost: 4, setup: 5s}
jobs: {build: {run: [make], share: [./build/, out/lib.so]}}";
    let suite = parse(text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let class = |at: usize| suite.runners[at].clone();
    assert_eq!((class(0).name.as_str(), class(0).cost, class(0).setup_ms), ("hosted", 1, 60_000));
    assert_eq!(
        (class(1).runs_on, class(1).cores, class(1).cost, class(1).setup_ms),
        (vec!["self-hosted".to_owned(), "big".into()], 16, 4, 5_000)
    );
    assert_eq!(suite.jobs[0].share, ["build", "out/lib.so"]);
    assert!(parse("jobs: {a: {run: [x]}}").unwrap().runners.is_empty());
    says(
        "runners: {}\njobs: {a: {run: [x]}}",
        &["`runners` is empty (at least one class such as `hosted: {runs-on: ubuntu-24.04, cores: 4, memory: 16GiB}`)"],
    );
    says(
        "runners: {a: {runs-on: [], cores: 1, memory: 1GiB}}\njobs: {a: {run: [x]}}",
        &["`runs-on` is empty (a label such as `ubuntu-24.04`, or a list of labels)"],
    );
    for label in ["a b", "${{x}}", ""] {
        let text = format!("runners: {{a: {{runs-on: '{label}', cores: 1, memory: 1GiB}}}}\njobs: {{a: {{run: [x]}}}}");
        says(
            &text,
            &[&format!(
                "`{label}` is not a label of a runner (a label such as `ubuntu-24.04`, without spaces and expressions)"
            )],
        );
    }
    says(
        "runners: {a: {runs-on: x, cores: 0, memory: 1GiB}}\njobs: {a: {run: [x]}}",
        &["`0` is out of range (a whole number from 1 to 1024)"],
    );
    says(
        "jobs: {a: {run: [x], share: [/tmp/x]}}",
        &["the path `/tmp/x` is absolute (a path relative to the project and inside of it)"],
    );
    for path in [".", ".git/objects", "./"] {
        says(
            &format!("jobs: {{a: {{run: [x], share: ['{path}']}}}}"),
            &[&format!("`{path}` cannot be shared (a file or directory that the job makes, such as `build`)")],
        );
    }
    says(
        "jobs: {a: {run: [x], share: [build, build/lib]}}",
        &["`build/lib` overlaps with `build` (remove one of them)"],
    );
}

#[test]
fn tools_have_their_own_and_the_jobs_options() {
    let settings = |text: &str| {
        let tool = job(text).tool;
        assert!(tool.kind.is_valgrind());
        (tool.settings.args, tool.settings.trace_children)
    };
    let usual = vec!["--leak-check=full".to_owned(), "-v".to_owned()];
    assert_eq!(settings("jobs: {a: {run: [x], tool: memcheck, tool-args: [-v]}}"), (usual, true));
    assert_eq!(settings("tools: {memcheck: {args: []}}\njobs: {a: {run: [x], tool: memcheck}}"), (vec![], true));
    assert_eq!(settings("jobs: {a: {run: [x], tool: massif}}"), (vec![], false));
    assert_eq!(settings("tools: {drd: {trace-children: false}}\njobs: {a: {run: [x], tool: drd}}"), (vec![], false));
    assert_eq!(settings("jobs: {a: {run: [x], tool: dhat, tool-args: [--num-callers=4]}}").0, ["--num-callers=4"]);
}

#[test]
fn a_suite_may_start_valgrind_itself() {
    let by_suite = |text: &str| job(&format!("jobs: {{a: {{run: [x], {text}}}}}")).tool.by_suite;
    assert!(by_suite("tool: memcheck, valgrind: by-suite"));
    assert!(by_suite("tool: massif, valgrind: by-suite, heap: {limit: 1MiB}"));
    assert!(!by_suite("tool: memcheck, valgrind: wrap"));
    assert!(!by_suite("tool: memcheck"));
}

#[test]
fn a_heap_has_a_limit_or_a_baseline_with_a_margin() {
    let heap = |text: &str| {
        let text = format!(
            "tools: {{massif: {{wrappers: [xmalloc]}}}}\njobs: {{a: {{run: [x], tool: massif, heap: {text}}}}}"
        );
        let tool = job(&text).tool;
        let HeapBudget { limit, baseline } = tool.heap.unwrap();
        assert_eq!(tool.settings.wrappers, ["xmalloc"]);
        (limit, baseline.map(|HeapBaseline { file, tolerance, .. }| format!("{file} {tolerance}")))
    };
    assert_eq!(heap("{limit: 4MiB}"), (Some(ByteSize::mib(4)), None));
    assert_eq!(heap("{baseline: ci/a.massif}"), (None, Some("ci/a.massif 2%".into())));
    assert_eq!(
        heap("{limit: 1KiB, baseline: 'ci/{name}.massif', tolerance: 0.5%}"),
        (Some(ByteSize::kib(1)), Some("ci/{name}.massif 0.5%".into()))
    );
}

/// The patterns of the schema are checked with the examples that the loader takes and refuses.
#[test]
fn the_schema_takes_what_the_loader_takes() {
    let matches = |pattern: &str, text: &str| {
        let found = std::process::Command::new("grep")
            .args(["-cE", pattern])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn();
        let mut grep = found.unwrap();
        std::io::Write::write_all(&mut grep.stdin.take().unwrap(), text.as_bytes()).unwrap();
        grep.wait().unwrap().success()
    };
    for text in ["512MiB", "1.5GiB", "4kB", "1 GiB"] {
        assert!(Size::from_text(text).is_ok() && matches(ByteSize::PATTERN, text), "{text}");
    }
    for text in ["512", "MiB", "512M"] {
        assert!(Size::from_text(text).is_err() && !matches(ByteSize::PATTERN, text), "{text}");
    }
    for text in ["2%", "0.25%", "10 %"] {
        assert!(Percent::from_text(text).is_ok() && matches(Percent::PATTERN, text), "{text}");
    }
    for text in ["2", "%", "0.125%", "2 percent"] {
        assert!(Percent::from_text(text).is_err() && !matches(Percent::PATTERN, text), "{text}");
    }
    for text in ["2m", "1h30m", "500ms", "1.5s", "1m 30s"] {
        assert!(Limit::from_text(text).is_ok() && matches(drydock_base::units::DURATION_PATTERN, text), "{text}");
    }
    for text in ["2", "m", "2 minutes"] {
        assert!(Limit::from_text(text).is_err() && !matches(drydock_base::units::DURATION_PATTERN, text), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_declarations_never_panic(text in "(jobs: |run: |\\[|\\]|\\{|\\}|, |a: |\n  |\n|needs: |glob: |for-each: |x|'|\\*|\\{item\\}|2m|1GiB|timeout: |tool: |massif|env: ){0,40}") {
        if let Err(diagnostics) = parse(&text) {
            prop_assert!(diagnostics.iter().all(|d| d.line >= 1 && d.column >= 1));
            prop_assert!(!diagnostics.to_string().is_empty());
        }
    }
}
