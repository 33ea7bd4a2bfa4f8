//! System calls as strace writes them.

use std::path::{Component, Path, PathBuf};

/// One line of strace: `openat(AT_FDCWD</x>, "a", O_RDONLY) = 3</x/a>`.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: Vec<&'a str>,
    /// What follows `= `.
    pub(super) result: &'a str,
}

impl<'a> Call<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Call<'a>> {
        let (name, rest) = line.split_once('(')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let mut arguments = Vec::new();
        let (mut depth, mut quoted, mut escaped, mut begin) = (0_u32, false, false, 0);
        for (at, byte) in rest.bytes().enumerate() {
            if quoted {
                quoted = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
                continue;
            }
            match byte {
                b'"' => quoted = true,
                b'(' | b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b')' if depth > 0 => depth -= 1,
                b',' if depth == 0 => {
                    arguments.push(rest[begin..at].trim());
                    begin = at + 1;
                }
                b')' => {
                    arguments.push(rest[begin..at].trim());
                    let result = rest[at + 1..].trim_start().strip_prefix("= ")?;
                    return Some(Call { name, arguments, result });
                }
                _ => {}
            }
        }
        None
    }

    /// The name of the error.
    pub(super) fn error(&self) -> Option<&'a str> {
        self.result.strip_prefix("-1 ")?.split_whitespace().next()
    }

    /// The process that it started.
    pub(super) fn child(&self) -> Option<u32> {
        self.result.split_whitespace().next()?.parse().ok()
    }

    pub(super) fn mentions(&self, argument: usize, word: &str) -> bool {
        self.arguments.get(argument).is_some_and(|text| text.contains(word))
    }

    pub(super) fn text(&self, argument: usize) -> Option<String> {
        unquoted(self.arguments.get(argument)?)
    }

    /// The path of an argument.
    pub(super) fn path(&self, argument: usize, directory: &Path) -> PathBuf {
        joined(directory, &self.text(argument).unwrap_or_default())
    }

    /// The path of two arguments: a descriptor, and a path that may be relative to it.
    pub(super) fn path_at(&self, argument: usize, directory: &Path) -> PathBuf {
        let base = self.described(argument).unwrap_or_else(|| directory.to_owned());
        self.path(argument + 1, &base)
    }

    /// The path of a descriptor: `3</x>`.
    pub(super) fn described(&self, argument: usize) -> Option<PathBuf> {
        in_brackets(self.arguments.get(argument)?)
    }

    /// The path of the descriptor that it returned.
    pub(super) fn returned(&self) -> Option<PathBuf> {
        in_brackets(self.result)
    }
}

fn in_brackets(text: &str) -> Option<PathBuf> {
    let path = text.split_once('<')?.1.rsplit_once('>')?.0;
    path.starts_with('/').then(|| PathBuf::from(unescaped(path.trim_end_matches(" (deleted)"))))
}

/// A path without `.` and `..`, as if no link were on the way.
pub(super) fn joined(directory: &Path, path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in directory.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => clean.push(part),
        }
    }
    clean
}

/// The text of a quoted argument.
pub(super) fn unquoted(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('"')?;
    let mut end = 0;
    let bytes = inner.as_bytes();
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    Some(unescaped(inner.get(..end)?))
}

/// Resolves the escapes of C.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(next) = rest.next_if(|next| matches!(next, b'0'..=b'7')) else { break };
                    value = value * 8 + u32::from(next - b'0');
                }
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
            }
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'r') => bytes.push(b'\r'),
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
