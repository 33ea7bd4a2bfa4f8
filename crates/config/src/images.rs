//! `docker/images.yaml`: the images, their contents and their repositories. The resolved and validated result.

mod declared;
mod names;
mod resolve;

pub use declared::ImageName;
pub use names::{Digest, Platform, Repository, Tag};

pub(crate) use declared::{BaseDeclaration, ImagesFile};
pub(crate) use resolve::base_of;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::decode;
use super::diagnostic::{Diagnostics, Problems};
use super::release::{Version, VersionText};
use drydock_base::units::ByteSize;

/// The labels that every image gets, so that no declaration may set them.
pub const OWN_LABELS: [&str; 6] = [
    "org.opencontainers.image.version",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.created",
    "org.opencontainers.image.title",
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.base.digest",
];

/// The images of a project, validated, with every default applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// In the order of the declaration, at least one, with different names and repositories.
    pub images: Vec<Image>,
}

/// One image, for one platform or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The key under `images`.
    pub name: ImageName,
    /// The repositories that the image is pushed to.
    pub repositories: Repositories,
    /// The base image; none only for a Dockerfile that names its own.
    pub base: Option<Base>,
    /// The source of its files.
    pub from: From,
    /// At least one, no platform twice, in the order of the declaration.
    pub platforms: Vec<Platform>,
    /// The settings of its containers.
    pub runtime: Runtime,
    /// Declared labels.
    pub labels: BTreeMap<String, Value>,
    /// The smoke test that must pass before a tag moves to the image.
    pub smoke_test: SmokeTest,
    /// The retention of nightly images.
    pub retention: Retention,
}

/// Two repositories that are never the same, of this image or any other of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repositories {
    /// The repository of nightly images.
    pub nightly: Repository,
    /// The repository of releases, which are only promoted to it.
    pub release: Repository,
}

/// The base of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An image of a registry.
    Image {
        /// Its repository.
        repository: Repository,
        /// A tag for the reader; it is never resolved.
        tag: Option<Tag>,
        /// The digest of its manifest or index.
        digest: Digest,
    },
    /// A minimal Debian system, built by mmdebstrap.
    Suite {
        /// The code name of the series.
        suite: String,
        /// The timestamp of the archive snapshot, such as `20261101T000000Z`.
        snapshot: String,
        /// The URL of the archive, with the timestamp in it.
        mirror: String,
        /// Packages beside the essential ones, sorted.
        packages: Vec<String>,
    },
}

/// The source of an image's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// Binary packages of the release, unpacked onto the base.
    Debs {
        /// Their names.
        packages: Vec<String>,
        /// The series whose packages are taken, when it was declared.
        series: Option<String>,
        /// True if packages with maintainer scripts are accepted; the scripts do not run.
        skip_scripts: bool,
    },
    /// An archive with programs, unpacked onto the base.
    Archive {
        /// The file relative to the project, with `{version}` and `{architecture}` still in it.
        path: String,
        /// The number of leading path components removed when unpacking.
        strip: u32,
        /// The directory in the image, absolute.
        into: String,
    },
    /// A Dockerfile.
    Dockerfile {
        /// The file, relative to the project.
        path: String,
        /// Arguments, with `{version}` still in them.
        args: BTreeMap<String, Value>,
        /// Binary packages that are put into `packages/` of the context.
        packages: Vec<String>,
        /// The series of those, when it was declared.
        series: Option<String>,
    },
}

/// A value that may contain `{version}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// The value for a version.
    pub fn render(&self, version: &Version) -> String {
        self.0.replace("{version}", version.as_str())
    }
}

/// The settings of containers; `None` inherits the setting of the base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtime {
    /// The program and its first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// Its default arguments.
    pub command: Option<Vec<String>>,
    /// The user.
    pub user: Option<String>,
    /// The working directory.
    pub directory: Option<String>,
    /// Variables over those of the base.
    pub env: BTreeMap<String, String>,
    /// Exposed ports such as `9735/tcp`, sorted.
    pub ports: Vec<String>,
    /// Volumes: absolute paths, sorted.
    pub volumes: Vec<String>,
}

/// The smoke test that must pass before a tag moves to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmokeTest {
    /// The command in the image.
    pub run: Vec<String>,
    /// The expected output, without surrounding whitespace.
    pub expect: VersionText,
    /// The time limit.
    pub timeout: Duration,
    /// The memory of all its processes together.
    pub memory: ByteSize,
    /// The size of all files that it writes.
    pub disk: ByteSize,
    /// The most processes and threads at the same time.
    pub processes: u32,
}

/// The retention of nightly images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Days of which the newest image is kept.
    pub daily: u32,
    /// Weeks of which the newest image is kept.
    pub weekly: u32,
    /// Patterns of tags that are always kept.
    pub keep: Vec<glob::Pattern>,
}

impl Images {
    /// Validates a text.
    ///
    /// # Errors
    /// All problems of the text at once.
    pub fn parse(text: &str, shown_as: &Path) -> Result<Images, Diagnostics> {
        let mut problems = Problems::default();
        let declared: Option<ImagesFile> = decode::document(text, &mut problems);
        let images = declared.map(|file| resolve::images(file, &mut problems));
        match images {
            Some(images) if problems.is_empty() => Ok(images),
            Some(_) | None => Err(problems.in_file(shown_as, text)),
        }
    }
}

#[cfg(test)]
mod tests;
