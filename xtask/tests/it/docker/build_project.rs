//! What the tests of building images share: bases in a registry, lanternd's package, calls of `xtask docker` from here
//! and from surroundings that are different in everything.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use drydock_archive::layer::{Item, ItemKind, Layer};
use drydock_base::variations::Variations;
use drydock_config::images::{Digest, Platform, Repository};
use drydock_oci::bootstrap;
use drydock_oci::build_record::BuildRecord;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index, media};
use drydock_oci::registry::push;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use tempfile::TempDir;

use super::registry_server::Server;
use crate::deb::fixture::{Proofs, kept_directory, lanternd, lanternd_sources, run};
use crate::support::{Finished, need_tool, text, xtask_binary};

/// A Debian that is made once and kept between runs of the tests; none without mmdebstrap.
pub(crate) fn debian() -> Option<drydock_oci::base_image::BaseImage> {
    if !need_tool("mmdebstrap", "mmdebstrap") {
        return None;
    }
    let directory = kept_directory("docker-base");
    let lock = File::create(directory.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let cache = Layout::create(&directory).unwrap();
    let request = bootstrap::SuiteRequest {
        suite: "bookworm",
        snapshot: "20261101T000000Z",
        mirror: "http://deb.debian.org/debian",
        packages: &["libgcc-s1".to_owned()],
        platform: Platform::here()?,
    };
    Some(bootstrap::make(&cache, &request, &mut |line| println!("{line}")).unwrap())
}

/// Pushes that Debian; as a declaration has it.
pub(crate) fn debian_in(server: &Server) -> Option<String> {
    let base = debian()?;
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    base.link_layers(&layout).unwrap();
    layout.put(media::CONFIG, &base.layout.read(&base.manifest.config).unwrap()).unwrap();
    layout.put(media::MANIFEST, &base.layout.read(&base.descriptor).unwrap()).unwrap();
    Some(pushed(server, &server.repository("base/debian"), &layout, &base.descriptor))
}

/// Pushes a small base for two platforms: this machine's busybox, with `/bin` as a link to `/usr/bin`.
pub(crate) fn small_in(server: &Server) -> String {
    small_with(server, &[])
}

/// The same with more files, each in a directory that is made.
pub(crate) fn small_with(server: &Server, files: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let mut layer = Layer::new(directory.path()).unwrap();
    for (path, mode) in [("usr", 0o755), ("usr/bin", 0o711), ("tmp", 0o1777)] {
        layer.put(path.into(), Item { mode, ..Item::directory(0) });
    }
    let content = layer.keep(&mut File::open("/bin/busybox").unwrap()).unwrap();
    layer.put("usr/bin/busybox".into(), Item { mode: 0o755, ..Item::file(content, 0) });
    for (path, target) in [("bin", "usr/bin"), ("usr/bin/sh", "busybox"), ("usr/bin/date", "busybox")] {
        layer.put(path.into(), Item { kind: ItemKind::Link(target.into()), mode: 0o777, ..Item::directory(0) });
    }
    for (path, content) in files {
        for (at, _) in path.match_indices('/') {
            layer.put(path[..at].to_owned(), Item::directory(0));
        }
        let content = layer.keep(&mut content.as_bytes()).unwrap();
        layer.put((*path).to_owned(), Item::file(content, 0));
    }
    let mut part = layout.part().unwrap();
    let written = layer.write(0, part.as_file_mut()).unwrap();
    layout.keep(part, &Digest(written.sha256)).unwrap();
    let layer = Descriptor::new(media::LAYER_GZIP, Digest(written.sha256), written.size);
    let mut manifests = Vec::new();
    for platform in [Platform::Amd64, Platform::Arm64] {
        let config = json!({
            "architecture": platform.architecture(), "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest(written.diff_id)]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tests"}],
        });
        let config = layout.put(media::CONFIG, config.to_string().as_bytes()).unwrap();
        let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [layer]});
        let manifest = layout.put(media::MANIFEST, manifest.to_string().as_bytes()).unwrap();
        manifests.push(Descriptor { platform: Some(platform.into()), ..manifest });
    }
    let index = Index::new(manifests);
    let index = layout.put(media::INDEX, &serde_json::to_vec(&index).unwrap()).unwrap();
    pushed(server, &server.repository("base/small"), &layout, &index)
}

fn pushed(server: &Server, repository: &Repository, layout: &Layout, top: &Descriptor) -> String {
    push(&server.client(), repository, layout, top, &[]).unwrap();
    format!("{{image: '{repository}', digest: '{}'}}", top.digest)
}

/// A declaration of one image named `mine`, from a base and what it is made of.
pub(crate) fn declaration(base: &str, more: &str) -> String {
    format!(
        "repositories: {{nightly: 127.0.0.1:1/n, release: 127.0.0.1:1/r}}\nimages:\n  mine:\n    base: {base}\n{}",
        more.lines().map(|line| format!("    {line}\n")).collect::<String>()
    )
}

/// lanternd's image, of its package.
pub(crate) const LANTERND: &str = "\
from: {debs: [lanternd]}
entrypoint: [lanternd]
smoke-test: {run: [lanternd, --version], expect: 'lanternd {version}'}
";

/// A project with declarations in a directory of their own, and a state of its own.
pub(crate) struct BuildProject {
    directory: TempDir,
    project: PathBuf,
}

impl BuildProject {
    /// lanternd, with an image.
    pub(crate) fn lanternd(images: &str) -> BuildProject {
        let build = BuildProject::new(lanternd(), images);
        run(lanternd(), &["cp", "-r", "packaging", &text(&build.at("config"))], &[]);
        build
    }

    /// Any project, with these declarations of images.
    pub(crate) fn new(project: &Path, images: &str) -> BuildProject {
        let build =
            BuildProject { directory: TempDir::with_prefix("drydock-docker-").unwrap(), project: project.to_owned() };
        fs::create_dir_all(build.at("config/docker")).unwrap();
        build.declare(images);
        build
    }

    pub(crate) fn declare(&self, images: &str) {
        fs::write(self.at("config/docker/images.yaml"), images).unwrap();
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Another directory with the work tree and other files in it.
    pub(crate) fn elsewhere(mut self) -> BuildProject {
        let project = self.at("a longer directory/project");
        fs::create_dir_all(project.parent().unwrap()).unwrap();
        run(self.directory.path(), &["cp", "-a", &text(&self.project), &text(&project)], &[]);
        fs::write(project.join("stray"), "stray\n").unwrap();
        run(&project, &["chmod", "-R", "go-rwx", "."], &[]);
        self.project = project;
        self
    }

    /// The project with lanternd's proved package; `None` where it cannot be built.
    pub(crate) fn proved(self) -> Option<BuildProject> {
        let from = Proofs::lanternd()?;
        let to = self.at("state/dist/0.3.0/deb/proof");
        fs::create_dir_all(&to).unwrap();
        run(self.directory.path(), &["cp", "-r", &text(&from), &text(&to.join("bookworm"))], &[]);
        self.sources();
        Some(self)
    }

    /// Puts lanternd's source package, which proofs are about, where `deb source` has it; returns its `.dsc`.
    pub(crate) fn sources(&self) -> PathBuf {
        fs::create_dir_all(self.at("state")).unwrap();
        run(lanternd_sources(), &["cp", "-r", "dist", &text(&self.at("state"))], &[]);
        self.at("state/dist/0.3.0/deb/lanternd_0.3.0-0ubuntu1~ppa1~debian12.1.dsc")
    }

    /// The package of lanternd that was proved.
    pub(crate) fn package(&self) -> PathBuf {
        self.at("state/dist/0.3.0/deb/proof/bookworm/lanternd_0.3.0-0ubuntu1~ppa1~debian12.1_amd64.deb")
    }

    pub(crate) fn argv(&self, args: &[&str]) -> Vec<String> {
        let mut argv = vec![text(&xtask_binary())];
        for (option, value) in
            [("--project", &self.project), ("--config", &self.at("config")), ("--state", &self.at("state"))]
        {
            argv.extend([option.to_owned(), text(value)]);
        }
        argv.push("docker".into());
        argv.extend(args.iter().map(|arg| (*arg).to_owned()));
        argv
    }

    /// A command as messages of [`BuildProject::call`] name it.
    pub(crate) fn hint(&self, command: &str) -> String {
        let argv = self.argv(&[]);
        format!("`{} {command}`", argv[..argv.len() - 1].join(" "))
    }

    /// `xtask docker ARGS…`
    pub(crate) fn call(&self, args: &[&str], variables: &[(&str, &str)]) -> Finished {
        let mut command = Command::new(&self.argv(args)[0]);
        // Messages name the program by its path.
        command.env_remove("CARGO");
        finished(command.args(&self.argv(args)[1..]).envs(variables.iter().copied()))
    }

    /// The same with another user, host, clock, umask, time zone and locale.
    pub(crate) fn call_varied(&self, args: &[&str]) -> Finished {
        let variations = Variations::probe();
        let home = self.at("home");
        fs::create_dir_all(&home).unwrap();
        let argv = variations.command(&self.argv(args));
        finished(Command::new(&argv[0]).args(&argv[1..]).envs(variations.variables(&home).unwrap()))
    }

    /// The same with the variations that an engine supports: another host, umask, time zone, locale and home.
    pub(crate) fn call_varied_for_engine(&self, args: &[&str], variables: &[(&str, &str)]) -> Finished {
        let script = "hostname other; umask 0077; exec \"$@\"";
        let home = text(&self.at("home"));
        let own = [("TZ", "XTW-13:45"), ("LC_ALL", "de_DE.UTF-8"), ("HOME", &home), ("USER", "other")];
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", script, "sh"]).args(self.argv(args)).envs(own);
        finished(command.envs(variables.iter().copied()))
    }

    /// The build record, if it exists.
    #[track_caller]
    pub(crate) fn built(&self, finished: &Finished, version: &str) -> BuildRecord {
        assert_eq!(finished.code(), 0, "{}", finished.transcript());
        self.record(version).unwrap()
    }

    pub(crate) fn record(&self, version: &str) -> anyhow::Result<BuildRecord> {
        let build = BuildRecord::load(&self.oci(version), "mine")?;
        build.layout.check(&build.index)?;
        Ok(build.record)
    }

    pub(crate) fn oci(&self, version: &str) -> PathBuf {
        self.at("state/dist").join(version).join("oci")
    }
}

fn finished(command: &mut Command) -> Finished {
    command.env_remove("CI").output().unwrap().into()
}
