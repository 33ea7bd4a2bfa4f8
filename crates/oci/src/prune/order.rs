//! The order of deletion: an index before its children, a manifest before what is said about it.
//!
//! The first of the two must hold at every moment, since a registry serves an index whose child is gone as if nothing were
//! wrong. The second is for interruptions: a list of referrers is found again by its tag, a manifest that only it listed is
//! not. A registry's own lists can be made to go in circles, indexes cannot: their digests hold those of their children.

use std::collections::{BTreeMap, BTreeSet};

use super::Seen;
use drydock_config::images::Digest;

/// All of `going`, in order.
pub(super) fn of(going: &BTreeSet<Digest>, seen: &Seen<'_>) -> Vec<Digest> {
    let inside = |digest: &Digest| going.contains(digest);
    let children = |digest: &Digest| -> BTreeSet<Digest> {
        let node = seen.graph.manifests.get(digest);
        node.into_iter().flat_map(|node| &node.children).copied().filter(inside).collect()
    };
    let about = |digest: &Digest| seen.about.get(digest).into_iter().flatten().copied().filter(inside);
    let mut waits: BTreeMap<Digest, (usize, usize)> = going.iter().map(|digest| (*digest, (0, 0))).collect();
    for digest in going {
        for child in children(digest) {
            waits.entry(child).or_default().0 += 1;
        }
        for one in about(digest) {
            waits.entry(one).or_default().1 += 1;
        }
    }
    // What nothing has to go before is first in this set.
    let mut queue: BTreeSet<((usize, usize), Digest)> = waits.iter().map(|(digest, wait)| (*wait, *digest)).collect();
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
