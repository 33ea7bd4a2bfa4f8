//! Tests of the table of acts, of the guide that is made of it, and of what is next.

use std::fs;
use std::path::Path;

use super::*;

/// Where docs/captain.md has what is made of the table.
fn made() -> [(&'static str, String); 2] {
    [("acts", guide(None)), ("beside", beside())]
}

/// The text with what stands between marks made new.
fn renewed(text: &str) -> String {
    let mut text = text.to_owned();
    for (name, made) in made() {
        let (begin, end) = (format!("<!-- made of the table: {name} -->\n"), format!("<!-- end: {name} -->"));
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
        let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
        text = format!("{before}{begin}{made}{end}{after}");
    }
    text
}

#[test]
fn the_guide_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/captain.md");
    let text = fs::read_to_string(&path).unwrap();
    let current = renewed(&text);
    if std::env::var_os("DRYDOCK_WRITE_GUIDE").is_some() {
        fs::write(&path, &current).unwrap();
    }
    assert!(text == current, "docs/captain.md is stale; run this test with DRYDOCK_WRITE_GUIDE=1");
}

#[test]
fn people_do_at_most_three_acts_and_every_act_comes_after_others_of_the_table() {
    let by_hand: Vec<ActId> = ACTS.iter().filter(|act| act.by == By::Hand).map(|act| act.id).collect();
    assert_eq!(by_hand, [ActId::Tag, ActId::Approve, ActId::Announce]);
    for (at, act) in ACTS.iter().enumerate() {
        assert_eq!(find(act.id).title, act.title);
        assert!(act.after.iter().all(|id| ACTS[..at].iter().any(|before| before.id == *id)), "{}", act.title);
    }
}

#[test]
fn an_act_is_ready_only_when_all_before_it_are_done() {
    let text = "name: p\nversion: {changelog: C}\narchives: [{format: tar.gz}]\nsigning: {keys: k, quorum: 2}\n\
        publish: [{directory: {path: \"/srv/{version}\"}}]\n";
    let release = Release::parse(text, Path::new("packaging/release.yaml")).unwrap();
    let mut situation = Situation::unknown("p");
    let done = || Progress::Done("x".into());
    let shown = |situation: &Situation| {
        let states = states(&release, situation);
        let letter = |state: ActState| match state {
            ActState::Done => 'd',
            ActState::Ready => 'R',
            ActState::Later => '-',
        };
        let letters: String = states.iter().map(|one| letter(one.state)).collect();
        (letters, next(&states).map(|one| one.act))
    };
    // bump, tag, check, build, prove, approve, publish, announce
    assert_eq!(shown(&situation), ("R-------".into(), Some(ActId::Bump)));
    (situation.bumped, situation.tagged) = (done(), done());
    assert_eq!(shown(&situation), ("ddR-----".into(), Some(ActId::Check)));
    situation.findings = vec![drydock_release::preflight::Finding::bad("a", "b", "c")];
    (situation.built, situation.proved) = (done(), done());
    // A build does not help if the check fails.
    assert_eq!(shown(&situation), ("ddRddR--".into(), Some(ActId::Check)));
    situation.findings = vec![drydock_release::preflight::Finding::good("a", "b")];
    (situation.people, situation.signed_by) = (["a", "b", "c"].map(str::to_owned).into(), ["a".to_owned()].into());
    situation.quorum = 2;
    assert_eq!(shown(&situation), ("dddddR--".into(), Some(ActId::Approve)));
    let all = states(&release, &situation);
    assert_eq!(next(&all).unwrap().turn, ["b", "c"]);
    situation.signed_by.insert("b".into());
    assert_eq!(shown(&situation), ("ddddddR-".into(), Some(ActId::Publish)));
    situation.published = done();
    assert_eq!(shown(&situation), ("dddddddR".into(), Some(ActId::Announce)));
    situation.announced = done();
    assert_eq!(shown(&situation), ("dddddddd".into(), None));
}
