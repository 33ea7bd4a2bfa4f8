//! Vendored crates: which files are left out, whether their checksums still match, and which compilers are too old.

use super::*;
use std::io::Write as _;
use std::sync::Arc;

const TOML: &str = "# normalised\n[package]\nedition = \"2021\"\nrust-version = \"1.70\"\nname = \"x\"\nauthors = [\n    \"A <a@x.org>\",\n    \"B\",\n]\nlicense = \"MIT OR Apache-2.0\"\n\n[lib]\nname = \"y\"\n";

fn package() -> Package {
    Package { name: "x".into(), version: "1.0.0".into(), checksum: "ab".repeat(32) }
}

fn crate_with(files: &[(&str, &[u8])]) -> VendoredCrate {
    let file = |content: &[u8]| CrateFile { executable: false, content: Arc::from(content) };
    let files = files.iter().map(|(path, content)| ((*path).to_owned(), file(content)));
    VendoredCrate::new(package(), files.collect()).unwrap()
}

fn declared(prune: &[&str], keep: &[&str]) -> Vendor {
    let globs = |list: &[&str]| list.iter().map(|text| drydock_config::globs::FileGlob::parse(text).unwrap()).collect();
    Vendor { manifests: Vec::new(), directory: "vendor".into(), prune: globs(prune), keep: globs(keep) }
}

#[test]
fn files_that_debian_removes_are_left_out_and_programs_are_found() {
    let one = crate_with(&[
        ("Cargo.toml", TOML.as_bytes()),
        ("Cargo.toml.orig", b""),
        (".gitignore", b""),
        ("src/lib.rs", b""),
        ("src/a.bak", b""),
        ("tests/big.rs", b""),
        (".x.swp", b""),
        ("lib/x.a", b"!<arch>\n12"),
        ("bin/x.exe", &[b"MZ".as_slice(), &[0; 100]].concat()),
        (
            "doc/mz.txt",
            b"MZ starts a text here, not a program, and the text goes on for more bytes than the header has.",
        ),
        ("ok.wasm", b"\0asm1234"),
    ]);
    let (pruned, programs) = one.pruned(&declared(&["x-*/tests/**", "x-*/Cargo.toml"], &["*/ok.wasm"]));
    let paths: Vec<&str> = pruned.files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["Cargo.toml", "bin/x.exe", "doc/mz.txt", "lib/x.a", "ok.wasm", "src/lib.rs"]);
    assert_eq!(programs, ["bin/x.exe", "lib/x.a"]);
    assert_eq!(pruned.manifest.license.as_deref(), Some("MIT OR Apache-2.0"));
    assert_eq!(pruned.manifest.authors, ["A <a@x.org>", "B"]);
}

#[test]
fn changed_and_missing_files_of_crates_are_found() {
    let files: &[(&str, &[u8])] = &[("Cargo.toml", b"[package]"), ("src/lib.rs", b"2")];
    let vendored = VendoredCrates { crates: vec![crate_with(files)], lock_format: 3, directory: "vendor".into() };
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    for (path, file) in &vendored.crates[0].files {
        let path = at("x-1.0.0").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.content).unwrap();
    }
    fs::write(at("x-1.0.0/.cargo-checksum.json"), vendored.crates[0].checksums()).unwrap();
    assert_eq!(verify(directory.path()).unwrap(), (2, Vec::new()));
    fs::File::options().append(true).open(at("x-1.0.0/src/lib.rs")).unwrap().write_all(b"3").unwrap();
    fs::remove_file(at("x-1.0.0/Cargo.toml")).unwrap();
    let (_, wrong) = verify(directory.path()).unwrap();
    assert_eq!(wrong, ["x-1.0.0/Cargo.toml is missing", "x-1.0.0/src/lib.rs was changed"]);
}

#[test]
fn crates_that_need_a_newer_compiler_are_found() {
    let vendored = VendoredCrates {
        crates: vec![crate_with(&[("Cargo.toml", TOML.as_bytes())])],
        lock_format: 3,
        directory: "vendor".into(),
    };
    let number = |text: &str| <Number as drydock_config::decode::FromText>::from_text(text).unwrap();
    assert_eq!(vendored.too_new(&number("1.63")), ["x-1.0.0 needs 1.70"]);
    assert!(vendored.too_new(&number("1.70")).is_empty() && vendored.too_new(&number("1.70.1")).is_empty());
}

#[test]
fn a_lock_file_is_parsed_and_git_is_refused() {
    let text = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"1.0\"\ndependencies = [\n \"x\",\n]\n\n[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"ab\"\n";
    let lock = Lock::parse(text).unwrap();
    assert_eq!((lock.format, lock.packages.len()), (4, 1));
    assert_eq!(lock.packages[0].checksum, "ab");
    let git = text.replace("registry+https://github.com/rust-lang/crates.io-index", "git+https://x#1");
    assert!(matches!(Lock::parse(&git), Err(LockError::NotFromRegistry(_, origin)) if origin == "git+https://x#1"));
    for name in ["../x", "x/y", ""] {
        let text = text.replace("\"x\"\nver", &format!("\"{name}\"\nver"));
        assert!(matches!(Lock::parse(&text), Err(LockError::InvalidPackage(_))), "{name:?}");
    }
    let without = text.replace("checksum = \"ab\"\n", "");
    assert!(matches!(Lock::parse(&without), Err(LockError::NoChecksum(_))));
    let other = text.replace("https://github.com/rust-lang/crates.io-index", "https://x");
    assert!(matches!(Lock::parse(&other), Err(LockError::OtherRegistry(_, origin)) if origin == "registry+https://x"));
    // Format 1 has the checksums at the end, and an unused `[patch]` is no package.
    let first = without.replace("version = 4\n\n", "")
        + "\n[metadata]\n\"checksum x 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)\" = \"ab\"\n"
        + "\n[[patch.unused]]\nname = \"y\"\nversion = \"2.0.0\"\nsource = \"git+https://y#1\"\n";
    let first = Lock::parse(&first).unwrap();
    assert_eq!((first.format, &first.packages), (1, &lock.packages));
    let oldest = "[root]\nname = \"own\"\nversion = \"1.0\"\n";
    assert_eq!(Lock::parse(oldest).unwrap().packages, []);
    // Whatever the layout: it is TOML.
    let inline =
        "package = [{name = 'x', version = '1.0.0', source = 'sparse+https://index.crates.io/', checksum = 'ab'}]";
    assert_eq!(Lock::parse(inline).unwrap().packages, lock.packages);
    for hostile in ["", "package = 1", "[[package]]\nname = 1", "[[package]]\nname = \"x\"", &"[".repeat(100_000)] {
        assert!(matches!(Lock::parse(hostile), Err(LockError::Malformed(_))), "{:.20}", hostile);
    }
}

#[test]
fn a_manifest_of_a_crate_is_parsed_or_named() {
    for (text, expected) in [
        ("[package]\nname = 'x'\nlicense-file = 'L'", Ok(None)),
        ("[project]\nlicense = 'MIT'", Ok(Some("MIT"))),
        ("[package]\nlicense = [", Err("cannot parse Cargo.toml")),
        ("[lib]", Err("cannot parse Cargo.toml: missing field `package`")),
    ] {
        let file = CrateFile { executable: false, content: text.as_bytes().into() };
        let found = VendoredCrate::new(package(), BTreeMap::from([("Cargo.toml".to_owned(), file)]));
        match expected {
            Ok(license) => assert_eq!(found.unwrap().manifest.license.as_deref(), license),
            Err(why) => assert!(found.unwrap_err().to_string().contains(why), "{text}"),
        }
    }
}

/// Reads the lock files of the directory `DRYDOCK_TEST_LOCKS`, for example of well-known projects, and prints what becomes of each.
#[test]
#[ignore = "it reads the directory that DRYDOCK_TEST_LOCKS names"]
#[expect(clippy::print_stdout, reason = "the list is the result")]
fn lock_files_of_others_are_read_or_refused_with_the_remedy() {
    let directory = std::env::var_os("DRYDOCK_TEST_LOCKS").unwrap();
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let (name, text) = (path.file_name().unwrap().to_string_lossy(), fs::read_to_string(&path).unwrap());
        match Lock::parse(&text) {
            Ok(lock) => {
                // Every package with a source is there.
                assert_eq!(lock.packages.len(), text.matches("\nsource = ").count(), "{name}");
                println!("{name}: format {}, {} crates", lock.format, lock.packages.len());
            }
            Err(error) => {
                assert!(error.to_string().contains("; "), "{name}: no remedy in {error}");
                println!("{name}: refused: {error}");
            }
        }
    }
}
