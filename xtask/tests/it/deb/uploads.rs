//! Uploads to a real SFTP server (OpenSSH) and a real FTP server (pyftpdlib) on this machine, whose incoming directory feeds
//! reprepro: accepted, refused, cut in the middle, onto a full disk. Each continues where it stopped.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::end_to_end::Archive;
use super::fixture::{has_tools, key, run};
use crate::release::fixture::{commit, project};
use crate::support::{Finished, Project, need, text};

pub(crate) const CONTROL: &str = "Source: words\nSection: misc\nPriority: optional\nMaintainer: A Name <name@example.org>\n\
    Build-Depends: debhelper-compat (= 13)\nStandards-Version: 4.6.2\n\nPackage: words\nArchitecture: all\nDescription: some words\n";

/// A server, ended with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn new(child: Child, port: u16) -> Server {
        Server { child, port }
    }

    /// Waits until something listens on its port, for at most five seconds.
    pub(crate) fn wait_until_it_listens(&self) {
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// OpenSSH's server and what a user has of it. Failures are switched on by files: `cut` has the number of bytes after which
/// a session breaks off, and with `deny` nothing may be written.
pub(crate) struct Sftp {
    directory: PathBuf,
    pub(crate) server: Server,
}

impl Sftp {
    pub(crate) fn start(directory: &Path) -> Sftp {
        fs::create_dir_all(directory.join("home")).unwrap();
        for name in ["host", "other-host", "user"] {
            run(directory, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name], &[]);
        }
        fs::copy(directory.join("user.pub"), directory.join("authorized")).unwrap();
        let at = text(directory);
        let subsystem = format!(
            "#!/bin/sh\ncd {at}/home\nserver=/usr/lib/openssh/sftp-server\n[ -e {at}/deny ] && exec $server -R\n\
             if [ -e {at}/cut ]; then dd bs=1 count=$(cat {at}/cut) status=none | $server; else exec $server; fi\n"
        );
        fs::write(directory.join("subsystem"), subsystem).unwrap();
        fs::set_permissions(directory.join("subsystem"), fs::Permissions::from_mode(0o755)).unwrap();
        if rustix::process::geteuid().is_root() {
            // The server's unprivileged part has its root there; the package's service creates it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp {at}/subsystem\n"
        );
        fs::write(directory.join("sshd_config"), config).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(directory.join("sshd_config")).stdin(Stdio::null());
        let log = fs::File::create(directory.join("log")).unwrap();
        let child = command.stderr(log).spawn().unwrap();
        let sftp = Sftp { directory: directory.to_owned(), server: Server { child, port } };
        sftp.server.wait_until_it_listens();
        let config = format!(
            "Host *\nIdentityFile {at}/user-key\nIdentitiesOnly yes\nIdentityAgent none\nGlobalKnownHostsFile /dev/null\n\
             UserKnownHostsFile {at}/known\n"
        );
        fs::write(directory.join("ssh_config"), config).unwrap();
        sftp
    }

    /// Gives the user a key that is let in, and the key of the host.
    pub(crate) fn let_in(&self) {
        fs::copy(self.directory.join("user"), self.directory.join("user-key")).unwrap();
        self.know("host");
    }

    /// Makes the user know a key as that of the host.
    pub(crate) fn know(&self, key: &str) {
        let public = fs::read_to_string(self.directory.join(format!("{key}.pub"))).unwrap();
        fs::write(self.directory.join("known"), format!("[127.0.0.1]:{} {public}", self.server.port)).unwrap();
    }
}

fn ftp(directory: &Path) -> Server {
    fs::create_dir(directory).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/deb/receiver.py");
    // Debian's Python has Debian's packages.
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).arg("/").arg(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Server { child, port: line.trim().parse().unwrap() }
}

/// Uploads of one project by one method.
struct Uploads<'a> {
    project: &'a Project,
    config: PathBuf,
    ssh_config: String,
    home: String,
    fingerprint: &'a str,
}

impl Uploads<'_> {
    fn call(&self, series: &[&str]) -> Finished {
        let config = text(&self.config);
        let fixed = ["--config", &config, "deb", "upload", "--key", self.fingerprint, "--wait", "1"];
        let series = series.iter().flat_map(|name| ["--series", name]);
        let args: Vec<&str> = fixed.into_iter().chain(["--without-proof", "made by a test"]).chain(series).collect();
        let call = self.project.xtask(&args).env("GNUPGHOME", &self.home);
        call.env("DRYDOCK_SSH_CONFIG", &self.ssh_config).limit(Duration::from_secs(120)).run()
    }

    /// A call that fails for a reason that is shown.
    #[track_caller]
    fn fails(&self, series: &str, code: i32, words: &[&str]) {
        let finished = self.call(&[series]);
        let all = words.iter().all(|word| finished.stderr.contains(word));
        assert!(finished.code() == code && all, "{words:?}: {}", finished.transcript());
    }

    /// A call whose upload is accepted, with or without the orig tarball.
    #[track_caller]
    fn succeeds(&self, series: &str, how: &str) {
        let finished = self.call(&[series]);
        assert!(finished.code() == 0 && finished.stdout.starts_with("accepted   "), "{}", finished.transcript());
        assert!(finished.stderr.contains(&format!("{how} the orig tarballs")), "{}", finished.transcript());
    }
}

/// The names in the incoming directory that end so.
fn arrived(incoming: &Path, end: &str) -> Vec<String> {
    let names = fs::read_dir(incoming).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(end)).collect()
}

#[test]
fn uploads_survive_every_failure_and_the_orig_is_sent_once() {
    let tools = [("reprepro", "reprepro"), ("sftp", "openssh-client"), ("curl", "curl"), ("dh_clean", "debhelper")];
    let is_there = |path: &str| Path::new(path).exists();
    if !has_tools(&tools)
        || !need(is_there("/usr/sbin/sshd"), "sshd is missing: apt-get install openssh-server")
        || !need(is_there("/usr/lib/python3/dist-packages/pyftpdlib"), "apt-get install python3-pyftpdlib")
    {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (home, fingerprint) = key(directory.path());
    let mut archive = Archive::new(&at("archive"), &home, &fingerprint);
    let distributions = at("archive/conf/distributions");
    let first = fs::read_to_string(&distributions).unwrap();
    fs::write(&distributions, format!("{first}\n{}", first.replace("bookworm", "trixie"))).unwrap();
    let allowed = fs::read_to_string(at("archive/conf/incoming")).unwrap().replace("bookworm", "bookworm trixie");
    fs::write(at("archive/conf/incoming"), allowed).unwrap();
    let incoming = at("archive/incoming");
    // An earlier upload of the same version was rejected.
    let old = "words_1.0-1~debian12.1_source.changes rejected: an old answer\n";
    fs::write(at("archive/queue.log"), old).unwrap();

    let sftp = Sftp::start(&at("ssh"));
    let ftp_switches = at("ftp");
    let ftp = ftp(&ftp_switches);
    let declaration = |upload: &str, number: u32| {
        format!(
            "name: words\nversion: {{changelog: CHANGELOG.md}}\narchives: [{{format: tar.gz}}]\ndeb:\n  maintainer: A Name <name@example.org>\n  \
             orig: tar.gz\n  revision: \"1\"\n  upload-number: {number}\n  series:\n    bookworm: {{number: \"12\", distribution: debian}}\n    \
             trixie: {{number: \"13\", distribution: debian}}\n  upload: {{target: queue, incoming: \"{}\", log: \"{}\", {upload}}}\n",
            text(&incoming),
            text(&at("archive/queue.log")),
        )
    };
    let noise: String = (0..4000_u32).map(|number| format!("{:x}\n", number.wrapping_mul(2_654_435_761))).collect();
    let project = project(&declaration("method: local", 1))
        .file("words.txt", &noise)
        .file("CHANGELOG.md", "## [1.0] - 2026-06-01\n\n- One.\n")
        .file("packaging/debian/control", CONTROL)
        .file("packaging/debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n")
        .file("packaging/debian/copyright", "None.\n");
    commit(&project);
    let uploads = |method: &str, number: u32| {
        let config = at(&format!("config-{number}"));
        fs::create_dir_all(config.join("packaging")).unwrap();
        run(project.path(), &["cp", "-r", "packaging/debian", &text(&config.join("packaging"))], &[]);
        fs::write(config.join("packaging/release.yaml"), declaration(method, number)).unwrap();
        let ssh_config = text(&at("ssh/ssh_config"));
        Uploads { project: &project, config, ssh_config, home: text(&home), fingerprint: &fingerprint }
    };
    let user = run(directory.path(), &["id", "-un"], &[]);
    let host = |port: u16, more: &str| format!("host: \"127.0.0.1:{port}\"{more}");
    let by_sftp = format!("method: sftp, {}", host(sftp.server.port, &format!(", login: {}", user.trim())));

    // All that is missing is named at once, before anything is built or sent.
    let one = uploads(&by_sftp, 1);
    let connect = format!("connect once with `sftp -P {} {}@127.0.0.1`", sftp.server.port, user.trim());
    one.fails(
        "bookworm",
        4,
        &["\n  no SSH key was found; load one into ssh-agent", "\n  the host key of 127.0.0.1:", &connect],
    );
    assert!(!project.state().join("dist/1.0").exists() && arrived(&incoming, "").is_empty());
    sftp.let_in();
    sftp.know("other-host");
    one.fails(
        "bookworm",
        8,
        &["Host key verification failed", "cannot upload words_1.0-1~debian12.1_source.changes to 127.0.0.1:"],
    );
    assert!(arrived(&incoming, "").is_empty());
    sftp.know("host");
    let stranger = uploads(&by_sftp.replace(user.trim(), "no-such-user"), 9);
    stranger.fails("bookworm", 8, &["no-such-user@127.0.0.1: Permission denied (publickey)"]);
    fs::write(at("ssh/deny"), "").unwrap();
    one.fails("bookworm", 8, &["Permission denied", "run the same command to continue"]);
    fs::remove_file(at("ssh/deny")).unwrap();
    fs::write(at("ssh/cut"), "9000").unwrap();
    one.fails("bookworm", 8, &["cannot upload words_1.0-1~debian12.1_source.changes"]);
    assert_eq!(arrived(&incoming, "_source.changes"), Vec::<String>::new(), "it is sent last");
    let orig = |directory: &Path| fs::metadata(directory.join("words_1.0.orig.tar.gz")).unwrap().len();
    let whole = orig(&project.state().join("dist/1.0/deb"));
    assert!(orig(&incoming) < whole, "the session ended in the middle of the orig");
    fs::remove_file(at("ssh/cut")).unwrap();

    // The same command goes on. The old rejection is not the answer to this upload.
    archive.open();
    one.succeeds("bookworm", "with");
    // The disk is full in the middle of the second series.
    let full = incoming.join("words_1.0-1~debian13.1.dsc");
    symlink("/dev/full", &full).unwrap();
    one.fails("trixie", 8, &["cannot upload words_1.0-1~debian13.1_source.changes"]);
    fs::remove_file(&full).unwrap();
    assert!(arrived(&incoming, ".orig.tar.gz").is_empty(), "the orig was sent again");
    one.succeeds("trixie", "without");

    let two = uploads(&format!("method: ftp, {}", host(ftp.port, "")), 2);
    fs::write(ftp_switches.join("cut"), "4000").unwrap();
    two.fails("bookworm", 8, &["cannot upload words_1.0-1~debian12.2_source.changes"]);
    assert!(arrived(&incoming, "_source.changes").is_empty());
    fs::remove_file(ftp_switches.join("cut")).unwrap();
    two.succeeds("bookworm", "with");
    // dput-ng takes a refused file for uploaded.
    fs::write(ftp_switches.join("deny"), "debian13.2_source.changes").unwrap();
    two.fails("trixie", 8, &["550"]);
    fs::remove_file(ftp_switches.join("deny")).unwrap();
    let full = incoming.join("words_1.0-1~debian13.2.debian.tar.xz");
    fs::remove_file(&full).unwrap();
    symlink("/dev/full", &full).unwrap();
    two.fails("trixie", 8, &["cannot upload words_1.0-1~debian13.2_source.changes"]);
    fs::remove_file(&full).unwrap();
    two.succeeds("trixie", "without");
    assert!(arrived(&incoming, ".orig.tar.gz").is_empty(), "the orig was sent again");
    archive.close();

    for (series, number) in [("bookworm", 12), ("trixie", 13)] {
        let listed = archive.reprepro(&["list", series]).1;
        assert!(listed.contains(&format!("words 1.0-1~debian{number}.2")), "{listed}");
    }
    let again = two.call(&[]);
    assert!(again.code() == 0 && again.stdout.matches("(earlier)").count() == 2, "{}", again.transcript());
}
