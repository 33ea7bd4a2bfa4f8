//! A whole nightly of lanternd: sources, packages proved in a clean chroot, their image, an upload to an archive, and a push
//! to a registry; the image run by another engine; and a nightly without changes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::deb::end_to_end::Archive;
use crate::deb::fixture::{has_tools, kept_directory, key, lanternd, run};
use crate::docker::build_project::debian_in;
use crate::docker::registry_server::Server;
use crate::support::{Finished, text, xtask_binary};

/// Copies lanternd's declarations, with an archive and a registry on this machine.
pub(super) fn copy_config(directory: &Path, server: &Server, base: &str, archive: &Path) {
    run(lanternd(), &["cp", "-r", "packaging", "docker", &text(directory)], &[]);
    let change = |file: &str, changes: &[(&str, &str)]| {
        let path = directory.join(file);
        let mut yaml = fs::read_to_string(&path).unwrap();
        for (old, new) in changes {
            assert!(yaml.contains(old), "{file}: {old}");
            yaml = yaml.replace(old, new);
        }
        fs::write(path, yaml).unwrap();
    };
    let (incoming, log) = (text(&archive.join("incoming")), text(&archive.join("queue.log")));
    let queue = format!("{{target: queue, method: local, incoming: \"{incoming}\", log: \"{log}\"}}");
    let series = [
        "    jammy:    {number: \"22.04\", distribution: ubuntu}\n",
        "    noble:    {number: \"24.04\", distribution: ubuntu}\n",
        "    trixie:   {number: \"13\", distribution: debian}\n",
    ];
    let mut changes = vec![("{target: ppa, owner: example, archive: lantern-nightly}", queue.as_str())];
    // The archive of this test has one series.
    changes.extend(series.map(|line| (line, "")));
    change("packaging/release.yaml", &changes);
    let suite = "{suite: bookworm, snapshot: 20260601T000000Z}";
    change("docker/images.yaml", &[("registry.example", &server.host()), (suite, base)]);
}

#[test]
fn lanternd_is_built_proved_and_published() {
    let tools = [
        ("sbuild", "sbuild"),
        ("mmdebstrap", "mmdebstrap"),
        ("newuidmap", "uidmap"),
        ("autopkgtest", "autopkgtest"),
        ("reprepro", "reprepro"),
        ("buildah", "buildah"),
    ];
    if !has_tools(&tools) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let Some(base) = debian_in(&server) else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (home, fingerprint) = key(directory.path());
    let mut archive = Archive::new(&at("archive"), &home, &fingerprint);
    archive.open();
    fs::create_dir(at("config")).unwrap();
    copy_config(&at("config"), &server, &base, &at("archive"));
    let project = at("project");
    run(directory.path(), &["cp", "-a", &text(lanternd()), &text(&project)], &[]);
    fs::write(project.join("README.md"), "Something new.\n").unwrap();
    let date = "2026-07-01T12:00:00+00:00";
    let git = ["git", "-c", "user.name=n", "-c", "user.email=m"];
    let dated = [("GIT_AUTHOR_DATE", date), ("GIT_COMMITTER_DATE", date)];
    run(&project, &[&git[..], &["commit", "-q", "-a", "-m", "new"]].concat(), &dated);
    let commit = run(&project, &["git", "rev-parse", "HEAD"], &[]);
    let version = format!("0.4.0-0.nightly20260701.2.g{}", &commit[..7]);

    let nightly = |args: &[&str]| -> Finished {
        Command::new(xtask_binary())
            .args(["--project", &text(&project), "--config", &text(&at("config")), "--state", &text(&at("state"))])
            .args(["nightly", "--key", &fingerprint, "--wait", "2", "--chroots", &text(&kept_directory("deb-chroots"))])
            .args(args)
            .env("GNUPGHOME", &home)
            .env_remove("CI")
            .env_remove("GITHUB_STEP_SUMMARY")
            .output()
            .unwrap()
            .into()
    };
    let published = nightly(&["--format", "json"]);
    assert_eq!(published.code(), 0, "{}", published.transcript());
    let record: serde_json::Value = serde_json::from_str(&published.stdout).unwrap();
    assert_eq!((&record["result"], &record["version"]), (&"published".into(), &version.as_str().into()));
    let result = |name: &str| {
        let steps = record["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).unwrap()["summary"].as_str().unwrap().to_owned()
    };
    assert!(result("packages-proof").contains("installed PASS"), "{record:#}");
    assert!(result("images").contains(&format!("lanternd {version}")), "{record:#}");
    let package = format!("0.4.0~~git20260701.2.g{}-0ubuntu1~ppa1~debian12.1", &commit[..7]);
    let (_, listed) = archive.reprepro(&["list", "bookworm"]);
    assert!(listed.contains(&package), "{listed}");

    // Another engine pulls it, and it prints that version.
    let storage = at("storage");
    let buildah = |words: &[&str]| {
        let (root, runroot) = (text(&storage.join("root")), text(&storage.join("run")));
        let storage = ["buildah", "--storage-driver", "vfs", "--root", &root, "--runroot", &runroot];
        run(directory.path(), &[&storage[..], words].concat(), &[("BUILDAH_ISOLATION", "chroot")]).trim().to_owned()
    };
    let image = format!("docker://{}:nightly", server.repository("lantern/nightly"));
    let container = buildah(&["from", "--quiet", "--tls-verify=false", &image]);
    assert_eq!(buildah(&["run", &container, "lanternd", "--version"]), format!("lanternd {version}"));
    let plugins = buildah(&["run", &container, "sh", "-c", "lanternd --check-plugins 2>&1"]);
    assert!(plugins.contains(&format!("plugin http {version} is ready")), "{plugins}");

    let again = nightly(&[]);
    assert!(again.code() == 0 && again.stdout.starts_with(&format!("skipped {version}")), "{}", again.transcript());
    archive.close();
}
