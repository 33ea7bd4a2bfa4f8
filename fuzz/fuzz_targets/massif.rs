//! Arbitrary bytes as a massif file: nothing made of it may panic, hang or grow out of proportion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use drydock_valgrind::massif::{
    KEPT_POINTS, KEPT_SITES, Profile, Wrappers, baseline, diff, ms_print, show, summary,
};

fuzz_target!(|bytes: &[u8]| {
    let wrappers = Wrappers::new(["xmalloc", "tal_*"]);
    let options = ms_print::Options::default();
    let mut printed = Vec::new();
    let print = ms_print::print(|| Ok(bytes), &options, &[b"x".to_vec()], &mut printed);
    let profile = match Profile::read(bytes) {
        Ok(profile) => profile,
        Err(fault) => {
            assert!(fault.to_string().starts_with("line "));
            assert!(print.is_err());
            return;
        }
    };
    assert!(print.is_ok_and(|extent| extent == profile.extent));
    // A node's line is repeated in front of by two characters a level, of which there are 512.
    assert!(printed.len() <= 200_000 + 1500 * bytes.len());
    let summary = summary(&profile, &wrappers, KEPT_POINTS, KEPT_SITES);
    assert!(summary.points.len() <= KEPT_POINTS && summary.sites.len() <= KEPT_SITES);
    // 80 for all sizes that a machine has.
    assert!(show::profile(&summary).lines().all(|line| line.chars().count() <= 110 || line.contains("not whole")));
    let small = baseline(&profile);
    let kept = Profile::read(small.as_bytes()).expect("a baseline is a massif file");
    assert_eq!(kept.peak().measured(), profile.peak().measured());
    // Names that differ only in what cannot be shown become one.
    let again = Profile::read(baseline(&kept).as_bytes()).expect("a baseline is a massif file");
    assert_eq!(baseline(&again), baseline(&kept));
    if let Ok(changes) = diff(&profile, &kept, &wrappers) {
        assert!(!show::diff(&changes).is_empty());
    }
});
