//! `report.html` in a real browser: what is drawn, what is asked of the network, keys, contrast, speed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::browser::Browser;
use crate::support::{Project, RunJson, mortal, need_tool, text};

/// The largest size in bytes of the report of 2,000 jobs.
const HEAVIEST: u64 = 5 << 20;
/// The most elements that it may have.
const MOST_ELEMENTS: u64 = 100_000;
/// The most elements outside of closed details.
const MOST_LAID_OUT: u64 = 60_000;

fn browser() -> Option<Browser> {
    need_tool("chromium", "chromium").then(Browser::start)
}

/// A run with every look: passes, failures with hostile logs, a timeout, a kill by the own limit, a finding, a heap.
fn failing() -> (Project, PathBuf) {
    let mortal = text(&mortal());
    let project = Project::new().jobs(&format!(
        "defaults: {{memory: 16MiB, timeout: 5m}}\n\
         jobs:\n\
         \x20 build: {{run: [\"{mortal}\", hog, \"8\", \"1\"]}}\n\
         \x20 units: {{needs: [build], for-each: {{lines-of: [seq, \"1\", \"6\"]}}, run: [\"{mortal}\", hog, \"{{item}}\"]}}\n\
         \x20 broken: {{run: [sh, -c, \"echo '</script><b id=evil>x'; printf '\\\\033[31m'; echo 'assertion failed'; exit 3\"]}}\n\
         \x20 after: {{needs: [broken], run: [\"true\"]}}\n\
         \x20 late: {{run: [\"{mortal}\", sleep, \"9\"], timeout: 1s}}\n\
         \x20 leak: {{needs: [build], run: [\"{mortal}\", leak], tool: memcheck}}\n\
         \x20 heap: {{needs: [build], run: [\"{mortal}\", hog, \"3\"], tool: massif, heap: {{limit: 1MiB}}}}\n"
    ));
    let finished = project.xtask(&["ci", "--jobs", "3", "--memory", "200MiB", "--no-progress"]).run();
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    let report = project.state().join("runs/latest/report.html");
    (project, report)
}

/// Nothing but the file was asked for, and nothing was said in the console.
#[track_caller]
fn assert_quiet(browser: &Browser) {
    let requests = browser.requests();
    assert!(requests.len() == 1 && requests[0].starts_with("file://"), "{requests:?}");
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// The texts in the page whose contrast with what is behind them is below AA, 4.5 to 1.
const TOO_PALE: &str = r#"(() => {
    const channel = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const parse = (color) => {
        const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
        return { l: 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255), a };
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const found = parse(getComputedStyle(at).backgroundColor);
            if (found.a === 1) return found.l;
        }
        return parse(getComputedStyle(document.body).backgroundColor).l;
    };
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const pale = [];
    for (const element of document.querySelectorAll("body *:not(svg *):not(script)")) {
        if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
        const found = ratio(parse(getComputedStyle(element).color).l, behind(element));
        if (found < 4.5) pale.push(`${element.tagName} ${element.className} ${element.textContent.slice(0, 30)} ${found}`);
    }
    const fill = (element) => parse(getComputedStyle(element).fill).l;
    for (const bar of document.querySelectorAll(".lanes a")) {
        const name = bar.querySelector("text");
        if (name && ratio(fill(name), fill(bar.querySelector("rect"))) < 4.5) pale.push(name.textContent);
    }
    for (const area of document.querySelectorAll(".memory path.l")) {
        if (ratio(parse(getComputedStyle(document.body).color).l, fill(area)) < 4.5) pale.push(area.getAttribute("class"));
    }
    return pale;
})()"#;

#[test]
fn the_report_is_what_the_run_was() {
    let Some(mut browser) = browser() else { return };
    let (project, report) = failing();
    browser.open(&report);
    assert_quiet(&browser);

    // The bars are the attempts of run.json, in place and length.
    let run = RunJson::latest(&project.state()).unwrap();
    let attempts: Vec<(usize, i64, i64)> = run
        .jobs
        .iter()
        .enumerate()
        .flat_map(|(job, of)| of.attempts.iter().map(move |one| (job, one.started.unwrap(), one.ended.unwrap())))
        .collect();
    let from = attempts.iter().map(|(_, started, _)| *started).min().unwrap();
    let to = attempts.iter().map(|(_, _, ended)| *ended).max().unwrap();
    let bars = browser.value(
        "(() => { const all = document.getElementById('lanes').getBoundingClientRect();
          return [...document.querySelectorAll('#lanes a')].map((bar) => {
            const rect = bar.querySelector('rect').getBoundingClientRect();
            return [Number(bar.getAttribute('href').slice(2)), (rect.left - all.left) / all.width, rect.width / all.width];
          }); })()",
    );
    let bars = bars.as_array().unwrap();
    assert_eq!(bars.len(), attempts.len());
    for (job, started, ended) in &attempts {
        let share = |ms: i64| ms as f64 / (to - from) as f64;
        let close = |value: &Value, ms: i64| (value.as_f64().unwrap() - share(ms)).abs() < 0.002;
        let fits = |bar: &&Value| bar[0] == *job && close(&bar[1], started - from) && close(&bar[2], ended - started);
        assert_eq!(bars.iter().filter(fits).count(), 1, "job {job} from {started} to {ended} in {bars:?}");
    }

    for (what, script, least) in [
        ("areas of memory", "document.querySelectorAll('#memory path.l').length", 3),
        ("a ceiling", "document.querySelectorAll('#memory .ceiling, #memory .reserved').length", 1),
        ("the bound", "document.querySelectorAll('#lanes .least line').length", 1),
        ("marks of what was ended", "document.querySelectorAll('#lanes text.ended').length", 1),
        ("a heap with its limit", "document.querySelectorAll('figure line.ceiling').length", 1),
        ("causes", "document.querySelectorAll('article.cause').length", 4),
        ("rows", "document.querySelectorAll('#table tbody tr').length", run.jobs.len()),
    ] {
        let found = browser.value(script).as_u64().unwrap();
        assert!(found >= least as u64, "{what}: {found}");
    }
    assert_eq!(browser.value("document.getElementById('evil')"), Value::Null, "a log became markup");
    let shown = browser.value("document.body.innerText");
    for text in ["</script><b id=evil>x", "definitely lost", "assertion failed", "it needs broken"] {
        assert!(shown.as_str().unwrap().contains(text), "{text}");
    }

    // The report is written again from the journal, as it was.
    let before = fs::read(&report).unwrap();
    let again = project.xtask(&["ci", "report"]).run();
    assert_eq!(again.code(), 0, "{}", again.transcript());
    assert!(again.stdout.lines().any(|line| line.ends_with("report.html")), "{}", again.stdout);
    assert!(fs::read(&report).unwrap() == before, "two reports of one run differ");

    browser_reads_it(&mut browser, &report);
    keys_reach_everything(&mut browser, &report);
    without_scripts(&mut browser, &report);
}

/// Light, dark, on a phone, and for a screen reader.
fn browser_reads_it(browser: &mut Browser, report: &Path) {
    let mut pages = Vec::new();
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        browser.open(report);
        pages.push(browser.value("getComputedStyle(document.body).backgroundColor"));
        browser.value("document.querySelectorAll('details').forEach((one) => (one.open = true))");
        assert_eq!(browser.value(TOO_PALE), Value::Array(Vec::new()), "{scheme}");
        assert_quiet(browser);
    }
    assert_ne!(pages[0], pages[1], "dark is as light");
    browser.scheme("light");
    browser.size(360, 800);
    browser.open(report);
    let wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.value(wide), 0, "a phone has to scroll sideways");
    browser.size(1300, 900);

    browser.open(report);
    let tree = browser.accessible();
    let role = |wanted: &str| tree.iter().filter(|(role, _)| role == wanted).count();
    for (wanted, least) in
        [("banner", 1), ("navigation", 1), ("main", 1), ("contentinfo", 1), ("search", 1), ("table", 1), ("region", 5)]
    {
        assert!(role(wanted) >= least, "{wanted}: {} in {tree:?}", role(wanted));
    }
    assert!(role("rowheader") >= 10 && role("columnheader") == 9 && role("heading") >= 8);
    let unnamed = |(role, name): &&(String, String)| {
        ["button", "link", "image", "region", "combobox", "searchbox"].contains(&role.as_str()) && name.is_empty()
    };
    assert_eq!(tree.iter().find(unnamed), None, "it has no name");
    let bar = |(role, name): &(String, String)| role == "link" && name.starts_with("late: timed out");
    assert!(tree.iter().any(bar), "the bars of the timeline say what they are");
}

fn keys_reach_everything(browser: &mut Browser, report: &Path) {
    browser.open(report);
    browser.press("Tab");
    assert_eq!(browser.value("document.activeElement.className"), "skip");
    browser.press("Enter");
    assert_eq!(browser.value("document.activeElement.id"), "main");
    let (mut in_timeline, mut sorted) = (0, false);
    for _ in 0..200 {
        browser.press("Tab");
        if browser.value("Boolean(document.activeElement.closest('#lanes'))") == true {
            in_timeline += 1;
            let first = browser.value("document.getElementById('readout').textContent");
            browser.press("ArrowDown");
            let second = browser.value("document.getElementById('readout').textContent");
            assert!(first != "" && second != "" && first != second, "{first} {second}");
        }
        if browser.value("document.activeElement.matches('thead th:nth-child(5) button')") == true {
            browser.press("Enter");
            sorted = true;
            break;
        }
    }
    assert!(sorted && in_timeline == 1, "the timeline is {in_timeline} stops, the table was sorted: {sorted}");
    assert_eq!(
        browser.value("document.querySelector('thead th:nth-child(5)').getAttribute('aria-sort')"),
        "descending"
    );
    let times = "[...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.cells[4].dataset.v ?? -1))";
    let times: Vec<i64> = serde_json::from_value(browser.value(times)).unwrap();
    assert!(times.len() > 9 && times.is_sorted_by(|a, b| a >= b), "{times:?}");

    // The filter, and a link to a job.
    browser.value(
        "(() => { const name = document.getElementById('filter-name'); name.value = 'units';
        name.dispatchEvent(new Event('input')); })()",
    );
    let shown = "[...document.querySelectorAll('#table tbody tr')].filter((row) => !row.hidden).length";
    assert_eq!(browser.value(shown), 6);
    assert_eq!(browser.value("document.getElementById('filter-count').textContent"), "6 of 12 jobs");
    browser.value("document.querySelector('#table tbody tr:not([hidden]) a').click()");
    assert_eq!(browser.value("document.querySelectorAll('.details details[open]').length"), 1);
    assert_quiet(browser);
}

fn without_scripts(browser: &mut Browser, report: &Path) {
    browser.scripts(false);
    browser.open(report);
    assert_eq!(browser.value("document.documentElement.className"), "", "the script ran");
    let shown = browser.value("document.body.innerText");
    let shown = shown.as_str().unwrap();
    for text in ["jobs did not pass", "What went wrong", "assertion failed", "units/_6"] {
        assert!(shown.contains(text), "{text}");
    }
    assert!(!shown.contains("Closer") && !shown.contains("arrow keys"), "shows what only works with the script");
    let details = browser.value("document.querySelector('.details').textContent");
    assert!(details.as_str().unwrap().contains("Attempt 1: "));
    // A link opens the details that it leads into, as browsers do by themselves.
    browser.value("document.querySelector('#table tbody a').click()");
    assert_eq!(browser.value("document.querySelectorAll('.details details[open]').length"), 1);
    assert_quiet(browser);
    browser.scripts(true);
}

#[test]
fn a_report_of_two_thousand_jobs_is_light() {
    let Some(mut browser) = browser() else { return };
    let project = Project::new().jobs(
        "defaults: {memory: 1MiB, timeout: 5m}\n\
         jobs:\n\
         \x20 good: {for-each: {lines-of: [seq, \"1\", \"1950\"]}, run: [\"true\"]}\n\
         \x20 bad: {for-each: {lines-of: [seq, \"1\", \"50\"]}, run: [sh, -c, \"seq 1 100; echo failed; exit 3\"]}\n",
    );
    let run = |jobs: &[&str]| {
        let call = [&["ci"], jobs, &["--jobs", "4", "--memory", "400MiB", "--no-progress"]].concat();
        let finished = project.xtask(&call).run();
        assert_eq!(finished.code(), 1, "{}", finished.transcript());
    };
    // Every job has a history: that of one job of its kind.
    run(&["good/_1", "bad/_1"]);
    let history = project.state().join("history.jsonl");
    let lines = fs::read_to_string(&history).unwrap();
    let line = |name: &str| lines.lines().find(|line| line.contains(&format!("\"{name}/_1\""))).unwrap();
    let copies = |(name, count): (&str, u32)| {
        let (one, line) = (format!("\"{name}/_1\""), line(name).to_owned());
        let name = name.to_owned();
        (2..=count).map(move |number| line.replace(&one, &format!("\"{name}/_{number}\"")) + "\n")
    };
    fs::write(
        &history,
        lines.clone() + &[("good", 1950), ("bad", 50)].into_iter().flat_map(copies).collect::<String>(),
    )
    .unwrap();
    run(&[]);
    let report = project.state().join("runs/latest/report.html");
    let bytes = fs::metadata(&report).unwrap().len();
    assert!(bytes < HEAVIEST, "{bytes} bytes");
    browser.open(&report);
    let count = |browser: &mut Browser, what: &str| browser.value(what).as_u64().unwrap();
    let elements = count(&mut browser, "document.querySelectorAll('*').length");
    let closed = count(&mut browser, "document.querySelectorAll('details:not([open]) *').length");
    println!("2,000 jobs: {bytes} bytes, {elements} elements, {closed} of them in closed details");
    assert!(elements < MOST_ELEMENTS, "{elements} elements");
    // What is closed is not laid out.
    assert!(elements - closed < MOST_LAID_OUT, "{} elements are laid out", elements - closed);
    assert_quiet(&browser);
    assert_eq!(browser.value("document.querySelectorAll('#table tbody tr').length"), 2000);
    assert_eq!(browser.value("document.querySelectorAll('#lanes a').length"), 2000);
    assert!(browser.value("document.querySelectorAll('.spark').length").as_u64().unwrap() > 3000);
    // No number is broken before its unit, and no heading within a word.
    let lines = "((cell) => { const range = document.createRange(); range.selectNodeContents(cell); \
                 return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size; })";
    let broken = format!(
        "[...document.querySelectorAll('#table tbody td:nth-child(7)')].slice(0, 20).some((cell) => {lines}(cell) > 1)"
    );
    assert_eq!(browser.value(&broken), false, "a peak is broken");
    let heading = |column: u32| format!("{lines}(document.querySelector('#table thead th:nth-child({column})'))");
    assert_eq!(browser.value(&heading(4)), browser.value(&heading(1)), "`Attempts` has as many lines as `Job`");
    // Rows after the first ones are laid out only on demand: by a filter, whose rows may be among them, and by the button.
    let drawn = "[...document.querySelectorAll('#table tbody tr')].filter((row) => row.offsetHeight).length";
    assert_eq!(browser.value(drawn), 500);
    let bad = "(() => { const name = document.getElementById('filter-name'); name.value = WORD; name.dispatchEvent(new Event('input')); })()";
    browser.value(&bad.replace("WORD", "'bad'"));
    assert_eq!(browser.value(drawn), 50);
    browser.value(&bad.replace("WORD", "''"));
    assert_eq!(browser.value(drawn), 500);
    // The longest of all come first.
    browser.value("document.querySelectorAll('#table thead button')[4].click()");
    let times = "[...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.cells[4].dataset.v))";
    let longest = format!(
        "(() => {{ const all = {times}; return all[0] === Math.max(...all) && all[499] >= Math.max(...all.slice(500)); }})()"
    );
    assert_eq!(browser.value(&longest), true);
    assert_eq!(browser.value(drawn), 500);
    browser.value("document.getElementById('more').click()");
    assert_eq!(browser.value(drawn), 2000);
    assert_eq!(browser.value("document.getElementById('more').offsetHeight"), 0);
}
