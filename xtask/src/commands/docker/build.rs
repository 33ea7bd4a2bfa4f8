//! `cargo xtask docker build`: builds and tests the images of one commit on this machine.

use super::image_build::ImageBuild;
use super::selection::{self, ImageSelection};
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::lock;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::images::{Base, From, Image, Platform};
use drydock_oci::build_record::BuildRecord;
use drydock_oci::engine::{self, EngineKind};

impl cli::DockerBuild {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = selection::release(ctx, &self.of)?;
        let selection = ImageSelection::new(&release, &self.of.images)?;
        let build = Build { selection: &selection, platforms: self.platforms, engines: self.engine.kinds() };
        if self.dry_run {
            return build.plan(self.format);
        }
        let _lock = lock(ctx)?;
        let records = build.run()?;
        match self.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(&records)?),
            cli::Format::Text => records.iter().for_each(|record| output::out(summary(record, &selection))),
        }
        Ok(Exit::Success)
    }
}

/// A build of images.
pub(in crate::commands) struct Build<'a> {
    pub(in crate::commands) selection: &'a ImageSelection<'a>,
    /// Some of the declared platforms; all when empty.
    pub(in crate::commands) platforms: Vec<Platform>,
    /// The engines to try for Dockerfiles, in this order.
    pub(in crate::commands) engines: &'a [EngineKind],
}

impl Build<'_> {
    /// Builds the images; progress goes to standard error.
    pub(in crate::commands) fn run(&self) -> anyhow::Result<Vec<BuildRecord>> {
        let (mut builds, mut problems) = (Vec::new(), Vec::new());
        for image in &self.selection.images {
            match self.platforms(image) {
                Ok(platforms) => {
                    let build = ImageBuild { selection: self.selection, image, platforms, engine: None };
                    problems.extend(build.check());
                    builds.push(build);
                }
                Err(error) => problems.push(error),
            }
        }
        Failure::from_all(problems)?;
        let is_needed = self.selection.images.iter().any(|image| matches!(image.from, From::Dockerfile { .. }));
        let engine = is_needed.then(|| engine::choose(self.engines)).transpose()?;
        builds.iter_mut().for_each(|build| build.engine = engine.as_ref());
        builds.iter().map(|build| build.run().map_err(explain_full_disk)).collect()
    }

    /// The platforms that an image is built for, at least one.
    fn platforms(&self, image: &Image) -> anyhow::Result<Vec<Platform>> {
        if let Some(other) = self.platforms.iter().find(|platform| !image.platforms.contains(platform)) {
            let all: Vec<String> = image.platforms.iter().map(Platform::to_string).collect();
            let text =
                format!("image {} is not declared for {other}; its platforms are {}", image.name, all.join(", "));
            return Err(Failure::usage(text));
        }
        let is_wanted = |platform: &&Platform| self.platforms.is_empty() || self.platforms.contains(platform);
        Ok(image.platforms.iter().filter(is_wanted).copied().collect())
    }

    /// Prints what would be built.
    fn plan(&self, format: cli::Format) -> anyhow::Result<Exit> {
        let release = self.selection.release;
        let mut plans = Vec::new();
        for image in &self.selection.images {
            let platforms: Vec<String> = self.platforms(image)?.iter().map(Platform::to_string).collect();
            plans.push(serde_json::json!({
                "image": image.name.as_str(),
                "version": release.version.as_str(),
                "commit": release.commit.id.as_str(),
                "epoch": release.tree.epoch,
                "platforms": platforms,
                "base": image.base.as_ref().map_or_else(|| "set by the Dockerfile".to_owned(), base),
                "from": from(&image.from),
                "smoke-test": image.smoke_test.run,
                "expect": image.smoke_test.expect.render(&release.version),
                "into": self.selection.directory().join(image.name.as_str()),
            }));
        }
        if format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(&plans)?);
            return Ok(Exit::Success);
        }
        for (plan, image) in plans.iter().zip(&self.selection.images) {
            let commit = release.commit.id.short();
            let word = |field: &str| plan[field].as_str().unwrap_or_default().to_owned();
            output::out(format_args!("image {} {} ({commit})", image.name, release.version));
            output::out(format_args!(
                "  date        {} (that of the commit)",
                drydock_archive::rfc3339(release.tree.epoch)?
            ));
            output::out(format_args!(
                "  platforms   {}",
                self.platforms(image)?.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
            ));
            output::out(format_args!("  base        {}", word("base")));
            output::out(format_args!("  from        {}", word("from")));
            output::out(format_args!(
                "  smoke test  {}, expected output {:?}",
                exec::paste(&image.smoke_test.run),
                word("expect")
            ));
            output::out(format_args!("  into        {}", word("into")));
        }
        Ok(Exit::Success)
    }
}

/// Reports a full disk as a failure of the infrastructure.
fn explain_full_disk(error: anyhow::Error) -> anyhow::Error {
    let is_full = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    };
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_full)) {
        Failure::infrastructure(format!("{error:#}; the disk is full: free some space, then build again"))
    } else {
        error
    }
}

/// Formats a build record for the terminal.
fn summary(record: &BuildRecord, selection: &ImageSelection<'_>) -> String {
    let mut text = format!("image {} {}\n  {}\n", record.image, record.version, record.digest);
    for (name, platform) in &record.platforms {
        text.push_str(&format!("  {name:<13} {}", platform.digest.short()));
        if let Some(base) = &platform.base {
            text.push_str(&format!(" on {} ({})", base.name, base.digest.short()));
        }
        match &platform.smoke_test {
            Some(passed) => text.push_str(&format!(", `{}` printed {:?}\n", exec::paste(&passed.run), passed.printed)),
            None => text.push_str(", not tested on this machine\n"),
        }
    }
    for input in &record.inputs {
        text.push_str(&format!("  input         {} ({} bytes)\n", input.name, input.size));
    }
    text.push_str(&format!("  in {}", selection.directory().join(&record.image).display()));
    text
}

/// Describes a base image.
fn base(base: &Base) -> String {
    match base {
        Base::Image { repository, tag, digest } => {
            let tag = tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
            format!("{repository}{tag}@{digest}")
        }
        Base::Suite { suite, snapshot, mirror, packages } => {
            let with = if packages.is_empty() { String::new() } else { format!(" with {}", packages.join(", ")) };
            format!("{suite} of {snapshot}{with}, from {mirror}")
        }
    }
}

/// Describes the source of an image.
fn from(from: &From) -> String {
    match from {
        From::Debs { packages, .. } => format!("the packages {}", packages.join(", ")),
        From::Archive { path, into, .. } => format!("the archive {path}, unpacked in {into}"),
        From::Dockerfile { path, packages, .. } if packages.is_empty() => format!("the Dockerfile {path}"),
        From::Dockerfile { path, packages, .. } => {
            format!("the Dockerfile {path}, with the packages {}", packages.join(", "))
        }
    }
}
