//! Programs and scripts that print TAP, started as prove(1) starts them.

use std::collections::BTreeMap;
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
    let (args, libraries) = switches(context);
    let mut env = BTreeMap::new();
    let argv = match interpreter(&path) {
        Interpreter::Perl { taint } => {
            // Programs in Perl that the script starts find the modules, too.
            let searched = libraries.into_iter().chain(context.variable("PERL5LIB")).collect::<Vec<_>>();
            if !searched.is_empty() {
                env.insert("PERL5LIB".to_owned(), searched.join(":"));
            }
            [words(&["perl"]), taint.into_iter().collect(), args, vec![shown]].concat()
        }
        Interpreter::Itself => vec![shown],
        Interpreter::Other(words) => [words, vec![shown]].concat(),
    };
    ListedTest {
        name: file,
        argv,
        env,
        directory: context.directory.display().to_string(),
        rules: TestRules { protocol: Protocol::ProveTap, ..TestRules::default() },
        ..ListedTest::default()
    }
}

/// The declared switches of perl with the directories of `-I` absolute, since a test may change its directory, and these directories.
fn switches(context: &Context<'_>) -> (Vec<String>, Vec<String>) {
    let (mut args, mut libraries) = (Vec::new(), Vec::new());
    let mut is_library = false;
    for word in &context.source.args {
        if word == "-I" {
            is_library = true;
            continue;
        }
        match word.strip_prefix("-I").or_else(|| is_library.then_some(word.as_str())) {
            Some(directory) => {
                let absolute = context.directory.join(directory).display().to_string();
                args.push(format!("-I{absolute}"));
                libraries.push(absolute);
            }
            None => args.push(word.clone()),
        }
        is_library = false;
    }
    (args, libraries)
}

/// What runs a file.
enum Interpreter {
    /// perl, with the switch for taint checks that the first line names: perl does not accept it there alone.
    Perl {
        taint: Option<String>,
    },
    Itself,
    /// The words of the first line of a script.
    Other(Vec<String>),
}

/// As prove does: perl runs what has no first line with `#!` and is not executable, and what names perl there.
fn interpreter(path: &Path) -> Interpreter {
    let executable = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    let text = drydock_base::text::whole_file(path).unwrap_or_default();
    match text.lines().next().and_then(|line| line.strip_prefix("#!")) {
        Some(first) if first.contains("perl") => {
            let after = first.rsplit_once("perl").map_or("", |(_, after)| after);
            let mut words = after.split_whitespace().filter(|word| word.starts_with('-'));
            let taint = words.find_map(|word| word.chars().find(|letter| ['t', 'T'].contains(letter)));
            Interpreter::Perl { taint: taint.map(|letter| format!("-{letter}")) }
        }
        Some(_) if executable => Interpreter::Itself,
        Some(first) => Interpreter::Other(first.split_whitespace().map(str::to_owned).collect()),
        None if executable => Interpreter::Itself,
        None => Interpreter::Perl { taint: None },
    }
}
