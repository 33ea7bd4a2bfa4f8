//! A small project whose image is a script on busybox, so that a whole nightly takes seconds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use drydock_base::checksum::Checksum;
use drydock_config::images::{Digest, Platform, Tag};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index, Manifest, PlatformObject, media};
use drydock_oci::registry::Reference;

use crate::docker::registry_server::Server;
use crate::release::fixture::run;
use crate::support::{Finished, Project, git_with, need_tools, text, xtask_binary};

/// A project and the registry of its nightlies.
pub(super) struct Nightly {
    pub(super) project: Project,
    pub(super) server: Server,
    variables: BTreeMap<&'static str, String>,
    /// The time of the next commit, in seconds since 1970.
    clock: u64,
}

impl Nightly {
    /// A project with a release 1.0 and one commit after it; `None` without the tools.
    pub(super) fn new() -> Option<Nightly> {
        Nightly::at(Server::start()?)
    }

    /// The same with a registry.
    pub(crate) fn at(server: Server) -> Option<Nightly> {
        let tools = [("busybox", "busybox-static"), ("unshare", "util-linux"), ("git", "git")];
        if !need_tools(&tools) {
            return None;
        }
        let (project, variables) = (Project::new(), server.login().into_iter().collect());
        let mut nightly = Nightly { project, server, variables, clock: 1_780_315_200 };
        let base = nightly.push_base();
        let host = nightly.server.host();
        let release = "\
name: p
version: {files: [{path: VERSION}]}
archives: [{format: tar.xz}, {format: tar.gz}]
offline-proof: {build: [\"true\"], test: [sh, test.sh]}
nightly: {next: \"1.1\"}
";
        let images = format!(
            "\
repositories: {{nightly: {host}/p/nightly, release: {host}/p/p}}
images:
  p:
    base: {{image: {host}/base, digest: \"{base}\"}}
    from: {{archive: \"build/p-{{version}}-{{architecture}}.tar.gz\"}}
    entrypoint: [/bin/p]
    smoke-test: {{run: [/bin/p], expect: \"p {{version}}\"}}
"
        );
        nightly.write("packaging/release.yaml", release);
        nightly.write("docker/images.yaml", &images);
        nightly.write("VERSION", "1.0\n");
        nightly.write("test.sh", "test -s VERSION\n");
        nightly.write(".gitignore", "/build/\n/target/\n");
        nightly.git(&["init", "-q"]);
        nightly.commit("one");
        nightly.git(&["tag", "-a", "-m", "1.0", "v1.0"]);
        nightly.change("two");
        Some(nightly)
    }

    pub(super) fn path(&self) -> &Path {
        self.project.path()
    }

    pub(super) fn env(mut self, name: &'static str, value: &str) -> Nightly {
        self.variables.insert(name, value.to_owned());
        self
    }

    pub(super) fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Runs git with the project's clock.
    pub(super) fn git(&self, words: &[&str]) -> String {
        let date = format!("{} +0000", self.clock);
        git_with(self.path(), words, &[("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
    }

    pub(super) fn commit(&self, what: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", what]);
    }

    /// Declares a source package that is uploaded without being proved. It takes effect with the next commit.
    pub(super) fn packages(&self, upload: &str) {
        let release = fs::read_to_string(self.path().join("packaging/release.yaml")).unwrap();
        let deb = "\
deb:
  maintainer: A Tester <tester@example.org>
  orig: tar.xz
  series: {bookworm: {number: \"12\", distribution: debian}}
  upload: {target: queue, method: local, incoming: /nowhere-else}
";
        let nightly = "nightly: {next: \"1.1\"}\n";
        assert!(release.contains(nightly), "{release}");
        let with_upload = format!("{deb}nightly: {{next: \"1.1\", prove: [], upload: {upload}}}\n");
        self.write("packaging/release.yaml", &release.replace(nightly, &with_upload));
        let control = "\
Source: lamp
Section: misc
Priority: optional
Maintainer: A Tester <tester@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: lamp
Architecture: all
Depends: ${misc:Depends}
Description: empty package
 It contains no files.
";
        self.write("packaging/debian/control", control);
        self.write("packaging/debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n");
        run(self.path(), "chmod", &["755", "packaging/debian/rules"]);
        let copyright = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2026 A Tester
License: MIT
 The text of the licence.
";
        self.write("packaging/debian/copyright", copyright);
    }

    /// Commits a change an hour later, and builds the program of that commit.
    pub(super) fn change(&mut self, what: &str) {
        self.clock += 60 * 60;
        self.write("notes", what);
        self.commit(what);
        self.program(None);
    }

    /// Moves the clock by some days.
    pub(super) fn days(&mut self, days: i64) {
        self.clock = self.clock.checked_add_signed(days * 24 * 60 * 60).unwrap();
    }

    /// Builds the program of the commit, which prints its version or another one.
    pub(super) fn program(&self, prints: Option<&str>) {
        let version = self.version();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        let script = format!("#!/bin/sh\necho p {}\n", prints.unwrap_or(&version));
        let file = directory.path().join("bin/p");
        fs::write(&file, script).unwrap();
        run(directory.path(), "chmod", &["755", &text(&file)]);
        let archive = self.path().join(format!("build/p-{version}-amd64.tar.gz"));
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        let words =
            ["-czf", &text(&archive), "--owner=0", "--group=0", "--mtime=@0", "-C", &text(directory.path()), "bin"];
        run(directory.path(), "tar", &words);
    }

    /// The version of a nightly of the current commit.
    pub(super) fn version(&self) -> String {
        let plan = self.call(&["--dry-run", "--format", "json"]);
        assert_eq!(plan.code(), 0, "{}", plan.transcript());
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        plan["version"].as_str().unwrap().to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(xtask_binary());
        command.args(["--project", &text(self.path())]).args(words).envs(&self.variables);
        command.env_remove("CI").env_remove("GITHUB_ACTIONS").stdin(Stdio::null());
        if !self.variables.contains_key("GITHUB_STEP_SUMMARY") {
            command.env_remove("GITHUB_STEP_SUMMARY");
        }
        command
    }

    /// Runs `xtask nightly ARGS…`.
    pub(super) fn call(&self, args: &[&str]) -> Finished {
        self.xtask(&[&["nightly"], args].concat())
    }

    pub(super) fn xtask(&self, words: &[&str]) -> Finished {
        self.command(words).output().unwrap().into()
    }

    /// Runs a nightly that must succeed. Returns its record.
    #[track_caller]
    pub(super) fn publish(&self, args: &[&str]) -> serde_json::Value {
        let finished = self.call(&[args, &["--format", "json"]].concat());
        assert_eq!(finished.code(), 0, "{}", finished.transcript());
        serde_json::from_str(&finished.stdout).unwrap()
    }

    /// Starts a nightly in the background.
    pub(super) fn start(&self) -> std::process::Child {
        let log = File::create(self.path().join("build/log")).unwrap();
        self.command(&["nightly"]).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// Waits until the nightly in the background has printed some text.
    pub(super) fn wait_for(&self, words: &str) -> bool {
        let log = self.path().join("build/log");
        let seen = || fs::read_to_string(&log).is_ok_and(|log| log.contains(words)).then_some(());
        crate::support::wait_for(Duration::from_secs(60), seen).is_some()
    }

    /// The digests of the nightly repository's tags, except those of referrers.
    pub(super) fn tags(&self) -> BTreeMap<String, Digest> {
        let (registry, repository) = (self.server.client(), self.server.repository("p/nightly"));
        let tags = registry.tags(&repository).unwrap();
        let named = tags.into_iter().filter(|tag| !tag.as_str().starts_with("sha256-"));
        let digest = |tag: Tag| registry.head(&repository, &Reference::Tag(tag)).unwrap().unwrap().digest;
        named.map(|tag| (tag.to_string(), digest(tag))).collect()
    }

    pub(super) fn state(&self) -> PathBuf {
        self.project.state()
    }

    /// Pushes an image with a shell and nothing else.
    fn push_base(&self) -> Digest {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].map(Path::new).into_iter().find(|path| path.is_file());
        let busybox = fs::read(busybox.expect("cannot find busybox")).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind: tar::EntryType, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content).unwrap();
        };
        for directory in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
            add(directory, tar::EntryType::Directory, b"");
        }
        add("bin/busybox", tar::EntryType::Regular, &busybox);
        let mut link = tar::Header::new_ustar();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        link.set_mode(0o777);
        tar.append_link(&mut link, "bin/sh", "busybox").unwrap();
        let layer = tar.into_inner().unwrap();
        let diff = Digest(Checksum::new(&layer));
        let layer = layout.put(media::LAYER, &layer).unwrap();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [diff]},
        });
        let config = layout.put(media::CONFIG, config.to_string().as_bytes()).unwrap();
        let manifest = Manifest::new(config, vec![layer]);
        let manifest = layout.put(media::MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap();
        let manifest = Descriptor { platform: Some(PlatformObject::from(Platform::Amd64)), ..manifest };
        let index = Index::new(vec![manifest]);
        let top = layout.put(media::INDEX, &serde_json::to_vec(&index).unwrap()).unwrap();
        drydock_oci::registry::push(&self.server.client(), &self.server.repository("base"), &layout, &top, &[])
            .unwrap();
        top.digest
    }
}

/// The progress of a step in a record: `reused`, `done`, or an empty text if it is missing.
pub(super) fn step<'a>(record: &'a serde_json::Value, name: &str) -> &'a str {
    let steps = record["steps"].as_array().unwrap();
    let one = steps.iter().find(|step| step["step"] == name);
    one.map_or("", |one| if one["reused"] == true { "reused" } else { "done" })
}
