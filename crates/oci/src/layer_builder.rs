//! A layer in the making, on the files of its base: paths go where the base's links lead, and directories of the base keep
//! what they are.

use std::path::Path;

use super::image_files::{FileKind, ImageFile, ImageFiles};
use drydock_archive::layer::{Item, ItemKind, Layer};

/// A layer and what it stands on.
#[derive(Debug)]
pub struct LayerBuilder {
    /// What the image has: the base, and what was put on it.
    pub files: ImageFiles,
    /// What was put on it.
    pub layer: Layer,
}

/// Why an item cannot be put somewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The base has something else there.
    #[error("the base has {0}, which would be overwritten")]
    InBase(String),
    /// It was put there before.
    #[error("{0} comes twice")]
    Twice(String),
    /// The path leads nowhere.
    #[error("{0}")]
    Nowhere(String),
}

impl LayerBuilder {
    /// An empty layer on a base; contents will wait in that directory.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn new(files: ImageFiles, directory: &Path) -> std::io::Result<LayerBuilder> {
        Ok(LayerBuilder { files, layer: Layer::new(directory)? })
    }

    /// Puts something at a path; where it really is now. What the base has there is replaced only if `replace` says so.
    ///
    /// A directory that is there, also behind a link, stays as it is.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn put(&mut self, path: &str, mut item: Item, replace: bool) -> Result<String, Refused> {
        let real = self.files.real(path).map_err(Refused::Nowhere)?;
        if real.is_empty() {
            return Ok(real);
        }
        let is_directory = item.kind == ItemKind::Directory;
        if is_directory && self.files.is_directory(&real) {
            return Ok(real);
        }
        match self.layer.get(&real) {
            Some(_) if !replace => return Err(Refused::Twice(format!("/{real}"))),
            // The parents of what was put there are those of its replacement.
            Some(_) => {}
            None if self.files.get(&real).is_some() && !replace => return Err(Refused::InBase(format!("/{real}"))),
            None => self.parents(&real, item.time),
        }
        if let ItemKind::HardLink(to) = &mut item.kind {
            *to = self.files.real(to).map_err(Refused::Nowhere)?;
        }
        let kind = match &item.kind {
            ItemKind::Directory => FileKind::Directory,
            ItemKind::File(_) | ItemKind::HardLink(_) => FileKind::File,
            ItemKind::Link(target) => FileKind::Link(target.clone()),
        };
        self.files.remove(&real);
        self.files.set(&real, ImageFile { kind, mode: item.mode, owner: item.owner, time: item.time });
        self.layer.put(real.clone(), item);
        Ok(real)
    }

    /// The directories above a path, as the base has them: what unpacks a layer may not look at the layers below, and would
    /// make them with a mode of its own.
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

    fn stack() -> LayerBuilder {
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
    fn directories_of_the_base_keep_their_modes() {
        let mut stack = stack();
        let content = stack.layer.keep(&mut &b"x"[..]).unwrap();
        let file = |stack: &mut LayerBuilder, path: &str| stack.put(path, Item::file(content, 9), false);
        stack.put("bin", Item::directory(9), false).unwrap();
        stack.put("tmp", Item { mode: 0o700, ..Item::directory(9) }, false).unwrap();
        assert_eq!(file(&mut stack, "bin/lanternd").unwrap(), "usr/bin/lanternd");
        file(&mut stack, "tmp/a").unwrap();
        file(&mut stack, "opt/x/y").unwrap();
        let hard = Item { kind: ItemKind::HardLink("bin/lanternd".into()), ..Item::directory(9) };
        stack.put("bin/other", hard, false).unwrap();
        let listed: Vec<String> = stack
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
        assert_eq!(stack.layer.get("usr/bin/other").unwrap().kind, ItemKind::HardLink("usr/bin/lanternd".into()));
    }

    #[test]
    fn nothing_is_overwritten_unasked() {
        let mut stack = stack();
        let content = stack.layer.keep(&mut &b"x"[..]).unwrap();
        let mut put =
            |path: &str, replace| stack.put(path, Item::file(content, 9), replace).map_err(|why| why.to_string());
        assert_eq!(put("etc/passwd", false).unwrap_err(), "the base has /etc/passwd, which would be overwritten");
        assert!(put("etc/passwd", true).is_ok() && put("usr/bin/x", false).is_ok());
        assert_eq!(put("bin/x", false).unwrap_err(), "/usr/bin/x comes twice");
        assert_eq!(
            put("etc/passwd/x", false).unwrap_err(),
            "etc/passwd is no directory, and etc/passwd/x would be in it"
        );
        assert!(put("bin", false).unwrap_err().contains("the base has /bin"));
    }
}
