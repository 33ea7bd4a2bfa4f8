//! One published crate: its files, what is left out of them, and what its manifest says.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use super::{Checksums, Package};
use drydock_archive::read::{self, Limits, MemberKind, ReadError};
use drydock_base::sums::Sha256Sum;
use drydock_config::globs::FileGlob;
use drydock_config::release::Format;
use drydock_config::release::deb::Vendor;

/// How much a crate may unpack to; crates.io takes 10 MiB packed.
const LARGEST: u64 = 512 << 20;

/// A crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// Which.
    pub package: Package,
    /// Its files by their paths.
    pub files: BTreeMap<String, CrateFile>,
}

/// A file of a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrateFile {
    /// Whether it may be executed.
    pub executable: bool,
    /// Its content.
    pub content: Arc<[u8]>,
}

impl Crate {
    /// Reads a `.crate` file.
    pub(super) fn read(package: &Package, file: &Path) -> anyhow::Result<Crate> {
        let top = format!("{}-{}/", package.name, package.version);
        let mut files = BTreeMap::new();
        let limits = Limits { bytes: LARGEST, ..Limits::UNKNOWN };
        read::visit(file, Format::TarGz, limits, &mut |member, content| {
            if member.kind != MemberKind::File {
                return Ok(());
            }
            let inside = member.path.strip_prefix(&top).unwrap_or_default();
            let plain = Path::new(inside).components().all(|part| matches!(part, Component::Normal(_)));
            if inside.is_empty() || !plain || inside.contains(['\n', '\\', '\0']) {
                return Err(ReadError::Unsafe(format!("{:?} is no path of {top}", member.path)));
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            let executable = member.mode & 0o100 != 0;
            files.insert(inside.to_owned(), CrateFile { executable, content: bytes.into() });
            Ok(())
        })?;
        Ok(Crate { package: package.clone(), files })
    }

    /// `NAME-VERSION`.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.package.name, self.package.version)
    }

    /// Without what is left out, and the paths of compiled programs that are still there.
    pub(super) fn pruned(mut self, declared: &Vendor) -> (Crate, Vec<String>) {
        let directory = self.directory();
        let matches = |patterns: &[FileGlob], path: &str| {
            let full = format!("{directory}/{path}");
            patterns.iter().any(|pattern| pattern.matches_written(&full))
        };
        self.files.retain(|path, _| {
            // cargo cannot do without these.
            let needed = path == "Cargo.toml";
            needed || matches(&declared.keep, path) || !(is_dropped(path) || matches(&declared.prune, path))
        });
        let programs =
            self.files.iter().filter(|(path, file)| is_program(&file.content) && !matches(&declared.keep, path));
        let programs = programs.map(|(path, _)| path.clone()).collect();
        (self, programs)
    }

    /// The text of `.cargo-checksum.json`.
    pub(super) fn checksums(&self) -> String {
        let sums = |(path, file): (&String, &CrateFile)| (path.clone(), Sha256Sum::of(&file.content).to_string());
        let list = Checksums { files: self.files.iter().map(sums).collect(), package: self.package.checksum.clone() };
        serde_json::to_string(&list).unwrap_or_default()
    }

    /// A text under `[package]` in its manifest, which cargo wrote anew when it was published.
    pub fn manifest(&self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        Some(value.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    }

    /// A list of texts under `[package]` in its manifest.
    pub fn manifest_list(&self, key: &str) -> Vec<String> {
        let value = self.value(key).unwrap_or_default();
        value.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn value(&self, key: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.files.get("Cargo.toml")?.content).into_owned();
        let (_, section) = text.split_once("[package]\n")?;
        let section = section.split("\n[").next().unwrap_or_default();
        let mut lines = section.lines().skip_while(|line| !line.starts_with(&format!("{key} =")));
        let first = lines.next()?.split_once('=')?.1.trim().to_owned();
        if !first.starts_with('[') || first.ends_with(']') {
            return Some(first);
        }
        Some(lines.take_while(|line| line.trim() != "]").fold(first, |all, line| all + line))
    }
}

/// What Debian's tools remove on the way, or what has nothing to do with a build: git's and cargo's own notes.
fn is_dropped(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ends_as_swap = |(stem, end): (&str, &str)| stem.len() > 1 && end.chars().count() == 1;
    let swap = name.starts_with('.') && name.rsplit_once(".sw").is_some_and(ends_as_swap);
    let directory = path.split('/').any(|part| matches!(part, "CVS" | ".svn" | ".git" | ".github" | ".pc"));
    let endings = [".orig", ".rej", ".bak", "~"].iter().any(|ending| name.ends_with(ending));
    let names = [
        ".gitignore",
        ".gitattributes",
        ".gitmodules",
        ".mailmap",
        ".cvsignore",
        ".bzrignore",
        ".hgignore",
        ".hgtags",
        ".cargo_vcs_info.json",
        ".cargo-ok",
        ".cargo-checksum.json",
        "DEADJOE",
        ".DS_Store",
        ".arch-inventory",
    ];
    let wraps = name.len() > 1 && name.starts_with('#') && name.ends_with('#');
    let joins = name.starts_with(".#") || name.starts_with(",,");
    directory || endings || swap || wraps || joins || names.contains(&name)
}

/// Whether a content is a compiled program, library or object, by how it starts.
pub(crate) fn is_program(content: &[u8]) -> bool {
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
