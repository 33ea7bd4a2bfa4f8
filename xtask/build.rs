//! Writes the list of the example's files, which the program contains: `demo` works without a clone of Drydock.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Directories of the example with files that are built.
const BUILT: [&str; 4] = ["build", "target", "vendor", "__pycache__"];
/// The names and extensions of its sources.
const SOURCES: [&str; 19] = [
    "c",
    "h",
    "md",
    "py",
    "sh",
    "csv",
    "yaml",
    "rs",
    "toml",
    "lock",
    "supp",
    "Makefile",
    "LICENSE",
    "VERSION",
    ".gitignore",
    "control",
    "copyright",
    "rules",
    "installed",
];

fn main() -> io::Result<()> {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let example = own.join("../examples/lanternd").canonicalize()?;
    println!("cargo::rerun-if-changed={}", example.display());
    let mut files = Vec::new();
    list(&example, &mut files)?;
    files.sort();
    let mut list = format!("static EXAMPLE: [ExampleFile; {}] = [\n", files.len());
    for file in files {
        let path = file.strip_prefix(&example).map_err(io::Error::other)?;
        let executable = fs::metadata(&file)?.permissions().mode() & 0o100 != 0;
        // Relative to the crate, so that the program does not depend on where it is built.
        let place = Path::new("/../examples/lanternd").join(path);
        writeln!(
            list,
            "ExampleFile {{ path: {path:?}, executable: {executable}, \
             contents: include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {place:?})) }},"
        )
        .map_err(io::Error::other)?;
    }
    list.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("example.rs"), list)?;
    leave_out_relocations();
    Ok(())
}

/// An unoptimised program has 200,000 places that depend on where it is loaded: they took 2 ms at every start, and 7 MiB of
/// memory. `cargo xtask` is built on the machine that it runs on; what is released keeps them.
fn leave_out_relocations() {
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    let gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if gnu && is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("PROFILE", "debug") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

/// Finds the sources below a directory.
fn list(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            if !BUILT.contains(&name.as_str()) {
                list(&path, files)?;
            }
        } else if SOURCES
            .contains(&name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(&*name, |(_, end)| end))
        {
            files.push(path);
        }
    }
    Ok(())
}
