//! Zstandard streams of several frames, which RFC 8878 allows: programs with several threads write one for each piece, and some
//! put tables of contents into frames that decoders skip. The decoder of ruzstd ends after the first frame.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::members::Peeked;

/// The first bytes of every frame that has content.
pub(crate) const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// Decodes all frames of a stream.
pub(crate) struct Frames<R: BufRead> {
    state: State<R>,
}

enum State<R: BufRead> {
    /// Between two frames, or before the first.
    Between(Peeked<R>, Box<FrameDecoder>),
    Within(StreamingDecoder<Peeked<R>, Box<FrameDecoder>>),
    /// After the end, or after an error.
    Ended,
}

/// Returns true for the first bytes of a frame that decoders skip: RFC 8878, 3.1.2.
pub(crate) fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl<R: BufRead> Frames<R> {
    /// Nothing is read yet.
    pub(crate) fn new(stream: R) -> Frames<R> {
        Frames { state: State::Between(Peeked::new(stream), Box::new(FrameDecoder::new())) }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(0),
                State::Within(mut frame) => match frame.read(buffer)? {
                    0 => {
                        let (stream, decoder) = frame.into_parts();
                        self.state = State::Between(stream, decoder);
                    }
                    read => {
                        self.state = State::Within(frame);
                        return Ok(read);
                    }
                },
                State::Between(mut stream, decoder) => {
                    if !stream.goes_on("zstd", |head| head.starts_with(MAGIC) || is_skippable(head), MAGIC)? {
                        return Ok(0);
                    }
                    self.state = begin(stream, decoder)?;
                }
            }
        }
    }
}

/// Begins the next frame, or skips it.
fn begin<R: BufRead>(mut stream: Peeked<R>, decoder: Box<FrameDecoder>) -> io::Result<State<R>> {
    let mut head = [0; 8];
    // A frame has at least as many bytes as the head of one that is skipped; its magic number is read again by its decoder.
    if is_skippable(stream.fill_buf()?) {
        stream.read_exact(&mut head)?;
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let skipped = io::copy(&mut (&mut stream).take(length), &mut io::sink())?;
        if skipped < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        return Ok(State::Between(stream, decoder));
    }
    StreamingDecoder::new_with_decoder(stream, decoder)
        .map(State::Within)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        // A small buffer, so that frames begin and end everywhere in it.
        Frames::new(BufReader::with_capacity(13, bytes)).read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn all_frames_are_read() {
        let frame = |content: &[u8]| compress_to_vec(content, CompressionLevel::Fastest);
        let skipped = |length: u8| [&[0x5a, 0x2a, 0x4d, 0x18, length, 0, 0, 0][..], &vec![7; length.into()]].concat();
        let (one, two) = (vec![b'1'; 300_000], b"two".to_vec());
        for parts in [
            vec![frame(&one), frame(&two)],
            vec![frame(&one), skipped(100), frame(&two), skipped(0)],
            vec![skipped(4), frame(&one), frame(b""), frame(&two)],
        ] {
            assert_eq!(decoded(&parts.concat()).unwrap(), [&one[..], &two].concat());
        }
    }

    #[test]
    fn nothing_else_is_accepted() {
        let frame = compress_to_vec(&b"content"[..], CompressionLevel::Fastest);
        for after in [&b"garbage"[..], b"\0", &frame[..frame.len() - 1], &[0x50, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]] {
            assert!(decoded(&[&frame, after].concat()).is_err(), "{after:?}");
        }
    }
}
