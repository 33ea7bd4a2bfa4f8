//! Extension headers: pax records, and GNU's long names.

use ::tar::EntryType;

use super::{ReadError, damaged, shown};

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
    pub(super) attributes: Vec<(String, Vec<u8>)>,
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
            "GNU.sparse.major" => self.sparse.major = Some(number()?),
            "GNU.sparse.realsize" | "GNU.sparse.size" => self.sparse.size = Some(number()?),
            "GNU.sparse.offset" | "GNU.sparse.numbytes" => self.sparse.map.push(number()?),
            "GNU.sparse.map" => {
                let numbers = std::str::from_utf8(value).ok().map(|text| text.split(',').map(str::parse));
                let numbers = numbers.and_then(|numbers| numbers.collect::<Result<_, _>>().ok());
                self.sparse.map = numbers.ok_or_else(|| damaged("the map of a sparse file"))?;
            }
            _ => match key.strip_prefix("SCHILY.xattr.") {
                Some(name) => self.attributes.push((name.to_owned(), value.to_vec())),
                None => return Ok(key.starts_with("GNU.sparse.")),
            },
        }
        Ok(true)
    }
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
