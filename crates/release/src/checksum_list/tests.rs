//! Lists as people publish them, and those that are refused.

use super::*;

const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn names(text: &str) -> Vec<String> {
    ChecksumList::parse(text.as_bytes(), "SHA256SUMS").unwrap().files.into_keys().collect()
}

#[test]
fn lists_are_read_as_people_publish_them() {
    for line in [
        format!("{SUM}  a b.tar"),
        format!("{SUM} *a b.tar"),
        format!("{SUM} a b.tar"),
        format!("{SUM}  ./a b.tar\r"),
        format!("{SUM}  .//./a b.tar"),
        format!("SHA256 (a b.tar) = {SUM}"),
        format!("SHA2-256 (./a b.tar) = {SUM}"),
        format!("SHA256(a b.tar)= {SUM}"),
        "SHA256 (a b.tar) = 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
        format!("{}  a b.tar", SUM.to_uppercase()),
        format!("# a comment\n; another\n\n{SUM}  a b.tar\n\n"),
        format!("\u{feff}{SUM}  a b.tar\n{SUM}  a b.tar"),
        format!("\\{SUM}  a b.tar"),
    ] {
        let list = ChecksumList::parse(line.as_bytes(), "SHA256SUMS").unwrap();
        assert_eq!(list.files["a b.tar"][&Algorithm::Sha256], SUM, "{line}");
        assert!(list.prose.is_empty(), "{line}");
    }
    assert_eq!(names(&format!("\\{SUM}  a\\\\b\\nc\\r")), ["a\\b\nc\r"]);
    assert_eq!(names(&format!("{SUM}  a\\nb")), ["a\\nb"]);
    assert_eq!(names(&format!("{SUM}  sub/x\n{SUM} **star\n{SUM}   space")), [" space", "*star", "sub/x"]);
    assert_eq!(names(&format!("SHA256 (a) = b) = {SUM}\nSHA256 (x (1).zip) = {SUM}")), ["a) = b", "x (1).zip"]);
}

#[test]
fn algorithms_are_distinguished() {
    let of = |text: &str, list: &str| {
        let list = ChecksumList::parse(text.as_bytes(), list).unwrap();
        list.files["a"].keys().copied().collect::<Vec<_>>()
    };
    let long = SUM.repeat(2);
    assert_eq!(of(&format!("{long}  a"), "SHA512SUMS"), [Algorithm::Sha512]);
    assert_eq!(of(&format!("{long}  a"), "B2SUMS"), [Algorithm::NotComputed]);
    assert_eq!(of(&format!("{SUM}  a"), "sha3-256sums.txt"), [Algorithm::NotComputed]);
    assert_eq!(of(&format!("{}  a", &SUM[..40]), "SHA1SUMS"), [Algorithm::Weak]);
    assert_eq!(of(&format!("{}  a", &SUM[..32]), "MD5SUMS"), [Algorithm::Weak]);
    let several = format!("MD5 (a) = {}\nSHA256 (a) = {SUM}\nSHA512 (a) = {long}\nSIZE (a) = 5\n", &SUM[..32]);
    let all = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::NotComputed, Algorithm::Weak];
    assert_eq!(of(&several, "CHECKSUMS"), all);
}

#[test]
fn what_cannot_be_used_is_refused_with_its_line() {
    let check = |text: &str, expected: &str| {
        let found = ChecksumList::parse(text.as_bytes(), "SHA256SUMS").unwrap_err().to_string();
        assert!(found.contains(expected), "{text:?}: {found}");
    };
    check("", "it lists no file");
    check("# nothing\n\n", "it lists no file");
    check("This is prose, and no list.\nabc def\n", "it lists no file");
    check(SUM, "line 1");
    check(&format!("\n{SUM}  "), "line 2");
    check(&format!("{SUM}\ta"), "line 1");
    check(&format!("{SUM}0  a"), "line 1");
    check(&format!("{}  a", &SUM[1..]), "line 1");
    check(&format!("SHA256 (a) = {}", &SUM[1..]), "line 1");
    check(&format!("\\{SUM}  a\\x"), "line 1");
    for name in ["../a", "/a", "a/../../b", "..", "a/", ".", "a\0b"] {
        check(&format!("{SUM}  {name}"), "leads out of the directory");
    }
    check(&format!("{SUM}  a\n1{}  ./a", &SUM[1..]), "line 2: `./a` has another checksum");
    assert_eq!(ChecksumList::parse(b"\xff\xfea\0", "x"), Err(ListError::Utf16));
    assert_eq!(ChecksumList::parse(b"a\n\x80\n", "x"), Err(ListError::NotUtf8(2)));
    let prose = format!("Hello\n{SUM}  a\n");
    assert_eq!(ChecksumList::parse(prose.as_bytes(), "x").unwrap().prose, [1]);
}
