//! Images from an archive.

use std::path::{Path, PathBuf};

use drydock_archive::layer::{Item, ItemKind};
use drydock_archive::read::{self, Limits, MemberKind, ReadError};
use drydock_base::failure::Failure;
use drydock_config::images::Platform;
use drydock_config::release::{Format, Version};
use drydock_oci::layer_builder::LayerBuilder;
use drydock_oci::layer_path::clean_path;
use drydock_oci::member_item::{self, Omitted};

/// Returns the archive for a version and platform.
pub(super) fn file(project: &Path, path: &str, version: &Version, platform: Platform) -> PathBuf {
    project.join(path.replace("{version}", version.as_str()).replace("{architecture}", platform.debian()))
}

/// Checks that an archive exists and can be read by its name; returns its format.
pub(super) fn format(file: &Path) -> anyhow::Result<Format> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let format = Format::of_name(&name).ok_or_else(|| {
        let formats = ".tar.gz, .tar.xz, .tar.bz2 or .zip";
        Failure::declaration(format!("{}: unsupported archive format; expected {formats}", file.display()))
    })?;
    if !file.is_file() {
        let text = format!("{} does not exist; build it before the image, or correct `archive`", file.display());
        return Err(Failure::usage(text));
    }
    Ok(format)
}

/// Unpacks an archive into a layer. All files belong to root, and replace those of the base image.
pub(super) fn unpack(builder: &mut LayerBuilder, file: &Path, strip: u32, into: &str) -> anyhow::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let format = format(file)?;
    let into = into.trim_matches('/');
    let place = |path: &str| -> Result<Option<String>, ReadError> {
        let path = clean_path(path)?;
        let rest: Vec<&str> = path.split('/').skip(strip as usize).filter(|part| !part.is_empty()).collect();
        let parts = std::iter::once(into).filter(|into| !into.is_empty()).chain(rest.iter().copied());
        Ok((!rest.is_empty()).then(|| parts.collect::<Vec<_>>().join("/")))
    };
    let mut any = false;
    let mut refused = None;
    let mut omitted = Omitted::default();
    read::visit(file, format, Limits { bytes: 16 << 30, ..Limits::UNKNOWN }, &mut |member, content| {
        let Some(path) = place(&member.path)? else { return Ok(()) };
        let mut item =
            Item { owner: (0, 0), ..member_item::item(&mut builder.layer, &path, member, content, &mut omitted)? };
        if let MemberKind::HardLink(to) = &member.kind {
            let placed = place(to)?
                .ok_or_else(|| ReadError::Unsafe(format!("{path} is a hard link to {to}, which `strip` removes")))?;
            item.kind = ItemKind::HardLink(placed);
        }
        any = true;
        if let Err(why) = builder.put(&path, item, true) {
            refused.get_or_insert(why);
        }
        Ok(())
    })
    .map_err(|error| match error {
        ReadError::Io(error) => anyhow::Error::new(error).context(format!("cannot unpack {}", file.display())),
        other => Failure::not_reproducible(format!("{}: {other}", file.display())),
    })?;
    omitted.report(&name);
    match refused {
        Some(why) => Err(Failure::rejected(format!("cannot unpack {}: {why}", file.display()))),
        None if !any => Err(Failure::declaration(format!("{} has no files left after `strip`", file.display()))),
        None => Ok(()),
    }
}
