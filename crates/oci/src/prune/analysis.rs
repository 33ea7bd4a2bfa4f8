//! The graph of a repository with its edges in both directions, and the retention rules applied to its images.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};

use super::tag_name::is_plausible;
use super::{KeepRule, ManifestNode, RemovalReason, Removed, RepositoryGraph, TagName};
use drydock_config::images::{Digest, Retention, Tag};
use drydock_config::release::Version;

/// A graph with the retention rules.
pub(super) struct Analysis<'a> {
    pub(super) graph: &'a RepositoryGraph,
    retention: &'a Retention,
    today: Date,
    pub(super) tags_of: BTreeMap<Digest, Vec<&'a Tag>>,
    /// The lists of referrers, and the referrers, of each manifest.
    pub(super) about: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The lists of referrers, with the manifests that their tags name.
    pub(super) lists: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The images whose day is known: from their tags, or from the build time of a commit's image.
    dated: BTreeMap<Digest, BTreeSet<Date>>,
}

/// The rank of an image by age: the day, whether it has the tag of the day, and the build time.
type Rank = (Date, bool, Option<Timestamp>);

impl<'a> Analysis<'a> {
    pub(super) fn new(graph: &'a RepositoryGraph, retention: &'a Retention, today: Date) -> Analysis<'a> {
        let mut tags_of: BTreeMap<Digest, Vec<&Tag>> = BTreeMap::new();
        let mut about: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        let mut lists: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        for (tag, digest) in graph.tags.iter().filter_map(|(tag, digest)| Some((tag, (*digest)?))) {
            tags_of.entry(digest).or_default().push(tag);
            if let TagName::About(subject) = TagName::parse(tag) {
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
        Analysis { graph, retention, today, tags_of, about, lists, dated }
    }

    /// Returns all manifests that the roots reach, each with one of its roots: children, referrers and subjects.
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

    /// Returns all manifests that tags reach, except fallback tags of referrers.
    pub(super) fn tagged(&self) -> BTreeMap<Digest, Digest> {
        let names = |tags: &[&Tag]| tags.iter().any(|tag| !matches!(TagName::parse(tag), TagName::About(_)));
        self.reach(self.tags_of.iter().filter(|(_, tags)| names(tags)).map(|(digest, _)| *digest))
    }

    /// Returns the images that a rule keeps.
    pub(super) fn roots(&self) -> BTreeMap<Digest, KeepRule> {
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
        // The rule of a name is preferred to that of a day, and that to the rule of a week.
        for (day, (_, digest)) in newest_of_day.into_iter().rev().filter(|(day, _)| *day > first_day) {
            roots.entry(digest).or_insert(KeepRule::Daily(day));
        }
        for (monday, (_, digest)) in newest_of_week.into_iter().rev().filter(|(monday, _)| *monday > first_week) {
            roots.entry(digest).or_insert(KeepRule::Weekly(monday));
        }
        roots
    }

    /// RemovalReason a tag stays for its own sake. The tag of a day or commit does if its image was chosen among `roots`.
    pub(super) fn rule_of(&self, tag: &Tag, digest: Digest, roots: &BTreeMap<Digest, KeepRule>) -> Option<KeepRule> {
        let chosen =
            || roots.get(&digest).filter(|rule| matches!(rule, KeepRule::Daily(_) | KeepRule::Weekly(_))).cloned();
        match (TagName::parse(tag), self.retention.keep.iter().find(|pattern| pattern.matches(tag.as_str()))) {
            (TagName::Nightly, _) => Some(KeepRule::Nightly),
            (_, Some(pattern)) => Some(KeepRule::Pattern(pattern.as_str().to_owned())),
            (TagName::Foreign, None) => Some(KeepRule::Foreign),
            (TagName::Day(day), None) if self.is_future(day) => Some(KeepRule::Future(day)),
            (TagName::Day(_), None) => chosen(),
            (TagName::Commit, None) => match (self.release(digest), self.dated.get(&digest).and_then(BTreeSet::last)) {
                (Some(version), _) => Some(KeepRule::Release(version.clone())),
                (None, None) => Some(KeepRule::Undated),
                (None, Some(day)) if self.is_future(*day) => Some(KeepRule::Future(*day)),
                (None, Some(_)) => chosen(),
            },
            (TagName::About(_), None) => {
                roots.get(&digest).filter(|rule| matches!(rule, KeepRule::Untagged(_))).cloned()
            }
        }
    }

    /// Returns true if an untagged manifest is recent, so that its push may be in progress: as recent as `daily` allows.
    pub(super) fn is_young(&self, node: &ManifestNode) -> bool {
        let since = self.newest().map(|newest| newest.saturating_sub(i64::from(self.retention.daily).days()));
        day_of(node).is_none_or(|day| since.is_none_or(|since| day > since))
    }

    /// Describes a manifest that is removed.
    pub(super) fn removed(&self, digest: Digest) -> Removed {
        let tags = self.tags_of.get(&digest).into_iter().flatten().map(|tag| (*tag).clone()).collect();
        let day = self.dated.get(&digest).and_then(BTreeSet::last);
        let subject = self.graph.manifests.get(&digest).and_then(|node| node.subject);
        let about = self.lists.get(&digest).and_then(BTreeSet::first).copied().or(subject);
        let why = match (day, about) {
            (Some(day), _) => RemovalReason::Old(*day),
            (None, Some(subject)) => RemovalReason::Subject(subject),
            (None, None) => RemovalReason::Part,
        };
        Removed { digest, tags, why }
    }

    /// Returns the newest day that is not in the future.
    fn newest(&self) -> Option<Date> {
        self.dated.values().flatten().copied().filter(|day| !self.is_future(*day)).max()
    }

    fn release(&self, digest: Digest) -> Option<&Version> {
        self.graph.manifests.get(&digest).and_then(|node| node.release.as_ref())
    }

    fn rank(&self, day: Date, digest: Digest) -> Rank {
        let mut tags = self.tags_of.get(&digest).into_iter().flatten();
        let has_day = tags.any(|tag| TagName::parse(tag) == TagName::Day(day));
        (day, has_day, self.graph.manifests.get(&digest).and_then(|node| node.created))
    }

    /// Returns true for days after tomorrow; tomorrow has started in other time zones.
    fn is_future(&self, day: Date) -> bool {
        day > self.today.saturating_add(1.day())
    }

    /// Returns the manifests of `going` in the order of deletion: an index before its children, a manifest before its
    /// referrers.
    ///
    /// The first must hold at every moment, since a registry serves an index whose child is gone as if nothing were wrong.
    /// The second is for interruptions: a list of referrers is found again by its tag, but a manifest that only the list
    /// named is not. A registry's own lists can be circular; indexes cannot, as their digests cover those of their children.
    pub(super) fn deletion_order(&self, going: &BTreeSet<Digest>) -> Vec<Digest> {
        let inside = |digest: &Digest| going.contains(digest);
        let children = |digest: &Digest| -> BTreeSet<Digest> {
            let node = self.graph.manifests.get(digest);
            node.into_iter().flat_map(|node| &node.children).copied().filter(inside).collect()
        };
        let about = |digest: &Digest| self.about.get(digest).into_iter().flatten().copied().filter(inside);
        let mut waits: BTreeMap<Digest, (usize, usize)> = going.iter().map(|digest| (*digest, (0, 0))).collect();
        for digest in going {
            for child in children(digest) {
                waits.entry(child).or_default().0 += 1;
            }
            for one in about(digest) {
                waits.entry(one).or_default().1 += 1;
            }
        }
        // Manifests that wait for no other are first in this set.
        let mut queue: BTreeSet<((usize, usize), Digest)> =
            waits.iter().map(|(digest, wait)| (*wait, *digest)).collect();
        let mut order = Vec::new();
        while let Some((_, digest)) = queue.pop_first() {
            waits.remove(&digest);
            order.push(digest);
            let mut less = |next: Digest, change: fn(&mut (usize, usize))| {
                if let Some(wait) = waits.get_mut(&next) {
                    queue.remove(&(*wait, next));
                    change(wait);
                    queue.insert((*wait, next));
                }
            };
            children(&digest).into_iter().for_each(|child| less(child, |wait| wait.0 -= 1));
            about(&digest).for_each(|one| less(one, |wait| wait.1 -= 1));
        }
        order
    }
}

fn days(tags: &[&Tag], node: Option<&ManifestNode>) -> BTreeSet<Date> {
    let names: Vec<TagName> = tags.iter().map(|tag| TagName::parse(tag)).collect();
    let named: BTreeSet<Date> =
        names.iter().filter_map(|name| if let TagName::Day(day) = name { Some(*day) } else { None }).collect();
    if named.is_empty() && names.contains(&TagName::Commit) {
        node.and_then(day_of).into_iter().collect()
    } else {
        named
    }
}

fn day_of(node: &ManifestNode) -> Option<Date> {
    Some(Offset::UTC.to_datetime(node.created?).date()).filter(|day| is_plausible(*day))
}

fn monday(day: Date) -> Date {
    day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days())
}
