//! `cargo xtask release prove`: the hostile twin, then the build without a network.

use std::path::Path;

use super::build::{lock, summary};
use super::loaded::Loaded;
use crate::cli;
use crate::commands::Context;
use crate::exit::Exit;
use drydock_archive::source::SourceTree;
use drydock_base::output;
use drydock_release::manifest::Manifest;
use drydock_release::proof::{Proof, offline, twin};

impl cli::ReleaseProve {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        if self.build.dry_run {
            return self.build.run(ctx);
        }
        let _lock = lock(ctx)?;
        let done = self.build.build(ctx)?;
        let manifest = &done.built.manifest;
        let proof = prove(&done.loaded, &done.tree, manifest, &done.directory, done.threads)?;
        match self.build.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(&proof)?),
            cli::Format::Text => {
                output::out(summary(manifest, &done.directory));
                output::out(shown(&proof));
            }
        }
        Ok(Exit::Success)
    }
}

/// Proves what was built in `directory`, and writes the proof beside it.
pub(in crate::commands) fn prove(
    loaded: &Loaded,
    tree: &SourceTree,
    manifest: &Manifest,
    directory: &Path,
    threads: u32,
) -> anyhow::Result<Proof> {
    let mut watch = |line: &str| output::err(format_args!("== {line}"));
    let request = twin::Request { tree, manifest, directory, config: loaded.config.as_deref(), threads };
    let twin = twin::prove(&request, &mut watch)?;
    let offline = match &loaded.release.offline_proof {
        Some(declared) => Some(offline::prove(declared, manifest, directory, &mut watch)?),
        None => None,
    };
    let proof = Proof::new(manifest, twin, offline);
    proof.write(directory)?;
    Ok(proof)
}

/// What was proved, for a person.
fn shown(proof: &Proof) -> String {
    let varied: Vec<&str> =
        proof.twin.variations.iter().filter(|one| one.missing.is_none()).map(|one| one.name.as_str()).collect();
    let mut text = format!("proved: a second build made the same bytes with another {}", varied.join(", "));
    for one in &proof.twin.variations {
        if let Some(missing) = &one.missing {
            text.push_str(&format!("\n  not varied: {}; it needs {missing}", one.name));
        }
    }
    match &proof.offline {
        Some(offline) => {
            let what = if offline.test.is_some() { "builds and passes its tests" } else { "builds" };
            text.push_str(&format!("\nproved: {} {what} without a network", offline.archive));
            if !offline.poisoned.is_empty() {
                text.push_str(&format!(" and without {}", offline.poisoned.join(", ")));
            }
        }
        None => text.push_str("\nnot proved: that it builds without a network; declare `offline-proof`"),
    }
    text
}
