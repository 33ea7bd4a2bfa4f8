//! The command of a test, as the rule that automake writes runs it (lib/am/check.am and check2.am):
//!
//! `AM_TESTS_ENVIRONMENT TESTS_ENVIRONMENT LOG_DRIVER … LOG_DRIVER_FLAGS -- LOG_COMPILE TEST`, in one shell.
//!
//! Where the text before the test only changes variables, the result is the command that the shell makes of it. Otherwise (a program
//! before the driver, another directory or limit, a driver of the project's own), the test runs by the same text.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::environment::{self, Changes, Variables};
use super::super::{Context, ListError, words};

/// What make's variables are for one test.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// Its name, such as `units/a.sh`.
    pub(super) test: String,
    /// The name of its log without `.log`.
    pub(super) base: String,
    /// `true` if it is expected to fail.
    pub(super) fails: bool,
    /// `true` for the harness that runs one test after the other (`serial-tests`), which knows only `TESTS_ENVIRONMENT`.
    pub(super) one_by_one: bool,
    /// `true` if exit code 99 is an error whatever is expected.
    pub(super) hard_errors: bool,
    /// The shell text before the command.
    pub(super) before: String,
    pub(super) driver: String,
    pub(super) driver_flags: String,
    /// `LOG_COMPILER` and its flags.
    pub(super) compile: String,
    /// Redirections behind the test.
    pub(super) redirect: String,
}

/// A test driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    /// That of automake.
    Plain,
    /// That for TAP.
    Tap,
    /// One of the project's own, or one of the others in a way that Drydock does not know.
    Own,
}

/// A command with its environment.
pub(super) struct Command {
    pub(super) argv: Vec<String>,
    pub(super) environment: Changes,
}

impl Rule {
    /// What runs the test; Drydock does the work of automake's drivers itself.
    pub(super) fn driver(&self) -> Driver {
        let program = |word: &&str| word.rsplit('/').next().unwrap_or(word).to_owned();
        let mut words: Vec<&str> = self.driver.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        if words.first() == Some(&"env") {
            words.remove(0);
            words.retain(|word| !word.starts_with("AM_TAP_AWK="));
        }
        if words.first().map(program).is_some_and(|name| ["sh", "bash", "dash", "ksh", "perl"].contains(&&*name)) {
            words.remove(0);
        }
        let known = match &words[..] {
            [] => Driver::Plain,
            [one] if program(one) == "test-driver" => Driver::Plain,
            [one] if ["tap-driver.sh", "tap-driver.pl"].contains(&&*program(one)) => Driver::Tap,
            _ => Driver::Own,
        };
        // Others change what is a failure.
        let harmless = |flag: &str| ["--comments", "--no-comments"].contains(&flag);
        if self.driver_flags.split_whitespace().all(harmless) { known } else { Driver::Own }
    }

    /// Shell text that sets the variables of the rule; `$1` is the test.
    fn setup(&self) -> String {
        let name = if self.one_by_one { "tst" } else { "f" };
        let find = format!(
            "if test -f \"./${name}\"; then dir=./; elif test -f \"${name}\"; then dir=; else dir=$srcdir/; fi; \
             mgn= red= grn= lgn= blu= brg= std= am__color_tests=no"
        );
        if self.one_by_one {
            return format!("tst=$1; set --; {find};");
        }
        format!(
            "f=$1 p=$1 b=$2 log=$2.log am__expect_failure={} am__enable_hard_errors={}; set --; {find}; tst=$dir$f; \
             case $log in */*) am__odir=./${{log%/*}};; *) am__odir=.;; esac;",
            if self.fails { "yes" } else { "no" },
            if self.hard_errors { "yes" } else { "no" }
        )
    }

    /// The word that names the test's file.
    fn file(&self) -> &'static str {
        if self.one_by_one { "${dir}$tst" } else { "\"$tst\"" }
    }

    /// The script that make would run, with its own driver replaced.
    fn script(&self) -> String {
        let Rule { before, compile, redirect, .. } = self;
        let (setup, file) = (self.setup(), self.file());
        let directory = "test -d \"${am__odir-.}\" || mkdir -p \"$am__odir\" || exit 99;";
        if self.driver() != Driver::Own {
            return format!("{setup} {directory}\n{before} {compile} {file} {redirect}");
        }
        let Rule { driver, driver_flags, .. } = self;
        format!(
            "{setup} {directory} drydock=$(mktemp -d) || exit 99; trap 'rm -rf \"$drydock\"' EXIT\n\
             ({before} {driver} --test-name \"$f\" --log-file \"$drydock/log\" --trs-file \"$drydock/trs\" \
             --color-tests \"$am__color_tests\" --enable-hard-errors \"$am__enable_hard_errors\" \
             --expect-failure \"$am__expect_failure\" {driver_flags} -- {compile} {file} {redirect}) || exit 99\n\
             cat \"$drydock/log\"; result=$(sed -n 's/^:global-test-result: *//p' \"$drydock/trs\")\n\
             echo \"the driver's result: $result\"\n\
             case $result in PASS|XFAIL) exit 0;; SKIP) exit 77;; FAIL|XPASS) exit 1;; *) exit 99;; esac"
        )
    }
}

/// Begins what is printed for one test.
const TEST: &str = "\0drydock-test\0";
/// Begins the command, after which come its words, their number before them, the test's file, and the environment.
const COMMAND: &str = "\0drydock-command\0";

/// Functions that print the words after them where the shell would start a program, unless the text before it changed more than
/// variables. A function cannot be called by another program, such as a wrapper; `env` with nothing but variables is none.
const PRINT: &str = "drydock_state() { pwd; umask; ulimit -a; }
drydock_call() {
    test \"$(drydock_state)\" = \"$drydock_state\" || return 0
    printf '\\0drydock-command\\0%d\\0' $#; printf '%s\\0' \"$@\" \"$drydock_file\"; command env -0
}
env() {
    while :; do case ${1-} in [A-Za-z_]*=*) export \"$1\"; shift;; *) break;; esac; done
    if test \"${1-}\" = drydock_call; then \"$@\"; else command env \"$@\"; fi
}
drydock_state=$(drydock_state)
";

/// The commands of tests, in their order. `exported` is what make itself changes in the environment.
pub(super) fn commands(
    context: &Context<'_>,
    directory: &Path,
    shell: &str,
    rules: &[Rule],
    exported: &Changes,
) -> Result<Vec<Command>, ListError> {
    let plain = environment::plain(context, directory)?;
    // One shell evaluates all tests with the same text.
    let mut by_text: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.driver() != Driver::Own) {
        let (setup, file) = (rule.setup(), rule.file());
        let text = format!("{setup} drydock_file={file}\n{} drydock_call {} {file}", rule.before, rule.compile);
        by_text.entry(text).or_default().push(at);
    }
    let more: Vec<(&str, String)> = exported.set.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mut direct: BTreeMap<usize, (Vec<String>, Variables)> = BTreeMap::new();
    for (text, all) in &by_text {
        let unset = exported.unset.join(" ");
        let unset = if unset.is_empty() { unset } else { format!("unset {unset}\n") };
        let script = format!(
            "{unset}{PRINT}while test $# -gt 0; do printf '\\0drydock-test\\0'; (\n{text}\n); shift 2; done; exit 0"
        );
        for some in all.chunks(500) {
            let mut argv = words(&[shell, "-c", &script, "sh"]);
            argv.extend(some.iter().flat_map(|at| [rules[*at].test.clone(), rules[*at].base.clone()]));
            let output = context.read(&argv, directory, &more)?;
            let found = output.split(TEST).skip(1).map(command);
            direct.extend(some.iter().zip(found).filter_map(|(at, found)| Some((*at, found?))));
        }
    }
    let of_rule = |(at, rule): (usize, &Rule)| {
        let missing = || rule.base.rsplit_once('/').is_some_and(|(above, _)| !directory.join(above).is_dir());
        match direct.remove(&at) {
            Some((argv, after)) if rule.one_by_one || !missing() => {
                Command { argv, environment: environment::changes(&plain, after) }
            }
            Some(_) | None => {
                let argv = words(&[shell, "-c", &rule.script(), "sh", &rule.test, &rule.base]);
                Command { argv, environment: exported.clone() }
            }
        }
    };
    Ok(rules.iter().enumerate().map(of_rule).collect())
}

/// The words and the environment in what was printed for one test; none if its text has to run by the shell.
fn command(printed: &str) -> Option<(Vec<String>, Variables)> {
    let (_, printed) = printed.split_once(COMMAND)?;
    let (count, mut rest) = printed.split_once('\0')?;
    let mut words = Vec::new();
    for _ in 0..count.parse::<usize>().ok()? {
        let (word, further) = rest.split_once('\0')?;
        words.push(word.to_owned());
        rest = further;
    }
    let (file, rest) = rest.split_once('\0')?;
    (words.last()? == file).then_some((words, environment::variables(rest)?))
}
