//! The varied rebuild: the release is built again in an environment where everything that must not matter is different.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::RebuildProof;
use crate::manifest::{ArtifactKind, Manifest, NAME};
use crate::sbom;
use crate::verify;
use drydock_archive::difference::Pair;
use drydock_archive::read::Limits;
use drydock_archive::source::SourceTree;
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_base::variations::{Observed, UMASK, Variations};
use drydock_config::release::NightlyVersion;

/// Environment variables with options of programs that write archives.
const OPTIONS: [(&str, &str); 8] = [
    ("TAR_OPTIONS", "--owner=varied:4242 --mtime=@1 --mode=go-rwx"),
    ("XZ_OPT", "-0 --threads=1"),
    ("XZ_DEFAULTS", "--memlimit-compress=32MiB --block-size=1MiB"),
    ("GZIP", "-1"),
    ("BZIP2", "-1"),
    ("BZIP", "-1"),
    ("ZIPOPT", "-0"),
    ("SOURCE_DATE_EPOCH", "1"),
];
/// Settings of git.
const GIT: [(&str, &str); 6] = [
    ("tar.umask", "0077"),
    ("core.autocrlf", "true"),
    ("core.eol", "crlf"),
    ("core.abbrev", "4"),
    ("core.quotePath", "true"),
    ("core.fileMode", "false"),
];

/// The release to rebuild.
#[derive(Debug)]
pub struct Request<'a> {
    /// The directory of the project.
    pub project: &'a Path,
    /// The sources of the release.
    pub tree: &'a SourceTree,
    /// The manifest of the first build.
    pub manifest: &'a Manifest,
    /// The directory with the artifacts of the first build.
    pub directory: &'a Path,
    /// The directory with the declarations, if it is not that of the project.
    pub config: Option<&'a Path>,
    /// The number of threads of the first build.
    pub threads: u32,
    /// The cache with the files of distributions, which is shared; none if the first build left binary tarballs out.
    pub bases: Option<&'a Path>,
}

/// Rebuilds the release in a varied environment, and compares the artifacts.
///
/// # Errors
/// The release cannot be rebuilt, or an artifact differs; the error names the first difference and its likely cause.
pub fn prove(request: &Request<'_>, watch: &mut dyn FnMut(&str)) -> anyhow::Result<RebuildProof> {
    let varied = Variations::probe();
    let directory = Scratch::new("rebuild-under-another-name")?;
    let at = |name: &str| directory.path().join(name);
    let (project, home, program) = (at("in a/deeper directory/project"), at("home"), at("xtask"));
    fs::create_dir_all(&project).and_then(|()| fs::create_dir(&home)).context("cannot create a temporary directory")?;
    fs::copy("/proc/self/exe", &program).context("cannot copy this program")?;
    for source in request.tree.repositories.iter().rev() {
        copy_repository(source, request, &project)?;
    }
    write_git_settings(&home.join(".gitconfig"))?;
    if request.config.is_none() {
        // The declaration is read from the commit; the file only marks the project.
        fs::create_dir_all(project.join("packaging")).context("cannot create a temporary directory")?;
        fs::write(project.join("packaging/release.yaml"), "# read from the commit\n").context("cannot write")?;
    }

    let threads = if request.threads == 1 { 3 } else { 1 };
    let mut argv = vec![program.display().to_string()];
    let config = request.config.unwrap_or(&project);
    for (option, value) in [("--project", &*project), ("--config", config), ("--state", &at("state"))] {
        argv.extend([option.to_owned(), value.display().to_string()]);
    }
    let observed = at("observed.json");
    let build = ["release", "build", "--umask", UMASK, "--observe", &observed.display().to_string()];
    argv.extend(build.map(str::to_owned));
    argv.extend(["--commit", &request.manifest.commit, "--threads"].map(str::to_owned));
    argv.push(threads.to_string());
    match request.bases {
        Some(bases) => argv.extend(["--bases".to_owned(), bases.display().to_string()]),
        None => argv.push("--sources-only".to_owned()),
    }
    let version = &request.manifest.version;
    let is_nightly = version.parse().is_ok_and(|version| NightlyVersion::parse(&version).is_some());
    match &request.manifest.tag {
        Some(tag) => argv.extend(["--tag".to_owned(), tag.name.clone()]),
        None if is_nightly => argv.extend(["--nightly".to_owned(), version.clone()]),
        // Its clone has no tags.
        None => argv.push(format!("--untagged={version}")),
    }
    watch("varied rebuild: the release is built again in another environment");
    let environment = environment(varied.variables(&home).context("cannot write to a temporary directory")?);
    exec::contained(&varied.command(&argv), &project, environment).map_err(|error| {
        let error = error.shown_as(["drydock", "release", "build"]);
        Failure::not_reproducible(format!("cannot rebuild the release in a varied environment: {error}"))
    })?;
    compare(request, &at("state/dist").join(version))?;

    let first = observe(request.project, request.threads)?;
    let second = fs::read_to_string(&observed).context("cannot read what the varied rebuild saw")?;
    let second: Observed = serde_json::from_str(&second).context("cannot read what the varied rebuild saw")?;
    Ok(RebuildProof {
        identical: request.manifest.artifacts.iter().map(|artifact| artifact.name.clone()).collect(),
        variations: varied.compare(&first, &second),
    })
}

/// What this process sees of its surroundings while it builds a release in a directory with a number of threads.
///
/// # Errors
/// No shell can be started.
pub fn observe(directory: &Path, threads: u32) -> anyhow::Result<Observed> {
    let settings: Vec<&str> = OPTIONS.iter().chain(&GIT).map(|(name, _)| *name).collect();
    let mut observed = Observed::here(directory, &settings).context("cannot start sh")?;
    observed.insert("threads of xz", threads.to_string());
    let is_shallow = directory.join(".git/shallow").is_file();
    observed
        .insert("clone", if is_shallow { "only the commit, without a work tree" } else { "a whole one" }.to_owned());
    Ok(observed)
}

/// The environment of the rebuild, with misleading options for other programs.
fn environment(mut set: BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
    set.extend(OPTIONS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    set.insert("GIT_CONFIG_COUNT".into(), GIT.len().to_string());
    for (index, (key, value)) in GIT.iter().enumerate() {
        set.insert(format!("GIT_CONFIG_KEY_{index}"), (*key).to_owned());
        set.insert(format!("GIT_CONFIG_VALUE_{index}"), (*value).to_owned());
    }
    exec::environment(&[], &set)
}

/// Fails unless all artifacts of the rebuild, and its manifest, are the same.
fn compare(request: &Request<'_>, theirs: &Path) -> anyhow::Result<()> {
    let manifest = Manifest::load(&theirs.join(NAME))?;
    let mut problems = Vec::new();
    for (artifact, format, path) in request.manifest.files(request.directory) {
        let other = theirs.join(&artifact.name);
        let pair = Pair { expected: &path, found: &other, format, limits: Limits::UNKNOWN };
        let difference = pair.first_difference().with_context(|| format!("cannot compare {}", artifact.name))?;
        if let Some(difference) = difference {
            problems.push(format!("{}: {}", artifact.name, verify::with_origin(&difference, request.manifest)));
        }
    }
    for artifact in request.manifest.artifacts.iter().filter(|one| sbom::is_document(&one.name)) {
        let difference = sbom::first_difference(&request.directory.join(&artifact.name), &theirs.join(&artifact.name));
        problems.extend(difference.map(|difference| format!("{}: {difference}", artifact.name)));
    }
    for artifact in request.manifest.artifacts.iter().filter(|one| one.kind == Some(ArtifactKind::SourceRpm)) {
        let other = Checksum::from_file(&theirs.join(&artifact.name));
        if !other.is_ok_and(|other| other == (artifact.sha256, artifact.size)) {
            problems.push(format!("{}: other bytes", artifact.name));
        }
    }
    if !problems.is_empty() {
        let list = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
        return Err(Failure::not_reproducible(format!("the varied rebuild produced other bytes:{list}")));
    }
    if manifest != *request.manifest {
        return Err(Failure::not_reproducible(
            "the varied rebuild produced the same archives but another release.json",
        ));
    }
    Ok(())
}

/// Copies one commit of a repository, with its tag, to a shallow repository that has only the objects of the commit.
fn copy_repository(
    source: &drydock_archive::source::SourceRepository,
    request: &Request<'_>,
    project: &Path,
) -> anyhow::Result<()> {
    let target = git_dir(source, request.tree, project);
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    let format = format!("--object-format={}", if source.commit.as_str().len() == 64 { "sha256" } else { "sha1" });
    let git = |directory: &Path, words: &[&str]| -> anyhow::Result<Vec<u8>> {
        let set = BTreeMap::from(
            [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")].map(|(a, b)| (a.into(), b.into())),
        );
        let argv: Vec<String> =
            ["git", "-c", "safe.directory=*"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        Ok(exec::bytes(&argv, directory, exec::environment(&[], &set))?)
    };
    git(&target, &["init", "--quiet", "--bare", "--template=", &format, "."])?;
    let tag = request.manifest.tag.as_ref().filter(|_| source.prefix.is_empty());
    let wanted: Vec<&str> =
        [Some(source.commit.as_str()), tag.map(|tag| tag.object.as_str())].into_iter().flatten().collect();
    let objects = source
        .repository
        .ask_bytes(&[&["rev-list", "--objects", "--no-object-names", "--no-walk"], wanted.as_slice()].concat())?;
    let mut list = objects;
    wanted.iter().for_each(|oid| list.extend(format!("{oid}\n").bytes()));
    let names = target.join("drydock-objects");
    fs::write(&names, list).context("cannot write a list of objects")?;
    let pack =
        source.repository.command(&["pack-objects", "--quiet", "--stdout"]).stdin_path(&names).stderr_null().pipe(
            duct::cmd("git", ["index-pack", "--stdin"])
                .dir(&target)
                .full_env(exec::environment(&[], &BTreeMap::new()))
                .stdout_null()
                .stderr_null(),
        );
    pack.run().with_context(|| format!("cannot copy the commit {}", source.commit))?;
    fs::remove_file(names).context("cannot remove a temporary file")?;
    fs::write(target.join("shallow"), format!("{}\n", source.commit)).context("cannot write")?;
    git(&target, &["update-ref", "--no-deref", "HEAD", source.commit.as_str()])?;
    if let Some(tag) = tag {
        git(&target, &["update-ref", &format!("refs/tags/{}", tag.name), &tag.object])?;
    }
    git(&target, &["config", "core.bare", "false"])?;
    for (key, value) in GIT {
        git(&target, &["config", key, value])?;
    }
    fs::create_dir_all(target.join("info")).context("cannot write")?;
    fs::write(target.join("info/attributes"), "* text=auto eol=crlf ident export-subst\n").context("cannot write")
}

/// The git directory of a repository; that of a submodule is `modules/NAME` in that of its parent.
fn git_dir(source: &drydock_archive::source::SourceRepository, tree: &SourceTree, project: &Path) -> PathBuf {
    if source.prefix.is_empty() {
        return project.join(".git");
    }
    let parents = tree
        .repositories
        .iter()
        .filter(|other| other.prefix != source.prefix && source.prefix.starts_with(&other.prefix));
    let parent = parents.max_by_key(|other| other.prefix.len());
    parent
        .map_or_else(|| project.join(".git"), |parent| git_dir(parent, tree, project))
        .join("modules")
        .join(&source.name)
}

fn write_git_settings(path: &Path) -> anyhow::Result<()> {
    let line = |(key, value): &(&str, &str)| {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        format!("[{section}]\n\t{name} = {value}\n")
    };
    fs::write(path, GIT.iter().map(line).collect::<String>())
        .with_context(|| format!("cannot write {}", path.display()))
}
