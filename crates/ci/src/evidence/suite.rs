//! What was seen of the processes of a suite that starts valgrind itself.

use std::collections::BTreeMap;

use drydock_valgrind::tool::Tool;
use serde::{Deserialize, Serialize};

/// The processes of such a suite, as far as they were seen: a process that ends within some tens of milliseconds may be
/// missed, but valgrind needs longer to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SuiteEvidence {
    /// The tool of the job.
    pub tool: Tool,
    /// Processes under a tool of valgrind whose errors Drydock did not get, each with the reason.
    pub unlogged: Vec<String>,
    /// Processes that had the options, but left no log: they were killed at once, or could not write there. By the beginning
    /// of their log's name, `memcheck.4711`.
    pub without_log: BTreeMap<String, String>,
    /// Programs of the project that ran without valgrind, and the number of their processes.
    pub native: BTreeMap<String, u64>,
    /// Programs that ran under another tool than the job's, such as `daemon (callgrind)`, and the number of their
    /// processes.
    pub other_tools: BTreeMap<String, u64>,
}

impl SuiteEvidence {
    /// Leaves out processes whose logs are known to have been destroyed.
    pub fn leave_out(&mut self, destroyed: &BTreeMap<String, String>) {
        self.without_log.retain(|log, _| !destroyed.contains_key(log));
    }

    /// What was not checked, in words, most important first.
    pub fn unchecked(&self) -> Vec<String> {
        let counted = |programs: &BTreeMap<String, u64>| {
            let named = programs.iter().take(8).map(|(program, count)| match count {
                1 => program.clone(),
                _ => format!("{program} ({count} processes)"),
            });
            let mut named: Vec<String> = named.collect();
            if programs.len() > named.len() {
                named.push(format!("{} more", programs.len() - named.len()));
            }
            (!named.is_empty()).then(|| named.join(", "))
        };
        let mut all: Vec<String> = self.without_log.values().cloned().collect();
        all.extend(counted(&self.other_tools).map(|programs| format!("under another tool of valgrind: {programs}")));
        all.extend(counted(&self.native).map(|programs| format!("without valgrind: {programs}")));
        all
    }
}
