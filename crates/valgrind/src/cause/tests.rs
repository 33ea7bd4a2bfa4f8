//! Which findings have one cause.

use super::*;

/// `malloc@v` is valgrind's, `f@l` in a library, `f:a.c:3` the project's.
fn frame(text: &str) -> Frame {
    let (function, rest) = text.split_once([':', '@']).unwrap_or((text, ""));
    let object = match rest {
        "v" => "/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so",
        "l" => "/usr/lib/x86_64-linux-gnu/libc.so.6",
        _ => "/home/me/project/tests/run",
    };
    let (file, line) =
        rest.split_once(':').map_or((None, None), |(file, line)| (Some(file.to_owned()), line.parse().ok()));
    let function = (function != "???").then(|| function.to_owned());
    Frame { function, object: Some(object.to_owned()), file, line, ..Frame::default() }
}

fn finding(kind: &str, stack: &str) -> Finding {
    let stack: Vec<Frame> = stack.split(' ').map(frame).collect();
    Finding { kind: kind.into(), place: stack[place(&stack)].describe(), stack, records: 1, ..Finding::default() }
}

/// Each cause's place with the jobs that have it.
fn grouped(findings: &[(usize, &str, &str)]) -> Vec<(String, Vec<usize>)> {
    let findings: Vec<(usize, Finding)> =
        findings.iter().map(|(job, kind, stack)| (*job, finding(kind, stack))).collect();
    let causes = causes(findings.iter().map(|(job, finding)| Reported { job: *job, tool: "memcheck", finding }));
    let shown = causes.iter().map(|cause| (cause.example().unwrap().place.clone(), cause.jobs().into_iter().collect()));
    shown.collect()
}

#[test]
fn one_leak_under_many_callers_is_one_cause() {
    let stacks: Vec<String> = (0..59)
        .map(|job| format!("calloc@v register_:autodata.c:20 part_{job}:run-{job}.c:9 main:run-{job}.c:30"))
        .collect();
    let all: Vec<_> =
        stacks.iter().enumerate().map(|(job, stack)| (job, "Leak_StillReachable", stack.as_str())).collect();
    let causes = grouped(&all);
    assert_eq!(causes.len(), 1);
    assert_eq!((causes[0].0.as_str(), causes[0].1.len()), ("register_ (autodata.c:20)", 59));
}

#[test]
fn what_tells_causes_apart_and_what_does_not() {
    #[track_caller]
    fn check(kinds: [&str; 2], stacks: [&str; 2], same: bool) {
        let causes = grouped(&[(0, kinds[0], stacks[0]), (1, kinds[1], stacks[1])]);
        assert_eq!(causes.len(), if same { 1 } else { 2 }, "{stacks:?}");
    }
    let leak = ["Leak_DefinitelyLost"; 2];
    let read = ["InvalidRead"; 2];
    // Lines, callers and the compiler's clones do not.
    check(leak, ["malloc@v f:a.c:1 main:x.c:1", "malloc@v f:a.c:2 main:y.c:1"], true);
    check(read, ["f.constprop.0:a.c:1 main:x.c:1", "f.constprop.12:a.c:1 main:x.c:1"], true);
    check(read, ["strlen@l f:a.c:1", "strlen@l f:a.c:1"], true);
    // Kind, place, file and what it called in a library do.
    check(["InvalidRead", "InvalidWrite"], ["f:a.c:1", "f:a.c:1"], false);
    check(read, ["f:a.c:1", "g:a.c:1"], false);
    check(leak, ["malloc@v main:run-a.c:1", "malloc@v main:run-b.c:1"], false);
    check(leak, ["malloc@v f:a.c:1", "calloc@v f:a.c:1"], false);
    check(read, ["strlen@l f:a.c:1", "memcpy@l f:a.c:1"], false);
    // Allocators only hand on what malloc gave.
    check(leak, ["malloc@v xmalloc:mem.c:1 f:a.c:1", "malloc@v xmalloc:mem.c:1 g:b.c:1"], false);
    check(leak, ["malloc@v tal_alloc_:tal.c:1 f:a.c:1", "malloc@v tal_alloc_:tal.c:1 f:a.c:2"], true);
    // Without names the object is all there is.
    check(read, ["???", "???"], true);
    // Without a frame of the project, the library's count.
    check(leak, ["malloc@v a@l b@l", "malloc@v a@l c@l"], false);
}

#[test]
fn callers_that_differ_are_listed_with_the_number_of_their_jobs() {
    let stacks = ["malloc@v make:m.c:1 f:a.c:1 main:a.c:9", "malloc@v make:m.c:1 g:a.c:5 main:a.c:9"];
    let all: Vec<(usize, Finding)> =
        [(0, 0), (0, 1), (1, 1)].map(|(job, stack)| (job, finding("Leak_DefinitelyLost", stacks[stack]))).into();
    let causes = causes(all.iter().map(|(job, finding)| Reported { job: *job, tool: "memcheck", finding }));
    let [cause] = causes.as_slice() else { panic!("{causes:?}") };
    assert_eq!(cause.callers(), [("g (a.c:5)".to_owned(), 2), ("f (a.c:1)".to_owned(), 1)]);
    assert_eq!((cause.count(), cause.jobs().len()), (3, 2));
    assert_eq!(
        super::causes(all[1..].iter().map(|(job, finding)| Reported { job: *job, tool: "memcheck", finding }))[0]
            .callers(),
        []
    );
}

#[test]
fn ids_are_stable_and_short() {
    let id = |stack: &str| {
        let finding = finding("Leak_DefinitelyLost", stack);
        let causes = causes(std::iter::once(Reported { job: 0, tool: "memcheck", finding: &finding }));
        causes[0].id.clone()
    };
    let first = id("malloc@v f:a.c:1 main:x.c:1");
    // It is in suppression files and in people's notes: a change of this value breaks them.
    assert_eq!(first, "memcheck:c040b14a");
    assert_eq!(first, id("malloc@v f:a.c:99 other:y.c:4"));
    assert_ne!(first, id("malloc@v g:a.c:1 main:x.c:1"));
}

#[test]
fn two_causes_with_one_short_id_have_long_ones() {
    let stack = |number: u32| format!("f{number}:a.c:1");
    let mut seen = std::collections::HashMap::new();
    let (one, other) = (0..)
        .find_map(|number| {
            let key = ["InvalidRead".to_owned(), format!("f{number} (a.c)")];
            seen.insert(short(hash(&key)), number).map(|before| (before, number))
        })
        .unwrap();
    let all = [one, other, other + 1].map(|number| finding("InvalidRead", &stack(number)));
    let causes = causes(all.iter().enumerate().map(|(job, finding)| Reported { job, tool: "memcheck", finding }));
    let lengths: Vec<usize> = causes.iter().map(|cause| cause.id.len()).collect();
    assert_eq!(lengths, ["memcheck:".len() + 16, "memcheck:".len() + 16, "memcheck:".len() + 8]);
    assert_ne!(causes[0].id, causes[1].id);
}

#[test]
fn the_place_is_the_first_frame_that_the_project_can_change() {
    for (stack, expected) in [
        ("malloc@v f:a.c:1", 1),
        ("malloc@v xstrdup:mem.c:1 f:a.c:1", 2),
        ("malloc@v xmalloc:mem.c:1", 1),
        ("strlen@v vfprintf@l printf@l f:a.c:1", 3),
        ("malloc@v a@l", 0),
        ("f:a.c:1 main:a.c:2", 0),
    ] {
        let frames: Vec<Frame> = stack.split(' ').map(frame).collect();
        assert_eq!(place(&frames), expected, "{stack}");
    }
    assert_eq!(place(&[]), 0);
    // The standard library of Rust is compiled into the program.
    let rust = |function: &str, directory: &str| Frame {
        function: Some(function.into()),
        directory: Some(directory.into()),
        ..frame("f:lib.rs:1")
    };
    assert_eq!(
        place(&[frame("malloc@v"), rust("alloc", "/rustc/59807/library/alloc"), rust("mine", "/home/me/src")]),
        2
    );
}
