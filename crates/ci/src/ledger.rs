//! The flake ledger: the failures of each job in the history, and how certain it is that they are not chance.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::history::{History, Line};
use super::outcome::{Blame, OutcomeKind};
use drydock_valgrind::tool::Tool;

/// PSI `some avg10` in percent from which a failure counts as one under pressure.
const PRESSED: f64 = 10.0;
/// Events with a lower probability than this are not attributed to chance.
const UNLIKELY: f64 = 0.05;
/// The normal deviate of a two-sided interval of 95 %.
const Z: f64 = 1.959_964;

/// The kind of trouble that a job causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It passes and fails with the same code, apparently at random.
    Flaky,
    /// It passes and fails with the same code: it fails by its timeout, for want of memory, under pressure or beside
    /// others, and not otherwise.
    ResourceAffected,
    /// It fails whenever its code is that of a failure.
    Deterministic,
    /// It never failed, but the machine's memory ran out under it.
    OomVictim,
    /// It never failed, but runs were lost or something killed it.
    Infrastructure,
    /// It never failed.
    Stable,
}

impl Class {
    /// The word of reports.
    pub fn word(self) -> &'static str {
        match self {
            Class::Flaky => "flaky",
            Class::ResourceAffected => "resource-affected",
            Class::Deterministic => "deterministic",
            Class::OomVictim => "oom-victim",
            Class::Infrastructure => "infrastructure",
            Class::Stable => "stable",
        }
    }
}

/// The record of one job under one tool.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Account {
    /// The job.
    pub job: String,
    /// The tool.
    pub tool: Tool,
    /// The kind of trouble.
    pub class: Class,
    /// Attempts that ended by themselves.
    pub attempts: usize,
    /// Those of them that failed, by outcome.
    pub failures: BTreeMap<OutcomeKind, usize>,
    /// Attempts that the machine broke, by outcome.
    pub broken: BTreeMap<OutcomeKind, usize>,
    /// The share of attempts that fail: an interval that holds the true one in 95 of 100 cases (Wilson's).
    pub rate: (f64, f64),
    /// End of the last failure, in Unix milliseconds.
    pub last_failure: Option<i64>,
    /// Passes since then.
    pub passes_since: usize,
    /// The probability of so many passes in a row if it still failed as often as before.
    pub chance: f64,
}

impl Account {
    /// The number of failed attempts.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// `true` if the passes since the last failure are too many to be chance.
    pub fn seems_fixed(&self) -> bool {
        self.last_failure.is_some() && self.chance < UNLIKELY
    }
}

/// The accounts of all jobs, the worst trouble first.
pub fn ledger(history: &History) -> Vec<Account> {
    let mut accounts: Vec<Account> = history.jobs().map(|((job, tool), lines)| account(job, *tool, lines)).collect();
    accounts.sort_by(|left, right| {
        let key = |account: &Account| (account.class, std::cmp::Reverse(account.failed()), account.job.clone());
        key(left).cmp(&key(right))
    });
    accounts
}

fn account(job: &str, tool: Tool, lines: &[Line]) -> Account {
    let mut own: Vec<&Line> = Vec::new();
    let mut failures = BTreeMap::new();
    let mut broken = BTreeMap::new();
    for line in lines {
        match line.outcome.blame() {
            Blame::Nobody => own.push(line),
            Blame::Machine => *broken.entry(line.outcome).or_insert(0) += 1,
            Blame::User => {}
            Blame::Job => {
                own.push(line);
                *failures.entry(line.outcome).or_insert(0) += 1;
            }
        }
    }
    let failed = own.iter().filter(|line| !line.passed()).count();
    let last = own.iter().rposition(|line| !line.passed());
    let (before, passes_since) = last.map_or((0, own.len()), |last| (last + 1, own.len() - last - 1));
    Account {
        job: job.to_owned(),
        tool,
        class: class(&own, failed, &broken),
        attempts: own.len(),
        failures,
        broken,
        rate: interval(failed, own.len()),
        last_failure: last.map(|last| own[last].at),
        passes_since,
        chance: if before == 0 { 1.0 } else { (1.0 - share(failed, before)).powf(float(passes_since)) },
    }
}

fn class(own: &[&Line], failed: usize, broken: &BTreeMap<OutcomeKind, usize>) -> Class {
    if failed == 0 {
        return match (broken.contains_key(&OutcomeKind::OutOfMemory), broken.is_empty()) {
            (true, _) => Class::OomVictim,
            (false, false) => Class::Infrastructure,
            (false, true) => Class::Stable,
        };
    }
    // The same code: one commit without changes, or else one run.
    let mut codes: HashMap<&str, Vec<&Line>> = HashMap::new();
    for line in own {
        codes.entry(line.revision.as_deref().unwrap_or(&line.run)).or_default().push(line);
    }
    let mixed: Vec<&Line> = codes
        .into_values()
        .filter(|lines| lines.iter().any(|line| line.passed()) && lines.iter().any(|line| !line.passed()))
        .flatten()
        .collect();
    if mixed.is_empty() {
        return Class::Deterministic;
    }
    if mixed.iter().filter(|line| !line.passed()).all(|line| line.wants_resources()) || fails_only_beside_others(&mixed)
    {
        Class::ResourceAffected
    } else {
        Class::Flaky
    }
}

/// `true` if it passed exclusively so often that this is not chance, given how often it fails beside others.
fn fails_only_beside_others(mixed: &[&Line]) -> bool {
    let (exclusive, beside): (Vec<&&Line>, Vec<&&Line>) = mixed.iter().partition(|line| line.exclusive);
    let failed = |lines: &[&&Line]| lines.iter().filter(|line| !line.passed()).count();
    failed(&exclusive) == 0 && (1.0 - share(failed(&beside), beside.len())).powf(float(exclusive.len())) < UNLIKELY
}

impl Line {
    fn passed(&self) -> bool {
        self.outcome == OutcomeKind::Passed
    }

    fn wants_resources(&self) -> bool {
        self.outcome.suggests_scarcity() || self.pressure.is_some_and(|pressure| pressure >= PRESSED)
    }
}

/// Wilson's score interval for a binomial proportion (E. B. Wilson, 1927).
fn interval(failed: usize, attempts: usize) -> (f64, f64) {
    if attempts == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (float(attempts), share(failed, attempts));
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    (((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0))
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

#[expect(clippy::cast_precision_loss, reason = "counts of attempts are small")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `p` passes, `f` fails, `t` times out, `o` runs out of memory, `k` is killed; a capital letter ran exclusively;
    /// `/` begins the next commit.
    fn history(text: &str) -> History {
        let mut lines = Vec::new();
        let mut commit = 0;
        for (at, letter) in text.chars().enumerate() {
            let outcome = match letter.to_ascii_lowercase() {
                'p' => OutcomeKind::Passed,
                'f' => OutcomeKind::Failed,
                't' => OutcomeKind::TimedOut,
                'o' => OutcomeKind::OutOfMemory,
                'k' => OutcomeKind::KilledFromOutside,
                _ => {
                    commit += 1;
                    continue;
                }
            };
            lines.push(Line {
                at: at as i64,
                run: format!("run-{at}").into(),
                job: "units/x".into(),
                attempt: 1,
                tool: Tool::None,
                valgrind: None,
                outcome,
                whole: true,
                duration_ms: 1,
                cpu_ms: None,
                peak_ms: None,
                uncontended_ms: None,
                peak: None,
                reservation: 0,
                exclusive: letter.is_ascii_uppercase(),
                pressure: None,
                revision: Some(format!("c{commit}").into()),
            });
        }
        History::new(lines)
    }

    #[track_caller]
    fn check(text: &str, class: Class) -> Account {
        let account = ledger(&history(text)).remove(0);
        assert_eq!(account.class, class, "{text}: {account:?}");
        account
    }

    #[test]
    fn each_kind_of_trouble_is_recognized() {
        check("ppp/ppp", Class::Stable);
        check("ppp/fff/pp", Class::Deterministic);
        check("ppopp", Class::OomVictim);
        check("ppkpp", Class::Infrastructure);
        check("ppfpp", Class::Flaky);
        check("pptpp/p", Class::ResourceAffected);
        check("pptpf", Class::Flaky);
        check("oof/p", Class::Deterministic);
        // Exclusively it never failed, which is not chance; one exclusive pass may be.
        check("fpfpfpPPPPPP", Class::ResourceAffected);
        check("fpfpfpP", Class::Flaky);
    }

    #[test]
    fn pressure_at_the_time_of_a_failure_counts() {
        let mut lines: Vec<Line> = history("ppfp").jobs().flat_map(|(_, lines)| lines.to_vec()).collect();
        lines[2].pressure = Some(40.0);
        assert_eq!(ledger(&History::new(lines)).remove(0).class, Class::ResourceAffected);
    }

    #[test]
    fn without_a_commit_only_one_run_is_the_same_code() {
        let mut lines: Vec<Line> = history("pf").jobs().flat_map(|(_, lines)| lines.to_vec()).collect();
        lines.iter_mut().for_each(|line| line.revision = None);
        assert_eq!(ledger(&History::new(lines.clone())).remove(0).class, Class::Deterministic);
        lines.iter_mut().for_each(|line| line.run = "one".into());
        assert_eq!(ledger(&History::new(lines)).remove(0).class, Class::Flaky);
    }

    #[test]
    fn the_rate_has_an_interval_and_passes_in_a_row_count() {
        let account = check("fpppppppppp", Class::Flaky);
        assert_eq!((account.attempts, account.failed(), account.passes_since), (11, 1, 10));
        assert!(
            account.rate.0 > 0.01 && account.rate.0 < 0.02 && account.rate.1 > 0.37 && account.rate.1 < 0.39,
            "{account:?}"
        );
        // It failed in its only earlier attempt, so ten passes in a row are not chance.
        assert!(account.seems_fixed());
        let account = check("pppppppppfp", Class::Flaky);
        assert!((account.chance - 0.9).abs() < 1e-9 && !account.seems_fixed());
        assert_eq!(interval(0, 0), (0.0, 1.0));
        assert!(interval(0, 20).1 < 0.17 && interval(20, 20).0 > 0.83);
    }
}
