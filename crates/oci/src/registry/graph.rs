//! Everything below a manifest: children, blobs, and where they are wanted what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use super::FetchedManifest;
use crate::model::{Descriptor, ParsedManifest};
use drydock_base::failure::Failure;
use drydock_config::images::Digest;

/// Indexes in indexes, referrers of referrers.
const DEEPEST: usize = 8;
/// More than any release has.
const MOST: usize = 2_000;

/// One manifest.
pub(super) struct Node {
    pub(super) fetched: FetchedManifest,
    /// What refers to it.
    pub(super) referrers: Vec<Descriptor>,
}

/// Manifests by digest, closed under what they point at.
pub(super) struct Graph {
    top: Digest,
    nodes: BTreeMap<Digest, (Node, ParsedManifest)>,
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
        let mut asked = BTreeSet::from([(top.digest, None)]);
        let too_much = |what: &str| Failure::not_reproducible(format!("{} has {what} below it", top.digest));
        for _ in 0..DEEPEST {
            if level.is_empty() {
                return graph.whole();
            }
            // Children first: what is one counts as that, whatever lists of referrers say about it.
            level.sort_by_key(|(_, subject)| subject.is_some());
            let wanted: Vec<Descriptor> = level.iter().map(|(descriptor, _)| descriptor.clone()).collect();
            let mut next = Vec::new();
            for ((descriptor, subject), node) in level.into_iter().zip(fetch(&wanted)?) {
                let node = match (node, subject) {
                    (Some(node), _) => node,
                    (None, Some(_)) => continue,
                    (None, None) => return Err(Failure::remote(format!("{} is not there", descriptor.digest))),
                };
                let parsed = match (check(&descriptor, &node.fetched).and_then(|()| node.fetched.parse()), subject) {
                    (Ok(parsed), None) => parsed,
                    // A list of referrers can be wrong; the manifest itself says what it is about.
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
                return Err(too_much("too many manifests"));
            }
            level = next;
        }
        if level.is_empty() { graph.whole() } else { Err(too_much("manifests too deep")) }
    }

    /// Itself, when every child of an index is in it.
    fn whole(self) -> anyhow::Result<Graph> {
        for (digest, (_, parsed)) in &self.nodes {
            let children = match parsed {
                ParsedManifest::Index(index) => &index.manifests[..],
                ParsedManifest::Manifest(_) => &[],
            };
            if let Some(child) = children.iter().find(|child| !self.nodes.contains_key(&child.digest)) {
                let text = format!("{digest} points at {}, which was not read", child.digest);
                return Err(Failure::not_reproducible(text));
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

    /// Images and artifacts, which point at no manifest; then indexes, each after all that it points at.
    pub(super) fn in_order(&self) -> (Vec<&FetchedManifest>, Vec<&FetchedManifest>) {
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

    /// Every list of referrers that is not empty, as far as those are in the graph, by its subject.
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

/// A manifest is what its descriptor says.
fn check(descriptor: &Descriptor, fetched: &FetchedManifest) -> anyhow::Result<()> {
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
    Err(Failure::not_reproducible(text))
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
    fn a_wrong_list_of_referrers_hides_no_child_and_ends_nothing() {
        let (child, child_text) = manifest("child", None);
        let (inner, inner_text) = index(&[&child]);
        let (top, top_text) = index(&[&inner]);
        let (good, good_text) = manifest("good", Some(&inner));
        let (odd, odd_text) = manifest("odd", Some(&top));
        let odd = Descriptor { size: odd.size + 1, ..odd };
        let (wrong, wrong_text) = index(&[&Descriptor { size: 1, ..child.clone() }]);
        let texts = [&child_text, &inner_text, &top_text, &good_text, &odd_text, &wrong_text];
        // The top is said to be what a child of its child refers to, and what refers to another one.
        let lists = BTreeMap::from([
            (top.digest, vec![child.clone(), good.clone(), odd.clone()]),
            (inner.digest, vec![good.clone(), child.clone()]),
        ]);
        let fetch = |wanted: &[Descriptor]| -> anyhow::Result<Vec<Option<Node>>> {
            let node = |wanted: &Descriptor| {
                let text = texts.iter().find(|text| Digest::of(text.as_bytes()) == wanted.digest)?;
                let kind = if text.contains("manifests") { media::INDEX } else { media::MANIFEST };
                let fetched = FetchedManifest { descriptor: descriptor(kind, text), bytes: text.as_bytes().to_vec() };
                Some(Node { fetched, referrers: lists.get(&wanted.digest).cloned().unwrap_or_default() })
            };
            Ok(wanted.iter().map(node).collect())
        };
        let graph = Graph::collect(&top, fetch).unwrap();
        let (images, indexes) = graph.in_order();
        let digests = |list: &[&FetchedManifest]| list.iter().map(|one| one.descriptor.digest).collect::<BTreeSet<_>>();
        assert_eq!(digests(&images), BTreeSet::from([child.digest, good.digest]));
        assert_eq!(digests(&indexes), BTreeSet::from([inner.digest, top.digest]));
        assert_eq!(graph.referrers(), BTreeMap::from([(&inner.digest, vec![&good])]));

        // A child that is not what its index says is no trifle.
        let why = Graph::collect(&wrong, fetch).err().unwrap().to_string();
        assert!(why.contains("of 1 bytes is what points at it says"), "{why}");
    }
}
