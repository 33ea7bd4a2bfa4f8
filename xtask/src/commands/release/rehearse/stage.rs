//! The project of a rehearsal: a clone with declarations and keys of its own, in a new commit with a signed tag. The project itself is
//! only read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use drydock_base::exec::{self, Contained};
use drydock_base::failure::Failure;
use drydock_base::hint;

/// A person who signs, with a throw-away key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The name.
    pub(super) name: String,
    /// What `release sign --key` gets: a fingerprint, or the file of an SSH key.
    pub(super) key: String,
    /// The public key, and the name of its file.
    public: (String, String),
}

/// The directories of a rehearsal.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// The clone.
    pub(super) project: PathBuf,
    /// The directory of keys, which is removed at the end.
    pub(super) secret: PathBuf,
    /// Variables for commands, beside those of the stand-ins.
    pub(super) variables: BTreeMap<String, String>,
}

impl Stage {
    /// Empty directories. `results` must not exist, or be that of an earlier rehearsal.
    ///
    /// # Errors
    /// They cannot be made.
    pub(super) fn new(results: &Path, secret: &Path) -> anyhow::Result<Stage> {
        for name in ["home", "gnupg"] {
            let path = secret.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        }
        for name in ["logs", "published"] {
            let path = results.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let path = |name: &str| secret.join(name).display().to_string();
        let mut variables = drydock_base::variations::cargo_directories();
        variables.extend([
            ("HOME".to_owned(), path("home")),
            ("GNUPGHOME".to_owned(), path("gnupg")),
            ("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".to_owned()),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
            ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
        ]);
        for role in ["AUTHOR", "COMMITTER"] {
            variables.insert(format!("GIT_{role}_NAME"), "A rehearsal".to_owned());
            variables.insert(format!("GIT_{role}_EMAIL"), "rehearsal@example.invalid".to_owned());
        }
        Ok(Stage { project: results.join("project"), secret: secret.to_owned(), variables })
    }

    /// The environment of commands: nothing of the user's but the search path and cargo's directories.
    pub(super) fn environment(&self, more: &BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
        let mut set = self.variables.clone();
        set.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        let mut environment = exec::environment(&[], &set);
        environment.remove(std::ffi::OsStr::new("XDG_RUNTIME_DIR"));
        environment
    }

    /// Runs a program, which must succeed; its output, trimmed.
    fn run(&self, directory: &Path, argv: &[&str]) -> anyhow::Result<String> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let printed = Contained::new(&argv, directory, self.environment(&BTreeMap::new())).read()?;
        Ok(String::from_utf8_lossy(&printed).trim().to_owned())
    }

    /// Makes throw-away keys for this many people: the captain's is one of OpenPGP, and each second one is one of SSH.
    ///
    /// # Errors
    /// gpg or ssh-keygen cannot make them.
    pub(super) fn people(&self, count: u32) -> anyhow::Result<Vec<Person>> {
        let mut people = Vec::new();
        for number in 1..=count.max(1) {
            let name = if number == 1 { "captain".to_owned() } else { format!("reviewer-{number}") };
            people.push(if number % 2 == 1 { self.openpgp(name)? } else { self.ssh(name)? });
        }
        Ok(people)
    }

    fn openpgp(&self, name: String) -> anyhow::Result<Person> {
        let user = format!("{name} <{name}@example.invalid>");
        let gpg = |args: &[&str]| self.run(&self.secret, &[&["gpg", "--batch", "--quiet", "--no-tty"], args].concat());
        gpg(&[
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            "--quick-generate-key",
            &user,
            "ed25519",
            "sign",
            "1d",
        ])?;
        let listed = gpg(&["--with-colons", "--list-keys", &user])?;
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:")).context("gpg made no key")?;
        let key = line.trim_matches(':').to_owned();
        let public = gpg(&["--armor", "--export", &key])?;
        Ok(Person { public: (format!("{name}.asc"), public), name, key })
    }

    fn ssh(&self, name: String) -> anyhow::Result<Person> {
        let key = self.secret.join(&name).display().to_string();
        self.run(&self.secret, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", &name, "-f", &key])?;
        let public = fs::read_to_string(format!("{key}.pub")).context("cannot read a key of the rehearsal")?;
        Ok(Person { public: (format!("{name}.pub"), public), name, key })
    }

    /// Clones a commit of the project with its submodules.
    ///
    /// # Errors
    /// git cannot do it, such as for a submodule that is not checked out.
    pub(super) fn clone(&self, from: &Path, commit: &str) -> anyhow::Result<()> {
        let (source, to) = (from.display().to_string(), self.project.display().to_string());
        let plain = ["git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.file.allow=always"];
        self.run(from, &[&plain[..], &["clone", "--quiet", "--no-checkout", &source, &to]].concat())?;
        self.run(&self.project, &[&plain[..], &["checkout", "--quiet", "--detach", commit]].concat())?;
        self.submodules(from, &self.project, &plain)
    }

    /// Fetches the submodules of a checkout from those of another one.
    fn submodules(&self, from: &Path, to: &Path, git: &[&str]) -> anyhow::Result<()> {
        if !to.join(".gitmodules").is_file() {
            return Ok(());
        }
        let listed =
            self.run(to, &["git", "config", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$"])?;
        for line in listed.lines() {
            let Some((key, path)) = line.split_once(' ') else { continue };
            let there = from.join(path);
            if !there.join(".git").exists() {
                let update = hint::git(from, &["submodule", "update", "--init"]);
                let text = format!("the submodule {path} is not checked out; run `{update}`");
                return Err(Failure::missing(text));
            }
            let url = format!("{}.url", key.trim_end_matches(".path"));
            let source = there.display().to_string();
            self.run(to, &["git", "config", &url, &source])?;
            self.run(to, &[git, &["submodule", "--quiet", "update", "--init", "--", path]].concat())?;
            // What was published of it is what the project's own checkout knows of its remotes, and not that checkout's branches.
            let known = ["fetch", "--quiet", &source, "+refs/remotes/*:refs/remotes/*", "+refs/tags/*:refs/tags/*"];
            self.run(&to.join(path), &[git, &known].concat())?;
            self.submodules(&there, &to.join(path), git)?;
        }
        Ok(())
    }

    /// Writes declarations and keys, commits them, and signs a tag there; the commit and the tag object.
    ///
    /// # Errors
    /// git cannot do it.
    pub(super) fn commit(
        &self,
        files: &[(&str, &str)],
        keys: &str,
        people: &[Person],
        tag: &str,
    ) -> anyhow::Result<(String, String)> {
        let directory = self.project.join(keys);
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| format!("cannot replace {keys}"))?;
        }
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {keys}"))?;
        for Person { public: (name, content), .. } in people {
            fs::write(directory.join(name), content).with_context(|| format!("cannot write to {keys}"))?;
        }
        for (name, content) in files {
            fs::write(self.project.join(name), content).with_context(|| format!("cannot write {name}"))?;
        }
        let git = |args: &[&str]| {
            let plain = ["git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false"];
            self.run(&self.project, &[&plain[..], args].concat())
        };
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        git(&[&["add", "--force", "--", keys], names.as_slice()].concat())?;
        git(&["commit", "--quiet", "--message", "Declare a rehearsal"])?;
        let captain = people.first().context("somebody signs")?;
        let known = git(&["tag", "--list", tag])?;
        if !known.is_empty() {
            git(&["tag", "--delete", tag])?;
        }
        git(&["tag", "--sign", "--local-user", &captain.key, "--message", tag, tag])?;
        Ok((git(&["rev-parse", "HEAD"])?, git(&["rev-parse", &format!("refs/tags/{tag}")])?))
    }

    /// Ends gpg's agent.
    pub(super) fn end(&self) {
        // It ends by itself when its directory is gone.
        self.run(&self.secret, &["gpgconf", "--kill", "all"]).ok();
    }
}
