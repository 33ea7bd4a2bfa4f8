//! A repository whose `HEAD` moves while a command runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

/// A `git` for `PATH` that commits a change each time that it has resolved `HEAD`, and counts these times.
pub(crate) struct MovingHead {
    directory: TempDir,
}

impl MovingHead {
    pub(crate) fn new(project: &Path) -> MovingHead {
        let directory = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap();
        let log = directory.path().join("log");
        let script = format!(
            "#!/bin/sh
PATH='{path}'
moves() {{
    echo \"$*\" >>'{}'
    cd '{}' && echo moved >>moved && set -- env -i PATH=\"$PATH\" git -c user.name=n -c user.email=m &&
        \"$@\" add moved && \"$@\" commit -q -m moved
}}
case \"$*\" in
*rev-parse*'HEAD^{{'*)
    git \"$@\" || exit
    (moves \"$*\") >/dev/null ;;
*'cat-file --batch')
    # One that runs for all questions would not say when it has answered.
    while IFS= read -r name; do
        printf '%s\\n' \"$name\" | git \"$@\" || exit
        case $name in 'HEAD^{{'*) (moves \"$name\") >/dev/null </dev/null ;; esac
    done ;;
*) exec git \"$@\" ;;
esac
",
            log.display(),
            project.display()
        );
        let git = directory.path().join("git");
        fs::write(&git, script).unwrap();
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
        MovingHead { directory }
    }

    /// The value of `PATH` with this git first.
    pub(crate) fn path(&self) -> String {
        format!("{}:{}", self.directory.path().display(), std::env::var("PATH").unwrap())
    }

    /// The number of times that `HEAD` was resolved.
    pub(crate) fn resolved(&self) -> usize {
        fs::read_to_string(self.directory.path().join("log")).map_or(0, |log| log.lines().count())
    }
}
