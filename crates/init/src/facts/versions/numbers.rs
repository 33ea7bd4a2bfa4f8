//! Versions whose numbers are on lines of their own: `#define LAMP_VERSION_MAJOR 1`, `set(LAMP_MAJOR_VERSION 1)`.

use super::super::Saw;
use super::headers::{is_of_project, sources};
use super::places::VersionPlace;
use crate::tree::Tree;

/// The files in which build systems keep such lines.
const FILES: [&str; 13] = [
    "CMakeLists.txt",
    "configure.ac",
    "configure.in",
    "Makefile",
    "GNUmakefile",
    "Makefile.am",
    "config.mk",
    "version.cmake",
    "cmake/version.cmake",
    "cmake/Version.cmake",
    "version.mk",
    "VERSION",
    "VERSION.dat",
];
/// What projects call the third number.
const THIRD: [&str; 11] =
    ["patchlevel", "patch", "micro", "subminor", "release", "revision", "bugfix", "build", "tiny", "teeny", "point"];
/// The names of the three numbers.
type Words = [&'static [&'static str]; 3];
const USUAL: Words = [&["major"], &["minor"], &THIRD];
/// As in the Makefile of Linux, and in those that were made like it.
const OF_KERNEL: Words = [&["version"], &["patchlevel"], &["sublevel"]];
/// Parts of names of other versions than that of the project.
const OTHERS: [&str; 9] = ["sover", "soname", "abi", "api", "libtool", "lt_", "require", "minimum", "_min_"];

/// The first lines of each file with the numbers of the project's version.
pub(super) fn places(tree: &Tree, name: &str) -> Vec<VersionPlace> {
    let of_build = FILES.iter().filter_map(|path| Some(((*path).to_owned(), tree.text(path)?)));
    of_build.chain(sources(tree)).filter_map(|(path, text)| in_text(&path, &text, name)).collect()
}

/// True if a version is below another by its numbers: 1.9 is below 1.10.
pub(super) fn is_below(version: &str, other: &str) -> bool {
    of(version) < of(other)
}

/// True if lines of numbers that have one version have another one, too: 0.12.0 is 0.12.
pub(super) fn is_same(version: &str, other: &str) -> bool {
    other.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && of(version) == of(other)
}

/// The numbers of a version, without zeros at the end.
fn of(version: &str) -> Vec<u64> {
    let numbers = version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok());
    let mut numbers: Vec<u64> = numbers.collect();
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    numbers
}

fn in_text(path: &str, text: &str, name: &str) -> Option<VersionPlace> {
    let lines: Vec<Line<'_>> = text.lines().enumerate().filter_map(|(at, line)| Line::read(at + 1, line)).collect();
    let of_kernel = lines.iter().filter(|line| line.name == "version").map(|line| (line, OF_KERNEL));
    let majors = lines.iter().filter(|line| line.is_major(name)).map(|line| (line, USUAL));
    majors.chain(of_kernel).find_map(|(major, [first, second, thirds])| {
        let like = |word: &str| {
            let wanted = major.shape.replace(first[0], word);
            lines.iter().find(|line| line.shape == wanted)
        };
        let minor = second.iter().find_map(|word| like(word))?;
        let third = thirds.iter().find_map(|word| like(word));
        let all: Vec<(&Line<'_>, &str)> = [(Some(major), "{major}"), (Some(minor), "{minor}"), (third, "{patch}")]
            .into_iter()
            .filter_map(|(line, part)| Some((line?, part)))
            .collect();
        Some(VersionPlace {
            path: path.to_owned(),
            lines: all.iter().map(|(line, part)| line.with(part)).collect(),
            version: all.iter().map(|(line, _)| line.value).collect::<Vec<_>>().join("."),
            why: format!("saw {}", Saw::line(path, major.number, major.text)),
            ..VersionPlace::default()
        })
    })
}

/// A line that gives a number to a name.
struct Line<'t> {
    /// From 1.
    number: usize,
    /// Without its indentation.
    text: &'t str,
    /// In small letters.
    name: String,
    value: &'t str,
    /// What is before the number and after it, in small letters, without blanks and comments.
    shape: String,
}

impl<'t> Line<'t> {
    /// What defines a name as a number: `#define NAME 1`, `set(NAME "1")`, `m4_define([NAME], [1])`, `NAME = 1`.
    fn read(number: usize, line: &'t str) -> Option<Line<'t>> {
        let text = line.trim();
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let define = text.strip_prefix('#').map(str::trim_start).and_then(|rest| rest.strip_prefix("define"));
        let rest = match define {
            Some(rest) => rest.strip_prefix([' ', '\t'])?.trim_start(),
            None => {
                let call = text.find('(').filter(|at| {
                    ["set", "m4_define", "define", "ac_subst"]
                        .contains(&text[..*at].trim().to_ascii_lowercase().as_str())
                });
                text[call.map_or(0, |at| at + 1)..].trim_start_matches(|letter: char| " \t[".contains(letter))
            }
        };
        let name = &rest[..rest.find(|letter| !is_of_name(letter))?];
        let rest = rest[name.len()..].trim_start_matches(|letter: char| " \t[](),=:?\"'".contains(letter));
        let value = &rest[..rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len())];
        let is_end = |rest: &str| after(rest).bytes().all(|byte| b"])\"';, \t".contains(&byte));
        let is_number = (1..6).contains(&value.len()) && is_end(&rest[value.len()..]);
        let start = text.len() - rest.len();
        is_number.then(|| Line {
            number,
            text,
            name: name.to_ascii_lowercase(),
            value,
            shape: shape(&text[..start], after(&text[start + value.len()..])),
        })
    }

    /// True if it has the major number of the project's version.
    fn is_major(&self, name: &str) -> bool {
        let own = self.name.as_str();
        if !own.contains("major") {
            return false;
        }
        let before = ["version", "major", "ver", "number", "num"]
            .iter()
            .fold(own.to_owned(), |left, word| left.replace(word, ""));
        let before = before.trim_matches('_');
        !OTHERS.iter().any(|other| own.contains(other))
            && (["", "package", "project", "cpack_package", "release"].contains(&before) || is_of_project(before, name))
    }

    /// The line as a form with this placeholder, without its comment.
    fn with(&self, placeholder: &str) -> String {
        let (before, rest) = self.text.split_at(self.value.as_ptr() as usize - self.text.as_ptr() as usize);
        format!("{before}{placeholder}{}", after(&rest[self.value.len()..]))
    }
}

/// What is after a number, without a comment.
fn after(rest: &str) -> &str {
    let end = ["/*", "//", "#", "dnl "].iter().filter_map(|comment| rest.find(comment)).min().unwrap_or(rest.len());
    rest[..end].trim_end()
}

fn shape(before: &str, after: &str) -> String {
    format!("{before}\0{after}")
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: Option<(&str, &[&str])>) {
        let found = places(&Tree::from_texts([(path, text)]), "liblamp").into_iter().next();
        let found = found.map(|place| (place.version, place.lines));
        let expected = expected
            .map(|(version, lines)| (version.to_owned(), lines.iter().map(|line| (*line).to_owned()).collect()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn numbers_are_found_in_build_files_and_headers() {
        check(
            "CMakeLists.txt",
            "set(LAMP_MAJOR_SOVERSION 3)\nset(LAMP_MINOR_SOVERSION 1)\n\
             set(LAMP_MAJOR_VERSION 3)\nset(LAMP_MINOR_VERSION 13) # next\nset(LAMP_MICRO_VERSION 6)\n",
            Some((
                "3.13.6",
                &[
                    "set(LAMP_MAJOR_VERSION {major})",
                    "set(LAMP_MINOR_VERSION {minor})",
                    "set(LAMP_MICRO_VERSION {patch})",
                ],
            )),
        );
        check(
            "CMakeLists.txt",
            "SET(VERSION_MAJOR \"2\")\nSET(VERSION_MINOR \"0\")\n",
            Some(("2.0", &["SET(VERSION_MAJOR \"{major}\")", "SET(VERSION_MINOR \"{minor}\")"])),
        );
        check(
            "configure.ac",
            "m4_define([lamp_major_version], [1])\nm4_define([lamp_minor_version], [2])\nm4_define([lamp_micro_version], [3])\n",
            Some((
                "1.2.3",
                &[
                    "m4_define([lamp_major_version], [{major}])",
                    "m4_define([lamp_minor_version], [{minor}])",
                    "m4_define([lamp_micro_version], [{patch}])",
                ],
            )),
        );
        check("Makefile", "MAJOR = 1\nMINOR = 4\n", Some(("1.4", &["MAJOR = {major}", "MINOR = {minor}"])));
        check(
            "lib/lamp.h",
            "#define LAMP_VERSION_MAJOR    1    /* breaking */\n#define LAMP_VERSION_MINOR   10 // more\n#define LAMP_VERSION_RELEASE  0\n",
            Some((
                "1.10.0",
                &[
                    "#define LAMP_VERSION_MAJOR    {major}",
                    "#define LAMP_VERSION_MINOR   {minor}",
                    "#define LAMP_VERSION_RELEASE  {patch}",
                ],
            )),
        );
        check(
            "lamp.h",
            "# define LAMP_MAJOR 1\n# define LAMP_MINOR 0\n# define LAMP_PATCH 12\n",
            Some((
                "1.0.12",
                &["# define LAMP_MAJOR {major}", "# define LAMP_MINOR {minor}", "# define LAMP_PATCH {patch}"],
            )),
        );
        check(
            "Makefile",
            "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 4\nEXTRAVERSION =\n",
            Some(("6.12.4", &["VERSION = {major}", "PATCHLEVEL = {minor}", "SUBLEVEL = {patch}"])),
        );
        check(
            "VERSION.dat",
            "MAJOR=3\nMINOR=5\nPATCH=0\nPRE_RELEASE_TAG=dev\n",
            Some(("3.5.0", &["MAJOR={major}", "MINOR={minor}", "PATCH={patch}"])),
        );
        // Of something else, of a template, of no version.
        for (path, text) in [
            ("lamp.h", "#define OTHER_VERSION_MAJOR 1\n#define OTHER_VERSION_MINOR 1\n"),
            ("lamp.h", "#define LAMP_API_VERSION_MAJOR 1\n#define LAMP_API_VERSION_MINOR 1\n"),
            ("lamp.h.in", "#define LAMP_VERSION_MAJOR @MAJOR@\n#define LAMP_VERSION_MINOR @MINOR@\n"),
            ("lamp.h", "#define LAMP_VERSION_MAJOR 1\n"),
            ("lamp.h", "#define LAMP_VERSION_MAJOR 0x1\n#define LAMP_VERSION_MINOR 0x1\n"),
            ("lamp.c", "for (major = v.major; major <= 9; major++) {\nfor (minor = v.minor; minor <= 9; minor++) {\n"),
            ("lamp.c", "print(\"major\", argv[2]);\nprint(\"minor\", argv[2]);\n"),
            ("lamp.h", " *   major: 1\n *   minor: 2\n"),
            ("configure.ac", "MAJOR=$(echo ${V} | cut -f 1)\nMINOR=$(echo ${V} | cut -f 2)\n"),
            ("lamp.h", "#define LAMP_MAJOR 1 + 1\n#define LAMP_MINOR 1 + 2\n"),
            ("CMakeLists.txt", "if(BOOST_VERSION_MAJOR LESS 1)\nif(BOOST_VERSION_MINOR LESS 1)\n"),
        ] {
            check(path, text, None);
        }
        assert!(is_below("1.9.0", "1.10") && !is_below("1.10", "1.9.3") && !is_below("1.2", "1.2"));
        assert!(is_same("0.12.0", "0.12") && !is_same("0.12.0", "0.12rc0") && !is_same("0.1.2", "0.12"));
    }
}
