//! The valgrind command line of a planned job (valgrind manual, chapters 2, 4 and 9).

use std::path::Path;

use crate::plan::{PlannedJob, ToolKind};

/// The job's command with its tool in front. The tool's files go to `directory`, one a process (`%p`).
/// With `diet`, the declared options that save memory come last.
pub fn command_line(job: &PlannedJob, project: &Path, directory: &Path, diet: bool) -> Vec<String> {
    if job.tool.kind == ToolKind::None {
        return job.argv.clone();
    }
    let name = job.tool.kind.name();
    // `%` starts a format in valgrind's file options.
    let directory = directory.display().to_string().replace('%', "%%");
    let mut line = vec!["valgrind".to_owned(), format!("--tool={name}")];
    if job.tool.kind.finds_errors() {
        line.push("--xml=yes".into());
        line.push(format!("--xml-file={directory}/{name}.%p.xml"));
        // C++ and Rust functions have the names that suppressions are compared with only in what this makes.
        line.push("--gen-suppressions=all".into());
    } else {
        line.push(format!("--massif-out-file={directory}/massif.%p"));
        // Massif's own messages; without this they would mix with the program's output.
        line.push(format!("--log-file={directory}/massif.%p.log"));
    }
    line.push(format!("--trace-children={}", if job.tool.trace_children { "yes" } else { "no" }));
    if job.tool.trace_children && !job.tool.skip_children.is_empty() {
        line.push(format!("--trace-children-skip={}", job.tool.skip_children.join(",")));
    }
    for file in &job.tool.suppressions {
        line.push(format!("--suppressions={}", project.join(file).display()));
    }
    line.extend(job.tool.options(diet));
    line.push("--".into());
    line.extend(job.argv.iter().cloned());
    line
}
