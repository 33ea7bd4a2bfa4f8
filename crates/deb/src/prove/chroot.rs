//! Clean chroots, created by mmdebstrap and kept for some days.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::civil::Date;

use crate::checksums::FileChecksums;
use crate::network::Network;
use crate::relation;
use crate::series;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::mmdebstrap;
use drydock_base::variations::Observed;
use drydock_config::release::deb::Distribution;
use drydock_http::RetryPolicy;

/// The script in every chroot that runs a build, after it printed what the build sees of its surroundings.
pub(super) const OBSERVE: &str = "/usr/local/bin/drydock-observe";
/// The script in every chroot that does the same in a varied environment.
pub(super) const VARY: &str = "/usr/local/bin/drydock-vary";
/// The beginning of each line that [`OBSERVE`] prints.
pub(super) const OBSERVED: &str = "drydock-observed: ";
/// The beginning of each line of [`OBSERVE`] with a file that the build left outside of its tree.
pub(super) const OUTSIDE: &str = "drydock-outside: ";
/// The content of [`OBSERVE`]. sbuild gives the number of jobs as an option of dpkg-buildpackage, and dpkg writes its results
/// beside the tree. Any program may leave something in the directories for temporary files.
const OBSERVE_SCRIPT: &str = r#"#!/bin/sh
(
set -- COLUMNS
SCRIPT) | sed 's/^/OBSERVED/'
for word; do
    case $word in -j*) printf 'OBSERVEDnumber of jobs\t%s\n' "${word#-j}" ;; esac
done
mark=$(mktemp) || exit
"$@"
code=$?
find / -xdev \( -path "$PWD" -o -path /tmp -o -path /var/tmp \) -prune -o ! -type d -cnewer "$mark" -print |
    grep -v -E "^${PWD%/*}/[^/]*\.(deb|udeb|buildinfo|changes)\$" | sed 's/^/OUTSIDE/'
rm -f "$mark"
exit $code
"#;
/// What [`VARY`] changes.
const VARIED: &str = "umask 0002
export TZ=XTW-13:45 LC_ALL=C LANG=C USER=varied LOGNAME=varied HOME=/varied COLUMNS=41
";

/// The number of days for which a chroot is reused.
const MAX_AGE: i32 = 7;

/// The URLs of the archives that chroots are created from.
#[derive(Debug, Clone)]
pub struct Mirrors {
    /// The mirror of Debian.
    pub debian: String,
    /// The mirror of Ubuntu.
    pub ubuntu: String,
}

/// A directory of chroots.
#[derive(Debug, Clone)]
pub struct Chroots {
    /// The directory.
    pub directory: PathBuf,
    /// The mirrors of the distributions.
    pub mirrors: Mirrors,
    /// Today's date in UTC, `2026-06-01`.
    pub today: String,
    /// The network settings for finding out what a mirror has.
    pub network: Network,
}

/// A chroot as a tar file.
#[derive(Debug, Clone)]
pub struct Chroot {
    /// The path of the file.
    pub file: PathBuf,
    /// The date of its creation, `2026-06-01`.
    pub date: String,
}

impl Chroot {
    /// Links the file to another path, or copies it across file systems.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn link(&self, to: &Path) -> anyhow::Result<()> {
        fs::hard_link(&self.file, to)
            .or_else(|_| fs::copy(&self.file, to).map(|_| ()))
            .with_context(|| format!("cannot write {}", to.display()))
    }
}

impl Chroots {
    /// A chroot with build dependencies installed.
    ///
    /// # Errors
    /// mmdebstrap is missing or fails, or the dependencies cannot be installed.
    pub fn for_build(
        &self,
        series: &str,
        dependencies: &[String],
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Chroot> {
        let mut hooks = Vec::new();
        for relations in dependencies {
            // What parses has no characters that are special inside single quotes.
            relation::parse_source(relations)
                .map_err(|error| Failure::declaration(format!("invalid build dependencies: {error}")))?;
            let apt = "DEBIAN_FRONTEND=noninteractive chroot \"$1\" apt-get --yes --no-install-recommends satisfy";
            hooks.push(format!("{apt} '{}'", relations.replace('\'', "")));
        }
        let observe = OBSERVE_SCRIPT
            .replace("SCRIPT", Observed::script())
            .replace("OBSERVED", OBSERVED)
            .replace("OUTSIDE", OUTSIDE);
        let vary = format!("#!/bin/sh\n{VARIED}exec {OBSERVE} \"$@\"\n");
        for (path, script) in [(OBSERVE, observe), (VARY, vary)] {
            let script = script.replace('\'', "'\\''");
            hooks.push(format!("printf %s '{script}' >\"$1{path}\"; chmod 755 \"$1{path}\""));
        }
        let options = ["--variant=buildd".to_owned(), "--include=fakeroot".to_owned()];
        self.chroot(series, "build", &options, &hooks, progress)
    }

    /// A minimal chroot, for installing packages.
    ///
    /// # Errors
    /// mmdebstrap is missing or fails.
    pub fn minimal(&self, series: &str, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Chroot> {
        // apt keeps its lists of packages, so that it finds what a package depends on.
        let options = ["--variant=minbase".to_owned(), "--skip=cleanup/apt/lists".to_owned()];
        self.chroot(series, "minimal", &options, &[], progress)
    }

    fn chroot(
        &self,
        series: &str,
        kind: &str,
        options: &[String],
        hooks: &[String],
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Chroot> {
        let mirror = self.mirror(distribution_of(series));
        let key = FileChecksums::from_bytes("", format!("{options:?}{hooks:?}{mirror}").as_bytes()).sha256;
        let (start, end) = (format!("{series}-{kind}-{}-", &key[..12]), ".tar");
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot create {}", self.directory.display()))?;
        // Whoever needs the same one at the same time waits for it.
        let _lock = self.lock(&start).with_context(|| format!("cannot write to {}", self.directory.display()))?;
        let mut existing: Vec<Chroot> = fs::read_dir(&self.directory)
            .with_context(|| format!("cannot read {}", self.directory.display()))?
            .filter_map(|entry| {
                let file = entry.ok()?.path();
                let name = file.file_name()?.to_str()?.to_owned();
                let date = name.strip_prefix(&start)?.strip_suffix(end)?.to_owned();
                Some(Chroot { file, date })
            })
            .collect();
        existing.sort_by(|a, b| a.date.cmp(&b.date));
        let age = |chroot: &Chroot| days_between(&chroot.date, &self.today);
        let is_fresh = |chroot: &&Chroot| age(chroot).is_some_and(|days| (0..=MAX_AGE).contains(&days));
        if let Some(newest) = existing.last().filter(is_fresh) {
            return Ok(newest.clone());
        }
        progress(&format!("create a chroot of {series} ({kind})"));
        let part = tempfile::Builder::new().prefix(".part-").suffix(end).tempfile_in(&self.directory);
        let part = part.with_context(|| format!("cannot write to {}", self.directory.display()))?;
        let hooks = hooks.iter().map(|hook| format!("--customize-hook={hook}"));
        let options: Vec<String> = options.iter().cloned().chain(hooks).collect();
        let environment = exec::environment(&[], &BTreeMap::new());
        let request = mmdebstrap::Request {
            doctor: &hint::drydock(&["doctor", "deb"]),
            suite: series,
            mirror,
            options: &options,
            environment: &environment,
        };
        mmdebstrap::make(&format!("a chroot of {series}"), part.path(), request)?;
        let file = self.directory.join(format!("{start}{}{end}", self.today));
        fs::set_permissions(part.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        part.persist(&file).with_context(|| format!("cannot write {}", file.display()))?;
        for old in existing {
            fs::remove_file(&old.file).with_context(|| format!("cannot remove {}", old.file.display()))?;
        }
        Ok(Chroot { file, date: self.today.clone() })
    }

    /// A lock, held until the file is closed, of the chroots whose names begin like this.
    fn lock(&self, start: &str) -> std::io::Result<fs::File> {
        let file = fs::File::create(self.directory.join(format!(".{}.lock", start.trim_end_matches('-'))))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(file)
    }

    /// The reason why no chroot of a series can be created here; `None` if it can.
    pub fn unavailable(&self, series: &str, distribution: Distribution) -> Option<String> {
        let keys = match distribution {
            Distribution::Debian => "/usr/share/keyrings/debian-archive-keyring.gpg",
            Distribution::Ubuntu => "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        };
        if !Path::new(keys).exists() {
            let package = Path::new(keys).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Some(format!("the keys of its archive are not installed (Debian package {package})"));
        }
        let address = format!("{}/dists/{series}/InRelease", self.mirror(distribution).trim_end_matches('/'));
        let policy = RetryPolicy { tries: 1, silence: Duration::from_secs(20), ..RetryPolicy::default() };
        self.network
            .check_exists(&address, &policy)
            .err()
            .map(|error| format!("{address} cannot be reached: {error:#}"))
    }

    fn mirror(&self, distribution: Distribution) -> &str {
        match distribution {
            Distribution::Debian => &self.mirrors.debian,
            Distribution::Ubuntu => &self.mirrors.ubuntu,
        }
    }
}

/// The distribution of a series; Debian if the series is unknown.
fn distribution_of(name: &str) -> Distribution {
    let all = series::all();
    all.iter().find(|one| one.name == name).map_or(Distribution::Debian, |one| one.distribution)
}

/// The number of days from one date to another.
fn days_between(from: &str, to: &str) -> Option<i32> {
    let (from, to): (Date, Date) = (from.parse().ok()?, to.parse().ok()?);
    Some((to - from).get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of the name of a minimal chroot of bookworm.
    fn start_of_minimal(mirrors: &Mirrors) -> String {
        let options = ["--variant=minbase".to_owned(), "--skip=cleanup/apt/lists".to_owned()];
        let hooks: [String; 0] = [];
        let key = FileChecksums::from_bytes("", format!("{options:?}{hooks:?}{}", mirrors.debian).as_bytes()).sha256;
        format!("bookworm-minimal-{}-", &key[..12])
    }

    #[test]
    fn a_chroot_of_this_week_is_reused() {
        let directory = tempfile::tempdir().unwrap();
        let mirrors = Mirrors { debian: "http://127.0.0.1:1/debian".into(), ubuntu: String::new() };
        let chroots = |today: &str| Chroots {
            directory: directory.path().into(),
            mirrors: mirrors.clone(),
            today: today.into(),
            network: Network::default(),
        };
        fs::write(directory.path().join(format!("{}2026-05-28.tar", start_of_minimal(&mirrors))), "").unwrap();
        let chroot = chroots("2026-06-01").minimal("bookworm", &mut |line| panic!("{line}")).unwrap();
        assert_eq!(chroot.date, "2026-05-28");
        // Next week it is not, and creating another fails, because nothing listens at that address.
        let mut progress = Vec::new();
        chroots("2026-06-05").minimal("bookworm", &mut |line| progress.push(line.to_owned())).unwrap_err();
        assert_eq!(progress, ["create a chroot of bookworm (minimal)"]);
        assert!(
            chroots("2026-06-05").unavailable("bookworm", Distribution::Debian).unwrap().contains("cannot be reached")
        );
    }

    /// Two proofs that need the same chroot make it once: the second waits, and finds what the first has made.
    #[test]
    fn a_chroot_that_is_being_made_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let mirrors = Mirrors { debian: "http://127.0.0.1:1/debian".into(), ubuntu: String::new() };
        let (today, network) = ("2026-06-01".to_owned(), Network::default());
        let chroots = Chroots { directory: directory.path().into(), mirrors, today, network };
        let start = start_of_minimal(&chroots.mirrors);
        let made = directory.path().join(format!("{start}2026-06-01.tar"));
        let lock = chroots.lock(&start).unwrap();
        let waits = std::thread::spawn(move || chroots.minimal("bookworm", &mut |line| panic!("{line}")));
        while !waiting_for_a_lock() {
            assert!(!waits.is_finished(), "it does not wait");
            std::thread::yield_now();
        }
        fs::write(&made, "").unwrap();
        drop(lock);
        assert_eq!(waits.join().unwrap().unwrap().file, made);
    }

    /// Whether a thread of this process waits for a lock of a file.
    fn waiting_for_a_lock() -> bool {
        let id = std::process::id().to_string();
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("->") && line.split_whitespace().any(|word| word == id))
    }
}
