//! A run as a trace in the JSON format of Chrome and Perfetto: the bars of the report's timeline, and counters of memory,
//! reservations and slots.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ReportInput;
use super::html::axis::Axis;
use crate::event::JobResult;

/// The only process of the trace.
const PROCESS: u32 = 1;

/// The trace. Times are microseconds since the start of the first attempt.
pub fn render(input: ReportInput<'_>) -> Value {
    let ReportInput { run, dir, .. } = input;
    let axis = Axis::new(run);
    let at = |moment: i64| moment.saturating_sub(axis.from).saturating_mul(1000);
    let name = |kind: &str, thread: usize, name: &str| json!({"ph": "M", "name": kind, "pid": PROCESS, "tid": thread, "args": {"name": name}});
    let mut events = vec![name("process_name", 0, &format!("run {}", dir.id()))];
    events.extend((0..axis.lanes).map(|lane| name("thread_name", lane + 1, &format!("slot {}", lane + 1))));
    // Memory, reservations and slots change at these moments, by these amounts.
    let mut changes: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
    for bar in &axis.bars {
        let planned = &run.plan.jobs[bar.job];
        let attempt = if bar.attempt > 1 { format!(" #{}", bar.attempt) } else { String::new() };
        let outcome = bar.outcome.map_or_else(|| "its end was not recorded".to_owned(), |outcome| outcome.describe());
        let result = run.jobs[bar.job].result.as_ref().map_or("not-run", JobResult::word);
        events.push(json!({
            "ph": "X",
            "name": format!("{}{attempt}", planned.name),
            "cat": planned.group.as_str(),
            "pid": PROCESS,
            "tid": bar.lane + 1,
            "ts": at(bar.started),
            "dur": bar.ended.saturating_sub(bar.started).saturating_mul(1000),
            "args": {
                "outcome": outcome,
                "result": result,
                "attempt": bar.attempt,
                "tool": planned.tool.kind.name(),
                "peak": bar.peak,
                "reserved": bar.reservation,
            },
        }));
        let reserved = i64::try_from(bar.reservation).unwrap_or(i64::MAX);
        let mut change = |moment: i64, memory: i64, reserved: i64, slots: i64| {
            let sum = changes.entry(moment.clamp(bar.started, bar.ended)).or_default();
            *sum = (sum.0.saturating_add(memory), sum.1.saturating_add(reserved), sum.2 + slots);
        };
        change(bar.started, 0, reserved, 1);
        let mut used = 0;
        for (moment, bytes) in bar.samples {
            let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
            change(*moment, bytes - used, 0, 0);
            used = bytes;
        }
        change(bar.ended, -used, reserved.saturating_neg(), -1);
    }
    let counter = |name: &str, moment: i64, value: i64| json!({"ph": "C", "name": name, "pid": PROCESS, "ts": at(moment), "args": {"value": value}});
    let (mut memory, mut reserved, mut slots) = (0_i64, 0_i64, 0_i64);
    for (moment, change) in changes {
        memory = memory.saturating_add(change.0);
        reserved = reserved.saturating_add(change.1);
        slots += change.2;
        events.push(counter("memory in bytes", moment, memory));
        events.push(counter("reserved in bytes", moment, reserved));
        events.push(counter("slots in use", moment, slots));
    }
    let available = run.available.iter().filter(|(moment, _)| (axis.from..=axis.to).contains(moment));
    events.extend(
        available
            .map(|(moment, bytes)| counter("available in bytes", *moment, i64::try_from(*bytes).unwrap_or(i64::MAX))),
    );
    json!({"traceEvents": events, "displayTimeUnit": "ms"})
}
