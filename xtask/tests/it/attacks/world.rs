//! A project whose releases are signed by people with keys of all kinds, and what an attacker has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Finished, Project, git, git_with, need_tools, text, xtask_binary};

/// The tools, each with its Debian package.
pub(crate) const TOOLS: &[(&str, &str)] = &[
    ("gpg", "gpg"),
    ("gpg-agent", "gpg-agent"),
    ("gpgconf", "gpgconf"),
    ("ssh-keygen", "openssh-client"),
    ("tar", "tar"),
    ("python3", "python3"),
];

/// Functions for the shell scripts. `gpgsign WHO` and `sshsign WHO [NAMESPACE]` print a signature of `SHA256SUMS`.
const PRELUDE: &str = r#"
set -eu
G() { gpg --homedir "$KEYRING" --batch --yes --quiet --no-tty --passphrase '' --pinentry-mode loopback "$@"; }
fingerprint() { G --with-colons --list-keys "$1@example.org" | awk -F: '$1 == "fpr" {print $10; exit}'; }
gpgsign() { who=$1; shift; G "$@" --local-user "$who@example.org" --armor --detach-sign --output - "${FILE:-SHA256SUMS}"; }
sshsign() { ssh-keygen -Y sign -q -f "$SSH/$1" -n "${2:-file}" < "${FILE:-SHA256SUMS}"; }
sums() { sha256sum "$@" > SHA256SUMS; }
"#;

/// Makes everybody's keys; each has one file in `$KEYS`. `hugo` and `ivan` are revoked only by `revoke`.
const PEOPLE: &str = r#"
for who in alice bob erin hugo mallory; do G --quick-gen-key "$who@example.org" ed25519 cert,sign never; done
G --quick-add-key "$(fingerprint bob)" ed25519 sign never
G --quick-gen-key frank@example.org rsa1024 sign never
# The keys of these expired at the end of 2020; gina also signs after that, as a thief of the key would.
for who in gina ivan; do G --faked-system-time 20200101T000000! --quick-gen-key "$who@example.org" ed25519 sign never; done
for who in carol erin julia; do ssh-keygen -q -t ed25519 -N '' -C "$who" -f "$SSH/$who"; done
ssh-keygen -q -t ecdsa -N '' -C dave -f "$SSH/dave"
for who in alice bob erin frank gina hugo ivan; do G --armor --export "$who@example.org" > "$KEYS/$who.asc"; done
cp "$SSH/carol.pub" "$KEYS/carol.pub"
echo "dave namespaces=\"file,git\" $(cat "$SSH/dave.pub")" > "$KEYS/dave.pub"
cat "$SSH/erin.pub" >> "$KEYS/erin.asc"
cp "$SSH/julia.pub" "$KEYS/julia.pub"
echo "One file a person." > "$KEYS/README.md"
"#;

/// Lets keys expire, and revokes others, after they signed.
const REVOKE: &str = r#"
for who in gina ivan; do
    G --faked-system-time 20200201T000000! --quick-set-expire "$(fingerprint $who)" 2020-12-31
    G --armor --export "$who@example.org" > "$KEYS/$who.asc"
done
for who in hugo ivan; do
    sed 's/^:---/---/' "$KEYRING/openpgp-revocs.d/$(fingerprint $who).rev" | G --import
    G --armor --export "$who@example.org" > "$KEYS/$who.asc"
done
echo "@revoked $(cat "$SSH/julia.pub")" > "$KEYS/julia.pub"
"#;

/// The project and everything around it.
pub(crate) struct World {
    pub(crate) project: Project,
    scratch: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        // The agent ends by itself too, once its directory is gone.
        Command::new("gpgconf").args(["--homedir", &text(&self.at("keyring")), "--kill", "all"]).status().ok();
    }
}

impl World {
    /// The project `p` with a quorum, and its keys committed; none if tools are missing.
    pub(crate) fn new(quorum: u32) -> Option<World> {
        need_tools(TOOLS).then_some(())?;
        let declaration = format!(
            "name: p\nversion: {{}}\narchives: [{{format: tar.gz}}, {{format: zip}}]\nsigning: {{keys: packaging/keys, quorum: {quorum}}}\n"
        );
        let project = Project::new().file("packaging/release.yaml", &declaration).file("a.txt", "one\n");
        fs::create_dir(project.path().join("packaging/keys")).unwrap();
        git(project.path(), &["init", "-q"]);
        let world = World { project, scratch: tempfile::tempdir().unwrap() };
        for name in ["keyring", "ssh"] {
            fs::create_dir(world.at(name)).unwrap();
        }
        world.sh(&world.at("."), &format!("chmod 700 '{0}/keyring' '{0}/ssh'\n{PEOPLE}", text(&world.at("."))));
        Some(world)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.project.path().join("packaging/keys")
    }

    /// Lets keys expire and revokes others; to be committed.
    pub(crate) fn revoke(&self) {
        self.sh(&self.at("."), REVOKE);
    }

    fn variables(&self) -> BTreeMap<&'static str, String> {
        let at = |name: &str| text(&self.at(name));
        BTreeMap::from([
            ("KEYRING", at("keyring")),
            ("SSH", at("ssh")),
            ("KEYS", text(&self.keys())),
            ("OLD", at("old")),
            ("EVIL", at("evil")),
            ("OTHER", at("other")),
            ("HONEST", at("honest")),
            ("GNUPGHOME", at("keyring")),
        ])
    }

    /// Runs a script with the functions above; its output.
    #[track_caller]
    pub(crate) fn sh(&self, directory: &Path, script: &str) -> String {
        let output = Command::new("bash")
            .args(["-c", &format!("{PRELUDE}\n{script}")])
            .current_dir(directory)
            .envs(self.variables())
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Runs `xtask ARGS…` in a directory, with everybody's secret keys at hand.
    pub(crate) fn run(&self, directory: &Path, args: &[&str]) -> Finished {
        let mut command = Command::new(xtask_binary());
        command.args(args).current_dir(directory).env_remove("CI").env("GNUPGHOME", self.at("keyring"));
        // Debian's Python has Debian's packages.
        command.env("PATH", format!("/usr/bin:{}", std::env::var("PATH").unwrap_or_default()));
        command.stdin(std::process::Stdio::null()).output().unwrap().into()
    }

    /// Runs `xtask --project PROJECT release ARGS…`.
    pub(crate) fn release(&self, args: &[&str]) -> Finished {
        let project = text(self.project.path());
        self.run(self.project.path(), &[&["--project", &project, "release"], args].concat())
    }

    /// Commits everything with a file's content, and signs the tag by alice.
    pub(crate) fn commit(&self, tag: &str, content: &str) {
        let path = self.project.path();
        fs::write(path.join("a.txt"), content).unwrap();
        git(path, &["add", "-A"]);
        git(path, &["commit", "-q", "-m", tag]);
        let home = text(&self.at("keyring"));
        git_with(path, &["tag", "-s", "-u", "alice@example.org", "-m", tag, tag], &[("GNUPGHOME", &home)]);
    }

    /// Builds the release at HEAD's tag, and copies it to a directory of the scratch space.
    #[track_caller]
    pub(crate) fn build(&self, version: &str, name: &str) -> PathBuf {
        let built = self.release(&["build", "--tag", &format!("v{version}")]);
        assert_eq!(built.code(), 0, "{}", built.transcript());
        let to = self.at(name);
        copy(&self.project.state().join("dist").join(version), &to);
        to
    }
}

/// Copies the files of a directory; what was there before is removed.
pub(crate) fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}
