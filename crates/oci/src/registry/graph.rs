//! The manifests below a manifest, with their blobs and, on request, their referrers.

use std::collections::{BTreeMap, BTreeSet};

use super::{FetchedManifest, RegistryError};
use crate::model::{Descriptor, ParsedManifest};
use drydock_config::images::Digest;

/// The maximum depth of indexes in indexes, and of referrers of referrers.
const DEEPEST: usize = 8;
/// The maximum number of manifests.
const MOST: usize = 2_000;

/// One manifest.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) fetched: FetchedManifest,
    /// The referrers.
    pub(super) referrers: Vec<Descriptor>,
}

/// Manifests by digest, complete with their children.
pub(super) struct ManifestGraph {
    top: Digest,
    nodes: BTreeMap<Digest, (Node, ParsedManifest)>,
}

impl ManifestGraph {
    /// Reads the graph level by level. `fetch` gets all descriptors of a level, and returns their manifests in the same
    /// order; none for a referrer that is listed but was deleted.
    pub(super) fn collect(
        top: &Descriptor,
        fetch: impl Fn(&[Descriptor]) -> anyhow::Result<Vec<Option<Node>>>,
    ) -> anyhow::Result<ManifestGraph> {
        let mut graph = ManifestGraph { top: top.digest, nodes: BTreeMap::new() };
        // The subject of each referrer; none for a child.
        let mut level: Vec<(Descriptor, Option<Digest>)> = vec![(top.clone(), None)];
        let mut asked = BTreeSet::from([(top.digest, None)]);
        let too_much = |what: &str| RegistryError::wrong_content(format!("{} has {what}", top.digest));
        for _ in 0..DEEPEST {
            if level.is_empty() {
                return graph.whole();
            }
            // Children first: a manifest that is both a child and a listed referrer counts as a child.
            level.sort_by_key(|(_, subject)| subject.is_some());
            let wanted: Vec<Descriptor> = level.iter().map(|(descriptor, _)| descriptor.clone()).collect();
            let mut next = Vec::new();
            for ((descriptor, subject), node) in level.into_iter().zip(fetch(&wanted)?) {
                let node = match (node, subject) {
                    (Some(node), _) => node,
                    (None, Some(_)) => continue,
                    (None, None) => return Err(RegistryError::NotFound(descriptor.digest.to_string()).into()),
                };
                let parsed = match (check(&descriptor, &node.fetched).and_then(|()| node.fetched.parse()), subject) {
                    (Ok(parsed), None) => parsed,
                    // A list of referrers can be wrong; the manifest itself names its subject.
                    (Ok(parsed), Some(_)) if parsed.subject().map(|subject| subject.digest) == subject => parsed,
                    (Ok(_) | Err(_), Some(_)) => continue,
                    (Err(why), None) => return Err(why),
                };
                let about = node.fetched.descriptor.digest;
                if graph.nodes.contains_key(&about) {
                    continue;
                }
                let children = match &parsed {
                    ParsedManifest::Index(index) => index.manifests.clone(),
                    ParsedManifest::Manifest(_) => Vec::new(),
                };
                next.extend(children.into_iter().map(|child| (child, None)));
                next.extend(node.referrers.iter().cloned().map(|referrer| (referrer, Some(about))));
                graph.nodes.insert(about, (node, parsed));
            }
            next.retain(|(descriptor, subject)| asked.insert((descriptor.digest, *subject)));
            if asked.len() > MOST {
                return Err(too_much("too many manifests below it"));
            }
            level = next;
        }
        if level.is_empty() { graph.whole() } else { Err(too_much("manifests nested too deeply")) }
    }

    /// Checks that the children of all indexes were read.
    fn whole(self) -> anyhow::Result<ManifestGraph> {
        for (digest, (_, parsed)) in &self.nodes {
            let children = match parsed {
                ParsedManifest::Index(index) => &index.manifests[..],
                ParsedManifest::Manifest(_) => &[],
            };
            if let Some(child) = children.iter().find(|child| !self.nodes.contains_key(&child.digest)) {
                let text = format!("{digest} lists {}, which was not read", child.digest);
                return Err(RegistryError::wrong_content(text));
            }
        }
        Ok(self)
    }

    /// Configurations and layers, each once.
    pub(super) fn blobs(&self) -> BTreeMap<Digest, &Descriptor> {
        let mut blobs = BTreeMap::new();
        for (_, parsed) in self.nodes.values() {
            if let ParsedManifest::Manifest(manifest) = parsed {
                for blob in manifest.blobs() {
                    blobs.insert(blob.digest, blob);
                }
            }
        }
        blobs
    }

    /// Returns the images and artifacts, then the indexes, each after its children.
    pub(super) fn in_order(&self) -> (Vec<&FetchedManifest>, Vec<&FetchedManifest>) {
        let (mut images, mut indexes, mut done) = (Vec::new(), Vec::new(), BTreeSet::new());
        // The top first, so that it is the last one.
        let others = self.nodes.keys().filter(|digest| **digest != self.top);
        for digest in others.chain(std::iter::once(&self.top)) {
            self.visit(digest, &mut done, &mut images, &mut indexes);
        }
        (images, indexes)
    }

    /// Visits children first. A manifest cannot be below itself, as its digest covers those of its children.
    fn visit<'a>(
        &'a self,
        digest: &Digest,
        done: &mut BTreeSet<Digest>,
        images: &mut Vec<&'a FetchedManifest>,
        indexes: &mut Vec<&'a FetchedManifest>,
    ) {
        let Some((node, parsed)) = self.nodes.get(digest) else { return };
        if !done.insert(*digest) {
            return;
        }
        match parsed {
            ParsedManifest::Manifest(_) => images.push(&node.fetched),
            ParsedManifest::Index(index) => {
                for child in &index.manifests {
                    self.visit(&child.digest, done, images, indexes);
                }
                indexes.push(&node.fetched);
            }
        }
    }

    /// Returns the referrers in the graph by their subject.
    pub(super) fn referrers(&self) -> BTreeMap<&Digest, Vec<&Descriptor>> {
        let mut lists = BTreeMap::new();
        for (subject, (node, _)) in &self.nodes {
            let is_one = |referrer: &&Descriptor| {
                let about = self.nodes.get(&referrer.digest).and_then(|(_, parsed)| parsed.subject());
                about.is_some_and(|about| about.digest == *subject)
            };
            let known: Vec<&Descriptor> = node.referrers.iter().filter(is_one).collect();
            if !known.is_empty() {
                lists.insert(subject, known);
            }
        }
        lists
    }
}

/// Checks that a manifest matches its descriptor.
fn check(descriptor: &Descriptor, fetched: &FetchedManifest) -> anyhow::Result<()> {
    let found = &fetched.descriptor;
    if found.digest == descriptor.digest
        && found.size == descriptor.size
        && found.media_type.eq_ignore_ascii_case(&descriptor.media_type)
    {
        return Ok(());
    }
    let text = format!(
        "{} is a {} of {} bytes, but its descriptor says {} of {} bytes",
        descriptor.digest, found.media_type, found.size, descriptor.media_type, descriptor.size
    );
    Err(RegistryError::wrong_content(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::media;

    fn descriptor(media_type: &str, text: &str) -> Descriptor {
        Descriptor::for_bytes(media_type, text.as_bytes())
    }

    fn manifest(seed: &str, subject: Option<&Descriptor>) -> (Descriptor, String) {
        let config = descriptor(media::EMPTY, seed);
        let subject = subject.map(|subject| format!(",\"subject\":{}", serde_json::to_string(subject).unwrap()));
        let text = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"config\":{},\"layers\":[]{}}}",
            media::MANIFEST,
            serde_json::to_string(&config).unwrap(),
            subject.unwrap_or_default()
        );
        (descriptor(media::MANIFEST, &text), text)
    }

    fn index(children: &[&Descriptor]) -> (Descriptor, String) {
        let children = serde_json::to_string(children).unwrap();
        let text = format!("{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"manifests\":{children}}}", media::INDEX);
        (descriptor(media::INDEX, &text), text)
    }

    #[test]
    fn wrong_lists_of_referrers_are_ignored() {
        let (child, child_text) = manifest("child", None);
        let (inner, inner_text) = index(&[&child]);
        let (top, top_text) = index(&[&inner]);
        let (good, good_text) = manifest("good", Some(&inner));
        let (odd, odd_text) = manifest("odd", Some(&top));
        let odd = Descriptor { size: odd.size + 1, ..odd };
        let (wrong, wrong_text) = index(&[&Descriptor { size: 1, ..child.clone() }]);
        let texts = [&child_text, &inner_text, &top_text, &good_text, &odd_text, &wrong_text];
        // Lists name a child as a referrer, and a referrer of another manifest.
        let lists = BTreeMap::from([
            (top.digest, vec![child.clone(), good.clone(), odd.clone()]),
            (inner.digest, vec![good.clone(), child.clone()]),
        ]);
        let fetch = |wanted: &[Descriptor]| -> anyhow::Result<Vec<Option<Node>>> {
            let node = |wanted: &Descriptor| {
                let text = texts.iter().find(|text| Digest::for_bytes(text.as_bytes()) == wanted.digest)?;
                let kind = if text.contains("manifests") { media::INDEX } else { media::MANIFEST };
                let fetched = FetchedManifest { descriptor: descriptor(kind, text), bytes: text.as_bytes().to_vec() };
                Some(Node { fetched, referrers: lists.get(&wanted.digest).cloned().unwrap_or_default() })
            };
            Ok(wanted.iter().map(node).collect())
        };
        let graph = ManifestGraph::collect(&top, fetch).unwrap();
        let (images, indexes) = graph.in_order();
        let digests = |list: &[&FetchedManifest]| list.iter().map(|one| one.descriptor.digest).collect::<BTreeSet<_>>();
        assert_eq!(digests(&images), BTreeSet::from([child.digest, good.digest]));
        assert_eq!(digests(&indexes), BTreeSet::from([inner.digest, top.digest]));
        assert_eq!(graph.referrers(), BTreeMap::from([(&inner.digest, vec![&good])]));

        // A child that differs from its descriptor is an error.
        let why = ManifestGraph::collect(&wrong, fetch).err().unwrap().to_string();
        assert!(why.contains("of 1 bytes"), "{why}");
    }
}
