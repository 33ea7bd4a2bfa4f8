//! Extension headers: pax records, and GNU's long names.

use ::tar::EntryType;
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{ReadError, damaged, shown};

/// libarchive writes base64 without padding; others may write it with padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The extension headers of the next entry.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    /// Whole seconds since 1970; an earlier time is 1970.
    pub(super) time: Option<u64>,
    /// Extended attributes by name.
    pub(super) attributes: Vec<(String, Vec<u8>)>,
    /// Records about properties that are neither a field nor an extended attribute.
    pub(super) properties: Vec<(String, Vec<u8>)>,
    /// Whether there was a pax header.
    pub(super) pax: bool,
    /// GNU's records about a sparse file.
    pub(super) sparse: SparseRecords,
    /// All records, as text for differences.
    pub(super) records: Vec<String>,
}

/// GNU tar's manual, "Storing Sparse Files".
#[derive(Default)]
pub(super) struct SparseRecords {
    /// The path; that of the header is a made-up one.
    pub(super) name: Option<Vec<u8>>,
    /// `GNU.sparse.major`; 1 if the map is at the start of the content.
    pub(super) major: Option<u64>,
    /// The size of the file with its holes (`GNU.sparse.realsize`, `GNU.sparse.size`).
    pub(super) size: Option<u64>,
    /// Offsets and lengths of data in turn (`GNU.sparse.map`, or pairs of `GNU.sparse.offset` and `.numbytes`).
    pub(super) map: Vec<u64>,
}

impl Extensions {
    /// Adds the content of an extension header.
    pub(super) fn add(&mut self, entry_type: EntryType, content: &[u8]) -> Result<(), ReadError> {
        let name = || content.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match entry_type {
            EntryType::GNULongName => {
                self.path = Some(name());
                self.records.push("gnu long name".into());
            }
            EntryType::GNULongLink => {
                self.link = Some(name());
                self.records.push("gnu long link".into());
            }
            _ => {
                let global = entry_type == EntryType::XGlobalHeader;
                self.pax = true;
                for (key, value) in pax(content)? {
                    let known = self.apply(key, value, global)?;
                    if known && global {
                        return Err(ReadError::Unsupported(format!("a global pax header with `{}`", shown(key))));
                    }
                    let prefix = if global { "global " } else { "" };
                    self.records.push(format!("{prefix}{}={}", shown(key), shown(&String::from_utf8_lossy(value))));
                }
            }
        }
        Ok(())
    }

    /// Applies a record, unless it is global; true if the record changes what an entry unpacks to.
    fn apply(&mut self, key: &str, value: &[u8], global: bool) -> Result<bool, ReadError> {
        let number = || {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            number.ok_or_else(|| ReadError::Damaged(format!("the pax record `{}`", shown(key))))
        };
        match key {
            "path" | "linkpath" | "size" | "uid" | "gid" | "mtime" if global => {}
            // POSIX: an empty value takes back the record, so that the field of the header counts.
            "path" if value.is_empty() => self.path = None,
            "linkpath" if value.is_empty() => self.link = None,
            "size" if value.is_empty() => self.size = None,
            "uid" if value.is_empty() => self.uid = None,
            "gid" if value.is_empty() => self.gid = None,
            "mtime" if value.is_empty() => self.time = None,
            "path" => self.path = Some(value.to_vec()),
            "GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            "linkpath" => self.link = Some(value.to_vec()),
            "size" => self.size = Some(number()?),
            "uid" => self.uid = Some(number()?),
            "gid" => self.gid = Some(number()?),
            "mtime" => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                let whole = text.split('.').next().unwrap_or_default();
                let wrong = || ReadError::Damaged("the pax record `mtime`".into());
                self.time = Some(whole.parse::<i64>().map_err(|_| wrong())?.try_into().unwrap_or_default());
            }
            // star's sparse files: the content would be read without its holes.
            "SCHILY.realsize" => return Err(ReadError::Unsupported("a sparse file as star writes it".into())),
            "SUN.holesdata" => return Err(ReadError::Unsupported("a sparse file as Solaris writes it".into())),
            // As in a second volume: it would be read as the whole file.
            "GNU.volume.offset" => {
                return Err(ReadError::Unsupported("the rest of a file of another volume".into()));
            }
            "GNU.sparse.major" => self.sparse.major = Some(number()?),
            "GNU.sparse.realsize" | "GNU.sparse.size" => self.sparse.size = Some(number()?),
            "GNU.sparse.offset" | "GNU.sparse.numbytes" => self.sparse.map.push(number()?),
            "GNU.sparse.map" => {
                let numbers = std::str::from_utf8(value).ok().map(|text| text.split(',').map(str::parse));
                let numbers = numbers.and_then(|numbers| numbers.collect::<Result<_, _>>().ok());
                self.sparse.map = numbers.ok_or_else(|| damaged("the map of a sparse file"))?;
            }
            "RHT.security.selinux" => self.attribute("security.selinux".into(), value.to_vec())?,
            "SCHILY.fflags" => self.properties.push((key.to_owned(), value.to_vec())),
            _ if key.starts_with("SCHILY.acl.") => self.properties.push((key.to_owned(), value.to_vec())),
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    self.attribute(name.to_owned(), value.to_vec())?;
                } else if let Some(name) = key.strip_prefix("LIBARCHIVE.xattr.") {
                    let wrong = || ReadError::Damaged(format!("the pax record `{}`", shown(key)));
                    let value = BASE64.decode(value).map_err(|_| wrong())?;
                    self.attribute(percent_decoded(name).ok_or_else(wrong)?, value)?;
                } else {
                    return Ok(key.starts_with("GNU.sparse."));
                }
            }
        }
        Ok(true)
    }

    /// Adds an extended attribute. bsdtar writes each in two ways, which must agree.
    fn attribute(&mut self, name: String, value: Vec<u8>) -> Result<(), ReadError> {
        match self.attributes.iter().find(|(known, _)| *known == name) {
            // GNU tar's own record of the label has no NUL at its end.
            Some((_, known)) if *known == value || name == "security.selinux" => Ok(()),
            Some(_) => Err(ReadError::Damaged(format!("the attribute `{}` has two values", shown(&name)))),
            None => {
                self.attributes.push((name, value));
                Ok(())
            }
        }
    }
}

/// The name of an attribute in libarchive's records, where `%` and two digits stand for a byte.
fn percent_decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
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
