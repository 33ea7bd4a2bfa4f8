//! Memory over time: the use of all jobs, stacked, with the reservations, the ceiling, and the available memory.

use super::Page;
use super::axis::{Axis, Bar};
use super::format::{self, coordinate, percent};
use super::marks::{self, Mark};
use super::markup::Html;

/// The time is divided into this number of parts, and the highest value of each is drawn, so that no spike is lost.
const PARTS: usize = 300;
/// The number of moments of a part that are evaluated.
const MOST_MOMENTS: usize = 24;
/// The number of jobs that have an area of their own.
const LAYERS: usize = 8;
/// An attempt with fewer samples is drawn at its peak.
const FEW_SAMPLES: usize = 3;
/// Height in pixels.
const HEIGHT: usize = 190;
/// The drawing inside has this size and is stretched.
const INSIDE: f64 = 1000.0;
/// A ceiling that is more times higher than everything else is only in the legend, so that the rest can be seen.
const FAR: u64 = 4;

/// A job, or all others: position in the plan, bytes in each part of the time, the highest peak.
type Layer = (Option<usize>, Vec<u64>, u64);

/// Bytes in each part of the time, at the moment in it at which all jobs together used most.
pub(super) struct Memory {
    layers: Vec<Layer>,
    total: Vec<u64>,
    reserved: Vec<u64>,
    available: Vec<Option<u64>>,
}

impl Memory {
    pub(super) fn new(page: Page<'_>, axis: &Axis<'_>) -> Memory {
        let mut reserved = vec![0_u64; PARTS];
        let mut fullest: Vec<(u64, Vec<(usize, u64)>)> = vec![(0, Vec::new()); PARTS];
        let mut running: Vec<&Bar<'_>> = Vec::new();
        let mut to_start = axis.bars.iter().peekable();
        for (part, moment) in moments(axis) {
            while let Some(bar) = to_start.next_if(|bar| bar.started <= moment) {
                running.push(bar);
            }
            running.retain(|bar| moment < bar.ended.max(bar.started + 1));
            let of_running = running.iter().map(|bar| bar.reservation).fold(0, u64::saturating_add);
            reserved[part] = reserved[part].max(of_running);
            let now: Vec<(usize, u64)> = running.iter().map(|bar| (bar.job, bytes_at(bar, moment))).collect();
            let total = now.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
            if total >= fullest[part].0 {
                fullest[part] = (total, now);
            }
        }
        let mut available: Vec<Option<u64>> = vec![None; PARTS];
        for (at, bytes) in page.run.available.iter().filter(|(at, _)| axis.from <= *at && *at <= axis.to) {
            let least = &mut available[part(axis, *at)];
            *least = Some(least.map_or(*bytes, |least| least.min(*bytes)));
        }
        let total = fullest.iter().map(|(total, _)| *total).collect();
        Memory { layers: layers(axis, page.run.jobs.len(), &fullest), total, reserved, available }
    }

    fn highest(&self) -> u64 {
        self.total.iter().max().copied().unwrap_or(0)
    }

    /// Bytes at the upper edge, and whether the ceiling is below it.
    fn scale(&self, ceiling: u64) -> (u64, bool) {
        let most = self.highest().max(self.reserved.iter().max().copied().unwrap_or(0)).max(1);
        let near = ceiling <= most.saturating_mul(FAR);
        let top = if near { most.max(ceiling) } else { most };
        (top.saturating_add(top / 8), near)
    }
}

fn part(axis: &Axis<'_>, moment: i64) -> usize {
    ((axis.at(moment) / 100.0 * PARTS as f64) as usize).min(PARTS - 1)
}

/// The evaluated moments in order, each with its part: starts and samples, where memory can be highest, and the middle of
/// each part.
fn moments(axis: &Axis<'_>) -> Vec<(usize, i64)> {
    let mut of_part: Vec<Vec<i64>> = middles(axis).into_iter().map(|moment| vec![moment]).collect();
    for bar in &axis.bars {
        for moment in std::iter::once(bar.started).chain(bar.samples.iter().map(|(at, _)| *at)) {
            if axis.from <= moment && moment <= axis.to {
                of_part[part(axis, moment)].push(moment);
            }
        }
    }
    let mut moments = Vec::new();
    for (part, mut of_part) in of_part.into_iter().enumerate() {
        of_part.sort_unstable();
        of_part.dedup();
        let step = of_part.len().div_ceil(MOST_MOMENTS);
        moments.extend(of_part.into_iter().step_by(step).map(|moment| (part, moment)));
    }
    moments
}

/// The middle of each part, in Unix milliseconds.
fn middles(axis: &Axis<'_>) -> Vec<i64> {
    (0..PARTS).map(|part| axis.moment((part as f64 + 0.5) * 100.0 / PARTS as f64)).collect()
}

/// The bytes of an attempt at a moment, interpolated between samples. An attempt with too few samples counts with its
/// peak.
fn bytes_at(bar: &Bar<'_>, moment: i64) -> u64 {
    if bar.samples.len() < FEW_SAMPLES {
        return bar.peak.or_else(|| bar.samples.iter().map(|(_, bytes)| *bytes).max()).unwrap_or(0);
    }
    let next = bar.samples.partition_point(|(at, _)| *at <= moment);
    let before = next.checked_sub(1).map_or((bar.started, 0), |last| bar.samples[last]);
    match bar.samples.get(next) {
        Some((at, bytes)) => {
            let share = (moment - before.0).max(0) as f64 / (at - before.0).max(1) as f64;
            (before.1 as f64 + (*bytes as f64 - before.1 as f64) * share) as u64
        }
        None => before.1,
    }
}

/// The jobs with the highest peaks, each in an area, and all others in one.
fn layers(axis: &Axis<'_>, jobs: usize, fullest: &[(u64, Vec<(usize, u64)>)]) -> Vec<Layer> {
    let mut peaks = vec![0_u64; jobs];
    for bar in &axis.bars {
        let drawn = bar.samples.iter().map(|(_, bytes)| *bytes).max();
        peaks[bar.job] = peaks[bar.job].max(bar.peak.or(drawn).unwrap_or(0));
    }
    let mut order: Vec<usize> = (0..jobs).filter(|job| peaks[*job] > 0).collect();
    order.sort_by_key(|job| (std::cmp::Reverse(peaks[*job]), *job));
    let mut layer_of = vec![LAYERS; jobs];
    let mut layers: Vec<Layer> = Vec::new();
    for (number, job) in order.into_iter().enumerate().take(LAYERS + 1) {
        layer_of[job] = number.min(LAYERS);
        layers.push((Some(job).filter(|_| number < LAYERS), vec![0; PARTS], peaks[job]));
    }
    for (part, (_, now)) in fullest.iter().enumerate() {
        for (job, bytes) in now {
            if let Some((_, layer, _)) = layers.get_mut(layer_of[*job]) {
                layer[part] = layer[part].saturating_add(*bytes);
            }
        }
    }
    layers
}

pub(super) fn write(html: &mut Html, page: Page<'_>, memory: &Memory, axis: &Axis<'_>, marks: &[Mark]) {
    let ceiling = page.run.started.as_ref().map_or(0, |started| started.capacity.memory);
    let (top, near) = memory.scale(ceiling);
    let label = format!("Memory of all jobs over time, at most {}", format::size(memory.highest()));
    let height = HEIGHT.to_string();
    let attributes = [
        ("class", "memory"),
        ("id", "memory"),
        ("width", "100%"),
        ("height", height.as_str()),
        ("role", "img"),
        ("aria-label", &label),
    ];
    html.within("svg", &attributes, |html| {
        marks::grid(html, axis, HEIGHT, false);
        marks::bands(html, axis, marks, HEIGHT);
        let stretched = [
            ("viewBox", "0 0 1000 1000"),
            ("preserveAspectRatio", "none"),
            ("width", "100%"),
            ("height", height.as_str()),
        ];
        html.within("svg", &stretched, |html| {
            areas(html, page, memory, top);
            let steps = |value: &dyn Fn(usize) -> Option<u64>| line(top, value);
            let reserved = steps(&|part| Some(memory.reserved[part]));
            html.void("path", &[("class", "reserved"), ("d", &reserved)]);
            let available = steps(&|part| memory.available[part].filter(|bytes| *bytes <= top));
            html.void("path", &[("class", "available"), ("d", &available)]);
        });
        names(html, page, memory, top);
        if near && ceiling > 0 {
            let y = (1.0 - ceiling as f64 / top as f64) * HEIGHT as f64;
            let (y, above) = (coordinate(y), coordinate((y - 4.0).max(11.0)));
            html.void("line", &[("class", "ceiling"), ("x1", "0"), ("x2", "100%"), ("y1", &y), ("y2", &y)]);
            let attributes = [("class", "ceiling-name"), ("x", "4"), ("y", above.as_str())];
            html.tag("text", &attributes, &format!("ceiling {}", format::size(ceiling)));
        }
    });
    data(html, axis, memory);
}

fn areas(html: &mut Html, page: Page<'_>, memory: &Memory, top: u64) {
    let mut below = vec![0_u64; PARTS];
    let y = |bytes: u64| coordinate((1.0 - bytes as f64 / top as f64) * INSIDE);
    for (number, (job, layer, peak)) in memory.layers.iter().enumerate() {
        let mut path = String::new();
        // One closed shape for each stretch of time in which the job had memory.
        let mut start = 0;
        while start < PARTS {
            if layer[start] == 0 {
                start += 1;
                continue;
            }
            let end = (start..PARTS).find(|part| layer[*part] == 0).unwrap_or(PARTS);
            path.push_str(&format!("M{} {}", x(start), y(below[start])));
            steps(&mut path, start..end, |part| y(below[part] + layer[part]), |part| x(part + 1));
            steps(&mut path, (start..end).rev(), |part| y(below[part]), x);
            path.push('Z');
            start = end;
        }
        if !path.is_empty() {
            let title = format!("{}: at most {}", layer_name(page, *job), format::size(*peak));
            html.within("path", &[("class", &format!("l l{number}")), ("d", &path)], |html| {
                html.tag("title", &[], &title);
            });
        }
        for (sum, bytes) in below.iter_mut().zip(layer) {
            *sum += bytes;
        }
    }
}

/// A corner wherever the height changes.
fn steps(
    path: &mut String,
    parts: impl Iterator<Item = usize>,
    y: impl Fn(usize) -> String,
    x: impl Fn(usize) -> String,
) {
    let mut open: Option<(String, usize)> = None;
    for part in parts {
        let height = y(part);
        match &mut open {
            Some((before, until)) if *before == height => *until = part,
            _ => {
                if let Some((_, until)) = open.take() {
                    path.push_str(&format!("H{}", x(until)));
                }
                path.push_str(&format!("V{height}"));
                open = Some((height, part));
            }
        }
    }
    path.extend(open.map(|(_, until)| format!("H{}", x(until))));
}

fn x(part: usize) -> String {
    coordinate(part as f64 / PARTS as f64 * INSIDE)
}

/// A line of steps, with gaps where values are missing.
fn line(top: u64, value: &dyn Fn(usize) -> Option<u64>) -> String {
    let mut path = String::new();
    let mut drawn = None;
    for part in 0..PARTS {
        let now = value(part).map(|bytes| coordinate((1.0 - bytes as f64 / top as f64) * INSIDE));
        match (&drawn, &now) {
            (_, None) => {}
            (None, Some(y)) => path.push_str(&format!("M{} {y}", x(part))),
            (Some(before), Some(y)) if before == y => {}
            (Some(_), Some(y)) => path.push_str(&format!("H{}V{y}", x(part))),
        }
        if drawn.is_some() && (now.is_none() || part + 1 == PARTS) {
            path.push_str(&format!("H{}", x(if now.is_none() { part } else { part + 1 })));
        }
        drawn = now;
    }
    path
}

/// Writes the names into the areas where they fit, since some readers do not see colours.
fn names(html: &mut Html, page: Page<'_>, memory: &Memory, top: u64) {
    let pixels = |bytes: u64| bytes as f64 / top as f64 * HEIGHT as f64;
    let mut below = vec![0_u64; PARTS];
    for (job, layer, _) in &memory.layers {
        let tall = |part: &usize| pixels(layer[*part]) > 15.0;
        // The longest stretch in which it is tall enough.
        let (mut best, mut start) = (0..0, 0);
        while let Some(from) = (start..PARTS).find(tall) {
            let to = (from..PARTS).find(|part| !tall(part)).unwrap_or(PARTS);
            if to - from > best.len() {
                best = from..to;
            }
            start = to;
        }
        let name = layer_name(page, *job);
        // A character is about seven pixels wide, of a thousand.
        if best.len() * 1000 > name.chars().count().min(40) * 7 * PARTS {
            let middle = best.start + best.len() / 2;
            let y = HEIGHT as f64 - pixels(below[middle]) - pixels(layer[middle]) / 2.0 + 4.0;
            let place = percent(middle as f64 * 100.0 / PARTS as f64);
            let attributes =
                [("class", "layer-name"), ("x", place.as_str()), ("y", &coordinate(y)), ("text-anchor", "middle")];
            html.tag("text", &attributes, &name);
        }
        for (sum, bytes) in below.iter_mut().zip(layer) {
            *sum += bytes;
        }
    }
}

fn layer_name(page: Page<'_>, job: Option<usize>) -> String {
    let planned = job.and_then(|job| page.run.plan.jobs.get(job));
    planned.map_or_else(|| "all others".into(), |planned| planned.name.to_string())
}

/// The legend of lines and areas, and the figures that are not drawn.
pub(super) fn legend(html: &mut Html, page: Page<'_>, memory: &Memory) {
    let ceiling = page.run.started.as_ref().map_or(0, |started| started.capacity.memory);
    let (top, near) = memory.scale(ceiling);
    html.within("ul", &[("class", "legend"), ("aria-label", "Legend of the memory")], |html| {
        for (number, (job, _, peak)) in memory.layers.iter().enumerate().filter(|(_, (_, _, peak))| *peak > 0) {
            html.within("li", &[], |html| {
                swatch(html, &format!("l l{number}"));
                match job {
                    Some(job) => html.link(&format!("#j{job}"), &layer_name(page, Some(*job))),
                    None => {
                        html.text("all others");
                    }
                }
                html.text(&format!(" {}", format::size(*peak)));
            });
        }
        html.within("li", &[], |html| {
            swatch(html, "reserved");
            html.text("reserved");
        });
        if memory.available.iter().flatten().any(|bytes| *bytes <= top) {
            html.within("li", &[], |html| {
                swatch(html, "available");
                html.text("available on the machine");
            });
        }
    });
    let mut words = format!("All jobs together used {} at most", format::size(memory.highest()));
    if let Some(reserved) = memory.reserved.iter().max().filter(|reserved| **reserved > 0) {
        words.push_str(&format!(", and {} were reserved", format::size(*reserved)));
    }
    words.push_str(&format!(". The ceiling was {}", format::size(ceiling)));
    if !near {
        words.push_str(", far above what is drawn");
    }
    if let Some(least) = page.run.available.iter().map(|(_, bytes)| *bytes).min() {
        words.push_str(&format!("; the machine had at least {} available", format::size(least)));
    }
    html.tag("p", &[("class", "hint")], &format!("{words}."));
}

fn swatch(html: &mut Html, class: &str) {
    html.within("svg", &[("class", "swatch"), ("width", "18"), ("height", "12"), ("aria-hidden", "true")], |html| {
        html.void("path", &[("class", class), ("d", if class.starts_with('l') { "M0 1H18V11H0Z" } else { "M0 6H18" })]);
    });
}

/// The values that the script shows under the pointer: milliseconds since the beginning, and bytes.
fn data(html: &mut Html, axis: &Axis<'_>, memory: &Memory) {
    let since: Vec<i64> = middles(axis).iter().map(|moment| moment - axis.from).collect();
    let kib = |bytes: &[u64]| bytes.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>();
    let available: Vec<_> = memory.available.iter().map(|bytes| bytes.map(|bytes| bytes >> 10)).collect();
    let value = serde_json::json!({
        "at": since,
        "total": kib(&memory.total),
        "reserved": kib(&memory.reserved),
        "available": available,
    });
    html.data("memory-data", &value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::style::Style;

    fn bar(samples: &[(i64, u64)]) -> Bar<'_> {
        let peak = Some(9);
        let outcome = None;
        Bar {
            job: 0,
            attempt: 1,
            style: Style::Passed,
            started: 0,
            ended: 3000,
            lane: 0,
            reservation: 0,
            peak,
            samples,
            outcome,
        }
    }

    #[test]
    fn between_samples_is_a_line() {
        let sampled = [(1000, 1000), (1003, 5000), (1006, 1000), (2000, 2000)];
        let at = |moment| bytes_at(&bar(&sampled), moment);
        assert_eq!([0, 500, 1003, 1503, 2000, 2999].map(at), [0, 500, 5000, 1500, 2000, 2000]);
        assert_eq!(bytes_at(&bar(&[(5, 3)]), 7), 9, "without samples it is taken at its peak");
    }

    #[test]
    fn starts_and_samples_are_evaluated() {
        let sampled = [(1000, 1000), (1003, 5000), (1006, 1000)];
        let axis = Axis { from: 0, to: 3000, pauses: Vec::new(), bars: vec![bar(&sampled)], lanes: 1 };
        let moments = moments(&axis);
        assert!(moments.contains(&(100, 1003)) && moments.contains(&(0, 0)) && moments.len() <= PARTS + 4);
        assert!(moments.is_sorted(), "in the order of time");
    }

    #[test]
    fn an_area_has_a_corner_where_its_height_changes() {
        let mut path = String::new();
        steps(&mut path, 0..6, |part| (part / 3).to_string(), |part| (part + 1).to_string());
        steps(&mut path, (0..6).rev(), |_| "9".into(), |part| part.to_string());
        assert_eq!(path, "V0H3V1H6V9H0");
    }

    #[test]
    fn a_line_is_as_short_as_its_steps() {
        let path = line(1000, &|part| if part < 150 { Some(0) } else { Some(500) });
        assert_eq!(path, "M0 1000H500V500H1000");
        let gap = line(1000, &|part| (!(30..=200).contains(&part)).then_some(500));
        assert_eq!(gap, "M0 500H100M670 500H1000");
    }
}
