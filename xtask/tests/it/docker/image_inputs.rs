//! What images are made of, as real programs write it: a layer has the same files as another program unpacks from the archive,
//! or the archive is refused by name.
//!
//! `cargo test -p drydock --test it image_inputs -- --nocapture` prints the table of inputs and verdicts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use drydock_base::checksum::Checksum;
use drydock_oci::build_record::BuildRecord;
use drydock_oci::layout::Layout;
use drydock_oci::model::Manifest;

use super::build_project::{BuildProject, small_in};
use super::registry_server::Server;
use crate::deb::fixture::run;
use crate::release::fixture as git;
use crate::support::{Project, need_tools, text};
use rows::{Reader, Row, Verdict};

mod layers;
mod packages;
mod rows;

/// The files below a directory: type, mode, time, content or target, names of the same file, and attributes that engines keep.
fn files(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(here) = directories.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
            let mode = metadata.mode() & 0o7777;
            let mut described = if metadata.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
            } else if metadata.is_dir() {
                directories.push(path.clone());
                format!("directory {mode:o}")
            } else {
                assert!(metadata.is_file(), "{name}");
                names.entry(metadata.ino()).or_default().push(name.clone());
                let content = Checksum::new(&fs::read(&path).unwrap()).to_string();
                format!("file {mode:o} {} {} {}", metadata.mtime(), metadata.len(), &content[..12])
            };
            for (attribute, value) in attributes(&path) {
                described.push_str(&format!(" {attribute}={}", value.escape_ascii()));
            }
            files.insert(name, described);
        }
    }
    for mut same in names.into_values().filter(|same| same.len() > 1) {
        same.sort();
        for name in &same {
            files.get_mut(name).unwrap().push_str(&format!(" = {}", same[0]));
        }
    }
    files
}

fn attributes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let kept = names.filter(|name| *name == b"security.capability" || name.starts_with(b"user."));
    let value = |name: &[u8]| {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        (String::from_utf8_lossy(name).into_owned(), value[..length].to_vec())
    };
    // Engines lose those without a value, and images come without them.
    kept.map(value).filter(|(_, value)| !value.is_empty()).collect()
}

/// A project whose archives the rows write.
struct World {
    server: Server,
    base: String,
    project: Project,
    build: BuildProject,
}

impl World {
    fn new() -> Option<World> {
        let server = Server::start()?;
        let base = small_in(&server);
        let project = git::project("name: p\nversion: {}\narchives: [{format: tar.gz}]\n").file("README", "x\n");
        git::commit(&project);
        let build = BuildProject::new(project.path(), "");
        fs::create_dir_all(build.at("config/packaging")).unwrap();
        fs::copy(project.path().join("packaging/release.yaml"), build.at("config/packaging/release.yaml")).unwrap();
        Some(World { server, base, project, build })
    }

    /// Writes the archive of a row.
    fn pack(&self, row: &Row) {
        let directory = self.project.path().join("target").join(row.name);
        fs::create_dir_all(directory.join("tree")).unwrap();
        fs::set_permissions(directory.join("tree"), fs::Permissions::from_mode(0o755)).unwrap();
        let archive = text(&self.archive(row));
        // An old time, so that no layer has an earlier one.
        let script = format!(
            "set -e; umask 022; old() {{ find . -exec touch -h -d @1000000000 {{}} +; }}; cd tree; {}",
            row.script
        );
        run(&directory, &["bash", "-c", &script, "sh"], &[("A", &archive), ("TAR_OPTIONS", "")]);
        assert!(self.archive(row).is_file(), "{}", row.name);
    }

    fn archive(&self, row: &Row) -> std::path::PathBuf {
        self.project.path().join("target").join(format!("{}.{}", row.name, row.format))
    }

    fn declare(&self, rows: &[&Row]) {
        let mut yaml = String::from("images:\n");
        for row in rows {
            let Row { name, format, strip, into, .. } = row;
            yaml.push_str(&format!(
                "  {name}:\n    repositories: {{nightly: 127.0.0.1:1/n/{name}, release: 127.0.0.1:1/r/{name}}}\n    base: {}\n    \
                 from: {{archive: 'target/{name}.{format}', strip: {strip}, into: {into}}}\n    \
                 smoke-test: {{run: [sh, -c, 'echo {{version}}'], expect: '{{version}}'}}\n",
                self.base
            ));
        }
        let yaml = yaml.replace("echo {version}", "echo 1.0");
        self.build.declare(&yaml);
    }

    /// What another program unpacks from the archive, below the directory in the image.
    fn unpacked(&self, row: &Row) -> BTreeMap<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let into = directory.path().join(row.into.trim_matches('/'));
        fs::create_dir_all(&into).unwrap();
        row.reader.unpack(&self.archive(row), &into);
        files(&into)
    }
}

/// The files of a layer, as GNU tar and umoci unpack them.
fn of_image(world: &World, row: &Row) -> [BTreeMap<String, String>; 2] {
    let directory = world.build.oci("1.0").join(row.name);
    let record: BuildRecord = BuildRecord::load(&world.build.oci("1.0"), row.name).unwrap().record;
    let layout = Layout::open(&directory).unwrap();
    let digest = record.platforms.values().next().unwrap().digest;
    let manifest: Manifest = serde_json::from_slice(&fs::read(layout.path(&digest)).unwrap()).unwrap();
    let layer = layout.path(&manifest.layers.last().unwrap().digest);
    let scratch = tempfile::tempdir().unwrap();
    let at = |path: &str| scratch.path().join(path);
    fs::create_dir(at("tar")).unwrap();
    Reader::Tar.unpack(&layer, &at("tar"));
    let (from, to) = (format!("oci:{}", text(&directory)), format!("oci:{}:x", text(&at("oci"))));
    run(scratch.path(), &["skopeo", "copy", "--quiet", &from, &to], &[]);
    let rootless: &[&str] = if rows::is_root() { &[] } else { &["--rootless"] };
    let image = format!("{}:x", text(&at("oci")));
    run(scratch.path(), &[&["umoci", "unpack", "--image", &image], rootless, &["bundle"]].concat(), &[]);
    let into = row.into.trim_matches('/');
    [files(&at("tar").join(into)), files(&at("bundle/rootfs").join(into))]
}

#[test]
fn archives_become_layers_as_other_programs_unpack_them() {
    let tools = [("bsdtar", "libarchive-tools"), ("python3", "python3"), ("zip", "zip"), ("unzip", "unzip")];
    let readers = [("tar", "tar"), ("skopeo", "skopeo"), ("umoci", "umoci"), ("busybox", "busybox-static")];
    if !need_tools(&tools) || !need_tools(&readers) {
        return;
    }
    let Some(world) = World::new() else { return };
    let rows: Vec<Row> = rows::all().into_iter().filter(Row::is_possible).collect();
    rows.iter().for_each(|row| world.pack(row));
    let (refused, kept): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| matches!(row.verdict, Verdict::Refused(_)));
    let mut table = String::new();
    let mut wrong = Vec::new();

    world.declare(&kept);
    let built = world.build.call(&[], &[]);
    assert_eq!(built.code(), 0, "{}", built.transcript());
    for row in kept {
        let expected = world.unpacked(row);
        let [tar, umoci] = of_image(&world, row);
        for (reader, found) in [("GNU tar", tar), ("umoci", umoci)] {
            let differs = |path: &&String| found.get(*path) != expected.get(*path);
            for path in expected.keys().chain(found.keys()).filter(differs) {
                let [expected, found] = [&expected, &found].map(|files| files.get(path).map_or("", String::as_str));
                wrong.push(format!("{}, by {reader}: {path}\n  expected: {expected}\n  found:    {found}", row.name));
            }
        }
        assert!(!expected.is_empty(), "{}", row.name);
        let mut said = format!("the same {} files", expected.len());
        if let Verdict::Noted(words) = row.verdict {
            let note = built.stderr.lines().find(|line| line.contains(row.name) && line.contains(words));
            said.push_str(&format!("; {}", note.unwrap_or("NO NOTE")));
            if note.is_none() {
                wrong.push(format!("{}: no note with `{words}` in\n{}", row.name, built.stderr));
            }
        } else if built.stderr.lines().any(|line| line.contains(row.name) && line.contains("left out")) {
            wrong.push(format!("{}: an unexpected note in\n{}", row.name, built.stderr));
        }
        table.push_str(&format!("{:34} {said}\n", row.name));
    }
    for row in refused {
        let Verdict::Refused(words) = row.verdict else { continue };
        world.declare(&[row]);
        let said = world.build.call(&[], &[]);
        let error = said.stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join(" ");
        if !matches!(said.code(), 1 | 7) || !error.contains(words) {
            wrong.push(format!("{}: {} without `{words}`\n{}", row.name, said.code(), said.transcript()));
        }
        table.push_str(&format!("{:34} refused: {}\n", row.name, error.rsplit(": ").next().unwrap_or_default()));
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
