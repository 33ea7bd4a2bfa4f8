//! Vendored crates: what is left out, that their lists still hold, and which compilers are too old for them.

use super::*;
use std::io::Write as _;
use std::sync::Arc;

const TOML: &str = "# normalised\n[package]\nedition = \"2021\"\nrust-version = \"1.70\"\nname = \"x\"\nauthors = [\n    \"A <a@x.org>\",\n    \"B\",\n]\nlicense = \"MIT OR Apache-2.0\"\n\n[lib]\nname = \"y\"\n";

fn package() -> Package {
    Package { name: "x".into(), version: "1.0.0".into(), checksum: "ab".repeat(32) }
}

fn crate_of(files: &[(&str, &[u8])]) -> Crate {
    let file = |content: &[u8]| CrateFile { executable: false, content: Arc::from(content) };
    let files = files.iter().map(|(path, content)| ((*path).to_owned(), file(content)));
    Crate { package: package(), files: files.collect() }
}

fn declared(prune: &[&str], keep: &[&str]) -> Vendor {
    let globs = |list: &[&str]| list.iter().map(|text| drydock_config::globs::FileGlob::parse(text).unwrap()).collect();
    Vendor { manifests: Vec::new(), prune: globs(prune), keep: globs(keep) }
}

#[test]
fn what_debian_drops_is_left_out_and_programs_are_found() {
    let one = crate_of(&[
        ("Cargo.toml", TOML.as_bytes()),
        ("Cargo.toml.orig", b""),
        (".gitignore", b""),
        ("src/lib.rs", b""),
        ("src/a.bak", b""),
        ("tests/big.rs", b""),
        (".x.swp", b""),
        ("lib/x.a", b"!<arch>\n12"),
        ("bin/x.exe", &[b"MZ".as_slice(), &[0; 100]].concat()),
        ("doc/mz.txt", b"MZ is no program, however long the text gets after it, which it does here."),
        ("ok.wasm", b"\0asm1234"),
    ]);
    let (pruned, programs) = one.pruned(&declared(&["x-*/tests/**", "x-*/Cargo.toml"], &["*/ok.wasm"]));
    let paths: Vec<&str> = pruned.files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["Cargo.toml", "bin/x.exe", "doc/mz.txt", "lib/x.a", "ok.wasm", "src/lib.rs"]);
    assert_eq!(programs, ["bin/x.exe", "lib/x.a"]);
    assert_eq!(pruned.manifest("license").as_deref(), Some("MIT OR Apache-2.0"));
    assert_eq!(pruned.manifest_list("authors"), ["A <a@x.org>", "B"]);
    assert_eq!(pruned.manifest("name").as_deref(), Some("x"));
}

#[test]
fn a_directory_is_hashed_again() {
    let vendored = Vendored { crates: vec![crate_of(&[("Cargo.toml", b"1"), ("src/lib.rs", b"2")])], lock_format: 3 };
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    for (path, file) in &vendored.crates[0].files {
        let path = at("x-1.0.0").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.content).unwrap();
    }
    fs::write(at("x-1.0.0/.cargo-checksum.json"), vendored.crates[0].checksums()).unwrap();
    assert_eq!(rehash(directory.path()).unwrap(), (2, Vec::new()));
    fs::File::options().append(true).open(at("x-1.0.0/src/lib.rs")).unwrap().write_all(b"3").unwrap();
    fs::remove_file(at("x-1.0.0/Cargo.toml")).unwrap();
    let (_, wrong) = rehash(directory.path()).unwrap();
    assert_eq!(wrong, ["x-1.0.0/Cargo.toml is not there any more", "x-1.0.0/src/lib.rs was changed"]);
}

#[test]
fn a_compiler_that_is_too_old_is_named() {
    let vendored = Vendored { crates: vec![crate_of(&[("Cargo.toml", TOML.as_bytes())])], lock_format: 3 };
    let number = |text: &str| <Number as drydock_config::decode::FromText>::from_text(text).unwrap();
    assert_eq!(vendored.too_new(&number("1.63")), ["x-1.0.0 needs 1.70"]);
    assert!(vendored.too_new(&number("1.70")).is_empty() && vendored.too_new(&number("1.70.1")).is_empty());
}

#[test]
fn a_lock_file_is_read_and_git_is_refused() {
    let text = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"1.0\"\ndependencies = [\n \"x\",\n]\n\n[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"registry+https://x\"\nchecksum = \"ab\"\n";
    let lock = Lock::parse(text).unwrap();
    assert_eq!((lock.format, lock.packages.len()), (4, 1));
    assert_eq!(lock.packages[0].checksum, "ab");
    let git = text.replace("registry+https://x", "git+https://x#1");
    assert!(Lock::parse(&git).unwrap_err().contains("x 1.0.0 comes from git+https://x#1"));
    assert!(Lock::parse(&text.replace("\"x\"\nver", "\"../x\"\nver")).is_err());
    assert!(Lock::parse("").is_err());
}
