//! The root file system of a build: the files of a distribution, read-only but for directories of its own, in namespaces without a
//! network. Outside of them, root there is an unprivileged user.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::Context as _;

use super::UnpackedBase;
use drydock_base::exec::{self, Contained};
use drydock_base::failure::Failure;
use drydock_base::variations::Observed;

/// The devices of a build.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// The directories that a build may write to; they are empty at its start.
const WRITABLE: [&str; 3] = ["build", "tmp", "var/tmp"];
/// The search path of a base that has none.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Sets up the namespaces, and becomes the command: `SCRIPT ROOT ROOM HOST UMASK COMMAND…`.
const SCRIPT: &str = r#"
set -e
root=$1 room=$2 host=$3 mask=$4
shift 4
hostname "$host"
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
for name in build tmp var/tmp; do mount --bind "$room/$name" "$root/$name"; done
for device in null zero full random urandom tty; do mount --bind "/dev/$device" "$root/dev/$device" 2>/dev/null || :; done
mount -t proc proc "$root/proc" 2>/dev/null || :
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || :
umask "$mask"
exec "$@"
"#;

/// What differs between the two builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) is_varied: bool,
    /// The directory of the build, below `/build`.
    directory: &'static str,
    host: &'static str,
    umask: &'static str,
    zone: &'static str,
    locale: &'static str,
    user: &'static str,
}

impl Environment {
    /// The environment of the first build.
    pub(super) const FIRST: Environment = Environment {
        is_varied: false,
        directory: "first",
        host: "drydock",
        umask: "022",
        zone: "UTC",
        locale: "C.UTF-8",
        user: "root",
    };
    /// That of the second one.
    pub(super) const VARIED: Environment = Environment {
        is_varied: true,
        directory: "a/longer/path-than",
        host: "drydock-varied",
        umask: "077",
        zone: "XTW-13:45",
        locale: "C",
        user: "varied",
    };
}

/// The files of a distribution, with the places for mounts.
#[derive(Debug)]
pub(super) struct Root<'a> {
    scratch: &'a Path,
    base: &'a UnpackedBase,
}

impl Root<'_> {
    /// Adds the places for mounts to the files in `scratch/root`.
    ///
    /// # Errors
    /// The base has something else there.
    pub(super) fn prepare<'a>(scratch: &'a Path, base: &'a UnpackedBase) -> anyhow::Result<Root<'a>> {
        let root = scratch.join("root");
        for name in WRITABLE.into_iter().chain(["dev", "proc"]) {
            let path = root.join(name);
            let real = fs::canonicalize(path.parent().unwrap_or(&root)).unwrap_or_default();
            let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
            if is_link || (path.exists() && !path.is_dir()) || (real.exists() && !real.starts_with(&root)) {
                let text = format!("the base {} has no directory /{name}, but something else there", base.name);
                return Err(Failure::declaration(text));
            }
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        for device in DEVICES {
            let path = root.join("dev").join(device);
            if fs::symlink_metadata(&path).is_err() {
                fs::write(&path, "").with_context(|| format!("cannot create {}", path.display()))?;
            }
        }
        Ok(Root { scratch, base })
    }

    /// A room for one build.
    ///
    /// # Errors
    /// The directories cannot be made.
    pub(super) fn room(&self, environment: Environment, epoch: u64) -> anyhow::Result<Room<'_>> {
        let directory = self.scratch.join(if environment.is_varied { "second" } else { "first" });
        let room = Room { root: self, directory, environment, epoch };
        for name in WRITABLE {
            let path = room.directory.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        for path in [room.outside("sources"), room.outside("destdir"), room.outside("home")] {
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        // A umask of the caller must not matter.
        for path in [room.directory.clone(), room.outside("destdir")] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(room)
    }

    /// The versions of the packages of Debian's or RPM's kind that the base has; empty if it says nothing.
    pub(super) fn packages(&self) -> BTreeMap<String, String> {
        let Ok(room) = self.room(Environment::FIRST, 0) else { return BTreeMap::new() };
        let ask = |words: &[&str]| {
            let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let output = room.run(&argv, "/").ok().filter(|output| output.status.success())?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let pairs = text.lines().filter_map(|line| line.split_once(' '));
            Some(pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect::<BTreeMap<_, _>>())
        };
        let all = ask(&["dpkg-query", "--show", "--showformat=${Package} ${Version}\\n"]);
        all.or_else(|| ask(&["rpm", "-qa", "--qf", "%{NAME} %{EVR}\\n"])).unwrap_or_default()
    }
}

/// The directories and the environment of one build.
#[derive(Debug)]
pub(super) struct Room<'a> {
    root: &'a Root<'a>,
    directory: PathBuf,
    pub(super) environment: Environment,
    epoch: u64,
}

impl Room<'_> {
    /// A path as the build sees it.
    pub(super) fn inside(&self, name: &str) -> String {
        format!("/build/{}/{name}", self.environment.directory)
    }

    /// The same path as this process sees it.
    pub(super) fn outside(&self, name: &str) -> PathBuf {
        self.directory.join("build").join(self.environment.directory).join(name)
    }

    /// A directory of the room that commands of the project could write to, as this process may open it.
    ///
    /// # Errors
    /// They replaced it, or one above it, by something else: a link would lead to files of this machine.
    pub(super) fn checked(&self, path: &Path) -> anyhow::Result<PathBuf> {
        let room =
            fs::canonicalize(&self.directory).with_context(|| format!("cannot open {}", self.directory.display()))?;
        let inside = path.strip_prefix(&self.directory).unwrap_or(path);
        let real = room.join(inside);
        if fs::canonicalize(path).is_ok_and(|found| found == real && found.is_dir()) {
            return Ok(real);
        }
        Err(Failure::rejected(format!(
            "a command of the build replaced /{}, which must stay a directory",
            inside.display()
        )))
    }

    /// The directory that the build sees as `/build/NAME`, new and empty.
    ///
    /// # Errors
    /// What is there cannot be removed.
    pub(super) fn emptied(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.checked(&self.directory.join("build"))?.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        removed.and_then(|()| fs::create_dir(&path)).with_context(|| format!("cannot empty {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Makes the owner of the base's files that of all files of the room.
    ///
    /// # Errors
    /// An owner cannot be changed.
    pub(super) fn give_to_owner(&self) -> anyhow::Result<()> {
        let Some((user, group)) = self.root.base.owner else { return Ok(()) };
        let mut open = vec![self.directory.clone()];
        while let Some(path) = open.pop() {
            lchown(&path, Some(user), Some(group))
                .with_context(|| format!("cannot change the owner of {}", path.display()))?;
            if fs::symlink_metadata(&path)?.is_dir() {
                for entry in fs::read_dir(&path)? {
                    open.push(entry?.path());
                }
            }
        }
        Ok(())
    }

    /// Runs a command in a directory of the room; standard error goes to standard output.
    ///
    /// # Errors
    /// This machine has no namespaces, or lacks a program that makes them. That the command fails is not an error.
    pub(super) fn run(&self, command: &[String], directory: &str) -> anyhow::Result<Output> {
        let Environment { host, umask, zone, locale, user, .. } = self.environment;
        let base = self.root.base;
        let root = self.root.scratch.join("root").display().to_string();
        let tool = |name: &str| -> anyhow::Result<String> {
            let found = exec::find(name, Path::new("/"), Some(&SEARCH.into()));
            found.map(|path| path.display().to_string()).map_err(|why| Failure::missing(why.to_string()))
        };
        let (unshare, shell) = (tool("unshare")?, tool("sh")?);
        let mut argv = Vec::new();
        if let Some((user, group)) = base.owner {
            argv.extend([tool("setpriv")?, format!("--reuid={user}"), format!("--regid={group}")]);
            argv.push("--clear-groups".to_owned());
        }
        let namespaces =
            ["--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child"];
        argv.push(unshare.clone());
        argv.extend(namespaces.map(str::to_owned));
        let before = argv.len();
        argv.extend([shell, "-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned()]);
        argv.extend([root.clone(), self.directory.display().to_string(), host.to_owned(), umask.to_owned()]);
        // No program of this machine sees a variable of the build.
        argv.extend([tool("env")?, "-i".to_owned()]);
        argv.extend([
            format!("PATH={}", base.path.as_deref().unwrap_or(SEARCH)),
            format!("HOME={}", self.inside("home")),
            format!("TZ={zone}"),
            format!("LC_ALL={locale}"),
            format!("USER={user}"),
            format!("LOGNAME={user}"),
            format!("SOURCE_DATE_EPOCH={}", self.epoch),
        ]);
        argv.extend([unshare, format!("--root={root}"), format!("--wd={directory}"), "--".to_owned()]);
        argv.extend(command.iter().cloned());
        let environment = exec::environment(&[], &BTreeMap::from([("PATH".to_owned(), SEARCH.to_owned())]));
        let contained = Contained { merged: true, ..Contained::new(&argv, Path::new("/"), environment.clone()) };
        let output = contained.run().map_err(|error| {
            anyhow::Error::new(error.shown_as(command)).context("cannot run a build without a network")
        })?;
        if !output.status.success() {
            // So that the build is not blamed for what this machine lacks.
            let probe: Vec<String> = argv[..before].iter().cloned().chain(["true".to_owned()]).collect();
            exec::bytes(&probe, Path::new("/"), environment).map_err(|why| {
                Failure::missing(format!(
                    "cannot create namespaces for a build ({why}); allow user namespaces (on Ubuntu: sysctl --write \
                     kernel.apparmor_restrict_unprivileged_userns=0)"
                ))
            })?;
        }
        Ok(output)
    }

    /// What a command sees of its surroundings.
    ///
    /// # Errors
    /// The base has no shell.
    pub(super) fn observe(&self, directory: &str) -> anyhow::Result<Observed> {
        let output = self.run(&Observed::command(&[]), directory)?;
        let observed = Observed::parse(&String::from_utf8_lossy(&output.stdout));
        if observed.is_empty() {
            let text =
                format!("the base {} has no `sh`, so it cannot be seen what a build is given", self.root.base.name);
            return Err(Failure::declaration(text));
        }
        Ok(observed)
    }
}
