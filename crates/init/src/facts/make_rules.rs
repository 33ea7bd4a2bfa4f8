//! The rules of a Makefile, as far as they can be read without make.

use std::collections::BTreeMap;

use super::Saw;
use crate::tree::Tree;

/// No more included files than this are read.
const MOST_FILES: usize = 200;

/// A target with a recipe or prerequisites.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Its file.
    pub(super) path: String,
    /// The line of its rule, from 1.
    pub(super) line: usize,
    /// The rule.
    pub(super) rule: String,
    /// The lines of its recipes.
    pub(super) recipe: Vec<String>,
    /// What it needs.
    pub(super) needs: Vec<String>,
}

impl Target {
    /// The rule as evidence.
    pub(super) fn saw(&self) -> Saw {
        Saw::line(&self.path, self.line, &self.rule)
    }
}

/// The targets and texts of a Makefile and of what it includes by plain names.
#[derive(Debug, Clone, Default)]
pub(super) struct Makefile {
    /// Targets by name.
    pub(super) targets: BTreeMap<String, Target>,
    /// The texts of the files that were read.
    pub(super) texts: Vec<(String, String)>,
    /// What make makes where it is called without a target.
    pub(super) first: Option<String>,
}

/// The Makefile that make reads in a directory (empty for the project's own).
pub(super) fn read(tree: &Tree, directory: &str) -> Option<Makefile> {
    let at = |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    // A script of the project's own (autosetup, or by hand) makes the Makefile of its template.
    let names: &[&str] = if directory.is_empty()
        && tree.kind("configure").is_some()
        && tree.first(&["configure.ac", "configure.in"]).is_none()
    {
        &["GNUmakefile", "makefile", "Makefile", "Makefile.in", "main.mk", "Makefile.linux", "Makefile.Linux"]
    } else {
        &["GNUmakefile", "makefile", "Makefile"]
    };
    let path = names.iter().map(|name| at(name)).find(|path| tree.has(path))?;
    let mut makefile = Makefile::default();
    let mut next = vec![path];
    while let Some(path) = next.pop() {
        if makefile.texts.len() >= MOST_FILES || makefile.texts.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let Some(text) = tree.text(&path) else { continue };
        for line in text.lines() {
            let included = ["include ", "-include ", "sinclude "].iter().find_map(|word| line.strip_prefix(word));
            let included =
                included.unwrap_or_default().replace("$(TOP)/", "").replace("$(srcdir)/", "").replace("@srcdir@/", "");
            let names = included.split_whitespace().filter(|name| !name.contains('$'));
            next.extend(names.map(at).filter(|path| tree.has(path)));
        }
        makefile.rules(&path, &text);
        makefile.texts.push((path, text));
    }
    makefile.passed_on(tree, directory);
    Some(makefile)
}

impl Makefile {
    /// Adds the targets of the directories that the Makefile passes unknown ones on to: `.DEFAULT: ; $(MAKE) -C src $@`.
    fn passed_on(&mut self, tree: &Tree, directory: &str) {
        let Some(target) = self.targets.get(".DEFAULT").filter(|_| directory.is_empty()) else { return };
        let words: Vec<&str> = target.recipe.iter().flat_map(|line| line.split_whitespace()).collect();
        let named: Vec<String> =
            words.windows(2).filter(|pair| pair[0] == "-C").map(|pair| pair[1].to_owned()).collect();
        let of_list = ["SUBDIRS", "DIRS"].iter().filter_map(|name| self.value(name)).flatten();
        let directories: Vec<String> = named.into_iter().filter(|name| !name.contains('$')).chain(of_list).collect();
        for other in directories.iter().filter_map(|other| read(tree, other)) {
            for (name, target) in other.targets {
                // What it needs is there, and not here.
                self.targets.entry(name).or_insert(Target { needs: Vec::new(), ..target });
            }
        }
    }

    fn rules(&mut self, path: &str, text: &str) {
        let mut current: Vec<String> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if let Some(command) = line.strip_prefix('\t') {
                for name in &current {
                    if let Some(target) = self.targets.get_mut(name) {
                        target.recipe.push(command.trim().to_owned());
                    }
                }
                continue;
            }
            let code = line.split('#').next().unwrap_or_default();
            let Some((names, rest)) = code.split_once(':') else {
                if !code.trim().is_empty() {
                    current.clear();
                }
                continue;
            };
            let rest = rest.trim_start_matches(':');
            // An assignment, or a variable of a target.
            if rest.starts_with('=') || names.contains(['=', '\t']) || names.trim().is_empty() {
                continue;
            }
            let is_name = |text: &str| {
                let name = text.trim().trim_end_matches([':', '+', '?']).trim();
                let name = name.strip_prefix("export ").unwrap_or(name).trim();
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            };
            let is_variable = rest.split_once('=').is_some_and(|(name, _)| is_name(name));
            current = names.split_whitespace().map(str::to_owned).collect();
            if is_variable {
                current.clear();
                continue;
            }
            for name in &current {
                if self.first.is_none() && !name.starts_with('.') && !name.contains(['%', '$']) {
                    self.first = Some(name.clone());
                }
                let target = self.targets.entry(name.clone()).or_default();
                if target.line == 0 {
                    target.path = path.to_owned();
                    target.line = number + 1;
                    target.rule = line.trim().to_owned();
                }
                let needs = rest.split(';').next().unwrap_or_default().split_whitespace();
                target.needs.extend(needs.filter(|need| *need != "|").map(str::to_owned));
            }
        }
    }

    /// The words that are assigned to a variable, without variables in them; none if it is not assigned, or by a function.
    pub(super) fn value(&self, variable: &str) -> Option<Vec<String>> {
        let mut words: Option<Vec<String>> = None;
        for (_, text) in &self.texts {
            let joined = text.replace("\\\n", " ");
            for line in joined.lines().filter(|line| !line.starts_with('\t')) {
                let Some((name, value)) = line.split('#').next().and_then(|line| line.split_once('=')) else {
                    continue;
                };
                if name.trim().trim_end_matches([':', '+', '?']).trim() != variable {
                    continue;
                }
                if value.contains('$') {
                    return None;
                }
                words.get_or_insert_default().extend(value.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    /// A target that is a rule of its own and not only phony.
    pub(super) fn target(&self, name: &str) -> Option<&Target> {
        self.targets.get(name).filter(|target| !target.recipe.is_empty() || !target.needs.is_empty())
    }

    /// The first line of all texts for which this holds.
    pub(super) fn line(&self, holds: impl Fn(&str) -> bool) -> Option<Saw> {
        self.texts.iter().find_map(|(path, text)| {
            let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
            lines.find(|(_, line)| holds(line)).map(|(number, line)| Saw::line(path, number + 1, line))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_recipes_and_includes_are_read() {
        let tree = Tree::from_texts([
            (
                "Makefile",
                "CC := cc\ninclude more.mk\n.PHONY: check\ncheck: all | x\n\t@./run\nusan: CC = clang\n# no: thing\n\
                 all-runs: $(X:%=run-%)\n",
            ),
            ("more.mk", "units::\n\t./u\n"),
        ]);
        let makefile = read(&tree, "").unwrap();
        let check = makefile.target("check").unwrap();
        assert_eq!(
            (check.line, &check.recipe[..], &check.needs[..]),
            (4, &["@./run".to_owned()][..], &["all".to_owned(), "x".to_owned()][..])
        );
        assert!(
            makefile.target("units").is_some() && makefile.target("usan").is_none() && makefile.target("no").is_none()
        );
        assert!(makefile.target("CC").is_none());
        assert_eq!(makefile.target("all-runs").unwrap().needs, ["$(X:%=run-%)"]);
    }
}
