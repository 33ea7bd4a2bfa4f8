//! The status as one HTML page in the style of the report of a run, which loads nothing.

use crate::commands::release::acts::{self, ActReport, ActState, By, Situation};
use drydock_ci::report::html::{Html, plain_page};

/// The page.
pub(super) fn render(situation: &Situation, states: &[ActReport]) -> String {
    let next = acts::next(states);
    let Situation { name, version, commit, tag, .. } = situation;
    let done = states.iter().filter(|one| one.state == ActState::Done).count();
    let headline = match next {
        None => "everything is done".to_owned(),
        Some(next) => format!("next: {}", next.title),
    };
    let title = format!("{} {name} {version}: {headline}", if next.is_none() { "✓" } else { "–" });
    plain_page(&title, |html| {
        html.within("header", &[], |html| {
            html.tag("p", &[("class", "brand")], &format!("Drydock · release of {name}"));
            html.tag("h1", &[], &format!("{name} {version}: {done} of {} acts are done", states.len()));
            let people: Vec<&str> = situation.signed_by.iter().map(String::as_str).collect();
            let signed = if people.is_empty() { "nobody".to_owned() } else { people.join(", ") };
            html.facts(
                "facts",
                &[
                    ("tag", tag.clone()),
                    ("commit", commit.clone()),
                    ("files", situation.directory.clone()),
                    ("signed by", format!("{signed} (required: {})", situation.quorum)),
                ],
            );
        });
        html.within("main", &[("id", "main")], |html| {
            write_next(html, next);
            write_acts(html, states);
            write_findings(html, situation);
        });
        html.tag("footer", &[], "This page shows the state at the time when it was made.");
    })
}

fn write_next(html: &mut Html, next: Option<&ActReport>) {
    let Some(next) = next else { return };
    html.within("section", &[("aria-labelledby", "next")], |html| {
        html.tag("h2", &[("id", "next")], "Next");
        html.within("div", &[("class", "cause i")], |html| {
            html.tag("h3", &[], &format!("{}: {}", next.turn.join(", "), next.title));
            html.within("p", &[], |html| html.prose(&next.evidence).end());
            for command in &next.commands {
                html.tag("pre", &[("class", "log")], command);
            }
        });
    });
}

fn write_acts(html: &mut Html, states: &[ActReport]) {
    html.within("section", &[("aria-labelledby", "acts")], |html| {
        html.tag("h2", &[("id", "acts")], "Acts");
        table(html, &["act", "state", "by", "evidence"], |html| {
            for one in states {
                html.within("tr", &[], |html| {
                    html.tag("th", &[("scope", "row")], one.title);
                    html.within("td", &[], |html| mark(html, one.state));
                    html.tag("td", &[], if one.by == By::Hand { "hand" } else { "command" });
                    html.within("td", &[], |html| html.prose(&one.evidence).end());
                });
            }
        });
    });
}

fn write_findings(html: &mut Html, situation: &Situation) {
    if situation.findings.is_empty() {
        return;
    }
    html.within("section", &[("aria-labelledby", "findings")], |html| {
        html.tag("h2", &[("id", "findings")], "Findings of the check");
        table(html, &["requirement", "state", "", "found"], |html| {
            for one in &situation.findings {
                html.within("tr", &[], |html| {
                    html.tag("th", &[("scope", "row")], &one.what);
                    html.within("td", &[], |html| {
                        let (class, word) = if one.holds { ("p", "✓ holds") } else { ("x", "✗ missing") };
                        html.tag("b", &[("class", class)], word);
                    });
                    html.tag("td", &[], "");
                    html.within("td", &[], |html| {
                        html.prose(&one.found);
                        if let Some(remedy) = &one.remedy {
                            html.within("small", &[], |html| html.prose(&format!("to do: {remedy}")).end());
                        }
                    });
                });
            }
        });
    });
}

fn table(html: &mut Html, heads: &[&str], rows: impl FnOnce(&mut Html)) {
    html.within("div", &[("class", "scroll")], |html| {
        html.within("table", &[("class", "acts")], |html| {
            html.within("thead", &[], |html| {
                html.within("tr", &[], |html| heads.iter().for_each(|head| html.tag("th", &[("scope", "col")], head)));
            });
            html.within("tbody", &[], rows);
        });
    });
}

fn mark(html: &mut Html, state: ActState) {
    let (class, word) = match state {
        ActState::Done => ("p", "✓ done"),
        ActState::Ready => ("i", "▲ ready"),
        ActState::Later => ("n", "– later"),
    };
    html.tag("b", &[("class", class)], word);
}
