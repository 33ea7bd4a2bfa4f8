//! A Makefile that is written by hand: which target tests, and what starts valgrind.

mod fallback;
mod listed;
mod sanitizer;
#[cfg(test)]
mod tests;

use super::super::jobs::JobDraft;
use super::super::make_rules::{self, Makefile, Target};
use super::super::{Saw, packages, valgrind};
use super::{Group, System, python, sources_in_c};
use crate::tree::{Kind, Tree};
use drydock_base::exec;

/// Targets that run a suite, the better first.
pub(super) const SUITES: [&str; 13] = [
    "check",
    "test",
    "tests",
    "regress",
    "unittest",
    "unittests",
    "unit-tests",
    "unit",
    "run-tests",
    "runtests",
    "run_tests",
    "check-units",
    "selftest",
];
/// Targets that run a suite under valgrind.
pub(super) const UNDER_VALGRIND: [&str; 8] = [
    "check-valgrind",
    "valgrind-check",
    "test-valgrind",
    "valgrind-test",
    "valgrind",
    "memcheck",
    "check-memcheck",
    "test-mem",
];

/// Parts of lines that compile: with the variables of make, with a compiler by its name, or by rules that make has itself.
const COMPILES: [&str; 13] = [
    "$(CC)", "${CC}", "$(CXX)", "${CXX}", "$(LD)", "${LD}", "cc ", "c++ ", "g++ ", "clang ", "clang++ ", "CFLAGS",
    "OBJS",
];

/// Commands that only handle what was compiled.
const HANDLES: [&str; 10] = ["rm", "$(RM)", "${RM}", "echo", "printf", "cp", "mv", "install", "find", "strip"];

/// True if a line compiles, or names an object.
fn compiles(line: &str) -> bool {
    let first = line.trim_start_matches(['\t', ' ', '@', '-', '+']).split_whitespace().next();
    if first.is_some_and(|first| HANDLES.contains(&first)) && !line.contains([';', '&', '|', '\\']) {
        return false;
    }
    let is_end = |(at, found): (usize, &str)| {
        let after = line[at + found.len()..].chars().next();
        !after.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    };
    COMPILES.iter().any(|word| line.contains(word)) || line.match_indices(".o").any(is_end)
}

pub(super) fn find(tree: &Tree) -> Option<Group> {
    let makefile = make_rules::read(tree, "")?;
    // gnulib's GNUmakefile, with maint.mk, is around the Makefile that automake makes.
    if tree.has("Makefile.am") && !tree.has("Makefile") && !tree.has("makefile") {
        return None;
    }
    // A Makefile may leave all of that to those of other directories.
    // Beside an extension of Python, whose sources setuptools compiles, it has to compile itself.
    let is_beside = python::extension(tree).is_some();
    let evidence = makefile.line(|line| compiles(line) || calls_builder(line) || !is_beside && calls_make(line))?;
    if sources_in_c(tree) + tree.sources_outside == 0 {
        return None;
    }
    let because = evidence.to_string();
    // What GNU make does not understand is BSD make's.
    let bsd = makefile.line(|line| {
        [".if ", ".ifdef ", ".ifndef ", ".for ", ".endif", ".include "].iter().any(|word| line.starts_with(word))
    });
    let make = if bsd.is_some() { "bmake" } else { "make" };
    let mut jobs = Vec::new();
    let mut last: Vec<&str> = Vec::new();
    let mut build_release = Vec::new();
    // A script of the project's own, or one that autoconf made and the project ships without its source.
    if matches!(tree.kind("configure"), Some(Kind::File { .. } | Kind::Link)) {
        let words: &[&str] =
            if tree.kind("configure") == Some(Kind::File { executable: false }) { &["sh"] } else { &[] };
        let command: Vec<&str> = words.iter().copied().chain(["./configure"]).collect();
        build_release.push(command.iter().map(|word| (*word).to_owned()).collect());
        jobs.push(
            JobDraft::command("configure", command)
                .because(format!("saw {}, and no configure.ac that it would be made from", Saw::file("configure")))
                .within("30m"),
        );
        last = vec!["configure"];
    }
    let mut build = JobDraft::command("build", [make, "-j", "{jobs}"]).after(&last).within("1h");
    build.comments.push(format!("saw {because}"));
    build.comments.extend(bsd.map(|saw| format!("saw {saw}: this is for BSD make")));
    // Without a target, make would run the suite here.
    let first = makefile.first.as_deref().filter(|first| SUITES.contains(first));
    let is_suite_only = first.is_some() && makefile.target("all").is_none() || collects_tests(tree, &makefile);
    if let (Some(first), Some(all)) = (first, makefile.target("all")) {
        build.run.push("all".to_owned());
        build.comments.push(format!("saw {}: without a target, make would run {first}", all.saw()));
    }
    if is_suite_only {
        build_release.clear();
    } else {
        build_release
            .push(build.run.iter().filter(|word| !["-j", "{jobs}"].contains(&word.as_str())).cloned().collect());
        jobs.push(build);
    }
    let mut has_tests = suites(tree, &makefile, make, &mut jobs);
    if is_suite_only {
        let instead = |names: &mut Vec<String>| {
            if let Some(at) = names.iter().position(|name| name == "build") {
                names.splice(at..=at, last.iter().map(|name| (*name).to_owned()));
            }
        };
        for job in &mut jobs {
            instead(&mut job.needs);
            job.suite.iter_mut().for_each(|suite| instead(&mut suite.after));
        }
        has_tests = true;
    }
    if let Some(saw) = sanitizer::find(&makefile) {
        for job in jobs.iter_mut().filter(|job| job.memcheck && !job.by_suite) {
            job.memcheck = false;
            job.comments.push(format!(
                "saw {saw}: programs with this sanitizer cannot run under valgrind, so they run without it"
            ));
        }
    }
    let mut programs = vec![if make == "make" { ("make", "make") } else { ("bmake", "bmake") }, ("gcc", "gcc")];
    let calls =
        |program: &str| makefile.line(|line| calls_builder(line) && line.to_lowercase().contains(program)).is_some();
    programs.extend([("rake", "rake"), ("scons", "scons")].into_iter().filter(|(program, _)| calls(program)));
    if let (Some(saw), Some(environment)) = (by_uv(tree), python::environment(tree)) {
        for (at, job) in jobs.iter_mut().enumerate().filter(|(_, job)| !job.run.is_empty()) {
            job.run.splice(0..0, ["uv", "run", "--frozen"].map(str::to_owned));
            if at == 0 {
                job.needs.insert(0, environment.name.clone());
                job.comments.push(format!("saw {saw}, so uv runs make and what is before it"));
            }
        }
        jobs.insert(0, environment);
        programs.push(("uv", "pipx"));
    }
    Some(Group {
        system: System::Make,
        because,
        jobs,
        has_tests,
        programs,
        least: None,
        directory: String::new(),
        build_release,
    })
}

/// A Makefile that builds and tests something else than C, such as Go, without valgrind.
pub(super) fn without_compiler(tree: &Tree) -> Option<Group> {
    let makefile = make_rules::read(tree, "").filter(|_| sources_in_c(tree) == 0)?;
    let (name, target) = SUITES.iter().find_map(|name| Some((*name, makefile.target(name)?)))?;
    let because = target.saw().to_string();
    let mut jobs = Vec::new();
    let build = ["all", "build"].iter().find_map(|name| Some((*name, makefile.target(name)?)));
    if let Some((name, target)) = build {
        jobs.push(JobDraft::command("build", ["make", name]).because(format!("saw {}", target.saw())).within("1h"));
    }
    let needs: &[&str] = if build.is_some() { &["build"] } else { &[] };
    let job = JobDraft::command(name, ["make", name]).after(needs).within("1h");
    jobs.push(job.because(format!(
        "saw {because}: the suite is one job, since make does not list its tests; without valgrind, since nothing here is in C"
    )));
    let build_release = build.map(|(name, _)| vec![vec!["make".to_owned(), name.to_owned()]]).unwrap_or_default();
    Some(Group {
        system: System::Make,
        because,
        jobs,
        has_tests: true,
        programs: vec![("make", "make")],
        least: None,
        directory: String::new(),
        build_release,
    })
}

/// Where the project itself calls make by uv, so that recipes find the packages of its environment.
fn by_uv(tree: &Tree) -> Option<Saw> {
    let is_call = |line: &str| {
        let command = line.split_once("uv run ").map_or("", |(_, rest)| rest);
        let command = command.split(['&', ';', '|', '#', '`']).next().unwrap_or_default();
        command.split_whitespace().take(4).any(|word| ["make", "./configure"].contains(&word))
    };
    packages::workflows(tree).chain(tree.with_extension(&[".sh", "Dockerfile"])).find_map(|path| {
        let text = tree.text(path)?;
        let (number, line) = text.lines().enumerate().find(|(_, line)| is_call(line))?;
        Some(Saw::line(path, number + 1, line))
    })
}

/// True if `all` makes nothing but tests.
fn collects_tests(tree: &Tree, makefile: &Makefile) -> bool {
    listed::has_tests(tree, makefile, "all")
}

/// Programs that build projects in C, and that a Makefile may only call.
const BUILDERS: [&str; 8] = ["rake", "$(RAKE)", "${RAKE}", "scons", "$(SCONS)", "waf", "./waf", "bazel"];

/// True if a line of a recipe calls one of these.
fn calls_builder(line: &str) -> bool {
    line.strip_prefix('\t').is_some_and(|command| starts_with(command, &BUILDERS))
}

/// True if a line calls make in a directory, or with another file.
fn calls_make(line: &str) -> bool {
    let mut words =
        line.split_whitespace().skip_while(|word| !word.contains("(MAKE)") && !word.contains("{MAKE}")).skip(1);
    words.any(|word| ["-C", "-f"].contains(&word))
}

/// Programs that look at the sources.
const LOOKERS: [&str; 10] = [
    "pre-commit",
    "prek",
    "$(PRE_COMMIT)",
    "clang-format",
    "clang-tidy",
    "cppcheck",
    "shellcheck",
    "codespell",
    "ruff",
    "typos",
];

/// True for a target that only looks at the sources.
fn looks_only(target: &Target) -> bool {
    !target.recipe.is_empty() && target.recipe.iter().all(|line| starts_with(line, &LOOKERS))
}

/// True if the first word of a line of a recipe that is no variable of the environment is one of these.
fn starts_with(line: &str, programs: &[&str]) -> bool {
    let line = line.trim_start_matches(['@', '-', '+']).trim();
    line.split_whitespace().find(|word| !word.contains('=')).is_some_and(|first| programs.contains(&first))
}

/// Programs of other build systems, which take care of tests themselves.
const OTHERS: [&str; 10] = ["cargo", "go", "npm", "npx", "yarn", "pnpm", "tox", "nox", "mvn", "gradle"];

/// True if all that a target does is to call these.
fn calls_others(target: &Target) -> bool {
    !target.recipe.is_empty() && target.recipe.iter().all(|line| calls_other(line))
}

/// True if a line of a recipe calls one of these, or a builder.
fn calls_other(line: &str) -> bool {
    starts_with(line, &OTHERS) || starts_with(line, &BUILDERS)
}

/// Adds the jobs that test. Returns whether there are any.
fn suites(tree: &Tree, makefile: &Makefile, make: &str, jobs: &mut Vec<JobDraft>) -> bool {
    // Where a target also runs pytest, whose tests are jobs of their own, the rest of it is enough.
    let runs_pytest =
        |name: &str| makefile.target(name).is_some_and(|target| target.needs.iter().any(|need| need == "pytest"));
    let units = ["check-units", "unit-tests", "unittest"].iter().find(|name| makefile.target(name).is_some());
    let first = units.filter(|_| runs_pytest("check") || runs_pytest("test"));
    let all = collects_tests(tree, makefile).then_some(&"all");
    // The tests of a package of Cargo are jobs of their own.
    let is_own = |target: &&Target| !(calls_others(target) && tree.has("Cargo.toml"));
    let mut names = all.into_iter().chain(first).chain(&SUITES);
    let usual = names
        .find_map(|name| Some((*name, makefile.target(name).filter(is_own).filter(|target| !looks_only(target))?)));
    let suite = usual.or_else(|| fallback::target(tree, makefile).filter(|(_, target)| is_own(target)));
    let starts_valgrind =
        |target: &Target| target.recipe.iter().any(|line| line.contains("valgrind") || line.contains("VALGRIND"));
    let own = UNDER_VALGRIND.iter().find_map(|name| Some((*name, makefile.target(name)?)));
    if let Some((name, target)) = own.filter(|(_, target)| starts_valgrind(target) || !target.needs.is_empty()) {
        let job = JobDraft::command(name, [make, name]).after(&["build"]).within("2h");
        let mut job =
            job.because(format!("saw {}: it starts valgrind itself, and Drydock collects its logs", target.saw()));
        job.memcheck = true;
        job.by_suite = true;
        jobs.push(job);
        if let Some((name, target)) = suite {
            let job = JobDraft::command(name, [make, name]).after(&["build"]).within("1h");
            jobs.push(job.because(format!(
                "saw {}: without valgrind, since {} runs it under valgrind",
                target.saw(),
                own.map_or("", |(name, _)| name)
            )));
        }
        return true;
    }
    let Some((name, target)) = suite else {
        return fallback::scripts(tree, jobs) || fallback::programs(makefile, jobs);
    };
    let built = programs_of(tree, makefile, name);
    let needs = if built.is_empty() || make != "make" { "build" } else { "programs" };
    if needs == "programs" {
        let parallel = ["-j", "{jobs}"].map(str::to_owned);
        let words = match makefile.texts.first().filter(|_| built.iter().any(|word| word.contains('$'))) {
            // Only make knows a variable, and only after it has read the rules: what `--eval` has comes before them.
            Some((file, _)) => {
                let rule = exec::paste(&[format!("drydock-programs: {}", built.join(" "))]);
                let own = ["GNUmakefile", "makefile", "Makefile"].contains(&file.as_str());
                let file = if own { file } else { "Makefile" };
                let script = format!("echo {rule} | {make} -f {file} -f - \"$@\" drydock-programs");
                [vec!["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()], parallel.to_vec()].concat()
            }
            None => [vec![make.to_owned()], parallel.to_vec(), built].concat(),
        };
        let mut programs = JobDraft::command("programs", words).after(&["build"]).within("1h");
        programs.allow_no_tests = true;
        jobs.push(
            programs.because(format!(
                "saw {}: builds what {name} needs, without valgrind, and runs none of it",
                target.saw()
            )),
        );
    }
    let is_listed = make == "make" && listed::has_tests(tree, makefile, name);
    // Of several programs, these cannot run under valgrind.
    if target.recipe.iter().any(|line| calls_other(line)) {
        let job = JobDraft::command(name, [make, name]).after(&[needs]).within("1h");
        jobs.push(
            job.because(format!("saw {}: without valgrind, since another build system runs these tests", target.saw())),
        );
        return true;
    }
    let job = if is_listed {
        JobDraft::suite(name, "make", name, &[needs]).checked().within("30m")
    } else {
        JobDraft::command(name, [make, name]).after(&[needs]).checked().within("1h")
    };
    let job = match valgrind::find(tree).switch {
        Some(saw) if starts_valgrind(target) || makefile.line(|line| line.contains("VALGRIND")).is_some() => {
            let mut job = job.with_env("VALGRIND", "1").because(format!("saw {saw}: the suite starts valgrind itself"));
            job.by_suite = true;
            job
        }
        _ => job,
    };
    let how = if is_listed {
        "what it needs and make would run are the tests, and each is a job"
    } else {
        "the suite is one job, since make does not list its tests; all programs that it starts run under memcheck"
    };
    jobs.push(job.because(format!("saw {}: {how}", target.saw())));
    true
}

/// The most rules that lead from a suite to its programs.
const DEEPEST: usize = 4;

/// What a suite needs that is built and not run: programs, and variables with nothing else in them, as make writes them.
fn programs_of(tree: &Tree, makefile: &Makefile, suite: &str) -> Vec<String> {
    let mut made = vec!["all".to_owned(), "default".to_owned()];
    let default =
        ["all", "default"].into_iter().chain(makefile.first.as_deref().filter(|first| !SUITES.contains(first)));
    made.extend(default.filter_map(|name| makefile.targets.get(name)).flat_map(|target| target.needs.clone()));
    let mut found: Vec<String> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut next: Vec<(String, usize)> = vec![(suite.to_owned(), 0)];
    while let Some((name, depth)) = next.pop() {
        if depth > DEEPEST || seen.contains(&name) {
            continue;
        }
        seen.push(name.clone());
        let Some(target) = makefile.targets.get(&name) else { continue };
        // What the build made is there.
        for need in target.needs.iter().filter(|need| !made.contains(need)) {
            if let Some(programs) = listed::by_pattern(makefile, need).and_then(|pattern| pattern.programs) {
                if !found.contains(&programs) {
                    found.push(programs);
                }
                continue;
            }
            let words = match variable(need) {
                Some(inner) => makefile.value(inner).unwrap_or_default(),
                None => vec![need.clone()],
            };
            if !words.is_empty() && words.iter().all(|word| is_program(tree, makefile, word)) {
                if !found.contains(need) {
                    found.push(need.clone());
                }
            } else {
                next.extend(words.into_iter().map(|word| (word, depth + 1)));
            }
        }
    }
    found
}

/// The name of a variable that is a whole word: `$(TESTS)`.
fn variable(word: &str) -> Option<&str> {
    let inner = word.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.or_else(|| word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')))?;
    inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)).then_some(inner)
}

/// True for a file that a rule links or compiles, or that make's own rules make of a source of the same name.
fn is_program(tree: &Tree, makefile: &Makefile, word: &str) -> bool {
    if word.contains(['$', '%', '{', '}']) || word.starts_with('-') {
        return false;
    }
    match makefile.targets.get(word).filter(|target| !target.recipe.is_empty()) {
        Some(target) => {
            // A rule that also runs what it links is a test, and one that only calls make in another directory may be.
            let runs = |line: &String| {
                let line = line.trim_start_matches(['@', '-', '+', ' ']);
                line.starts_with("./") || line.contains(&format!("./{word}")) || line.contains("./$@")
            };
            let is_phony =
                makefile.targets.get(".PHONY").is_some_and(|phony| phony.needs.iter().any(|name| name == word));
            !is_phony && target.recipe.iter().any(|line| compiles(line)) && !target.recipe.iter().any(runs)
        }
        None => [".c", ".cc", ".cpp", ".cxx"].iter().any(|end| tree.has(&format!("{word}{end}"))),
    }
}
