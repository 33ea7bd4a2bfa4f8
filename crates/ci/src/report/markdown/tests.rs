//! The size of the summary, whatever the run, and that foreign text is neither HTML nor Markdown in it.

use super::{LARGEST, code, render};
use crate::event::JobResult;
use crate::evidence::{Finding, ValgrindEvidence};
use crate::outcome::Outcome;
use crate::report::html::tests::{begin, end, frame, plan, record};
use crate::report::tests::with_input;
use crate::run::Run;

fn findings(jobs: usize, what: &str) -> Run {
    let names: Vec<String> = (0..jobs).map(|number| format!("j{number}")).collect();
    let mut run = Run::new(plan(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    begin(&mut run, 0, false);
    for job in 0..jobs {
        let mut failed = record(Outcome::Findings { count: 8 }, 0, 10);
        let finding = |number: usize| Finding {
            kind: format!("Kind{job}"),
            what: what.into(),
            place: format!("p{number} (a.c:{job})"),
            stack: vec![frame(&format!("f{job}")); 12],
            ..Finding::default()
        };
        let first = (0..8).map(finding).collect();
        failed.evidence.valgrind =
            Some(Box::new(ValgrindEvidence { findings: 8, first, ..ValgrindEvidence::default() }));
        end(&mut run, job, failed, Some(JobResult::Failed));
    }
    run
}

#[test]
fn a_summary_stays_below_the_limit_and_says_what_is_left_out() {
    let run = findings(3000, &"x".repeat(300));
    for room in [LARGEST, 100_000, 10_000, 3_000, 100, 0] {
        let text = with_input(&run, |input| render(input, room));
        // GitHub's limit holds for the file; a step that has used it up gets two lines more at most.
        assert!(text.len() <= room.max(300), "{} bytes for {room}", text.len());
        assert_eq!(text.contains("not shown here"), room < LARGEST, "{room}");
        assert!(room == 0 || text.contains("3000 jobs: 3000 failed") || room <= 300, "{room}");
    }
    let text = with_input(&run, |input| render(input, LARGEST));
    assert!(text.contains("<summary><code>Kind0") && text.contains("Kind2999"), "all causes are named");
    assert_eq!(text.matches("<details").count(), text.matches("</details>").count());
}

#[test]
fn foreign_text_is_shown_as_it_is() {
    let evil = "</pre></code><script>x</script>\n\n# h\n| a | ![x](https://e.example/x.png) `y` @everyone *b*";
    let text = with_input(&findings(1, evil), |input| render(input, LARGEST));
    assert!(!text.contains("<script") && text.contains("&lt;script&gt;"));
    assert!(text.contains("To reproduce it: <code>cargo xtask ci run j0</code>"), "{text}");
    let pre = text.matches("<pre>").count();
    assert_eq!(pre, text.matches("</pre>").count());
    // Outside of <pre>, only letters that mean nothing are left of it.
    for letter in ["<", ">", "`", "*", "_", "[", "]", "(", ")", "|", "#", "!", "\\", "@", "~", ":", "."] {
        let inner = code(&format!("a{letter}b\nc"));
        let inner = inner.strip_prefix("<code>a").and_then(|rest| rest.strip_suffix("b c</code>")).unwrap().to_owned();
        assert_eq!(inner, format!("&#{};", u32::from(letter.chars().next().unwrap())));
    }
}
