//! A release on its way to the declared targets: its files on this machine, who signed them, its journal, and its targets.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Options;
use super::deb::DebTarget;
use super::github::GithubTarget;
use super::images::ImagesTarget;
use super::pypi::PypiTarget;
use super::served::ServedFiles;
use crate::commands::release::policy::SigningPolicy;
use crate::commands::release::{check, policy};
use crate::commands::release_context::{DeclaredCommit, ReleaseContext, ReleaseSelector, signing_policy};
use crate::commands::{Context, now};
use crate::exit::Exit;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_base::{hint, output};
use drydock_config::release::{PublishTarget, Version};
use drydock_release::manifest::{self, CHECKSUMS, Manifest, Tag};
use drydock_release::publish::files::{Files, FilesTarget};
use drydock_release::publish::{self, Decision, ExpectedFile, Journal, PublishedRelease, Target, store};
use drydock_release::sign;
use drydock_release::verify::{self, Request};

/// The directory of the journals, in the state directory.
const JOURNALS: &str = "publish";

/// A release on its way to its targets.
pub(in crate::commands) struct Publication {
    pub(in crate::commands) local: LocalRelease,
    /// Who may sign: the keys of HEAD, and the larger of the quorums of HEAD and of the release.
    pub(in crate::commands) policy: SigningPolicy,
    /// The people whose signatures count.
    pub(in crate::commands) signed_by: BTreeSet<String>,
    pub(in crate::commands) journal: Journal,
}

/// A release with its files on this machine.
pub(in crate::commands) struct LocalRelease {
    pub(in crate::commands) release: ReleaseContext,
    /// The directory with the files.
    pub(in crate::commands) directory: PathBuf,
    pub(in crate::commands) manifest: Manifest,
    /// What every target must have: nothing less, and nothing else.
    pub(in crate::commands) expected: Vec<ExpectedFile>,
    /// The directory with stand-ins, if nothing was built yet.
    planned: Option<Scratch>,
}

impl Publication {
    /// Finds the release, and checks everything that can be checked without asking a target.
    ///
    /// # Errors
    /// `release check` has findings, no targets are declared, or the files are not here, not whole or not proved.
    pub(in crate::commands) fn resolve(
        ctx: &Context,
        selector: &ReleaseSelector,
        options: &Options,
    ) -> anyhow::Result<Publication> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let commit = DeclaredCommit::resolve(ctx, &selector.revision)?;
        if options.drafts && !commit.declaration.publish.iter().any(|one| matches!(one, PublishTarget::Github(_))) {
            return Err(Failure::declaration(
                "packaging/release.yaml declares no `github` under `publish`, so there are no drafts",
            ));
        }
        if commit.declaration.publish.is_empty() {
            let text = "packaging/release.yaml declares no `publish`; declare the targets of releases, as docs/captain.md shows";
            return Err(Failure::declaration(text));
        }
        let mut checked = check::check(&commit, &selector.version, true)?;
        // HEAD says what must have tested a commit, not the commit itself.
        let required = head.declaration.ci.as_ref().filter(|ci| ci.is_declared);
        checked.findings.extend(required.map(|ci| check::remote::ci(ci, commit.id.as_str())));
        check::print_failed(&checked.findings);
        let (version, tag) = match checked.version {
            Some((version, Some(tag))) if check::exit(&checked.findings) == Exit::Success => (version, tag),
            Some((_, None)) => {
                return Err(Failure::usage("only a tagged release can be published; sign a tag at the commit"));
            }
            Some(_) | None => {
                let check = hint::drydock(&["release", "check"]);
                return Err(Failure::rejected(format!("nothing was published: see above, and `{check}`")));
            }
        };
        let publication = Publication::open(ctx, &head, commit, version, tag)?;
        let LocalRelease { release, directory, .. } = &publication.local;
        release.published(directory).require_proof(options.without_proof.as_deref())?;
        Ok(publication)
    }

    /// The release as it is, whether or not it may be published.
    ///
    /// # Errors
    /// The commit has no release tag, no `signing` is declared, or the files are not here or not whole.
    pub(in crate::commands) fn observe(ctx: &Context, selector: &ReleaseSelector) -> anyhow::Result<Publication> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let commit = DeclaredCommit::resolve(ctx, &selector.revision)?;
        let (version, tag) = commit.version(&selector.version)?;
        let tag =
            tag.ok_or_else(|| Failure::usage("only a tagged release can be published; sign a tag at the commit"))?;
        Publication::open(ctx, &head, commit, version, tag)
    }

    fn open(
        ctx: &Context,
        head: &DeclaredCommit,
        commit: DeclaredCommit,
        version: Version,
        tag: Tag,
    ) -> anyhow::Result<Publication> {
        let signing = signing_policy(head.declaration.signing.as_ref(), commit.declaration.signing.as_ref());
        let Some(signing) = signing else {
            let text =
                "packaging/release.yaml of HEAD declares no `signing`, so nobody's signature counts; declare the keys";
            return Err(Failure::declaration(text));
        };
        let source = format!("{} of the commit {}", signing.keys.display(), head.id.short());
        let policy = SigningPolicy { keyring: policy::keyring(head, &signing)?, quorum: signing.quorum, source };
        let release = commit.release_of(version, Some(tag))?;
        let (local, signed_by) = LocalRelease::read(release, &policy)?;
        let directory = &local.directory;
        let (checksums, _) = Checksum::from_file(&directory.join(CHECKSUMS))?;
        let published = PublishedRelease {
            name: local.manifest.name.clone(),
            version: local.manifest.version.clone(),
            commit: local.manifest.commit.clone(),
            checksums,
        };
        let path = ctx.state.root().join(JOURNALS).join(format!("{}.jsonl", local.manifest.version));
        let journal = Journal::open(&path, published, now)?;
        Ok(Publication { local, policy, signed_by, journal })
    }

    /// Asks all targets. Signatures that only targets have are added to the files on this machine if `merges`, and then to all
    /// other targets.
    pub(in crate::commands) fn plan(&mut self, options: &Options, merges: bool) -> anyhow::Result<Vec<Decision>> {
        loop {
            let mut targets = self.local.targets(options)?;
            let missing: Vec<String> = targets
                .iter()
                .flat_map(|target| target.missing().into_iter().map(|one| format!("\n  {}: {one}", target.name())))
                .collect();
            if !missing.is_empty() {
                return Err(Failure::missing(format!("cannot publish:{}", missing.concat())));
            }
            let decisions = publish::plan(&mut targets, &self.journal)?;
            let found: Vec<sign::Incoming> = targets.iter().flat_map(|target| target.signatures()).collect();
            drop(targets);
            if !merges || !self.merge(&found)? {
                return Ok(decisions);
            }
        }
    }

    /// Adds signatures that targets have; whether there was a new one.
    fn merge(&mut self, found: &[sign::Incoming]) -> anyhow::Result<bool> {
        let directory = &self.local.directory;
        let signed = std::fs::read(directory.join(CHECKSUMS))?;
        let counts = |one: &&sign::Incoming| sign::counting(&self.policy.keyring, one, &signed, now()).is_ok();
        let counting: Vec<sign::Incoming> = found.iter().filter(counts).cloned().collect();
        let before = self.local.expected.clone();
        sign::merge(directory, &self.policy.keyring, &counting, now())?;
        self.local.expected = publish::expected_files(&self.local.manifest, directory)?;
        if self.local.expected == before {
            return Ok(false);
        }
        output::announce("added signatures that a target has");
        self.signed_by = self.local.signers(&self.policy)?;
        Ok(true)
    }
}

impl LocalRelease {
    /// The release as far as it was built: otherwise with the names that its files will have, and with checksums that no file has.
    ///
    /// # Errors
    /// The files here cannot be read.
    pub(in crate::commands) fn built_or_planned(release: ReleaseContext) -> anyhow::Result<LocalRelease> {
        let directory = release.directory();
        if let Some(manifest) = release.published(&directory).manifest() {
            let expected = publish::expected_files(&manifest, &directory)?;
            return Ok(LocalRelease { release, directory, manifest, expected, planned: None });
        }
        let scratch = Scratch::new("planned")?;
        let manifest = Manifest::planned(&release.identity(), &release.tree);
        std::fs::write(scratch.path().join(CHECKSUMS), "")?;
        std::fs::write(scratch.path().join(manifest::NAME), "")?;
        let expected = publish::expected_files(&manifest, scratch.path())?;
        Ok(LocalRelease { release, directory: scratch.path().to_owned(), manifest, expected, planned: Some(scratch) })
    }

    /// Whether the files are here.
    pub(in crate::commands) fn is_built(&self) -> bool {
        self.planned.is_none()
    }

    /// Reads and verifies the files; also returns the people whose signatures count.
    fn read(release: ReleaseContext, policy: &SigningPolicy) -> anyhow::Result<(LocalRelease, BTreeSet<String>)> {
        let directory = release.directory();
        let manifest = release.published(&directory).manifest().ok_or_else(|| {
            let prove = hint::drydock(&["release", "prove"]);
            Failure::not_reproducible(format!("{} has no intact files; run `{prove}`", directory.display()))
        })?;
        if let Some(why) = release.published(&directory).lacks_files(&manifest) {
            return Err(Failure::not_reproducible(format!("{} is not complete: {why}", directory.display())));
        }
        let expected = publish::expected_files(&manifest, &directory)?;
        let local = LocalRelease { release, directory, manifest, expected, planned: None };
        let signed_by = local.signers(policy)?;
        Ok((local, signed_by))
    }

    /// The people whose signatures of the checksums count.
    ///
    /// # Errors
    /// The files are not as the checksums and `release.json` say, or another file is among them.
    fn signers(&self, policy: &SigningPolicy) -> anyhow::Result<BTreeSet<String>> {
        let request = Request {
            directory: &self.directory,
            only: &[],
            policy: Some(policy.policy()),
            name: Some(&self.manifest.name),
            version: Some(&self.manifest.version),
            now: now(),
        };
        let verified = verify::verify(&request)?;
        if !verified.report.is_whole() {
            let mut report = verified.report;
            report.conclude(verified.unsigned.as_deref(), false);
            let text = report.text(verified.manifest.as_ref());
            return Err(Failure::not_reproducible(format!("cannot publish {}:\n{text}", self.directory.display())));
        }
        Ok(verified.report.lists.iter().flat_map(|list| list.signed_by.iter().cloned()).collect())
    }

    /// The declared targets, in order.
    pub(in crate::commands) fn targets(&self, options: &Options) -> anyhow::Result<Vec<Box<dyn Target + '_>>> {
        let is_wanted = |declared: &&PublishTarget| !options.drafts || matches!(declared, PublishTarget::Github(_));
        let wanted = self.release.declaration().publish.iter().filter(is_wanted);
        wanted.map(|declared| self.target(declared, options)).collect()
    }

    /// One of the declared targets.
    pub(in crate::commands) fn target<'a>(
        &'a self,
        declared: &PublishTarget,
        options: &Options,
    ) -> anyhow::Result<Box<dyn Target + 'a>> {
        let version = &self.release.version;
        Ok(match declared {
            PublishTarget::Files(target) => {
                let (opened, directory) = store::open(target, version);
                let from = Files { from: &self.directory, manifest: &self.manifest, expected: &self.expected };
                let files = FilesTarget::new(declared.name(), opened, directory, &from, target.latest)?;
                match &target.url {
                    None => Box::new(files),
                    Some(url) => {
                        let expected = self.expected.clone();
                        Box::new(ServedFiles { files, url: url.render(version), expected })
                    }
                }
            }
            PublishTarget::Deb { wait } => Box::new(DebTarget::new(&self.release, options, *wait)),
            PublishTarget::Images(images) => Box::new(ImagesTarget {
                release: &self.release,
                images: images.clone(),
                key: options.key.clone(),
                without_proof: options.without_proof.clone(),
            }),
            PublishTarget::Pypi(pypi) => Box::new(PypiTarget::new(declared.name(), pypi, self)),
            PublishTarget::Github(repository) => Box::new(GithubTarget::new(declared.name(), repository, self)?),
        })
    }
}
