//! Predictions from given lines; no line is lost or counted twice.

use super::*;
use crate::schedule::{Demand, Source};
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
        cpu_ms: None,
        peak_ms: None,
        uncontended_ms: None,
        peak: Some(peak * MIB),
        reservation: 16 * MIB,
        exclusive: false,
        pressure: None,
        revision: None,
    }
}

fn job() -> PlannedJob {
    let mut job = PlannedJob::plain("units/x", "units", &[]);
    job.tool_mut().kind = Tool::Memcheck;
    job.memory = ByteSize::mib(512);
    job
}

#[track_caller]
fn predicts(lines: Vec<Line>, memory: u64, needed: u64, source: Source) {
    let prediction = History::new(lines).predict(&job(), Some("3.19.0"));
    assert_eq!((prediction.demand.mean / MIB, prediction.needed / MIB, prediction.source), (memory, needed, source));
}

#[test]
fn the_mean_of_the_last_ten() {
    predicts(Vec::new(), 512, 512, Source::Usual);
    predicts(vec![line(1, Passed, 100)], 100, 100, Source::Learned { runs: 1 });
    let mut many = vec![line(1, Passed, 900)];
    many.extend((2..12).map(|number| line(number, Passed, 100 + u64::from(number))));
    predicts(many, 106, 111, Source::Learned { runs: 10 });
}

#[test]
fn another_version_and_another_tool_teach_nothing() {
    let other = Line { valgrind: Some("3.24.0".into()), ..line(1, Passed, 100) };
    let native = Line { tool: Tool::None, valgrind: None, ..line(2, Passed, 10) };
    predicts(vec![other, native], 512, 512, Source::Usual);
    // Without a tool, valgrind's version does not matter.
    let mut plain = job();
    plain.tool_mut().kind = Tool::None;
    let native = Line { tool: Tool::None, valgrind: Some("3.19.0".into()), ..line(2, Passed, 10) };
    assert_eq!(History::new(vec![native]).predict(&plain, None).demand.mean, 10 * MIB);
}

#[test]
fn a_killed_run_never_teaches_a_low_peak_and_is_doubled_until_one_ends() {
    predicts(vec![line(1, OutcomeKind::TimedOut, 5), line(2, OutcomeKind::Crashed, 5)], 512, 512, Source::Usual);
    predicts(vec![line(1, Passed, 100), line(2, OutOfMemory, 40)], 200, 100, Source::Killed);
    predicts(vec![line(1, OutOfMemory, 40), line(2, OutcomeKind::TimedOut, 1)], 80, 40, Source::Killed);
    predicts(vec![line(1, OutOfMemory, 400), line(2, Passed, 450)], 450, 450, Source::Learned { runs: 1 });
}

#[test]
fn a_failed_run_teaches_no_lower_peak() {
    let failed = |number, peak| line(number, OutcomeKind::Failed, peak);
    predicts(vec![failed(1, 30), failed(2, 35)], 512, 512, Source::Usual);
    predicts(vec![failed(1, 30), failed(2, 600)], 600, 600, Source::Learned { runs: 2 });
    predicts(vec![line(1, Passed, 100), failed(2, 30), failed(3, 99)], 100, 100, Source::Learned { runs: 1 });
    predicts(vec![line(1, Passed, 100), failed(2, 110)], 105, 110, Source::Learned { runs: 2 });
    // The program ran to its end, whatever valgrind found.
    predicts(vec![line(1, OutcomeKind::Findings, 40), failed(2, 30)], 40, 40, Source::Learned { runs: 1 });
    let mut declared = job();
    declared.memory_declared = true;
    let prediction = History::new(vec![failed(1, 38)]).predict(&declared, Some("3.19.0"));
    assert_eq!((prediction.needed / MIB, prediction.source), (512, Source::Declared));
}

#[test]
fn a_run_that_had_nothing_to_do_does_not_displace_the_others() {
    let build = [14, 11, 13, 1];
    assert!(expected(&build).mean / MIB >= 9 && expected(&build).deviation / MIB >= 3, "{:?}", expected(&build));
    let lines = |peaks: &[u64]| peaks.iter().zip(1..).map(|(peak, number)| line(number, Passed, *peak)).collect();
    predicts(lines(&build), 9, 14, Source::Learned { runs: 4 });
    assert!(expected(&[14, 11, 13, 14, 1, 1]).mean / MIB >= 8);
    // The number of runs is that of those which count.
    predicts(lines(&[100, 100, 100, 100, 50, 50, 50]), 50, 50, Source::Learned { runs: 3 });
    predicts(lines(&[100, 100, 100, 150]), 150, 150, Source::Learned { runs: 1 });
}

#[test]
fn a_torn_line_is_left_out_and_takes_no_other_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.jsonl");
    append(&path, vec![line(1, Passed, 100)]).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":4,\"run").unwrap();
    append(&path, vec![line(2, Passed, 90)]).unwrap();
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
                    append(path, vec![line]).unwrap();
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
    append(&path, lines).unwrap();
    let left = read(&path).unwrap();
    assert_eq!((left.len(), left[0].at), (KEPT, 10_000 - KEPT as i64));
}

#[test]
fn two_histories_are_united_and_each_line_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
    append(&ours, vec![line(1, Passed, 100), line(3, Passed, 300)]).unwrap();
    append(&theirs, vec![line(1, Passed, 100), line(2, Passed, 200)]).unwrap();
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

fn expected(peaks: &[u64]) -> Demand {
    let lines = peaks.iter().zip(1..).map(|(peak, number)| line(number, Passed, *peak)).collect();
    History::new(lines).predict(&job(), Some("3.19.0")).demand
}

#[test]
fn what_varies_is_expected_to_vary_and_what_repeats_to_repeat() {
    let percent = |peaks: &[u64]| expected(peaks).deviation * 100 / expected(peaks).mean;
    let steady = percent(&[100; 10]);
    let noisy = percent(&[100, 115, 85, 130, 70, 100, 115, 85, 95, 105]);
    assert!(steady <= 3 && (15..25).contains(&noisy), "{steady} % and {noisy} %");
    // A single run says little about its spread; more runs say more.
    assert!(percent(&[100]) > percent(&[100; 3]) && percent(&[100; 3]) > steady);
}

#[test]
fn peaks_from_before_a_sudden_change_do_not_count() {
    let grown = [100, 101, 99, 100, 102, 100, 98, 100, 130, 131];
    assert_eq!(expected(&grown).mean / MIB, 130);
    let shrunk = [200, 201, 199, 200, 202, 200, 198, 120, 121, 119];
    assert_eq!(expected(&shrunk).mean / MIB, 120);
    assert!(expected(&shrunk[..9]).mean / MIB > 150, "two runs are too few to see a drop");
    // Noise is no change.
    let noisy = [100, 115, 85, 130, 70, 100, 115, 85, 95, 130];
    assert_eq!(expected(&noisy).mean / MIB, 102);
}

#[test]
fn a_job_with_few_runs_varies_as_the_others_do() {
    let many: Vec<Vec<u64>> = (0..20).map(|_| vec![100, 120, 80, 110, 90]).collect();
    let others = |few: Vec<u64>| super::expected(&[many.clone(), vec![few]].concat()).pop().unwrap().deviation;
    let alone = super::expected(&[vec![100]]).pop().unwrap().deviation;
    assert!(others(vec![100]) > 2 * alone, "{} and {alone}", others(vec![100]));
}
