//! `publish` in `packaging/release.yaml`: the targets of a release, in order.

mod pypi;

use super::version::VersionText;
use super::words::Text;
use crate::decode::{Spanned, declaration};
use crate::diagnostic::{Place, Problem, Problems};
use drydock_base::text::quoted;
use pypi::PypiDeclaration;

pub use pypi::{PypiTarget, PythonIndex};

declaration! {
    /// One target of a release, by its kind: exactly one of the keys.
    pub(in crate) struct PublishDeclaration {
        /// A directory of this machine, such as that of a web server or a mounted mirror.
        directory: Option<Spanned<DirectoryDeclaration>>,
        /// A directory of another machine, by OpenSSH's sftp.
        sftp: Option<Spanned<SftpDeclaration>>,
        /// A directory of another machine, by rsync over SSH or of a daemon.
        rsync: Option<Spanned<RsyncDeclaration>>,
        /// The source packages, uploaded to `deb.upload` as `deb upload` does.
        deb: Option<Spanned<DebTargetDeclaration>>,
        /// The images of `docker/images.yaml`, promoted as `docker promote` does.
        images: Option<Spanned<ImagesTargetDeclaration>>,
        /// A release of a repository on GitHub.
        github: Option<Spanned<GithubDeclaration>>,
        /// Packages of Python, on PyPI or another index.
        pypi: Option<Spanned<PypiDeclaration>>,
    }
}

declaration! {
    /// A directory of this machine.
    pub(in crate) struct DirectoryDeclaration {
        /// The directory of one release: an absolute path whose last component contains `{version}`. Its parent must exist.
        path: Spanned<VersionText>,
        /// True to keep `latest.json` and a link `latest` in the parent, which never go to a candidate or an older version.
        latest: bool = false,
        /// The URL of the directory of one release, with `{version}`. Default: files are not read back by HTTP.
        url: Option<Spanned<VersionText>>,
    }
}

declaration! {
    /// A directory of another machine, by OpenSSH's sftp.
    pub(in crate) struct SftpDeclaration {
        /// The host, as `HOST` or `HOST:PORT`.
        host: Text,
        /// The user name. Default: as ssh's configuration says.
        login: Option<Text>,
        /// The directory of one release: a path whose last component contains `{version}`. Its parent must exist.
        path: Spanned<VersionText>,
        /// True to keep `latest.json` and a link `latest` in the parent, which never go to a candidate or an older version.
        latest: bool = false,
        /// The URL of the directory of one release, with `{version}`. Default: files are not read back by HTTP.
        url: Option<Spanned<VersionText>>,
    }
}

declaration! {
    /// A directory of another machine, by rsync.
    pub(in crate) struct RsyncDeclaration {
        /// The directory of one release, as `USER@HOST:PATH`, `HOST:PATH` or `rsync://HOST/MODULE/PATH`; the last component of the
        /// path contains `{version}`, and its parent must exist.
        to: Spanned<VersionText>,
        /// True to keep `latest.json` and a link `latest` in the parent, which never go to a candidate or an older version.
        latest: bool = false,
        /// The URL of the directory of one release, with `{version}`. Default: files are not read back by HTTP.
        url: Option<Spanned<VersionText>>,
    }
}

declaration! {
    /// The source packages of `deb`.
    pub(in crate) struct DebTargetDeclaration {
        /// The minutes to wait for the archive's answer.
        wait: crate::decode::Bounded<0, 1440> = crate::decode::Bounded(20),
    }
}

declaration! {
    /// The images of `docker/images.yaml`.
    pub(in crate) struct ImagesTargetDeclaration {
        /// The names of the images. Default: all of them.
        images: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// A release of a repository on GitHub: a draft until the quorum has signed and all other targets have their files.
    pub(in crate) struct GithubDeclaration {
        /// The repository, as `OWNER/NAME`.
        repository: Text,
    }
}

/// One target of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishTarget {
    /// A directory with the files.
    Files(FileTarget),
    /// The source packages.
    Deb {
        /// The minutes to wait for the archive's answer.
        wait: u32,
    },
    /// Images, by name; empty for all.
    Images(Vec<String>),
    /// A release of the repository `OWNER/NAME`.
    Github(String),
    /// Packages of Python.
    Pypi(PypiTarget),
}

/// A directory with the files of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// The way to it.
    pub access: FileAccess,
    /// The directory of one release.
    pub path: VersionText,
    /// Whether `latest.json` and the link `latest` in its parent are moved.
    pub latest: bool,
    /// The URL of the directory of one release.
    pub url: Option<VersionText>,
}

/// The way to a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAccess {
    /// It is on this machine.
    Local,
    /// OpenSSH's sftp.
    Sftp {
        /// `HOST` or `HOST:PORT`.
        host: String,
        /// The user name.
        login: Option<String>,
    },
    /// rsync; the path has its host.
    Rsync,
}

/// The parts of the declaration that targets refer to.
pub(super) struct Declared {
    pub(super) has_signing: bool,
    pub(super) has_deb_upload: bool,
}

/// Resolves the list; problems are added to `problems`.
pub(super) fn resolve(
    list: Option<Spanned<Vec<Spanned<PublishDeclaration>>>>,
    declared: &Declared,
    problems: &mut Problems,
) -> Vec<PublishTarget> {
    let Some(list) = list else { return Vec::new() };
    if !declared.has_signing {
        let problem =
            Problem::new(list.place, "`publish` requires signatures, so that users can tell a release from a forgery");
        problems.push(problem.help("declare `signing: {keys: packaging/keys, quorum: 1}`"));
    }
    let mut targets: Vec<PublishTarget> = Vec::new();
    for Spanned { place, value } in list.value.into_iter().flatten() {
        let Some(target) = value.and_then(|one| target(one, place, declared, problems)) else { continue };
        if targets.iter().any(|other| other.name() == target.name()) {
            problems.push(Problem::new(place, format!("the target {} is declared twice", quoted(&target.name()))));
        }
        targets.push(target);
    }
    targets
}

impl PublishTarget {
    /// The target's name in messages and journals, such as `sftp mirror.example:/srv/mine/{version}`; unique in a declaration.
    pub fn name(&self) -> String {
        match self {
            PublishTarget::Files(FileTarget { access, path, .. }) => match access {
                FileAccess::Local => format!("directory {path}"),
                FileAccess::Sftp { host, .. } => format!("sftp {host}:{path}"),
                FileAccess::Rsync => format!("rsync {path}"),
            },
            PublishTarget::Deb { .. } => "deb".to_owned(),
            PublishTarget::Images(_) => "images".to_owned(),
            PublishTarget::Github(repository) => format!("github {repository}"),
            PublishTarget::Pypi(_) => "pypi".to_owned(),
        }
    }
}

fn target(
    one: PublishDeclaration,
    place: Place,
    declared: &Declared,
    problems: &mut Problems,
) -> Option<PublishTarget> {
    let PublishDeclaration { directory, sftp, rsync, deb, images, github, pypi } = one;
    let files = [directory.is_some(), sftp.is_some(), rsync.is_some()];
    let others = [deb.is_some(), images.is_some(), github.is_some(), pypi.is_some()];
    if files.iter().chain(&others).filter(|is_there| **is_there).count() != 1 {
        let problem = Problem::new(place, "a target has exactly one kind");
        problems.push(
            problem.expected("an item for each target, such as `- {directory: {path: \"/srv/mine/{version}\"}}`"),
        );
        return None;
    }
    if let Some(directory) = directory {
        let DirectoryDeclaration { path, latest, url } = directory.value?;
        let path = file_path(&path, problems)?;
        if !path.to_string().starts_with('/') {
            let problem =
                Problem::new(directory.place, format!("{} is not an absolute path", quoted(&path.to_string())));
            problems.push(problem.expected("a path such as `/srv/mine/{version}`"));
        }
        let url = url_of(url, problems);
        return Some(PublishTarget::Files(FileTarget { access: FileAccess::Local, path, latest, url }));
    }
    if let Some(sftp) = sftp {
        let SftpDeclaration { host, login, path, latest, url } = sftp.value?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || ".-_:[]".contains(letter);
        let host_text = host.value.clone()?;
        if host_text.is_empty() || host_text.starts_with('-') || !host_text.chars().all(fits) {
            let problem = Problem::new(host.place, format!("{} is not a host", quoted(&host_text)));
            problems.push(problem.expected("`HOST` or `HOST:PORT`"));
        }
        let login = login.and_then(|login| {
            let text = login.value?;
            let fits = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
            if text.is_empty() || text.starts_with('-') || !text.chars().all(fits) {
                problems.push(Problem::new(login.place, format!("{} is not a user name", quoted(&text))));
            }
            Some(text)
        });
        let path = file_path(&path, problems)?;
        let url = url_of(url, problems);
        let access = FileAccess::Sftp { host: host_text, login };
        return Some(PublishTarget::Files(FileTarget { access, path, latest, url }));
    }
    if let Some(rsync) = rsync {
        let RsyncDeclaration { to, latest, url } = rsync.value?;
        let path = file_path(&to, problems)?;
        let text = path.to_string();
        let is_daemon = text.strip_prefix("rsync://").is_some_and(|rest| rest.split('/').count() >= 3);
        let is_ssh = !text.contains("://")
            && text
                .split_once(':')
                .is_some_and(|(host, path)| !host.is_empty() && !host.contains('/') && path.contains('/'));
        if text.starts_with('-') || !(is_daemon || is_ssh) {
            let problem = Problem::new(to.place, format!("{} is not a directory of another machine", quoted(&text)));
            problems.push(problem.expected("`USER@HOST:/PATH/{version}` or `rsync://HOST/MODULE/{version}`"));
        }
        let url = url_of(url, problems);
        return Some(PublishTarget::Files(FileTarget { access: FileAccess::Rsync, path, latest, url }));
    }
    if let Some(deb) = deb {
        if !declared.has_deb_upload {
            problems
                .push(Problem::new(deb.place, "the target `deb` requires `deb.upload`").help("declare it under `deb`"));
        }
        return Some(PublishTarget::Deb { wait: deb.value?.wait.0 });
    }
    if let Some(images) = images {
        return Some(PublishTarget::Images(images.value?.images.into_iter().filter_map(|name| name.value).collect()));
    }
    if let Some(pypi) = pypi {
        return pypi::resolve(pypi.value?, problems).map(PublishTarget::Pypi);
    }
    let GithubDeclaration { repository } = github?.value?;
    Some(PublishTarget::Github(repository_name(&repository, problems)?))
}

/// The name of a repository on GitHub.
pub(super) fn repository_name(repository: &Text, problems: &mut Problems) -> Option<String> {
    let text = repository.value.clone()?;
    let fits = |part: &str| {
        let is_plain = part.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
        !part.is_empty() && is_plain && !part.chars().all(|letter| letter == '.')
    };
    if !text.split_once('/').is_some_and(|(owner, name)| fits(owner) && fits(name)) {
        let problem = Problem::new(repository.place, format!("{} is not a repository", quoted(&text)));
        problems.push(problem.expected("`OWNER/NAME`"));
    }
    Some(text)
}

/// The directory of one release; a problem unless `{version}` is in its last component.
fn file_path(path: &Spanned<VersionText>, problems: &mut Problems) -> Option<VersionText> {
    let text = path.value.as_ref()?;
    let shown = text.to_string();
    let last = shown.rsplit('/').next().unwrap_or_default();
    let is_bad = |letter: char| letter.is_control() || "\"\\*?[]".contains(letter);
    if !last.contains("{version}") || !shown.contains('/') || shown.split('/').any(|part| part == "..") {
        let problem = Problem::new(path.place, format!("{} is not the directory of one release", quoted(&shown)));
        problems
            .push(problem.expected("a path whose last component contains `{version}`, such as `/srv/mine/{version}`"));
    } else if shown.contains(is_bad) && !shown.starts_with("rsync://[") {
        let problem =
            Problem::new(path.place, format!("{} has characters that sftp or rsync would expand", quoted(&shown)));
        problems.push(problem.expected("a path without quotation marks, backslashes, `*`, `?` and brackets"));
    }
    Some(text.clone())
}

fn url_of(url: Option<Spanned<VersionText>>, problems: &mut Problems) -> Option<VersionText> {
    let Spanned { place, value } = url?;
    let text = value?;
    let shown = text.to_string();
    if !["https://", "http://"].iter().any(|scheme| shown.starts_with(scheme)) {
        problems
            .push(Problem::new(place, format!("{} is not a URL", quoted(&shown))).expected("`https://…/{version}`"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::Release;
    use super::*;
    use std::path::Path;

    fn parse(publish: &str, more: &str) -> Result<Vec<PublishTarget>, String> {
        let text = format!("name: x\nversion: {{}}\narchives: [{{format: tar.xz}}]\n{more}publish:\n{publish}\n");
        let parsed = Release::parse(&text, Path::new("packaging/release.yaml"));
        parsed.map(|release| release.publish).map_err(|problems| problems.to_string())
    }

    const SIGNING: &str = "signing: {keys: packaging/keys}\n";

    #[test]
    fn targets_are_read_in_order() {
        let found = parse(
            "- {directory: {path: \"/srv/x/{version}\", latest: true}}\n\
             - {sftp: {host: \"h:22\", login: me, path: \"x/v{version}\"}}\n\
             - {rsync: {to: \"rsync://h/module/{version}\", url: \"https://h/{version}\"}}\n\
             - {images: {}}\n\
             - {pypi: {packages: [python/, \".\"]}}",
            SIGNING,
        );
        let names: Vec<String> = found.unwrap().iter().map(PublishTarget::name).collect();
        assert_eq!(
            names,
            [
                "directory /srv/x/{version}",
                "sftp h:22:x/v{version}",
                "rsync rsync://h/module/{version}",
                "images",
                "pypi"
            ]
        );
    }

    #[test]
    fn what_could_publish_to_the_wrong_place_is_refused() {
        for (publish, words) in [
            ("- {}", "a target has exactly one kind"),
            ("- {images: {}, deb: {}}", "a target has exactly one kind"),
            ("- {directory: {path: /srv/x}}", "does not contain `{version}`"),
            ("- {directory: {path: \"/srv/{version}/x\"}}", "is not the directory of one release"),
            ("- {directory: {path: \"/srv/../{version}\"}}", "is not the directory of one release"),
            ("- {directory: {path: \"srv/{version}\"}}", "is not an absolute path"),
            ("- {directory: {path: \"/srv/*/{version}\"}}", "would expand"),
            ("- {sftp: {host: -oProxyCommand=x, path: \"/{version}\"}}", "is not a host"),
            ("- {sftp: {host: h, login: \"a b\", path: \"/{version}\"}}", "is not a user name"),
            ("- {rsync: {to: \"/srv/{version}\"}}", "is not a directory of another machine"),
            ("- {rsync: {to: \"http://h/x/{version}\"}}", "is not a directory of another machine"),
            ("- {directory: {path: \"/x/{version}\", url: \"ftp://h/{version}\"}}", "is not a URL"),
            ("- {deb: {}}", "requires `deb.upload`"),
            ("- {github: {repository: ab}}", "is not a repository"),
            ("- {github: {repository: ../b}}", "is not a repository"),
            ("- {images: {}}\n- {images: {images: [a]}}", "is declared twice"),
            ("- {pypi: {packages: []}}", "`packages` is empty"),
            ("- {pypi: {packages: [../x]}}", "contains a `..` component"),
            ("- {pypi: {packages: [a, a/]}}", "is named twice"),
            ("- {pypi: {packages: [a/pyproject.toml]}}", "is not a directory"),
            ("- {pypi: {packages: [a], login: \"a:b\"}}", "is not a user name"),
            (
                "- {pypi: {packages: [a], index: {upload: \"http://h/\", simple: \"https://h/\"}}}",
                "is not the URL of an index",
            ),
            (
                "- {pypi: {packages: [a], index: {upload: \"https://u:p@h/\", simple: \"https://h/\"}}}",
                "without a user name",
            ),
            (
                "- {pypi: {packages: [a], index: {upload: \"http://localhost.evil/\", simple: \"https://h/\"}}}",
                "is not the URL",
            ),
            (
                "- {pypi: {packages: [a], index: {upload: \"https://test.pypi.org/legacy/\", simple: \"https://h/\"}}}",
                "candidates go to the index of releases",
            ),
        ] {
            let found = parse(publish, SIGNING).unwrap_err();
            assert!(found.contains(words), "{publish}: {found}");
        }
        let found = parse("- {images: {}}", "").unwrap_err();
        assert!(found.contains("`publish` requires signatures"), "{found}");
    }
}
