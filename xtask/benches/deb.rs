//! What a source package costs: `deb source`, beside making the orig by git archive and xz and calling
//! `dpkg-buildpackage -S` on the same tree.
//!
//! `cargo bench -p drydock --bench deb [-- --strict]`. The tree is about 30 MB of text as one commit. Both sides take turns;
//! the ratio is taken round by round, and its median counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/peers.rs"]
mod peers;
mod support;

use support::{Figures, median};

const ROUNDS: usize = 3;
const TEXT: u64 = 30_000_000;

/// The declaration, for Drydock.
const DECLARATION: &str = "\
name: textual
version: {}
archives: [{format: tar.xz}]
deb:
  maintainer: A Name <name@example.org>
  revision: 0ubuntu1~ppa1
  series: {noble: {number: \"24.04\", distribution: ubuntu}}
";

const CONTROL: &str = "\
Source: textual
Section: misc
Priority: optional
Maintainer: A Name <name@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2

Package: textual
Architecture: all
Description: much text
";

/// The peer, as it is used today in a work tree with a `debian` directory.
const PEER: &str = "git archive --format=tar --prefix=textual-1.0/ HEAD | xz -6 -T2 >../textual_1.0.orig.tar.xz; \
                    dpkg-buildpackage -S -us -uc -d -nc >../log 2>&1";

fn main() -> ExitCode {
    let mut figures = Figures::new("deb");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    let tools = [("git", "git"), ("xz", "xz-utils"), ("dpkg-buildpackage", "dpkg-dev"), ("dh", "debhelper")];
    if !peers::are_there(&mut figures, &tools) {
        return figures.finish();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let project = corpus::project(directory.path(), TEXT);
    let packaging = project.join("packaging/debian");
    write(&project.join("packaging/release.yaml"), DECLARATION);
    write(&packaging.join("control"), CONTROL);
    write(&packaging.join("rules"), "#!/usr/bin/make -f\n%:\n\tdh $@\n");
    write(&packaging.join("copyright"), "None.\n");
    corpus::commit(&project);
    shell("git -c user.name=n -c user.email=m tag v1.0", &project);

    // The peer's work tree: the same files, and the `debian` directory that a maintainer has there.
    let tree = directory.path().join("peer/textual-1.0");
    fs::create_dir_all(directory.path().join("peer")).expect("a directory");
    shell("git clone -q . ../peer/textual-1.0 && cp -r packaging/debian ../peer/textual-1.0/", &project);
    write(&tree.join("debian/source/format"), "3.0 (quilt)\n");
    write(
        &tree.join("debian/changelog"),
        "textual (1.0-0ubuntu1~ppa1~ubuntu24.04.1) noble; urgency=medium\n\n  * New.\n\n -- A Name \
         <name@example.org>  Mon, 01 Jun 2026 12:00:00 +0000\n",
    );
    shell("chmod 755 debian/rules", &tree);

    let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let state = directory.path().join(format!("state-{round}"));
        let own = time_ours(&project, &state);
        let peer = shell(PEER, &tree);
        let made = state.join("dist/1.0/deb/textual_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc");
        let made_too = directory.path().join("peer/textual_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc");
        assert!(made.is_file() && made_too.is_file(), "both made a source package");
        // The first round warms the caches.
        if round > 0 {
            ratios.push(own / peer);
            ours.push(own);
            theirs.push(peer);
        }
    }
    println!("a source package of {} MB of text, {ROUNDS} rounds\n", TEXT / 1_000_000);
    println!("{:<44} {:>8}", "", "median s");
    println!("{:<44} {:>8.2}", "drydock: deb source", median(&mut ours));
    println!("{:<44} {:>8.2}\n", "git archive | xz, then dpkg-buildpackage -S", median(&mut theirs));
    let ratio = median(&mut ratios);
    figures.figure(&format!("{ratio:.2} x git archive, xz and dpkg-buildpackage -S"), "0.8 x", ratio <= 0.8);
    figures.finish()
}

fn time_ours(project: &Path, state: &Path) -> f64 {
    let began = Instant::now();
    let output = Command::new(peers::users_binary())
        .args(["--project".as_ref(), project.as_os_str(), "--state".as_ref(), state.as_os_str()])
        .args(["deb", "source", "--threads", "2"])
        .output()
        .expect("this program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed().as_secs_f64()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(path, text).expect("a file");
}

fn shell(line: &str, directory: &Path) -> f64 {
    peers::shell(line, directory, directory)
}
