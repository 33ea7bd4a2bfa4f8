//! Allocation sites: bytes by the first function past the wrappers, with its callers.

use serde::{Deserialize, Serialize};

use super::merged::{Identity, Merged, Side};
use super::profile::Profile;
use super::wrappers::Wrappers;
use drydock_base::units::ByteSize;

/// The number of callers that are named.
const CALLERS: usize = 5;

/// A place that allocates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Site {
    /// `function (file:line)`; places that massif merged have a sentence instead.
    pub place: String,
    /// The same without arguments, template parameters and directories.
    pub brief: String,
    /// Bytes of the heap that it holds.
    pub bytes: u64,
    /// The callers for most of that, innermost first, in brief.
    pub callers: Vec<String>,
}

impl Site {
    /// One line for a person.
    pub fn line(&self) -> String {
        format!("{}: {}", self.brief, ByteSize::new(self.bytes))
    }
}

/// The places that allocated what the kept tree holds, the largest first.
pub fn sites(profile: &Profile, wrappers: &Wrappers, most: usize) -> Vec<Site> {
    let mut merged = Merged::new(Identity::Line);
    merged.add(&profile.tree, Side::New, Some(wrappers));
    let totals = merged.totals(Side::New);
    let largest = merged.largest_children(&totals);
    let bytes = |at: u32| totals.get(at as usize).copied().unwrap_or_default();
    let mut found: Vec<u32> =
        merged.nodes().skip(1).filter(|(at, node)| node.parent == 0 && bytes(*at) > 0).map(|(at, _)| at).collect();
    // Stable, so that equal ones keep the order of the file.
    found.sort_by_key(|at| std::cmp::Reverse(bytes(*at)));
    found.truncate(most);
    let site = |at: &u32| {
        let step = merged.node(*at)?.step;
        let mut callers = Vec::new();
        let mut caller = *at;
        while let Some(next) = largest.get(caller as usize).copied().flatten().filter(|_| callers.len() < CALLERS) {
            callers.push(merged.node(next)?.step.brief());
            caller = next;
        }
        Some(Site { place: step.describe(), brief: step.brief(), bytes: bytes(*at), callers })
    };
    found.iter().filter_map(site).collect()
}
