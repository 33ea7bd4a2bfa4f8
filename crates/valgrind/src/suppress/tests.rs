//! From findings to a suppression.

use super::*;
use crate::cause::{Reported, causes};
use crate::xml::RawSuppression;

const MALLOC: &str = "/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so";

/// A leak with these frames, innermost first, each name as the linker knows it.
fn leak(kind: &str, names: &[&str]) -> Finding {
    let frame = |name: &&str| Frame {
        function: Some((*name).to_owned()),
        object: Some(if *name == "malloc" { MALLOC } else { "/p/prog" }.to_owned()),
        file: (*name != "malloc").then(|| "a.c".to_owned()),
        ..Frame::default()
    };
    let stack: Vec<Frame> = names.iter().map(frame).collect();
    Finding {
        kind: format!("Leak_{kind}"),
        place: stack[stack::place(&stack)].describe(),
        suppression: Some(RawSuppression {
            kind: "Memcheck:Leak".into(),
            extra: Some(format!(
                "match-leak-kinds: {}",
                if kind == "DefinitelyLost" { "definite" } else { "reachable" }
            )),
            frames: names.iter().map(|name| Pattern::Function((*name).to_owned())).collect(),
        }),
        stack,
        ..Finding::default()
    }
}

fn note() -> Note {
    Note {
        reason: "it is\nkept".into(),
        author: "Jane".into(),
        added: jiff::civil::date(2026, 1, 1),
        expires: jiff::civil::date(2026, 4, 1),
    }
}

/// The suppression of the first finding's cause, with each finding in a job of its own.
fn suppress(findings: &[Finding]) -> Result<Suppression, Refusal> {
    let causes = causes(findings.iter().enumerate().map(|(job, finding)| Reported { job, tool: "memcheck", finding }));
    let chosen = causes.iter().find(|cause| cause.members.iter().any(|member| member.job == 0)).unwrap();
    suppression(&[chosen], &causes, &note())
}

#[track_caller]
fn check(stacks: &[&[&str]], expected: &str) {
    let findings: Vec<Finding> = stacks.iter().map(|names| leak("DefinitelyLost", names)).collect();
    let suppression = suppress(&findings).unwrap();
    assert_eq!(suppression.frames.iter().map(Pattern::to_string).collect::<Vec<_>>().join(" "), expected);
}

#[test]
fn what_agrees_stays_exact_and_what_differs_becomes_dots() {
    check(&[&["malloc", "f", "main"]], "fun:malloc fun:f fun:main");
    check(&[&["malloc", "f", "main"], &["malloc", "f", "main"]], "fun:malloc fun:f fun:main");
    check(&[&["malloc", "f", "a", "main"], &["malloc", "f", "b", "main"]], "fun:malloc fun:f ... fun:main");
    check(&[&["malloc", "f", "a", "x", "main"], &["malloc", "f", "main"]], "fun:malloc fun:f ... fun:main");
    check(&[&["malloc", "f", "a"], &["malloc", "f", "b"]], "fun:malloc fun:f");
    check(&[&["malloc", "f"], &["malloc", "f", "b"]], "fun:malloc fun:f");
    // A frame is not counted from both ends.
    check(&[&["malloc", "f", "r", "r", "m"], &["malloc", "f", "r", "m"]], "fun:malloc fun:f fun:r ... fun:m");
}

#[test]
fn it_carries_who_why_and_until_when() {
    let text = suppress(&[leak("DefinitelyLost", &["malloc", "f", "main"])]).unwrap().to_string();
    let id = text.lines().nth(5).unwrap().split_whitespace().next().unwrap().to_owned();
    let expected = format!(
        "# reason: it is kept\n# author: Jane\n# added: 2026-01-01, when 1 job had it\n# expires: 2026-04-01\n{{\n   {id} f \
         (a.c)\n   Memcheck:Leak\n   match-leak-kinds: definite\n   fun:malloc\n   fun:f\n   fun:main\n}}\n"
    );
    assert_eq!(text, expected);
    assert!(super::super::suppression::parse(&text).is_ok());
}

#[test]
fn what_changes_with_each_build_becomes_a_wildcard() {
    for (name, lasting_name) in [
        ("main", "main"),
        ("_ZN5alloc5boxed14box_new_uninit17h027d73fa84b93327E", "_ZN5alloc5boxed14box_new_uninit17h*"),
        ("_ZN5alloc5boxed14box_new_uninit17h027d73fa84b93327E.llvm.123", "_ZN5alloc5boxed14box_new_uninit17h*"),
        ("_ZN3BoxIiE3getEv", "_ZN3BoxIiE3getEv"),
        ("_ZN17hello3getEv", "_ZN17hello3getEv"),
        ("_RNvNtCsjrHSEGnQ3l9_3std2rt19lang_start_internal", "_RNvNtCs*_3std2rt19lang_start_internal"),
        ("a\u{fffd}\u{fffd}b\u{7}c", "a*b*c"),
        ("cast<*const u8>", "cast<?const u8>"),
    ] {
        assert_eq!(lasting(name), lasting_name);
        assert!(super::super::suppression::glob_matches(lasting_name, name));
    }
    let stripped = Frame { object: Some("/home/me/build/prog".into()), ..Frame::default() };
    assert_eq!(location(&stripped), Pattern::Object("*/prog".into()));
    assert_eq!(location(&Frame::default()), Pattern::Object("*".into()));
}

#[test]
fn a_suppression_that_would_match_another_finding_is_refused() {
    // The same function name in another file is another cause, but suppressions know no files.
    let mut other = leak("DefinitelyLost", &["malloc", "main"]);
    other.stack[1].file = Some("b.c".into());
    let refused = suppress(&[leak("DefinitelyLost", &["malloc", "main"]), other.clone()]).unwrap_err();
    assert!(matches!(&refused, Refusal::TooMuch(others) if others.len() == 1), "{refused}");
    // It suppresses both together.
    let findings = [leak("DefinitelyLost", &["malloc", "main"]), other];
    let all = causes(findings.iter().enumerate().map(|(job, finding)| Reported { job, tool: "memcheck", finding }));
    let suppression = suppression(&all.iter().collect::<Vec<_>>(), &all, &note()).unwrap();
    assert_eq!(suppression.frames.len(), 2);
    // Another kind of leak in the same place is not suppressed, so it does not matter.
    assert!(suppress(&[leak("DefinitelyLost", &["malloc", "f"]), leak("StillReachable", &["malloc", "f"])]).is_ok());
}

#[test]
fn a_forged_log_cannot_widen_what_is_suppressed() {
    let forge = |change: fn(&mut RawSuppression)| {
        let mut finding = leak("DefinitelyLost", &["malloc", "f", "main"]);
        change(finding.suppression.as_mut().unwrap());
        // As it comes from a log.
        let error = crate::xml::Error {
            kind: finding.kind,
            stack: finding.stack,
            suppression: finding.suppression,
            ..Default::default()
        };
        suppress(&[Finding::new(error)])
    };
    for change in [
        (|raw| raw.extra = Some("fun:*".into())) as fn(&mut RawSuppression),
        |raw| raw.extra = Some("}".into()),
        |raw| raw.extra = Some("# a comment".into()),
        |raw| raw.kind = "Memcheck".into(),
        |raw| raw.frames = vec![Pattern::Function("  ".into()), Pattern::Function("*".into())],
    ] {
        assert!(forge(change).is_err());
    }
    let lines = forge(|raw| raw.kind = "Memcheck:Leak\n   fun:*\n}".into()).unwrap();
    assert_eq!((lines.to_string().lines().count(), lines.frames.len()), (12, 3));
    let any = forge(|raw| raw.frames[1] = Pattern::Function("*".into())).unwrap();
    assert_eq!(any.frames[1], Pattern::Function("?".into()));
    let long = forge(|raw| raw.frames[1] = Pattern::Function("x".repeat(5000))).unwrap();
    assert_eq!(long.frames[1], Pattern::Function(format!("{}*", "x".repeat(1000))));
}

#[test]
fn findings_without_anything_in_common_are_refused() {
    let findings = [leak("DefinitelyLost", &["malloc", "f"]), leak("StillReachable", &["malloc", "g"])];
    let all = causes(findings.iter().enumerate().map(|(job, finding)| Reported { job, tool: "memcheck", finding }));
    let chosen: Vec<&Cause<'_>> = all.iter().collect();
    assert!(matches!(suppression(&chosen, &all, &note()), Err(Refusal::Kinds(..))));
    let nameless =
        Finding { stack: vec![Frame::default()], suppression: None, ..leak("DefinitelyLost", &["malloc", "f"]) };
    assert_eq!(suppress(&[nameless]).unwrap_err(), Refusal::Nothing);
}
