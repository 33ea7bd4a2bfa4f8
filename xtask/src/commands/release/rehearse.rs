//! `cargo xtask release rehearse`: the whole release of a commit against stand-ins on this machine, with throw-away keys.
//!
//! The project is only read. Everything is done in a clone, by the commands that a captain calls, in an environment without the
//! user's keys, credentials and settings; what the declarations say about other machines is replaced first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;

use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::DeclaredCommit;
use crate::exit::Exit;
use drydock_base::exec::Contained;
use drydock_base::failure::Failure;
use drydock_base::paths::State;
use drydock_base::scratch::Scratch;
use drydock_base::{output, paths};
use drydock_github::stand_in::StandIn;
use servers::Servers;
use stage::{Person, Stage};

mod binaries;
mod declarations;
mod image;
mod servers;
mod stage;
mod yaml;

/// The reason for publishing packages and images without proofs.
const WITHOUT_PROOF: &str = "a rehearsal";
/// The file that marks the directory of a rehearsal, with its result.
const RESULT: &str = "rehearsal.json";
/// The files with declarations.
const RELEASE: &str = "packaging/release.yaml";
const IMAGES: &str = "docker/images.yaml";

/// The result of a rehearsal.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Rehearsed {
    format: u32,
    name: String,
    version: String,
    /// The commit of the project, without the rehearsal's own declarations.
    commit: String,
    /// Whether every step ended as it should.
    succeeded: bool,
    steps: Vec<Step>,
    targets: Vec<String>,
    not_rehearsed: Vec<String>,
    seconds: f64,
    directory: PathBuf,
}

/// A step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Step {
    name: String,
    /// What ended as it should, or did not.
    result: String,
    succeeded: bool,
    /// The exit code of the command; none for a step without one.
    code: Option<i32>,
    seconds: f64,
    log: Option<PathBuf>,
}

/// A rehearsal as it goes on.
struct Rehearsal {
    stage: Stage,
    servers: Servers,
    results: PathBuf,
    steps: Vec<Step>,
}

/// A command, and how it should end.
struct Act<'a> {
    name: &'a str,
    words: &'a [&'a str],
    /// The exit code that it should have.
    expected: Exit,
    /// What that shows.
    shows: &'a str,
}

impl cli::ReleaseRehearse {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let began = Instant::now();
        let commit = DeclaredCommit::resolve(ctx, &self.commit)?;
        let version = match self.as_version {
            Some(version) => version,
            None => match commit.highest_tag()?.and_then(|tag| commit.declaration.tag.version_in(&tag)) {
                Some(version) => version,
                None => commit.in_version_file()?.ok_or_else(|| {
                    Failure::usage("the commit has no release tag and no version file; name the version with --as")
                })?,
            },
        };
        let _lock = ctx.lock("rehearsal.lock", "another rehearsal")?;
        let results = self.into.map(std::path::absolute).transpose()?;
        let results = results.unwrap_or_else(|| ctx.state.root().join("rehearsal"));
        empty(&results)?;
        // The path of a socket of gpg's agent may not be long.
        let secret = Scratch::new("rehearsal")?;
        let stage = Stage::new(&results, secret.path())?;
        let project = &ctx.declarations.project;
        output::announce(format_args!("clone {}", commit.id.short()));
        stage.clone(project, commit.id.as_str())?;
        let read = |name: &str| fs::read_to_string(stage.project.join(name)).ok();
        let (Some(release), images) = (read(RELEASE), read(IMAGES)) else {
            return Err(Failure::declaration(format!("the commit has no {RELEASE}")));
        };
        let quorum = commit.declaration.signing.as_ref().map_or(1, |signing| signing.quorum);
        output::announce(format_args!("make throw-away keys for {} people", quorum.max(1)));
        let people = stage.people(quorum)?;
        let captain = people.first().map_or_else(String::new, |person| person.key.clone());
        output::err("== start the stand-ins");
        let mut servers = Servers::new(&results, &stage.secret, &captain, &release)?;
        let state = State::new(&stage.project, None)?;
        let rewritten = declarations::rewrite(&release, images.as_deref(), &mut servers, &state)?;
        let mut files = vec![(RELEASE, rewritten.release.as_str())];
        files.extend(rewritten.images.as_deref().map(|text| (IMAGES, text)));
        let tag = commit.declaration.tag.render(&version);
        let (head, object) = stage.commit(&files, &rewritten.keys, &people, &tag)?;
        if let Some(github) = &servers.github {
            github.state().tags.insert(tag.clone(), object.clone());
        }
        let mut rehearsal = Rehearsal { stage, servers, results: results.clone(), steps: Vec::new() };
        let mut not_rehearsed = rewritten.left_out.clone();
        let has = |kind: &str| rewritten.kinds.iter().any(|one| one == kind);
        if has("deb") || has("images") {
            not_rehearsed.push("the proofs of packages, and the building of images, which take minutes".to_owned());
        }
        let stand_ins = rewritten.images.as_deref().filter(|_| has("images"));
        let of = image::Release { version: version.as_str(), commit: &head, tag: &tag, object: &object };
        let succeeded = rehearsal.play(&people, stand_ins, &of)?;
        if let Some(github) = &rehearsal.servers.github {
            keep_github(github, &results)?;
        }
        rehearsal.stage.end();
        let rehearsed = Rehearsed {
            format: 1,
            name: commit.declaration.name.clone(),
            version: version.to_string(),
            commit: commit.id.to_string(),
            succeeded,
            steps: rehearsal.steps,
            targets: rewritten.kinds,
            not_rehearsed,
            seconds: began.elapsed().as_secs_f64(),
            directory: results.clone(),
        };
        let json = format!("{}\n", serde_json::to_string_pretty(&rehearsed)?);
        paths::write_atomically(&results.join(RESULT), json.as_bytes())?;
        match self.format {
            cli::Format::Json => output::out(json.trim_end()),
            cli::Format::Text => output::out(rehearsed.shown()),
        }
        let failed = rehearsed.steps.iter().find(|step| !step.succeeded).and_then(|step| step.code);
        let exit = failed.and_then(|code| Exit::ALL.into_iter().find(|exit| i32::from(exit.code()) == code));
        Ok(if succeeded {
            Exit::Success
        } else {
            exit.filter(|exit| *exit != Exit::Success).unwrap_or(Exit::CheckFailed)
        })
    }
}

impl Rehearsal {
    /// Plays the release; whether every step ended as it should. It stops at the first that does not.
    fn play(&mut self, people: &[Person], images: Option<&str>, release: &image::Release<'_>) -> anyhow::Result<bool> {
        let key = |at: usize| people.get(at).map_or("", |person| person.key.as_str());
        let publish = ["publish", "--key", key(0), "--without-proof", WITHOUT_PROOF];
        fn act<'a>(name: &'a str, words: &'a [&'a str], shows: &'a str) -> Act<'a> {
            Act { name, words, expected: Exit::Success, shows }
        }
        if !self.act(&act("check, build and prove", &[], "the sources are proved"))? {
            return Ok(false);
        }
        if let Some(declaration) = images {
            let began = Instant::now();
            let count = image::push_all(declaration, release, &self.stage.secret.join("images"))?;
            self.steps.push(Step {
                name: "push images".into(),
                result: format!("{count} stand-ins for images are in the registry"),
                succeeded: true,
                code: None,
                seconds: began.elapsed().as_secs_f64(),
                log: None,
            });
        }
        for (at, person) in people.iter().enumerate() {
            // Before the last signature nothing is made public.
            let is_refused = Act {
                name: "publish without the quorum",
                words: &publish,
                expected: Exit::NotReproducible,
                shows: "nothing is public before enough people have signed",
            };
            if at + 1 == people.len() && !self.act(&is_refused)? {
                return Ok(false);
            }
            let shows = format!("{} has signed", person.name);
            if !self.act(&act("sign", &["sign", "--key", key(at)], &shows))? {
                return Ok(false);
            }
        }
        let dry = [publish.as_slice(), &["--dry-run"]].concat();
        Ok(self.act(&act("publish --dry-run", &dry, "all targets can be asked"))?
            && self.act(&act("publish", &publish, "every target has every file, read back and compared"))?
            && self.act(&act("publish again", &publish, "nothing is left to do"))?
            && self.act(&act("verify", &["verify"], "users can verify it"))?)
    }

    /// Runs `release WORDS` in the clone; whether it ended as it should.
    fn act(&mut self, act: &Act<'_>) -> anyhow::Result<bool> {
        output::announce(format_args!("{}", act.name));
        let program = std::env::current_exe().context("cannot find this program")?;
        let project = self.stage.project.display().to_string();
        let program = program.display().to_string();
        let fixed = [program.as_str(), "--project", &project, "release"];
        let argv: Vec<String> = fixed.iter().chain(act.words).map(|word| (*word).to_owned()).collect();
        let environment = self.stage.environment(&self.servers.variables());
        let began = Instant::now();
        let run = Contained { merged: true, ..Contained::new(&argv, &self.stage.project, environment) };
        let done = run.run()?;
        let number = self.steps.len() + 1;
        let log = self.results.join("logs").join(format!("{number:02}-{}.txt", act.name.replace([' ', ','], "-")));
        fs::write(&log, &done.stdout).with_context(|| format!("cannot write {}", log.display()))?;
        let code = done.status.code();
        let succeeded = code == Some(i32::from(act.expected.code()));
        let result = if succeeded { act.shows.to_owned() } else { failure(&done.stdout, code) };
        let (name, seconds) = (act.name.to_owned(), began.elapsed().as_secs_f64());
        self.steps.push(Step { name, result, succeeded, code, seconds, log: Some(log) });
        Ok(succeeded)
    }
}

/// The end of what a command printed.
fn failure(printed: &[u8], code: Option<i32>) -> String {
    let text = String::from_utf8_lossy(printed);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
    let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    format!("it ended with {code}: {}", drydock_base::text::one_line(last, 400))
}

/// Makes a directory that is empty, or has an earlier rehearsal, which is removed.
fn empty(results: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot make {}", results.display());
    if results.join(RESULT).is_file() || results.join("project/.git").is_dir() {
        fs::remove_dir_all(results).with_context(cannot)?;
    }
    fs::create_dir_all(results).with_context(cannot)?;
    if fs::read_dir(results).with_context(cannot)?.next().is_some() {
        let text = format!("{} is not empty, and is not a rehearsal; name another directory", results.display());
        return Err(Failure::usage(text));
    }
    Ok(())
}

/// Writes what the stand-in for GitHub has to the directory.
fn keep_github(github: &StandIn, results: &Path) -> anyhow::Result<()> {
    let state = github.state();
    for release in &state.releases {
        let directory = results.join("github").join(release.tag.replace('/', "-"));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let kind = if release.draft { "draft" } else { "published" };
        let latest = if state.latest == release.tag { ", latest" } else { "" };
        let text = format!("{} ({kind}{latest})\n\n{}", release.tag, release.body);
        fs::write(directory.join("RELEASE.txt"), text)?;
        for (name, (_, content)) in &release.assets {
            fs::write(directory.join(name.replace('/', "-")), content.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

impl Rehearsed {
    fn shown(&self) -> String {
        let mut text = format!("the release {} {} was rehearsed\n", self.name, self.version);
        for step in &self.steps {
            let mark = if step.succeeded { "ok    " } else { "FAILED" };
            text.push_str(&format!("  {mark}  {:<28} {:>6.1} s  {}\n", step.name, step.seconds, step.result));
            if let Some(log) = step.log.as_ref().filter(|_| !step.succeeded) {
                text.push_str(&format!("          see {}\n", log.display()));
            }
        }
        text.push_str(&format!("  targets: {}\n", self.targets.join(", ")));
        for left_out in &self.not_rehearsed {
            text.push_str(&format!("  NOT REHEARSED  {left_out}\n"));
        }
        text.push_str(&format!("  {:.1} s; everything is in {}", self.seconds, self.directory.display()));
        text
    }
}
