//! Base images from mmdebstrap: a minimal Debian of a dated archive, identical on all machines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::base_image::{self, BaseImage};
use super::image::NewLayer;
use super::layer_path::clean_path;
use super::layout::Layout;
use super::leftovers::Leftovers;
use super::model::{ImageConfig, Manifest, media};
use drydock_archive::format::Compression;
use drydock_archive::layer::Layer;
use drydock_archive::read::{Limits, ReadError, visit_stream};
use drydock_archive::rfc3339;
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::hint;
use drydock_base::mmdebstrap;
use drydock_base::paths;
use drydock_config::images::{Digest, Platform};

/// The version of the result; increased when the same request makes other bytes than before.
const FORMAT: u32 = 3;

/// The Debian suite of a base image.
#[derive(Debug, Clone, Copy)]
pub struct SuiteRequest<'a> {
    /// The code name of the suite.
    pub suite: &'a str,
    /// The timestamp of the archive, such as `20261101T000000Z`.
    pub snapshot: &'a str,
    /// The URL of the archive.
    pub mirror: &'a str,
    /// The packages in addition to the essential ones.
    pub packages: &'a [String],
    /// The platform.
    pub platform: Platform,
}

/// Builds the base image, or takes it from the cache. `watch` gets a line before each long step.
///
/// # Errors
/// mmdebstrap is missing or fails, or the cache cannot be written.
pub fn make(cache: &Layout, request: &SuiteRequest<'_>, watch: &mut dyn FnMut(&str)) -> anyhow::Result<BaseImage> {
    let SuiteRequest { suite, snapshot, mirror, packages, platform } = request;
    let name = format!("{suite}-{snapshot}");
    let key = Checksum::new(format!("{FORMAT} {suite} {snapshot} {mirror} {packages:?} {platform}").as_bytes());
    let known = cache.directory().join(format!("suite-{key}"));
    let kept: Option<Digest> = fs::read_to_string(&known).ok().and_then(|text| text.trim().parse().ok());
    if let Some(digest) = kept {
        if let Some(base) = base_image::find(cache, &name, &digest, *platform)? {
            return Ok(base);
        }
    }
    watch(&format!("build the base image {name} for {platform} from {mirror}"));
    let epoch = timestamp(snapshot)?;
    let part = tempfile::Builder::new().prefix(".part-").suffix(".tar").tempfile_in(cache.directory());
    let part = part.with_context(|| format!("cannot write to {}", cache.directory().display()))?;
    // The validity period of a dated archive is over.
    let check = "--aptopt=Acquire::Check-Valid-Until \"false\"";
    let mut options =
        vec!["--variant=minbase".to_owned(), format!("--architectures={}", platform.debian()), check.to_owned()];
    if !packages.is_empty() {
        options.push(format!("--include={}", packages.join(",")));
    }
    let pass = ["http_proxy", "https_proxy"].map(str::to_owned);
    let set = BTreeMap::from([("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string())]);
    let environment = exec::environment(&pass, &set);
    let wanted = mmdebstrap::Request {
        doctor: &hint::drydock(&["doctor", "docker"]),
        suite,
        mirror,
        options: &options,
        environment: &environment,
    };
    mmdebstrap::make(&format!("the base image {name}"), part.path(), wanted)?;

    let layer = read(part.path(), cache.directory())
        .with_context(|| format!("cannot read the files that mmdebstrap made of {suite}"))?;
    let digest = write(cache, &layer, epoch, request)?;
    paths::write_atomically(&known, format!("{digest}\n").as_bytes())?;
    base_image::find(cache, &name, &digest, *platform)?.with_context(|| format!("the base image {name} is incomplete"))
}

/// Reads the files of the base image, without those that differ between builds.
fn read(tar: &Path, directory: &Path) -> Result<Layer, ReadError> {
    let mut layer = Layer::new(directory)?;
    let mut leftovers = Leftovers::default();
    let limits = Limits { bytes: 16 << 30, ..Limits::UNKNOWN };
    visit_stream(paths::open_regular(tar)?, Compression::Plain, limits, &mut |member, content| {
        let path = clean_path(&member.path)?;
        if path.is_empty() {
            return Ok(());
        }
        leftovers.take(&mut layer, path, member, content)
    })?;
    leftovers.omitted.report("the base image");
    Ok(layer)
}

fn write(cache: &Layout, layer: &Layer, epoch: u64, request: &SuiteRequest<'_>) -> anyhow::Result<Digest> {
    let layer = NewLayer::write(layer, epoch, cache)?;
    let mut config = ImageConfig::from_scratch(request.platform);
    config.config.cmd = Some(vec!["/bin/sh".to_owned()]);
    config.created = Some(rfc3339(epoch)?);
    let step = format!("mmdebstrap --variant=minbase {} of {}", request.suite, request.snapshot);
    config.add_layer(epoch, &step, layer.diff_id)?;
    let manifest = Manifest::new(cache.put_json(media::CONFIG, &config)?, vec![layer.descriptor]);
    Ok(cache.put_json(media::MANIFEST, &manifest)?.digest)
}

fn timestamp(snapshot: &str) -> anyhow::Result<u64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", snapshot).context("invalid snapshot timestamp")?;
    Ok(u64::try_from(jiff::tz::TimeZone::UTC.to_timestamp(time)?.as_second())?)
}
