//! The key listing of `gpg --with-colons`, as data.

/// A key or subkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its fingerprint.
    pub fingerprint: String,
    /// The fingerprint of the primary key; its own for a primary key.
    pub primary: String,
    /// The length in bits, as gpg counts it for the algorithm.
    pub bits: u32,
    /// The number of the algorithm (RFC 9580, section 9.1).
    pub algorithm: u32,
    /// The time at which it was made, in seconds since 1970.
    pub created: i64,
    /// The time at which it expires, in seconds since 1970; none if it does not expire.
    pub expires: Option<i64>,
    /// Whether its owner revoked it, whatever else is true of it.
    pub is_revoked: bool,
    /// Whether it can sign, by its flags.
    pub can_sign: bool,
}

impl KeyRecord {
    /// The reason why the key is too weak, such as `RSA with 1024 bits`; none if it is strong enough.
    pub fn weakness(&self) -> Option<String> {
        let name = match self.algorithm {
            1..=3 if self.bits < 2048 => "RSA",
            17 if self.bits < 2048 => "DSA",
            16 | 20 => "Elgamal",
            _ => return None,
        };
        Some(format!("{name} with {} bits", self.bits))
    }
}

/// Reads a listing. Records without a fingerprint or a time are left out.
pub fn parse_listing(text: &str) -> Vec<KeyRecord> {
    let mut keys: Vec<KeyRecord> = Vec::new();
    let mut primary = String::new();
    // The record whose fingerprint comes next.
    let mut open: Option<KeyRecord> = None;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        match field(0) {
            kind @ ("pub" | "sub") => {
                if kind == "pub" {
                    primary.clear();
                }
                open = field(5).parse().ok().map(|created| KeyRecord {
                    fingerprint: String::new(),
                    primary: String::new(),
                    bits: field(2).parse().unwrap_or(0),
                    algorithm: field(3).parse().unwrap_or(0),
                    created,
                    expires: field(6).parse().ok().filter(|expires| *expires > 0),
                    is_revoked: field(1).contains('r'),
                    can_sign: field(11).contains('s'),
                });
            }
            "fpr" => {
                if let Some(mut key) = open.take().filter(|_| !field(9).is_empty()) {
                    if primary.is_empty() {
                        field(9).clone_into(&mut primary);
                    }
                    (key.fingerprint, key.primary) = (field(9).to_owned(), primary.clone());
                    keys.push(key);
                }
            }
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As gpg 2.2 prints it, with a key that is expired and revoked.
    const LISTING: &str = "\
tru::1:1795912046:0:3:1:5
pub:r:255:22:540515E4F49FF9FD:1577836800:1609372800::-:::sc:::::ed25519:::0:
fpr:::::::::BEC2138F4DC72DE66BD82363540515E4F49FF9FD:
uid:r::::1577836800::3398ED30812CE3127001F45F297DAB413109E5AE::fpr::::::::::0:
pub:-:1024:1:81009CB81469C967:1795912046:::-:::cC::::::::0:
fpr:::::::::3A1D1FA3E8EDEC70831F58D181009CB81469C967:
sub:r:255:22:70C3E23108B87F5B:1795912046::::::s:::::ed25519::
fpr:::::::::675C1C4182B46025A0A411D470C3E23108B87F5B:
pub:-:255:22:70C3E23108B87F5B:not a time:::-:::cC::::::::0:
";

    #[test]
    fn a_listing_is_read() {
        let keys = parse_listing(LISTING);
        let short = |key: &KeyRecord| (key.fingerprint[..4].to_owned(), key.primary[..4].to_owned());
        let names: Vec<_> = keys.iter().map(short).collect();
        assert_eq!(names, [("BEC2", "BEC2"), ("3A1D", "3A1D"), ("675C", "3A1D")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!(keys.iter().map(|key| key.is_revoked).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(keys[0].expires, Some(1_609_372_800));
        assert_eq!(keys[1].weakness().as_deref(), Some("RSA with 1024 bits"));
        assert!(keys[2].can_sign && !keys[1].can_sign);
    }
}
