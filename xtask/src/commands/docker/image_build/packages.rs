//! An image made of Debian packages: which files they are, whether they would work on the base, and the layer of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::commands::deb::source_packages::PROOF;
use crate::commands::deb::source_packages::SourcePackages;
use crate::commands::release_context::ReleaseContext;
use drydock_archive::layer::{Item, ItemKind};
use drydock_archive::read::{Limits, MemberKind, ReadError};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_config::images::Platform;
use drydock_config::release::deb::Series;
use drydock_deb::binary::{BinaryPackage, MAINTAINER_SCRIPTS};
use drydock_deb::checksums::FileChecksums;
use drydock_deb::control::Paragraph;
use drydock_deb::installed::{self, Installed, InstalledError};
use drydock_deb::prove::Proof;
use drydock_oci::image_files::{ImageFiles, STATUS, STATUS_DIRECTORY};
use drydock_oci::layer_builder::LayerBuilder;
use drydock_oci::layer_path::clean_path;
use drydock_oci::member_item::{self, Omitted};

/// The directory of dpkg's file lists.
const INFO: &str = "var/lib/dpkg/info";
/// The limits for unpacking one package.
const LIMITS: Limits = Limits { bytes: 16 << 30, ..Limits::UNKNOWN };

/// Checks that packages are declared and were built, as far as the base image need not be known for that.
///
/// # Errors
/// No packages or another series are declared, or a package is missing.
pub(super) fn check_declared(
    release: &ReleaseContext,
    names: &[String],
    declared: Option<&str>,
    platform: Platform,
) -> anyhow::Result<()> {
    let packages = SourcePackages::select(release, &[])?;
    match choose(&packages.series, declared, None) {
        Ok(series) => locate(&packages, names, series, platform).map(drop),
        Err(wrong) if declared.is_some() => Err(wrong),
        // The base image decides.
        Err(_) => Ok(()),
    }
}

/// Finds the packages of the release for one platform. `series` is the declared series and that of the base image.
pub(super) fn find(
    release: &ReleaseContext,
    names: &[String],
    (declared, base): (Option<&str>, Option<String>),
    platform: Platform,
) -> anyhow::Result<Vec<BinaryPackage>> {
    let packages = SourcePackages::select(release, &[])?;
    let series = choose(&packages.series, declared, base.as_deref())?;
    let mut found = Vec::new();
    for (name, file) in names.iter().zip(locate(&packages, names, series, platform)?) {
        let binary = open(&file.path, name, platform)?;
        if file.has_proof {
            check_proof(&packages, series, &file.path)?;
        }
        found.push(binary);
    }
    Ok(found)
}

/// The file of a package.
struct PackageFile {
    path: PathBuf,
    /// Whether it is one of those that were proved, and not built with the tools of this machine.
    has_proof: bool,
}

/// Finds the files of packages, in the order of their names.
fn locate(
    packages: &SourcePackages<'_>,
    names: &[String],
    series: &Series,
    platform: Platform,
) -> anyhow::Result<Vec<PackageFile>> {
    let release = packages.release;
    let version = packages.version(series)?;
    let proved = packages.directory().join("proof").join(series.name.as_str());
    // Packages that were built without a chroot are for local tests only.
    let local = release.is_trial().then(|| packages.directory().join("local"));
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        let file = |architecture: &str| format!("{name}_{}_{architecture}.deb", version.without_epoch());
        let files = [file(platform.debian()), file("all")];
        let in_directory = |directory: &Path| files.iter().map(|file| directory.join(file)).find(|path| path.is_file());
        if let Some(path) = in_directory(&proved) {
            found.push(PackageFile { path, has_proof: true });
        } else if let Some(path) = local.as_deref().and_then(in_directory) {
            found.push(PackageFile { path, has_proof: false });
        } else {
            missing.push(files[0].clone());
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let list = missing.join(", ");
    let mut command = hint::drydock(&["deb", "prove", "--series", series.name.as_str()]);
    if release.nightly().is_some() {
        command = command.args(["--nightly", release.version.as_str()]);
    } else if release.is_trial() {
        command = command.arg("--untagged");
    }
    let remedy = if Platform::here() == Some(platform) {
        format!("build it with `{command}`")
    } else {
        let proof = format!("proof-{}.json", platform.debian());
        format!("build it with `{command}` on a {platform} machine, then copy it there, with its proof as {proof}")
    };
    Err(Failure::usage(format!("{list} is not in {}; {remedy}", proved.display())))
}

/// Chooses the series: the declared one, that of the base image, or the only one.
fn choose<'a>(all: &[&'a Series], declared: Option<&str>, base: Option<&str>) -> anyhow::Result<&'a Series> {
    let named = |name: &str| all.iter().copied().find(|series| series.name.as_str() == name);
    let list = || all.iter().map(|series| series.name.as_str()).collect::<Vec<_>>().join(", ");
    let wrong = |text: String| Err(Failure::declaration(text));
    match (declared, all, base) {
        (Some(name), _, _) => match named(name) {
            Some(series) => Ok(series),
            None => {
                wrong(format!("packaging/release.yaml does not declare the series {name}; declared are {}", list()))
            }
        },
        (None, [one], None) => Ok(one),
        (None, _, Some(base)) => match named(base) {
            Some(series) => Ok(series),
            None => {
                wrong(format!("the base image is of {base}, but packages are built for {}; declare `series`", list()))
            }
        },
        (None, _, None) => {
            wrong(format!("the series of the base image is unknown; declare `series` as one of {}", list()))
        }
    }
}

/// Opens a package, and checks that its content matches its name.
fn open(path: &Path, name: &str, platform: Platform) -> anyhow::Result<BinaryPackage> {
    let binary = BinaryPackage::open(path).map_err(|error| damaged(path, error))?;
    let fits = binary.architecture == platform.debian() || binary.architecture == "all";
    if binary.name != name || !fits {
        let what = format!("{} of {}", binary.name, binary.architecture);
        return Err(Failure::not_reproducible(format!(
            "{} holds {what}, which does not match its name",
            path.display()
        )));
    }
    Ok(binary)
}

/// Checks that a proof beside a package covers it and the source package of this commit. There may be one proof for each
/// architecture.
fn check_proof(packages: &SourcePackages<'_>, series: &Series, path: &Path) -> anyhow::Result<()> {
    let again = |why: &str| {
        let command = hint::drydock(&["deb", "prove", "--series", series.name.as_str()]);
        Failure::not_reproducible(format!("{} {why}; prove it again with `{command}`", path.display()))
    };
    let made = packages.built_for(series)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (sum, _) = Checksum::from_file(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut why = "has no proof beside it";
    for proof in proofs(path.parent().unwrap_or(Path::new("/")))? {
        let Some(proved) = proof.packages.get(&file) else { continue };
        why = if *proved != sum.to_string() {
            "is not the file that was proved"
        } else if !packages.is_proof_of(&proof, &made) {
            "was built from another source package"
        } else if !proof.differences.is_empty() {
            "differed between two builds"
        } else {
            return Ok(());
        };
    }
    Err(again(why))
}

/// Reads the proofs in a directory.
fn proofs(directory: &Path) -> anyhow::Result<Vec<Proof>> {
    let mut proofs = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == PROOF || (name.starts_with("proof-") && name.ends_with(".json")) {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            proofs.push(
                serde_json::from_str(&text).with_context(|| format!("cannot parse {} as a proof", path.display()))?,
            );
        }
    }
    Ok(proofs)
}

fn damaged(path: &Path, error: ReadError) -> anyhow::Error {
    match error {
        ReadError::Io(error) => anyhow::Error::new(error).context(format!("cannot unpack {}", path.display())),
        other => Failure::not_reproducible(format!("{}: {other}", path.display())),
    }
}

/// Checks that packages work on the base image. All problems are reported at once.
pub(super) fn check(
    debs: &[BinaryPackage],
    files: &ImageFiles,
    base: &str,
    platform: Platform,
    skip_scripts: bool,
) -> anyhow::Result<()> {
    let unreadable =
        |error: InstalledError| Failure::not_reproducible(format!("installed packages of {base}: {error}"));
    let mut there = Vec::new();
    if files.text(STATUS).is_none() && files.texts_in(STATUS_DIRECTORY).next().is_none() {
        let text = format!("{base} has no list of installed packages (/{STATUS})");
        return Err(Failure::declaration(format!("{text}; use a Debian base image, or a Dockerfile")));
    }
    for text in files.text(STATUS).into_iter().chain(files.texts_in(STATUS_DIRECTORY).map(|(_, text)| text)) {
        there.extend(Installed::all(text).map_err(unreadable)?);
    }
    let mut problems: Vec<String> = Vec::new();
    for deb in debs {
        if let Some(old) = there.iter().find(|old| old.name == deb.name) {
            problems.push(format!("{} {} is already in the base image; use a base without it", old.name, old.version));
        }
    }
    let paragraphs: Vec<&Paragraph> = debs.iter().map(|deb| &deb.control).collect();
    let unmet = installed::unmet_relations(&paragraphs, &there, platform.debian()).map_err(unreadable)?;
    if !unmet.is_empty() {
        problems.extend(unmet.iter().map(ToString::to_string));
        problems.push("to do: use a base image that has it, or add it to `packages` of the base or to `debs`".into());
    }
    let scripted: Vec<String> = debs
        .iter()
        .filter(|deb| !deb.scripts().is_empty())
        .map(|deb| format!("{} has {}", deb.name, deb.scripts().join(", ")))
        .collect();
    if !scripted.is_empty() && !skip_scripts {
        problems.extend(scripted.iter().map(|what| format!("{what}, but maintainer scripts are not run")));
        problems
            .push("to do: declare `skip-scripts: true` if the package works without them, or use a Dockerfile".into());
    }
    if !problems.is_empty() {
        let text = format!("the packages do not work on {base}:\n  {}", problems.join("\n  "));
        return Err(Failure::rejected(text));
    }
    for deb in debs {
        let triggers = deb.members.get("triggers").map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
        if triggers.is_some_and(|text| text.contains("ldconfig")) {
            let why = "libraries in the default directories are found without it";
            output::err(format_args!("note: {} triggers ldconfig, which is not run; {why}", deb.name));
        }
    }
    Ok(())
}

/// Installs the packages in a layer, and adds them to the list of installed packages.
pub(super) fn install(builder: &mut LayerBuilder, debs: &[BinaryPackage], epoch: u64) -> anyhow::Result<()> {
    let mut paragraphs = Vec::new();
    for deb in debs {
        let listed = files(builder, deb)?;
        let conffiles = conffiles(builder, deb)?;
        let text = paragraph(&deb.control, &conffiles).text();
        if builder.files.text(STATUS).is_some() {
            let own = deb.members.iter().filter(|(name, _)| name.as_str() != "list");
            for (name, (mode, bytes)) in own {
                let mode = if MAINTAINER_SCRIPTS.contains(&name.as_str()) { *mode } else { 0o644 };
                write(builder, &format!("{INFO}/{}.{name}", deb.stem()), bytes, mode, epoch)?;
            }
            write(builder, &format!("{INFO}/{}.list", deb.stem()), listed.as_bytes(), 0o644, epoch)?;
        } else {
            write(builder, &format!("{STATUS_DIRECTORY}/{}", deb.name), text.as_bytes(), 0o644, epoch)?;
            if let Some((_, sums)) = deb.members.get("md5sums") {
                write(builder, &format!("{STATUS_DIRECTORY}/{}.md5sums", deb.name), sums, 0o644, epoch)?;
            }
        }
        paragraphs.push(text);
    }
    if let Some(old) = builder.files.text(STATUS) {
        let old = without(old, debs);
        let old = if old.trim().is_empty() { String::new() } else { format!("{}\n\n", old.trim_end()) };
        let text = format!("{old}{}\n", paragraphs.join("\n"));
        write(builder, STATUS, text.as_bytes(), 0o644, epoch)?;
    }
    Ok(())
}

/// Returns the list of installed packages without entries of these packages, such as remaining configuration files.
fn without(status: &str, debs: &[BinaryPackage]) -> String {
    let is_anew = |paragraph: &&str| {
        let name = paragraph.lines().find_map(|line| line.strip_prefix("Package:"));
        name.is_some_and(|name| debs.iter().any(|deb| deb.name == name.trim()))
    };
    let kept: Vec<&str> = status.split("\n\n").filter(|paragraph| !is_anew(paragraph)).collect();
    kept.join("\n\n")
}

/// Unpacks the files of a package; returns the list of them in dpkg's format.
fn files(builder: &mut LayerBuilder, deb: &BinaryPackage) -> anyhow::Result<String> {
    let mut listed = String::from("/.\n");
    let mut refused = Vec::new();
    deb.visit(LIMITS, &mut |member, content| {
        let path = clean_path(&member.path)?;
        if path.is_empty() {
            return Ok(());
        }
        // So nothing has attributes.
        if let Some(what) = member.extension {
            return Err(ReadError::Unsupported(format!("{what} at {path:?}, which dpkg refuses")));
        }
        let item = member_item::item(&mut builder.layer, &path, member, content, &mut Omitted::default())?;
        listed.push_str(&format!("/{path}\n"));
        match builder.put(&path, item, false) {
            // dpkg unpacks symbolic links after everything else.
            Ok(real) if is_link(builder, &real) && matches!(member.kind, MemberKind::HardLink(_)) => {
                refused.push(format!("/{path} is a hard link to a symbolic link, which dpkg cannot unpack"));
            }
            Ok(_) => {}
            Err(why) => refused.push(why.to_string()),
        }
        Ok(())
    })
    .map_err(|error| damaged(&deb.file, error))?;
    if refused.is_empty() {
        return Ok(listed);
    }
    let more = if refused.len() > 10 { format!("\n  … and {} more", refused.len() - 10) } else { String::new() };
    let list: Vec<String> = refused.into_iter().take(10).collect();
    let text = format!("cannot unpack {}:\n  {}{more}", deb.name, list.join("\n  "));
    Err(Failure::rejected(text))
}

/// Returns true for a symbolic link in the layer.
fn is_link(builder: &LayerBuilder, path: &str) -> bool {
    builder.layer.get(path).is_some_and(|item| matches!(item.kind, ItemKind::Link(_)))
}

/// Returns the `Conffiles` field: configuration files with the checksums by which dpkg detects changes.
fn conffiles(builder: &LayerBuilder, deb: &BinaryPackage) -> anyhow::Result<String> {
    let Some((_, list)) = deb.members.get("conffiles") else { return Ok(String::new()) };
    let mut lines = String::new();
    for path in String::from_utf8_lossy(list).lines().map(str::trim).filter(|line| line.starts_with('/')) {
        let real = builder.files.real(path).unwrap_or_default();
        let Some(Item { kind: ItemKind::File(content), .. }) = builder.layer.get(&real) else { continue };
        lines.push_str(&format!("\n{path} {}", FileChecksums::from_bytes("", &builder.layer.read(*content)?).md5));
    }
    Ok(lines)
}

/// Returns the entry of a package in the list of installed packages.
fn paragraph(control: &Paragraph, conffiles: &str) -> Paragraph {
    let mut paragraph = Paragraph::new();
    for name in control.names() {
        paragraph.set(name, control.get(name).unwrap_or_default());
        if name.eq_ignore_ascii_case("Package") {
            paragraph.set("Status", "install ok installed");
        }
    }
    if !conffiles.is_empty() {
        paragraph.set("Conffiles", conffiles);
    }
    paragraph
}

fn write(builder: &mut LayerBuilder, path: &str, bytes: &[u8], mode: u32, epoch: u64) -> anyhow::Result<()> {
    let content = builder.layer.keep(&mut &*bytes).with_context(|| format!("cannot write /{path}"))?;
    let item = Item { mode, ..Item::file(content, epoch) };
    builder.put(path, item, true).map_err(|why| Failure::rejected(format!("cannot write /{path}: {why}")))?;
    Ok(())
}
