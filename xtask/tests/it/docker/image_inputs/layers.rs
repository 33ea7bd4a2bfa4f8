//! Layers of base images, as other programs write them and umoci unpacks them: odd names, attributes, whiteouts, links to files of
//! lower layers, and files that become others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use drydock_archive::layer::{Item, ItemKind, Layer};
use drydock_config::images::Digest;
use drydock_oci::image_files::{FileKind, ImageFiles};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Manifest, media};
use drydock_oci::registry::push;
use drydock_oci::unpack::unpack;
use serde_json::json;

use super::rows::{self, Verdict, row};
use super::{World, files};
use crate::deb::fixture::run;
use crate::support::{need_tools, text};

/// Commands of bash in an empty directory, which write a layer to `$A`. `old` gives all files an old time, and `entry` adds one entry
/// by Python: name, type and target.
const FUNCTIONS: &str = r#"
set -e; umask 022
old() { find . -exec touch -h -d @1000000000 {} +; }
entry() { python3 - "$@" <<'X'
import os, sys, tarfile
with tarfile.open(os.environ["A"], "a") as t:
    i = tarfile.TarInfo(sys.argv[1]); i.type = sys.argv[2].encode(); i.linkname = sys.argv[3]; i.mode = 0o644; i.mtime = 1000000000
    t.addfile(i)
X
}
"#;

/// The layers, the lowest first, each by another program or in another dialect.
const LAYERS: [&str; 3] = [
    // GNU's dialect.
    r#"
mkdir -p lat/$'d\xff' names wh/d opq/sub rep/dir-to-file rep/dir-to-link rep/real hard usr/bin modes user
echo x >lat/$'caf\xe9'; ln -s $'caf\xe9' lat/link; ln lat/$'caf\xe9' lat/hard; echo y >lat/$'d\xff'/f; echo z >lat/$'gone\xfe'
n=$(printf 'n%.0s' {1..255}); d=names/$(printf 'd/%.0s' {1..90}); mkdir -p $d; echo x >$d/f; echo x >names/$n; ln -s $d/f names/long
echo y >names/$'line\nend'; echo z >names/$'caf\u{e9}'
touch wh/{one,two} wh/d/{a,b} opq/a opq/sub/b rep/{file-to-dir,file-to-link,file-to-hard} rep/dir-to-{file,link}/x
ln -s real rep/link-to-dir; ln -s real rep/link-to-file; touch rep/real/x; echo target >hard/target; ln -s usr/bin bin
for m in 0755 0600 0444; do echo x >modes/f$m; chmod $m modes/f$m; done; mkdir -m 0711 modes/d; mkdir -m 0700 modes/e
echo x >user/f; python3 -c 'import os
for f in "user", "user/f": os.setxattr(f, "user.text", b"a\nb=c\0d")'
old; tar --format=gnu --xattrs -cf $A *
"#,
    // pax, with names that are not UTF-8 in its records.
    r#"
n=$(printf 'n%.0s' {1..200})
mkdir -p lat bin rep/file-to-dir rep/link-to-dir opq/new wh; echo long >lat/$n$'\xe4'; echo through >bin/through
echo x >rep/file-to-dir/y; echo x >rep/dir-to-file; echo x >rep/link-to-file; echo x >rep/link-to-dir/y; ln -s real rep/dir-to-link
ln -s dir-to-file rep/file-to-link; touch wh/.wh.one wh/.wh.d opq/new/c opq/.wh..wh..opq lat/.wh.$'gone\xfe'; echo 3 >wh/three
old; tar --format=posix -cf $A lat bin/through rep wh opq
entry hard/same 1 hard/target; entry hard/through 1 bin/through; entry rep/file-to-hard 1 hard/target; entry hard/link 1 bin
"#,
    // libarchive, which says that names are bytes.
    r#"
mkdir -p lat wh bin; echo bsd >lat/$'bsd\xe4'$(printf 'n%.0s' {1..200}); mkdir wh/one; echo again >wh/one/x; touch bin/.wh.through
old; bsdtar --format=pax -cf $A lat wh bin/.wh.through
"#,
];

/// An image of a layer with a shell, and of these on top of it, which are not compressed.
fn image(directory: &Path, layers: &[Vec<u8>]) -> (Layout, Descriptor, Manifest) {
    let layout = Layout::create(directory).unwrap();
    let mut shell = Layer::new(directory).unwrap();
    shell.put("usr".into(), Item::directory(0));
    shell.put("usr/bin".into(), Item::directory(0));
    let content = shell.keep(&mut fs::File::open("/bin/busybox").unwrap()).unwrap();
    shell.put("usr/bin/busybox".into(), Item { mode: 0o755, ..Item::file(content, 0) });
    shell.put("usr/bin/sh".into(), Item { kind: ItemKind::Link("busybox".into()), mode: 0o777, ..Item::directory(0) });
    let mut part = layout.part().unwrap();
    let written = shell.write(0, part.as_file_mut()).unwrap();
    layout.keep(part, &Digest(written.sha256)).unwrap();
    let mut descriptors = vec![Descriptor::new(media::LAYER_GZIP, Digest(written.sha256), written.size)];
    let mut diff_ids = vec![Digest(written.diff_id)];
    for layer in layers {
        let layer = layout.put(media::LAYER, layer).unwrap();
        diff_ids.push(layer.digest);
        descriptors.push(layer);
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = layout.put(media::CONFIG, config.to_string().as_bytes()).unwrap();
    let manifest = Manifest::new(config, descriptors);
    let top = layout.put(media::MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap();
    layout.set_index(vec![top.clone()]).unwrap();
    (layout, top, manifest)
}

#[test]
fn base_layers_are_applied_as_other_programs_do() {
    let tools = [("bsdtar", "libarchive-tools"), ("python3", "python3"), ("skopeo", "skopeo"), ("umoci", "umoci")];
    if !need_tools(&tools) || !need_tools(&[("busybox", "busybox-static")]) {
        return;
    }
    let Some(mut world) = World::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    let mut layers = Vec::new();
    for (number, script) in LAYERS.iter().enumerate() {
        let (tree, archive) = (at(&format!("tree-{number}")), at(&format!("{number}.tar")));
        fs::create_dir(&tree).unwrap();
        let script = format!("{FUNCTIONS}{script}");
        run(&tree, &["bash", "-c", &script], &[("A", &text(&archive)), ("TAR_OPTIONS", ""), ("LC_ALL", "C.UTF-8")]);
        layers.push(fs::read(archive).unwrap());
    }
    let (layout, top, manifest) = image(&at("oci"), &layers);
    let (from, to) = (format!("oci:{}", text(&at("oci"))), format!("oci:{}:x", text(&at("copy"))));
    run(directory.path(), &["skopeo", "copy", "--quiet", &from, &to], &[]);
    let rootless: &[&str] = if rows::is_root() { &[] } else { &["--rootless"] };
    let image = format!("{}:x", text(&at("copy")));
    run(directory.path(), &[&["umoci", "unpack", "--image", &image], rootless, &["bundle"]].concat(), &[]);
    let expected = files(&at("bundle/rootfs"));

    fs::create_dir(at("root")).unwrap();
    unpack(&layout, &manifest.layers, &at("root"), None).unwrap();
    let found = files(&at("root"));
    let differs = |path: &&String| found.get(*path) != expected.get(*path);
    let paths: BTreeMap<&String, ()> = expected.keys().chain(found.keys()).map(|path| (path, ())).collect();
    let wrong: Vec<String> = paths
        .into_keys()
        .filter(differs)
        .map(|path| format!("{path}\n  umoci: {:?}\n  ours:  {:?}", expected.get(path), found.get(path)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for name in ["lat/caf\\xe9", "lat/d\\xff/f", "wh/one/x", "hard/through", "opq/new/c", "rep/file-to-dir/y"] {
        assert!(found.contains_key(name), "{name}: {found:#?}");
    }
    println!("{} files of {} layers are the same", found.len(), manifest.layers.len());

    // What a build knows of the base is the same.
    let known = ImageFiles::read(&layout, &top, &manifest).unwrap();
    for (path, described) in expected.iter().filter(|(path, _)| !path.contains('\\')) {
        let kind = match known.get(path).map(|found| &found.kind) {
            Some(FileKind::Directory) => "directory",
            Some(FileKind::File) => "file",
            Some(FileKind::Link(_)) => "link",
            Some(FileKind::Other) | None => "nothing",
        };
        assert!(described.starts_with(kind), "{path}: {kind}, {described}");
    }
    for gone in ["wh/d", "wh/d/a", "opq/a", "opq/sub", "usr/bin/through", "rep/dir-to-file/x", "rep/dir-to-link/x"] {
        assert_eq!(known.get(gone), None, "{gone}");
    }

    // An image of that base is built, and its smoke test runs among these files.
    let repository = world.server.repository("base/odd");
    push(&world.server.client(), &repository, &layout, &top, &[]).unwrap();
    world.base = format!("{{image: '{repository}', digest: '{}'}}", top.digest);
    let small = row("onto-odd-names", Verdict::Same, "echo x >f; old; tar -czf $A .");
    world.pack(&small);
    world.declare(&[&small]);
    let built = world.build.call(&[], &[]);
    assert_eq!(built.code(), 0, "{}", built.transcript());
}
