//! Adds signatures to a release: those of OpenPGP keys to `SHA256SUMS.asc`, those of SSH keys to one file a person. The result does
//! not depend on the order in which they come.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::keyring::{Keyring, SignedBy};
use crate::manifest::CHECKSUMS;
use crate::signature_block::{SignatureBlock, split};
use crate::ssh;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::paths;

/// A file with signatures that comes from somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its name, for messages.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// The signatures of a release after others were added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Everybody whose signature counts.
    pub people: BTreeSet<String>,
    /// Those whose signatures were added.
    pub added: Vec<SignedBy>,
}

/// The file name for the only signature in a file, for its way to the release captain: `SHA256SUMS.alice.asc`.
///
/// # Errors
/// It has no signature that counts.
pub fn file_name(signed_by: &SignedBy) -> String {
    let person = signed_by.person.as_deref().unwrap_or("unknown");
    let extension = if signed_by.kind == "SSH" { "sig" } else { "asc" };
    format!("{CHECKSUMS}.{person}.{extension}")
}

/// The first signature of a file that counts.
///
/// # Errors
/// None counts; the error names the reasons. gpg or ssh-keygen is missing.
pub fn counting(keyring: &Keyring, file: &Incoming, signed: &[u8], now: i64) -> anyhow::Result<SignedBy> {
    let mut reasons = Vec::new();
    for judged in keyring.judge_file(&file.content, signed, ssh::FILES, now)? {
        match judged {
            Ok(signed_by) if signed_by.judgement.counts() => return Ok(signed_by),
            Ok(signed_by) => reasons.push(format!("{} ({} {})", signed_by.judgement, signed_by.kind, signed_by.key)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    let text = format!("{}: no signature of {CHECKSUMS} in it counts: {}", file.name, reasons.join("; "));
    Err(Failure::not_reproducible(text))
}

/// Adds signatures to the release in a directory. `now` is in seconds since 1970.
///
/// # Errors
/// A file has no signature that counts, or the directory cannot be written to. Then nothing is changed.
pub fn merge(directory: &Path, keyring: &Keyring, incoming: &[Incoming], now: i64) -> anyhow::Result<Merged> {
    let path = directory.join(CHECKSUMS);
    let signed = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut merged = Merged::default();
    for file in incoming {
        merged.added.push(counting(keyring, file, &signed, now)?);
    }
    let existing = existing(directory)?;
    let mut openpgp: BTreeSet<(String, Vec<u8>)> = BTreeSet::new();
    let mut ssh_files: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for file in existing.iter().chain(incoming) {
        for block in split(&file.content).into_iter().flatten() {
            let signed_by = keyring.judge(&block, &signed, ssh::FILES, now)?;
            let counts = signed_by.judgement.counts();
            merged.people.extend(signed_by.person.clone().filter(|_| counts));
            match block {
                // Those that do not count are kept, after the others.
                SignatureBlock::OpenPgp(packet) => {
                    let person = signed_by.person.filter(|_| counts).unwrap_or_else(|| "~".into());
                    openpgp.insert((person, packet));
                }
                SignatureBlock::Ssh(content) if counts => {
                    ssh_files.entry(signed_by.person.unwrap_or_default()).or_default().insert(content);
                }
                SignatureBlock::Ssh(_) => {}
            }
        }
    }
    if !openpgp.is_empty() {
        let text: String = openpgp.iter().map(|(_, packet)| armour(packet)).collect();
        paths::write_atomically(&directory.join(format!("{CHECKSUMS}.asc")), text.as_bytes())?;
    }
    for (person, signatures) in ssh_files {
        // ssh-keygen reads only the first signature of a file.
        let first = signatures.first().map(|content| ssh::armour(content)).unwrap_or_default();
        paths::write_atomically(&directory.join(format!("{CHECKSUMS}.{person}.sig")), first.as_bytes())?;
    }
    Ok(merged)
}

/// The signatures of `SHA256SUMS` that are in a directory.
fn existing(directory: &Path) -> anyhow::Result<Vec<Incoming>> {
    let cannot = || format!("cannot read {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let rest = name.strip_prefix(CHECKSUMS).and_then(|rest| rest.strip_prefix('.'));
        if rest.is_some_and(|rest| matches!(rest.rsplit('.').next(), Some("asc" | "sig"))) {
            let mut content = Vec::new();
            paths::open_regular(&entry.path())
                .and_then(|mut file| std::io::Read::read_to_end(&mut file, &mut content))
                .map_err(|error| Failure::missing(format!("cannot read {name}: {}", exec::plain(&error))))?;
            files.push(Incoming { name, content });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The armour of an OpenPGP signature (RFC 4880, section 6), with the checksum that old versions of gpg want.
fn armour(packet: &[u8]) -> String {
    let text = STANDARD.encode(packet);
    let lines = text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    let sum = STANDARD.encode(&crc24(packet).to_be_bytes()[1..]);
    let lines = lines.collect::<String>();
    format!("-----BEGIN PGP SIGNATURE-----\n\n{lines}={sum}\n-----END PGP SIGNATURE-----\n")
}

/// The checksum of armour (RFC 4880, section 6.1).
fn crc24(bytes: &[u8]) -> u32 {
    let mut crc: u32 = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_is_read_back() {
        let packet = [0xc2, 3, 4, 0, 1];
        assert_eq!(split(armour(&packet).as_bytes()), [Ok(SignatureBlock::OpenPgp(packet.to_vec()))]);
        // The checksum of "123456789", as the catalogue of parametrised CRC algorithms has it for CRC-24/OPENPGP.
        assert_eq!(crc24(b"123456789"), 0x0021_cf02);
    }
}
