//! Clean chroots, made by mmdebstrap and kept by the day on which they were made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::launchpad::relations;
use crate::series;
use crate::sums::Sums;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_config::release::deb::Distribution;

/// The script in every chroot through which the second build goes.
pub(super) const TWIN: &str = "/usr/local/bin/drydock-twin";

/// For how many days a chroot is taken again.
const FRESH: i64 = 7;

/// Where packages come from.
#[derive(Debug, Clone)]
pub struct Mirrors {
    /// Of Debian.
    pub debian: String,
    /// Of Ubuntu.
    pub ubuntu: String,
}

/// A directory of chroots.
#[derive(Debug, Clone)]
pub struct Chroots {
    /// The directory.
    pub directory: PathBuf,
    /// Where packages come from.
    pub mirrors: Mirrors,
    /// The day, `2026-06-01`.
    pub today: String,
}

/// A chroot as a tar file.
#[derive(Debug, Clone)]
pub struct Chroot {
    /// The file.
    pub file: PathBuf,
    /// The day on which it was made.
    pub day: String,
}

impl Chroot {
    /// Gives it another name elsewhere, without a copy where the file system can.
    ///
    /// # Errors
    /// There is no room.
    pub fn link(&self, to: &Path) -> anyhow::Result<()> {
        fs::hard_link(&self.file, to)
            .or_else(|_| fs::copy(&self.file, to).map(|_| ()))
            .with_context(|| format!("cannot write {}", to.display()))
    }
}

impl Chroots {
    /// One with the build dependencies of a package.
    ///
    /// # Errors
    /// mmdebstrap is missing or fails, or the dependencies cannot be had.
    pub fn with(&self, series: &str, needs: &[String], watch: &mut dyn FnMut(&str)) -> anyhow::Result<Chroot> {
        let mut hooks = Vec::new();
        for need in needs {
            // Which leaves no sign in them that a shell would take for its own but `|<>()`, and those are quoted.
            relations::parse(need).map_err(|why| Failure::declaration(format!("the build dependencies: {why}")))?;
            let apt = "DEBIAN_FRONTEND=noninteractive chroot \"$1\" apt-get --yes --no-install-recommends satisfy";
            hooks.push(format!("{apt} '{}'", need.replace('\'', "")));
        }
        let script = "#!/bin/sh\\numask 0002\\nexport TZ=XTW-13:45 LC_ALL=C LANG=C USER=twin LOGNAME=twin HOME=/twin COLUMNS=41\\nexec \"$@\"\\n";
        hooks.push(format!("printf '{script}' >\"$1{TWIN}\"; chmod 755 \"$1{TWIN}\""));
        let options = ["--variant=buildd".to_owned(), "--include=fakeroot".to_owned()];
        self.chroot(series, "build", &options, &hooks, watch)
    }

    /// One with nothing but what every machine has.
    ///
    /// # Errors
    /// mmdebstrap is missing or fails.
    pub fn plain(&self, series: &str, watch: &mut dyn FnMut(&str)) -> anyhow::Result<Chroot> {
        // Its lists stay, so that what a package depends on can be found.
        let options = ["--variant=minbase".to_owned(), "--skip=cleanup/apt/lists".to_owned()];
        self.chroot(series, "plain", &options, &[], watch)
    }

    fn chroot(
        &self,
        series: &str,
        kind: &str,
        options: &[String],
        hooks: &[String],
        watch: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Chroot> {
        let mirror = self.mirror(distribution_of(series));
        let key = Sums::of("", format!("{options:?}{hooks:?}{mirror}").as_bytes()).sha256;
        let (start, end) = (format!("{series}-{kind}-{}-", &key[..12]), ".tar");
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot make {}", self.directory.display()))?;
        let mut made: Vec<Chroot> = fs::read_dir(&self.directory)
            .with_context(|| format!("cannot read {}", self.directory.display()))?
            .filter_map(|entry| {
                let file = entry.ok()?.path();
                let name = file.file_name()?.to_str()?.to_owned();
                let day = name.strip_prefix(&start)?.strip_suffix(end)?.to_owned();
                Some(Chroot { file, day })
            })
            .collect();
        made.sort_by(|a, b| a.day.cmp(&b.day));
        if let Some(newest) = made.pop() {
            if days_between(&newest.day, &self.today).is_some_and(|days| (0..=FRESH).contains(&days)) {
                return Ok(newest);
            }
            made.push(newest);
        }
        watch(&format!("make a chroot of {series} ({kind})"));
        let part = tempfile::Builder::new().prefix(".part-").suffix(end).tempfile_in(&self.directory);
        let part = part.with_context(|| format!("cannot write to {}", self.directory.display()))?;
        let mut argv: Vec<String> = ["mmdebstrap", "--quiet"].map(str::to_owned).to_vec();
        argv.extend(options.iter().cloned());
        argv.extend(hooks.iter().map(|hook| format!("--customize-hook={hook}")));
        argv.extend([series.to_owned(), part.path().display().to_string(), mirror.to_owned()]);
        let set = BTreeMap::from([(
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        )]);
        exec::bytes(&argv, Path::new("/"), exec::environment(&[], &set)).map_err(|why| {
            let why = why.shown_as(["mmdebstrap"]);
            Failure::missing(format!("a chroot of {series} cannot be made from {mirror}: {why}"))
        })?;
        let file = self.directory.join(format!("{start}{}{end}", self.today));
        fs::set_permissions(part.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        part.persist(&file).with_context(|| format!("cannot write {}", file.display()))?;
        for old in made {
            fs::remove_file(&old.file).with_context(|| format!("cannot remove {}", old.file.display()))?;
        }
        Ok(Chroot { file, day: self.today.clone() })
    }

    /// Why a series cannot be had here.
    pub fn lacks(&self, series: &str, distribution: Distribution) -> Option<String> {
        let keys = match distribution {
            Distribution::Debian => "/usr/share/keyrings/debian-archive-keyring.gpg",
            Distribution::Ubuntu => "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        };
        if !Path::new(keys).exists() {
            let package = Path::new(keys).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Some(format!("the keys of its archive are missing here (Debian package {package})"));
        }
        let address = format!("{}/dists/{series}/InRelease", self.mirror(distribution).trim_end_matches('/'));
        let argv = [
            "curl",
            "--silent",
            "--fail",
            "--head",
            "--location",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
            "--",
            &address,
        ];
        let argv = argv.map(str::to_owned);
        let environment = exec::environment(&["http_proxy", "https_proxy"].map(str::to_owned), &BTreeMap::new());
        exec::bytes(&argv, Path::new("/"), environment).err().map(|_| format!("{address} cannot be reached"))
    }

    fn mirror(&self, distribution: Distribution) -> &str {
        match distribution {
            Distribution::Debian => &self.mirrors.debian,
            Distribution::Ubuntu => &self.mirrors.ubuntu,
        }
    }
}

/// Whose series it is; Debian's when it is not known.
fn distribution_of(name: &str) -> Distribution {
    let all = series::all();
    all.iter().find(|one| one.name == name).map_or(Distribution::Debian, |one| one.distribution)
}

fn days_between(one: &str, other: &str) -> Option<i64> {
    let day = |text: &str| {
        let date: jiff::civil::Date = text.parse().ok()?;
        Some(jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_second() / 86_400)
    };
    Some(day(other)? - day(one)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chroot_of_this_week_is_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let mirrors = Mirrors { debian: "http://127.0.0.1:1/debian".into(), ubuntu: String::new() };
        let chroots =
            |today: &str| Chroots { directory: directory.path().into(), mirrors: mirrors.clone(), today: today.into() };
        let options = ["--variant=minbase".to_owned(), "--skip=cleanup/apt/lists".to_owned()];
        let hooks: [String; 0] = [];
        let key = Sums::of("", format!("{options:?}{hooks:?}{}", mirrors.debian).as_bytes()).sha256;
        fs::write(directory.path().join(format!("bookworm-plain-{}-2026-05-28.tar", &key[..12])), "").unwrap();
        let chroot = chroots("2026-06-01").plain("bookworm", &mut |line| panic!("{line}")).unwrap();
        assert_eq!(chroot.day, "2026-05-28");
        // Next week it is not, and there is no mirror at that address.
        let mut said = Vec::new();
        chroots("2026-06-05").plain("bookworm", &mut |line| said.push(line.to_owned())).unwrap_err();
        assert_eq!(said, ["make a chroot of bookworm (plain)"]);
        assert!(chroots("2026-06-05").lacks("bookworm", Distribution::Debian).unwrap().contains("cannot be reached"));
    }
}
