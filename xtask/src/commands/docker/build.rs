//! `cargo xtask docker build`: images of one commit, built and tried on this machine.

use super::loaded::Wanted;
use super::make::Job;
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::lock;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::images::{Base, From, Image, Platform};
use drydock_oci::build_record::BuildRecord;

impl cli::DockerBuild {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let wanted = Wanted::find(ctx, &self.of)?;
        if self.dry_run {
            return self.plan(&wanted);
        }
        let _lock = lock(ctx)?;
        let records = self.build(ctx, &wanted)?;
        match self.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(&records)?),
            cli::Format::Text => records.iter().for_each(|record| output::out(summary(record, &wanted))),
        }
        Ok(Exit::Success)
    }

    /// Builds the wanted images; says on standard error what is going on.
    pub(in crate::commands) fn build(&self, ctx: &Context, wanted: &Wanted) -> anyhow::Result<Vec<BuildRecord>> {
        let mut records = Vec::new();
        for image in &wanted.images {
            let platforms = self.platforms(image)?;
            let job = Job { ctx, of: &self.of, wanted, image, platforms, engine: self.engine };
            records.push(job.run().map_err(without_room)?);
        }
        Ok(records)
    }

    /// The wanted platforms of an image, of which there is at least one.
    fn platforms(&self, image: &Image) -> anyhow::Result<Vec<Platform>> {
        if let Some(other) = self.platforms.iter().find(|platform| !image.platforms.contains(platform)) {
            let all: Vec<String> = image.platforms.iter().map(Platform::to_string).collect();
            let text = format!("{} is not declared for {other}, but for {}", image.name, all.join(", "));
            return Err(Failure::usage(text));
        }
        let is_wanted = |platform: &&Platform| self.platforms.is_empty() || self.platforms.contains(platform);
        Ok(image.platforms.iter().filter(is_wanted).copied().collect())
    }

    /// What would be built.
    fn plan(&self, wanted: &Wanted) -> anyhow::Result<Exit> {
        let mut plans = Vec::new();
        for image in &wanted.images {
            let platforms: Vec<String> = self.platforms(image)?.iter().map(Platform::to_string).collect();
            plans.push(serde_json::json!({
                "image": image.name.as_str(),
                "version": wanted.versioned.version.as_str(),
                "commit": wanted.loaded.commit.as_str(),
                "epoch": wanted.tree.epoch,
                "platforms": platforms,
                "base": image.base.as_ref().map_or_else(|| "that of the Dockerfile".to_owned(), base),
                "from": from(&image.from),
                "smoke-test": image.smoke_test.run,
                "expect": image.smoke_test.expect.render(&wanted.versioned.version),
                "into": wanted.directory().join(image.name.as_str()),
            }));
        }
        if self.format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(&plans)?);
            return Ok(Exit::Success);
        }
        for (plan, image) in plans.iter().zip(&wanted.images) {
            let commit = wanted.loaded.commit.short();
            let word = |field: &str| plan[field].as_str().unwrap_or_default().to_owned();
            output::out(format_args!("image {} {} ({commit})", image.name, wanted.versioned.version));
            output::out(format_args!("  date        {} (that of the commit)", wanted.tree.epoch));
            output::out(format_args!(
                "  platforms   {}",
                self.platforms(image)?.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
            ));
            output::out(format_args!("  base        {}", word("base")));
            output::out(format_args!("  from        {}", word("from")));
            output::out(format_args!(
                "  smoke test  {}, which has to print {:?}",
                exec::paste(&image.smoke_test.run),
                word("expect")
            ));
            output::out(format_args!("  into        {}", word("into")));
        }
        Ok(Exit::Success)
    }
}

/// A full disk is nobody's mistake, and building again is the remedy.
fn without_room(error: anyhow::Error) -> anyhow::Error {
    let is_full = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    };
    match error.chain().any(|cause| cause.downcast_ref().is_some_and(is_full)) {
        true => Failure::infrastructure(format!("{error:#}; the disk is full, make room and build again")),
        false => error,
    }
}

/// What was built, for a person.
fn summary(record: &BuildRecord, wanted: &Wanted) -> String {
    let mut text = format!("image {} {}\n  {}\n", record.image, record.version, record.digest);
    for (name, platform) in &record.platforms {
        text.push_str(&format!("  {name:<13} {}", platform.digest.short()));
        if let Some(base) = &platform.base {
            text.push_str(&format!(" on {} ({})", base.name, base.digest.short()));
        }
        match &platform.smoke_test {
            Some(passed) => text.push_str(&format!(", `{}` printed {:?}\n", exec::paste(&passed.run), passed.printed)),
            None => text.push_str(", not tried on this machine\n"),
        }
    }
    for input in &record.inputs {
        text.push_str(&format!("  made of       {} ({} bytes)\n", input.name, input.size));
    }
    text.push_str(&format!("  in {}", wanted.directory().join(&record.image).display()));
    text
}

/// A base in words.
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

/// What an image is made of, in words.
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
