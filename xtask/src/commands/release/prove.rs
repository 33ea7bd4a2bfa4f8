//! `cargo xtask release prove`: the varied rebuild, then the build without a network.

use super::bases::CachedBases;
use super::build::{self, lock, summary, threads};
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::output;
use drydock_release::manifest::Manifest;
use drydock_release::proof::{Proof, offline, rebuild};

impl cli::ReleaseProve {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let options = self.build;
        if options.dry_run {
            return options.run(ctx);
        }
        let release = ReleaseContext::resolve(ctx, &options.of.into())?;
        let bases = CachedBases::of(&release).filter(|_| !options.sources_only);
        build_and_prove(&release, threads(options.threads), bases.as_ref(), options.format)
    }
}

/// Builds a release, proves it, and prints both.
pub(super) fn build_and_prove(
    release: &ReleaseContext,
    threads: u32,
    bases: Option<&CachedBases>,
    format: cli::Format,
) -> anyhow::Result<Exit> {
    let _lock = lock(release.ctx())?;
    let manifest = build::build(release, threads, bases)?.manifest;
    let proof = prove(release, &manifest, threads)?;
    match format {
        cli::Format::Json => output::out(serde_json::to_string_pretty(&proof)?),
        cli::Format::Text => {
            output::out(summary(release, &manifest));
            output::out(shown(&proof));
        }
    }
    Ok(Exit::Success)
}

/// Proves a release that was built, and writes the proof beside it.
pub(in crate::commands) fn prove(release: &ReleaseContext, manifest: &Manifest, threads: u32) -> anyhow::Result<Proof> {
    let mut watch = |line: &str| output::step(format_args!("{line}"));
    let directory = &release.directory();
    let config = release.commit.config.as_deref();
    let bases = CachedBases::of(release).filter(|_| !manifest.binaries.is_empty());
    let request = rebuild::Request {
        project: &release.ctx().declarations.project,
        tree: &release.tree,
        manifest,
        directory,
        config,
        threads,
        bases: bases.as_ref().map(|bases| bases.directory.as_path()),
    };
    let rebuild = rebuild::prove(&request, &mut watch)?;
    let offline = match &release.declaration().offline_proof {
        Some(declared) => Some(offline::prove(declared, manifest, directory, &mut watch)?),
        None => None,
    };
    let proof = Proof::new(manifest, rebuild, offline)?;
    proof.write(directory)?;
    Ok(proof)
}

/// The proof as text.
fn shown(proof: &Proof) -> String {
    let varied: Vec<&str> =
        proof.rebuild.variations.iter().filter(|one| one.missing.is_none()).map(|one| one.name.as_str()).collect();
    let mut text = format!("proved: a second build produced the same bytes with another {}", varied.join(", "));
    for one in &proof.rebuild.variations {
        if let Some(missing) = &one.missing {
            text.push_str(&format!("\n  not varied: {}; {missing}", one.name));
        }
    }
    match &proof.offline {
        Some(offline) => {
            let what = if offline.test.is_some() { "builds and passes its tests" } else { "builds" };
            text.push_str(&format!("\nproved: {} {what} without a network", offline.archive));
            if !offline.poisoned.is_empty() {
                text.push_str(&format!(" and without {}", offline.poisoned.join(", ")));
            }
            for missing in &offline.missing {
                text.push_str(&format!("\n  not isolated by {missing}"));
            }
        }
        None => text.push_str("\nnot proved: that it builds without a network; declare `offline-proof`"),
    }
    text
}
