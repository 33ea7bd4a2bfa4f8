//! A file that valgrind 3.19 wrote, cut files and hostile ones.

use super::*;
use proptest::prelude::*;

const FILE: &str = r#"{"dhatFileVersion":2
,"mode":"heap","verb":"Allocated"
,"bklt":true,"bkacc":true
,"tu":"instrs","Mtu":"Minstr"
,"tuth":500
,"cmd":"./dh"
,"pid":8950
,"te":219521
,"tg":214660
,"pps":
 [{"tb":1000000,"tbk":10
  ,"tl":708954
  ,"mb":1000000,"mbk":10
  ,"gb":1000000,"gbk":10
  ,"eb":500000,"ebk":5
  ,"rb":0,"wb":10000
  ,"fs":[1,2,3,4]
  }
 ,{"tb":24000,"tbk":1000
  ,"tl":34739
  ,"mb":24,"mbk":1
  ,"gb":24,"gbk":1
  ,"eb":0,"ebk":0
  ,"rb":0,"wb":0
  ,"acc":[-24,0]
  ,"fs":[1,5]
  }
 ]
,"ftbl":
 ["[root]"
 ,"0x48417B4: malloc (in /usr/libexec/valgrind/vgpreload_dhat-amd64-linux.so)"
 ,"0x109170: wrap (dh.c:4)"
 ,"0x109187: a (dh.c:5)"
 ,"0x1091E8: main (dh.c:6)"
 ,"0x109205: main (dh.c:6)"
 ]
}
"#;

fn wrappers() -> Wrappers {
    Wrappers::new(["wrap"])
}

#[test]
fn a_file_of_valgrind_is_summed_up() {
    let (found, dropped) = parse(FILE.as_bytes(), &wrappers()).unwrap();
    assert_eq!(dropped, None);
    assert_eq!(found.command, "./dh");
    // As dhat's own log has it: 1,024,000 bytes in 1,010 blocks, 1,000,024 in 11 at t-gmax, 500,000 in 5 at t-end.
    assert_eq!(found.total, Amount { bytes: 1_024_000, blocks: 1010 });
    assert_eq!(found.at_peak, Amount { bytes: 1_000_024, blocks: 11 });
    assert_eq!(found.at_end, Amount { bytes: 500_000, blocks: 5 });
    assert_eq!((found.read, found.written), (0, 10_000));
    let sites: Vec<&str> = found.sites.iter().map(|site| site.place.as_str()).collect();
    assert_eq!(sites, ["a (dh.c:5)", "main (dh.c:6)"]);
    assert_eq!(found.sites[0].callers, ["main (dh.c:6)"]);
    // Without the declared wrapper, the wrapper is the site.
    assert_eq!(parse(FILE.as_bytes(), &Wrappers::new([])).unwrap().0.sites[0].place, "wrap (dh.c:4)");
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let whole = FILE.trim_end();
    for end in 0..whole.len() {
        assert!(parse(&whole.as_bytes()[..end], &wrappers()).is_err(), "cut at {end}");
    }
}

#[test]
fn other_versions_and_modes_are_refused() {
    let error = |text: &str| parse(text.as_bytes(), &wrappers()).unwrap_err().to_string();
    assert!(error(&FILE.replace("Version\":2", "Version\":3")).contains("dhatFileVersion is 3"));
    assert!(error(&FILE.replace("\"heap\"", "\"copy\"")).contains("mode is `copy`"));
}

#[test]
fn frames_that_do_not_exist_and_numbers_at_the_limit_are_no_problem() {
    let text = r#"{"dhatFileVersion":2,"mode":"heap","pps":[{"tb":18446744073709551615,"tbk":1,"fs":[7,4294967295]},
        {"tb":18446744073709551615,"tbk":1,"fs":[]}],"ftbl":[]}"#;
    let (found, _) = parse(text.as_bytes(), &wrappers()).unwrap();
    assert_eq!((found.total.bytes, found.sites[0].place.as_str()), (u64::MAX, "unknown"));
}

#[test]
fn long_lists_are_cut_and_deep_nesting_is_refused() {
    let point = r#"{"tb":1,"tbk":1,"fs":[0]}"#;
    let points = vec![point; MOST_POINTS + 7].join(",");
    let text = format!(r#"{{"dhatFileVersion":2,"mode":"heap","pps":[{points}],"ftbl":["[root]"]}}"#);
    let (found, dropped) = parse(text.as_bytes(), &wrappers()).unwrap();
    assert_eq!(found.total.blocks, MOST_POINTS as u64 + 7);
    assert_eq!(dropped.unwrap(), "the sites of 7 further allocation points were not read");
    let deep = format!(r#"{{"dhatFileVersion":2,"x":{}"#, "[".repeat(1 << 20));
    assert!(parse(deep.as_bytes(), &wrappers()).is_err());
}

#[test]
fn files_of_processes_are_compared_and_faults_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(gather(directory.path(), &wrappers()).unwrap(), None);
    fs::write(directory.path().join("dhat.7"), &FILE[..FILE.len() / 2]).unwrap();
    assert!(gather(directory.path(), &wrappers()).unwrap_err().to_string().starts_with("dhat.7: EOF"));
    fs::write(directory.path().join("dhat.12"), FILE).unwrap();
    fs::write(directory.path().join("dhat.12.log"), "x").unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.path().join("dhat.13")).unwrap();
    let found = gather(directory.path(), &wrappers()).unwrap().unwrap();
    assert_eq!((found.largest.total.blocks, found.processes, found.incomplete.len()), (1010, 1, 2));
}

proptest! {
    #[test]
    fn arbitrary_changes_never_panic(at in 0..FILE.len(), byte in any::<u8>()) {
        let mut bytes = FILE.as_bytes().to_vec();
        bytes[at] = byte;
        parse(&bytes, &wrappers()).ok();
    }
}
