//! Images that stand in for those that a nightly build would have pushed: a few bytes with the labels and the record of a build, since
//! building real ones takes minutes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

use drydock_config::images::{Image, Images};
use drydock_oci::build_record::{self, BuildRecord, PlatformRecord, RecordTag, SmokeTestResult};
use drydock_oci::image::{REVISION, VERSION};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Index, Manifest, media};
use drydock_oci::registry::{Attachment, Credentials, Precondition, Registry, attach, push, tag};

/// The release that the images belong to.
pub(super) struct Release<'a> {
    pub(super) version: &'a str,
    pub(super) commit: &'a str,
    pub(super) tag: &'a str,
    /// The tag object.
    pub(super) object: &'a str,
}

/// Pushes a stand-in for every declared image to its nightly repository, which is on this machine.
///
/// # Errors
/// The registry refuses it.
pub(super) fn push_all(declaration: &str, release: &Release<'_>, scratch: &Path) -> anyhow::Result<usize> {
    let images = Images::parse(declaration, Path::new("docker/images.yaml"))?.images;
    for image in &images {
        let host = image.repositories.nightly.to_string();
        let host = host.split('/').next().unwrap_or_default().to_owned();
        anyhow::ensure!(host.starts_with("127.0.0.1:"), "{host} is not on this machine; nothing was pushed");
        let registry = Registry::open(&host, &Credentials::new(BTreeMap::new()))?;
        let layout = Layout::create(&scratch.join(image.name.as_str()))?;
        push_one(image, release, &registry, &layout)?;
    }
    Ok(images.len())
}

fn push_one(image: &Image, release: &Release<'_>, registry: &Registry, layout: &Layout) -> anyhow::Result<()> {
    let layer = layout.put(media::LAYER_GZIP, b"a stand-in for a layer\n")?;
    let mut children = Vec::new();
    for platform in &image.platforms {
        let config = serde_json::json!({
            "architecture": platform.architecture(),
            "os": "linux",
            "config": {"Labels": {REVISION: release.commit, VERSION: release.version}},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = layout.put_json(media::CONFIG, &config)?;
        let mut child = layout.put_json(media::MANIFEST, &Manifest::new(config, vec![layer.clone()]))?;
        child.platform = Some((*platform).into());
        children.push(child);
    }
    let version = release.version.parse().ok().context("the version was used before")?;
    let smoke_test =
        SmokeTestResult { run: image.smoke_test.run.clone(), printed: image.smoke_test.expect.render(&version) };
    let platforms = image.platforms.iter().zip(&children).map(|(platform, child)| {
        let record = PlatformRecord { digest: child.digest, base: None, smoke_test: Some(smoke_test.clone()) };
        (platform.to_string(), record)
    });
    let platforms = platforms.collect();
    let top = layout.put_json(media::INDEX, &Index::new(children))?;
    let nightly = &image.repositories.nightly;
    push(registry, nightly, layout, &top, &[])?;
    let record = BuildRecord {
        format: build_record::FORMAT,
        image: image.name.as_str().to_owned(),
        version: release.version.to_owned(),
        commit: release.commit.to_owned(),
        tag: Some(RecordTag { name: release.tag.to_owned(), object: release.object.to_owned() }),
        epoch: 0,
        digest: top.digest,
        platforms,
        inputs: Vec::new(),
        without_proof: None,
        made_by: None,
    };
    let text = record.text()?;
    let file = Attachment { media_type: "application/json", bytes: text.as_bytes(), annotations: &[] };
    attach(registry, nightly, &top, build_record::ARTIFACT_TYPE, &[file])?;
    let name = format!("sha-{}", release.commit.get(..12).unwrap_or(release.commit));
    let name = name.parse().ok().context("a commit cannot be the tag of an image")?;
    tag(registry, nightly, &top, &[(name, Precondition::None)])?;
    Ok(())
}
