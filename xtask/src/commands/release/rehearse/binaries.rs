//! Binary tarballs that stand in for those of distributions: they are built, twice and without a network, on a base of busybox alone,
//! since building real ones takes minutes. So their names, checksums and signatures take part in a rehearsal.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::yaml::Yaml;
use drydock_base::paths::State;
use drydock_base::scratch::Scratch;
use drydock_base::{exec, hint};
use drydock_config::images::Platform;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Manifest, media};

/// Where Debian has busybox as a static program.
const BUSYBOX: [&str; 2] = ["/usr/bin/busybox", "/bin/busybox"];
/// What dynamic programs name at their beginning.
const LOADER: &[u8] = b"/ld-linux";
/// Installs one small file.
const INSTALL: &str = "busybox mkdir -p \"$1/usr/share\" && echo 'a stand-in' >\"$1/usr/share/rehearsal\"";

/// Replaces the builds of the declared tarballs by stand-ins, and puts their base into the cache of a project's state. What is not rehearsed
/// is added to `left_out`.
///
/// # Errors
/// The cache cannot be written.
pub(super) fn stand_in(document: &mut Yaml, state: &State, left_out: &mut Vec<String>) -> anyhow::Result<()> {
    let Some(Yaml::Map(binaries)) = document.get_mut("binaries") else { return Ok(()) };
    let is_static = |path: &&&str| {
        let content = fs::read(path).unwrap_or_default();
        let start = content.get(..4096).unwrap_or(&content);
        !start.is_empty() && !start.windows(LOADER.len()).any(|bytes| bytes == LOADER)
    };
    let (Some(busybox), Some(platform)) = (BUSYBOX.iter().find(is_static), Platform::here()) else {
        let install = hint::apt_get(["install", "busybox-static"]);
        left_out.push(format!("binaries: busybox is not installed; install it with `{install}`"));
        document.remove("binaries");
        return Ok(());
    };
    state.create()?;
    let digest = base(busybox, platform, &state.root().join("base"))?;
    for (_, binary) in binaries.iter_mut() {
        let words = |words: &[&str]| Yaml::List(words.iter().map(|word| Yaml::text(*word)).collect());
        binary
            .set("base", Yaml::map([("image", Yaml::text("rehearsal.invalid/base")), ("digest", Yaml::text(&digest))]));
        binary.set("platform", Yaml::text(platform.to_string()));
        binary.set("build", words(&["busybox", "true"]));
        binary.set("install", words(&["busybox", "sh", "-c", INSTALL, "sh", "{destdir}"]));
        if binary.get("srpm").is_some() {
            binary.remove("srpm");
            left_out.push("binaries: the source RPM".to_owned());
        }
    }
    left_out.push("the builds of binary tarballs, which take minutes".to_owned());
    Ok(())
}

/// Puts an image of busybox into a cache; the digest of its manifest.
fn base(busybox: &str, platform: Platform, bases: &Path) -> anyhow::Result<String> {
    let scratch = Scratch::new("stand-in")?;
    let bin = scratch.path().join("root/bin");
    fs::create_dir_all(&bin).and_then(|()| fs::copy(busybox, bin.join("busybox"))).context("cannot copy busybox")?;
    std::os::unix::fs::symlink("busybox", bin.join("sh")).context("cannot make a link")?;
    let root = scratch.path().join("root").display().to_string();
    let tar = scratch.path().join("layer.tar");
    let argv = ["tar", "-C", &root, "--owner=0", "--group=0", "--mtime=@0", "-cf", &tar.display().to_string(), "bin"];
    exec::read(&argv.map(str::to_owned), Path::new("/")).context("cannot pack busybox")?;
    let layout = Layout::create(bases)?;
    let layer = layout.put(media::LAYER, &fs::read(&tar)?)?;
    let config = serde_json::json!({
        "architecture": platform.architecture(),
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
    });
    let config = layout.put_json(media::CONFIG, &config)?;
    Ok(layout.put_json(media::MANIFEST, &Manifest::new(config, vec![layer]))?.digest.to_string())
}
