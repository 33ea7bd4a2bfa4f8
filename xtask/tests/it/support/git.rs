//! Calls of git with a fixed author and date, and without the user's settings.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Runs git, which must succeed; its standard output without the last line end.
#[track_caller]
pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    git_with(directory, args, &[])
}

/// The same with additional variables, such as another date.
#[track_caller]
pub(crate) fn git_with(directory: &Path, args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"])
        .args(args)
        .current_dir(directory)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .envs([("GIT_AUTHOR_NAME", "n"), ("GIT_AUTHOR_EMAIL", "m"), ("GIT_AUTHOR_DATE", "1780315200 +0000")])
        .envs([("GIT_COMMITTER_NAME", "n"), ("GIT_COMMITTER_EMAIL", "m"), ("GIT_COMMITTER_DATE", "1780315200 +0000")])
        .envs(variables.iter().copied())
        .output()
        .expect("git is needed: apt-get install git");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A `PATH` on which git is the only tool.
pub(crate) fn only_git(directory: &Path) -> String {
    fs::create_dir_all(directory).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let git = std::env::split_paths(&path).map(|place| place.join("git")).find(|file| file.is_file()).unwrap();
    symlink(git, directory.join("git")).unwrap();
    super::text(directory)
}

/// A `PATH` of all programs of this machine but these.
pub(crate) fn path_without(directory: &Path, names: &[&str]) -> String {
    fs::create_dir_all(directory).unwrap();
    for place in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let link = directory.join(entry.file_name());
            // As in `PATH`, the first of a name counts.
            if !names.iter().any(|name| entry.file_name() == *name) && fs::symlink_metadata(&link).is_err() {
                symlink(entry.path(), link).unwrap();
            }
        }
    }
    super::text(directory)
}
