//! What of a nightly repository stays and what goes: a decision over its graph of manifests, without a registry.
//!
//! A registry deletes manifests by digest, and with one all tags on it; a tag alone cannot be deleted (OCI distribution
//! specification 1.1, "Deleting tags", which docker-registry 2.8 does not have). So a manifest goes only when nothing that
//! stays reaches it: no tag, no index, no subject. Deleting what is merely untagged would take the platforms out of every
//! index.

mod analysis;
pub mod apply;
pub mod contents;
mod tag_name;

pub use tag_name::TagName;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Serialize, Serializer};

use analysis::Analysis;
use drydock_config::images::{Digest, Repositories, Repository, Retention, Tag};
use drydock_config::release::Version;

/// A repository from which something may be removed. There is one way to get one, so that nothing of a release is ever
/// deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prunable(Repository);

impl Prunable {
    /// The nightly one.
    pub fn of(repositories: &Repositories) -> Prunable {
        Prunable(repositories.nightly.clone())
    }

    /// Its name.
    pub fn repository(&self) -> &Repository {
        &self.0
    }
}

/// What a repository holds, as far as it can be known: what its tags reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The tags, with what they name; `None` for a tag whose manifest is gone.
    pub tags: BTreeMap<Tag, Option<Digest>>,
    /// The manifests.
    pub manifests: BTreeMap<Digest, Node>,
    /// What an earlier, interrupted removal had decided to remove.
    pub condemned: BTreeSet<Digest>,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// The manifests of an index.
    pub children: Vec<Digest>,
    /// What it says something about.
    pub subject: Option<Digest>,
    /// What says something about it, as the registry lists it.
    pub referrers: Vec<Digest>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The version that it says it has, when that is one of a release.
    pub release: Option<Version>,
    /// Whether it is of a type that cannot be read, so that what it needs is unknown.
    pub is_opaque: bool,
}

/// What stays and what goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The tags that stay, by name.
    pub kept: Vec<Kept>,
    /// The manifests that go, in the order in which they are deleted: an index before its children.
    pub removed: Vec<Removed>,
    /// Manifests without a tag that stay because they may be in the middle of their push.
    pub pushing: BTreeSet<Digest>,
    /// Every manifest that stays.
    pub reached: BTreeSet<Digest>,
    /// Tags whose manifest is gone; nothing can be deleted there.
    #[serde(serialize_with = "shown")]
    pub empty: Vec<Tag>,
    /// What tags that stay lacked before anything was done.
    pub missing: Vec<Lack>,
    /// What tags that stay name and cannot be read.
    pub opaque: Vec<Lack>,
}

/// A tag that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The tag.
    #[serde(serialize_with = "displayed")]
    pub tag: Tag,
    /// What it names.
    pub digest: Digest,
    /// Why.
    #[serde(serialize_with = "displayed")]
    pub rule: Rule,
}

/// A manifest that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The manifest.
    pub digest: Digest,
    /// All tags on it, which go with it.
    #[serde(serialize_with = "shown")]
    pub tags: Vec<Tag>,
    /// Why.
    #[serde(serialize_with = "displayed")]
    pub why: Why,
}

/// A manifest that a tag needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lack {
    /// The tag.
    #[serde(serialize_with = "displayed")]
    pub tag: Tag,
    /// The manifest.
    pub digest: Digest,
}

/// Why a tag stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// It is `nightly`.
    Nightly,
    /// A declared pattern matches it.
    Pattern(String),
    /// It is the newest image of a day.
    Daily(Date),
    /// It is the newest image of the week of that Monday.
    Weekly(Date),
    /// It was built as this release, and `docker promote` looks for it by this tag, whether it has been called or not.
    Release(Version),
    /// Its name is none that nightlies have, so it is not Drydock's to remove.
    Foreign,
    /// Nothing tells how old it is.
    Undated,
    /// It is of a day that has not come yet.
    Future(Date),
    /// It says something about a manifest without a tag that is young enough to be in the middle of its push.
    Untagged(Digest),
    /// Another tag of the same manifest stays.
    Same(Tag),
    /// What another tag names needs it.
    Needed(Tag),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Nightly => f.write_str("the last nightly"),
            Rule::Pattern(pattern) => write!(f, "`keep: {pattern}`"),
            Rule::Daily(day) => write!(f, "the newest of {day}"),
            Rule::Weekly(monday) => write!(f, "the newest of the week of {monday}"),
            Rule::Release(version) => write!(f, "the release {version}, until somebody removes it"),
            Rule::Foreign => f.write_str("no name of a nightly"),
            Rule::Undated => f.write_str("its age is unknown"),
            Rule::Future(day) => write!(f, "{day} has not come yet"),
            Rule::Untagged(subject) => write!(f, "{} has no tag yet", subject.short()),
            Rule::Same(tag) => write!(f, "the image of {tag}"),
            Rule::Needed(tag) => write!(f, "{tag} needs it"),
        }
    }
}

/// Why a manifest goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// An image of that day, which no rule keeps.
    Old(Date),
    /// It says something about a manifest that is not there, or goes.
    Subject(Digest),
    /// It is only part of what goes.
    Part,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Old(day) => write!(f, "of {day}, kept by no rule"),
            Why::Subject(subject) => write!(f, "it is about {}, which goes or is gone", subject.short()),
            Why::Part => f.write_str("only what goes needs it"),
        }
    }
}

/// Decides. Days are counted from the newest image, so that a repository that gets no images any more keeps its last
/// ones; `today` only tells which days have not come yet.
pub fn plan(graph: &Graph, retention: &Retention, today: Date) -> Plan {
    let analysis = Analysis::new(graph, retention, today);
    let mut roots = analysis.roots();
    let mut reached = analysis.reach(roots.keys().copied());
    // What is pushed gets its record first and its tags last.
    let tagged = analysis.tagged();
    let mut pushing = BTreeSet::new();
    for (list, subject) in
        analysis.lists.iter().flat_map(|(list, subjects)| subjects.iter().map(move |one| (*list, *one)))
    {
        let is_known = tagged.contains_key(&subject) || graph.condemned.contains(&subject);
        if !is_known && graph.manifests.get(&subject).is_some_and(|node| analysis.is_young(node)) {
            pushing.insert(subject);
            roots.entry(subject).or_insert(Rule::Untagged(subject));
            roots.entry(list).or_insert(Rule::Untagged(subject));
            reached = analysis.reach(roots.keys().copied());
        }
    }
    let tag_of = |root: &Digest| analysis.tags_of.get(root).and_then(|tags| tags.first()).copied();
    let mut kept = Vec::new();
    for (tag, digest) in graph.tags.iter().filter_map(|(tag, digest)| Some((tag, (*digest)?))) {
        let Some(root) = reached.get(&digest) else { continue };
        let own = |tag: &Tag| analysis.rule_of(tag, digest, &roots);
        let other = || analysis.tags_of.get(&digest)?.iter().find(|one| own(one).is_some());
        let rule = own(tag).unwrap_or_else(|| match (other(), tag_of(root)) {
            (Some(other), _) => Rule::Same((*other).clone()),
            (None, Some(tag)) => Rule::Needed(tag.clone()),
            (None, None) => Rule::Untagged(*root),
        });
        kept.push(Kept { tag: tag.clone(), digest, rule });
    }
    let lacks = |digest: Digest, root: &Digest| Some(Lack { tag: tag_of(root)?.clone(), digest });
    let missing: BTreeSet<Lack> = reached
        .iter()
        .filter(|(digest, _)| !analysis.lists.contains_key(digest))
        .flat_map(|(digest, root)| {
            let children = graph.manifests.get(digest).into_iter().flat_map(|node| &node.children);
            children.filter(|child| !graph.manifests.contains_key(child)).filter_map(move |child| lacks(*child, root))
        })
        .collect();
    let is_opaque = |digest: &Digest| graph.manifests.get(digest).is_some_and(|node| node.is_opaque);
    let opaque = reached.iter().filter(|(digest, _)| is_opaque(digest)).filter_map(|(one, root)| lacks(*one, root));
    let going: BTreeSet<Digest> =
        graph.manifests.keys().filter(|digest| !reached.contains_key(digest)).copied().collect();
    let is_gone = |digest: &Option<Digest>| digest.is_none_or(|digest| !graph.manifests.contains_key(&digest));
    Plan {
        kept,
        pushing,
        opaque: opaque.collect(),
        missing: missing.into_iter().collect(),
        empty: graph.tags.iter().filter(|(_, digest)| is_gone(digest)).map(|(tag, _)| tag.clone()).collect(),
        removed: analysis.deletion_order(&going).into_iter().map(|digest| analysis.removed(digest)).collect(),
        reached: reached.into_keys().filter(|digest| graph.manifests.contains_key(digest)).collect(),
    }
}

fn displayed<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn shown<S: Serializer>(tags: &[Tag], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tags.iter().map(Tag::as_str))
}

#[cfg(test)]
mod tests;
