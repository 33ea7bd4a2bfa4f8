//! The tools of valgrind that jobs can run under: one table.
//!
//! Sources: the valgrind manual, chapters 2 (options of the core), 4 (memcheck), 7 (helgrind), 8 (drd), 9 (massif) and 10
//! (dhat).

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tool that a job runs under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// No tool: the command runs by itself.
    #[default]
    None,
    /// Errors of memory use.
    Memcheck,
    /// Data races and lock order, by happens-before and lock sets.
    Helgrind,
    /// Data races, by happens-before.
    Drd,
    /// The heap over time.
    Massif,
    /// The use of heap blocks by allocation site.
    Dhat,
}

/// The content of a tool's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The tool writes no file.
    Nothing,
    /// A log of errors in XML, which [`crate::findings`] reads: `TOOL.PID.xml`.
    Errors,
    /// The heap over time, which [`crate::massif`] reads: `massif.PID`.
    HeapOverTime,
    /// Allocations by site, which [`crate::dhat`] reads: `dhat.PID`.
    Allocations,
}

/// The description of a tool.
#[derive(Debug, Clone, Copy)]
pub struct ToolSpec {
    /// The tool that is described.
    pub tool: Tool,
    /// The name in declarations, reports and valgrind's `--tool=`.
    pub name: &'static str,
    /// The content of its files.
    pub output: Output,
    /// The options that send its files to `{files}`, which stands for `DIRECTORY/TOOL.PID`.
    output_options: &'static [&'static str],
    /// The options that a project gets unless it declares others.
    pub usual_args: &'static [&'static str],
}

/// Findings are compared with suppressions by the names that `--gen-suppressions=all` makes: functions of C++ and Rust have
/// them nowhere else.
const XML: &[&str] = &["--xml=yes", "--xml-file={files}.xml", "--gen-suppressions=all"];

/// All tools, in the order in which messages list them; [`Tool`] is the index.
///
/// The profilers get a log file of their own: without it their messages would mix with the program's output.
pub const TOOLS: [ToolSpec; 6] = [
    ToolSpec { tool: Tool::None, name: "none", output: Output::Nothing, output_options: &[], usual_args: &[] },
    ToolSpec {
        tool: Tool::Memcheck,
        name: "memcheck",
        output: Output::Errors,
        output_options: XML,
        usual_args: &["--leak-check=full"],
    },
    ToolSpec { tool: Tool::Helgrind, name: "helgrind", output: Output::Errors, output_options: XML, usual_args: &[] },
    ToolSpec { tool: Tool::Drd, name: "drd", output: Output::Errors, output_options: XML, usual_args: &[] },
    ToolSpec {
        tool: Tool::Massif,
        name: "massif",
        output: Output::HeapOverTime,
        output_options: &["--massif-out-file={files}", "--log-file={files}.log"],
        usual_args: &[],
    },
    ToolSpec {
        tool: Tool::Dhat,
        name: "dhat",
        output: Output::Allocations,
        output_options: &["--dhat-out-file={files}", "--log-file={files}.log"],
        usual_args: &[],
    },
];

impl Tool {
    /// Each tool with its name, for parsers of declarations.
    pub const WORDS: [(&'static str, Tool); TOOLS.len()] = {
        let mut words = [("", Tool::None); TOOLS.len()];
        let mut index = 0;
        while index < TOOLS.len() {
            words[index] = (TOOLS[index].name, TOOLS[index].tool);
            index += 1;
        }
        words
    };

    /// The tool's row in the table.
    pub fn spec(self) -> &'static ToolSpec {
        &TOOLS[self as usize]
    }

    /// The name in declarations, reports and valgrind's `--tool=`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The content of its files.
    pub fn output(self) -> Output {
        self.spec().output
    }

    /// Whether it is a tool of valgrind at all.
    pub fn is_valgrind(self) -> bool {
        self != Tool::None
    }

    /// Whether it writes logs of errors, which suppressions apply to.
    pub fn finds_errors(self) -> bool {
        self.output() == Output::Errors
    }

    /// Whether it profiles the heap; a job under it must leave a profile.
    pub fn profiles(self) -> bool {
        matches!(self.output(), Output::HeapOverTime | Output::Allocations)
    }

    /// All tools that find errors.
    pub fn finding_errors() -> impl Iterator<Item = Tool> {
        TOOLS.iter().map(|spec| spec.tool).filter(|tool| tool.finds_errors())
    }

    /// The options that choose the tool and send its files to a directory, one a process.
    pub fn options(self, directory: &Path) -> Vec<String> {
        // `%` starts a format in valgrind's file options, and `%p` is the pid.
        let directory = directory.display().to_string().replace('%', "%%");
        let files = format!("{directory}/{}.%p", self.name());
        let options = self.spec().output_options.iter().map(|option| option.replace("{files}", &files));
        std::iter::once(format!("--tool={}", self.name())).chain(options).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_its_own_row() {
        for (index, spec) in TOOLS.iter().enumerate() {
            assert_eq!(spec.tool as usize, index);
            assert_eq!(spec.tool.spec().name, spec.name);
            assert_eq!(serde_json::to_value(spec.tool).unwrap(), spec.name);
        }
    }

    #[test]
    fn files_are_sent_to_the_directory() {
        let options = |tool: Tool| tool.options(Path::new("/a%b")).join(" ");
        assert_eq!(options(Tool::Dhat), "--tool=dhat --dhat-out-file=/a%%b/dhat.%p --log-file=/a%%b/dhat.%p.log");
        assert_eq!(options(Tool::Drd), "--tool=drd --xml=yes --xml-file=/a%%b/drd.%p.xml --gen-suppressions=all");
    }
}
