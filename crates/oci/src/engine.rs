//! Engines that build from Dockerfiles: docker with or without buildx, buildah, podman. Each gets base images that were
//! verified here, and returns the built image as files.

mod archive;
mod daemon;
mod storage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::base_image::BaseImage;
use super::normalise::BuiltImage;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_config::images::Platform;

/// The kind of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// docker with buildx.
    Buildx,
    /// docker with its classic builder.
    Docker,
    /// buildah.
    Buildah,
    /// podman.
    Podman,
}

/// An engine that works on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// The kind.
    pub kind: EngineKind,
    /// The version.
    pub version: String,
}

/// The parameters of a build.
#[derive(Debug)]
pub struct BuildRequest<'a> {
    /// The build context.
    pub context: &'a Path,
    /// The Dockerfile, outside of the context; it names base images as [`local_name`] does.
    pub dockerfile: &'a Path,
    /// The build arguments.
    pub args: &'a BTreeMap<String, String>,
    /// All base images that the Dockerfile names.
    pub bases: &'a [BaseImage],
    /// The platform.
    pub platform: Platform,
    /// The time of the commit, in seconds since 1970.
    pub epoch: u64,
    /// An empty directory for temporary files.
    pub scratch: &'a Path,
}

/// Returns the name of a base image during a build.
pub fn local_name(base: &BaseImage) -> String {
    format!("localhost/drydock-base:{}", &base.descriptor.digest.hex()[..16])
}

impl EngineKind {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Buildx => "docker buildx",
            EngineKind::Docker => "docker",
            EngineKind::Buildah => "buildah",
            EngineKind::Podman => "podman",
        }
    }

    /// Returns the version, if the engine works on this machine.
    fn probe(self) -> Result<String, exec::Error> {
        let words: &[&str] = match self {
            EngineKind::Buildx => &["docker", "buildx", "version"],
            EngineKind::Docker => &["docker", "version", "--format", "{{.Server.Version}}"],
            EngineKind::Buildah => &["buildah", "--version"],
            EngineKind::Podman => &["podman", "--version"],
        };
        let answer = ask(words)?;
        if self == EngineKind::Buildx {
            // The program may be installed without a daemon.
            EngineKind::Docker.probe()?;
        }
        let version = answer
            .split_whitespace()
            .find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
        Ok(version.unwrap_or("unknown").trim_start_matches('v').to_owned())
    }
}

/// Chooses the first engine that works on this machine.
///
/// # Errors
/// None does; the message has the error of each.
pub fn choose(wanted: &[EngineKind]) -> anyhow::Result<Engine> {
    let mut errors = Vec::new();
    for kind in wanted {
        match kind.probe() {
            Ok(version) => return Ok(Engine { kind: *kind, version }),
            Err(why) => errors.push(format!("{}: {why}", kind.name())),
        }
    }
    let text = format!("no engine for Dockerfiles works on this machine\n  {}", errors.join("\n  "));
    Err(Failure::missing(format!(
        "{text}\nrun `{}` to install one without a daemon",
        hint::apt_get(["install", "buildah"])
    )))
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.version)
    }
}

impl Engine {
    /// Builds an image.
    ///
    /// # Errors
    /// The build fails; the message has the end of its output.
    pub fn build(&self, request: &BuildRequest<'_>) -> anyhow::Result<BuiltImage> {
        match self.kind {
            EngineKind::Buildah => storage::build("buildah", request),
            EngineKind::Podman => storage::build("podman", request),
            EngineKind::Docker => daemon::build(request),
            EngineKind::Buildx => daemon::buildx(request),
        }
    }
}

/// Returns the environment of an engine: variables for its daemon and for proxies.
fn environment(more: &[(&str, String)]) -> BTreeMap<OsString, OsString> {
    let pass = [
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_CONFIG",
        "DOCKER_CERT_PATH",
        "DOCKER_TLS_VERIFY",
        "BUILDX_BUILDER",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    let set: BTreeMap<String, String> = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    exec::environment(&pass.map(str::to_owned), &set)
}

fn ask(words: &[&str]) -> Result<String, exec::Error> {
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let printed = exec::bytes(&argv, Path::new("/"), environment(&[]))?;
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

/// Runs a command of an engine.
fn run(argv: &[String], more: &[(&str, String)]) -> anyhow::Result<String> {
    let printed = exec::contained(argv, Path::new("/"), environment(more))
        .map_err(|error| Failure::rejected(error.shown_as(argv.iter().take(3))))?;
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// Returns `--build-arg NAME=VALUE` for each argument and for `SOURCE_DATE_EPOCH`.
fn arguments(request: &BuildRequest<'_>) -> Vec<String> {
    let time = ("SOURCE_DATE_EPOCH".to_owned(), request.epoch.to_string());
    let all = request.args.clone().into_iter().chain([time]);
    all.flat_map(|(name, value)| ["--build-arg".to_owned(), format!("{name}={value}")]).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Writes a base image as a layout for an engine.
fn base_layout(request: &BuildRequest<'_>, base: &BaseImage) -> anyhow::Result<PathBuf> {
    let directory = request.scratch.join(format!("base-{}", base.descriptor.digest.hex()));
    let layout = super::layout::Layout::create(&directory)?;
    base.link_layers(&layout)?;
    layout.put(&base.manifest.config.media_type, &base.layout.read(&base.manifest.config)?)?;
    let descriptor = layout.put(&base.descriptor.media_type, &base.layout.read(&base.descriptor)?)?;
    layout.set_index(vec![descriptor])?;
    Ok(directory)
}
