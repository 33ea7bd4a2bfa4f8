//! The encoders, with the settings that decide their bytes.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use flate2::{Compression, GzBuilder, write::GzEncoder};
use xz2::stream::{Check, MtStreamBuilder, Stream};
use xz2::write::XzEncoder;

use crate::mutation::{self, Mutation};
use drydock_config::release::Format;

/// The level of deflate in `.tar.gz` and `.zip`.
pub const DEFLATE_LEVEL: u32 = 9;
/// The level of deflate in image layers: a third of the time of level 9, for a few percent more bytes.
pub const LAYER_LEVEL: u32 = 6;
/// The level of bzip2: blocks of 900 kB.
pub const BZIP2_LEVEL: u32 = 9;
/// The preset of xz.
pub const XZ_PRESET: u32 = 6;
/// The block size of xz in bytes: more than the preset's dictionary, and small enough for a release to have several blocks.
pub const XZ_BLOCK: u64 = 16 << 20;
/// The operating system in a gzip header: unknown (RFC 1952).
const UNKNOWN_SYSTEM: u8 = 255;

/// The libraries that decide the bytes of archives, at the versions that `Cargo.toml` pins with `=`: whatever other
/// packages are built along, no other version can be linked. A test compares them with `Cargo.toml` and `Cargo.lock`.
const LIBRARIES: [(&str, &str); 5] = [
    ("zlib-rs", "0.6.8"),
    ("flate2", "1.1.11"),
    ("libbz2-rs-sys", "0.2.6"),
    ("bzip2", "0.6.1"),
    ("liblzma-sys", "0.4.9"),
];

/// The library and the settings of each compressor by its name, for `release.json`.
pub fn libraries() -> [(&'static str, String); 3] {
    let [zlib, flate2, libbz2, bzip2, lzma] = LIBRARIES.map(|(name, version)| format!("{name} {version}"));
    let mib = XZ_BLOCK >> 20;
    [
        ("deflate", format!("{zlib} by {flate2}, level {DEFLATE_LEVEL}")),
        ("bzip2", format!("{libbz2} by {bzip2}, level {BZIP2_LEVEL}")),
        ("xz", format!("{lzma}, preset {XZ_PRESET}, multi-threaded encoder, blocks of {mib} MiB, CRC64")),
    ]
}

/// The encoder of a tar stream.
pub(crate) enum Encoder<W: Write> {
    Gz(GzEncoder<W>),
    Xz(XzEncoder<W>),
    Bz2(BzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    /// The encoder of a format; none for zip, which compresses file by file.
    ///
    /// # Errors
    /// xz cannot be set up, for example for lack of memory.
    pub(crate) fn new(format: Format, threads: u32, out: W) -> io::Result<Option<Encoder<W>>> {
        Ok(Some(match format {
            Format::TarGz => Encoder::gzip(mutation::level(Mutation::DeflateLevel, "GZIP", DEFLATE_LEVEL), out),
            Format::TarXz => {
                // The multi-threaded encoder with any number of threads: it writes other bytes than the single-threaded
                // one. It has no memory limit here, as it would change its mode to stay below one.
                let mut stream = MtStreamBuilder::new();
                let block = if mutation::is(Mutation::Threads) { u64::from(threads) << 12 } else { XZ_BLOCK };
                stream.threads(threads).block_size(block).preset(XZ_PRESET).check(Check::Crc64);
                let encoder = if mutation::is(Mutation::XzMode) && threads == 1 {
                    Stream::new_easy_encoder(XZ_PRESET, Check::Crc64)
                } else {
                    stream.encoder()
                };
                Encoder::Xz(XzEncoder::new_stream(out, encoder.map_err(io::Error::other)?))
            }
            Format::TarBz2 => Encoder::Bz2(BzEncoder::new(
                out,
                bzip2::Compression::new(mutation::level(Mutation::Bzip2Level, "BZIP2", BZIP2_LEVEL)),
            )),
            Format::Zip => return Ok(None),
        }))
    }

    /// A gzip encoder whose header has neither a time nor a file name.
    pub(crate) fn gzip(level: u32, out: W) -> Encoder<W> {
        let header = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
        Encoder::Gz(header.write(out, Compression::new(level)))
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gz(encoder) => encoder.write_all(bytes),
            Encoder::Xz(encoder) => encoder.write_all(bytes),
            Encoder::Bz2(encoder) => encoder.write_all(bytes),
        }
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Encoder::Gz(encoder) => encoder.finish(),
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Bz2(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(serde::Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }

    #[derive(serde::Deserialize)]
    struct Package {
        name: String,
        version: String,
        #[serde(default)]
        dependencies: Vec<String>,
    }

    /// The version at the end of a path of dependencies. The name alone is not enough: a lock file may have several
    /// versions of a package, and then a dependency names the version as well.
    fn locked(lock: &str, path: &[&str]) -> Option<String> {
        let Lock { package: packages } = toml::from_str(lock).unwrap();
        let (first, rest) = path.split_first()?;
        let mut package = packages.iter().find(|package| package.name == *first)?;
        for name in rest {
            let named = |line: &&String| line.split(' ').next() == Some(*name);
            let mut words = package.dependencies.iter().find(named)?.split(' ').skip(1);
            let version = words.next();
            package = packages
                .iter()
                .find(|package| package.name == *name && version.is_none_or(|version| package.version == version))?;
        }
        Some(package.version.clone())
    }

    #[test]
    fn the_recorded_versions_are_pinned_and_locked() {
        let [manifest, lock] = ["Cargo.toml", "Cargo.lock"]
            .map(|name| std::fs::read_to_string(format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))).unwrap());
        let manifest: BTreeMap<String, toml::Value> = toml::from_str(&manifest).unwrap();
        for (name, version) in LIBRARIES {
            let declared = &manifest["workspace"]["dependencies"][name];
            let declared = declared.get("version").unwrap_or(declared).as_str();
            assert_eq!(declared, Some(format!("={version}").as_str()), "{name}");
            assert_eq!(locked(&lock, &["drydock-archive", name]).as_deref(), Some(version));
        }
        for (path, name) in [
            (&["drydock-archive", "flate2", "zlib-rs"], "zlib-rs"),
            (&["drydock-archive", "bzip2", "libbz2-rs-sys"], "libbz2-rs-sys"),
            (&["drydock-archive", "liblzma", "liblzma-sys"], "liblzma-sys"),
        ] {
            assert_eq!(locked(&lock, path), locked(&lock, &["drydock-archive", name]), "{name} is linked twice");
        }
    }

    #[test]
    fn a_package_that_is_locked_twice_has_the_version_that_its_dependant_uses() {
        let lock = r#"
            version = 4
            [[package]]
            name = "flate2"
            version = "1.0.0"
            dependencies = ["zlib-rs 0.5.0"]
            [[package]]
            name = "flate2"
            version = "1.1.11"
            dependencies = ["zlib-rs 0.6.8"]
            [[package]]
            name = "mine"
            version = "0.1.0"
            dependencies = ["flate2 1.1.11"]
            [[package]]
            name = "zlib-rs"
            version = "0.5.0"
            [[package]]
            name = "zlib-rs"
            version = "0.6.8"
        "#;
        assert_eq!(locked(lock, &["mine", "flate2"]).as_deref(), Some("1.1.11"));
        assert_eq!(locked(lock, &["mine", "flate2", "zlib-rs"]).as_deref(), Some("0.6.8"));
        assert_eq!(locked(lock, &["mine", "bzip2"]), None);
    }
}
