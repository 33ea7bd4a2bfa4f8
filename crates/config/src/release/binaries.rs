//! `binaries` in `packaging/release.yaml`: what is built of the source archive for each distribution.

use std::collections::BTreeSet;

use super::format::Format;
use super::version::{Version, VersionText};
use super::words::{Text, command, inside};
use super::{Archive, declared};
use crate::decode::{Entries, Spanned, declaration};
use crate::diagnostic::{Place, Problem, Problems};
use crate::images::{Base, BaseDeclaration, Platform, base_of};
use drydock_base::text::quoted;
use drydock_base::units::JobName;

/// The placeholder for the directory that `install` installs into.
const DESTDIR: &str = "{destdir}";

declaration! {
    /// A binary tarball: what a build of the source archive installs on a distribution.
    pub(in crate) struct BinaryDeclaration {
        /// The files of the distribution with all programs that the build needs, as in `docker/images.yaml`: an image by its digest, or a
        /// Debian suite from a dated snapshot. Nothing is downloaded after that.
        base: Spanned<BaseDeclaration>,
        /// The platform of the base.
        platform: Spanned<Platform> = Spanned::unwritten(Platform::Amd64),
        /// The command that builds the unpacked source archive, as a list of its words.
        build: Spanned<Vec<Text>>,
        /// The command that installs into `{destdir}`, the future `/`, which one of its words contains.
        install: Spanned<Vec<Text>>,
        /// The format, one of tar.
        format: Spanned<Format> = Spanned::unwritten(Format::TarXz),
        /// The file name, with `{version}`. Default: the name of the project, the tag, the key of this entry and the format, such as
        /// `mine-v1.2-Fedora-42-amd64.tar.xz`.
        name: Option<Spanned<VersionText>>,
        /// The source RPM with the same commands. Default: none.
        srpm: Option<Spanned<SrpmDeclaration>>,
    }
}

declaration! {
    /// A source RPM, made and rebuilt on the same base, which needs rpmbuild.
    pub(in crate) struct SrpmDeclaration {
        /// The license, such as `MIT`. Required without `spec`.
        license: Option<Text>,
        /// What the package is, in one line. Required without `spec`.
        summary: Option<Text>,
        /// The address of the project. Default: none.
        url: Option<Text>,
        /// The packages that the build needs (`BuildRequires`).
        needs: Vec<Text> = Vec::new(),
        /// A spec file of the project instead of all that; its `Source0` is the source archive. Default: it is made of `build` and `install`.
        spec: Option<Text>,
    }
}

/// A binary tarball to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The name of the distribution, as in `Fedora-42-amd64`.
    pub key: String,
    /// The files that it is built on.
    pub base: Base,
    /// The platform of the base.
    pub platform: Platform,
    /// The command that builds.
    pub build: Vec<String>,
    /// The command that installs, with `{destdir}`.
    install: Vec<String>,
    /// The format of the tarball.
    pub format: Format,
    /// The file name.
    pub name: VersionText,
    /// The source RPM.
    pub srpm: Option<Srpm>,
}

/// A source RPM to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Srpm {
    /// With a spec file that is made of the declaration.
    Made {
        /// The license.
        license: String,
        /// What the package is.
        summary: String,
        /// The address of the project.
        url: Option<String>,
        /// The packages that the build needs.
        needs: Vec<String>,
    },
    /// With this spec file of the project.
    Spec(String),
}

impl Binary {
    /// The command that installs into a directory.
    pub fn install(&self, directory: &str) -> Vec<String> {
        self.install.iter().map(|word| word.replace(DESTDIR, directory)).collect()
    }

    /// The name, version and release of the source RPM, if there is one. RPM does not allow a hyphen in a version, so the release of a
    /// candidate such as `1.0-rc1` is `0.rc1`, which is below 1.
    pub fn srpm_of(&self, project: &str, version: &Version) -> Option<SrpmName> {
        self.srpm.as_ref()?;
        let (version, release) = match version.as_str().split_once('-') {
            Some((version, candidate)) => (version, format!("0.{}", candidate.replace('-', "."))),
            None => (version.as_str(), "1".to_owned()),
        };
        Some(SrpmName { project: project.to_owned(), version: version.to_owned(), release })
    }
}

/// The name of a source RPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrpmName {
    /// The name of the project.
    pub project: String,
    /// The version without a hyphen.
    pub version: String,
    /// The release.
    pub release: String,
}

impl SrpmName {
    /// The name of the file.
    pub fn file(&self) -> String {
        format!("{}-{}-{}.src.rpm", self.project, self.version, self.release)
    }
}

/// The rest of the declaration that tarballs depend on.
pub(super) struct Surroundings<'a> {
    pub(super) name: &'a str,
    pub(super) tag: Option<&'a VersionText>,
    pub(super) archives: &'a [Archive],
}

/// Resolves the entries; problems are added to `problems`.
pub(super) fn resolve(
    entries: Option<Entries<JobName, BinaryDeclaration>>,
    of: &Surroundings<'_>,
    problems: &mut Problems,
) -> Vec<Binary> {
    let mut names: BTreeSet<String> = of.archives.iter().map(|archive| archive.name.to_string()).collect();
    let mut binaries: Vec<Binary> = Vec::new();
    for (key, declared) in entries.into_iter().flat_map(|entries| entries.0) {
        let place = key.place;
        let Some(key) = key.value else { continue };
        let Some(binary) = binary(key.as_str(), place, &declared, of, problems) else { continue };
        if !names.insert(binary.name.to_string()) {
            let problem = Problem::new(place, format!("two files have the name {}", quoted(&binary.name.to_string())));
            problems.push(problem.help("give one of them another `name`"));
        }
        if let Some(srpm) = declared.srpm.filter(|_| binaries.iter().any(|other| other.srpm.is_some())) {
            let problem =
                Problem::new(srpm.place, "two entries have an `srpm`, and both files would have the same name");
            problems.push(problem.help("remove one of them; a source RPM is for all distributions"));
        }
        binaries.push(binary);
    }
    binaries
}

fn binary(
    key: &str,
    place: Place,
    declared: &BinaryDeclaration,
    of: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<Binary> {
    let base = base_of(&declared.base, problems);
    let (build, install) = (command(&declared.build, problems), command(&declared.install, problems));
    if install.iter().flatten().all(|word| !word.contains(DESTDIR)) && install.is_some() {
        let problem = Problem::new(declared.install.place, "no word of `install` contains `{destdir}`");
        problems.push(problem.expected("such as `[make, install, \"DESTDIR={destdir}\"]`"));
    }
    let format = declared.format.value?;
    if format == Format::Zip {
        let problem = Problem::new(declared.format.place, "a zip file cannot be a binary tarball");
        problems.push(problem.expected("`tar.xz`, `tar.gz` or `tar.bz2`"));
    }
    let ending = format!(".{}", format.extension());
    let (place, name) = match &declared.name {
        Some(Spanned { place, value }) => (*place, value.clone()?),
        None => {
            let (before, after) = of.tag?.around();
            (place, VersionText::new(&format!("{}-{before}", of.name), &format!("{after}-{key}{ending}")))
        }
    };
    declared::file_name(&name, place, &ending, problems);
    let srpm = match &declared.srpm {
        Some(Spanned { place, value }) => Some(srpm(*place, value.as_ref()?, problems)?),
        None => None,
    };
    let platform = declared.platform.value?;
    Some(Binary { key: key.to_owned(), base: base?, platform, build: build?, install: install?, format, name, srpm })
}

fn srpm(place: Place, declared: &SrpmDeclaration, problems: &mut Problems) -> Option<Srpm> {
    let SrpmDeclaration { license, summary, url, needs, spec } = declared;
    for (what, text) in [("license", license), ("summary", summary), ("url", url), ("spec", spec)] {
        let text = text.as_ref().and_then(|text| Some((text.place, text.value.as_ref()?)));
        if let Some((place, _)) = text.filter(|(_, text)| text.trim().is_empty() || text.contains(['\n', '%'])) {
            problems.push(Problem::new(place, format!("`{what}` is not one line of text without `%`")));
        }
    }
    for need in needs {
        let Some(text) = need.value.as_ref().filter(|text| text.is_empty() || text.contains(['\n', '%'])) else {
            continue;
        };
        let problem = Problem::new(need.place, format!("{} is not the name of a package", quoted(text)));
        problems.push(problem.expected("what `BuildRequires` of a spec file has, such as `gcc` or `pkgconfig(zlib)`"));
    }
    match (spec, license, summary) {
        (Some(spec), None, None) if url.is_none() && needs.is_empty() => Some(Srpm::Spec(inside(spec, problems)?)),
        (Some(spec), ..) => {
            let problem = Problem::new(spec.place, "`spec` beside what only a made spec file needs");
            problems.push(problem.help("remove `spec`, or `license`, `summary`, `url` and `needs`"));
            None
        }
        (None, Some(license), Some(summary)) => Some(Srpm::Made {
            license: license.value.clone()?,
            summary: summary.value.clone()?,
            url: url.as_ref().and_then(|url| url.value.clone()),
            needs: needs.iter().filter_map(|need| need.value.clone()).collect(),
        }),
        (None, ..) => {
            let problem = Problem::new(place, "a source RPM needs a license and a summary");
            problems.push(problem.expected("`{license: MIT, summary: A lantern}`, or `{spec: packaging/mine.spec}`"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::release::Release;

    /// The binaries of a declaration with this below `binaries`, or its problems.
    fn binaries(text: &str) -> Result<Vec<Binary>, String> {
        let text = format!("name: mine\nversion: {{}}\narchives: [{{format: tar.xz}}]\nbinaries:\n{text}");
        let parsed = Release::parse(&text, Path::new("release.yaml"));
        parsed.map(|release| release.binaries).map_err(|problems| problems.to_string())
    }

    const BASE: &str = "base: {suite: bookworm, snapshot: 20260601T000000Z}";
    const INSTALL: &str = "build: [make], install: [make, install, \"DESTDIR={destdir}\"]";

    #[test]
    fn tarballs_and_source_rpms_have_names() {
        let one =
            |more: &str| binaries(&format!("  Fedora-42-amd64: {{{BASE}, {INSTALL}{more}}}\n")).unwrap().remove(0);
        let version = |text: &str| text.parse::<Version>().unwrap();
        let plain = one("");
        assert_eq!(plain.name.render(&version("1.2")), "mine-v1.2-Fedora-42-amd64.tar.xz");
        assert_eq!(plain.install("/x"), ["make", "install", "DESTDIR=/x"]);
        assert_eq!(plain.srpm_of("mine", &version("1.2")), None);
        let named = one(", format: tar.gz, name: \"clightning-v{version}-Fedora-28-amd64.tar.gz\"");
        assert_eq!(named.name.render(&version("0.10.2")), "clightning-v0.10.2-Fedora-28-amd64.tar.gz");
        let srpm = one(", srpm: {license: MIT, summary: A lantern}");
        for (of, name) in [("1.2", "mine-1.2-1.src.rpm"), ("1.0-rc1", "mine-1.0-0.rc1.src.rpm")] {
            assert_eq!(srpm.srpm_of("mine", &version(of)).unwrap().file(), name);
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let srpm = "srpm: {license: MIT, summary: x}";
        for (text, problem) in [
            (
                format!("  x: {{{BASE}, build: [make], install: [make, install]}}\n"),
                "no word of `install` contains `{destdir}`",
            ),
            (format!("  x: {{{BASE}, {INSTALL}, format: zip}}\n"), "a zip file cannot be a binary tarball"),
            (format!("  x: {{{BASE}, {INSTALL}, name: \"x-{{version}}.zip\"}}\n"), "does not end with `.tar.xz`"),
            (format!("  a/x: {{{BASE}, {INSTALL}}}\n"), "is not a file name"),
            (format!("  x: {{{BASE}, {INSTALL}, name: \"mine-{{version}}.tar.xz\"}}\n"), "two files have the name"),
            (
                format!("  x: {{{BASE}, {INSTALL}, {srpm}}}\n  y: {{{BASE}, {INSTALL}, {srpm}}}\n"),
                "two entries have an `srpm`",
            ),
            (format!("  x: {{{BASE}, {INSTALL}, srpm: {{}}}}\n"), "needs a license and a summary"),
            (format!("  x: {{{BASE}, {INSTALL}, srpm: {{spec: a.spec, license: MIT}}}}\n"), "`spec` beside"),
            (format!("  x: {{{BASE}, {INSTALL}, srpm: {{license: \"%(id)\", summary: x}}}}\n"), "without `%`"),
            (format!("  x: {{base: {{image: fedora}}, {INSTALL}}}\n"), "the base has no `digest`"),
        ] {
            let found = binaries(&text).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
