//! Suites that start valgrind themselves: the options that they pass on without knowing it, and what a process that was
//! seen under valgrind does with them.
//!
//! Valgrind reads options from `~/.valgrindrc`, `./.valgrindrc`, `VALGRIND_OPTS` and its command line, and the last one
//! counts (valgrind manual, section 2.6.7). So what a suite writes on the command line is stronger than what it passes on.
//! An option with the name of a tool in front, `--memcheck:leak-check=full`, is ignored by all other tools.

use std::path::Path;

use super::tool::{TOOLS, Tool};

/// The variable that passes the options on.
pub const VARIABLE: &str = "VALGRIND_OPTS";

/// The variable that valgrind's launcher puts behind all others, and without which its tools refuse to run
/// (`coregrind/launcher-linux.c`). So an environment of such a tool that holds it was read whole.
pub const LAUNCHER: &str = "VALGRIND_LAUNCHER";

/// Options that valgrind reads before it knows them as options of a tool: the prefix would hide them
/// (`early_process_cmd_line_options` in `coregrind/m_main.c`).
const EARLY: [&str; 7] = [
    "--max-stackframe",
    "--main-stacksize",
    "--max-threads",
    "--sim-hints",
    "--redzone-size",
    "--core-redzone-size",
    "--aspace-minaddr",
];

/// The options that a suite passes on.
#[derive(Debug, Clone, Copy)]
pub struct SuiteOptions<'a> {
    /// The tool that the suite uses. Valgrind's launcher looks for `--tool` on the command line only
    /// (`coregrind/launcher-linux.c`), so the suite has to write it there unless it is memcheck.
    pub tool: Tool,
    /// The directory of the tool's files, without blanks.
    pub directory: &'a Path,
    /// Options of valgrind and of the tool.
    pub args: &'a [String],
    /// Patterns of executables that do not run under the tool.
    pub skip_children: &'a [String],
    /// Suppression files, absolute and without blanks.
    pub suppressions: &'a [String],
    /// The variable's value outside, which is weaker.
    pub before: Option<&'a str>,
}

/// The value of [`VARIABLE`].
///
/// The logs of all tools that find errors are collected, since a suite may use several.
pub fn value(options: SuiteOptions<'_>) -> String {
    let SuiteOptions { tool, directory, args, skip_children, suppressions, before } = options;
    let mut words: Vec<String> = before.into_iter().map(str::to_owned).collect();
    let collected = TOOLS
        .iter()
        .map(|spec| spec.tool)
        .filter(|other| *other == tool || tool.finds_errors() && other.finds_errors());
    for collected in collected {
        words.extend(collected.options(directory).iter().skip(1).map(|option| for_tool(collected, option)));
    }
    if !skip_children.is_empty() {
        words.push(for_tool(tool, &format!("--trace-children-skip={}", skip_children.join(","))));
    }
    // Each suppression names its tool itself.
    words.extend(suppressions.iter().map(|file| format!("--suppressions={file}")));
    words.extend(args.iter().map(|option| for_tool(tool, option)));
    words.join(" ")
}

/// The option for one tool only, so that another tool of the suite does not refuse it.
fn for_tool(tool: Tool, option: &str) -> String {
    let name = option.split('=').next().unwrap_or(option);
    match option.strip_prefix("--") {
        Some(rest) if !EARLY.contains(&name) => format!("--{}:{rest}", tool.name()),
        Some(_) | None => option.to_owned(),
    }
}

/// An option as the tool takes it: without the tool's name in front.
pub fn without_tool<'o>(option: &'o str, tool: &str) -> std::borrow::Cow<'o, str> {
    match option.strip_prefix("--").and_then(|rest| rest.strip_prefix(tool)).and_then(|rest| rest.strip_prefix(':')) {
        Some(rest) => format!("--{rest}").into(),
        None => option.into(),
    }
}

/// The tool whose executable this is: `memcheck-amd64-linux` is the executable of memcheck.
pub fn tool_of_executable(executable: &Path) -> Option<&str> {
    let name = executable.file_name()?.to_str()?;
    // A package that is upgraded while the suite runs.
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let (rest, system) = name.rsplit_once('-')?;
    let (tool, processor) = rest.rsplit_once('-')?;
    let is_system = ["linux", "freebsd", "darwin", "solaris"].contains(&system);
    let is_processor = [
        "amd64", "x86", "arm", "arm64", "ppc32", "ppc64be", "ppc64le", "s390x", "mips32", "mips64", "nanomips",
        "riscv64",
    ]
    .contains(&processor);
    (is_system && is_processor && !tool.is_empty()).then_some(tool)
}

/// Where a process under valgrind writes its errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To the attempt's directory.
    Collected,
    /// As XML to a file of the suite's own; the name is a template, as for `--xml-file`.
    OwnXml(String),
    /// Nowhere that Drydock can read, for this reason.
    Elsewhere(String),
    /// It checks nothing: it only prints its version or its help.
    Nothing,
}

/// The valgrind command line of a process, as `/proc/PID/cmdline` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The options before the program.
    pub options: Vec<String>,
    /// The program, with its arguments.
    pub program: Vec<String>,
}

impl Invocation {
    /// Splits a command line. Values of valgrind's options are never words of their own.
    pub fn new(words: &[String]) -> Invocation {
        let rest = words.get(1..).unwrap_or_default();
        let end = rest.iter().position(|word| !word.starts_with('-') || word == "--").unwrap_or(rest.len());
        let program = rest[end..].iter().skip_while(|word| *word == "--").cloned().collect();
        Invocation { options: rest[..end].to_vec(), program }
    }

    /// Where the process under that tool writes its errors. `passed` is its variable [`VARIABLE`], and `directory` that of
    /// the attempt.
    pub fn destination(&self, tool: &str, passed: Option<&str>, directory: &Path) -> Destination {
        let option_of = |option: &str| {
            let option = without_tool(option, tool).into_owned();
            let (name, value) = option.split_once('=').unwrap_or((&option, ""));
            (name.to_owned(), value.to_owned())
        };
        let mut only_command_line = false;
        for (name, value) in self.options.iter().map(|option| option_of(option)) {
            match name.as_str() {
                "--version" | "-h" | "--help" | "--help-debug" | "--help-dyn-options" => return Destination::Nothing,
                "--command-line-only" => only_command_line = value == "yes",
                _ => {}
            }
        }
        // `%` starts a format in valgrind's file options.
        let directory = directory.display().to_string().replace('%', "%%");
        let is_ours = |text: &str| text.contains(&directory);
        let variable = passed.filter(|_| !only_command_line).unwrap_or_default().split_whitespace();
        let variable = variable.map(|option| (VARIABLE, option_of(option)));
        let line = self.options.iter().map(|option| ("its command line", option_of(option)));
        // Of each option, the last one counts.
        let (mut off, mut file) = (None, None);
        for (place, (name, value)) in variable.chain(line) {
            let elsewhere = || Destination::Elsewhere(format!("{place} has {name}={value}"));
            match name.as_str() {
                "--xml" => off = (value == "no").then(elsewhere),
                "--xml-file" if is_ours(&value) => file = Some(Destination::Collected),
                "--xml-file" => file = Some(Destination::OwnXml(value)),
                "--xml-fd" | "--xml-socket" => file = Some(elsewhere()),
                _ if name.strip_prefix("--").and_then(|name| name.strip_suffix("-out-file")) == Some(tool) => {
                    file = Some(if is_ours(&value) { Destination::Collected } else { elsewhere() });
                }
                _ => {}
            }
        }
        if let Some(decided) = off.or(file) {
            return decided;
        }
        if only_command_line {
            return Destination::Elsewhere(format!("--command-line-only=yes makes it ignore {VARIABLE}"));
        }
        match passed {
            Some(options) if is_ours(options) => Destination::Collected,
            Some(_) => Destination::Elsewhere(format!("the suite replaced the value of {VARIABLE}")),
            None => Destination::Elsewhere(format!("the suite did not pass {VARIABLE} on to it")),
        }
    }
}

/// The file that a template of `--xml-file` stands for: `%p` is the pid, `%q{NAME}` a variable, `%n` a number from 1.
/// `None` if the template is not valid.
pub fn expand(template: &str, pid: u32, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut file = String::new();
    let mut rest = template;
    while let Some((before, format)) = rest.split_once('%') {
        file.push_str(before);
        rest = match format.chars().next()? {
            'p' => {
                file.push_str(&pid.to_string());
                &format[1..]
            }
            'n' => {
                file.push('1');
                &format[1..]
            }
            '%' => {
                file.push('%');
                &format[1..]
            }
            'q' => {
                let (name, after) = format[1..].strip_prefix('{')?.split_once('}')?;
                file.push_str(&variable(name)?);
                after
            }
            _ => return None,
        };
    }
    file.push_str(rest);
    Some(file)
}

#[cfg(test)]
mod tests;
