//! The signed promotion record, on disk and in a registry.

use std::fs;
use std::path::PathBuf;

use super::release::PromotedRelease;
use crate::commands::now;
use crate::commands::release::sign::detached;
use anyhow::Context as _;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_oci::promote::promotion_record::Promotion;
use drydock_release::keyring::{Keyring, SignedBy};
use drydock_release::signature_block::BlockError;
use drydock_release::ssh;

/// Returns the file name of the record; that of its signature has the suffix `.asc`.
pub(super) fn name(record: &Promotion) -> String {
    format!("{}.promotion.json", record.image)
}

/// The record's text and its signature.
pub(super) struct SignedRecord {
    pub(super) text: String,
    pub(super) signature: String,
    /// Whether an interrupted promotion made it, and it was checked since.
    is_kept: bool,
}

/// Signs a record. Those of an interrupted promotion are used again.
pub(super) fn sign(release: &PromotedRelease, record: &Promotion, key: Option<&str>) -> anyhow::Result<SignedRecord> {
    let [path, signature_path] = files(release, record);
    let text = record.text()?;
    if let (Ok(text), Ok(signature)) = (fs::read_to_string(&path), fs::read_to_string(&signature_path)) {
        let is_same = Promotion::parse(text.as_bytes()).is_ok_and(|kept| kept.is_same(record));
        if is_same && is_good(release, text.as_bytes(), signature.as_bytes())? {
            return Ok(SignedRecord { text, signature, is_kept: true });
        }
    }
    let signature = String::from_utf8(detached(key, &text)?).context("the signature is not text")?;
    Ok(SignedRecord { text, signature, is_kept: false })
}

impl SignedRecord {
    /// Checks that a declared key made the new signature, and keeps both files for the next call.
    pub(super) fn check(&self, release: &PromotedRelease, record: &Promotion) -> anyhow::Result<()> {
        if self.is_kept {
            return Ok(());
        }
        let keyring = release.keyring().ok_or_else(|| {
            Failure::declaration("no `signing` is declared, so the signature cannot be checked; declare the keys")
        })?;
        let problems = problems(keyring, self.text.as_bytes(), self.signature.as_bytes())?;
        if !problems.is_empty() {
            let text = format!("cannot verify the new signature of the record: {}", problems.join(", "));
            return Err(Failure::not_reproducible(format!("{text}; sign with --key KEY, one of the declared keys")));
        }
        let [path, signature_path] = files(release, record);
        fs::create_dir_all(release.dist.join("oci"))?;
        paths::write_atomically(&path, self.text.as_bytes())?;
        paths::write_atomically(&signature_path, self.signature.as_bytes())
    }
}

/// The files of the record and of its signature.
fn files(release: &PromotedRelease, record: &Promotion) -> [PathBuf; 2] {
    let directory = release.dist.join("oci");
    [directory.join(name(record)), directory.join(format!("{}.asc", name(record)))]
}

/// Returns true if a declared key signed a record.
pub(super) fn is_good(release: &PromotedRelease, record: &[u8], signature: &[u8]) -> anyhow::Result<bool> {
    let Some(keyring) = release.keyring() else { return Ok(false) };
    Ok(problems(keyring, record, signature)?.is_empty())
}

/// Why no signature of a record counts; empty if one does.
fn problems(keyring: &Keyring, record: &[u8], signature: &[u8]) -> anyhow::Result<Vec<String>> {
    let judged = keyring.judge_file(signature, record, ssh::FILES, now())?;
    if judged.iter().flatten().any(|signed_by| signed_by.judgement.counts()) {
        return Ok(Vec::new());
    }
    let problem = |one: Result<SignedBy, BlockError>| match one {
        Ok(signed_by) => format!("{} ({})", signed_by.judgement, signed_by.key),
        Err(error) => error.to_string(),
    };
    Ok(judged.into_iter().map(problem).collect())
}
