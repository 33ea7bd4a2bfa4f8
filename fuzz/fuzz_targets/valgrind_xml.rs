//! Arbitrary bytes as the log of a process: they must neither panic nor hang, only a whole log may count as complete,
//! and cutting a log anywhere must neither invent an error nor lose one that was whole before the cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use drydock_valgrind::cause;
use drydock_valgrind::finding::Finding;
use drydock_valgrind::xml::{Extent, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    let cut = parse(&bytes[..bytes.len() / 2]);
    assert!(whole.errors.starts_with(&cut.errors));
    if whole.extent == Extent::Complete {
        assert!(String::from_utf8_lossy(bytes).contains("FINISHED"));
    }
    let findings: Vec<Finding> = whole.errors.into_iter().map(Finding::new).collect();
    for finding in &findings {
        assert!(
            finding.stack.len() <= 24
                && !finding
                    .line()
                    .chars()
                    .any(|letter| letter.is_control() && letter != '\n')
        );
        // Making a subject must not panic; its content does not matter here.
        std::hint::black_box(finding.subject("Memcheck"));
    }
    let causes = cause::causes(findings.iter().map(|finding| cause::Reported { job: 0, tool: "memcheck", finding }));
    let members: usize = causes.iter().map(|cause| cause.members.len()).sum();
    assert_eq!(members, findings.len());
});
