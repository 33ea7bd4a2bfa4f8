//! Builds an image from a Dockerfile with the first engine that works on this machine. The engine sees the files of the
//! commit and base images that were verified here, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{PlatformBuild, base};
use drydock_archive::source::SourceTree;
use drydock_base::failure::Failure;
use drydock_base::git::Oid;
use drydock_base::output;
use drydock_base::scratch::Scratch;
use drydock_config::images::Platform;
use drydock_oci::base_image::{self, BaseImage};
use drydock_oci::dockerfile::{Dockerfile, StageBase};
use drydock_oci::engine::{BuildRequest, Engine, local_name};
use drydock_oci::layout::Layout;
use drydock_oci::normalise::normalise;

/// The inputs of a build from a Dockerfile.
pub(super) struct DockerfileBuild<'a> {
    /// The path of the Dockerfile, for messages.
    pub(super) path: &'a str,
    /// The Dockerfile.
    pub(super) dockerfile: Dockerfile,
    pub(super) engine: &'a Engine,
    /// The build arguments.
    pub(super) args: BTreeMap<String, String>,
    /// The declared base image.
    pub(super) base: Option<BaseImage>,
    /// The packages that are copied to `packages/` of the context.
    pub(super) packages: Vec<PathBuf>,
    /// The cache of base images.
    pub(super) cache: Layout,
}

impl DockerfileBuild<'_> {
    /// Builds the image of one platform.
    pub(super) fn run(
        mut self,
        tree: &SourceTree,
        platform: Platform,
        layout: &Layout,
    ) -> anyhow::Result<PlatformBuild> {
        let (path, dockerfile, engine) = (self.path, &self.dockerfile, self.engine);
        let mut bases: Vec<BaseImage> = Vec::new();
        for pinned in &dockerfile.pinned {
            let (repository, digest) = (&pinned.repository, &pinned.digest);
            let mut pull = || base::pull(&self.cache, repository, digest, platform);
            bases.push(base_image::cached_or_pulled(
                &self.cache,
                &repository.to_string(),
                digest,
                platform,
                &mut pull,
            )?);
        }
        let named = dockerfile.with_names(|pinned| {
            let at = dockerfile.pinned.iter().position(|one| one == pinned);
            at.and_then(|at| bases.get(at)).map_or_else(|| pinned.written.clone(), local_name)
        });
        let foundation = match dockerfile.base {
            StageBase::Scratch => None,
            StageBase::Declared => self.base.clone(),
            StageBase::Pinned(at) => bases.get(at).cloned(),
        };

        let scratch = Scratch::roomy("engine")?;
        let (context, file) = (scratch.path().join("context"), scratch.path().join("Dockerfile"));
        fs::create_dir(&context).context("cannot create the build context")?;
        tree.export(&context)?;
        if !self.packages.is_empty() {
            copy_packages(&self.packages, &context.join("packages"), tree.epoch)?;
        }
        fs::write(&file, named).context("cannot write the Dockerfile")?;
        if let Some(base) = &self.base {
            self.args.insert("BASE".into(), local_name(base));
            bases.extend(dockerfile.uses_base.then(|| base.clone()));
        }
        output::step(format_args!("build {path} with {engine}"));
        let built = engine.build(&BuildRequest {
            context: &context,
            dockerfile: &file,
            args: &self.args,
            bases: &bases,
            platform,
            epoch: tree.epoch,
            scratch: scratch.path(),
        })?;
        if !built.config.platform.is(platform) {
            let text = format!("{engine} built an image for {}, expected {platform}", built.config.platform);
            return Err(Failure::rejected(text));
        }
        if let Some(base) = &foundation {
            base.link_layers(layout)?;
        }
        let image = normalise(layout, built, foundation.as_ref(), tree.epoch)?;
        Ok(PlatformBuild { base: foundation, image, inputs: Vec::new(), method: engine.to_string() })
    }
}

/// Reads the Dockerfile from the commit, or from the directory of the declarations where the commit has none.
pub(super) fn text(tree: &SourceTree, config: Option<&Path>, commit: &Oid, path: &str) -> anyhow::Result<String> {
    if let Some(entry) = tree.get(path) {
        return Ok(String::from_utf8_lossy(&tree.reader().content(entry)?).into_owned());
    }
    config.and_then(|directory| fs::read_to_string(directory.join(path)).ok()).ok_or_else(|| {
        Failure::declaration(format!("commit {} has no {path}; commit it, or correct `dockerfile`", commit.short()))
    })
}

/// Parses a Dockerfile, which may use the declared base image only if there is one.
pub(super) fn parse(path: &str, text: &str, has_base: bool) -> anyhow::Result<Dockerfile> {
    let dockerfile = Dockerfile::parse(text)
        .map_err(|problems| Failure::declaration(format!("cannot build {path}:\n  {}", problems.join("\n  "))))?;
    if dockerfile.uses_base && !has_base {
        let text = format!("{path} uses ${{BASE}}, but docker/images.yaml declares no `base` for this image");
        return Err(Failure::declaration(text));
    }
    Ok(dockerfile)
}

/// Copies packages into a directory of the context. The commit may have that directory too; its symlinks are not followed.
fn copy_packages(files: &[PathBuf], directory: &Path, epoch: u64) -> anyhow::Result<()> {
    match fs::symlink_metadata(directory) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => {
            let text =
                "the commit has `packages`, which is not a directory; the declared packages go there, so rename it";
            return Err(Failure::declaration(text));
        }
        Err(_) => fs::create_dir(directory).context("cannot write to the build context")?,
    }
    for file in files {
        let name = file.file_name().unwrap_or_default();
        let to = directory.join(name);
        let cannot = || format!("cannot write {}", to.display());
        let mut from = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut copy = match fs::File::create_new(&to) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = format!("the commit already has packages/{}; rename it", name.to_string_lossy());
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
    fn packages_are_never_copied_outside_the_context() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        fs::write(at("a.deb"), "a").unwrap();
        fs::create_dir(at("elsewhere")).unwrap();
        let put = |to: &str| copy_packages(&[at("a.deb")], &at(to), 60).map_err(|error| error.to_string());
        assert_eq!(put("packages"), Ok(()));
        assert_eq!(fs::read(at("packages/a.deb")).unwrap(), b"a");
        assert!(put("packages").unwrap_err().contains("already has packages/a.deb"));
        symlink("elsewhere", at("link")).unwrap();
        assert!(put("link").unwrap_err().contains("which is not a directory"));
        fs::create_dir(at("has")).unwrap();
        symlink("../elsewhere/new", at("has/a.deb")).unwrap();
        assert!(put("has").unwrap_err().contains("already has packages/a.deb"));
        assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 0);
    }
}
