//! Perl: Makefile.PL, Build.PL, or the files of Dist::Zilla and Minilla, with tests that print TAP.

use super::super::Saw;
use super::super::jobs::JobDraft;
use super::{Group, System};
use crate::tree::Tree;

/// The directory in which cpanm installs what the system does not have.
const INSTALLED: &str = "target/perl";

/// Where the modules are below it.
const MODULES: &str = "target/perl/lib/perl5";

/// What MakeMaker and Module::Build ask is answered with the default.
const ANSWERS: (&str, &str) = ("PERL_MM_USE_DEFAULT", "1");

/// The jobs of a distribution for CPAN.
pub(super) fn find(tree: &Tree) -> Option<Group> {
    let manifest = tree.first(&["Makefile.PL", "Build.PL", "dist.ini", "minil.toml"])?;
    let because = Saw::file(manifest);
    let build = build(manifest, tree.with_extension(&[".xs"]).next());
    let tests = pattern(tree, manifest);
    if build.is_empty() && tests.is_none() {
        return None;
    }
    let mut jobs = Vec::new();
    let mut needs: Vec<String> = Vec::new();
    // Both scripts say what they need; where Dist::Zilla makes them, only a cpanfile does.
    let asked = tree.first(&["cpanfile"]).or_else(|| (!build.is_empty()).then_some(manifest));
    if let Some(asked) = asked {
        let run = ["cpanm", "--quiet", "--notest", "--local-lib", INSTALLED, "--installdeps", "."];
        let why = "cpanm installs in that directory what the system does not have in these versions";
        let job = JobDraft::command("dependencies", run).within("1h");
        jobs.push(with_modules(job.because(format!("saw {}: {why}", Saw::file(asked)))));
        needs.push("dependencies".to_owned());
    }
    for (name, run, comment) in &build {
        let needed: Vec<&str> = needs.iter().map(String::as_str).collect();
        let job = JobDraft::command(name, run.iter().copied()).after(&needed).within("30m");
        jobs.push(with_modules(job.because(comment.clone())));
        needs = vec![(*name).to_owned()];
    }
    if let Some((pattern, first)) = &tests {
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let mut suite = JobDraft::suite("tests", "tap", pattern, &needs);
        let own: &[&str] = if build.is_empty() { &["lib"] } else { &["blib/lib", "blib/arch"] };
        if let Some(list) = &mut suite.suite {
            let installed = asked.map(|_| MODULES.to_owned());
            let directories = own.iter().map(|directory| (*directory).to_owned()).chain(installed);
            list.args = directories.map(|directory| format!("-I{directory}")).collect();
        }
        suite.comments.push(format!("saw {first}: each script is a job, as prove runs it"));
        if asked.is_none() {
            suite.comments.push(format!(
                "the modules that the tests need have to be there: {manifest} names them only to its own program"
            ));
        }
        let why = "perl itself never frees all of its memory, so the tests run without memcheck";
        jobs.push(suite.because(why));
    }
    let mut programs = vec![("perl", "perl")];
    programs.extend(asked.map(|_| ("cpanm", "cpanminus")));
    programs.extend((!build.is_empty()).then_some(("make", "make")));
    programs.extend(tree.with_extension(&[".xs"]).next().map(|_| ("gcc", "gcc")));
    Some(Group {
        system: System::Perl,
        because: because.to_string(),
        jobs,
        has_tests: tests.is_some(),
        programs,
        least: None,
        directory: String::new(),
        build_release: build
            .iter()
            .map(|(_, run, _)| run.iter().filter(|word| !is_parallel(word)).map(|word| (*word).to_owned()).collect())
            .collect(),
    })
}

/// True for the words by which make runs several recipes at a time.
fn is_parallel(word: &str) -> bool {
    ["-j", "{jobs}"].contains(&word)
}

/// The jobs that build, each with its name, command and comment.
fn build(manifest: &str, extension: Option<&str>) -> Vec<(&'static str, Vec<&'static str>, String)> {
    let (configure, build) = match manifest {
        "Makefile.PL" => (vec!["perl", "Makefile.PL"], vec!["make", "-j", "{jobs}"]),
        "Build.PL" => (vec!["perl", "Build.PL"], vec!["./Build"]),
        _ => return Vec::new(),
    };
    let saw = Saw::file(manifest);
    let made = match extension {
        Some(path) => format!("saw {}: compiles an extension in C, in blib", Saw::file(path)),
        None => "copies the modules to blib, from where the tests take them".to_owned(),
    };
    vec![("configure", configure, format!("saw {saw}")), ("build", build, made)]
}

/// The pattern of the tests, and the first one.
fn pattern(tree: &Tree, manifest: &str) -> Option<(String, Saw)> {
    let tests: Vec<&str> = tree.with_extension(&[".t"]).filter(|path| path.starts_with("t/")).collect();
    let first = tests.first()?;
    let text = tree.text(manifest).unwrap_or_default();
    // MakeMaker and Module::Build take those in `t` only, unless told otherwise; the others take all.
    let says_all = match manifest {
        "Makefile.PL" => text.contains("t/*/") || text.contains("t/**/") || text.contains("tests_recursive"),
        "Build.PL" => text.contains("recursive_test_files"),
        _ => true,
    };
    let is_nested = |path: &&str| path.matches('/').count() > 1;
    let pattern =
        if says_all && tests.iter().any(is_nested) || tests.iter().all(is_nested) { "t/**/*.t" } else { "t/*.t" };
    Some((pattern.to_owned(), Saw::file(first)))
}

/// The same job with the modules that cpanm installed.
fn with_modules(job: JobDraft) -> JobDraft {
    job.with_env("PERL5LIB", MODULES).with_env(ANSWERS.0, ANSWERS.1)
}
