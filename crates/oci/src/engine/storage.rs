//! buildah and podman, without a daemon, and with a storage that is removed after the build.

use std::path::Path;

use anyhow::Context as _;

use super::{BuildRequest, arguments, local_name, run, shown, words};
use crate::engine::archive;
use crate::normalise::BuiltImage;
use drydock_config::images::Platform;

/// The name of the image in the storage.
const BUILT: &str = "localhost/drydock-built:latest";

pub(super) fn build(program: &str, request: &BuildRequest<'_>) -> anyhow::Result<BuiltImage> {
    let storage = Storage { program, root: request.scratch };
    for base in request.bases {
        // A layout would be named after its path, which may be an invalid name.
        let file = request.scratch.join("base.tar");
        archive::write(&file, base, &local_name(base), request.scratch)?;
        storage.run(&["pull", "--quiet", &format!("docker-archive:{}", shown(&file))], &[])?;
        std::fs::remove_file(&file).context("cannot remove a temporary file")?;
    }
    let time = request.epoch.to_string();
    // This isolation also works within a container.
    let mut options = words(&["--isolation", "chroot", "--timestamp", &time, "--no-cache", "--layers=false"]);
    options.push("--pull=never".into());
    options.extend(["--file".into(), shown(request.dockerfile), "--tag".into(), BUILT.into()]);
    if Platform::here() != Some(request.platform) {
        options.extend(["--platform".into(), request.platform.to_string()]);
    }
    options.extend(arguments(request));
    options.push(shown(request.context));
    storage.run(&["build"], &options)?;
    let out = request.scratch.join("built");
    // Layers are compressed anew later; podman has no option for that.
    let options = if program == "buildah" { words(&["--disable-compression"]) } else { Vec::new() };
    storage.run(&["push", "--quiet"], &[options, words(&[BUILT, &format!("oci:{}", shown(&out))])].concat())?;
    archive::layout(&out)
}

/// A storage in a directory. Without root, it has files of other users, so the engine removes it.
struct Storage<'a> {
    program: &'a str,
    root: &'a Path,
}

impl Storage<'_> {
    fn run(&self, first: &[&str], more: &[String]) -> anyhow::Result<String> {
        let at = |name: &str| shown(&self.root.join(name));
        let mut argv = words(&[self.program, "--root", &at("storage"), "--runroot", &at("run")]);
        // This driver works on all file systems.
        argv.extend(words(&["--storage-driver", "vfs"]));
        argv.extend(words(first));
        argv.extend(more.iter().cloned());
        run(&argv, &[("TMPDIR", shown(self.root))])
    }
}

impl Drop for Storage<'_> {
    fn drop(&mut self) {
        if !rustix::process::geteuid().is_root() {
            let directory = shown(&self.root.join("storage"));
            // It is a temporary directory.
            run(&words(&[self.program, "unshare", "rm", "-rf", &directory]), &[]).ok();
        }
    }
}
