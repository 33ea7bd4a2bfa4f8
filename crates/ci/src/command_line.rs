//! The valgrind command line of a planned job (valgrind manual, chapter 2).

use std::path::Path;

use crate::plan::PlannedJob;

/// The job's command, with its tool in front unless the command starts valgrind itself. The tool's files go to `directory`, one a process.
/// With `reduced`, the declared `reduced-args` come last.
pub fn command_line(job: &PlannedJob, project: &Path, directory: &Path, reduced: bool) -> Vec<String> {
    let tool = &job.tool;
    if !tool.kind.is_valgrind() || tool.by_suite {
        return job.argv.clone();
    }
    let mut line = vec!["valgrind".to_owned()];
    line.extend(tool.kind.options(directory));
    line.push(format!("--trace-children={}", if tool.trace_children { "yes" } else { "no" }));
    if tool.trace_children && !tool.skip_children.is_empty() {
        line.push(format!("--trace-children-skip={}", tool.skip_children.join(",")));
    }
    for file in &tool.suppressions {
        line.push(format!("--suppressions={}", project.join(file).display()));
    }
    line.extend(tool.options(reduced));
    line.push("--".into());
    line.extend(job.argv.iter().cloned());
    line
}
