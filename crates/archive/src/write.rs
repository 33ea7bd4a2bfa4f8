//! One pass over the entries of a release writes all archives and computes all checksums at once.
//!
//! The calling thread reads each content once and lays out the tar stream; each archive has a thread that compresses it.
//! The queues between them are bounded.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Context as _;

use super::chunks::ChunkSender;
use super::encode::Encoder;
use super::tar::{self, Header};
use super::{ArchiveEntry, EntryKind, mutation, zip};
use drydock_base::checksum::{Checksum, HashingStream};
use drydock_config::release::Format;

/// The number of chunks that may wait for one compressor.
const WAITING_CHUNKS: usize = 16;
/// The number of bytes of files that may wait for the zip file; a single file may be larger.
const WAITING_BYTES: usize = 8 << 20;

/// Parameters of [`write`].
#[derive(Debug, Clone, Copy)]
pub struct Archives<'a> {
    /// The top directory, which all paths in the archives start with. Archives without one have no entries for directories.
    pub directory: &'a str,
    /// The modification time of all entries, in seconds since 1970.
    pub epoch: u64,
    /// The files to write.
    pub files: &'a [ArchiveFile],
    /// The number of threads for xz. It does not change the bytes.
    pub threads: u32,
}

/// An archive to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    /// The format.
    pub format: Format,
    /// The path of the file, in an existing directory.
    pub path: PathBuf,
}

/// The result of [`write`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The archives, in the order of [`Archives::files`].
    pub archives: Vec<WrittenArchive>,
    /// The entries, in the order in which they were given.
    pub entries: Vec<WrittenEntry>,
    /// The checksum of the uncompressed tar stream.
    pub tar: Checksum,
    /// The size of the uncompressed tar stream in bytes.
    pub tar_size: u64,
}

/// The checksum and size of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenArchive {
    /// The checksum of the file.
    pub sha256: Checksum,
    /// The size of the file in bytes.
    pub size: u64,
}

/// The checksum and size of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenEntry {
    /// The checksum of the content, or of a link's target.
    pub sha256: Checksum,
    /// The size of the content in bytes.
    pub size: u64,
}

/// An entry as the zip file gets it, with its full path.
struct ZipEntry {
    path: String,
    kind: EntryKind,
    content: Arc<[u8]>,
}

/// Writes archives of entries, which come sorted by the bytes of their paths; directories above them are added. The files
/// appear by rename once all of them are complete.
///
/// # Errors
/// An entry is an error or out of order, a file cannot be written, or a format cannot hold an entry. Then no file appears.
pub fn write(
    entries: impl IntoIterator<Item = anyhow::Result<ArchiveEntry>>,
    archives: Archives<'_>,
) -> anyhow::Result<Written> {
    let archives = Archives { epoch: mutation::time(archives.epoch), ..archives };
    let files = archives.files;
    let parts: Vec<tempfile::NamedTempFile> =
        files.iter().map(|file| part(&file.path)).collect::<anyhow::Result<_>>()?;
    let written = thread::scope(|scope| {
        let (mut tars, mut zips) = (Vec::new(), Vec::new());
        let mut workers: Vec<ScopedJoinHandle<'_, io::Result<(Checksum, u64)>>> = Vec::new();
        for (file, part) in files.iter().zip(&parts) {
            let out = HashingStream::new(BufWriter::with_capacity(1 << 16, part.as_file().try_clone()?));
            workers.push(match Encoder::new(file.format, archives.threads, out)? {
                Some(encoder) => {
                    let (sender, receiver) = sync_channel(WAITING_CHUNKS);
                    tars.push(sender);
                    scope.spawn(move || compress(encoder, &receiver))
                }
                None => {
                    let (sender, receiver) = channel();
                    let budget = Arc::new(ByteBudget::default());
                    zips.push(ZipSender { sender, budget: Arc::clone(&budget) });
                    let (file, epoch) = (part.as_file().try_clone()?, archives.epoch);
                    scope.spawn(move || write_zip(file, epoch, &receiver, &ClosesBudget(budget)))
                }
            });
        }
        let fed = feed(entries, archives, &tars, &zips);
        drop((tars, zips));
        let mut done = Vec::new();
        let mut failed = None;
        for (worker, file) in workers.into_iter().zip(files) {
            match worker.join() {
                Ok(Ok((sha256, size))) => done.push(WrittenArchive { sha256, size }),
                Ok(Err(error)) => {
                    failed = Some(anyhow::Error::new(error).context(format!("cannot write {}", file.path.display())));
                }
                Err(_) => failed = Some(anyhow::anyhow!("the compressor of {} panicked", file.path.display())),
            }
        }
        // The error of a compressor is the cause of the error that its closed queue is for the feed.
        if let Some(error) = failed {
            return Err(error);
        }
        let (entries, (tar, tar_size)) = fed?;
        Ok(Written { archives: done, entries, tar, tar_size })
    })?;
    for (part, file) in parts.into_iter().zip(files) {
        let cannot = || format!("cannot write {}", file.path.display());
        part.as_file().sync_data().with_context(cannot)?;
        part.persist(&file.path).with_context(cannot)?;
    }
    Ok(written)
}

/// The temporary file beside `path` that becomes it.
fn part(path: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    tempfile::Builder::new()
        .prefix(".part-")
        .permissions(PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .with_context(|| {
            format!("cannot write to {}; does the directory exist, and is it writable?", directory.display())
        })
}

fn compress(
    mut encoder: Encoder<HashingStream<BufWriter<File>>>,
    chunks: &Receiver<Arc<Vec<u8>>>,
) -> io::Result<(Checksum, u64)> {
    while let Ok(chunk) = chunks.recv() {
        encoder.write_all(&chunk)?;
    }
    let mut out = encoder.finish()?;
    out.inner().flush()?;
    Ok(out.finish())
}

fn write_zip(
    file: File,
    epoch: u64,
    entries: &Receiver<ZipEntry>,
    budget: &ClosesBudget,
) -> io::Result<(Checksum, u64)> {
    let mut zip = zip::Writer::new(BufWriter::with_capacity(1 << 16, file));
    while let Ok(entry) = entries.recv() {
        zip.add(&entry.path, &entry.kind, epoch, &entry.content)?;
        budget.0.give_back(entry.content.len());
    }
    let mut out = zip.finish()?;
    out.inner().flush()?;
    Ok(out.finish())
}

/// The queue of a zip file.
struct ZipSender {
    sender: Sender<ZipEntry>,
    budget: Arc<ByteBudget>,
}

/// The bytes that wait for the zip file. A count of files would not do, as one may be as large as all others.
#[derive(Default)]
struct ByteBudget {
    /// The bytes that wait; none once the zip file is closed.
    waiting: Mutex<Option<usize>>,
    changed: Condvar,
}

impl ByteBudget {
    /// Waits until there is room for `bytes`.
    fn take(&self, bytes: usize) {
        let full =
            |waiting: &mut Option<usize>| waiting.is_some_and(|waiting| waiting > 0 && waiting + bytes > WAITING_BYTES);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.changed.wait_while(waiting, full).unwrap_or_else(PoisonError::into_inner);
        *waiting = Some(waiting.unwrap_or(0) + bytes);
    }

    fn give_back(&self, bytes: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = waiting.map(|waiting| waiting.saturating_sub(bytes));
        self.changed.notify_all();
    }
}

/// Closes the budget when the zip file fails, so that the feed goes on and gets the error when it sends.
struct ClosesBudget(Arc<ByteBudget>);

impl Drop for ClosesBudget {
    fn drop(&mut self) {
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.changed.notify_all();
    }
}

/// The checksum and size of each entry, and those of the tar stream.
type Fed = (Vec<WrittenEntry>, (Checksum, u64));

/// Sends all entries, and the directories above them, to the compressors.
fn feed(
    entries: impl IntoIterator<Item = anyhow::Result<ArchiveEntry>>,
    archives: Archives<'_>,
    tars: &[SyncSender<Arc<Vec<u8>>>],
    zips: &[ZipSender],
) -> anyhow::Result<Fed> {
    let mut stream = ChunkSender::new(|chunk| {
        let chunk = Arc::new(chunk);
        tars.iter().try_for_each(|tar| tar.send(Arc::clone(&chunk)).map_err(|_| closed()))
    });
    let mut put = |path: String, kind: EntryKind, content: Arc<[u8]>| -> io::Result<()> {
        let in_tar: &[u8] = if matches!(kind, EntryKind::File { .. }) { &content } else { &[] };
        let size = in_tar.len() as u64;
        stream.put(&Header::new(&path, &kind, size, archives.epoch).bytes())?;
        stream.put(in_tar)?;
        stream.put(&[0; tar::BLOCK][..tar::padding(size)])?;
        for zip in zips {
            zip.budget.take(content.len());
            let entry = ZipEntry { path: path.clone(), kind: kind.clone(), content: Arc::clone(&content) };
            zip.sender.send(entry).map_err(|_| closed())?;
        }
        Ok(())
    };
    let (mut previous, mut written) = (String::new(), Vec::new());
    let has_top = !archives.directory.is_empty();
    let top = if has_top { format!("{}/", archives.directory) } else { String::new() };
    if has_top {
        put(top.clone(), EntryKind::Directory, Arc::new([]))?;
    }
    let mut entries: Box<dyn Iterator<Item = anyhow::Result<ArchiveEntry>> + '_> = Box::new(entries.into_iter());
    if mutation::reorders() {
        let mut all = entries.collect::<anyhow::Result<Vec<_>>>()?;
        mutation::reorder(&mut all, |entry| &entry.path);
        entries = Box::new(all.into_iter().map(Ok));
    }
    for entry in entries {
        let ArchiveEntry { path, kind, content } = entry?;
        anyhow::ensure!(
            previous < path || mutation::reorders(),
            "the entries of an archive are not sorted: {path} comes after {previous}"
        );
        // In this order, a directory comes just before the first path below it.
        let is_new = |(at, _): &(usize, &str)| has_top && !previous.starts_with(&path[..=*at]);
        for (at, _) in path.match_indices('/').filter(is_new) {
            put(format!("{top}{}", &path[..=at]), EntryKind::Directory, Arc::new([]))?;
        }
        written.push(WrittenEntry { sha256: Checksum::new(&content), size: content.len() as u64 });
        let slash = if kind == EntryKind::Directory { "/" } else { "" };
        put(format!("{top}{path}{slash}"), kind, content)?;
        previous = path;
    }
    let trailer = tar::trailer(stream.bytes());
    stream.put(&vec![0; trailer])?;
    Ok((written, stream.finish()?))
}

/// The error of a compressor's queue whose thread has failed.
fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the compressor has stopped")
}
