//! Suppression files as people and valgrind write them, and the errors that they match.

use proptest::prelude::*;

use super::*;
use crate::stack::Frame;

const FILE: &str = "# The project's suppressions.\n\n\
    # reason: the table lives as long as the program: ask Jane\n# author: Jane <jane@example.org>\n# Expires: 2030-01-31\n\
    {\n   the table\n   Memcheck,Other:Leak\n   match-leak-kinds: definite,reachable\n\n   # a word inside\n   fun:*alloc\n   \
    fun:register_*\n   ...\n   obj:*/libc.so.6\n   src:main.c:12\n}\n{\n\tplain\n\tHelgrind:Race\n\tfun:f\n}\n";

#[test]
fn a_file_is_read_with_its_comments_and_lines() {
    let all = parse(FILE).unwrap();
    let [table, plain] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((table.name.as_str(), table.line, table.kind.as_str()), ("the table", 6, "Leak"));
    assert_eq!(table.tools, ["Memcheck", "Other"]);
    assert_eq!(table.extra.as_deref(), Some("match-leak-kinds: definite,reachable"));
    assert_eq!(table.reason(), Some("the table lives as long as the program: ask Jane"));
    assert_eq!(table.author(), Some("Jane <jane@example.org>"));
    assert_eq!(table.expires(), Ok(Some(jiff::civil::date(2030, 1, 31))));
    assert_eq!(
        table.frames.iter().map(Pattern::to_string).collect::<Vec<_>>().join(" "),
        "fun:*alloc fun:register_* ... obj:*/libc.so.6 src:main.c:12"
    );
    assert!(table.comments.iter().any(|comment| comment == "a word inside"));
    // A comment at the head of the file belongs to none of them.
    assert!(!table.comments.iter().any(|comment| comment.contains("project")));
    assert_eq!((plain.reason(), plain.expires(), plain.line), (None, Ok(None), 18));
    assert!(plain.is_for("helgrind") && !plain.is_for("drd") && table.is_for("memcheck"));
    let again = parse(&table.to_string()).unwrap().remove(0);
    assert_eq!(Suppression { line: 6, ..again }, *table);
}

#[test]
fn what_valgrind_would_refuse_is_refused_with_its_line() {
    let many = format!("{{\n n\n T:K\n{}}}\n", " fun:f\n".repeat(25));
    for (text, line, words) in [
        ("{\n n\n T:K\n fun:f\n", 1, "no closing }"),
        ("\n\nname\n", 3, "the start of a suppression, found `name`"),
        ("{\n n\n Memcheck\n fun:f\n}\n", 3, "not TOOL:KIND"),
        ("{\n n\n :K\n fun:f\n}\n", 3, "not TOOL:KIND"),
        ("{\n n\n T:K\n fun:f\n gun:f\n}\n", 5, "not fun:, obj:, src: or ..."),
        ("{\n n\n T:K\n}\n", 4, "needs a location"),
        ("{\n n\n T:K\n ...\n}\n", 5, "needs a location"),
        ("{\n}\n", 2, "starts with its name"),
        ("{\n n\n T:K\n \x1b[31m\n \x07\n}\n", 5, "`\u{fffd}` is not"),
        (many.as_str(), 28, "at most 24 locations"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.what.contains(words), "{text:?}: {error}");
    }
    assert_eq!(parse("").unwrap(), []);
    let bad = parse("# expires: soon\n{\n n\n T:K\n fun:f\n}\n").unwrap();
    assert_eq!(bad[0].expires(), Err(InvalidDate { text: "soon".to_owned() }));
}

/// `f a.so` is function `f` in `a.so`; `- a.so` has no name.
fn stack(frames: &[&str]) -> Vec<Frame> {
    let frame = |text: &&str| {
        let (function, object) = text.split_once(' ').unwrap_or((text, "/x/prog"));
        let function = (function != "-").then(|| function.to_owned());
        Frame { function, object: Some(object.to_owned()), file: Some("a.c".into()), line: Some(7), ..Frame::default() }
    };
    frames.iter().map(frame).collect()
}

#[test]
fn frames_match_as_in_valgrind() {
    let error = stack(&["malloc /v/vgpreload.so", "lose", "run", "run", "main", "- /lib/libc.so.6"]);
    for (locations, expected) in [
        ("fun:malloc\nfun:lose", true),
        ("fun:malloc\nfun:lose\nfun:run\nfun:run\nfun:main\nobj:*/libc.so.6", true),
        ("fun:malloc\nfun:run", false),
        ("fun:lose", false),
        ("...\nfun:main", true),
        ("...\nfun:malloc", true),
        ("fun:malloc\n...\nfun:lose", true),
        ("fun:malloc\n...\nfun:run\nfun:main", true),
        ("fun:malloc\n...\nfun:run\nfun:run\nfun:run", false),
        ("...\nfun:run\n...\nfun:run\n...\nfun:main\n...", true),
        ("...\nfun:main\n...\nfun:main", false),
        ("fun:m*c\nfun:l?se", true),
        ("fun:malloc\nfun:l?e", false),
        ("fun:*\nfun:*\nfun:*", true),
        ("fun:malloc\nobj:/x/prog", true),
        ("fun:malloc\nobj:prog", false),
        ("fun:malloc\nsrc:a.c", true),
        ("fun:malloc\nsrc:a.c:7", true),
        ("fun:malloc\nsrc:a.c:8", false),
        ("...\nfun:???", true),
        ("fun:malloc\nfun:lose\nfun:run\nfun:run\nfun:main\nobj:*/libc.so.6\nfun:more", false),
    ] {
        let one = parse(&format!("{{\nn\nMemcheck:Cond\n{locations}\n}}\n")).unwrap().remove(0);
        let subject = Subject { kind: "Memcheck:Cond".into(), extra: None, frames: error.clone() };
        assert_eq!(one.matches_subject(&subject), expected, "{locations}");
    }
}

#[test]
fn tools_kinds_and_their_extra_lines_match_as_in_valgrind() {
    for (kind, extra, of, with, expected) in [
        ("Memcheck:Addr4", "", "Memcheck:Addr4", None, true),
        ("Memcheck:Addr4", "", "Memcheck:Addr8", None, false),
        ("Helgrind:Race", "", "drd:Race", None, false),
        ("drd,Helgrind:Race", "", "Helgrind:Race", None, true),
        ("Memcheck:Value0", "", "Memcheck:Cond", None, true),
        ("Memcheck:Leak", "", "Memcheck:Leak", Some("match-leak-kinds: reachable"), true),
        ("Memcheck:Leak", "match-leak-kinds: all\n", "Memcheck:Leak", Some("match-leak-kinds: reachable"), true),
        (
            "Memcheck:Leak",
            "match-leak-kinds:definite,reachable\n",
            "Memcheck:Leak",
            Some("match-leak-kinds: reachable"),
            true,
        ),
        ("Memcheck:Leak", "match-leak-kinds: definite\n", "Memcheck:Leak", Some("match-leak-kinds: reachable"), false),
        ("Memcheck:Param", "write(buf)\n", "Memcheck:Param", Some("write(buf)"), true),
        ("Memcheck:Param", "read(buf)\n", "Memcheck:Param", Some("write(buf)"), false),
    ] {
        let one = parse(&format!("{{\nn\n{kind}\n{extra}fun:f\n}}\n")).unwrap().remove(0);
        let subject = Subject { kind: of.into(), extra: with.map(str::to_owned), frames: stack(&["f"]) };
        assert_eq!(one.matches_subject(&subject), expected, "{kind} {extra} against {of} {with:?}");
    }
}

#[test]
fn hostile_wildcards_take_no_longer_than_the_product_of_the_lengths() {
    // A matcher that tries every combination would not finish these in a lifetime.
    assert!(!glob_matches(&"*a".repeat(400), &"a".repeat(399)));
    assert!(!glob_matches(&format!("{}b", "a*".repeat(400)), &"a".repeat(4000)));
    let many: String = "...\nfun:f\n".repeat(12);
    let one = parse(&format!("{{\nn\nT:K\n{many}}}\n")).unwrap().remove(0);
    let frames = stack(&["g"; 500]);
    assert!(!one.matches_subject(&Subject { kind: "T:K".into(), extra: None, frames }));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[ \\n{}#:.*?a-cTK,]{0,200}") {
        if let Ok(all) = parse(&text) {
            for one in all {
                let again = parse(&one.to_string()).unwrap();
                prop_assert_eq!(&again[0].frames, &one.frames);
            }
        }
    }

    #[test]
    fn a_name_matches_itself_and_every_part_of_it_as_a_wildcard(name in "[a-z*?_]{1,30}", at in 0usize..30) {
        let at = at.min(name.len());
        prop_assert!(glob_matches(&name, &name.replace(['*', '?'], "x")) || name.contains(['*', '?']));
        let pattern = format!("{}*", &name[..at]);
        prop_assert!(glob_matches(&pattern, &name));
    }
}
