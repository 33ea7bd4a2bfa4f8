//! Libraries whose files were copied into the sources: declared, or recognised by what their own files say of their version.

use super::component::{Component, ComponentKind, escaped};
use drydock_archive::EntryKind;
use drydock_archive::source::SourceTree;
use drydock_config::release::{Release, VendoredLibrary};

/// A header that says the version of its library.
struct KnownHeader {
    /// The name of the file.
    file: &'static str,
    library: &'static str,
    /// The macros with the version: one with the whole text, or the numbers in order.
    macros: &'static [&'static str],
}

const fn known(file: &'static str, library: &'static str, macros: &'static [&'static str]) -> KnownHeader {
    KnownHeader { file, library, macros }
}

const HEADERS: &[KnownHeader] = &[
    known("zlib.h", "zlib", &["ZLIB_VERSION"]),
    known("sqlite3.h", "sqlite", &["SQLITE_VERSION"]),
    known("miniz.h", "miniz", &["MZ_VERSION"]),
    known("cJSON.h", "cjson", &["CJSON_VERSION_MAJOR", "CJSON_VERSION_MINOR", "CJSON_VERSION_PATCH"]),
    known("lua.h", "lua", &["LUA_VERSION_MAJOR", "LUA_VERSION_MINOR", "LUA_VERSION_RELEASE"]),
    known("expat.h", "expat", &["XML_MAJOR_VERSION", "XML_MINOR_VERSION", "XML_MICRO_VERSION"]),
    known("png.h", "libpng", &["PNG_LIBPNG_VER_STRING"]),
    known("lz4.h", "lz4", &["LZ4_VERSION_MAJOR", "LZ4_VERSION_MINOR", "LZ4_VERSION_RELEASE"]),
    known("zstd.h", "zstd", &["ZSTD_VERSION_MAJOR", "ZSTD_VERSION_MINOR", "ZSTD_VERSION_RELEASE"]),
    known("uthash.h", "uthash", &["UTHASH_VERSION"]),
    known("event.h", "libev", &["EV_VERSION_MAJOR", "EV_VERSION_MINOR"]),
    known("curl/curlver.h", "curl", &["LIBCURL_VERSION"]),
    known("opensslv.h", "openssl", &["OPENSSL_VERSION_STR"]),
    known("yyjson.h", "yyjson", &["YYJSON_VERSION_STRING"]),
    known("xxhash.h", "xxhash", &["XXH_VERSION_MAJOR", "XXH_VERSION_MINOR", "XXH_VERSION_RELEASE"]),
    known("mongoose.h", "mongoose", &["MG_VERSION"]),
    known("toml.h", "tomlc", &["TOML_VERSION"]),
];

/// The declared libraries, and those that are recognised elsewhere.
pub(super) fn find(release: &Release, tree: &SourceTree) -> anyhow::Result<Vec<Component>> {
    let declared: &[VendoredLibrary] = release.sbom.as_ref().map_or(&[], |sbom| &sbom.vendored);
    let mut found: Vec<Component> = declared.iter().map(of_declared).collect();
    for entry in &tree.entries {
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        let Some((directory, file)) = entry.path.rsplit_once('/').filter(|_| is_file) else { continue };
        if declared.iter().any(|one| entry.path.starts_with(&format!("{}/", one.path)) || directory == one.path) {
            continue;
        }
        let header = HEADERS.iter().find(|one| entry.path.ends_with(&format!("/{}", one.file)));
        if header.is_none() && !matches!(file, "configure.ac" | "configure.in") {
            continue;
        }
        let Some(text) = tree.text(&entry.path)? else { continue };
        let named = match header {
            Some(header) => in_header(&text, header).map(|version| (header.library.to_owned(), version)),
            None => in_autoconf(&text),
        };
        found.extend(named.map(|(name, version)| component(&name, &version, None, &entry.path)));
    }
    Ok(found)
}

fn of_declared(library: &VendoredLibrary) -> Component {
    let mut one = component(&library.name, &library.version, library.purl.clone(), &library.path);
    one.license.clone_from(&library.license);
    one
}

fn component(name: &str, version: &str, purl: Option<String>, evidence: &str) -> Component {
    Component {
        kind: ComponentKind::Vendored,
        purl: purl.unwrap_or_else(|| format!("pkg:generic/{}@{}", escaped(name), escaped(version))),
        name: name.to_owned(),
        version: Some(version.to_owned()),
        sha256: None,
        license: None,
        evidence: vec![evidence.to_owned()],
        uses: Vec::new(),
    }
}

/// The version in the macros of a header.
fn in_header(text: &str, header: &KnownHeader) -> Option<String> {
    let value = |name: &str| {
        let mut lines =
            text.lines().filter_map(|line| line.trim().strip_prefix('#')?.trim_start().strip_prefix("define"));
        let rest =
            lines.find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix([' ', '\t']).map(str::trim))?;
        let value = rest.split([' ', '\t', '/']).next()?.trim_matches('"').to_owned();
        value.starts_with(|letter: char| letter.is_ascii_digit()).then_some(value)
    };
    let values: Option<Vec<String>> = header.macros.iter().map(|name| value(name)).collect();
    Some(values?.join("."))
}

/// The name and version of `AC_INIT([name], [version])`.
fn in_autoconf(text: &str) -> Option<(String, String)> {
    let (_, rest) = text.split_once("AC_INIT(")?;
    let mut words =
        rest.split(',').map(|word| word.trim().trim_start_matches('[').trim_end_matches([']', ')', '\n']).trim());
    let (name, version) = (words.next()?, words.next()?);
    let version = version.split([')', ']']).next()?;
    let is_plain = |text: &str| {
        !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || " .+~_-".contains(letter))
    };
    let is_version = version.starts_with(|letter: char| letter.is_ascii_digit()) && is_plain(version);
    (is_plain(name) && is_version).then(|| (name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_say_their_version_in_their_own_way() {
        let header = |file: &str, text: &str| in_header(text, HEADERS.iter().find(|one| one.file == file).unwrap());
        assert_eq!(
            header("zlib.h", "#define ZLIB_VERSION \"1.3.1\"\n#define ZLIB_VERNUM 1\n").as_deref(),
            Some("1.3.1")
        );
        let json =
            "#define CJSON_VERSION_MAJOR 1\n# define CJSON_VERSION_MINOR 7 /* x */\n#define CJSON_VERSION_PATCH 18\n";
        assert_eq!(header("cJSON.h", json).as_deref(), Some("1.7.18"));
        // A header that only has the name of another library's.
        assert_eq!(header("zlib.h", "#include \"../real/zlib.h\"\n"), None);
        assert_eq!(header("lua.h", "#define LUA_VERSION_MAJOR \"5\"\n"), None);
        let autoconf = |text: &str| in_autoconf(text).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(
            autoconf("AC_PREREQ([2.69])\nAC_INIT([libsodium],[1.0.18],\n [url])\n").as_deref(),
            Some("libsodium 1.0.18")
        );
        assert_eq!(autoconf("AC_INIT(libx, 2.0)\n").as_deref(), Some("libx 2.0"));
        assert_eq!(autoconf("AC_INIT([x], m4_esyscmd([git describe]))\n"), None);
    }
}
