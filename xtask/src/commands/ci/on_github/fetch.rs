//! The artifacts of a run become runs of the state directory, which every command about runs takes.
//!
//! Whoever can write an artifact chooses what is in it: it is unpacked within limits into a directory of its own, which
//! has to be that of a run; only regular files of it are taken.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{FETCHED, Remote};
use crate::commands::Context;
use crate::commands::ci::recorded_in;
use crate::commands::ci::shards::PART;
use drydock_archive::read::{Limits, unpack};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths::{JOURNAL, PLAN, RunDir};
use drydock_base::text::one_line;
use drydock_ci::journal::Journal;
use drydock_ci::shard::SEAL;
use drydock_ci::{recover, retell};
use drydock_config::release::Format;
use drydock_github::Artifact;

/// The largest zip file of an artifact, and the limits of what is in it.
const LARGEST: u64 = 4 << 30;
const LIMITS: Limits = Limits { bytes: 16 << 30, entries: 500_000 };
/// How deep in an artifact the directory of a run may be.
const DEEPEST: usize = 3;
/// The artifacts that are wanted by default: merged runs, or else those of shards.
const USUAL: [&str; 2] = ["drydock-run-*", "drydock-shard-*"];

/// Fetches artifacts of a run, and returns the directories of the runs that they hold. The last is the newest one, which
/// becomes the last run of the state directory.
pub(super) fn fetch(ctx: &Context, remote: &Remote, names: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let all = remote.api.artifacts(remote.run)?;
    let chosen = chosen(&all, names)?;
    ctx.state.create()?;
    let work =
        tempfile::Builder::new().prefix(".fetch-").tempdir_in(ctx.state.root()).context("cannot make a directory")?;
    let mut found = Vec::new();
    for artifact in chosen {
        let shown = one_line(&artifact.name, 100);
        output::err(format_args!("fetching {shown} ({} bytes)", artifact.size_in_bytes));
        let zip = work.path().join(format!("{}.zip", artifact.id));
        let mut file = fs::File::create_new(&zip).with_context(|| format!("cannot write {}", zip.display()))?;
        remote.api.artifact(artifact, &mut file, LARGEST)?;
        let directory = work.path().join(artifact.id.to_string());
        fs::create_dir(&directory)?;
        unpack(&zip, Format::Zip, LIMITS, &directory)
            .map_err(|error| Failure::rejected(format!("cannot unpack the artifact {shown}: {error}")))?;
        unpack_inner(&directory)?;
        let runs = runs_in(&directory, DEEPEST);
        if runs.is_empty() {
            output::err(format_args!("warning: the artifact {shown} holds no run"));
        }
        for run in runs {
            found.push(
                adopt(ctx, remote, &run).with_context(|| format!("cannot take the run in the artifact {shown}"))?,
            );
        }
    }
    found.sort_by_key(|(began, _)| *began);
    let last = found.last().ok_or_else(|| Failure::rejected("no artifact of the run holds a run of Drydock"))?;
    let id = last.1.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ctx.state.set_latest(&id).context("cannot make it the last run")?;
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Unpacks the archives in an artifact: workflows pack runs, since artifacts refuse some names of files.
fn unpack_inner(directory: &Path) -> anyhow::Result<()> {
    let entries: Vec<PathBuf> = fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_archive = |path: &Path| path.to_str().is_some_and(|path| path.ends_with(".tar.gz"));
    for (number, archive) in entries.iter().filter(|path| is_archive(path)).enumerate() {
        let into = directory.join(format!("unpacked-{number}"));
        fs::create_dir(&into)?;
        unpack(archive, Format::TarGz, LIMITS, &into)
            .map_err(|error| Failure::rejected(format!("cannot unpack the archive in the artifact: {error}")))?;
        fs::remove_file(archive)?;
    }
    Ok(())
}

/// The artifacts to fetch: the newest of each name.
fn chosen<'a>(all: &'a [Artifact], names: &[String]) -> anyhow::Result<Vec<&'a Artifact>> {
    let matching = |pattern: &str| -> anyhow::Result<Vec<&'a Artifact>> {
        let pattern = glob::Pattern::new(pattern)
            .map_err(|error| Failure::usage(format!("{} is not a glob: {error}", one_line(pattern, 100))))?;
        Ok(all.iter().filter(|artifact| pattern.matches(&artifact.name)).collect())
    };
    let mut chosen = Vec::new();
    if names.is_empty() {
        for usual in USUAL {
            chosen = matching(usual)?;
            if !chosen.is_empty() {
                break;
            }
        }
    }
    for name in names {
        let found = matching(name)?;
        if found.is_empty() {
            return Err(no_artifact(all, name));
        }
        chosen.extend(found);
    }
    chosen.sort_by_key(|artifact| (artifact.name.clone(), std::cmp::Reverse(artifact.id)));
    chosen.dedup_by_key(|artifact| artifact.name.clone());
    if names.is_empty() {
        supersede(&mut chosen);
    }
    if chosen.is_empty() {
        return Err(no_artifact(all, &USUAL.join(" or ")));
    }
    Ok(chosen)
}

/// Drops parts of journals where the end of the shard, or a later part, is there.
fn supersede(chosen: &mut Vec<&Artifact>) {
    let part = |name: &str| {
        let (whole, number) = name.rsplit_once(PART)?;
        Some((whole.to_owned(), number.parse::<u64>().ok()?))
    };
    let names: HashSet<String> = chosen.iter().map(|artifact| artifact.name.clone()).collect();
    let mut newest: HashMap<String, u64> = HashMap::new();
    for (whole, number) in chosen.iter().filter_map(|artifact| part(&artifact.name)) {
        let known = newest.entry(whole).or_default();
        *known = number.max(*known);
    }
    chosen.retain(|artifact| match part(&artifact.name) {
        Some((whole, number)) => !names.contains(&whole) && newest.get(&whole) == Some(&number),
        None => true,
    });
}

fn no_artifact(all: &[Artifact], name: &str) -> anyhow::Error {
    let there: Vec<String> = all.iter().take(20).map(|artifact| one_line(&artifact.name, 60)).collect();
    let there = if there.is_empty() { "it has none".to_owned() } else { format!("it has {}", there.join(", ")) };
    Failure::usage(format!("the run has no artifact {}; {there}", one_line(name, 100)))
}

/// The directories of runs, at most `deep` levels below.
fn runs_in(directory: &Path, deep: usize) -> Vec<PathBuf> {
    let is_file = |name: &str| fs::symlink_metadata(directory.join(name)).is_ok_and(|metadata| metadata.is_file());
    if is_file(PLAN) && is_file(JOURNAL) {
        return vec![directory.to_owned()];
    }
    if deep == 0 {
        return Vec::new();
    }
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut below: Vec<PathBuf> =
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect();
    below.sort();
    below.iter().flat_map(|below| runs_in(below, deep - 1)).collect()
}

/// Moves the directory of a run to those of the state directory, and returns when it began with its new path. A run that is
/// there already is not taken twice.
fn adopt(ctx: &Context, remote: &Remote, from: &Path) -> anyhow::Result<(i64, PathBuf)> {
    let dir = RunDir::new(from.to_owned());
    let mut run = recorded_in(&dir)?;
    remove_all_but_files(from)?;
    let origin = serde_json::json!({
        "repository": remote.api.repository().to_string(),
        "run": remote.run,
        "journal": Checksum::from_file(&dir.journal())?.0.to_string(),
    });
    let origin = serde_json::to_vec(&origin)?;
    if run.result.is_none() {
        recover::end_elsewhere(&mut run, dir.root().join(SEAL).is_file());
        Journal::write_anew(&dir, &retell::events(&run))?.close()?;
    }
    dir.write(FETCHED, &origin)?;
    let id = run.started.as_ref().map_or("fetched", |started| started.id.as_str());
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "-_".contains(*letter);
    let id: String = id.chars().filter(is_plain).take(60).collect();
    let id = if id.is_empty() || id.starts_with('-') { format!("fetched{id}") } else { id };
    fs::create_dir_all(ctx.state.runs())?;
    for number in 0_u32.. {
        let name = if number == 0 { id.clone() } else { format!("{id}-{number}") };
        let into = ctx.state.run(&name);
        let began = run.began.unwrap_or(0);
        if fs::read(into.root().join(FETCHED)).is_ok_and(|known| known == origin) {
            return Ok((began, into.root().to_owned()));
        }
        if fs::symlink_metadata(into.root()).is_err() {
            fs::rename(from, into.root()).context("cannot move the run")?;
            return Ok((began, into.root().to_owned()));
        }
    }
    Err(Failure::infrastructure("no directory name is free for the run; remove old runs from the state directory"))
}

/// Removes links below a directory: a run has none, and what one leads to is not the run's.
fn remove_all_but_files(directory: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            remove_all_but_files(&entry.path())?;
        } else if !kind.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_lost_shard_the_last_part_is_taken() {
        let names =
            ["shard-1-1", "shard-1-1-part-3", "shard-2-1-part-9", "shard-2-1-part-10", "shard-11-1-part-1", "x-part-y"];
        let all: Vec<Artifact> = names
            .into_iter()
            .zip(1..)
            .map(|(name, id)| Artifact { id, name: name.into(), size_in_bytes: 1, expired: false, digest: None })
            .collect();
        let mut chosen: Vec<&Artifact> = all.iter().collect();
        supersede(&mut chosen);
        let left: Vec<&str> = chosen.iter().map(|artifact| artifact.name.as_str()).collect();
        assert_eq!(left, ["shard-1-1", "shard-2-1-part-10", "shard-11-1-part-1", "x-part-y"]);
    }
}
