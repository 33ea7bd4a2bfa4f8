//! The variations of a second build: user, host, clock, locale, time zone and umask, as far as this machine allows. A
//! reproducible result does not depend on them. reprotest uses the same word.

use std::collections::BTreeMap;
use std::path::Path;

use crate::exec;

/// The offset of the varied clock: more than a year, so that every part of a date differs.
const CLOCK: &str = "+397d";
/// The varied host name.
const HOST: &str = "drydock-varied";
/// The varied user id.
const USER: &str = "4242";
/// The varied time zone, in the form that needs no database.
const ZONE: &str = "XTW-13:45";
/// The varied umask, octal. A program that sets its own, as Drydock does, has to be told.
pub const UMASK: &str = "077";

/// The variations that this machine allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variations {
    /// True if namespaces can change the host name and the user.
    namespaces: bool,
    /// True if `faketime` can change the clock.
    clock: bool,
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
    /// The tool or permission that varying it would need; absent when it was varied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<String>,
}

impl Variations {
    /// Finds out which variations this machine allows.
    pub fn probe() -> Variations {
        let works = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            exec::read(&argv, Path::new("/")).is_ok()
        };
        let locales = exec::read(&["locale".into(), "-a".into()], Path::new("/")).unwrap_or_default();
        let other = |name: &&str| !matches!(*name, "C" | "POSIX" | "C.utf8" | "C.UTF-8") && name.contains("utf8");
        Variations {
            namespaces: works(&wrapped_in_namespaces(&["true"])),
            clock: works(&["faketime", "-f", CLOCK, "true"]),
            locale: locales.lines().find(other).map(str::to_owned),
        }
    }

    /// Wraps a command so that it runs with the varied user, host, umask and clock.
    pub fn command(&self, argv: &[String]) -> Vec<String> {
        let mut command: Vec<&str> = vec!["sh", "-c", "umask \"$1\"; shift; exec \"$@\"", "sh", UMASK];
        if self.clock {
            command.extend(["faketime", "-f", CLOCK]);
        }
        command.extend(argv.iter().map(String::as_str));
        let command = if self.namespaces { wrapped_in_namespaces(&command) } else { command };
        command.into_iter().map(str::to_owned).collect()
    }

    /// The same variations with the true clock, for programs that fail or hang under another.
    #[must_use]
    pub fn with_true_clock(self) -> Variations {
        Variations { clock: false, ..self }
    }

    /// True if the clock is varied.
    pub fn has_clock(&self) -> bool {
        self.clock
    }

    /// The varied environment variables, for [`exec::environment`]. `home` becomes the home directory; cargo and rustup keep
    /// their directories, which are below the true home by default.
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
        set.insert("USER".into(), "varied".into());
        set.insert("LOGNAME".into(), "varied".into());
        Ok(set)
    }

    /// All properties, varied or not.
    pub fn list(&self) -> Vec<Variation> {
        let namespaces = (!self.namespaces).then_some("user namespaces, which this machine does not allow");
        let clock = (!self.clock).then_some("the program faketime (Debian package faketime)");
        let locale = self.locale.is_none().then_some("a second UTF-8 locale (Debian package locales-all)");
        let one = |name: &str, value: &str, missing: Option<&str>| Variation {
            name: name.to_owned(),
            value: missing.is_none().then(|| value.to_owned()),
            missing: missing.map(str::to_owned),
        };
        vec![
            one("directory", "another, with a longer name", None),
            one("umask", UMASK, None),
            one("time zone", ZONE, None),
            one("home and user name", "an empty directory, `varied`", None),
            one("locale", self.locale.as_deref().unwrap_or_default(), locale),
            one("user id", USER, namespaces),
            one("host name", HOST, namespaces),
            one("clock", CLOCK, clock),
        ]
    }

    /// The varied host name, if the host name is varied.
    pub fn host(&self) -> Option<&'static str> {
        self.namespaces.then_some(HOST)
    }
}

/// `CARGO_HOME` and `RUSTUP_HOME`, so that cargo and rustup find their directories under another `HOME`.
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

/// Runs a command as root of a user namespace, which sets the host name, and inside it as the varied user.
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
    fn a_varied_command_runs_in_another_environment() {
        let varied = Variations::probe();
        let script = "umask; id -u; hostname; date +%Y; date +%z; echo \"$HOME\"";
        let argv = varied.command(&["sh", "-c", script].map(str::to_owned));
        let directory = tempfile::tempdir().unwrap();
        let environment = exec::environment(&[], &varied.variables(directory.path()).unwrap());
        let printed = String::from_utf8(exec::bytes(&argv, Path::new("/"), environment).unwrap()).unwrap();
        let lines: Vec<&str> = printed.lines().collect();
        let is_varied = |name: &str| varied.list().iter().any(|one| one.name == name && one.missing.is_none());
        assert_eq!((lines[0], lines[4], lines[5]), ("0077", "+1345", directory.path().to_str().unwrap()), "{printed}");
        assert!(!is_varied("user id") || (lines[1], lines[2]) == (USER, HOST), "{printed}");
        let year = exec::read(&["date".into(), "+%Y".into()], Path::new("/")).unwrap();
        assert_eq!(is_varied("clock"), lines[3] != year, "{printed}");
    }
}
