//! The images as a target: the existing promotion. It moves the tags of users, so it belongs to the last stage.

use crate::commands::docker::promote::PlannedPromotion;
use crate::commands::release_context::ReleaseContext;
use anyhow::Context as _;
use drydock_oci::registry::Registries;
use drydock_release::publish::{Conflict, Held, ObservedStep, Stage, Target};

/// The step.
const PROMOTE: &str = "promote the images";

/// The images of a release.
pub(super) struct ImagesTarget<'a> {
    pub(super) release: &'a ReleaseContext,
    /// The names of the images; empty for all.
    pub(super) images: Vec<String>,
    /// The key that signs the records; gpg's default if `None`.
    pub(super) key: Option<String>,
    pub(super) without_proof: Option<String>,
}

impl ImagesTarget<'_> {
    fn plan(&self) -> anyhow::Result<PlannedPromotion> {
        let version = Some(&self.release.version);
        PlannedPromotion::new(self.release.ctx(), version, &self.images, self.without_proof.as_deref())
    }
}

impl Target for ImagesTarget<'_> {
    fn name(&self) -> &str {
        "images"
    }

    fn missing(&self) -> Vec<String> {
        Vec::new()
    }

    fn rights(&mut self) -> anyhow::Result<Option<String>> {
        let mut registries = Registries::from_process();
        let declared = self.release.commit.images()?;
        let chosen = declared
            .images
            .iter()
            .filter(|one| self.images.is_empty() || self.images.iter().any(|name| *name == one.name.to_string()));
        let mut names = Vec::new();
        for image in chosen {
            let to = &image.repositories.release;
            registries.open(to)?.may_push(to).with_context(|| format!("cannot push to {to}"))?;
            names.push(to.to_string());
        }
        Ok(Some(format!("may push to {}", names.join(", "))))
    }

    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
        if stage != Stage::Announce {
            return Ok(Vec::new());
        }
        let planned = self.plan()?;
        let problems = planned.problems();
        let held = if planned.waits_for_quorum() {
            // Drafts are made before, and this stage is not reached without the quorum.
            Held::Absent
        } else if !problems.is_empty() {
            let found: Vec<String> = problems.iter().map(|one| format!("{}: {}", one.what, one.found)).collect();
            let remedy: Vec<&str> = problems.iter().filter_map(|one| one.remedy.as_deref()).collect();
            Held::Other(Conflict { found: found.join("; "), remedy: remedy.join("; ") })
        } else if planned.is_done() {
            Held::Same(planned.shown())
        } else {
            Held::Absent
        };
        Ok(vec![ObservedStep { step: PROMOTE.to_owned(), stage, held, is_final: false }])
    }

    fn act(&mut self, _step: &str) -> anyhow::Result<String> {
        let mut planned = self.plan()?;
        planned.promote(self.release.ctx(), self.key.as_deref())?;
        Ok(planned.shown())
    }
}
