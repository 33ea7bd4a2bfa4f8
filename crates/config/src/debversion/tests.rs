//! Spellings of versions and their order, compared with dpkg and with Semantic Versioning.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(version: &str, expected: &str) {
    assert_eq!(upstream_version(&version.parse().unwrap()), expected);
}

#[test]
fn candidates_sort_below_what_they_lead_to() {
    for written in ["26.06rc1", "26.06-rc1", "26.06~rc1", "26.06-RC.1", "26.06.rc1"] {
        check(written, "26.06~rc1");
    }
    check("26.06", "26.06");
    check("1.0-beta", "1.0~beta");
    check("1.0_2", "1.0.2");
    check("0.3.0+git20260601.0123456789ab", "0.3.0+git20260601.0123456789ab");
    check("1.0+march1", "1.0+march1");
    check("1.0rc1+git20260601.abc", "1.0~rc1+git20260601.abc");
    for (written, expected) in [
        ("25.12.1", "25.12.1"),
        ("25.12.1rc2", "25.12.1~rc2"),
        ("1.0.0rc1.1", "1.0.0~rc1.1"),
        ("1.0a1", "1.0~a1"),
        ("1.0b2", "1.0~b2"),
        ("1.0.dev3", "1.0~dev3"),
        ("1.0-preview.1", "1.0~preview1"),
        ("1.0rc1-5-gabcdef0", "1.0~rc1.5.gabcdef0"),
        ("1.0.0-x-y.7", "1.0.0~x.y.7"),
        ("1.0.0-alpha.beta", "1.0.0~alpha.beta"),
        ("1.0.0-0.3.7", "1.0.0~0.3.7"),
        ("1.0.0-x1.rc2", "1.0.0~x1.rc2"),
        ("1.0.0-rc.1+b-rc.7", "1.0.0~rc1+b.rc.7"),
        ("0.10.0-1", "0.10.0.1"),
        ("1.1.1a", "1.1.1a"),
        ("1.0-5-g1a2b3c4", "1.0.5.g1a2b3c4"),
        ("1.0-release", "1.0.release"),
        ("1.0.prelude1", "1.0.prelude1"),
    ] {
        check(written, expected);
    }
}

#[test]
fn only_what_is_known_as_a_release_is_none_that_may_be_a_candidate() {
    for release in ["25.12.1", "26.06", "0.10.0", "1", "1.0+march1", "1.0.0+b-rc.7"] {
        assert!(!may_be_candidate(&release.parse().unwrap()), "{release}");
    }
    for other in [
        "1.0.0-dev.1",
        "1.0.0-preview.1",
        "1.0.0-rc.1.2",
        "1.0.0rc1.1",
        "1.0a1",
        "26.06rc1",
        "1.0~git1",
        "1.0~1",
        "1.0x",
        "1.1.1a",
        "0.10.0-1",
        "1.0_2",
        "1.0.",
        "26.09-0.nightly20260701.7.g0123456",
    ] {
        assert!(may_be_candidate(&other.parse().unwrap()), "{other}");
    }
}

/// Each below the next, by section 11 of Semantic Versioning.
const SEMANTIC: [&str; 17] = [
    "1.0.0-0.3.7",
    "1.0.0-a.1",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-dev.1",
    "1.0.0-pre.1",
    "1.0.0-preview.1",
    "1.0.0-rc.1",
    "1.0.0-rc.1.2",
    "1.0.0-rc.2",
    "1.0.0-x.7.z.92",
    "1.0.0",
    "1.0.1-dev.1",
];

#[test]
fn the_order_is_that_of_semantic_versioning() {
    for pair in SEMANTIC.windows(2) {
        let [one, other] = [pair[0], pair[1]].map(|text| text.parse::<semver::Version>().unwrap());
        assert!(one < other, "{one} < {other}");
        let [one, other] = [pair[0], pair[1]].map(|text| text.parse::<Version>().unwrap());
        assert!(is_above(&other, &one), "{one} < {other}");
        assert_eq!(is_candidate(&one), one.as_str() != "1.0.0", "{one}");
    }
}

/// The order of a release's life, each below the next.
const LIFE: [&str; 17] = [
    "26.06.1-0ubuntu1~ppa1~debian12.1",
    "26.06.1-0ubuntu1~ppa1~debian13.1",
    "26.06.1-0ubuntu1~ppa1~ubuntu22.04.1",
    "26.06.1-0ubuntu1~ppa1~ubuntu22.04.2",
    "26.06.1-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.06.1-0ubuntu1",
    "26.06.1-1",
    "26.09~~git20260701.1.g0123456-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.09~~git20260701.2.gabcdef0-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.09~~git20260702.1.g0000000-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.09~rc1-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.09~rc1+git20260703.40.g0000000-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.09~rc2-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.09-0ubuntu1~ppa1~ubuntu24.04.1",
    "26.09rc1-0ubuntu1",
    "26.09.1-0ubuntu1~ppa1~ubuntu24.04.1",
    "1:0.1-1",
];

#[test]
fn the_order_is_that_of_dpkg() {
    let more = ["1.0", "1.00", "1.0-0", "1.0~", "1.0a", "1.0+", "1.0.", "1a", "1.2.3-4-5", "0:1.0", "01.0", "1.0-a~b"];
    let semantic = SEMANTIC.map(|text| upstream_version(&text.parse().unwrap()));
    let all: Vec<&str> = LIFE.into_iter().chain(more).chain(semantic.iter().map(String::as_str)).collect();
    let versions: Vec<DebVersion> = all.iter().map(|text| text.parse().unwrap()).collect();
    let (lives, semantic) = (&versions[..LIFE.len()], &versions[versions.len() - SEMANTIC.len()..]);
    for pair in lives.windows(2).chain(semantic.windows(2)) {
        assert!(pair[0] < pair[1], "{} < {}", pair[0], pair[1]);
    }
    if !drydock_base::exec::is_installed("dpkg") {
        return;
    }
    // One shell for all pairs.
    let script = "for a; do for b; do if dpkg --compare-versions \"$a\" lt \"$b\"; then echo lt; \
                  elif dpkg --compare-versions \"$a\" eq \"$b\"; then echo eq; else echo gt; fi; done; done";
    let argv: Vec<String> =
        ["sh", "-c", script, "sh"].into_iter().chain(all.iter().copied()).map(str::to_owned).collect();
    let printed = drydock_base::exec::read(&argv, std::path::Path::new("/")).unwrap();
    let expected: Vec<&str> = versions
        .iter()
        .flat_map(|one| {
            versions.iter().map(|other| match one.cmp(other) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            })
        })
        .collect();
    assert_eq!(printed.lines().count(), expected.len());
    let pairs = versions.iter().flat_map(|one| versions.iter().map(move |other| (one, other)));
    for ((one, other), (ours, theirs)) in pairs.zip(expected.into_iter().zip(printed.lines())) {
        assert_eq!(ours, theirs, "{one} against {other}");
    }
}

#[test]
fn invalid_versions_are_refused() {
    for bad in ["", "a1", "1.0-", "x:1", "-1:1", "1.0_1", "1/2", "1.0-1_2", ":1", "+1:1.0"] {
        assert!(bad.parse::<DebVersion>().is_err(), "{bad:?}");
    }
    let version: DebVersion = "2:1.0-rc-3".parse().unwrap();
    assert_eq!((version.upstream(), version.revision(), version.without_epoch()), ("1.0-rc", "3", "1.0-rc-3"));
}

#[track_caller]
fn nightly(next: &str, last: Option<&str>, number: u64) -> Result<Version, NoPlace> {
    let last = last.map(|last| last.parse::<Version>().unwrap());
    let place = place(&next.parse().unwrap(), last.as_ref())?;
    let commit = "0123456".to_owned();
    Ok(NightlyVersion { place, day: "20260701".into(), number, commit }.to_string().parse().unwrap())
}

#[test]
fn nightlies_have_a_place_in_the_order() {
    for (next, last, expected) in [
        ("26.09", None, "26.09~~git20260701.7.g0123456"),
        ("26.09", Some("26.06.1"), "26.09~~git20260701.7.g0123456"),
        ("26.09", Some("26.06rc3"), "26.09~~git20260701.7.g0123456"),
        ("26.09", Some("26.09rc1"), "26.09~rc1+git20260701.7.g0123456"),
        ("1.0.0", Some("1.0.0-beta.2"), "1.0.0~beta2+git20260701.7.g0123456"),
    ] {
        assert_eq!(upstream_version(&nightly(next, last, 7).unwrap()), expected);
    }
    for (next, last, why) in [
        ("26.09", Some("26.09"), "is not above 26.09"),
        ("26.06", Some("26.06.1"), "is not above 26.06.1"),
        ("26.9", Some("26.09"), "is not above"),
        ("26.09rc1", Some("26.06"), "leads to another version"),
        ("26.09-0.nightly20260701.7.g0123456", None, "leads to another version"),
    ] {
        let found = nightly(next, last, 7);
        assert!(found.as_ref().is_err_and(|error| error.to_string().contains(why)), "{next} {last:?}: {found:?}");
    }
    for (version, expected) in [
        ("26.06", false),
        ("26.06rc1", true),
        ("1.0-beta", true),
        ("1.0~git1", true),
        ("1.0+march1", false),
        ("1.0~1", true),
    ] {
        assert_eq!(is_candidate(&version.parse().unwrap()), expected, "{version}");
    }
}

proptest! {
    #[test]
    fn a_nightly_is_between_what_was_and_what_will_be(
        parts in proptest::collection::vec(0_u32..30, 1..4),
        raise in 0_usize..3,
        candidate in proptest::option::of((0_usize..5, 1_u32..12)),
        numbers in (1_u64..100_000, 1_u64..100_000),
    ) {
        let dots = |parts: &[u32]| parts.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        let spell = |(spelling, number): (usize, u32)| ["rc", "-rc", "-rc.", "~rc", "-beta."][spelling].to_owned() + &number.to_string();
        let mut next = parts.clone();
        let at = raise.min(next.len() - 1);
        next[at] += 1;
        let next = dots(&next);
        let mut lasts = vec![dots(&parts)];
        lasts.extend(candidate.map(|candidate| format!("{next}{}", spell(candidate))));
        for last in lasts {
            let [one, other] = [numbers.0, numbers.1].map(|number| nightly(&next, Some(&last), number).unwrap());
            let next: Version = next.parse().unwrap();
            let above = |one: &Version, text: &str| is_above(one, &text.parse().unwrap());
            prop_assert!(above(&one, &last) && is_above(&next, &one), "{last} < {one} < {next}");
            prop_assert_eq!(is_above(&one, &other), numbers.0 > numbers.1);
            if let Some((spelling, number)) = candidate.filter(|_| is_candidate(&last.parse().unwrap())) {
                let following: Version = format!("{next}{}", spell((spelling, number + 1))).parse().unwrap();
                prop_assert!(is_above(&following, &one), "{one} < {following}");
            } else {
                let first: Version = format!("{next}-alpha.0").parse().unwrap();
                prop_assert!(is_above(&first, &one), "{one} < {first}");
            }
            let read = NightlyVersion::parse(&one);
            prop_assert_eq!(read.map(|read| read.to_string()), Some(one.to_string()));
        }
    }
}
