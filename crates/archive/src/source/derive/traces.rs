//! Traces of a machine in derived files, which two runs on one machine share: the directory, the time, the host name, and
//! versions of programs and libraries.
//!
//! Whether a number is such a version is decided by the line that holds it and by the files of the project, never by what is
//! installed: the verdict is the same on every machine. Installed packages only help to explain it.

mod versions;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{GeneratorRun, Output};
use crate::source::names::shown;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::text::plural;
use drydock_config::release::Generator;

/// The shortest host name that is searched for; shorter ones may be words.
const SHORTEST_HOST: usize = 6;
/// The most files with traces that are listed.
const MOST_SHOWN: usize = 20;
/// Larger files of the project are not searched: no source that a generator reads versions from is so large.
const LARGEST_SOURCE: u64 = 32 << 20;

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The runs of the generators, and what they had.
pub(super) struct Made<'m> {
    /// The generators.
    pub(super) generators: &'m [Generator],
    /// The first run of each.
    pub(super) runs: &'m [GeneratorRun],
    /// The files of the project, relative to `directory`.
    pub(super) sources: Vec<&'m str>,
    /// The directory of the runs.
    pub(super) directory: &'m Path,
    /// The name of the project, whose own version is no trace.
    pub(super) project: &'m str,
    /// The start of the runs, in seconds since 1970.
    pub(super) started: u64,
}

/// Fails if outputs have traces, with the first line of each.
pub(super) fn check(made: &Made) -> anyhow::Result<()> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let machine = Machine { directory: made.directory.display().to_string(), host, run: made.started..=now() };
    let mut search = Search::new(&machine, made.project);
    let checked = || made.generators.iter().zip(made.runs).filter(|(generator, _)| generator.host_independent);
    for (generator, run) in checked() {
        run.outputs.iter().for_each(|output| search.output(generator, output));
    }
    // What a generator wrote that may depend on the machine explains nothing in the outputs of the next one.
    let dependent = made.generators.iter().zip(made.runs).filter(|(generator, _)| !generator.host_independent);
    let dependent: HashSet<&str> =
        dependent.flat_map(|(_, run)| &run.outputs).map(|output| output.path.as_str()).collect();
    let inputs = made.runs.iter().flat_map(|run| &run.inputs).map(String::as_str);
    let sources: BTreeSet<&str> = made.sources.iter().copied().chain(inputs).collect();
    for path in sources.into_iter().filter(|path| !dependent.contains(path)) {
        if search.is_settled() {
            break;
        }
        let path = made.directory.join(path);
        let is_text = fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST_SOURCE);
        if let (true, Ok(content)) = (is_text, fs::read(&path)) {
            search.source(&String::from_utf8_lossy(&content));
        }
    }
    let problems = search.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let installed = installed_versions();
    let shown = problems.iter().take(MOST_SHOWN);
    let mut list = shown.map(|problem| format!("\n  {}", problem.describe(&installed))).collect::<String>();
    if problems.len() > MOST_SHOWN {
        list.push_str(&format!("\n  and {} more", plural(problems.len() - MOST_SHOWN, "file")));
    }
    let help = "keep it out of the output, declare `host-independent: false`, or list a false positive under `allow`";
    Err(Failure::not_reproducible(format!("derived files contain traces of this machine:{list}\n  {help}")))
}

/// What is searched for.
#[derive(Clone)]
struct Machine {
    directory: String,
    host: String,
    /// The run, in seconds since 1970.
    run: RangeInclusive<u64>,
}

/// A kind of trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Trace {
    /// The directory of the run. It has a random name, so that no source can have it.
    Directory,
    /// The host name.
    Host(String),
    /// A time during the run, in seconds since 1970.
    Time(u64),
    /// A version with the name before it, in lower case.
    Version { number: String, name: String },
}

/// A line of an output that has a trace, unless the project has it, too.
struct Suspect<'m> {
    generator: &'m Generator,
    output: &'m Output,
    line: usize,
    trace: Trace,
}

/// One pass over all outputs, then one over the sources: every line is read once, however many files there are.
struct Search<'m> {
    machine: &'m Machine,
    /// In lower case.
    project: String,
    suspects: Vec<Suspect<'m>>,
    /// The names of each number that is still to be found in the sources.
    numbers: HashMap<String, HashSet<String>>,
    /// What was found and is not explained by a source yet.
    open: HashSet<Trace>,
    /// The number of lines that were read.
    lines: usize,
}

impl<'m> Search<'m> {
    fn new(machine: &'m Machine, project: &str) -> Search<'m> {
        Search {
            machine,
            project: project.to_lowercase(),
            suspects: Vec::new(),
            numbers: HashMap::new(),
            open: HashSet::new(),
            lines: 0,
        }
    }

    /// Notes the suspicious lines of an output, each trace once.
    fn output(&mut self, generator: &'m Generator, output: &'m Output) {
        let text = String::from_utf8_lossy(&output.content);
        let mut seen = HashSet::new();
        for (number, line) in text.lines().enumerate() {
            self.lines += 1;
            if generator.allow.iter().any(|allowed| line.contains(allowed.as_str())) {
                continue;
            }
            let mut traces = self.machine.traces(line);
            if !generator.copies {
                traces.extend(
                    versions::suspicious(line).map(|found| Trace::Version {
                        number: found.number.to_owned(),
                        name: found.name.to_lowercase(),
                    }),
                );
            }
            for trace in traces {
                if self.is_own(&trace) || !seen.insert(trace.clone()) {
                    continue;
                }
                if let Trace::Version { number, name } = &trace {
                    self.numbers.entry(number.clone()).or_default().insert(name.clone());
                }
                self.open.insert(trace.clone());
                self.suspects.push(Suspect { generator, output, line: number + 1, trace });
            }
        }
    }

    /// True for the project's own version, which may be put together from several numbers of the sources.
    fn is_own(&self, trace: &Trace) -> bool {
        match trace {
            Trace::Version { name, .. } => {
                name.len() >= 2 && self.project.split(|letter: char| !letter.is_alphabetic()).any(|part| part == name)
            }
            Trace::Directory | Trace::Host(_) | Trace::Time(_) => false,
        }
    }

    /// Notes what a file of the project has.
    fn source(&mut self, text: &str) {
        for line in text.lines() {
            self.lines += 1;
            let mut lower = None;
            for found in versions::all(line) {
                let Some(names) = self.numbers.get_mut(found.number) else { continue };
                let lower = lower.get_or_insert_with(|| line.to_lowercase());
                // A file of nothing but the version, and a line that begins with it, are about any name.
                names.retain(|name| {
                    let fits = found.name.is_empty() || name.is_empty() || lower.contains(name.as_str());
                    if fits {
                        self.open.remove(&Trace::Version { number: found.number.to_owned(), name: name.clone() });
                    }
                    !fits
                });
            }
            for trace in self.machine.traces(line).iter().filter(|trace| **trace != Trace::Directory) {
                self.open.remove(trace);
            }
        }
    }

    /// True if nothing that the sources hold can change the result.
    fn is_settled(&self) -> bool {
        // At most one of them is the directory.
        self.open.len() < 2 && self.open.iter().all(|trace| *trace == Trace::Directory)
    }

    /// The first trace of each output that the project does not have itself.
    fn problems(&self) -> Vec<&Suspect<'m>> {
        let mut last = None;
        let suspects = self.suspects.iter().filter(|suspect| self.open.contains(&suspect.trace));
        suspects.filter(|suspect| last.replace(&suspect.output.path) != Some(&suspect.output.path)).collect()
    }
}

impl Machine {
    /// The traces in a line that are not versions.
    fn traces(&self, line: &str) -> Vec<Trace> {
        let mut traces = Vec::new();
        if line.contains(&self.directory) {
            traces.push(Trace::Directory);
        }
        if self.host.len() >= SHORTEST_HOST && holds_word(line, &self.host) {
            traces.push(Trace::Host(self.host.clone()));
        }
        let digits = line.split(|letter: char| !letter.is_ascii_digit()).filter(|word| word.len() == 10);
        let times = digits.filter_map(|word| word.parse().ok()).filter(|time| self.run.contains(time));
        traces.extend(times.map(Trace::Time));
        traces
    }
}

impl Suspect<'_> {
    fn describe(&self, installed: &Installed) -> String {
        let what = match &self.trace {
            Trace::Directory => "the directory that it was generated in".to_owned(),
            Trace::Host(host) => format!("the host name `{host}`"),
            Trace::Time(time) => format!("the time of the run, {time}"),
            Trace::Version { number, name } => {
                let named = |stems: &[String]| stems.iter().any(|stem| name.contains(stem.as_str()));
                let packages = installed.get(number).into_iter().flatten();
                match packages.into_iter().find(|(_, stems)| named(stems)) {
                    Some((package, _)) => format!("the version {number} of the installed package {package}"),
                    None if name.is_empty() => format!("the version {number}, which no file of the project has,"),
                    None => format!("the version {number} of {name}, which no file of the project has,"),
                }
            }
        };
        let content = String::from_utf8_lossy(&self.output.content);
        let line = content.lines().nth(self.line - 1).unwrap_or_default();
        format!(
            "{} (generator {}) contains {what} in line {}:\n      {}",
            self.output.path,
            self.generator.name,
            self.line,
            shown(line.trim())
        )
    }
}

fn holds_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part) && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// Installed Debian packages by upstream version, each with the words that it may be called by.
type Installed = BTreeMap<String, Vec<(String, Vec<String>)>>;

/// The installed Debian packages by upstream version, each with the words that it may be called by.
fn installed_versions() -> Installed {
    let mut versions = Installed::new();
    let query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\\n"].map(str::to_owned);
    for line in exec::read(&query, Path::new("/")).unwrap_or_default().lines() {
        let Some((package, version)) = line.split_once(' ') else { continue };
        let (version, stems) = (upstream(version), stems(package));
        if version.matches('.').count() >= 1 && !stems.is_empty() {
            versions.entry(version).or_default().push((package.to_owned(), stems));
        }
    }
    versions
}

/// `1:1.2.13.dfsg-1` → `1.2.13`.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(version, _)| version);
    let end = version.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(version.len());
    let version = &version[..end];
    let end = version.find(".dfsg").or_else(|| version.find("dfsg")).unwrap_or(version.len());
    version[..end].to_owned()
}

/// `libsqlite3-0` → `sqlite`; `python3-mako` → `mako`.
fn stems(package: &str) -> Vec<String> {
    const COMMON: [&str; 12] =
        ["dev", "bin", "common", "data", "doc", "python", "tools", "utils", "base", "core", "perl", "runtime"];
    let parts = package.split('-').map(|part| {
        let part = part.strip_prefix("lib").unwrap_or(part);
        part.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default()
    });
    parts.filter(|part| part.len() >= 3 && !COMMON.contains(part)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
