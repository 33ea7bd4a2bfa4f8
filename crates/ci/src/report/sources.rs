//! Source files as readers of a repository name them: relative to its root, with slashes.

use std::path::{Component, Path, PathBuf};

use drydock_valgrind::stack::{self, Frame};

/// The places of a project and of the repository that it is in.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    project: PathBuf,
    repository: PathBuf,
}

impl Sources {
    /// Those of a project; the repository's root is the nearest directory with `.git`, else the project itself.
    pub(super) fn new(project: &Path) -> Sources {
        let root = project.ancestors().find(|directory| directory.join(".git").exists());
        Sources { project: project.to_owned(), repository: root.unwrap_or(project).to_owned() }
    }

    /// The path of the frame's file in the repository. `None` if it is elsewhere, or its directory is not known and it is
    /// not in the project's. The path comes from a log that a job may have written, and need not exist.
    pub(super) fn of_frame(&self, frame: &Frame) -> Option<String> {
        let file = frame.file.as_deref()?;
        let named = self.project.join(frame.directory.as_deref().unwrap_or_default()).join(file);
        if frame.directory.is_none() && !named.is_file() {
            return None;
        }
        let known = |path: PathBuf| self.of_path(&path);
        known(normal(&named)).or_else(|| {
            // A compiler may have named the project by way of a link.
            let root = self.repository.canonicalize().ok()?;
            let sources = Sources { project: self.project.clone(), repository: root };
            sources.of_path(&named.canonicalize().ok()?)
        })
    }

    /// A path in the repository, relative to its root.
    pub(super) fn of_path(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.repository).ok()?;
        let parts: Option<Vec<&str>> = below.components().map(|part| part.as_os_str().to_str()).collect();
        parts.map(|parts| parts.join("/")).filter(|path| !path.is_empty())
    }

    /// The frame of a stack that a reader should look at, with its file: that of the finding's place, or else the innermost
    /// one whose file is in the repository.
    pub(super) fn best(&self, frames: &[Frame]) -> Option<(usize, String)> {
        let place = stack::place(frames);
        let from = |at: usize| Some((at, self.of_frame(frames.get(at)?)?));
        from(place).or_else(|| (0..frames.len()).find_map(from))
    }
}

/// The path without `.` and `..`, as its text has it.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_named_from_the_root_of_the_repository() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().canonicalize().unwrap().join("repository");
        let project = root.join("daemon");
        fs::create_dir_all(project.join("src")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::write(project.join("main.c"), "").unwrap();
        fs::write(project.join("src/a.c"), "").unwrap();
        std::os::unix::fs::symlink(&root, outer.path().join("link")).unwrap();
        let sources = Sources::new(&project);
        let inside = project.join("src").display().to_string();
        let by_link = outer.path().join("link/daemon/src").display().to_string();
        for (directory, file, expected) in [
            (Some(inside.as_str()), "a.c", Some("daemon/src/a.c")),
            (Some(inside.as_str()), "gone.c", Some("daemon/src/gone.c")),
            (Some(inside.as_str()), "../../lib/x y.c", Some("lib/x y.c")),
            (Some(by_link.as_str()), "a.c", Some("daemon/src/a.c")),
            (Some("src"), "./a.c", Some("daemon/src/a.c")),
            (None, "main.c", Some("daemon/main.c")),
            (None, "gone.c", None),
            (Some("/usr/include"), "stdio.h", None),
            (Some(inside.as_str()), "../../../etc/passwd", None),
            (Some("/"), "", None),
        ] {
            let frame = Frame { directory: directory.map(Into::into), file: Some(file.into()), ..Frame::default() };
            assert_eq!(sources.of_frame(&frame).as_deref(), expected, "{directory:?} {file}");
        }
    }
}
