//! The graph: a column of characters for each snapshot, `#` for the marked peak, `@` where there is a tree.

use super::{Options, has_tree};
use crate::format::{Snapshot, TimeUnit, TreeKind};

/// The characters inside of the axes, by column and row from the lower left.
pub(super) struct Graph {
    width: usize,
    height: usize,
    cells: Vec<u8>,
    /// The upper end of the axes; at least 1.
    most: u64,
    end: u64,
}

/// The number of the last snapshot that massif marks as its peak. ms_print compares it with positions.
pub(super) fn marked(snapshots: &[Snapshot]) -> Option<u64> {
    snapshots.iter().rev().find(|snapshot| snapshot.tree == TreeKind::Peak).map(|snapshot| snapshot.number)
}

impl Graph {
    pub(super) fn new(snapshots: &[Snapshot], options: &Options) -> Graph {
        let Options { width, height, .. } = *options;
        let most = snapshots.iter().map(Snapshot::total).max().unwrap_or(0).max(1);
        let end = snapshots.last().map_or(0, |snapshot| snapshot.time).max(1);
        let mut graph = Graph { width, height, cells: vec![b' '; width * height], most, end };
        let peak = marked(snapshots);
        let row = most as f64 / height as f64;
        let (mut column, mut top, mut drawn) = (0, 0, b':');
        for (position, snapshot) in snapshots.iter().enumerate() {
            let before = column;
            column = graph.column(snapshot.time);
            // The line from the last snapshot to this one.
            if top > 0 {
                for between in before + 1..column {
                    graph.set(between, top, drawn);
                }
            }
            drawn = if peak == Some(position as u64) {
                b'#'
            } else if has_tree(snapshot) {
                b'@'
            } else {
                b':'
            };
            top = 0;
            for y in 1..=height {
                if snapshot.total() as f64 >= y as f64 * row {
                    let outranked = match graph.get(column, y) {
                        b'#' => drawn != b'#',
                        b'@' => drawn == b':',
                        _ => false,
                    };
                    if !outranked {
                        graph.set(column, y, drawn);
                    }
                    top = y;
                }
            }
        }
        graph
    }

    /// From 1; one beyond the width for times after the end, which are not shown.
    fn column(&self, time: u64) -> usize {
        if time == self.end {
            return self.width;
        }
        let place = (time as f64 / self.end as f64) * self.width as f64;
        (place as usize).min(self.width) + 1
    }

    fn set(&mut self, column: usize, y: usize, character: u8) {
        if column <= self.width {
            if let Some(cell) = self.cells.get_mut((y - 1) * self.width + column - 1) {
                *cell = character;
            }
        }
    }

    fn get(&self, column: usize, y: usize) -> u8 {
        if column > self.width {
            return b' ';
        }
        self.cells.get((y - 1) * self.width + column - 1).copied().unwrap_or(b' ')
    }

    /// Prints it with its axes.
    pub(super) fn print(&self, unit: TimeUnit, text: &mut Vec<u8>) {
        let (most, most_unit) = label(self.most, "B", 1024.0, &["KB", "MB", "GB", "TB", "PB", "EB"]);
        let (end, end_unit) = match unit {
            TimeUnit::Instructions => label(self.end, "i", 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei"]),
            TimeUnit::Bytes => label(self.end, "B", 1024.0, &["KB", "MB", "GB", "TB", "PB", "EB"]),
            TimeUnit::Milliseconds => time_label(self.end),
        };
        text.extend_from_slice(format!("    {most_unit:>2}\n").as_bytes());
        for y in (1..=self.height).rev() {
            if y == self.height {
                text.extend_from_slice(most.as_bytes());
                text.push(b'^');
            } else {
                text.extend_from_slice(b"     |");
            }
            let row = (y - 1) * self.width;
            text.extend_from_slice(self.cells.get(row..row + self.width).unwrap_or_default());
            text.push(b'\n');
        }
        let axis = "-".repeat(self.width - 1);
        let space = " ".repeat(self.width.saturating_sub(5));
        text.extend_from_slice(format!("   0 +{axis}>{end_unit}\n     0{space}{end:>5}\n").as_bytes());
    }
}

/// A number in the largest unit that leaves it below 1000, in five characters.
fn label(number: u64, unit: &'static str, step: f64, larger: &[&'static str]) -> (String, &'static str) {
    let (mut scaled, mut shown) = (number as f64, unit);
    for unit in larger {
        if scaled < 1000.0 {
            break;
        }
        (scaled, shown) = (scaled / step, unit);
    }
    (five(number, scaled), shown)
}

fn time_label(milliseconds: u64) -> (String, &'static str) {
    let (mut scaled, mut unit) = (milliseconds as f64, "ms");
    if scaled >= 1000.0 {
        (scaled, unit) = (scaled / 1000.0, "s");
    }
    if scaled >= 3600.0 {
        (scaled, unit) = (scaled / 3600.0, "h");
    }
    (five(milliseconds, scaled), unit)
}

fn five(number: u64, scaled: f64) -> String {
    if number < 1000 {
        format!("{number:>5}")
    } else if scaled < 10.0 {
        format!("{scaled:5.3}")
    } else if scaled < 100.0 {
        format!("{scaled:5.2}")
    } else {
        format!("{scaled:5.1}")
    }
}
