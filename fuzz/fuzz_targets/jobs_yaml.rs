//! Arbitrary text as `ci/jobs.yaml`: it must neither panic nor hang, and each refusal must name a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use drydock_config::jobs::Suite;

fuzz_target!(|text: &str| {
    match Suite::parse(text, Path::new("ci/jobs.yaml"), None) {
        Ok(suite) => assert!(!suite.jobs.is_empty()),
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            assert!(diagnostics.iter().all(|diagnostic| diagnostic.line >= 1 && diagnostic.column >= 1));
            assert!(!diagnostics.to_string().is_empty());
        }
    }
});
