//! `cargo xtask doctor`: missing tools, the commands that need them, and the command that installs them.

use std::path::Path;

use crate::cli;
use crate::exit::Exit;
use crate::tools::{self, Purpose, Tool};
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;

impl cli::Doctor {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        if self.format == cli::Format::Json {
            return self.print_json();
        }
        let all = self.tools();
        // Who did not ask for them reads nothing of Drydock's own tests.
        let is_named = |purpose: &&Purpose| self.of.is_some() || !is_own(**purpose);
        let users = |tool: &Tool| {
            tool.needed_by.iter().filter(is_named).map(|purpose| purpose.word()).collect::<Vec<_>>().join(", ")
        };
        let width = |text: &dyn Fn(&Tool) -> usize| all.iter().map(|tool| text(tool)).max().unwrap_or(0);
        let (name, package) = (width(&|tool| tool.name().len()), width(&|tool| tool.package.len()));
        let needed_by = width(&|tool| users(tool).len());
        for tool in &all {
            let mark = if tool.is_installed() { "ok     " } else { "MISSING" };
            let head =
                format!("{mark}  {:<name$} {:<package$} {:<needed_by$} ", tool.name(), tool.package, users(tool));
            output::out(output::hanging(&head, tool.reason));
        }
        if matches!(self.of, None | Some(Purpose::Ci)) {
            for danger in super::ci::dangers(None) {
                output::out(format_args!("danger   {danger}"));
            }
        }
        let hidden = tools::needed(self.of).count() - all.len();
        if hidden > 0 {
            let of_check = hint::drydock(&["doctor", "check"]);
            output::out(format_args!(
                "{hidden} more are only for Drydock's own tests and its example: `{of_check}` lists them"
            ));
        }
        let missing: Vec<&Tool> = all.into_iter().filter(|tool| !tool.is_installed()).collect();
        if missing.is_empty() {
            output::out("no tools are missing");
            return Ok(Exit::Success);
        }
        if self.install {
            install(&missing)?;
            return Ok(Exit::Success);
        }
        output::out(format_args!(
            "\n{} tools are missing; install them with `{}`, or with:",
            missing.len(),
            hint::drydock(&["doctor", "--install"]).args(self.of.map(Purpose::word))
        ));
        output::out(format_args!("  {}", tools::install_line(&missing)));
        Ok(Exit::Missing)
    }
}

impl cli::Doctor {
    /// The tools in question: without a command all but those that only Drydock's own tests need, which are most.
    fn tools(&self) -> Vec<&'static Tool> {
        tools::needed(self.of).filter(|tool| self.of.is_some() || !is_for_drydock(tool)).collect()
    }

    /// Prints all tools, and what is dangerous here, for programs.
    fn print_json(&self) -> anyhow::Result<Exit> {
        let tools: Vec<serde_json::Value> = self
            .tools()
            .into_iter()
            .map(|tool| {
                serde_json::json!({
                    "name": tool.name(),
                    "package": tool.package,
                    "installed": tool.is_installed(),
                    "needed-by": tool.needed_by.iter().map(|purpose| purpose.word()).collect::<Vec<_>>(),
                    "reason": tool.reason,
                })
            })
            .collect();
        let dangers: Vec<String> = match self.of {
            None | Some(Purpose::Ci) => super::ci::dangers(None).iter().map(ToString::to_string).collect(),
            Some(_) => Vec::new(),
        };
        let is_missing = tools.iter().any(|tool| tool["installed"] == false);
        output::out(serde_json::to_string_pretty(&serde_json::json!({"tools": tools, "dangers": dangers}))?);
        Ok(if is_missing { Exit::Missing } else { Exit::Success })
    }
}

/// True for a tool that only Drydock's own tests and its example need.
fn is_for_drydock(tool: &Tool) -> bool {
    tool.needed_by.iter().all(|purpose| is_own(*purpose))
}

/// True for a command that is about Drydock itself.
fn is_own(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Check | Purpose::Demo)
}

/// Checks that the tools of a command are installed. Missing tools are installed with `install`, else reported all at once.
pub(super) fn preflight(purpose: Purpose, may_install: bool) -> anyhow::Result<()> {
    let missing = tools::missing(Some(purpose));
    if missing.is_empty() {
        return Ok(());
    }
    if may_install {
        return install(&missing);
    }
    let width = missing.iter().map(|tool| tool.name().len()).max().unwrap_or(0);
    let tool = |tool: &&Tool| format!("  {:<width$}  {}", tool.name(), tool.reason);
    Err(Failure::missing(format!(
        "`{}` needs tools that are missing:\n{}\npass --install, or run:\n  {}",
        purpose.word(),
        missing.iter().map(tool).collect::<Vec<_>>().join("\n"),
        tools::install_line(&missing)
    )))
}

/// Runs apt-get and rustup. Their output goes to standard error, which xshell cannot redirect to.
fn install(missing: &[&Tool]) -> anyhow::Result<()> {
    for line in tools::install_commands_here(missing) {
        output::err(format_args!("$ {}", line.join(" ")));
        let (program, arguments) = line.split_first().unwrap_or((&line[0], &[]));
        let status = duct::cmd(program, arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin_null()
            .stdout_to_stderr()
            .unchecked()
            .run()
            .map_err(|error| {
                Failure::missing(format!("cannot run {program}: {error}; --install needs Debian or Ubuntu"))
            })?
            .status;
        if !status.success() {
            return Err(Failure::missing(format!("`{}` ended with {status}", line.join(" "))));
        }
    }
    let still: Vec<&str> = missing.iter().filter(|tool| !tool.is_installed()).map(|tool| tool.name()).collect();
    if still.is_empty() || !Path::new("/usr/bin/apt-get").exists() {
        return Ok(());
    }
    Err(Failure::missing(format!("installed, but still not found: {}; check PATH", still.join(", "))))
}
