//! Runs of GitHub Actions: jobs of them are run again from here, and their results are brought here.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Context;
use crate::cli;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::text::one_line;
use drydock_github::lost::Loss;
use drydock_github::rerun::{Rerun, RerunReport};
use drydock_github::{Api, Repository, RunReference, Settings};

mod fetch;

/// The file that says from where the directory of a run was fetched.
pub(super) const FETCHED: &str = "fetched.json";

/// The host of the web pages whose API is the default.
const PUBLIC: &str = "github.com";

/// A run and the client for its repository.
struct Remote {
    api: Api,
    run: u64,
}

impl Remote {
    fn new(ctx: &Context, run: &str, on: &cli::OnGithub) -> anyhow::Result<Remote> {
        let variable = |name: &str| std::env::var_os(name);
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let settings = Settings::new(&variable)?;
        let reference: RunReference = run.parse()?;
        let named = on.repository.as_deref().map(str::parse::<Repository>).transpose()?;
        let by_address = reference.place.map(|(host, repository)| {
            // The token goes to the API only, so an address of another host must not choose where it is used.
            let server = text("GITHUB_SERVER_URL").unwrap_or_else(|| format!("https://{PUBLIC}"));
            let server = server.split("://").nth(1).unwrap_or_default().trim_end_matches('/');
            let is_known = host == server || host == settings.api.authority();
            is_known.then_some(repository).ok_or_else(|| {
                Failure::usage(format!(
                    "the run is on {}, but the API is that of {server}; set GITHUB_SERVER_URL and GITHUB_API_URL to those of the host",
                    one_line(&host, 100)
                ))
            })
        });
        let by_address = by_address.transpose()?;
        let repository = match named.or(by_address) {
            Some(repository) => repository,
            None => match text("GITHUB_REPOSITORY") {
                Some(name) => name.parse()?,
                None => of_remote(ctx)?,
            },
        };
        if settings.token.is_none() {
            return Err(Failure::missing(
                "GitHub requires a token: set GH_TOKEN to one that may read Actions of the repository (for reruns, also write)",
            ));
        }
        let api = Api::new(settings, repository, |line| output::err(line))?;
        Ok(Remote { api, run: reference.id })
    }
}

/// The repository of the remote `origin`.
fn of_remote(ctx: &Context) -> anyhow::Result<Repository> {
    let argv = ["git", "config", "--get", "remote.origin.url"].map(str::to_owned);
    // A URL may hold a password, so it is not shown.
    let url = exec::read(&argv, &ctx.declarations.project).ok();
    let found = url.and_then(|url| Repository::from_remote(url.trim()));
    found.ok_or_else(|| Failure::usage("the repository on GitHub is not known; name it with --repository OWNER/NAME"))
}

impl cli::RerunGithub {
    /// Runs jobs of a run of GitHub Actions again.
    pub(super) fn run(mut self, ctx: &Context, run: &str) -> anyhow::Result<Exit> {
        // A workflow hands over what it was given, which may be nothing.
        self.named.retain(|name| !name.is_empty());
        let asked = self.comment.as_deref().filter(|_| run.is_empty()).map(commented).transpose()?;
        let run = asked.as_ref().map_or(run, |(run, _)| run);
        if run.is_empty() {
            let named = hint::drydock(&["ci", "rerun", "--github", "123456789"]);
            return Err(Failure::usage(format!(
                "--github needs a run of GitHub Actions: its number, or its address from the browser, as in `{named}`; \
                 `gh run list` prints the numbers of the last runs"
            )));
        }
        self.named.extend(asked.as_ref().and_then(|(_, job)| job.clone()));
        let remote = Remote::new(ctx, run, &self.on)?;
        let rerun = Rerun { run: remote.run, jobs: self.named, every: self.on.every, at_most: self.on.wait };
        let report = rerun.run(&remote.api)?;
        print(&report);
        Ok(if report.run.has_passed() {
            Exit::Success
        } else if report.only_lost() {
            Exit::Infrastructure
        } else {
            Exit::CheckFailed
        })
    }
}

/// The run that a comment asks to be run again, and the job, if it names one.
fn commented(text: &str) -> anyhow::Result<(String, Option<String>)> {
    let line = text.lines().next().unwrap_or_default().trim();
    let rest = line.strip_prefix("/rerun ").map(str::trim).filter(|rest| !rest.is_empty());
    let rest = rest.ok_or_else(|| {
        Failure::usage(format!(
            "`{}` does not ask for a run; write `/rerun RUN` or `/rerun RUN JOB`",
            one_line(line, 100)
        ))
    })?;
    let (run, job) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok((run.to_owned(), Some(job.trim().to_owned()).filter(|job| !job.is_empty())))
}

fn print(report: &RerunReport) {
    let RerunReport { run, before, jobs } = report;
    let conclusion = run.conclusion.as_deref().unwrap_or("no conclusion");
    output::out(format_args!("run {}, attempt {}: {conclusion}; attempt {before} before", run.id, run.run_attempt));
    for job in jobs {
        let state = |state: &Option<String>| state.clone().unwrap_or_else(|| "-".to_owned());
        let again = if job.again { "run again" } else { "as it was" };
        let name = one_line(&job.name, 100);
        output::out(format_args!("  {:>12} → {:<12} {again:<10} {name}", state(&job.before), state(&job.after)));
        if let Some(loss) = &job.loss {
            output::out(format_args!("{:>29} {}", "", lost(loss)));
        }
    }
    output::out(one_line(&run.html_url, 200));
}

/// The loss of a runner, in words.
fn lost(loss: &Loss) -> String {
    match loss {
        Loss::During(step) => format!("its runner was lost in the step `{}`", one_line(step, 100)),
        Loss::NeverStarted => "no runner took it".to_owned(),
    }
}

impl cli::CiFetch {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let remote = Remote::new(ctx, &self.workflow_run, &self.on)?;
        let fetched = fetch::fetch(ctx, &remote, &self.artifacts)?;
        for job in remote.api.jobs(remote.run).context("cannot list the jobs of the run")? {
            if let Some(loss) = drydock_github::lost::loss(&job) {
                output::err(format_args!("warning: {}: {}", one_line(&job.name, 100), lost(&loss)));
            }
        }
        let paths: Vec<PathBuf> = fetched;
        for path in paths {
            output::out(path.display());
        }
        Ok(Exit::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::commented;

    #[test]
    fn a_comment_names_a_run_and_perhaps_a_job() {
        for (text, run, job) in [
            ("/rerun 7", "7", None),
            ("/rerun  https://github.com/o/r/actions/runs/7 \r\nthanks", "https://github.com/o/r/actions/runs/7", None),
            ("/rerun 7 shard (2/7)", "7", Some("shard (2/7)")),
        ] {
            assert_eq!(commented(text).unwrap(), (run.to_owned(), job.map(str::to_owned)), "{text}");
        }
        for wrong in ["", "/rerun", "/rerun ", "rerun 7", "/rerunning 7"] {
            assert!(commented(wrong).is_err(), "{wrong}");
        }
    }
}
