//! A source package `3.0 (quilt)`: `.debian.tar.xz`, `.dsc`, `.buildinfo` and `.changes` around tarballs that are there.
//!
//! dsc(5), deb-changes(5), deb-buildinfo(5). Nothing in them depends on the machine, so an unsigned package has the same
//! bytes everywhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::changelog::{Entry, date};
use super::control::Paragraph;
use super::directory::Debian;
use super::sign::Signer;
use super::sums::{Sums, list};
use drydock_archive::{self as archive, ArchiveFile, Archives};
use drydock_base::paths;
use drydock_config::release::Format;

/// The format of the source package.
const FORMAT: &str = "3.0 (quilt)";

/// What a source package is made of.
#[derive(Debug)]
pub struct Request<'a> {
    /// `debian/` without this version's entry of the changelog.
    pub debian: Debian,
    /// That entry.
    pub entry: Entry,
    /// The orig tarballs, the main one first, in the directory that gets the files.
    pub origs: &'a [PathBuf],
    /// Whether `.changes` lists them, as the first upload of a version has to.
    pub with_origs: bool,
    /// The directory that gets the files.
    pub directory: &'a Path,
    /// Who signs; unsigned without.
    pub signer: Option<&'a Signer>,
    /// How many threads xz may use.
    pub threads: u32,
}

/// A source package on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// The `.dsc` file.
    pub dsc: PathBuf,
    /// The `.changes` file.
    pub changes: PathBuf,
    /// Every file that `.changes` lists, in its order.
    pub files: Vec<Sums>,
}

/// Writes a source package.
///
/// # Errors
/// A full disk, a tarball that cannot be read, gpg that does not sign.
pub fn write(mut request: Request<'_>) -> anyhow::Result<SourcePackage> {
    request.debian.add_entry(&request.entry);
    let (debian, entry) = (&request.debian, &request.entry);
    let name = debian.name();
    let stem = format!("{name}_{}", entry.version.without_epoch());
    let at = |ending: &str| request.directory.join(format!("{stem}{ending}"));

    let tarball = at(".debian.tar.xz");
    let files = [ArchiveFile { format: Format::TarXz, path: tarball.clone() }];
    let archives = Archives { directory: "debian", epoch: entry.epoch, files: &files, threads: request.threads };
    archive::write(debian.archive_entries().map(Ok), archives)?;
    let sums = |path: &PathBuf| Sums::of_file(path).with_context(|| format!("cannot read {}", path.display()));
    let origs: Vec<Sums> = request.origs.iter().map(sums).collect::<anyhow::Result<_>>()?;
    let tarball = sums(&tarball)?;

    let all: Vec<Sums> = origs.iter().chain([&tarball]).cloned().collect();
    let put = |ending: &str, text: String| -> anyhow::Result<Sums> {
        let text = match request.signer {
            Some(signer) => signer.sign(&text)?,
            None => text,
        };
        paths::write_atomically(&at(ending), text.as_bytes())?;
        sums(&at(ending))
    };
    let dsc = put(".dsc", dsc(debian, entry, &all).text())?;
    let buildinfo = put("_source.buildinfo", buildinfo(debian, entry, &dsc).text())?;
    let mut files = vec![dsc];
    if request.with_origs {
        files.extend(origs);
    }
    files.extend([tarball, buildinfo]);
    put("_source.changes", changes(debian, entry, &files).text())?;
    Ok(SourcePackage { dsc: at(".dsc"), changes: at("_source.changes"), files })
}

/// The names of the binary packages.
fn binaries(debian: &Debian) -> Vec<String> {
    debian.binaries.iter().filter_map(|one| one.line("Package")).collect()
}

/// What the binary packages are for, together: `any`, `all`, or the architectures.
fn architectures(debian: &Debian) -> String {
    let fields: Vec<String> = debian.binaries.iter().filter_map(|one| one.line("Architecture")).collect();
    let words: BTreeSet<&str> = fields.iter().flat_map(|field| field.split(' ')).collect();
    if words.contains("any") {
        return if words.contains("all") { "any all" } else { "any" }.to_owned();
    }
    let others = words.iter().filter(|word| **word != "all").copied();
    others.chain(words.contains("all").then_some("all")).collect::<Vec<_>>().join(" ")
}

fn dsc(debian: &Debian, entry: &Entry, files: &[Sums]) -> Paragraph {
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

/// ` NAME deb SECTION PRIORITY arch=ARCHITECTURES`, a line a package.
fn package_list(debian: &Debian) -> String {
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

fn buildinfo(debian: &Debian, entry: &Entry, dsc: &Sums) -> Paragraph {
    let mut info = Paragraph::new();
    info.set("Format", "1.0");
    info.set("Source", debian.name());
    info.set("Architecture", "source");
    info.set("Version", entry.version.as_str());
    list(&mut info, std::slice::from_ref(dsc), None);
    info.set("Build-Origin", "drydock");
    // The machine has no part in a source package: nothing was built.
    info.set("Build-Architecture", "all");
    info.set("Build-Date", date(entry.epoch));
    info.set("Installed-Build-Depends", "");
    info.set("Environment", format!("\nSOURCE_DATE_EPOCH=\"{}\"", entry.epoch));
    info
}

fn changes(debian: &Debian, entry: &Entry, files: &[Sums]) -> Paragraph {
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
