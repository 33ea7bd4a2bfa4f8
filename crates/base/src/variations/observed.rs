//! What a build saw of its surroundings, so that nothing is called varied that was not.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Variation;

/// Prints a line `NAME<TAB>VALUE` for each property. The arguments are environment variables, and settings of git with a dot.
const SCRIPT: &str = r#"say() { printf '%s\t%s\n' "$1" "$2"; }
say directory "$PWD"
say umask "$(umask)"
say 'time zone' "$(date +%z)"
say 'home and user name' "$HOME, ${USER-}, ${LOGNAME-}"
if [ -z "$(locale 2>&1 >/dev/null)" ]; then say locale "${LC_ALL-${LANG-}}"; else say locale C; fi
say 'user id' "$(id -u)"
say 'host name' "$(uname -n)"
say clock "$(date +%s)"
for name; do
    case $name in
        *.*) say "setting $name" "$(git -c 'safe.directory=*' config --get "$name")" ;;
        *) say "setting $name" "$(printenv "$name")" ;;
    esac
done
"#;
/// The name of the variation of all settings.
const SETTINGS: &str = "settings of other programs";
/// The beginning of the names of settings.
const SETTING: &str = "setting ";
const DAY: i64 = 24 * 60 * 60;

/// The properties of a build's surroundings, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed(BTreeMap<String, String>);

impl Observed {
    /// A command that prints what it sees, for [`Observed::parse`]. `settings` are environment variables and, with a dot, settings
    /// of git.
    pub fn command(settings: &[&str]) -> Vec<String> {
        ["sh", "-c", SCRIPT, "sh"].iter().chain(settings).map(|word| (*word).to_owned()).collect()
    }

    /// The script that [`Observed::command`] runs.
    pub fn script() -> &'static str {
        SCRIPT
    }

    /// What this process's children see in a directory.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub fn here(directory: &Path, settings: &[&str]) -> io::Result<Observed> {
        let argv = Observed::command(settings);
        let mut command = Command::new(&argv[0]);
        let output =
            command.args(&argv[1..]).current_dir(directory).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
        Ok(Observed::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads what the command printed.
    pub fn parse(printed: &str) -> Observed {
        let pairs = printed.lines().filter_map(|line| line.split_once('\t'));
        Observed(pairs.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect())
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// True if nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a property that only the build itself knows.
    pub fn insert(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// What differs in the second build, and for each property that does not, the reason that `why_not` gives. The clock differs
    /// if it is more than a day away from this process's.
    pub fn compare(&self, second: &Observed, why_not: impl Fn(&str) -> String) -> Vec<Variation> {
        let today = now();
        let mut variations = Vec::new();
        let mut settings = Vec::new();
        let one = |name: &str, value: Option<String>| Variation {
            name: name.to_owned(),
            missing: value.is_none().then(|| why_not(name)),
            value,
        };
        for (name, first) in &self.0 {
            let value = second.0.get(name).cloned().filter(|value| value != first && !value.is_empty());
            match name.strip_prefix(SETTING) {
                Some(setting) => settings.push(value.is_some().then(|| setting.to_owned())),
                None if name == "clock" => {
                    let seconds = value.and_then(|value| value.parse::<i64>().ok());
                    let days =
                        seconds.map(|seconds| (seconds - today + DAY / 2).div_euclid(DAY)).filter(|days| *days != 0);
                    variations.push(one(name, days.map(|days| format!("{days:+}d"))));
                }
                None => variations.push(one(name, value)),
            }
        }
        if !settings.is_empty() {
            let varied: Vec<String> = settings.into_iter().flatten().collect();
            variations.push(one(SETTINGS, (!varied.is_empty()).then(|| varied.join(", "))));
        }
        variations
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_varied() {
        let today = now();
        let first =
            format!("umask\t0022\nlocale\tC.UTF-8\nclock\t{today}\nsetting A\t\nsetting b.c\ttrue\nthe same\t\n");
        let first = Observed::parse(&first);
        let second = |clock: i64| {
            Observed::parse(&format!("umask\t0077\nlocale\tC.UTF-8\nclock\t{clock}\nsetting A\tx\nsetting b.c\ttrue\n"))
        };
        let told = |second: &Observed| {
            let told = |one: Variation| match (one.value, one.missing) {
                (Some(value), None) => format!("{}={value}", one.name),
                (None, Some(missing)) => format!("{} {missing}", one.name),
                other => panic!("{other:?}"),
            };
            first.compare(second, |name| format!("is the same ({name})")).into_iter().map(told).collect::<Vec<_>>()
        };
        let same = |name: &str| format!("{name} is the same ({name})");
        let varied = ["umask=0077".to_owned(), "settings of other programs=A".into()];
        let expected =
            |clock: String| vec![clock, same("locale"), same("the same"), varied[0].clone(), varied[1].clone()];
        assert_eq!(told(&second(today + 5)), expected(same("clock")));
        assert_eq!(told(&second(today + 397 * DAY + 60)), expected("clock=+397d".into()));
        assert_eq!(told(&Observed::default()).iter().filter(|line| line.contains("is the same")).count(), 5);
    }
}
