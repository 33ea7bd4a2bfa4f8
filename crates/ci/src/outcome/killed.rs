//! The verdicts on a main process that a signal ended, when no counter tells of the out-of-memory killer.

use std::time::Duration;

use super::{Outcome, Verdict, signal_name, signals};
use crate::evidence::{End, Evidence};
use drydock_base::units;

/// The verdict on a job whose main process a signal ended.
pub(super) fn by_signal(evidence: &Evidence) -> Option<Verdict> {
    let End::Signaled { signal, core } = evidence.end else { return None };
    if signals::from_outside(signal) {
        let under_valgrind = evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.main_complete == Some(true));
        if signal == signals::KILL && under_valgrind {
            return Some(
                Verdict::new(
                    Outcome::Crashed { signal },
                    0.95,
                    "the wait status says that SIGKILL ended the main process",
                )
                .and("valgrind's log is complete, which a kill from outside never leaves: the program killed itself"),
            );
        }
        if let Some(seconds) = evidence.cpu_limit.filter(|_| signal == signals::KILL) {
            let limit = units::human(Duration::from_secs(seconds));
            let why =
                format!("it had used all of the {limit} of processor time that it may use (RLIMIT_CPU, `ulimit -t`)");
            return Some(
                Verdict::new(Outcome::Crashed { signal }, 0.97, why)
                    .and("at this limit the kernel ends a process with SIGKILL")
                    .advise("raise the limit of processor time, which the job or whoever called Drydock sets; valgrind needs many times as much"),
            );
        }
        let counters = evidence.group.get().is_some() || evidence.host.get().is_some();
        let advice = "look for who sends it: the program itself, a test that kills by name, a supervisor above, or an \
                      administrator";
        let verdict = Verdict::new(
            Outcome::KilledFromOutside { signal },
            if counters { 0.95 } else { 0.6 },
            format!("the wait status says that {} ended the main process", signal_name(signal)),
        )
        .and("Drydock did not send it (it records each signal before it sends it); another process did, or the program itself");
        return Some(verdict.advise(advice));
    }
    let dumped = if core { ", a core was dumped" } else { "" };
    Some(
        Verdict::new(
            Outcome::Crashed { signal },
            0.98,
            format!("the wait status says that {} ended the main process{dumped}", signal_name(signal)),
        )
        .advise(if evidence.valgrind.is_some() {
            "the log's end and valgrind's stack show where"
        } else {
            "look at the log's end; with `tool: memcheck`, valgrind reports the stack"
        }),
    )
}
