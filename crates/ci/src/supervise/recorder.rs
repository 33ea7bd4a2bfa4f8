//! Passes each event to the journal first, then to the state, then to the terminal.

use std::io;

use crate::event::{Event, Stamped};
use crate::journal::{Durability, Journal};
use crate::plan::PlannedJob;
use crate::report::Live;
use crate::report::terminal::Terminal;
use crate::retell;
use crate::run::Run;
use drydock_base::paths::RunDir;
use drydock_valgrind::findings::KEPT_BYTES;

/// The only writer of a run's journal and state.
pub struct Recorder<'a> {
    journal: Journal,
    dir: RunDir,
    /// The state so far.
    pub run: Run,
    terminal: &'a mut Terminal,
    failed: Option<io::Error>,
}

impl<'a> Recorder<'a> {
    /// A recorder that goes on from `run`, which is kept in `dir`.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn new(dir: RunDir, run: Run, terminal: &'a mut Terminal) -> anyhow::Result<Recorder<'a>> {
        Ok(Recorder { journal: Journal::open(&dir)?, dir, run, terminal, failed: None })
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

    /// Writes the journal again if another process changed it. With `whole`, all of it is compared.
    pub fn repair(&mut self, whole: bool) {
        self.flush();
        // What is known of the run is then stored elsewhere.
        if !self.dir.is_in_place() {
            return;
        }
        let Some(tampering) = self.journal.tampering(&self.dir, whole) else { return };
        match Journal::write_anew(&self.dir, &retell::events(&self.run)) {
            Ok(journal) => {
                self.journal = journal;
                let text = format!(
                    "the journal {tampering}, which only a job or somebody else can have done while the run went on; \
                     it was written again from memory"
                );
                self.emit_now(Event::Warning { text });
            }
            Err(error) => {
                let text = format!("it {tampering}, and cannot be written again: {error:#}");
                self.failed.get_or_insert(io::Error::other(text));
            }
        }
    }

    /// Live progress.
    pub fn progress(&mut self, live: &[Live]) {
        self.terminal.progress(live, &self.run);
    }

    /// Syncs the journal and gives the state back.
    pub fn finish(mut self) -> (Run, Option<io::Error>) {
        self.repair(true);
        let error = self.failed.or(self.journal.close().err());
        (self.run, error)
    }
}

/// Unix time in milliseconds.
pub fn unix_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
