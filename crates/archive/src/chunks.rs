//! A tar stream cut into chunks for the threads that compress it. The content alone decides where a chunk ends, so that
//! scheduling cannot change a byte.

use std::io::{self, Read, Write as _};

use drydock_base::checksum::{Checksum, HashingStream};

/// The size of a chunk in bytes.
const CHUNK: usize = 1 << 20;

/// Collects a tar stream, and passes every full chunk to `send`.
pub(crate) struct ChunkSender<S> {
    chunk: Vec<u8>,
    checksum: HashingStream<io::Sink>,
    send: S,
}

impl<S: FnMut(Vec<u8>) -> io::Result<()>> ChunkSender<S> {
    pub(crate) fn new(send: S) -> ChunkSender<S> {
        ChunkSender { chunk: Vec::with_capacity(CHUNK), checksum: HashingStream::new(io::sink()), send }
    }

    /// The length of the stream so far, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.checksum.bytes() + self.chunk.len() as u64
    }

    /// Appends `size` bytes of `content`.
    ///
    /// # Errors
    /// `content` ends early or cannot be read, or a chunk cannot be sent.
    pub(crate) fn copy(&mut self, content: &mut dyn Read, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let room = CHUNK - self.chunk.len();
            let count = usize::try_from(left).unwrap_or(room).min(room);
            let start = self.chunk.len();
            self.chunk.resize(start + count, 0);
            content.read_exact(&mut self.chunk[start..])?;
            left -= count as u64;
            if self.chunk.len() == CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// A chunk cannot be sent.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.copy(&mut &bytes[..], bytes.len() as u64)
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.checksum.write_all(&chunk)?;
        (self.send)(chunk)
    }

    /// Sends the last chunk; the checksum and the length of the whole stream.
    ///
    /// # Errors
    /// The chunk cannot be sent.
    pub(crate) fn finish(mut self) -> io::Result<(Checksum, u64)> {
        self.flush()?;
        Ok(self.checksum.finish())
    }
}
