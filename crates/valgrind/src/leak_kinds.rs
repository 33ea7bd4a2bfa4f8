//! The leaks that valgrind counts as errors, and those that it shows: two sets (valgrind manual, chapter 4.3;
//! `get_printing_rules` in `memcheck/mc_leakcheck.c`).

use crate::options::{last, plain};
use crate::tool::Tool;

/// A set of kinds of leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    definite: bool,
    indirect: bool,
    possible: bool,
    reachable: bool,
}

const NONE: Kinds = Kinds { definite: false, indirect: false, possible: false, reachable: false };
const ALL: Kinds = Kinds { definite: true, indirect: true, possible: true, reachable: true };
/// What valgrind counts and shows by default.
const USUAL: Kinds = Kinds { definite: true, indirect: false, possible: true, reachable: false };

impl Kinds {
    fn parse(value: &str) -> Kinds {
        let has = |kind: &str| value == "all" || value.split(',').any(|word| word == kind);
        Kinds {
            definite: has("definite"),
            indirect: has("indirect"),
            possible: has("possible"),
            reachable: has("reachable"),
        }
    }

    fn union(self, other: Kinds) -> Kinds {
        Kinds {
            definite: self.definite || other.definite,
            indirect: self.indirect || other.indirect,
            possible: self.possible || other.possible,
            reachable: self.reachable || other.reachable,
        }
    }

    /// The value for an option, such as `definite,possible`.
    fn words(self) -> String {
        let words = [
            (self.definite, "definite"),
            (self.indirect, "indirect"),
            (self.possible, "possible"),
            (self.reachable, "reachable"),
        ];
        let words: Vec<&str> = words.into_iter().filter_map(|(has, word)| has.then_some(word)).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(",") }
    }
}

/// The leaks that count as errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeakKinds {
    /// Those of `--errors-for-leak-kinds`, by default definite and possible.
    kinds: Kinds,
    /// Whether leaks at the end of the program count: not with `--leak-check=no` or `summary`, although valgrind, asked
    /// for XML, reports them all the same. Leaks that the program itself asks for by a client request always count.
    at_end: bool,
}

impl Default for LeakKinds {
    fn default() -> LeakKinds {
        LeakKinds { kinds: USUAL, at_end: true }
    }
}

impl LeakKinds {
    /// Reads valgrind's options.
    pub fn from_args(args: &[String]) -> LeakKinds {
        let kinds = last(Tool::Memcheck, args, "--errors-for-leak-kinds");
        let check = last(Tool::Memcheck, args, "--leak-check");
        LeakKinds {
            kinds: kinds.map_or(USUAL, |value| Kinds::parse(&value)),
            at_end: !matches!(check.as_deref(), Some("no" | "summary")),
        }
    }

    /// Whether an error of this XML kind counts. `at_end` is true of what is reported after the program has ended.
    pub fn counts(self, kind: &str, at_end: bool) -> bool {
        let counts = match kind {
            "Leak_DefinitelyLost" => self.kinds.definite,
            "Leak_IndirectlyLost" => self.kinds.indirect,
            "Leak_PossiblyLost" => self.kinds.possible,
            "Leak_StillReachable" => self.kinds.reachable,
            _ => return true,
        };
        counts && (self.at_end || !at_end)
    }

    /// Whether leaks at the end of the program count.
    pub fn at_end(self) -> bool {
        self.at_end
    }
}

/// The option that makes memcheck show each leak that it counts, if these options do not.
pub fn show_what_counts(args: &[String]) -> Option<String> {
    let counted = LeakKinds::from_args(args).kinds;
    let mut shown = USUAL;
    for option in args.iter().filter_map(|option| plain(Tool::Memcheck, option)) {
        let Some((name, value)) = option.split_once('=') else { continue };
        match (name, value) {
            ("--show-leak-kinds", value) => shown = Kinds::parse(value),
            ("--show-reachable", "yes") => shown = ALL,
            ("--show-reachable", _) => shown.reachable = false,
            ("--show-possibly-lost", value) => shown.possible = value == "yes",
            _ => {}
        }
    }
    let both = shown.union(counted);
    (both != shown).then(|| format!("--show-leak-kinds={}", both.words()))
}

/// The option that makes memcheck count no leaks, for `--leak-check=no` and `summary` where its exit status is used.
pub fn count_no_leaks() -> String {
    format!("--errors-for-leak-kinds={}", NONE.words())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(list: &[&str]) -> Vec<String> {
        list.iter().map(|argument| (*argument).to_owned()).collect()
    }

    #[test]
    fn leak_kinds_follow_the_last_option() {
        let counts = |list: &[&str], kind: &str| LeakKinds::from_args(&args(list)).counts(kind, true);
        assert!(counts(&[], "Leak_PossiblyLost"));
        let definite = ["--errors-for-leak-kinds=all", "--memcheck:errors-for-leak-kinds=definite"];
        assert!(counts(&definite, "Leak_DefinitelyLost") && !counts(&definite, "Leak_PossiblyLost"));
        assert!(counts(&definite, "InvalidRead"));
        assert!(!counts(&["--leak-check=full", "--leak-check=no"], "Leak_DefinitelyLost"));
        assert!(!counts(&["--errors-for-leak-kinds=none"], "Leak_DefinitelyLost"));
        assert!(LeakKinds::from_args(&args(&["--leak-check=no"])).counts("Leak_DefinitelyLost", false));
    }

    #[test]
    fn what_counts_is_shown() {
        let shows = |list: &[&str]| show_what_counts(&args(list)).unwrap_or_default();
        assert_eq!(shows(&[]), "");
        assert_eq!(shows(&["--errors-for-leak-kinds=none"]), "");
        let all = "--show-leak-kinds=definite,indirect,possible,reachable";
        assert_eq!(shows(&["--errors-for-leak-kinds=all"]), all);
        assert_eq!(shows(&["--errors-for-leak-kinds=all", "--show-reachable=yes"]), "");
        assert_eq!(
            shows(&["--errors-for-leak-kinds=indirect", "--show-leak-kinds=none"]),
            "--show-leak-kinds=indirect"
        );
        assert_eq!(shows(&["--show-possibly-lost=no"]), "--show-leak-kinds=definite,possible");
        assert_eq!(shows(&["--show-leak-kinds=reachable"]), "--show-leak-kinds=definite,possible,reachable");
    }
}
