//! Cargo: packages and workspaces.

use super::super::Saw;
use super::super::jobs::JobDraft;
use super::{Group, System, lowest};
use crate::tree::{Tree, is_foreign};

/// `alone` is true if the project has no other build system.
pub(super) fn find(tree: &Tree, alone: bool) -> Option<Group> {
    let path = if tree.has("Cargo.toml") {
        "Cargo.toml"
    } else {
        // Beside another build system, the package nearest to the top is one of its parts, and that one builds it.
        tree.named("Cargo.toml").into_iter().next().filter(|_| alone)?
    };
    let text = tree.text(path)?;
    let manifest: toml::Table = text.parse().ok()?;
    let is_workspace = manifest.contains_key("workspace");
    if !is_workspace && !manifest.contains_key("package") {
        return None;
    }
    let table = if is_workspace { "[workspace]" } else { "[package]" };
    let line = text.lines().position(|line| line.trim() == table).map_or(1, |at| at + 1);
    let because = Saw::line(path, line, table).to_string();
    let directory = path.strip_suffix("Cargo.toml").unwrap_or_default().trim_end_matches('/').to_owned();
    let below = |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    let locked = tree.has(&below("Cargo.lock"));
    let mut args: Vec<String> = Vec::new();
    if is_workspace {
        args.push("--workspace".to_owned());
    }
    if locked {
        args.push("--locked".to_owned());
    }
    let mut build: Vec<String> = ["cargo", "test", "--no-run"].iter().map(|word| (*word).to_owned()).collect();
    build.extend(args.iter().cloned());
    let mut build = JobDraft::command("build", build).because(format!("saw {because}")).within("1h");
    build.comments.push(if locked {
        "saw Cargo.lock, so the versions in it are used".to_owned()
    } else {
        "saw no Cargo.lock, so the newest versions of dependencies are used".to_owned()
    });
    if let Some(file) = tree.first(&["rust-toolchain.toml", "rust-toolchain"]) {
        let why =
            "before cargo starts, rustup installs what it names, and may update the toolchain of the machine for it";
        build.comments.push(format!("saw {}: {why}", Saw::file(file)));
    }
    directory.clone_into(&mut build.directory);
    build.allow_no_tests = true;
    let (memcheck, why) = foreign_code(tree, &directory, &manifest);
    let mut suite =
        JobDraft::suite("tests", "cargo-test", if directory.is_empty() { "." } else { &directory }, &["build"]);
    suite.memcheck = memcheck;
    suite.comments.push(why);
    if let Some(list) = &mut suite.suite {
        list.args = args;
    }
    let mut build_release = vec!["cargo".to_owned(), "build".to_owned(), "--release".to_owned()];
    build_release.extend(locked.then(|| "--locked".to_owned()));
    Some(Group {
        system: System::Cargo,
        because,
        jobs: vec![build, suite],
        has_tests: true,
        programs: vec![("cargo", "cargo"), ("gcc", "gcc")],
        least: manifest
            .get("package")
            .and_then(|package| Some(("rustc", lowest(package.get("rust-version")?.as_str()?)?))),
        directory: String::new(),
        build_release: vec![build_release],
    })
}

/// Directories with code that is not what a package is for.
const BESIDE: [&str; 6] = ["benches", "benchmarks", "bench", "examples", "tests", "fuzz"];

/// Whether the tests are worth a run under memcheck, and why: only code that the compiler does not check can be wrong there.
fn foreign_code(tree: &Tree, directory: &str, manifest: &toml::Table) -> (bool, String) {
    for kind in ["dependencies", "build-dependencies"] {
        let names = manifest.get(kind).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
        let linked = |name: &&String| ["cc", "cmake", "bindgen"].contains(&name.as_str()) || name.ends_with("-sys");
        if let Some(name) = names.into_iter().find(linked) {
            return (
                true,
                format!(
                    "saw the dependency {name}: code in other languages is linked, so the tests run under memcheck"
                ),
            );
        }
    }
    let sources = tree.with_extension(&[".rs"]).filter(|path| {
        // A build script tests nothing.
        path.starts_with(directory) && !is_foreign(path) && !path.ends_with("build.rs")
    });
    let mut sources: Vec<&str> = sources.take(5000).collect();
    // What people use comes first, as evidence.
    sources.sort_by_key(|path| path.split('/').any(|part| BESIDE.contains(&part)));
    for path in sources {
        let text = tree.text(path).unwrap_or_default();
        let is_unsafe = |line: &str| {
            let code = line.split("//").next().unwrap_or_default();
            // Since Rust 2024 these are unsafe because of threads.
            if code.contains("env::set_var") || code.contains("env::remove_var") {
                return false;
            }
            code.contains("unsafe {")
                || code.contains("unsafe fn ")
                || code.contains("extern \"C\"")
                || code.contains("unsafe impl")
        };
        if let Some((number, line)) = text.lines().enumerate().find(|(_, line)| is_unsafe(line)) {
            let saw = Saw::line(path, number + 1, line);
            return (
                true,
                format!("saw {saw}: code that the compiler does not check, so the tests run under memcheck"),
            );
        }
    }
    let why = "saw neither `unsafe` nor linked code: memcheck would find nothing that the compiler allows, so the tests run without it";
    (false, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_that_rustup_would_install_is_named() {
        let package = ("Cargo.toml", "[package]\nname = \"p\"\n");
        let comments = |more: &[(&str, &str)]| {
            let files = [package].into_iter().chain(more.iter().copied());
            find(&Tree::from_texts(files), true).unwrap().jobs[0].comments.join("\n")
        };
        assert!(
            comments(&[("rust-toolchain.toml", "[toolchain]\n")])
                .contains("saw rust-toolchain.toml: before cargo starts")
        );
        assert!(!comments(&[]).contains("rustup"));
    }
}
