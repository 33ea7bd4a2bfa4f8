//! Following the builds of packages that a personal package archive accepted, until all have ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::exit::Exit;
use drydock_base::{hint, output};
use drydock_deb::launchpad::{Api, Progress, Publication};

/// A package whose builds are followed.
#[derive(Debug, Clone)]
pub(super) struct Followed {
    /// The source package.
    pub(super) source: String,
    pub(super) version: String,
    pub(super) series: String,
}

/// How builds are followed.
pub(super) struct Follower {
    pub(super) api: Api,
    /// The pause between two questions.
    pub(super) pause: Duration,
    /// The longest time; without an end if `None`.
    pub(super) limit: Option<Duration>,
}

/// What is known of a package.
#[derive(Debug, Default)]
struct Seen {
    /// The last state of each build.
    states: BTreeMap<String, String>,
    /// The line about its end, and whether it ended well.
    end: Option<(String, bool)>,
}

impl Follower {
    /// Follows packages to the end of their builds. `report` gets a line about the end of each. Builds that failed are
    /// [`Exit::CheckFailed`], and those that have not ended in time [`Exit::Remote`].
    ///
    /// # Errors
    /// Launchpad refuses to answer. That it is out of reach, busy or broken for a while is only noted.
    pub(super) fn follow(&self, packages: &[Followed], report: &mut dyn FnMut(String)) -> anyhow::Result<Exit> {
        let start = Instant::now();
        let mut all: Vec<Seen> = packages.iter().map(|_| Seen::default()).collect();
        let mut trouble = None;
        loop {
            for (package, seen) in packages.iter().zip(&mut all).filter(|(_, seen)| seen.end.is_none()) {
                match self.api.publication(&package.source, &package.version, &package.series) {
                    Ok(Some(found)) => seen.look(package, &found),
                    Ok(None) => {}
                    Err(error) if drydock_http::is_passing(&error) => {
                        // The same trouble is reported once.
                        let text = format!("{error:#}");
                        if trouble.as_ref() != Some(&text) {
                            output::err(format_args!("note: {text}; asking again every {} s", self.pause.as_secs()));
                        }
                        trouble = Some(text);
                    }
                    Err(error) => return Err(error),
                }
                if let Some((line, _)) = &seen.end {
                    report(line.clone());
                }
            }
            if all.iter().all(|seen| seen.end.is_some()) {
                let good = all.iter().all(|seen| seen.end.as_ref().is_some_and(|(_, good)| *good));
                return Ok(if good { Exit::Success } else { Exit::CheckFailed });
            }
            let left = self.limit.map(|limit| limit.saturating_sub(start.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            std::thread::sleep(left.map_or(self.pause, |left| left.min(self.pause)));
        }
        for (package, seen) in packages.iter().zip(&all).filter(|(_, seen)| seen.end.is_none()) {
            let states: Vec<String> = seen.states.iter().map(|(name, state)| format!("{name}: {state}")).collect();
            let states = if states.is_empty() { "no builds yet".to_owned() } else { states.join(", ") };
            report(format!("building   {}; not finished within the time to wait; {states}", package.version));
        }
        let watch = hint::drydock(&["deb", "status", "--watch"]);
        output::err(format_args!("note: run the same command to continue waiting, or `{watch}`"));
        Ok(Exit::Remote)
    }
}

impl Seen {
    /// Compares an answer with what was known, and tells what is new.
    fn look(&mut self, package: &Followed, found: &Publication) {
        let version = &package.version;
        for build in &found.builds {
            let old = self.states.insert(build.architecture.clone(), build.state.clone());
            if old.as_ref() != Some(&build.state) {
                output::announce(format_args!("{version} {}", build.summary()));
            }
        }
        self.end = match found.progress() {
            Progress::Waiting => None,
            Progress::Done => {
                let names: Vec<&str> = found.builds.iter().map(|build| build.architecture.as_str()).collect();
                Some((format!("built      {version} ({})", names.join(", ")), true))
            }
            Progress::Failed => {
                let failed = found.builds.iter().filter(|build| build.progress() != Progress::Done);
                let mut parts: Vec<String> = failed.map(|build| build.summary()).collect();
                if found.is_gone() {
                    let state = found.status.to_lowercase();
                    parts.push(format!("the archive lists this version as {state}, so its other builds do not go on"));
                }
                Some((format!("NOT BUILT  {version}: {}", parts.join(", ")), false))
            }
        };
    }
}
