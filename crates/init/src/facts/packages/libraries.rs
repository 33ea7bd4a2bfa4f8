//! Libraries that a build system looks for: those that it cannot do without, and those for tests, without which many projects
//! build and have no tests.

use super::super::Saw;
use super::super::calls::{Call, calls};
use crate::tree::Tree;

/// Libraries for tests, by the names by which build systems ask for them, in lower case, with their Debian packages.
const FOR_TESTS: [(&str, &str); 10] = [
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

/// Usual libraries, with their Debian packages: modules of pkg-config, and where CMake has another name, that in lower case.
const USUAL: [(&str, &[&str]); 114] = [
    ("libglib2.0-dev", &["glib-2.0", "gio-2.0", "gio-unix-2.0", "gobject-2.0", "gmodule-2.0", "gthread-2.0"]),
    ("libcairo2-dev", &["cairo"]),
    ("libpango1.0-dev", &["pango", "pangocairo"]),
    ("libgdk-pixbuf-2.0-dev", &["gdk-pixbuf-2.0"]),
    ("libgtk-3-dev", &["gtk+-3.0"]),
    ("libgtk-4-dev", &["gtk4"]),
    ("libwayland-dev", &["wayland-client", "wayland-server", "wayland-cursor", "wayland-egl"]),
    ("wayland-protocols", &["wayland-protocols"]),
    ("libxkbcommon-dev", &["xkbcommon"]),
    ("libpixman-1-dev", &["pixman-1"]),
    ("libdrm-dev", &["libdrm"]),
    ("libx11-dev", &["x11"]),
    ("libxcb1-dev", &["xcb"]),
    ("zlib1g-dev", &["zlib"]),
    ("liblzma-dev", &["liblzma"]),
    ("libzstd-dev", &["libzstd"]),
    ("libbz2-dev", &["bzip2"]),
    ("libssl-dev", &["openssl", "libssl", "libcrypto"]),
    ("libgnutls28-dev", &["gnutls"]),
    ("libsodium-dev", &["libsodium"]),
    ("libcurl4-openssl-dev", &["libcurl", "curl"]),
    ("libevent-dev", &["libevent", "libevent_core"]),
    ("libuv1-dev", &["libuv"]),
    ("libc-ares-dev", &["libcares"]),
    ("libxml2-dev", &["libxml-2.0", "libxml2"]),
    ("libjson-c-dev", &["json-c"]),
    ("libjansson-dev", &["jansson"]),
    ("libyaml-dev", &["yaml-0.1"]),
    ("libexpat1-dev", &["expat"]),
    ("libncurses-dev", &["ncurses", "ncursesw", "tinfo", "curses"]),
    ("libreadline-dev", &["readline"]),
    ("libsqlite3-dev", &["sqlite3"]),
    ("libpcre2-dev", &["libpcre2-8"]),
    ("libudev-dev", &["libudev"]),
    ("libsystemd-dev", &["libsystemd"]),
    ("libcap-dev", &["libcap"]),
    ("libseccomp-dev", &["libseccomp"]),
    ("uuid-dev", &["uuid"]),
    ("libelf-dev", &["libelf"]),
    ("libusb-1.0-0-dev", &["libusb-1.0"]),
    ("libdbus-1-dev", &["dbus-1"]),
    ("libpng-dev", &["libpng", "png"]),
    ("libfreetype-dev", &["freetype2", "freetype"]),
    ("libfontconfig-dev", &["fontconfig"]),
    ("libpcap-dev", &["libpcap"]),
    ("libharfbuzz-dev", &["harfbuzz"]),
    ("libfribidi-dev", &["fribidi"]),
    ("libgraphite2-dev", &["graphite2"]),
    ("libicu-dev", &["icu-uc", "icu-i18n", "icu"]),
    ("libffi-dev", &["libffi"]),
    ("libarchive-dev", &["libarchive"]),
    ("libssh2-1-dev", &["libssh2"]),
    ("libssh-dev", &["libssh"]),
    ("libnghttp2-dev", &["libnghttp2"]),
    ("libplist-dev", &["libplist-2.0", "libplist"]),
    ("libusbmuxd-dev", &["libusbmuxd-2.0"]),
    ("libxslt1-dev", &["libxslt", "libexslt"]),
    ("libgit2-dev", &["libgit2"]),
    ("libmicrohttpd-dev", &["libmicrohttpd"]),
    ("libidn2-dev", &["libidn2"]),
    ("libunistring-dev", &["libunistring"]),
    ("libtasn1-6-dev", &["libtasn1"]),
    ("nettle-dev", &["nettle", "hogweed"]),
    ("libp11-kit-dev", &["p11-kit-1"]),
    ("libgcrypt20-dev", &["libgcrypt"]),
    ("libacl1-dev", &["libacl"]),
    ("libselinux1-dev", &["libselinux"]),
    ("libmount-dev", &["mount"]),
    ("libblkid-dev", &["blkid"]),
    ("libfuse3-dev", &["fuse3"]),
    ("libnl-3-dev", &["libnl-3.0"]),
    ("libmnl-dev", &["libmnl"]),
    ("libbpf-dev", &["libbpf"]),
    ("liblz4-dev", &["liblz4", "lz4"]),
    ("libbrotli-dev", &["libbrotlienc", "libbrotlidec"]),
    ("libjpeg-dev", &["libjpeg", "jpeg"]),
    ("libtiff-dev", &["libtiff-4", "tiff"]),
    ("libwebp-dev", &["libwebp"]),
    ("libasound2-dev", &["alsa"]),
    ("libpulse-dev", &["libpulse"]),
    ("libsdl2-dev", &["sdl2"]),
    ("libxext-dev", &["xext"]),
    ("libxrandr-dev", &["xrandr"]),
    ("libxi-dev", &["xi"]),
    ("libxfixes-dev", &["xfixes"]),
    ("libxrender-dev", &["xrender"]),
    ("libxft-dev", &["xft"]),
    ("libxinerama-dev", &["xinerama"]),
    ("libinput-dev", &["libinput"]),
    ("libevdev-dev", &["libevdev"]),
    ("libpciaccess-dev", &["pciaccess"]),
    ("libgbm-dev", &["gbm"]),
    ("libegl-dev", &["egl"]),
    ("libgl-dev", &["gl", "opengl"]),
    ("libvulkan-dev", &["vulkan"]),
    ("libprotobuf-c-dev", &["libprotobuf-c"]),
    ("libhiredis-dev", &["hiredis"]),
    ("libmbedtls-dev", &["mbedtls"]),
    ("libargon2-dev", &["libargon2"]),
    ("libunwind-dev", &["libunwind"]),
    ("libdw-dev", &["libdw"]),
    ("libkrb5-dev", &["krb5", "krb5-gssapi"]),
    ("libfmt-dev", &["fmt"]),
    ("libspdlog-dev", &["spdlog"]),
    ("nlohmann-json3-dev", &["nlohmann_json"]),
    ("liburing-dev", &["liburing"]),
    ("libxxhash-dev", &["libxxhash"]),
    ("libpopt-dev", &["popt"]),
    ("libedit-dev", &["libedit"]),
    ("libgmp-dev", &["gmp"]),
    ("libmpfr-dev", &["mpfr"]),
    ("libefivar-dev", &["efivar"]),
    ("libfido2-dev", &["libfido2"]),
    ("libkeyutils-dev", &["libkeyutils"]),
];

/// The files of build systems, and what in them asks for a library.
const QUESTIONS: [(&str, &[&str]); 4] = [
    ("configure.ac", &["PKG_CHECK_MODULES", "PKG_CHECK_EXISTS", "AM_PATH_CHECK"]),
    ("configure.in", &["PKG_CHECK_MODULES", "AM_PATH_CHECK"]),
    ("meson.build", &["dependency"]),
    ("CMakeLists.txt", &["find_package", "pkg_check_modules", "pkg_search_module"]),
];

/// The packages, each with where its library is asked for.
pub(super) fn find(tree: &Tree) -> Vec<(&'static str, Saw)> {
    let mut found = Vec::new();
    for (file, names) in QUESTIONS {
        for path in tree.named(file).into_iter().take(100) {
            let text = tree.text(path).unwrap_or_default();
            for name in names {
                for call in calls(&text, name) {
                    let modules = modules(name, &call);
                    let asks = |library: &str| modules.iter().any(|module| module.eq_ignore_ascii_case(library));
                    let tests = FOR_TESTS.iter().filter(|(library, _)| asks(library)).map(|(_, package)| *package);
                    let usual = USUAL.iter().filter(|(_, names)| names.iter().any(|library| asks(library)));
                    let usual = usual.filter(|_| is_required(name, &call)).map(|(package, _)| *package);
                    let saw = Saw::line(path, call.line, &format!("{name}({})", call.inside));
                    found.extend(tests.chain(usual).map(|package| (package, saw.clone())));
                }
            }
        }
    }
    found
}

/// The libraries that a call asks for.
fn modules(name: &str, call: &Call) -> Vec<String> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_-.+".contains(letter);
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !is_word(letter)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    match name {
        "AM_PATH_CHECK" => vec!["check".to_owned()],
        // Of CMake and Meson, options follow the name.
        "dependency" | "find_package" => words(&call.inside).into_iter().take(1).collect(),
        "PKG_CHECK_EXISTS" => words(call.inside.split(',').next().unwrap_or_default()),
        "PKG_CHECK_MODULES" => words(call.inside.split(',').nth(1).unwrap_or_default()),
        _ => words(&call.inside).into_iter().skip(1).collect(),
    }
}

/// True if the project is not built without what a call asks for.
fn is_required(name: &str, call: &Call) -> bool {
    match name {
        "dependency" => {
            call.keyword("required").is_none_or(|value| value == "true") && !call.inside.contains("fallback")
        }
        "PKG_CHECK_MODULES" => call.arguments().get(3).is_none_or(|otherwise| otherwise.contains("AC_MSG_ERROR")),
        "PKG_CHECK_EXISTS" | "AM_PATH_CHECK" => false,
        _ => call.words().iter().any(|word| word == "REQUIRED"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_packages_where_they_are_for_tests_or_required() {
        for (path, text, expected) in [
            ("configure.ac", "PKG_CHECK_MODULES([CHECK], [check >= 0.9.4],[with_check=yes])\n", "check"),
            ("configure.ac", "AM_PATH_CHECK([0.9], [have_check=yes])\n", "check"),
            ("configure.ac", "PKG_CHECK_MODULES([X], [libx], [check=yes])\nAC_ARG_ENABLE([check])\n", ""),
            ("configure.ac", "PKG_CHECK_MODULES([G], [glib-2.0 >= 2.50 zlib])\n", "libglib2.0-dev zlib1g-dev"),
            ("configure.ac", "PKG_CHECK_MODULES([Z], [zlib], [], [AC_MSG_ERROR([zlib?])])\n", "zlib1g-dev"),
            ("configure.ac", "PKG_CHECK_MODULES([Z], [zlib], [z=yes], [z=no])\n", ""),
            ("tests/meson.build", "c = dependency('cmocka', required: false)\n", "libcmocka-dev"),
            ("meson.build", "g = dependency('gio-2.0', version : '>= 2.45.8')\n", "libglib2.0-dev"),
            ("meson.build", "z = dependency('zlib', required: get_option('zlib'))\n", ""),
            ("meson.build", "z = dependency('zlib', fallback: ['zlib', 'dep'])\n", ""),
            ("meson.build", "c = dependency('libx', fallback: ['check', 'dep'])\n", ""),
            ("CMakeLists.txt", "find_package(GTest REQUIRED)\n", "libgtest-dev"),
            ("CMakeLists.txt", "find_package(OpenSSL 1.1 REQUIRED)\nfind_package(ZLIB)\n", "libssl-dev"),
            ("CMakeLists.txt", "pkg_check_modules(CMOCKA cmocka)\n", "libcmocka-dev"),
            ("vendor/CMakeLists.txt", "find_package(GTest REQUIRED)\n", ""),
        ] {
            let found = find(&Tree::from_texts([(path, text)]));
            assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" "), expected, "{text}");
        }
    }
}
