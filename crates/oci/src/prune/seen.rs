//! The graph of a repository with its edges in both directions, and what the rules of retention say about its images.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};

use super::name::is_plausible;
use super::{Graph, Name, Node, Removed, Rule, Why};
use drydock_config::images::{Digest, Retention, Tag};
use drydock_config::release::Version;

/// A graph with what is asked of it.
pub(super) struct Seen<'a> {
    pub(super) graph: &'a Graph,
    retention: &'a Retention,
    today: Date,
    pub(super) tags_of: BTreeMap<Digest, Vec<&'a Tag>>,
    /// What is said about each manifest: lists of referrers, and referrers.
    pub(super) about: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The lists of referrers, with the manifests that their tags name.
    pub(super) lists: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The images whose day is known: by their tags, else by when a commit's image was made.
    dated: BTreeMap<Digest, BTreeSet<Date>>,
}

/// Which of two images is newer: the day, whether the day's tag moved to it, and when it was made.
type Rank = (Date, bool, Option<Timestamp>);

impl<'a> Seen<'a> {
    pub(super) fn new(graph: &'a Graph, retention: &'a Retention, today: Date) -> Seen<'a> {
        let mut tags_of: BTreeMap<Digest, Vec<&Tag>> = BTreeMap::new();
        let mut about: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        let mut lists: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        for (tag, digest) in graph.tags.iter().filter_map(|(tag, digest)| Some((tag, (*digest)?))) {
            tags_of.entry(digest).or_default().push(tag);
            if let Name::About(subject) = Name::of(tag) {
                about.entry(subject).or_default().insert(digest);
                lists.entry(digest).or_default().insert(subject);
            }
        }
        for (digest, node) in &graph.manifests {
            if let Some(subject) = node.subject {
                about.entry(subject).or_default().insert(*digest);
            }
            about.entry(*digest).or_default().extend(&node.referrers);
        }
        let dated = tags_of.iter().map(|(digest, tags)| (*digest, days(tags, graph.manifests.get(digest)))).collect();
        Seen { graph, retention, today, tags_of, about, lists, dated }
    }

    /// Everything that these reach, each with one of those that reach it: what an index lists, what is said about a
    /// manifest, and what a referrer is about.
    pub(super) fn reach(&self, roots: impl Iterator<Item = Digest>) -> BTreeMap<Digest, Digest> {
        let mut work: Vec<(Digest, Digest)> = roots.map(|root| (root, root)).collect();
        let mut reached: BTreeMap<Digest, Digest> = work.iter().copied().collect();
        while let Some((digest, root)) = work.pop() {
            let node = self.graph.manifests.get(&digest);
            let inside = node.into_iter().flat_map(|node| node.children.iter().chain(&node.subject));
            for next in inside.chain(self.about.get(&digest).into_iter().flatten()) {
                if let Entry::Vacant(vacant) = reached.entry(*next) {
                    vacant.insert(root);
                    work.push((*next, root));
                }
            }
        }
        reached
    }

    /// Everything that tags reach, but for tags that are only about something.
    pub(super) fn tagged(&self) -> BTreeMap<Digest, Digest> {
        let names = |tags: &[&Tag]| tags.iter().any(|tag| !matches!(Name::of(tag), Name::About(_)));
        self.reach(self.tags_of.iter().filter(|(_, tags)| names(tags)).map(|(digest, _)| *digest))
    }

    /// The images that stay for their own sake, and why.
    pub(super) fn roots(&self) -> BTreeMap<Digest, Rule> {
        let mut roots = BTreeMap::new();
        for (digest, tags) in &self.tags_of {
            if let Some(rule) = tags.iter().find_map(|tag| self.rule_of(tag, *digest, &roots)) {
                roots.insert(*digest, rule);
            }
        }
        let Some(newest) = self.newest() else { return roots };
        let mut newest_of_day: BTreeMap<Date, (Rank, Digest)> = BTreeMap::new();
        let mut newest_of_week: BTreeMap<Date, (Rank, Digest)> = BTreeMap::new();
        let dated = self.dated.iter().flat_map(|(digest, days)| days.iter().map(move |day| (*day, *digest)));
        for (day, digest) in dated.filter(|(day, _)| !self.is_future(*day)) {
            let one = (self.rank(day, digest), digest);
            for (groups, key) in [(&mut newest_of_day, day), (&mut newest_of_week, monday(day))] {
                let best = groups.entry(key).or_insert(one);
                *best = one.max(*best);
            }
        }
        let first_day = newest.saturating_sub(i64::from(self.retention.daily).days());
        let first_week = monday(newest).saturating_sub(i64::from(self.retention.weekly).weeks());
        // A day says more than its week, and both less than a name.
        for (day, (_, digest)) in newest_of_day.into_iter().rev().filter(|(day, _)| *day > first_day) {
            roots.entry(digest).or_insert(Rule::Daily(day));
        }
        for (monday, (_, digest)) in newest_of_week.into_iter().rev().filter(|(monday, _)| *monday > first_week) {
            roots.entry(digest).or_insert(Rule::Weekly(monday));
        }
        roots
    }

    /// Why a tag stays for its own sake. The tag of a day or commit does if its image was chosen among `roots`.
    pub(super) fn rule_of(&self, tag: &Tag, digest: Digest, roots: &BTreeMap<Digest, Rule>) -> Option<Rule> {
        let chosen = || roots.get(&digest).filter(|rule| matches!(rule, Rule::Daily(_) | Rule::Weekly(_))).cloned();
        match (Name::of(tag), self.retention.keep.iter().find(|pattern| pattern.matches(tag.as_str()))) {
            (Name::Nightly, _) => Some(Rule::Nightly),
            (_, Some(pattern)) => Some(Rule::Pattern(pattern.as_str().to_owned())),
            (Name::Foreign, None) => Some(Rule::Foreign),
            (Name::Day(day), None) if self.is_future(day) => Some(Rule::Future(day)),
            (Name::Day(_), None) => chosen(),
            (Name::Commit, None) => match (self.release(digest), self.dated.get(&digest).and_then(BTreeSet::last)) {
                (Some(version), _) => Some(Rule::Release(version.clone())),
                (None, None) => Some(Rule::Undated),
                (None, Some(day)) if self.is_future(*day) => Some(Rule::Future(*day)),
                (None, Some(_)) => chosen(),
            },
            (Name::About(_), None) => roots.get(&digest).filter(|rule| matches!(rule, Rule::Untagged(_))).cloned(),
        }
    }

    /// Whether something without a tag may be in the middle of its push: as young as the days of which every one is kept.
    pub(super) fn is_young(&self, node: &Node) -> bool {
        let since = self.newest().map(|newest| newest.saturating_sub(i64::from(self.retention.daily).days()));
        day_of(node).is_none_or(|day| since.is_none_or(|since| day > since))
    }

    /// What is told about a manifest that goes.
    pub(super) fn removed(&self, digest: Digest) -> Removed {
        let tags = self.tags_of.get(&digest).into_iter().flatten().map(|tag| (*tag).clone()).collect();
        let day = self.dated.get(&digest).and_then(BTreeSet::last);
        let subject = self.graph.manifests.get(&digest).and_then(|node| node.subject);
        let about = self.lists.get(&digest).and_then(BTreeSet::first).copied().or(subject);
        let why = match (day, about) {
            (Some(day), _) => Why::Old(*day),
            (None, Some(subject)) => Why::Subject(subject),
            (None, None) => Why::Part,
        };
        Removed { digest, tags, why }
    }

    /// The newest day that has come.
    fn newest(&self) -> Option<Date> {
        self.dated.values().flatten().copied().filter(|day| !self.is_future(*day)).max()
    }

    fn release(&self, digest: Digest) -> Option<&Version> {
        self.graph.manifests.get(&digest).and_then(|node| node.release.as_ref())
    }

    fn rank(&self, day: Date, digest: Digest) -> Rank {
        let mut tags = self.tags_of.get(&digest).into_iter().flatten();
        let has_day = tags.any(|tag| Name::of(tag) == Name::Day(day));
        (day, has_day, self.graph.manifests.get(&digest).and_then(|node| node.created))
    }

    /// Tomorrow has come where the sun rises earlier.
    fn is_future(&self, day: Date) -> bool {
        day > self.today.saturating_add(1.day())
    }
}

fn days(tags: &[&Tag], node: Option<&Node>) -> BTreeSet<Date> {
    let names: Vec<Name> = tags.iter().map(|tag| Name::of(tag)).collect();
    let named: BTreeSet<Date> =
        names.iter().filter_map(|name| if let Name::Day(day) = name { Some(*day) } else { None }).collect();
    match named.is_empty() && names.contains(&Name::Commit) {
        true => node.and_then(day_of).into_iter().collect(),
        false => named,
    }
}

fn day_of(node: &Node) -> Option<Date> {
    Some(Offset::UTC.to_datetime(node.created?).date()).filter(|day| is_plausible(*day))
}

fn monday(day: Date) -> Date {
    day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days())
}
