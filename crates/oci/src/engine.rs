//! Engines that build from Dockerfiles: docker with buildx or without, buildah, podman. Each is given the bases that were
//! checked here, and gives back an image as files.

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
use drydock_config::images::Platform;

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// docker with buildx.
    Buildx,
    /// docker's own builder.
    Docker,
    /// buildah.
    Buildah,
    /// podman.
    Podman,
}

/// An engine that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Which.
    pub kind: EngineKind,
    /// Its version.
    pub version: String,
}

/// What is built.
#[derive(Debug)]
pub struct BuildRequest<'a> {
    /// The files that it may copy.
    pub context: &'a Path,
    /// The Dockerfile, elsewhere; it names bases as [`local_name`] does.
    pub dockerfile: &'a Path,
    /// Arguments.
    pub args: &'a BTreeMap<String, String>,
    /// All bases that it names.
    pub bases: &'a [BaseImage],
    /// The platform.
    pub platform: Platform,
    /// The time of everything, in seconds since 1970.
    pub epoch: u64,
    /// An empty directory.
    pub scratch: &'a Path,
}

/// What a base is called while an image is built on it.
pub fn local_name(base: &BaseImage) -> String {
    format!("localhost/drydock-base:{}", &base.descriptor.digest.hex()[..16])
}

impl EngineKind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            EngineKind::Buildx => "docker buildx",
            EngineKind::Docker => "docker",
            EngineKind::Buildah => "buildah",
            EngineKind::Podman => "podman",
        }
    }

    /// Its version, when it is here and works.
    fn probe(self) -> Result<String, exec::Error> {
        let words: &[&str] = match self {
            EngineKind::Buildx => &["docker", "buildx", "version"],
            EngineKind::Docker => &["docker", "version", "--format", "{{.Server.Version}}"],
            EngineKind::Buildah => &["buildah", "--version"],
            EngineKind::Podman => &["podman", "--version"],
        };
        let answer = ask(words)?;
        if self == EngineKind::Buildx {
            // The program may be there without a daemon.
            EngineKind::Docker.probe()?;
        }
        let version = answer
            .split_whitespace()
            .find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
        Ok(version.unwrap_or("unknown").trim_start_matches('v').to_owned())
    }
}

/// The first of the engines that works here.
///
/// # Errors
/// None does: with what each of them says.
pub fn choose(wanted: &[EngineKind]) -> anyhow::Result<Engine> {
    let mut said = Vec::new();
    for kind in wanted {
        match kind.probe() {
            Ok(version) => return Ok(Engine { kind: *kind, version }),
            Err(why) => said.push(format!("{}: {why}", kind.word())),
        }
    }
    let text = format!("no engine that builds from Dockerfiles works here\n  {}", said.join("\n  "));
    Err(Failure::missing(format!("{text}\n`apt-get install buildah` installs one without a daemon")))
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.version)
    }
}

impl Engine {
    /// Builds.
    ///
    /// # Errors
    /// The build fails: with the end of what it printed.
    pub fn build(&self, request: &BuildRequest<'_>) -> anyhow::Result<BuiltImage> {
        match self.kind {
            EngineKind::Buildah => storage::build("buildah", request),
            EngineKind::Podman => storage::build("podman", request),
            EngineKind::Docker => daemon::build(request),
            EngineKind::Buildx => daemon::buildx(request),
        }
    }
}

/// What engines read from the environment: where their daemon and their network are.
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

/// Runs a step of a build.
fn run(argv: &[String], more: &[(&str, String)]) -> anyhow::Result<String> {
    let printed = exec::bytes(argv, Path::new("/"), environment(more))
        .map_err(|error| Failure::rejected(error.shown_as(argv.iter().take(3))))?;
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// `--build-arg NAME=VALUE` for each argument, and for the time.
fn arguments(request: &BuildRequest<'_>) -> Vec<String> {
    let time = ("SOURCE_DATE_EPOCH".to_owned(), request.epoch.to_string());
    let all = request.args.clone().into_iter().chain([time]);
    all.flat_map(|(name, value)| ["--build-arg".to_owned(), format!("{name}={value}")]).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The layout of one base, for an engine to read.
fn lent(request: &BuildRequest<'_>, base: &BaseImage) -> anyhow::Result<PathBuf> {
    let directory = request.scratch.join(format!("base-{}", base.descriptor.digest.hex()));
    let layout = super::layout::Layout::create(&directory)?;
    base.link_layers(&layout)?;
    layout.put(&base.manifest.config.media_type, &base.layout.read(&base.manifest.config)?)?;
    let descriptor = layout.put(&base.descriptor.media_type, &base.layout.read(&base.descriptor)?)?;
    layout.set_index(vec![descriptor])?;
    Ok(directory)
}
