//! Files that other profilers write: what heaptrack exports is shown and compared, all others are named.

use std::path::Path;
use std::process::Command;

use super::{massif, ours, programs};
use crate::support::need_tools;

/// Allocates 100,000 bytes every 15 ms: heaptrack takes a snapshot every 10 ms.
const GROWS: &str = "
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *keep[1000];
int main(int count, char **words) {
    for (int i = 0; i < atoi(words[count - 1]); i++) { keep[i] = malloc(100000); memset(keep[i], 1, 100000); usleep(15000); }
    return 0;
}
";

/// Runs the program under heaptrack and exports what was recorded. Returns the names of the recording and of the export.
fn recorded(directory: &Path, name: &str, blocks: &str) -> (String, String) {
    let run = |command: &mut Command| {
        let output = command.current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(directory.join("grows.c"), GROWS).unwrap();
    run(Command::new("gcc").args(["-g", "-o", "grows", "grows.c"]));
    run(Command::new("heaptrack").args(["-o", name, "./grows", blocks]));
    let mut entries =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let recording = entries.find(|file| file.starts_with(&format!("{name}."))).unwrap();
    let export = format!("{name}-massif");
    run(Command::new("heaptrack_print").args(["-f", &recording, "-M", &export]));
    (recording, export)
}

#[test]
fn what_heaptrack_exports_is_shown_and_compared() {
    let tools = [("gcc", "gcc"), ("heaptrack", "heaptrack"), ("heaptrack_print", "heaptrack")];
    if !need_tools(&tools) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (recording, small) = recorded(directory.path(), "small", "2");
    let (_, large) = recorded(directory.path(), "large", "40");
    for file in [&small, &large] {
        let text = std::fs::read_to_string(directory.path().join(file)).unwrap();
        assert!(text.contains("time_unit: s") && text.contains("\ntime=0."), "heaptrack writes another format: {text}");
    }
    let shown = ours(directory.path(), &["show", &large]);
    let said = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{shown:?}");
    assert!(said.contains("./grows 40") && said.contains(" MiB ("), "{said}");
    assert!(!said.contains("not whole"), "{said}");
    let diff = ours(directory.path(), &["diff", &small, &large]);
    let said = String::from_utf8_lossy(&diff.stdout).into_owned();
    assert!(diff.status.success() && said.contains("MiB"), "{diff:?}");
    let printed = ours(directory.path(), &["show", "--style", "ms_print", &small]);
    assert!(printed.status.success() && String::from_utf8_lossy(&printed.stdout).contains("time(ms)"), "{printed:?}");
    // The recording itself is no profile yet.
    let raw = ours(directory.path(), &["show", &recording]);
    assert_eq!(raw.status.code(), Some(2));
    let said = String::from_utf8_lossy(&raw.stderr).into_owned();
    assert!(said.contains("export it with `heaptrack_print -M OUT FILE`"), "{said}");
}

#[test]
fn files_of_other_tools_of_valgrind_are_named() {
    if !need_tools(super::TOOLS) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (tool, option, remedy) in [
        ("callgrind", "--callgrind-out-file=f", "callgrind_annotate FILE"),
        ("cachegrind", "--cachegrind-out-file=f", "cg_annotate FILE"),
        ("dhat", "--dhat-out-file=f", "dh_view.html"),
        ("memcheck", "--xtree-memory=full --xtree-memory-file=f", "callgrind_annotate FILE"),
        ("memcheck", "--log-file=f", "give massif's own file"),
        ("memcheck", "--xml=yes --xml-file=f", "give massif's own file"),
    ] {
        let program = programs().join("heap");
        let mut command = Command::new("valgrind");
        command.arg(format!("--tool={tool}")).args(option.split(' ')).arg(program).args(["spike", "5"]);
        assert!(command.current_dir(directory.path()).output().unwrap().status.success(), "{tool}");
        let shown = ours(directory.path(), &["show", "f"]);
        let said = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.code() == Some(2) && said.contains(remedy), "{tool} {option}: {said}");
    }
    let file = massif(&directory.path().join("m"), &[], &["heap", "spike", "5"]).remove(0);
    let printed = Command::new("ms_print").arg(file).output().unwrap();
    std::fs::write(directory.path().join("f"), printed.stdout).unwrap();
    let shown = ours(directory.path(), &["show", "f"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains("this is the output of ms_print"), "{shown:?}");
}
