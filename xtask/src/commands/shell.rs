//! `cargo xtask completions` and `cargo xtask man`, for those who install the program `drydock`: packages, images, people.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli;
use crate::exit::Exit;
use drydock_base::output;

/// The name of the installed program.
const PROGRAM: &str = "drydock";

impl cli::Completions {
    /// Prints the script.
    pub(in crate::commands) fn run(self) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::Cli::described(PROGRAM), PROGRAM, &mut script);
        output::out(String::from_utf8(script).context("the script is not UTF-8")?.trim_end());
        Ok(Exit::Success)
    }
}

impl cli::Man {
    /// Writes a page for each command.
    pub(in crate::commands) fn run(self) -> anyhow::Result<Exit> {
        let cannot = || format!("cannot write manual pages to {}", self.directory.display());
        fs::create_dir_all(&self.directory).with_context(cannot)?;
        // The table of exit codes has a section of its own.
        let mut command = without_help(cli::Cli::command());
        command.build();
        let pages = pages(command, &self.directory).with_context(cannot)?;
        output::out(format_args!("{pages} manual pages in {}", self.directory.display()));
        Ok(Exit::Success)
    }
}

/// The command without the subcommands `help`, which have no pages.
fn without_help(command: clap::Command) -> clap::Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

/// Writes the page of a command and those of its subcommands. Returns their number.
fn pages(command: clap::Command, directory: &Path) -> std::io::Result<usize> {
    let subcommands: Vec<_> = command.get_subcommands().filter(|one| !one.is_hide_set()).cloned().collect();
    let has_subcommands = !subcommands.is_empty();
    let page = Man::new(command).manual("Drydock").source(format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if has_subcommands {
        page.render_subcommands_section(&mut text)?;
    }
    text.extend(b".SH \"EXIT STATUS\"\n");
    for exit in Exit::ALL {
        text.extend(format!(".TP\n{}\n{}\n", exit.code(), exit.meaning()).bytes());
    }
    fs::write(directory.join(page.get_filename()), text)?;
    let mut count = 1;
    for one in subcommands {
        count += pages(one, directory)?;
    }
    Ok(count)
}
