//! Text to measure with, as one commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory with about that much text: the sources of the crates that this workspace is built from.
pub(crate) fn project(directory: &Path, size: u64) -> PathBuf {
    let (vendor, project) = (directory.join("vendor"), directory.join("project"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    run(Command::new("cargo")
        .args(["vendor", "--locked", "--quiet"])
        .arg(&vendor)
        .current_dir(workspace)
        .stdout(Stdio::null()));
    let mut files = Vec::new();
    let mut directories = vec![vendor.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut bytes = 0;
    for file in files {
        let content = fs::read(&file).expect("a file");
        if std::str::from_utf8(&content).is_ok() && bytes < size {
            bytes += content.len() as u64;
            let target = project.join(file.strip_prefix(&vendor).expect("a vendored file"));
            fs::create_dir_all(target.parent().expect("a directory")).expect("a directory");
            fs::write(target, content).expect("a file");
        }
    }
    project
}

/// Makes one commit of a directory.
pub(crate) fn commit(project: &Path) {
    for words in [&["init", "-q"][..], &["add", "-A", "-f"], &["commit", "-q", "-m", "text"], &["gc", "-q"]] {
        let mut git = Command::new("git");
        git.arg("-C").arg(project).args(["-c", "user.name=n", "-c", "user.email=m", "-c", "core.autocrlf=false"]);
        run(git.args(words));
    }
}

fn run(command: &mut Command) {
    let status = command.status().expect("the program starts");
    assert!(status.success(), "{command:?} ended with {status}");
}
