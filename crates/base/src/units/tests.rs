//! Units: accepted and refused texts, and round trips through their display.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

#[track_caller]
fn size(text: &str, expected: Result<u64, &str>) {
    match (text.parse::<ByteSize>(), expected) {
        (Ok(size), Ok(bytes)) => assert_eq!(size.bytes(), bytes, "{text}"),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
        (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn sizes_need_a_unit() {
    size("512MiB", Ok(512 << 20));
    size("1GiB", Ok(1 << 30));
    size("4KiB", Ok(4096));
    size("100B", Ok(100));
    size("1.5GiB", Ok(3 << 29));
    size("2kB", Ok(2000));
    size("1.25MB", Ok(1_250_000));
    size("512 MiB", Ok(512 << 20));
    size("16777215TiB", Ok(16_777_215 << 40));
    size("512", Err("`512` has no unit; expected the unit as well, for instance `512MiB`"));
    size("512M", Err("expected `512MiB`"));
    size("512Mi", Err("expected `512MiB`"));
    size("512mib", Err("expected `512MiB`"));
    size("4KB", Err("expected `4kB`"));
    size("4parsecs", Err("unknown unit `parsecs`"));
    size("-1MiB", Err("is not a size"));
    size("", Err("is not a size"));
    size("1..5MiB", Err("is not a size"));
    size(".5MiB", Err("is not a size"));
    size("16777216TiB", Err("more than any machine has"));
    size("99999999999999999999999999999999999999999999GiB", Err("more than any machine has"));
    size("0.0000000001GiB", Err("nine digits"));
}

#[test]
fn sizes_are_shown_for_people_and_for_declarations() {
    let shown = |bytes| (ByteSize::new(bytes).to_string(), ByteSize::new(bytes).exact());
    let pair = |human: &str, exact: &str| (human.to_owned(), exact.to_owned());
    assert_eq!(shown(0), pair("0 B", "0B"));
    assert_eq!(shown(1023), pair("1023 B", "1023B"));
    assert_eq!(shown(1024), pair("1 KiB", "1KiB"));
    assert_eq!(shown(512 << 20), pair("512 MiB", "512MiB"));
    assert_eq!(shown(3 << 29), pair("1.5 GiB", "1536MiB"));
    assert_eq!(shown((246 << 20) + 12_345), pair("246 MiB", "257962041B"));
    assert_eq!(shown((1 << 20) - 1), pair("1 MiB", "1048575B"));
    assert_eq!(shown(u64::MAX), pair("16777216 TiB", "18446744073709551615B"));
    assert_eq!(format!("[{:>8}]", ByteSize::mib(4)), "[   4 MiB]");
}

#[test]
fn machine_forms_are_integers() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Record {
        peak: ByteSize,
        #[serde(with = "millis")]
        took: Duration,
        #[serde(with = "millis::option")]
        left: Option<Duration>,
    }
    let record = Record { peak: ByteSize::mib(1), took: Duration::from_micros(1_500_900), left: None };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(text, r#"{"peak":1048576,"took":1500,"left":null}"#);
    let back: Record = serde_json::from_str(&text).unwrap();
    assert_eq!(back.took, Duration::from_millis(1500));
}

#[track_caller]
fn limit(text: &str, expected: Result<u64, &str>) {
    match (parse_limit(text), expected) {
        (Ok(duration), Ok(millis)) => assert_eq!(duration, Duration::from_millis(millis), "{text}"),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
        (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn limits_need_units_and_must_limit_something() {
    limit("2m", Ok(120_000));
    limit("90s", Ok(90_000));
    limit("1h30m", Ok(5_400_000));
    limit("500ms", Ok(500));
    limit("1.5s", Ok(1500));
    limit("1m 30s", Ok(90_000));
    limit("7d", Ok(604_800_000));
    limit("120", Err("`120` has no unit; expected the unit as well, for instance `120s` or `120m`"));
    limit("2 minutes", Err("unknown unit"));
    limit("30s1m", Err("from large units to small"));
    limit("1m1m", Err("from large units to small"));
    limit("", Err("is not a duration"));
    limit("m", Err("is not a duration"));
    limit("-5s", Err("is not a duration"));
    limit("0s", Err("leaves no time at all"));
    limit("8d", Err("limits nothing; expected at most seven days"));
    limit("99999999999999999999d", Err("is not a duration"));
    limit("999999999999999d", Err("is not a duration"));
}

#[test]
fn durations_are_shown_for_people_and_for_declarations() {
    let shown = |millis| (human(Duration::from_millis(millis)), exact(Duration::from_millis(millis)));
    let pair = |human: &str, exact: &str| (human.to_owned(), exact.to_owned());
    assert_eq!(shown(0), pair("0s", "0s"));
    assert_eq!(shown(4), pair("4ms", "4ms"));
    assert_eq!(shown(420), pair("0.42s", "420ms"));
    assert_eq!(shown(2000), pair("2s", "2s"));
    assert_eq!(shown(12_345), pair("12.3s", "12s345ms"));
    assert_eq!(shown(59_960), pair("1m", "59s960ms"));
    assert_eq!(shown(90_000), pair("1m 30s", "1m30s"));
    assert_eq!(shown(3_599_700), pair("1h", "59m59s700ms"));
    assert_eq!(shown(3_720_000), pair("1h 2m", "1h2m"));
    assert_eq!(shown(90_000_000), pair("25h", "1d1h"));
}

#[track_caller]
fn name(text: &str, expected: Result<(), &str>) {
    match (text.parse::<JobName>(), expected) {
        (Ok(name), Ok(())) => assert_eq!(name, text),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
        (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn names_are_directories_that_stay_where_they_are() {
    for good in ["build", "units/run-wire", "a.b_c-d+e@f=g:h", "2024", "a/b/c", "x/1a"] {
        name(good, Ok(()));
    }
    name("", Err("is empty"));
    name("/a", Err("empty part"));
    name("a//b", Err("empty part"));
    name("a/", Err("empty part"));
    name("..", Err("`..`"));
    name("a/../b", Err("`..`"));
    name("-a", Err("starts with"));
    name("a/.b", Err("starts with"));
    name("a b", Err("contains ` `"));
    name("ä", Err("contains `ä`"));
    name("a/12", Err("digits only"));
    name(&"x".repeat(201), Err("longer than 200 bytes"));
}

#[test]
fn slugs_make_names_of_items() {
    let slug = |text: &str| JobName::slug(text);
    assert_eq!(slug("tests/run wire.c"), "tests/run-wire.c");
    assert_eq!(slug("../x"), "x");
    assert_eq!(slug("7"), "_7");
    assert_eq!(slug("--help"), "help");
    assert_eq!(slug("a (b)"), "a-b");
    assert_eq!(slug("tests/x.py::test[1-2]"), "tests/x.py::test-1-2");
    assert_eq!(slug("ÄÖ"), "");
}

/// Small and large numbers alike: almost all of those below 2^64 would be above 2^60.
fn numbers() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

proptest! {
    #[test]
    fn exact_sizes_are_read_back(bytes in numbers()) {
        let size = ByteSize::new(bytes);
        prop_assert_eq!(size.exact().parse::<ByteSize>(), Ok(size));
    }

    #[test]
    fn shown_sizes_are_read_back_nearly(bytes in numbers()) {
        let bytes = bytes >> 1;
        let back = ByteSize::new(bytes).to_string().parse::<ByteSize>().unwrap().bytes();
        // A tenth is the smallest difference below a hundred of a unit: 1.05 MiB are shown as 1.1 MiB.
        prop_assert!(back.abs_diff(bytes) <= bytes / 20, "{bytes} shown as {} is {back}", ByteSize::new(bytes));
    }

    #[test]
    fn exact_durations_are_read_back(millis in numbers()) {
        let millis = millis >> 2;
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&exact(duration)), Ok(duration));
    }

    #[test]
    fn shown_durations_are_read_back_nearly(millis in numbers()) {
        let millis = millis >> 34;
        let back = parse_duration(&human(Duration::from_millis(millis))).unwrap();
        prop_assert!(back.abs_diff(Duration::from_millis(millis)).as_millis() <= u128::from(millis / 100 + 5));
    }

    #[test]
    fn names_are_read_back(text in "[a-z0-9A-Z._/:@=+-]{0,20}") {
        if let Ok(name) = text.parse::<JobName>() {
            prop_assert_eq!(name.to_string().parse::<JobName>(), Ok(name.clone()));
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<JobName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn slugs_are_names_or_nothing(text in "\\PC{0,40}") {
        let slug = JobName::slug(&text);
        if !slug.is_empty() && slug.len() < 150 {
            prop_assert!(slug.parse::<JobName>().is_ok(), "{slug}");
            prop_assert!(format!("job/{slug}").parse::<JobName>().is_ok(), "{slug}");
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}") {
        drop((text.parse::<ByteSize>(), parse_duration(&text), text.parse::<JobName>()));
    }
}
