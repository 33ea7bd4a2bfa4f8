//! `sbom` in `packaging/release.yaml`: documents about the components and the origin of a release.

use super::words::{Text, inside};
use crate::decode::{Entries, Spanned, declaration};
use crate::diagnostic::{Problem, Problems};
use drydock_base::text::quoted;
use drydock_base::units::JobName;

declaration! {
    /// Documents of a release: its components as CycloneDX and SPDX, and its provenance as an in-toto statement. Crates of lock files,
    /// submodules, well-known libraries in the sources and Debian packages of the build are found.
    pub(in crate) struct SbomDeclaration {
        /// Libraries that were copied into the sources, by name. Default: those that say their version in a known way.
        vendored: Option<Entries<JobName, VendoredLibraryDeclaration>>,
    }
}

declaration! {
    /// A library that was copied into the sources.
    pub(in crate) struct VendoredLibraryDeclaration {
        /// Its directory or file, relative to the project.
        path: Text,
        /// Its version.
        version: Text,
        /// Its licence as an SPDX expression, such as `MIT OR Apache-2.0`. Default: not known.
        license: Option<Text>,
        /// Its address as a package URL, such as `pkg:github/madler/zlib@v1.3.1`. Default: a generic one.
        purl: Option<Spanned<String>>,
    }
}

/// The documents of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// The declared libraries in the sources.
    pub vendored: Vec<VendoredLibrary>,
}

/// A library that was copied into the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendoredLibrary {
    /// The name.
    pub name: String,
    /// The directory or file, relative to the project.
    pub path: String,
    /// The version.
    pub version: String,
    /// The licence.
    pub license: Option<String>,
    /// The package URL.
    pub purl: Option<String>,
}

/// Resolves the declaration; problems are added to `problems`.
pub(super) fn resolve(declared: SbomDeclaration, problems: &mut Problems) -> Sbom {
    let entries = declared.vendored.map(|entries| entries.0).unwrap_or_default();
    let vendored = entries.into_iter().filter_map(|(name, library)| {
        let VendoredLibraryDeclaration { path, version, license, purl } = library;
        if let Some(Spanned { place, value: Some(text) }) = &purl {
            if !text.starts_with("pkg:") || !text.contains('/') {
                let problem = Problem::new(*place, format!("{} is not a package URL", quoted(text)));
                problems.push(problem.expected("one such as `pkg:github/madler/zlib@v1.3.1`"));
            }
        }
        Some(VendoredLibrary {
            name: name.value?.as_str().to_owned(),
            path: inside(&path, problems)?.trim_end_matches('/').to_owned(),
            version: version.value?,
            license: license.and_then(|license| license.value),
            purl: purl.and_then(|purl| purl.value),
        })
    });
    Sbom { vendored: vendored.collect() }
}
