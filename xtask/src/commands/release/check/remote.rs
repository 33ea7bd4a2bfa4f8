//! The findings about other machines: whether the commit passed its tests there, and whether every declared target can be
//! reached, lets us publish, and has nothing else under the names of the release. Nothing is changed.

use crate::commands::release::policy;
use crate::commands::release::publish::Options;
use crate::commands::release::publish::publication::LocalRelease;
use crate::commands::release_context::{DeclaredCommit, ReleaseContext};
use crate::tools::{self, Purpose};
use drydock_base::hint;
use drydock_config::release::{PublishTarget, RequiredCi};
use drydock_github::checks::{self, Wanted};
use drydock_github::{Api, Error, Settings};
use drydock_release::preflight::Finding;
use drydock_release::publish::{Conflict, Held, ObservedStep, Stage, Target};

/// Checks that the commit passed its tests on GitHub.
pub(in crate::commands::release) fn ci(required: &RequiredCi, commit: &str) -> Finding {
    let what = format!("the commit has passed its tests on {}", required.repository);
    let asked = || -> Result<Result<String, Vec<String>>, Error> {
        let api =
            Api::new(Settings::new(&|variable| std::env::var_os(variable))?, required.repository.parse()?, |_| {})?;
        let own_run = std::env::var("GITHUB_RUN_ID").ok().and_then(|id| id.parse().ok());
        let (runs, statuses) = (api.check_runs(commit)?, api.statuses(commit)?);
        Ok(checks::decide(&runs, &statuses, Wanted { names: &required.checks, own_run }))
    };
    match asked() {
        Ok(Ok(evidence)) => Finding::good(what, evidence),
        Ok(Err(problems)) => {
            let remedy = "push the commit, wait for its tests, and repair or repeat what failed";
            Finding::bad(what, problems.join(", "), remedy)
        }
        // GitHub knows no commit that was not pushed.
        Err(Error::Refused { status: 422, .. }) => {
            Finding::bad(what, "GitHub does not have the commit", "push it, and wait for its tests")
        }
        Err(error) => Finding::bad(what, error.to_string(), "as it says; `--offline` leaves this out"),
    }
}

/// Checks that the tools of the release are installed: those that its declaration and its keys need.
pub(super) fn tools(commit: &DeclaredCommit) -> Finding {
    let what = "the tools are installed";
    let declaration = &commit.declaration;
    let has = |test: fn(&PublishTarget) -> bool| declaration.publish.iter().any(test);
    let others = [
        declaration.deb.is_some().then_some(Purpose::Deb),
        has(|target| matches!(target, PublishTarget::Images(_))).then_some(Purpose::Docker),
    ];
    let signers = Signers::of(commit);
    // Targets name their own programs when they need them.
    let is_needed = |tool: &&tools::Tool| match tool.name() {
        "sftp" | "rsync" => false,
        "gpg" | "gpg-agent" => signers.openpgp,
        "ssh-keygen" => signers.ssh,
        _ => true,
    };
    let mut missing: Vec<&tools::Tool> = tools::missing(Some(Purpose::Release)).into_iter().filter(is_needed).collect();
    for tool in others.into_iter().flatten().flat_map(|purpose| tools::missing(Some(purpose))) {
        if tool.name() != "sftp" && !missing.iter().any(|other| other.name() == tool.name()) {
            missing.push(tool);
        }
    }
    if missing.is_empty() {
        return Finding::good(what, "all of them");
    }
    let names: Vec<String> = missing.iter().map(|tool| format!("{} ({})", tool.name(), tool.reason)).collect();
    let install = tools::install_line(&missing);
    Finding::bad(what, format!("missing: {}", names.join(", ")), format!("run `{install}`"))
}

/// The kinds of keys that people have who may sign a release.
struct Signers {
    openpgp: bool,
    ssh: bool,
}

impl Signers {
    /// Those of the keys of a commit; both where they cannot be read, and none where none are declared.
    fn of(commit: &DeclaredCommit) -> Signers {
        let Some(signing) = &commit.declaration.signing else { return Signers { openpgp: false, ssh: false } };
        let Ok(keyring) = policy::keyring(commit, signing) else { return Signers { openpgp: true, ssh: true } };
        let people = keyring.people();
        Signers {
            openpgp: people.iter().any(|person| !person.openpgp.is_empty()),
            ssh: people.iter().any(|person| !person.ssh.is_empty()),
        }
    }
}

/// Checks all declared targets.
pub(super) fn targets(release: ReleaseContext, options: &Options) -> Vec<Finding> {
    let declared: Vec<PublishTarget> = release.declaration().publish.clone();
    let local = match LocalRelease::built_or_planned(release) {
        Ok(local) => local,
        Err(error) => return vec![Finding::bad("the targets can be asked", format!("{error:#}"), "")],
    };
    let finding = |declared: &PublishTarget| {
        let what = format!("the target {} is ready", declared.name());
        let trouble = |error: anyhow::Error| (format!("{error:#}"), String::new());
        let ready = local.target(declared, options).map_err(trouble).and_then(|mut target| {
            let missing = target.missing();
            if !missing.is_empty() {
                return Err((missing.join("; "), String::new()));
            }
            let rights = target.rights().map_err(trouble)?;
            let held = observe(target.as_mut()).map_err(trouble)?;
            conclude(&held, local.is_built(), declared).map(|found| [rights.unwrap_or_default(), found].join("; "))
        });
        match ready {
            Ok(found) => Finding::good(what, found.trim_start_matches("; ")),
            Err((found, remedy)) => Finding::bad(what, found, remedy),
        }
    };
    declared.iter().map(finding).collect()
}

fn observe(target: &mut dyn Target) -> anyhow::Result<Vec<ObservedStep>> {
    let mut all = Vec::new();
    for stage in Stage::ALL {
        all.extend(target.observe(stage)?);
    }
    Ok(all)
}

/// What is there of the release; an error if something else has one of its names.
fn conclude(held: &[ObservedStep], is_built: bool, declared: &PublishTarget) -> Result<String, (String, String)> {
    // Images are made after this check: what a promotion still lacks is no obstacle before.
    let counts = is_built || !matches!(declared, PublishTarget::Images(_));
    let other: Vec<(&str, &Conflict)> = held
        .iter()
        .filter_map(|one| match &one.held {
            Held::Other(conflict) if counts => Some((one.step.as_str(), conflict)),
            Held::Other(_) | Held::Absent | Held::Same(_) | Held::Outdated(_) => None,
        })
        .collect();
    if let Some((_, first)) = other.first() {
        let found: Vec<String> = other.iter().map(|(step, conflict)| format!("{step}: {}", conflict.found)).collect();
        let remedy = if is_built {
            first.remedy.clone()
        } else {
            let build = hint::drydock(&["release", "build"]);
            format!(
                "{}; if it may be this release, `{build}` and check again: the same bytes are no conflict",
                first.remedy
            )
        };
        return Err((found.join("; "), remedy));
    }
    let there = held.iter().filter(|one| matches!(one.held, Held::Same(_))).count();
    Ok(if there == 0 {
        "nothing of the release is there yet".to_owned()
    } else {
        format!("{there} of {} steps are done", held.len())
    })
}
