//! Normalises an image that an engine built, so that it is identical on all machines: layers are written again, with no
//! date after the commit's, and without files that differ between builds.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::base_image::BaseImage;
use super::image::{NewLayer, UnwrittenImage};
use super::image_files::visit_layer;
use super::layer_path::clean_path;
use super::layout::Layout;
use super::leftovers::Leftovers;
use super::model::{Descriptor, ImageConfig};
use drydock_archive::layer::Layer;
use drydock_archive::read::{Member, MemberKind, ReadError};
use drydock_archive::rfc3339;
use drydock_base::failure::Failure;
use drydock_base::text::one_line;

/// An image as an engine built it.
#[derive(Debug)]
pub struct BuiltImage {
    /// The configuration.
    pub config: ImageConfig,
    /// The files of the layers, the lowest first, and their media types.
    pub layers: Vec<(PathBuf, String)>,
}

/// Normalises an image. The layers of the base image stay as they are; all others are written again into `layout`.
///
/// # Errors
/// A layer cannot be read or written, or the image is not based on the base image.
pub fn normalise(
    layout: &Layout,
    raw: BuiltImage,
    base: Option<&BaseImage>,
    epoch: u64,
) -> anyhow::Result<UnwrittenImage> {
    let BuiltImage { mut config, layers } = raw;
    let below = base.map_or(&[][..], |base| &base.config.rootfs.diff_ids);
    if !config.rootfs.diff_ids.starts_with(below) {
        let text = "the engine used another base image; was it changed in the engine's storage?";
        return Err(Failure::not_reproducible(text));
    }
    let listed = config.rootfs.diff_ids.len();
    anyhow::ensure!(listed == layers.len(), "the engine returned {} of {listed} layers", layers.len());
    let mut descriptors: Vec<Descriptor> = base.map(|base| base.manifest.layers.clone()).unwrap_or_default();
    config.rootfs.diff_ids.truncate(below.len());
    // Each step has a layer, but those that say otherwise.
    let steps: Vec<&str> = (config.history.iter())
        .filter(|step| !step.empty_layer)
        .map(|step| step.created_by.as_deref().unwrap_or_default())
        .collect();
    for (number, (file, media_type)) in layers.iter().enumerate().skip(below.len()) {
        let step = (steps.len() == layers.len()).then(|| steps.get(number)).flatten();
        let place = match step {
            Some(step) if !step.is_empty() => format!("the layer of `{}`", one_line(step, 200)),
            _ => format!("layer {}", number + 1),
        };
        let new = layer(layout, file, media_type, epoch, &place)?;
        descriptors.push(new.descriptor);
        config.rootfs.diff_ids.push(new.diff_id);
    }
    let steps_below = base.map_or(0, |base| base.config.history.len());
    for step in config.history.iter_mut().skip(steps_below) {
        step.created = Some(rfc3339(epoch)?);
    }
    config.config.labels.remove("io.buildah.version");
    Ok(UnwrittenImage { config, layers: descriptors })
}

/// Writes a layer again.
fn layer(layout: &Layout, file: &Path, media_type: &str, epoch: u64, place: &str) -> anyhow::Result<NewLayer> {
    let mut layer = Layer::new(layout.directory()).context("cannot write a layer")?;
    let mut leftovers = Leftovers::default();
    visit_layer(file, media_type, &mut |member, content| {
        check_name(member)?;
        let path = clean_path(&member.path)?;
        if path.is_empty() {
            return Ok(());
        }
        if member.kind == MemberKind::File && matches!(path.as_str(), "etc/shadow" | "etc/shadow-") {
            let text = clamp_days(&io::read_to_string(content)?, epoch);
            return leftovers.take(&mut layer, path, member, &mut text.as_bytes());
        }
        leftovers.take(&mut layer, path, member, content)
    })
    .map_err(|error| match error {
        ReadError::Io(error) => anyhow::Error::new(error).context(format!("cannot normalise {place}")),
        other => Failure::rejected(format!("cannot normalise {place}: {other}")),
    })?;
    leftovers.omitted.report("a layer of the engine");
    NewLayer::write(&layer, epoch, layout)
}

/// Refuses a name that is not UTF-8: its bytes are known here, and what can be done about it.
fn check_name(member: &Member) -> Result<(), ReadError> {
    let Some(raw) = &member.raw_path else { return Ok(()) };
    let name = raw.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let remedy = if name.starts_with(b".wh.") {
        "a file of the base image with such a name cannot be removed; leave it there"
    } else {
        "rename the file, or remove it in the step that makes it"
    };
    let what = "a name that is not valid UTF-8".to_owned();
    Err(ReadError::NotKept { path: format!("`{}`", raw.escape_ascii()), what, remedy })
}

/// Limits the days of the last password change in `/etc/shadow` to the day of the commit.
fn clamp_days(text: &str, epoch: u64) -> String {
    let day = epoch / 86_400;
    let line = |line: &str| {
        let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
        if let Some(changed) = fields.get_mut(2) {
            if changed.parse::<u64>().is_ok_and(|changed| changed > day) {
                *changed = day.to_string();
            }
        }
        fields.join(":") + "\n"
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::media;
    use drydock_config::images::Digest;
    use std::fs;

    fn tar(files: &[(&str, u64, &str)]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (path, time, content) in files {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(*time);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn normalised(files: &[(&str, u64, &str)], created: &str) -> UnwrittenImage {
        layer_of(&tar(files), created).unwrap()
    }

    fn layer_of(bytes: &[u8], created: &str) -> anyhow::Result<UnwrittenImage> {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(&directory.path().join("oci")).unwrap();
        let file = directory.path().join("layer.tar");
        fs::write(&file, bytes).unwrap();
        let config = serde_json::from_value(serde_json::json!({
            "os": "linux", "architecture": "amd64", "created": created, "config": {"Labels": {"io.buildah.version": "1", "mine": "2"}},
            "rootfs": {"type": "layers", "diff_ids": [Digest::for_bytes(bytes)]},
            "history": [{"created_by": "ENV A=1", "empty_layer": true}, {"created": created, "created_by": "RUN make install"}],
        }))
        .unwrap();
        normalise(&layout, BuiltImage { config, layers: vec![(file, media::LAYER.to_owned())] }, None, 1000 * 86_400)
    }

    /// A layer with one entry, whose name or target is in Latin-1.
    fn latin_1(path: &[u8], target: Option<&[u8]>) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let mut header = ::tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        let mut builder = ::tar::Builder::new(Vec::new());
        match target {
            Some(target) => {
                header.set_entry_type(::tar::EntryType::Symlink);
                let target = Path::new(std::ffi::OsStr::from_bytes(target));
                builder.append_link(&mut header, path, target).unwrap();
            }
            None => builder.append_data(&mut header, path, io::empty()).unwrap(),
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn names_that_are_not_utf8_are_refused_with_place_and_remedy() {
        let refused = |bytes: &[u8]| layer_of(bytes, "x").unwrap_err().to_string();
        assert_eq!(
            refused(&latin_1(b"usr/caf\xe9", None)),
            "cannot normalise the layer of `RUN make install`: `usr/caf\\xe9` has a name that is not valid UTF-8; rename the file, or \
             remove it in the step that makes it"
        );
        let removal = refused(&latin_1(b"usr/.wh.caf\xe9", None));
        assert!(
            removal.ends_with("a file of the base image with such a name cannot be removed; leave it there"),
            "{removal}"
        );
        // Nor is another target in its place, which would be another link.
        let link = refused(&latin_1(b"usr/link", Some(b"caf\xe9")));
        assert!(
            link.contains(
                "the layer of `RUN make install`: the link \"usr/link\" has a target that is not valid UTF-8"
            )
        );
    }

    #[test]
    fn two_builds_become_identical() {
        let first = [("usr/a", 5, "a"), ("etc/shadow", 90_000_000, "u:!:20000:0\nv:!:3:0\n"), ("var/log/x", 7, "1")];
        let second = [("etc/shadow", 99_000_000, "u:!:20001:0\nv:!:3:0\n"), ("usr/a", 5, "a"), ("var/log/x", 8, "22")];
        let UnwrittenImage { config, layers } = normalised(&first, "2031-01-01T00:00:00Z");
        let other = normalised(&second, "2032-01-01T00:00:00Z");
        assert_eq!(layers, other.layers);
        assert_eq!(config.rootfs, other.config.rootfs);
        assert_eq!(config.history[1].created.as_deref(), Some("1972-09-27T00:00:00Z"));
        assert_eq!(config.config.labels, [("mine".to_owned(), "2".to_owned())].into());
        let changed = normalised(&[("usr/a", 5, "b")], "x");
        assert_ne!(layers, changed.layers);
        assert_eq!(clamp_days("u:!:20000:0\nv:!:3:0\n", 1000 * 86_400), "u:!:1000:0\nv:!:3:0\n");
    }
}
