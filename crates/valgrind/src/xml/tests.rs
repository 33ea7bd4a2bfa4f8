//! Logs as valgrind writes them, whole and broken.

use proptest::prelude::*;

use super::*;

const WHOLE: &str = r#"<?xml version="1.0"?>
<valgrindoutput>
<protocolversion>4</protocolversion>
<protocoltool>memcheck</protocoltool>
<preamble><line>Memcheck</line></preamble>
<pid>42</pid>
<ppid>7</ppid>
<tool>memcheck</tool>
<args><vargv><exe>valgrind</exe><arg>-q</arg></vargv><argv><exe>./a</exe><arg>&lt;x&gt;</arg></argv></args>
<status><state>RUNNING</state><time>0</time></status>
<error>
  <unique>0x0</unique><tid>1</tid><kind>InvalidRead</kind><what>Invalid read of size 4</what>
  <stack><frame><ip>0x1</ip><obj>/a</obj><fn>main</fn><dir>/src</dir><file>a.c</file><line>3</line></frame></stack>
  <auxwhat>Address 0x4 is 0 bytes after a block of size 8 alloc'd</auxwhat>
  <stack><frame><ip>0x2</ip><fn>malloc</fn></frame></stack>
</error>
<newtag><deep><deeper>x</deeper></deep></newtag>
<errorcounts><pair><count>1</count><unique>0x0</unique></pair></errorcounts>
<status><state>FINISHED</state><time>1</time></status>
<error>
  <unique>0x1</unique><kind>Leak_DefinitelyLost</kind>
  <xwhat><text>8 bytes in 1 blocks are definitely lost</text><leakedbytes>8</leakedbytes></xwhat>
  <stack><frame><ip>0x2</ip><fn>malloc</fn></frame><frame><fn>f</fn></frame></stack>
</error>
<suppcounts></suppcounts>
</valgrindoutput>
"#;

#[test]
fn a_whole_log() {
    let log = parse(WHOLE.as_bytes());
    assert_eq!(log.extent, Extent::Complete);
    assert_eq!((log.protocol, log.pid, log.parent), (Some(4), Some(42), Some(7)));
    assert_eq!((log.command, log.options), (vec!["./a".to_owned(), "<x>".to_owned()], vec!["-q".to_owned()]));
    assert_eq!(log.errors.len(), 2);
    let read = &log.errors[0];
    assert_eq!((read.kind.as_str(), read.stack[0].describe().as_str()), ("InvalidRead", "main (a.c:3)"));
    assert_eq!(read.auxiliary[0].what, "Address 0x4 is 0 bytes after a block of size 8 alloc'd");
    assert_eq!(read.auxiliary[0].stack[0].function.as_deref(), Some("malloc"));
    assert_eq!(log.errors[1].what, "8 bytes in 1 blocks are definitely lost");
    assert_eq!(log.errors[1].stack.len(), 2);
}

#[test]
fn wherever_it_is_cut_the_complete_errors_stay() {
    let first_end = WHOLE.find("</error>").unwrap() + "</error>".len();
    let second_end = WHOLE.rfind("</error>").unwrap() + "</error>".len();
    for cut in 0..WHOLE.len() - 1 {
        let log = parse(&WHOLE.as_bytes()[..cut]);
        assert!(matches!(log.extent, Extent::Empty | Extent::Stub | Extent::Cut(_)), "cut at {cut}: {:?}", log.extent);
        assert_eq!(log.errors.len(), usize::from(cut >= first_end) + usize::from(cut >= second_end), "cut at {cut}");
    }
}

#[test]
fn empty_stubs_and_killed_logs_are_distinguished() {
    assert_eq!(parse(&b""[..]).extent, Extent::Empty);
    let stub = &WHOLE[..WHOLE.find("<status>").unwrap()];
    assert_eq!(parse(stub.as_bytes()).extent, Extent::Stub);
    let killed = &WHOLE[..WHOLE.find("<newtag>").unwrap()];
    assert!(matches!(parse(killed.as_bytes()).extent, Extent::Cut(_)));
    let old = WHOLE.replace("<protocolversion>4<", "<protocolversion>3<").replace("</valgrindoutput>", "");
    assert!(matches!(parse(old.as_bytes()).extent, Extent::Cut(why) if why.contains("older")));
}

#[test]
fn what_is_reported_after_the_end_is_distinguished() {
    let log = parse(WHOLE.as_bytes());
    assert_eq!(log.errors.iter().map(|error| error.at_end).collect::<Vec<_>>(), [false, true]);
    assert!(!log.after_error);
    let stopped = &WHOLE[..WHOLE.find("<newtag>").unwrap()];
    assert!(parse(stopped.as_bytes()).after_error);
    assert!(parse(format!("{stopped}<suppression></suppression></valgrindoutput>").as_bytes()).after_error);
}

#[test]
fn valgrinds_own_count_is_read() {
    let summary =
        "<suppcounts></suppcounts><error_summary><errors>7</errors><suppressed>2</suppressed></error_summary>";
    let log = parse(WHOLE.replace("<suppcounts></suppcounts>", summary).as_bytes());
    assert_eq!((log.extent, log.counted), (Extent::Complete, Some(7)));
}

#[test]
fn a_fatal_signal_is_kept() {
    let text =
        WHOLE.replace("<errorcounts>", "<fatal_signal><tid>1</tid><signo>11</signo><stack><frame><fn>f</fn></frame></stack></fatal_signal><errorcounts>");
    let log = parse(text.as_bytes());
    assert_eq!((log.fatal_signal, log.fatal_stack.len()), (Some(11), 1));
}

#[test]
fn helgrind_names_the_threads_it_speaks_of() {
    let text = WHOLE.replace(
        "<error>\n  <unique>0x0",
        "<announcethread><hthreadid>2</hthreadid><stack><frame><fn>clone</fn></frame><frame><fn>start</fn></frame></stack>\
         </announcethread><error><kind>Race</kind><xwhat><text>Possible data race during read by thread #2</text><hthreadid>2\
         </hthreadid></xwhat><stack><frame><fn>f</fn></frame></stack><xauxwhat><text>This conflicts with thread #1</text>\
         </xauxwhat><stack><frame><fn>g</fn></frame></stack></error><error>\n  <unique>0x0",
    );
    let log = parse(text.as_bytes());
    assert_eq!((&log.extent, log.errors.len()), (&Extent::Complete, 3));
    let sides: Vec<_> = log.errors[0].auxiliary.iter().map(|side| (side.what.as_str(), side.stack.len())).collect();
    assert_eq!(sides, [("This conflicts with thread #1", 1), ("Thread #2 was created", 2)]);
}

#[test]
fn drd_says_things_in_elements_of_its_own() {
    let text = WHOLE.replace(
        "<auxwhat>Address 0x4 is 0 bytes after a block of size 8 alloc'd</auxwhat>",
        "<what>a second sentence</what><first_observed_at><what>mutex</what><address>0x1</address><stack><frame><fn>init</fn>\
         </frame></stack></first_observed_at><other_segment_start><stack><frame><fn>h</fn></frame></stack>\
         </other_segment_start>",
    );
    let log = parse(text.as_bytes());
    let error = &log.errors[0];
    assert_eq!((error.what.as_str(), error.stack[0].function.as_deref()), ("Invalid read of size 4", Some("main")));
    let sides: Vec<_> = error.auxiliary.iter().map(|side| side.what.as_str()).collect();
    assert_eq!(sides, ["a second sentence", "mutex", "other segment start", ""]);
    assert_eq!(error.auxiliary[1].stack[0].function.as_deref(), Some("init"));
}

#[test]
fn suppressions_and_their_use_are_read_whatever_the_raw_text_holds() {
    let text = WHOLE
        .replace(
            "</error>\n<newtag>",
            "<suppression><sname>insert</sname><skind>Memcheck:Addr4</skind><skaux>extra</skaux><sframe> <fun>_ZN1aE</fun> \
             </sframe><sframe> <obj>/a</obj> </sframe><rawtext>\n<![CDATA[\n{\n fun:a]]>b\n fun:new<u64>\n</raw>\n]]>\n\
             </rawtext></suppression></error><suppression><skind>x</skind><rawtext><![CDATA[]]></rawtext></suppression><newtag>",
        )
        .replace("<suppcounts>", "<suppcounts><pair><count>3</count><name>a &lt;b&gt;</name></pair>");
    let log = parse(text.as_bytes());
    assert_eq!(log.extent, Extent::Complete);
    assert_eq!(log.used, [("a <b>".to_owned(), 3)]);
    let expected = RawSuppression {
        kind: "Memcheck:Addr4".into(),
        extra: Some("extra".into()),
        frames: vec![Pattern::Function("_ZN1aE".into()), Pattern::Object("/a".into())],
    };
    assert_eq!(log.errors[0].suppression, Some(expected));
    assert_eq!(log.errors[1].suppression, None);
}

#[test]
fn what_should_have_been_escaped_costs_one_letter_and_not_the_log() {
    let text = WHOLE.replace("&lt;x&gt;", "a & b &c; \x01\x1b]]>");
    let mut bytes = text.into_bytes();
    let at = bytes.windows(5).position(|window| window == b"main<").unwrap();
    bytes.splice(at..at, [0xff, 0xfe]);
    let log = parse(bytes.as_slice());
    assert_eq!((&log.extent, log.errors.len()), (&Extent::Complete, 2));
    assert_eq!(log.errors[0].stack[0].function.as_deref(), Some("\u{fffd}\u{fffd}main"));
    assert!(!log.command[1].chars().any(char::is_control), "{:?}", log.command);
}

#[test]
fn elements_that_do_not_fit_end_the_log() {
    for (old, new) in [("</errorcounts>", "</other>"), ("<errorcounts>", "</nothing><errorcounts>")] {
        let log = parse(WHOLE.replace(old, new).as_bytes());
        assert!(matches!(&log.extent, Extent::Damaged(why) if why.contains("was never opened")), "{:?}", log.extent);
        assert_eq!(log.errors.len(), 1);
    }
}

#[test]
fn nesting_is_bounded() {
    let bomb = "<a>".repeat(1_000_000);
    assert!(matches!(parse(bomb.as_bytes()).extent, Extent::Damaged(_)));
}

proptest! {
    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), at in 0..WHOLE.len()) {
        parse(bytes.as_slice());
        let mut broken = WHOLE.as_bytes().to_vec();
        broken.splice(at..at, bytes);
        parse(broken.as_slice());
    }
}
