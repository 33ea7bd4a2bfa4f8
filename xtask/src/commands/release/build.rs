//! `cargo xtask release build`: archives, release.json and SHA256SUMS of one commit.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use super::loaded::{Loaded, Versioned};
use crate::cli;
use crate::commands::Context;
use crate::exit::Exit;
use drydock_archive::source::SourceTree;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_release::build::{Built, Job};
use drydock_release::manifest::Manifest;

/// More threads than this are only taken when they are asked for: each needs its memory.
const MOST_THREADS: usize = 4;

/// A release that was just built.
pub(in crate::commands) struct Done {
    pub(in crate::commands) loaded: Loaded,
    pub(in crate::commands) tree: SourceTree,
    pub(in crate::commands) built: Built,
    pub(in crate::commands) directory: PathBuf,
    pub(in crate::commands) threads: u32,
}

impl cli::ReleaseBuild {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        if self.dry_run {
            return self.plan(ctx);
        }
        let _lock = lock(ctx)?;
        let done = self.build(ctx)?;
        match self.format {
            cli::Format::Json => output::out(done.built.manifest.text()?.trim_end()),
            cli::Format::Text => output::out(summary(&done.built.manifest, &done.directory)),
        }
        Ok(Exit::Success)
    }

    /// Builds; says on standard error what is going on.
    pub(in crate::commands) fn build(&self, ctx: &Context) -> anyhow::Result<Done> {
        let (loaded, tree, versioned) = self.load(ctx)?;
        let directory = ctx.state.dist(versioned.version.as_str());
        let threads = self.threads();
        let job =
            Job { identity: loaded.identity(&versioned), tree: tree.clone(), directory: directory.clone(), threads };
        ctx.state.create()?;
        let built = job.run(&mut |line| output::err(format_args!("== {line}")))?;
        for what in &built.not_varied {
            output::err(format_args!("note: derived files were not made with another {what}"));
        }
        Ok(Done { loaded, tree, built, directory, threads })
    }

    fn load(&self, ctx: &Context) -> anyhow::Result<(Loaded, SourceTree, Versioned)> {
        let loaded = Loaded::new(ctx, &self.of.commit)?;
        let (tree, versioned) = loaded.sources(&self.of)?;
        Ok((loaded, tree, versioned))
    }

    /// How many threads xz gets: what was asked for, else the processors, at most four.
    pub(in crate::commands) fn threads(&self) -> u32 {
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        self.threads.unwrap_or_else(|| u32::try_from(processors).unwrap_or(1))
    }

    /// What would be made.
    fn plan(&self, ctx: &Context) -> anyhow::Result<Exit> {
        let (loaded, tree, versioned) = self.load(ctx)?;
        let identity = loaded.identity(&versioned);
        let archives: Vec<String> = identity.archives().into_iter().map(|(_, name)| name).collect();
        let generators = &loaded.release.generators;
        if self.format == cli::Format::Json {
            let plan = serde_json::json!({
                "version": versioned.version.as_str(),
                "commit": loaded.commit.as_str(),
                "epoch": tree.epoch,
                "directory": identity.directory(),
                "files": tree.entries.len(),
                "submodules": tree.repositories.iter().skip(1).map(|one| one.prefix.clone()).collect::<Vec<_>>(),
                "generators": generators.iter().map(|one| (one.name.clone(), one.run.clone())).collect::<Vec<_>>(),
                "archives": archives,
                "into": ctx.state.dist(versioned.version.as_str()),
            });
            output::out(serde_json::to_string_pretty(&plan)?);
            return Ok(Exit::Success);
        }
        output::out(format_args!(
            "release {} of {} ({})",
            versioned.version,
            loaded.release.name,
            loaded.commit.short()
        ));
        output::out(format_args!("  date      {} (that of the commit)", tree.epoch));
        output::out(format_args!("  files     {} from {} repositories", tree.entries.len(), tree.repositories.len()));
        tree.left_out.iter().for_each(|left| output::out(format_args!("  left out  {} ({})", left.path, left.reason)));
        for generator in generators {
            output::out(format_args!("  derive    {}: {} (twice)", generator.name, exec::paste(&generator.run)));
        }
        archives.iter().for_each(|name| output::out(format_args!("  write     {name}")));
        output::out(format_args!("  into      {}", ctx.state.dist(versioned.version.as_str()).display()));
        Ok(Exit::Success)
    }
}

/// One release is built at a time in one state directory.
pub(in crate::commands) fn lock(ctx: &Context) -> anyhow::Result<File> {
    ctx.state.create()?;
    let path = ctx.state.root().join("release.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Failure::missing(format!("another release is being built; it holds {}", path.display())))?;
    Ok(file)
}

/// What was made, for a person.
pub(in crate::commands) fn summary(manifest: &Manifest, directory: &std::path::Path) -> String {
    let mut text = format!("release {} of {} ({})\n", manifest.version, manifest.name, &manifest.commit[..12]);
    let derived = manifest.entries.iter().filter(|entry| entry.generator.is_some()).count();
    text.push_str(&format!("  {} files, {derived} of them derived; root {}\n", manifest.entries.len(), manifest.root));
    for artifact in &manifest.artifacts {
        text.push_str(&format!("  {}  {} ({} bytes)\n", artifact.sha256, artifact.name, artifact.size));
    }
    text.push_str(&format!("  in {}", directory.display()));
    text
}
