//! Images with labels, records and platforms as a test wants them, pushed by Drydock's own client.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use drydock_config::images::{Digest, Platform, Repository};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index, Manifest, media};
use drydock_oci::registry::{Precondition, Registry, push, tag};
use tempfile::TempDir;

use super::registry_server::noise;
use crate::release::fixture::{DECLARATION, project};
use crate::support::{Project, git};

/// A directory in which images are made.
pub(crate) struct ImageFactory {
    _directory: TempDir,
    pub(crate) layout: Layout,
}

impl ImageFactory {
    pub(crate) fn new() -> ImageFactory {
        let directory = quick_directory();
        let layout = Layout::create(directory.path()).unwrap();
        ImageFactory { _directory: directory, layout }
    }

    /// The image of one platform: a layer that all have, one of its own, and labels.
    pub(crate) fn child(&self, platform: Platform, seed: u64, labels: &[(&str, &str)]) -> Descriptor {
        let shared = self.layout.put(media::LAYER_GZIP, &noise(0, 2000)).unwrap();
        let own = self.layout.put(media::LAYER_GZIP, &noise(seed + 1, 200)).unwrap();
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let config = serde_json::json!({
            "created": labels.get("org.opencontainers.image.created"),
            "architecture": platform.architecture(),
            "os": "linux",
            "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [shared.digest, own.digest]},
        });
        let config = self.layout.put(media::CONFIG, config.to_string().as_bytes()).unwrap();
        let manifest = Manifest::new(config, vec![shared, own]);
        let mut child = self.layout.put(media::MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap();
        child.platform = Some(platform.into());
        child
    }

    /// An index of these.
    pub(crate) fn index(&self, manifests: Vec<Descriptor>) -> Descriptor {
        let index = Index::new(manifests);
        self.layout.put(media::INDEX, &serde_json::to_vec(&index).unwrap()).unwrap()
    }

    /// Pushes one, and tags it.
    pub(crate) fn push(&self, registry: &Registry, repository: &Repository, top: &Descriptor, tags: &[&str]) {
        push(registry, repository, &self.layout, top, &[]).unwrap();
        set(registry, repository, top, tags);
    }
}

/// A directory in memory where there is one, since many small files are synced to it.
pub(crate) fn quick_directory() -> TempDir {
    let memory = tempfile::Builder::new().prefix("drydock-quick-").tempdir_in("/dev/shm");
    memory.unwrap_or_else(|_| TempDir::with_prefix("drydock-quick-").unwrap())
}

/// Sets tags, wherever they were.
pub(crate) fn set(registry: &Registry, repository: &Repository, top: &Descriptor, tags: &[&str]) {
    let tags: Vec<_> = tags.iter().map(|name| (name.parse().unwrap(), Precondition::None)).collect();
    tag(registry, repository, top, &tags).unwrap();
}

/// A project in git with an image `mine` at this host, committed and not tagged.
pub(crate) fn project_at(host: &str, more: &str, image: &str) -> Project {
    let images = format!(
        "repositories: {{nightly: {host}/mine/nightly, release: {host}/mine/release}}\nimages:\n  mine:\n    \
         from: {{dockerfile: Dockerfile}}\n    smoke-test: {{run: [mine, --version], expect: 'mine {{version}}'}}\n{image}"
    );
    let project = project(&format!("{DECLARATION}{more}")).file("docker/images.yaml", &images).file("a.txt", "a\n");
    git(project.path(), &["add", "-A"]);
    git(project.path(), &["commit", "-q", "-m", "all"]);
    project
}

/// The digests of all blobs in a registry's storage, manifests among them.
pub(crate) fn stored(storage: &Path) -> Vec<Digest> {
    let list = |directory: &Path| -> Vec<PathBuf> {
        fs::read_dir(directory).map_or_else(|_| Vec::new(), |all| all.map(|entry| entry.unwrap().path()).collect())
    };
    let directories = list(&storage.join("docker/registry/v2/blobs/sha256"));
    let blobs = directories.iter().flat_map(|directory| list(directory)).filter(|blob| blob.join("data").is_file());
    let mut digests: Vec<Digest> =
        blobs.map(|blob| format!("sha256:{}", blob.file_name().unwrap().to_str().unwrap()).parse().unwrap()).collect();
    digests.sort();
    digests
}
