//! Valgrind's logs of one attempt: watched while it runs, read when its processes are gone. Long ones are read beside
//! the loop, so that no deadline of another job waits for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::command_line::ToolOptions;
use crate::evidence::ValgrindEvidence;
use crate::plan::PlannedJob;
use drydock_valgrind::around::Around;
use drydock_valgrind::findings;
use drydock_valgrind::options::last;
use drydock_valgrind::tool::Tool;
use drydock_valgrind::watch::{LogWatch, Opens};

/// Logs of at most this size together are read at once, which takes milliseconds.
const SHORT: u64 = 64 << 10;

/// The logs of an attempt under memcheck, helgrind or drd.
pub(super) struct Logs {
    traced: Arc<Command>,
    state: State,
}

/// The traced command, shared with the thread that reads its logs.
struct Command {
    directory: PathBuf,
    tool: Tool,
    options: ToolOptions,
    argv: Vec<String>,
    traces_all: bool,
    by_suite: bool,
    /// The project, the job's directory, and the file that its command was found as, if programs of the system are distinguished.
    places: Option<(PathBuf, PathBuf, PathBuf)>,
}

enum State {
    Watched(Option<LogWatch>),
    InWork(JoinHandle<ValgrindEvidence>),
    Read(Box<ValgrindEvidence>),
}

impl Logs {
    /// Begins to watch the directory.
    pub(super) fn new(job: &PlannedJob, project: &Path, directory: PathBuf, options: ToolOptions) -> Logs {
        let state = State::Watched(LogWatch::new(&directory).ok());
        let traced = Command {
            directory,
            tool: job.tool.kind,
            argv: options.argv.clone().unwrap_or_else(|| job.argv.clone()),
            traces_all: job.tool.trace_children
                && job.tool.skip_children.is_empty()
                && !job.tool.by_suite
                && last(job.tool.kind, &options.args, "--trace-children-skip-by-arg").is_none(),
            by_suite: job.tool.by_suite,
            places: options.found.clone().filter(|_| !job.tool.check_system).map(|found| {
                let [project, working] = [project.to_owned(), project.join(&job.directory)];
                // Objects and sources have true paths.
                (std::fs::canonicalize(&project).unwrap_or(project), working, found)
            }),
            options,
        };
        Logs { traced: Arc::new(traced), state }
    }

    /// `true` if they have been read; the first call begins to read them, after `prepare`. All processes are gone by then.
    pub(super) fn are_read(&mut self, main: u32, prepare: impl FnOnce()) -> bool {
        let opens = match &mut self.state {
            State::Read(_) => return true,
            State::InWork(thread) => return thread.is_finished(),
            State::Watched(watch) => watch.take().map(LogWatch::end),
        };
        prepare();
        if findings::size(&self.traced.directory, self.traced.tool.name(), self.traced.by_suite) > SHORT {
            let (traced, opens) = (Arc::clone(&self.traced), opens.clone());
            let thread = std::thread::Builder::new().name("valgrind-logs".into());
            if let Ok(thread) = thread.spawn(move || traced.read(main, opens.as_ref())) {
                self.state = State::InWork(thread);
                return false;
            }
        }
        self.state = State::Read(Box::new(self.traced.read(main, opens.as_ref())));
        true
    }

    /// Their content. Waits until they have been read.
    pub(super) fn evidence(mut self, main: u32) -> ValgrindEvidence {
        self.are_read(main, || ());
        match self.state {
            State::Read(evidence) => *evidence,
            State::InWork(thread) => thread.join().unwrap_or_else(|_| ValgrindEvidence {
                lost: vec!["reading the logs failed, which is a bug in Drydock".into()],
                ..ValgrindEvidence::default()
            }),
            State::Watched(_) => ValgrindEvidence::default(),
        }
    }
}

impl Command {
    fn read(&self, main: u32, opens: Option<&Opens>) -> ValgrindEvidence {
        let mut evidence = findings::gather(findings::Traced {
            directory: &self.directory,
            tool: self.tool,
            args: &self.options.args,
            declares_exit: self.options.declares_exit,
            argv: &self.argv,
            traces_all: self.traces_all,
            main: Some(main),
            opens,
            by_suite: self.by_suite,
            around: self.places.as_ref().map(|(project, directory, command)| Around {
                project,
                directory,
                command,
                frames: last(self.tool, &self.options.args, "--num-callers").and_then(|n| n.parse().ok()).unwrap_or(12),
            }),
        });
        evidence.incomplete.splice(..0, self.options.unchecked.clone());
        ValgrindEvidence { notes: self.options.notes.clone(), ..evidence }
    }
}
