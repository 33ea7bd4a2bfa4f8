//! The leaks that valgrind counts as errors (valgrind manual, chapter 4.3).

/// The leak kinds that count as errors: those of `--errors-for-leak-kinds`, by default definite and possible;
/// none with `--leak-check=no` or `summary`, although valgrind, asked for XML, reports leaks all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeakKinds {
    /// `Leak_DefinitelyLost`.
    pub definite: bool,
    /// `Leak_IndirectlyLost`.
    pub indirect: bool,
    /// `Leak_PossiblyLost`.
    pub possible: bool,
    /// `Leak_StillReachable`.
    pub reachable: bool,
}

impl Default for LeakKinds {
    fn default() -> LeakKinds {
        LeakKinds { definite: true, indirect: false, possible: true, reachable: false }
    }
}

impl LeakKinds {
    /// Reads valgrind's options; the last `--errors-for-leak-kinds` counts.
    pub fn from_args(args: &[String]) -> LeakKinds {
        let mut kinds = LeakKinds::default();
        for value in args.iter().filter_map(|argument| argument.strip_prefix("--errors-for-leak-kinds=")) {
            let has = |kind: &str| value == "all" || value.split(',').any(|word| word == kind);
            kinds = LeakKinds {
                definite: has("definite"),
                indirect: has("indirect"),
                possible: has("possible"),
                reachable: has("reachable"),
            };
        }
        let check = args.iter().rev().find_map(|argument| argument.strip_prefix("--leak-check="));
        if matches!(check, Some("no" | "summary")) {
            kinds = LeakKinds { definite: false, indirect: false, possible: false, reachable: false };
        }
        kinds
    }

    /// Whether an error of this XML kind counts.
    pub fn counts(self, kind: &str) -> bool {
        match kind {
            "Leak_DefinitelyLost" => self.definite,
            "Leak_IndirectlyLost" => self.indirect,
            "Leak_PossiblyLost" => self.possible,
            "Leak_StillReachable" => self.reachable,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leak_kinds_follow_the_last_option() {
        let args = |list: &[&str]| list.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
        assert!(LeakKinds::from_args(&[]).counts("Leak_PossiblyLost"));
        let definite =
            LeakKinds::from_args(&args(&["--errors-for-leak-kinds=all", "--errors-for-leak-kinds=definite"]));
        assert!(definite.counts("Leak_DefinitelyLost") && !definite.counts("Leak_PossiblyLost"));
        assert!(definite.counts("InvalidRead"));
        assert!(!LeakKinds::from_args(&args(&["--leak-check=full", "--leak-check=no"])).counts("Leak_DefinitelyLost"));
        assert!(!LeakKinds::from_args(&args(&["--errors-for-leak-kinds=none"])).counts("Leak_DefinitelyLost"));
    }
}
