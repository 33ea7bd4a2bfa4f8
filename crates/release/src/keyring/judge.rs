//! Judges a signature: by whom it is, and whether it counts.

use std::fmt;

use super::{Keyring, Person};
use crate::gpg::{KeyRecord, StatusKind};
use crate::ssh::{self, SshSignature};

/// Signatures may claim to be made this much later than now, in seconds: clocks differ.
const CLOCK_TOLERANCE: i64 = 86_400;
/// Digests of OpenPGP signatures that count, by number: SHA-256, SHA-384, SHA-512, SHA3-256, SHA3-512.
const STRONG_DIGESTS: [u32; 5] = [8, 9, 10, 12, 14];

/// A signature and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// `OpenPGP` or `SSH`.
    pub kind: &'static str,
    /// The fingerprint or key id that the signature names.
    pub key: String,
    /// The name of the person to whom the key belongs; none for a stranger.
    pub person: Option<String>,
    /// The time at which the signature states to be made, in seconds since 1970; SSH signatures state none.
    pub made: Option<i64>,
    /// What it is worth.
    pub judgement: Judgement,
}

/// What a signature is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It counts.
    Good,
    /// It counts: the key has expired, and the signature states an earlier time.
    GoodBeforeExpiry {
        /// The time at which the signature states to be made.
        made: i64,
        /// The time at which the key expired.
        expired: i64,
    },
    /// The key belongs to nobody of the keyring.
    Stranger,
    /// The signature is of other content.
    OtherContent,
    /// The key is revoked.
    Revoked,
    /// The signature states to be made after the key expired.
    AfterExpiry {
        /// The time at which the signature states to be made.
        made: i64,
        /// The time at which the key expired.
        expired: i64,
    },
    /// The signature states that its time is over.
    SignatureExpired,
    /// The signature states to be made in the future, or before its key existed.
    ImpossibleTime(i64),
    /// The digest of the signature is weak; its name.
    WeakDigest(String),
    /// The SSH key has a problem.
    KeyProblem(String),
    /// The OpenPGP key is too weak.
    WeakKey(String),
    /// The SSH signature is for another namespace, or the key is not for this one.
    OtherNamespace(String),
    /// It cannot be read or checked.
    Unreadable,
}

impl Judgement {
    /// Whether the signature counts.
    pub fn counts(&self) -> bool {
        matches!(self, Judgement::Good | Judgement::GoodBeforeExpiry { .. })
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Judgement::Good => write!(f, "it is good"),
            Judgement::GoodBeforeExpiry { made, expired } => {
                write!(f, "its key expired on {}, after it was made on {}", date(*expired), date(*made))
            }
            Judgement::Stranger => write!(f, "the key is not among the declared ones"),
            Judgement::OtherContent => write!(f, "it is for other content"),
            Judgement::Revoked => write!(f, "its key is revoked"),
            Judgement::AfterExpiry { made, expired } => {
                write!(f, "it was made on {}, and its key expired on {}", date(*made), date(*expired))
            }
            Judgement::SignatureExpired => write!(f, "the signature itself has expired"),
            Judgement::ImpossibleTime(made) => {
                write!(f, "it states to be made on {}, which cannot be; check the clock", date(*made))
            }
            Judgement::WeakDigest(digest) => write!(f, "its digest {digest} is too weak"),
            Judgement::KeyProblem(problem) => write!(f, "its key {problem}"),
            Judgement::WeakKey(weakness) => write!(f, "its key is too weak ({weakness})"),
            Judgement::OtherNamespace(namespace) => write!(f, "it is for the SSH namespace {namespace}"),
            Judgement::Unreadable => write!(f, "it cannot be read"),
        }
    }
}

impl Keyring {
    pub(super) fn judge_openpgp(&self, packet: &[u8], signed: &[u8], now: i64) -> anyhow::Result<SignedBy> {
        let mut found = SignedBy {
            kind: "OpenPGP",
            key: "of an unknown key".into(),
            person: None,
            made: None,
            judgement: Judgement::Stranger,
        };
        // Without OpenPGP keys, nobody could have made it.
        let Some(home) = &self.home else { return Ok(found) };
        let statuses = home.verify(packet, signed)?;
        found.judgement = Judgement::Unreadable;
        let [status] = &statuses[..] else { return Ok(found) };
        if !status.key.is_empty() {
            found.key = drydock_base::text::one_line(&status.key, 64);
        }
        let named = self.record(&status.key);
        found.person = named.map(|(person, _)| person.name.clone());
        match (status.kind, &status.valid) {
            (Some(StatusKind::Bad), _) => found.judgement = Judgement::OtherContent,
            (Some(StatusKind::Unchecked), _) if named.is_none() => found.judgement = Judgement::Stranger,
            (Some(kind), Some(valid)) => {
                let Some((person, key)) = self.record(&valid.fingerprint) else { return Ok(found) };
                let primary = person.openpgp.iter().find(|one| one.fingerprint == key.primary);
                let Some(primary) = primary.filter(|primary| primary.fingerprint == valid.primary) else {
                    return Ok(found);
                };
                (found.key, found.person) = (valid.fingerprint.clone(), Some(person.name.clone()));
                found.made = Some(valid.made);
                found.judgement = judge(kind, valid, [key, primary], now);
            }
            (Some(_) | None, _) => {}
        }
        Ok(found)
    }

    /// The person and the record of an OpenPGP key, by its fingerprint or long key id.
    fn record(&self, key: &str) -> Option<(&Person, &KeyRecord)> {
        let is_it = |record: &&KeyRecord| key.len() >= 16 && record.fingerprint.ends_with(key);
        self.people.iter().find_map(|person| Some((person, person.openpgp.iter().find(is_it)?)))
    }

    pub(super) fn judge_ssh(
        &self,
        content: &[u8],
        signed: &[u8],
        namespace: &str,
        now: i64,
    ) -> anyhow::Result<SignedBy> {
        let mut found = SignedBy {
            kind: "SSH",
            key: "of an unknown key".into(),
            person: None,
            made: None,
            judgement: Judgement::Unreadable,
        };
        let Some(signature) = SshSignature::parse(content) else { return Ok(found) };
        found.key = ssh::fingerprint(&signature.key);
        let owner = self
            .people
            .iter()
            .find_map(|person| Some((person, person.ssh.iter().find(|key| key.key == signature.key)?)));
        let Some((person, key)) = owner else {
            found.judgement = Judgement::Stranger;
            return Ok(found);
        };
        found.person = Some(person.name.clone());
        found.judgement = if signature.namespace != namespace {
            Judgement::OtherNamespace(drydock_base::text::quoted(&signature.namespace))
        } else if !matches!(signature.hash.as_str(), "sha256" | "sha512") {
            Judgement::WeakDigest(drydock_base::text::quoted(&signature.hash))
        } else if !key.is_for(namespace) {
            Judgement::OtherNamespace(format!("{namespace}, for which the key must not sign"))
        } else if let Some(problem) = key.problem(now) {
            if key.is_revoked { Judgement::Revoked } else { Judgement::KeyProblem(problem) }
        } else if ssh::verifies(&key.key, content, namespace, signed)? {
            Judgement::Good
        } else {
            Judgement::OtherContent
        };
        Ok(found)
    }
}

/// Judges a signature whose mathematics are right, by the key that made it and its primary key.
fn judge(kind: StatusKind, valid: &crate::gpg::ValidSignature, keys: [&KeyRecord; 2], now: i64) -> Judgement {
    if !matches!(valid.class, 0 | 1) {
        return Judgement::Unreadable;
    }
    if !STRONG_DIGESTS.contains(&valid.digest) {
        return Judgement::WeakDigest(digest_name(valid.digest));
    }
    if let Some(weakness) = keys.iter().find_map(|key| key.weakness()) {
        return Judgement::WeakKey(weakness);
    }
    // gpg reports a key that is both revoked and expired as expired.
    if kind == StatusKind::RevokedKey || keys.iter().any(|key| key.is_revoked) {
        return Judgement::Revoked;
    }
    let made = valid.made;
    if made > now.saturating_add(CLOCK_TOLERANCE) || keys.iter().any(|key| made < key.created) {
        return Judgement::ImpossibleTime(made);
    }
    let expired = keys.iter().filter_map(|key| key.expires).min().filter(|expires| *expires <= now);
    match (kind, expired) {
        (StatusKind::Expired, _) => Judgement::SignatureExpired,
        (StatusKind::Good, None) => Judgement::Good,
        (StatusKind::Good | StatusKind::ExpiredKey, Some(expired)) if made < expired => {
            Judgement::GoodBeforeExpiry { made, expired }
        }
        (StatusKind::Good | StatusKind::ExpiredKey, Some(expired)) => Judgement::AfterExpiry { made, expired },
        // gpg knows of an expiry that the listing does not show.
        (StatusKind::ExpiredKey | StatusKind::RevokedKey | StatusKind::Bad | StatusKind::Unchecked, _) => {
            Judgement::Unreadable
        }
    }
}

fn digest_name(number: u32) -> String {
    match number {
        1 => "MD5".into(),
        2 => "SHA-1".into(),
        3 => "RIPEMD-160".into(),
        11 => "SHA-224".into(),
        other => format!("number {other}"),
    }
}

/// A time as a date in UTC.
pub fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpg::ValidSignature;

    const NOW: i64 = 1_790_000_000;

    fn key() -> KeyRecord {
        KeyRecord {
            fingerprint: "A".repeat(40),
            primary: "A".repeat(40),
            bits: 255,
            algorithm: 22,
            created: NOW - 1000,
            expires: None,
            is_revoked: false,
            can_sign: true,
        }
    }

    #[test]
    fn the_key_decides_and_not_only_the_word_of_gpg() {
        let valid = |made: i64, digest, class| ValidSignature {
            fingerprint: "A".repeat(40),
            made,
            digest,
            class,
            primary: "A".repeat(40),
        };
        let plain = valid(NOW - 100, 8, 0);
        let check = |kind, valid: &ValidSignature, key: KeyRecord, primary: KeyRecord, expected: &str| {
            let found = judge(kind, valid, [&key, &primary], NOW);
            assert!(found.to_string().contains(expected), "{kind:?} {valid:?}: {found}");
            assert_eq!(found.counts(), expected == "good" || expected.contains("after it was made"), "{found}");
        };
        let expires = |at: i64| KeyRecord { expires: Some(at), ..key() };
        let revoked = || KeyRecord { is_revoked: true, ..key() };
        check(StatusKind::Good, &plain, key(), key(), "good");
        check(StatusKind::Good, &plain, revoked(), key(), "revoked");
        check(StatusKind::Good, &plain, key(), revoked(), "revoked");
        check(StatusKind::RevokedKey, &plain, key(), key(), "revoked");
        let both = KeyRecord { is_revoked: true, ..expires(NOW - 50) };
        check(StatusKind::ExpiredKey, &plain, both, key(), "revoked");
        check(StatusKind::ExpiredKey, &plain, expires(NOW - 50), key(), "after it was made");
        check(StatusKind::ExpiredKey, &plain, key(), expires(NOW - 50), "after it was made");
        check(StatusKind::ExpiredKey, &plain, expires(NOW - 200), expires(NOW - 50), "and its key expired on");
        check(StatusKind::ExpiredKey, &plain, key(), key(), "cannot be read");
        check(StatusKind::Expired, &plain, key(), key(), "signature itself");
        check(StatusKind::Good, &valid(NOW + 100_000, 8, 0), key(), key(), "cannot be; check the clock");
        check(StatusKind::Good, &valid(NOW - 2000, 8, 0), key(), key(), "cannot be; check the clock");
        check(StatusKind::Good, &valid(NOW, 2, 0), key(), key(), "SHA-1 is too weak");
        check(StatusKind::Good, &valid(NOW, 1, 0), key(), key(), "MD5 is too weak");
        check(StatusKind::Good, &valid(NOW, 8, 0x10), key(), key(), "cannot be read");
        let small = KeyRecord { bits: 1024, algorithm: 1, ..key() };
        check(StatusKind::Good, &plain, key(), small, "RSA with 1024 bits");
        let dsa = KeyRecord { bits: 1024, algorithm: 17, ..key() };
        check(StatusKind::Good, &plain, dsa, key(), "DSA with 1024 bits");
    }
}
