//! `init --try`: what one run showed is in the declaration, and nothing that valgrind found is hidden.

use super::{init, needed, project, read, results};

#[test]
fn a_try_writes_what_it_measured_and_marks_only_what_valgrind_did_not_find() {
    if !needed(&[("cmake", "cmake")]) {
        return;
    }
    let lists = "cmake_minimum_required(VERSION 3.16)\nproject(c C)\nenable_testing()\nforeach(name well wrong leak slow)\n  add_executable(${name} ${name}.c)\n  add_test(NAME ${name} COMMAND ${name})\nendforeach()\n";
    let project = project(&[
        ("CMakeLists.txt", lists),
        ("well.c", "int main(void) { return 0; }\n"),
        ("wrong.c", "int main(void) { return 1; }\n"),
        ("leak.c", "#include <stdlib.h>\nint main(void) { char *volatile p = malloc(9); p = 0; return p != 0; }\n"),
        // It fails only under valgrind, which preloads a library.
        ("slow.c", "#include <stdlib.h>\nint main(void) { return getenv(\"LD_PRELOAD\") != NULL; }\n"),
    ]);
    let finished = init(&project, &["--try"]);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let jobs = read(&project.path().join("ci/jobs.yaml"));
    assert!(jobs.contains("measured in one run: at most") && jobs.contains("MiB\n"), "{jobs}");
    let known = read(&project.path().join("ci/quarantine.yaml"));
    assert!(known.contains("suite/wrong:") && known.contains("fails without valgrind too"), "{known}");
    assert!(known.contains("suite/slow:") && known.contains("passes without valgrind"), "{known}");
    assert!(!known.contains("leak"), "{known}");
    assert!(finished.stderr.contains("1 job with findings"), "{}", finished.transcript());
    // The run that follows fails by the leak alone.
    let run = project.xtask(&["ci", "--no-progress"]).run();
    assert_eq!(run.code(), 1, "{}", run.transcript());
    let results = results(&project);
    let failed: Vec<&str> =
        results.iter().filter(|(_, result)| result == "failed").map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["suite/leak"], "{}", run.transcript());
}
