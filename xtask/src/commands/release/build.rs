//! `cargo xtask release build`: archives, release.json and SHA256SUMS of one commit.

use super::bases::CachedBases;
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::lock::Lock;
use drydock_base::output;
use drydock_base::paths;
use drydock_base::text::plural;
use drydock_release::binaries::Bases;
use drydock_release::build::{Built, Job};
use drydock_release::manifest::Manifest;
use drydock_release::proof::rebuild;

/// More threads than this are only taken when they are asked for: each needs its memory.
const MOST_THREADS: usize = 4;

impl cli::ReleaseBuild {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.of.into())?;
        if self.dry_run {
            return plan(&release, self.format);
        }
        if let Some(mask) = self.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
        }
        let _lock = lock(ctx)?;
        let threads = threads(self.threads);
        let mut bases = CachedBases::of(&release).filter(|_| !self.sources_only);
        if let (Some(bases), Some(directory)) = (&mut bases, self.bases) {
            bases.directory = directory;
        }
        let built = build(&release, threads, bases.as_ref())?;
        if let Some(file) = &self.observe {
            let observed = rebuild::observe(&ctx.declarations.project, threads)?;
            paths::write_atomically(file, serde_json::to_string(&observed)?.as_bytes())?;
        }
        match self.format {
            cli::Format::Json => output::out(built.manifest.text()?.trim_end()),
            cli::Format::Text => output::out(summary(&release, &built.manifest)),
        }
        Ok(Exit::Success)
    }
}

/// Builds the archives; progress goes to standard error.
pub(in crate::commands) fn build(
    release: &ReleaseContext,
    threads: u32,
    bases: Option<&CachedBases>,
) -> anyhow::Result<Built> {
    let job = Job {
        identity: release.identity(),
        tree: release.tree.clone(),
        directory: release.directory(),
        threads,
        bases: bases.map(|bases| bases as &dyn Bases),
    };
    release.ctx().state.create()?;
    let built = job.run(&mut |line| output::step(format_args!("{line}")))?;
    for what in &built.not_varied {
        output::err(format_args!("note: derived files were not built with another {what}"));
    }
    Ok(built)
}

/// The number of threads for xz: as asked for, else the number of processors, at most four.
pub(in crate::commands) fn threads(asked: Option<u32>) -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    asked.unwrap_or_else(|| u32::try_from(processors).unwrap_or(1))
}

/// Prints what would be built.
pub(super) fn plan(release: &ReleaseContext, format: cli::Format) -> anyhow::Result<Exit> {
    let ReleaseContext { commit, tree, version, .. } = release;
    let identity = release.identity();
    let archives: Vec<String> = identity.archives().into_iter().map(|(_, name)| name).collect();
    let generators = &release.declaration().generators;
    let binaries = &release.declaration().binaries;
    let binaries = if release.tag.is_some() { binaries.as_slice() } else { &[] };
    if format == cli::Format::Json {
        let plan = serde_json::json!({
            "version": version.as_str(),
            "commit": commit.id.as_str(),
            "epoch": tree.epoch,
            "directory": identity.directory(),
            "files": tree.entries.len(),
            "submodules": tree.repositories.iter().skip(1).map(|one| one.prefix.clone()).collect::<Vec<_>>(),
            "generators": generators.iter().map(|one| (one.name.clone(), one.run.clone())).collect::<Vec<_>>(),
            "archives": archives,
            "binaries": binaries.iter().map(|one| one.name.render(version)).collect::<Vec<_>>(),
            "into": release.directory(),
        });
        output::out(serde_json::to_string_pretty(&plan)?);
        return Ok(Exit::Success);
    }
    output::out(format_args!("release {version} of {} ({})", release.declaration().name, commit.id.short()));
    output::out(format_args!("  date      {} (that of the commit)", drydock_archive::rfc3339(tree.epoch)?));
    let submodules = match tree.repositories.len() - 1 {
        0 => String::new(),
        count => format!(", with those of {}", plural(count, "submodule")),
    };
    output::out(format_args!("  files     {}{submodules}", tree.entries.len()));
    tree.excluded.iter().for_each(|path| output::out(format_args!("  excluded  {} ({})", path.path, path.reason)));
    for generator in generators {
        output::out(format_args!("  derive    {}: {} (twice)", generator.name, exec::paste(&generator.run)));
    }
    archives.iter().for_each(|name| output::out(format_args!("  write     {name}")));
    for one in binaries {
        let (name, commands) =
            (one.name.render(version), [exec::paste(&one.build), exec::paste(&one.install("{destdir}"))]);
        output::out(format_args!("  build     {name}: {} (twice)", commands.join(", then ")));
        let srpm = one.srpm_of(&release.declaration().name, version);
        srpm.iter()
            .for_each(|srpm| output::out(format_args!("  build     {}, and rebuild it from itself", srpm.file())));
    }
    output::out(format_args!("  into      {}", release.directory().display()));
    Ok(Exit::Success)
}

/// The lock of everything that is built in a state directory.
pub(in crate::commands) fn lock(ctx: &Context) -> anyhow::Result<Lock> {
    ctx.lock("release.lock", "another build of a release")
}

/// The built release as text.
pub(super) fn summary(release: &ReleaseContext, manifest: &Manifest) -> String {
    let mut text = format!("release {} of {} ({})\n", manifest.version, manifest.name, &manifest.commit[..12]);
    let derived = manifest.entries.iter().filter(|entry| entry.generator.is_some()).count();
    text.push_str(&format!(
        "  {}, {derived} of them derived; root {}\n",
        plural(manifest.entries.len(), "file"),
        manifest.root
    ));
    for artifact in &manifest.artifacts {
        text.push_str(&format!("  {}  {} ({} bytes)\n", artifact.sha256, artifact.name, artifact.size));
    }
    text.push_str(&format!("  in {}", release.directory().display()));
    text
}
