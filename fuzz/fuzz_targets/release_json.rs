//! Arbitrary text as `release.json`: no panic, and no name that leads to another directory.
#![no_main]

use drydock_release::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text) {
        assert!(manifest.artifacts.iter().all(|artifact| !artifact.name.contains('/')));
    }
});
