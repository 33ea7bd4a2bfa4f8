//! Arbitrary bytes as an archive: it must neither panic, nor hang, nor unpack to more than the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use drydock_archive::read::{Limits, list_bytes};
use drydock_config::release::Format;

const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 100 };

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let format = match kind {
        b'g' => Some(Format::TarGz),
        b'x' => Some(Format::TarXz),
        b'b' => Some(Format::TarBz2),
        b'z' => Some(Format::Zip),
        _ => None,
    };
    match list_bytes(bytes, format, LIMITS) {
        Ok(listed) => {
            assert!(listed.len() <= LIMITS.entries);
            assert!(listed.iter().map(|one| one.member.size).sum::<u64>() <= LIMITS.bytes);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
