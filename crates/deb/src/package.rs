//! Source packages of format `3.0 (quilt)`: `.debian.tar.xz`, `.dsc`, `.buildinfo` and `.changes` for existing tarballs.
//!
//! dsc(5), deb-changes(5), deb-buildinfo(5). Nothing depends on the machine, so unsigned packages are the same everywhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::changelog::{ChangelogEntry, date};
use super::checksums::{FileChecksums, list};
use super::control::Paragraph;
use super::debian_directory::SeriesDirectory;
use super::sign::Signer;
use drydock_archive::{self as archive, ArchiveFile, Archives};
use drydock_base::paths;
use drydock_config::release::Format;

/// The format of the source package.
const FORMAT: &str = "3.0 (quilt)";

/// The inputs of a source package.
#[derive(Debug)]
pub struct SourcePackageInputs<'a> {
    /// `debian/` without the changelog entry of this version.
    pub debian: SeriesDirectory,
    /// The changelog entry of this version.
    pub entry: ChangelogEntry,
    /// The orig tarballs in `directory`, the main one first.
    pub origs: &'a [PathBuf],
    /// Whether `.changes` lists the orig tarballs, as the first upload of a version must.
    pub with_origs: bool,
    /// The directory to write to.
    pub directory: &'a Path,
    /// The key that signs; `None` for an unsigned package.
    pub signer: Option<&'a Signer>,
    /// The most threads that xz may use.
    pub threads: u32,
    /// The reason for publishing it without a proof, for the field `Drydock-Without-Proof` of `.changes`.
    pub without_proof: Option<&'a str>,
}

/// A source package on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// The `.dsc` file.
    pub dsc: PathBuf,
    /// The `.changes` file.
    pub changes: PathBuf,
    /// The files that `.changes` lists, in order.
    pub files: Vec<FileChecksums>,
}

/// Writes a source package.
///
/// # Errors
/// A tarball cannot be read, a file cannot be written, or gpg does not sign.
pub fn write(mut inputs: SourcePackageInputs<'_>) -> anyhow::Result<SourcePackage> {
    inputs.debian.add_entry(&inputs.entry);
    let (debian, entry) = (&inputs.debian, &inputs.entry);
    let name = debian.name();
    let stem = format!("{name}_{}", entry.version.without_epoch());
    let at = |ending: &str| inputs.directory.join(format!("{stem}{ending}"));

    let tarball = at(".debian.tar.xz");
    let files = [ArchiveFile { format: Format::TarXz, path: tarball.clone() }];
    let archives = Archives { directory: "debian", epoch: entry.epoch, files: &files, threads: inputs.threads };
    archive::write(debian.archive_entries().map(Ok), archives)?;
    let read = |path: &PathBuf| FileChecksums::read(path).with_context(|| format!("cannot read {}", path.display()));
    let origs: Vec<FileChecksums> = inputs.origs.iter().map(read).collect::<anyhow::Result<_>>()?;
    let tarball = read(&tarball)?;

    let all: Vec<FileChecksums> = origs.iter().chain([&tarball]).cloned().collect();
    let put = |ending: &str, text: String| -> anyhow::Result<FileChecksums> {
        let text = match inputs.signer {
            Some(signer) => signer.sign(&text)?,
            None => text,
        };
        paths::write_atomically(&at(ending), text.as_bytes())?;
        read(&at(ending))
    };
    let dsc = put(".dsc", dsc(debian, entry, &all).text())?;
    let buildinfo = put("_source.buildinfo", buildinfo(debian, entry, &dsc).text())?;
    let mut files = vec![dsc];
    if inputs.with_origs {
        files.extend(origs);
    }
    files.extend([tarball, buildinfo]);
    let mut changes = changes(debian, entry, &files);
    changes.set_some("Drydock-Without-Proof", inputs.without_proof.map(str::to_owned));
    put("_source.changes", changes.text())?;
    Ok(SourcePackage { dsc: at(".dsc"), changes: at("_source.changes"), files })
}

/// The names of the binary packages.
fn binaries(debian: &SeriesDirectory) -> Vec<String> {
    debian.binaries.iter().filter_map(|one| one.line("Package")).collect()
}

/// The architectures of all binary packages together: `any`, `all`, or a list.
fn architectures(debian: &SeriesDirectory) -> String {
    let fields: Vec<String> = debian.binaries.iter().filter_map(|one| one.line("Architecture")).collect();
    let words: BTreeSet<&str> = fields.iter().flat_map(|field| field.split(' ')).collect();
    if words.contains("any") {
        return if words.contains("all") { "any all" } else { "any" }.to_owned();
    }
    let others = words.iter().filter(|word| **word != "all").copied();
    others.chain(words.contains("all").then_some("all")).collect::<Vec<_>>().join(" ")
}

fn dsc(debian: &SeriesDirectory, entry: &ChangelogEntry, files: &[FileChecksums]) -> Paragraph {
    let source = &debian.source;
    let mut dsc = Paragraph::new();
    dsc.set("Format", FORMAT);
    dsc.set("Source", debian.name());
    dsc.set("Binary", binaries(debian).join(", "));
    dsc.set("Architecture", architectures(debian));
    dsc.set("Version", entry.version.as_str());
    for field in ["Maintainer", "Uploaders", "Homepage", "Standards-Version", "Vcs-Browser", "Vcs-Git"] {
        dsc.set_some(field, source.line(field));
    }
    let tests = debian.files.contains_key("tests/control").then_some("autopkgtest".to_owned());
    dsc.set_some("Testsuite", source.line("Testsuite").or(tests));
    for kind in ["Build-Depends", "Build-Conflicts"] {
        for ending in ["", "-Arch", "-Indep"] {
            let field = format!("{kind}{ending}");
            dsc.set_some(&field, source.line(&field).map(|line| line.trim_end_matches(',').to_owned()));
        }
    }
    dsc.set("Package-List", package_list(debian));
    list(&mut dsc, files, Some(""));
    dsc
}

/// One line a package: ` NAME deb SECTION PRIORITY arch=ARCHITECTURES`.
fn package_list(debian: &SeriesDirectory) -> String {
    let mut lines: Vec<String> = debian
        .binaries
        .iter()
        .map(|one| {
            let or = |field: &str, default: &str| {
                one.line(field).or_else(|| debian.source.line(field)).unwrap_or_else(|| default.to_owned())
            };
            let architectures = or("Architecture", "any").replace(' ', ",");
            let kind = one.line("Package-Type").unwrap_or_else(|| "deb".into());
            let (name, section, priority) = (or("Package", ""), or("Section", "misc"), or("Priority", "optional"));
            format!("\n{name} {kind} {section} {priority} arch={architectures}")
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn buildinfo(debian: &SeriesDirectory, entry: &ChangelogEntry, dsc: &FileChecksums) -> Paragraph {
    let mut info = Paragraph::new();
    info.set("Format", "1.0");
    info.set("Source", debian.name());
    info.set("Architecture", "source");
    info.set("Version", entry.version.as_str());
    list(&mut info, std::slice::from_ref(dsc), None);
    info.set("Build-Origin", "drydock");
    // Nothing was built, so the machine does not matter.
    info.set("Build-Architecture", "all");
    info.set("Build-Date", date(entry.epoch));
    info.set("Installed-Build-Depends", "");
    info.set("Environment", format!("\nSOURCE_DATE_EPOCH=\"{}\"", entry.epoch));
    info
}

fn changes(debian: &SeriesDirectory, entry: &ChangelogEntry, files: &[FileChecksums]) -> Paragraph {
    let mut changes = Paragraph::new();
    changes.set("Format", "1.8");
    changes.set("Date", date(entry.epoch));
    changes.set("Source", debian.name());
    changes.set("Binary", binaries(debian).join(" "));
    changes.set("Architecture", "source");
    changes.set("Version", entry.version.as_str());
    changes.set("Distribution", entry.series.as_str());
    changes.set("Urgency", "medium");
    changes.set_some("Maintainer", debian.source.line("Maintainer"));
    changes.set("Changed-By", entry.maintainer.as_str());
    let short = |one: &Paragraph| {
        let description = one.get("Description")?.lines().next()?.to_owned();
        Some(format!("\n{} - {description}", one.line("Package")?))
    };
    changes.set("Description", debian.binaries.iter().filter_map(short).collect::<String>());
    changes.set("Changes", format!("\n{}", entry.body()));
    let section = debian.source.line("Section").unwrap_or_else(|| "misc".into());
    let priority = debian.source.line("Priority").unwrap_or_else(|| "optional".into());
    list(&mut changes, files, Some(&format!("{section} {priority} ")));
    changes
}
