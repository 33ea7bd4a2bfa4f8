//! The sources of suites, which are kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::deb::fixture::kept_directory;
use crate::support::text;

/// Where a suite comes from.
pub(super) enum Source {
    /// The archive of a source package of Debian 12, below `pool/main`, and its SHA-256.
    Debian(&'static str, &'static str),
    /// A source distribution of PyPI.
    PyPi(&'static str),
    /// Crates of crates.io; several are a workspace.
    Crates(&'static [(&'static str, &'static str)]),
}

/// The unpacked sources of a suite.
///
/// # Errors
/// What the program said that could not fetch them.
pub(super) fn sources(name: &str, source: &Source) -> anyhow::Result<PathBuf> {
    let directory = kept_directory("adopted").join(name);
    let sources = directory.join("sources");
    if sources.exists() {
        return Ok(sources);
    }
    // What an earlier attempt left, which was cut short.
    fs::remove_dir_all(&directory).ok();
    fs::create_dir_all(&directory).unwrap();
    let unpack = |archive: &str| {
        fs::create_dir_all(directory.join("unpacked")).unwrap();
        must(&directory, &["tar", "xf", archive, "-C", "unpacked", "--strip-components=1"])
    };
    match source {
        Source::Debian(path, digest) => {
            let url = format!("http://deb.debian.org/debian/pool/main/{path}");
            let digest = format!("SHA256:{digest}");
            let options = ["-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=60"];
            let fetch = ["/usr/lib/apt/apt-helper", "download-file", &url, "archive", &digest];
            must(&directory, &[&fetch[..1], &options, &fetch[1..]].concat())?;
            unpack("archive")?;
        }
        Source::PyPi(package) => {
            must(
                &directory,
                &["pip", "download", "-q", "--retries", "3", "--no-deps", "--no-binary", ":all:", package],
            )?;
            let files = fs::read_dir(&directory).unwrap().map(|entry| text(&entry.unwrap().path()));
            let archive = files.filter(|file| file.ends_with(".tar.gz")).min().context("pip left no archive")?;
            unpack(&archive)?;
        }
        Source::Crates(crates) => {
            let dependencies: String =
                crates.iter().map(|(name, version)| format!("{name} = \"={version}\"\n")).collect();
            let manifest = format!(
                "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\n{dependencies}"
            );
            fs::create_dir_all(directory.join("src")).unwrap();
            fs::write(directory.join("src/lib.rs"), "").unwrap();
            fs::write(directory.join("Cargo.toml"), manifest).unwrap();
            must(&directory, &["cargo", "vendor", "-q", "vendor"])?;
            if let [(name, _)] = crates {
                fs::rename(directory.join("vendor").join(name), directory.join("unpacked")).unwrap();
                // A package in the directory of another one belongs to that one's workspace.
                let file = directory.join("unpacked/Cargo.toml");
                let manifest = fs::read_to_string(&file).unwrap();
                fs::write(file, format!("{manifest}\n[workspace]\n")).unwrap();
            } else {
                fs::create_dir_all(directory.join("unpacked")).unwrap();
                for (name, _) in *crates {
                    fs::rename(directory.join("vendor").join(name), directory.join("unpacked").join(name)).unwrap();
                }
                let members: Vec<&str> = crates.iter().map(|(name, _)| *name).collect();
                let manifest = format!("[workspace]\nresolver = \"2\"\nmembers = {members:?}\n");
                fs::write(directory.join("unpacked/Cargo.toml"), manifest).unwrap();
            }
        }
    }
    // Only what is whole has its name.
    fs::rename(directory.join("unpacked"), &sources).unwrap();
    Ok(sources)
}

fn must(directory: &Path, words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(words[0]).args(&words[1..]).current_dir(directory).output();
    let output = output.with_context(|| words[0].to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = || said.trim().lines().last().unwrap_or("it failed");
    anyhow::ensure!(output.status.success(), "{}: {}", words[0], last());
    Ok(())
}
