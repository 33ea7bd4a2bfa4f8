//! Arbitrary text as `release.json` and as `SHA256SUMS`: no panic, and no name that leads to another directory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use drydock_release::manifest::Manifest;
use drydock_release::verify::parse_checksums;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text) {
        assert!(manifest.artifacts.iter().all(|artifact| !artifact.name.contains('/')));
    }
    if let Some(sums) = parse_checksums(text) {
        assert!(sums.iter().all(|(name, _)| !name.contains('/') && !name.is_empty()));
    }
});
