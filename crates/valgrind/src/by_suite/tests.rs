//! The options that are passed on, and where processes write.

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn options_are_for_their_tool_only() {
    let options = SuiteOptions {
        tool: Tool::Memcheck,
        directory: Path::new("/d%1"),
        args: &words("--leak-check=full -v --redzone-size=32"),
        skip_children: &words("/usr/bin/* /bin/*"),
        suppressions: &words("/p/ci/x.supp"),
        before: Some("--num-callers=9"),
    };
    assert_eq!(
        value(options),
        "--num-callers=9 \
         --memcheck:xml=yes --memcheck:xml-file=/d%%1/memcheck.%p.xml --memcheck:gen-suppressions=all \
         --helgrind:xml=yes --helgrind:xml-file=/d%%1/helgrind.%p.xml --helgrind:gen-suppressions=all \
         --drd:xml=yes --drd:xml-file=/d%%1/drd.%p.xml --drd:gen-suppressions=all \
         --memcheck:trace-children-skip=/usr/bin/*,/bin/* --suppressions=/p/ci/x.supp \
         --memcheck:leak-check=full -v --redzone-size=32"
    );
    let massif =
        SuiteOptions { tool: Tool::Massif, args: &[], skip_children: &[], suppressions: &[], before: None, ..options };
    assert_eq!(value(massif), "--massif:massif-out-file=/d%%1/massif.%p --massif:log-file=/d%%1/massif.%p.log");
    assert_eq!(without_tool("--memcheck:leak-check=full", "memcheck"), "--leak-check=full");
    assert_eq!(without_tool("--drd:check-stack-var=yes", "memcheck"), "--drd:check-stack-var=yes");
    assert_eq!(without_tool("--soname-synonyms=a:b", "memcheck"), "--soname-synonyms=a:b");
}

#[test]
fn executables_of_tools_are_recognised() {
    let tool = |path: &str| tool_of_executable(Path::new(path)).map(str::to_owned);
    assert_eq!(tool("/usr/libexec/valgrind/memcheck-amd64-linux").as_deref(), Some("memcheck"));
    assert_eq!(tool("/opt/vg/lib/valgrind/exp-bbv-arm64-linux (deleted)").as_deref(), Some("exp-bbv"));
    for other in ["/usr/bin/valgrind", "/usr/bin/x86-64-linux", "/x/memcheck-linux", "/x/-amd64-linux", "/"] {
        assert_eq!(tool(other), None, "{other}");
    }
}

#[track_caller]
fn goes(line: &str, passed: Option<&str>, expected: Destination) {
    let invocation = Invocation::new(&words(line));
    assert_eq!(invocation.destination("memcheck", passed, Path::new("/d%1")), expected, "{line}");
}

#[test]
fn the_last_option_of_the_strongest_source_counts() {
    let ours = Some("--memcheck:xml-file=/d%%1/memcheck.%p.xml");
    let elsewhere = |why: &str| Destination::Elsewhere(why.into());
    goes("valgrind -q --log-file=x --error-exitcode=7 ./a --xml=no", ours, Destination::Collected);
    goes("valgrind --helgrind:xml=no -- ./a", ours, Destination::Collected);
    goes("valgrind ./a", None, elsewhere("the suite did not pass VALGRIND_OPTS on to it"));
    goes("valgrind ./a", Some("-q"), elsewhere("the suite replaced the value of VALGRIND_OPTS"));
    let after = |more: &str| format!("--memcheck:xml-file=/d%%1/memcheck.%p.xml {more}");
    let (off, null) = (after("--memcheck:xml=no"), after("--xml-file=/dev/null"));
    goes("valgrind ./a", Some(&off), elsewhere("VALGRIND_OPTS has --xml=no"));
    goes("valgrind --xml=yes ./a", Some(&off), Destination::Collected);
    goes("valgrind ./a", Some(&null), Destination::OwnXml("/dev/null".into()));
    goes("valgrind ./a", Some(&after("--helgrind:xml=no")), Destination::Collected);
    goes("valgrind --memcheck:xml=no ./a", ours, elsewhere("its command line has --xml=no"));
    goes("valgrind --xml=yes --xml-fd=9 ./a", ours, elsewhere("its command line has --xml-fd=9"));
    goes("valgrind --xml-socket=127.0.0.1 ./a", ours, elsewhere("its command line has --xml-socket=127.0.0.1"));
    goes(
        "valgrind --command-line-only=yes ./a",
        ours,
        elsewhere("--command-line-only=yes makes it ignore VALGRIND_OPTS"),
    );
    goes("valgrind --xml=yes --xml-file=o.%p ./a", ours, Destination::OwnXml("o.%p".into()));
    goes("valgrind --xml=yes --xml-file=o.%p ./a", None, Destination::OwnXml("o.%p".into()));
    goes("valgrind --version", ours, Destination::Nothing);
    assert_eq!(Invocation::new(&words("valgrind -q -- ./a -b")).program, words("./a -b"));
    assert_eq!(Invocation::new(&[]), Invocation::default());
}

#[test]
fn templates_of_files_are_expanded() {
    let variable = |name: &str| (name == "A").then(|| "x".to_owned());
    assert_eq!(expand("o.%p.%q{A}.%%.%n", 7, variable).as_deref(), Some("o.7.x.%.1"));
    for wrong in ["%q{B}", "%q", "%z", "%"] {
        assert_eq!(expand(wrong, 7, variable), None, "{wrong}");
    }
}
