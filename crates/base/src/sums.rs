//! SHA-256 sums: of bytes, of what passes through a writer, and of whole trees.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 sum; shown as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Sum(pub [u8; 32]);

impl Sha256Sum {
    /// The sum of bytes.
    pub fn of(bytes: &[u8]) -> Sha256Sum {
        Sha256Sum(Sha256::digest(bytes).into())
    }

    /// The sum and the size of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(path: &Path) -> io::Result<(Sha256Sum, u64)> {
        let mut file = crate::paths::open_regular(path)?;
        let mut sum = Summing::new(io::sink());
        io::copy(&mut file, &mut sum)?;
        Ok(sum.finish())
    }

    /// The sum that a text of 64 digits says.
    pub fn parse(text: &str) -> Option<Sha256Sum> {
        let digits = text.as_bytes();
        if digits.len() != 64 || digits.iter().any(|digit| !digit.is_ascii_digit() && !(b'a'..=b'f').contains(digit)) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Sha256Sum(bytes))
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Sha256Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Sha256Sum::parse(&text).ok_or_else(|| serde::de::Error::custom("64 lower-case hexadecimal digits are expected"))
    }
}

impl JsonSchema for Sha256Sum {
    fn schema_name() -> Cow<'static, str> {
        "Sha256Sum".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    }
}

/// The root of the Merkle tree over the leaves, as RFC 6962 (section 2.1) builds it.
pub fn merkle_root(leaves: &[Vec<u8>]) -> Sha256Sum {
    // Bottom up, a stack of complete subtrees with their heights.
    let mut stack: Vec<(u32, Sha256Sum)> = Vec::new();
    let join = |left: Sha256Sum, right: Sha256Sum| Sha256Sum::of(&[&[1][..], &left.0, &right.0].concat());
    for leaf in leaves {
        let mut node = (0, Sha256Sum::of(&[&[0][..], leaf].concat()));
        while let Some((height, left)) = stack.last().copied().filter(|(height, _)| *height == node.0) {
            stack.pop();
            node = (height + 1, join(left, node.1));
        }
        stack.push(node);
    }
    let mut root = None;
    while let Some((_, left)) = stack.pop() {
        root = Some(root.map_or(left, |right| join(left, right)));
    }
    root.unwrap_or_else(|| Sha256Sum::of(b""))
}

/// Sums and counts what is written through it.
pub struct Summing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Summing<W> {
    /// Starts with nothing written.
    pub fn new(inner: W) -> Summing<W> {
        Summing { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// How many bytes were written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The checksum and the number of bytes of all that was written.
    pub fn finish(self) -> (Sha256Sum, u64) {
        (Sha256Sum(self.hash.finalize().into()), self.bytes)
    }

    /// What it wraps, with the sum and the size.
    pub fn into_parts(self) -> (W, (Sha256Sum, u64)) {
        (self.inner, (Sha256Sum(self.hash.finalize().into()), self.bytes))
    }

    /// The wrapped writer.
    pub fn inner(&mut self) -> &mut W {
        &mut self.inner
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_back() {
        let sum = Sha256Sum::of(b"abc");
        assert_eq!(sum.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Sha256Sum::parse(&sum.to_string()), Some(sum));
        assert_eq!(Sha256Sum::parse(&sum.to_string().to_uppercase()), None);
        assert_eq!(Sha256Sum::parse("ba78"), None);
    }

    /// The test vectors of Certificate Transparency's reference implementation.
    #[test]
    fn roots_are_those_of_rfc_6962() {
        let leaves: Vec<Vec<u8>> =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
                .iter()
                .map(|hex| {
                    hex.as_bytes()
                        .chunks(2)
                        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                        .collect()
                })
                .collect();
        let root = |count: usize| merkle_root(&leaves[..count]).to_string();
        assert_eq!(root(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(root(1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(root(3), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
        assert_eq!(root(7), "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c");
        assert_eq!(root(8), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }
}
