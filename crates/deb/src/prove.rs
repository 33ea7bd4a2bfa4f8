//! Proving source packages: built in a clean chroot without a network, twice in different surroundings, compared byte for
//! byte, installed and tried in a fresh chroot.
//!
//! sbuild takes the network away while it builds: an unprivileged user's network namespace with nothing in it. The build
//! dependencies are in the chroot already, so nothing is fetched at all after that was made.

mod builder;
mod chroot;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use builder::Builder;
pub use chroot::{Chroot, Chroots, Mirrors};

use super::control::{self, Paragraph};
use super::sums::Sums;
use super::{series, unpacked};
use drydock_base::failure::Failure;
use drydock_config::release::deb::Distribution;

/// What is proved, and where.
#[derive(Debug)]
pub struct Request<'a> {
    /// The source package; its files stand beside it.
    pub dsc: &'a Path,
    /// The series that it is for.
    pub series: &'a str,
    /// Whose series it is.
    pub distribution: Distribution,
    /// The series that stands in when it cannot be had.
    pub prove_on: Option<&'a str>,
    /// Who builds.
    pub builder: &'a Builder,
    /// Clean chroots.
    pub chroots: &'a Chroots,
    /// The command that tries the installed packages; without one, the package's own tests.
    pub smoke_test: Option<&'a [String]>,
    /// The directory that gets the packages and the logs.
    pub directory: &'a Path,
}

/// What was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// The source package.
    pub source: String,
    /// The sum of what its `.dsc` says, with a signature or without.
    pub dsc: String,
    /// The series that it is for.
    pub series: String,
    /// The series that it was proved on.
    pub proved_on: String,
    /// Why it was another one.
    pub instead: Option<String>,
    /// The day on which the chroot was made.
    pub chroot: String,
    /// The packages with their sums.
    pub packages: BTreeMap<String, String>,
    /// What the second build varied.
    pub varied: Vec<String>,
    /// What differs between the two builds; nothing when it is proved.
    pub differing: Vec<String>,
    /// How the packages were tried, and what came of it.
    pub tried: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: u64,
}

/// What the second build varies; the script in the chroot does it.
const VARIED: [&str; 7] = [
    "build directory",
    "umask",
    "time zone",
    "locale",
    "home and user name",
    "width of the terminal",
    "jobs at a time",
];

/// Builds twice, compares, tries. `watch` hears what is about to be done.
///
/// # Errors
/// A tool or permission is missing, the build or a try fails: with the end of its log and where the whole log is.
pub fn prove(request: &Request<'_>, watch: &mut dyn FnMut(&str)) -> anyhow::Result<Proof> {
    let began = Instant::now();
    let text = fs::read_to_string(request.dsc).with_context(|| format!("cannot read {}", request.dsc.display()))?;
    let dsc = control::parse_one(&text).map_err(|why| anyhow::anyhow!("{}: {why}", request.dsc.display()))?;
    let field = |name: &str| dsc.line(name).with_context(|| format!("{} has no {name}", request.dsc.display()));
    let source = format!("{} {}", field("Source")?, field("Version")?);
    let (series, instead) = proved_on(request.series, request.distribution, request.prove_on, request.chroots)?;

    let needs = ["Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep"];
    let needs: Vec<String> = needs.iter().filter_map(|name| dsc.line(name)).collect();
    let chroot = request.chroots.with(&series, &needs, watch)?;
    fs::create_dir_all(request.directory).with_context(|| format!("cannot make {}", request.directory.display()))?;
    let place = request.builder.place()?;
    let inputs = copy_source(request.dsc, &dsc, place.path())?;
    chroot.link(&place.path().join("chroot.tar"))?;

    let mut built = Vec::new();
    for (twin, name) in [(false, "first"), (true, "second")] {
        watch(&format!("build {source} on {series}, the {name} time"));
        let out = place.path().join(name);
        request.builder.make(&out)?;
        fs::write(out.join("sbuildrc"), sbuildrc(twin)).context("cannot write sbuild's settings")?;
        let log = request.directory.join(format!("{series}-{name}.log"));
        sbuild(request, &series, &inputs, &place.path().join("chroot.tar"), &out, twin, &log)?;
        built.push(packages(&out)?);
    }
    let (first, second) = (&built[0], &built[1]);
    let differing = differences(first, second);
    let mut packages_kept = BTreeMap::new();
    for (name, (path, sums)) in first {
        fs::copy(path, request.directory.join(name)).with_context(|| format!("cannot write {name}"))?;
        packages_kept.insert(name.clone(), sums.sha256.clone());
    }
    for (name, (path, _)) in second.iter().filter(|_| !differing.is_empty()) {
        // Kept beside the first, for looking at.
        fs::copy(path, request.directory.join(format!("{name}.second")))
            .with_context(|| format!("cannot write {name}"))?;
    }
    let tried = if differing.is_empty() {
        watch(&format!("install {source} in a fresh {series} and try it"));
        tried(request, &series, &inputs, first, place.path(), watch)?
    } else {
        Vec::new()
    };
    Ok(Proof {
        source,
        dsc: identity(&dsc),
        series: request.series.to_owned(),
        proved_on: series,
        instead,
        chroot: chroot.day.clone(),
        packages: packages_kept,
        varied: VARIED.map(str::to_owned).to_vec(),
        differing,
        tried,
        seconds: began.elapsed().as_secs(),
    })
}

/// What tells a source package from others: the sum of what its `.dsc` says, with a signature or without.
pub fn identity(dsc: &Paragraph) -> String {
    Sums::of("", dsc.text().as_bytes()).sha256
}

/// The series that the proof is made on, and why when it is not the wanted one.
fn proved_on(
    name: &str,
    distribution: Distribution,
    prove_on: Option<&str>,
    chroots: &Chroots,
) -> anyhow::Result<(String, Option<String>)> {
    let Some(why) = chroots.lacks(name, distribution) else { return Ok((name.to_owned(), None)) };
    let nearest = prove_on.map(str::to_owned).or_else(|| series::nearest_debian(name).filter(|near| near != name));
    let nearest = nearest.ok_or_else(|| {
        let text = format!("{name} cannot be had ({why}), and no series near to it is known");
        Failure::missing(format!("{text}; declare `prove-on`"))
    })?;
    Ok((nearest, Some(why)))
}

/// Copies a source package to where the builder reads it; the path of its `.dsc` there.
fn copy_source(dsc: &Path, fields: &Paragraph, place: &Path) -> anyhow::Result<PathBuf> {
    let directory = dsc.parent().unwrap_or(Path::new("."));
    let name = dsc.file_name().context("the source package has no name")?;
    let listed = fields.lines("Files").filter_map(|line| line.split_whitespace().last()).map(PathBuf::from);
    for file in listed.chain([PathBuf::from(name)]) {
        let file = file.file_name().context("a file of the source package has no name")?;
        fs::copy(directory.join(file), place.join(file))
            .with_context(|| format!("cannot copy {}", directory.join(file).display()))?;
    }
    Ok(place.join(name))
}

/// sbuild's settings: the chroot stays as it is, and the second build goes through the twin's script.
fn sbuildrc(twin: bool) -> String {
    let mut text = String::from(
        "$verbose = 0;\n$nolog = 0;\n$clean_source = 0;\n$apt_update = 0;\n$apt_upgrade = 0;\n\
         $apt_distupgrade = 0;\n$run_lintian = 0;\n$run_piuparts = 0;\n$run_autopkgtest = 0;\n$build_arch_all = 1;\n",
    );
    if twin {
        text.push_str(&format!("$build_env_cmnd = '{}';\n", chroot::TWIN));
    }
    text + "1;\n"
}

fn sbuild(
    request: &Request<'_>,
    series: &str,
    dsc: &Path,
    chroot: &Path,
    out: &Path,
    twin: bool,
    log: &Path,
) -> anyhow::Result<()> {
    let show = |path: &Path| path.display().to_string();
    let mut argv: Vec<String> =
        ["sbuild", "--chroot-mode=unshare", "--dist", series, "--chroot"].map(str::to_owned).to_vec();
    argv.extend([show(chroot), "--build-dir".into(), show(out)]);
    if twin {
        argv.extend(["--build-path=/build/a/longer/path-than".to_owned(), "-j2".to_owned()]);
    } else {
        argv.extend(["--build-path=/build/first".to_owned(), "-j1".to_owned()]);
    }
    argv.push(show(dsc));
    let set = BTreeMap::from([("SBUILD_CONFIG".to_owned(), show(&out.join("sbuildrc")))]);
    let ended = request.builder.run(&argv, out, &set)?;
    // sbuild writes its log beside the packages, whatever it prints.
    let written = fs::read_dir(out)
        .context("cannot read the build's directory")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "build") && path.is_file());
    let text = written.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let whole = format!("{text}\n{}", ended.output);
    fs::write(log, &whole).with_context(|| format!("cannot write {}", log.display()))?;
    if ended.success {
        return Ok(());
    }
    let lines: Vec<&str> = whole.lines().collect();
    // What went wrong stands before sbuild's summary.
    let end =
        lines.iter().position(|line| line.starts_with("dpkg-buildpackage: error")).map_or(lines.len(), |at| at + 1);
    let tail = lines[end.saturating_sub(30)..end].join("\n  ");
    let text = format!("{} does not build on {series}; the log is {}\n  {tail}", show(dsc), log.display());
    Err(Failure::rejected(text))
}

/// The binary packages in a directory, with their sums.
type Packages = BTreeMap<String, (PathBuf, Sums)>;

fn packages(directory: &Path) -> anyhow::Result<Packages> {
    let mut packages = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let ending = path.extension().unwrap_or_default();
        if ["deb", "ddeb", "udeb"].iter().any(|wanted| ending == *wanted) {
            let sums = Sums::of_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
            packages.insert(sums.name.clone(), (path, sums));
        }
    }
    if packages.is_empty() {
        return Err(Failure::rejected(format!("the build left no package in {}", directory.display())));
    }
    Ok(packages)
}

fn differences(first: &Packages, second: &Packages) -> Vec<String> {
    let mut differing = Vec::new();
    for (name, (path, sums)) in first {
        match second.get(name) {
            None => differing.push(format!("{name} was built only once")),
            Some((_, other)) if other.sha256 == sums.sha256 => {}
            Some((other, _)) => {
                let at = first_difference(path, other).map_or_else(String::new, |at| format!(", first at byte {at}"));
                differing.push(format!("{name} has other bytes the second time{at}; `diffoscope` shows what"));
            }
        }
    }
    let new = second.keys().filter(|name| !first.contains_key(*name));
    differing.extend(new.map(|name| format!("{name} was built only the second time")));
    differing
}

fn first_difference(one: &Path, other: &Path) -> Option<usize> {
    let (one, other) = (fs::read(one).ok()?, fs::read(other).ok()?);
    Some(one.iter().zip(&other).take_while(|(a, b)| a == b).count())
}

/// Installs the packages in a fresh chroot and runs their tests.
fn tried(
    request: &Request<'_>,
    series: &str,
    dsc: &Path,
    packages: &Packages,
    place: &Path,
    watch: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<String>> {
    let plain = request.chroots.plain(series, watch)?;
    plain.link(&place.join("plain.tar"))?;
    let directory = place.join("tests");
    request.builder.make(&directory)?;
    let source = unpacked::unpack(dsc)?;
    let root = source.root();
    let mut wanted = vec![("control".to_owned(), fs::read(root.join("debian/control")).context("no debian/control")?)];
    wanted.push(("changelog".into(), fs::read(root.join("debian/changelog")).context("no debian/changelog")?));
    let tests = root.join("debian/tests");
    match request.smoke_test {
        Some(command) => {
            let control = format!(
                "Test-Command: {}\nDepends: @\nRestrictions: allow-stderr\n",
                drydock_base::exec::paste(command)
            );
            wanted.push(("tests/control".into(), control.into_bytes()));
        }
        None if tests.join("control").is_file() => {
            for entry in fs::read_dir(&tests).context("cannot read the tests")? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_file() {
                    wanted.push((format!("tests/{name}"), fs::read(&path).context("cannot read a test")?));
                }
            }
        }
        None => return Ok(Vec::new()),
    }
    for (path, content) in wanted {
        let path = directory.join("src/debian").join(path);
        fs::create_dir_all(path.parent().unwrap_or(&directory)).context("cannot make a directory")?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    request.builder.give(&directory)?;
    let show = |path: &Path| path.display().to_string();
    let mut argv: Vec<String> =
        vec!["autopkgtest".into(), format!("--summary-file={}", show(&directory.join("summary")))];
    argv.push("--no-built-binaries".into());
    argv.extend(packages.iter().filter(|(name, _)| !name.contains("-dbgsym_")).map(|(_, (path, _))| show(path)));
    argv.extend([format!("{}/", show(&directory.join("src"))), "--".into(), "unshare".into(), "--release".into()]);
    argv.extend([series.to_owned(), "--tarball".into(), show(&place.join("plain.tar"))]);
    let ended = request.builder.run(&argv, &directory, &BTreeMap::new())?;
    let log = request.directory.join(format!("{series}-tests.log"));
    fs::write(&log, &ended.output).with_context(|| format!("cannot write {}", log.display()))?;
    let summary = fs::read_to_string(directory.join("summary")).unwrap_or_default();
    let lines: Vec<String> =
        summary.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let passed = lines.iter().any(|line| line.ends_with(" PASS"));
    if ended.success && passed {
        return Ok(lines);
    }
    let all: Vec<&str> = ended.output.lines().collect();
    let tail = all[all.len().saturating_sub(30)..].join("\n  ");
    let text = format!("the packages do not pass their tests on {series}; the log is {}\n  {tail}", log.display());
    Err(Failure::rejected(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_that_cannot_be_had_has_a_stand_in_with_a_reason() {
        let nowhere = "http://127.0.0.1:1".to_owned();
        let mirrors = Mirrors { debian: nowhere.clone(), ubuntu: nowhere };
        let chroots = Chroots { directory: PathBuf::new(), mirrors, today: "2026-06-01".into() };
        let on = |name: &str, distribution, prove_on| proved_on(name, distribution, prove_on, &chroots);
        let (nearest, why) = on("noble", Distribution::Ubuntu, None).unwrap();
        assert_eq!(nearest, "bookworm");
        let why = why.unwrap();
        assert!(why.contains("cannot be reached") || why.contains("keys of its archive are missing"), "{why}");
        assert_eq!(on("noble", Distribution::Ubuntu, Some("trixie")).unwrap().0, "trixie");
        // No other series of Debian stands in for one of its own.
        assert!(on("bookworm", Distribution::Debian, None).unwrap_err().to_string().contains("declare `prove-on`"));
    }

    #[test]
    fn what_differs_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let of = |run: &str, files: &[(&str, &str)]| -> Packages {
            fs::create_dir(directory.path().join(run)).unwrap();
            for (name, content) in files {
                fs::write(directory.path().join(run).join(name), content).unwrap();
            }
            packages(&directory.path().join(run)).unwrap()
        };
        let first = of("1", &[("a.deb", "same"), ("b.deb", "abc"), ("c.deb", "x"), ("build.log", "1")]);
        let second = of("2", &[("a.deb", "same"), ("b.deb", "abd"), ("d.deb", "x"), ("build.log", "2")]);
        assert_eq!(
            differences(&first, &second),
            [
                "b.deb has other bytes the second time, first at byte 2; `diffoscope` shows what",
                "c.deb was built only once",
                "d.deb was built only the second time"
            ]
        );
        assert!(differences(&first, &first).is_empty());
        fs::create_dir(directory.path().join("3")).unwrap();
        assert!(packages(&directory.path().join("3")).is_err());
    }
}
