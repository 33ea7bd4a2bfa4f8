//! Arbitrary bytes as what comes with signatures: files of signatures (`b`), status output of gpg (`s`), its key listing (`l`), files of
//! public keys (`k`) and SSH signatures (`h`). Nothing panics, and a signature is never made of parts of two.
#![no_main]

use drydock_release::gpg::{parse_listing, parse_status};
use drydock_release::keyring;
use drydock_release::signature_block::{MOST_BLOCKS, SignatureBlock, split};
use drydock_release::ssh::{self, SshSignature};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match kind {
        b'b' => {
            let blocks = split(bytes);
            assert!(!blocks.is_empty() && blocks.len() <= MOST_BLOCKS + 1);
            for block in blocks.into_iter().flatten() {
                if let SignatureBlock::OpenPgp(packet) = block {
                    assert_eq!(split(&packet), [Ok(SignatureBlock::OpenPgp(packet.clone()))]);
                }
            }
        }
        b's' => {
            let found = parse_status(&text);
            let lines = |word: &str| {
                let start = format!("[GNUPG:] {word}");
                text.lines().filter(|line| **line == start || line.starts_with(&format!("{start} "))).count()
            };
            assert_eq!(found.len(), lines("NEWSIG"));
            assert!(found.iter().filter(|one| one.valid.is_some()).count() <= lines("VALIDSIG"));
            assert!(found.iter().filter(|one| one.kind.is_some()).count() <= text.lines().count());
        }
        b'l' => {
            for key in parse_listing(&text) {
                assert!(!key.fingerprint.is_empty() && !key.primary.is_empty());
                std::hint::black_box(key.weakness());
            }
        }
        b'k' => match keyring::parse(bytes) {
            Ok(keys) => {
                assert!(!keys.openpgp.is_empty() || !keys.ssh.is_empty());
                for key in keys.ssh {
                    assert!(ssh::key_type(&key.key).is_some());
                    std::hint::black_box((key.fingerprint(), key.problem(0)));
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        },
        b'h' => {
            if let Some(signature) = SshSignature::parse(bytes) {
                assert!(bytes.len() >= signature.key.len() + signature.namespace.len() + signature.hash.len());
            }
        }
        _ => {}
    }
});
