//! The heap over time as a graph of block characters, 80 columns wide.

use super::profile::time;
use super::summary::{HeapProfile, Point};
use drydock_base::units::ByteSize;

const COLUMNS: usize = 68;
const ROWS: usize = 12;
/// A twelfth of the height in eighths.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The graph with its axes, line by line.
pub(super) fn lines(profile: &HeapProfile) -> Vec<String> {
    let top = profile.points.iter().map(Point::measured).max().unwrap_or(0).max(1);
    let end = profile.points.iter().map(|point| point.time).max().unwrap_or(0).max(1);
    let column = |moment: u64| {
        let place = u128::from(moment) * COLUMNS as u128 / u128::from(end);
        usize::try_from(place).unwrap_or(0).min(COLUMNS - 1)
    };
    let levels = levels(&profile.points, top, column);
    let mut lines = Vec::new();
    for row in (0..ROWS).rev() {
        let label = if row + 1 == ROWS { ByteSize::new(top).to_string() } else { String::new() };
        let axis = if row + 1 == ROWS { '┤' } else { '│' };
        let cells: String = levels
            .iter()
            .map(|level| BLOCKS.get(level.saturating_sub(row * 8).min(8)).copied().unwrap_or(' '))
            .collect();
        lines.push(format!("{label:>10} {axis}{}", cells.trim_end()));
    }
    lines.push(format!("{:>10} └{}", 0, "─".repeat(COLUMNS)));
    lines.push(format!("{:12}{}", "", time_axis(profile, column(profile.peak.time), end)));
    lines
}

/// The height of each column in eighths of a row: the highest point in it, or what the last one before left.
fn levels(points: &[Point], top: u64, column: impl Fn(u64) -> usize) -> Vec<usize> {
    let mut highest: Vec<Option<u64>> = vec![None; COLUMNS];
    let mut last = vec![0; COLUMNS];
    for point in points {
        let at = column(point.time);
        if let (Some(highest), Some(last)) = (highest.get_mut(at), last.get_mut(at)) {
            *highest = (*highest).max(Some(point.measured()));
            *last = point.measured();
        }
    }
    let mut before = 0;
    let level = |(highest, last): (&Option<u64>, &u64)| {
        let bytes = highest.unwrap_or(before);
        if highest.is_some() {
            before = *last;
        }
        let eighths = (u128::from(bytes) * (ROWS * 8) as u128).div_ceil(u128::from(top));
        usize::try_from(eighths).unwrap_or(0)
    };
    highest.iter().zip(&last).map(level).collect()
}

/// `0        ▲ peak           1.2 Gi`, with the mark below the peak where there is room.
fn time_axis(profile: &HeapProfile, peak: usize, end: u64) -> String {
    let end = time(profile.unit, end);
    let free = COLUMNS.saturating_sub(end.chars().count());
    let mut line: Vec<char> = vec![' '; COLUMNS];
    let mut put = |at: usize, text: &str| {
        for (place, letter) in line.iter_mut().skip(at).zip(text.chars()) {
            *place = letter;
        }
    };
    put(0, "0");
    put(free, &end);
    if peak >= 2 && peak + 8 <= free {
        put(peak, "▲ peak");
    } else if peak >= 8 && peak < free.saturating_sub(1) {
        put(peak - 5, "peak ▲");
    } else if peak < 2 {
        put(0, "▲ peak");
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}
