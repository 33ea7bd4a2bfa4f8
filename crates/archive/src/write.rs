//! One pass over the files of a release feeds all archives and sums at once.
//!
//! The calling thread reads each blob once, sums it, and lays out the tar stream; a thread an archive compresses. What is
//! on its way between them is bounded. The chunks are cut by the content alone, so that no scheduling can change a byte.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Context as _;

use super::encode::Encoder;
use super::{Named, What, tar, zip};
use crate::source::{Entry, Kind, SourceTree};
use drydock_base::sums::{Sha256Sum, Summing};
use drydock_config::release::Format;

/// The size of the pieces of the tar stream.
const CHUNK: usize = 1 << 20;
/// How many pieces may wait for one compressor.
const WAITING: usize = 16;
/// How many bytes of files may wait for the zip file; one file may always.
const ROOM: usize = 8 << 20;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The archives, in the order in which they were wanted.
    pub archives: Vec<WrittenArchive>,
    /// The tree's entries, in its order.
    pub entries: Vec<WrittenEntry>,
    /// The sum of the uncompressed tar stream.
    pub tar: Sha256Sum,
    /// Its size in bytes.
    pub tar_size: u64,
}

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenArchive {
    /// The sum of the file.
    pub sha256: Sha256Sum,
    /// Its size in bytes.
    pub size: u64,
}

/// One file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenEntry {
    /// The sum of its content.
    pub sha256: Sha256Sum,
    /// Its size in bytes.
    pub size: u64,
}

type Chunk = Arc<Vec<u8>>;
type Whole<'a> = (Named<'a>, Arc<[u8]>);

/// Writes archives of a tree, all of whose paths start with `directory` in them. Files appear by rename when all are whole.
///
/// `threads` is how many xz may use; it never changes the bytes.
///
/// # Errors
/// An object that cannot be read, a full disk, or what a format cannot hold. Then none of the files is there.
pub fn write(
    tree: &SourceTree,
    directory: &str,
    wanted: &[(Format, PathBuf)],
    threads: u32,
) -> anyhow::Result<Written> {
    let parts: Vec<tempfile::NamedTempFile> =
        wanted.iter().map(|(_, path)| part(path)).collect::<anyhow::Result<_>>()?;
    let written = thread::scope(|scope| {
        let mut tars: Vec<(usize, SyncSender<Chunk>)> = Vec::new();
        let mut zips: Vec<(usize, Sender<Whole<'_>>, Arc<Room>)> = Vec::new();
        let mut workers: Vec<ScopedJoinHandle<'_, io::Result<(Sha256Sum, u64)>>> = Vec::new();
        for (index, ((format, _), part)) in wanted.iter().zip(&parts).enumerate() {
            let out = Summing::new(BufWriter::with_capacity(1 << 16, part.as_file().try_clone()?));
            workers.push(match Encoder::new(*format, threads, out)? {
                Some(encoder) => {
                    let (sender, receiver) = sync_channel(WAITING);
                    tars.push((index, sender));
                    scope.spawn(move || compress(encoder, &receiver))
                }
                None => {
                    let (sender, receiver) = channel();
                    let room = Arc::new(Room::default());
                    zips.push((index, sender, Arc::clone(&room)));
                    let file = part.as_file().try_clone()?;
                    scope.spawn(move || collect(file, &receiver, &Closing(room)))
                }
            });
        }
        let mut feed = Feed {
            tars: tars.into_iter().map(|(_, sender)| sender).collect(),
            zips: zips.into_iter().map(|(_, sender, room)| (sender, room)).collect(),
            chunk: Vec::with_capacity(CHUNK),
            tar: Summing::new(io::sink()),
        };
        let fed = feed.all(tree, directory);
        let fed = fed.and_then(|entries| feed.finish().map(|tar| (entries, tar)));
        let mut archives = Vec::new();
        let mut failed = None;
        for (worker, (_, path)) in workers.into_iter().zip(wanted) {
            match worker.join() {
                Ok(Ok((sha256, size))) => archives.push(WrittenArchive { sha256, size }),
                Ok(Err(error)) => {
                    failed = Some(anyhow::Error::new(error).context(format!("cannot write {}", path.display())));
                }
                Err(_) => failed = Some(anyhow::anyhow!("the compressor of {} gave up", path.display())),
            }
        }
        // A compressor that failed is why the feed was cut off.
        if let Some(error) = failed {
            return Err(error);
        }
        let (entries, (tar, tar_size)) = fed?;
        Ok(Written { archives, entries, tar, tar_size })
    })?;
    for (part, (_, path)) in parts.into_iter().zip(wanted) {
        part.as_file().sync_data().with_context(|| format!("cannot write {}", path.display()))?;
        part.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(written)
}

fn part(path: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    tempfile::Builder::new()
        .prefix(".part-")
        .permissions(PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .with_context(|| {
            format!("cannot write to {}; does the directory exist, and may you write to it?", directory.display())
        })
}

fn compress(mut encoder: Encoder<Summing<BufWriter<File>>>, chunks: &Receiver<Chunk>) -> io::Result<(Sha256Sum, u64)> {
    while let Ok(chunk) = chunks.recv() {
        encoder.write_all(&chunk)?;
    }
    let mut out = encoder.finish()?;
    out.inner().flush()?;
    Ok(out.finish())
}

fn collect(file: File, files: &Receiver<Whole<'_>>, room: &Closing) -> io::Result<(Sha256Sum, u64)> {
    let mut zip = zip::Writer::new(BufWriter::with_capacity(1 << 16, file));
    while let Ok((entry, content)) = files.recv() {
        zip.add(&entry, &content)?;
        room.0.give(content.len());
    }
    let mut out = zip.finish()?;
    out.inner().flush()?;
    Ok(out.finish())
}

/// How much waits for the zip file: a count of bytes instead of files, of which one may be as large as all others.
#[derive(Default)]
struct Room {
    /// The bytes that wait; none when nobody takes them any more.
    waiting: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Room {
    /// Waits until that much more fits in.
    fn take(&self, bytes: usize) {
        let full = |waiting: &mut Option<usize>| waiting.is_some_and(|waiting| waiting > 0 && waiting + bytes > ROOM);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.changed.wait_while(waiting, full).unwrap_or_else(PoisonError::into_inner);
        *waiting = Some(waiting.unwrap_or(0) + bytes);
    }

    fn give(&self, bytes: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = waiting.map(|waiting| waiting.saturating_sub(bytes));
        self.changed.notify_all();
    }
}

/// Lets the feed go on when the zip file failed: it finds out when it sends.
struct Closing(Arc<Room>);

impl Drop for Closing {
    fn drop(&mut self) {
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.changed.notify_all();
    }
}

/// What the calling thread sends on.
struct Feed<'a> {
    tars: Vec<SyncSender<Chunk>>,
    zips: Vec<(Sender<Whole<'a>>, Arc<Room>)>,
    chunk: Vec<u8>,
    tar: Summing<io::Sink>,
}

impl<'a> Feed<'a> {
    fn all(&mut self, tree: &'a SourceTree, directory: &str) -> anyhow::Result<Vec<WrittenEntry>> {
        let mut reader = tree.reader();
        let mut written = Vec::with_capacity(tree.entries.len());
        for (path, entry) in in_order(tree, directory) {
            let Some(entry) = entry else {
                self.send(Named { path, what: What::Directory, time: tree.epoch }, Arc::new([]))?;
                continue;
            };
            let content = reader.content(entry)?;
            written.push(WrittenEntry { sha256: Sha256Sum::of(&content), size: content.len() as u64 });
            let what = match &entry.kind {
                Kind::File { executable } => What::File { executable: *executable },
                Kind::Link { target } => What::Link { target },
            };
            self.send(Named { path, what, time: tree.epoch }, content)?;
        }
        Ok(written)
    }

    fn send(&mut self, entry: Named<'a>, content: Arc<[u8]>) -> anyhow::Result<()> {
        let in_tar: &[u8] = if matches!(entry.what, What::File { .. }) { &content } else { &[] };
        self.put(&tar::header(&entry, in_tar.len() as u64))?;
        self.put(in_tar)?;
        self.put(&[0; tar::BLOCK][..tar::padding(in_tar.len() as u64)])?;
        for (zip, room) in &self.zips {
            room.take(content.len());
            zip.send((entry.clone(), Arc::clone(&content))).map_err(|_| cut_off())?;
        }
        Ok(())
    }

    /// Adds to the tar stream, and sends each whole piece.
    fn put(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let chunk = Arc::new(std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK)));
        for tar in &self.tars {
            tar.send(Arc::clone(&chunk)).map_err(|_| cut_off())?;
        }
        self.tar.write_all(&chunk)?;
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<(Sha256Sum, u64)> {
        let end = tar::end(self.tar.bytes() + self.chunk.len() as u64);
        self.put(&vec![0; end])?;
        self.flush()?;
        Ok(self.tar.finish())
    }
}

fn cut_off() -> anyhow::Error {
    anyhow::anyhow!("an archive cannot be written")
}

/// Every name of the archive in the order of its bytes: files, links, and the directories above them.
fn in_order<'a>(tree: &'a SourceTree, directory: &str) -> Vec<(String, Option<&'a Entry>)> {
    let mut names: std::collections::BTreeMap<String, Option<&Entry>> = std::collections::BTreeMap::new();
    names.insert(format!("{directory}/"), None);
    for entry in &tree.entries {
        for (at, _) in entry.path.match_indices('/') {
            names.entry(format!("{directory}/{}/", &entry.path[..at])).or_insert(None);
        }
        names.insert(format!("{directory}/{}", entry.path), Some(entry));
    }
    names.into_iter().collect()
}
