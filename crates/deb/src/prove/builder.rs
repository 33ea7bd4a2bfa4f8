//! The user who builds: unprivileged, with a range of subordinate user ids, which sbuild needs for its namespaces.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use drydock_base::exec::{self, Contained};
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::scratch::{self, Scratch};

/// The number of user ids that a chroot needs.
const RANGE: u64 = 65_536;

/// The user who builds.
#[derive(Debug, Clone)]
pub struct Builder {
    /// The user to become; `None` if this process is not root and builds as itself.
    other: Option<User>,
    /// The parent of the build directories.
    parent: PathBuf,
    /// The directory for temporary files of what it runs, with a directory that belongs to the user. Chroots are unpacked there,
    /// which stay behind if sbuild is killed.
    temporary: Arc<Scratch>,
}

#[derive(Debug, Clone)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct CommandResult {
    /// Whether the exit code was 0.
    pub success: bool,
    /// The standard output and error output together.
    pub output: String,
}

impl Builder {
    /// Uses the user of this process or, as root, the named user, who is created if necessary. `progress` gets each command.
    ///
    /// # Errors
    /// The user cannot be created, or lacks subordinate ids; the message has the command that assigns them.
    pub fn new(name: &str, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Builder> {
        if !rustix::process::geteuid().is_root() {
            let own = exec::read(&["id".into(), "-un".into()], Path::new("/"))?;
            if !has_range(&own) {
                return Err(Failure::missing(format!(
                    "{own} has no subordinate user ids for a chroot; run `sudo usermod --add-subuids \
                         100000-165535 --add-subgids 100000-165535 {own}`"
                )));
            }
            // A chroot has about a hundred thousand small files, which are soon removed.
            let temporary = Scratch::roomy("build")?.open_to_others()?;
            let builder = Builder { other: None, parent: std::env::temp_dir(), temporary: Arc::new(temporary) };
            builder.create_directory(&builder.temporary())?;
            return Ok(builder);
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name == "root" || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            return Err(Failure::usage(format!(
                "invalid user {name:?}: use lower-case letters, digits and `-`, and not root"
            )));
        }
        let mut run = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            progress(&format!("$ {}", exec::paste(&argv)));
            let why = |why| Failure::missing(format!("cannot set up the user {name}: {why}"));
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
        let other = user(name).with_context(|| format!("the user {name} was not created"))?;
        // The user cannot enter the home directory of root, nor perhaps the one that TMPDIR names for root.
        let places = scratch::roomy_memory().into_iter().chain([Path::new("/tmp"), Path::new("/var/tmp")]);
        let temporary = places.into_iter().find(|place| others_may_write(place)).ok_or_else(|| {
            Failure::missing(format!("{name} can write to neither /tmp nor /var/tmp; run `chmod 1777 /tmp /var/tmp`"))
        })?;
        let temporary = Arc::new(Scratch::within("build", temporary)?.open_to_others()?);
        let builder = Builder { other: Some(other), parent: "/var/tmp".into(), temporary };
        builder.create_directory(&builder.temporary())?;
        Ok(builder)
    }

    /// The directory for temporary files, which belongs to the user.
    pub fn temporary(&self) -> PathBuf {
        self.temporary.path().join("tmp")
    }

    /// Creates a temporary directory that the user can read and enter.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn temporary_directory(&self) -> anyhow::Result<Scratch> {
        Scratch::within("prove", &self.parent)?.open_to_others()
    }

    /// Creates a directory that belongs to the user.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn create_directory(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        self.take_ownership(directory)
    }

    /// Makes the user the owner of a directory and everything in it.
    ///
    /// # Errors
    /// The owner cannot be changed.
    pub fn take_ownership(&self, directory: &Path) -> anyhow::Result<()> {
        let Some(User { uid, gid, .. }) = self.other else { return Ok(()) };
        let mut open = vec![directory.to_owned()];
        while let Some(path) = open.pop() {
            chown(&path, Some(uid), Some(gid))
                .with_context(|| format!("cannot change the owner of {}", path.display()))?;
            if fs::symlink_metadata(&path)?.is_dir() {
                for entry in fs::read_dir(&path)? {
                    open.push(entry?.path());
                }
            }
        }
        Ok(())
    }

    /// Runs a command as the user, in a minimal environment.
    ///
    /// # Errors
    /// The command is missing or cannot be started. That it fails is not an error, but [`CommandResult::success`].
    pub fn run(
        &self,
        argv: &[String],
        directory: &Path,
        set: &BTreeMap<String, String>,
    ) -> anyhow::Result<CommandResult> {
        let mut command: Vec<String> = Vec::new();
        let mut set = set.clone();
        set.insert("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        set.insert("LANG".into(), "C.UTF-8".into());
        set.insert("TMPDIR".into(), self.temporary().display().to_string());
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
        exec::find(&argv[0], Path::new("/"), search.as_ref()).map_err(|why| {
            Failure::missing(format!("{why}; `{}` shows how to install it", hint::drydock(&["doctor", "deb"])))
        })?;
        let contained = Contained { merged: true, ..Contained::new(&command, directory, exec::environment(&[], &set)) };
        let output = contained.run().with_context(|| format!("cannot run {}", argv[0]))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(CommandResult { success: output.status.success(), output: text })
    }
}

/// `true` if users who do not own the directory may create files in it.
fn others_may_write(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir() && metadata.permissions().mode() & 0o3 == 0o3)
}

fn user(name: &str) -> Option<User> {
    let id = |option: &str| exec::read(&["id".into(), option.into(), name.into()], Path::new("/")).ok()?.parse().ok();
    Some(User { name: name.to_owned(), uid: id("-u")?, gid: id("-g")? })
}

/// A range of subordinate ids.
#[derive(Debug, PartialEq, Eq)]
struct IdRange {
    user: String,
    first: u64,
    count: u64,
}

/// Parses `/etc/subuid` or `/etc/subgid`.
fn ranges(text: &str) -> Vec<IdRange> {
    let fields = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some(IdRange {
            user: fields.next()?.to_owned(),
            first: fields.next()?.parse().ok()?,
            count: fields.next()?.trim().parse().ok()?,
        })
    });
    fields.collect()
}

fn has_range(name: &str) -> bool {
    ["/etc/subuid", "/etc/subgid"].iter().all(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        ranges(&text).iter().any(|range| range.user == name && range.count >= RANGE)
    })
}

/// The first id above all ranges.
fn free_range() -> u64 {
    let all = ["/etc/subuid", "/etc/subgid"].map(|file| fs::read_to_string(file).unwrap_or_default()).concat();
    ranges(&all).iter().map(|range| range.first.saturating_add(range.count)).max().unwrap_or(0).max(100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_go_where_another_user_may_write() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, may) in [(0o1777, true), (0o777, true), (0o755, false), (0o700, false), (0o1776, false)] {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(others_may_write(directory.path()), may, "{mode:o}");
        }
        assert!(!others_may_write(Path::new("/nonexistent")));
    }

    #[test]
    fn ranges_of_ids_are_parsed() {
        assert_eq!(
            ranges("a:100000:65536\nbroken\nb:1:2\n"),
            [("a", 100_000, 65_536), ("b", 1, 2)].map(|(user, first, count)| IdRange {
                user: user.into(),
                first,
                count
            })
        );
    }
}
