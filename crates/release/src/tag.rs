//! A signed tag: what its object says, and whose signature is under it.
//!
//! The object's text is that of git-mktag(1), with the signature at its end, as `git tag -s` writes it: over everything
//! before it. A tag is what its object says, not what the reference is called: a signed tag can be put under any name.

use std::path::Path;

use super::signatures::{self, Signature};

/// What begins a signature of OpenPGP.
const ARMOUR: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
/// What begins one of another kind, which git knows too.
const OTHERS: [&[u8]; 3] =
    [b"-----BEGIN SSH SIGNATURE-----", b"-----BEGIN SIGNED MESSAGE-----", b"-----BEGIN PGP MESSAGE-----"];

/// A tag object with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTag<'a> {
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SignedTag<'a> {
    /// Reads the content of a tag object that is expected to name `commit` and to be called `name`.
    ///
    /// # Errors
    /// In words, why it is not: it names something else, is called something else, or is not signed.
    pub fn read(content: &'a [u8], name: &str, commit: &str) -> Result<SignedTag<'a>, String> {
        let head: Vec<&[u8]> = content.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()).collect();
        let field = |key: &str| {
            let mut values = head.iter().filter_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b" "));
            let value = values.next().map(|value| String::from_utf8_lossy(value).into_owned());
            value.filter(|_| values.next().is_none())
        };
        let says = |key: &str, wanted: &str| match field(key) {
            Some(value) if value == wanted => Ok(()),
            Some(value) => Err(format!("its {key} is {value}, expected {wanted}")),
            None => Err(format!("it has no {key}, or several")),
        };
        says("object", commit)?;
        says("type", "commit")?;
        says("tag", name)?;
        let starts = content.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line.trim_ascii_end()))
        });
        // git takes the last that begins a line.
        let last = starts.filter(|(_, line)| *line == ARMOUR || OTHERS.contains(line)).last();
        match last {
            Some((start, line)) if line == ARMOUR => {
                let (signed, signature) = content.split_at(start);
                Ok(SignedTag { signed, signature })
            }
            Some(_) => Err("it is not signed with OpenPGP; `git tag -s` with a key of gpg does that".to_owned()),
            None => Err("it is not signed".to_owned()),
        }
    }

    /// Who of those with these keys signed it.
    ///
    /// # Errors
    /// gpg is missing, or there are no keys.
    pub fn check(&self, name: &str, keys: &Path) -> anyhow::Result<Signature> {
        signatures::check_bytes(&format!("the tag {name}"), self.signed, self.signature, keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";
    const GOOD: &str = "object 0123456789012345678901234567890123456789\ntype commit\ntag v1.0\ntagger n <m> 1 +0000\n\n\
        1.0\n-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn what_is_signed_is_all_before_the_last_signature() {
        let tag = SignedTag::read(GOOD.as_bytes(), "v1.0", COMMIT).unwrap();
        assert!(tag.signed.ends_with(b"\n1.0\n") && tag.signature.starts_with(ARMOUR));
        let twice = GOOD.replace("\n1.0\n", "\n-----BEGIN PGP SIGNATURE-----\nold\n");
        assert!(SignedTag::read(twice.as_bytes(), "v1.0", COMMIT).unwrap().signed.ends_with(b"old\n"));
    }

    #[test]
    fn a_tag_is_what_its_object_says() {
        let check = |from: &str, to: &str, words: &str| {
            let text = GOOD.replace(from, to);
            let found = SignedTag::read(text.as_bytes(), "v1.0", COMMIT).unwrap_err();
            assert!(found.contains(words), "{found}");
        };
        check("tag v1.0", "tag v0.9", "its tag is v0.9, expected v1.0");
        check("object 0", "object 1", "expected 0123456789");
        check("type commit", "type tree", "its type is tree");
        check("tag v1.0", "tag v1.0\ntag v1.0", "no tag, or several");
        check("tag v1.0\n", "", "no tag, or several");
        check("-----BEGIN PGP", "----BEGIN PGP", "it is not signed");
        check("BEGIN PGP SIGNATURE", "BEGIN SSH SIGNATURE", "not signed with OpenPGP");
        // A line of the message says nothing.
        check("tag v1.0\ntagger n <m> 1 +0000\n\n", "tagger n <m> 1 +0000\n\ntag v1.0\n", "no tag, or several");
    }
}
