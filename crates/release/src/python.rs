//! Packages of Python: built from the sources of a release, twice and in different environments, and packed by Drydock, so that their
//! bytes can be signed, and built again elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::manifest::{Artifact, ArtifactKind, Identity};
use drydock_archive::source::{Origin, SourceEntry, SourceTree, derive};
use drydock_archive::{self as archive, ArchiveEntry, ArchiveFile, Archives};
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_config::globs::FileGlob;
use drydock_config::release::{Format, Generator};

pub mod index;

/// The program that builds a package and unpacks the results.
const BUILD: &str = include_str!("python/build.py");
/// The directory for the results in a copy of the sources.
const OUTPUT: &str = "drydock-python";
/// The ending of wheels, which are zip files.
const WHEEL: &str = ".whl";

/// Builds the declared packages of a release into a directory; `watch` is called with each step before it starts. A nightly or a
/// trial has none: its version is not one of Python's.
///
/// # Errors
/// A package cannot be built, has another version, or is not the same when it is built again.
pub(crate) fn build(
    identity: &Identity<'_>,
    tree: &SourceTree,
    directory: &Path,
    watch: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<Artifact>> {
    let packages = identity.release.python_packages();
    if identity.tag.is_none() || packages.is_empty() {
        return Ok(Vec::new());
    }
    let scratch = Scratch::new("python")?;
    let script = scratch.path().join("build.py");
    fs::write(&script, BUILD).with_context(|| format!("cannot write {}", script.display()))?;
    let generators = packages.iter().map(|package| generator(&script, package, identity.version.as_str()));
    let project = derive::Project { name: &identity.release.name, version: identity.version };
    let derived = derive::run(tree, project, &generators.collect::<anyhow::Result<Vec<_>>>()?, watch)?;
    let mut files: BTreeMap<String, Vec<ArchiveEntry>> = BTreeMap::new();
    for entry in derived.entries {
        let (name, entry) = content(entry)?;
        files.entry(name).or_default().push(entry);
    }
    let names = identity.archives();
    let mut artifacts = Vec::new();
    for (name, entries) in files {
        if names.iter().any(|(_, archive)| *archive == name) {
            let text = format!(
                "the package of Python {name} has the name of an archive; declare another `name` for the archive"
            );
            return Err(Failure::declaration(text));
        }
        artifacts.push(pack(name, entries, tree.epoch, directory)?);
    }
    Ok(artifacts)
}

fn generator(script: &Path, package: &str, version: &str) -> anyhow::Result<Generator> {
    let glob = |text: &str| FileGlob::parse(text).context("cannot name the results of a package");
    let into = format!("{OUTPUT}/{}", package.replace(['/', '.'], "_"));
    let script = script.to_string_lossy();
    let run = ["python3", &script, package, version, &into].map(str::to_owned).to_vec();
    Ok(Generator {
        name: format!("of the Python package {package}"),
        run,
        inputs: Vec::new(),
        outputs: vec![glob(&format!("{into}/**"))?],
        // Builders leave files beside the sources; what git has must stay as it is.
        scratch: vec![glob("**")?],
        needs: vec!["python3-build".to_owned()],
        host_independent: true,
        // A wheel names the version of its builder.
        copies: true,
        allow: Vec::new(),
    })
}

/// The name of the package that a file belongs to, and its path in that.
fn content(entry: SourceEntry) -> anyhow::Result<(String, ArchiveEntry)> {
    let mut parts = entry.path.splitn(4, '/').skip(2);
    let (name, path) = parts.next().zip(parts.next()).context("a package of Python has a file outside of it")?;
    let content = match &entry.origin {
        Origin::Derived { content, .. } => Arc::clone(content),
        Origin::Git { .. } => anyhow::bail!("a file of git is in a package of Python"),
    };
    Ok((name.to_owned(), ArchiveEntry { path: path.to_owned(), kind: entry.kind, content }))
}

/// Writes a package.
fn pack(name: String, mut entries: Vec<ArchiveEntry>, epoch: u64, directory: &Path) -> anyhow::Result<Artifact> {
    let (format, top) = if name.ends_with(WHEEL) {
        (Format::Zip, String::new())
    } else {
        // All files of an sdist are in one directory.
        let top = name.strip_suffix(".tar.gz").unwrap_or(&name).to_owned();
        for entry in &mut entries {
            let inner = entry.path.strip_prefix(&top).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
            entry.path =
                inner.ok_or_else(|| Failure::rejected(format!("{name} has {}, outside of {top}", entry.path)))?;
        }
        (Format::TarGz, top)
    };
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let files = [ArchiveFile { format, path: directory.join(&name) }];
    let archives = Archives { directory: &top, epoch, files: &files, threads: 1 };
    let written = archive::write(entries.into_iter().map(Ok), archives)?;
    let written = written.archives.first().context("no package was written")?;
    Ok(Artifact { name, size: written.size, sha256: written.sha256, kind: Some(ArtifactKind::Python) })
}

/// The name of a project and its version, as the name of a wheel or an sdist has them; the project's in the normal form of PEP 503.
pub fn project_of(file: &str) -> Option<(String, &str)> {
    let (name, version) = match file.strip_suffix(WHEEL) {
        Some(stem) => {
            let mut parts = stem.split('-');
            (parts.next()?, parts.next()?)
        }
        None => [".tar.gz", ".zip", ".tar.bz2"].iter().find_map(|end| file.strip_suffix(end))?.rsplit_once('-')?,
    };
    Some((normal_name(name), version))
}

/// The name of a project in lower case, with `-` for each run of `-`, `_` and `.` (PEP 503).
pub fn normal_name(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_projects_and_versions() {
        for (file, expected) in [
            ("pylantern-0.3.0.tar.gz", Some(("pylantern", "0.3.0"))),
            ("py_lantern-0.3.0-py3-none-any.whl", Some(("py-lantern", "0.3.0"))),
            ("Py.Lantern-0.3.0.zip", Some(("py-lantern", "0.3.0"))),
            ("py-lantern-1.0rc1.tar.gz", Some(("py-lantern", "1.0rc1"))),
            ("pylantern-0.3.0-1-py3-none-any.whl", Some(("pylantern", "0.3.0"))),
            ("pylantern-0.3.0.exe", None),
            ("x.tar.gz", None),
        ] {
            assert_eq!(project_of(file), expected.map(|(name, version)| (name.to_owned(), version)), "{file}");
        }
    }
}
