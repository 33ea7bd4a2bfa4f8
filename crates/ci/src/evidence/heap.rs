//! The measurements of massif, beside the declared budgets.

use serde::{Deserialize, Serialize};

use super::Reading;
use drydock_base::units::{ByteSize, Percent};
use drydock_valgrind::massif::HeapProfile;

/// The measurements of massif.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeapEvidence {
    /// The highest snapshot of any process: heap and its administration, in bytes.
    pub peak: ByteSize,
    /// The declared limit.
    pub limit: Option<ByteSize>,
    /// The call site that allocates most at the peak, in one line.
    pub largest_site: Option<String>,
    /// The comparison with the declared baseline.
    #[serde(default = "absent")]
    pub baseline: Reading<HeapBaseline>,
    /// Files that could not be read, or not completely, with the reason.
    #[serde(default)]
    pub incomplete: Vec<String>,
    /// The process with the peak over its life, for reports.
    #[serde(default)]
    pub profile: Option<HeapProfile>,
}

/// A baseline, and the peak that it allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeapBaseline {
    /// Relative to the project.
    pub file: String,
    /// Its peak.
    pub peak: ByteSize,
    /// The declared margin.
    pub tolerance: Percent,
    /// The peak with the margin.
    pub allowed: ByteSize,
    /// The call site that grew most since the baseline, and its growth, in one line.
    pub grown: Option<String>,
}

fn absent() -> Reading<HeapBaseline> {
    Reading::Absent
}
