//! Arbitrary bytes as a list of checksums, plain or with an inline signature: no panic, no path that leads out of the directory, and
//! only whole checksums. The first byte is the length of the name of the file.
#![no_main]

use std::path::{Component, Path};

use drydock_release::checksum_list::{Algorithm, ChecksumList, Clearsigned};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, bytes)) = bytes.split_first() else { return };
    let (name, bytes) = bytes.split_at(bytes.len().min(usize::from(length % 32)));
    if let Some(clearsigned) = Clearsigned::parse(bytes) {
        assert!(Clearsigned::is_one(bytes) && !clearsigned.signatures.is_empty());
    }
    match ChecksumList::parse(bytes, &String::from_utf8_lossy(name)) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(list) => {
            assert!(!list.files.is_empty());
            for (file, digests) in list.files {
                assert!(Path::new(&file).components().all(|part| matches!(part, Component::Normal(_))), "{file:?}");
                for (algorithm, digest) in digests {
                    let digits = match algorithm {
                        Algorithm::Sha256 => 64,
                        Algorithm::Sha384 => 96,
                        Algorithm::Sha512 => 128,
                        Algorithm::NotComputed | Algorithm::Weak => continue,
                    };
                    let is_hex = digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
                    assert!(digest.len() == digits && is_hex, "{digest}");
                }
            }
        }
    }
});
