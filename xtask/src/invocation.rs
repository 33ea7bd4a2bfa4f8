//! How the user called this process: by an alias of cargo, by cargo, or as a program. Hints begin in the same way.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::Place;
use drydock_base::{hint, output};

/// What tells how a process was called.
#[derive(Debug, Clone)]
struct Caller {
    /// The first word of the command line.
    argv0: OsString,
    /// The current directory.
    here: PathBuf,
    /// The file of the running program.
    program: PathBuf,
    /// The package that cargo runs; `None` if another process than cargo started this one.
    package: Option<Package>,
    /// The directory of cargo's own configuration.
    cargo_home: Option<PathBuf>,
}

/// A package, as cargo describes it to the programs that it runs.
#[derive(Debug, Clone)]
struct Package {
    name: String,
    directory: PathBuf,
}

/// The words that call Drydock as this process was called, without the options of the project.
pub(crate) fn program() -> Vec<OsString> {
    let of_cargo = || {
        std::env::var_os("CARGO")?;
        let (name, directory) = (std::env::var("CARGO_PKG_NAME").ok()?, std::env::var_os("CARGO_MANIFEST_DIR")?.into());
        Some(Package { name, directory })
    };
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    Caller {
        argv0: std::env::args_os().next().unwrap_or_default(),
        here: std::env::current_dir().unwrap_or_default(),
        program: std::env::current_exe().unwrap_or_default(),
        package: of_cargo(),
        cargo_home: cargo_home.or_else(home),
    }
    .words()
}

/// Whether steps, and jobs that pass, are not shown.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether the command line asked for little output.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Lets hints name this project, and output be as little as asked for.
pub(crate) fn announce(place: &Place) {
    if place.quiet {
        QUIET.store(true, Ordering::Relaxed);
        output::be_quiet();
    }
    let mut words = program();
    let options = [("--project", &place.project), ("--config", &place.config), ("--state", &place.state)];
    for (option, directory) in options {
        if let Some(directory) = directory {
            words.extend([option.into(), directory.into()]);
        }
    }
    hint::set_invocation(words);
}

impl Caller {
    fn words(&self) -> Vec<OsString> {
        let Some(package) = self.package.as_ref().filter(|_| self.is_run_by_cargo()) else {
            return vec![if self.argv0.is_empty() { "drydock".into() } else { self.argv0.clone() }];
        };
        if let Some(alias) = self.alias(package) {
            return ["cargo", &alias].map(OsString::from).to_vec();
        }
        let manifest = package.directory.join("Cargo.toml").into_os_string();
        let name = self.program.file_name().unwrap_or_default().to_owned();
        let mut words = ["cargo", "run", "--quiet", "--manifest-path"].map(OsString::from).to_vec();
        words.extend([manifest, "--bin".into(), name, "--".into()]);
        words
    }

    /// A process that cargo runs passes cargo's variables on, also to an installed `drydock`.
    fn is_run_by_cargo(&self) -> bool {
        let built = self.program.parent().is_some_and(|profile| {
            [".cargo-lock", ".fingerprint", "deps"].iter().any(|name| profile.join(name).exists())
        });
        built && self.argv0.as_encoded_bytes().contains(&b'/')
    }

    /// An alias that runs this program from the current directory; `xtask` is preferred.
    fn alias(&self, package: &Package) -> Option<String> {
        let mut aliases: Vec<(String, Vec<String>)> = Vec::new();
        let directories =
            self.here.ancestors().map(|directory| directory.join(".cargo")).chain(self.cargo_home.clone());
        for directory in directories {
            let files = ["config.toml", "config"].map(|name| fs::read_to_string(directory.join(name)));
            let Some(config) = files.into_iter().flatten().next() else { continue };
            let Ok(config) = config.parse::<toml::Table>() else { continue };
            let Some(declared) = config.get("alias").and_then(toml::Value::as_table) else { continue };
            for (name, value) in declared {
                // The nearest file has precedence.
                if !aliases.iter().any(|(known, _)| known == name) {
                    aliases.push((name.clone(), alias_words(value)));
                }
            }
        }
        aliases.sort_by_key(|(name, _)| (name != "xtask", name.clone()));
        aliases.into_iter().find(|(_, words)| self.runs_this(words, package)).map(|(name, _)| name)
    }

    /// Whether these words of cargo run this program from the current directory.
    fn runs_this(&self, words: &[String], package: &Package) -> bool {
        let options: Vec<&str> = words.iter().flat_map(|word| word.splitn(2, '=')).collect();
        let value = |names: &[&str]| {
            let at = options.iter().position(|word| names.contains(word))?;
            options.get(at + 1).copied()
        };
        let is_run = options.first().is_some_and(|first| ["run", "r"].contains(first)) && options.last() == Some(&"--");
        let workspace = match value(&["--manifest-path"]) {
            Some(manifest) => self.here.join(manifest).parent().map(Path::to_owned),
            None => self.here.ancestors().find(|directory| directory.join("Cargo.toml").is_file()).map(Path::to_owned),
        };
        let Some(workspace) = workspace.filter(|_| is_run).and_then(|directory| directory.canonicalize().ok()) else {
            return false;
        };
        let named = value(&["-p", "--package"]).is_some_and(|name| name == package.name);
        let program = value(&["--bin"]).is_none_or(|name| self.program.file_name().is_some_and(|file| file == name));
        let own = package.directory.canonicalize().is_ok_and(|directory| directory == workspace);
        program && (own || named && is_workspace_of(&workspace, package))
    }
}

/// The words of an alias of cargo: a list, or a text with spaces.
fn alias_words(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::Array(words) => words.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect(),
        other => other.as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    }
}

/// Whether cargo finds the package from a directory with a manifest: that of the workspace, or of another of its members.
fn is_workspace_of(directory: &Path, package: &Package) -> bool {
    let manifest = |directory: &Path| -> Option<toml::Table> {
        fs::read_to_string(directory.join("Cargo.toml")).ok()?.parse().ok()
    };
    let root = directory.ancestors().find(|above| manifest(above).is_some_and(|table| table.contains_key("workspace")));
    let Some((root, table)) = root.and_then(|root| Some((root, manifest(root)?))) else { return false };
    let excluded = table.get("workspace").and_then(|workspace| workspace.get("exclude")?.as_array().cloned());
    let excluded = excluded.unwrap_or_default();
    let is_excluded =
        excluded.iter().filter_map(|path| path.as_str()).any(|path| directory.starts_with(root.join(path)));
    !is_excluded && package.directory.canonicalize().is_ok_and(|package| package.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with the usual alias, a member, and a directory that does not belong to it.
    struct Workspace(tempfile::TempDir);

    impl Workspace {
        fn new(alias: &str) -> Workspace {
            let root = tempfile::tempdir().unwrap();
            for directory in [".cargo", "xtask/src", "other/src", "examples/foreign", "target/debug/deps"] {
                fs::create_dir_all(root.path().join(directory)).unwrap();
            }
            let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
            write(".cargo/config.toml", &format!("[alias]\nb = \"build\"\n{alias}\n"));
            write("Cargo.toml", "[workspace]\nmembers = [\"xtask\", \"other\"]\nexclude = [\"examples\"]\n");
            for directory in ["xtask", "other", "examples/foreign"] {
                write(&format!("{directory}/Cargo.toml"), "[package]\nname = \"x\"\n");
            }
            Workspace(root)
        }

        fn called_from(&self, here: &str) -> String {
            let root = self.0.path();
            let package = Package { name: "drydock".into(), directory: root.join("xtask") };
            let words = Caller {
                argv0: "target/debug/drydock".into(),
                here: root.join(here).canonicalize().unwrap(),
                program: root.join("target/debug/drydock"),
                package: Some(package),
                cargo_home: None,
            }
            .words();
            drydock_base::exec::paste(&words).replace(root.to_str().unwrap(), "ROOT")
        }
    }

    const USUAL: &str = "xtask = \"run --quiet --package drydock --bin drydock --\"";
    const LONG: &str = "cargo run --quiet --manifest-path ROOT/xtask/Cargo.toml --bin drydock --";

    #[test]
    fn the_alias_is_named_where_it_works() {
        let workspace = Workspace::new(USUAL);
        for here in ["", "other/src", "xtask", "target"] {
            assert_eq!(workspace.called_from(here), "cargo xtask", "{here}");
        }
        for here in ["..", "examples/foreign"] {
            assert_eq!(workspace.called_from(here), LONG, "{here}");
        }
    }

    #[test]
    fn an_alias_by_another_name_or_for_another_program_is_recognised() {
        let called = |alias: &str, here: &str| Workspace::new(alias).called_from(here);
        assert_eq!(called("ship = [\"run\", \"-p\", \"drydock\", \"--\"]", "other"), "cargo ship");
        let by_path = "xtask = \"run --manifest-path ./xtask/Cargo.toml --\"";
        assert_eq!(called(by_path, ""), "cargo xtask");
        assert_eq!(called(by_path, "other"), LONG, "the path begins in the current directory");
        assert_eq!(called("xtask = \"run --package other --\"", ""), LONG);
        assert_eq!(called("xtask = \"run --package drydock --bin other --\"", ""), LONG);
        assert_eq!(called("xtask = \"run --package=drydock --\"", ""), "cargo xtask");
        assert_eq!(called("xtask = \"test --package drydock --\"", ""), LONG);
    }

    #[test]
    fn a_program_is_named_as_it_was_called() {
        let workspace = Workspace::new(USUAL);
        let root = workspace.0.path();
        let caller = |argv0: &str, program: &str, package: bool| Caller {
            argv0: argv0.into(),
            here: root.to_owned(),
            program: root.join(program),
            package: package.then(|| Package { name: "drydock".into(), directory: root.join("xtask") }),
            cargo_home: None,
        };
        // Started by hand, and installed: also below a job of `cargo xtask`, which inherits cargo's variables.
        assert_eq!(caller("target/debug/drydock", "target/debug/drydock", false).words(), ["target/debug/drydock"]);
        assert_eq!(caller("drydock", "usr/bin/drydock", true).words(), ["drydock"]);
        assert_eq!(caller("/usr/bin/drydock", "usr/bin/drydock", true).words(), ["/usr/bin/drydock"]);
        assert_eq!(caller("", "usr/bin/drydock", false).words(), ["drydock"]);
    }
}
