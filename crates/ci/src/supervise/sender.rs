//! The process that asked Drydock to end: it may be one of the jobs, such as a test that signals its parent, or a process that it
//! finds by name.

use super::attempt::Attempt;
use crate::outcome::signal_name;
use crate::run::Run;
use drydock_base::interrupts::Asked;

/// Who sent the signal, in one sentence; `None` if that is not known, or if the run has this warning: timeout(1) sends its signal twice.
pub(super) fn described(asked: &Asked, running: &[Attempt], run: &Run) -> Option<String> {
    let sender = asked.sender.as_ref()?;
    // Its job is known by its session, even if it has ended, or else by the job's cgroup.
    let is_its = |attempt: &&Attempt| {
        sender.session == Some(attempt.pid) || attempt.members().is_ok_and(|members| members.contains(&sender.pid))
    };
    let job = running.iter().find(is_its).map(|attempt| &run.plan.jobs[attempt.job].name);
    let signal = signal_name(asked.signal);
    let process = match sender.command.as_str() {
        "" => format!("process {}, which has ended", sender.pid),
        command => format!("process {} ({command})", sender.pid),
    };
    let text = match job {
        Some(job) => format!("{signal} was sent to Drydock by a process of the job {job}: {process}"),
        None => format!("{signal} was sent by {process}"),
    };
    (!run.warnings.contains(&text)).then_some(text)
}
