//! Predictions from given lines; no line is lost or counted twice.

use super::*;
use OutcomeKind::{OutOfMemory, Passed};
use drydock_base::units::ByteSize;
use std::fs::OpenOptions;

const MIB: u64 = 1 << 20;

fn line(number: u32, outcome: OutcomeKind, peak: u64) -> Line {
    Line {
        at: i64::from(number),
        run: format!("run-{number}").into(),
        job: "units/x".into(),
        attempt: 1,
        tool: Tool::Memcheck,
        valgrind: Some("3.19.0".into()),
        outcome,
        whole: outcome.ran_to_its_end(),
        duration_ms: u64::from(number) * 100,
        peak: Some(peak * MIB),
        reservation: 16 * MIB,
        exclusive: false,
        pressure: None,
        revision: None,
    }
}

fn job() -> PlannedJob {
    let mut job = PlannedJob::plain("units/x", "units", &[]);
    job.tool.kind = Tool::Memcheck;
    job.memory = ByteSize::mib(512);
    job
}

#[track_caller]
fn predicts(lines: Vec<Line>, memory: u64, needed: u64, source: Source) {
    let prediction = History::new(lines).predict(&job(), Some("3.19.0"));
    assert_eq!((prediction.memory / MIB, prediction.needed / MIB, prediction.source), (memory, needed, source));
}

#[test]
fn the_highest_of_the_last_ten_and_a_tenth_more() {
    predicts(Vec::new(), 512, 512, Source::Usual);
    predicts(vec![line(1, Passed, 100)], 110, 100, Source::Learned { runs: 1 });
    let mut many = vec![line(1, Passed, 900)];
    many.extend((2..12).map(|number| line(number, Passed, 100 + u64::from(number))));
    predicts(many, 111 + 11, 111, Source::Learned { runs: 10 });
}

#[test]
fn another_version_and_another_tool_teach_nothing() {
    let other = Line { valgrind: Some("3.24.0".into()), ..line(1, Passed, 100) };
    let native = Line { tool: Tool::None, valgrind: None, ..line(2, Passed, 10) };
    predicts(vec![other, native], 512, 512, Source::Usual);
    // Without a tool, valgrind's version does not matter.
    let mut plain = job();
    plain.tool.kind = Tool::None;
    let native = Line { tool: Tool::None, valgrind: Some("3.19.0".into()), ..line(2, Passed, 10) };
    assert_eq!(History::new(vec![native]).predict(&plain, None).memory, 11 * MIB);
}

#[test]
fn a_killed_run_never_teaches_a_low_peak_and_is_doubled_until_one_ends() {
    predicts(vec![line(1, OutcomeKind::TimedOut, 5), line(2, OutcomeKind::Crashed, 5)], 512, 512, Source::Usual);
    predicts(vec![line(1, Passed, 100), line(2, OutOfMemory, 40)], 200, 100, Source::Killed);
    predicts(vec![line(1, OutOfMemory, 40), line(2, OutcomeKind::TimedOut, 1)], 80, 40, Source::Killed);
    predicts(vec![line(1, OutOfMemory, 400), line(2, Passed, 450)], 495, 450, Source::Learned { runs: 1 });
}

#[test]
fn a_torn_line_is_left_out_and_takes_no_other_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.jsonl");
    append(&path, &[line(1, Passed, 100)]).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":4,\"run").unwrap();
    append(&path, &[line(2, Passed, 90)]).unwrap();
    let at = |path: &Path| read(path).unwrap().iter().map(|line| line.at).collect::<Vec<_>>();
    assert_eq!(at(&path), [1, 2]);
    std::fs::write(&path, [vec![b'x'; 1 << 20], b"\n".to_vec(), jsonl(&[line(3, Passed, 1)]).unwrap()].concat())
        .unwrap();
    assert_eq!(at(&path), [3], "a line without end is passed over");
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.jsonl");
    std::thread::scope(|scope| {
        for writer in 0..8_u32 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..50 {
                    let mut line = line(number, Passed, 1);
                    // Long enough that the file is compacted again and again in between.
                    line.run = format!("{writer}-{number}-{}", "x".repeat(10_000)).into();
                    line.job = writer.to_string().into();
                    append(path, &[line]).unwrap();
                }
            });
        }
    });
    assert_eq!(read(&path).unwrap().len(), 8 * 50);
}

#[test]
fn the_oldest_lines_go_when_that_is_worth_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.jsonl");
    let lines: Vec<Line> = (0..10_000).map(|number| line(number, Passed, 1)).collect();
    append(&path, &lines).unwrap();
    let left = read(&path).unwrap();
    assert_eq!((left.len(), left[0].at), (KEPT, 10_000 - KEPT as i64));
}

#[test]
fn two_histories_are_united_and_each_line_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
    append(&ours, &[line(1, Passed, 100), line(3, Passed, 300)]).unwrap();
    append(&theirs, &[line(1, Passed, 100), line(2, Passed, 200)]).unwrap();
    for _ in 0..2 {
        merge(&ours, &theirs).unwrap();
        assert_eq!(read(&ours).unwrap().iter().map(|line| line.at).collect::<Vec<_>>(), [1, 2, 3]);
    }
    assert!(merge(&ours, &directory.path().join("absent")).is_err());
}

#[test]
fn a_history_of_an_older_version_is_read() {
    let old = br#"{"at":1,"run":"r","job":"units/x","tool":"memcheck","valgrind":"3.19.0","outcome":"passed","whole":true,"duration-ms":5,"peak":1048576}"#;
    let line: Line = serde_json::from_slice(old).unwrap();
    predicts(vec![line], 1, 1, Source::Learned { runs: 1 });
}
