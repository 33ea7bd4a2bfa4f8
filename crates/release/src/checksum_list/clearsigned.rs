//! Texts with an inline signature (RFC 9580, section 7, "Cleartext Signature Framework").
//!
//! Only what is signed is returned. A file with anything before, between or after it is refused, since people and other
//! programs would read that too.

use crate::signature_block::{SignatureBlock, split};

/// The first line.
pub const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A text with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearsigned {
    /// The text as it was signed: lines without white space at their ends, joined by CR LF.
    pub text: Vec<u8>,
    /// Its signatures.
    pub signatures: Vec<SignatureBlock>,
}

impl Clearsigned {
    /// Whether the file claims to be one.
    pub fn is_one(bytes: &[u8]) -> bool {
        String::from_utf8_lossy(bytes).lines().any(|line| line.trim_start_matches('\u{feff}').starts_with(BEGIN))
    }

    /// Reads a file; none if it is not exactly one text with signatures.
    pub fn parse(bytes: &[u8]) -> Option<Clearsigned> {
        let text = std::str::from_utf8(bytes).ok()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.split('\n').map(|line| line.trim_end_matches([' ', '\t', '\r'])).peekable();
        while lines.next_if(|line| line.is_empty()).is_some() {}
        (lines.next()? == BEGIN).then_some(())?;
        // Only this header may be there: others are not signed, and people would read them.
        while lines.next_if(|line| line.starts_with("Hash: ")).is_some() {}
        lines.next()?.is_empty().then_some(())?;
        let mut signed = Vec::new();
        loop {
            match lines.next()? {
                SIGNATURE => break,
                line => match line.strip_prefix("- ") {
                    Some(escaped) => signed.push(escaped),
                    None if line.starts_with('-') => return None,
                    None => signed.push(line),
                },
            }
        }
        let mut armour = vec![SIGNATURE];
        let mut is_open = true;
        for line in lines {
            if is_open {
                is_open = line != END;
            } else if line == SIGNATURE {
                is_open = true;
            } else if !line.is_empty() {
                return None;
            }
            armour.push(line);
        }
        let signatures: Result<Vec<SignatureBlock>, _> = split(armour.join("\n").as_bytes()).into_iter().collect();
        (!is_open).then_some(())?;
        Some(Clearsigned { text: signed.join("\r\n").into_bytes(), signatures: signatures.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA512\r\n\r\n- -- a\r\nb  \r\n\r\n\
        -----BEGIN PGP SIGNATURE-----\r\n\r\nwgEE\r\n-----END PGP SIGNATURE-----\r\n";

    #[test]
    fn only_what_is_signed_is_returned() {
        let found = Clearsigned::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(found.text).unwrap(), "-- a\r\nb\r\n");
        assert_eq!(found.signatures, [SignatureBlock::OpenPgp(vec![0xc2, 1, 4])]);
        assert!(Clearsigned::parse(GOOD.replace('\r', "").as_bytes()).is_some());
    }

    #[test]
    fn anything_beside_the_signed_text_is_refused() {
        for (from, to) in [
            ("-----BEGIN PGP SIGNED", "evil  x\r\n-----BEGIN PGP SIGNED"),
            ("Hash: SHA512\r\n", "Hash: SHA512\r\nevil: x\r\n"),
            ("Hash: SHA512\r\n\r\n", "Hash: SHA512\r\nevil\r\n\r\n"),
            ("- -- a", "-- a"),
            ("-----END PGP SIGNATURE-----\r\n", "-----END PGP SIGNATURE-----\r\nevil\r\n"),
            ("-----END PGP SIGNATURE-----\r\n", ""),
            ("wgEE", "ywEA"),
            ("\r\n- -- a", "\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nx\r\n- -- a"),
        ] {
            assert!(GOOD.contains(from));
            assert_eq!(Clearsigned::parse(GOOD.replacen(from, to, 1).as_bytes()), None, "{to}");
        }
        assert_eq!(Clearsigned::parse(format!("{GOOD}{GOOD}").as_bytes()), None);
    }
}
