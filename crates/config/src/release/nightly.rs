//! `nightly` in `packaging/release.yaml`: the next version, and the upload target of nightlies.

use super::Version;
use super::deb::{Deb, Place, Series, SeriesName, Target, UploadDeclaration};
use crate::decode::{Bounded, OneOrMany, Spanned, declaration};
use crate::diagnostic::{Problem, Problems};

declaration! {
    /// The settings of nightlies. Their images are pushed to the `nightly` repositories of `docker/images.yaml`.
    pub(in crate) struct NightlyDeclaration {
        /// The version that will be released next, such as `"26.09"`, which is above the last release. Default: the version
        /// in the first of `version.files`.
        next: Option<Spanned<Version>>,
        /// Series of `deb` whose packages every nightly run tests. Default: all of them.
        prove: Option<OneOrMany<Spanned<SeriesName>>>,
        /// The upload target of source packages of nightlies, which differs from that of releases.
        /// Default: nothing is uploaded.
        upload: Option<Spanned<UploadDeclaration>>,
        /// The number of days for which the files of a nightly are kept on the machine that built it.
        keep_days: Bounded<1, 3650> = Bounded(7),
    }
}

/// The settings of nightlies, validated.
#[derive(Debug, Clone)]
pub struct Nightly {
    /// The version that will be released next.
    pub next: Option<Version>,
    /// Series whose packages are tested; `None` for all.
    pub prove: Option<Vec<SeriesName>>,
    /// The upload target of source packages.
    pub upload: Option<Target>,
    /// The number of days for which the files of a nightly are kept on this machine.
    pub keep_days: u32,
}

impl Nightly {
    /// The series whose packages are tested.
    pub fn proved<'a>(&self, series: &'a [Series]) -> Vec<&'a Series> {
        let wanted = |one: &&Series| self.prove.as_ref().is_none_or(|names| names.contains(&one.name));
        series.iter().filter(wanted).collect()
    }
}

/// Resolves the section; problems are added to `problems`.
pub(super) fn resolve(declared: NightlyDeclaration, deb: Option<&Deb>, problems: &mut Problems) -> Nightly {
    let NightlyDeclaration { next, prove, upload, keep_days } = declared;
    let prove = prove.map(|OneOrMany(list)| {
        for name in &list {
            let Some(value) = &name.value else { continue };
            if deb.is_some_and(|deb| deb.series.iter().all(|series| series.name != *value)) {
                let problem = Problem::new(name.place, format!("the series `{}` is not declared", value.as_str()));
                problems.push(problem.expected("one of `deb.series`"));
            }
        }
        list.into_iter().filter_map(|name| name.value).collect()
    });
    let place = upload.as_ref().map(|upload| upload.place);
    let upload = upload.and_then(|upload| super::deb::target(upload, problems));
    if let (Some(place), Some(nightly)) = (place, &upload) {
        match deb.map(|deb| deb.upload.as_ref()) {
            None => problems.push(Problem::new(place, "`upload` requires source packages").help("declare `deb`")),
            Some(Some(release)) if same(&release.place, &nightly.place) => {
                let problem = Problem::new(place, "nightlies and releases have the same upload target (`deb.upload`)");
                problems
                    .push(problem.expected("another archive or queue, so that users of releases do not get nightlies"));
            }
            Some(_) => {}
        }
    }
    Nightly { next: next.and_then(|next| next.value), prove, upload, keep_days: keep_days.0 }
}

/// True if two targets are the same archive, whatever the upload methods are.
fn same(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Ppa { owner, archive, .. }, Place::Ppa { owner: other_owner, archive: other_archive, .. }) => {
            (owner, archive) == (other_owner, other_archive)
        }
        (Place::Queue { host, incoming, .. }, Place::Queue { host: other_host, incoming: other_incoming, .. }) => {
            let name =
                |host: &Option<String>| host.as_ref().map(|host| host.trim_end_matches('.').to_ascii_lowercase());
            let directory =
                |path: &str| path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
            name(host) == name(other_host) && directory(incoming) == directory(other_incoming)
        }
        (Place::Ppa { .. }, Place::Queue { .. }) | (Place::Queue { .. }, Place::Ppa { .. }) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Release;
    use std::path::Path;

    const DECLARED: &str = "\
name: x
version: {}
archives: [{format: tar.xz}]
deb:
  maintainer: A <a@example.org>
  series: {noble: {number: '24.04', distribution: ubuntu}}
  upload: UPLOAD
nightly: {next: '26.09', prove: noble, upload: TARGET}
";

    fn parse(upload: &str, nightly: &str) -> Result<Release, String> {
        let text = DECLARED.replace("UPLOAD", upload).replace("TARGET", nightly);
        Release::parse(&text, Path::new("packaging/release.yaml")).map_err(|problems| problems.to_string())
    }

    #[test]
    fn nightlies_cannot_be_declared_into_the_archive_of_releases() {
        let ppa = "{target: ppa, owner: me, archive: mine}";
        let queue = "{target: queue, method: sftp, host: apt.example.org, incoming: /srv/in}";
        let local = "{target: queue, method: local, incoming: /srv/in}";
        for (release, nightly) in [
            (ppa, ppa),
            (ppa, "{target: ppa, owner: me, archive: mine, method: ftp}"),
            (queue, "{target: queue, method: ftp, host: APT.example.org., incoming: //srv/./in/}"),
            (local, local),
        ] {
            let found = parse(release, nightly).unwrap_err();
            assert!(found.contains("nightlies and releases have the same upload target"), "{nightly}: {found}");
        }
        for nightly in [
            "{target: ppa, owner: me, archive: mine-nightly}",
            "{target: ppa, owner: you, archive: mine}",
            queue,
            local,
        ] {
            let release = parse(ppa, nightly).unwrap();
            assert!(release.nightly.upload.is_some());
            assert_eq!(release.nightly.proved(&release.deb.unwrap().series).len(), 1);
        }
    }

    #[test]
    fn problems_are_reported_at_their_place() {
        let text = "name: x\nversion: {}\narchives: [{format: tar.xz}]\nnightly: {next: v1, upload: {target: ppa, owner: a, archive: b}}\n";
        let found = Release::parse(text, Path::new("r.yaml")).unwrap_err().to_string();
        assert!(found.contains("r.yaml:4:17: `v1` is not a version"), "{found}");
        assert!(found.contains("`upload` requires source packages"), "{found}");
        let series = DECLARED
            .replace("prove: noble", "prove: [noble, jammy]")
            .replace("UPLOAD", "{target: ppa, owner: a, archive: b}");
        let series = series.replace(", upload: TARGET", "");
        let found = Release::parse(&series, Path::new("r.yaml")).unwrap_err().to_string();
        assert!(found.contains("the series `jammy` is not declared"), "{found}");
    }
}
