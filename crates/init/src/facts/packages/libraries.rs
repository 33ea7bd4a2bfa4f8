//! Libraries for tests that a build system looks for: without them, many projects build and have no tests.

use super::super::Saw;
use super::super::calls::calls;
use crate::tree::Tree;

/// Names by which build systems ask for such libraries, in lower case, with the Debian packages.
const LIBRARIES: [(&str, &str); 10] = [
    ("check", "check"),
    ("cmocka", "libcmocka-dev"),
    ("cunit", "libcunit1-dev"),
    ("criterion", "libcriterion-dev"),
    ("cppunit", "libcppunit-dev"),
    ("cpputest", "libcpputest-dev"),
    ("gtest", "libgtest-dev"),
    ("gmock", "libgmock-dev"),
    ("catch2", "catch2"),
    ("doctest", "doctest-dev"),
];

/// The files of a build system, and what in them asks for a library.
const QUESTIONS: [(&str, &[&str]); 4] = [
    ("configure.ac", &["PKG_CHECK_MODULES", "PKG_CHECK_EXISTS", "AM_PATH_CHECK"]),
    ("configure.in", &["PKG_CHECK_MODULES", "AM_PATH_CHECK"]),
    ("meson.build", &["dependency"]),
    ("CMakeLists.txt", &["find_package", "pkg_check_modules", "pkg_search_module"]),
];

/// The packages, each with where its library is asked for.
pub(super) fn for_tests(tree: &Tree) -> Vec<(&'static str, Saw)> {
    let mut found = Vec::new();
    for (file, names) in QUESTIONS {
        for path in tree.named(file).into_iter().take(100) {
            let text = tree.text(path).unwrap_or_default();
            for call in names.iter().flat_map(|name| calls(&text, name).into_iter().map(move |call| (name, call))) {
                let (name, call) = call;
                let saw = Saw::line(path, call.line, &format!("{name}({})", call.inside));
                let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
                // A version may follow, and then what is done with it.
                let asked = match *name {
                    "AM_PATH_CHECK" => "check".to_owned(),
                    "dependency" | "find_package" => call.inside.clone(),
                    _ => call.inside.split(',').nth(1).unwrap_or(&call.inside).to_owned(),
                };
                let words = asked.split(|letter: char| !is_word(letter)).filter(|word| !word.is_empty());
                let first = if matches!(*name, "dependency" | "find_package") { 1 } else { usize::MAX };
                let asks = |library: &str| words.clone().take(first).any(|word| word.eq_ignore_ascii_case(library));
                found.extend(
                    LIBRARIES.iter().filter(|(library, _)| asks(library)).map(|(_, package)| (*package, saw.clone())),
                );
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_for_tests_are_packages() {
        for (path, text, expected) in [
            ("configure.ac", "PKG_CHECK_MODULES([CHECK], [check >= 0.9.4],[with_check=yes])\n", "check"),
            ("configure.ac", "AM_PATH_CHECK([0.9], [have_check=yes])\n", "check"),
            ("configure.ac", "PKG_CHECK_MODULES([X], [libx], [check=yes])\nAC_ARG_ENABLE([check])\n", ""),
            ("tests/meson.build", "c = dependency('cmocka', required: false)\n", "libcmocka-dev"),
            ("meson.build", "c = dependency('libx', fallback: ['check', 'dep'])\n", ""),
            ("CMakeLists.txt", "find_package(GTest REQUIRED)\n", "libgtest-dev"),
            ("CMakeLists.txt", "pkg_check_modules(CMOCKA cmocka)\n", "libcmocka-dev"),
            ("vendor/CMakeLists.txt", "find_package(GTest REQUIRED)\n", ""),
        ] {
            let found = for_tests(&Tree::from_texts([(path, text)]));
            assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" "), expected, "{text}");
        }
    }
}
