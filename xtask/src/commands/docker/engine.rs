//! An image built from a Dockerfile: of the commit's files, on bases that were checked here, by the engine that is here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::make::{Job, Made};
use super::{base, debs};
use drydock_archive::source::{SourceTree, derive};
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths;
use drydock_config::images::{Platform, Value};
use drydock_oci::base_image::BaseImage;
use drydock_oci::dockerfile::{Dockerfile, Foundation};
use drydock_oci::engine::{self, local_name};
use drydock_oci::layout::Layout;
use drydock_oci::normalise::normalise;

/// What is declared of a Dockerfile.
pub(super) struct Declared<'a> {
    pub(super) path: &'a str,
    pub(super) args: &'a BTreeMap<String, Value>,
    pub(super) packages: &'a [String],
    pub(super) series: Option<&'a str>,
}

/// Builds for one platform.
pub(super) fn make(
    job: &Job<'_>,
    declared: &Declared<'_>,
    tree: &SourceTree,
    platform: Platform,
    layout: &Layout,
) -> anyhow::Result<Made> {
    let dockerfile = Dockerfile::parse(&text(job, declared.path, tree)?).map_err(|problems| {
        Failure::declaration(format!("{} cannot be built from:\n  {}", declared.path, problems.join("\n  ")))
    })?;
    let own = job.image.base.as_ref().map(|base| base::provide(job.release().ctx(), base, platform)).transpose()?;
    if dockerfile.uses_base && own.is_none() {
        let text = format!("{} stands on ${{BASE}}, and docker/images.yaml declares no `base`", declared.path);
        return Err(Failure::declaration(text));
    }
    let mut bases: Vec<BaseImage> = Vec::new();
    let cache = base::cache(job.release().ctx())?;
    for pinned in &dockerfile.pinned {
        bases.push(drydock_oci::base_image::pulled(
            &cache,
            &pinned.repository.to_string(),
            &pinned.digest,
            platform,
            &mut || base::pull(&cache, &pinned.repository, &pinned.digest, platform),
        )?);
    }
    let named = dockerfile.with_names(|pinned| {
        let at = dockerfile.pinned.iter().position(|one| one == pinned);
        at.and_then(|at| bases.get(at)).map_or_else(|| pinned.written.clone(), local_name)
    });
    let foundation = match dockerfile.foundation {
        Foundation::Scratch => None,
        Foundation::Declared => own.clone(),
        Foundation::Pinned(at) => bases.get(at).cloned(),
    };

    let scratch = paths::Scratch::new("drydock-engine-")?;
    let (context, file) = (scratch.path().join("context"), scratch.path().join("Dockerfile"));
    fs::create_dir(&context).context("cannot make the context")?;
    tree.export(&context)?;
    let inputs = packages(job, declared, own.as_ref(), platform, &context, tree.epoch)?;
    fs::write(&file, named).context("cannot write the Dockerfile")?;

    let version = &job.release().version;
    let mut args: BTreeMap<String, String> =
        declared.args.iter().map(|(name, value)| (name.clone(), value.render(version))).collect();
    if let Some(own) = &own {
        args.insert("BASE".into(), local_name(own));
        bases.extend(dockerfile.uses_base.then(|| own.clone()));
    }
    let engine = engine::choose(job.engines)?;
    output::err(format_args!("== build from {} by {}", declared.path, engine.shown()));
    let request = engine::Request {
        context: &context,
        dockerfile: &file,
        args: &args,
        bases: &bases,
        platform,
        epoch: tree.epoch,
        scratch: scratch.path(),
    };
    let raw = engine.build(&request)?;
    let found = &raw.config.platform;
    if !found.is(platform) {
        let text = format!("{} built an image for {found}, not for {platform}", engine.shown());
        return Err(Failure::rejected(text));
    }
    if let Some(base) = &foundation {
        base.lend(layout)?;
    }
    let image = normalise(layout, raw, foundation.as_ref(), tree.epoch)?;
    Ok(Made { base: foundation, image, inputs, way: engine.shown() })
}

/// The commit's files as a release has them, with what generators derive from them.
pub(super) fn sources(job: &Job<'_>) -> anyhow::Result<SourceTree> {
    let mut tree = job.release().tree.clone();
    let generators = &job.release().declaration().generators;
    let derived = derive::run(&tree, generators, &mut |line| output::err(format_args!("== {line}")))?;
    tree.add(derived.entries)?;
    Ok(tree)
}

/// The Dockerfile: of the commit, or of the directory with the declarations where the project has none.
fn text(job: &Job<'_>, path: &str, tree: &SourceTree) -> anyhow::Result<String> {
    if let Some(entry) = tree.get(path) {
        return Ok(String::from_utf8_lossy(&tree.reader().content(entry)?).into_owned());
    }
    let other = job.release().commit.config.as_ref().map(|directory| directory.join(path));
    other.and_then(|file| fs::read_to_string(file).ok()).ok_or_else(|| {
        let commit = job.release().commit.id.short();
        Failure::declaration(format!("the commit {commit} has no {path}; commit it, or mend `dockerfile`"))
    })
}

/// Puts the declared packages into `packages/` of the context.
fn packages(
    job: &Job<'_>,
    declared: &Declared<'_>,
    own: Option<&BaseImage>,
    platform: Platform,
    context: &Path,
    epoch: u64,
) -> anyhow::Result<Vec<PathBuf>> {
    if declared.packages.is_empty() {
        return Ok(Vec::new());
    }
    let series = own.map(BaseImage::files).transpose()?.and_then(|files| files.series());
    let found = debs::find(job.release(), declared.packages, declared.series, series, platform)?;
    let files: Vec<PathBuf> = debs::files_of(&found).cloned().collect();
    lay(&files, &context.join("packages"), epoch)?;
    Ok(files)
}

/// Copies packages into a directory of the context, which the commit may have too; never to where a link of it leads.
fn lay(files: &[PathBuf], directory: &Path, epoch: u64) -> anyhow::Result<()> {
    match fs::symlink_metadata(directory) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => {
            let text = "the project has packages, which is no directory, where the declared packages go; rename it";
            return Err(Failure::declaration(text));
        }
        Err(_) => fs::create_dir(directory).context("cannot write to the context")?,
    }
    for file in files {
        let name = file.file_name().unwrap_or_default();
        let to = directory.join(name);
        let cannot = || format!("cannot write {}", to.display());
        let mut from = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut copy = match fs::File::create_new(&to) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = format!("the project has a file packages/{} itself", name.to_string_lossy());
                return Err(Failure::declaration(text));
            }
            other => other.with_context(cannot)?,
        };
        std::io::copy(&mut from, &mut copy).with_context(cannot)?;
        copy.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        copy.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(epoch))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn packages_stay_in_the_context() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        fs::write(at("a.deb"), "a").unwrap();
        fs::create_dir(at("elsewhere")).unwrap();
        let put = |to: &str| lay(&[at("a.deb")], &at(to), 60).map_err(|error| error.to_string());
        assert_eq!(put("packages"), Ok(()));
        assert_eq!(fs::read(at("packages/a.deb")).unwrap(), b"a");
        assert!(put("packages").unwrap_err().contains("has a file packages/a.deb itself"));
        symlink("elsewhere", at("link")).unwrap();
        assert!(put("link").unwrap_err().contains("which is no directory"));
        fs::create_dir(at("has")).unwrap();
        symlink("../elsewhere/new", at("has/a.deb")).unwrap();
        assert!(put("has").unwrap_err().contains("has a file packages/a.deb itself"));
        assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 0);
    }
}
