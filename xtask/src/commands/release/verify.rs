//! `cargo xtask release verify`: checks files of a release against signatures, lists of checksums, release.json, and a rebuild of
//! the commit.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;

use super::bases::CachedBases;
use super::policy::SigningPolicy;
use super::sign;
use crate::cli;
use crate::commands::release_context::{DeclaredCommit, VersionError, VersionSource};
use crate::commands::{Context, now};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::git::Oid;
use drydock_base::scratch::Scratch;
use drydock_base::{output, paths};
use drydock_config::debversion::is_above;
use drydock_config::release::{NightlyVersion, Version};
use drydock_release::binaries::Bases;
use drydock_release::build::Job;
use drydock_release::manifest::{CHECKSUMS, Manifest, NAME};
use drydock_release::verify::{self, Proved, Request, Verification};

impl cli::ReleaseVerify {
    pub(super) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        let project = Context::find(place);
        let (directory, only) = self.directory(project.as_ref().ok())?;
        let policy = if self.integrity_only {
            None
        } else {
            Some(SigningPolicy::for_verification(&self, project.as_ref(), &directory)?)
        };
        let known = policy.as_ref().and_then(|policy| policy.as_ref().ok());
        // With --keys, another project than that of the current directory may be verified.
        let head = match (&project, &self.keys) {
            (Ok(ctx), None) if known.is_some() || self.integrity_only => DeclaredCommit::resolve(ctx, "HEAD").ok(),
            _ => None,
        };
        let request = Request {
            directory: &directory,
            only: &only,
            policy: known.map(SigningPolicy::policy),
            name: head.as_ref().filter(|_| known.is_some()).map(|head| head.declaration.name.as_str()),
            version: self.expected_version.as_ref().map(Version::as_str),
            now: now(),
        };
        let mut verified = verify::verify(&request)?;
        let no_policy = policy.as_ref().and_then(|policy| policy.as_ref().err()).map(ToString::to_string);
        let unsigned = no_policy.or(verified.unsigned.take());
        let manifest = verified.manifest.as_ref();
        let mut report = verified.report;
        if let (Some(head), Some(manifest)) = (&head, manifest) {
            self.compare_with_checkout(head, manifest, &mut report);
        }
        if self.rebuild {
            let ctx =
                project.as_ref().map_err(|error| Failure::usage(format!("--rebuild needs a project: {error:#}")))?;
            match manifest {
                Some(manifest) => self.rebuilt(ctx, manifest, unsigned.is_none(), &mut report)?,
                None => report.problems.push(format!("--rebuild needs {NAME}, which names the commit")),
            }
        }
        if self.sign {
            return self.signed(known, unsigned.as_deref(), manifest, report);
        }
        report.conclude(unsigned.as_deref(), self.integrity_only);
        self.print(&report, manifest)?;
        Ok(if report.result == Proved::NotAuthenticated { Exit::NotReproducible } else { Exit::Success })
    }

    fn print(&self, report: &Verification, manifest: Option<&Manifest>) -> anyhow::Result<()> {
        match self.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(report)?),
            cli::Format::Text => output::out(report.text(manifest)),
        }
        Ok(())
    }

    /// The directory of the release, and the names of the files to verify; all files without names.
    fn directory(&self, ctx: Option<&Context>) -> anyhow::Result<(PathBuf, Vec<String>)> {
        let usage = |text: &str| Failure::usage(text);
        match self.files.as_slice() {
            [] => {
                let ctx = ctx.ok_or_else(|| usage("name the directory or the files of a release"))?;
                Ok((sign::of_head(ctx, &DeclaredCommit::resolve(ctx, "HEAD")?)?, Vec::new()))
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
                    return Err(usage(&format!("{} does not exist", absent.display())));
                }
                let directories: BTreeSet<PathBuf> = files.iter().map(parent).collect();
                if directories.len() != 1 || files.iter().any(|file| file.is_dir()) {
                    return Err(usage("name one directory, or files of one directory"));
                }
                let name = |file: &PathBuf| file.file_name().map(|name| name.to_string_lossy().into_owned());
                Ok((directories.into_iter().next().unwrap_or_default(), files.iter().filter_map(name).collect()))
            }
        }
    }

    /// Compares the tag that release.json names with that of the checkout, and mentions newer releases.
    fn compare_with_checkout(&self, head: &DeclaredCommit, manifest: &Manifest, report: &mut Verification) {
        if let Some(tag) = &manifest.tag {
            let reference = format!("refs/tags/{}", tag.name);
            let own = head.repository.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &reference]);
            if own.as_ref().is_ok_and(|own| *own != tag.object) {
                report.problems.push(format!("{NAME} names another object than the tag {} of this checkout", tag.name));
            }
        }
        let Ok(version) = manifest.version.parse::<Version>() else { return };
        let tags = head.repository.ask(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags"]);
        let versions = tags.iter().flat_map(|tags| tags.lines()).filter_map(|tag| head.declaration.tag.version_in(tag));
        let newest = versions.reduce(|a, b| if is_above(&b, &a) { b } else { a });
        if let Some(newest) = newest.filter(|newest| is_above(newest, &version)) {
            report.notes.push(format!("this checkout has a tag of a newer release, {newest}"));
        }
    }

    /// Rebuilds the release, and compares.
    fn rebuilt(
        &self,
        ctx: &Context,
        manifest: &Manifest,
        is_authenticated: bool,
        report: &mut Verification,
    ) -> anyhow::Result<()> {
        let commit = DeclaredCommit::resolve(ctx, &manifest.commit)?;
        // A build runs the generators of the commit. Nobody may choose it who only could replace the download.
        if !is_authenticated && !is_in_history(&commit) {
            let text = format!("the commit {} is not in the history of HEAD", commit.id.short());
            report.problems.push(format!("{text}, and {NAME} is not authenticated, so nothing was built"));
            return Ok(());
        }
        let version: Version =
            manifest.version.parse().map_err(|bad| Failure::not_reproducible(format!("{NAME}: {bad}")))?;
        let source = match &manifest.tag {
            _ if NightlyVersion::parse(&version).is_some() => VersionSource::Nightly(Some(version.clone())),
            Some(tag) => VersionSource::Tag(Some(tag.name.clone())),
            None => VersionSource::Untagged(Some(version.clone())),
        };
        match commit.version(&source) {
            Ok((found, tag)) if tag == manifest.tag && found == version => {}
            Ok(_) => report.problems.push(format!("the commit does not have the tag and version that {NAME} names")),
            Err(VersionError::Tag(finding)) => report.problems.push(format!("{}: {}", finding.what, finding.found)),
            Err(VersionError::Other(error)) => return Err(error),
        }
        let release = commit.release_of(version, manifest.tag.clone())?;
        let scratch = Scratch::new("verify")?;
        let again = scratch.path().join("again");
        std::fs::create_dir(&again).context("cannot make a temporary directory")?;
        let threads = self.threads.unwrap_or(2);
        let bases = CachedBases::of(&release).filter(|_| !manifest.binaries.is_empty());
        let job = Job {
            identity: release.identity(),
            tree: release.tree.clone(),
            directory: again.clone(),
            threads,
            bases: bases.as_ref().map(|bases| bases as &dyn Bases),
        };
        let built = job.run(&mut |line| output::step(format_args!("{line}")))?;
        verify::against_rebuilt(&report.directory, &again, manifest, &mut report.files)?;
        if built.manifest != *manifest {
            let other = built.manifest.entries.iter().zip(&manifest.entries).find(|(ours, theirs)| ours != theirs);
            let what = other.map_or_else(String::new, |(ours, theirs)| {
                format!(": found {} ({}), expected {} ({})", theirs.path, theirs.sha256, ours.path, ours.sha256)
            });
            report.problems.push(format!("{NAME} differs from a build of the commit{what}"));
        }
        report.rebuilt = report.is_whole();
        Ok(())
    }

    /// Signs what was rebuilt, and writes the signature to a file for the release captain.
    fn signed(
        &self,
        policy: Option<&SigningPolicy>,
        unsigned: Option<&str>,
        manifest: Option<&Manifest>,
        mut report: Verification,
    ) -> anyhow::Result<Exit> {
        if manifest.is_some_and(|manifest| manifest.tag.is_none()) {
            report.problems.push(format!("{NAME} names no tag; only releases are signed"));
        }
        let (Some(policy), Some(key), true) = (policy, &self.key, report.rebuilt && report.is_whole()) else {
            report.conclude(unsigned, false);
            self.print(&report, manifest)?;
            output::err("nothing was signed");
            return Ok(Exit::NotReproducible);
        };
        let (signature, signed_by) = sign::make(key, &report.directory, policy)?;
        let name = drydock_release::sign::file_name(&signed_by);
        paths::write_atomically(&report.directory.join(&name), &signature.content)?;
        let person = signed_by.person.clone().unwrap_or_default();
        let mut people: BTreeSet<&str> =
            report.lists.iter().flat_map(|list| list.signed_by.iter().map(String::as_str)).collect();
        people.insert(&person);
        let done = format!(
            "SIGNED: a build of the commit made the same bytes, and {person} signed them ({} of {} required signatures); send {} to \
             the release captain",
            people.len(),
            policy.quorum,
            report.directory.join(&name).display()
        );
        report.conclude(unsigned, false);
        report.summary = done;
        self.print(&report, manifest)?;
        Ok(Exit::Success)
    }
}

/// Whether a commit is HEAD or an ancestor of it.
fn is_in_history(commit: &DeclaredCommit) -> bool {
    let id: &Oid = &commit.id;
    commit.repository.ask(&["merge-base", "--is-ancestor", id.as_str(), "HEAD"]).is_ok()
}
