//! Arbitrary text as a suppression file: it must neither panic nor hang, each refusal must name a line of the text, and
//! what was read must be the same when it is written and read again. A suppression made of an error matches that error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use drydock_valgrind::suppression::{Pattern, Subject, parse};
use drydock_valgrind::stack::Frame;

fuzz_target!(|text: &str| {
    match parse(text) {
        Err(wrong) => assert!(wrong.line >= 1 && wrong.line <= text.lines().count()),
        Ok(all) => {
            for mut one in all {
                assert!(one.line >= 1 && one.line <= text.lines().count());
                let frames = one.frames.iter().map(|pattern| match pattern {
                    Pattern::Function(name) => Frame {
                        function: Some(name.clone()),
                        ..Frame::default()
                    },
                    Pattern::Object(path) => Frame {
                        object: Some(path.clone()),
                        ..Frame::default()
                    },
                    Pattern::Source(_) | Pattern::Any => Frame::default(),
                });
                let subject = Subject {
                    kind: format!("{}:{}", one.tools[0], one.kind),
                    extra: one.extra.clone(),
                    frames: frames.collect(),
                };
                let has_source = one
                    .frames
                    .iter()
                    .any(|frame| matches!(frame, Pattern::Source(_)));
                assert!(one.matches_subject(&subject) || has_source);
                let again = parse(&one.to_string())
                    .expect("what is written can be read")
                    .remove(0);
                one.line = again.line;
                assert_eq!(again, one);
            }
        }
    }
});
