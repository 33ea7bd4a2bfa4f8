//! Which annotations a run gets, of many, and that no text of a job is a command.

use super::annotations;
use crate::event::{Event, JobResult, Stamped};
use crate::evidence::{Finding, ValgrindEvidence};
use crate::outcome::{MemoryScope, Outcome, Victim};
use crate::report::html::tests::{begin, end, frame, plan, record};
use crate::report::tests::with_input;
use crate::run::Run;
use drydock_base::workflow_command::disarmed;

fn shown(run: &Run) -> Vec<String> {
    with_input(run, |input| annotations(input).iter().map(ToString::to_string).collect())
}

#[test]
fn the_most_important_of_many_are_chosen() {
    let names: Vec<String> = (0..40).map(|number| format!("j{number}")).collect();
    let mut run = Run::new(plan(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    begin(&mut run, 0, false);
    for job in 0..40 {
        let (outcome, result) = match job {
            0..=19 => (Outcome::Failed { code: i32::try_from(job).unwrap() + 1 }, JobResult::Failed),
            20..=25 => {
                let outcome = Outcome::OutOfMemory { scope: MemoryScope::Machine, victim: Victim::Main };
                (outcome, JobResult::Infrastructure)
            }
            26..=29 => (Outcome::Failed { code: 1 }, JobResult::Flaky { attempt: 2 }),
            _ => (Outcome::Passed, JobResult::Passed),
        };
        end(&mut run, job, record(outcome, 0, 10), Some(result));
    }
    for number in 0..15 {
        run.apply(&Stamped { at: 10, event: Event::Warning { text: format!("warning {number}") } });
    }
    let all = shown(&run);
    let (errors, warnings): (Vec<&String>, Vec<&String>) = all.iter().partition(|line| line.starts_with("::error "));
    assert_eq!((errors.len(), warnings.len()), (10, 10), "{all:#?}");
    assert!(errors[0].contains("out of memory") && errors[0].contains("::j20, j21, j22"), "{}", errors[0]);
    assert!(errors[0].contains("to reproduce it: cargo xtask ci run j20"), "{}", errors[0]);
    assert!(errors[9].contains("title=and 12 more::12 more causes of failures"), "{}", errors[9]);
    assert!(warnings[0].starts_with("::warning title=4 jobs flaky::j26, j27, j28, j29%0A"), "{}", warnings[0]);
    assert!(warnings[9].contains("title=and 7 more::7 more remarks"), "{}", warnings[9]);
}

#[test]
fn a_finding_is_shown_at_its_line_and_hostile_words_are_no_commands() {
    let project = tempfile::tempdir().unwrap();
    let mut of_job = plan(&["evil"]);
    of_job.project = project.path().to_owned();
    let mut run = Run::new(of_job);
    begin(&mut run, 0, false);
    let mut place = frame("f");
    place.directory = Some("src".into());
    place.file = Some("a,b\n::error::x.c".into());
    let finding = Finding {
        kind: "InvalidRead".into(),
        what: "Invalid read\r\n::add-mask::e ##[error]z".into(),
        place: "f (a.c:1)".into(),
        stack: vec![place],
        ..Finding::default()
    };
    let mut failed = record(Outcome::Findings { count: 1 }, 0, 10);
    let first = vec![finding];
    failed.evidence.valgrind = Some(Box::new(ValgrindEvidence { findings: 1, first, ..ValgrindEvidence::default() }));
    end(&mut run, 0, failed, Some(JobResult::Failed));
    let all = shown(&run);
    assert_eq!(all.len(), 1, "{all:#?}");
    let (command, message) = all[0][2..].split_once("::").unwrap();
    assert!(command.ends_with(",file=src/a%2Cb%0A%3A%3Aerror%3A%3Ax.c,line=1"), "{command}");
    assert!(message.starts_with("evil%0AInvalid read%0D%0A::add-mask::e ##\\[error]z, at f"), "{message}");
    assert_eq!(disarmed(&all[0]), format!("\\{}", all[0]), "only its beginning is a command");
}
