//! Who may sign a release, and how many must: declared by HEAD of the checkout, or given on the command line, and never taken from
//! what is being verified.

use std::path::Path;

use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::DeclaredCommit;
use drydock_base::failure::Failure;
use drydock_config::release::Signing;
use drydock_release::keyring::{KeyFile, Keyring};
use drydock_release::verify::Policy;

/// At most this many files are read from the directory with the keys.
const MOST_KEYS: usize = 1000;

/// Who may sign, and how many must.
#[derive(Debug)]
pub(in crate::commands) struct SigningPolicy {
    pub(in crate::commands) keyring: Keyring,
    pub(in crate::commands) quorum: u32,
    /// The place of the keys, in words.
    pub(in crate::commands) source: String,
}

impl SigningPolicy {
    /// The policy as a verification takes it.
    pub(in crate::commands) fn policy(&self) -> Policy<'_> {
        Policy { keyring: &self.keyring, quorum: self.quorum, source: self.source.clone() }
    }

    /// What the declaration of a commit says; none if it declares no `signing`.
    pub(in crate::commands) fn of_commit(commit: &DeclaredCommit) -> anyhow::Result<Option<SigningPolicy>> {
        let Some(signing) = &commit.declaration.signing else { return Ok(None) };
        Ok(Some(SigningPolicy {
            keyring: keyring(commit, signing)?,
            quorum: signing.quorum,
            source: match &commit.config {
                Some(config) => config.join(&signing.keys).display().to_string(),
                None => {
                    let project = commit.ctx.declarations.project.display();
                    format!("{} of the commit {} in {project}", signing.keys.display(), commit.id.short())
                }
            },
        }))
    }

    /// The policy for a directory of files to verify, or the reason why there is none.
    pub(in crate::commands) fn for_verification(
        options: &cli::ReleaseVerify,
        project: Result<&Context, &anyhow::Error>,
        directory: &Path,
    ) -> anyhow::Result<Result<SigningPolicy, NoPolicy>> {
        if let Some(keys) = &options.keys {
            if is_within(keys, directory) {
                return Ok(Err(NoPolicy::Inside(keys.display().to_string())));
            }
            let keyring = Keyring::from_directory(keys)?;
            let (quorum, source) = (options.quorum.unwrap_or(1), keys.display().to_string());
            return Ok(Ok(SigningPolicy { keyring, quorum, source }));
        }
        let ctx = match project {
            Ok(ctx) => ctx,
            Err(_) => return Ok(Err(NoPolicy::NoProject)),
        };
        for place in [&ctx.declarations.project, &ctx.declarations.config] {
            if is_within(place, directory) {
                return Ok(Err(NoPolicy::Inside(place.display().to_string())));
            }
        }
        let head = match DeclaredCommit::resolve(ctx, "HEAD") {
            Ok(head) => head,
            Err(error) => return Ok(Err(NoPolicy::Head(format!("{error:#}")))),
        };
        Ok(SigningPolicy::of_commit(&head)?.ok_or_else(|| {
            NoPolicy::Undeclared(format!("HEAD ({}) of {}", head.id.short(), ctx.declarations.project.display()))
        }))
    }
}

/// The reason why nobody can be authenticated.
#[derive(Debug, thiserror::Error)]
pub(in crate::commands) enum NoPolicy {
    /// There is no project, and no keys were given.
    #[error(
        "nobody's keys are known here; call it in a checkout that you trust, or with --keys DIR and --quorum N; \
         --integrity-only compares checksums only"
    )]
    NoProject,
    /// The rules would come from what is being verified.
    #[error(
        "{0} is inside the directory that is verified, so its keys prove nothing; name a checkout that you trust with --project, \
         or keys with --keys"
    )]
    Inside(String),
    /// HEAD cannot be read.
    #[error("HEAD does not say whose signatures count: {0}; name keys with --keys DIR")]
    Head(String),
    /// HEAD declares no keys.
    #[error(
        "packaging/release.yaml of {0} declares no `signing`, so nobody's signature counts; name keys with --keys DIR, or compare \
         checksums only with --integrity-only"
    )]
    Undeclared(String),
}

/// Whether a path is a directory, or in it, once links are followed.
fn is_within(path: &Path, directory: &Path) -> bool {
    let resolve = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    resolve(path).starts_with(resolve(directory))
}

/// The keys that a commit declares: of its tree, or of the directory of `--config`.
pub(in crate::commands) fn keyring(commit: &DeclaredCommit, signing: &Signing) -> anyhow::Result<Keyring> {
    key_files(commit, signing)?.keyring()
}

/// The files with the keys that a commit declares, which are read later.
#[derive(Debug)]
pub(in crate::commands) struct KeyFiles {
    files: Vec<KeyFile>,
    /// Their directory in messages.
    shown: String,
}

impl KeyFiles {
    pub(in crate::commands) fn keyring(self) -> anyhow::Result<Keyring> {
        Keyring::new(self.files, &self.shown)
    }
}

/// As [`keyring`], without running gpg.
pub(in crate::commands) fn key_files(commit: &DeclaredCommit, signing: &Signing) -> anyhow::Result<KeyFiles> {
    if let Some(config) = &commit.config {
        let directory = config.join(&signing.keys);
        let shown = directory.display().to_string();
        return Ok(KeyFiles { files: Keyring::files_in(&directory)?, shown });
    }
    let shown = signing.keys.display().to_string();
    let missing = || {
        let text = format!("the commit {} has no directory {shown} with the keys of the signers", commit.id.short());
        Failure::declaration(text)
    };
    let tree = commit.repository.at(&commit.id, &shown).ok_or_else(missing)?;
    let mut files = Vec::new();
    for entry in commit.repository.list(&tree).ok_or_else(missing)?.into_iter().take(MOST_KEYS) {
        // Directories and links have no keys.
        if !entry.is_file {
            continue;
        }
        let object = commit.repository.read(&entry.object)?.ok_or_else(missing)?;
        files.push(KeyFile { name: entry.name, content: object.content });
    }
    Ok(KeyFiles { files, shown })
}
