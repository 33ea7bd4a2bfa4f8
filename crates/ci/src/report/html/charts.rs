//! Small charts: a job's memory over time, a heap over time, a few numbers as a line.

use super::format::{self, coordinate};
use super::markup::Html;
use super::model::{self, Heap};
use drydock_valgrind::massif::Point;

/// The number of points of a curve; of more, the highest of each group is drawn.
const POINTS: usize = 80;
/// A limit that is more times higher than the curve is in the caption only.
const FAR: u64 = 4;

/// Memory over time, with the reservation.
pub(super) fn curve(html: &mut Html, samples: &[(i64, u64)], (from, to): (i64, i64), reservation: u64) {
    let highest = samples.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0).max(1);
    let limit = Some(reservation).filter(|bytes| *bytes > 0);
    let points: Vec<(u64, u64)> = samples.iter().map(|(at, bytes)| (format::span(from, *at), *bytes)).collect();
    let end = format::span(from, to).max(1);
    let mut drawn = thinned(&points);
    // The last sample holds until the end.
    drawn.extend(drawn.last().map(|(at, bytes)| (end.max(*at), *bytes)));
    let label = format!("Memory over {}, sampled up to {}", format::time(end), format::size(highest));
    let far = if limit.is_some_and(|limit| limit > highest.saturating_mul(FAR)) { ", far above this" } else { "" };
    let caption = match limit {
        Some(limit) => format!("{label}; {} were reserved{far}", format::size(limit)),
        None => label.clone(),
    };
    figure(html, &label, &caption, |html| {
        areas(html, &[("l l0", &drawn)], end, highest, limit, "reserved");
    });
}

/// The heap of a process over time, with its peak and its limit.
pub(super) fn heap(html: &mut Html, heap: &Heap) {
    let end = heap.points.last().map_or(1, |last| last.time).max(1);
    let of = |value: fn(Point) -> u64| -> Vec<(u64, u64)> {
        heap.points.iter().map(|point| (point.time, value(*point))).collect()
    };
    let highest = heap.points.iter().map(|point| model::total(*point)).max().unwrap_or(0).max(heap.peak).max(1);
    let level = heap.limit.into_iter().chain(heap.allowed).min();
    let drawn = level.filter(|level| *level <= highest.saturating_mul(FAR));
    let label = if heap.points.is_empty() {
        format!("Heap peak {}", format::size(heap.peak))
    } else {
        format!("Heap over {} {}, peak {}", grouped(end), heap.unit, format::size(heap.peak))
    };
    let mut caption = label.clone();
    caption.extend(heap.limit.map(|limit| format!(", limit {}", format::size(limit))));
    caption.extend(heap.allowed.map(|allowed| format!(", {} by the baseline", format::size(allowed))));
    if level.is_some() && drawn.is_none() {
        caption.push_str(", far above this");
    }
    let (all, counted, plain) = (of(model::total), of(|point| point.measured()), of(|point| point.heap));
    figure(html, &label, &caption, |html| {
        let layers = [("l l2", all.as_slice()), ("l l1", &counted), ("l l0", &plain)];
        areas(html, &layers, end, highest, drawn, "ceiling");
    });
    html.within("ul", &[("class", "legend")], |html| {
        let some = |value: fn(&Point) -> u64| heap.points.iter().any(|point| value(point) > 0);
        key(html, "l l0", "heap");
        if some(|point| point.extra) {
            key(html, "l l1", "its administration");
        }
        if some(|point| point.stacks) {
            key(html, "l l2", "stacks");
        }
        if drawn.is_some() {
            key(html, "ceiling", "limit");
        }
    });
    for note in &heap.notes {
        html.tag("p", &[("class", "hint")], note);
    }
    if !heap.sites.is_empty() {
        html.raw("<p>The largest allocation sites at the peak:</p>");
        html.within("ol", &[("class", "mono")], |html| {
            for site in heap.sites.iter().take(20) {
                html.tag("li", &[], site);
            }
        });
    }
}

fn key(html: &mut Html, class: &str, text: &str) {
    html.within("li", &[], |html| {
        html.within(
            "svg",
            &[("class", "swatch"), ("width", "18"), ("height", "12"), ("aria-hidden", "true")],
            |html| {
                let d = if class == "ceiling" { "M0 6H18" } else { "M0 1H18V11H0Z" };
                html.void("path", &[("class", class), ("d", d)]);
            },
        );
        html.text(text);
    });
}

fn figure(html: &mut Html, label: &str, caption: &str, inside: impl FnOnce(&mut Html)) {
    html.within("figure", &[], |html| {
        let attributes = [
            ("class", "curve"),
            ("viewBox", "0 0 600 100"),
            ("preserveAspectRatio", "none"),
            ("role", "img"),
            ("aria-label", label),
        ];
        html.within("svg", &attributes, inside);
        html.tag("figcaption", &[], caption);
    });
}

/// Areas from the highest to the lowest, each over the former, and a level.
fn areas(
    html: &mut Html,
    layers: &[(&str, &[(u64, u64)])],
    end: u64,
    highest: u64,
    level: Option<u64>,
    level_class: &'static str,
) {
    let level = level.filter(|level| *level <= highest.saturating_mul(FAR));
    let top = highest.max(level.unwrap_or(0)) as f64 * 1.08;
    let x = |at: u64| coordinate((at as f64 / end as f64 * 600.0).min(600.0));
    let y = |bytes: u64| coordinate(100.0 - bytes as f64 / top * 100.0);
    for (class, points) in layers {
        let Some((first, _)) = points.first() else { continue };
        let mut path = format!("M{} 100", x(*first));
        for (at, bytes) in *points {
            path.push_str(&format!("L{} {}", x(*at), y(*bytes)));
        }
        let last = points.last().map_or(0, |(at, _)| *at);
        path.push_str(&format!("L{} 100Z", x(last)));
        html.void("path", &[("class", class), ("d", &path)]);
    }
    if let Some(level) = level {
        let y = y(level);
        html.void("line", &[("class", level_class), ("x1", "0"), ("x2", "600"), ("y1", &y), ("y2", &y)]);
    }
}

fn thinned(points: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let group = points.len().div_ceil(POINTS).max(1);
    points.chunks(group).filter_map(|group| group.iter().max_by_key(|(_, bytes)| *bytes).copied()).collect()
}

/// Numbers as a small line from the oldest to the newest, the newest with a dot; in words for who does not see it.
pub(super) fn sparkline(html: &mut Html, of: &str, numbers: &[u64], words: fn(u64) -> String) {
    let (Some(least), Some(most), Some(last)) = (numbers.iter().min(), numbers.iter().max(), numbers.last()) else {
        return;
    };
    if numbers.len() < 2 {
        return;
    }
    let range = (*most).max(1) as f64;
    // From zero, so that noise looks like noise.
    let point = |number: usize| {
        let x = number as f64 / (numbers.len() - 1) as f64 * 56.0 + 2.0;
        let y = 16.0 - numbers[number] as f64 / range * 14.0;
        ((x * 10.0).round() / 10.0, (y * 10.0).round() / 10.0)
    };
    let mut path = String::new();
    for number in 0..numbers.len() {
        let (x, y) = point(number);
        path.push_str(&format!("{}{} {}", if number == 0 { "M" } else { "L" }, coordinate(x), coordinate(y)));
    }
    let label = format!("{of} of {} runs: {} to {}, now {}", numbers.len(), words(*least), words(*most), words(*last));
    let attributes = [("class", "spark"), ("width", "60"), ("height", "18"), ("role", "img"), ("aria-label", &label)];
    html.within("svg", &attributes, |html| {
        html.void("path", &[("d", &path)]);
        let (x, y) = point(numbers.len() - 1);
        html.void("circle", &[("cx", &coordinate(x)), ("cy", &coordinate(y)), ("r", "2")]);
    });
}

/// `1234567` → `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn thinning_keeps_the_highest() {
        let points: Vec<(u64, u64)> = (0..1000).map(|at| (at, if at == 501 { 99 } else { 1 })).collect();
        let drawn = thinned(&points);
        assert!(drawn.len() <= POINTS && drawn.contains(&(501, 99)), "{drawn:?}");
    }
}
