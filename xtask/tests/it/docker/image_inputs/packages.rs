//! Packages: an image has them as dpkg unpacks them, and what dpkg refuses is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::super::build_errors::{FIELDS, package, prove};
use super::super::build_project::{BuildProject, LANTERND, declaration, small_with};
use super::super::registry_server::Server;
use super::{Reader, files};
use crate::deb::fixture::run;
use crate::support::{need, need_tools, text};

/// A package with files of an image, and what has to happen.
struct Package {
    name: &'static str,
    /// Commands of bash that make the members, of `control.tar.gz` and the tree `data`.
    script: &'static str,
    members: &'static str,
    dpkg_accepts: bool,
    /// The words of the error; none if the package becomes an image.
    refused: Option<&'static str>,
}

const fn package_of(
    name: &'static str,
    script: &'static str,
    members: &'static str,
    dpkg_accepts: bool,
    refused: Option<&'static str>,
) -> Package {
    Package { name, script, members, dpkg_accepts, refused }
}

const PACKAGES: &[Package] = &[
    package_of("gzip", "tar -C data -czf data.tar.gz .", "control.tar.gz data.tar.gz", true, None),
    package_of(
        "no compression",
        "tar -C data -cf data.tar .; gzip -d control.tar.gz",
        "control.tar data.tar",
        true,
        None,
    ),
    package_of("xz", "tar -C data -cJf data.tar.xz .", "control.tar.gz data.tar.xz", true, None),
    package_of("bzip2", "tar -C data -cjf data.tar.bz2 .", "control.tar.gz data.tar.bz2", true, None),
    package_of(
        "lzma",
        "tar -C data -c . | xz --format=lzma >data.tar.lzma",
        "control.tar.gz data.tar.lzma",
        true,
        None,
    ),
    package_of(
        "lzma, cut off",
        "tar -C data -c . | xz --format=lzma | head -c -9 >data.tar.lzma",
        "control.tar.gz data.tar.lzma",
        false,
        Some("the compressed stream is incomplete"),
    ),
    package_of(
        "bzip2 for control",
        "gzip -d <control.tar.gz | bzip2 >control.tar.bz2; tar -C data -czf data.tar.gz .",
        "control.tar.bz2 data.tar.gz",
        false,
        Some("it has \"control.tar.bz2\", which is not supported"),
    ),
    package_of(
        "compress",
        "tar -C data -czf data.tar.Z .",
        "control.tar.gz data.tar.Z",
        false,
        Some("it has \"data.tar.Z\", which is not supported"),
    ),
    package_of(
        "a pax header",
        "tar --format=posix -C data -czf data.tar.gz .",
        "control.tar.gz data.tar.gz",
        false,
        Some("which dpkg refuses"),
    ),
    package_of(
        "a hard link to a file",
        "ln data/usr/bin/lanternd data/usr/bin/other; tar -C data -czf data.tar.gz .",
        "control.tar.gz data.tar.gz",
        true,
        None,
    ),
    package_of(
        "a hard link to a symbolic link",
        "ln -s lanternd data/usr/bin/l; ln data/usr/bin/l data/usr/bin/m; tar -C data -czf data.tar.gz .",
        "control.tar.gz data.tar.gz",
        false,
        Some("is a hard link to a symbolic link, which dpkg cannot unpack"),
    ),
    package_of(
        "a sparse file",
        "truncate -s 2M data/usr/bin/sparse; tar --format=gnu -S -C data -czf data.tar.gz .",
        "control.tar.gz data.tar.gz",
        false,
        Some("a sparse file at \"usr/bin/sparse\", which dpkg refuses"),
    ),
    package_of(
        "a named pipe",
        "mkfifo data/usr/bin/pipe; tar -C data -czf data.tar.gz .",
        "control.tar.gz data.tar.gz",
        true,
        Some("\"usr/bin/pipe\" has the type of a named pipe"),
    ),
    package_of(
        "a name in Latin-1",
        "echo x >$'data/usr/bin/lat\\xe4'; tar -C data -czf data.tar.gz .",
        "control.tar.gz data.tar.gz",
        true,
        Some("is not valid UTF-8"),
    ),
    package_of(
        "a target in Latin-1",
        "ln -s $'lat\\xe4' data/usr/bin/l; tar -C data -czf data.tar.gz .",
        "control.tar.gz data.tar.gz",
        true,
        Some("has a target that is not valid UTF-8"),
    ),
];

#[test]
fn packages_become_layers_as_dpkg_unpacks_them() {
    if !need_tools(&[("dpkg-deb", "dpkg"), ("ar", "binutils"), ("bzip2", "bzip2"), ("xz", "xz-utils")])
        || !need(super::rows::is_root(), "dpkg unpacks packages for root only")
    {
        return;
    }
    let Some(server) = Server::start() else { return };
    let base = small_with(&server, &[("var/lib/dpkg/status", "\n")]);
    let image = LANTERND.replace("lanternd]}", "lanternd], series: bookworm}");
    let build = BuildProject::lanternd(&declaration(&base, &image));
    let deb = build.package();
    fs::create_dir_all(deb.parent().unwrap()).unwrap();
    let dsc = build.sources();
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for Package { name, script, members, dpkg_accepts, refused } in PACKAGES {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        fs::write(at("made.deb"), package(directory.path(), FIELDS, &[], &[])).unwrap();
        fs::create_dir_all(at("data/usr/bin")).unwrap();
        let script = format!(
            "set -e; umask 022; ar x made.deb; rm made.deb data.tar.*; chmod -R go=rX data
            printf '#!/bin/sh\\necho lanternd 0.3.0\\n' >data/usr/bin/lanternd; chmod 4755 data/usr/bin/lanternd
            find data -exec touch -h -d @1000000000 {{}} +; {script}; ar rcD made.deb debian-binary {members}"
        );
        run(directory.path(), &["bash", "-c", &script], &[("TAR_OPTIONS", "--owner=root --group=root")]);
        fs::copy(at("made.deb"), &deb).unwrap();
        prove(&deb, &dsc, &[]);

        let root = at("root");
        fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
        fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        // As in the base image.
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::set_permissions(root.join("usr/bin"), fs::Permissions::from_mode(0o711)).unwrap();
        let option = format!("--root={}", text(&root));
        let dpkg = Command::new("dpkg").args([&option, "--force-all", "--unpack"]).arg(&deb).output().unwrap();
        if dpkg.status.success() != *dpkg_accepts {
            wrong.push(format!("{name}: dpkg says {}", String::from_utf8_lossy(&dpkg.stderr)));
        }
        let said = build.call(&["--platform", "linux/amd64"], &[]);
        match refused {
            None if said.code() != 0 => wrong.push(format!("{name}: {}", said.transcript())),
            None => {
                let layer = layer(&build);
                let unpacked = at("layer");
                Reader::Tar.unpack(&layer, &unpacked);
                let [expected, found] = [&root, &unpacked].map(|root| files(&root.join("usr")));
                if expected != found || expected.is_empty() {
                    wrong.push(format!("{name}:\n  expected {expected:?}\n  found {found:?}"));
                }
            }
            Some(words) if !matches!(said.code(), 1 | 7) || !said.stderr.contains(words) => {
                wrong.push(format!("{name}: not `{words}` but {}", said.transcript()));
            }
            Some(_) => {}
        }
        let dpkg = if *dpkg_accepts { "unpacks it" } else { "refuses it" };
        table.push_str(&format!("{name:32} dpkg {dpkg}; {}\n", refused.unwrap_or("the same files")));
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn layer(build: &BuildProject) -> std::path::PathBuf {
    let record = build.record("0.3.0").unwrap();
    let layout = drydock_oci::layout::Layout::open(&build.oci("0.3.0").join("mine")).unwrap();
    let digest = record.platforms["linux/amd64"].digest;
    let manifest: drydock_oci::model::Manifest =
        serde_json::from_slice(&fs::read(layout.path(&digest)).unwrap()).unwrap();
    let path: &Path = &layout.path(&manifest.layers.last().unwrap().digest);
    path.to_owned()
}
