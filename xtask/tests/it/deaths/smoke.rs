//! Smoke tests of images that attack their limits under cgroup v2, by root and by a user with a delegated group: in the virtual
//! machine of the table of deaths.

use std::path::Path;
use std::time::Duration;

use drydock_base::units::ByteSize;
use drydock_config::images::{Images, Platform, SmokeTest};
use drydock_oci::image::WrittenImage;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, ImageConfig, Manifest, media};
use drydock_oci::smoke;

use super::{Cell, Column};
use crate::support::fixtures;
use crate::vm::Guest;

/// The programs of this machine that a smoke test needs.
const PROGRAMS: [&str; 8] = [
    "/usr/bin/setpriv",
    "/usr/bin/unshare",
    "/usr/bin/nsenter",
    "/usr/bin/env",
    "/usr/bin/mkdir",
    "/usr/bin/mount",
    "/usr/bin/umount",
    "/usr/sbin/pivot_root",
];

/// The attacks: a name, the command, and words of the refusal; none where nothing is attacked. Each takes seconds in the guest.
const ATTACKS: [(&str, &str, &str); 4] = [
    ("what fits", "[sh, -c, 'mortal hog 8 && echo v1.0']", ""),
    (
        "a file system in memory",
        "[sh, -c, 'mount -t tmpfs x /mnt && dd if=/dev/zero of=/mnt/x bs=1M count=100; echo v1.0']",
        "exceeded its memory limit of 32 MiB; raise `memory`",
    ),
    (BOMB, "[mortal, fork-bomb, '1500']", "exceeded its limit of 1024 processes"),
    (OWN_GROUP, "[mortal, leave-group, /mnt, '300']", "exceeded its memory limit"),
];

/// The attack for which there is enough memory.
const BOMB: &str = "a bomb of processes";

/// The attack in which it matters whose files those of the group are.
const OWN_GROUP: &str = "its own group";

/// Adds the attacks to a guest of the table. Its root is a file system that cannot be replaced as a root, so it gets another one,
/// as `switch_root` does it.
pub(super) fn attacked(guest: Guest) -> Guest {
    let attack = |group: &str, user: &str| {
        format!(
            "chroot . mortal-static enter {group}/cgroup.procs {user} \
             it deaths::smoke::attacks_in_guest --exact --include-ignored --nocapture --test-threads=1\n"
        )
    };
    let script = format!(
        "chmod a+rx /bin/mortal-static; mkdir /top; mount --rbind / /top; cd /top; mount --move . /\n\
         group=/sys/fs/cgroup/delegated; mkdir /sys/fs/cgroup/root $group\n\
         echo +memory +pids >$group/cgroup.subtree_control; mkdir $group/own; chown -R 1000 $group\n{}{}",
        attack("/sys/fs/cgroup/root", ""),
        attack("$group/own", "mortal-static as-user 1000"),
    );
    let guest = PROGRAMS.into_iter().fold(guest, |guest, program| guest.program(program, Path::new(program)));
    let guest = guest.program("/bin/mortal-static", &fixtures().join("mortal-static")).then(&script);
    guest.limit(Duration::from_secs(240))
}

/// The attacks by root or by a user, for whom only its own group is another one.
fn attacks(is_root: bool) -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let who = if is_root { "root" } else { "a user" };
    let wanted = ATTACKS.into_iter().filter(move |(name, ..)| is_root || *name == OWN_GROUP);
    wanted.map(move |(name, run, words)| (format!("smoke test of {who}: {name}"), run, words))
}

/// The cells that must be there.
pub(super) fn causes() -> Vec<String> {
    attacks(true).chain(attacks(false)).map(|(cause, ..)| cause).collect()
}

/// The image: busybox and the hostile program, not compressed, which takes long in the guest.
fn image(directory: &Path) -> (Layout, WrittenImage) {
    let layout = Layout::create(directory).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, link: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        if link.is_empty() {
            tar.append_data(&mut header, path, content).unwrap();
        } else {
            tar.append_link(&mut header, path, link).unwrap();
        }
    };
    for name in ["bin", "mnt", "tmp"] {
        add(name, tar::EntryType::Directory, "", b"");
    }
    for (name, file) in [("bin/busybox", "/bin/busybox"), ("bin/mortal", "/bin/mortal-static")] {
        add(name, tar::EntryType::Regular, "", &std::fs::read(file).unwrap());
    }
    for name in ["bin/sh", "bin/mount", "bin/dd"] {
        add(name, tar::EntryType::Symlink, "busybox", b"");
    }
    let layer = layout.put(media::LAYER, &tar.into_inner().unwrap()).unwrap();
    let manifest = Manifest::new(Descriptor::for_bytes(media::EMPTY, b"{}"), vec![layer]);
    let mut config = ImageConfig::from_scratch(Platform::Amd64);
    config.config.env = vec!["PATH=/bin".to_owned()];
    (layout, WrittenImage { descriptor: manifest.config.clone(), manifest, config })
}

fn declared(run: &str, memory: u64) -> SmokeTest {
    let text = format!(
        "repositories: {{nightly: a.example/n, release: a.example/r}}\nimages:\n  x:\n    from: {{dockerfile: D}}\n    \
         smoke-test: {{run: {run}, expect: 'v{{version}}', timeout: 2m}}\n"
    );
    let declared = Images::parse(&text, Path::new("x")).unwrap().images.remove(0).smoke_test;
    SmokeTest { memory: ByteSize::mib(memory), disk: ByteSize::mib(8), ..declared }
}

#[test]
#[ignore = "runs inside the virtual machine of `deaths::matrix`"]
fn attacks_in_guest() {
    println!();
    let directory = tempfile::tempdir().unwrap();
    let (layout, image) = image(directory.path());
    for (cause, run, words) in attacks(rustix::process::geteuid().is_root()) {
        let memory = if cause.ends_with(BOMB) { 512 } else { 32 };
        let tested = smoke::test(&layout, &image, &declared(run, memory), &"1.0".parse().unwrap());
        let said = tested.map(|passed| passed.printed).unwrap_or_else(|error| format!("{error:#}"));
        let is_right = if words.is_empty() { said == "v1.0" } else { said.contains(words) };
        let problems = if is_right { Vec::new() } else { vec![said] };
        let verdict = if words.is_empty() { "passes" } else { "refused" }.to_owned();
        let cell = Cell { cause, column: Column::V2, verdict, confidence: None, problems };
        println!("@@cell {}", serde_json::to_string(&cell).unwrap());
    }
}
