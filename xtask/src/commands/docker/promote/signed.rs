//! The record of a promotion, signed and kept on disk, and whether the one of a registry is good.

use std::fs;

use super::prepared::Need;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_deb::sign::Signer;
use drydock_oci::promote::promotion_record::Promotion;
use drydock_release::signatures;

/// The record's file name; its signature has `.asc` after it.
pub(super) fn name(record: &Promotion) -> String {
    format!("{}.promotion.json", record.image)
}

/// The record's text and its signature by a declared key: those that an interrupted promotion made, or new ones.
pub(super) fn record(need: &Need<'_>, record: &Promotion, signer: &Signer) -> anyhow::Result<(String, String)> {
    let directory = need.dist().join("oci");
    let path = directory.join(name(record));
    let signature_path = directory.join(format!("{}.asc", name(record)));
    let text = record.text()?;
    if let (Ok(kept), Ok(signature)) = (fs::read_to_string(&path), fs::read_to_string(&signature_path)) {
        let is_same = Promotion::parse(kept.as_bytes()).is_ok_and(|kept| kept.is_same(record));
        if is_same && is_good(need, kept.as_bytes(), signature.as_bytes())? {
            return Ok((kept, signature));
        }
    }
    let signature = signer.detach(&text)?;
    let shown = path.display().to_string();
    let found = match need.keys() {
        Some(keys) => signatures::check_bytes(&shown, text.as_bytes(), signature.as_bytes(), &keys)?,
        None => return Err(Failure::declaration("no keys are declared, so no signature could be checked")),
    };
    if found.good.is_empty() {
        let text = format!("the record was signed, but {}", found.problems.join(", "));
        return Err(Failure::not_reproducible(format!("{text}; sign with --key KEY, one of the declared keys")));
    }
    fs::create_dir_all(&directory)?;
    paths::write_atomically(&path, text.as_bytes())?;
    paths::write_atomically(&signature_path, signature.as_bytes())?;
    Ok((text, signature))
}

/// Whether a declared key signed a record.
pub(super) fn is_good(need: &Need<'_>, record: &[u8], signature: &[u8]) -> anyhow::Result<bool> {
    let Some(keys) = need.keys() else { return Ok(false) };
    Ok(!signatures::check_bytes("the record", record, signature, &keys)?.good.is_empty())
}
