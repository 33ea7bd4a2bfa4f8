//! An upload: `.changes`, `.dsc`, the checksums of the files next to them, and the contents of the source package.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use crate::checksums::{self, FileChecksums};
use crate::control::{self, ControlError, Paragraph};
use crate::sign::{self, Signature};
use crate::unpacked_source::{UnpackFailure, UnpackedSource};

/// An upload as read from disk. Nothing in it is trusted.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// The name of `.changes`; empty if the fields were derived from a `.dsc`.
    pub changes_name: String,
    /// The fields of `.changes`.
    pub changes: Paragraph,
    /// The signature of `.changes`.
    pub changes_signature: Signature,
    /// The name of `.dsc`; empty without one.
    pub dsc_name: String,
    /// The fields of `.dsc`.
    pub dsc: Paragraph,
    /// The signature of `.dsc`.
    pub dsc_signature: Signature,
    /// The files that cannot be parsed, each with the reason. Nothing else is checked then.
    pub unparsable: Vec<(String, ControlError)>,
    /// The listed files that exist, by name.
    pub files: BTreeMap<String, FileChecksums>,
    /// The contents of the source package.
    pub contents: SourceContents,
}

/// The contents of an unpacked source package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceContents {
    /// The names of the top-level directories.
    pub directories: Vec<String>,
    /// The failure of dpkg-source.
    pub failure: Option<UnpackFailure>,
    /// `debian/changelog` and `debian/copyright`, where they exist.
    pub documents: BTreeMap<String, Document>,
}

/// A file that Launchpad stores outside the source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Whether the file is a symbolic link.
    pub is_link: bool,
    /// The size in bytes.
    pub size: u64,
}

/// A line of `Files` in `.changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// The file's name.
    pub name: String,
    /// The checksum as written.
    pub md5: String,
    /// The size as written.
    pub size: String,
    /// The section, after its component and `/` if there is one.
    pub section: String,
}

impl Upload {
    /// Reads a `.changes` or `.dsc` with the files that it lists. Also returns the unpacked sources.
    ///
    /// # Errors
    /// `.changes`, `.dsc` or `.buildinfo` cannot be read, or dpkg-source is missing. That one cannot be parsed is not an
    /// error, but [`Upload::unparsable`].
    pub fn read(path: &Path) -> anyhow::Result<(Upload, Option<UnpackedSource>)> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut upload = Upload::default();
        if !name.ends_with(".dsc") {
            let text = read(path)?;
            upload.changes = upload.parse(&name, &text);
            upload.changes_signature = sign::check(&text);
            upload.changes_name = name;
            let listed = upload.listed();
            let dsc = listed.iter().find(|file| file.name.ends_with(".dsc"));
            upload.dsc_name = dsc.map(|file| plain(&file.name)).unwrap_or_default();
        } else {
            upload.dsc_name = name;
        }
        let dsc = directory.join(&upload.dsc_name);
        let has_dsc = !upload.dsc_name.is_empty() && dsc.is_file();
        if has_dsc {
            let text = read(&dsc)?;
            upload.dsc = upload.parse(&upload.dsc_name.clone(), &text);
            upload.dsc_signature = sign::check(&text);
        }
        let names =
            upload.listed().into_iter().map(|file| file.name).chain(upload.dsc_listed().map(|(_, _, name)| name));
        let names: Vec<String> = names.map(|name| plain(&name)).chain([upload.dsc_name.clone()]).collect();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            if let Ok(checksums) = FileChecksums::read(&directory.join(&name)) {
                upload.files.insert(name, checksums);
            }
        }
        let buildinfos: Vec<String> =
            upload.files.keys().filter(|name| name.ends_with(".buildinfo")).cloned().collect();
        for name in buildinfos {
            let text = read(&directory.join(&name))?;
            upload.parse(&name, &text);
        }
        let whole =
            upload.unparsable.is_empty() && upload.dsc_listed().all(|(_, _, name)| upload.files.contains_key(&name));
        let unpacked = if has_dsc && whole { Some(UnpackedSource::new(&dsc)?) } else { None };
        if let Some(unpacked) = &unpacked {
            upload.contents = contents(unpacked);
            if upload.changes_name.is_empty() {
                upload.derive_changes(unpacked);
            }
        }
        Ok((upload, unpacked))
    }

    /// Parses one of the files; an empty paragraph if it cannot be parsed.
    fn parse(&mut self, name: &str, text: &[u8]) -> Paragraph {
        control::parse_one(&String::from_utf8_lossy(text)).unwrap_or_else(|error| {
            self.unparsable.push((name.to_owned(), error));
            Paragraph::new()
        })
    }

    /// The well-formed lines of `Files` in `.changes`.
    pub fn listed(&self) -> Vec<ListedFile> {
        let lines = self.changes.lines("Files").map(|line| line.split_whitespace().collect::<Vec<_>>());
        let own = |words: Vec<&str>| match words[..] {
            [md5, size, section, _priority, name] => Some(ListedFile {
                name: name.to_owned(),
                md5: md5.to_owned(),
                size: size.to_owned(),
                section: section.to_owned(),
            }),
            _ => None,
        };
        lines.filter_map(own).collect()
    }

    /// The well-formed lines of `Files` in `.dsc`: checksum, size and name.
    pub fn dsc_listed(&self) -> impl Iterator<Item = (String, String, String)> + '_ {
        self.dsc.lines("Files").filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [md5, size, name] => Some((md5.to_owned(), size.to_owned(), name.to_owned())),
            _ => None,
        })
    }

    /// Sets the fields that `dpkg-genchanges -S` would write into `.changes`.
    fn derive_changes(&mut self, unpacked: &UnpackedSource) {
        let argv = ["dpkg-parsechangelog"].map(str::to_owned);
        let entry =
            drydock_base::exec::read(&argv, unpacked.root()).ok().and_then(|text| control::parse_one(&text).ok());
        let entry = entry.unwrap_or_default();
        let mut changes = Paragraph::new();
        changes.set("Format", "1.8");
        for (field, from) in [("Date", &entry), ("Source", &entry), ("Binary", &self.dsc)] {
            changes.set_some(field, from.line(field));
        }
        changes.set("Architecture", "source");
        changes.set_some("Version", self.dsc.line("Version"));
        for (field, from) in [("Distribution", &entry), ("Urgency", &entry), ("Maintainer", &self.dsc)] {
            changes.set_some(field, from.line(field));
        }
        changes.set_some("Changed-By", entry.line("Maintainer"));
        changes.set_some("Changes", entry.get("Changes"));
        let section = self.dsc.lines("Package-List").next().and_then(|line| line.split_whitespace().nth(2));
        let middle = format!("{} optional ", section.unwrap_or("misc"));
        let files: Vec<FileChecksums> = self.files.values().cloned().collect();
        checksums::list(&mut changes, &files, Some(&middle));
        self.changes = changes;
        self.changes_signature = self.dsc_signature.clone();
    }
}

/// The name if it names a file of the same directory, else an empty text.
fn plain(name: &str) -> String {
    if name.contains('/') || name.starts_with('.') { String::new() } else { name.to_owned() }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = drydock_base::paths::open_regular(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(control::MAX_SIZE).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

fn contents(unpacked: &UnpackedSource) -> SourceContents {
    let mut contents = SourceContents { failure: unpacked.failure.clone(), ..SourceContents::default() };
    for directory in &unpacked.directories {
        contents.directories.push(directory.file_name().unwrap_or_default().to_string_lossy().into_owned());
        for name in ["debian/changelog", "debian/copyright"] {
            if let Ok(metadata) = fs::symlink_metadata(directory.join(name)) {
                let document = Document { is_link: metadata.is_symlink(), size: metadata.len() };
                contents.documents.insert(name.to_owned(), document);
            }
        }
    }
    contents
}
