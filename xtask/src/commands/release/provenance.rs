//! `cargo xtask release provenance`: the statement about a release that was built here, or the parts of it that
//! `actions/attest` of GitHub takes.

use anyhow::Context as _;
use serde_json::Value;

use crate::cli::{self, ProvenanceFormat};
use crate::commands::Context;
use crate::commands::release_context::{ReleaseContext, ReleaseSelector};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::{hint, output};
use drydock_release::sbom;

impl cli::ReleaseProvenance {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &ReleaseSelector::from(self.of))?;
        let directory = release.directory();
        let manifest = release.published(&directory).manifest().ok_or_else(|| {
            let build = hint::drydock(&["release", "build"]);
            Failure::missing(format!("{} has no intact files; run `{build}`", directory.display()))
        })?;
        let name = manifest.artifacts.iter().find(|one| one.name.ends_with(sbom::ENDINGS[2])).ok_or_else(|| {
            Failure::declaration("packaging/release.yaml declares no `sbom`, so there is no provenance; add `sbom: {}`")
        })?;
        let path = directory.join(&name.name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match self.format {
            ProvenanceFormat::Statement => output::out(text.trim_end()),
            ProvenanceFormat::Predicate => {
                let statement: Value = serde_json::from_str(&text)?;
                output::out(serde_json::to_string_pretty(&statement["predicate"])?);
            }
            ProvenanceFormat::Subjects => {
                let others = manifest.artifacts.iter().filter(|one| one.name != name.name);
                others.for_each(|one| output::out(format_args!("{}  {}", one.sha256, one.name)));
            }
        }
        Ok(Exit::Success)
    }
}
