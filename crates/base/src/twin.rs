//! Other surroundings for the same work: what a result must not depend on, varied as far as this machine allows.

use std::collections::BTreeMap;
use std::path::Path;

use crate::exec;

/// The clock of the twin is ahead by this much: more than a year, so that every part of a date differs.
const CLOCK: &str = "+397d";
/// The twin's host name.
const HOST: &str = "drydock-twin";
/// The twin's user.
const USER: &str = "4242";
/// The twin's time zone, which needs no database.
const ZONE: &str = "XTW-13:45";
/// The twin's umask.
const UMASK: &str = "077";

/// The surroundings of a second run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Whether namespaces can change the host name and the user.
    namespaces: bool,
    /// Whether `faketime` can change the clock.
    clock: bool,
    /// A locale beside `C.UTF-8`.
    locale: Option<String>,
}

/// One thing that was varied, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Variation {
    /// What.
    pub name: String,
    /// The twin's value.
    pub twin: Option<String>,
    /// What is missing, when it was not varied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<String>,
}

impl Twin {
    /// Tries what this machine allows.
    pub fn probe() -> Twin {
        let works = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            exec::read(&argv, Path::new("/")).is_ok()
        };
        let locales = exec::read(&["locale".into(), "-a".into()], Path::new("/")).unwrap_or_default();
        let other = |name: &&str| !matches!(*name, "C" | "POSIX" | "C.utf8" | "C.UTF-8") && name.contains("utf8");
        Twin {
            namespaces: works(&wrapped_in_namespaces(&["true"])),
            clock: works(&["faketime", "-f", CLOCK, "true"]),
            locale: locales.lines().find(other).map(str::to_owned),
        }
    }

    /// The command, in the twin's namespaces, with its umask and its clock.
    pub fn command(&self, argv: &[String]) -> Vec<String> {
        let mut command: Vec<&str> = vec!["sh", "-c", "umask \"$1\"; shift; exec \"$@\"", "sh", UMASK];
        if self.clock {
            command.extend(["faketime", "-f", CLOCK]);
        }
        command.extend(argv.iter().map(String::as_str));
        let command = if self.namespaces { wrapped_in_namespaces(&command) } else { command };
        command.into_iter().map(str::to_owned).collect()
    }

    /// The same with the true clock, for programs that do not bear another.
    #[must_use]
    pub fn with_true_clock(self) -> Twin {
        Twin { clock: false, ..self }
    }

    /// Whether the clock is varied.
    pub fn has_clock(&self) -> bool {
        self.clock
    }

    /// The variables that differ, for [`exec::environment`]. `home` is a directory of its own; the directories of cargo and
    /// rustup, which are found through the home otherwise, stay what they are.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn variables(&self, home: &Path) -> std::io::Result<BTreeMap<String, String>> {
        let mut set = cargo_directories();
        if self.clock {
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
        set.insert("USER".into(), "twin".into());
        set.insert("LOGNAME".into(), "twin".into());
        Ok(set)
    }

    /// What is varied, and what is not.
    pub fn variations(&self) -> Vec<Variation> {
        let namespaces = (!self.namespaces).then_some("user namespaces, which this machine does not allow");
        let clock = (!self.clock).then_some("the program faketime (Debian package faketime)");
        let locale = self.locale.is_none().then_some("a second UTF-8 locale (Debian package locales-all)");
        let one = |name: &str, twin: &str, missing: Option<&str>| Variation {
            name: name.to_owned(),
            twin: missing.is_none().then(|| twin.to_owned()),
            missing: missing.map(str::to_owned),
        };
        vec![
            one("directory", "another, with a longer name", None),
            one("umask", UMASK, None),
            one("time zone", ZONE, None),
            one("home and user name", "an empty directory, `twin`", None),
            one("locale", self.locale.as_deref().unwrap_or_default(), locale),
            one("user id", USER, namespaces),
            one("host name", HOST, namespaces),
            one("clock", CLOCK, clock),
        ]
    }

    /// The host name of the twin, if it has one of its own.
    pub fn host(&self) -> Option<&'static str> {
        self.namespaces.then_some(HOST)
    }
}

/// Where cargo and rustup keep their things, so that another home does not hide them.
pub fn cargo_directories() -> BTreeMap<String, String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut set = BTreeMap::new();
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

/// First as root of a namespace, who may name the host; then, inside, as a user of that number.
fn wrapped_in_namespaces<'a>(argv: &[&'a str]) -> Vec<&'a str> {
    let outer = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c"];
    let name = ["hostname \"$1\" && shift && exec \"$@\"", "sh", HOST];
    let inner = ["unshare", "--user", "--map-user=4242", "--map-group=4242"];
    outer.into_iter().chain(name).chain(inner).chain(argv.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_lives_elsewhere() {
        let twin = Twin::probe();
        let script = "umask; id -u; hostname; date +%Y; date +%z; echo \"$HOME\"";
        let argv = twin.command(&["sh", "-c", script].map(str::to_owned));
        let directory = tempfile::tempdir().unwrap();
        let environment = exec::environment(&[], &twin.variables(directory.path()).unwrap());
        let printed = String::from_utf8(exec::bytes(&argv, Path::new("/"), environment).unwrap()).unwrap();
        let lines: Vec<&str> = printed.lines().collect();
        let varied = |name: &str| twin.variations().iter().any(|one| one.name == name && one.missing.is_none());
        assert_eq!((lines[0], lines[4], lines[5]), ("0077", "+1345", directory.path().to_str().unwrap()), "{printed}");
        assert!(!varied("user id") || (lines[1], lines[2]) == (USER, HOST), "{printed}");
        let year = exec::read(&["date".into(), "+%Y".into()], Path::new("/")).unwrap();
        assert_eq!(varied("clock"), lines[3] != year, "{printed}");
    }
}
