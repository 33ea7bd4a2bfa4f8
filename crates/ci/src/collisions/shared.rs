//! What two tests share, from what each of them used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::trace::{Act, Resource, Used, Uses};

/// How much a common resource says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Both may use it at the same time without harm, such as a file that each replaces by a finished one.
    Weak,
    /// One changes what the other only reads.
    Medium,
    /// Only one of them can use it at a time.
    Strong,
}

/// The kind of what is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A port of TCP or UDP.
    Port,
    /// A socket with a path or an abstract name.
    Socket,
    /// A System V object.
    SystemV,
    /// A lock on a file.
    Lock,
    /// A file.
    File,
    /// A directory with several files that both use.
    Directory,
    /// One of them sends signals to the processes of the other.
    Signal,
}

/// Something that two tests share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Shared {
    /// Its kind.
    pub kind: Kind,
    /// The port's number, the key, or the path: relative to the project where it is inside.
    pub name: String,
    /// What each of the two did with it, and with which errors, in the order of the tests.
    pub acts: [String; 2],
    /// The variable of the environment that leads to it, if one does.
    pub variable: Option<String>,
    /// How much it says.
    #[serde(skip)]
    pub weight: Weight,
}

/// What paths are shown relative to.
#[derive(Debug, Clone, Default)]
pub struct Surrounding {
    /// The project's directory.
    pub project: PathBuf,
    /// Variables of the tests whose values are directories.
    pub variables: Vec<(String, PathBuf)>,
}

/// Files that interpreters and test runners keep for themselves.
const CACHES: [&str; 4] = ["__pycache__", ".pytest_cache", ".mypy_cache", ".ccache"];

impl Surrounding {
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.project).unwrap_or(path).display().to_string()
    }

    /// The variable with the longest value that the path is below of, outside of the project.
    fn variable(&self, path: &Path) -> Option<String> {
        if path.starts_with(&self.project) {
            return None;
        }
        let below = self.variables.iter().filter(|(_, value)| path.starts_with(value) && path != value);
        below.max_by_key(|(_, value)| value.as_os_str().len()).map(|(name, _)| name.clone())
    }
}

/// The things that two tests share, those that say most first.
pub fn shared(left: &Uses, right: &Uses, around: &Surrounding) -> Vec<Shared> {
    let mut found = Vec::new();
    let mut files: Vec<(&Path, Weight, [String; 2])> = Vec::new();
    for (resource, ours) in &left.of {
        let Some(theirs) = right.of.get(resource) else { continue };
        let Some(weight) = weight(resource, ours, theirs) else { continue };
        let acts = [told(ours), told(theirs)];
        let plain = |kind, name: String| Shared { kind, name, acts: acts.clone(), variable: None, weight };
        match resource {
            Resource::Port(port) => found.push(plain(Kind::Port, port.to_string())),
            Resource::Abstract(name) => found.push(plain(Kind::Socket, format!("@{name}"))),
            Resource::SystemV(kind, key) => found.push(plain(Kind::SystemV, format!("{kind} {key}"))),
            Resource::File(path) if ours.acts.contains(&Act::Binds) || theirs.acts.contains(&Act::Binds) => {
                found.push(Shared { variable: around.variable(path), ..plain(Kind::Socket, around.shown(path)) });
            }
            Resource::File(path) if is_lock(ours) && is_lock(theirs) => {
                found.push(Shared { variable: around.variable(path), ..plain(Kind::Lock, around.shown(path)) });
            }
            Resource::File(path) => files.push((path, weight, acts)),
        }
    }
    found.extend(together(files, around));
    for (sender, receiver, flip) in [(left, right, false), (right, left, true)] {
        let hit: Vec<&String> =
            sender.signalled.iter().filter(|(pid, _)| receiver.pids.contains(pid)).map(|(_, signal)| signal).collect();
        if let Some(signal) = hit.first() {
            let acts = [format!("sends {signal}"), "receives it".to_owned()];
            let acts = if flip { [acts[1].clone(), acts[0].clone()] } else { acts };
            let name = signal.to_string();
            found.push(Shared { kind: Kind::Signal, name, acts, variable: None, weight: Weight::Strong });
        }
    }
    let has_error = |shared: &Shared| shared.acts.iter().any(|acts| acts.contains('('));
    found.sort_by_key(|shared| {
        (std::cmp::Reverse((shared.weight, has_error(shared))), shared.kind, shared.name.clone())
    });
    found
}

fn is_lock(used: &Used) -> bool {
    used.acts.contains(&Act::Locks)
}

/// What a test did with a resource, in words: `writes and deletes (mkdir: EEXIST)`.
fn told(used: &Used) -> String {
    let word = |act: &Act| match act {
        Act::Looks => "looks for",
        Act::Reads => "reads",
        Act::Appends => "appends to",
        Act::Writes => "writes",
        Act::Creates => "creates",
        Act::Replaces => "replaces",
        Act::Removes => "deletes",
        Act::Locks => "locks",
        Act::Binds => "binds",
        Act::Connects => "connects to",
    };
    let strongest: Vec<&str> =
        used.acts.iter().filter(|act| **act != Act::Looks || used.acts.len() == 1).map(word).collect();
    let errors: Vec<&str> = used.errors.iter().map(String::as_str).collect();
    let errors = if errors.is_empty() { String::new() } else { format!(" ({})", errors.join(", ")) };
    format!("{}{errors}", strongest.join(", "))
}

/// How much it says that both use the resource in these ways; `None` if it says nothing.
fn weight(resource: &Resource, ours: &Used, theirs: &Used) -> Option<Weight> {
    let both = |act: Act| ours.acts.contains(&act) && theirs.acts.contains(&act);
    let one = |act: Act| ours.acts.contains(&act) || theirs.acts.contains(&act);
    match resource {
        Resource::Port(_) | Resource::Abstract(_) if both(Act::Binds) => Some(Weight::Strong),
        Resource::Port(_) | Resource::Abstract(_) if one(Act::Binds) => Some(Weight::Medium),
        Resource::Port(_) | Resource::Abstract(_) => None,
        Resource::SystemV(..) => Some(Weight::Strong),
        Resource::File(path) => {
            let changes = |used: &Used| {
                used.acts.iter().any(|act| {
                    matches!(act, Act::Writes | Act::Creates | Act::Replaces | Act::Removes | Act::Binds | Act::Appends)
                })
            };
            let only = |used: &Used, acts: &[Act]| {
                used.acts.iter().all(|act| acts.contains(act) || matches!(act, Act::Looks | Act::Reads | Act::Creates))
            };
            let is_cache = path.components().any(|part| CACHES.iter().any(|cache| part.as_os_str() == *cache));
            if !changes(ours) && !changes(theirs) {
                return (is_lock(ours) && is_lock(theirs)).then_some(Weight::Medium);
            }
            if is_cache || only(ours, &[Act::Replaces]) && only(theirs, &[Act::Replaces]) && both(Act::Replaces) {
                return Some(Weight::Weak);
            }
            let appends = |used: &Used| used.acts.contains(&Act::Appends) && only(used, &[Act::Appends]);
            if appends(ours) && appends(theirs) {
                return Some(Weight::Weak);
            }
            if changes(ours) && changes(theirs) { Some(Weight::Strong) } else { Some(Weight::Medium) }
        }
    }
}

/// Several files of one directory are shown as that directory.
fn together(files: Vec<(&Path, Weight, [String; 2])>, around: &Surrounding) -> Vec<Shared> {
    const FEW: usize = 2;
    let roots: BTreeSet<PathBuf> =
        [around.project.clone(), "/".into(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()]
            .into_iter()
            .chain(around.variables.iter().map(|(_, value)| value.clone()))
            .collect();
    let show = |kind, path: &Path, weight, acts: [String; 2]| Shared {
        kind,
        name: around.shown(path),
        acts,
        variable: around.variable(path),
        weight,
    };
    let strong: Vec<&Path> =
        files.iter().filter(|(_, weight, _)| *weight > Weight::Weak).map(|(path, ..)| *path).collect();
    let common = strong.first().and_then(|first| {
        first.ancestors().find(|above| strong.iter().all(|path| path.starts_with(above))).map(Path::to_owned)
    });
    if let Some(directory) = common.filter(|above| strong.len() >= FEW && !roots.contains(above)) {
        let weight = files.iter().map(|(_, weight, _)| *weight).max().unwrap_or(Weight::Weak);
        let some: Vec<String> = strong
            .iter()
            .filter_map(|path| path.strip_prefix(&directory).ok())
            .map(|path| path.display().to_string())
            .filter(|path| !path.is_empty())
            .collect();
        let more = if some.len() > 3 { " …" } else { "" };
        let use_of = |at: usize| {
            let strongest = files.iter().filter(|(_, own, _)| *own == weight);
            let errors = strongest.clone().map(|(_, _, acts)| &acts[at]).find(|acts| acts.contains('('));
            errors
                .or(strongest.map(|(_, _, acts)| &acts[at]).max_by_key(|acts| acts.len()))
                .cloned()
                .unwrap_or_default()
        };
        let acts = [use_of(0), use_of(1)];
        let files = some.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut shown = show(Kind::Directory, &directory, weight, acts);
        if !files.is_empty() {
            shown.acts[0] = format!("{} ({files}{more})", shown.acts[0]);
        }
        return vec![shown];
    }
    files.into_iter().map(|(path, weight, acts)| show(Kind::File, path, weight, acts)).collect()
}

impl Shared {
    /// `true` for the same thing.
    pub fn same(&self, other: &Shared) -> bool {
        (self.kind, &self.name) == (other.kind, &other.name)
    }

    /// In words: `port 8080`.
    pub fn shown(&self) -> String {
        let below = self.variable.as_ref().map_or_else(String::new, |name| format!(" (below {name})"));
        match self.kind {
            Kind::Port => format!("port {}", self.name),
            Kind::Socket => format!("the socket {}{below}", self.name),
            Kind::SystemV => self.name.clone(),
            Kind::Lock => format!("the lock {}{below}", self.name),
            Kind::File => format!("the file {}{below}", self.name),
            Kind::Directory => format!("the directory {}{below}", self.name),
            Kind::Signal => format!("signals ({})", self.name),
        }
    }

    /// A name for `locks`.
    pub fn lock(&self) -> String {
        let slug = |text: &str| {
            let kept: String = text
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
                .collect();
            kept.trim_matches(['-', '.']).to_owned()
        };
        match self.kind {
            Kind::Port => format!("port-{}", self.name),
            Kind::Signal => "signals".to_owned(),
            Kind::Socket | Kind::SystemV | Kind::Lock | Kind::File | Kind::Directory => slug(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(list: &[(&str, &[Act])]) -> Uses {
        let resource = |name: &str| match name.strip_prefix(':') {
            Some(port) => Resource::Port(port.parse().unwrap()),
            None => Resource::File(name.into()),
        };
        let used = |acts: &[Act]| Used { acts: acts.iter().copied().collect(), errors: BTreeSet::new() };
        Uses { of: list.iter().map(|(name, acts)| (resource(name), used(acts))).collect(), ..Uses::default() }
    }

    #[track_caller]
    fn check(left: &[(&str, &[Act])], right: &[(&str, &[Act])], expected: &[(&str, Weight)]) {
        let variables =
            vec![("HOME".to_owned(), "/home/me".into()), ("XDG_CACHE_HOME".to_owned(), "/home/me/.cache".into())];
        let around = Surrounding { project: "/p".into(), variables };
        let found = shared(&uses(left), &uses(right), &around);
        let shown: Vec<(String, Weight)> = found.iter().map(|shared| (shared.shown(), shared.weight)).collect();
        let expected: Vec<(String, Weight)> =
            expected.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_two_tests_share_is_ordered_by_how_much_it_says() {
        use Act::*;
        use Weight::*;
        check(&[(":80", &[Binds])], &[(":80", &[Binds])], &[("port 80", Strong)]);
        check(&[(":80", &[Binds])], &[(":80", &[Connects])], &[("port 80", Medium)]);
        check(&[(":80", &[Connects])], &[(":80", &[Connects])], &[]);
        check(&[("/p/a", &[Reads])], &[("/p/a", &[Reads])], &[]);
        check(&[("/p/a", &[Writes, Creates])], &[("/p/a", &[Looks])], &[("the file a", Medium)]);
        check(&[("/p/a", &[Writes])], &[("/p/a", &[Removes])], &[("the file a", Strong)]);
        check(&[("/p/a", &[Appends, Creates])], &[("/p/a", &[Appends, Creates])], &[("the file a", Weak)]);
        check(&[("/p/a", &[Replaces])], &[("/p/a", &[Replaces, Reads])], &[("the file a", Weak)]);
        check(
            &[("/p/x/__pycache__/a", &[Writes])],
            &[("/p/x/__pycache__/a", &[Writes])],
            &[("the file x/__pycache__/a", Weak)],
        );
        check(&[("/p/a", &[Locks])], &[("/p/a", &[Locks])], &[("the lock a", Medium)]);
        let database: &[(&str, &[Act])] = &[("/p/db", &[Creates]), ("/p/db/a", &[Writes]), ("/p/db/b/c", &[Writes])];
        check(database, database, &[("the directory db", Strong)]);
        // Files that have only the project in common are shown one by one; what says most comes first.
        let two: &[(&str, &[Act])] = &[("/p/a", &[Writes]), ("/p/b/c", &[Writes]), (":9", &[Binds])];
        check(two, two, &[("port 9", Strong), ("the file a", Strong), ("the file b/c", Strong)]);
        let cached: &[(&str, &[Act])] = &[("/home/me/.cache/x", &[Writes])];
        check(cached, cached, &[("the file /home/me/.cache/x (below XDG_CACHE_HOME)", Strong)]);
    }

    #[test]
    fn a_lock_is_named_after_what_is_shared() {
        let left = uses(&[(":80", &[Act::Binds]), ("/tmp/my socket", &[Act::Binds])]);
        let names: Vec<String> = shared(&left, &left, &Surrounding::default()).iter().map(Shared::lock).collect();
        assert_eq!(names, ["port-80", "tmp-my-socket"]);
    }

    #[test]
    fn a_signal_to_the_other_is_shared() {
        let killer = Uses { signalled: [(7, "SIGTERM".to_owned())].into(), ..Uses::default() };
        let victim = Uses { pids: [7].into(), ..Uses::default() };
        let found = shared(&victim, &killer, &Surrounding::default());
        assert_eq!(
            (found[0].kind, found[0].acts.clone()),
            (Kind::Signal, ["receives it".into(), "sends SIGTERM".into()])
        );
    }
}
