//! The slots and the memory that the jobs of a run may use at once.

use serde::{Deserialize, Serialize};

/// One part of the available memory in this many is left to the kernel, to the page cache, and to Drydock.
pub const MARGIN: u64 = 16;

/// Slots and memory that the jobs of a run may use at once, with the origin of the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capacity {
    /// Jobs at a time.
    pub slots: u32,
    /// The origin of that number, for a person.
    pub slots_source: String,
    /// Bytes that may be reserved at once.
    pub memory: u64,
    /// The origin of that number, for a person.
    pub memory_source: String,
}

impl Capacity {
    /// The numbers without their origin, each at least one.
    pub fn limits(&self) -> Limits {
        Limits { slots: self.slots.max(1), memory: self.memory.max(1) }
    }
}

/// Slots and memory that jobs may use at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Jobs at a time, at least one.
    pub slots: u32,
    /// Bytes that may be reserved at once.
    pub memory: u64,
}
