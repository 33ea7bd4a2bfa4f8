//! Everything below a manifest: children, blobs, and where they are wanted what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use super::Fetched;
use crate::config::images::Digest;
use crate::exit::{Exit, failure};
use crate::oci::model::{Descriptor, Parsed};

/// Indexes in indexes, referrers of referrers.
const DEEPEST: usize = 8;
/// More than any release has.
const MOST: usize = 2_000;

/// One manifest.
pub(super) struct Node {
    pub(super) fetched: Fetched,
    /// What refers to it.
    pub(super) referrers: Vec<Descriptor>,
}

/// Manifests by digest, closed under what they point at.
pub(super) struct Graph {
    top: Digest,
    nodes: BTreeMap<Digest, (Node, Parsed)>,
}

impl Graph {
    /// Reads level by level. `fetch` has all descriptors of a level and answers in their order; none is for a referrer
    /// that is listed and gone.
    pub(super) fn collect(
        top: &Descriptor,
        fetch: impl Fn(&[Descriptor]) -> anyhow::Result<Vec<Option<Node>>>,
    ) -> anyhow::Result<Graph> {
        let mut graph = Graph { top: top.digest, nodes: BTreeMap::new() };
        // Whose referrer each is; none of a child.
        let mut level: Vec<(Descriptor, Option<Digest>)> = vec![(top.clone(), None)];
        let mut seen = BTreeSet::from([top.digest]);
        let too_much = |what: &str| failure(Exit::NotReproducible, format!("{} has {what} below it", top.digest));
        for _ in 0..DEEPEST {
            if level.is_empty() {
                return Ok(graph);
            }
            let wanted: Vec<Descriptor> = level.iter().map(|(descriptor, _)| descriptor.clone()).collect();
            let mut next = Vec::new();
            for ((descriptor, subject), node) in level.into_iter().zip(fetch(&wanted)?) {
                let Some(node) = node else {
                    match subject {
                        Some(_) => continue,
                        None => return Err(failure(Exit::Remote, format!("{} is not there", descriptor.digest))),
                    }
                };
                check(&descriptor, &node.fetched)?;
                let parsed = node.fetched.parse()?;
                // A list of referrers can be wrong; the manifest itself says what it is about.
                if subject.is_some() && parsed.subject().map(|subject| subject.digest) != subject {
                    continue;
                }
                let children = match &parsed {
                    Parsed::Index(index) => index.manifests.clone(),
                    Parsed::Manifest(_) => Vec::new(),
                };
                let about = node.fetched.descriptor.digest;
                next.extend(children.into_iter().map(|child| (child, None)));
                next.extend(node.referrers.iter().cloned().map(|referrer| (referrer, Some(about))));
                graph.nodes.insert(about, (node, parsed));
            }
            next.retain(|(descriptor, _)| seen.insert(descriptor.digest));
            if seen.len() > MOST {
                return Err(too_much("too many manifests"));
            }
            level = next;
        }
        if level.is_empty() { Ok(graph) } else { Err(too_much("manifests too deep")) }
    }

    /// Configurations and layers, each once.
    pub(super) fn blobs(&self) -> BTreeMap<Digest, &Descriptor> {
        let mut blobs = BTreeMap::new();
        for (_, parsed) in self.nodes.values() {
            if let Parsed::Manifest(manifest) = parsed {
                for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    blobs.insert(blob.digest, blob);
                }
            }
        }
        blobs
    }

    /// Images and artifacts, which point at no manifest; then indexes, each after all that it points at.
    pub(super) fn in_order(&self) -> (Vec<&Fetched>, Vec<&Fetched>) {
        let (mut images, mut indexes, mut done) = (Vec::new(), Vec::new(), BTreeSet::new());
        // The top first, so that it is the last one.
        let others = self.nodes.keys().filter(|digest| **digest != self.top);
        for digest in others.chain(std::iter::once(&self.top)) {
            self.visit(digest, &mut done, &mut images, &mut indexes);
        }
        (images, indexes)
    }

    /// As deep as the levels that were read: a digest cannot be below itself.
    fn visit<'a>(
        &'a self,
        digest: &Digest,
        done: &mut BTreeSet<Digest>,
        images: &mut Vec<&'a Fetched>,
        indexes: &mut Vec<&'a Fetched>,
    ) {
        let Some((node, parsed)) = self.nodes.get(digest) else { return };
        if !done.insert(*digest) {
            return;
        }
        match parsed {
            Parsed::Manifest(_) => images.push(&node.fetched),
            Parsed::Index(index) => {
                for child in &index.manifests {
                    self.visit(&child.digest, done, images, indexes);
                }
                indexes.push(&node.fetched);
            }
        }
    }

    /// Every list of referrers that is not empty, as far as those are in the graph, by its subject.
    pub(super) fn referrers(&self) -> BTreeMap<&Digest, Vec<&Descriptor>> {
        let mut lists = BTreeMap::new();
        for (subject, (node, _)) in &self.nodes {
            let known: Vec<&Descriptor> =
                node.referrers.iter().filter(|referrer| self.nodes.contains_key(&referrer.digest)).collect();
            if !known.is_empty() {
                lists.insert(subject, known);
            }
        }
        lists
    }
}

/// A manifest is what its descriptor says.
fn check(descriptor: &Descriptor, fetched: &Fetched) -> anyhow::Result<()> {
    let found = &fetched.descriptor;
    if found.digest == descriptor.digest
        && found.size == descriptor.size
        && found.media_type.eq_ignore_ascii_case(&descriptor.media_type)
    {
        return Ok(());
    }
    let text = format!(
        "{} is a {} of {} bytes, but {} of {} bytes is what points at it says",
        descriptor.digest, found.media_type, found.size, descriptor.media_type, descriptor.size
    );
    Err(failure(Exit::NotReproducible, text))
}
