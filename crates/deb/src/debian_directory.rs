//! The `debian/` directory of a series: the project's own files, and those that are generated from its declaration.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::changelog::ChangelogEntry;
use super::control::{self, Paragraph};
use super::copyright;
use drydock_archive::source::SourceTree;
use drydock_archive::source::vendor::VendoredCrates;
use drydock_archive::{ArchiveEntry, EntryKind};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;

/// A file of `debian/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianFile {
    /// Whether the file is executable.
    pub executable: bool,
    /// The file's content.
    pub content: Arc<[u8]>,
}

impl DebianFile {
    fn plain(text: String) -> DebianFile {
        DebianFile { executable: false, content: text.into_bytes().into() }
    }
}

/// The project's `debian/` directory, with the files of all series.
#[derive(Debug, Clone, Default)]
pub struct DebianDirectory {
    files: BTreeMap<String, DebianFile>,
}

/// The `debian/` directory of one series.
#[derive(Debug, Clone)]
pub struct SeriesDirectory {
    /// The files, by path below `debian/`.
    pub files: BTreeMap<String, DebianFile>,
    /// The first paragraph of `control`, about the source package.
    pub source: Paragraph,
    /// The other paragraphs of `control`, about the binary packages.
    pub binaries: Vec<Paragraph>,
}

impl DebianDirectory {
    /// Reads the directory from the sources.
    ///
    /// # Errors
    /// A required file is missing, or a file is a symbolic link or cannot be read.
    pub fn from_tree(tree: &SourceTree, path: &str) -> anyhow::Result<DebianDirectory> {
        let mut reader = tree.reader();
        let mut files = BTreeMap::new();
        let prefix = format!("{path}/");
        for entry in tree.entries.iter().filter(|entry| entry.path.starts_with(&prefix)) {
            let EntryKind::File { executable } = entry.kind else {
                let text =
                    format!("{} is a symbolic link, which {path} must not contain; replace it by a copy", entry.path);
                return Err(Failure::declaration(text));
            };
            files.insert(
                entry.path[prefix.len()..].to_owned(),
                DebianFile { executable, content: reader.content(entry)? },
            );
        }
        DebianDirectory { files }.checked(path)
    }

    /// Reads the directory from disk, for a project whose declarations are outside its repository.
    ///
    /// # Errors
    /// A required file is missing, or a file cannot be read.
    pub fn from_disk(directory: &Path) -> anyhow::Result<DebianDirectory> {
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
                    let executable = metadata.permissions().mode() & 0o100 != 0;
                    files.insert(path, DebianFile { executable, content: fs::read(entry.path())?.into() });
                }
            }
        }
        DebianDirectory { files }.checked(&directory.display().to_string())
    }

    /// A checksum of all files: their paths, contents, and whether they are executable.
    pub fn checksum(&self) -> Checksum {
        let line = |(path, file): (&String, &DebianFile)| {
            // Paths do not contain zero bytes, so no two directories have the same list.
            format!("{} {} {path}\0", Checksum::new(&file.content), u8::from(file.executable))
        };
        Checksum::new(self.files.iter().map(line).collect::<String>().as_bytes())
    }

    fn checked(self, shown: &str) -> anyhow::Result<DebianDirectory> {
        for name in ["control", "rules", "copyright"] {
            if !self.files.contains_key(name) {
                let text =
                    format!("{shown}/{name} does not exist, but a Debian package needs it; is `deb.directory` right?");
                return Err(Failure::declaration(text));
            }
        }
        Ok(self)
    }

    /// The directory of a series: files below `series/NAME/` replace those of the same name.
    ///
    /// # Errors
    /// `control` or `copyright` cannot be parsed, or lacks something.
    pub fn for_series(&self, series: &str, vendored: Option<&VendoredCrates>) -> anyhow::Result<SeriesDirectory> {
        let own = format!("series/{series}/");
        let common = self.files.iter().filter(|(path, _)| !path.starts_with("series/"));
        let own = self.files.iter().filter_map(|(path, file)| Some((path.strip_prefix(&own)?, file)));
        let mut files: BTreeMap<String, DebianFile> = common
            .map(|(path, file)| (path.as_str(), file))
            .chain(own)
            .map(|(path, file)| (path.to_owned(), file.clone()))
            .collect();
        let text = |name: &str| {
            let file = files.get(name).map(|file| String::from_utf8_lossy(&file.content).into_owned());
            file.unwrap_or_default()
        };
        let wrong = |name: &str, why: String| Failure::declaration(format!("{name}: {why}"));
        let mut paragraphs =
            control::parse(&text("control")).map_err(|error| wrong("control", error.to_string()))?.into_iter();
        let source = paragraphs.next().ok_or_else(|| wrong("control", "the file is empty".into()))?;
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
            return Err(wrong("control", "there is no paragraph of a binary package".into()));
        }
        if let Some(vendored) = vendored {
            let whole = copyright::with_crates(&text("copyright"), vendored)
                .map_err(|error| wrong("copyright", error.to_string()))?;
            files.insert("copyright".into(), DebianFile::plain(whole));
        }
        if let Some(rules) = files.get_mut("rules") {
            rules.executable = true;
        }
        files.entry("source/format".into()).or_insert_with(|| DebianFile::plain("3.0 (quilt)\n".to_owned()));
        Ok(SeriesDirectory { files, source, binaries })
    }
}

impl SeriesDirectory {
    /// The name of the source package.
    pub fn name(&self) -> String {
        self.source.line("Source").unwrap_or_default()
    }

    /// Adds an entry on top of the changelog, which the project may have.
    pub fn add_entry(&mut self, entry: &ChangelogEntry) {
        let old = self.files.get("changelog").map(|file| String::from_utf8_lossy(&file.content).into_owned());
        let text = match old {
            Some(old) => format!("{}\n{}", entry.text(), old.trim_start()),
            None => entry.text(),
        };
        self.files.insert("changelog".into(), DebianFile::plain(text));
    }

    /// The files as entries of an archive.
    pub fn archive_entries(&self) -> impl Iterator<Item = ArchiveEntry> + '_ {
        self.files.iter().map(|(path, file)| ArchiveEntry {
            path: path.clone(),
            kind: EntryKind::File { executable: file.executable },
            content: Arc::clone(&file.content),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_checksums_mean_equal_directories() {
        let checksum = |files: &[(&str, bool, &str)]| {
            let file = |(path, executable, content): &(&str, bool, &str)| {
                let file = DebianFile { executable: *executable, content: Arc::from(content.as_bytes()) };
                ((*path).to_owned(), file)
            };
            DebianDirectory { files: files.iter().map(file).collect() }.checksum()
        };
        let one = [("control", false, "a"), ("rules", true, "b")];
        assert_eq!(checksum(&one), checksum(&[one[1], one[0]]));
        for other in [
            &one[..1],
            &[one[0], ("rules", false, "b")],
            &[one[0], ("rules", true, "c")],
            &[one[0], ("rules2", true, "b")],
            &[("control", false, "b"), ("rules", true, "a")],
        ] {
            assert_ne!(checksum(&one), checksum(other), "{other:?}");
        }
    }
}
