//! The tools of valgrind in a declaration: the options that a project may set, and the resolved tool of each job.

use super::declared::{
    HeapDeclaration, JobDeclaration, ProfilerDeclaration, SystemPrograms, Text, ToolDeclaration, ToolsDeclaration,
    ValgrindStart,
};
use super::{JobTool, ToolSettings, heap};
use crate::decode::Spanned;
use crate::diagnostic::{Problem, Problems};
use crate::paths;
use crate::template::Placeholder;
use drydock_base::text::quoted;
use drydock_valgrind::options::{Treatment, treatment};
use drydock_valgrind::tool::{Output, Tool};
use std::collections::BTreeMap;
use std::path::Path;

/// The file with suppressions for a tool that declares none, relative to the project; it need not exist.
pub fn usual_suppressions(tool: &str) -> String {
    format!("ci/suppressions/{tool}.supp")
}

/// The settings of all tools, checked once.
pub(super) struct Tools(BTreeMap<Tool, ToolSettings>);

impl Tools {
    /// Checks the options, and with a project that the suppression files exist.
    pub(super) fn resolve(declared: ToolsDeclaration, project: Option<&Path>, problems: &mut Problems) -> Self {
        let ToolsDeclaration { memcheck, helgrind, drd, massif, dhat } = declared;
        let mut all = BTreeMap::new();
        for (tool, declared) in [(Tool::Memcheck, memcheck), (Tool::Helgrind, helgrind), (Tool::Drd, drd)] {
            let ToolDeclaration { args, suppressions, trace_children, skip_children, system_programs, reduced_args } =
                declared;
            suppressions.iter().for_each(|file| check_suppressions(file, project, problems));
            let usual = usual_suppressions(tool.name());
            let has_usual = || project.is_some_and(|project| project.join(&usual).is_file());
            let suppressions: Vec<String> = match suppressions.is_empty() {
                true if has_usual() => vec![usual],
                _ => suppressions.into_iter().filter_map(|file| file.value).collect(),
            };
            let settings = ToolSettings {
                args: match args {
                    Some(args) => options(tool, &args, problems),
                    None => tool.spec().usual_args.iter().map(|arg| (*arg).to_owned()).collect(),
                },
                suppressions,
                trace_children,
                check_system: system_programs.value == Some(SystemPrograms::Check),
                reduced_args: options(tool, &reduced_args, problems),
                skip_children: patterns(skip_children, problems),
                wrappers: Vec::new(),
            };
            all.insert(tool, settings);
        }
        for (tool, declared) in [(Tool::Massif, massif), (Tool::Dhat, dhat)] {
            let ProfilerDeclaration { args, trace_children, skip_children, wrappers } = declared;
            let wrappers = functions(wrappers, problems);
            let args = options(tool, &args, problems);
            let skip_children = patterns(skip_children, problems);
            all.insert(tool, ToolSettings { args, trace_children, skip_children, wrappers, ..ToolSettings::default() });
        }
        Self(all)
    }

    /// The wrappers that are declared for massif.
    pub(super) fn massif_wrappers(&self) -> Vec<String> {
        self.0.get(&Tool::Massif).map_or_else(Vec::new, |settings| settings.wrappers.clone())
    }

    /// The tool of one job, with the job's own options.
    pub(super) fn job_tool(
        &self,
        job: &JobDeclaration,
        allowed: &[Placeholder],
        problems: &mut Problems,
    ) -> Option<JobTool> {
        let kind = job.tool.value?;
        check_heap(kind, job.heap.as_ref(), problems);
        let heap = heap::resolve(job, allowed, problems);
        let args = job.tool_args.value.as_deref().unwrap_or_default();
        if !kind.is_valgrind() && !args.is_empty() {
            let problem = Problem::new(job.tool_args.place, "`tool-args` in a job without a tool");
            problems.push(problem.expected("a `tool` in this job, such as `tool: memcheck`"));
        }
        let own = options(kind, args, problems);
        let mut settings = self.0.get(&kind).cloned().unwrap_or_default();
        settings.args.extend(own);
        let by_suite = job.valgrind.value? == ValgrindStart::BySuite;
        check_start(kind, by_suite, &job.valgrind, &settings, problems);
        Some(JobTool { kind, by_suite, settings, heap })
    }

    /// The maximum number of bytes that one job copies from these settings.
    pub(super) fn shared_bytes(&self) -> usize {
        let size = |tool: &ToolSettings| {
            let lists = [&tool.args, &tool.suppressions, &tool.skip_children, &tool.reduced_args, &tool.wrappers];
            lists.into_iter().flatten().map(|text| text.len() + size_of::<String>()).sum::<usize>()
        };
        self.0.values().map(size).max().unwrap_or_default()
    }
}

/// A suite that starts valgrind itself gets its options in one variable, which is split at blanks (valgrind manual,
/// section 2.6.7).
fn check_start(
    kind: Tool,
    by_suite: bool,
    declared: &Spanned<ValgrindStart>,
    settings: &ToolSettings,
    problems: &mut Problems,
) {
    if !kind.is_valgrind() && declared.is_written() {
        let problem = Problem::new(declared.place, "`valgrind` in a job without a tool");
        problems.push(problem.expected("the `tool` that the suite uses, such as `tool: memcheck`"));
    }
    if !by_suite {
        return;
    }
    let words = [&settings.args, &settings.reduced_args, &settings.skip_children].into_iter().flatten();
    for word in words.filter(|word| word.contains(char::is_whitespace)) {
        let problem = format!("{} contains a blank, at which VALGRIND_OPTS is split", quoted(word));
        problems.push(
            Problem::new(declared.place, problem)
                .help("remove the blank; in patterns `?` stands for any character and `*` for any number of them"),
        );
    }
}

fn check_heap(kind: Tool, heap: Option<&Spanned<HeapDeclaration>>, problems: &mut Problems) {
    if let Some(heap) = heap {
        if kind.output() != Output::HeapOverTime {
            problems.push(
                Problem::new(heap.place, "`heap` in a job that does not run under massif")
                    .expected("`tool: massif` in this job"),
            );
        }
    }
}

/// The permitted options; the others are reported.
fn options(tool: Tool, args: &[Text], problems: &mut Problems) -> Vec<String> {
    let mut kept = Vec::new();
    for arg in args {
        let Some(text) = &arg.value else { continue };
        match refusal(tool, text) {
            Some(problem) => problems.push(Problem { place: arg.place, ..problem }),
            None => kept.push(text.clone()),
        }
    }
    kept
}

/// The problem of an option that is not permitted.
fn refusal(tool: Tool, option: &str) -> Option<Problem> {
    let place = crate::diagnostic::Place::START;
    if !option.starts_with('-') || option == "-" || option == "--" {
        // Valgrind would take the first such word for the program.
        let problem = Problem::new(place, format!("{} is not an option of valgrind", quoted(option)));
        return Some(problem.expected("options that start with `-`, with their values after `=`"));
    }
    match treatment(tool, option)? {
        Treatment::Implied => None,
        Treatment::Refused { reason, remedy } => {
            Some(Problem::new(place, format!("{} {reason}", quoted(option))).help(remedy))
        }
    }
}

/// Patterns that become one comma-separated option of valgrind.
fn patterns(declared: Vec<Text>, problems: &mut Problems) -> Vec<String> {
    let mut kept = Vec::new();
    for Spanned { place, value } in declared {
        let Some(text) = value else { continue };
        if text.is_empty() || text.contains(',') {
            problems.push(
                Problem::new(place, format!("{} is not a single pattern", quoted(&text)))
                    .expected("one pattern per element, without commas"),
            );
        } else {
            kept.push(text);
        }
    }
    kept
}

/// Patterns of functions, none of which matches every function.
fn functions(declared: Vec<Text>, problems: &mut Problems) -> Vec<String> {
    const LONGEST: usize = 500;
    let mut kept = Vec::new();
    for Spanned { place, value } in declared {
        let Some(text) = value else { continue };
        if text.len() > LONGEST || text.chars().any(char::is_control) || text.bytes().all(|b| b == b'*' || b == b' ') {
            problems.push(
                Problem::new(place, format!("{} is not the name of a function", quoted(&text)))
                    .expected("a name such as `xmalloc`, or a pattern such as `tal_alloc_*`"),
            );
        } else {
            kept.push(text);
        }
    }
    kept
}

fn check_suppressions(file: &Text, project: Option<&Path>, problems: &mut Problems) {
    let Some(path) = &file.value else { return };
    if let Err(bad) = paths::inside(path) {
        problems.push(Problem::bad_value(file.place, bad));
    } else if project.is_some_and(|project| !project.join(path).is_file()) {
        let problem = Problem::new(file.place, format!("the suppression file {} does not exist", quoted(path)));
        problems.push(problem.expected("a file of the project, which may be empty"));
    }
}

#[cfg(test)]
mod tests;
