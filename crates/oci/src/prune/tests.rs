//! What stays and what goes, by tables and by properties of graphs that no registry would make.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const TODAY: Date = date(2026, 11, 25);

fn digest(number: usize) -> Digest {
    Digest::for_bytes(number.to_string().as_bytes())
}

fn retention(daily: u32, weekly: u32, keep: &[&str]) -> Retention {
    Retention { daily, weekly, keep: keep.iter().map(|pattern| glob::Pattern::new(pattern).unwrap()).collect() }
}

fn node(children: &[usize]) -> ManifestNode {
    ManifestNode { children: children.iter().map(|child| digest(*child)).collect(), ..ManifestNode::default() }
}

fn made(year: i16, month: i8, day: i8) -> Option<Timestamp> {
    Some(jiff::tz::Offset::UTC.to_timestamp(date(year, month, day).at(3, 0, 0, 0)).unwrap())
}

/// A graph from tags and nodes by their numbers.
fn graph(tags: &[(&str, usize)], nodes: Vec<(usize, ManifestNode)>) -> RepositoryGraph {
    RepositoryGraph {
        tags: tags.iter().map(|(tag, number)| (tag.parse().unwrap(), Some(digest(*number)))).collect(),
        manifests: nodes.into_iter().map(|(number, node)| (digest(number), node)).collect(),
        condemned: BTreeSet::new(),
    }
}

/// `TAG: rule` of what stays, then the numbers of what goes.
#[track_caller]
fn check(graph: &RepositoryGraph, retention: &Retention, kept: &[(&str, &str)], removed: &[usize]) -> Plan {
    let plan = plan(graph, retention, TODAY);
    let found: Vec<(String, String)> =
        plan.kept.iter().map(|kept| (kept.tag.to_string(), kept.rule.to_string())).collect();
    let expected: Vec<(String, String)> = kept.iter().map(|(tag, rule)| ((*tag).into(), (*rule).into())).collect();
    assert_eq!(found, expected);
    let going: BTreeSet<Digest> = plan.removed.iter().map(|removed| removed.digest).collect();
    assert_eq!(going, removed.iter().map(|number| digest(*number)).collect());
    plan
}

#[test]
fn days_and_weeks_are_counted_from_the_newest() {
    let tags: Vec<(String, usize)> = (0..40)
        .map(|ago| {
            let day = date(2026, 11, 20).saturating_sub(jiff::Span::new().days(ago));
            (format!("nightly-{}", day.strftime("%Y%m%d")), ago as usize)
        })
        .collect();
    let tags: Vec<(&str, usize)> =
        tags.iter().map(|(tag, number)| (tag.as_str(), *number)).chain([("nightly", 0)]).collect();
    let graph = graph(&tags, (0..40).map(|number| (number, ManifestNode::default())).collect());
    // 2026-11-20 is a Friday; the Sundays before are 5, 12 and 19 days ago.
    let going: Vec<usize> = (3..40).filter(|ago| ![5, 12].contains(ago)).collect();
    let plan = check(
        &graph,
        &retention(3, 3, &[]),
        &[
            ("nightly", "the last nightly"),
            ("nightly-20261108", "the newest of the week of 2026-11-02"),
            ("nightly-20261115", "the newest of the week of 2026-11-09"),
            ("nightly-20261118", "the newest of 2026-11-18"),
            ("nightly-20261119", "the newest of 2026-11-19"),
            ("nightly-20261120", "the image of nightly"),
        ],
        &going,
    );
    assert!(plan.removed.iter().all(|one| matches!(one.why, RemovalReason::Old(_))));
}

#[test]
fn the_image_that_a_day_moved_to_is_the_newest_of_the_day() {
    let at = |hour: i8| {
        let moment = date(2026, 11, 20).at(hour, 0, 0, 0);
        ManifestNode { created: Some(jiff::tz::Offset::UTC.to_timestamp(moment).unwrap()), ..ManifestNode::default() }
    };
    // The second build of the day has its tag, whatever the dates of the commits are.
    let tags = [("nightly-20261120", 2), ("sha-000000000001", 1), ("sha-000000000002", 2)];
    let kept = [("nightly-20261120", "the newest of 2026-11-20"), ("sha-000000000002", "the newest of 2026-11-20")];
    check(&graph(&tags, vec![(1, at(9)), (2, at(3))]), &retention(14, 8, &[]), &kept, &[1]);
    // Without it, the one that was made later.
    let tags = [("sha-000000000001", 1), ("sha-000000000002", 2)];
    let kept = [("sha-000000000001", "the newest of 2026-11-20")];
    check(&graph(&tags, vec![(1, at(9)), (2, at(3))]), &retention(14, 8, &[]), &kept, &[2]);
}

#[test]
fn other_tags_and_undated_images_are_kept() {
    let old = |year| ManifestNode { created: made(year, 1, 1), ..ManifestNode::default() };
    let tags = [
        ("keep-this", 1),
        ("nightly-20261120", 2),
        ("nightly-20250101", 3),
        ("nightly-20991231", 4),
        ("sha-000000000005", 5),
        ("sha-000000000006", 6),
        ("sha-000000000007", 7),
        ("v1.0", 8),
        ("nightly-20250102", 8),
        ("nightly-20240101", 9),
    ];
    let nodes = vec![
        (1, old(2020)),
        (2, ManifestNode::default()),
        (3, ManifestNode::default()),
        (4, ManifestNode::default()),
        (5, ManifestNode::default()),
        (6, old(1970)),
        (7, old(2025)),
        (8, ManifestNode::default()),
        (9, ManifestNode::default()),
    ];
    let kept = [
        ("keep-this", "`keep: keep-*`"),
        ("nightly-20240101", "`keep: *0240101`"),
        ("nightly-20250102", "the image of v1.0"),
        ("nightly-20261120", "the newest of 2026-11-20"),
        ("nightly-20991231", "2099-12-31 is in the future"),
        ("sha-000000000005", "unknown age"),
        ("sha-000000000006", "unknown age"),
        ("v1.0", "not the tag of a nightly"),
    ];
    check(&graph(&tags, nodes), &retention(14, 8, &["keep-*", "*0240101"]), &kept, &[3, 7]);
}

#[test]
fn releases_are_kept() {
    let release = |created| ManifestNode { created, release: Some("1.0".parse().unwrap()), ..node(&[9]) };
    let nightly = || ManifestNode { created: made(2026, 1, 1), ..ManifestNode::default() };
    let tags = [
        ("nightly", 1),
        ("nightly-20260101", 2),
        ("nightly-20261120", 1),
        ("sha-000000000002", 2),
        ("sha-000000000003", 3),
        ("sha-000000000004", 4),
        ("sha-000000000005", 5),
    ];
    let nodes = vec![
        (1, ManifestNode::default()),
        (2, release(made(2026, 1, 1))),
        (3, release(made(2025, 1, 1))),
        (4, release(None)),
        (5, nightly()),
        (9, ManifestNode::default()),
    ];
    let kept = [
        ("nightly", "the last nightly"),
        ("nightly-20260101", "the image of sha-000000000002"),
        ("nightly-20261120", "the image of nightly"),
        ("sha-000000000002", "built as the release 1.0"),
        ("sha-000000000003", "built as the release 1.0"),
        ("sha-000000000004", "built as the release 1.0"),
    ];
    check(&graph(&tags, nodes), &retention(14, 8, &[]), &kept, &[5]);
}

/// 0 and 10 are indexes that share the child 2; 20 is a list of referrers of 10, 30 one of 0, with a list 32 of its own.
fn shared() -> RepositoryGraph {
    let about = |number: usize| format!("sha256-{}", digest(number).hex());
    let (ten, zero, record, gone) = (about(10), about(0), about(31), about(99));
    let tags = [
        ("nightly", 0),
        ("nightly-20261120", 0),
        ("nightly-20260101", 10),
        ("amd64", 2),
        (ten.as_str(), 20),
        (zero.as_str(), 30),
        (record.as_str(), 32),
        (gone.as_str(), 40),
    ];
    let subject = |number: usize| ManifestNode { subject: Some(digest(number)), ..ManifestNode::default() };
    let nodes = vec![
        (0, node(&[1, 2])),
        (1, node(&[3])),
        (2, ManifestNode::default()),
        (3, ManifestNode::default()),
        (10, node(&[2, 11])),
        (11, ManifestNode::default()),
        (20, node(&[21])),
        (21, subject(10)),
        (30, node(&[31])),
        (31, subject(0)),
        (32, node(&[33])),
        (33, subject(31)),
        (40, node(&[41])),
        (41, subject(99)),
    ];
    graph(&tags, nodes)
}

#[test]
fn what_a_kept_image_needs_stays_and_what_is_only_said_of_others_goes() {
    let graph = shared();
    let plan = plan(&graph, &retention(14, 8, &[]), TODAY);
    let order: Vec<Digest> = plan.removed.iter().map(|removed| removed.digest).collect();
    let at = |number: usize| order.iter().position(|one| *one == digest(number)).unwrap();
    assert_eq!(order.len(), 6, "{:?}", plan.removed);
    for (first, then) in [(10, 11), (10, 20), (20, 21), (40, 41)] {
        assert!(at(first) < at(then), "{first} before {then}");
    }
    let why = |number: usize| plan.removed[at(number)].why.clone();
    assert_eq!(why(11), RemovalReason::Part);
    assert_eq!(why(40), RemovalReason::Subject(digest(99)));
    assert_eq!(why(10), RemovalReason::Old(date(2026, 1, 1)));
    let rule = |tag: &str| plan.kept.iter().find(|kept| kept.tag.as_str() == tag).unwrap().rule.clone();
    assert_eq!(rule("amd64"), KeepRule::Foreign);
    assert_eq!(rule(&format!("sha256-{}", digest(31).hex())), KeepRule::Needed("nightly".parse().unwrap()));
}

#[test]
fn what_may_be_in_the_middle_of_its_push_stays() {
    let about = format!("sha256-{}", digest(1).hex());
    let tags = [("nightly", 0), ("nightly-20261120", 0), (about.as_str(), 2)];
    let pushed = |created| {
        vec![
            (0, ManifestNode::default()),
            (1, ManifestNode { created, ..node(&[4]) }),
            (2, node(&[3])),
            (3, ManifestNode { subject: Some(digest(1)), ..ManifestNode::default() }),
            (4, ManifestNode::default()),
        ]
    };
    let words = format!("{} has no tag yet", digest(1).short());
    let kept = [
        ("nightly", "the last nightly"),
        ("nightly-20261120", "the image of nightly"),
        (about.as_str(), words.as_str()),
    ];
    for created in [made(2026, 11, 21), made(2026, 11, 7), None] {
        check(&graph(&tags, pushed(created)), &retention(14, 8, &[]), &kept, &[]);
    }
    check(&graph(&tags, pushed(made(2026, 11, 6))), &retention(14, 8, &[]), &kept[..2], &[1, 2, 3, 4]);
    // What an interrupted removal left over has no right to stay.
    let mut left = graph(&tags, pushed(made(2026, 11, 21)));
    left.condemned = BTreeSet::from([digest(1), digest(4)]);
    check(&left, &retention(14, 8, &[]), &kept[..2], &[1, 2, 3, 4]);
}

#[test]
fn missing_and_unknown_manifests_are_reported() {
    let mut graph = graph(
        &[("nightly", 0), ("nightly-20261120", 0), ("nightly-20260101", 2), ("nightly-20260102", 3)],
        vec![(0, node(&[1, 7])), (1, ManifestNode { is_opaque: true, ..ManifestNode::default() }), (2, node(&[8]))],
    );
    graph.tags.insert("nothing".parse().unwrap(), None);
    let plan = plan(&graph, &retention(14, 8, &[]), TODAY);
    let nightly = |number: usize| NeededManifest { tag: "nightly".parse().unwrap(), digest: digest(number) };
    assert_eq!((plan.missing, plan.opaque), (vec![nightly(7)], vec![nightly(1)]));
    let empty: Vec<&str> = plan.empty.iter().map(Tag::as_str).collect();
    assert_eq!(empty, ["nightly-20260102", "nothing"]);
    assert_eq!(plan.removed.len(), 1);
}

/// Graphs with any edges, some of them in circles.
fn any_graph(hostile: bool) -> impl Strategy<Value = RepositoryGraph> {
    let size = 24_usize;
    let edges = proptest::collection::vec((0..size, 0..size), 0..40);
    let pairs = || proptest::collection::vec((0..size, 0..size), 0..8);
    let told = (proptest::option::of(0_i64..60), proptest::bool::weighted(0.1));
    let told = proptest::collection::vec(told, size);
    let tag = prop_oneof![
        Just("nightly".to_owned()),
        (0_i64..60).prop_map(|ago| {
            let day = TODAY.saturating_sub(jiff::Span::new().days(ago));
            format!("nightly-{}", day.strftime("%Y%m%d"))
        }),
        (0_u64..40).prop_map(|commit| format!("sha-{commit:012x}")),
        (0..size + 2).prop_map(|subject| format!("sha256-{}", digest(subject).hex())),
        (0..size).prop_map(|subject| format!("sha256-{}.sig", digest(subject).hex())),
        (0_u8..3).prop_map(|number| format!("keep-{number}")),
        (0_u8..2).prop_map(|number| format!("other-{number}")),
    ];
    let tags = proptest::collection::btree_map(tag, proptest::option::weighted(0.95, 0..size + 2), 0..40);
    let condemned = proptest::collection::btree_set(0..size, 0..4);
    (edges, pairs(), pairs(), told, tags, condemned).prop_map(
        move |(edges, subjects, listed, told, tags, condemned)| {
            let mut nodes: Vec<ManifestNode> = told
                .into_iter()
                .map(|(ago, is_release)| ManifestNode {
                    release: is_release.then(|| "1.0".parse().unwrap()),
                    created: ago.and_then(|ago| {
                        let day = TODAY.saturating_sub(jiff::Span::new().days(ago));
                        made(day.year(), day.month(), day.day())
                    }),
                    ..ManifestNode::default()
                })
                .collect();
            for (from, to) in edges {
                // A digest holds those of its children, so that no real index reaches itself.
                let (from, to) = if hostile { (from, to) } else { (from.min(to), from.max(to)) };
                if hostile || from != to {
                    nodes[from].children.push(digest(to));
                }
            }
            for (one, subject) in subjects {
                nodes[one].subject = Some(digest(subject));
            }
            for (subject, one) in listed {
                nodes[subject].referrers.push(digest(one));
            }
            RepositoryGraph {
                tags: tags.into_iter().map(|(tag, node)| (tag.parse().unwrap(), node.map(digest))).collect(),
                manifests: nodes.into_iter().enumerate().map(|(number, node)| (digest(number), node)).collect(),
                condemned: condemned.into_iter().map(digest).collect(),
            }
        },
    )
}

/// The manifests that remaining tags need, found in the simplest way: repeated until nothing is added.
fn needed(graph: &RepositoryGraph, plan: &Plan) -> BTreeSet<Digest> {
    let mut needed: BTreeSet<Digest> = plan.kept.iter().map(|kept| kept.digest).collect();
    needed.extend(&plan.pushing);
    loop {
        let before = needed.len();
        for (digest, node) in &graph.manifests {
            if needed.contains(digest) {
                needed.extend(node.children.iter().chain(&node.referrers).chain(&node.subject));
            } else if node.subject.is_some_and(|subject| needed.contains(&subject)) {
                needed.insert(*digest);
            }
        }
        for (tag, digest) in graph.tags.iter().filter_map(|(tag, digest)| Some((tag, (*digest)?))) {
            if matches!(TagName::parse(tag), TagName::About(subject) if needed.contains(&subject)) {
                needed.insert(digest);
            }
        }
        if needed.len() == before {
            return needed;
        }
    }
}

/// The graph that remains after a registry has deleted some manifests, each with its tags.
fn without(graph: &RepositoryGraph, deleted: &BTreeSet<Digest>) -> RepositoryGraph {
    let mut left = graph.clone();
    left.manifests.retain(|digest, _| !deleted.contains(digest));
    left.tags.retain(|_, digest| digest.is_none_or(|digest| !deleted.contains(&digest)));
    left
}

fn properties(graph: &RepositoryGraph, retention: &Retention, hostile: bool) -> Result<(), TestCaseError> {
    let plan = plan(graph, retention, TODAY);
    let going: BTreeSet<Digest> = plan.removed.iter().map(|removed| removed.digest).collect();
    prop_assert_eq!(going.len(), plan.removed.len(), "nothing is deleted twice");
    let needed = needed(graph, &plan);
    let staying: BTreeSet<Digest> = needed.iter().copied().filter(|one| graph.manifests.contains_key(one)).collect();
    prop_assert_eq!(&staying, &plan.reached, "what is needed stays");
    let all: BTreeSet<Digest> = graph.manifests.keys().copied().collect();
    prop_assert!(plan.pushing.is_disjoint(&graph.condemned));
    prop_assert_eq!(&all - &staying, going.clone(), "all else goes");
    for (tag, digest) in graph.tags.iter().filter_map(|(tag, digest)| Some((tag, (*digest)?))) {
        let stays = plan.kept.iter().any(|kept| kept.tag == *tag);
        let by_name =
            tag.as_str() == "nightly" || tag.as_str().starts_with("keep-") || tag.as_str().starts_with("other-");
        prop_assert!(stays || !by_name, "{tag} stays by its name");
        let is_release = graph.manifests.get(&digest).is_some_and(|node| node.release.is_some());
        prop_assert!(stays || !is_release || !tag.as_str().starts_with("sha-"), "{tag} is a release");
        prop_assert!(
            stays != going.contains(&digest) || !graph.manifests.contains_key(&digest),
            "{tag} goes with its manifest"
        );
    }
    let mut deleted = BTreeSet::new();
    for removed in &plan.removed {
        deleted.insert(removed.digest);
        let left = without(graph, &deleted);
        // At every moment, an index that is left has every child that it had.
        for node in left.manifests.values().filter(|_| !hostile) {
            let lost = node.children.iter().find(|child| deleted.contains(child));
            prop_assert!(lost.is_none(), "{lost:?} went before its index");
        }
        // An interruption at any moment changes nothing of what stays.
        let condemned = graph.condemned.union(&going).copied().collect();
        let resumed = super::plan(&RepositoryGraph { condemned, ..left }, retention, TODAY);
        prop_assert_eq!(&resumed.reached, &plan.reached);
    }
    let again = super::plan(&without(graph, &going), retention, TODAY);
    prop_assert!(again.removed.is_empty(), "a second time nothing goes: {:?}", again.removed);
    prop_assert_eq!(again.kept.len(), plan.kept.iter().filter(|kept| !going.contains(&kept.digest)).count());
    Ok(())
}

proptest! {
    #[test]
    fn needed_manifests_are_kept_and_all_others_removed(graph in any_graph(false), daily in 1_u32..20, weekly in 0_u32..6) {
        properties(&graph, &retention(daily, weekly, &["keep-*"]), false)?;
    }

    #[test]
    fn cycles_make_no_difference(graph in any_graph(true), daily in 1_u32..20) {
        properties(&graph, &retention(daily, 2, &["keep-*"]), true)?;
    }
}
