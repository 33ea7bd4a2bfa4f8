//! What massif measured, beside what is declared.

use serde::{Deserialize, Serialize};

use super::Reading;
use drydock_base::units::{ByteSize, Percent};
use drydock_valgrind::massif::HeapProfile;

/// What massif measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeapEvidence {
    /// The highest snapshot of any process: heap and its administration, in bytes.
    pub peak: ByteSize,
    /// The declared limit.
    pub limit: Option<ByteSize>,
    /// Who allocates most at the peak, in one line.
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

/// A baseline, and what the peak may grow to because of it.
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
    /// Who allocates more than in the baseline, and how much, in one line.
    pub grown: Option<String>,
}

fn absent() -> Reading<HeapBaseline> {
    Reading::Absent
}
