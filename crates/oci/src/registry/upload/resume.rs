//! Files beside a layout that hold the state of interrupted uploads, so that the next process can continue them.
//!
//! They are best effort: without them, an upload starts from the beginning.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::model::Descriptor;
use drydock_base::paths;
use drydock_config::images::{Digest, Repository};
use drydock_http::Url;

/// The maximum age of a session in seconds; registries forget sessions after some days.
const LONGEST: i64 = 24 * 60 * 60;
/// The maximum size of a file in bytes; registries keep state in the URL.
const LARGEST: u64 = 64 << 10;

/// The file of one upload.
pub(super) struct ResumeFile {
    file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    url: String,
    /// The minimum chunk size of the registry, in bytes.
    #[serde(default)]
    least: u64,
    /// Seconds since 1970.
    since: i64,
}

impl ResumeFile {
    /// Returns a file that keeps nothing.
    pub(super) fn none() -> ResumeFile {
        ResumeFile { file: None }
    }

    /// Returns the file for the upload of a layout's blob to a repository.
    pub(super) fn beside(layout: &Layout, repository: &Repository, blob: &Descriptor) -> ResumeFile {
        let name = Digest::for_bytes(format!("{repository}@{}", blob.digest).as_bytes());
        ResumeFile { file: Some(layout.directory().join(".uploads").join(name.hex())) }
    }

    /// Reads the session's URL and minimum chunk size, if they are of this registry and not too old.
    pub(super) fn recall(&self, base: &Url, now: Timestamp) -> Option<(Url, u64)> {
        let path = self.file.as_ref()?;
        let mut text = Vec::new();
        paths::open_regular(path).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        let young = (0..LONGEST).contains(&now.as_second().saturating_sub(kept.since));
        let url = Url::parse(&kept.url).filter(|url| young && url.same_origin(base))?;
        Some((url, kept.least))
    }

    /// Writes the file. Only this user can read it, since the URL may hold credentials.
    pub(super) fn keep(&self, url: &Url, least: u64, now: Timestamp) {
        let Some(path) = &self.file else { return };
        let write = || -> anyhow::Result<()> {
            let directory = path.parent().unwrap_or(path);
            fs::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&serde_json::to_vec(&Kept { url: url.whole(), least, since: now.as_second() })?)?;
            file.persist(path)?;
            Ok(())
        };
        // Best effort: without the file, an upload starts from the beginning.
        write().ok();
    }

    /// Removes the file, and the directory after the last one.
    pub(super) fn forget(&self) {
        if let Some(path) = &self.file {
            // There may be no file, or other files in the directory.
            fs::remove_file(path).ok();
            path.parent().map(fs::remove_dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jiff::SignedDuration;

    use super::*;
    use crate::model::media;

    #[test]
    fn sessions_are_resumed_for_a_day_at_the_same_registry() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let repository: Repository = "a.example/b".parse().unwrap();
        let memory = ResumeFile::beside(&layout, &repository, &Descriptor::for_bytes(media::LAYER, b"x"));
        let base = Url::new(true, "a.example", "/v2/").unwrap();
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        assert_eq!(memory.recall(&base, now), None);
        let url = Url::new(true, "a.example", "/v2/b/blobs/uploads/1?_state=x").unwrap();
        memory.keep(&url, 7, now);
        let path = memory.file.clone().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(memory.recall(&base, now + SignedDuration::from_hours(23)), Some((url.clone(), 7)));
        assert_eq!(memory.recall(&base, now + SignedDuration::from_hours(25)), None);
        assert_eq!(memory.recall(&Url::new(true, "b.example", "/v2/").unwrap(), now), None);
        let other: Repository = "a.example/c".parse().unwrap();
        assert_eq!(
            ResumeFile::beside(&layout, &other, &Descriptor::for_bytes(media::LAYER, b"x")).recall(&base, now),
            None
        );
        memory.forget();
        assert!(!path.exists() && !path.parent().unwrap().exists());
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "{\"url\": 1}").unwrap();
        assert_eq!(memory.recall(&base, now), None);
    }
}
