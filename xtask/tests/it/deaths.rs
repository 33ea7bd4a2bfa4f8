//! Every way to die, on the real kernel: what does `xtask` say killed the job?
//!
//! `cargo test -p drydock --test it deaths -- --nocapture` prints the confusion matrix. `DRYDOCK_TEST_DEATHS=v1,none,v2`
//! names the columns to do, all by default. Columns that this machine cannot do, v2 or v1 and sometimes both, are done in a
//! virtual machine, by this very test binary.

mod causes;
mod matrix;
mod run;
mod scenarios;
mod smoke;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use matrix::{Cell, Column};
pub(crate) use run::{panics, tail};

use crate::support::{OuterGroup, Project, RunJson, fixtures, need_tool, xtask_binary};
use crate::vm::{self, Console, Guest, Hierarchy};

#[test]
fn matrix() {
    let wanted = std::env::var("DRYDOCK_TEST_DEATHS").unwrap_or_else(|_| "v1,none,v2".to_owned());
    let wanted = |column: Column| wanted.split(',').any(|word| word == column.flag());
    if !need_tool("gcc", "gcc") || !need_tool("valgrind", "valgrind") {
        return;
    }
    fixtures();
    // A machine has v1 or v2. What it does not have, or this user may not write to, is in a guest.
    let groups = OuterGroup::new(1 << 30).is_ok();
    let v1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
    let here = |column: Column| match column {
        Column::V1 => groups && v1,
        Column::None => groups,
        Column::V2 => false,
    };
    let columns: Vec<_> = Column::ALL.into_iter().filter(|column| wanted(*column)).collect();
    let with_guests = columns.iter().any(|column| !here(*column)) && vm::available();
    let mut cells = Vec::new();
    thread::scope(|scope| {
        let guests = with_guests.then(|| {
            scope.spawn(|| {
                let in_guests = columns.iter().filter(|column| !here(**column));
                let mut cells: Vec<_> = in_guests.flat_map(|column| table_of_a_guest(*column)).collect();
                if wanted(Column::V2) {
                    cells.extend(out_of_memory_in_a_small_guest());
                }
                cells
            })
        });
        for column in columns.iter().filter(|column| here(**column)) {
            run::column(*column, |cell| cells.push(cell));
        }
        cells.extend(guests.into_iter().flat_map(|guests| guests.join().unwrap()));
    });
    let text = matrix::render(&cells);
    println!("{text}");
    assert!(!cells.is_empty(), "no cell could be done here");
    assert!(cells.iter().all(|cell| cell.problems.is_empty()), "wrong cells:\n{text}");
}

/// One column in a guest: started there by [`table_of_a_guest`], which reads what it prints.
#[test]
#[ignore = "runs inside the virtual machine of `deaths::matrix`"]
fn table_in_guest() {
    // Whatever the test harness began this line with ends here.
    println!();
    let flag = std::env::var("DRYDOCK_TEST_DEATHS").unwrap();
    let column = Column::ALL.into_iter().find(|column| column.flag() == flag).unwrap();
    let print = |cell: Cell| println!("@@cell {}", serde_json::to_string(&cell).unwrap());
    let before = groups();
    run::column(column, print);
    // Nobody else makes groups in the guest.
    let left: Vec<_> = groups().into_iter().filter(|group| !before.contains(group)).collect();
    let verdict = format!("{} left behind", left.len());
    let problems = left.iter().map(|group| format!("left behind: {}", group.display())).collect();
    print(Cell { cause: "cgroups".to_owned(), column, verdict, confidence: None, problems });
}

/// All cgroups of this machine.
fn groups() -> Vec<PathBuf> {
    let mut groups = vec![PathBuf::from("/sys/fs/cgroup")];
    let mut next = 0;
    while let Some(group) = groups.get(next) {
        let entries = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
        let below: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        groups.extend(below);
        next += 1;
    }
    groups
}

fn table_of_a_guest(column: Column) -> Vec<Cell> {
    let hierarchy = if column == Column::V1 { Hierarchy::V1 } else { Hierarchy::V2 };
    let variables = format!("DRYDOCK_TEST_DEATHS={}", column.flag());
    let guest = Guest::of_test(1024, "deaths::table_in_guest", &variables).hierarchy(hierarchy);
    let console = if column == Column::V2 { smoke::attacked(guest) } else { guest }.boot();
    println!("{} {}", column.flag(), console.figures());
    // A line may be torn when the guest was ended.
    let mut cells: Vec<_> = console.marked("@@cell ").filter_map(|line| serde_json::from_str(line).ok()).collect();
    cells.push(guest_cell("the guest of the table", column, &console));
    let expected = if column == Column::V2 { smoke::causes() } else { Vec::new() };
    for cause in expected {
        if !cells.iter().any(|cell| cell.cause == cause) {
            let (verdict, problems) = ("missing".to_owned(), vec![format!("its console:\n{}", console.text)]);
            cells.push(Cell { cause, column, verdict, confidence: None, problems });
        }
    }
    cells
}

/// Whether the guest itself lived to the end of its script.
fn guest_cell(cause: &str, column: Column, console: &Console) -> Cell {
    let problems = if console.exit() == Some(0) { Vec::new() } else { vec![format!("its console:\n{}", console.text)] };
    let verdict = console.exit().map_or_else(|| "died".to_owned(), |code| format!("exit {code}"));
    Cell { cause: cause.to_owned(), column, verdict, confidence: None, problems }
}

/// In a guest of 256 MiB: an unprivileged user with a delegated group, then one job without a limit that takes all the
/// memory there is: no group's limit is hit, the kernel looks at all processes.
fn out_of_memory_in_a_small_guest() -> Vec<Cell> {
    let project = Project::new().jobs(
        "defaults: {memory: 32MiB}\n\
         jobs:\n\
         \x20 hog: {run: [/bin/mortal, hog, \"400\"]}\n\
         \x20 family: {run: [/bin/mortal, grandchild-hog, \"400\"]}\n\
         \x20 limited: {run: [/bin/mortal, grandchild-hog, \"100\"], memory-limit: 40MiB}\n",
    );
    let call = |place: &str, flag: &str, jobs: &str, before: &str| {
        format!(
            "{before} xtask --project /project --state /tmp/{place} ci run {jobs} --containment {flag} -j 1 --no-progress\n\
             echo \"@@code {place} $?\"\n\
             echo \"@@json {place} $(tr -d '\\n' < /tmp/{place}/runs/latest/run.json)\"\n"
        )
    };
    let delegated = "/sys/fs/cgroup/delegated";
    let user = format!("mortal enter {delegated}/cgroup.procs mortal as-user 1000");
    let script = [
        format!("mkdir {delegated} /tmp/user && chown -R 1000 {delegated} /tmp/user\n"),
        call("user", "v2", "limited", &user),
        call("v2", "v2", "hog family", ""),
        call("none", "none", "hog family", ""),
    ]
    .concat();
    let console = Guest::new(256, &script)
        .program("/bin/xtask", &xtask_binary())
        .program("/bin/mortal", &fixtures().join("mortal-static"))
        .file("/project/ci/jobs.yaml", project.path().join("ci/jobs.yaml"))
        .limit(Duration::from_secs(60))
        .boot();
    println!("small {}", console.figures());
    let mut cells = vec![guest_cell("the small guest", Column::V2, &console)];
    cells.push(guest_verdict(&console, Column::V2, "user", "limited", "delegated group: limited", 1));
    for column in [Column::V2, Column::None] {
        for name in ["hog", "family"] {
            cells.push(guest_verdict(&console, column, column.flag(), name, &format!("global oom: {name}"), 5));
        }
    }
    cells
}

/// The cell of one job that must have run out of memory, from what the guest printed of the run kept in `place`.
fn guest_verdict(console: &Console, column: Column, place: &str, job: &str, cause: &str, right_code: i32) -> Cell {
    let run = console.marked("@@json ").find_map(|line| line.strip_prefix(place));
    let run = run.and_then(|json| serde_json::from_str::<RunJson>(json).ok()).unwrap_or_default();
    let code = console.marked("@@code ").find_map(|line| line.strip_prefix(place)?.trim().parse::<i32>().ok());
    let attempt = run.job(job).and_then(|job| job.attempts.first());
    let verdict = attempt.map_or_else(|| "nothing".to_owned(), |attempt| attempt.outcome.to_string());
    let mut problems = Vec::new();
    if verdict != "out-of-memory" {
        problems.push(format!("the verdict is {verdict}, right is out-of-memory"));
    }
    if run.containment != column.name() {
        problems.push(format!("its containment is {:?}, right is {}", run.containment, column.name()));
    }
    if code != Some(right_code) {
        problems.push(format!("exit code {code:?} of xtask, right is {right_code}"));
    }
    if !problems.is_empty() {
        problems.push(format!("{attempt:#?}\nconsole of the guest:\n{}", console.text));
    }
    let confidence = attempt.and_then(|attempt| attempt.confidence);
    Cell { cause: cause.to_owned(), column, verdict, confidence, problems }
}
