//! The files of an image: its layers applied on top of each other, and the resolution of paths through symlinks. Names that are
//! not UTF-8 are in the form of [`super::layer_path`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layer_change::Placed;
use super::layout::Layout;
use super::model::{Descriptor, LayerType, Manifest};
use drydock_archive::read::{self, Limits, Member, MemberKind, ReadError};
use drydock_base::failure::Failure;
use drydock_base::paths;

/// The maximum size of a text that is kept, such as the list of packages, in bytes.
const LARGEST_TEXT: u64 = 64 << 20;
/// The maximum number of symlinks on the way to one file.
const MOST_LINKS: usize = 40;
/// Debian's list of installed packages. Images without dpkg have [`STATUS_DIRECTORY`].
pub const STATUS: &str = "var/lib/dpkg/status";
/// The directory with one file for each installed package.
pub const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";

/// The files of an image, by path without `/` at its ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFiles {
    files: BTreeMap<String, ImageFile>,
    /// The contents of the files that list the installed packages, and of `os-release`.
    texts: BTreeMap<String, String>,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// The type.
    pub kind: FileKind,
    /// The permission bits.
    pub mode: u32,
    /// The user and group IDs.
    pub owner: (u64, u64),
    /// The modification time, in seconds since 1970.
    pub time: u64,
}

/// The type of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file or a hard link to one.
    File,
    /// A symbolic link and its target.
    Link(String),
    /// A device or the like.
    Other,
}

/// The reason why a path cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There are too many symlinks on the way.
    #[error("too many symlinks on the way to {0}")]
    Loop(String),
    /// A component of the path is not a directory.
    #[error("{file} is not a directory, so {path} cannot be created")]
    NotADirectory {
        /// The component.
        file: String,
        /// The whole path.
        path: String,
    },
}

impl ImageFiles {
    /// Reads the files of an image. They are cached beside its blobs, since this takes longer than a build.
    ///
    /// # Errors
    /// A layer is damaged.
    pub fn read(layout: &Layout, manifest: &Descriptor, image: &Manifest) -> anyhow::Result<ImageFiles> {
        let kept = layout.directory().join(format!("tree-{}.json", manifest.digest.hex()));
        if let Some(files) = fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(files);
        }
        let mut files = ImageFiles::default();
        for layer in &image.layers {
            files
                .apply(layout, layer)
                .map_err(|error| Failure::not_reproducible(format!("the layer {}: {error}", layer.digest)))?;
        }
        paths::write_atomically(&kept, &serde_json::to_vec(&files)?)?;
        Ok(files)
    }

    /// Applies a layer.
    fn apply(&mut self, layout: &Layout, layer: &Descriptor) -> Result<(), ReadError> {
        let mut fresh = BTreeSet::new();
        visit_layer(&layout.path(&layer.digest), &layer.media_type, &mut |member, content| match self
            .change(member, &mut fresh)?
            .placed
        {
            Some(placed) => self.note_text(placed, member, content),
            None => Ok(()),
        })
    }

    /// Keeps the content of a file that is needed later.
    fn note_text(&mut self, placed: Placed, member: &Member, content: &mut dyn Read) -> Result<(), ReadError> {
        let Placed { path, kind, .. } = placed;
        if kind != FileKind::File || !is_kept(&path) {
            return Ok(());
        }
        if matches!(member.kind, MemberKind::HardLink(_)) {
            // Its content is at another path, which is not kept.
            return Err(ReadError::Unsupported(format!("{path:?} as a hard link")));
        }
        let mut text = Vec::new();
        content.take(LARGEST_TEXT).read_to_end(&mut text)?;
        self.texts.insert(path, String::from_utf8_lossy(&text).into_owned());
        Ok(())
    }

    /// Returns the file at a resolved path.
    pub fn get(&self, path: &str) -> Option<&ImageFile> {
        self.files.get(path)
    }

    /// Returns the content of a file that lists installed packages.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Iterates over the files below a directory that list installed packages: path and content.
    pub fn texts_in<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let start = format!("{directory}/");
        let texts = self.texts.iter().filter(move |(path, _)| path.starts_with(&start));
        texts.map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Iterates over the entries of a directory, by its resolved path.
    pub fn children<'a>(&'a self, directory: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let below = self.files.range(start.clone()..).map(|(path, _)| path.as_str());
        let length = start.len();
        below.take_while(move |path| path.starts_with(&start)).filter(move |path| !path[length..].contains('/'))
    }

    /// Sets the file at a resolved path.
    pub fn set(&mut self, path: &str, found: ImageFile) {
        self.files.insert(path.to_owned(), found);
    }

    /// Removes the file at a resolved path, and everything below it.
    pub fn remove(&mut self, path: &str) {
        self.files.remove(path);
        self.texts.remove(path);
        self.remove_below(path);
    }

    /// Removes everything below a resolved path.
    fn remove_below(&mut self, path: &str) {
        let start = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below: Vec<String> = self
            .files
            .range(start.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&start))
            .cloned()
            .collect();
        for path in below {
            self.files.remove(&path);
            self.texts.remove(&path);
        }
    }

    /// Resolves the symlinks in the directories of a path; the last component stays as it is. Missing components count as
    /// directories.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn real(&self, path: &str) -> Result<String, PathError> {
        let mut open: Vec<&str> = path.rsplit('/').filter(|part| !part.is_empty()).collect();
        let mut at = String::new();
        let mut links = 0;
        while let Some(part) = open.pop() {
            match part {
                "." => continue,
                // The parent of the root is the root.
                ".." => at.truncate(at.rfind('/').unwrap_or(0)),
                part => {
                    let next = if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
                    match self.files.get(&next).map(|found| &found.kind) {
                        _ if open.is_empty() => at = next,
                        None | Some(FileKind::Directory) => at = next,
                        Some(FileKind::Link(target)) => {
                            links += 1;
                            if links > MOST_LINKS {
                                return Err(PathError::Loop(path.to_owned()));
                            }
                            if target.starts_with('/') {
                                at.clear();
                            }
                            open.extend(target.rsplit('/').filter(|part| !part.is_empty()));
                        }
                        Some(FileKind::File | FileKind::Other) => {
                            return Err(PathError::NotADirectory { file: next, path: path.to_owned() });
                        }
                    }
                }
            }
        }
        Ok(at)
    }

    /// Returns the code name of the Debian or Ubuntu release, from `os-release`.
    pub fn series(&self) -> Option<String> {
        let text = self.text("etc/os-release").or_else(|| self.text("usr/lib/os-release"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
        Some(line.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
    }

    /// Returns true if a path leads to a directory, possibly through links.
    pub fn is_directory(&self, path: &str) -> bool {
        // With another component, the last component is resolved as well.
        match self.real(&format!("{path}/x")) {
            Ok(real) => real.rsplit_once('/').is_none_or(|(directory, _)| {
                self.files.get(directory).is_some_and(|found| found.kind == FileKind::Directory)
            }),
            Err(_) => false,
        }
    }
}

fn is_kept(path: &str) -> bool {
    path == STATUS
        || path == "etc/os-release"
        || path == "usr/lib/os-release"
        || path.strip_prefix(STATUS_DIRECTORY).is_some_and(|rest| !rest.ends_with(".md5sums"))
}

/// The limits of a layer: 64 GiB, uncompressed.
pub(super) const LAYER_LIMITS: Limits = Limits { bytes: 64 << 30, ..Limits::UNKNOWN };

/// Visits the files of a layer.
///
/// # Errors
/// The layer has an unsupported type or is damaged.
pub fn visit_layer(file: &Path, media_type: &str, each: &mut read::Each<'_>) -> Result<(), ReadError> {
    let compression = LayerType::of(media_type)?.compression;
    read::visit_ahead(file, compression, LAYER_LIMITS, each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(list: &[(&str, FileKind)]) -> ImageFiles {
        let mut files = ImageFiles::default();
        for (path, kind) in list {
            files.set(path, ImageFile { kind: kind.clone(), mode: 0o755, owner: (0, 0), time: 0 });
        }
        files
    }

    #[test]
    fn symlinks_in_directories_are_resolved() {
        let link = |target: &str| FileKind::Link(target.to_owned());
        let files = image(&[
            ("usr", FileKind::Directory),
            ("usr/bin", FileKind::Directory),
            ("usr/bin/sh", FileKind::File),
            ("bin", link("usr/bin")),
            ("sbin", link("/usr/../../bin/.")),
            ("round", link("about")),
            ("about", link("round")),
            ("file", FileKind::File),
            ("dangling", link("opt/x")),
        ]);
        for (path, real) in [
            ("bin/lanternd", Ok("usr/bin/lanternd")),
            ("sbin/lanternd", Ok("usr/bin/lanternd")),
            ("bin", Ok("bin")),
            ("opt/new/file", Ok("opt/new/file")),
            ("dangling/y", Ok("opt/x/y")),
            ("round/x", Err("too many symlinks")),
            ("file/x", Err("is not a directory")),
            ("bin/sh/x", Err("usr/bin/sh is not a directory")),
        ] {
            match (files.real(path), real) {
                (Ok(found), Ok(real)) => assert_eq!(found, real, "{path}"),
                (Err(found), Err(why)) => assert!(found.to_string().contains(why), "{path}: {found}"),
                (found, _) => panic!("{path}: {found:?}"),
            }
        }
        assert!(files.is_directory("bin") && files.is_directory("sbin") && files.is_directory("usr/bin"));
        assert!(!files.is_directory("file") && !files.is_directory("opt") && !files.is_directory("round"));
    }

    #[test]
    fn hard_links_of_layers_are_of_the_kind_of_their_target() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let layer = |entries: &[(&str, ::tar::EntryType, &str)]| {
            let mut builder = ::tar::Builder::new(Vec::new());
            for (path, kind, link) in entries {
                let mut header = ::tar::Header::new_ustar();
                header.set_entry_type(*kind);
                header.set_size(0);
                if link.is_empty() {
                    builder.append_data(&mut header, path, &b""[..]).unwrap();
                } else {
                    builder.append_link(&mut header, path, link).unwrap();
                }
            }
            layout.put(super::super::model::media::LAYER, &builder.into_inner().unwrap()).unwrap()
        };
        use ::tar::EntryType::{Directory, Link, Regular, Symlink};
        let lower =
            layer(&[("usr/", Directory, ""), ("file", Regular, ""), ("link", Symlink, "usr"), ("same", Link, "link")]);
        let upper = layer(&[("again", Link, "link"), ("other", Link, "file"), (".wh.link", Regular, "")]);
        let mut files = ImageFiles::default();
        files.apply(&layout, &lower).unwrap();
        files.apply(&layout, &upper).unwrap();
        assert_eq!(files.real("same/x").unwrap(), "usr/x");
        assert_eq!(files.real("again/x").unwrap(), "usr/x");
        assert_eq!(files.get("other").map(|found| &found.kind), Some(&FileKind::File));
        assert!(files.get("link").is_none());
        // A list of packages whose content is elsewhere would be an empty one.
        let status = layer(&[("var/lib/dpkg/status", Link, "file")]);
        assert!(files.apply(&layout, &status).unwrap_err().to_string().contains("status\" as a hard link"));
    }
}
