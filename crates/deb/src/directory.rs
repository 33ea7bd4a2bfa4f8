//! The `debian/` directory of one series, put together from the project's own and what is made of its declaration.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::changelog::Entry;
use super::control::{self, Paragraph};
use super::copyright;
use super::vendor::Vendored;
use drydock_archive::source::SourceTree;
use drydock_archive::{ArchiveEntry, EntryKind};
use drydock_base::failure::Failure;
use drydock_base::sums::Sha256Sum;

/// A file: whether it may be executed, and its content.
pub type Content = (bool, Arc<[u8]>);

/// The project's directory, all series in it.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    files: BTreeMap<String, Content>,
}

/// The `debian/` of one series.
#[derive(Debug, Clone)]
pub struct Debian {
    /// Its files.
    pub files: BTreeMap<String, Content>,
    /// The first paragraph of `control`.
    pub source: Paragraph,
    /// The other paragraphs of `control`.
    pub binaries: Vec<Paragraph>,
}

impl Directory {
    /// The directory of that path in the sources.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn of_tree(tree: &SourceTree, path: &str) -> anyhow::Result<Directory> {
        let mut reader = tree.reader();
        let mut files = BTreeMap::new();
        let prefix = format!("{path}/");
        for entry in tree.entries.iter().filter(|entry| entry.path.starts_with(&prefix)) {
            let EntryKind::File { executable } = entry.kind else {
                let text = format!("{} is a link, which {path} may not hold: write the file itself", entry.path);
                return Err(Failure::declaration(text));
            };
            files.insert(entry.path[prefix.len()..].to_owned(), (executable, reader.content(entry)?));
        }
        Directory { files }.checked(path)
    }

    /// The directory on disk, for a project that has not adopted its declarations.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn of_disk(directory: &Path) -> anyhow::Result<Directory> {
        let mut files = BTreeMap::new();
        let mut open = vec![String::new()];
        while let Some(inside) = open.pop() {
            let at = directory.join(&inside);
            for entry in fs::read_dir(&at).with_context(|| format!("cannot read {}", at.display()))? {
                let entry = entry?;
                let path = format!("{inside}{}", entry.file_name().to_string_lossy());
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    open.push(format!("{path}/"));
                } else if metadata.is_file() {
                    files.insert(path, (metadata.permissions().mode() & 0o100 != 0, fs::read(entry.path())?.into()));
                }
            }
        }
        Directory { files }.checked(&directory.display().to_string())
    }

    /// A sum over all files: their paths, whether they may be executed, and their contents.
    pub fn sum(&self) -> Sha256Sum {
        let line = |(path, (executable, content)): (&String, &Content)| {
            // No path holds a zero byte, so no two directories have the same list.
            format!("{} {} {path}\0", Sha256Sum::of(content), u8::from(*executable))
        };
        Sha256Sum::of(self.files.iter().map(line).collect::<String>().as_bytes())
    }

    fn checked(self, shown: &str) -> anyhow::Result<Directory> {
        for name in ["control", "rules", "copyright"] {
            if !self.files.contains_key(name) {
                let text = format!(
                    "{shown}/{name} is not there; a Debian package needs it (`deb.directory` names the directory)"
                );
                return Err(Failure::declaration(text));
            }
        }
        Ok(self)
    }

    /// The `debian/` of a series.
    ///
    /// # Errors
    /// `control` or `copyright` cannot be read.
    pub fn for_series(&self, series: &str, vendored: Option<&Vendored>) -> anyhow::Result<Debian> {
        let own = format!("series/{series}/");
        let mut files: BTreeMap<String, Content> = self
            .files
            .iter()
            .filter(|(path, _)| !path.starts_with("series/"))
            .map(|(p, c)| (p.clone(), c.clone()))
            .collect();
        for (path, content) in &self.files {
            if let Some(path) = path.strip_prefix(&own) {
                files.insert(path.to_owned(), content.clone());
            }
        }
        let text = |name: &str| files.get(name).map(|(_, content)| String::from_utf8_lossy(content).into_owned());
        let wrong = |name: &str, why: String| Failure::declaration(format!("{name}: {why}"));
        let mut paragraphs =
            control::parse(&text("control").unwrap_or_default()).map_err(|why| wrong("control", why))?.into_iter();
        let source = paragraphs.next().ok_or_else(|| wrong("control", "it is empty".into()))?;
        let binaries: Vec<Paragraph> = paragraphs.collect();
        for (paragraph, field) in std::iter::once((&source, "Source"))
            .chain([(&source, "Maintainer"), (&source, "Section")])
            .chain(binaries.iter().flat_map(|one| [(one, "Package"), (one, "Architecture"), (one, "Description")]))
        {
            if paragraph.line(field).is_none() {
                return Err(wrong("control", format!("a paragraph has no `{field}`")));
            }
        }
        if binaries.is_empty() {
            return Err(wrong("control", "it has no binary package".into()));
        }
        if let Some(vendored) = vendored {
            let whole = copyright::with_crates(&text("copyright").unwrap_or_default(), vendored)
                .map_err(|why| wrong("copyright", why))?;
            files.insert("copyright".into(), (false, whole.into_bytes().into()));
        }
        if let Some((executable, _)) = files.get_mut("rules") {
            *executable = true;
        }
        files.entry("source/format".into()).or_insert_with(|| (false, b"3.0 (quilt)\n"[..].into()));
        Ok(Debian { files, source, binaries })
    }
}

impl Debian {
    /// The name of the source package.
    pub fn name(&self) -> String {
        self.source.line("Source").unwrap_or_default()
    }

    /// Puts an entry before the changelog that the project may have.
    pub fn add_entry(&mut self, entry: &Entry) {
        let old = self.files.get("changelog").map(|(_, content)| String::from_utf8_lossy(content).into_owned());
        let text = match old {
            Some(old) => format!("{}\n{}", entry.text(), old.trim_start()),
            None => entry.text(),
        };
        self.files.insert("changelog".into(), (false, text.into_bytes().into()));
    }

    /// The files as entries of an archive.
    pub fn archive_entries(&self) -> impl Iterator<Item = ArchiveEntry> + '_ {
        self.files.iter().map(|(path, (executable, content))| ArchiveEntry {
            path: path.clone(),
            kind: EntryKind::File { executable: *executable },
            content: Arc::clone(content),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_have_one_sum_only_when_they_are_the_same() {
        let sum = |files: &[(&str, bool, &str)]| {
            let file = |(path, executable, content): &(&str, bool, &str)| {
                ((*path).to_owned(), (*executable, Arc::from(content.as_bytes())))
            };
            Directory { files: files.iter().map(file).collect() }.sum()
        };
        let one = [("control", false, "a"), ("rules", true, "b")];
        assert_eq!(sum(&one), sum(&[one[1], one[0]]));
        for other in [
            &one[..1],
            &[one[0], ("rules", false, "b")],
            &[one[0], ("rules", true, "c")],
            &[one[0], ("rules2", true, "b")],
            &[("control", false, "b"), ("rules", true, "a")],
        ] {
            assert_ne!(sum(&one), sum(other), "{other:?}");
        }
    }
}
