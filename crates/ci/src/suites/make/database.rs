//! What `make -n -p --trace` prints: first each target that it would make and the lines that it would run for it, then its data
//! base with all rules.

use std::collections::{BTreeMap, HashMap};

/// Rules, and what make would run.
#[derive(Debug, Default)]
pub(super) struct Database<'a> {
    /// The rules by their targets.
    pub(super) rules: HashMap<&'a str, Rule<'a>>,
    /// The lines that make would run for each target that it would make.
    pub(super) runs: BTreeMap<&'a str, Vec<String>>,
    /// The shell and its options, with which make runs a line; none if lines cannot be run without make.
    pub(super) shell: Option<Vec<String>>,
    /// The lines with variables.
    variables: Vec<&'a str>,
}

/// A rule.
#[derive(Debug, Default)]
pub(super) struct Rule<'a> {
    /// Its prerequisites.
    pub(super) needs: Vec<&'a str>,
    /// True if it has a recipe.
    pub(super) has_recipe: bool,
    /// True if `.PHONY` names it.
    pub(super) phony: bool,
    /// True if its recipe has something that the dry run does not show: variables of its own, which may be exported, errors that
    /// are ignored, make itself, or text that is printed while make reads the recipe.
    pub(super) only_by_make: bool,
    /// True if it has variables of its own, which count for all that is made for it.
    pub(super) has_variables: bool,
    /// True if its recipe asks for all its prerequisites (`$^`, `$+`, `$?`), so that another one would change it.
    pub(super) asks_for_needs: bool,
    /// The number of lines of its recipe, those that go on counted once.
    pub(super) lines: usize,
}

/// What begins the data base.
const BEGIN: &str = "# Make data base, printed on ";
/// Special targets with which lines run in another way.
const CHANGE_LINES: [&str; 3] = [".ONESHELL", ".POSIX", ".IGNORE"];
/// The ways in which a recipe asks for all prerequisites.
const ALL_NEEDS: [char; 3] = ['^', '+', '?'];

/// Reads both.
///
/// # Errors
/// There is no data base, or it cannot be told whose: a make that this one calls prints another.
pub(super) fn read(text: &str) -> Result<Database<'_>, &'static str> {
    let (outer, entered) = outer(text);
    if text.lines().filter(|line| line.starts_with(BEGIN)).count() > entered + 1 {
        return Err(
            "make calls make without saying in which directory; leave out `--no-print-directory`, or let one job run all",
        );
    }
    within(&outer).ok_or("it has no data base of make")
}

fn within<'a>(outer: &[&'a str]) -> Option<Database<'a>> {
    let runs_end = outer.iter().position(|line| line.starts_with(BEGIN))?;
    // The licence of make stands before it.
    let is_text = |line: &&str| !line.is_empty() && !line.starts_with("# ");
    let run = outer[..runs_end].iter().rposition(is_text).map_or(0, |last| last + 1);
    let mut database = Database { runs: runs(&outer[..run]), ..Database::default() };
    // A recipe may print the same words.
    let files = runs_end + outer[runs_end..].iter().position(|line| *line == "# Files")?;
    database.rules(&outer[files + 1..]);
    // Variables of all targets whose names fit a pattern.
    let patterns =
        outer[runs_end..files].iter().skip_while(|line| **line != "# Pattern-specific Variable Values").skip(1);
    let patterns = patterns.take_while(|line| !line.starts_with("# Directories"));
    for pattern in patterns.filter_map(|line| line.strip_suffix(" :").filter(|line| !line.starts_with('#'))) {
        let (before, after) = pattern.split_once('%').unwrap_or((pattern, ""));
        let fits = |name: &str| name.len() + 1 >= pattern.len() && name.starts_with(before) && name.ends_with(after);
        database.rules.iter_mut().filter(|(name, _)| fits(name)).for_each(|(_, rule)| rule.has_own_variables());
    }
    database.variables = outer[runs_end..files].to_vec();
    let changed = CHANGE_LINES.iter().any(|name| database.rules.contains_key(name));
    let shell = database
        .variable("SHELL")
        .filter(|shell| ["sh", "bash", "dash"].contains(&shell.rsplit('/').next().unwrap_or_default()));
    let flags = database.variable(".SHELLFLAGS").filter(|flags| !flags.contains('$') && flags.ends_with('c'));
    database.shell = shell
        .zip(flags)
        .filter(|_| !changed)
        .map(|(shell, flags)| [shell].into_iter().chain(flags.split_whitespace()).map(str::to_owned).collect());
    Some(database)
}

/// The lines that make would run for each target, from a dry run without a data base.
pub(super) fn traced_runs(text: &str) -> BTreeMap<&str, Vec<String>> {
    runs(&outer(text).0)
}

/// The lines of make itself, without those of makes that it calls, and the number of these: they run even in a dry run.
fn outer(text: &str) -> (Vec<&str>, usize) {
    let (mut depth, mut entered) = (0_usize, 0);
    let mut kept = Vec::new();
    for line in text.lines() {
        // Beside a data base, make 4.3 makes a comment of it.
        let line_of_make = line.strip_prefix("# ").unwrap_or(line);
        let said = line_of_make.strip_prefix("make[").and_then(|rest| rest.split_once("]: ")).map(|(_, said)| said);
        match said {
            Some(said) if said.starts_with("Entering directory ") => {
                depth += 1;
                entered += 1;
            }
            Some(said) if said.starts_with("Leaving directory ") => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(line),
            _ => {}
        }
    }
    (kept, entered)
}

/// The target of a line of the trace: `Makefile:3: update target 'x' due to: y`, `Makefile:3: target 'x' does not exist`.
fn traced(line: &str) -> Option<&str> {
    let (place, rest) = line.split_once(": update target '").or_else(|| line.split_once(": target '"))?;
    let number = place.rsplit(':').next().unwrap_or_default();
    if place != "<builtin>" && (number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    rest.split_once("' due to: ").or_else(|| rest.split_once("' does not exist")).map(|(name, _)| name)
}

/// The lines of each target.
fn runs<'a>(lines: &[&'a str]) -> BTreeMap<&'a str, Vec<String>> {
    let mut runs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut current: Option<&str> = None;
    let mut goes_on = false;
    for line in lines {
        if let Some(name) = traced(line) {
            runs.entry(name).or_default();
            (current, goes_on) = (Some(name), false);
            continue;
        }
        let Some(lines) = current.and_then(|name| runs.get_mut(name)) else { continue };
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.push('\n');
                last.push_str(line);
            }
            None if line.trim().is_empty() || line.starts_with("make: ") || line.starts_with("# make: ") => continue,
            None => lines.push(line.trim_start().to_owned()),
        }
        goes_on = is_continued(line);
    }
    runs
}

/// True for a line that goes on with the next one.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// True for a command with `$^`, `$(^D)` or the like.
fn asks_for_needs(command: &str) -> bool {
    command.split('$').skip(1).any(|word| word.trim_start_matches(['(', '{']).starts_with(ALL_NEEDS))
}

impl Rule<'_> {
    fn has_own_variables(&mut self) {
        (self.only_by_make, self.has_variables) = (true, true);
    }
}

impl<'a> Database<'a> {
    /// The value of a variable, as the Makefile has it.
    pub(super) fn variable(&self, name: &str) -> Option<&'a str> {
        let value = |line: &&'a str| -> Option<&'a str> {
            Some(line.strip_prefix(name)?.trim_start().trim_start_matches(':').strip_prefix('=')?.trim())
        };
        self.variables.iter().find_map(value)
    }

    /// True if targets have to be made one after the other (`.NOTPARALLEL`, or `.WAIT` of make 4.4).
    pub(super) fn in_order(&self) -> bool {
        self.rules.contains_key(".NOTPARALLEL") || self.rules.values().any(|rule| rule.needs.contains(&".WAIT"))
    }

    /// Reads the rules in the part `# Files`.
    fn rules(&mut self, lines: &[&'a str]) {
        let mut current: Option<&str> = None;
        let mut is_target = true;
        let mut goes_on = false;
        for line in lines {
            if goes_on || line.starts_with('\t') {
                let command = line.strip_prefix('\t').unwrap_or(line);
                if let Some(rule) = current.and_then(|name| self.rules.get_mut(name)) {
                    rule.has_recipe = true;
                    rule.lines += usize::from(!goes_on);
                    rule.asks_for_needs |= asks_for_needs(command);
                    let command = command.trim_start();
                    let prefix = command.split(|c: char| !"@-+ \t".contains(c)).next().unwrap_or_default();
                    let makes = ["$(MAKE)", "${MAKE}", "$(info", "$(warning"].iter().any(|word| command.contains(word));
                    rule.only_by_make |= prefix.contains(['-', '+']) && !goes_on || makes;
                }
                goes_on = is_continued(line);
            } else if line.starts_with('#') {
                match (*line, current.and_then(|name| self.rules.get_mut(name))) {
                    ("# Not a target:", _) => is_target = false,
                    (_, Some(rule)) => {
                        rule.phony |= line.contains("Phony target");
                        let own = ["# makefile", "# command line", "# 'override' directive", "# environment"];
                        if own.iter().any(|origin| line.starts_with(origin)) {
                            rule.has_own_variables();
                        }
                    }
                    (_, None) => {}
                }
            } else if line.is_empty() {
                (current, is_target) = (None, true);
            } else if let Some((name, needs)) = line.split_once(':').filter(|_| current.is_none()) {
                let new = !self.rules.contains_key(name);
                // A variable of the target stands before its rule.
                if needs.split_whitespace().nth(1).is_some_and(|word| word.ends_with('=')) {
                    self.rules.entry(name).or_default().has_own_variables();
                    continue;
                }
                current = Some(name);
                let rule = self.rules.entry(name).or_default();
                // A rule with two colons is one of several.
                rule.only_by_make |= needs.starts_with(':') || !new;
                if is_target {
                    rule.needs.extend(needs.trim_start_matches(':').split_whitespace().filter(|need| *need != "|"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As GNU make 4.3 prints it, without its built-in rules.
    const PRINTED: &str = "Building version 1\nMakefile:9: target 'pre' does not exist\n[ -d x ] || exit 0; \\\n echo hi\nmake[1]: Entering \
        directory '/x'\nMakefile:1: target 'sub' does not exist\n./sub\nmake[1]: Leaving directory '/x'\nm.mk:6: update target \
        'unit/a' due to: a pre\nFOO=1 ./a > /dev/null\n\techo two\nmake: Nothing to be done for 'x'.\n# GNU Make 4.3\n\n# Make data \
        base, printed on Mon Nov 30 00:35:31 2026\n\n# Variables\n\n# default\n.SHELLFLAGS := -c\n# makefile\nSHELL = /bin/sh\n\n# \
        Pattern-specific Variable Values\n\nx-%.y :\n# makefile (from 'm.mk', line 5)\n# A := 1\n\n# Directories\n\n# \
        Files\n\n# Not a target:\n.c:\n#  recipe to execute (built-in):\n\t$(LINK.c) $^\n\ncheck: unit/a | unit/b\n#  Phony target \
        (prerequisite of .PHONY).\n\nunit/a: a pre\n# automatic\n# @ := unit/a\n#  recipe to execute (from 'm.mk', line 6):\n\t@FOO=1 \
        ./$*\n\nunit/b: A = 1\nunit/b: b\n#  recipe to execute (from 'm.mk', line 6):\n\t./$*\n\nunit/c:\n\
        \t-./c\n\nx-a.y:\n\t./a\n\nx-a:\n\t./a\n\n# files hash-table stats:\n";

    #[test]
    fn the_trace_and_the_rules_are_read() {
        let database = read(PRINTED).unwrap();
        let runs: Vec<(&str, Vec<&str>)> =
            database.runs.iter().map(|(name, lines)| (*name, lines.iter().map(String::as_str).collect())).collect();
        assert_eq!(
            runs,
            [("pre", vec!["[ -d x ] || exit 0; \\\n echo hi"]), ("unit/a", vec!["FOO=1 ./a > /dev/null", "echo two"])]
        );
        assert_eq!(database.shell, Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]));
        let rule = |name: &str| &database.rules[name];
        assert_eq!((&rule("check").needs[..], rule("check").phony), (&["unit/a", "unit/b"][..], true));
        let by_make = ["check", "unit/a", "x-a", "unit/b", "unit/c", "x-a.y"].map(|name| rule(name).only_by_make);
        assert_eq!(by_make, [false, false, false, true, true, true]);
        assert_eq!(rule("unit/b").needs, ["b"]);
        assert!(read("make: *** No rule to make target 'x'.  Stop.\n").is_err());
        let one_shell = PRINTED.replace("# Not a target:\n.c:", ".ONESHELL:");
        assert_eq!(read(&one_shell).unwrap().shell, None, "its lines are one script");
    }
}
