//! Listings of real directories: what is left out, and that no link is followed.

use super::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

#[test]
fn a_listing_follows_nothing_and_says_what_it_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    for path in ["in/a/b", "in/target", "out/d"] {
        fs::create_dir_all(directory.path().join(path)).unwrap();
    }
    for (path, text) in
        [("in/a/b/x.c", "x"), ("in/Makefile", "m"), ("in/target/no", ""), ("out/secret", "s"), ("out/d/y", "y")]
    {
        fs::write(directory.path().join(path), text).unwrap();
    }
    symlink(outside.join("secret"), inside.join("VERSION")).unwrap();
    symlink(&outside, inside.join("linked")).unwrap();
    fs::write(inside.join(OsStr::from_bytes(b"bad\xff")), "").unwrap();
    fs::write(inside.join("bad\nname"), "").unwrap();
    fs::File::create(inside.join("huge")).unwrap().set_len(1 << 40).unwrap();
    let tree = Tree::read(&inside).unwrap();
    assert_eq!(tree.paths().collect::<Vec<_>>(), ["Makefile", "VERSION", "a/b/x.c", "huge", "linked"]);
    assert_eq!((tree.kind("VERSION"), tree.text("VERSION")), (Some(Kind::Link), None));
    assert_eq!((tree.text("Makefile").as_deref(), tree.text("huge")), (Some("m"), None));
    assert!(tree.left_out.iter().any(|why| why.starts_with("2 paths left out")), "{:?}", tree.left_out);
    // A directory that became a link after the listing leads nowhere either.
    fs::remove_dir_all(inside.join("a/b")).unwrap();
    fs::write(outside.join("x.c"), "outside").unwrap();
    symlink(&outside, inside.join("a/b")).unwrap();
    assert_eq!(tree.text("a/b/x.c"), None);
    assert!(Tree::read(&directory.path().join("nowhere")).is_err());
}

#[test]
fn code_of_others_is_known_by_its_directory() {
    for (path, foreign) in [
        ("vendor/a.c", true),
        ("src/third_party/x/a.c", true),
        ("src/vendor.c", false),
        ("a.c", false),
        ("vendored", false),
    ] {
        assert_eq!(is_foreign(path), foreign, "{path}");
    }
}
