//! Kinds of files of an upload, by their names, as Launchpad's archive uploader tells them.

/// The kind of a file, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileKind {
    Dsc,
    Orig { component: Option<String>, signature: bool },
    Debian,
    Diff,
    Native,
    Buildinfo { architecture: String },
    Binary { architecture: String },
}

impl FileKind {
    /// Whether it is a file of a source package, `.dsc` included.
    pub(super) fn is_source(&self) -> bool {
        !matches!(self, FileKind::Buildinfo { .. } | FileKind::Binary { .. })
    }
}

/// A name with its parts: `PACKAGE_VERSION…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileName {
    /// The version, without an epoch; that of orig tarballs has no revision.
    pub(super) version: String,
    pub(super) kind: FileKind,
}

const COMPRESSED: [&str; 3] = ["gz", "bz2", "xz"];

pub(super) fn kind(name: &str) -> Option<FileKind> {
    parse(name).map(|name| name.kind)
}

/// Parses a name; `None` for a file that Launchpad cannot identify.
pub(super) fn parse(name: &str) -> Option<FileName> {
    let (_, rest) = name.split_once('_').filter(|(package, _)| !package.is_empty())?;
    let found = |version: &str, kind| Some(FileName { version: version.to_owned(), kind });
    let (plain, signature) = rest.strip_suffix(".asc").map_or((rest, false), |plain| (plain, true));
    if let Some(stem) = COMPRESSED.iter().find_map(|ending| plain.strip_suffix(&format!(".tar.{ending}"))) {
        if let Some((version, component)) = stem.rsplit_once(".orig-") {
            let fits = component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let kind = FileKind::Orig { component: Some(component.to_owned()), signature };
            return if fits && !component.is_empty() { found(version, kind) } else { None };
        }
        return match (stem.strip_suffix(".orig"), stem.strip_suffix(".debian")) {
            (Some(version), _) => found(version, FileKind::Orig { component: None, signature }),
            _ if signature => None,
            (None, Some(version)) => found(version, FileKind::Debian),
            (None, None) => found(stem, FileKind::Native),
        };
    }
    if let Some(version) = rest.strip_suffix(".dsc") {
        return found(version, FileKind::Dsc);
    }
    if let Some(version) = rest.strip_suffix(".diff.gz") {
        return found(version, FileKind::Diff);
    }
    let (stem, ending) = rest.rsplit_once('.')?;
    let (version, architecture) = stem.rsplit_once('_')?;
    let architecture = architecture.to_owned();
    match ending {
        "buildinfo" => found(version, FileKind::Buildinfo { architecture }),
        "deb" | "udeb" | "ddeb" => found(version, FileKind::Binary { architecture }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_says_what_it_is() {
        let orig =
            |component: Option<&str>, signature| FileKind::Orig { component: component.map(str::to_owned), signature };
        for (name, version, kind) in [
            ("x_1.0.orig.tar.gz", "1.0", orig(None, false)),
            ("x_1.0.orig.tar.xz.asc", "1.0", orig(None, true)),
            ("x_1.0.orig-a-b.tar.bz2", "1.0", orig(Some("a-b"), false)),
            ("x_1.0-1.debian.tar.xz", "1.0-1", FileKind::Debian),
            ("x_1.0-1.diff.gz", "1.0-1", FileKind::Diff),
            ("x_1.0.tar.xz", "1.0", FileKind::Native),
            ("x_1.0-1.dsc", "1.0-1", FileKind::Dsc),
            ("x_1.0-1_source.buildinfo", "1.0-1", FileKind::Buildinfo { architecture: "source".into() }),
            ("x_1.0-1_all.udeb", "1.0-1", FileKind::Binary { architecture: "all".into() }),
        ] {
            assert_eq!(parse(name), Some(FileName { version: version.to_owned(), kind }), "{name}");
        }
        for name in ["x.dsc", "_1.dsc", "x_1.0.orig.tar.zst", "x_1.0.orig-a_b.tar.gz", "x_1.0.tar.xz.asc", "x_1.deb"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
