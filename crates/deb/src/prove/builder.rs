//! Who builds: an unprivileged user with a range of subordinate user ids, as sbuild's namespaces want it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::paths;

/// How many ids a chroot needs.
const RANGE: u64 = 65_536;

/// The user who builds.
#[derive(Debug, Clone)]
pub struct Builder {
    /// The user, when this process is root and becomes somebody else for building.
    other: Option<User>,
    /// The parent of the directories that are built in.
    parent: PathBuf,
}

#[derive(Debug, Clone)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Whether all went well.
    pub success: bool,
    /// What it printed.
    pub output: String,
}

impl Builder {
    /// The user of this process, or, for root, the named one, who is made when there is none. `watch` hears each command.
    ///
    /// # Errors
    /// The user cannot be made, or lacks subordinate ids: with the command that gives them.
    pub fn find(name: &str, watch: &mut dyn FnMut(&str)) -> anyhow::Result<Builder> {
        if !rustix::process::geteuid().is_root() {
            let own = exec::read(&["id".into(), "-un".into()], Path::new("/"))?;
            if !has_range(&own) {
                return Err(Failure::missing(format!(
                    "{own} has no subordinate user ids for a chroot; run `sudo usermod --add-subuids \
                         100000-165535 --add-subgids 100000-165535 {own}`"
                )));
            }
            return Ok(Builder { other: None, parent: std::env::temp_dir() });
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name == "root" || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            return Err(Failure::usage(format!("{name:?} cannot be the user who builds")));
        }
        let mut run = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            watch(&format!("$ {}", exec::paste(&argv)));
            let why = |why| Failure::missing(format!("the user {name} cannot be set up: {why}"));
            exec::read(&argv, Path::new("/")).map_err(why)
        };
        let home = format!("/var/lib/{name}");
        if user(name).is_none() {
            run(&["useradd", "--system", "--create-home", "--home-dir", &home, "--shell", "/bin/sh", name])?;
        }
        if !has_range(name) {
            let first = free_range();
            let range = format!("{first}-{}", first + RANGE - 1);
            run(&["usermod", "--add-subuids", &range, "--add-subgids", &range, name])?;
        }
        let other = user(name).with_context(|| format!("the user {name} is not there"))?;
        // Not below the home of root, which nobody else may enter.
        Ok(Builder { other: Some(other), parent: "/var/tmp".into() })
    }

    /// A new directory that the user may read and enter.
    ///
    /// # Errors
    /// There is no room.
    pub fn place(&self) -> anyhow::Result<tempfile::TempDir> {
        let place = tempfile::Builder::new().prefix("drydock-prove-").tempdir_in(&self.parent);
        let place = place.with_context(|| format!("cannot make a directory in {}", self.parent.display()))?;
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).context("cannot open the directory")?;
        Ok(place)
    }

    /// Makes a directory that the user may write to.
    ///
    /// # Errors
    /// There is no room.
    pub fn make(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        self.give(directory)
    }

    /// Makes the user the owner of a directory and all that is in it.
    ///
    /// # Errors
    /// The owner cannot be changed.
    pub fn give(&self, directory: &Path) -> anyhow::Result<()> {
        let Some(User { uid, gid, .. }) = self.other else { return Ok(()) };
        let mut open = vec![directory.to_owned()];
        while let Some(path) = open.pop() {
            chown(&path, Some(uid), Some(gid)).with_context(|| format!("cannot give {} away", path.display()))?;
            if fs::symlink_metadata(&path)?.is_dir() {
                for entry in fs::read_dir(&path)? {
                    open.push(entry?.path());
                }
            }
        }
        Ok(())
    }

    /// Runs a command as the user, in an environment of its own.
    ///
    /// # Errors
    /// There is no such command.
    pub fn run(&self, argv: &[String], directory: &Path, set: &BTreeMap<String, String>) -> anyhow::Result<Ended> {
        let mut command: Vec<String> = Vec::new();
        let mut set = set.clone();
        set.insert("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        set.insert("LANG".into(), "C.UTF-8".into());
        // A chroot is a hundred thousand small files that nobody needs any more in a minute.
        if let Some(memory) = paths::roomy_memory() {
            set.insert("TMPDIR".into(), memory.display().to_string());
        }
        if let Some(User { name, uid, gid }) = &self.other {
            command.extend(["setpriv".to_owned(), format!("--reuid={uid}"), format!("--regid={gid}")]);
            command.extend(["--init-groups".to_owned(), "--".to_owned()]);
            for variable in ["USER", "LOGNAME"] {
                set.insert(variable.into(), name.clone());
            }
            set.insert("HOME".into(), directory.display().to_string());
        }
        command.extend(argv.iter().cloned());
        let search = std::env::var_os("PATH");
        let program = exec::find(&argv[0], Path::new("/"), search.as_ref())
            .map_err(|why| Failure::missing(format!("{why}; `cargo xtask doctor deb` tells what installs it")))?;
        drop(program);
        let output = duct::cmd(&command[0], &command[1..])
            .dir(directory)
            .full_env(exec::environment(&[], &set))
            .stdin_null()
            .stderr_to_stdout()
            .stdout_capture()
            .unchecked()
            .run()
            .with_context(|| format!("cannot run {}", argv[0]))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Ended { success: output.status.success(), output: text })
    }
}

fn user(name: &str) -> Option<User> {
    let id = |option: &str| exec::read(&["id".into(), option.into(), name.into()], Path::new("/")).ok()?.parse().ok();
    Some(User { name: name.to_owned(), uid: id("-u")?, gid: id("-g")? })
}

/// The ranges in `/etc/subuid` and its like: who, the first id, how many.
fn ranges(text: &str) -> Vec<(String, u64, u64)> {
    let fields = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?))
    });
    fields.collect()
}

fn has_range(name: &str) -> bool {
    ["/etc/subuid", "/etc/subgid"].iter().all(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        ranges(&text).iter().any(|(who, _, count)| who == name && *count >= RANGE)
    })
}

/// The first id that no range has.
fn free_range() -> u64 {
    let all = ["/etc/subuid", "/etc/subgid"].map(|file| fs::read_to_string(file).unwrap_or_default()).concat();
    ranges(&all).iter().map(|(_, first, count)| first + count).max().unwrap_or(0).max(100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ids_are_read() {
        assert_eq!(ranges("a:100000:65536\nbroken\nb:1:2\n"), [("a".into(), 100_000, 65_536), ("b".into(), 1, 2)]);
    }
}
