//! What make, and the shell text before a test, change in the environment of what they run.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Context, ListError, malformed, words};

/// The values of variables of the environment.
pub(super) type Variables = BTreeMap<String, String>;

/// Variables that make and the shells change in the environment of everything that they run.
const OF_THE_RUNNER: [&str; 11] = [
    "MAKECMDGOALS",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "MAKEOVERRIDES",
    "MAKE_TERMOUT",
    "MAKE_TERMERR",
    "SHLVL",
    "_",
    "PWD",
    "OLDPWD",
];

/// Shell text that prints the environment. What comes before the first NUL was printed by the Makefile itself.
const PRINT: &str = "printf '\\000'; env -0";

/// Changes of an environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// The variables that are set, with their values.
    pub(super) set: Variables,
    /// Those that are removed.
    pub(super) unset: Vec<String>,
}

/// The changes that make's exported variables are, with further arguments of make; `more` is set for it.
pub(super) fn of_make(
    context: &Context<'_>,
    directory: &Path,
    arguments: &[String],
    more: &[(&str, String)],
) -> Result<Changes, ListError> {
    let mut argv = words(&["make", "--no-print-directory", "-s"]);
    argv.extend(context.source.args.iter().chain(arguments).cloned());
    argv.extend([
        format!("--eval=.PHONY: drydock-list\ndrydock-list: ; {PRINT}\n.DEFAULT_GOAL :="),
        "drydock-list".to_owned(),
    ]);
    let output = context.read(&argv, directory, more)?;
    let after = output.split_once('\0').and_then(|(_, pairs)| variables(pairs));
    Ok(changes(&plain(context, directory)?, after.ok_or_else(|| malformed(&argv, "a variable without `=`"))?))
}

/// The environment that a command without any changes has.
pub(super) fn plain(context: &Context<'_>, directory: &Path) -> Result<Variables, ListError> {
    let argv = words(&["sh", "-c", PRINT]);
    let output = context.read(&argv, directory, &[])?;
    let plain = output.split_once('\0').and_then(|(_, pairs)| variables(pairs));
    plain.ok_or_else(|| malformed(&argv, "a variable without `=`"))
}

/// What `env -0` printed; none if it is something else.
pub(super) fn variables(printed: &str) -> Option<Variables> {
    let pairs = printed.split('\0').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('='));
    let all = pairs.collect::<Option<Vec<_>>>()?.into_iter();
    Some(all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// What differs after something ran.
pub(super) fn changes(before: &Variables, mut after: Variables) -> Changes {
    let own = |name: &str| OF_THE_RUNNER.contains(&name);
    let unset = before.keys().filter(|name| !own(name) && !after.contains_key(*name)).cloned().collect();
    after.retain(|name, value| !own(name) && before.get(name) != Some(value));
    Changes { set: after, unset }
}
