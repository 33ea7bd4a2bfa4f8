//! tar streams, ustar, pax and GNU: only what is needed to tell what they would unpack to.

use std::io::{self, Read};

use super::{Bounded, Each, Limits, Member, MemberKind, ReadError, shown};

/// The largest pax header or long name.
const LARGEST_EXTENSION: u64 = 1 << 20;
const BLOCK: usize = 512;

pub(super) fn visit<R: Read>(stream: &mut Bounded<R>, limits: Limits, each: &mut Each<'_>) -> Result<(), ReadError> {
    let mut extensions = Extensions::default();
    let (mut entries, mut offset, mut headers_at) = (0, 0, None);
    loop {
        let mut block = [0; BLOCK];
        fill(stream, &mut block, "the tar stream")?;
        if block.iter().all(|byte| *byte == 0) {
            return rest_is_empty(stream);
        }
        let start = *headers_at.get_or_insert(offset);
        offset += BLOCK as u64;
        let header = Header::parse(&block)?;
        let padded = header.size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| damaged("a size"))?;
        if matches!(header.kind, b'x' | b'g' | b'L' | b'K') {
            if header.size > LARGEST_EXTENSION {
                return Err(ReadError::Unsupported(format!("a header of {} bytes", header.size)));
            }
            let mut content = vec![0; usize::try_from(padded).map_err(|_| damaged("a size"))?];
            fill(stream, &mut content, "a header")?;
            content.truncate(usize::try_from(header.size).map_err(|_| damaged("a size"))?);
            extensions.add(header.kind, &content)?;
            offset += padded;
            continue;
        }
        entries += 1;
        if entries > limits.entries {
            return Err(ReadError::TooMany(limits.entries));
        }
        let member = header.member(&std::mem::take(&mut extensions), start)?;
        headers_at = None;
        let path = shown(&member.path);
        let mut content = (&mut *stream).take(member.size);
        each(&member, &mut content).map_err(|error| explain(error, &path, limits))?;
        // Whatever the caller left, and the padding.
        io::copy(&mut content, &mut io::sink()).map_err(|error| stream.explain(error))?;
        let padded = member.size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| damaged("a size"))?;
        let missing = content_left(stream, padded - member.size)?;
        if missing {
            return Err(ReadError::Truncated(path));
        }
        offset = offset.saturating_add(padded);
    }
}

fn explain(error: ReadError, path: &str, limits: Limits) -> ReadError {
    match error {
        ReadError::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => ReadError::TooLarge(limits.bytes),
        ReadError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => ReadError::Truncated(path.to_owned()),
        ReadError::Io(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            ReadError::Damaged(format!("the compressed stream, within {path}"))
        }
        other => other,
    }
}

/// Skips padding; true if there is less than that.
fn content_left<R: Read>(stream: &mut Bounded<R>, padding: u64) -> Result<bool, ReadError> {
    let skipped =
        io::copy(&mut (&mut *stream).take(padding), &mut io::sink()).map_err(|error| stream.explain(error))?;
    Ok(skipped < padding)
}

fn fill<R: Read>(stream: &mut Bounded<R>, buffer: &mut [u8], what: &str) -> Result<(), ReadError> {
    stream.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Truncated(what.to_owned()),
        _ => stream.explain(error),
    })
}

/// After the first zero block there may only be zeros.
fn rest_is_empty<R: Read>(stream: &mut Bounded<R>) -> Result<(), ReadError> {
    let (mut buffer, mut any) = ([0; 1 << 14], false);
    loop {
        match stream.read(&mut buffer).map_err(|error| stream.explain(error))? {
            0 if any => return Ok(()),
            0 => return Err(ReadError::Truncated("the end of the tar stream".into())),
            read if buffer[..read].iter().any(|byte| *byte != 0) => {
                return Err(damaged("there is something after its end"));
            }
            _ => any = true,
        }
    }
}

fn damaged(what: &str) -> ReadError {
    ReadError::Damaged(what.to_owned())
}

/// What came before a header and belongs to it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    records: Vec<String>,
    owner: (Option<u64>, Option<u64>),
    attributes: Vec<(String, Vec<u8>)>,
}

impl Extensions {
    fn add(&mut self, kind: u8, content: &[u8]) -> Result<(), ReadError> {
        let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
        match kind {
            b'L' => {
                self.path = Some(content[..end].to_vec());
                self.records.push("gnu long name".into());
            }
            b'K' => {
                self.link = Some(content[..end].to_vec());
                self.records.push("gnu long link".into());
            }
            _ => {
                for (key, value) in pax(content)? {
                    match (kind, key) {
                        (b'x', "path") => self.path = Some(value.to_vec()),
                        (b'x', "linkpath") => self.link = Some(value.to_vec()),
                        (b'x', "size") => {
                            self.size = Some(decimal(value).ok_or_else(|| damaged("a pax size"))?);
                        }
                        (b'x', "uid") => self.owner.0 = decimal(value),
                        (b'x', "gid") => self.owner.1 = decimal(value),
                        (b'x', key) => {
                            let name = key.strip_prefix("SCHILY.xattr.");
                            self.attributes.extend(name.map(|name| (name.to_owned(), value.to_vec())));
                        }
                        _ => {}
                    }
                    let kind = if kind == b'g' { "global " } else { "" };
                    self.records.push(format!("{kind}{}={}", shown(key), shown(&String::from_utf8_lossy(value))));
                }
            }
        }
        Ok(())
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The records of a pax header: `LENGTH KEY=VALUE` and a line end.
fn pax(mut content: &[u8]) -> Result<Vec<(&str, &[u8])>, ReadError> {
    let mut records = Vec::new();
    while !content.is_empty() {
        let wrong = || damaged("a pax header");
        let space = content.iter().take(12).position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length: usize =
            std::str::from_utf8(&content[..space]).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        let record = content.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
        let key = std::str::from_utf8(&record[..equals]).map_err(|_| wrong())?;
        records.push((key, &record[equals + 1..]));
        content = &content[length..];
    }
    Ok(records)
}

/// A header block whose checksum is right.
struct Header<'a> {
    block: &'a [u8; BLOCK],
    kind: u8,
    size: u64,
}

impl<'a> Header<'a> {
    fn parse(block: &'a [u8; BLOCK]) -> Result<Header<'a>, ReadError> {
        let stated = number(&block[148..156]);
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let of_field: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        if stated != Some(sum - of_field + 8 * u64::from(b' ')) {
            return Err(damaged("the checksum of a tar header is wrong"));
        }
        let size = number(&block[124..136]).ok_or_else(|| damaged("a size"))?;
        Ok(Header { block, kind: block[156], size })
    }

    fn text(&self, from: usize, to: usize) -> String {
        let field = &self.block[from..to];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    }

    fn member(&self, extensions: &Extensions, offset: u64) -> Result<Member, ReadError> {
        let is_ustar = &self.block[257..262] == b"ustar";
        let prefix = if &self.block[257..265] == b"ustar\x0000" { self.text(345, 500) } else { String::new() };
        let name = self.text(0, 100);
        let own = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let long = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let path = long(&extensions.path).unwrap_or(own);
        let link = long(&extensions.link).unwrap_or_else(|| self.text(157, 257));
        let mode = number(&self.block[100..108]).ok_or_else(|| damaged("a mode"))?;
        let kind = match self.kind {
            b'0' | 0 if path.ends_with('/') => MemberKind::Directory,
            b'0' | 0 => MemberKind::File,
            b'5' => MemberKind::Directory,
            b'2' => MemberKind::Link(link.clone()),
            b'1' => MemberKind::HardLink(link.clone()),
            other => MemberKind::Other(format!("an entry of type {:?}", char::from(other))),
        };
        let stated = extensions.size.unwrap_or(self.size);
        let size = if matches!(kind, MemberKind::File) { stated } else { 0 };
        if stated != size {
            return Err(damaged("a directory or link has content"));
        }
        let numeric = |from: usize, to: usize| number(&self.block[from..to]).map_or("?".into(), |n| n.to_string());
        let magic = if is_ustar {
            String::from_utf8_lossy(&self.block[257..265]).escape_default().to_string()
        } else {
            "old".into()
        };
        let fields = vec![
            ("type", char::from(self.kind).escape_default().to_string()),
            ("mode", format!("{mode:o}")),
            ("uid", numeric(108, 116)),
            ("gid", numeric(116, 124)),
            ("owner", format!("{}:{}", shown(&self.text(265, 297)), shown(&self.text(297, 329)))),
            ("mtime", numeric(136, 148)),
            ("link", shown(&link)),
            ("magic", magic),
            ("pax", extensions.records.join(" ")),
            ("size", size.to_string()),
        ];
        let mode = u32::try_from(mode & 0o7777).unwrap_or_default();
        let id = |long: Option<u64>, at: usize| long.or_else(|| number(&self.block[at..at + 8])).unwrap_or_default();
        let owner = (id(extensions.owner.0, 108), id(extensions.owner.1, 116));
        // A time before 1970 is none.
        let time = number(&self.block[136..148]).unwrap_or_default();
        let attributes = extensions.attributes.clone();
        Ok(Member { path, kind, mode, owner, time, attributes, size, offset, fields })
    }
}

/// An octal number, or GNU's base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        let (first, rest) = field.split_first()?;
        let (high, low) = rest.split_at(rest.len().checked_sub(7)?);
        if first & 0x7f != 0 || high.iter().any(|byte| *byte != 0) {
            return None;
        }
        return Some(low.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}
