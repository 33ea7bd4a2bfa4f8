//! tar streams in the ustar, pax and GNU dialects, up to what an unpacker would make of them.
//!
//! Header layouts are those of the tar crate. Its `Archive` is not used: raw iteration ignores the size in a pax header,
//! so that content is read as headers, and its pax records end at the first line end, which attributes may contain.

mod extensions;
mod sparse;

use std::io::{self, Read};

use ::tar::{EntryType, Header};

use super::{Bounded, Each, Limits, Member, MemberKind, ReadError, shown};
use extensions::Extensions;
use sparse::Sparse;

const BLOCK: usize = 512;

/// Rules for one stream.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    /// Whether [`Member::fields`] are wanted.
    pub(super) fields: bool,
    /// Whether the stream must end with zero blocks. The end of a compressed stream shows that it is complete; without
    /// compression, a stream that is cut after an entry looks like one without zero blocks.
    pub(super) trailer: bool,
}

/// The reader of one stream, with its position in bytes.
struct Stream<'a, R> {
    inner: &'a mut Bounded<R>,
    offset: u64,
}

pub(super) fn visit<R: Read>(stream: &mut Bounded<R>, rules: Rules, each: &mut Each<'_>) -> Result<(), ReadError> {
    let mut stream = Stream { inner: stream, offset: 0 };
    let mut extensions = Extensions::default();
    let (mut entries, mut first_header) = (0, None);
    loop {
        let start = *first_header.get_or_insert(stream.offset);
        let Some(block) = stream.header()? else {
            // Extensions belong to an entry that is missing.
            let is_complete = start == stream.offset && start > 0 && !rules.trailer;
            return if is_complete { Ok(()) } else { Err(cut("the end of the tar stream")) };
        };
        if block.iter().all(|byte| *byte == 0) {
            return stream.rest_is_zero(rules.trailer);
        }
        let header = checked(&block)?;
        let size = number(&header.as_old().size).ok_or_else(|| damaged("a size"))?;
        let entry_type = header.entry_type();
        if let EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink =
            entry_type
        {
            extensions.add(entry_type, &stream.extension(size)?)?;
            continue;
        }
        entries += 1;
        if entries > rules.limits.entries {
            return Err(ReadError::TooMany(rules.limits.entries));
        }
        let extensions = std::mem::take(&mut extensions);
        first_header = None;
        let mut stored = extensions.size.unwrap_or(size);
        let padded = stored.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| damaged("a size"))?;
        let content_at = stream.offset;
        let sparse = Sparse::read(header, &extensions, &mut stream, &mut stored)?;
        let holes = sparse.as_ref().map_or(0, Sparse::holes);
        stream.inner.charge(holes)?;
        let size = stored.checked_add(holes).ok_or_else(|| damaged("a size"))?;
        let member =
            member(header, extensions, Place { start, size, is_sparse: sparse.is_some(), fields: rules.fields })?;
        let path = shown(&member.path);
        let mut content = (&mut *stream.inner).take(stored);
        match &sparse {
            Some(sparse) => each(&member, &mut sparse.expand(&mut content)),
            None => each(&member, &mut content),
        }
        .map_err(|error| explain(error, &path, rules.limits))?;
        // Whatever the caller has not read.
        let drained = io::copy(&mut content, &mut io::sink());
        let missing = content.limit();
        drained.map_err(|error| stream.inner.explain(error))?;
        // An old GNU sparse map is before the content, beside its size; that of pax 1.0 is a part of it.
        let map =
            if sparse.as_ref().is_some_and(|sparse| sparse.map_in_content) { stream.offset - content_at } else { 0 };
        stream.offset += stored;
        if missing > 0 || !stream.skip(padded - stored - map)? {
            return Err(ReadError::Truncated(path));
        }
    }
}

impl<R: Read> Stream<'_, R> {
    /// The next block; none at the end of the stream.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, ReadError> {
        let mut block = [0; BLOCK];
        let mut read = 0;
        while read < BLOCK {
            match self.inner.read(&mut block[read..]) {
                Ok(0) if read == 0 => return Ok(None),
                Ok(0) => return Err(cut("the tar stream")),
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.inner.explain(error)),
            }
        }
        self.offset += BLOCK as u64;
        Ok(Some(block))
    }

    /// The content of an extension header, without padding.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ReadError> {
        /// The largest pax header or long name in bytes.
        const LARGEST: usize = 1 << 20;
        let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST);
        let size = size.ok_or_else(|| ReadError::Unsupported(format!("a header of more than {LARGEST} bytes")))?;
        let mut content = vec![0; size.next_multiple_of(BLOCK)];
        self.fill(&mut content)?;
        content.truncate(size);
        Ok(content)
    }

    /// Fills a buffer that belongs to a header.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.inner.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => cut("a header"),
            _ => self.inner.explain(error),
        })?;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    /// Skips padding; false if the stream ends before.
    fn skip(&mut self, padding: u64) -> Result<bool, ReadError> {
        let skipped = io::copy(&mut (&mut *self.inner).take(padding), &mut io::sink());
        let skipped = skipped.map_err(|error| self.inner.explain(error))?;
        self.offset += skipped;
        Ok(skipped == padding)
    }

    /// Checks that only zeros follow the first zero block, and another block of them if the trailer is required.
    fn rest_is_zero(&mut self, trailer: bool) -> Result<(), ReadError> {
        let (mut buffer, mut any) = ([0; 1 << 14], !trailer);
        loop {
            match self.inner.read(&mut buffer).map_err(|error| self.inner.explain(error))? {
                0 if any => return Ok(()),
                0 => return Err(cut("the end of the tar stream")),
                read if buffer[..read].iter().any(|byte| *byte != 0) => {
                    return Err(damaged("there is something after its end"));
                }
                _ => any = true,
            }
        }
    }
}

/// The meaning of an error that a caller passes on while it reads a content.
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

fn damaged(what: &str) -> ReadError {
    ReadError::Damaged(what.to_owned())
}

fn cut(what: &str) -> ReadError {
    ReadError::Truncated(what.to_owned())
}

/// A header whose checksum is right.
fn checked(block: &[u8; BLOCK]) -> Result<&Header, ReadError> {
    let header = Header::from_byte_slice(block);
    let field = &header.as_old().cksum;
    // The checksum is computed with spaces in its own field. Some old programs took bytes for signed numbers.
    let spaces = field.len() as i64 * i64::from(b' ');
    let sum =
        |value: fn(&u8) -> i64| block.iter().map(value).sum::<i64>() - field.iter().map(value).sum::<i64>() + spaces;
    let sums = [sum(|byte| i64::from(*byte)), sum(|byte| i64::from(i8::from_ne_bytes([*byte])))];
    if number(field).and_then(|found| i64::try_from(found).ok()).is_some_and(|found| sums.contains(&found)) {
        Ok(header)
    } else {
        Err(damaged("the checksum of a tar header is wrong"))
    }
}

/// Where an entry is in the stream, and what is wanted of it.
struct Place {
    start: u64,
    size: u64,
    is_sparse: bool,
    fields: bool,
}

fn member(header: &Header, extensions: Extensions, place: Place) -> Result<Member, ReadError> {
    let old = header.as_old();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let raw_path = extensions.sparse.name.or(extensions.path).unwrap_or_else(|| header.path_bytes().into_owned());
    let path = lossy(&raw_path);
    let own_link = || header.link_name_bytes().unwrap_or_default().into_owned();
    let raw_link = extensions.link.unwrap_or_else(own_link);
    let link = lossy(&raw_link);
    let mode = number(&old.mode).ok_or_else(|| damaged("a mode"))?;
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous if path.ends_with('/') => MemberKind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => MemberKind::File,
        EntryType::Directory => MemberKind::Directory,
        EntryType::Symlink => MemberKind::Link(link.clone()),
        EntryType::Link => MemberKind::HardLink(link.clone()),
        EntryType::Char => MemberKind::Other("a character device".into()),
        EntryType::Block => MemberKind::Other("a block device".into()),
        EntryType::Fifo => MemberKind::Other("a named pipe".into()),
        other => MemberKind::Other(match other.as_byte() {
            b'D' => "a directory of an incremental backup".into(),
            b'M' => "the rest of a file of another volume".into(),
            b'V' => "a volume label".into(),
            byte => format!("an entry of type {:?}", char::from(byte)),
        }),
    };
    let raw_path = std::str::from_utf8(&raw_path).is_err().then_some(raw_path);
    let is_link = matches!(kind, MemberKind::Link(_) | MemberKind::HardLink(_));
    let raw_link = (is_link && std::str::from_utf8(&raw_link).is_err()).then_some(raw_link);
    if !matches!(kind, MemberKind::File | MemberKind::Other(_)) && place.size > 0 {
        return Err(damaged("a directory or link has content"));
    }
    let fields = if place.fields {
        let numeric = |field: &[u8]| number(field).map_or("?".into(), |number| number.to_string());
        let name = |bytes: Option<&[u8]>| shown(&lossy(bytes.unwrap_or_default()));
        let magic = &header.as_bytes()[257..265];
        let is_old = header.as_ustar().is_none() && header.as_gnu().is_none();
        vec![
            ("type", char::from(old.linkflag[0]).escape_default().to_string()),
            ("mode", format!("{mode:o}")),
            ("uid", numeric(&old.uid)),
            ("gid", numeric(&old.gid)),
            ("owner", format!("{}:{}", name(header.username_bytes()), name(header.groupname_bytes()))),
            ("mtime", numeric(&old.mtime)),
            ("link", shown(&link)),
            ("magic", if is_old { "old".into() } else { lossy(magic).escape_default().to_string() }),
            ("pax", extensions.records.join(" ")),
            ("size", place.size.to_string()),
        ]
    } else {
        Vec::new()
    };
    let id = |long: Option<u64>, field: &[u8]| long.or_else(|| number(field)).ok_or_else(|| damaged("an owner"));
    Ok(Member {
        path,
        raw_path,
        kind,
        mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
        owner: (id(extensions.uid, &old.uid)?, id(extensions.gid, &old.gid)?),
        // Times before 1970 become 1970.
        time: extensions.time.or_else(|| number(&old.mtime)).unwrap_or_default(),
        raw_link,
        attributes: extensions.attributes,
        properties: extensions.properties,
        extension: extensions.pax.then_some("a pax header").or(place.is_sparse.then_some("a sparse file")),
        size: place.size,
        offset: place.start,
        fields,
    })
}

/// A number, octal or in GNU's base 256; none if it is negative, too large or neither. An empty field is 0.
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
