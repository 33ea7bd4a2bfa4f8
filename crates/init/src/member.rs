//! Drydock as a program of the project itself: a package with a `main` of three lines, an alias of cargo, and a pinned version.

use std::path::PathBuf;

use crate::tree::Tree;

/// The packages that Drydock's own workspace optimises in the profile `dev`; profiles of dependencies have no effect.
const OPTIMISED: [&str; 17] = [
    "strsim",
    "granit-parser",
    "quick-xml",
    "memchr",
    "bzip2",
    "flate2",
    "libbz2-rs-sys",
    "liblzma",
    "liblzma-sys",
    "md-5",
    "ruzstd",
    "sha1",
    "sha2",
    "tar",
    "drydock-archive",
    "zlib-rs",
    "drydock-massif",
];

/// Where cargo takes Drydock from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This version in the registry.
    Registry(String),
    /// This commit of a repository.
    Git {
        /// The address.
        url: String,
        /// The commit.
        commit: String,
    },
    /// The package in a directory of this machine.
    Directory(PathBuf),
}

impl Source {
    /// The value of the dependency in a manifest.
    fn dependency(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        match self {
            Source::Registry(version) => quoted(&format!("={version}")),
            Source::Git { url, commit } => format!("{{ git = {}, rev = {} }}", quoted(url), quoted(commit)),
            Source::Directory(path) => format!("{{ path = {} }}", quoted(&path.to_string_lossy())),
        }
    }

    /// The arguments of `cargo install` for the same program; none for a directory, which other machines do not have.
    pub fn install(&self) -> Option<Vec<String>> {
        let words = match self {
            Source::Registry(version) => vec!["--version".to_owned(), format!("={version}"), "drydock".to_owned()],
            Source::Git { url, commit } => {
                vec!["--git".into(), url.clone(), "--rev".into(), commit.clone(), "drydock".into()]
            }
            Source::Directory(_) => return None,
        };
        Some(["install", "--locked"].map(str::to_owned).into_iter().chain(words).collect())
    }
}

/// A package of the project that is Drydock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its directory, which is also the alias.
    pub name: &'static str,
    /// The files.
    pub files: Vec<(String, String)>,
    /// What the user has to add by hand to files of their own, one sentence each.
    pub by_hand: Vec<String>,
}

/// The package for a project: `xtask`, or `drydock` where the project has an xtask of its own.
pub fn member(tree: &Tree, source: &Source) -> Member {
    let is_taken = |name: &str| tree.has_directory(name) && !is_ours(tree, name);
    let name = if is_taken("xtask") { "drydock" } else { "xtask" };
    // Patterns of the workspace that include the directory make it a member; a workspace of its own would be a second root.
    let is_member = is_member(tree, name);
    let own = format!(
        "\n# A workspace of its own, so that Cargo.lock of the project stays as it is.\n[workspace]\n\n\
         # What compresses, sums and reads: unoptimised, a release would take minutes.\n[profile.dev.package]\n{}",
        OPTIMISED.map(|name| format!("{name} = {{ opt-level = 3 }}\n")).concat()
    );
    let manifest = format!(
        "# Written by init: Drydock as `cargo {name}`, at one version for everybody who works on the project.\n[package]\n\
         name = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\ndrydock = {}\n{}",
        source.dependency(),
        if is_member { "" } else { &own },
    );
    let main = "fn main() -> std::process::ExitCode {\n    drydock::main()\n}\n";
    let alias = format!("{name} = \"run --quiet --manifest-path {name}/Cargo.toml --\"");
    let mut files = vec![(format!("{name}/Cargo.toml"), manifest), (format!("{name}/src/main.rs"), main.to_owned())];
    let mut by_hand = Vec::new();
    let config = "[alias]\n".to_owned() + &alias + "\n";
    match tree.first(&[".cargo/config.toml", ".cargo/config"]) {
        Some(path) if tree.text(path).as_deref() != Some(config.as_str()) => {
            let text = tree.text(path).unwrap_or_default();
            if !text.contains(&alias) {
                by_hand.push(format!("{path} exists, and is kept as it is; add to its table [alias]: {alias}"));
            }
        }
        _ => files.push((".cargo/config.toml".to_owned(), config)),
    }
    if !is_member && !tree.text(".gitignore").unwrap_or_default().lines().any(|line| line.trim_matches('/') == "target")
    {
        files.push((format!("{name}/.gitignore"), "/target\n".to_owned()));
    }
    Member { name, files, by_hand }
}

/// True if the directory is what an earlier call wrote.
fn is_ours(tree: &Tree, name: &str) -> bool {
    tree.text(&format!("{name}/src/main.rs")).is_some_and(|text| text.contains("drydock::main()"))
}

/// True if the workspace at the top has the directory as a member.
fn is_member(tree: &Tree, name: &str) -> bool {
    let manifest: Option<toml::Table> = tree.text("Cargo.toml").and_then(|text| text.parse().ok());
    let workspace = manifest.as_ref().and_then(|table| table.get("workspace")?.as_table());
    let list = |key: &str| -> Vec<&str> {
        let list = workspace.and_then(|table| table.get(key)?.as_array());
        list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
    };
    list("members").iter().any(|member| [name, "*", "./*"].contains(member)) && !list("exclude").contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_optimises_what_the_workspace_does() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")).unwrap();
        let workspace: toml::Table = text.parse().unwrap();
        let mut own: Vec<&str> =
            workspace["profile"]["dev"]["package"].as_table().unwrap().keys().map(String::as_str).collect();
        let mut written = OPTIMISED.to_vec();
        own.sort_unstable();
        written.sort_unstable();
        assert_eq!(written, own);
        let member = member(&Tree::from_texts([("Makefile", "")]), &Source::Registry("1.2.0".into()));
        let manifest: toml::Table = member.files[0].1.parse().unwrap();
        assert_eq!(manifest["profile"]["dev"]["package"]["liblzma-sys"]["opt-level"].as_integer(), Some(3));
    }

    #[test]
    fn the_package_fits_the_project() {
        let source = Source::Registry("1.2.0".into());
        let of = |texts: &[(&str, &str)]| member(&Tree::from_texts(texts.iter().copied()), &source);
        let paths = |member: &Member| member.files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        let plain = of(&[("Makefile", "")]);
        assert_eq!(paths(&plain), ["xtask/Cargo.toml", "xtask/src/main.rs", ".cargo/config.toml", "xtask/.gitignore"]);
        let manifest: toml::Table = plain.files[0].1.parse().unwrap();
        assert_eq!(manifest["dependencies"]["drydock"].as_str(), Some("=1.2.0"));
        assert!(manifest.contains_key("workspace"));
        let globbed = of(&[("Cargo.toml", "[workspace]\nmembers = [\"*\"]\n"), (".gitignore", "/target/\n")]);
        assert!(!globbed.files[0].1.contains("[workspace]") && globbed.files.len() == 3);
        let taken = of(&[("xtask/Cargo.toml", "[package]\n"), (".cargo/config.toml", "[alias]\nxtask = \"run\"\n")]);
        assert_eq!(paths(&taken), ["drydock/Cargo.toml", "drydock/src/main.rs", "drydock/.gitignore"]);
        assert!(taken.by_hand[0].contains("add to its table [alias]: drydock = "), "{:?}", taken.by_hand);
        let again = of(&[("xtask/src/main.rs", &plain.files[1].1), (".cargo/config.toml", &plain.files[2].1)]);
        assert_eq!((again.name, again.by_hand.len()), ("xtask", 0));
        let git = Source::Git { url: "https://example.org/d".into(), commit: "abc".into() };
        assert_eq!(git.dependency(), "{ git = \"https://example.org/d\", rev = \"abc\" }");
        assert!(Source::Directory("/x".into()).install().is_none());
    }
}
