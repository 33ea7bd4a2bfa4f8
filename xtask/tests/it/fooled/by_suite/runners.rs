//! The usual runners that start valgrind, each with the real one.

use super::super::way::Way;
use super::{DAEMON, suite};

/// A pytest harness as those of daemons are: a process of its own for each test, under valgrind when it is asked for.
const HARNESS: &str = r#"
import os, subprocess, pytest

@pytest.mark.parametrize("what", ["lose", "read", "nothing"])
def test_daemon(what, tmp_path):
    wrapper = []
    if os.environ.get("VALGRIND") == "1":
        wrapper = ["valgrind", "-q", "--trace-children=yes", "--error-exitcode=7", f"--log-file={tmp_path}/errors.%p"]
    subprocess.run(wrapper + ["./d", what], check=not wrapper)
    for log in tmp_path.glob("errors.*"):
        assert log.read_text() == ""
"#;

const MESON: &str = "\
project('d', 'c', default_options: ['debug=true', 'optimization=0'])
d = executable('d', 'd.c', c_args: '-fno-builtin', dependencies: dependency('threads'))
test('lose', d, args: 'lose')
test('read', d, args: 'read')
add_test_setup('valgrind', exe_wrapper: ['valgrind', '-q', '--error-exitcode=7'], timeout_multiplier: 10)
";

const CMAKE: &str = "\
cmake_minimum_required(VERSION 3.16)
project(d C)
set(CMAKE_C_FLAGS \"-g -O0 -fno-builtin -pthread\")
include(CTest)
add_executable(d d.c)
add_test(NAME lose COMMAND d lose)
add_test(NAME read COMMAND d read)
";

const MAKEFILE: &str = "\
check-valgrind: d
\tvalgrind -q --leak-check=full --error-exitcode=1 ./d lose
\tvalgrind -q --leak-check=full --error-exitcode=1 ./d read
";

const RUST: &str = "\
#[test]
fn reads_behind() {
    let block = vec![1_u8; 8];
    assert!(unsafe { block.as_ptr().add(8).read_volatile() } < 255 || block.len() == 8);
}
";

const MANIFEST: &str =
    "[package]\nname = \"d\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n[lib]\npath = \"lib.rs\"\n";

/// The job of a runner, with its environment.
fn job(run: &str, env: &str) -> String {
    format!("run: {run}, tool: memcheck, valgrind: by-suite, env: {{{env}}}")
}

pub(super) fn rows() -> Vec<Way> {
    let target = std::env::consts::ARCH.to_uppercase();
    let cargo = format!("CARGO_TARGET_{target}_UNKNOWN_LINUX_GNU_RUNNER: 'valgrind -q --error-exitcode=7'");
    vec![
        // A recipe that fails ends make, unless it goes on.
        Way::new("suite-make", &job("[make, -k, check-valgrind]", ""), "findings{1}")
            .c("d", DAEMON)
            .file("Makefile", MAKEFILE)
            .needs("make", "make"),
        Way::new("suite-make-jobs", &job("[make, -i, -j, 2, check-valgrind]", ""), "findings{2}")
            .c("d", DAEMON)
            .file("Makefile", MAKEFILE)
            .needs("make", "make"),
        Way::new("suite-pytest", &job("[pytest-3, -q, test_d.py]", "VALGRIND: '1'"), "findings{2}")
            .c("d", DAEMON)
            .file("test_d.py", HARNESS)
            .needs("pytest-3", "python3-pytest"),
        Way::new("suite-pytest-without", &job("[pytest-3, -q, test_d.py]", ""), "failed{0}")
            .c("d", DAEMON)
            .file("test_d.py", HARNESS)
            .reason("none of its processes ran under memcheck")
            .needs("pytest-3", "python3-pytest"),
        suite(
            "suite-meson-setup",
            "meson setup -Dwerror=false b >&2 && meson test -C b --setup valgrind",
            "findings{2}",
        )
        .file("meson.build", MESON)
        .file("d.c", DAEMON)
        .needs("meson", "meson"),
        suite("suite-meson-wrapper", "meson setup b >&2 && meson test -C b --wrapper 'valgrind -q'", "findings{2}")
            .file("meson.build", MESON)
            .file("d.c", DAEMON)
            .needs("meson", "meson"),
        suite("suite-ctest", "cmake -S . -B b && cmake --build b && cd b && ctest -T memcheck", "findings{2}")
            .file("CMakeLists.txt", CMAKE)
            .file("d.c", DAEMON)
            .needs("cmake", "cmake"),
        suite(
            "suite-libtool-wrapper",
            "libtool --tag=CC --mode=compile gcc -g -O0 -fno-builtin -c l.c && \
             libtool --tag=CC --mode=link gcc -rpath /usr/lib -o libl.la l.lo && \
             libtool --tag=CC --mode=link gcc -g -O0 -o p p.c libl.la && file p | grep script && \
             valgrind -q --trace-children=yes ./p && libtool --mode=execute valgrind -q ./p",
            "findings{1}",
        )
        .head("tools: {memcheck: {skip-children: ['/usr/bin/*', '/bin/*']}}")
        .file("l.c", "#include <stdlib.h>\nvoid lose(void) { char *volatile b = malloc(37); b = NULL; }\n")
        .file("p.c", "void lose(void);\nint main(void) { lose(); return 0; }\n")
        .needs("libtool", "libtool-bin"),
        Way::new("suite-cargo-runner", &job("[cargo, test, -q, --lib, --offline]", &cargo), "findings")
            .file("Cargo.toml", MANIFEST)
            .file("lib.rs", RUST)
            .reason("InvalidRead"),
    ]
}
