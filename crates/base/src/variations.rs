//! The variations of a second build: user, host, clock, locale, time zone and umask, as far as this machine allows. A
//! reproducible result does not depend on them. reprotest uses the same word.

use std::collections::BTreeMap;
use std::path::Path;

use crate::exec;

mod observed;

pub use observed::Observed;

/// The offset of the varied clock: more than a year, so that every part of a date differs.
const CLOCK: &str = "+397d";
/// The number of times that `faketime` is tried.
const TRIES: usize = 3;
/// Removes the shared memory that a killed process with this pid left, under the names that libfaketime will use.
const REMOVE_REMAINS: &str = "rm -f /dev/shm/faketime_shm_$$ /dev/shm/sem.faketime_sem_$$ 2>/dev/null; exec \"$@\"";
/// Sets the host name, and gives the command an own directory for shared memory, unless its files are there: libfaketime leaves some of
/// each process that is killed or becomes another one.
const SET_UP: &str = "hostname \"$1\" && shift || exit
case $PWD:$HOME in */dev/shm*) ;; *) mount -t tmpfs -o mode=1777 tmpfs /dev/shm 2>/dev/null ;; esac
exec \"$@\"";
/// The varied host name.
const HOST: &str = "drydock-varied";
/// The varied user and group.
const MAP_USER: &str = "--map-user=4242";
const MAP_GROUP: &str = "--map-group=4242";
/// The varied time zone, in the form that needs no database.
const ZONE: &str = "XTW-13:45";
/// The varied umask, octal. A program that sets its own, as Drydock does, has to be told.
pub const UMASK: &str = "077";

/// The variations that this machine allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variations {
    /// Why namespaces cannot change the host name and the user; none if they can.
    no_namespaces: Option<String>,
    /// The library that changes the clock, which `faketime` loads into programs.
    clock_library: String,
    /// Why the clock is not varied; none if `faketime` varies it.
    no_clock: Option<String>,
    /// A locale beside `C.UTF-8`.
    locale: Option<String>,
}

/// One property of the environment that was varied, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Variation {
    /// The property, such as `umask`.
    pub name: String,
    /// The value in the varied rebuild; absent when it was not varied.
    pub value: Option<String>,
    /// The reason why it was not varied, such as `needs the program faketime`; absent when it was varied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<String>,
}

impl Variations {
    /// Finds out which variations this machine allows.
    pub fn probe() -> Variations {
        let locales = exec::read(&["locale".into(), "-a".into()], Path::new("/")).unwrap_or_default();
        let other = |name: &&str| !matches!(*name, "C" | "POSIX" | "C.utf8" | "C.UTF-8") && name.contains("utf8");
        // The program names shared memory after its pid, and fails where a killed one with the same pid left it.
        let words = ["faketime", "-f", CLOCK, "sh", "-c", "printf %s \"$LD_PRELOAD\""].map(str::to_owned);
        let clock_library = (0..TRIES).find_map(|_| exec::read(&words, Path::new("/")).ok());
        let no_clock = clock_library.is_none().then(|| {
            let works = "the program faketime, which is installed, does not work here";
            let needs = "needs the program faketime (Debian package faketime)";
            if exec::is_installed("faketime") { works } else { needs }.to_owned()
        });
        Variations {
            no_namespaces: lack(
                &wrapped_in_namespaces(&["true"]),
                &[("unshare", "util-linux"), ("hostname", "hostname")],
                "needs user namespaces, which this machine does not allow",
            ),
            clock_library: clock_library.unwrap_or_default(),
            no_clock,
            locale: locales.lines().find(other).map(str::to_owned),
        }
    }

    /// Wraps a command so that it runs with the varied user, host, umask and clock.
    pub fn command(&self, argv: &[String]) -> Vec<String> {
        let clock = [format!("LD_PRELOAD={}", self.clock_library), format!("FAKETIME={CLOCK}")];
        let mut command: Vec<&str> = vec!["sh", "-c", "umask \"$1\"; shift; exec \"$@\"", "sh", UMASK];
        if self.has_clock() {
            // Not the program faketime, which also waits for daemons.
            let [library, clock] = &clock;
            command.extend(["sh", "-c", REMOVE_REMAINS, "sh", "env", library, clock]);
        }
        command.extend(argv.iter().map(String::as_str));
        let command = if self.no_namespaces.is_none() { wrapped_in_namespaces(&command) } else { command };
        command.into_iter().map(str::to_owned).collect()
    }

    /// The same variations with the true clock, for programs that hang under another. `why` is for [`Variation::missing`].
    #[must_use]
    pub fn with_true_clock(self, why: String) -> Variations {
        Variations { no_clock: Some(why), ..self }
    }

    /// True if the clock is varied.
    pub fn has_clock(&self) -> bool {
        self.no_clock.is_none()
    }

    /// The varied environment variables, for [`exec::environment`]. `home` becomes the home directory; cargo and rustup keep
    /// their directories, which are below the true home by default.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn variables(&self, home: &Path) -> std::io::Result<BTreeMap<String, String>> {
        let mut set = cargo_directories();
        if self.has_clock() {
            // rustc never gets beyond its start under libfaketime, so cargo is given one that sees the true clock.
            let rustc = home.join("rustc-with-true-clock");
            std::fs::create_dir_all(home)?;
            std::fs::write(&rustc, "#!/bin/sh\nunset LD_PRELOAD\nexec rustc \"$@\"\n")?;
            std::fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            set.insert("RUSTC".into(), rustc.display().to_string());
        }
        set.insert("TZ".into(), ZONE.into());
        set.insert("LC_ALL".into(), self.locale.clone().unwrap_or_else(|| "C.UTF-8".into()));
        set.insert("HOME".into(), home.display().to_string());
        set.insert("USER".into(), "varied".into());
        set.insert("LOGNAME".into(), "varied".into());
        Ok(set)
    }

    /// What the second build saw that the first one did not, and why other properties were the same.
    pub fn compare(&self, first: &Observed, second: &Observed) -> Vec<Variation> {
        first.compare(second, |name| self.why_not(name).to_owned())
    }

    fn why_not(&self, name: &str) -> &str {
        let why = match name {
            "user id" | "host name" => self.no_namespaces.as_deref(),
            "clock" => self.no_clock.as_deref(),
            "locale" if self.locale.is_none() => Some("needs a second UTF-8 locale (Debian package locales-all)"),
            _ => None,
        };
        why.unwrap_or("it was set, and had no effect")
    }

    /// The varied host name, if the host name is varied.
    pub fn host(&self) -> Option<&'static str> {
        self.no_namespaces.is_none().then_some(HOST)
    }
}

/// `CARGO_HOME` and `RUSTUP_HOME`, so that cargo and rustup find their directories under another `HOME`; and no cleaning there:
/// under a clock of another year, cargo (1.88 and later) takes all that it has downloaded for old, and deletes it.
pub fn cargo_directories() -> BTreeMap<String, String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut set = BTreeMap::from([("CARGO_CACHE_AUTO_CLEAN_FREQUENCY".to_owned(), "never".to_owned())]);
    for (name, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let usual = Path::new(&home).join(directory);
        match std::env::var(name) {
            Ok(value) => drop(set.insert(name.to_owned(), value)),
            Err(_) if usual.is_dir() => drop(set.insert(name.to_owned(), usual.display().to_string())),
            Err(_) => {}
        }
    }
    set
}

/// Why a command does not work: it needs one of these programs, with their Debian packages, that is not installed, or what is
/// given. None if it works.
fn lack(argv: &[&str], programs: &[(&str, &str)], otherwise: &str) -> Option<String> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    exec::read(&argv, Path::new("/")).err()?;
    let absent = programs.iter().find(|(program, _)| !exec::is_installed(program));
    let absent = absent.map(|(program, package)| format!("needs the program {program} (Debian package {package})"));
    Some(absent.unwrap_or_else(|| otherwise.to_owned()))
}

/// Runs a command as root of a user namespace, which sets the host name, and inside it as the varied user.
fn wrapped_in_namespaces<'a>(argv: &[&'a str]) -> Vec<&'a str> {
    let outer = ["unshare", "--user", "--map-root-user", "--uts", "--mount", "sh", "-c"];
    let name = [SET_UP, "sh", HOST];
    let inner = ["unshare", "--user", MAP_USER, MAP_GROUP];
    outer.into_iter().chain(name).chain(inner).chain(argv.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varied_command_runs_in_another_environment() {
        let varied = Variations::probe();
        let directory = tempfile::tempdir().unwrap();
        let variables = varied.variables(directory.path()).unwrap();
        let see = |argv: Vec<String>, set: &BTreeMap<String, String>| {
            let printed = exec::bytes(&argv, directory.path(), exec::environment(&[], set)).unwrap();
            Observed::parse(&String::from_utf8(printed).unwrap())
        };
        let first = see(Observed::command(&[]), &BTreeMap::new());
        let second = see(varied.command(&Observed::command(&[])), &variables);
        let all = varied.compare(&first, &second);
        let value = |name: &str| all.iter().find(|one| one.name == name).unwrap().value.clone();
        let home = format!("{}, varied, varied", directory.path().display());
        for (name, expected) in [("umask", "0077"), ("time zone", "+1345"), ("home and user name", &home)] {
            assert_eq!(value(name).as_deref(), Some(expected), "{all:#?}");
        }
        assert_eq!(value("directory"), None, "it ran in the same directory");
        let namespaces = varied.no_namespaces.is_none().then_some(());
        assert_eq!(value("user id"), namespaces.map(|()| "4242".to_owned()), "{all:#?}");
        assert_eq!(value("host name"), namespaces.map(|()| HOST.to_owned()), "{all:#?}");
        assert_eq!(value("clock"), varied.has_clock().then(|| CLOCK.to_owned()), "{all:#?}");
        assert_eq!(value("locale"), varied.locale.clone(), "{all:#?}");
        let why = "the generator gen does not finish under another clock";
        let unsuitable = varied.clone().with_true_clock(why.to_owned());
        let second = see(unsuitable.command(&Observed::command(&[])), &unsuitable.variables(directory.path()).unwrap());
        let clock = unsuitable.compare(&first, &second).into_iter().find(|one| one.name == "clock").unwrap();
        assert_eq!(clock.missing.as_deref(), Some(why));
    }

    #[test]
    fn shared_memory_of_a_varied_command_ends_with_it() {
        let varied = Variations::probe();
        if varied.no_namespaces.is_some() {
            return;
        }
        let outside = tempfile::Builder::new().prefix("drydock-varied-").tempfile_in("/dev/shm").unwrap();
        let name = outside.path().file_name().unwrap().to_str().unwrap();
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let see = |directory: &Path, set: &BTreeMap<String, String>| {
            let argv = varied.command(&["ls", "-A", "/dev/shm"].map(str::to_owned));
            String::from_utf8(exec::bytes(&argv, directory, exec::environment(&[], set)).unwrap()).unwrap()
        };
        let home = BTreeMap::from([("HOME".to_owned(), "/nonexistent".to_owned())]);
        assert!(!see(directory.path(), &home).contains(name));
        // What it works on stays visible.
        assert!(see(Path::new("/dev/shm"), &home).contains(name));
    }

    /// With cargo itself: what one build downloaded is still there after another one under the varied clock.
    #[test]
    fn cargo_keeps_its_downloads_under_a_varied_clock() {
        let varied = Variations::probe();
        if !varied.has_clock() || !exec::is_installed("git") {
            assert!(std::env::var_os("CI").is_none(), "git is missing, or the clock cannot be varied: {varied:?}");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let script = "set -e\nfor name in dep user alone; do\n  mkdir -p $name/src; : >$name/src/lib.rs\n  \
            printf '[package]\\nname = \"%s\"\\nedition = \"2021\"\\n[workspace]\\n' $name >$name/Cargo.toml\ndone\n\
            cd dep; git init -q; git add .; git -c user.name=x -c user.email=x@example.org commit -qm x; cd ..\n\
            printf '[dependencies]\\ndep = {git = \"file://%s/dep\"}\\n' \"$PWD\" >>user/Cargo.toml\ncd user; cargo build -q\n";
        let home = directory.path().join("cargo");
        let downloads = home.join("git/checkouts");
        let set = |mut set: BTreeMap<String, String>| {
            set.insert("CARGO_HOME".to_owned(), home.display().to_string());
            set
        };
        let run = |argv: &[String], at: &Path, set: BTreeMap<String, String>| {
            exec::bytes(argv, at, exec::environment(&[], &set)).unwrap();
        };
        run(&["sh", "-c", script].map(str::to_owned), directory.path(), set(cargo_directories()));
        let count = || std::fs::read_dir(&downloads).map_or(0, Iterator::count);
        assert_eq!(count(), 1);
        let build = varied.command(&["cargo", "build", "-q"].map(str::to_owned));
        let mut variables = set(varied.variables(directory.path()).unwrap());
        run(&build, &directory.path().join("alone"), variables.clone());
        assert_eq!(count(), 1);
        // Without the variable it cleans, if it is of a version that does.
        variables.remove("CARGO_CACHE_AUTO_CLEAN_FREQUENCY");
        run(&build, &directory.path().join("alone"), variables);
        let version = exec::read(&["cargo", "--version"].map(str::to_owned), Path::new("/")).unwrap();
        let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).unwrap();
        assert_eq!(count(), usize::from(minor < 88), "{version}");
    }

    #[test]
    fn what_cannot_be_varied_has_its_true_reason() {
        let programs = [("true", "coreutils"), ("no-such-program", "no-such-package")];
        assert_eq!(lack(&["true"], &programs, "luck"), None);
        let absent = "needs the program no-such-program (Debian package no-such-package)";
        assert_eq!(lack(&["no-such-program"], &programs, "luck").as_deref(), Some(absent));
        assert_eq!(lack(&["false"], &programs[..1], "luck").as_deref(), Some("luck"));
    }
}
