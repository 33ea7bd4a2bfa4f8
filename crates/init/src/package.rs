//! `packaging/debian` for a project that has no Debian package: what its build system, its licence and its first lines tell.

use crate::facts::debian::{DebianFacts, is_address};
use crate::facts::systems::generators;
use crate::facts::{Facts, System};
use crate::tree::Tree;

/// The directory, relative to the project.
pub const DIRECTORY: &str = "packaging/debian";
/// Names of licences, the usual ones first.
const LICENCES: [&str; 12] = [
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "LICENCE",
    "COPYING",
    "COPYING.md",
    "COPYING.txt",
    "LICENSE-MIT",
    "LICENSE.MIT",
    "license.txt",
    "License.txt",
    "UNLICENSE",
];
/// Parts of the texts of licences, with the short name in `debian/copyright`.
const SHORT: [(&str, &str); 12] = [
    ("apache license", "Apache-2.0"),
    ("gnu affero general public license", "AGPL-3"),
    ("gnu lesser general public license", "LGPL-2.1+"),
    ("gnu library general public license", "LGPL-2+"),
    ("gnu general public license", "GPL"),
    ("mozilla public license", "MPL-2.0"),
    ("permission is hereby granted, free of charge", "Expat"),
    ("permission to use, copy, modify, and/or distribute this software", "ISC"),
    ("permission to use, copy, modify, and distribute this software", "ISC"),
    ("neither the name", "BSD-3-clause"),
    ("redistributions in binary form", "BSD-2-clause"),
    ("boost software license", "BSL-1.0"),
];

/// The files, each with whether it is executable; or why there are none.
///
/// # Errors
/// The reason, as the end of a sentence about the package.
pub fn files(facts: &Facts, tree: &Tree) -> Result<Vec<(&'static str, String, bool)>, &'static str> {
    let Some(group) = facts.groups.first() else { return Err("no build system was found") };
    let (build_system, tools): (&str, &[&str]) = match group.system {
        System::Meson => ("meson", &["meson"]),
        System::Cmake => ("cmake", &["cmake"]),
        System::Autotools => ("autoconf", &[]),
        System::Make => ("makefile", &[]),
        System::Cargo => return Err("a program in Rust needs its crates in the package, which `deb.vendor` declares"),
        System::Perl => {
            return Err("modules in Perl are split and named by rules of their own, which dh-make-perl knows");
        }
        System::Python => {
            ("pybuild", &["dh-python", "python3-all-dev", "python3-setuptools", "pybuild-plugin-pyproject"])
        }
    };
    let package = name(&facts.name.0);
    let mut needs: Vec<String> = vec!["debhelper-compat (= 13)".into()];
    needs.extend(tools.iter().map(|tool| (*tool).to_owned()));
    needs.extend(group.programs.iter().map(|(_, package)| (*package).to_owned()).filter(|name| {
        // The sources of a release have what the other programs make, and every chroot has a compiler.
        generators::is_package(name) || ["dejagnu", "bmake"].contains(&name.as_str())
    }));
    let libraries = facts.packages.iter().filter(|package| package.name.ends_with("-dev"));
    needs.extend(libraries.map(|package| package.name.clone()));
    needs.extend(
        facts
            .generators
            .iter()
            .filter(|generator| !generator.copies)
            .flat_map(|generator| generator.needs.iter().filter(|name| *name != "make").cloned()),
    );
    needs.sort();
    needs.dedup();
    let maintainer = facts.git.author.clone().filter(|author| is_address(author));
    let maintainer = maintainer.unwrap_or_else(|| "A Name <name@example.org>".to_owned());
    let (short, long) = description(tree, &package);
    let source = facts.git.on_github().map(|(owner, name)| format!("Homepage: https://github.com/{owner}/{name}\n"));
    let python = group.system == System::Python;
    let depends = if python {
        "${python3:Depends}, ${shlibs:Depends}, ${misc:Depends}"
    } else {
        "${shlibs:Depends}, ${misc:Depends}"
    };
    let binary =
        if python && !package.starts_with("python3-") { format!("python3-{package}") } else { package.clone() };
    let control = format!(
        "Source: {package}\nSection: misc\nPriority: optional\nMaintainer: {maintainer}\nBuild-Depends: {}\n\
         Standards-Version: 4.6.2\n{}Rules-Requires-Root: no\n\nPackage: {binary}\nArchitecture: any\nDepends: {depends}\n\
         Description: {short}\n{long}",
        needs.join(",\n "),
        source.unwrap_or_default(),
    );
    let with = if python { " --with python3" } else { "" };
    let mut rules = format!(
        "#!/usr/bin/make -f\n# Written by init: {} builds everything, and all that it installs is in one package.\n\n%:\n\
         \tdh $@ --buildsystem={build_system}{with}\n",
        group.system.name()
    );
    if group.system == System::Make {
        rules.push_str(&format!(
            "\noverride_dh_auto_install:\n\tdh_auto_install --destdir=debian/{package} -- PREFIX=/usr prefix=/usr\n"
        ));
    } else if !python {
        rules.push_str(&format!("\noverride_dh_auto_install:\n\tdh_auto_install --destdir=debian/{package}\n"));
    }
    Ok(vec![
        ("packaging/debian/control", control, false),
        ("packaging/debian/rules", rules, true),
        ("packaging/debian/copyright", copyright(facts, tree), false),
    ])
}

/// The facts about a package whose files are these.
pub fn facts() -> DebianFacts {
    DebianFacts { directory: DIRECTORY.to_owned(), maintainer: None, revision: None, distribution: None }
}

/// A name as Debian's policy has it.
fn name(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    let name: String =
        name.chars().map(|letter| if fits(letter) { letter.to_ascii_lowercase() } else { '-' }).collect();
    let name = name.trim_matches(['-', '.', '+']).to_owned();
    if name.len() < 2 { format!("{name}-project") } else { name }
}

/// The first line of a description, and the others as `control` has them.
fn description(tree: &Tree, package: &str) -> (String, String) {
    let readme = tree.first(&["README.md", "README", "README.rst", "README.txt", "readme.md", "Readme.md"]);
    let text = readme.and_then(|path| tree.text(path)).unwrap_or_default();
    let is_prose = |line: &&str| {
        let first = line.trim_start();
        first.len() > 20
            && first.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && first.is_ascii()
            && !first.contains(['<', '[', '{', '|', '`'])
            && first.contains(' ')
            && !first.contains("://")
    };
    let paragraph: Vec<&str> = text
        .split("\n\n")
        .map(|paragraph| paragraph.lines().collect::<Vec<_>>())
        .find(|lines| lines.first().is_some_and(is_prose))
        .unwrap_or_default();
    let words = paragraph.join(" ");
    let words: Vec<&str> = words.split_whitespace().filter(|word| word.is_ascii()).take(60).collect();
    let mut short = String::new();
    for word in &words {
        if short.len() + word.len() > 58 {
            break;
        }
        short.push_str(if short.is_empty() { "" } else { " " });
        short.push_str(word);
    }
    let short = short.trim_end_matches(['.', ',', ';', ':']).to_owned();
    if short.is_empty() {
        return (format!("{package}, as its authors release it"), format!(" This is {package}.\n"));
    }
    let mut long = String::new();
    let mut row = String::new();
    for word in words {
        if row.len() + word.len() > 76 {
            long.push_str(&format!(" {row}\n"));
            row.clear();
        }
        row.push_str(if row.is_empty() { "" } else { " " });
        row.push_str(word);
    }
    long.push_str(&format!(" {row}\n"));
    (short, long)
}

/// `debian/copyright` with the text of the project's licence, or with a note that none was found.
fn copyright(facts: &Facts, tree: &Tree) -> String {
    let path = tree.first(&LICENCES);
    let text = path.and_then(|path| tree.text(path)).unwrap_or_default();
    let lower = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let short = SHORT.iter().find(|(part, _)| lower.contains(part)).map_or("other", |(_, short)| short);
    let holders: Vec<&str> = text
        .lines()
        .map(|line| line.trim().trim_start_matches(['*', '#', '/', ' ']))
        .filter(|line| line.to_lowercase().starts_with("copyright") && line.bytes().any(|byte| byte.is_ascii_digit()))
        .take(20)
        .map(|line| line["copyright".len()..].trim_start_matches(['(', ')', 'c', 'C', ':', ' ', '\u{a9}']).trim())
        .filter(|line| !line.is_empty())
        .collect();
    let own = format!("the authors of {}", facts.name.0);
    let holders = if holders.is_empty() { own } else { holders.join("\n           ") };
    let body: String = if text.trim().is_empty() {
        " No file with a licence was found in the sources.\n".to_owned()
    } else {
        let line =
            |line: &str| if line.trim().is_empty() { " .\n".to_owned() } else { format!(" {}\n", line.trim_end()) };
        text.lines().take(1000).map(line).collect()
    };
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: {}\n\n\
         Files: *\nCopyright: {holders}\nLicense: {short}\n\nLicense: {short}\n{body}",
        facts.name.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::GitFacts;

    #[test]
    fn a_package_is_written_from_build_system_licence_and_readme() {
        let tree = Tree::from_texts([
            ("CMakeLists.txt", "project(Big_Lamp C)\n"),
            ("README.md", "# Lamp\n\nA library that switches lamps on and off, also in the dark.\n\nMore.\n"),
            ("LICENSE", "Copyright (c) 2020 A Name\n\nPermission is hereby granted, free of charge, to any\n"),
            (".github/workflows/a.yml", "- run: apt install zlib1g-dev ninja-build\n"),
        ]);
        let facts = Facts::find(&tree, &GitFacts::default());
        let files = files(&facts, &tree).unwrap();
        let control = &files[0].1;
        for wanted in [
            "Source: big-lamp\n",
            "Build-Depends: cmake,\n debhelper-compat (= 13),\n zlib1g-dev\n",
            "Description: A library that switches lamps on and off, also in the dark\n",
        ] {
            assert!(control.contains(wanted), "{wanted} is not in\n{control}");
        }
        assert!(files[1].1.contains("dh $@ --buildsystem=cmake") && files[1].2);
        let autotools = "AC_INIT([lamp], [1.0])\nAC_PROG_LEX([noyywrap])\nAC_PROG_YACC\nAM_INIT_AUTOMAKE\n";
        let tree = Tree::from_texts([("configure.ac", autotools), ("Makefile.am", "bin_PROGRAMS = lamp\n")]);
        let control = super::files(&Facts::find(&tree, &GitFacts::default()), &tree).unwrap().swap_remove(0).1;
        assert!(control.contains("Build-Depends: bison,\n debhelper-compat (= 13),\n flex\n"), "{control}");
        let copyright = &files[2].1;
        assert!(copyright.contains("Copyright: 2020 A Name\nLicense: Expat\n"), "{copyright}");
        assert!(copyright.contains("\n .\n Permission"), "{copyright}");
    }
}
