//! The layer builder: puts files into a layer, as they would be created in the base image. Symlinks of the base are followed,
//! and its directories keep their attributes.

use std::collections::BTreeSet;
use std::path::Path;

use super::image_files::{FileKind, ImageFile, ImageFiles, PathError};
use super::layer_path::is_utf8;
use drydock_archive::layer::{Item, ItemKind, Layer};

/// A layer and the files that it is based on.
#[derive(Debug)]
pub struct LayerBuilder {
    /// The files of the image: those of the base, and of the layer.
    pub files: ImageFiles,
    /// The layer.
    pub layer: Layer,
    /// The directories in the layer that nobody put there: parents of other files that the base does not have.
    implied: BTreeSet<String>,
    /// The directories that the base does not have.
    new: BTreeSet<String>,
}

/// The reason why a file cannot be put into the layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The base image has a file at the path.
    #[error("{0} exists in the base image")]
    InBase(String),
    /// The path is in the layer already.
    #[error("{0} is in the layer twice")]
    Twice(String),
    /// The name would be a whiteout in a layer.
    #[error("{0} has a name that removes files of the base image (`.wh.…`); rename it")]
    Whiteout(String),
    /// The path leads into a directory of the base image whose name is not UTF-8.
    #[error("{0} leads to a directory of the base image whose name is not valid UTF-8")]
    NotUtf8(String),
    /// A directory with files in it is at the path.
    #[error("{0} is a directory that is not empty, so no file or link can replace it")]
    NotEmpty(String),
    /// The target of a hard link is not in the layer.
    #[error("{link} is a hard link to {target}, which is not a file or link that comes before it")]
    NoTarget {
        /// The link.
        link: String,
        /// Its target.
        target: String,
    },
    /// The path cannot be resolved.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl LayerBuilder {
    /// Starts an empty layer on the files of a base image. Contents are stored in a temporary file in `directory`.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn new(files: ImageFiles, directory: &Path) -> std::io::Result<LayerBuilder> {
        Ok(LayerBuilder { files, layer: Layer::new(directory)?, implied: BTreeSet::new(), new: BTreeSet::new() })
    }

    /// Puts a file at a path, and returns its resolved path. Existing files are replaced only if `replace` is true.
    ///
    /// Directories of the base image, also behind symlinks, stay as they are. Those of the layer are not replaced, but get the
    /// attributes of the new one.
    ///
    /// # Errors
    /// See [`PutError`].
    pub fn put(&mut self, path: &str, mut item: Item, replace: bool) -> Result<String, PutError> {
        let real = self.files.real(path)?;
        if real.is_empty() {
            return Ok(real);
        }
        if !is_utf8(&real) {
            return Err(PutError::NotUtf8(format!("/{path}")));
        }
        if real.split('/').any(|part| part.starts_with(".wh.")) {
            return Err(PutError::Whiteout(format!("/{real}")));
        }
        let is_directory = item.kind == ItemKind::Directory;
        if is_directory && self.implied.remove(&real) {
            self.set(&real, item, FileKind::Directory);
            return Ok(real);
        }
        if is_directory && self.files.is_directory(&real) {
            if replace && self.new.contains(&real) {
                self.set(&real, item, FileKind::Directory);
            }
            return Ok(real);
        }
        match self.layer.get(&real) {
            Some(_) if !replace => return Err(PutError::Twice(format!("/{real}"))),
            // The parents are in the layer already.
            Some(_) => {}
            None if self.files.get(&real).is_some() && !replace => return Err(PutError::InBase(format!("/{real}"))),
            None => {}
        }
        if self.files.children(&real).next().is_some() {
            return Err(PutError::NotEmpty(format!("/{real}")));
        }
        let kind = match &mut item.kind {
            ItemKind::Directory => FileKind::Directory,
            ItemKind::File(_) => FileKind::File,
            ItemKind::Link(target) => FileKind::Link(target.clone()),
            ItemKind::HardLink(to) => {
                *to = self.files.real(to)?;
                match self.layer.get(to).map(|target| &target.kind) {
                    Some(ItemKind::File(_) | ItemKind::HardLink(_)) => FileKind::File,
                    Some(ItemKind::Link(target)) => FileKind::Link(target.clone()),
                    Some(ItemKind::Directory) | None => {
                        return Err(PutError::NoTarget { link: format!("/{real}"), target: format!("/{to}") });
                    }
                }
            }
        };
        self.parents(&real, item.time);
        if is_directory {
            self.new.insert(real.clone());
        } else {
            self.new.remove(&real);
        }
        self.set(&real, item, kind);
        Ok(real)
    }

    fn set(&mut self, real: &str, item: Item, kind: FileKind) {
        self.files.set(real, ImageFile { kind, mode: item.mode, owner: item.owner, time: item.time });
        self.layer.put(real.to_owned(), item);
    }

    /// Adds the directories above a path with their attributes in the base: a program that unpacks the layer alone would
    /// create them with default attributes.
    fn parents(&mut self, path: &str, time: u64) {
        for (at, _) in path.match_indices('/') {
            let directory = &path[..at];
            if self.layer.get(directory).is_some() {
                continue;
            }
            let item = match self.files.get(directory) {
                Some(ImageFile { mode, owner, time, .. }) => {
                    Item { mode: *mode, owner: *owner, ..Item::directory(*time) }
                }
                None => {
                    let found = ImageFile { kind: FileKind::Directory, mode: 0o755, owner: (0, 0), time };
                    self.files.set(directory, found);
                    self.implied.insert(directory.to_owned());
                    self.new.insert(directory.to_owned());
                    Item::directory(time)
                }
            };
            self.layer.put(directory.to_owned(), item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> LayerBuilder {
        let mut files = ImageFiles::default();
        let mut set = |path: &str, kind: FileKind, mode: u32| {
            files.set(path, ImageFile { kind, mode, owner: (0, 5), time: 7 });
        };
        set("usr", FileKind::Directory, 0o755);
        set("usr/bin", FileKind::Directory, 0o711);
        set("bin", FileKind::Link("usr/bin".into()), 0o777);
        set("tmp", FileKind::Directory, 0o1777);
        set("etc", FileKind::Directory, 0o755);
        set("etc/passwd", FileKind::File, 0o644);
        LayerBuilder::new(files, &std::env::temp_dir()).unwrap()
    }

    #[test]
    fn nothing_is_put_below_a_name_that_is_not_utf8() {
        let mut builder = builder();
        let set = |files: &mut ImageFiles, path: &str, kind: FileKind| {
            files.set(path, ImageFile { kind, mode: 0o755, owner: (0, 0), time: 7 });
        };
        // As the byte 0xe4 is kept.
        set(&mut builder.files, "lat\u{10fee4}", FileKind::Directory);
        set(&mut builder.files, "opt", FileKind::Link("/lat\u{10fee4}".into()));
        let content = builder.layer.keep(&mut &b"x"[..]).unwrap();
        let error = builder.put("opt/x", Item::file(content, 9), false).unwrap_err().to_string();
        assert_eq!(error, "/opt/x leads to a directory of the base image whose name is not valid UTF-8");
        builder.put("etc/x", Item::file(content, 9), false).unwrap();
    }

    #[test]
    fn directories_of_the_base_keep_their_modes() {
        let mut builder = builder();
        let content = builder.layer.keep(&mut &b"x"[..]).unwrap();
        let file = |builder: &mut LayerBuilder, path: &str| builder.put(path, Item::file(content, 9), false);
        builder.put("bin", Item::directory(9), false).unwrap();
        builder.put("tmp", Item { mode: 0o700, ..Item::directory(9) }, false).unwrap();
        assert_eq!(file(&mut builder, "bin/lanternd").unwrap(), "usr/bin/lanternd");
        file(&mut builder, "tmp/a").unwrap();
        file(&mut builder, "opt/x/y").unwrap();
        let hard = Item { kind: ItemKind::HardLink("bin/lanternd".into()), ..Item::directory(9) };
        builder.put("bin/other", hard, false).unwrap();
        let listed: Vec<String> = builder
            .layer
            .items()
            .map(|(path, item)| format!("{path} {:o} {} {}", item.mode, item.owner.1, item.time))
            .collect();
        assert_eq!(
            listed,
            [
                "opt 755 0 9",
                "opt/x 755 0 9",
                "opt/x/y 644 0 9",
                "tmp 1777 5 7",
                "tmp/a 644 0 9",
                "usr 755 5 7",
                "usr/bin 711 5 7",
                "usr/bin/lanternd 644 0 9",
                "usr/bin/other 755 0 9"
            ]
        );
        assert_eq!(builder.layer.get("usr/bin/other").unwrap().kind, ItemKind::HardLink("usr/bin/lanternd".into()));
    }

    #[test]
    fn files_are_replaced_only_on_request() {
        let mut builder = builder();
        let content = builder.layer.keep(&mut &b"x"[..]).unwrap();
        let mut put =
            |path: &str, replace| builder.put(path, Item::file(content, 9), replace).map_err(|why| why.to_string());
        assert_eq!(put("etc/passwd", false).unwrap_err(), "/etc/passwd exists in the base image");
        assert!(put("etc/passwd", true).is_ok() && put("usr/bin/x", false).is_ok());
        assert_eq!(put("bin/x", false).unwrap_err(), "/usr/bin/x is in the layer twice");
        assert_eq!(
            put("etc/passwd/x", false).unwrap_err(),
            "etc/passwd is not a directory, so etc/passwd/x cannot be created"
        );
        assert!(put("bin", false).unwrap_err().contains("/bin exists in the base"));
    }

    #[test]
    fn hard_links_lead_to_files_and_links_of_the_layer() {
        let mut builder = builder();
        let content = builder.layer.keep(&mut &b"x"[..]).unwrap();
        let mut put = |path: &str, kind: ItemKind| {
            let put = builder.put(path, Item { kind, ..Item::directory(9) }, true);
            put.map_err(|why| why.to_string())
        };
        let hard = |to: &str| ItemKind::HardLink(to.into());
        put("opt/file", ItemKind::File(content)).unwrap();
        put("opt/link", ItemKind::Link("../usr".into())).unwrap();
        put("opt/other", hard("opt/link")).unwrap();
        // A path through a hard link to a symbolic link.
        assert_eq!(put("opt/other/x", ItemKind::File(content)).unwrap(), "usr/x");
        for target in ["opt/gone", "opt", "etc/passwd"] {
            let found = put("opt/late", hard(target)).unwrap_err();
            assert_eq!(
                found,
                format!("/opt/late is a hard link to /{target}, which is not a file or link that comes before it")
            );
        }
        // Nothing below a directory of the base is lost because a link has its name.
        for (path, kind) in [("etc", ItemKind::Link("opt".into())), ("opt", ItemKind::File(content))] {
            assert!(put(path, kind).unwrap_err().contains("is a directory that is not empty"), "{path}");
        }
        // A file is never a whiteout.
        for path in ["opt/.wh.file", ".wh..wh..opq", "etc/.wh.x/y"] {
            let found = put(path, ItemKind::File(content)).unwrap_err();
            assert!(found.contains("has a name that removes files of the base image"), "{found}");
        }
        // The permissions of a directory count wherever it is in the archive, unless the base has it.
        builder.put("opt", Item { mode: 0o700, ..Item::directory(9) }, true).unwrap();
        builder.put("etc", Item { mode: 0o700, ..Item::directory(9) }, true).unwrap();
        assert_eq!(builder.layer.get("opt").map(|item| item.mode), Some(0o700));
        assert!(builder.layer.get("etc").is_none());
    }
}
