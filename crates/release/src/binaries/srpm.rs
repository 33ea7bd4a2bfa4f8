//! Source RPMs: made by rpmbuild on the base of a tarball, and rebuilt from themselves there.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;

use super::root::Room;
use super::{Log, Source};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::release::{Binary, Srpm, SrpmName};

/// What makes the bytes independent of the machine, beside `SOURCE_DATE_EPOCH`.
const SETTINGS: [(&str, &str); 4] = [
    ("_buildhost", "reproducible"),
    ("use_source_date_epoch_as_buildtime", "1"),
    ("clamp_mtime_to_source_date_epoch", "1"),
    ("source_date_epoch_from_changelog", "0"),
];

/// The directory of rpmbuild, the same in both builds: it writes the spec file with all macros expanded into a source RPM.
const DIRECTORY: &str = "/build/rpm";

/// A source RPM to make.
pub(super) struct Package<'a> {
    pub(super) declared: &'a Srpm,
    pub(super) name: SrpmName,
    pub(super) binary: &'a Binary,
    pub(super) source: Source<'a>,
    pub(super) epoch: u64,
}

impl Package<'_> {
    /// Makes it in a room, and rebuilds it from itself; `top` is the top directory of the source archive. Returns its bytes.
    ///
    /// # Errors
    /// rpmbuild fails, or makes a file of another name.
    pub(super) fn make(&self, room: &Room<'_>, top: &str, log: &mut Log<'_>) -> anyhow::Result<Vec<u8>> {
        let spec = match self.declared {
            Srpm::Made { .. } => self.spec(top),
            Srpm::Spec(path) => (self.source.text)(path)?,
        };
        let file = self.name.file();
        // The build may have left something there, such as a link.
        let place = room.emptied("rpm")?;
        let spec_name = format!("{}.spec", self.name.project);
        fs::write(place.join(&spec_name), spec).context("cannot write a spec file")?;
        fs::copy(self.source.path, place.join(self.source.name)).context("cannot copy the source archive")?;
        for name in [spec_name.as_str(), self.source.name] {
            // Both are in the source RPM with their modes and times.
            let path = place.join(name);
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
            let time = UNIX_EPOCH
                .checked_add(Duration::from_secs(self.epoch))
                .context("the time of the commit is too late")?;
            fs::File::options().write(true).open(&path)?.set_modified(time)?;
        }
        room.give_to_owner()?;
        let what = format!("{file} cannot be made");
        let build = self.rpmbuild(room, &["-bs", &format!("{DIRECTORY}/{spec_name}")]);
        log.run(room, &build, DIRECTORY, &what)?;
        // A spec file runs commands, too.
        let made = files_ending(&room.checked(&place)?, ".src.rpm")?;
        if made != [file.as_str()] {
            return Err(Failure::rejected(format!(
                "{what}: rpmbuild made {}; the version in the spec file must be {} and the release {}, without `%{{?dist}}`",
                made.join(", "),
                self.name.version,
                self.name.release
            )));
        }
        let bytes = paths::read_regular(&place.join(&file)).with_context(|| format!("cannot read {file}"))?;
        let rebuild = self.rpmbuild(room, &["--rebuild", &format!("{DIRECTORY}/{file}")]);
        log.run(room, &rebuild, DIRECTORY, &format!("{file} cannot be rebuilt from itself"))?;
        let rebuilt = files_ending(&room.checked(&place)?, ".rpm")?;
        if rebuilt.len() < 2 {
            return Err(Failure::rejected(format!("{file} was rebuilt from itself, but that made no package")));
        }
        Ok(bytes)
    }

    /// A call of rpmbuild that keeps everything in one directory.
    fn rpmbuild(&self, room: &Room<'_>, words: &[&str]) -> Vec<String> {
        let mut argv = vec!["rpmbuild".to_owned()];
        let has_rpms =
            room.run(&["rpm", "--query", "rpm"].map(str::to_owned), "/").is_ok_and(|output| output.status.success());
        if !has_rpms {
            // What a base of another kind has is not in RPM's database, which it does not have either.
            argv.extend(["--nodeps".to_owned(), "--define".to_owned(), format!("_dbpath {DIRECTORY}/database")]);
        }
        let settings = SETTINGS.iter().map(|(name, value)| format!("{name} {value}"));
        let places = ["_topdir", "_sourcedir", "_specdir", "_srcrpmdir", "_rpmdir"];
        let places = places.map(|name| format!("{name} {DIRECTORY}"));
        for setting in settings.chain(places).chain(["_rpmfilename %%{NAME}.%%{ARCH}.rpm".to_owned()]) {
            argv.extend(["--define".to_owned(), setting]);
        }
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv
    }

    /// A spec file that is made of the declaration.
    fn spec(&self, top: &str) -> String {
        let Srpm::Made { license, summary, url, needs } = self.declared else { return String::new() };
        let SrpmName { project, version, release } = &self.name;
        let escaped = |words: &[String]| exec::paste(words).replace('%', "%%");
        let install = escaped(&self.binary.install("{destdir}")).replace("{destdir}", "%{buildroot}");
        let mut head = format!(
            "Name: {project}\nVersion: {version}\nRelease: {release}\nSummary: {summary}\nLicense: {license}\nSource0: {}\n",
            self.source.name
        );
        head.extend(url.iter().map(|url| format!("URL: {url}\n")));
        head.extend(needs.iter().map(|need| format!("BuildRequires: {need}\n")));
        let build = escaped(&self.binary.build);
        format!(
            "# Made of packaging/release.yaml.\n%global debug_package %{{nil}}\n{head}\n%description\n{summary}.\n\n%prep\n%setup -q -n {top}\n\n\
             %build\n{build}\n\n%install\n{install}\n\
             find \"%{{buildroot}}\" ! -type d | sed -e 's,^%{{buildroot}},,' -e 's,^.*/man/man.*$,&*,' -e 's,^.*$,\"&\",' >drydock-files\n\n\
             %files -f drydock-files\n"
        )
    }
}

/// The sorted names of the files in a directory that end like this.
fn files_ending(directory: &Path, end: &str) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(end)));
    }
    names.sort();
    Ok(names)
}

/// The first bytes that differ, in words.
pub(super) fn first_difference(one: &[u8], other: &[u8]) -> String {
    let at = one.iter().zip(other).position(|(one, other)| one != other).unwrap_or(one.len().min(other.len()));
    let near = |bytes: &[u8]| {
        let text = bytes.get(at.saturating_sub(20)..(at + 20).min(bytes.len())).unwrap_or_default();
        drydock_base::text::quoted(&String::from_utf8_lossy(text))
    };
    format!("byte {at} is {} in the first and {} in the second", near(one), near(other))
}

#[cfg(test)]
mod tests {
    use drydock_config::release::Release;

    use super::*;

    #[test]
    fn a_spec_file_is_made_of_the_declaration() {
        let text = "name: mine\nversion: {}\narchives: [{format: tar.xz}]\nbinaries:\n  x:\n    base: {suite: bookworm, snapshot: 20260601T000000Z}\n    \
             build: [make, \"A=100%\"]\n    install: [make, install, \"DESTDIR={destdir}\"]\n    \
             srpm: {license: MIT, summary: A lantern, url: \"https://example.org\", needs: [gcc, make]}\n";
        let release = Release::parse(text, Path::new("release.yaml")).unwrap();
        let binary = &release.binaries[0];
        let source = Source {
            path: Path::new("x"),
            format: drydock_config::release::Format::TarXz,
            name: "mine-1.0-rc1.tar.xz",
            text: &|_| unreachable!(),
        };
        let name = binary.srpm_of("mine", &"1.0-rc1".parse().unwrap()).unwrap();
        let declared = binary.srpm.as_ref().unwrap();
        let spec = Package { declared, name, binary, source, epoch: 0 }.spec("mine-1.0-rc1");
        let expected = r#"# Made of packaging/release.yaml.
%global debug_package %{nil}
Name: mine
Version: 1.0
Release: 0.rc1
Summary: A lantern
License: MIT
Source0: mine-1.0-rc1.tar.xz
URL: https://example.org
BuildRequires: gcc
BuildRequires: make

%description
A lantern.

%prep
%setup -q -n mine-1.0-rc1

%build
make A=100%%

%install
make install 'DESTDIR=%{buildroot}'
find "%{buildroot}" ! -type d | sed -e 's,^%{buildroot},,' -e 's,^.*/man/man.*$,&*,' -e 's,^.*$,"&",' >drydock-files

%files -f drydock-files
"#;
        assert_eq!(spec, expected);
    }
}
