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
    let argv = if is_perl(&path) {
        [words(&["perl"]), context.source.args.clone(), vec![shown]].concat()
    } else {
        vec![shown]
    };
    ListedTest {
        name: file,
        argv,
        directory: context.directory.display().to_string(),
        rules: TestRules { protocol: Protocol::Tap, ..TestRules::default() },
        ..ListedTest::default()
    }
}

/// Scripts that are not executable, and those whose first line names perl, are run by perl.
fn is_perl(path: &Path) -> bool {
    let executable = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    let text = drydock_base::text::end_of_file(path).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    !executable || first.starts_with("#!") && first.contains("perl")
}
