//! Zstandard streams of several frames, which RFC 8878 allows: programs with several threads write one for each piece, and some
//! put tables of contents into frames that decoders skip. The decoder of ruzstd ends after the first frame.

use std::io::{self, BufRead, Read as _};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::members::{Member, Peeked};

/// The first bytes of every frame that has content.
pub(crate) const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// The decoder of a frame that has content.
pub(crate) type Frame<R> = StreamingDecoder<Peeked<R>, FrameDecoder>;

/// Returns true for the first bytes of a frame that decoders skip: RFC 8878, 3.1.2.
pub(crate) fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl<R: BufRead> Member<R> for Frame<R> {
    const NAME: &'static str = "zstd";
    const MAGIC: &'static [u8] = MAGIC;

    fn open(stream: Peeked<R>) -> io::Result<Self> {
        StreamingDecoder::new(stream).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }

    fn close(self) -> Peeked<R> {
        self.into_inner()
    }

    fn skip(stream: &mut Peeked<R>) -> io::Result<bool> {
        if !is_skippable(stream.peek(4)?) {
            return Ok(false);
        }
        let mut head = [0; 8];
        stream.read_exact(&mut head)?;
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let skipped = io::copy(&mut stream.take(length), &mut io::sink())?;
        if skipped < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read as _};

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;
    use crate::members::Members;

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        // A small buffer, so that frames begin and end everywhere in it.
        Members::<_, Frame<_>>::new(BufReader::with_capacity(13, bytes)).read_to_end(&mut content)?;
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
