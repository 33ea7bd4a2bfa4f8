//! Reads machine counters, processes and the kernel log. Nothing here decides.

pub mod host;
pub mod kmsg;
pub mod process;
pub mod systemd;
pub mod userspace;
