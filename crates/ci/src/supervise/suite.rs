//! The processes of a suite that starts valgrind itself: which of them run under it, with which options, and where their
//! logs go.
//!
//! The job's processes are looked at every few tens of milliseconds (proc(5)).

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::evidence::SuiteEvidence;
use crate::plan::PlannedJob;
use crate::probe::process;
use drydock_base::text::printable;
use drydock_valgrind::by_suite::{
    Destination, Invocation, LAUNCHER, SuiteOptions, VARIABLE, expand, tool_of_executable, value,
};
use drydock_valgrind::findings::MOST_BYTES;
use drydock_valgrind::leak_kinds::show_what_counts;
use drydock_valgrind::tool::Tool;

/// The time between two looks at the processes: a tenth of the time that valgrind needs for the smallest program.
const LOOK: Duration = Duration::from_millis(40);
/// Looking takes at most one part in this many of the time.
const LOOK_SHARE: u32 = 20;
/// More processes than this are not looked at.
const MOST_PROCESSES: usize = 16 << 10;
/// More reasons are only counted.
const MOST_REASONS: usize = 64;
/// Logs of the suite's own that are kept open.
const MOST_OPEN: usize = 256;

/// One suite while it runs.
pub(super) struct Suite {
    directory: PathBuf,
    project: PathBuf,
    tool: Tool,
    /// The directory with links to files whose paths hold blanks.
    _links: Option<tempfile::TempDir>,
    next: Instant,
    seen: HashMap<Identity, Seen>,
    open: usize,
}

/// A program in a process: an exec keeps pid and start time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    pid: u32,
    ticks: u64,
    executable: PathBuf,
    /// The first words, which tell valgrind's programs apart after an exec.
    command: Vec<String>,
}

/// What is known of a program.
enum Seen {
    /// It is a program of the project, without valgrind.
    Native(String),
    /// It is of no interest.
    Other,
    /// It runs under a tool of valgrind.
    Traced(Traced),
}

struct Traced {
    tool: String,
    program: String,
    /// The pid that valgrind itself sees, in the innermost namespace.
    pid: u32,
    destination: Destination,
    /// Its own XML file, once it is open.
    own: Option<File>,
}

/// What a job gets for a suite that starts valgrind itself.
pub(super) struct Handed {
    /// The value of [`VARIABLE`].
    pub(super) options: String,
    links: Option<tempfile::TempDir>,
}

/// The options for the job's environment. Valgrind splits them at blanks and knows no quotes, so paths with blanks are
/// reached over links in a temporary directory.
pub(super) fn handed(job: &PlannedJob, project: &Path, directory: &Path, reduced: bool) -> io::Result<Handed> {
    let mut links: Option<tempfile::TempDir> = None;
    let mut number = 0;
    let mut reachable = |path: PathBuf| -> io::Result<PathBuf> {
        if !path.display().to_string().contains(char::is_whitespace) {
            return Ok(path);
        }
        let made = match links.take() {
            Some(made) => made,
            None => tempfile::Builder::new().prefix("drydock-").tempdir_in(without_blanks())?,
        };
        number += 1;
        let link = made.path().join(number.to_string());
        let linked = std::os::unix::fs::symlink(&path, &link);
        links = Some(made);
        linked.map(|()| link)
    };
    let directory = reachable(directory.to_owned())?;
    let files = job.tool.suppressions.iter().map(|file| reachable(project.join(file)));
    let suppressions = files.collect::<io::Result<Vec<PathBuf>>>()?;
    let suppressions: Vec<String> = suppressions.iter().map(|file| file.display().to_string()).collect();
    let mut args = job.tool.options(reduced);
    args.extend(show_what_counts(&args).filter(|_| job.tool.kind == Tool::Memcheck));
    let own = job.env.get(VARIABLE).cloned();
    let passed = || job.pass_env.iter().any(|name| name == VARIABLE).then(|| std::env::var(VARIABLE).ok()).flatten();
    let before = own.or_else(passed);
    let options = value(SuiteOptions {
        tool: job.tool.kind,
        directory: &directory,
        args: &args,
        skip_children: &job.tool.skip_children,
        suppressions: &suppressions,
        before: before.as_deref(),
    });
    Ok(Handed { options, links })
}

fn without_blanks() -> PathBuf {
    let usual = std::env::temp_dir();
    if usual.display().to_string().contains(char::is_whitespace) { "/tmp".into() } else { usual }
}

impl Suite {
    /// Takes note of a suite that is about to start.
    pub(super) fn new(job: &PlannedJob, project: &Path, directory: &Path, handed: Handed) -> Suite {
        Suite {
            directory: directory.to_owned(),
            // The kernel names executables by their true paths.
            project: fs::canonicalize(project).unwrap_or_else(|_| project.to_owned()),
            tool: job.tool.kind,
            _links: handed.links,
            next: Instant::now(),
            seen: HashMap::new(),
            open: 0,
        }
    }

    /// The moment of the next look at the processes.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Looks at the job's processes.
    pub(super) fn look(&mut self, members: &[u32]) {
        let began = Instant::now();
        for pid in members {
            self.look_at(*pid);
        }
        self.next = began + LOOK.max(began.elapsed() * LOOK_SHARE);
    }

    fn look_at(&mut self, pid: u32) {
        // A process that has ended meanwhile is not there.
        let Ok(executable) = fs::read_link(format!("/proc/{pid}/exe")) else { return };
        let Some(stat) = process::stat(pid) else { return };
        let command = if tool_of_executable(&executable).is_some() { process::words(pid) } else { Vec::new() };
        if command.is_empty() && tool_of_executable(&executable).is_some() {
            // In the middle of an exec.
            return;
        }
        let identity = Identity { pid, ticks: stat.ticks, executable, command };
        if let Some(Seen::Traced(traced)) = self.seen.get_mut(&identity) {
            self.open += usize::from(self.open < MOST_OPEN && traced.open_own(pid));
        } else if self.seen.len() < MOST_PROCESSES && !self.seen.contains_key(&identity) {
            let seen = self.recognise(&identity);
            self.seen.extend(seen.map(|seen| (identity, seen)));
        }
    }

    /// `None` as long as nothing can be said of it: it is in the middle of an exec, or about to vanish.
    fn recognise(&self, process: &Identity) -> Option<Seen> {
        let Some(tool) = tool_of_executable(&process.executable) else {
            let shown = process.executable.strip_prefix(&self.project).ok();
            return Some(shown.map_or(Seen::Other, |path| Seen::Native(printable(&path.to_string_lossy(), 200))));
        };
        let invocation = Invocation::new(&process.command);
        let environment = process::environment(process.pid)?;
        process::variable(&environment, LAUNCHER)?;
        let passed = process::variable(&environment, VARIABLE);
        let directory = self.handed_directory(passed.as_deref());
        let program = invocation.program.first().map_or("?", String::as_str);
        let mut traced = Traced {
            tool: tool.to_owned(),
            program: printable(program, 200),
            pid: process::innermost_pid(process.pid).unwrap_or(process.pid),
            destination: invocation.destination(tool, passed.as_deref(), &directory),
            own: None,
        };
        traced.open_own(process.pid);
        Some(Seen::Traced(traced))
    }

    /// The attempt's directory as the suite knows it.
    fn handed_directory(&self, passed: Option<&str>) -> PathBuf {
        let link = self._links.as_ref().map(|links| links.path().join("1"));
        link.filter(|link| passed.is_some_and(|passed| passed.contains(&link.display().to_string())))
            .unwrap_or_else(|| self.directory.clone())
    }

    /// Copies the suite's own XML to the attempt's directory. All processes are gone.
    pub(super) fn collect(&mut self) {
        let mut number = 0;
        for seen in self.seen.values_mut() {
            let Seen::Traced(traced) = seen else { continue };
            let Some(own) = traced.own.take() else { continue };
            let is_error_tool = Tool::finding_errors().any(|tool| tool.name() == traced.tool);
            number += 1;
            let copy = self.directory.join(format!("{}.{}.own-{number}.xml", traced.tool, traced.pid));
            let copied = File::create_new(copy).and_then(|mut file| io::copy(&mut own.take(MOST_BYTES), &mut file));
            match copied {
                Ok(_) if is_error_tool => traced.destination = Destination::Collected,
                Ok(_) => {}
                Err(error) => {
                    traced.destination = Destination::Elsewhere(format!("its own XML cannot be copied: {error}"));
                }
            }
        }
    }

    /// What was seen. [`Suite::collect`] was called before.
    pub(super) fn evidence(&self) -> SuiteEvidence {
        let logs = self.logs();
        let mut evidence = SuiteEvidence { tool: self.tool, ..SuiteEvidence::default() };
        let mut more = 0;
        let mut unlogged: BTreeMap<String, u64> = BTreeMap::new();
        for seen in self.seen.values() {
            match seen {
                Seen::Other => {}
                Seen::Native(program) => *evidence.native.entry(program.clone()).or_default() += 1,
                Seen::Traced(traced) => traced.judge(self.tool, &logs, &mut evidence, &mut unlogged),
            }
        }
        // The suite's own program is known by its job.
        for (why, count) in unlogged {
            if evidence.unlogged.len() >= MOST_REASONS {
                more += 1;
            } else if count == 1 {
                evidence.unlogged.push(why);
            } else {
                evidence.unlogged.push(format!("{why} ({count} processes)"));
            }
        }
        if more > 0 {
            evidence.unlogged.push(format!("and {more} more"));
        }
        evidence
    }

    /// The files of the attempt by tool and pid: `memcheck.4711`.
    fn logs(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.map(|name| name.split('.').take(2).collect::<Vec<_>>().join(".")).collect()
    }
}

impl Traced {
    /// Opens the process's own XML, whatever becomes of its name later. `true` if it is open now and was not before.
    fn open_own(&mut self, pid: u32) -> bool {
        let Destination::OwnXml(template) = &self.destination else { return false };
        if self.own.is_some() {
            return false;
        }
        let variable = |name: &str| process::environment_variable(pid, name);
        let Some(file) = expand(template, self.pid, variable) else { return false };
        let Some(name) = Path::new(&file).file_name() else { return false };
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let is_it = |path: &PathBuf| fs::read_link(path).is_ok_and(|target| target.file_name() == Some(name));
        let found = descriptors.flatten().map(|entry| entry.path()).find(is_it);
        self.own =
            found.and_then(|path| File::open(path).ok()).filter(|file| file.metadata().is_ok_and(|it| it.is_file()));
        self.own.is_some()
    }

    fn judge(&self, tool: Tool, logs: &[String], evidence: &mut SuiteEvidence, unlogged: &mut BTreeMap<String, u64>) {
        let Traced { tool: name, program, pid, destination, .. } = self;
        let finds_errors = Tool::finding_errors().any(|tool| tool.name() == name);
        let is_collected = name == tool.name() || finds_errors && tool.finds_errors();
        if *destination == Destination::Nothing {
            return;
        }
        if !is_collected {
            *evidence.other_tools.entry(format!("{program} ({name})")).or_default() += 1;
            return;
        }
        match destination {
            Destination::Nothing => {}
            Destination::Collected => {
                if !logs.contains(&format!("{name}.{pid}")) {
                    let why = format!(
                        "{program} ran under {name} as process {pid}, but left no log: it was killed at once, or could \
                         not write to the directory of the run"
                    );
                    if evidence.without_log.len() < MOST_REASONS {
                        evidence.without_log.insert(format!("{name}.{pid}"), why);
                    }
                }
            }
            Destination::OwnXml(file) if finds_errors => {
                *unlogged.entry(format!("{program} under {name}: its options have --xml-file={file}")).or_default() +=
                    1;
            }
            // Only tools that find errors write XML.
            Destination::OwnXml(_) => {}
            Destination::Elsewhere(why) => *unlogged.entry(format!("{program} under {name}: {why}")).or_default() += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// The kernel shows the command line a moment before the environment, and both are gone a moment before the process is.
    #[test]
    fn a_process_that_starts_or_ends_at_that_moment_is_not_one_without_the_options() {
        let directory = tempfile::tempdir().unwrap();
        let suite = || Suite {
            directory: directory.path().to_owned(),
            project: directory.path().to_owned(),
            tool: Tool::Memcheck,
            _links: None,
            next: Instant::now(),
            seen: HashMap::new(),
            open: 0,
        };
        let options = format!("--memcheck:xml=yes --memcheck:xml-file={}/memcheck.%p.xml", directory.path().display());
        let mut collected = 0;
        for _ in 0..12 {
            let valgrind = ["-q", "--child-silent-after-fork=yes", "true"];
            let command = Command::new("valgrind").args(valgrind).env(VARIABLE, &options).stderr(Stdio::null()).spawn();
            let Ok(mut child) = command else {
                assert!(std::env::var_os("CI").is_none(), "valgrind is missing");
                return;
            };
            while child.try_wait().unwrap().is_none() {
                // Each look is a first one, at any moment.
                let mut suite = suite();
                suite.look_at(child.id());
                let evidence = suite.evidence();
                assert!(evidence.unlogged.is_empty(), "{:?}", evidence.unlogged);
                collected += suite.seen.values().filter(|seen| matches!(seen, Seen::Traced(_))).count();
            }
        }
        assert!(collected > 12, "{collected}");
    }
}
