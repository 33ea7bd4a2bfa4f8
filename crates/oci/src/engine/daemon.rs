//! docker, with buildx or the classic builder.

use std::fs::File;

use anyhow::Context as _;

use super::{BuildRequest, archive, arguments, base_layout, environment, local_name, run, shown, words};
use crate::base_image::BaseImage;
use crate::normalise::BuiltImage;
use drydock_config::images::Platform;

/// Selects the classic builder even where buildx is installed.
const CLASSIC: [(&str, &str); 1] = [("DOCKER_BUILDKIT", "0")];

pub(super) fn build(request: &BuildRequest<'_>) -> anyhow::Result<BuiltImage> {
    let mut names = Names(Vec::new());
    for base in request.bases {
        load(request, base)?;
        names.0.push(local_name(base));
    }
    // The daemon may run other builds at the same time.
    let unique = request.scratch.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
    let built = format!("localhost/drydock-built:{unique}");
    let mut argv = words(&["docker", "build", "--no-cache", "--force-rm", "--tag", &built]);
    argv.extend(["--file".into(), shown(request.dockerfile)]);
    if Platform::here() != Some(request.platform) {
        argv.extend(["--platform".into(), request.platform.to_string()]);
    }
    argv.extend(arguments(request));
    argv.push(shown(request.context));
    let classic = CLASSIC.map(|(name, value)| (name, value.to_owned()));
    let printed = run(&argv, &classic)?;
    // Earlier stages remain as images without a name.
    let steps = printed.lines().filter_map(|line| line.trim().strip_prefix("---> "));
    let is_id = |step: &&str| step.len() == 12 && step.bytes().all(|byte| byte.is_ascii_hexdigit());
    names.0.extend(steps.filter(is_id).map(str::to_owned));
    names.0.push(built.clone());
    let saved = request.scratch.join("built.tar");
    run(&words(&["docker", "save", "--output", &shown(&saved), &built]), &[])?;
    archive::saved(&saved, &request.scratch.join("built"))
}

pub(super) fn buildx(request: &BuildRequest<'_>) -> anyhow::Result<BuiltImage> {
    let mut argv = words(&["docker", "buildx", "build", "--no-cache", "--provenance=false", "--sbom=false"]);
    argv.extend(["--platform".into(), request.platform.to_string(), "--file".into(), shown(request.dockerfile)]);
    for base in request.bases {
        let directory = base_layout(request, base)?;
        let context = format!("{}=oci-layout://{}@{}", local_name(base), shown(&directory), base.descriptor.digest);
        argv.extend(["--build-context".into(), context]);
    }
    argv.extend(arguments(request));
    let saved = request.scratch.join("built.tar");
    argv.extend(["--output".into(), format!("type=oci,dest={}", shown(&saved)), shown(request.context)]);
    run(&argv, &[])?;
    archive::saved_layout(&saved, &request.scratch.join("built"))
}

/// Loads a base image into the daemon.
fn load(request: &BuildRequest<'_>, base: &BaseImage) -> anyhow::Result<()> {
    let file = request.scratch.join("base.tar");
    archive::write(&file, base, &local_name(base), request.scratch)?;
    let output = duct::cmd("docker", ["load", "--quiet"])
        .stdin_file(File::open(&file).context("cannot read the base")?)
        .full_env(environment(&[]))
        .stdout_null()
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run docker")?;
    let why = drydock_base::exec::end_of(&output.stderr);
    anyhow::ensure!(output.status.success(), "cannot load the base image {} into docker: {why}", base.name);
    std::fs::remove_file(&file).context("cannot remove a temporary file")
}

/// Images in the daemon's storage that are removed after the build, the last first.
struct Names(Vec<String>);

impl Drop for Names {
    fn drop(&mut self) {
        for name in self.0.iter().rev() {
            // Another build may use the image.
            run(&words(&["docker", "rmi", name]), &[]).ok();
        }
    }
}
