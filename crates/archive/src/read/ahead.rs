//! Reading ahead: a stream is decompressed by one thread while another uses what it gave.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// The size of the pieces.
const CHUNK: usize = 1 << 18;
/// How many pieces may wait.
const WAITING: usize = 16;

/// The other end of a thread that reads.
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    used: usize,
}

/// Opens a stream on a thread of its own, which goes on until its end or until nobody takes what it reads.
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
    fn everything_before_an_error_is_read_and_then_the_error() {
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
        // One that is left alone ends by itself.
        drop(start(|| Ok(io::repeat(7))));
    }
}
