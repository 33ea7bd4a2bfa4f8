//! The layer of an image: files with owners and modes, written as a gzipped tar stream sorted by path.
//!
//! OCI image specification 1.1, layer.md. Contents are spooled to one unnamed file: memory does not grow with them, and
//! each package is read once, in the order that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use ::tar::EntryType;

use super::chunks::ChunkSender;
use super::encode::{Encoder, LAYER_LEVEL};
use super::tar::{self, Header};
use drydock_base::checksum::{Checksum, HashingStream};

/// The number of chunks that may wait for the compressor.
const WAITING_CHUNKS: usize = 8;

/// The contents of a layer.
#[derive(Debug)]
pub struct Layer {
    items: BTreeMap<String, Item>,
    /// The hard links to each path.
    links: BTreeMap<String, BTreeSet<String>>,
    spool: File,
    spooled: u64,
}

/// An entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The type, and what comes with it.
    pub kind: ItemKind,
    /// The permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// The numeric user and group.
    pub owner: (u64, u64),
    /// Seconds since 1970.
    pub time: u64,
    /// Extended attributes by name.
    pub attributes: Vec<(String, Vec<u8>)>,
}

/// The type of an entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link to a target.
    Link(String),
    /// Another name of the file at a path in the layer.
    HardLink(String),
}

/// The place of a file's content in the spool file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    at: u64,
    /// The size in bytes.
    pub size: u64,
}

/// The checksums of a written layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenLayer {
    /// The digest of the file as written.
    pub sha256: Checksum,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of the uncompressed tar stream.
    pub diff_id: Checksum,
}

impl Item {
    /// A directory owned by root, mode 755.
    pub fn directory(time: u64) -> Item {
        Item { kind: ItemKind::Directory, mode: 0o755, owner: (0, 0), time, attributes: Vec::new() }
    }

    /// A file owned by root, mode 644.
    pub fn file(content: Content, time: u64) -> Item {
        Item { kind: ItemKind::File(content), mode: 0o644, owner: (0, 0), time, attributes: Vec::new() }
    }
}

impl Layer {
    /// An empty layer, whose contents are spooled to an unnamed file in `directory`.
    ///
    /// # Errors
    /// The directory is not writable.
    pub fn new(directory: &Path) -> io::Result<Layer> {
        let (items, links) = (BTreeMap::new(), BTreeMap::new());
        Ok(Layer { items, links, spool: tempfile::tempfile_in(directory)?, spooled: 0 })
    }

    /// Spools the content of a file.
    ///
    /// # Errors
    /// The content cannot be read, or the disk is full.
    pub fn keep(&mut self, content: &mut dyn Read) -> io::Result<Content> {
        let at = self.spooled;
        let size = io::copy(content, &mut self.spool)?;
        self.spooled += size;
        Ok(Content { at, size })
    }

    /// The spooled content of a file, read into memory.
    ///
    /// # Errors
    /// The spool file cannot be read.
    pub fn read(&self, content: Content) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(content.size).map_err(io::Error::other)?];
        std::os::unix::fs::FileExt::read_exact_at(&self.spool, &mut bytes, content.at)?;
        Ok(bytes)
    }

    /// Adds an item under a path without `/` at its ends; the item that it replaces.
    ///
    /// A hard link is another name of what is at its target now: it keeps the content when the target is replaced later, as on
    /// a disk. A hard link to a symbolic link becomes another symbolic link with the same target.
    pub fn put(&mut self, path: String, mut item: Item) -> Option<Item> {
        if let ItemKind::HardLink(to) = &mut item.kind {
            // Links never lead to links that are in the layer already, so there is at most one step.
            if let Some(Item { kind: ItemKind::HardLink(next), .. }) = self.items.get(to) {
                next.clone_into(to);
            }
            match self.items.get(to) {
                // Another name for itself.
                Some(_) if *to == path => return None,
                Some(link @ Item { kind: ItemKind::Link(_), .. }) => item = link.clone(),
                Some(_) | None => {}
            }
        }
        if let ItemKind::HardLink(to) = &item.kind {
            self.links.entry(to.clone()).or_default().insert(path.clone());
        }
        let old = self.items.insert(path.clone(), item);
        match &old {
            Some(Item { kind: ItemKind::HardLink(to), .. }) => {
                let is_same = matches!(&self.items[&path].kind, ItemKind::HardLink(now) if now == to);
                if let Some(names) = self.links.get_mut(to).filter(|_| !is_same) {
                    names.remove(&path);
                }
            }
            Some(file @ Item { kind: ItemKind::File(_) | ItemKind::Link(_), .. }) => self.keep_for_links(&path, file),
            Some(Item { kind: ItemKind::Directory, .. }) | None => {}
        }
        old
    }

    /// Lets the hard links to a path share the file that was there.
    fn keep_for_links(&mut self, path: &str, file: &Item) {
        let mut names = self.links.remove(path).unwrap_or_default();
        let Some(first) = names.pop_first() else { return };
        for name in &names {
            if let Some(item) = self.items.get_mut(name) {
                item.kind = ItemKind::HardLink(first.clone());
            }
        }
        self.items.insert(first.clone(), file.clone());
        self.links.insert(first, names);
    }

    /// The item at a path.
    pub fn get(&self, path: &str) -> Option<&Item> {
        self.items.get(path)
    }

    /// All items, in the order of the bytes of their paths.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.items.iter().map(|(path, item)| (path.as_str(), item))
    }

    /// Writes the layer, compressed by gzip. Times later than `epoch` become `epoch`.
    ///
    /// # Errors
    /// `out` cannot be written to, or the target of a hard link is not a file.
    pub fn write(&self, epoch: u64, out: impl Write + Send) -> io::Result<WrittenLayer> {
        self.write_by(epoch, move |chunks| {
            let mut encoder = Encoder::gzip(LAYER_LEVEL, HashingStream::new(BufWriter::with_capacity(1 << 16, out)));
            while let Ok(chunk) = chunks.recv() {
                encoder.write_all(&chunk)?;
            }
            let mut out = encoder.finish()?;
            out.inner().flush()?;
            Ok(out.finish())
        })
    }

    /// Writes the layer, uncompressed.
    ///
    /// # Errors
    /// As [`Layer::write`].
    pub fn write_plain(&self, epoch: u64, out: impl Write + Send) -> io::Result<WrittenLayer> {
        self.write_by(epoch, move |chunks| {
            let mut out = HashingStream::new(out);
            while let Ok(chunk) = chunks.recv() {
                out.write_all(&chunk)?;
            }
            out.flush()?;
            Ok(out.finish())
        })
    }

    /// Lays out the tar stream, which `write` gets on another thread.
    fn write_by(
        &self,
        epoch: u64,
        write: impl FnOnce(Receiver<Vec<u8>>) -> io::Result<(Checksum, u64)> + Send,
    ) -> io::Result<WrittenLayer> {
        let first = self.first_names()?;
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(WAITING_CHUNKS);
            let worker = scope.spawn(move || write(receiver));
            let closed = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the compressor has stopped");
            let fed = self.feed(epoch, &first, ChunkSender::new(move |chunk| sender.send(chunk).map_err(closed)));
            let (sha256, size) = worker.join().map_err(|_| io::Error::other("the compressor panicked"))??;
            Ok(WrittenLayer { sha256, size, diff_id: fed? })
        })
    }

    /// Sends the tar stream; its checksum.
    fn feed(
        &self,
        epoch: u64,
        first: &BTreeMap<&str, &str>,
        mut stream: ChunkSender<impl FnMut(Vec<u8>) -> io::Result<()>>,
    ) -> io::Result<Checksum> {
        let mut spool = &self.spool;
        for (path, item) in &self.items {
            let (of_file, real) = self.file_of(path)?;
            let (item, original) = if real == path { (item, path.as_str()) } else { (of_file, real) };
            // Of several names of a file, the first one in order has its content.
            let leader = first.get(original).copied().unwrap_or(original);
            let named = if matches!(item.kind, ItemKind::Directory) { format!("{path}/") } else { path.clone() };
            let (entry_type, link, content) = match &item.kind {
                ItemKind::Directory => (EntryType::Directory, "", None),
                ItemKind::Link(target) => (EntryType::Symlink, target.as_str(), None),
                ItemKind::File(_) | ItemKind::HardLink(_) if leader != path => (EntryType::Link, leader, None),
                ItemKind::File(content) => (EntryType::Regular, "", Some(content)),
                ItemKind::HardLink(_) => return Err(not_a_file(path, original)),
            };
            let header = Header {
                path: &named,
                entry_type,
                mode: item.mode,
                owner: item.owner,
                size: content.map_or(0, |content| content.size),
                time: item.time.min(epoch),
                link,
                attributes: &item.attributes,
            };
            stream.put(&header.bytes())?;
            if let Some(content) = content {
                spool.seek(SeekFrom::Start(content.at))?;
                stream.copy(&mut spool, content.size)?;
                stream.put(&[0; tar::BLOCK][..tar::padding(content.size)])?;
            }
        }
        // Two blocks, as Go's writer ends a layer; padding to a whole record would serve tapes only.
        stream.put(&[0; 2 * tar::BLOCK])?;
        Ok(stream.finish()?.0)
    }

    /// The file that a hard link leads to, and its path; the item itself for any other kind.
    fn file_of<'a>(&'a self, path: &'a str) -> io::Result<(&'a Item, &'a str)> {
        let mut at = path;
        for _ in 0..8 {
            match self.items.get_key_value(at) {
                Some((_, Item { kind: ItemKind::HardLink(to), .. })) => at = to,
                // What is at the target may have come after its link.
                Some((real, item)) if at == path || !matches!(item.kind, ItemKind::Directory) => {
                    return Ok((item, real));
                }
                Some(_) | None => break,
            }
        }
        Err(not_a_file(path, at))
    }

    /// For each file with hard links, the first of its names.
    fn first_names(&self) -> io::Result<BTreeMap<&str, &str>> {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        for (path, item) in &self.items {
            if matches!(item.kind, ItemKind::HardLink(_)) {
                let (_, real) = self.file_of(path)?;
                // The items come in order; the file itself may have the first name of all.
                first.entry(real).or_insert_with(|| path.as_str().min(real));
            }
        }
        Ok(first)
    }
}

fn not_a_file(path: &str, target: &str) -> io::Error {
    io::Error::other(format!("{path} is a hard link to {target}, which is not a file in the layer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;

    fn layer(names: &[(&str, ItemKind)]) -> Layer {
        let mut layer = Layer::new(&std::env::temp_dir()).unwrap();
        for (path, kind) in names {
            let item = Item { kind: kind.clone(), mode: 0o4755, owner: (0, 8), time: 50, attributes: Vec::new() };
            layer.put((*path).to_owned(), item);
        }
        layer
    }

    #[test]
    fn the_tar_crate_reads_what_was_put_in() {
        let mut layer = layer(&[
            ("usr", ItemKind::Directory),
            ("usr/bin", ItemKind::Directory),
            ("usr/bin/a", ItemKind::HardLink("usr/bin/z".into())),
            ("usr/bin/b", ItemKind::Link("z".into())),
            ("usr/bin/zz", ItemKind::HardLink("usr/bin/a".into())),
        ]);
        let content = layer.keep(&mut &b"program"[..]).unwrap();
        let mut program = Item { mode: 0o6711, time: 2000, ..Item::file(content, 2000) };
        program.attributes.push(("security.capability".into(), vec![1, 0, 255]));
        program.owner = (4_000_000, 7);
        layer.put("usr/bin/z".into(), program);
        let mut bytes = Vec::new();
        let written = layer.write(1000, &mut bytes).unwrap();
        assert_eq!((written.sha256, written.size), (Checksum::new(&bytes), bytes.len() as u64));
        let mut plain = Vec::new();
        GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(written.diff_id, Checksum::new(&plain));

        let mut archive = ::tar::Archive::new(&plain[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let attributes = entry.pax_extensions().unwrap().into_iter().flatten();
            let attributes: Vec<String> = attributes.map(|one| one.unwrap().key().unwrap().to_owned()).collect();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string()).unwrap_or_default();
            let path = entry.path().unwrap().display().to_string();
            let (mode, time) = (header.mode().unwrap(), header.mtime().unwrap());
            seen.push(format!("{path} {mode:o} {time} {link} {content} {}", attributes.join(",")));
        }
        assert_eq!(
            seen,
            [
                "usr/ 4755 50   ",
                "usr/bin/ 4755 50   ",
                "usr/bin/a 6711 1000  program uid,SCHILY.xattr.security.capability",
                "usr/bin/b 4755 50 z  ",
                "usr/bin/z 6711 1000 usr/bin/a  uid,SCHILY.xattr.security.capability",
                "usr/bin/zz 6711 1000 usr/bin/a  uid,SCHILY.xattr.security.capability",
            ]
        );
    }

    #[test]
    fn the_target_of_a_hard_link_must_be_a_file() {
        for to in ["gone", "directory", "a"] {
            let layer = layer(&[("a", ItemKind::HardLink(to.into())), ("directory", ItemKind::Directory)]);
            let found = layer.write(0, Vec::new()).unwrap_err().to_string();
            assert!(found.contains("not a file in the layer"), "{found}");
        }
    }

    #[test]
    fn hard_links_keep_what_was_there_when_they_were_made() {
        let mut layer = layer(&[]);
        let [old, new] = ["old", "new"].map(|text| layer.keep(&mut text.as_bytes()).unwrap());
        let hard = |to: &str| Item { kind: ItemKind::HardLink(to.into()), ..Item::directory(0) };
        let link = |to: &str| Item { kind: ItemKind::Link(to.into()), ..Item::directory(0) };
        for (path, item) in [
            ("file", Item::file(old, 0)),
            ("one", hard("file")),
            ("two", hard("one")),
            ("three", hard("two")),
            ("two", link("elsewhere")),
            ("file", Item::file(new, 0)),
            ("file", hard("file")),
            // A name of the old file, and one of the new one.
            ("four", hard("three")),
            ("five", hard("file")),
            ("one", Item::file(new, 7)),
            // Names of symbolic links, at once and later.
            ("six", hard("two")),
            ("seven", hard("eight")),
            ("eight", link("nowhere")),
            ("two", link("other")),
        ] {
            layer.put(path.into(), item);
        }
        let mut plain = Vec::new();
        layer.write_plain(9, &mut plain).unwrap();
        let mut archive = ::tar::Archive::new(&plain[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let link =
                entry.link_name().unwrap().map(|link| format!("{:?} {}", entry.header().entry_type(), link.display()));
            format!("{} {}", entry.path().unwrap().display(), link.unwrap_or(content))
        });
        assert_eq!(
            entries.collect::<Vec<_>>(),
            [
                "eight Symlink nowhere",
                "file new",
                "five Link file",
                "four old",
                "one new",
                "seven Symlink nowhere",
                "six Symlink elsewhere",
                "three Link four",
                "two Symlink other",
            ]
        );
    }

    #[test]
    fn the_error_of_the_compressor_is_returned() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut layer = layer(&[]);
        let noise: Vec<u8> =
            (0..40_000_000_u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
        let content = layer.keep(&mut &noise[..]).unwrap();
        layer.put("noise".into(), Item::file(content, 0));
        assert_eq!(layer.write(0, Full).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
