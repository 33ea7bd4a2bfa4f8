//! Lines of an input, one at a time and without copying those that the input holds whole.

use std::io::{self, BufRead};

/// Lines longer than this are refused. Function names of templates are long, but not that long.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// One line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    /// Whether a line end follows; only the last line can lack it.
    pub(super) ended: bool,
}

/// The result of reading a line.
pub(super) enum Found<'a> {
    Line(Line<'a>),
    TooLong,
    End,
}

/// Reads lines and counts them.
pub(super) struct Lines<R> {
    input: R,
    /// Bytes of the line given out last that the input has not been told of.
    given: usize,
    /// A line that crosses the input's buffer.
    joined: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Lines<R> {
        Lines { input, given: 0, joined: Vec::new(), number: 0 }
    }

    /// The number of the line that was given out last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        self.input.consume(std::mem::take(&mut self.given));
        self.number += 1;
        if let Some(end) = memchr::memchr(b'\n', filled(&mut self.input)?) {
            self.given = end + 1;
            if end > LONGEST_LINE {
                return Ok(Found::TooLong);
            }
            let text = filled(&mut self.input)?.get(..end).unwrap_or_default();
            return Ok(Found::Line(Line { text, ended: true }));
        }
        self.joined.clear();
        loop {
            let buffer = filled(&mut self.input)?;
            if buffer.is_empty() {
                return Ok(if self.joined.is_empty() {
                    Found::End
                } else {
                    Found::Line(Line { text: &self.joined, ended: false })
                });
            }
            let end = memchr::memchr(b'\n', buffer);
            let text = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            if self.joined.len() + text.len() > LONGEST_LINE {
                return Ok(Found::TooLong);
            }
            self.joined.extend_from_slice(text);
            let used = text.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Found::Line(Line { text: &self.joined, ended: true }));
            }
        }
    }
}

/// The input's buffer, filled when it was empty. An interrupted read is repeated.
fn filled<R: BufRead>(input: &mut R) -> io::Result<&[u8]> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    input.fill_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, bool)]) {
        for capacity in [1, 2, 3, 5, 4096] {
            let mut lines = Lines::new(io::BufReader::with_capacity(capacity, text.as_bytes()));
            let mut found = Vec::new();
            while let Found::Line(line) = lines.next().unwrap() {
                found.push((String::from_utf8(line.text.to_vec()).unwrap(), line.ended));
            }
            let found: Vec<(&str, bool)> = found.iter().map(|(text, ended)| (text.as_str(), *ended)).collect();
            assert_eq!(found, expected, "{capacity}");
        }
    }

    #[test]
    fn lines_do_not_depend_on_the_buffer() {
        check("", &[]);
        check("\n", &[("", true)]);
        check("one\n\nthree", &[("one", true), ("", true), ("three", false)]);
        check("a longer line\nend\n", &[("a longer line", true), ("end", true)]);
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_is_held() {
        let mut lines = Lines::new(io::BufReader::new(io::repeat(b'x')));
        assert!(matches!(lines.next().unwrap(), Found::TooLong));
        let long = [b'x'].repeat(LONGEST_LINE + 2);
        assert!(matches!(Lines::new([&long[..], b"\n"].concat().as_slice()).next().unwrap(), Found::TooLong));
    }
}
