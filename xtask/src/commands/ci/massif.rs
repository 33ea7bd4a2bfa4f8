//! `cargo xtask ci massif`: show and compare massif files, and write baselines.

use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Context;
use crate::cli::{self, Format, MassifCommand, MassifStyle};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths;
use drydock_base::units::ByteSize;
use drydock_ci::plan::PlannedJob;
use drydock_config::jobs::Suite;
use drydock_valgrind::massif::{self, Extent, Fault, Processes, Profile, Wrappers, ms_print, show};
use drydock_valgrind::tool::Output;

impl cli::CiMassif {
    /// Files can be shown without a project, so it is looked up only where needed.
    pub(crate) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        let is_plain = match &self.command {
            MassifCommand::Show(show) => {
                show.style == MassifStyle::MsPrint && show.sources.iter().all(|source| is_file(source))
            }
            MassifCommand::Diff(_) | MassifCommand::Baseline(_) => false,
        };
        let ctx = if is_plain { None } else { Context::find(place).ok() };
        self.run_with(ctx.as_ref())
    }

    pub(super) fn run_with(self, ctx: Option<&Context>) -> anyhow::Result<Exit> {
        match self.command {
            MassifCommand::Show(show) => show.run(ctx),
            MassifCommand::Diff(diff) => diff.run(ctx),
            MassifCommand::Baseline(baseline) => baseline.run(ctx),
        }
    }
}

impl cli::MassifShow {
    fn run(self, ctx: Option<&Context>) -> anyhow::Result<Exit> {
        match self.style {
            MassifStyle::MsPrint => self.ms_print(ctx),
            MassifStyle::Summary => self.summary(ctx),
        }
    }

    fn summary(self, ctx: Option<&Context>) -> anyhow::Result<Exit> {
        if self.threshold.is_some() || self.x.is_some() || self.y.is_some() {
            return Err(Failure::usage("`--threshold`, `--x` and `--y` belong to `--style ms_print`; add that"));
        }
        let measured = measured(ctx, self.run.as_deref(), &self.sources)?;
        let mut shown = Vec::new();
        for (position, (name, processes, mut wrappers)) in measured.into_iter().enumerate() {
            wrappers.extend(self.wrappers.iter().cloned());
            let wrappers = Wrappers::new(wrappers.iter().map(String::as_str));
            match self.format {
                Format::Json => {
                    let profile = massif::summary(&processes.profile, &wrappers, usize::MAX, usize::MAX);
                    let others: Vec<_> = processes
                        .others
                        .iter()
                        .map(
                            |(file, command, peak)| serde_json::json!({"file": file, "command": command, "peak": peak}),
                        )
                        .collect();
                    shown.push(serde_json::json!({
                        "name": name, "file": processes.file, "profile": profile, "other-processes": others,
                        "incomplete": processes.incomplete,
                    }));
                }
                Format::Text => {
                    let profile = massif::summary(&processes.profile, &wrappers, usize::MAX, self.top);
                    if position > 0 {
                        output::out("");
                    }
                    output::out(name);
                    output::out(show::profile(&profile).trim_end());
                    tell_others(&processes);
                }
            }
        }
        if self.format == Format::Json {
            output::out(serde_json::to_string_pretty(&shown)?);
        }
        Ok(Exit::Success)
    }

    fn ms_print(self, ctx: Option<&Context>) -> anyhow::Result<Exit> {
        let [source] = self.sources.as_slice() else {
            return Err(Failure::usage("`--style ms_print` prints one file; name one"));
        };
        let file = if is_file(source) {
            PathBuf::from(source)
        } else {
            let mut measured = measured(ctx, self.run.as_deref(), &self.sources)?;
            let only = measured.pop().filter(|_| measured.is_empty());
            only.ok_or_else(|| Failure::usage(format!("`{source}` names several jobs; name one")))?.1.file
        };
        let mut options = ms_print::Options::default();
        let mut arguments = Vec::new();
        if let Some(threshold) = &self.threshold {
            options.threshold = percent(threshold)?;
            arguments.push(format!("--threshold={threshold}").into_bytes());
        }
        if let Some(x) = self.x {
            options.width = usize::from(x);
            arguments.push(format!("--x={x}").into_bytes());
        }
        if let Some(y) = self.y {
            options.height = usize::from(y);
            arguments.push(format!("--y={y}").into_bytes());
        }
        arguments.push(std::os::unix::ffi::OsStrExt::as_bytes(file.as_os_str()).to_vec());
        let mut open = || -> io::Result<Box<dyn io::BufRead>> {
            Ok(Box::new(BufReader::with_capacity(1 << 17, paths::open_regular(&real(&file))?)))
        };
        let mut out = io::stdout().lock();
        let printed =
            ms_print::print(&mut open, &options, &arguments, &mut out).and_then(|extent| Ok((extent, out.flush()?)));
        match printed {
            Ok((Extent::Whole, ())) => Ok(Exit::Success),
            Ok((Extent::Cut { line, why }, ())) => {
                output::err(format_args!(
                    "warning: {} was cut at line {line}, {why}; the snapshots before are shown",
                    file.display()
                ));
                Ok(Exit::Success)
            }
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Success),
            Err(fault) => Err(unreadable(&file, &fault)),
        }
    }
}

impl cli::MassifDiff {
    fn run(self, ctx: Option<&Context>) -> anyhow::Result<Exit> {
        let one = |source: &String| -> anyhow::Result<_> {
            let mut measured = measured(ctx, self.run.as_deref(), std::slice::from_ref(source))?;
            let only = measured.pop().filter(|_| measured.is_empty());
            only.ok_or_else(|| Failure::usage(format!("`{source}` names several jobs; name one")))
        };
        let ((old_name, old, old_wrappers), (new_name, new, new_wrappers)) = (one(&self.old)?, one(&self.new)?);
        let declared = old_wrappers.iter().chain(&new_wrappers).chain(&self.wrappers);
        let wrappers = Wrappers::new(declared.map(String::as_str));
        let diff = massif::diff(&old.profile, &new.profile, &wrappers)
            .map_err(|why| Failure::usage(format!("{old_name} and {new_name} cannot be compared: {why}")))?;
        match self.format {
            Format::Json => output::out(serde_json::to_string_pretty(&diff)?),
            Format::Text => {
                output::out(format_args!("{old_name} → {new_name}"));
                output::out(show::diff(&diff).trim_end());
            }
        }
        Ok(Exit::Success)
    }
}

impl cli::MassifBaseline {
    fn run(self, ctx: Option<&Context>) -> anyhow::Result<Exit> {
        let ctx = ctx.ok_or_else(|| Failure::usage("no project found; name one with --project"))?;
        let jobs = of_jobs(ctx, self.run.as_deref(), &self.job)?;
        if self.output.is_some() && jobs.len() > 1 {
            let text = format!("`{}` names {} jobs, which cannot share one --output", self.job, jobs.len());
            return Err(Failure::usage(text));
        }
        // All missing profiles are reported before anything is written.
        let mut files = Vec::new();
        for (job, processes) in &jobs {
            if let Some(why) = processes.incomplete.first() {
                return Err(Failure::usage(format!("{} was not completely measured ({why}); run it again", job.name)));
            }
            let declared = job.tool.heap_baseline.as_ref().map(|baseline| &baseline.file);
            let file = self.output.as_ref().or(declared).ok_or_else(|| {
                let text = format!("{} declares no baseline; give its file with --output", job.name);
                Failure::usage(text)
            })?;
            files.push((job, &processes.profile, file, declared == Some(file)));
        }
        for (job, profile, relative, is_declared) in files {
            write_baseline(&ctx.declarations.project.join(relative), relative, profile)?;
            if !is_declared {
                output::out(format_args!("declare it in {}: `heap: {{baseline: {}}}`", job.name, relative.display()));
            }
        }
        Ok(Exit::Success)
    }
}

fn write_baseline(file: &Path, shown: &Path, profile: &Profile) -> anyhow::Result<()> {
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let before = Profile::open(file).ok().map(|profile| ByteSize::new(profile.peak().measured()));
    paths::write_atomically(file, massif::baseline(profile).as_bytes())?;
    let was = before.map_or_else(String::new, |before| format!(", before {before}"));
    output::out(format_args!("{}: a peak of {}{was}", shown.display(), ByteSize::new(profile.peak().measured())));
    Ok(())
}

/// The profiles that an argument names, with the wrappers that apply to them: files, or the processes of jobs.
fn measured(
    ctx: Option<&Context>,
    run: Option<&str>,
    sources: &[String],
) -> anyhow::Result<Vec<(String, Processes, Vec<String>)>> {
    let mut all = Vec::new();
    let mut declared: Option<Vec<String>> = None;
    for source in sources {
        if let Some(file) = named_file(ctx, run, source) {
            let profile = Profile::open(&real(&file)).map_err(|fault| unreadable(&file, &fault))?;
            let wrappers = declared.get_or_insert_with(|| ctx.map_or_else(Vec::new, declared_wrappers)).clone();
            let processes = Processes { file, profile, others: Vec::new(), incomplete: Vec::new() };
            all.push((source.clone(), processes, wrappers));
            continue;
        }
        let ctx = ctx.ok_or_else(|| {
            Failure::usage(format!(
                "`{source}` does not exist, and no project with jobs was found; check the path or give --project"
            ))
        })?;
        for (job, processes) in of_jobs(ctx, run, source)? {
            all.push((job.name.to_string(), processes, job.tool.wrappers.clone()));
        }
    }
    Ok(all)
}

/// The massif files of the last attempts of the jobs that a selector matches.
fn of_jobs(ctx: &Context, run: Option<&str>, selector: &str) -> anyhow::Result<Vec<(PlannedJob, Processes)>> {
    let (dir, run) = super::recorded(&ctx.state, run)
        .with_context(|| format!("`{selector}` does not exist as a file, so it names a job"))?;
    let wanted = super::chosen(&ctx.state, &dir, &run, &[selector.to_owned()])
        .map_err(|error| Failure::usage(format!("`{selector}` does not exist as a file, and {error}")))?;
    let mut found = Vec::new();
    let jobs = run.plan.jobs.iter().zip(&run.jobs).enumerate();
    for (position, (job, state)) in jobs.filter(|(_, (job, _))| wanted.contains(&job.name)) {
        if job.tool.kind.output() != Output::HeapOverTime {
            continue;
        }
        let nothing = || Failure::usage(format!("{} left no massif file in run {}", job.name, dir.id()));
        let attempt = state.attempts.last().ok_or_else(nothing)?.number;
        let directory = run.attempt_dir(&dir, position, attempt);
        let processes = massif::processes(&directory)
            .with_context(|| format!("cannot read the massif files in {}", directory.display()))?
            .ok_or_else(nothing)?;
        found.push((job.clone(), processes));
    }
    if found.is_empty() {
        return Err(Failure::usage(format!("`{selector}` does not run under massif; add `tool: massif` to it")));
    }
    Ok(found)
}

/// The project's wrappers, for files that belong to no run. An invalid declaration does not prevent showing a file.
fn declared_wrappers(ctx: &Context) -> Vec<String> {
    Suite::load(&ctx.declarations.jobs(), &ctx.declarations.project).map(|suite| suite.wrappers).unwrap_or_default()
}

fn tell_others(processes: &Processes) {
    for why in &processes.incomplete {
        output::out(format_args!("  incomplete: {why}"));
    }
    if !processes.others.is_empty() {
        output::out(format_args!("\n  other processes, which may repeat the heap that they inherited"));
    }
    for (file, command, peak) in processes.others.iter().take(20) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        output::out(format_args!("  {:>10}  {name}  {command}", ByteSize::new(*peak).to_string()));
    }
    if processes.others.len() > 20 {
        output::out(format_args!("  and {} more", processes.others.len() - 20));
    }
}

/// The file that an argument names: from the current directory, or in the project, as declarations and messages name it,
/// if no job has that name.
fn named_file(ctx: Option<&Context>, run: Option<&str>, source: &str) -> Option<PathBuf> {
    if is_file(source) {
        return Some(source.into());
    }
    let ctx = ctx?;
    let file = Some(ctx.declarations.project.join(source)).filter(|file| file.is_file())?;
    let is_job = super::recorded(&ctx.state, run).is_ok_and(|(_, run)| run.plan.job(source).is_some());
    (!is_job).then_some(file)
}

fn is_file(source: &str) -> bool {
    Path::new(source).is_file()
}

/// The target of a symbolic link: a person may name one, while a job may not put one in its directory.
fn real(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

fn unreadable(file: &Path, fault: &Fault) -> anyhow::Error {
    Failure::usage(format!("cannot read {}: {fault}", file.display()))
}

/// A percentage as ms_print takes it: digits and points, with or without `%`.
fn percent(text: &str) -> anyhow::Result<f64> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = number.parse::<f64>().ok().filter(|value| plain && (0.0..=100.0).contains(value));
    value.ok_or_else(|| Failure::usage(format!("`{text}` is not a threshold; expected a percentage from 0 to 100")))
}
