//! SHA-256 checksums: of bytes, of a stream, and of a Merkle tree.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 checksum, displayed as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum(pub [u8; 32]);

impl Checksum {
    /// The checksum of bytes.
    pub fn new(bytes: &[u8]) -> Checksum {
        Checksum(Sha256::digest(bytes).into())
    }

    /// The checksum and the size of a regular file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn from_file(path: &Path) -> io::Result<(Checksum, u64)> {
        let mut file = crate::paths::open_regular(path)?;
        let mut stream = HashingStream::new(io::sink());
        io::copy(&mut file, &mut stream)?;
        Ok(stream.finish())
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Checksum> {
        let digits = text.as_bytes();
        if digits.len() != 64 || digits.iter().any(|digit| !digit.is_ascii_digit() && !(b'a'..=b'f').contains(digit)) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Checksum(bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Checksum::parse(&text).ok_or_else(|| serde::de::Error::custom("expected 64 lower-case hexadecimal digits"))
    }
}

impl JsonSchema for Checksum {
    fn schema_name() -> Cow<'static, str> {
        "Checksum".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The root of the Merkle tree over the leaves, as RFC 6962 (section 2.1) builds it.
pub fn merkle_root(leaves: &[Vec<u8>]) -> Checksum {
    // Complete subtrees with their heights, the largest first.
    let mut stack: Vec<(u32, Checksum)> = Vec::new();
    let join = |left: Checksum, right: Checksum| Checksum::new(&[&[1][..], &left.0, &right.0].concat());
    for leaf in leaves {
        let mut node = (0, Checksum::new(&[&[0][..], leaf].concat()));
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
    root.unwrap_or_else(|| Checksum::new(b""))
}

/// A reader or writer that hashes and counts the bytes that pass through it.
pub struct HashingStream<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> HashingStream<W> {
    /// A stream through which nothing has passed.
    pub fn new(inner: W) -> HashingStream<W> {
        HashingStream { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// The number of bytes that passed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The checksum and the number of all bytes that passed.
    pub fn finish(self) -> (Checksum, u64) {
        (Checksum(self.hash.finalize().into()), self.bytes)
    }

    /// The wrapped stream, with the checksum and the number of bytes.
    pub fn into_parts(self) -> (W, (Checksum, u64)) {
        (self.inner, (Checksum(self.hash.finalize().into()), self.bytes))
    }

    /// The wrapped stream.
    pub fn inner(&mut self) -> &mut W {
        &mut self.inner
    }
}

impl<W: Write> Write for HashingStream<W> {
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

impl<R: Read> Read for HashingStream<R> {
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
    fn a_checksum_is_read_back() {
        let checksum = Checksum::new(b"abc");
        assert_eq!(checksum.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Checksum::parse(&checksum.to_string()), Some(checksum));
        assert_eq!(Checksum::parse(&checksum.to_string().to_uppercase()), None);
        assert_eq!(Checksum::parse("ba78"), None);
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
