//! The components of a release: crates of lock files, submodules, libraries that were copied into the sources, and the Debian
//! packages that building needs.

use std::collections::{BTreeMap, BTreeSet};

use super::libraries;
use drydock_archive::source::SourceTree;
use drydock_archive::source::vendor::{LockedCrate, locked_crates};
use drydock_base::failure::Failure;
use drydock_base::git::Objects;
use drydock_config::release::Release;

/// A part of a release that others wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// The kind.
    pub kind: ComponentKind,
    /// The name.
    pub name: String,
    /// The version, or the commit of a submodule; none if it is not pinned.
    pub version: Option<String>,
    /// The address for programs: <https://github.com/package-url/purl-spec>.
    pub purl: String,
    /// The SHA-256 checksum of its file, in hexadecimal.
    pub sha256: Option<String>,
    /// The licence as an SPDX expression, if it was declared.
    pub license: Option<String>,
    /// The files or declarations that name it.
    pub evidence: Vec<String>,
    /// The purls of the components that it uses.
    pub uses: Vec<String>,
}

/// The kind of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentKind {
    /// A crate of a `Cargo.lock`.
    Crate,
    /// A submodule of git.
    Submodule,
    /// A library whose files are in the sources.
    Vendored,
    /// A Debian package that a generator or the package build needs; it is not part of the release.
    BuildPackage,
}

/// All components, sorted, each once.
///
/// # Errors
/// A file that names components cannot be read.
pub fn components(release: &Release, tree: &SourceTree) -> anyhow::Result<Vec<Component>> {
    let mut all: BTreeMap<String, Component> = BTreeMap::new();
    let found = crates(tree)?.into_iter().chain(submodules(tree)?);
    for component in found.chain(libraries::find(release, tree)?).chain(packages(release, tree)?) {
        match all.get_mut(&component.purl) {
            Some(known) => {
                let evidence: BTreeSet<String> = known.evidence.drain(..).chain(component.evidence).collect();
                known.evidence = evidence.into_iter().collect();
            }
            None => {
                all.insert(component.purl.clone(), component);
            }
        }
    }
    let mut all: Vec<Component> = all.into_values().collect();
    all.sort();
    Ok(all)
}

/// The crates of all lock files, of every origin but the project itself.
fn crates(tree: &SourceTree) -> anyhow::Result<Vec<Component>> {
    let mut found = Vec::new();
    for entry in &tree.entries {
        if entry.path != "Cargo.lock" && !entry.path.ends_with("/Cargo.lock") {
            continue;
        }
        let Some(text) = tree.text(&entry.path)? else { continue };
        let crates = locked_crates(&text).map_err(|why| Failure::declaration(format!("{}: {why}", entry.path)))?;
        let purls: Vec<String> = crates.iter().map(purl_of_crate).collect();
        for (at, one) in crates.iter().enumerate().filter(|(_, one)| one.source.is_some()) {
            found.push(Component {
                kind: ComponentKind::Crate,
                name: one.name.clone(),
                version: Some(one.version.clone()),
                purl: purls[at].clone(),
                sha256: one.checksum.clone(),
                license: None,
                evidence: vec![entry.path.clone()],
                uses: one.uses.iter().map(|index| purls[*index].clone()).collect(),
            });
        }
    }
    Ok(found)
}

fn purl_of_crate(one: &LockedCrate) -> String {
    let purl = format!("pkg:cargo/{}@{}", escaped(&one.name), escaped(&one.version));
    match &one.source {
        Some(source) if source.starts_with("git+") => format!("{purl}?vcs_url={}", escaped(source)),
        Some(source) if !source.contains("crates.io") => {
            let address = source.split_once('+').map_or(source.as_str(), |(_, address)| address);
            format!("{purl}?repository_url={}", escaped(address))
        }
        Some(_) | None => purl,
    }
}

fn submodules(tree: &SourceTree) -> anyhow::Result<Vec<Component>> {
    let mut found = Vec::new();
    let Some(project) = tree.repositories.first() else { return Ok(found) };
    let modules = project.repository.at(&tree.commit, ".gitmodules");
    let settings = match modules {
        Some(blob) => Objects::open(&project.repository)?.configuration(&blob)?,
        None => Vec::new(),
    };
    for module in tree.repositories.iter().skip(1) {
        let path = module.prefix.trim_end_matches('/');
        let key = format!("submodule.{}.url", module.name);
        let url = settings.iter().find(|(found, _)| *found == key).map(|(_, url)| url.as_str());
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let commit = module.commit.to_string();
        found.push(Component {
            kind: ComponentKind::Submodule,
            purl: purl_of_repository(&name, &commit, url),
            name,
            version: Some(commit),
            sha256: None,
            license: None,
            evidence: vec![format!(".gitmodules: {path}")],
            uses: Vec::new(),
        });
    }
    Ok(found)
}

/// `pkg:github/owner/name@COMMIT` for a repository there, and otherwise a generic one with its address.
fn purl_of_repository(name: &str, commit: &str, url: Option<&str>) -> String {
    let on_github = url.and_then(|url| {
        let rest = url.strip_prefix("https://github.com/").or_else(|| url.strip_prefix("git@github.com:"))?;
        let (owner, name) = rest.trim_end_matches('/').trim_end_matches(".git").split_once('/')?;
        Some(format!("pkg:github/{}/{}@{commit}", escaped(&owner.to_lowercase()), escaped(&name.to_lowercase())))
    });
    let address = |url: &str| format!("?vcs_url={}", escaped(&format!("git+{url}@{commit}")));
    on_github.unwrap_or_else(|| {
        // A relative address means nothing elsewhere.
        let url = url.filter(|url| url.contains("://")).map(address).unwrap_or_default();
        format!("pkg:generic/{}@{commit}{url}", escaped(name))
    })
}

/// The Debian packages that building needs: those of generators, and the build dependencies of the source package. Their versions
/// are those of the machine, and are in `build-info.json` and in the `.buildinfo` of packages.
fn packages(release: &Release, tree: &SourceTree) -> anyhow::Result<Vec<Component>> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for generator in &release.generators {
        for package in &generator.needs {
            named.entry(package.clone()).or_default().insert(format!("source.derived.{}", generator.name));
        }
    }
    if let Some(deb) = &release.deb {
        let path = format!("{}/control", deb.directory.trim_end_matches('/'));
        for package in build_depends(&tree.text(&path)?.unwrap_or_default()) {
            named.entry(package).or_default().insert(path.clone());
        }
    }
    let component = |(name, evidence): (String, BTreeSet<String>)| Component {
        kind: ComponentKind::BuildPackage,
        purl: format!("pkg:deb/debian/{}", escaped(&name)),
        name,
        version: None,
        sha256: None,
        license: None,
        evidence: evidence.into_iter().collect(),
        uses: Vec::new(),
    };
    Ok(named.into_iter().map(component).collect())
}

/// The names in the fields `Build-Depends`, `Build-Depends-Arch` and `Build-Depends-Indep` of a control file.
fn build_depends(control: &str) -> Vec<String> {
    let (mut names, mut is_in) = (Vec::new(), false);
    for line in control.lines().filter(|line| !line.starts_with('#')) {
        let value = if line.starts_with([' ', '\t']) {
            line
        } else {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            is_in = field.to_ascii_lowercase().starts_with("build-depends");
            value
        };
        if !is_in {
            continue;
        }
        for name in value.split([',', '|']).filter_map(|one| one.trim().split([' ', '(', '[', '<', ':']).next()) {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
            if name.len() > 1 && name.bytes().all(fits) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// A part of a purl with everything but unreserved letters as percent signs.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_components_as_their_registries_do() {
        let id = "0123456789012345678901234567890123456789";
        for (url, expected) in [
            (Some("https://github.com/O/R.git"), format!("pkg:github/o/r@{id}")),
            (Some("git@github.com:o/r"), format!("pkg:github/o/r@{id}")),
            (
                Some("https://x.example/r"),
                format!("pkg:generic/lib@{id}?vcs_url=git%2Bhttps%3A%2F%2Fx.example%2Fr%40{id}"),
            ),
            (Some("../lib"), format!("pkg:generic/lib@{id}")),
            (None, format!("pkg:generic/lib@{id}")),
        ] {
            assert_eq!(purl_of_repository("lib", id, url), expected, "{url:?}");
        }
        let one = |source: Option<&str>| {
            let source = source.map(str::to_owned);
            purl_of_crate(&LockedCrate {
                name: "a".into(),
                version: "1.0+b".into(),
                source,
                checksum: None,
                uses: Vec::new(),
            })
        };
        assert_eq!(one(Some("registry+https://github.com/rust-lang/crates.io-index")), "pkg:cargo/a@1.0%2Bb");
        assert_eq!(one(Some("git+https://x/a#1")), "pkg:cargo/a@1.0%2Bb?vcs_url=git%2Bhttps%3A%2F%2Fx%2Fa%231");
        assert_eq!(one(Some("sparse+https://x/i/")), "pkg:cargo/a@1.0%2Bb?repository_url=https%3A%2F%2Fx%2Fi%2F");
    }

    #[test]
    fn build_dependencies_are_read_with_their_conditions() {
        let control = "Source: x\nBuild-Depends: debhelper-compat (= 13), cargo:native, gcc [amd64] | clang,\n\
            # a comment\n python3-mako <!nocheck>\nBuild-Depends-Indep: lowdown\nStandards-Version: 4\n\nPackage: y\nDepends: z\n";
        let found = build_depends(control);
        assert_eq!(found, ["debhelper-compat", "cargo", "gcc", "clang", "python3-mako", "lowdown"]);
    }
}
