//! `cargo xtask ci flaky`: the flake ledger, and the jobs in quarantine.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;

use super::Context;
use super::{capacity, collisions, plan};
use crate::cli;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::text::times;
use drydock_ci::history::History;
use drydock_ci::ledger::{self, Account, Class};
use drydock_ci::plan::Plan;

/// The duration of a proposed quarantine, in days.
const PROPOSED_DAYS: i64 = 30;

impl cli::CiFlaky {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        if self.collisions {
            return collisions::run(ctx, &self);
        }
        let mut warnings = Vec::new();
        let plan =
            plan::make(ctx, &capacity::find(&cli::RunOptions::default().into()), &[], plan::Lists::Now, &mut warnings)?;
        let wanted = plan.matching(&self.selectors).map_err(|error| Failure::usage(error.to_string()))?;
        let history = History::with(&ctx.state.history(), &self.history);
        let mut accounts = ledger::ledger(&history);
        accounts.retain(|account| {
            // Jobs that were removed from the declaration are left out.
            plan.job(&account.job).is_some_and(|job| job.tool.kind == account.tool)
                && (self.selectors.is_empty() || wanted.iter().any(|name| name.as_str() == account.job))
                && (self.all || !self.selectors.is_empty() || account.class != Class::Stable)
        });
        for warning in warnings {
            output::err(format_args!("warning: {warning}"));
        }
        match self.format {
            cli::Format::Json => output::out(format_args!("{}", serde_json::to_string_pretty(&accounts)?)),
            cli::Format::Text => {
                let text = render(&accounts, &plan, Timestamp::now(), crate::commands::today());
                output::out(text.trim_end());
            }
        }
        Ok(Exit::Success)
    }
}

fn render(accounts: &[Account], plan: &Plan, now: Timestamp, today: Date) -> String {
    if accounts.is_empty() {
        return "every job of the history always passed, and nothing was killed".into();
    }
    let mut text = String::new();
    let width = accounts.iter().map(|account| account.job.len()).max().unwrap_or(0).max(3);
    let _infallible =
        writeln!(text, "{:<width$}  {:<17} {:>9} {:>11}  last failure", "job", "class", "failed", "true rate");
    for account in accounts {
        let _infallible = write_account(&mut text, account, plan, width, now);
    }
    let proposed: Vec<&Account> = accounts
        .iter()
        .filter(|account| account.class == Class::Flaky && !account.seems_fixed())
        .filter(|account| plan.job(&account.job).is_some_and(|job| job.quarantine.is_none()))
        .collect();
    if !proposed.is_empty() {
        let until = today.saturating_add(jiff::Span::new().days(PROPOSED_DAYS));
        let _infallible = writeln!(text, "\nuntil they are fixed, ci/quarantine.yaml can hold\n\nquarantine:");
        for account in proposed {
            let reason = "say why, and where it is discussed";
            let _infallible = writeln!(text, "  {}: {{reason: {reason}, expires: {until}}}", account.job);
        }
    }
    text
}

fn write_account(text: &mut String, account: &Account, plan: &Plan, width: usize, now: Timestamp) -> std::fmt::Result {
    let percent = |share: f64| format!("{:.0}", share * 100.0);
    // At a commit at which it fails, the rate is 100 %.
    let rate = if account.attempts == 0 || account.class == Class::Deterministic {
        "-".into()
    } else {
        format!("{}-{} %", percent(account.rate.0), percent(account.rate.1))
    };
    let ago = account.last_failure.map_or_else(|| "-".into(), |at| ago(now.as_millisecond() - at));
    writeln!(
        text,
        "{:<width$}  {:<17} {:>9} {rate:>11}  {ago}",
        account.job,
        account.class.word(),
        format!("{} of {}", account.failed(), account.attempts),
    )?;
    let kinds: Vec<String> = account
        .failures
        .iter()
        .chain(&account.broken)
        .map(|(kind, count)| format!("{} {}", kind.word(), times(*count as u64)))
        .collect();
    if !kinds.is_empty() {
        writeln!(text, "    {}", kinds.join(", "))?;
    }
    if account.class == Class::Deterministic && account.failed() < account.attempts {
        writeln!(text, "    it never both passed and failed at the same commit")?;
    }
    if account.last_failure.is_some() && account.passes_since > 0 {
        let verdict = if account.seems_fixed() { "it seems to be fixed" } else { "that may be chance" };
        writeln!(
            text,
            "    passed {} since; if nothing had changed, the chance of that would be {} %: {verdict}",
            times(account.passes_since as u64),
            percent(account.chance)
        )?;
    }
    if let Some(quarantine) = plan.job(&account.job).and_then(|job| job.quarantine.as_ref()) {
        writeln!(text, "    in quarantine until {}: {}", quarantine.expires, quarantine.reason)?;
    }
    Ok(())
}

/// A past time, in the largest unit that fits.
fn ago(milliseconds: i64) -> String {
    let minutes = milliseconds.max(0) / 60_000;
    match minutes {
        0 => "just now".into(),
        1..=119 => format!("{minutes} min ago"),
        120..=2879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}
