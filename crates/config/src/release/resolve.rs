//! Resolves a declared release: applies the defaults and validates it.

use super::declared::{
    ArchiveDeclaration, GeneratorDeclaration, OfflineProofDeclaration, ReleaseFile, Text, VersionFileDeclaration,
};
use super::version_file::{self, NumberLine};
use super::words::{command, globs, inside};
use super::{Archive, Generator, OfflineProof, Release, Signing, VersionFile, VersionPlace, VersionText};
use crate::decode::{OneOrMany, Spanned};
use crate::diagnostic::{Problem, Problems};
use drydock_base::text::quoted;
use std::collections::BTreeSet;

/// Resolves the release; problems are added to `problems`.
pub(super) fn release(file: ReleaseFile, problems: &mut Problems) -> Option<Release> {
    let ReleaseFile {
        name,
        version,
        source,
        archives,
        binaries,
        offline_proof,
        sbom,
        signing,
        deb,
        nightly,
        ci,
        publish,
    } = file;
    let name = name.value.map(|name| name.0);
    let version_files: Vec<VersionFile> =
        version.files.iter().flatten().filter_map(|declared| version_file(declared, problems)).collect();
    let changelog = version.changelog.as_ref().and_then(|text| inside(text, problems));
    let generators: Vec<Generator> = source
        .derived
        .iter()
        .flat_map(|entries| &entries.0)
        .filter_map(|(name, declared)| generator(name.value.as_ref()?.as_str(), declared, problems))
        .collect();
    let vendor = source.vendor.and_then(|declared| super::vendor::resolve(declared, problems));
    let archives = archives_of(name.as_deref().unwrap_or("name"), &archives, problems);
    let surroundings = super::binaries::Surroundings {
        name: name.as_deref().unwrap_or("name"),
        tag: version.tag.value.as_ref(),
        archives: &archives,
    };
    let binaries = super::binaries::resolve(binaries, &surroundings, problems);
    let offline_proof = offline_proof.and_then(|declared| proof(declared, problems));
    let signing = signing.and_then(|declared| {
        Some(Signing { keys: inside(&declared.keys, problems)?.into(), quorum: declared.quorum.0 })
    });
    let deb = deb.and_then(|declared| super::deb::resolve(declared, &archives, vendor.as_ref(), problems));
    let nightly = super::nightly::resolve(nightly, deb.as_ref(), problems);
    let declared = super::publish::Declared {
        has_signing: signing.is_some(),
        has_deb_upload: deb.as_ref().is_some_and(|deb| deb.upload.is_some()),
    };
    let publish = super::publish::resolve(publish, &declared, problems);
    let ci = super::ci::resolve(ci, &publish, problems);
    Some(Release {
        name: name?,
        tag: version.tag.value?,
        version_files,
        changelog,
        submodules: source.submodules,
        portable_names: source.portable_names,
        vendor,
        generators,
        archives,
        binaries,
        offline_proof,
        sbom: sbom.map(|declared| super::sbom::resolve(declared, problems)),
        signing,
        deb,
        nightly,
        ci,
        publish,
    })
}

fn version_file(declared: &VersionFileDeclaration, problems: &mut Problems) -> Option<VersionFile> {
    let places = [
        declared.line.as_ref().map(|line| (line.place, "`line`")),
        declared.lines.as_ref().map(|lines| (lines.place, "`lines`")),
        declared.key.as_ref().map(|key| (key.place, "`key`")),
    ];
    if let [(place, first), (_, second), ..] = places.into_iter().flatten().collect::<Vec<_>>()[..] {
        problems.push(Problem::new(place, format!("{first} beside {second}")).expected("one of them"));
        return None;
    }
    let place = match (&declared.line, &declared.lines, &declared.key) {
        (Some(line), _, _) => VersionPlace::Line(line.value.clone()?),
        (None, Some(lines), _) => {
            let forms: Vec<NumberLine> =
                lines.value.as_ref()?.iter().map(|line| line.value.clone()).collect::<Option<_>>()?;
            if let Some(problem) = version_file::problem(&forms) {
                let expected = "lines with `{major}`, `{minor}` and `{patch}`, each once; only `{major}` is required";
                problems.push(Problem::new(lines.place, problem).expected(expected));
                return None;
            }
            VersionPlace::Numbers(forms)
        }
        (None, None, Some(key)) => VersionPlace::Key(key.value.clone()?),
        (None, None, None) => VersionPlace::Whole,
    };
    Some(VersionFile { path: inside(&declared.path, problems)?, place })
}

fn generator(name: &str, declared: &GeneratorDeclaration, problems: &mut Problems) -> Option<Generator> {
    let run = command(&declared.run, problems);
    let mut needed = |list: &Spanned<OneOrMany<Text>>, what: &str| {
        let OneOrMany(list_of) = list.value.as_ref()?;
        if list_of.is_empty() {
            problems.push(
                Problem::new(list.place, "the list of patterns is empty")
                    .expected(format!("patterns of the files that it {what}")),
            );
        }
        Some(globs(list_of, problems))
    };
    let (inputs, outputs) = (needed(&declared.inputs, "reads"), needed(&declared.outputs, "writes"));
    let scratch = declared.scratch.as_ref().map_or_else(Vec::new, |scratch| globs(&scratch.0, problems));
    for package in &declared.needs {
        let Some(text) = &package.value else { continue };
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
        if text.len() < 2 || !text.bytes().all(fits) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let problem = Problem::new(package.place, format!("{} is not a Debian package", quoted(text)));
            problems.push(problem.expected("the name of a package, such as `python3-mako`"));
        }
    }
    for text in &declared.allow {
        if text.value.as_ref().is_some_and(String::is_empty) {
            problems
                .push(Problem::new(text.place, "the text is empty, which would allow everything").help("remove it"));
        }
    }
    let texts = |list: &[Text]| list.iter().filter_map(|text| text.value.clone()).collect();
    Some(Generator {
        name: name.to_owned(),
        run: run?,
        inputs: inputs?,
        outputs: outputs?,
        scratch,
        needs: texts(&declared.needs),
        host_independent: declared.host_independent,
        copies: declared.copies,
        allow: texts(&declared.allow),
    })
}

fn archives_of(name: &str, declared: &Spanned<Vec<ArchiveDeclaration>>, problems: &mut Problems) -> Vec<Archive> {
    let Some(list) = &declared.value else { return Vec::new() };
    if list.is_empty() {
        problems.push(Problem::new(declared.place, "`archives` is empty").expected("one such as `{format: tar.xz}`"));
    }
    let mut archives = Vec::new();
    let mut names = BTreeSet::new();
    for ArchiveDeclaration { format: Spanned { place, value }, name: file } in list {
        let Some(format) = *value else { continue };
        let ending = format!(".{}", format.extension());
        let (place, file) = match file {
            Some(Spanned { place, value: Some(file) }) => (*place, file.clone()),
            Some(Spanned { value: None, .. }) => continue,
            None => (*place, VersionText::new(&format!("{name}-"), &ending)),
        };
        super::declared::file_name(&file, place, &ending, problems);
        if !names.insert(file.to_string()) {
            let problem = Problem::new(place, format!("two archives have the name {}", quoted(&file.to_string())));
            problems.push(problem.help("give one of them another `name`"));
        }
        archives.push(Archive { format, name: file });
    }
    archives
}

fn proof(declared: OfflineProofDeclaration, problems: &mut Problems) -> Option<OfflineProof> {
    let OfflineProofDeclaration { build, test, poisoned } = declared;
    let build = command(&build, problems);
    let test = test.map(|test| command(&test, problems));
    for program in &poisoned {
        let Some(text) = &program.value else { continue };
        if text.is_empty() || text.contains('/') {
            let problem = Problem::new(program.place, format!("{} is not the name of a program", quoted(text)));
            problems.push(problem.expected("a name without a directory, such as `python3`"));
        }
    }
    let poisoned = poisoned.into_iter().filter_map(|program| program.value).collect();
    let test = match test {
        Some(test) => Some(test?),
        None => None,
    };
    Some(OfflineProof { build: build?, test, poisoned })
}
