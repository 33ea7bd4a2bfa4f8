//! Signed tags: the fields of a tag object, and the signature at its end.
//!
//! The object has the format of git-mktag(1). `git tag -s` signs everything before the signature. The fields count, not the
//! name of the reference: a reference of any name can point to a signed tag.

use super::keyring::{Keyring, SignedBy};
use super::signature_block::BlockError;
use super::ssh;

/// The first lines of the signatures that count.
const ARMOUR: [&[u8]; 2] = [b"-----BEGIN PGP SIGNATURE-----", b"-----BEGIN SSH SIGNATURE-----"];
/// The first lines of the other signatures that git knows.
const OTHER_SIGNATURES: [&[u8]; 2] = [b"-----BEGIN SIGNED MESSAGE-----", b"-----BEGIN PGP MESSAGE-----"];

/// A tag object with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTag<'a> {
    signed: &'a [u8],
    signature: &'a [u8],
}

/// A tag object that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A field has another value.
    #[error("its {field} is {found}, expected {expected}")]
    Field {
        /// The name of the field in the object.
        field: &'static str,
        /// The value of the field.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// A field is missing, or there are several.
    #[error("it has no {0}, or several")]
    MissingField(&'static str),
    /// The tag has no signature.
    #[error("it is not signed")]
    Unsigned,
    /// The last signature is of another kind.
    #[error(
        "it is signed neither with OpenPGP nor with SSH; sign it with a gpg or an SSH key, by the option -s of git tag"
    )]
    OtherKind,
}

impl<'a> SignedTag<'a> {
    /// Reads the content of a tag object. It must be called `name`, and tag `commit`.
    ///
    /// # Errors
    /// [`TagError`].
    pub fn read(content: &'a [u8], name: &str, commit: &str) -> Result<SignedTag<'a>, TagError> {
        let head: Vec<&[u8]> = content.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()).collect();
        let field = |key: &str| {
            let mut values = head.iter().filter_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b" "));
            let value = values.next().map(|value| String::from_utf8_lossy(value).into_owned());
            value.filter(|_| values.next().is_none())
        };
        for (key, expected) in [("object", commit), ("type", "commit"), ("tag", name)] {
            let found = field(key).ok_or(TagError::MissingField(key))?;
            if found != expected {
                return Err(TagError::Field { field: key, found, expected: expected.to_owned() });
            }
        }
        let starts = content.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line.trim_ascii_end()))
        });
        // As git does, take the last one.
        let last = starts.filter(|(_, line)| ARMOUR.contains(line) || OTHER_SIGNATURES.contains(line)).last();
        match last {
            Some((start, line)) if ARMOUR.contains(&line) => {
                let (signed, signature) = content.split_at(start);
                Ok(SignedTag { signed, signature })
            }
            Some(_) => Err(TagError::OtherKind),
            None => Err(TagError::Unsigned),
        }
    }

    /// Judges the signatures of the tag. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// gpg or ssh-keygen is missing.
    pub fn judge(&self, keyring: &Keyring, now: i64) -> anyhow::Result<Vec<Result<SignedBy, BlockError>>> {
        keyring.judge_file(self.signature, self.signed, ssh::GIT, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";
    const GOOD: &str = "object 0123456789012345678901234567890123456789\ntype commit\ntag v1.0\ntagger n <m> 1 +0000\n\n\
        1.0\n-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn everything_before_the_last_signature_is_signed() {
        let tag = SignedTag::read(GOOD.as_bytes(), "v1.0", COMMIT).unwrap();
        assert!(tag.signed.ends_with(b"\n1.0\n") && tag.signature.starts_with(ARMOUR[0]));
        let twice = GOOD.replace("\n1.0\n", "\n-----BEGIN PGP SIGNATURE-----\nold\n");
        assert!(SignedTag::read(twice.as_bytes(), "v1.0", COMMIT).unwrap().signed.ends_with(b"old\n"));
    }

    #[test]
    fn the_fields_of_the_object_decide() {
        let check = |from: &str, to: &str, words: &str| {
            let text = GOOD.replace(from, to);
            let found = SignedTag::read(text.as_bytes(), "v1.0", COMMIT).unwrap_err().to_string();
            assert!(found.contains(words), "{found}");
        };
        check("tag v1.0", "tag v0.9", "its tag is v0.9, expected v1.0");
        check("object 0", "object 1", "expected 0123456789");
        check("type commit", "type tree", "its type is tree");
        check("tag v1.0", "tag v1.0\ntag v1.0", "no tag, or several");
        check("tag v1.0\n", "", "no tag, or several");
        check("-----BEGIN PGP", "----BEGIN PGP", "it is not signed");
        check("BEGIN PGP SIGNATURE", "BEGIN SIGNED MESSAGE", "neither with OpenPGP nor with SSH");
        // A line of the message is not a field.
        check("tag v1.0\ntagger n <m> 1 +0000\n\n", "tagger n <m> 1 +0000\n\ntag v1.0\n", "no tag, or several");
    }
}
