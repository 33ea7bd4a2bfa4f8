//! A published crate: its files, which of them are left out, and its manifest.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;

use super::{Checksums, Package};
use crate::read::{self, Limits, MemberKind, ReadError};
use drydock_base::checksum::Checksum;
use drydock_config::globs::FileGlob;
use drydock_config::release::{Format, Vendor};

/// The most bytes that a crate may unpack to; crates.io takes 10 MiB compressed.
const MAX_UNPACKED: u64 = 512 << 20;

/// A published crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendoredCrate {
    /// The name, version and checksum from the lock file.
    pub package: Package,
    /// The files, by path inside the crate.
    pub files: BTreeMap<String, CrateFile>,
    /// The `[package]` table of `Cargo.toml`.
    pub manifest: CrateManifest,
}

/// A file of a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrateFile {
    /// Whether the file is executable.
    pub executable: bool,
    /// The file's content.
    pub content: Arc<[u8]>,
}

/// The `[package]` table of a published `Cargo.toml`, which cargo normalises: nothing in it is inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct CrateManifest {
    /// An SPDX expression.
    pub license: Option<String>,
    /// The authors, `NAME <ADDRESS>`.
    pub authors: Vec<String>,
    /// The oldest Rust compiler that the crate supports.
    pub rust_version: Option<String>,
}

/// A published `Cargo.toml`.
#[derive(Deserialize)]
struct CargoToml {
    // Crates published before 2016 may still have the old name.
    #[serde(alias = "project")]
    package: CrateManifest,
}

impl VendoredCrate {
    /// Puts a crate together from its files.
    ///
    /// # Errors
    /// The `Cargo.toml` is missing or cannot be parsed.
    pub fn new(package: Package, files: BTreeMap<String, CrateFile>) -> anyhow::Result<VendoredCrate> {
        let manifest = files.get("Cargo.toml").context("Cargo.toml is missing")?;
        let manifest: CargoToml = toml::from_slice(&manifest.content)
            .map_err(|error| anyhow::anyhow!("cannot parse Cargo.toml: {}", error.message()))?;
        Ok(VendoredCrate { package, files, manifest: manifest.package })
    }

    /// Reads a `.crate` file.
    ///
    /// # Errors
    /// The archive is damaged or unsafe, or as [`VendoredCrate::new`].
    pub(super) fn read(package: &Package, file: &Path) -> anyhow::Result<VendoredCrate> {
        let top = format!("{}-{}/", package.name, package.version);
        let mut files = BTreeMap::new();
        let limits = Limits { bytes: MAX_UNPACKED, ..Limits::UNKNOWN };
        read::visit(file, Format::TarGz, limits, &mut |member, content| {
            if member.kind != MemberKind::File {
                return Ok(());
            }
            let inside = member.path.strip_prefix(&top).unwrap_or_default();
            let plain = Path::new(inside).components().all(|part| matches!(part, Component::Normal(_)));
            if inside.is_empty() || !plain || inside.contains(['\n', '\\', '\0']) {
                return Err(ReadError::Unsafe(format!("{:?} is not below {top}", member.path)));
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            let executable = member.mode & 0o100 != 0;
            files.insert(inside.to_owned(), CrateFile { executable, content: bytes.into() });
            Ok(())
        })?;
        VendoredCrate::new(package.clone(), files)
    }

    /// The crate's directory below `vendor/`: `NAME-VERSION`.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.package.name, self.package.version)
    }

    /// Removes the files that are left out. Also returns the paths of the compiled programs that remain.
    pub(super) fn pruned(mut self, declared: &Vendor) -> (VendoredCrate, Vec<String>) {
        let directory = self.directory();
        let matches = |patterns: &[FileGlob], path: &str| {
            let full = format!("{directory}/{path}");
            patterns.iter().any(|pattern| pattern.matches_written(&full))
        };
        self.files.retain(|path, _| {
            let required = path == "Cargo.toml" || matches(&declared.keep, path);
            required || !(is_left_out(path) || matches(&declared.prune, path))
        });
        let programs =
            self.files.iter().filter(|(path, file)| is_program(&file.content) && !matches(&declared.keep, path));
        let programs = programs.map(|(path, _)| path.clone()).collect();
        (self, programs)
    }

    /// The text of `.cargo-checksum.json`.
    pub(super) fn checksums(&self) -> String {
        let digest = |(path, file): (&String, &CrateFile)| (path.clone(), Checksum::new(&file.content).to_string());
        let list = Checksums { files: self.files.iter().map(digest).collect(), package: self.package.checksum.clone() };
        serde_json::to_string(&list).unwrap_or_default()
    }
}

/// Names of files and directories that dpkg-source leaves out, or whose content dh_clean removes, separated by spaces.
const LEFT_OUT: &str = ".arch-ids .arch-inventory .be .bzr .bzr.backup .bzr.tags .bzrignore .cvsignore .deps .git .gitattributes \
    .gitignore .gitmodules .gitreview .hg .hgignore .hgsigs .hgtags .mailmap .mtn-ignore .pc .shelf .svn CVS DEADJOE RCS _MTN \
    _darcs {arch} autom4te.cache __pycache__";
/// Names of files that dh_clean removes, and of metadata of git, cargo and macOS that no build uses.
const REMOVED: &str = ".SUMS TAGS .cargo_vcs_info.json .cargo-ok .cargo-checksum.json .DS_Store";

/// Whether a file of a crate is left out: the programs of Debian (dpkg-source, dh_clean) remove it on the way, so that cargo would
/// miss it, or it is metadata that no build uses.
pub fn is_left_out(path: &str) -> bool {
    let is_in = |names: &str, part: &str| names.split(' ').any(|name| name == part);
    let ends_as_swap = |(stem, end): (&str, &str)| stem.len() > 1 && end.chars().count() == 1;
    let of_dpkg = |part: &str| {
        let swap = part.starts_with('.') && part.rsplit_once(".sw").is_some_and(ends_as_swap);
        let starts = [".#", ".~", ",,"].iter().any(|start| part.starts_with(start));
        swap || starts || part.ends_with('~') || is_in(LEFT_OUT, part) || part == ".github"
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let endings = [".orig", ".rej", ".bak"].iter().any(|ending| name.ends_with(ending));
    let wraps = name.len() > 1 && name.starts_with('#') && name.ends_with('#');
    path.split('/').any(of_dpkg) || endings || wraps || is_in(REMOVED, name)
}

/// Whether content is a compiled program, library or object, judged by its first bytes.
fn is_program(content: &[u8]) -> bool {
    let starts = |magic: &[u8]| content.starts_with(magic);
    // `MZ` alone starts many a text.
    let windows = starts(b"MZ") && content.len() > 64 && content[..64].contains(&0);
    let java = starts(b"\xca\xfe\xba\xbe") && content.len() > 8;
    let mac = [b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"];
    starts(b"\x7fELF")
        || starts(b"!<arch>\n")
        || starts(b"\0asm")
        || windows
        || java
        || mac.iter().any(|magic| starts(*magic))
}
