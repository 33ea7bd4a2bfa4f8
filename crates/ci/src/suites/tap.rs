//! Programs and scripts that print TAP, started as prove(1) starts them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Context, ListError, words};
use drydock_config::globs;
use drydock_config::jobs::{ListedTest, Protocol, TestRules};

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let wrong = |problem: String| ListError::Malformed { command: "`tap`".into(), problem };
    let pattern = globs::FileGlob::parse(&context.source.at).map_err(|bad| wrong(bad.problem))?;
    let files = globs::files(context.project, &[pattern], &[]).map_err(|error| wrong(error.to_string()))?;
    if files.is_empty() {
        return Err(ListError::Missing(context.source.at.clone().into()));
    }
    Ok(files.into_iter().map(|file| one(context, file)).collect())
}

fn one(context: &Context<'_>, file: String) -> ListedTest {
    let path = context.project.join(&file);
    let shown = path.display().to_string();
    let argv = match interpreter(&path) {
        Interpreter::Perl => [words(&["perl"]), context.source.args.clone(), vec![shown]].concat(),
        Interpreter::Itself => vec![shown],
        Interpreter::Other(words) => [words, vec![shown]].concat(),
    };
    ListedTest {
        name: file,
        argv,
        directory: context.directory.display().to_string(),
        rules: TestRules { protocol: Protocol::ProveTap, ..TestRules::default() },
        ..ListedTest::default()
    }
}

/// What runs a file.
enum Interpreter {
    Perl,
    Itself,
    /// The words of the first line of a script.
    Other(Vec<String>),
}

/// As prove does: perl runs what has no first line with `#!` and is not executable, and what names perl there.
fn interpreter(path: &Path) -> Interpreter {
    let executable = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    let text = drydock_base::text::whole_file(path).unwrap_or_default();
    match text.lines().next().and_then(|line| line.strip_prefix("#!")) {
        Some(first) if first.contains("perl") => Interpreter::Perl,
        Some(_) if executable => Interpreter::Itself,
        Some(first) => Interpreter::Other(first.split_whitespace().map(str::to_owned).collect()),
        None if executable => Interpreter::Itself,
        None => Interpreter::Perl,
    }
}
