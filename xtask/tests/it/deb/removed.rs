//! What dpkg-source, dh_auto_clean and dh_clean remove from vendored crates is left out of them, by the lists of these programs
//! themselves: those of this machine and, where their chroot is at hand, those of Debian 13.

use std::path::Path;

use drydock_archive::source::vendor::is_left_out;

use super::fixture::{has_tools, roomy, run};
use crate::support::text;

const SCRIPT: &str = include_str!("removed.sh");
/// Compiled files, which dpkg-source leaves out of native packages and of `debian/` alone. Crates with compiled files are refused
/// until they are listed under `prune` or `keep`, and an orig tarball keeps them.
const COMPILED: [&str; 4] = [".a", ".la", ".o", ".so"];

/// Compares what the programs printed as removed with what is left out.
fn compare(printed: &str) {
    let lines: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once(" vendor/c-1.0/")).collect();
    for program in ["dpkg-source", "dh_clean"] {
        let count = lines.iter().filter(|(by, _)| *by == program).count();
        assert!(count > 10, "{program} removed only {count} files: {printed}");
    }
    let is_compiled = |path: &str| path.split('/').any(|part| COMPILED.iter().any(|end| part.ends_with(end)));
    let is_kept_by_orig = |(by, path): &(&str, &str)| *by == "dpkg-source" && is_compiled(path);
    let missed: Vec<_> = lines.iter().filter(|line| !(is_left_out(line.1) || is_kept_by_orig(line))).collect();
    assert!(missed.is_empty(), "removed on the way, but not left out: {missed:#?}");
    let kept = |path: &&str| is_left_out(path);
    let sources =
        ["src/lib.rs", "src/tags.rs", "build/inside.rs", "src/core", "a.orig/x.rs", "src/git.rs", "x~y.rs", "#a"];
    assert_eq!(sources.iter().find(|path| kept(path)), None);
}

#[test]
fn what_the_programs_of_debian_remove_is_left_out() {
    if !has_tools(&[("dh_clean", "debhelper")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    compare(&run(directory.path(), &["sh", "-euc", SCRIPT], &[]));
}

/// The same with the programs of a chroot that was kept.
pub(super) fn in_chroot(chroot: &Path) {
    let directory = tempfile::tempdir_in(roomy()).unwrap();
    let unpack = "mkdir root; tar -xf \"$1\" -C root --exclude='./dev/*' --exclude='*/rustlib' --exclude='*/libLLVM*' --exclude='*/librustc*' \
                  --exclude='./usr/share/doc' --exclude='*/gcc/*'; mkdir -p root/work root/dev; mount --rbind /dev root/dev; cp script root/work; \
                  chroot root sh -euc 'cd /work; PATH=/usr/bin:/bin sh -eu script'";
    std::fs::write(directory.path().join("script"), SCRIPT).unwrap();
    let mut words = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        words.extend(["--map-auto", "--map-root-user"]);
    }
    let chroot = text(chroot);
    words.extend(["sh", "-euc", unpack, "sh", &chroot]);
    compare(&run(directory.path(), &words, &[]));
}
