//! Every kind of error that valgrind 3.19 can be made to find, by program and word.
//!
//! Not among them: `CoreMemError`, which memcheck makes only of wrong memory in requests that valgrind itself
//! intercepts, and which no program of today's C library causes; drd's `CondDestrErr`, since that library waits in
//! `pthread_cond_destroy` until nobody waits any more.

use super::{ends, findings, job_of, kinds_of, project, ready, run_json};

const MEMCHECK: &str = "tools: {memcheck: {args: [--leak-check=full, --show-leak-kinds=all, --errors-for-leak-kinds=all, \
                        --track-origins=yes]}}";

/// Program, word, what is found, how the job is judged.
const MEMORY: &[(&str, &str, &[&str], &str)] = &[
    ("memory", "nothing", &[], "passed"),
    ("memory", "invalid-read", &["InvalidRead"], "findings"),
    ("memory", "invalid-write", &["InvalidWrite"], "findings"),
    ("memory", "use-after-free", &["InvalidRead"], "findings"),
    ("memory", "invalid-free", &["InvalidFree"], "findings"),
    ("memory", "double-free", &["InvalidFree"], "findings"),
    ("memory", "invalid-jump", &["InvalidJump"], "crashed"),
    ("memory", "overlap", &["Overlap"], "findings"),
    ("memory", "uninit-condition", &["UninitCondition"], "findings"),
    ("memory", "uninit-value", &["UninitValue"], "findings"),
    ("memory", "syscall-uninit", &["SyscallParam"], "findings"),
    ("memory", "syscall-unaddressable", &["SyscallParam"], "findings"),
    ("memory", "client-check", &["ClientCheck"], "findings"),
    ("memory", "client-address", &["ClientCheck"], "findings"),
    ("memory", "invalid-pool", &["InvalidMemPool"], "findings"),
    ("memory", "fishy", &["FishyValue"], "findings"),
    ("memory", "definitely", &["Leak_DefinitelyLost"], "findings"),
    ("memory", "reachable", &["Leak_StillReachable"], "findings"),
    ("memory", "possibly", &["Leak_PossiblyLost"], "findings"),
    ("memory", "indirectly", &["Leak_DefinitelyLost", "Leak_IndirectlyLost"], "findings"),
    ("memory", "segv", &["InvalidWrite"], "crashed"),
    ("memory", "bus", &[], "crashed"),
    ("memory", "abort", &["Leak_DefinitelyLost"], "crashed"),
    ("memory", "term", &["Leak_DefinitelyLost"], "killed-from-outside"),
    ("names-cc", "read", &["InvalidRead"], "findings"),
    ("names-cc", "mismatched", &["MismatchedFree"], "findings"),
    ("names-cc", "lose", &["Leak_DefinitelyLost"], "findings"),
    ("names-rs", "read", &["InvalidRead", "Leak_StillReachable"], "findings"),
    ("names-rs", "lose", &["Leak_DefinitelyLost", "Leak_StillReachable"], "findings"),
    ("stripped", "invalid-read", &["InvalidRead"], "findings"),
    ("stripped", "definitely", &["Leak_DefinitelyLost"], "findings"),
];

const HELGRIND: &[(&str, &str, &[&str], &str)] = &[
    ("threads", "nothing", &[], "passed"),
    ("threads", "race", &["Race"], "findings"),
    ("threads", "order", &["LockOrder"], "findings"),
    ("threads", "rwlock", &["UnlockUnlocked"], "findings"),
    ("threads", "unlock-foreign", &["Misc", "UnlockForeign"], "findings"),
    ("threads", "unlock-bogus", &["UnlockBogus"], "findings"),
    ("threads", "destroy-locked", &["Misc", "PthAPIerror"], "findings"),
    ("threads", "free-locked", &["Misc"], "findings"),
];

const DRD: &[(&str, &str, &[&str], &str)] = &[
    ("threads", "nothing", &[], "passed"),
    ("threads", "race", &["ConflictingAccess"], "findings"),
    ("threads", "unlock-unlocked", &["MutexErr"], "findings"),
    ("threads", "hold-long", &["HoldtimeErr"], "findings"),
    ("threads", "rwlock", &["RwlockErr"], "findings"),
    ("threads", "semaphore", &["SemaphoreErr"], "findings"),
    ("threads", "barrier", &["BarrierErr"], "findings"),
    ("threads", "condition-twice", &["CondErr"], "findings"),
    ("threads", "condition-two-locks", &["CondRaceErr", "CondWaitErr"], "findings"),
    ("threads", "api-error", &["GenericErr"], "findings"),
];

fn check(head: &str, tool: &str, table: &[(&str, &str, &[&str], &str)]) -> Option<serde_json::Value> {
    if !ready() {
        return None;
    }
    let names: Vec<String> = table.iter().map(|(program, word, ..)| format!("{program}-{word}")).collect();
    let commands: Vec<[String; 2]> =
        table.iter().map(|(program, word, ..)| [format!("./{program}"), (*word).to_owned()]).collect();
    let commands: Vec<[&str; 2]> = commands.iter().map(|[program, word]| [program.as_str(), word.as_str()]).collect();
    let jobs: Vec<(&str, &[&str])> =
        names.iter().zip(&commands).map(|(name, words)| (name.as_str(), &words[..])).collect();
    let project = project(head, &format!("tool: {tool}"), &jobs);
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 1);
    let run = run_json(&project);
    let mut wrong = Vec::new();
    println!("{:<32} {:<20} found", tool, "judged");
    for ((_, _, kinds, outcome), name) in table.iter().zip(&names) {
        let found = kinds_of(&run, name);
        let judged = job_of(&run, name)["outcome"]["kind"].as_str().unwrap().to_owned();
        println!("{name:<32} {judged:<20} {}", found.join(" "));
        if found != *kinds || judged != *outcome {
            wrong.push(format!("{name}: {judged} {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Some(run)
}

#[test]
fn memcheck_finds_every_kind_and_names_the_place() {
    let Some(run) = check(MEMCHECK, "memcheck", MEMORY) else { return };
    let all = findings(&run);
    let at = |kind: &str, job: &str| {
        let of = |finding: &&serde_json::Value| finding["kind"] == kind && finding["jobs"][0] == job;
        all.iter().find(of).unwrap_or_else(|| panic!("{kind} in {job}"))
    };
    for (kind, job, place) in [
        ("InvalidRead", "memory-invalid-read", "invalid_read (memory.c:"),
        ("InvalidFree", "memory-double-free", "double_free (memory.c:"),
        ("SyscallParam", "memory-syscall-uninit", "syscall_uninit (memory.c:"),
        ("Leak_DefinitelyLost", "memory-definitely", "lose (memory.c:"),
        ("InvalidRead", "names-cc-read", "Box<int>::last(int) (names.cc:"),
        ("MismatchedFree", "names-cc-mismatched", "inner::mismatched() (names.cc:"),
        ("Leak_DefinitelyLost", "names-cc-lose", "inner::operator+(inner::Node const&, int) (names.cc:"),
        ("InvalidRead", "names-rs-read", "names::inner::read (names.rs:"),
    ] {
        let shown = at(kind, job)["place"].as_str().unwrap();
        assert!(shown.starts_with(place), "{shown}");
    }
    assert!(at("InvalidRead", "stripped-invalid-read")["place"].as_str().unwrap().starts_with("??? (in /"));
    // A block's history, the origin of a value, and what the mangled names are.
    let sides = |kind: &str, job: &str| at(kind, job)["auxiliary"].to_string();
    assert!(sides("InvalidRead", "memory-use-after-free").contains("3 bytes inside a block of size 8 free'd"));
    assert!(sides("InvalidRead", "memory-use-after-free").contains("Block was alloc'd at"));
    assert!(
        sides("UninitCondition", "memory-uninit-condition")
            .contains("Uninitialised value was created by a heap allocation")
    );
    let proposed = at("InvalidRead", "names-cc-read")["suppression"].as_str().unwrap();
    assert!(proposed.contains("Memcheck:Addr4\n") && proposed.contains("fun:_ZN3BoxIiE4lastEi\n"), "{proposed}");
}

#[test]
fn helgrind_finds_every_kind_and_both_sides_of_a_race() {
    let Some(run) = check("", "helgrind", HELGRIND) else { return };
    let race = findings(&run).into_iter().find(|finding| finding["kind"] == "Race").unwrap();
    let sides = race["auxiliary"].to_string();
    assert!(sides.contains("This conflicts with a previous") && sides.contains("was created"), "{sides}");
}

#[test]
fn drd_finds_every_kind_and_where_a_lock_was_first_seen() {
    let head = "tools: {drd: {args: [--exclusive-threshold=100]}}";
    let Some(run) = check(head, "drd", DRD) else { return };
    let held = findings(&run).into_iter().find(|finding| finding["kind"] == "HoldtimeErr").unwrap();
    let sides = held["auxiliary"].to_string();
    assert!(sides.contains("mutex") && sides.contains("acquired at"), "{sides}");
}
