//! An upload as it was read: `.changes`, `.dsc`, the sums of the files beside them, and what they unpack to.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use crate::control::{self, Paragraph};
use crate::sign;
use crate::sums::Sums;
use crate::unpacked::{self, Unpacked};
use drydock_base::exec;
use drydock_base::failure::Failure;

/// An upload. Everything in it is hostile.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// The name of `.changes`; empty when there is only a `.dsc`, for which one was made up.
    pub changes_name: String,
    /// Its fields.
    pub changes: Paragraph,
    /// Its signature.
    pub changes_signature: Signature,
    /// The name of `.dsc`.
    pub dsc_name: String,
    /// Its fields.
    pub dsc: Paragraph,
    /// Its signature.
    pub dsc_signature: Signature,
    /// The files that stand beside them, by name.
    pub files: BTreeMap<String, Sums>,
    /// What they unpack to.
    pub sources: Sources,
}

/// A signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    #[default]
    None,
    /// By this key.
    Good(String),
    /// Not good, or by a key that gpg does not know here.
    Bad(String),
}

/// The failure of dpkg-source, as Launchpad's message about it needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackFailure {
    /// The exit code; 1 when it did not end by itself.
    pub code: i32,
    /// The end of its standard error, or why it did not run.
    pub output: String,
}

impl From<&exec::Error> for UnpackFailure {
    fn from(error: &exec::Error) -> Self {
        match error {
            exec::Error::Exit { status, stderr, .. } if status.code().is_some() => {
                UnpackFailure { code: status.code().unwrap_or(1), output: stderr.clone() }
            }
            other => UnpackFailure { code: 1, output: other.to_string() },
        }
    }
}

/// What a source package unpacks to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The directories.
    pub directories: Vec<String>,
    /// What dpkg-source said when it failed.
    pub failure: Option<UnpackFailure>,
    /// `debian/changelog` and `debian/copyright`, as far as they are there.
    pub documents: BTreeMap<String, Document>,
}

/// A file that Launchpad keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// In bytes.
    pub size: u64,
}

/// A line of `Files` in `.changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The file.
    pub name: String,
    /// As it is written.
    pub md5: String,
    /// As it is written.
    pub size: String,
    /// With its component, if there is one.
    pub section: String,
}

impl Upload {
    /// Reads a `.changes` or a `.dsc` with all that belongs to it. The unpacked sources are handed over as well.
    ///
    /// # Errors
    /// A file that cannot be read or parsed at all.
    pub fn read(path: &Path) -> anyhow::Result<(Upload, Option<Unpacked>)> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut upload = Upload::default();
        if !name.ends_with(".dsc") {
            let text = text(path)?;
            upload.changes = control::parse_one(&text).map_err(|why| unreadable(&name, &why))?;
            upload.changes_signature = signature(&text);
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
            let text = text(&dsc)?;
            upload.dsc = control::parse_one(&text).map_err(|why| unreadable(&upload.dsc_name, &why))?;
            upload.dsc_signature = signature(&text);
        }
        let names =
            upload.listed().into_iter().map(|file| file.name).chain(upload.dsc_listed().map(|(_, _, name)| name));
        let names: Vec<String> = names.map(|name| plain(&name)).chain([upload.dsc_name.clone()]).collect();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            if let Ok(sums) = Sums::of_file(&directory.join(&name)) {
                upload.files.insert(name, sums);
            }
        }
        let whole = upload.dsc_listed().all(|(_, _, name)| upload.files.contains_key(&name));
        let unpacked = if has_dsc && whole { Some(unpacked::unpack(&dsc)?) } else { None };
        if let Some(unpacked) = &unpacked {
            upload.sources = sources(unpacked);
            if upload.changes_name.is_empty() {
                upload.make_up_changes(unpacked);
            }
        }
        Ok((upload, unpacked))
    }

    /// The lines of `Files` in `.changes` that are whole.
    pub fn listed(&self) -> Vec<Listed> {
        let lines = self.changes.lines("Files").map(|line| line.split_whitespace().collect::<Vec<_>>());
        let own = |words: Vec<&str>| match words[..] {
            [md5, size, section, _priority, name] => Some(Listed {
                name: name.to_owned(),
                md5: md5.to_owned(),
                size: size.to_owned(),
                section: section.to_owned(),
            }),
            _ => None,
        };
        lines.filter_map(own).collect()
    }

    /// The lines of `Files` in `.dsc` that are whole: the sum, the size, the name.
    pub fn dsc_listed(&self) -> impl Iterator<Item = (String, String, String)> + '_ {
        self.dsc.lines("Files").filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [md5, size, name] => Some((md5.to_owned(), size.to_owned(), name.to_owned())),
            _ => None,
        })
    }

    /// What `dpkg-genchanges -S` would write for a `.dsc` that came without.
    fn make_up_changes(&mut self, unpacked: &Unpacked) {
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
        let files: Vec<Sums> = self.files.values().cloned().collect();
        crate::sums::list(&mut changes, &files, Some(&middle));
        self.changes = changes;
        self.changes_signature = self.dsc_signature.clone();
    }
}

fn unreadable(name: &str, why: &str) -> anyhow::Error {
    Failure::rejected(format!("{name} is no .changes or .dsc that can be read: {why}"))
}

/// A name without directories, for looking a file up.
fn plain(name: &str) -> String {
    if name.contains('/') || name.starts_with('.') { String::new() } else { name.to_owned() }
}

fn text(path: &Path) -> anyhow::Result<String> {
    let file = drydock_base::paths::open_regular(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(control::LARGEST).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn signature(text: &str) -> Signature {
    if !control::is_signed(text) {
        return Signature::None;
    }
    sign::verified(text).map_or_else(Signature::Bad, Signature::Good)
}

fn sources(unpacked: &Unpacked) -> Sources {
    let mut sources = Sources { failure: unpacked.failure.as_ref().map(UnpackFailure::from), ..Sources::default() };
    for directory in &unpacked.directories {
        sources.directories.push(directory.file_name().unwrap_or_default().to_string_lossy().into_owned());
        for name in ["debian/changelog", "debian/copyright"] {
            if let Ok(metadata) = fs::symlink_metadata(directory.join(name)) {
                let document = Document { is_link: metadata.is_symlink(), size: metadata.len() };
                sources.documents.insert(name.to_owned(), document);
            }
        }
    }
    sources
}
