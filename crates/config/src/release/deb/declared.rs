//! The vocabulary of `deb` in `packaging/release.yaml`, as it is written: each field once, with its default.

use super::super::vendor::VendorDeclaration;
use super::{Address, Distribution, Number, Revision, SeriesName};
use crate::decode::{Bounded, Declared, Entries, FromText, Keyword, Spanned, declaration};
use crate::release::Format;
use crate::release::words::Text;
use drydock_base::text::quoted;
use drydock_base::units::BadValue;
use schemars::{Schema, json_schema};

declaration! {
    /// The Debian source package and its upload target.
    pub(in crate) struct DebDeclaration {
        /// The directory that becomes `debian/`: `control`, `rules`, `copyright` and so on.
        /// Files in its `series/NAME/` replace those of the same name for that series. The changelog is generated from the
        /// project's.
        directory: Text = Spanned::unwritten("packaging/debian".to_owned()),
        /// The name and address in the entries of the changelog.
        maintainer: Spanned<Address>,
        /// Which of the `archives` is the orig tarball: `tar.xz`, `tar.gz` or `tar.bz2`.
        orig: Spanned<Format> = Spanned::unwritten(Format::TarXz),
        /// The Debian revision, to which each series adds its own suffix.
        revision: Spanned<Revision> = Spanned::unwritten(Revision("0ubuntu1~ppa1".to_owned())),
        /// The last number of every version, raised to upload the same release again. It applies to all series.
        upload_number: Bounded<1, 999> = Bounded(1),
        /// Crates that are shipped in a separate tarball, whose name is their directory. Default: none.
        vendor: Option<Spanned<VendorDeclaration>>,
        /// The series to build for, by their code names.
        series: Spanned<Entries<SeriesName, SeriesDeclaration>>,
        /// The command that tests the packages in a system where only they are installed.
        /// Default: the tests of `debian/tests/control`, by autopkgtest.
        smoke_test: Option<Spanned<Vec<Text>>>,
        /// The upload target. Default: nothing is uploaded.
        upload: Option<Spanned<UploadDeclaration>>,
    }
}

declaration! {
    /// A series of a distribution.
    pub(in crate) struct SeriesDeclaration {
        /// The number, such as `"24.04"`: versions are sorted by it, as code names have no order.
        number: Spanned<Number>,
        /// The distribution.
        distribution: Spanned<Distribution>,
        /// The Rust compiler that the build uses there, such as `"1.75"`. Default: that of the series, if known.
        rustc: Option<Spanned<Number>>,
        /// The series to test on if this one is not available. Default: the nearest Debian series.
        prove_on: Option<Spanned<SeriesName>>,
    }
}

declaration! {
    /// The upload target.
    pub(in crate) struct UploadDeclaration {
        /// `ppa` for a personal package archive of Launchpad, or `queue` for the incoming directory of another archive.
        target: Spanned<TargetKind>,
        /// The Launchpad user or team that owns the archive.
        owner: Option<Text>,
        /// The name of the archive in Launchpad.
        archive: Option<Text>,
        /// The upload method. Default: `sftp` for a PPA.
        method: Option<Spanned<MethodKind>>,
        /// The host of the queue, `HOST` or `HOST:PORT`; none for the method `local`.
        host: Option<Text>,
        /// The user name at the host; for a PPA by `sftp` the Launchpad id of whoever uploads. Default: by `sftp` that of ssh's
        /// configuration; otherwise that of `~/.netrc`, or `anonymous` by `ftp`.
        login: Option<Text>,
        /// The incoming directory of the queue, `{state}` for Drydock's state directory.
        incoming: Option<Text>,
        /// The file in which the queue logs accepted and rejected uploads, one line per package. Default: none.
        log: Option<Text>,
        /// The fingerprint or address of the signing key. Default: `--key`, or gpg's default key.
        key: Option<Text>,
    }
}

/// Kinds of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    /// A personal package archive.
    Ppa,
    /// An incoming directory.
    Queue,
}

impl Keyword for TargetKind {
    const WHAT: &'static str = "a kind of target";
    const WORDS: &'static [(&'static str, Self)] = &[("ppa", Self::Ppa), ("queue", Self::Queue)];
}

/// The upload method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodKind {
    /// By copying.
    Local,
    /// By SFTP.
    Sftp,
    /// By FTP.
    Ftp,
    /// By HTTPS.
    Https,
}

impl Keyword for MethodKind {
    const WHAT: &'static str = "a method of uploading";
    const WORDS: &'static [(&'static str, Self)] =
        &[("local", Self::Local), ("sftp", Self::Sftp), ("ftp", Self::Ftp), ("https", Self::Https)];
}

impl Keyword for Distribution {
    const WHAT: &'static str = "a distribution";
    const WORDS: &'static [(&'static str, Self)] = &[("debian", Self::Debian), ("ubuntu", Self::Ubuntu)];
}

impl FromText for Address {
    const WHAT: &'static str = "a name with an address";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let parts = text.strip_suffix('>').and_then(|text| text.split_once(" <"));
        let fits = |(name, mail): (&str, &str)| {
            let plain = |part: &str| !part.chars().any(|c| c.is_control() || "<>,".contains(c));
            let (user, host) = mail.split_once('@')?;
            let good = !name.trim().is_empty() && plain(name) && plain(mail) && !mail.contains(' ');
            (good && !user.is_empty() && host.contains('.')).then_some(())
        };
        match parts.and_then(fits) {
            Some(()) => Ok(Self(text.to_owned())),
            None => Err(BadValue::new(
                format!("{} is not a name with an address", quoted(text)),
                "a name and an address, such as `A Name <name@example.org>`",
            )),
        }
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^[^<>,]+ <[^<>, ]+@[^<>, ]+>$"})
    }
}

impl FromText for Revision {
    const WHAT: &'static str = "a Debian revision";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+.~".contains(&byte);
        if text.starts_with(|first: char| first.is_ascii_digit()) && text.len() <= 40 && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        let expected = "a digit, then letters, digits and `+ . ~`, such as `0ubuntu1~ppa1`";
        Err(BadValue::new(format!("{} is not a Debian revision", quoted(text)), expected))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "maxLength": 40, "pattern": "^[0-9][A-Za-z0-9+.~]*$"})
    }
}

impl Declared for Revision {
    fn declared(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

impl FromText for SeriesName {
    const WHAT: &'static str = "the code name of a series";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let fits = !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_lowercase());
        let never = ["unstable", "experimental", "testing", "stable", "oldstable", "devel"].contains(&text);
        if fits && !never {
            return Ok(Self(text.to_owned()));
        }
        let expected = "the code name of a release, such as `noble` or `bookworm`";
        Err(BadValue::new(format!("{} is not a series", quoted(text)), expected))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "maxLength": 32, "pattern": "^[a-z]+$"})
    }
}

impl FromText for Number {
    const WHAT: &'static str = "a number";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let parts: Vec<Option<u32>> = text
            .split('.')
            .map(|part| part.parse().ok().filter(|_| part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit())))
            .collect();
        match parts.into_iter().collect::<Option<Vec<u32>>>() {
            Some(parts) if parts.len() <= 3 => Ok(Self { text: text.to_owned(), parts }),
            Some(_) | None => {
                let expected = "numbers with dots between them, such as `\"24.04\"`";
                Err(BadValue::new(format!("{} is not the number of a release", quoted(text)), expected))
            }
        }
    }

    fn text_schema() -> Schema {
        json_schema!({"type": ["string", "number", "integer"]})
    }
}
