//! Proofs of source packages: built in a clean chroot without a network, built again with variations, compared byte for byte,
//! installed and tested in a fresh chroot.
//!
//! sbuild builds in an empty network namespace. The build dependencies are installed when the chroot is created, so
//! nothing is downloaded after that.

mod builder;
mod chroot;
mod difference;
mod diffoscope;
mod log;
mod unvaried;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use builder::Builder;
pub use chroot::{Chroot, Chroots, Mirrors};
use log::{before_summary, failed_test, tail};

use super::checksums::FileChecksums;
use super::control::{self, Paragraph};
use super::series;
use super::unpacked_source::UnpackedSource;
use drydock_base::failure::Failure;
use drydock_base::variations::{Observed, Variation};
use drydock_config::release::deb::Distribution;

/// The inputs of a proof.
#[derive(Debug)]
pub struct ProofInputs<'a> {
    /// The source package, with its files next to it.
    pub dsc: &'a Path,
    /// The series that the package is for.
    pub series: &'a str,
    /// The distribution of the series.
    pub distribution: Distribution,
    /// The series to use if no chroot of `series` can be created.
    pub prove_on: Option<&'a str>,
    /// The user who builds.
    pub builder: &'a Builder,
    /// The chroots.
    pub chroots: &'a Chroots,
    /// The command that tests the installed packages; the package's own tests if `None`.
    pub smoke_test: Option<&'a [String]>,
    /// The directory for the packages and the logs.
    pub directory: &'a Path,
}

/// The result of a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// The name and version of the source package.
    pub source: String,
    /// [`identity`] of the source package.
    pub dsc: String,
    /// The series that the package is for.
    pub series: String,
    /// The series that the package was built on.
    pub proved_on: String,
    /// The reason why that is another series.
    pub substitute_reason: Option<String>,
    /// The date on which the chroot was created.
    pub chroot_date: String,
    /// The binary packages: SHA-256 checksums by name.
    pub packages: BTreeMap<String, String>,
    /// What the two builds saw differently, and what was the same.
    pub variations: Vec<Variation>,
    /// The differences between the two builds; empty if the package is reproducible.
    pub differences: Vec<String>,
    /// The summary lines of the tests of the installed packages.
    pub tests: Vec<String>,
    /// The duration in seconds.
    pub seconds: u64,
}

/// Builds a package twice, compares the builds, and tests the installed packages. `progress` gets a line before each step.
///
/// # Errors
/// A tool or permission is missing, or a build or test fails. The message has the end of the log and its path.
pub fn prove(inputs: &ProofInputs<'_>, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Proof> {
    let began = Instant::now();
    let shown = inputs.dsc.display();
    let text = fs::read_to_string(inputs.dsc).with_context(|| format!("cannot read {shown}"))?;
    let dsc = control::parse_one(&text).with_context(|| format!("cannot parse {shown}"))?;
    let field = |name: &str| dsc.line(name).ok_or_else(|| Failure::rejected(format!("{shown} has no {name}")));
    let source = format!("{} {}", field("Source")?, field("Version")?);
    let (series, substitute_reason) =
        available_series(inputs.series, inputs.distribution, inputs.prove_on, inputs.chroots)?;

    let dependencies = ["Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep"];
    let dependencies: Vec<String> = dependencies.iter().filter_map(|name| dsc.line(name)).collect();
    let chroot = inputs.chroots.for_build(&series, &dependencies, progress)?;
    fs::create_dir_all(inputs.directory).with_context(|| format!("cannot create {}", inputs.directory.display()))?;
    let scratch = inputs.builder.temporary_directory()?;
    let run = ProofRun {
        inputs,
        series: &series,
        dsc: copy_source(inputs.dsc, &dsc, scratch.path())?,
        scratch: scratch.path(),
    };
    chroot.link(&run.scratch.join(BUILD_CHROOT))?;

    progress(&format!("build {source} on {series}"));
    let (first, seen) = run.build(&Build { name: "first", is_varied: false })?;
    progress(&format!("build {source} on {series} again, with variations"));
    let (second, seen_again) = run.build(&Build { name: "second", is_varied: true })?;
    let has_rust = unvaried::needs_rust(&dependencies);
    let variations = seen.compare(&seen_again, |name| unvaried::why_not(name, has_rust));
    let seen = difference::Seen { first: &seen, second: &seen_again, variations: &variations };
    let mut differences = difference::differences(&first, &second, &seen);
    for (name, (path, _)) in &first {
        fs::copy(path, inputs.directory.join(name)).with_context(|| format!("cannot write {name}"))?;
    }
    let tests = if differences.is_empty() {
        progress(&format!("install {source} in a fresh {series} and test it"));
        run.test(&first, progress)?
    } else {
        // Kept next to the first build, for comparing.
        for (name, (path, _)) in &second {
            fs::copy(path, inputs.directory.join(format!("{name}.second")))
                .with_context(|| format!("cannot write {name}"))?;
        }
        differences.extend(compared(&first, &second, inputs.directory, progress)?);
        Vec::new()
    };
    Ok(Proof {
        source,
        dsc: identity(&dsc),
        series: inputs.series.to_owned(),
        proved_on: series,
        substitute_reason,
        chroot_date: chroot.date.clone(),
        packages: first.into_iter().map(|(name, (_, checksums))| (name, checksums.sha256)).collect(),
        variations,
        differences,
        tests,
        seconds: began.elapsed().as_secs(),
    })
}

/// Writes what diffoscope says of the packages that differ into the directory, which has both builds. Returns the lines that name
/// the reports.
fn compared(
    first: &Packages,
    second: &Packages,
    directory: &Path,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, (_, checksums)) in first {
        if second.get(name).is_none_or(|(_, other)| other.sha256 == checksums.sha256) {
            continue;
        }
        let (one, other) = (directory.join(name), directory.join(format!("{name}.second")));
        progress(&format!("compare both builds of {name}"));
        lines.push(match diffoscope::report(&one, &other) {
            Ok(Some(report)) => {
                let file = directory.join(format!("{name}.diffoscope.txt"));
                fs::write(&file, report).with_context(|| format!("cannot write {}", file.display()))?;
                format!("all differences of {name}, by diffoscope: {}", file.display())
            }
            Ok(None) => {
                let (one, other) = (one.display(), other.display());
                format!("all differences of {name}: install `diffoscope-minimal`, then `diffoscope {one} {other}`")
            }
            Err(error) => format!("diffoscope does not compare {name}: {error}"),
        });
    }
    Ok(lines)
}

/// The identity of a source package: the SHA-256 checksum of the fields of its `.dsc`, which a signature does not change.
pub fn identity(dsc: &Paragraph) -> String {
    FileChecksums::from_bytes("", dsc.text().as_bytes()).sha256
}

/// The series to build on, and the reason if it is not the requested one.
fn available_series(
    name: &str,
    distribution: Distribution,
    prove_on: Option<&str>,
    chroots: &Chroots,
) -> anyhow::Result<(String, Option<String>)> {
    let Some(reason) = chroots.unavailable(name, distribution) else { return Ok((name.to_owned(), None)) };
    let nearest = prove_on.map(str::to_owned).or_else(|| series::nearest_debian(name).filter(|near| near != name));
    let nearest = nearest.ok_or_else(|| {
        let text = format!("{name} is not available ({reason}), and there is no similar series; declare `prove-on`");
        Failure::missing(text)
    })?;
    Ok((nearest, Some(reason)))
}

/// Copies a source package to a directory that the builder can read. Returns the path of the copied `.dsc`.
fn copy_source(dsc: &Path, fields: &Paragraph, to: &Path) -> anyhow::Result<PathBuf> {
    let directory = dsc.parent().unwrap_or(Path::new("."));
    let name = dsc.file_name().context("the path of the source package is invalid")?;
    let listed = fields.lines("Files").filter_map(|line| line.split_whitespace().last()).map(PathBuf::from);
    for file in listed.chain([PathBuf::from(name)]) {
        let file = file.file_name().context("a file of the source package has an invalid name")?;
        fs::copy(directory.join(file), to.join(file))
            .with_context(|| format!("cannot copy {}", directory.join(file).display()))?;
    }
    Ok(to.join(name))
}

/// Files outside of the tree that an error lists.
const MOST_OUTSIDE: usize = 10;
/// The name of the tar file of the chroot for building, in the scratch directory.
const BUILD_CHROOT: &str = "chroot.tar";
/// The name of the tar file of the chroot for testing, in the scratch directory.
const TEST_CHROOT: &str = "minimal.tar";

/// The builds and tests of a proof.
struct ProofRun<'a> {
    inputs: &'a ProofInputs<'a>,
    /// The series to build on.
    series: &'a str,
    /// The `.dsc` in the scratch directory.
    dsc: PathBuf,
    scratch: &'a Path,
}

/// One of the two builds.
struct Build {
    /// The name of its directory and log.
    name: &'static str,
    is_varied: bool,
}

impl ProofRun<'_> {
    /// Builds the package. Returns the packages, and what the build saw of its surroundings.
    fn build(&self, build: &Build) -> anyhow::Result<(Packages, Observed)> {
        let show = |path: &Path| path.display().to_string();
        let out = self.scratch.join(build.name);
        self.inputs.builder.create_directory(&out)?;
        let sbuildrc = sbuildrc(build.is_varied, &self.inputs.builder.temporary());
        fs::write(out.join("sbuildrc"), sbuildrc).context("cannot write sbuild's configuration")?;
        let mut argv: Vec<String> =
            ["sbuild", "--chroot-mode=unshare", "--dist", self.series, "--chroot"].map(str::to_owned).to_vec();
        argv.extend([show(&self.scratch.join(BUILD_CHROOT)), "--build-dir".into(), show(&out)]);
        let options = if build.is_varied {
            ["--build-path=/build/a/longer/path-than", "-j2"]
        } else {
            ["--build-path=/build/first", "-j1"]
        };
        argv.extend(options.map(str::to_owned));
        argv.push(show(&self.dsc));
        let set = BTreeMap::from([("SBUILD_CONFIG".to_owned(), show(&out.join("sbuildrc")))]);
        let result = self.inputs.builder.run(&argv, &out, &set)?;
        // sbuild always writes its log next to the packages.
        let written = fs::read_dir(&out)
            .context("cannot read the build directory")?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "build") && path.is_file());
        let text = written.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let whole = format!("{text}\n{}", result.output);
        let log = self.write_log(build.name, &whole)?;
        if result.success {
            let after = |mark: &'static str| whole.lines().filter_map(move |line| line.strip_prefix(mark));
            let outside: Vec<&str> = after(chroot::OUTSIDE).take(MOST_OUTSIDE).collect();
            if !outside.is_empty() {
                let text = format!(
                    "{} leaves files outside of its tree: {}; the log is {}",
                    show(&self.dsc),
                    outside.join(", "),
                    log.display()
                );
                return Err(Failure::not_reproducible(text));
            }
            let observed = after(chroot::OBSERVED);
            let observed = Observed::parse(&observed.collect::<Vec<_>>().join("\n"));
            if observed.is_empty() {
                let text = format!("{} does not tell what the build saw of its surroundings", log.display());
                return Err(Failure::rejected(text));
            }
            return Ok((packages(&out)?, observed));
        }
        let tail = tail(&whole, before_summary(&whole));
        let text =
            format!("cannot build {} on {}; the log is {}\n  {tail}", show(&self.dsc), self.series, log.display());
        Err(Failure::rejected(text))
    }

    /// Installs the packages in a fresh chroot and runs their tests. Returns the summary lines of autopkgtest.
    fn test(&self, packages: &Packages, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Vec<String>> {
        let directory = self.scratch.join("tests");
        self.inputs.builder.create_directory(&directory)?;
        let source = UnpackedSource::new(&self.dsc)?;
        let has_tests = source.root().join("debian/tests/control").is_file();
        if self.inputs.smoke_test.is_none() && !has_tests {
            return Ok(Vec::new());
        }
        let chroot = self.inputs.chroots.minimal(self.series, progress)?;
        chroot.link(&self.scratch.join(TEST_CHROOT))?;
        // Tests may need any file of the source package.
        let tree = directory.join("src");
        let copy = ["cp", "--recursive", "--preserve=mode,timestamps,links"].map(str::to_owned).into_iter();
        let copy: Vec<String> = copy.chain([source.root(), &tree].map(|path| path.display().to_string())).collect();
        drydock_base::exec::read(&copy, &directory).context("cannot copy the source package for its tests")?;
        if let Some(command) = self.inputs.smoke_test {
            only_smoke_test(&tree, command)?;
        }
        self.inputs.builder.take_ownership(&directory)?;
        let show = |path: &Path| path.display().to_string();
        let mut argv: Vec<String> =
            vec!["autopkgtest".into(), format!("--summary-file={}", show(&directory.join("summary")))];
        argv.push("--no-built-binaries".into());
        argv.extend(packages.iter().filter(|(name, _)| !name.contains("-dbgsym_")).map(|(_, (path, _))| show(path)));
        argv.extend([format!("{}/", show(&directory.join("src"))), "--".into(), "unshare".into(), "--release".into()]);
        argv.extend([self.series.to_owned(), "--tarball".into(), show(&self.scratch.join(TEST_CHROOT))]);
        let result = self.inputs.builder.run(&argv, &directory, &BTreeMap::new())?;
        let log = self.write_log("tests", &result.output)?;
        let summary = fs::read_to_string(directory.join("summary")).unwrap_or_default();
        let lines: Vec<String> =
            summary.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        if result.success && lines.iter().any(|line| line.ends_with(" PASS")) {
            return Ok(lines);
        }
        let (series, shown) = (self.series, failed_test(&result.output));
        let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
        let text = format!("the packages fail their tests on {series}; the log is {}{lines}\n  {shown}", log.display());
        Err(Failure::rejected(text))
    }

    fn write_log(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let log = self.inputs.directory.join(format!("{}-{name}.log", self.series));
        fs::write(&log, text).with_context(|| format!("cannot write {}", log.display()))?;
        Ok(log)
    }
}

/// sbuild's configuration: the chroot is used unchanged, and unpacked in a directory that is removed even if sbuild is killed; a build
/// runs through the script that observes or varies. The chroot has the build dependencies, so apt need not look for them, which takes
/// longer than building a small package; dpkg-buildpackage checks that they are there.
fn sbuildrc(is_varied: bool, temporary: &Path) -> String {
    let mut text = String::from(
        "$verbose = 0;\n$nolog = 0;\n$log_filter = 0;\n$clean_source = 0;\n$apt_update = 0;\n$apt_upgrade = 0;\n\
         $apt_distupgrade = 0;\n$run_lintian = 0;\n$run_piuparts = 0;\n$run_autopkgtest = 0;\n$build_arch_all = 1;\n\
         $build_dep_resolver = 'null';\n",
    );
    let script = if is_varied { chroot::VARY } else { chroot::OBSERVE };
    let template = temporary.join("sbuild.XXXXXXXXXX").display().to_string();
    let template = template.replace('\\', "\\\\").replace('\'', "\\'");
    text.push_str(&format!("$build_env_cmnd = '{script}';\n$unshare_tmpdir_template = '{template}';\n1;\n"));
    text
}

/// Puts one command in the place of the tests of a source package.
fn only_smoke_test(tree: &Path, command: &[String]) -> anyhow::Result<()> {
    let tests = tree.join("debian/tests");
    match fs::remove_dir_all(&tests) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", tests.display()));
        }
        Ok(()) | Err(_) => fs::create_dir(&tests).context("cannot create a directory")?,
    }
    let command = drydock_base::exec::paste(command);
    let control = format!("Test-Command: {command}\nDepends: @\nRestrictions: allow-stderr\n");
    fs::write(tests.join("control"), control).context("cannot write debian/tests/control")
}

/// Binary packages by file name, with their paths and checksums.
type Packages = BTreeMap<String, (PathBuf, FileChecksums)>;

fn packages(directory: &Path) -> anyhow::Result<Packages> {
    let mut packages = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default();
        if ["deb", "ddeb", "udeb"].iter().any(|wanted| extension == *wanted) {
            let checksums = FileChecksums::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            packages.insert(checksums.name.clone(), (path, checksums));
        }
    }
    if packages.is_empty() {
        return Err(Failure::rejected(format!("the build made no packages in {}", directory.display())));
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_series_is_replaced_with_a_reason() {
        let nowhere = "http://127.0.0.1:1".to_owned();
        let mirrors = Mirrors { debian: nowhere.clone(), ubuntu: nowhere };
        let network = crate::network::Network::default();
        let chroots = Chroots { directory: PathBuf::new(), mirrors, today: "2026-06-01".into(), network };
        let on = |name: &str, distribution, prove_on| available_series(name, distribution, prove_on, &chroots);
        let (nearest, why) = on("noble", Distribution::Ubuntu, None).unwrap();
        assert_eq!(nearest, "bookworm");
        let why = why.unwrap();
        assert!(why.contains("cannot be reached") || why.contains("keys of its archive are not installed"), "{why}");
        assert_eq!(on("noble", Distribution::Ubuntu, Some("trixie")).unwrap().0, "trixie");
        // A series of Debian is not replaced by another.
        assert!(on("bookworm", Distribution::Debian, None).unwrap_err().to_string().contains("declare `prove-on`"));
    }
}
