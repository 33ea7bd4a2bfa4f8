//! Programs that write code for a build, and that CMake and Meson look for, with their Debian packages.

use super::super::calls::{Call, calls};

/// The programs that a package is built with, each with its Debian package.
const PROGRAMS: [(&str, &str); 11] = [
    ("pkg-config", "pkg-config"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("gperf", "gperf"),
    ("re2c", "re2c"),
    ("ragel", "ragel"),
    ("msgfmt", "gettext"),
    ("protoc", "protobuf-compiler"),
    ("swig", "swig"),
    ("nasm", "nasm"),
    ("yasm", "yasm"),
];
/// Other names of these programs: modules of CMake in lower case, and programs that the same package has.
const ALIASES: [(&str, &str); 7] = [
    ("pkgconfig", "pkg-config"),
    ("pkgconf", "pkg-config"),
    ("gettext", "msgfmt"),
    ("xgettext", "msgfmt"),
    ("protobuf", "protoc"),
    ("lex", "flex"),
    ("yacc", "bison"),
];
/// Dependencies of Meson for which it does not ask pkg-config.
const WITHOUT_PKG_CONFIG: [&str; 6] = ["threads", "openmp", "dl", "intl", "iconv", "python3"];

/// True for the Debian package of a program that only generates code.
pub(crate) fn is_package(name: &str) -> bool {
    PROGRAMS.iter().any(|(_, package)| *package == name)
}

/// The program that has this name.
fn known(name: &str) -> Option<(&'static str, &'static str)> {
    let name = name.to_ascii_lowercase();
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |(_, program)| program);
    PROGRAMS.into_iter().find(|(program, _)| *program == name)
}

/// Those that `find_package` and `find_program` of CMake look for.
pub(super) fn of_cmake(texts: &[(String, String)]) -> Vec<(&'static str, &'static str)> {
    unique(texts.iter().flat_map(|(_, text)| {
        let packages = calls(text, "find_package").into_iter().filter_map(|call| known(call.words().first()?));
        let programs = calls(text, "find_program").into_iter().filter_map(|call| {
            // The first word is the variable, and each of the names has the same purpose.
            let words = call.words();
            words.iter().skip(1).find_map(|word| known(word))
        });
        packages.chain(programs).collect::<Vec<_>>()
    }))
}

/// Those that `find_program` of Meson looks for and cannot do without, and pkg-config where it looks for a library.
pub(super) fn of_meson(texts: &[(String, String)]) -> Vec<(&'static str, &'static str)> {
    let is_optional = |call: &Call| call.keyword("required").is_some_and(|value| value != "true");
    unique(texts.iter().flat_map(|(_, text)| {
        let asks = |call: &Call| call.first_quoted().is_some_and(|name| !WITHOUT_PKG_CONFIG.contains(&name));
        let libraries = calls(text, "dependency").iter().any(asks).then(|| known("pkg-config")).flatten();
        let programs = calls(text, "find_program").into_iter().filter(|call| !is_optional(call));
        libraries.into_iter().chain(programs.filter_map(|call| known(call.first_quoted()?))).collect::<Vec<_>>()
    }))
}

/// Each program once, in the order of [`PROGRAMS`].
fn unique(found: impl Iterator<Item = (&'static str, &'static str)>) -> Vec<(&'static str, &'static str)> {
    let found: Vec<_> = found.collect();
    PROGRAMS.into_iter().filter(|program| found.contains(program)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &[(&'static str, &'static str)]) -> String {
        found.iter().map(|(_, package)| *package).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn generators_that_cmake_looks_for_are_needed() {
        let found = |text: &str| names(&of_cmake(&[("CMakeLists.txt".to_owned(), text.to_owned())]));
        assert_eq!(found("find_package(BISON 3.0 REQUIRED)\nFIND_PACKAGE(FLEX)\n"), "flex bison");
        assert_eq!(found("find_program(YACC NAMES byacc yacc)\nfind_program(GPERF gperf)\n"), "bison gperf");
        assert_eq!(found("find_package(PkgConfig)\nfind_package(Gettext)\n"), "pkg-config gettext");
        assert_eq!(found("# find_package(BISON)\nfind_package(ZLIB)\nfind_program(BISON sed)\n"), "");
    }

    #[test]
    fn generators_that_meson_looks_for_are_needed() {
        let found = |text: &str| names(&of_meson(&[("meson.build".to_owned(), text.to_owned())]));
        assert_eq!(found("y = find_program('bison')\nl = find_program('flex', 'lex', required: true)\n"), "flex bison");
        assert_eq!(found("g = find_program('gperf', required: false)\nd = dependency('threads')\n"), "");
        assert_eq!(found("z = dependency('zlib', required: false)\n"), "pkg-config");
    }
}
