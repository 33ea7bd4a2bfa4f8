//! Drydock's own release: the static program is the same wherever it is built, and the same for everybody.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Finished, need, need_tools, skip, text, xtask_binary};

fn own() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A checksum of the lock file's form.
const CHECKSUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What a release of Drydock consists of, as small as it can be: a program, a vendored crate, and derived files.
fn small_release(root: &Path, main: &str) {
    let write = |path: &str, contents: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    };
    write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"xtask\"]\n[profile.dist]\ninherits = \"release\"\n",
    );
    write(
        "xtask/Cargo.toml",
        "[package]\nname = \"drydock\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[dependencies]\nplaced = \"1\"\n",
    );
    write("xtask/src/main.rs", main);
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    write(
        "Cargo.lock",
        &format!(
            "version = 4\n[[package]]\nname = \"drydock\"\nversion = \"1.0.0\"\ndependencies = [\"placed\"]\n\n[[package]]\n\
             name = \"placed\"\nversion = \"1.0.0\"\nsource = \"{registry}\"\nchecksum = \"{CHECKSUM}\"\n"
        ),
    );
    write("vendor/placed-1.0.0/Cargo.toml", "[package]\nname = \"placed\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    write("vendor/placed-1.0.0/src/lib.rs", "pub fn place() -> &'static str { file!() }\n");
    write("vendor/placed-1.0.0/.cargo-checksum.json", &format!("{{\"files\":{{}},\"package\":\"{CHECKSUM}\"}}"));
    write(
        "vendor/config.toml",
        "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n",
    );
    for file in ["share/man/man1/drydock.1", "share/completions/_drydock", "xtask/schema/jobs.schema.json", "LICENSE"] {
        write(file, file);
    }
    let script = root.join("packaging/static.sh");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::copy(own().join("packaging/static.sh"), &script).unwrap();
}

/// Where this machine has the toolchain, whatever `HOME` says.
fn toolchain() -> Vec<(&'static str, PathBuf)> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]
        .map(|(name, directory)| (name, std::env::var_os(name).map_or_else(|| home.join(directory), PathBuf::from)))
        .into_iter()
        .filter(|(_, directory)| directory.is_dir())
        .collect()
}

/// The target of musl, or that of this machine's C library, which is everywhere.
fn target() -> &'static str {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim());
    let musl = "x86_64-unknown-linux-musl";
    let has_gcc = Command::new("musl-gcc").arg("--version").output().is_ok();
    if has_gcc && sysroot.join("lib/rustlib").join(musl).is_dir() { musl } else { "x86_64-unknown-linux-gnu" }
}

/// Runs `packaging/static.sh` in unpacked sources; returns the path of the archive that it writes.
fn build(sources: &Path, umask: &str, environment: &[(&str, &str)]) -> (Finished, PathBuf) {
    let archive = sources.join("program.tar.xz");
    let call = "umask \"$1\"; shift; exec \"$@\"";
    let script = text(&sources.join("packaging/static.sh"));
    let mut command = Command::new("sh");
    command.args(["-c", call, "sh", umask, &script, &text(&sources.join("destination")), &text(&archive)]);
    // Cargo's variables of this test have no place in a build by hand.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"CARGO")) {
        command.env_remove(name);
    }
    command.envs(toolchain()).envs(environment.iter().copied());
    (command.output().unwrap().into(), archive)
}

/// Two places that differ in everything that a build could see.
fn build_twice(one: &Path, other: &Path, environment: &[(&str, &str)]) -> [Vec<u8>; 2] {
    let home = other.join("home");
    fs::create_dir_all(&home).unwrap();
    let home = text(&home);
    let varied = [
        ("HOME", home.as_str()),
        ("TZ", "XTW-13:45"),
        ("LC_ALL", "C"),
        ("RUSTFLAGS", "-Cdebuginfo=2 -Cstrip=none"),
        ("CFLAGS", "-O0 -g"),
        ("CARGO_PROFILE_DIST_OPT_LEVEL", "0"),
        ("XZ_OPT", "-9"),
        ("TAR_OPTIONS", "--format=gnu"),
    ];
    let varied = [environment, &varied[..]].concat();
    [(one, "022", environment), (other, "077", varied.as_slice())].map(|(sources, umask, environment)| {
        let (built, archive) = build(sources, umask, environment);
        assert_eq!(built.code(), 0, "{}", built.transcript());
        fs::read(archive).unwrap()
    })
}

/// The words of a tool's output.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn assert_is_static(program: &str) {
    let read = output("readelf", &["--program-headers", "--dynamic", "--wide", program]);
    assert!(!read.contains("INTERP") && !read.contains("NEEDED"), "{read}");
}

#[test]
fn the_static_program_is_the_same_wherever_it_is_built() {
    if !need_tools(&[("gcc", "gcc"), ("readelf", "binutils"), ("xz", "xz-utils")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let environment = [("DRYDOCK_STATIC_TARGET", target()), ("SOURCE_DATE_EPOCH", "1700000000")];
    let places = |name: &str, main: &str| {
        let places = ["short", "a longer path/with a blank"].map(|place| directory.path().join(name).join(place));
        places.iter().for_each(|place| small_release(place, main));
        places
    };
    let [one, other] =
        places("right", "fn main() { println!(\"{} {}\", placed::place(), env!(\"DRYDOCK_BUILT_IN\")); }\n");
    let [first, second] = build_twice(&one, &other, &environment);
    assert!(first == second, "the archives differ");
    let program = text(&other.join("destination/bin/drydock"));
    assert_is_static(&program);
    let places_named = output(&program, &[]);
    assert_eq!(places_named, "/usr/src/drydock/vendor/placed-1.0.0/src/lib.rs /usr/src/drydock/xtask\n");
    let list = output("tar", &["--list", "--verbose", "--file", &text(&one.join("program.tar.xz"))]);
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().last()).collect();
    for name in
        ["bin/drydock", "share/man/man1/drydock.1", "share/zsh/site-functions/_drydock", "share/doc/drydock/LICENSE"]
    {
        assert!(names.contains(&name), "{list}");
    }
    let unlike = |line: &&str| !line.contains(" 0/0 ") && !line.contains(" root/root ") || line.contains("rw-------");
    assert_eq!(list.lines().find(unlike), None, "{list}");

    // A proof must be able to fail: a program that knows its directory is another one in each.
    let [one, other] =
        places("wrong", "fn main() { println!(\"{} {}\", placed::place(), env!(\"CARGO_MANIFEST_DIR\")); }\n");
    let [first, second] = build_twice(&one, &other, &environment);
    assert!(first != second, "a program that contains its directory was not noticed");

    // Nothing is built for a target that is missing, or into a directory with other files.
    let sources = directory.path().join("right/short");
    let (refused, _) = build(&sources, "022", &[("DRYDOCK_STATIC_TARGET", "riscv64gc-unknown-linux-musl")]);
    assert_eq!(refused.code(), 2, "{}", refused.transcript());
    assert!(refused.stderr.contains("/destination is not empty"), "{}", refused.transcript());
    fs::remove_dir_all(sources.join("destination")).unwrap();
    let (refused, _) = build(&sources, "022", &[("DRYDOCK_STATIC_TARGET", "riscv64gc-unknown-linux-musl")]);
    assert_eq!(refused.code(), 2, "{}", refused.transcript());
    assert!(
        refused.stderr.contains("run `rustup target add riscv64gc-unknown-linux-musl`"),
        "{}",
        refused.transcript()
    );
}

/// Runs only with `DRYDOCK_TEST_STATIC=1`, because it compiles hundreds of crates four times.
#[test]
fn drydock_itself_is_released_as_a_static_program() {
    if std::env::var_os("DRYDOCK_TEST_STATIC").is_none() {
        skip("it compiles hundreds of crates four times; set DRYDOCK_TEST_STATIC=1 to run it");
        return;
    }
    if !need_tools(&[("musl-gcc", "musl-tools"), ("readelf", "binutils"), ("xz", "xz-utils")]) {
        return;
    }
    let musl = "x86_64-unknown-linux-musl";
    if !need(target() == musl, &format!("Rust has no {musl}; run `rustup target add {musl}`")) {
        return;
    }
    // Programs are run from here, so not in a /tmp that forbids it.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let state = directory.path().join("state");
    let mut release = Command::new(xtask_binary());
    release.args(["--project", &text(own()), "--state", &text(&state), "release", "build", "--untagged"]);
    let released: Finished = release.output().unwrap().into();
    assert_eq!(released.code(), 0, "{}", released.transcript());
    let dist = fs::read_dir(state.join("dist")).unwrap().next().unwrap().unwrap().path();
    let sources = fs::read_dir(&dist).unwrap().map(|entry| entry.unwrap().path());
    let sources = text(&sources.into_iter().find(|path| text(path).ends_with(".tar.xz")).unwrap());
    let names = output("tar", &["--list", "--file", &sources]);
    for name in ["/share/man/man1/drydock-ci-run.1", "/share/completions/_drydock", "/vendor/config.toml"] {
        assert!(names.lines().any(|line| line.ends_with(name)), "{name} is not in {sources}");
    }

    // Different directories of cargo, too: the first is empty, since an unpacked release needs none.
    let places = ["one", "another/deeper"].map(|place| directory.path().join(place));
    for place in &places {
        fs::create_dir_all(place).unwrap();
        output("tar", &["--extract", "--strip-components=1", "--directory", &text(place), "--file", &sources]);
    }
    let [first, second] = build_twice(&places[0], &places[1], &[]);
    assert!(first == second, "the archives differ");
    println!("the archive of the static program has {} bytes", first.len());

    // From an empty home, unpacked as the documents say.
    let home = directory.path().join("home");
    fs::create_dir_all(home.join(".local")).unwrap();
    let archive = text(&places[0].join("program.tar.xz"));
    output("tar", &["--extract", "--directory", &text(&home.join(".local")), "--file", &archive]);
    let program = home.join(".local/bin/drydock");
    assert_is_static(&text(&program));
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
    let contents = fs::read(&program).unwrap();
    let place = text(directory.path());
    assert!(!contents.windows(place.len()).any(|window| window == place.as_bytes()), "the program contains {place}");
    crate::install_ways::works_from(&home, &text(&program));
}
