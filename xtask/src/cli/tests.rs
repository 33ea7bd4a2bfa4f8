//! What the whole command line owes its callers.

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_every_command_lists_the_exit_codes() {
    fn check(command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        assert!(help.contains(&Exit::help()), "{help}");
        command.get_subcommands_mut().filter(|command| command.get_name() != "help").for_each(check);
    }
    check(&mut with_exit_codes(Cli::command()));
}

/// Commands without `--format`, and what a script reads instead.
const OTHERWISE: [(&str, &str); 25] = [
    ("demo", "its table is for people"),
    ("check", "its exit code"),
    ("init", "the paths on standard output"),
    ("ci", "`ci report --format json`"),
    ("ci run", "`ci report --format json`"),
    ("ci rerun", "`ci report --format json`"),
    ("ci merge", "`ci report --format json`"),
    ("ci fetch", "`ci report --format json`"),
    ("ci tune-memory", "the runs in target/xtask/tune-memory"),
    ("ci suppress", "the file that it writes"),
    ("ci massif", "its subcommands"),
    ("ci massif baseline", "the file that it writes"),
    ("deb build", "the directory on standard output"),
    ("deb upload", "`deb status --format json`"),
    ("release bump", "the files that it writes"),
    ("release notes", "Markdown"),
    ("release hotfix", "the branch that it makes"),
    ("release guide", "Markdown"),
    ("docker nightly", "oci/IMAGE/build.json"),
    ("workflows", "its subcommands"),
    ("workflows write", "the paths on standard output"),
    ("workflows check", "one problem a line, with its place"),
    ("completions", "a script"),
    ("man", "pages"),
    ("drydock", "its subcommands"),
];

/// What every command owes its callers.
#[test]
fn every_command_has_help_formats_and_quiet() {
    fn walk(command: &clap::Command, path: &str, wrong: &mut Vec<String>) {
        let name = if path.is_empty() { "drydock" } else { path };
        let has = |long: &str| command.get_arguments().any(|arg| arg.get_long() == Some(long));
        let otherwise = OTHERWISE.iter().any(|(other, _)| *other == name);
        if has("format") == otherwise {
            wrong.push(format!("{name} has `--format` and is in the list of those without, or neither"));
        }
        if !has("quiet") {
            wrong.push(format!("{name} has no `--quiet`"));
        }
        if command.get_about().is_none() {
            wrong.push(format!("{name} has no description"));
        }
        let undescribed = command.get_arguments().filter(|arg| arg.get_help().is_none());
        wrong.extend(undescribed.map(|arg| format!("{name}: `{}` has no description", arg.get_id())));
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            walk(below, format!("{path} {}", below.get_name()).trim_start(), wrong);
        }
    }
    let mut command = Cli::described("drydock");
    command.build();
    let mut wrong = Vec::new();
    walk(&command, "", &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn quiet_may_stand_anywhere() {
    for words in
        [&["drydock", "-q", "release"][..], &["drydock", "release", "build", "--quiet"], &["drydock", "ci", "-q"]]
    {
        let matches = Cli::command().try_get_matches_from(words).unwrap();
        assert!(Cli::from_arg_matches(&matches).unwrap().place.quiet, "{words:?}");
    }
}
