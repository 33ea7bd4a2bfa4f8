//! `deb` in `packaging/release.yaml`: the Debian source package and its upload target, validated.

mod declared;

pub(crate) use declared::{DebDeclaration, UploadDeclaration};

use declared::{MethodKind, SeriesDeclaration, TargetKind};
use std::path::PathBuf;

use super::Format;
use super::Vendor;
use super::words::{command, inside};
use crate::decode::{Entries, Spanned};
use crate::diagnostic::{Problem, Problems};
use drydock_base::text::quoted;

/// The Debian source package and its upload target.
#[derive(Debug, Clone)]
pub struct Deb {
    /// The directory that becomes `debian/`, relative to the project.
    pub directory: String,
    /// The name and address in the entries of the changelog.
    pub maintainer: Address,
    /// The format of the orig tarball: one of the release's archives.
    pub orig: Format,
    /// The Debian revision, to which each series adds its own suffix.
    pub revision: Revision,
    /// The last number of every version.
    pub upload_number: u64,
    /// Crates that are shipped in a separate tarball.
    pub vendor: Option<Vendor>,
    /// The series to build for, at least one, in the order of the declaration.
    pub series: Vec<Series>,
    /// The command that tests the installed packages.
    pub smoke_test: Option<Vec<String>>,
    /// The upload target.
    pub upload: Option<Target>,
}

/// A series of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The code name.
    pub name: SeriesName,
    /// The number.
    pub number: Number,
    /// The distribution.
    pub distribution: Distribution,
    /// The Rust compiler that the build uses there, when it was declared.
    pub rustc: Option<Number>,
    /// The series to test on if this one is not available.
    pub prove_on: Option<SeriesName>,
}

/// The distribution of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl Distribution {
    /// The distribution's name in versions and paths.
    pub fn word(self) -> &'static str {
        match self {
            Distribution::Debian => "debian",
            Distribution::Ubuntu => "ubuntu",
        }
    }
}

/// A name with an address: `A Name <name@example.org>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub(crate) String);

/// A Debian revision without the suffix of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(pub(crate) String);

/// The code name of a series: lower-case letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesName(pub(crate) String);

/// The number of a series or of a compiler, as it was written and as its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    text: String,
    parts: Vec<u32>,
}

impl Address {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Revision {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SeriesName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Number {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The numbers between the dots, most significant first.
    pub fn parts(&self) -> &[u32] {
        &self.parts
    }
}

/// The upload target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The archive.
    pub place: Place,
    /// The signing key, if one was declared.
    pub key: Option<String>,
}

/// An archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A personal package archive of Launchpad.
    Ppa {
        /// The Launchpad user or team.
        owner: String,
        /// The name of the archive.
        archive: String,
        /// The upload method.
        method: Method,
        /// The Launchpad id to log in with, if one was declared.
        login: Option<String>,
    },
    /// The incoming directory of another archive.
    Queue {
        /// The upload method.
        method: Method,
        /// The host, maybe with a port; none for [`Method::Local`].
        host: Option<String>,
        /// The user name at the host, if one was declared.
        login: Option<String>,
        /// The directory, `{state}` not yet replaced.
        incoming: String,
        /// The file in which the queue logs accepted and rejected uploads, `{state}` not yet replaced.
        log: Option<PathBuf>,
    },
}

/// The upload method to an incoming directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By copying.
    Local,
    /// By SFTP.
    Sftp,
    /// By FTP.
    Ftp,
    /// By HTTPS.
    Https,
}

impl Method {
    /// The method's name in declarations.
    pub fn word(self) -> &'static str {
        match self {
            Method::Local => "local",
            Method::Sftp => "sftp",
            Method::Ftp => "ftp",
            Method::Https => "https",
        }
    }
}

/// Resolves the section; problems are added to `problems`.
pub(super) fn resolve(
    declared: DebDeclaration,
    archives: &[super::Archive],
    in_sources: Option<&Vendor>,
    problems: &mut Problems,
) -> Option<Deb> {
    let orig = declared.orig.value;
    if orig == Some(Format::Zip) {
        let problem = Problem::new(declared.orig.place, "a zip file cannot be an orig tarball");
        problems.push(problem.expected("`tar.xz`, `tar.gz` or `tar.bz2`"));
    } else if orig.is_some_and(|orig| archives.iter().all(|archive| archive.format != orig)) {
        let word = orig.map_or("", Format::extension);
        let problem = Problem::new(declared.orig.place, format!("no archive of the release is a `{word}`"));
        problems.push(problem.help(format!("add `{{format: {word}}}` to `archives`, or choose another `orig`")));
    }
    let vendor = declared.vendor.and_then(|Spanned { place, value }| {
        if in_sources.is_some() {
            let problem = Problem::new(place, "the archives contain the crates already, see `source.vendor`");
            problems.push(problem.help("remove one of the two"));
        }
        let vendor = super::vendor::resolve(value?, problems)?;
        // The names that dpkg-source takes.
        if !vendor.directory.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let problem = Problem::new(place, format!("{} cannot be the name of a tarball", quoted(&vendor.directory)));
            problems.push(problem.expected("a `directory` of letters, digits and `-`, such as `vendor`"));
        }
        Some(vendor)
    });
    let series = series_of(declared.series, problems);
    let smoke_test = declared.smoke_test.as_ref().and_then(|words| command(words, problems));
    let upload = declared.upload.and_then(|upload| target(upload, problems));
    Some(Deb {
        directory: inside(&declared.directory, problems)?.trim_end_matches('/').to_owned(),
        maintainer: declared.maintainer.value?,
        orig: orig?,
        revision: declared.revision.value?,
        upload_number: declared.upload_number.0.into(),
        vendor,
        series,
        smoke_test,
        upload,
    })
}

fn series_of(declared: Spanned<Entries<SeriesName, SeriesDeclaration>>, problems: &mut Problems) -> Vec<Series> {
    let Some(Entries(entries)) = declared.value else { return Vec::new() };
    if entries.is_empty() {
        let problem = Problem::new(declared.place, "`series` is empty");
        problems.push(problem.expected("a series such as `noble: {number: \"24.04\", distribution: ubuntu}`"));
    }
    let one = |(name, series): (Spanned<SeriesName>, SeriesDeclaration)| {
        Some(Series {
            name: name.value?,
            number: series.number.value?,
            distribution: series.distribution.value?,
            rustc: series.rustc.and_then(|rustc| rustc.value),
            prove_on: series.prove_on.and_then(|series| series.value),
        })
    };
    entries.into_iter().filter_map(one).collect()
}

pub(super) fn target(declared: Spanned<UploadDeclaration>, problems: &mut Problems) -> Option<Target> {
    let upload = declared.value?;
    let given = |text: &Option<Spanned<String>>| text.as_ref().and_then(|text| text.value.clone());
    let method = upload.method.as_ref().and_then(|method| method.value).map(|method| match method {
        MethodKind::Local => Method::Local,
        MethodKind::Sftp => Method::Sftp,
        MethodKind::Ftp => Method::Ftp,
        MethodKind::Https => Method::Https,
    });
    let login = given(&upload.login);
    if let (Some(Spanned { place, .. }), Some(login)) = (&upload.login, &login) {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
        if login.is_empty() || !login.chars().all(fits) || login.starts_with('-') {
            let problem = Problem::new(*place, format!("{} is not a user name", quoted(login)));
            problems.push(problem.expected("letters, digits and `. _ + -`"));
        } else if method == Some(Method::Local) {
            problems.push(Problem::new(*place, "the method `local` has no `login`"));
        }
    }
    let mut needed = |text: &Option<Spanned<String>>, key: &str, what: &str| {
        if text.is_none() {
            problems.push(Problem::new(declared.place, format!("{what} needs `{key}`")));
        }
        given(text)
    };
    let place = match upload.target.value? {
        TargetKind::Ppa => {
            let (owner, archive) =
                (needed(&upload.owner, "owner", "a PPA"), needed(&upload.archive, "archive", "a PPA"));
            for (text, what) in [(&upload.owner, "owner"), (&upload.archive, "archive")] {
                let Some(Spanned { place, value: Some(name) }) = text else { continue };
                let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
                if !name.bytes().all(fits) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                    let problem =
                        Problem::new(*place, format!("{} is not the name of an {what} in Launchpad", quoted(name)));
                    problems.push(problem.expected("lower-case letters, digits and `+ . -`, without a `~`"));
                }
            }
            Place::Ppa { owner: owner?, archive: archive?, method: method.unwrap_or(Method::Sftp), login }
        }
        TargetKind::Queue => {
            let incoming = needed(&upload.incoming, "incoming", "a queue");
            let method = method.or_else(|| {
                problems.push(Problem::new(declared.place, "a queue needs `method`"));
                None
            })?;
            let host = given(&upload.host);
            if (method == Method::Local) == host.is_some() {
                let text = if host.is_some() { "a local queue has no `host`" } else { "a queue needs `host`" };
                problems.push(Problem::new(declared.place, text));
            }
            let log = given(&upload.log).map(PathBuf::from);
            Place::Queue { method, host, login, incoming: incoming?, log }
        }
    };
    Some(Target { place, key: given(&upload.key) })
}
