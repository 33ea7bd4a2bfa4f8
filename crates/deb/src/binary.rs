//! Binary packages: their control files, and the files that they install. deb(5), ar(5).
//!
//! Packages are not trusted, even those of our own builds: sizes are bounded and nothing panics.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use super::control::{self, Paragraph};
use drydock_archive::format::Compression;
use drydock_archive::read::{Each, Limits, MemberKind, ReadError, visit_stream};
use drydock_config::debversion::{BadDebVersion, DebVersion};

/// The most bytes of a control file, and the most control files.
const CONTROL_LIMITS: Limits = Limits { bytes: 32 << 20, entries: 1000 };
/// The maintainer scripts, which dpkg runs while it installs or removes a package.
pub const MAINTAINER_SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// A binary package.
#[derive(Debug, Clone)]
pub struct BinaryPackage {
    /// The path of the package.
    pub file: PathBuf,
    /// The `Package` field.
    pub name: String,
    /// The `Version` field.
    pub version: DebVersion,
    /// The `Architecture` field.
    pub architecture: String,
    /// The control file, with all fields.
    pub control: Paragraph,
    /// The other control files, by name: permissions and content.
    pub members: BTreeMap<String, (u32, Vec<u8>)>,
    data: Part,
}

/// The place of a member in the ar file.
#[derive(Debug, Clone)]
struct Part {
    at: u64,
    size: u64,
    compression: Compression,
}

impl BinaryPackage {
    /// Reads the control files. The files that the package installs are read by [`BinaryPackage::visit`].
    ///
    /// # Errors
    /// The file is not a Debian package, or is damaged.
    pub fn open(path: &Path) -> Result<BinaryPackage, ReadError> {
        let mut file = drydock_base::paths::open_regular(path)?;
        let parts = parts(&mut file)?;
        let [control, data] = ["control.tar", "data.tar"].map(|name| parts.iter().find(|(found, _)| *found == name));
        let missing = |name: &str| ReadError::Damaged(format!("the Debian package has no {name}"));
        let (_, control) = control.ok_or_else(|| missing("control.tar"))?;
        let (_, data) = data.ok_or_else(|| missing("data.tar"))?;
        let mut members = control_files(part(&mut file, control)?, control.compression)?;
        let damaged = |what: &str| ReadError::Damaged(format!("the control file {what}"));
        let (_, text) = members.remove("control").ok_or_else(|| damaged("is missing"))?;
        let text = String::from_utf8(text).map_err(|_| damaged("is not UTF-8"))?;
        let control = control::parse_one(&text).map_err(|error| damaged(&format!("cannot be parsed: {error}")))?;
        let field = |name: &str| control.line(name).ok_or_else(|| damaged(&format!("has no {name}")));
        let name = field("Package")?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
        let (version, architecture) = (field("Version")?, field("Architecture")?);
        if name.starts_with(['.', '-']) || !name.bytes().chain(architecture.bytes()).all(plain) {
            return Err(damaged("has an invalid package name or architecture"));
        }
        let version =
            version.parse().map_err(|bad: BadDebVersion| damaged(&format!("has an invalid version: {bad}")))?;
        Ok(BinaryPackage { file: path.to_owned(), name, version, architecture, control, members, data: data.clone() })
    }

    /// Visits the files that the package installs.
    ///
    /// # Errors
    /// [`ReadError`], and those of `each`.
    pub fn visit(&self, limits: Limits, each: &mut Each<'_>) -> Result<(), ReadError> {
        let mut file = drydock_base::paths::open_regular(&self.file)?;
        visit_stream(part(&mut file, &self.data)?, self.data.compression, limits, each)
    }

    /// The maintainer scripts that the package has.
    pub fn scripts(&self) -> Vec<&'static str> {
        MAINTAINER_SCRIPTS.into_iter().filter(|script| self.members.contains_key(*script)).collect()
    }

    /// The name of the package's files in `/var/lib/dpkg/info`, without extension.
    pub fn stem(&self) -> String {
        match self.control.line("Multi-Arch").as_deref() {
            Some("same") => format!("{}:{}", self.name, self.architecture),
            _ => self.name.clone(),
        }
    }
}

fn part<'a>(file: &'a mut File, part: &Part) -> Result<Take<&'a mut File>, ReadError> {
    file.seek(SeekFrom::Start(part.at))?;
    Ok(file.take(part.size))
}

/// The control files by name. dpkg-deb packs maintainer scripts that are hard or symbolic links to each other as links.
fn control_files(stream: impl Read, compression: Compression) -> Result<BTreeMap<String, (u32, Vec<u8>)>, ReadError> {
    let (mut files, mut links) = (BTreeMap::<String, (u32, Vec<u8>)>::new(), Vec::new());
    let plain = |path: &str| {
        let name = path.trim_start_matches("./");
        let is_plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_graphic() && letter != '/');
        is_plain.then(|| name.to_owned()).ok_or_else(|| ReadError::Unsafe(format!("the control file {path:?}")))
    };
    let nowhere = |name: &str, target: &str| {
        ReadError::Damaged(format!("the control file {name:?} is a link to {target:?}, which is not a control file"))
    };
    visit_stream(stream, compression, CONTROL_LIMITS, &mut |member, content| {
        if member.kind == MemberKind::Directory {
            return Ok(());
        }
        let name = plain(&member.path)?;
        // The last one of a name counts.
        links.retain(|(link, _)| *link != name);
        match &member.kind {
            MemberKind::Directory => {}
            MemberKind::File => {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                files.insert(name, (member.mode, bytes));
            }
            MemberKind::HardLink(target) => {
                let same = files.get(&plain(target)?).cloned().ok_or_else(|| nowhere(&name, target))?;
                files.insert(name, same);
            }
            MemberKind::Link(target) => {
                files.remove(&name);
                links.push((name, target.clone()));
            }
            MemberKind::Other(what) => {
                return Err(ReadError::Unsupported(format!("{what} as the control file {name:?}")));
            }
        }
        Ok(())
    })?;
    for (name, target) in links {
        let same = plain(&target).ok().and_then(|target| files.get(&target).cloned());
        files.insert(name.clone(), same.ok_or_else(|| nowhere(&name, &target))?);
    }
    Ok(files)
}

/// The members of the ar file, by name without the extension of the compression.
fn parts(file: &mut File) -> Result<Vec<(&'static str, Part)>, ReadError> {
    let damaged = |what: &str| ReadError::Damaged(what.to_owned());
    let length = file.metadata()?.len();
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(|_| ReadError::Truncated("the package".into()))?;
    if &magic != b"!<arch>\n" {
        return Err(damaged("it is not a Debian package"));
    }
    let (mut found, mut at) = (Vec::new(), 8);
    for position in 0..16 {
        if at >= length {
            break;
        }
        let mut header = [0; 60];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut header).map_err(|_| ReadError::Truncated("the package".into()))?;
        let text = std::str::from_utf8(&header).map_err(|_| damaged("an ar header is not text"))?;
        let name = text.get(..16).unwrap_or_default().trim_end().trim_end_matches('/').to_owned();
        let digits = text.get(48..58).unwrap_or_default().trim_end();
        let size: u64 = digits.parse().map_err(|_| damaged("an ar header has an invalid size"))?;
        let starts = at + 60;
        if !text.ends_with("`\n") || starts.checked_add(size).is_none_or(|end| end > length) {
            return Err(ReadError::Truncated(format!("{:?} in the package", name)));
        }
        if position == 0 {
            let mut version = String::new();
            file.take(size.min(16)).read_to_string(&mut version).map_err(|_| damaged("debian-binary is not text"))?;
            if name != "debian-binary" || !version.starts_with("2.") {
                return Err(ReadError::Unsupported("a package format other than 2".into()));
            }
        } else if let Some((base, ending)) =
            ["control.tar", "data.tar"].into_iter().find_map(|base| Some((base, name.strip_prefix(base)?.to_owned())))
        {
            let compression = Compression::from_suffix(&ending);
            // dpkg-deb reads bzip2 and lzma for the files only (deb(5)).
            let is_old = matches!(compression, Some(Compression::Bzip2 | Compression::Lzma));
            let compression = compression.filter(|_| !(is_old && base == "control.tar"));
            let compression = compression.ok_or_else(|| ReadError::Unsupported(format!("{name:?}")))?;
            if found.iter().any(|(other, _)| *other == base) {
                return Err(damaged("it has two members of the same name"));
            }
            found.push((base, Part { at: starts, size, compression }));
        }
        at = starts + size + size % 2;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in members {
            bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes());
            bytes.extend(*content);
            bytes.extend(std::iter::repeat_n(b'\n', content.len() % 2));
        }
        bytes
    }

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = ::tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    const CONTROL: &str = "Package: mine\nVersion: 1.0-1\nArchitecture: amd64\nMulti-Arch: same\n";

    fn open(bytes: &[u8]) -> Result<BinaryPackage, ReadError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine.deb");
        fs::write(&path, bytes).unwrap();
        BinaryPackage::open(&path)
    }

    fn package(control: &[(&str, &str)]) -> Vec<u8> {
        ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(control)), ("data.tar", &tar(&[]))])
    }

    #[test]
    fn a_package_is_opened() {
        let binary =
            open(&package(&[("./control", CONTROL), ("./postinst", "#!/bin/sh\n"), ("./triggers", "x")])).unwrap();
        assert_eq!((binary.name.as_str(), binary.stem().as_str()), ("mine", "mine:amd64"));
        assert_eq!(binary.scripts(), ["postinst"]);
    }

    #[test]
    fn scripts_that_dpkg_deb_packs_as_links_are_found() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("p");
        let at = |name: &str| root.join("DEBIAN").join(name);
        fs::create_dir_all(at("")).unwrap();
        fs::set_permissions(at(""), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(at("control"), format!("{CONTROL}Maintainer: A <a@example.org>\nDescription: x\n")).unwrap();
        fs::write(at("postinst"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(at("postinst"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::hard_link(at("postinst"), at("config")).unwrap();
        fs::hard_link(at("postinst"), at("prerm")).unwrap();
        symlink("postinst", at("preinst")).unwrap();
        let package = directory.path().join("mine.deb");
        let output = std::process::Command::new("dpkg-deb").args(["-Zgzip", "-b"]).args([&root, &package]).output();
        let Ok(output) = output else {
            assert!(std::env::var_os("CI").is_none(), "dpkg-deb is missing: apt-get install dpkg");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let binary = BinaryPackage::open(&package).unwrap();
        assert_eq!(binary.scripts(), ["preinst", "postinst", "prerm", "config"]);
        assert!(binary.members.values().all(|member| *member == (0o755, b"#!/bin/sh\n".to_vec())));
    }

    /// A control archive with `control` and one other entry.
    fn with_entry(kind: ::tar::EntryType, path: &str, target: &str) -> Vec<u8> {
        let mut control = tar(&[("./control", CONTROL)]);
        let mut header = ::tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_path(path).unwrap();
        header.set_link_name(target).unwrap();
        header.set_cksum();
        control.splice(1024..1024, header.as_bytes().iter().copied());
        ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &tar(&[]))])
    }

    #[test]
    fn control_files_that_lead_elsewhere_are_refused() {
        use ::tar::EntryType::{Fifo, Link, Symlink};
        for (kind, target, words) in [
            (Symlink, "/etc/passwd", "\"postinst\" is a link to \"/etc/passwd\", which is not a control file"),
            (Symlink, "prerm", "\"postinst\" is a link to \"prerm\""),
            (Symlink, "postinst", "\"postinst\" is a link to \"postinst\""),
            (Link, "./prerm", "\"postinst\" is a link to \"./prerm\""),
            (Link, "../prerm", "the control file \"../prerm\""),
            (Fifo, "x", "a named pipe as the control file \"postinst\""),
        ] {
            let found = open(&with_entry(kind, "./postinst", target)).unwrap_err().to_string();
            assert!(found.contains(words), "{words}: {found}");
        }
        assert_eq!(open(&with_entry(Symlink, "postinst", "control")).unwrap().scripts(), ["postinst"]);
    }

    #[test]
    fn invalid_packages_are_refused() {
        let good = package(&[("./control", CONTROL)]);
        let control = |text: &str| package(&[("./control", text)]);
        let data = tar(&[]);
        for (bytes, why) in [
            (b"!<arch>".to_vec(), "cut off"),
            (b"PK\x03\x04....".to_vec(), "not a Debian package"),
            (ar(&[("debian-binary", b"3.0\n")]), "a package format other than 2"),
            (ar(&[("debian-binary", b"2.0\n")]), "has no control.tar"),
            (ar(&[("debian-binary", b"2.0\n"), ("control.tar.lzma", b"")]), "control.tar.lzma"),
            (ar(&[("debian-binary", b"2.0\n"), ("control.tar.bz2", b"")]), "control.tar.bz2"),
            (ar(&[("debian-binary", b"2.0\n"), ("control.tar", b""), ("data.tar.Z", b"")]), "data.tar.Z"),
            (ar(&[("debian-binary", b"2.0\n"), ("control.tar.zst", b"none"), ("data.tar", &data)]), "zstd"),
            (
                ar(&[("debian-binary", b"2.0\n"), ("data.tar", &data), ("data.tar", &data)]),
                "two members of the same name",
            ),
            (good[..good.len() - 700].to_vec(), "cut off"),
            (control("Package: ../x\nVersion: 1\nArchitecture: all\n"), "invalid package name"),
            (control("Package: x\nVersion: a b\nArchitecture: all\n"), "not a Debian version"),
            (control("Package: x\nVersion: 1\n"), "has no Architecture"),
            (package(&[("./a/control", CONTROL)]), "the control file"),
            (package(&[("./md5sums", "")]), "is missing"),
        ] {
            let found = open(&bytes).unwrap_err().to_string();
            assert!(found.contains(why), "{why}: {found}");
        }
    }

    #[test]
    fn no_truncation_or_corruption_panics() {
        let good = package(&[("./control", CONTROL)]);
        for length in (0..good.len()).step_by(37) {
            assert!(open(&good[..length]).is_err(), "{length} bytes");
        }
        for at in (0..good.len()).step_by(23) {
            let mut bytes = good.clone();
            bytes[at] ^= 0xff;
            // Some bytes do not matter, such as those of the owner.
            open(&bytes).ok();
        }
    }
}
