//! Reads a stream ahead: one thread decompresses while another one uses the output.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// The size of a piece in bytes.
const CHUNK: usize = 1 << 18;
/// The number of pieces that may wait.
const WAITING: usize = 16;

/// The stream of a thread that reads ahead.
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    used: usize,
}

/// Opens a stream on another thread, which reads to the end of the stream, or until the result is dropped.
pub(super) fn start<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> Ahead {
    let (sender, pieces) = sync_channel(WAITING);
    thread::spawn(move || {
        let mut stream = match open() {
            Ok(stream) => stream,
            Err(error) => return sender.send(Err(error)).is_ok(),
        };
        loop {
            let mut piece = Vec::with_capacity(CHUNK);
            let read = (&mut stream).take(CHUNK as u64).read_to_end(&mut piece);
            let at_end = piece.is_empty();
            if (!at_end && sender.send(Ok(piece)).is_err()) || (read.is_ok() && at_end) {
                return true;
            }
            if let Err(error) = read {
                return sender.send(Err(error)).is_ok();
            }
        }
    });
    Ahead { pieces, piece: Vec::new(), used: 0 }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.used) = (piece?, 0),
                // The thread has ended, and so has the stream.
                Err(_) => return Ok(0),
            }
        }
        let rest = &self.piece[self.used..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.used += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_after_everything_before_it() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = self.0.min(buffer.len());
                self.0 -= count;
                if count == 0 { Err(io::ErrorKind::InvalidData.into()) } else { Ok(count) }
            }
        }
        let mut bytes = Vec::new();
        let error = start(|| Ok(Broken(CHUNK * 3 + 7))).read_to_end(&mut bytes).unwrap_err();
        assert_eq!((bytes.len(), error.kind()), (CHUNK * 3 + 7, io::ErrorKind::InvalidData));
        let mut whole = Vec::new();
        start(|| Ok(io::repeat(7).take(CHUNK as u64 * 40))).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), CHUNK * 40);
        // The thread of a stream that is dropped ends by itself.
        drop(start(|| Ok(io::repeat(7))));
    }
}
