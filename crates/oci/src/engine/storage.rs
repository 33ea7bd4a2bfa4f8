//! buildah and podman: no daemon, and a storage of their own that goes away after the build.

use std::path::Path;

use anyhow::Context as _;

use super::{BuildRequest, arguments, local_name, run, shown, words};
use crate::engine::archive;
use crate::normalise::BuiltImage;
use drydock_config::images::Platform;

/// What the image is called in the storage.
const BUILT: &str = "localhost/drydock-built:latest";

pub(super) fn build(program: &str, request: &BuildRequest<'_>) -> anyhow::Result<BuiltImage> {
    let storage = Storage { program, root: request.scratch };
    for base in request.bases {
        // Of a layout it would make a name from its path, which may be no name.
        let file = request.scratch.join("base.tar");
        archive::write(&file, base, &local_name(base), request.scratch)?;
        storage.run(&["pull", "--quiet", &format!("docker-archive:{}", shown(&file))], &[])?;
        std::fs::remove_file(&file).context("cannot remove a temporary file")?;
    }
    let time = request.epoch.to_string();
    // The fewest privileges that work everywhere, also within a container.
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

/// A storage in a directory, which is emptied by the engine's own means: without root, files of other users are in it.
struct Storage<'a> {
    program: &'a str,
    root: &'a Path,
}

impl Storage<'_> {
    fn run(&self, first: &[&str], more: &[String]) -> anyhow::Result<String> {
        let at = |name: &str| shown(&self.root.join(name));
        let mut argv = words(&[self.program, "--root", &at("storage"), "--runroot", &at("run")]);
        // The one driver that works on every file system.
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
            let _it_is_a_temporary_directory = run(&words(&[self.program, "unshare", "rm", "-rf", &directory]), &[]);
        }
    }
}
