//! What an engine built, made the same for every machine: dates no later than the commit's, order, compression and
//! attributes of our own, and nothing that differs from one build to the next.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::base::Base;
use super::ground::{clean, visit_layer};
use super::image::{self, NewLayer, moment};
use super::layout::Layout;
use super::leftovers::Leftovers;
use super::model::{Descriptor, media};
use drydock_archive::layer::Layer;
use drydock_archive::read::{MemberKind, ReadError};
use drydock_base::exit::{Exit, failure};
use drydock_config::images::Digest;

/// What an engine built, as it gave it.
#[derive(Debug)]
pub struct Raw {
    /// The configuration.
    pub config: Value,
    /// Files with layers, the lowest first, and their media types.
    pub layers: Vec<(PathBuf, String)>,
}

/// Normalises an image: layers of the base stay what they are, all others are written anew into `layout`.
///
/// # Errors
/// A layer cannot be read or written; the image does not stand on the base.
pub fn normalise(
    layout: &Layout,
    raw: Raw,
    base: Option<&Base>,
    epoch: u64,
) -> anyhow::Result<(Value, Vec<Descriptor>)> {
    let Raw { mut config, layers } = raw;
    let built = image::diff_ids(&config)?;
    let below = base.map(|base| image::diff_ids(&base.config)).transpose()?.unwrap_or_default();
    if !built.starts_with(&below) {
        let text = "the engine built on other layers than those of the base; was the base changed there?";
        return Err(failure(Exit::NotReproducible, text));
    }
    anyhow::ensure!(built.len() == layers.len(), "the engine gave {} layers of {}", layers.len(), built.len());
    let mut descriptors: Vec<Descriptor> = base.map(|base| base.manifest.layers.clone()).unwrap_or_default();
    let mut diff_ids = below.clone();
    for (file, media_type) in layers.iter().skip(below.len()) {
        let new = layer(layout, file, media_type, epoch)?;
        descriptors.push(new.descriptor);
        diff_ids.push(new.diff_id);
    }
    config["rootfs"]["diff_ids"] = serde_json::to_value(&diff_ids)?;
    let steps_below = base.and_then(|base| base.config.get("history")?.as_array().map(Vec::len)).unwrap_or(0);
    if let Some(history) = config.get_mut("history").and_then(Value::as_array_mut) {
        for step in history.iter_mut().skip(steps_below) {
            step["created"] = moment(epoch)?.into();
        }
    }
    if let Some(labels) = config.pointer_mut("/config/Labels").and_then(Value::as_object_mut) {
        labels.remove("io.buildah.version");
    }
    Ok((config, descriptors))
}

/// Writes a layer anew.
fn layer(layout: &Layout, file: &Path, media_type: &str, epoch: u64) -> anyhow::Result<NewLayer> {
    let mut layer = Layer::new(layout.directory()).context("cannot write a layer")?;
    let mut leftovers = Leftovers::default();
    visit_layer(file, media_type, &mut |member, content| {
        let path = clean(&member.path)?;
        if path.is_empty() {
            return Ok(());
        }
        if member.kind == MemberKind::File && matches!(path.as_str(), "etc/shadow" | "etc/shadow-") {
            let text = days_of(&io::read_to_string(content)?, epoch);
            return leftovers.take(&mut layer, path, member, &mut text.as_bytes());
        }
        leftovers.take(&mut layer, path, member, content)
    })
    .map_err(|error| match error {
        ReadError::Io(error) => anyhow::Error::new(error).context("cannot normalise a layer"),
        other => failure(Exit::JobFailed, format!("a layer that the engine made cannot be normalised: {other}")),
    })?;
    let mut part = layout.part()?;
    let written = layer.write(epoch, part.as_file_mut()).context("cannot write a layer")?;
    let digest = Digest(written.sha256);
    layout.keep(part, &digest)?;
    let descriptor = Descriptor::new(media::LAYER_GZIP, digest, written.size);
    Ok(NewLayer { descriptor, diff_id: Digest(written.diff_id) })
}

/// The list of passwords, whose days of the last change are no later than the commit's.
fn days_of(text: &str, epoch: u64) -> String {
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

    fn normalised(files: &[(&str, u64, &str)], created: &str) -> (Value, Vec<Descriptor>) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(&directory.path().join("oci")).unwrap();
        let bytes = tar(files);
        let file = directory.path().join("layer.tar");
        fs::write(&file, &bytes).unwrap();
        let config = serde_json::json!({
            "created": created, "config": {"Labels": {"io.buildah.version": "1", "mine": "2"}},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&bytes)]},
            "history": [{"created": created, "created_by": "RUN"}],
        });
        normalise(&layout, Raw { config, layers: vec![(file, media::LAYER.to_owned())] }, None, 1000 * 86_400).unwrap()
    }

    #[test]
    fn two_builds_become_the_same() {
        let first = [("usr/a", 5, "a"), ("etc/shadow", 90_000_000, "u:!:20000:0\nv:!:3:0\n"), ("var/log/x", 7, "1")];
        let second = [("etc/shadow", 99_000_000, "u:!:20001:0\nv:!:3:0\n"), ("usr/a", 5, "a"), ("var/log/x", 8, "22")];
        let (config, layers) = normalised(&first, "2031-01-01T00:00:00Z");
        let (other, others) = normalised(&second, "2032-01-01T00:00:00Z");
        assert_eq!(layers, others);
        assert_eq!(config["rootfs"], other["rootfs"]);
        assert_eq!(config["history"][0]["created"], "1972-09-27T00:00:00Z");
        assert_eq!(config["config"]["Labels"], serde_json::json!({"mine": "2"}));
        let (_, changed) = normalised(&[("usr/a", 5, "b")], "x");
        assert_ne!(layers, changed);
        assert_eq!(days_of("u:!:20000:0\nv:!:3:0\n", 1000 * 86_400), "u:!:1000:0\nv:!:3:0\n");
    }
}
