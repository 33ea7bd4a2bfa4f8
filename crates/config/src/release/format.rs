//! The formats of archives.

use crate::decode::Keyword;

/// The format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// tar, compressed by deflate.
    TarGz,
    /// tar, compressed by LZMA2.
    TarXz,
    /// tar, compressed by bzip2.
    TarBz2,
    /// zip with deflate.
    Zip,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::TarGz, Format::TarXz, Format::TarBz2, Format::Zip];

    /// The file name extension.
    pub fn extension(self) -> &'static str {
        match self {
            Format::TarGz => "tar.gz",
            Format::TarXz => "tar.xz",
            Format::TarBz2 => "tar.bz2",
            Format::Zip => "zip",
        }
    }

    /// The format of a file, by its name.
    pub fn of_name(name: &str) -> Option<Format> {
        Self::ALL.into_iter().find(|format| name.ends_with(&format!(".{}", format.extension())))
    }
}

impl Keyword for Format {
    const WHAT: &'static str = "the format of an archive";
    const WORDS: &'static [(&'static str, Self)] =
        &[("tar.gz", Self::TarGz), ("tar.xz", Self::TarXz), ("tar.bz2", Self::TarBz2), ("zip", Self::Zip)];
}
