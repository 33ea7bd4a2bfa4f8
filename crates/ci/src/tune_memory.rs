//! Valgrind's options that save memory, the bugs that each of them misses, and the set that saves most.
//!
//! Measured, never assumed: each option runs on the job, for its peak, and on a canary with seeded bugs, for what it
//! misses (valgrind manual, sections 2.6 and 4.3).

use std::collections::BTreeMap;

use drydock_valgrind::xml::Log;

/// The program with the seeded bugs, in C.
pub const CANARY: &str = include_str!("tune_memory/canary.c");

/// The seeded bugs: the function that has it, and a description.
pub const BUGS: [(&str, &str); 9] = [
    ("read_just_behind", "a read just behind a block"),
    ("read_well_behind", "a read 40 bytes behind a block"),
    ("read_just_before", "a read just before a block"),
    ("use_after_free", "a use after free"),
    ("use_long_after_free", "a use after free, 4 MiB of frees later"),
    ("free_twice", "a double free"),
    ("branch_on_undefined", "a branch on an undefined value"),
    ("write_undefined", "an undefined value written to a file"),
    ("leak", "a leak"),
];

/// An option that may save memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knob {
    /// The option for valgrind.
    pub option: &'static str,
    /// The detail that reports lose, if any.
    pub detail: &'static str,
    /// The option that must be among the job's for this one to change anything.
    pub only_with: Option<&'static str>,
}

/// The options that are tried. Those of one name exclude each other.
pub const KNOBS: [Knob; 10] = [
    knob("--track-origins=no", "where undefined values come from", Some("--track-origins=yes")),
    knob("--read-var-info=no", "names of variables", Some("--read-var-info=yes")),
    knob("--keep-stacktraces=alloc", "where blocks were freed", None),
    knob("--keep-stacktraces=none", "where blocks were allocated and freed", None),
    knob("--freelist-vol=8000000", "", None),
    knob("--freelist-vol=1000000", "", None),
    knob("--redzone-size=8", "", None),
    knob("--redzone-size=0", "", None),
    knob("--num-callers=6", "callers beyond the sixth", None),
    knob("--num-transtab-sectors=8", "", None),
];

const fn knob(option: &'static str, detail: &'static str, only_with: Option<&'static str>) -> Knob {
    Knob { option, detail, only_with }
}

impl Knob {
    /// The option without its value.
    pub fn name(&self) -> &'static str {
        self.option.split('=').next().unwrap_or(self.option)
    }

    /// `true` if it would have an effect on a job with these options.
    pub fn applies(&self, args: &[String]) -> bool {
        let last = |name: &str| args.iter().rev().find(|arg| arg.split('=').next() == Some(name));
        match self.only_with {
            Some(other) => last(self.name()).is_some_and(|arg| arg == other),
            None => last(self.name()).is_none_or(|arg| arg != self.option),
        }
    }
}

/// The seeded bugs that a log of the canary reports, each with the number of frames that are shown for it.
pub fn found(log: &Log) -> BTreeMap<&'static str, usize> {
    let mut found = BTreeMap::new();
    for error in &log.errors {
        let function = |frame: &drydock_valgrind::stack::Frame| {
            BUGS.iter().map(|(name, _)| *name).find(|name| frame.function.as_deref() == Some(name))
        };
        if let Some(bug) = error.stack.iter().find_map(function) {
            let beside: usize = error.auxiliary.iter().map(|auxiliary| auxiliary.stack.len()).sum();
            *found.entry(bug).or_insert(0) += error.stack.len() + beside;
        }
    }
    found
}

/// The result of running the job and the canary with some options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The job's highest memory in bytes.
    pub peak: u64,
    /// The job's time in milliseconds.
    pub duration: u64,
    /// The job's outcome and how many errors were found in it.
    pub verdict: (String, u64),
    /// The seeded bugs that were found, with their frames.
    pub found: BTreeMap<&'static str, usize>,
}

/// The comparison of a measurement with the one under the job's own options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Bytes saved at the peak; `None` if within the noise.
    pub saves: u64,
    /// Seeded bugs that are not found any more.
    pub loses: Vec<&'static str>,
    /// `true` if some bug is reported with fewer frames.
    pub less_detail: bool,
    /// `true` if the job itself ends differently, or reports fewer errors.
    pub changes_verdict: bool,
}

/// Savings below one part in so many of the peak are noise.
const NOISE: u64 = 100;

/// Compares.
pub fn effect(base: &Measured, with: &Measured) -> Effect {
    let saves = base.peak.saturating_sub(with.peak);
    Effect {
        saves: if saves >= base.peak / NOISE { saves } else { 0 },
        loses: base.found.keys().filter(|bug| !with.found.contains_key(*bug)).copied().collect(),
        less_detail: base.found.iter().any(|(bug, frames)| with.found.get(bug).is_some_and(|less| less < frames)),
        // Only fewer errors count: leaks that are "possibly lost" vary from run to run.
        changes_verdict: base.verdict.0 != with.verdict.0 || with.verdict.1 < base.verdict.1,
    }
}

impl Effect {
    /// `true` if every seeded bug is still found, and the job's verdict is the same.
    pub fn keeps_bugs(&self) -> bool {
        self.loses.is_empty() && !self.changes_verdict
    }
}

/// The options that save most, of each name the best one: without any loss, or at the cost of detail only.
pub fn cheapest<'a>(effects: &[(&'a Knob, Effect)], with_less_detail: bool) -> Vec<&'a Knob> {
    let mut best: Vec<(&Knob, u64)> = Vec::new();
    for (knob, effect) in effects {
        if effect.saves == 0 || !effect.keeps_bugs() || effect.less_detail && !with_less_detail {
            continue;
        }
        match best.iter_mut().find(|(other, _)| other.name() == knob.name()) {
            Some(other) if effect.saves > other.1 => *other = (knob, effect.saves),
            Some(_) => {}
            None => best.push((knob, effect.saves)),
        }
    }
    best.into_iter().map(|(knob, _)| knob).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(peak: u64, found: &[(&'static str, usize)]) -> Measured {
        Measured { peak, duration: 1, verdict: ("passed".into(), 0), found: found.iter().copied().collect() }
    }

    #[test]
    fn what_is_lost_is_named() {
        let base = measured(1000, &[("leak", 3), ("free_twice", 4)]);
        let effect = |peak, found: &[(&'static str, usize)]| super::effect(&base, &measured(peak, found));
        let same = effect(995, &[("leak", 3), ("free_twice", 4)]);
        assert!(same.saves == 0 && same.keeps_bugs() && !same.less_detail, "{same:?}");
        let shorter = effect(900, &[("leak", 3), ("free_twice", 2)]);
        assert!(shorter.saves == 100 && shorter.keeps_bugs() && shorter.less_detail, "{shorter:?}");
        let blind = effect(800, &[("free_twice", 4)]);
        assert!(blind.loses == ["leak"] && !blind.keeps_bugs(), "{blind:?}");
        let other = Measured { verdict: ("findings".into(), 1), ..measured(1, &[("leak", 3), ("free_twice", 4)]) };
        assert!(!super::effect(&base, &other).keeps_bugs());
        assert!(!super::effect(&other, &base).keeps_bugs());
        let more = Measured { verdict: ("findings".into(), 2), ..other.clone() };
        assert!(super::effect(&other, &more).keeps_bugs() && !super::effect(&more, &other).keeps_bugs());
    }

    #[test]
    fn of_each_option_the_value_that_saves_most_and_misses_nothing() {
        let effect = |saves, loses: &[&'static str], less_detail| Effect {
            saves,
            loses: loses.to_vec(),
            less_detail,
            changes_verdict: false,
        };
        let of = |option: &str| KNOBS.iter().find(|knob| knob.option == option).unwrap();
        let effects = [
            (of("--track-origins=no"), effect(90, &[], true)),
            (of("--keep-stacktraces=alloc"), effect(0, &[], true)),
            (of("--freelist-vol=8000000"), effect(10, &[], false)),
            (of("--freelist-vol=1000000"), effect(19, &["use_long_after_free"], false)),
            (of("--num-transtab-sectors=8"), effect(5, &[], false)),
        ];
        let names = |less| cheapest(&effects, less).iter().map(|knob| knob.option).collect::<Vec<_>>();
        assert_eq!(names(false), ["--freelist-vol=8000000", "--num-transtab-sectors=8"]);
        assert_eq!(names(true), ["--track-origins=no", "--freelist-vol=8000000", "--num-transtab-sectors=8"]);
    }

    #[test]
    fn options_that_change_nothing_are_not_tried() {
        let args = |list: &[&str]| list.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let tried = |list: &[&str]| KNOBS.iter().filter(|knob| knob.applies(&args(list))).count();
        assert_eq!(tried(&[]), KNOBS.len() - 2);
        assert_eq!(tried(&["--track-origins=yes"]), KNOBS.len() - 1);
        assert_eq!(tried(&["--track-origins=yes", "--track-origins=no", "--redzone-size=0"]), KNOBS.len() - 3);
    }
}
