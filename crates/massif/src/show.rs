//! The text for people: one file, or the changes between two.

use std::fmt::{self, Write as _};

use super::chart;
use super::diff::{Change, Diff, Kind};
use super::profile::time;
use super::summary::HeapProfile;
use drydock_base::units::ByteSize;

/// The greatest width of a line, in columns.
const WIDTH: usize = 80;
/// The number of stacks that are shown for each kind of change.
const SHOWN: usize = 10;

/// One file: peak, graph, and who holds the heap at the peak.
pub fn profile(profile: &HeapProfile) -> String {
    let mut text = String::new();
    let _infallible = write_profile(&mut text, profile);
    text
}

fn write_profile(text: &mut String, profile: &HeapProfile) -> fmt::Result {
    let peak = profile.peak.measured();
    writeln!(text, "  command    {}", cut(&profile.command, WIDTH - 13))?;
    let when = time(profile.unit, profile.peak.time);
    let of = time(profile.unit, profile.end.time);
    writeln!(text, "  peak       {} ({} B) at {when} of {of}", ByteSize::new(peak), grouped(peak))?;
    if profile.peak.extra > 0 {
        writeln!(text, "  of it      {} for the allocator's administration", ByteSize::new(profile.peak.extra))?;
    }
    let end = profile.end.measured();
    writeln!(
        text,
        "  end        {}, {} of the peak: {}",
        ByteSize::new(end),
        percent(end, peak),
        profile.shape.words()
    )?;
    if profile.pages {
        writeln!(text, "  measured   whole pages (--pages-as-heap=yes), which is more than the heap")?;
    }
    let stacks = profile.points.iter().map(|point| point.stacks).max().unwrap_or(0);
    if stacks > 0 {
        writeln!(text, "  stacks     {} at the most, not counted in the peak", ByteSize::new(stacks))?;
    }
    if let Some(cut) = &profile.cut {
        writeln!(text, "  not whole  {cut}")?;
    }
    writeln!(text)?;
    for line in chart::lines(profile) {
        writeln!(text, "{line}")?;
    }
    write_sites(text, profile)
}

fn write_sites(text: &mut String, profile: &HeapProfile) -> fmt::Result {
    if profile.left_out > 0 {
        writeln!(text, "\n  the trees of {} higher snapshots are too large to be kept", profile.left_out)?;
    }
    if profile.sites.is_empty() {
        return writeln!(text, "\n  massif kept no tree with allocations");
    }
    writeln!(
        text,
        "\n  who allocated the {} of heap in the highest snapshot with a tree",
        ByteSize::new(profile.sites_of)
    )?;
    for site in &profile.sites {
        let share = percent(site.bytes, profile.sites_of);
        writeln!(
            text,
            "  {:>10}  {share:>7}  {}",
            ByteSize::new(site.bytes).to_string(),
            cut(&site.brief, WIDTH - 23)
        )?;
        write_callers(text, 23, &site.callers)?;
    }
    Ok(())
}

/// `← caller ← caller`, as many as the line holds.
fn write_callers(text: &mut String, indent: usize, callers: &[String]) -> fmt::Result {
    let mut line = String::new();
    for caller in callers.iter().take_while(|caller| !caller.starts_with("???")) {
        let more = format!("{}← {caller}", if line.is_empty() { "" } else { " " });
        if line.is_empty() {
            line = cut(&more, WIDTH - indent);
        } else if indent + line.chars().count() + more.chars().count() <= WIDTH {
            line.push_str(&more);
        } else {
            break;
        }
    }
    if line.is_empty() { Ok(()) } else { writeln!(text, "{:indent$}{line}", "") }
}

/// Two files: the peaks, and each kind of change.
pub fn diff(diff: &Diff) -> String {
    let mut text = String::new();
    let _infallible = write_diff(&mut text, diff);
    text
}

fn write_diff(text: &mut String, diff: &Diff) -> fmt::Result {
    let sign = signed(diff.old, diff.new);
    let share = if diff.old == 0 { String::new() } else { format!(", {}", signed_percent(diff.old, diff.new)) };
    writeln!(text, "  peak  {} → {} ({sign}{share})", ByteSize::new(diff.old), ByteSize::new(diff.new))?;
    for note in &diff.notes {
        writeln!(text, "  note: {note}")?;
    }
    if diff.stacks.is_empty() {
        return writeln!(text, "\n  no stack changed");
    }
    for (kind, heading) in [
        (Kind::Grew, "grew"),
        (Kind::New, "new, or below the threshold before"),
        (Kind::Shrank, "shrank"),
        (Kind::Gone, "gone, or below the threshold now"),
    ] {
        let changes: Vec<&Change> = diff.stacks.iter().filter(|change| change.kind == kind).collect();
        if changes.is_empty() {
            continue;
        }
        writeln!(text, "\n  {heading}")?;
        for change in changes.iter().take(SHOWN) {
            let sizes = match kind {
                Kind::Grew | Kind::Shrank => {
                    format!("{} → {}", ByteSize::new(change.old), ByteSize::new(change.new))
                }
                Kind::New | Kind::Gone => String::new(),
            };
            let (first, callers) =
                change.brief.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            writeln!(text, "  {:>11}  {}", signed(change.old, change.new), cut(first, WIDTH - 15))?;
            write_callers(text, 15, callers)?;
            if !sizes.is_empty() {
                writeln!(text, "{:15}{sizes}", "")?;
            }
        }
        if changes.len() > SHOWN {
            writeln!(text, "  and {} more; `--format json` lists them", changes.len() - SHOWN)?;
        }
    }
    Ok(())
}

fn signed(old: u64, new: u64) -> String {
    let sign = if new >= old { "+" } else { "-" };
    format!("{sign}{}", ByteSize::new(new.abs_diff(old)))
}

fn signed_percent(old: u64, new: u64) -> String {
    format!("{:+.1} %", (new as f64 - old as f64) * 100.0 / old as f64)
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "0 %".into() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
