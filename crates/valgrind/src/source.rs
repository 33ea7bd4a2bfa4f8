//! The source line of a frame, for a report.
//!
//! The path comes from a log that a job may have written itself, so only regular files inside the project are opened,
//! after every link is resolved, and only a bounded part of them is read.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::stack::Frame;
use drydock_base::paths;
use drydock_base::text::printable;

/// Lines behind so many bytes of a file are not quoted.
const MOST_BYTES: u64 = 8 << 20;
/// Quoted lines are cut to this length.
const LONGEST_LINE: usize = 160;

/// The line, without its indentation. `None` when it cannot be read, or is empty.
pub fn line(project: &Path, frame: &Frame) -> Option<String> {
    let wanted = usize::try_from(frame.line?).ok()?.checked_sub(1)?;
    let file = paths::open_regular(&inside(project, frame)?).ok()?;
    let mut reader = BufReader::new(file.take(MOST_BYTES));
    let mut line = Vec::new();
    for _ in 0..=wanted {
        line.clear();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
    }
    let text = printable(String::from_utf8_lossy(&line).trim(), LONGEST_LINE);
    (!text.is_empty()).then_some(text)
}

/// The file that the frame names, when it is in the project.
fn inside(project: &Path, frame: &Frame) -> Option<PathBuf> {
    let directory = Path::new(frame.directory.as_deref().unwrap_or_default());
    // Joining an absolute directory replaces the project, and compilers may be told to write relative ones.
    let path = project.join(directory).join(frame.file.as_deref()?).canonicalize().ok()?;
    path.starts_with(project.canonicalize().ok()?).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_files_of_the_project_are_quoted() {
        let outside = tempfile::tempdir().unwrap();
        let project = outside.path().join("project");
        fs::create_dir_all(project.join("src")).unwrap();
        fs::write(outside.path().join("secret.c"), "secret\n").unwrap();
        fs::write(project.join("src/a.c"), "one\n\n\t  \x1b[31mthree\x07;\n").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.c"), project.join("src/link.c")).unwrap();
        std::os::unix::fs::symlink("a.c", project.join("src/good-link.c")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, project.join("src/pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        let absolute = project.join("src").display().to_string();
        let quote = |directory: Option<&str>, file: &str, number: Option<u32>| {
            let (directory, file) = (directory.map(str::to_owned), Some(file.to_owned()));
            line(&project, &Frame { directory, file, line: number, ..Frame::default() })
        };
        let three = Some("three\u{fffd};".to_owned());
        for (directory, file, number, expected) in [
            (Some(absolute.as_str()), "a.c", Some(1), Some("one".to_owned())),
            (Some(&absolute), "a.c", Some(2), None),
            (Some(&absolute), "a.c", Some(3), three.clone()),
            (Some("src"), "good-link.c", Some(3), three.clone()),
            (None, "src/a.c", Some(3), three),
            (Some(&absolute), "a.c", Some(4), None),
            (Some(&absolute), "a.c", Some(0), None),
            (Some(&absolute), "a.c", None, None),
            (Some(&absolute), "link.c", Some(1), None),
            (Some(&absolute), "../../secret.c", Some(1), None),
            (Some(&absolute), "pipe", Some(1), None),
            (Some(&absolute), ".", Some(1), None),
            (Some("/etc"), "passwd", Some(1), None),
            (None, "/etc/passwd", Some(1), None),
        ] {
            assert_eq!(quote(directory, file, number), expected, "{directory:?} {file}:{number:?}");
        }
    }
}
