//! `cargo xtask release sign`: signatures by the keys that the project declares, one's own or those that others sent.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::policy::SigningPolicy;
use crate::cli;
use crate::commands::release_context::{DeclaredCommit, VersionError, VersionSource};
use crate::commands::{Context, now};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::{hint, output};
use drydock_deb::sign::Signer;
use drydock_release::keyring::SignedBy;
use drydock_release::manifest::CHECKSUMS;
use drydock_release::sign::{self, Incoming};
use drydock_release::verify::{self, Request};
use drydock_release::{proof, ssh};

impl cli::ReleaseSign {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let policy = SigningPolicy::of_commit(&head)?.ok_or_else(|| {
            let text = "packaging/release.yaml of HEAD declares no `signing`, so nobody's signature would count; add \
                        `signing: {keys: packaging/keys, quorum: N}`, and commit it with the public keys";
            Failure::declaration(text)
        })?;
        let directory = match self.directory {
            Some(directory) => directory,
            None => of_head(ctx, &head)?,
        };
        let whole = Request {
            directory: &directory,
            only: &[],
            policy: None,
            name: Some(&head.declaration.name),
            version: None,
            now: now(),
        };
        let verified = verify::verify(&whole)?;
        if !verified.report.is_whole() || verified.manifest.is_none() {
            let mut report = verified.report;
            report.conclude(verified.unsigned.as_deref(), true);
            let text = format!("cannot sign {}:\n{}", directory.display(), report.text(verified.manifest.as_ref()));
            return Err(Failure::not_reproducible(text));
        }
        let mut incoming = Vec::new();
        for path in &self.add {
            let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            incoming.push(Incoming { name: path.display().to_string(), content });
        }
        if let Some(key) = &self.key {
            if !directory.join(proof::NAME).exists() {
                let prove = hint::drydock(&["release", "prove"]);
                output::err(format_args!("note: this release was not proved here; run `{prove}` before you sign"));
            }
            incoming.push(make(key, &directory, &policy)?.0);
        }
        let merged = sign::merge(&directory, &policy.keyring, &incoming, now())?;
        if self.format == cli::Format::Json {
            let added = merged.added.iter().map(|SignedBy { kind, key, person, .. }| {
                serde_json::json!({"person": person, "kind": kind.to_string(), "key": key.to_string()})
            });
            let (signed, quorum) = (merged.people.len(), policy.quorum as usize);
            let result = serde_json::json!({
                "directory": directory,
                "added": added.collect::<Vec<_>>(),
                "signed": signed,
                "quorum": quorum,
                "complete": signed >= quorum,
            });
            output::out(serde_json::to_string_pretty(&result)?);
            return Ok(Exit::Success);
        }
        for signed_by in &merged.added {
            let SignedBy { kind, key, person, .. } = signed_by;
            output::out(format_args!("signed by {} ({kind} {key})", person.as_deref().unwrap_or_default()));
        }
        let has_targets = !head.declaration.publish.is_empty();
        output::out(progress(merged.people.len(), &policy, &directory, has_targets));
        Ok(Exit::Success)
    }
}

/// How many signatures there are, and what to do for the others.
fn progress(signed: usize, policy: &SigningPolicy, directory: &Path, has_targets: bool) -> String {
    let quorum = policy.quorum as usize;
    let count = format!("{signed} of {quorum} required signatures");
    if signed >= quorum {
        let directory = directory.display();
        if !has_targets {
            return format!("{count}: complete; no `publish` is declared, so publish the files in {directory} by hand");
        }
        let publish = hint::drydock(&["release", "publish"]);
        return format!("{count}: complete; publish the files in {directory} with `{publish}`");
    }
    let cosign = hint::drydock(&["release", "verify", "DIR", "--rebuild", "--sign", "--key", "KEY"]);
    let add = hint::drydock(&["release", "sign", "--add", "FILE"]);
    format!("{count}: ask others to run `{cosign}` on their machine, then add the files that they send: `{add}`")
}

/// The directory of the release of HEAD's tag.
pub(super) fn of_head(ctx: &Context, head: &DeclaredCommit) -> anyhow::Result<PathBuf> {
    match head.version(&VersionSource::Tag(None)) {
        Ok((version, _)) => Ok(ctx.state.dist(version.as_str())),
        Err(VersionError::Tag(_)) => Err(Failure::usage("HEAD has no release tag; name a directory or files")),
        Err(VersionError::Other(error)) => Err(error),
    }
}

/// A detached signature of a text. As in git's `user.signingKey`, a file is an SSH key; without any, gpg's default key signs.
pub(in crate::commands) fn detached(key: Option<&str>, text: &str) -> anyhow::Result<Vec<u8>> {
    match key.filter(|key| key.contains('/') || Path::new(key).is_file()) {
        Some(file) => ssh::sign(Path::new(file), ssh::FILES, text.as_bytes()),
        None => Ok(Signer { key: key.map(str::to_owned) }.detach(text)?.into_bytes()),
    }
}

/// A signature of SHA256SUMS by one of the declared keys, and by whom it is.
pub(super) fn make(key: &str, directory: &Path, policy: &SigningPolicy) -> anyhow::Result<(Incoming, SignedBy)> {
    let path = directory.join(CHECKSUMS);
    let signed = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let content = detached(Some(key), &signed)?;
    let incoming = Incoming { name: format!("the signature by {key}"), content };
    let signed_by = sign::counting(&policy.keyring, &incoming, signed.as_bytes(), now()).map_err(|error| {
        error.context(Failure::NotReproducible(format!(
            "the key {key} cannot sign this release: its signature would not count; its public key must be in {}",
            policy.source
        )))
    })?;
    Ok((incoming, signed_by))
}
