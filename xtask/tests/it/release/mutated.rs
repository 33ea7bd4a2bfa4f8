//! The readers of lists and signatures on mutations of the fuzzers' corpora: what `fuzz/` does with more time, in a few seconds.

use std::fs;
use std::path::{Component, Path};

use drydock_release::checksum_list::{ChecksumList, Clearsigned};
use drydock_release::gpg::{parse_listing, parse_status};
use drydock_release::keyring;
use drydock_release::signature_block::{MOST_BLOCKS, SignatureBlock, split};
use drydock_release::ssh::SshSignature;

/// Mutations of each file.
const ROUNDS: usize = 3000;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Changes a few bytes: flipped, cut, repeated, or taken from another file.
fn mutate(noise: &mut fastrand::Rng, from: &[u8], all: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..noise.usize(1..5) {
        let at = noise.usize(0..=bytes.len());
        let end = noise.usize(at..=bytes.len().min(at + 80));
        match noise.u8(0..5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << noise.u8(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece.repeat(noise.usize(1..4)));
            }
            3 => {
                let other = &all[noise.usize(0..all.len())];
                let start = noise.usize(0..=other.len());
                bytes.splice(at..at, other[start..].iter().copied().take(noise.usize(0..100)));
            }
            _ => bytes.insert(at, *noise.choice(b"\0\n\r \\*/.=-:[]()\xff").unwrap()),
        }
    }
    bytes
}

#[test]
fn mutated_lists_never_lead_outside_and_mutated_signatures_stay_apart() {
    let mut noise = fastrand::Rng::with_seed(14);
    let (lists, signatures) = (corpus("checksum-list"), corpus("signatures"));
    assert!(lists.len() >= 4 && signatures.len() >= 5);
    let (mut read, mut taken) = (0, 0);
    for from in &lists {
        for _ in 0..ROUNDS {
            let bytes = mutate(&mut noise, from, &lists);
            std::hint::black_box(Clearsigned::parse(&bytes));
            if let Ok(list) = ChecksumList::parse(bytes.get(11..).unwrap_or_default(), "SHA256SUMS") {
                read += 1;
                let is_inside =
                    |file: &str| Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
                assert!(list.files.keys().all(|file| is_inside(file)), "{list:?}");
            }
        }
    }
    for from in &signatures {
        for _ in 0..ROUNDS {
            let bytes = mutate(&mut noise, from, &signatures);
            let bytes = bytes.get(1..).unwrap_or_default();
            let text = String::from_utf8_lossy(bytes);
            let blocks = split(bytes);
            assert!(!blocks.is_empty() && blocks.len() <= MOST_BLOCKS + 1);
            for block in blocks.into_iter().flatten() {
                taken += 1;
                match block {
                    SignatureBlock::OpenPgp(packet) => {
                        assert_eq!(split(&packet), [Ok(SignatureBlock::OpenPgp(packet.clone()))]);
                    }
                    SignatureBlock::Ssh(content) => drop(SshSignature::parse(&content)),
                }
            }
            let starts = text.lines().filter(|line| line.split(' ').take(2).eq(["[GNUPG:]", "NEWSIG"])).count();
            assert_eq!(parse_status(&text).len(), starts, "{text}");
            std::hint::black_box((parse_listing(&text), keyring::parse(bytes).is_ok()));
        }
    }
    assert!(read > 100 && taken > 100, "{read} lists and {taken} signatures were read");
}
