//! `cargo xtask release verify`: checks files of a release against release.json, signatures, and a rebuild of the commit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::{DeclaredCommit, VersionError, VersionSource, signing_policy};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::release::{NightlyVersion, Signing, Version};
use drydock_release::build::Job;
use drydock_release::manifest::{CHECKSUMS, Manifest, NAME};
use drydock_release::signatures::{self, Signature};
use drydock_release::verify::{self, CheckedFile};

/// The result of a verification.
#[derive(Debug, Serialize)]
struct Report {
    directory: PathBuf,
    files: Vec<CheckedFile>,
    signatures: Vec<Signature>,
    /// Problems that are not those of a single file.
    problems: Vec<String>,
    rebuilt: bool,
}

impl cli::ReleaseVerify {
    pub(super) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        // Without a project, checksums can still be verified.
        let project = Context::find(place);
        let (directory, only) = self.directory(project.as_ref().ok())?;
        let (manifest, files) = verify::directory(&directory, &only)?;
        let mut report = Report {
            directory: directory.clone(),
            files,
            signatures: Vec::new(),
            problems: Vec::new(),
            rebuilt: false,
        };
        if let Some(manifest) = &manifest {
            for name in verify::unexpected(&directory, manifest)? {
                report.problems.push(format!("{name} is not listed in {NAME}; it does not belong to this release"));
            }
        }
        if self.rebuild {
            let ctx =
                project.as_ref().map_err(|error| Failure::usage(format!("--rebuild needs a project: {error:#}")))?;
            let manifest =
                manifest.as_ref().with_context(|| format!("--rebuild needs {NAME}, which names the commit"))?;
            self.rebuilt(ctx, manifest, &directory, &mut report)?;
        }
        if let Ok(ctx) = &project {
            self.signatures(ctx, manifest.as_ref(), &directory, &mut report)?;
        }
        let holds = report.problems.is_empty() && report.files.iter().all(|one| one.problem.is_none());
        match self.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(&report)?),
            cli::Format::Text => print(&report, manifest.as_ref()),
        }
        Ok(if holds { Exit::Success } else { Exit::NotReproducible })
    }

    /// The directory of the release, and the names of the files to verify; all files without names.
    fn directory(&self, ctx: Option<&Context>) -> anyhow::Result<(PathBuf, Vec<String>)> {
        let usage = |text: String| Failure::usage(text);
        match self.files.as_slice() {
            [] => {
                let ctx = ctx.ok_or_else(|| usage("name the directory or the files of a release".into()))?;
                match DeclaredCommit::resolve(ctx, "HEAD")?.version(&VersionSource::Tag(None)) {
                    Ok((version, _)) => Ok((ctx.state.dist(version.as_str()), Vec::new())),
                    Err(VersionError::Tag(_)) => {
                        Err(usage("HEAD has no release tag; name a directory or files".into()))
                    }
                    Err(VersionError::Other(error)) => Err(error),
                }
            }
            [directory] if directory.is_dir() => Ok((directory.clone(), Vec::new())),
            files => {
                let parent = |file: &PathBuf| match file.parent() {
                    Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
                    Some(parent) => parent.to_owned(),
                    None => PathBuf::from("/"),
                };
                let is_listed = |file: &PathBuf| [NAME, CHECKSUMS].iter().any(|list| parent(file).join(list).exists());
                if let Some(absent) = files.iter().find(|file| !file.exists() && !is_listed(file)) {
                    return Err(usage(format!("{} does not exist", absent.display())));
                }
                let directories: BTreeSet<PathBuf> = files.iter().map(parent).collect();
                if directories.len() != 1 || files.iter().any(|file| file.is_dir()) {
                    return Err(usage("name one directory, or files of one directory".into()));
                }
                let name = |file: &PathBuf| file.file_name().map(|name| name.to_string_lossy().into_owned());
                Ok((directories.into_iter().next().unwrap_or_default(), files.iter().filter_map(name).collect()))
            }
        }
    }

    /// Rebuilds the release, and compares.
    fn rebuilt(&self, ctx: &Context, manifest: &Manifest, directory: &Path, report: &mut Report) -> anyhow::Result<()> {
        let commit = DeclaredCommit::resolve(ctx, &manifest.commit)?;
        let version: Version =
            manifest.version.parse().map_err(|bad| Failure::not_reproducible(format!("{NAME}: {bad}")))?;
        let source = match &manifest.tag {
            _ if NightlyVersion::parse(&version).is_some() => VersionSource::Nightly(Some(version.clone())),
            Some(tag) => VersionSource::Tag(Some(tag.name.clone())),
            None => VersionSource::Untagged,
        };
        match commit.version(&source) {
            Ok((found, tag)) if tag == manifest.tag && found == version => {}
            Ok(_) => report.problems.push(format!("the commit does not have the tag and version that {NAME} names")),
            Err(VersionError::Tag(finding)) => report.problems.push(format!("{}: {}", finding.what, finding.found)),
            Err(VersionError::Other(error)) => return Err(error),
        }
        let release = commit.release_of(version, manifest.tag.clone())?;
        let scratch = tempfile::Builder::new()
            .prefix("drydock-verify-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        let threads = self.threads.unwrap_or(2);
        let job = Job {
            identity: release.identity(),
            tree: release.tree.clone(),
            directory: scratch.path().to_owned(),
            threads,
        };
        let built = job.run(&mut |line| output::err(format_args!("== {line}")))?;
        verify::against_rebuilt(directory, scratch.path(), manifest, &mut report.files)?;
        if !built.manifest.is_same_release(manifest) {
            let other = built.manifest.entries.iter().zip(&manifest.entries).find(|(ours, theirs)| ours != theirs);
            let what = other.map_or_else(String::new, |(ours, theirs)| {
                format!(": found {} ({}), expected {} ({})", theirs.path, theirs.sha256, ours.path, ours.sha256)
            });
            report.problems.push(format!("{NAME} differs from a build of the commit{what}"));
        }
        report.rebuilt = true;
        Ok(())
    }

    /// Checks that enough declared keys signed SHA256SUMS. The checkout declares the keys; the commit of the release can only
    /// raise their number.
    fn signatures(
        &self,
        ctx: &Context,
        manifest: Option<&Manifest>,
        directory: &Path,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let head = match DeclaredCommit::resolve(ctx, "HEAD") {
            Ok(head) => head,
            Err(_) if self.unsigned => return Ok(()),
            Err(error) => {
                let text = format!("cannot tell which keys must sign: {error:#}; `--unsigned` skips this check");
                report.problems.push(text);
                return Ok(());
            }
        };
        let released = manifest.and_then(|manifest| DeclaredCommit::resolve(ctx, &manifest.commit).ok());
        let released = released.as_ref().and_then(|commit| commit.declaration.signing.as_ref());
        let policy = signing_policy(head.declaration.signing.as_ref(), released);
        let Some(Signing { keys, quorum }) = policy else { return Ok(()) };
        report.signatures = signatures::check(directory, &ctx.declarations.config.join(keys))?;
        for signature in &report.signatures {
            report.problems.extend(signature.problems.iter().map(|problem| format!("{}: {problem}", signature.file)));
        }
        let of_sums = report.signatures.iter().filter(|signature| signature.file == "SHA256SUMS.asc");
        let good: BTreeSet<&String> = of_sums.flat_map(|signature| &signature.good).collect();
        if good.len() < quorum as usize && !self.unsigned {
            let text = format!("SHA256SUMS is signed by {} of the declared keys, {quorum} are required", good.len());
            report.problems.push(format!("{text}; `--unsigned` skips this check"));
        }
        Ok(())
    }
}

fn print(report: &Report, manifest: Option<&Manifest>) {
    for one in &report.files {
        match &one.problem {
            None => output::out(format_args!("ok     {}", one.name)),
            Some(problem) => output::out(format_args!("WRONG  {}: {problem}", one.name)),
        }
        if let Some(difference) = &one.difference {
            let text =
                manifest.map_or_else(|| difference.to_string(), |manifest| verify::with_origin(difference, manifest));
            output::out(format_args!("         first difference: {text}"));
        }
    }
    for signature in &report.signatures {
        signature.good.iter().for_each(|key| output::out(format_args!("ok     {} by {key}", signature.file)));
    }
    report.problems.iter().for_each(|problem| output::out(format_args!("WRONG  {problem}")));
    if report.rebuilt && report.files.iter().all(|one| one.problem.is_none()) && report.problems.is_empty() {
        output::out("a rebuild of the commit has exactly these files");
    }
}
