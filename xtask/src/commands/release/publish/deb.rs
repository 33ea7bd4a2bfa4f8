//! The source packages as a target: the existing upload, one step for each series.

use crate::commands::deb::source_packages::SourcePackages;
use crate::commands::deb::upload::{KnownUpload, LAUNCHPAD_PAUSE, Uploader, known_uploads};
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use anyhow::Context as _;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_deb::delivery::UploadState;
use drydock_release::publish::{Conflict, Held, ObservedStep, Stage, Target};

/// The source packages of a release.
pub(super) struct DebTarget<'a> {
    pub(super) release: &'a ReleaseContext,
    pub(super) uploader: Uploader,
}

impl<'a> DebTarget<'a> {
    /// The packages, with the minutes to wait for the archive's answer.
    pub(super) fn new(release: &'a ReleaseContext, options: &super::Options, wait: u32) -> DebTarget<'a> {
        let uploader = Uploader {
            key: options.key.clone(),
            wait,
            follows_builds: false,
            pause: LAUNCHPAD_PAUSE,
            api: options.api.clone(),
            proves_packages: true,
            without_proof: options.without_proof.clone(),
        };
        DebTarget { release, uploader }
    }
}

fn step(upload: &KnownUpload) -> String {
    format!("upload {} for {}", upload.version, upload.series)
}

impl Target for DebTarget<'_> {
    fn name(&self) -> &str {
        "deb"
    }

    fn missing(&self) -> Vec<String> {
        match known_uploads(self.release) {
            Ok((_, uploads, missing)) => {
                let is_done = |one: &KnownUpload| matches!(one.state, Some(UploadState::Accepted));
                if uploads.iter().all(is_done) { Vec::new() } else { missing }
            }
            Err(error) => vec![format!("{error:#}")],
        }
    }

    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
        if stage != Stage::Files {
            return Ok(Vec::new());
        }
        let (target, uploads, _) = known_uploads(self.release)?;
        let observed = uploads.iter().map(|upload| {
            let held = match &upload.state {
                None => Held::Absent,
                Some(UploadState::Delivering) => Held::Outdated("it may have been cut".into()),
                Some(UploadState::Delivered) => Held::Outdated("the archive has not answered yet".into()),
                Some(UploadState::Accepted) => Held::Same(format!("accepted by {target}")),
                Some(UploadState::Rejected(why)) => Held::Other(Conflict {
                    found: format!("{target} rejected it: {why}"),
                    remedy: "correct it, and raise `upload-number` if the archive has the version already".into(),
                }),
            };
            ObservedStep { step: step(upload), stage, held, is_final: true }
        });
        Ok(observed.collect())
    }

    fn act(&mut self, wanted: &str) -> anyhow::Result<String> {
        let (target, uploads, _) = known_uploads(self.release)?;
        let upload = uploads.iter().find(|upload| step(upload) == wanted).context("unknown step")?;
        let packages = SourcePackages::select(self.release, std::slice::from_ref(&upload.series))?;
        let mut said = Vec::new();
        let exit = self.uploader.upload(packages, &mut |line| {
            output::announce(format_args!("{line}"));
            said.push(line);
        })?;
        let said = said.pop().unwrap_or_default();
        if exit == Exit::Success { Ok(format!("{said}, by {target}")) } else { Err(Failure::remote(said)) }
    }
}
