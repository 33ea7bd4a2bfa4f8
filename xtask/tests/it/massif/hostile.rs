//! Malformed massif files are read or refused in bounded time.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use drydock_valgrind::massif::{
    Extent, KEPT_POINTS, KEPT_SITES, Profile, Wrappers, baseline, diff, ms_print, show, summary,
};

/// Processor time of this thread: other tests on the same processors do not count.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Everything that is ever done with a file; whether it could be read.
fn everything(bytes: &[u8]) -> bool {
    let wrappers = Wrappers::new(["xmalloc", "tal_*", "*a*b*c*d"]);
    let printed =
        ms_print::print(&mut || Ok(Box::new(bytes)), &ms_print::Options::default(), &[], &mut std::io::sink());
    let Ok(profile) = Profile::read(bytes) else {
        assert!(printed.is_err());
        return false;
    };
    assert_eq!(printed.unwrap(), profile.extent);
    show::profile(&summary(&profile, &wrappers, KEPT_POINTS, KEPT_SITES));
    let small = baseline(&profile);
    let kept = Profile::read(small.as_bytes()).unwrap();
    // Names that differ only in what cannot be shown become one.
    let again = Profile::read(baseline(&kept).as_bytes()).unwrap();
    assert_eq!(baseline(&again), baseline(&kept));
    if let Ok(changes) = diff(&profile, &kept, &wrappers) {
        show::diff(&changes);
    }
    true
}

/// The finds of fuzzing and of users: `good-*` must be accepted, `bad-*` refused, all of it soon.
#[test]
fn the_corpus_neither_panics_nor_hangs() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/massif");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let start = now();
        let taken = everything(&bytes);
        let took = now() - start;
        assert!(took < Duration::from_secs(1), "{name} took {took:?}");
        assert_eq!(taken, name.starts_with("good-"), "{name}");
        count += 1;
    }
    assert!(count >= 10, "only {count} files in the corpus");
}

const START: &str = "desc: x\ncmd: x\ntime_unit: i\n";

fn snapshot(number: usize, tree: &str) -> String {
    format!(
        "#-----------\nsnapshot={number}\n#-----------\ntime={number}\nmem_heap_B=1000000\nmem_heap_extra_B=0\n\
         mem_stacks_B=0\nheap_tree={tree}\n"
    )
}

/// Inputs that grow with `n`, each meant to make some part of the work more than linear.
fn hostile(name: &str, n: usize) -> Vec<u8> {
    let detailed = snapshot(0, "detailed");
    let mut text = START.to_owned();
    match name {
        "many snapshots" => (0..n).for_each(|number| text.push_str(&snapshot(number, "empty"))),
        "snapshots far apart" => {
            (0..n).for_each(|number| text.push_str(&snapshot(if number % 2 == 0 { 0 } else { 1 << 40 }, "empty")))
        }
        "a wide tree" => {
            writeln!(text, "{detailed}n{n}: 1000000 (heap)").unwrap();
            (0..n).for_each(|number| writeln!(text, " n0: 9 0x{number:x}: f{number} (a.c:{number})").unwrap());
        }
        "equal siblings" => {
            writeln!(text, "{detailed}n{n}: 1000000 (heap)").unwrap();
            (0..n).for_each(|_| text.push_str(" n0: 9 0x1: f (a.c:1)\n"));
        }
        "deep branches" => {
            let branches = n / 100;
            writeln!(text, "{detailed}n{branches}: 1000000 (heap)").unwrap();
            for branch in 0..branches {
                (0..99).for_each(|_| writeln!(text, "n1: 90 0x1: f{branch} (a.c:1)").unwrap());
                text.push_str("n0: 90 0x1: end (a.c:1)\n");
            }
        }
        "deep wrappers" => {
            let branches = n / 100;
            writeln!(text, "{detailed}n{branches}: 1000000 (heap)").unwrap();
            for _ in 0..branches {
                (0..99).for_each(|_| text.push_str("n1: 90 0x1: malloc (a.c:1)\n"));
                text.push_str("n0: 90 0x1: end (a.c:1)\n");
            }
        }
        "a long name" => {
            writeln!(text, "{detailed}n1: 1000000 (heap)\n n0: 9 0x1: {} (a.c:1)", "a<b(".repeat(n)).unwrap();
        }
        "a long command" => {
            text = format!("desc: x\ncmd: x\n{}time_unit: i\n{detailed}n0: 9 (heap)\n", "#\n".repeat(n))
        }
        "many comments" => writeln!(text, "{}{detailed}n0: 9 (heap)", "#\n \n".repeat(n)).unwrap(),
        "rising trees" => (0..n / 10).for_each(|number| {
            let one = snapshot(number, "peak").replace("mem_heap_extra_B=0", &format!("mem_heap_extra_B={number}"));
            writeln!(text, "{one}n1: 1000000 (heap)\n n0: 1000000 0x1: f (a.c:1)").unwrap();
        }),
        "no line end" => text = "x".repeat(n),
        other => panic!("{other}"),
    }
    text.into_bytes()
}

#[test]
fn twice_the_input_takes_about_twice_the_time() {
    for name in [
        "many snapshots",
        "snapshots far apart",
        "a wide tree",
        "equal siblings",
        "deep branches",
        "deep wrappers",
        "a long name",
        "a long command",
        "many comments",
        "rising trees",
        "no line end",
    ] {
        let (small, large) = (hostile(name, 4_000), hostile(name, 8_000));
        // The best of three: what disturbs a run only ever makes it longer.
        let time = |bytes: &[u8]| {
            let run = |_| {
                let start = now();
                everything(bytes);
                now() - start
            };
            (0..3).map(run).min().unwrap()
        };
        let (one, two) = (time(&small), time(&large));
        println!("{name}: {} bytes in {one:?}, {} in {two:?}", small.len(), large.len());
        assert!(two < one * 3 + Duration::from_millis(5), "{name}: {one:?}, then {two:?}");
    }
}

#[test]
fn a_cut_is_reported_and_the_rest_is_kept() {
    let whole = hostile("rising trees", 1000);
    let cut = Profile::read(&whole[..whole.len() - 30]).unwrap();
    assert_eq!(cut.snapshots.len(), 99);
    assert!(matches!(cut.extent, Extent::Cut { line, .. } if line > 900), "{:?}", cut.extent);
    assert!(!everything(&hostile("no line end", 2 << 20)));
}
