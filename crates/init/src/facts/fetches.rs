//! Recipes of make, and calls of CMake, that take something from the network while the project is built.

use std::collections::BTreeSet;

use super::calls::calls;
use super::make_rules;
use super::systems::part;
use super::{Group, Saw};
use crate::tree::Tree;

/// Parts of recipes that take packages from the network.
const PACKAGES: [&str; 8] =
    ["cargo build", "$(CARGO) build", "${CARGO} build", "go build", "npm ci", "npm install", "pip install", "uv sync"];
/// Beginnings of commands that take files from there.
const FILES: [&str; 3] = ["curl ", "wget ", "git clone "];

/// A rule, or, without names, what stands outside of rules.
#[derive(Debug, Default)]
struct Rule {
    path: String,
    names: Vec<String>,
    /// What it needs, or the lines outside of rules, as they are written.
    needs: String,
    /// The lines of the recipe, from 1.
    recipe: Vec<(usize, String)>,
}

/// The first recipe that the build of a directory (empty for the project's own) may come to and that takes something from the
/// network, unless the project ships it.
///
/// A target by a plain name that nothing mentions on the way from what make builds by default, such as one that deploys, is
/// left out.
pub(super) fn find(tree: &Tree, directory: &str) -> Option<Saw> {
    if ["vendor", "node_modules"].iter().any(|directory| tree.has_directory(directory)) {
        return None;
    }
    let makefile = make_rules::read(tree, directory)?;
    let mut texts = makefile.texts;
    let mut waiting: Vec<&str> = tree.with_extension(&["Makefile", ".mk"]).collect();
    waiting.retain(|path| !texts.iter().any(|(known, _)| known == path));
    let mut rules: Vec<Rule> = texts.iter().flat_map(|(path, text)| parsed(path, text)).collect();
    let mut words: BTreeSet<String> = makefile.first.into_iter().chain(["all".to_owned()]).collect();
    let mut reached: Vec<Rule> = Vec::new();
    loop {
        let (now, later): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(|rule| rule.is_reached(&words));
        rules = later;
        now.iter().for_each(|rule| rule.mentions(&mut words));
        let is_new = !now.is_empty();
        reached.extend(now);
        // Make may be called in another directory, or include a file whose name is put together.
        let named = |path: &&str| {
            let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
            let is_named = |name: &str| !name.is_empty() && words.contains(name);
            is_named(directory)
                || is_named(directory.rsplit('/').next().unwrap_or_default())
                || file != "Makefile" && is_named(file)
        };
        let (found, rest): (Vec<&str>, Vec<&str>) = waiting.into_iter().partition(named);
        waiting = rest;
        for path in &found {
            texts.push(((*path).to_owned(), tree.text(path).unwrap_or_default()));
            // Which of its targets is called there is not known.
            let all = texts.last().into_iter().flat_map(|(path, text)| parsed(path, text));
            rules.extend(all.map(|rule| Rule { names: Vec::new(), ..rule }));
        }
        if !is_new && found.is_empty() {
            break;
        }
    }
    let mut lines = reached.iter().flat_map(|rule| rule.recipe.iter().map(|line| (&rule.path, line)));
    lines.find(|(_, (_, line))| is_fetch(line)).map(|(path, (number, line))| Saw::line(path, *number, line))
}

/// Where CMake takes sources from the network while it configures or builds, in what is built by default.
pub(super) fn of_cmake(tree: &Tree, group: &Group) -> Option<Saw> {
    // Where an option switched the tests on, they are not built by default.
    let switches =
        |word: &String| word.starts_with("-D") && word.to_ascii_uppercase().contains("TEST") && word.ends_with("=ON");
    let is_default = !group.jobs.iter().any(|job| job.name == "configure" && job.run.iter().any(switches));
    let start = if group.directory.is_empty() { String::new() } else { format!("{}/", group.directory) };
    let is_built = |path: &&str| {
        let Some(own) = path.strip_prefix(&start) else { return false };
        let directory = own.rsplit_once('/').map_or("", |(directory, _)| directory);
        let is_of_tests = directory.split('/').any(|part| ["test", "tests"].contains(&part));
        !part::is_beside(directory) || is_of_tests && is_default
    };
    let files = tree.named("CMakeLists.txt").into_iter().chain(tree.with_extension(&[".cmake"])).filter(is_built);
    files.take(200).find_map(|path| {
        let text = tree.text(path)?;
        ["FetchContent_Declare", "ExternalProject_Add", "CPMAddPackage"].iter().find_map(|name| {
            let is_remote =
                |inside: &str| ["http", "git@", "GITHUB_REPOSITORY", "gh:"].iter().any(|sign| inside.contains(sign));
            let call = calls(&text, name).into_iter().find(|call| is_remote(&call.inside))?;
            Some(Saw::line(path, call.line, &format!("{name}({})", call.inside)))
        })
    })
}

/// True for a line of a recipe that takes something from the network.
fn is_fetch(line: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches(['@', '-', '+', ' ', '\t', '(']).to_owned();
    if bare(line).starts_with("echo ") {
        return false;
    }
    let mut commands = line.split(['&', ';', '|']).map(bare);
    PACKAGES.iter().any(|call| line.contains(call))
        || commands.any(|command| {
            let command =
                ["then ", "do ", "else "].iter().find_map(|word| command.strip_prefix(word)).unwrap_or(&command);
            FILES.iter().any(|call| command.starts_with(call))
        })
}

fn parsed(path: &str, text: &str) -> Vec<Rule> {
    let rule = || Rule { path: path.to_owned(), ..Rule::default() };
    let mut rules: Vec<Rule> = Vec::new();
    let mut continued = false;
    for (number, line) in text.lines().enumerate() {
        let was_continued = continued;
        continued = line.ends_with('\\');
        match rules.last_mut() {
            Some(last) if line.starts_with('\t') && (!last.names.is_empty() || !last.recipe.is_empty()) => {
                last.recipe.push((number + 1, line.to_owned()));
                continue;
            }
            Some(last) if was_continued => {
                last.needs.push_str(&format!("\n{line}"));
                continue;
            }
            _ => {}
        }
        let code = line.split('#').next().unwrap_or_default();
        if code.trim().is_empty() {
            continue;
        }
        let names = code.split_once(':').filter(|(names, rest)| !names.contains('=') && !rest.starts_with('='));
        rules.push(match names {
            Some((names, _)) if names.trim().starts_with(".PHONY") => continue,
            Some((names, rest)) => {
                let names = names.split_whitespace().map(str::to_owned).collect();
                // `a: b ; command`
                let recipe = rest.split_once(';').map(|(_, command)| (number + 1, command.to_owned()));
                Rule { names, needs: rest.to_owned(), recipe: recipe.into_iter().collect(), ..rule() }
            }
            None => Rule { needs: code.to_owned(), ..rule() },
        });
    }
    rules
}

impl Rule {
    /// True if one of its targets is mentioned, or if their names are only known to make.
    fn is_reached(&self, words: &BTreeSet<String>) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name.contains(['$', '%']) || words.contains(name))
    }

    /// Adds the words that it mentions: targets, directories and files.
    fn mentions(&self, words: &mut BTreeSet<String>) {
        let calls =
            self.recipe.iter().map(|(_, line)| line).filter(|line| line.contains("MAKE") || line.contains("make"));
        for line in calls.chain([&self.needs]) {
            let is_end = |letter: char| !letter.is_ascii_alphanumeric() && !"_-./".contains(letter);
            words.extend(line.split(is_end).map(|word| word.trim_matches('/').to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(makefile: &str) -> Option<usize> {
        let more = [("a.c", ""), ("tools/Makefile", "x:\n\tpip install y\n")];
        let tree = Tree::from_texts([("Makefile", makefile)].into_iter().chain(more));
        find(&tree, "").and_then(|saw| saw.line)
    }

    #[test]
    fn what_cmake_fetches_by_default_counts() {
        let fetch = "FetchContent_Declare(check GIT_REPOSITORY https://example.org/check.git)\n";
        let found = |path: &str, top: &str| {
            let own = format!("project(a C)\nenable_testing()\nadd_test(a a)\n{top}");
            let own = if path == "CMakeLists.txt" { format!("{own}{fetch}") } else { own };
            let files =
                [("CMakeLists.txt", own.as_str()), (path, if path == "CMakeLists.txt" { own.as_str() } else { fetch })];
            let facts = crate::facts::Facts::find(&Tree::from_texts(files), &crate::facts::GitFacts::default());
            facts.fetches.map(|saw| saw.path)
        };
        assert_eq!(found("CMakeLists.txt", "").as_deref(), Some("CMakeLists.txt"));
        assert_eq!(found("tests/CMakeLists.txt", "").as_deref(), Some("tests/CMakeLists.txt"));
        assert_eq!(found("tests/CMakeLists.txt", "option(A_BUILD_TESTS \"tests\" OFF)\n"), None);
        assert_eq!(found("bench/CMakeLists.txt", ""), None);
        assert_eq!(
            found("cmake/x.cmake", "ExternalProject_Add(local SOURCE_DIR x)\n").as_deref(),
            Some("cmake/x.cmake")
        );
    }

    #[test]
    fn only_what_the_build_comes_to_counts() {
        for (makefile, expected) in [
            ("all: a\na: a.c\n\tcc a.c\nplugin:\n\t$(CARGO) build\n", None),
            ("all: a plugin\nplugin:\n\t$(CARGO) build\n", Some(3)),
            ("all: a\nPLUGINS += plugin\nplugin: | x\n\tcargo build\n", Some(4)),
            ("all: a\nplugins/%: %.rs\n\tcargo build\n", Some(3)),
            ("all:\n\t+$(MAKE) plugin\nplugin:\n\tcargo build\n", Some(4)),
            ("lamp: $(OBJS)\n\ndeploy: lamp\n\tcurl -T lamp https://example.org\n", None),
            ("lamp: data.h\n\ndata.h:\n\t@test -f x || curl -o $@ https://example.org\n", Some(4)),
            ("lamp: a.o\n\techo 'run pip install z'\n\tcurl-config --libs\n", None),
            ("lamp: a.o\n\t$(MAKE) -C tools\n", Some(2)),
            (".PHONY: all plugin\nall: a\nplugin:\n\tcargo build\n", None),
        ] {
            assert_eq!(found(makefile), expected, "{makefile}");
        }
    }
}
