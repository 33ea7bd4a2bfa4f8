//! The ways to install Drydock, each from an empty home: by cargo, as the xtask of a project, and from a release tarball
//! (`own_release`). The Debian package is installed by `deb::self_build`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::support::{Finished, Project, git, need, skip, text, xtask_binary};

/// The whole `main.rs` of an own xtask, as docs/install.md shows it.
fn three_lines() -> String {
    let page = fs::read_to_string(own().join("docs/install.md")).unwrap();
    let (_, block) = page.split_once("```rust\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A call in an empty home, without cargo's variables of this test. The toolchain is this machine's.
fn in_home(home: &Path, program: &str) -> Command {
    let true_home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let toolchain = std::env::var_os("RUSTUP_HOME").map_or_else(|| true_home.join(".rustup"), PathBuf::from);
    let mut command = Command::new(program);
    command.env_clear().current_dir(home).env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    if toolchain.is_dir() {
        command.env("RUSTUP_HOME", toolchain);
    }
    // How this machine reaches the network.
    for (name, value) in std::env::vars_os() {
        let is_network = ["_proxy", "_PROXY", "SSL_CERT_FILE", "CARGO_HTTP_CAINFO"];
        if is_network.iter().any(|end| name.to_string_lossy().ends_with(end)) {
            command.env(name, value);
        }
    }
    command
}

fn run(command: &mut Command) -> Finished {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")).into()
}

/// Runs the smallest useful project by an installed program that has nothing but its home.
pub(crate) fn works_from(home: &Path, program: &str) {
    let project = Project::new().jobs("jobs:\n  a: {run: [\"true\"]}\n");
    let ran = run(in_home(home, program).args(["--project", &text(project.path()), "ci"]));
    assert_eq!(ran.code(), 0, "{}", ran.transcript());
    let plan = run(in_home(home, program).args(["--project", &text(project.path()), "ci", "rerun", "nothing-like-it"]));
    assert_eq!(plan.code(), 2, "{}", plan.transcript());
}

/// cargo's directory of this machine, which has the crates.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Held by the test that may write the libraries in the target directory, and by the one that links with them.
static BUILT: Mutex<()> = Mutex::new(());

#[test]
fn cargo_installs_the_program_with_its_lock_file() {
    let home = tempfile::tempdir().unwrap();
    // What was built for the tests is built the same way, so this only links and copies.
    let target = xtask_binary().parent().and_then(Path::parent).unwrap().to_owned();
    if !need(own().join("Cargo.lock").is_file() && target.join("debug").is_dir(), "the program was not built by cargo")
    {
        return;
    }
    let root = home.path().join(".local");
    let mut cargo = in_home(home.path(), "cargo");
    cargo.args(["install", "--debug", "--locked", "--offline", "--path", &text(&own().join("xtask"))]);
    cargo.args(["--root", &text(&root), "--target-dir", &text(&target)]).env("CARGO_HOME", cargo_home());
    if let Some(incremental) = std::env::var_os("CARGO_INCREMENTAL") {
        cargo.env("CARGO_INCREMENTAL", incremental);
    }
    let built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let installed = run(&mut cargo);
    drop(built);
    assert_eq!(installed.code(), 0, "{}", installed.transcript());
    works_from(home.path(), &text(&root.join("bin/drydock")));
}

/// The three lines are linked with the library that the tests were built with, as cargo would do it, and called as cargo calls them.
#[test]
fn three_lines_are_an_xtask() {
    let deps = xtask_binary().with_file_name("deps");
    let libraries = fs::read_dir(&deps).into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("libdrydock-") && name.ends_with(".rlib")
    };
    // The newest that was whole when this test was built: older ones are of other versions, and another cargo may just be writing
    // newer ones.
    let modified = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let own = modified(&std::env::current_exe().unwrap());
    let newest = libraries.filter(is_library).filter(|path| modified(path) <= own).max_by_key(modified);
    let Some(library) = newest else {
        skip("the library is not beside the program under test");
        return;
    };
    let project = Project::new()
        .jobs("jobs:\n  fails: {run: [\"false\"]}\n")
        .file("Cargo.toml", "[workspace]\nmembers = [\"xtask\"]\n")
        .file("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n")
        .file("xtask/src/main.rs", &three_lines())
        .file(".cargo/config.toml", "[alias]\nxtask = \"run --quiet --package xtask --\"\n");
    let at = |path: &str| text(&project.path().join(path));
    fs::create_dir_all(at("target/debug/deps")).unwrap();
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition",
        "2024",
        "--crate-name",
        "xtask",
        "-o",
        &at("target/debug/xtask"),
        &at("xtask/src/main.rs"),
    ]);
    rustc.args(["-L", &format!("dependency={}", text(&deps)), "--extern", &format!("drydock={}", text(&library))]);
    let held = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = run(&mut rustc);
    drop(held);
    assert_eq!(built.code(), 0, "{}", built.transcript());
    let mut xtask = Command::new(at("target/debug/xtask"));
    xtask.arg("ci").current_dir(project.path()).env_remove("CI").env_remove("GITHUB_ACTIONS");
    xtask.env("CARGO", "cargo").env("CARGO_PKG_NAME", "xtask").env("CARGO_MANIFEST_DIR", at("xtask"));
    let ran = run(&mut xtask);
    assert_eq!(ran.code(), 1, "{}", ran.transcript());
    assert!(ran.stdout.contains("with: cargo xtask ci rerun"), "{}", ran.transcript());
}

/// Runs only with `DRYDOCK_TEST_INSTALL=1`, because it downloads and compiles all crates twice. Prints the figures of
/// docs/install.md.
#[test]
fn an_empty_home_gets_drydock_from_its_repository() {
    if std::env::var_os("DRYDOCK_TEST_INSTALL").is_none() {
        skip("it downloads and compiles all crates twice; set DRYDOCK_TEST_INSTALL=1 to run it");
        return;
    }
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |path: &str| text(&home.path().join(path));
    git(home.path(), &["clone", "--quiet", "--bare", &text(&own()), "drydock.git"]);
    let address = format!("file://{}", at("drydock.git"));
    let figures = |what: &str, begun: std::time::Instant, target: &str| {
        let size = |path: String| {
            let du = Command::new("du").args(["--summarize", "--block-size=1M", &path]).output().unwrap();
            String::from_utf8_lossy(&du.stdout).split_whitespace().next().unwrap_or("0").to_owned()
        };
        let (crates, built) = (size(at(".cargo/registry/cache")), size(target.to_owned()));
        println!("{what}: {} s, crates {crates} MB, built {built} MB", begun.elapsed().as_secs());
    };

    let begun = std::time::Instant::now();
    let mut cargo = in_home(home.path(), "cargo");
    cargo.args([
        "install",
        "--locked",
        "--git",
        &address,
        "--root",
        &at(".local"),
        "--target-dir",
        &at("t"),
        "drydock",
    ]);
    let installed = run(&mut cargo);
    assert_eq!(installed.code(), 0, "{}", installed.transcript());
    figures("cargo install --locked", begun, &at("t"));
    works_from(home.path(), &at(".local/bin/drydock"));

    // As the xtask of a project, by cargo itself.
    let project = Project::new()
        .jobs("jobs:\n  fails: {run: [\"false\"]}\n")
        .file("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"xtask\"]\n")
        .file(
            "xtask/Cargo.toml",
            &format!(
                "[package]\nname = \"xtask\"\nedition = \"2024\"\npublish = false\n[dependencies]\n\
                 drydock = {{ git = \"{address}\" }}\n"
            ),
        )
        .file("xtask/src/main.rs", &three_lines())
        .file(".cargo/config.toml", "[alias]\nxtask = \"run --quiet --package xtask --\"\n");
    let begun = std::time::Instant::now();
    let ran = run(in_home(home.path(), "cargo").args(["xtask", "ci"]).current_dir(project.path()));
    assert_eq!(ran.code(), 1, "{}", ran.transcript());
    assert!(ran.stdout.contains("with: cargo xtask ci rerun"), "{}", ran.transcript());
    figures("own xtask", begun, &text(&project.path().join("target")));
    // As `init` writes it, for a project that has nothing of Rust.
    let commit = git(&home.path().join("drydock.git"), &["rev-parse", "HEAD"]);
    let made = Project::new()
        .file("Makefile", "all: t\nt: t.c\n\tcc -g -o t t.c\ncheck: t\n\t./t\n")
        .file("t.c", "int main(void) { return 0; }\n")
        .file(".gitignore", "t\n");
    git(made.path(), &["init", "--quiet"]);
    git(made.path(), &["add", "--all"]);
    git(made.path(), &["commit", "--quiet", "--message", "Begin"]);
    let from = format!("{address}#{commit}");
    let mut init = in_home(home.path(), &at(".local/bin/drydock"));
    let wrote = run(init.args(["init", "--xtask", "--from", &from]).current_dir(made.path()));
    assert!(wrote.code() == 0 && wrote.stderr.ends_with("next: cargo xtask ci\n"), "{}", wrote.transcript());
    // What was built for the other project is built the same way.
    let mut cargo = in_home(home.path(), "cargo");
    cargo.env("CARGO_TARGET_DIR", project.path().join("target")).current_dir(made.path());
    let ran = run(cargo.args(["xtask", "ci"]));
    assert!(ran.code() == 0 && ran.stdout.contains("2 jobs: 2 passed"), "{}", ran.transcript());
}
