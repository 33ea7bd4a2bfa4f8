//! A file with public keys: armoured or binary OpenPGP keys, and SSH keys as in `id_ed25519.pub` or an allowed-signers file
//! (ssh-keygen(1), "ALLOWED SIGNERS").

use crate::signature_block::{decode, packet};
use crate::ssh;
use drydock_base::text::{one_line, quoted};

/// The tags of OpenPGP packets with secret keys.
const SECRET: [u8; 2] = [5, 7];
/// The word before a revoked SSH key, as in known_hosts.
const REVOKED: &str = "@revoked";

/// The public keys of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedKeys {
    /// OpenPGP packets for gpg; may be empty.
    pub openpgp: Vec<u8>,
    /// SSH keys.
    pub ssh: Vec<SshKey>,
}

/// An SSH key that may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// The public key.
    pub key: Vec<u8>,
    /// The namespaces for which it may sign; all if empty.
    pub namespaces: Vec<String>,
    /// The time from which its signatures count, in seconds since 1970.
    pub valid_after: Option<i64>,
    /// The time until which its signatures count.
    pub valid_before: Option<i64>,
    /// Whether it is revoked.
    pub is_revoked: bool,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The file has no key.
    #[error("it has no public key; write an OpenPGP key (`gpg --armor --export`) or lines of SSH keys into it")]
    NoKey,
    /// The file has a secret key.
    #[error("it has a secret key; remove it from the repository, and replace the key by a new one")]
    SecretKey,
    /// The armour of an OpenPGP key is damaged.
    #[error("the armour of an OpenPGP key is damaged")]
    Armour,
    /// A line is not an SSH key.
    #[error("line {line}: {why}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        why: LineError,
    },
}

/// A line that is not an SSH key. Each variant holds the offending text, shortened and quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Armour of something else.
    #[error("{0} is not a public key")]
    OtherArmour(String),
    /// No word is the type of a key that can sign files.
    #[error("{0} is not a key that can sign files")]
    NoKeyType(String),
    /// The base64 is damaged, or of a key of another type.
    #[error("the key is damaged")]
    Damaged,
    /// The value of `valid-after` or `valid-before`.
    #[error("{0} is not a time such as 20271231")]
    Time(String),
    /// `cert-authority`.
    #[error("certificates are not supported; list the keys themselves")]
    Certificate,
    /// Another option.
    #[error("unknown option {0}")]
    Option(String),
}

/// Reads a file.
///
/// # Errors
/// [`KeyFileError`].
pub fn parse(bytes: &[u8]) -> Result<ParsedKeys, KeyFileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut keys = ParsedKeys::default();
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        keys.openpgp = public_packets(bytes)?;
        return Ok(keys);
    }
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().map(str::trim).enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(kind) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            if kind.contains("PRIVATE KEY") {
                return Err(KeyFileError::SecretKey);
            }
            if kind != "PGP PUBLIC KEY BLOCK" {
                let why = LineError::OtherArmour(quoted(kind));
                return Err(KeyFileError::Line { line: number + 1, why });
            }
            let mut content = Vec::new();
            let end = "-----END PGP PUBLIC KEY BLOCK-----";
            let is_ended = lines.by_ref().any(|(_, line)| {
                content.push(line);
                line == end
            });
            content.pop();
            let packets = is_ended.then(|| decode(&content)).flatten().ok_or(KeyFileError::Armour)?;
            keys.openpgp.extend(public_packets(&packets)?);
        } else if !line.is_empty() && !line.starts_with('#') {
            keys.ssh.push(ssh_key(line).map_err(|why| KeyFileError::Line { line: number + 1, why })?);
        }
    }
    if keys.openpgp.is_empty() && keys.ssh.is_empty() {
        return Err(KeyFileError::NoKey);
    }
    Ok(keys)
}

/// The bytes, if they are whole packets and none is a secret key.
fn public_packets(bytes: &[u8]) -> Result<Vec<u8>, KeyFileError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (tag, length) = packet(rest).filter(|(_, length)| *length <= rest.len()).ok_or(KeyFileError::Armour)?;
        if SECRET.contains(&tag) {
            return Err(KeyFileError::SecretKey);
        }
        rest = &rest[length..];
    }
    if bytes.is_empty() { Err(KeyFileError::NoKey) } else { Ok(bytes.to_vec()) }
}

/// The key of a line: `[@revoked] [PRINCIPAL] [OPTIONS] TYPE BASE64 [COMMENT]`.
fn ssh_key(line: &str) -> Result<SshKey, LineError> {
    let words = words(line);
    let at = words
        .iter()
        .position(|word| ssh::KEY_TYPES.contains(&word.as_str()))
        .ok_or_else(|| LineError::NoKeyType(quoted(&one_line(line, 40))))?;
    let base64 = words.get(at + 1).map(String::as_str).unwrap_or_default();
    let key = ssh::decode_key(&words[at], base64).ok_or(LineError::Damaged)?;
    let mut found = SshKey { key, namespaces: Vec::new(), valid_after: None, valid_before: None, is_revoked: false };
    let mut before = words[..at].iter().peekable();
    if before.next_if(|word| *word == REVOKED).is_some() {
        found.is_revoked = true;
    }
    // The principal is the person, whose name is that of the file.
    before.next_if(|word| !word.contains('=') && *word != "cert-authority");
    for word in before {
        for option in options(word) {
            let (name, value) = option.split_once('=').unwrap_or((&option, ""));
            let time = || time(value).ok_or_else(|| LineError::Time(quoted(value)));
            match name.to_ascii_lowercase().as_str() {
                "namespaces" => found.namespaces = value.split(',').map(str::to_owned).collect(),
                "valid-after" => found.valid_after = Some(time()?),
                "valid-before" => found.valid_before = Some(time()?),
                "cert-authority" => return Err(LineError::Certificate),
                _ => return Err(LineError::Option(quoted(name))),
            }
        }
    }
    Ok(found)
}

impl SshKey {
    /// The fingerprint as OpenSSH shows it.
    pub fn fingerprint(&self) -> String {
        ssh::fingerprint(&self.key)
    }

    /// Whether it may sign for this namespace.
    pub fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|one| one == namespace || one == "*")
    }

    /// The reason why its signatures do not count at this time, in seconds since 1970.
    pub fn problem(&self, now: i64) -> Option<String> {
        if self.is_revoked {
            return Some("is revoked".into());
        }
        if let Some(bits) = ssh::rsa_bits(&self.key).filter(|bits| *bits < ssh::LEAST_RSA_BITS) {
            return Some(format!("is too weak (RSA with {bits} bits)"));
        }
        if let Some(end) = self.valid_before.filter(|end| *end <= now) {
            let why = "SSH signatures do not state when they were made";
            return Some(format!("expired on {}, and {why}", super::date(end)));
        }
        self.valid_after.filter(|start| *start > now).map(|start| format!("is not valid before {}", super::date(start)))
    }
}

/// The words of a line; white space between quotes does not end one.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' | '\t' if !is_quoted => words.push(String::new()),
            _ => {}
        }
        if is_quoted || !letter.is_whitespace() {
            if let Some(last) = words.last_mut() {
                last.push(letter);
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The options of a word, without quotes; a comma between quotes belongs to a value.
fn options(word: &str) -> Vec<String> {
    let mut options = vec![String::new()];
    let mut is_quoted = false;
    for letter in word.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => options.push(String::new()),
            _ => {
                if let Some(last) = options.last_mut() {
                    last.push(letter);
                }
            }
        }
    }
    options
}

/// A time such as `20271231` or `202712312359` or `20271231235959`, with or without `Z`: always in UTC, so that it is the same
/// on every machine.
fn time(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or("00").parse::<i8>().ok();
    let year = digits.get(..4)?.parse().ok()?;
    let day = jiff::civil::Date::new(year, part(4, 6)?, part(6, 8)?).ok()?;
    let time = jiff::civil::Time::new(part(8, 10)?, part(10, 12)?, part(12, 14)?, 0).ok()?;
    Some(jiff::tz::Offset::UTC.to_timestamp(day.to_datetime(time)).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBFE+kBss0xP9W7HTlaxPy3Fk50l644FslhYb1CHxo7u";

    fn one(line: &str) -> SshKey {
        parse(line.as_bytes()).unwrap().ssh.remove(0)
    }

    #[test]
    fn keys_are_read_as_openssh_writes_them() {
        for line in [
            KEY.to_owned(),
            format!("# a comment\r\n\r\n{KEY} alice@home\r\n"),
            format!("alice@example.org {KEY}"),
            format!("\u{feff}alice namespaces=\"file,git\" {KEY} comment with words"),
        ] {
            let key = one(&line);
            assert!(key.is_for("file") && key.is_for("git") && key.problem(0).is_none(), "{line}");
        }
        let key = one(&format!("a namespaces=\"git\",valid-after=\"20260101\",valid-before=20270101120000Z {KEY}"));
        assert!(key.is_for("git") && !key.is_for("file"));
        assert_eq!((key.valid_after, key.valid_before), (Some(1_767_225_600), Some(1_798_804_800)));
        assert_eq!(key.problem(1_767_225_599).unwrap(), "is not valid before 2026-01-01");
        assert_eq!(key.problem(1_767_225_600), None);
        assert!(key.problem(1_798_804_800).unwrap().starts_with("expired on 2027-01-01"));
        assert_eq!(one(&format!("@revoked {KEY}")).problem(0).unwrap(), "is revoked");
        assert!(one(&format!("@revoked alice {KEY}")).is_revoked);
    }

    #[test]
    fn what_is_not_a_public_key_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "it has no public key"),
            ("# nothing\n", "it has no public key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nx", "secret key"),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nx", "secret key"),
            ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxVgE", "armour"),
            ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxQEA\n-----END PGP PUBLIC KEY BLOCK-----\n", "secret key"),
            ("-----BEGIN CERTIFICATE-----\n", "line 1: `CERTIFICATE` is not a public key"),
            ("\nssh-dss AAAA\n", "line 2: `ssh-dss AAAA` is not a key"),
            ("ssh-ed25519 AAAA", "line 1: the key is damaged"),
            (
                "cert-authority ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBFE+kBss0xP9W7HTlaxPy3Fk50l644FslhYb1CHxo7u",
                "certificates",
            ),
            (
                "valid-before=soon ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBFE+kBss0xP9W7HTlaxPy3Fk50l644FslhYb1CHxo7u",
                "`soon`",
            ),
            (
                "x=y ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBFE+kBss0xP9W7HTlaxPy3Fk50l644FslhYb1CHxo7u",
                "unknown option `x`",
            ),
        ] {
            let found = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(found.contains(expected), "{text:?}: {found}");
        }
        assert_eq!(parse(&[0xc5, 1, 0]).unwrap_err(), KeyFileError::SecretKey);
    }
}
