//! The archives that a project releases already: in options of its build system, and in its release scripts.

use super::{Group, Saw, System};
use crate::tree::Tree;

/// An archive, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFact {
    /// The word of the format, such as `tar.gz`.
    pub format: &'static str,
    /// The name with `{version}`, where a script gives one that is not the usual.
    pub name: Option<String>,
    /// What was seen.
    pub why: String,
}

/// The formats, each with its ending; the longer ones first.
const FORMATS: [(&str, &str); 4] =
    [(".tar.xz", "tar.xz"), (".tar.gz", "tar.gz"), (".tar.bz2", "tar.bz2"), (".zip", "zip")];
/// Variables that hold the version in scripts.
const VARIABLES: [&str; 10] =
    ["VERSION", "version", "TAG", "tag", "VER", "ver", "RELEASE", "PACKAGE_VERSION", "VERS", "1"];
/// Words in the names of archives with programs for one kind of machine, which are not the sources.
const BINARIES: [&str; 21] = [
    "osx", "macos", "darwin", "windows", "win", "linux", "freebsd", "openbsd", "netbsd", "android", "amd64", "x86",
    "x64", "i386", "i686", "arm", "armv7", "aarch64", "riscv64", "musl", "static",
];
/// The largest script that is read.
const LARGEST: usize = 100_000;

/// Scripts of the project that make its releases.
pub(super) fn scripts(tree: &Tree) -> Vec<String> {
    let is_script = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.split('.').next().unwrap_or(name);
        let is_named = [
            "release",
            "make-release",
            "mkrelease",
            "build-release",
            "make_release",
            "do-release",
            "dist",
            "mkdist",
            "make-dist",
            "makedist",
            "do_release",
            "prepare-release",
            "cut-release",
            "maint-release",
        ];
        let ends = ["", ".sh", ".py", ".pl", ".bash"].iter().any(|end| name == format!("{stem}{end}"));
        is_named.contains(&stem) && ends && !path.starts_with(".github/")
    };
    tree.paths()
        .filter(|path| !crate::tree::is_foreign(path) && tree.has(path))
        .filter(is_script)
        .filter(|path| path.matches('/').count() < 3)
        .take(5)
        .map(str::to_owned)
        .collect()
}

/// The archives, the one that the build system makes first. `tag` is the beginning of tags.
pub(super) fn find(tree: &Tree, name: &str, groups: &[Group], scripts: &[String], tag: &str) -> Vec<ArchiveFact> {
    let mut found: Vec<ArchiveFact> = Vec::new();
    let mut add = |fact: ArchiveFact| {
        let twice =
            |other: &ArchiveFact| other.format == fact.format && (other.name == fact.name || fact.name.is_none());
        if !found.iter().any(twice) && found.len() < 6 {
            found.push(fact);
        }
    };
    for script in scripts {
        let Some(text) = tree.text(script).filter(|text| text.len() <= LARGEST) else { continue };
        // A variable that git fills holds the tag.
        let holds_tag = text.contains("git describe") || text.contains("git tag");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
            for (format, pattern) in named(line) {
                let prefix = if holds_tag { tag } else { "" };
                let pattern = pattern.replace("{}", &format!("{prefix}{{version}}"));
                let usual = format!("{name}-{{version}}.{format}");
                let why = format!("saw {}", Saw::line(script, number + 1, line));
                add(ArchiveFact { format, name: (pattern != usual).then_some(pattern), why });
            }
        }
    }
    match groups.first().map(|group| group.system) {
        Some(System::Autotools) => {
            let path = tree.first(&["configure.ac", "configure.in"]).unwrap_or("configure.ac");
            let text = tree.text(path).unwrap_or_default();
            let call = super::calls::calls(&text, "AM_INIT_AUTOMAKE").into_iter().next();
            let options = call.as_ref().map(|call| call.inside.clone()).unwrap_or_default();
            let has = |word: &str| {
                options.split(|letter: char| letter.is_whitespace() || "[](),".contains(letter)).any(|own| own == word)
            };
            let saw =
                call.as_ref().map(|call| Saw::line(path, call.line, &format!("AM_INIT_AUTOMAKE({})", call.inside)));
            let wanted = [(has("dist-xz"), "tar.xz"), (has("dist-bzip2"), "tar.bz2"), (has("dist-zip"), "zip")];
            for (_, format) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
                let why = saw.as_ref().map(|saw| format!("saw {saw}")).unwrap_or_default();
                add(ArchiveFact { format, name: None, why });
            }
            if call.is_some() && !has("no-dist-gzip") {
                add(ArchiveFact { format: "tar.gz", name: None, why: "`make dist` makes a tar.gz".into() });
            }
        }
        Some(System::Python) => add(ArchiveFact { format: "tar.gz", name: None, why: "an sdist is a tar.gz".into() }),
        Some(System::Perl) => {
            add(ArchiveFact { format: "tar.gz", name: None, why: "CPAN takes a tar.gz".into() });
        }
        _ => {}
    }
    found
}

/// The names of archives with a variable for the version in a line: the format, and the name with `{}` for the variable.
fn named(line: &str) -> Vec<(&'static str, String)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "$_{}.+-".contains(letter);
    let words = line.split(|letter: char| !is_part(letter)).filter(|word| word.contains('$'));
    words
        .filter_map(|word| {
            let (end, format) = FORMATS.iter().find(|(end, _)| word.ends_with(end))?;
            let body = word.strip_suffix(end)?;
            let (start, rest) = body.split_once('$')?;
            let (variable, after) = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once('}')?,
                None => {
                    let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
                    rest.split_at(end.unwrap_or(rest.len()))
                }
            };
            let fits = |text: &str| !text.contains(['$', '{', '}']);
            let is_name = start.starts_with(|first: char| first.is_ascii_alphabetic()) && start.len() < 60;
            let is_binary = [start, after].iter().any(|text| {
                let bare = |word: &'_ str| word.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned();
                let lower = text.to_ascii_lowercase();
                lower
                    .split(['-', '_', '.'])
                    .any(|word| BINARIES.iter().any(|known| *known == word || *known == bare(word)))
            });
            (VARIABLES.contains(&variable) && is_name && fits(start) && fits(after) && !is_binary)
                .then(|| (*format, format!("{start}{{}}{after}{end}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_archives_are_read_from_scripts() {
        for (line, expected) in [
            ("zip -r \"$DIR/lamp-$VERSION.zip\" .", "lamp-{}.zip"),
            ("tar caf lamp-${VERSION}-src.tar.xz lamp", "lamp-{}-src.tar.xz"),
            ("cp $x.tar.gz y", ""),
            (
                "upload lamp-$1-macos-arm64.tar.gz lamp-$1-linux64.tar.gz lamp-$1-freebsd32.tar.gz lamp-x86_64-$1.tar.gz",
                "",
            ),
            ("zip lamp-$VERSION-windows.zip lamp-$VERSION.zip", "lamp-{}.zip"),
            ("tar xf lamp-1.0.tar.gz", ""),
            ("sha256sum lamp-$ARCH.tar.gz", ""),
        ] {
            let found: Vec<String> = named(line).into_iter().map(|(_, name)| name).collect();
            assert_eq!(found.join(" "), expected, "{line}");
        }
        let script = "#!/bin/sh\nVERSION=$(git describe)\nzip -X \"lampd-$VERSION.zip\"\n";
        let tree = Tree::from_texts([("tools/build-release.sh", script)]);
        let scripts = scripts(&tree);
        assert_eq!(scripts, ["tools/build-release.sh"]);
        let found = find(&tree, "lamp", &[], &scripts, "v");
        assert_eq!(found[0].name.as_deref(), Some("lampd-v{version}.zip"));
        assert!(found[0].why.contains("tools/build-release.sh:3"));
    }
}
