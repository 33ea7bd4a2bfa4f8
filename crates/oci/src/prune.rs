//! Pruning of a nightly repository: the decision over its graph of manifests, without a registry.
//!
//! A registry deletes manifests by digest, together with all their tags; a single tag cannot be deleted (OCI distribution
//! specification 1.1, "Deleting tags", which docker-registry 2.8 does not support). So a manifest is removed only if nothing
//! that is kept reaches it: no tag, no index, no subject. Removing all untagged manifests would remove the platforms of
//! every index.

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

/// A repository that may be pruned. Only nightly repositories can be, so that no release is ever deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prunable(Repository);

impl Prunable {
    /// Returns the nightly repository.
    pub fn nightly(repositories: &Repositories) -> Prunable {
        Prunable(repositories.nightly.clone())
    }

    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.0
    }
}

/// The contents of a repository, as far as its tags reach them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryGraph {
    /// The tags with their manifests; `None` for a tag whose manifest does not exist.
    pub tags: BTreeMap<Tag, Option<Digest>>,
    /// The manifests.
    pub manifests: BTreeMap<Digest, ManifestNode>,
    /// The manifests that an earlier, interrupted call was about to remove.
    pub condemned: BTreeSet<Digest>,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestNode {
    /// The manifests of an index.
    pub children: Vec<Digest>,
    /// The manifest that it is attached to.
    pub subject: Option<Digest>,
    /// Its referrers, as listed by the registry.
    pub referrers: Vec<Digest>,
    /// The time of its build.
    pub created: Option<Timestamp>,
    /// The version in its label, if it is that of a release.
    pub release: Option<Version>,
    /// True if its type is unknown, and therefore the manifests that it needs.
    pub is_opaque: bool,
}

/// The tags and manifests that are kept and removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The tags that are kept, by name.
    pub kept: Vec<Kept>,
    /// The manifests that are removed, in the order of deletion: an index before its children.
    pub removed: Vec<Removed>,
    /// Untagged manifests that are kept because a push may be in progress.
    pub pushing: BTreeSet<Digest>,
    /// All manifests that are kept.
    pub reached: BTreeSet<Digest>,
    /// Tags whose manifest does not exist; they cannot be deleted.
    #[serde(serialize_with = "shown")]
    pub empty: Vec<Tag>,
    /// Manifests of kept tags that were missing before.
    pub missing: Vec<NeededManifest>,
    /// Manifests of kept tags whose type is unknown.
    pub opaque: Vec<NeededManifest>,
}

/// A tag that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The tag.
    #[serde(serialize_with = "displayed")]
    pub tag: Tag,
    /// Its manifest.
    pub digest: Digest,
    /// The reason.
    #[serde(serialize_with = "displayed")]
    pub rule: KeepRule,
}

/// A manifest that is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The manifest.
    pub digest: Digest,
    /// All its tags, which are removed with it.
    #[serde(serialize_with = "shown")]
    pub tags: Vec<Tag>,
    /// The reason.
    #[serde(serialize_with = "displayed")]
    pub why: RemovalReason,
}

/// A manifest that a tag needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NeededManifest {
    /// The tag.
    #[serde(serialize_with = "displayed")]
    pub tag: Tag,
    /// The manifest.
    pub digest: Digest,
}

/// The reason why a tag is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepRule {
    /// The tag is `nightly`.
    Nightly,
    /// A declared pattern matches the tag.
    Pattern(String),
    /// The newest image of a day.
    Daily(Date),
    /// The newest image of the week that starts on that Monday.
    Weekly(Date),
    /// The image was built as this release, and `docker promote` finds it by this tag.
    Release(Version),
    /// The tag is not that of a nightly, so Drydock does not remove it.
    Foreign,
    /// The age of the image is unknown.
    Undated,
    /// The image has a date in the future.
    Future(Date),
    /// A referrer of an untagged manifest that is recent, so that a push may be in progress.
    Untagged(Digest),
    /// Another tag of the same manifest is kept.
    Same(Tag),
    /// The manifest of another tag needs it.
    Needed(Tag),
}

impl fmt::Display for KeepRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeepRule::Nightly => f.write_str("the last nightly"),
            KeepRule::Pattern(pattern) => write!(f, "`keep: {pattern}`"),
            KeepRule::Daily(day) => write!(f, "the newest of {day}"),
            KeepRule::Weekly(monday) => write!(f, "the newest of the week of {monday}"),
            KeepRule::Release(version) => write!(f, "built as the release {version}"),
            KeepRule::Foreign => f.write_str("not the tag of a nightly"),
            KeepRule::Undated => f.write_str("unknown age"),
            KeepRule::Future(day) => write!(f, "{day} is in the future"),
            KeepRule::Untagged(subject) => write!(f, "{} has no tag yet", subject.short()),
            KeepRule::Same(tag) => write!(f, "the image of {tag}"),
            KeepRule::Needed(tag) => write!(f, "{tag} needs it"),
        }
    }
}

/// The reason why a manifest is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovalReason {
    /// An image of that day, which no rule keeps.
    Old(Date),
    /// A referrer of a manifest that does not exist or is removed.
    Subject(Digest),
    /// Only removed manifests need it.
    Part,
}

impl fmt::Display for RemovalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemovalReason::Old(day) => write!(f, "of {day}, kept by no rule"),
            RemovalReason::Subject(subject) => write!(f, "attached to {}, which is removed", subject.short()),
            RemovalReason::Part => f.write_str("needed only by removed manifests"),
        }
    }
}

/// Decides which tags and manifests are kept. Days are counted from the newest image, so that a repository without new
/// images keeps its last ones; `today` is only used to detect dates in the future.
pub fn plan(graph: &RepositoryGraph, retention: &Retention, today: Date) -> Plan {
    let analysis = Analysis::new(graph, retention, today);
    let mut roots = analysis.roots();
    let mut reached = analysis.reach(roots.keys().copied());
    // A push in progress has a build record, but no tag yet.
    let tagged = analysis.tagged();
    let mut pushing = BTreeSet::new();
    for (list, subject) in
        analysis.lists.iter().flat_map(|(list, subjects)| subjects.iter().map(move |one| (*list, *one)))
    {
        let is_known = tagged.contains_key(&subject) || graph.condemned.contains(&subject);
        if !is_known && graph.manifests.get(&subject).is_some_and(|node| analysis.is_young(node)) {
            pushing.insert(subject);
            roots.entry(subject).or_insert(KeepRule::Untagged(subject));
            roots.entry(list).or_insert(KeepRule::Untagged(subject));
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
            (Some(other), _) => KeepRule::Same((*other).clone()),
            (None, Some(tag)) => KeepRule::Needed(tag.clone()),
            (None, None) => KeepRule::Untagged(*root),
        });
        kept.push(Kept { tag: tag.clone(), digest, rule });
    }
    let lacks = |digest: Digest, root: &Digest| Some(NeededManifest { tag: tag_of(root)?.clone(), digest });
    let missing: BTreeSet<NeededManifest> = reached
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
