//! Readers of valgrind's files, and the table of its tools.
//!
//! * [`tool`] is the table: names, kinds of output, options.
//! * [`xml`] reads the logs of memcheck, helgrind and drd; a [`finding`] is one error of a process, [`findings`] sums up the
//!   logs of all processes of a command, and a [`cause`] groups the findings of many commands.
//! * [`suppression`] reads, writes and matches suppression files; [`suppress`] makes an entry for a cause.
//! * [`massif`] reads heap profiles: peaks, allocation sites, differences. [`dhat`] reads allocations by site.
//! * A [`stack`] has frames, and [`source`] quotes their lines of source code.
//! * [`watch`] counts how often a log was opened, and keeps those of exec. [`by_suite`] is about suites that start valgrind
//!   themselves.
//!
//! All readers treat files as hostile: they are bounded in memory and time, and never panic.
//!
//! ```
//! use drydock_valgrind::cause::{Reported, causes};
//! use drydock_valgrind::finding::Finding;
//! use drydock_valgrind::xml;
//!
//! let log = xml::parse(
//!     b"<valgrindoutput><protocolversion>4</protocolversion>
//!       <error><kind>InvalidRead</kind><what>Invalid read of size 4</what>
//!       <stack><frame><ip>0x1</ip><fn>poll</fn><file>peer.c</file><line>17</line></frame></stack></error>"
//!         .as_slice(),
//! );
//! let findings: Vec<Finding> = log.errors.into_iter().map(Finding::new).collect();
//! let reported = findings.iter().map(|finding| Reported { job: 0, tool: "memcheck", finding });
//! assert_eq!(causes(reported)[0].title(), "InvalidRead at poll (peer.c:17)");
//! ```
#![warn(missing_docs)]

pub mod around;
pub mod by_suite;
pub mod cause;
pub mod dhat;
pub mod elf;
pub mod finding;
pub mod findings;
pub mod leak_kinds;
pub mod options;
pub mod source;
pub mod stack;
pub mod suppress;
pub mod suppression;
pub mod tool;
pub mod watch;
pub mod xml;

pub use drydock_massif as massif;
