//! Suites that show one property of tests each: those that CMake and Meson are tested with themselves, and small ones of others.

use super::fetch::Source;
use super::own::{by_ctest, by_make_check, by_meson, by_prove, by_pytest};
use super::{Adopted, C};

/// The sources of CMake, whose directory `Tests` has a suite for each of these properties.
const CMAKE: Source = Source::Debian(
    "c/cmake/cmake_3.25.1.orig.tar.gz",
    "1c511d09516af493694ed9baf13c55947a36389674d657a2d5e0ccedc6b291d8",
);
/// The sources of Meson, whose directory `test cases` has them.
const MESON: Source = Source::Debian(
    "m/meson/meson_1.0.1.orig.tar.gz",
    "d926b730de6f518728cc7c57bc5e701667bae0c3522f9e369427b2cc7839d3c1",
);

const CTEST_YAML: &str = "  configure: {run: [cmake, -S, ., -B, b]}\n  build: {needs: [configure], run: [cmake, --build, b]}\n  suite: {for-each: {ctest: b, after: [build]}}\n";
const MESON_YAML: &str = "  configure: {run: [meson, setup, b]}\n  build: {needs: [configure], run: [ninja, -C, b]}\n  suite: {for-each: {meson: b, after: [build]}}\n";

/// One of CMake's own suites.
const fn of_cmake(name: &'static str, system: &'static str, directory: &'static str) -> Adopted {
    Adopted {
        name,
        system,
        source: CMAKE,
        directory,
        small: false,
        tools: &[("gcc", "gcc"), ("make", "make"), ("cmake", "cmake")],
        yaml: CTEST_YAML,
        own: by_ctest,
        explained: &[],
    }
}

/// One of Meson's own suites.
const fn of_meson(name: &'static str, system: &'static str, directory: &'static str) -> Adopted {
    Adopted {
        name,
        system,
        source: MESON,
        directory,
        small: false,
        tools: &[("gcc", "gcc"), ("meson", "meson"), ("ninja", "ninja-build")],
        yaml: MESON_YAML,
        own: by_meson,
        explained: &[],
    }
}

pub(super) const PROPERTIES: [Adopted; 23] = [
    of_cmake("cmake/lock", "RESOURCE_LOCK", "Tests/CTestTestResourceLock"),
    of_cmake("cmake/serial", "RUN_SERIAL, PROCESSORS", "Tests/CTestTestParallel"),
    of_cmake("cmake/depends", "RUN_SERIAL, DEPENDS", "Tests/CTestTestSerialInDepends"),
    of_cmake("cmake/skip", "SKIP_RETURN_CODE", "Tests/CTestTestSkipReturnCode"),
    of_cmake("cmake/cost", "COST", "Tests/CTestTestCostSerial"),
    Adopted {
        explained: &[("verification", "it passes only if the tests ran one after another in the order of CTest")],
        ..of_cmake("cmake/order", "COST, DEPENDS", "Tests/CTestTestSerialOrder")
    },
    of_cmake("cmake/depends-2", "DEPENDS", "Tests/CTestTestDepends"),
    Adopted {
        name: "cli11",
        system: "PASS_REGULAR_EXPRESSION",
        source: Source::Debian(
            "c/cli11/cli11_2.1.2+ds.orig.tar.xz",
            "8143d20b688e98ccce8e24562d3b68e5f47c12e896c42c7ca8553dbde5bed55d",
        ),
        directory: "",
        small: false,
        tools: &[("g++", "g++"), ("make", "make"), ("cmake", "cmake")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b, -DCLI11_BUILD_TESTS=OFF]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2], memory: 1GiB, timeout: 20m}\n  suite: {for-each: {ctest: b, after: [build]}}\n",
        own: by_ctest,
        explained: &[],
    },
    of_meson("meson/tap", "tap, should_fail", "test cases/common/206 tap tests"),
    Adopted {
        explained: &[(
            "missing-test",
            "a program that planned a test and ran none has failed; Meson takes it for skipped, since no test of it was not",
        )],
        ..of_meson("meson/tap-wrong", "tap", "test cases/failing test/5 tap tests")
    },
    of_meson("meson/should-fail", "should_fail", "test cases/common/68 should fail"),
    of_meson("meson/xpass", "should_fail", "test cases/failing test/6 xpass"),
    of_meson("meson/hard-error", "exit code 99", "test cases/failing test/4 hard error"),
    of_meson("meson/priority", "priority", "test cases/common/217 test priorities"),
    Adopted {
        name: "try-tiny",
        system: "prove",
        source: Source::Debian(
            "libt/libtry-tiny-perl/libtry-tiny-perl_0.31.orig.tar.gz",
            "3300d31d8a4075b26d8f46ce864a1d913e0e8467ceeba6655d5d2b2e206c11be",
        ),
        directory: "",
        small: false,
        tools: &[("prove", "perl")],
        yaml: "  suite: {for-each: {tap: 't/*.t', args: [-Ilib]}}\n",
        own: by_prove,
        explained: &[(
            "zzz-check-breaks",
            "its only test is skipped, so that nothing was tested; prove takes a script for skipped only if its plan says so",
        )],
    },
    // It needs the package libcap-dev.
    Adopted {
        name: "bubblewrap",
        system: "automake, LOG_DRIVER",
        source: Source::Debian(
            "b/bubblewrap/bubblewrap_0.8.0.orig.tar.xz",
            "957ad1149db9033db88e988b12bcebe349a445e1efc8a9b59ad2939a113d333a",
        ),
        directory: "",
        small: false,
        tools: C,
        yaml: "  configure: {run: [./configure, -q]}\n  build: {needs: [configure], run: [make, check, 'TESTS='], allow-no-tests: true}\n  suite: {for-each: {automake: ., after: [build]}}\n",
        own: by_make_check,
        explained: &[],
    },
    Adopted {
        name: "cmocka",
        system: "WILL_FAIL",
        source: Source::Debian(
            "c/cmocka/cmocka_1.1.5.orig.tar.xz",
            "f0ccd8242d55e2fd74b16ba518359151f6f8383ff8aef4976e48393f77bba8b6",
        ),
        directory: "",
        small: false,
        tools: &[("gcc", "gcc"), ("make", "make"), ("cmake", "cmake")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b, -DUNIT_TESTING=ON]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2]}\n  suite: {for-each: {ctest: b, after: [build]}}\n",
        own: by_ctest,
        explained: &[],
    },
    Adopted {
        name: "catch2",
        system: "FAIL_REGULAR_EXPRESSION",
        source: Source::Debian(
            "c/catch2/catch2_2.13.10.orig.tar.gz",
            "2f4fe284449cf17394350e027ae21958973a61b9161197d416e2dfca16167686",
        ),
        directory: "",
        small: false,
        tools: &[("g++", "g++"), ("make", "make"), ("cmake", "cmake")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2], memory: 3GiB, timeout: 30m}\n  suite: {for-each: {ctest: b, after: [build]}}\n",
        own: by_ctest,
        explained: &[],
    },
    Adopted {
        name: "serd",
        system: "is_parallel",
        source: Source::Debian(
            "s/serd/serd_0.30.16.orig.tar.xz",
            "f50f486da519cdd8d03b20c9e42414e459133f5a244411d8e63caef8d9ac9146",
        ),
        directory: "",
        small: false,
        tools: &[("gcc", "gcc"), ("meson", "meson"), ("ninja", "ninja-build")],
        yaml: "  configure: {run: [meson, setup, b, -Ddocs=disabled]}\n  build: {needs: [configure], run: [ninja, -C, b]}\n  suite: {for-each: {meson: b, after: [build]}}\n",
        own: by_meson,
        explained: &[],
    },
    // It needs the packages bison and xkb-data.
    Adopted {
        name: "libxkbcommon",
        system: "add_test_setup",
        source: Source::Debian(
            "libx/libxkbcommon/libxkbcommon_1.5.0.orig.tar.xz",
            "560f11c4bbbca10f495f3ef7d3a6aa4ca62b4f8fb0b52e7d459d18a26e46e017",
        ),
        directory: "",
        small: false,
        tools: &[
            ("gcc", "gcc"),
            ("meson", "meson"),
            ("ninja", "ninja-build"),
            ("valgrind", "valgrind"),
            ("bison", "bison"),
        ],
        yaml: "  configure: {run: [meson, setup, b, -Denable-x11=false, -Denable-wayland=false, -Denable-xkbregistry=false, -Denable-docs=false]}\n  build: {needs: [configure], run: [ninja, -C, b]}\n  suite: {for-each: {meson: b, args: [--setup=valgrind], after: [build]}}\n",
        own: by_meson,
        explained: &[],
    },
    Adopted {
        name: "sed",
        system: "TEST_EXTENSIONS",
        source: Source::Debian(
            "s/sed/sed_4.9.orig.tar.xz",
            "6e226b732e1cd739464ad6862bd1a1aba42d7982922da7a53519631d24975181",
        ),
        directory: "",
        small: false,
        tools: C,
        yaml: "  configure: {run: [./configure, -q], timeout: 20m, env: {FORCE_UNSAFE_CONFIGURE: '1'}}\n  build: {needs: [configure], run: [make, check, 'TESTS='], allow-no-tests: true}\n  suite: {for-each: {automake: ., after: [build]}}\n",
        own: by_make_check,
        explained: &[("test-verify", "automake keeps one result for this program and the script `test-verify.sh`")],
    },
    // It needs the packages python3-pytest-mock and python3-pytest-timeout.
    Adopted {
        name: "filelock",
        system: "pytest, timeout mark",
        source: Source::PyPi("filelock==3.18.0"),
        directory: "",
        small: false,
        tools: &[("pytest-3", "python3-pytest"), ("pip", "python3-pip")],
        yaml: "  suite: {for-each: {pytest: tests/test_filelock.py}, env: {PYTHONPATH: src}}\n",
        own: by_pytest,
        explained: &[],
    },
    // It needs the package python3-pytest-timeout.
    Adopted {
        name: "execnet",
        system: "pytest, timeout option",
        source: Source::PyPi("execnet==2.1.2"),
        directory: "",
        small: false,
        tools: &[("pytest-3", "python3-pytest"), ("pip", "python3-pip")],
        yaml: "  suite: {for-each: {pytest: testing/test_serializer.py}, env: {PYTHONPATH: src}}\n",
        own: by_pytest,
        explained: &[],
    },
];
