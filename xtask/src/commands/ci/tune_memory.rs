//! `cargo xtask ci tune-memory JOB`: measures which of valgrind's options save memory on a job, and which bugs they
//! miss.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::plan;
use super::session::{Finished, Goal, Session};
use super::{Context, RunParameters, capacity};
use crate::cli;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::paths::State;
use drydock_base::units::{self, ByteSize, JobName};
use drydock_ci::event::AttemptRecord;
use drydock_ci::plan::{Plan, PlannedJob};
use drydock_ci::tune_memory::{self, Effect, KNOBS, Knob, Measured};
use drydock_valgrind::tool::Tool;
use drydock_valgrind::{findings, xml};

/// A set of options that is measured on the job and on the canary.
struct Trial {
    label: String,
    options: Vec<String>,
    skip_children: Vec<String>,
}

/// The label of the measurement with the job's own options.
const AS_DECLARED: &str = "as-declared";

impl cli::CiTuneMemory {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let parameters = RunParameters { jobs: Some(1), ..self.options.into() };
        let plan = plan::make(
            ctx,
            &capacity::find(&parameters),
            std::slice::from_ref(&self.job),
            plan::Lists::Now,
            &mut Vec::new(),
        )?;
        let job = plan.job(&self.job).cloned().ok_or_else(|| {
            Failure::usage(format!(
                "`{}` names more than one job; `{}` lists them",
                self.job,
                hint::drydock(&["ci", "plan"])
            ))
        })?;
        if job.tool.kind != Tool::Memcheck {
            let text = match job.tool.kind {
                Tool::None => format!("`{}` runs without valgrind", job.name),
                other => format!("`{}` runs under {}", job.name, other.name()),
            };
            let text = format!("{text}; the options are memcheck's, so name a job with `tool: memcheck`");
            return Err(Failure::usage(text));
        }
        let directory = tempfile::tempdir().context("cannot create a temporary directory for the canary")?;
        let canary = build_canary(directory.path())?;
        // Beside the project's runs, so that neither `latest` nor the history is touched.
        let own = ctx.state.root().join("tune-memory");
        let ctx = Context { state: State::new(&plan.project, Some(&own))?, ..ctx.clone() };
        let lab = Lab { ctx: &ctx, parameters, plan, job, canary };

        let knobs: Vec<&Knob> = KNOBS.iter().filter(|knob| knob.applies(&lab.job.tool.args)).collect();
        let mut trials = vec![Trial { label: AS_DECLARED.into(), options: Vec::new(), skip_children: Vec::new() }];
        trials.extend(knobs.iter().map(|knob| trial(&[knob])));
        let (measured, programs) = lab.measure(&trials)?;
        let (base, single) = measured.split_first().context("nothing was measured")?;
        let effects: Vec<(&Knob, Effect)> =
            knobs.iter().zip(single).map(|(knob, with)| (*knob, tune_memory::effect(base, with))).collect();

        let (free, lean) = (tune_memory::cheapest(&effects, false), tune_memory::cheapest(&effects, true));
        let mut sets = vec![trial(&free), trial(&lean)];
        let foreign = system_programs(&programs, &lab.plan.project);
        if !foreign.is_empty() && lab.job.tool.trace_children {
            sets.push(Trial { label: "skip-children".into(), options: Vec::new(), skip_children: foreign });
        }
        sets.retain(|set| !set.options.is_empty() || !set.skip_children.is_empty());
        sets.dedup_by(|left, right| left.options == right.options && left.skip_children == right.skip_children);
        let (together, _) = lab.measure(&sets)?;
        output::out(render(&lab.job, base, &effects, single).trim_end());
        output::out(recommend(base, &sets, &together).trim_end());
        Ok(Exit::Success)
    }
}

fn trial(knobs: &[&Knob]) -> Trial {
    let options: Vec<String> = knobs.iter().map(|knob| knob.option.to_owned()).collect();
    Trial {
        label: options.join("").replace("--", "-").trim_start_matches('-').to_owned(),
        options,
        skip_children: Vec::new(),
    }
}

fn build_canary(directory: &Path) -> anyhow::Result<String> {
    let (source, program) = (directory.join("canary.c"), directory.join("canary").display().to_string());
    std::fs::write(&source, tune_memory::CANARY).with_context(|| format!("cannot write {}", source.display()))?;
    let source = source.display().to_string();
    let line = ["cc", "-g", "-O1", "-w", "-o", &program, &source].map(str::to_owned);
    exec::read(&line, directory).map_err(|why| {
        let text = format!(
            "the program with the seeded bugs cannot be built: {why}; run `{}`",
            hint::apt_get(["install", "gcc", "libc6-dev"])
        );
        Failure::missing(text)
    })?;
    Ok(program)
}

/// The environment of trial runs.
struct Lab<'a> {
    ctx: &'a Context,
    parameters: RunParameters,
    /// The job with all that it needs.
    plan: Plan,
    job: PlannedJob,
    canary: String,
}

impl Lab<'_> {
    /// Runs the job and the canary with each set of options, one after the other. Also returns the programs that ran
    /// under valgrind in the first trial.
    fn measure(&self, trials: &[Trial]) -> anyhow::Result<(Vec<Measured>, Vec<String>)> {
        if trials.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut plan = self.plan.with_jobs(Vec::new());
        plan.jobs.extend(self.plan.jobs.iter().filter(|job| job.name != self.job.name).cloned());
        for trial in trials {
            plan.jobs.extend([self.variant(trial)?, self.seeded(trial)?]);
        }
        let goal = Goal::Planned { plan };
        let finished = Session { ctx: self.ctx, parameters: self.parameters.clone() }.supervised(goal)?;
        let finished = finished.context("the trials were not run")?;
        let measured = trials.iter().map(|trial| self.read(&finished, trial)).collect::<Result<_, _>>()?;
        Ok((measured, self.programs(&finished, &trials[0])?))
    }

    fn variant(&self, trial: &Trial) -> anyhow::Result<PlannedJob> {
        let mut job = self.job.clone();
        job.name = named(&self.job.name, trial)?;
        job.group = job.name.clone();
        job.tool_mut().args.extend(trial.options.iter().cloned());
        job.tool_mut().skip_children.extend(trial.skip_children.iter().cloned());
        Ok(job)
    }

    fn seeded(&self, trial: &Trial) -> anyhow::Result<PlannedJob> {
        let mut job = self.variant(trial)?;
        job.name = named(&"canary".parse().map_err(|_| anyhow::anyhow!("`canary` is a name"))?, trial)?;
        job.group = job.name.clone();
        job.argv = vec![self.canary.clone()];
        job.directory = ".".into();
        job.needs = Vec::new();
        job.tool_mut().by_suite = false;
        job.tool_mut().suppressions = Vec::new();
        job.expect_exit = 0;
        Ok(job)
    }

    fn read(&self, finished: &Finished, trial: &Trial) -> anyhow::Result<Measured> {
        let own = last(finished, &named(&self.job.name, trial)?)?;
        let (_, seeded) = self.canary_log(finished, trial)?;
        let found = tune_memory::found(&seeded);
        Ok(Measured {
            peak: own.peak.with_context(|| format!("the memory of {} cannot be measured here", self.job.name))?,
            duration: own.duration_ms(),
            verdict: (
                own.verdict.outcome.word().into(),
                own.evidence.valgrind.as_ref().map_or(0, |valgrind| valgrind.findings),
            ),
            found,
        })
    }

    fn canary_log(&self, finished: &Finished, trial: &Trial) -> anyhow::Result<(u32, xml::Log)> {
        let name = self.seeded(trial)?.name;
        let record = last(finished, &name)?;
        let pid = record.evidence.pid.unwrap_or_default();
        let directory = finished.dir.attempt(name.as_str(), record.number);
        // The first log of the process, which has no number where it could not be watched.
        let [numbered, path] =
            [format!("memcheck.{pid}.1.xml"), format!("memcheck.{pid}.xml")].map(|n| directory.join(n));
        let path = if numbered.exists() { numbered } else { path };
        let (log, _) =
            xml::read(&path, findings::MOST_BYTES).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((pid, log))
    }

    /// The executables that valgrind traced in a trial of the job.
    fn programs(&self, finished: &Finished, trial: &Trial) -> anyhow::Result<Vec<String>> {
        let name = named(&self.job.name, trial)?;
        let directory = finished.dir.attempt(name.as_str(), last(finished, &name)?.number);
        let logs =
            std::fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?.flatten();
        let logs = logs.filter(|entry| entry.path().extension().is_some_and(|end| end == "xml"));
        let program = |entry: std::fs::DirEntry| {
            xml::read(&entry.path(), findings::MOST_BYTES).ok()?.0.command.into_iter().next()
        };
        Ok(logs.filter_map(program).collect())
    }
}

fn named(job: &JobName, trial: &Trial) -> anyhow::Result<JobName> {
    let name = format!("{job}@{}", trial.label);
    name.parse().map_err(|_| anyhow::anyhow!("`{name}` cannot be the name of a job"))
}

fn last<'a>(finished: &'a Finished, name: &JobName) -> anyhow::Result<&'a AttemptRecord> {
    let job = finished.run.position(name).and_then(|position| finished.run.jobs[position].attempts.last());
    job.ok_or_else(|| Failure::rejected(format!("{name} did not run; the reason is given above")))
}

/// Programs outside of the project that valgrind need not trace, as patterns of their directories.
fn system_programs(programs: &[String], project: &Path) -> Vec<String> {
    let outside =
        programs.iter().filter(|program| program.starts_with('/') && !Path::new(program).starts_with(project));
    let mut directories: Vec<String> = outside
        .filter_map(|program| Some(format!("{}/*", Path::new(program).parent()?.display())))
        .filter(|directory| ["/bin/", "/usr/", "/sbin/"].iter().any(|system| directory.starts_with(system)))
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

fn render(job: &PlannedJob, base: &Measured, effects: &[(&Knob, Effect)], single: &[Measured]) -> String {
    let time = |ms: u64| units::human(Duration::from_millis(ms));
    let size = |bytes: u64| ByteSize::new(bytes).to_string();
    let mut text = format!(
        "{} as it is declared: {} at its peak, {}, {} of {} seeded bugs found\n\n",
        job.name,
        size(base.peak),
        time(base.duration),
        base.found.len(),
        tune_memory::BUGS.len()
    );
    let missed: Vec<&str> =
        tune_memory::BUGS.iter().filter(|(bug, _)| !base.found.contains_key(bug)).map(|(_, what)| *what).collect();
    if !missed.is_empty() {
        let _infallible = writeln!(text, "not found with its own options: {}\n", missed.join(", "));
    }
    let _infallible = writeln!(text, "{:<28} {:>9} {:>9} {:>8}  what it misses", "option", "peak", "saves", "time");
    for ((knob, effect), with) in effects.iter().zip(single) {
        let saves = if effect.saves == 0 { "-".into() } else { size(effect.saves) };
        let _infallible = writeln!(
            text,
            "{:<28} {:>9} {saves:>9} {:>8}  {}",
            knob.option,
            size(with.peak),
            time(with.duration),
            misses(effect, knob.detail, base, with)
        );
    }
    text
}

/// The bugs that a set of options misses, in words.
fn misses(effect: &Effect, detail: &str, base: &Measured, with: &Measured) -> String {
    let mut parts: Vec<String> = Vec::new();
    let what = |bug: &&str| tune_memory::BUGS.iter().find(|(name, _)| name == bug).map_or("a bug", |(_, what)| *what);
    if !effect.loses.is_empty() {
        parts.push(effect.loses.iter().map(what).collect::<Vec<_>>().join(", "));
    }
    if effect.changes_verdict {
        let told = |(word, count): &(String, u64)| if *count > 0 { format!("{word} ({count})") } else { word.clone() };
        parts.push(format!("the job is {} and was {}", told(&with.verdict), told(&base.verdict)));
    }
    if effect.less_detail {
        parts.push(if detail.is_empty() { "details of reports".into() } else { format!("in reports, {detail}") });
    }
    if parts.is_empty() { "nothing".into() } else { parts.join("; ") }
}

/// The sets that were measured together, and where they go in the declaration.
fn recommend(base: &Measured, sets: &[Trial], together: &[Measured]) -> String {
    let mut text = String::new();
    for (set, with) in sets.iter().zip(together) {
        let effect = tune_memory::effect(base, with);
        let what = if set.skip_children.is_empty() {
            set.options.join(" ")
        } else {
            format!("without {}", set.skip_children.join(" "))
        };
        let _infallible = writeln!(
            text,
            "\n{what}\n    together {} instead of {}, and miss {}",
            ByteSize::new(with.peak),
            ByteSize::new(base.peak),
            match misses(&effect, "", base, with) {
                nothing if nothing == "nothing" => "nothing that was seeded".into(),
                something => something,
            }
        );
        let place = match (effect.keeps_bugs() && effect.saves > 0, set.skip_children.is_empty(), effect.less_detail) {
            (false, _, _) => "not worth it, or not without loss: leave it".to_owned(),
            (true, false, _) => format!("tools: {{memcheck: {{skip-children: [{}]}}}}", set.skip_children.join(", ")),
            (true, true, false) => format!("tools: {{memcheck: {{args: [..., {}]}}}}", set.options.join(", ")),
            (true, true, true) => {
                format!(
                    "tools: {{memcheck: {{reduced-args: [{}]}}}}   # for the last retry step only",
                    set.options.join(", ")
                )
            }
        };
        let _infallible = writeln!(text, "    {place}");
    }
    if text.is_empty() {
        text.push_str("\nno option saves memory on this job without missing a seeded bug\n");
    }
    text
}
