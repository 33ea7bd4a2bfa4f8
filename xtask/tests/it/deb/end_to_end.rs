//! lanternd from git to apt: proved offline in two series, uploaded by SFTP to a real archive, which rejects what it should,
//! installed from there in a fresh root, and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fixture::{Deb, Proofs, VERSION, files, has_tools, kept_directory, key, lanternd, run};
use super::uploads::Sftp;
use super::{removed, writers};
use crate::support::{need, text};

/// An archive of reprepro, whose queue is processed by a thread instead of a cron job.
pub(crate) struct Archive {
    root: PathBuf,
    home: String,
    stop: Arc<AtomicBool>,
    queue: Option<std::thread::JoinHandle<()>>,
}

impl Archive {
    pub(crate) fn new(root: &Path, home: &Path, fingerprint: &str) -> Archive {
        for name in ["conf", "incoming", "tmp"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let distribution = format!(
            "Codename: bookworm\nArchitectures: source amd64\nComponents: main\nUploaders: uploaders\nSignWith: {fingerprint}\n"
        );
        let conf = |name: &str, content: &str| fs::write(root.join("conf").join(name), content).unwrap();
        conf("distributions", &distribution);
        conf("uploaders", &format!("allow * by key {}\n", &fingerprint[fingerprint.len() - 16..]));
        conf(
            "incoming",
            "Name: queue\nIncomingDir: incoming\nTempDir: tmp\nAllow: bookworm\nCleanup: on_deny on_error\n",
        );
        Archive { root: root.to_owned(), home: text(home), stop: Arc::default(), queue: None }
    }

    pub(crate) fn reprepro(&self, args: &[&str]) -> (bool, String) {
        reprepro(&self.root, &self.home, args)
    }

    /// Starts processing uploads, with a line in the log for each.
    pub(crate) fn open(&mut self) {
        let (root, home, stop) = (self.root.clone(), self.home.clone(), Arc::clone(&self.stop));
        self.queue = Some(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
                for entry in fs::read_dir(root.join("incoming")).unwrap().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    if !name.ends_with(".changes") {
                        continue;
                    }
                    let (accepted, output) = reprepro(&root, &home, &["processincoming", "queue", &name]);
                    let verdict =
                        if accepted { "accepted".into() } else { format!("rejected: {}", output.replace('\n', " ")) };
                    let log = root.join("queue.log");
                    let old = fs::read_to_string(&log).unwrap_or_default();
                    fs::write(log, format!("{old}{name} {verdict}\n")).unwrap();
                }
            }
        }));
    }

    pub(crate) fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(queue) = self.queue.take() {
            queue.join().unwrap();
        }
    }
}

fn reprepro(root: &Path, home: &str, args: &[&str]) -> (bool, String) {
    let mut command = Command::new("reprepro");
    let output = command.arg("-b").arg(root).args(args).env("GNUPGHOME", home).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

/// A copy of lanternd's declaration that uploads by SFTP to this machine.
fn config(directory: &Path, archive: &Path, port: u16, upload_number: u32) -> PathBuf {
    let packaging = directory.join("packaging");
    fs::create_dir_all(&packaging).unwrap();
    run(lanternd(), &["cp", "-r", "packaging/debian", &text(&packaging)], &[]);
    let yaml = fs::read_to_string(lanternd().join("packaging/release.yaml")).unwrap();
    let ppa = "upload: {target: ppa, owner: example, archive: lantern}";
    assert!(yaml.contains(ppa), "{yaml}");
    let (incoming, log) = (text(&archive.join("incoming")), text(&archive.join("queue.log")));
    let queue = format!(
        "upload: {{target: queue, method: sftp, host: \"127.0.0.1:{port}\", login: {}, incoming: \"{incoming}\", log: \"{log}\"}}\n  \
         upload-number: {upload_number}",
        run(directory, &["id", "-un"], &[]).trim(),
    );
    fs::write(packaging.join("release.yaml"), yaml.replace(ppa, &queue)).unwrap();
    directory.to_owned()
}

#[test]
fn lanternd_is_proved_uploaded_and_installed() {
    let tools = [
        ("sbuild", "sbuild"),
        ("mmdebstrap", "mmdebstrap"),
        ("newuidmap", "uidmap"),
        ("autopkgtest", "autopkgtest"),
        ("reprepro", "reprepro"),
        ("sftp", "openssh-client"),
    ];
    let has_server = Path::new("/usr/sbin/sshd").exists();
    if !has_tools(&tools) || !need(has_server, "sshd is missing: apt-get install openssh-server") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (home, fingerprint) = key(directory.path());
    let sftp = Sftp::start(&at("ssh"));
    sftp.let_in();
    let (port, ssh_config) = (sftp.server.port, text(&at("ssh/ssh_config")));
    let mut archive = Archive::new(&at("archive"), &home, &fingerprint);
    let first = config(&at("first"), &archive.root, port, 1);
    let deb = Deb::new(lanternd(), &at("state"))
        .config(&first)
        .env("GNUPGHOME", text(&home))
        .env("DRYDOCK_SSH_CONFIG", &ssh_config);
    deb.ok(&["source"]);

    // Built twice offline in both series, without differences, installed and tested.
    let chroots = kept_directory("deb-chroots");
    let args = ["prove", "--format", "json", "--series", "bookworm", "--series", "trixie", "--chroots"];
    let shared = Proofs::open();
    let proved = deb.ok(&[&args[..], &[chroots.to_str().unwrap()]].concat());
    shared.keep(&deb.file("debian12.1", ".dsc"), &deb.directory().join("proof/bookworm"));
    drop(shared);
    let proofs: Vec<serde_json::Value> = serde_json::from_str(&proved.stdout).unwrap();
    for (proof, series) in proofs.iter().zip(["bookworm", "trixie"]) {
        assert_eq!(proof["proved-on"], series);
        assert_eq!(proof["differences"].as_array().unwrap().len(), 0, "{proof:#}");
        assert_eq!(proof["packages"].as_object().unwrap().len(), 2, "{proof:#}");
        assert_eq!(proof["tests"][0], "installed PASS", "{proof:#}");
        for name in ["directory", "umask", "time zone", "home and user name", "locale", "number of jobs"] {
            let seen = proof["variations"].as_array().unwrap().iter().find(|one| one["name"] == name);
            assert!(seen.is_some_and(|one| one["value"].is_string()), "{name} was not varied: {proof:#}");
        }
    }

    // The programs of Debian 13 remove nothing of crates, and with sbuild they write uploads that pass, too.
    removed::in_chroot(&writers::chroot_of_trixie(&chroots));
    writers::sbuild(&at("sbuild"), &deb.file("debian13.1", ".dsc"), &chroots);

    // The archive rejects unsigned uploads.
    let changes = deb.file("debian12.1", "_source.changes");
    let is_of_it = |name: &String| name.contains("~debian12.1") || name.contains(".orig");
    for (name, bytes) in files(&deb.directory()).into_iter().filter(|(name, _)| is_of_it(name)) {
        fs::write(archive.root.join("incoming").join(name), bytes).unwrap();
    }
    let (accepted, output) = archive.reprepro(&["processincoming", "queue"]);
    let listed = |archive: &Archive| archive.reprepro(&["list", "bookworm"]).1;
    assert!(!accepted && listed(&archive).is_empty(), "an unsigned upload was accepted: {output}");

    // It accepts ours, once.
    archive.open();
    let arguments = ["upload", "--series", "bookworm", "--key", &fingerprint, "--wait", "2"];
    // The packages are proved, and the sources are not.
    let unproved = deb.call(&arguments);
    assert!(unproved.code() == 7 && unproved.stderr.contains("not published: "), "{}", unproved.transcript());
    assert!(listed(&archive).is_empty());
    let upload = |deb: &Deb| deb.call(&[&arguments[..], &["--without-proof", "made by a test"]].concat());
    let uploaded = upload(&deb);
    assert!(uploaded.code() == 0 && uploaded.stdout.starts_with("accepted   "), "{}", uploaded.transcript());
    let published = fs::read_to_string(&changes).unwrap();
    assert!(published.contains("\nDrydock-Without-Proof: made by a test\n"), "{published}");
    let log = fs::read_to_string(at("state/uploads.jsonl")).unwrap();
    assert!(log.lines().all(|line| line.contains("\"without_proof\":\"made by a test\"")), "{log}");
    let again = upload(&deb);
    assert!(again.code() == 0 && again.stdout.contains("(earlier)"), "{}", again.transcript());
    let status = deb.ok(&["status", "--series", "bookworm"]);
    assert!(status.stdout.contains("built, proved on bookworm, accepted"), "{}", status.stdout);
    assert!(listed(&archive).contains(&format!("{VERSION}~debian12.1")), "{}", listed(&archive));

    // The next upload of the same release omits the orig tarball, which the archive has.
    let second = config(&at("second"), &archive.root, port, 2);
    let next = Deb::new(lanternd(), &at("state"))
        .config(&second)
        .env("GNUPGHOME", text(&home))
        .env("DRYDOCK_SSH_CONFIG", &ssh_config);
    let uploaded = upload(&next);
    assert!(uploaded.code() == 0 && uploaded.stderr.contains("without the orig"), "{}", uploaded.transcript());

    // The same release from other sources: the log shows it before the upload, and the archive rejects it as well.
    let project = at("retagged");
    run(directory.path(), &["cp", "-a", &text(lanternd()), &text(&project)], &[]);
    fs::write(project.join("README.md"), "other\n").unwrap();
    let git = ["git", "-c", "user.name=n", "-c", "user.email=m"];
    run(&project, &[&git[..], &["commit", "-q", "-a", "-m", "other"]].concat(), &[]);
    run(&project, &[&git[..], &["tag", "-f", "-a", "-m", "x", "v0.3.0"]].concat(), &[]);
    let third = config(&at("third"), &archive.root, port, 3);
    let changed = |state: &str| {
        Deb::new(&project, &at(state))
            .config(&third)
            .env("GNUPGHOME", text(&home))
            .env("DRYDOCK_SSH_CONFIG", &ssh_config)
    };
    let known = upload(&changed("state"));
    assert!(known.code() == 7 && known.stderr.contains("with other content"), "{}", known.transcript());
    let refused = upload(&changed("without-log"));
    assert!(refused.code() == 8 && refused.stdout.starts_with("REJECTED "), "{}", refused.transcript());
    assert!(!listed(&archive).contains("debian12.3"), "{}", listed(&archive));
    archive.close();

    let package = deb.directory().join(format!("proof/bookworm/lanternd_{VERSION}~debian12.1_amd64.deb"));
    let (accepted, output) = archive.reprepro(&["includedeb", "bookworm", &text(&package)]);
    assert!(accepted, "{output}");
    let key = text(&archive.root.join("key.gpg"));
    run(directory.path(), &["gpg", "--batch", "--export", "-o", &key], &[("GNUPGHOME", &text(&home))]);
    install(&archive.root, &chroots);
}

/// Runs `apt-get install lanternd` with the archive in a fresh chroot.
fn install(archive: &Path, chroots: &Path) {
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("bookworm-minimal-");
    let chroot = fs::read_dir(chroots).unwrap().map(|entry| entry.unwrap().path()).find(named).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
        mkdir fresh
        tar -xf "$1" -C fresh --exclude='./dev/*'
        mount --rbind /dev fresh/dev
        mkdir fresh/srv/archive
        cp -r "$2/dists" "$2/pool" "$2/key.gpg" fresh/srv/archive
        echo 'deb [signed-by=/srv/archive/key.gpg] file:/srv/archive bookworm main' >fresh/etc/apt/sources.list
        chroot fresh sh -ec '
            export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
            apt-get -qq -o APT::Sandbox::User=root update
            apt-get -qq -o APT::Sandbox::User=root install --yes lanternd >/dev/null
            dpkg-query -W lanternd
            lanternd --version
            lanternd --check-plugins
        '
    "#;
    let mut words = vec!["unshare", "--mount", "--pid", "--fork"];
    if !rustix::process::geteuid().is_root() {
        words.extend(["--map-auto", "--map-root-user"]);
    }
    let (chroot, archive) = (text(&chroot), text(archive));
    words.extend(["sh", "-ec", script, "sh", &chroot, &archive]);
    let printed = run(directory.path(), &words, &[]);
    assert!(printed.contains(&format!("lanternd\t{VERSION}~debian12.1\n")), "{printed}");
    assert!(printed.contains("lanternd 0.3.0\n"), "{printed}");
}
