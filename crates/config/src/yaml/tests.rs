//! Text → tree: places, and what is refused with which words.

use super::*;
use proptest::prelude::*;

/// The tree on one line, each value with its place.
fn shown(node: &Node) -> String {
    let Place { line, column } = node.place;
    let value = match &node.value {
        Value::Scalar(scalar) => format!("{:?}", scalar.text),
        Value::Sequence(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Mapping(entries) => {
            let entry = |entry: &Entry| {
                let Place { line, column } = entry.key.place;
                format!("{}@{line}:{column}={}", entry.key.text, shown(&entry.value))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        Value::Refused => "refused".to_owned(),
    };
    format!("{value}@{line}:{column}")
}

#[track_caller]
fn check(text: &str, tree: &str, expected: &[&str]) {
    let mut problems = Problems::default();
    let root = parse(text, &mut problems);
    let found: Vec<String> =
        problems.into_iter().map(|p| format!("{}:{}: {}", p.place.line, p.place.column, p.problem)).collect();
    assert_eq!(found, expected);
    assert_eq!(root.as_ref().map(shown).unwrap_or_default(), tree);
}

#[test]
fn every_value_knows_its_place() {
    check("a: 1\nb:\n  - x\n  - {c: 'd e'}\n", r#"{a@1:1="1"@1:4 b@2:1=["x"@3:5 {c@4:6="d e"@4:9}@4:5]@3:3}@1:1"#, &[]);
    check("a:\nb: x\n", r#"{a@1:1=""@1:1 b@2:1="x"@2:4}@1:1"#, &[]);
    check("\u{feff}ä: ö\r\nb: c\r\n", r#"{ä@1:1="ö"@1:4 b@2:1="c"@2:4}@1:1"#, &[]);
    check("# only a comment\n", "", &[]);
    check("", "", &[]);
    check("no: on\n0x10: 2\n", r#"{no@1:1="on"@1:5 0x10@2:1="2"@2:7}@1:1"#, &[]);
}

#[test]
fn what_declarations_do_not_need_is_refused() {
    check("a: 1\na: 2\na: 3\n", r#"{a@1:1="1"@1:4}@1:1"#, &["2:1: duplicate key `a`", "3:1: duplicate key `a`"]);
    check(
        "a: &x 1\nb: *x\n",
        r#"{a@1:1="1"@1:7 b@2:1=refused@2:4}@1:1"#,
        &["1:7: anchors are not supported", "2:4: aliases are not supported"],
    );
    check("a: *nowhere\n", "", &["1:4: aliases are not supported"]);
    check("a: {<<: {b: c}}\n", "{a@1:1={}@1:4}@1:1", &["1:5: merge keys are not supported"]);
    check("a: !!binary aGk=\n", r#"{a@1:1="aGk="@1:13}@1:1"#, &["1:13: the tag `!!binary` is not supported"]);
    check(
        "a: !include /etc/passwd\n",
        r#"{a@1:1="/etc/passwd"@1:13}@1:1"#,
        &["1:13: the tag `!include` is not supported"],
    );
    check("a: 1\n---\nb: 1\n", "", &["2:1: a second document in one file"]);
    check("? [a]\n: b\n", "{}@1:1", &["1:3: a key must be a text"]);
    check("a: \u{7}\n", "", &["1:4: control character `\\u{7}`"]);
    check("a: \0\n", "", &["1:4: control character `\\u{0}`"]);
    check("a: [\n", "", &["1:4: not YAML: unclosed bracket '['"]);
}

#[test]
fn sizes_are_bounded() {
    let first = |text: &str| {
        let mut problems = Problems::default();
        assert_eq!(parse(text, &mut problems), None);
        problems.into_iter().next().map(|problem| problem.problem).unwrap_or_default()
    };
    assert_eq!(first(&"[".repeat(100_000)), "nested too deeply");
    assert_eq!(first(&"{a: ".repeat(100_000)), "nested too deeply");
    assert_eq!(first(&"- ".repeat(100_000)), "nested too deeply");
    assert_eq!(first(&"- a\n".repeat(100_000)), "the file has too many values for a declaration");
    assert_eq!(first(&"#".repeat(2 << 20)), "the file is too large for a declaration");
}

#[test]
fn files_are_read_only_as_far_as_they_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.yaml");
    std::fs::write(&file, "a: 1\nb: \u{e4}\n").unwrap();
    assert_eq!(read(&file).unwrap(), Ok("a: 1\nb: \u{e4}\n".to_owned()));
    std::fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
    let (problem, text) = read(&file).unwrap().unwrap_err();
    assert_eq!((problem.place, text.as_str()), (Place { line: 2, column: 4 }, "a: 1\nb: "));
    std::fs::File::create(&file).unwrap().set_len(100 << 20).unwrap();
    assert!(read(&file).unwrap().is_err());
    assert!(read(directory.path()).is_err());
    assert!(read(Path::new("/dev/zero")).is_err());
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "[\\[\\]{}:,&*!|>'\"%@`#?\\- \\n\\ta-c~<]{0,60}") {
        let mut problems = Problems::default();
        let root = parse(&text, &mut problems);
        prop_assert!(problems.into_iter().all(|problem| problem.place.line >= 1 && problem.place.column >= 1));
        drop(root);
    }
}
