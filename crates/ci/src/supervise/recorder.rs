//! Passes each event to the journal first, then to the state, then to the terminal.

use std::io;

use crate::event::{Event, Stamped};
use crate::journal::{Durability, Journal};
use crate::plan::PlannedJob;
use crate::report::Live;
use crate::report::terminal::Terminal;
use crate::run::Run;
use drydock_valgrind::findings::KEPT_BYTES;

/// The only writer of a run's journal and state.
pub struct Recorder<'a> {
    journal: Journal,
    /// The state so far.
    pub run: Run,
    terminal: &'a mut Terminal,
    failed: Option<io::Error>,
}

impl<'a> Recorder<'a> {
    /// A recorder that goes on from `run`.
    pub fn new(journal: Journal, run: Run, terminal: &'a mut Terminal) -> Recorder<'a> {
        Recorder { journal, run, terminal, failed: None }
    }

    /// Hands everything recorded so far to the kernel.
    pub fn flush(&mut self) {
        if let Err(error) = self.journal.flush() {
            self.failed.get_or_insert(error);
        }
    }

    /// Records an event that is written with the next [`Recorder::flush`].
    pub fn emit(&mut self, event: Event) {
        self.record(event, Durability::Soon);
    }

    /// Records an event before the act that it announces.
    pub fn emit_now(&mut self, event: Event) {
        self.record(event, Durability::Now);
    }

    fn record(&mut self, event: Event, durability: Durability) {
        let stamped = Stamped { at: unix_ms(), event };
        if let Err(error) = self.journal.append(&stamped, durability) {
            self.failed.get_or_insert(error);
        }
        self.run.apply(&stamped);
        self.terminal.event(&stamped, &self.run);
    }

    /// Records when admission of ready jobs is paused, with the reason, and when it is open again.
    pub(super) fn admission_paused(&mut self, objection: Option<&str>) {
        if objection.is_some() != self.run.paused.is_some() {
            self.emit(Event::AdmissionPaused { because: objection.map(str::to_owned) });
        }
    }

    /// Allocates disk space for the records to come.
    ///
    /// # Errors
    /// The disk is full, or an earlier record could not be written.
    pub fn reserve(&mut self) -> io::Result<()> {
        if let Some(error) = &self.failed {
            return Err(io::Error::new(error.kind(), format!("cannot write the journal: {error}")));
        }
        // The records that are still written if the run ends now: one for each running job, a line for each of the
        // others.
        let unsettled = self.run.plan.jobs.iter().zip(&self.run.jobs).filter(|(_, job)| job.result.is_none());
        let record =
            |planned: &PlannedJob| (32 << 10) + if planned.tool.kind.finds_errors() { KEPT_BYTES as u64 } else { 0 };
        let bytes = unsettled.map(|(planned, job)| if job.in_flight.is_some() { record(planned) } else { 256 }).sum();
        let reserved = self.journal.reserve(bytes);
        reserved.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot reserve disk space for the journal: {error}"))
        })
    }

    /// Live progress.
    pub fn progress(&mut self, live: &[Live]) {
        self.terminal.progress(live, &self.run);
    }

    /// Syncs the journal and gives the state back.
    pub fn finish(self) -> (Run, Option<io::Error>) {
        let gone = self.journal.is_gone().then(|| io::Error::other("it was deleted while the run went on"));
        let error = self.failed.or(gone).or(self.journal.close().err());
        (self.run, error)
    }
}

/// Unix time in milliseconds.
pub fn unix_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
