//! Compressed files of several streams, one after the other, as `cat a.gz b.gz` makes them. After each, the first bytes of what follows
//! tell another stream from one that is cut off, and from trailing data, which is refused.

use std::io::{self, BufRead, Read};

/// A stream whose next bytes can be looked at, however its buffer ends.
pub(crate) struct Peeked<R> {
    /// Bytes that were looked at, and those of them that were read since.
    ahead: Vec<u8>,
    read: usize,
    inner: R,
}

impl<R: BufRead> Peeked<R> {
    pub(crate) fn new(inner: R) -> Peeked<R> {
        Peeked { ahead: Vec::new(), read: 0, inner }
    }

    /// The next bytes, fewer only at the end of the stream.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        self.ahead.drain(..self.read);
        self.read = 0;
        let wanted = count.saturating_sub(self.ahead.len());
        (&mut self.inner).take(wanted as u64).read_to_end(&mut self.ahead)?;
        Ok(&self.ahead)
    }

    /// What comes after a stream: true for another one that begins in this way, false for the end.
    ///
    /// # Errors
    /// Something else follows, or a part of such a beginning.
    fn goes_on(&mut self, name: &str, magic: &[u8]) -> io::Result<bool> {
        let head = self.peek(magic.len())?;
        if head.is_empty() || head.starts_with(magic) {
            return Ok(!head.is_empty());
        }
        if magic.starts_with(head) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = format!("it has trailing data: what follows its end is not {name}");
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

impl<R: BufRead> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Peeked<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read < self.ahead.len() { Ok(&self.ahead[self.read..]) } else { self.inner.fill_buf() }
    }

    fn consume(&mut self, count: usize) {
        if self.read < self.ahead.len() {
            self.read = (self.read + count).min(self.ahead.len());
        } else {
            self.inner.consume(count);
        }
    }
}

/// The decoder of one stream.
pub(crate) trait Member<R: BufRead>: Read + Sized {
    /// The name of the compression in messages.
    const NAME: &'static str;
    /// The first bytes of every stream.
    const MAGIC: &'static [u8];
    /// Begins to decode.
    ///
    /// # Errors
    /// The decoder cannot be made.
    fn open(stream: Peeked<R>) -> io::Result<Self>;

    /// The stream, after the bytes that were decoded.
    fn close(self) -> Peeked<R>;

    /// Skips what may stand between streams and has no content; false if there is nothing of the kind.
    ///
    /// # Errors
    /// It is cut off.
    fn skip(_stream: &mut Peeked<R>) -> io::Result<bool> {
        Ok(false)
    }
}

/// Decodes all streams.
pub(crate) struct Members<R, M> {
    state: State<R, M>,
}

enum State<R, M> {
    /// Between two streams, or before the first.
    Between(Peeked<R>),
    Within(M),
    /// After the end, or after an error.
    Ended,
}

impl<R: BufRead, M: Member<R>> Members<R, M> {
    pub(crate) fn new(stream: R) -> Members<R, M> {
        Members { state: State::Between(Peeked::new(stream)) }
    }
}

impl<R: BufRead, M: Member<R>> Read for Members<R, M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(0),
                State::Within(mut member) => match member.read(buffer)? {
                    0 => self.state = State::Between(member.close()),
                    read => {
                        self.state = State::Within(member);
                        return Ok(read);
                    }
                },
                State::Between(mut stream) => {
                    while M::skip(&mut stream)? {}
                    if !stream.goes_on(M::NAME, M::MAGIC)? {
                        return Ok(0);
                    }
                    self.state = State::Within(M::open(stream)?);
                }
            }
        }
    }
}
