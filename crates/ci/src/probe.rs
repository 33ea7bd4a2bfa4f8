//! Reading the kernel's view: machine counters, processes, the kernel log. Nothing here decides.

pub mod host;
pub mod kmsg;
pub mod process;
pub mod userspace;
