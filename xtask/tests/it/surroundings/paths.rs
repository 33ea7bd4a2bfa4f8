//! Paths that runs cannot have, a link that cannot be made, and a `/proc` of others.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use super::{ends, with_a_job_that};
use crate::support::{Project, need_tools, text, xtask_binary};

#[test]
fn a_path_that_json_cannot_have_is_refused_before_anything_is_made() {
    let project = Project::new().jobs("jobs: {one: {run: [\"true\"]}}\n");
    let name = OsStr::from_bytes(b"not\xff utf-8");
    let (state, inner) = (project.path().join(name), project.path().join("inner").join(name));
    fs::create_dir_all(inner.join("ci")).unwrap();
    fs::copy(project.path().join("ci/jobs.yaml"), inner.join("ci/jobs.yaml")).unwrap();
    // The test's own arguments are text, so a shell makes the name.
    for place in ["--state ", "--project inner/"] {
        let program = text(&xtask_binary());
        let call = format!("'{program}' {place}\"$(printf 'not\\377 utf-8')\" ci --no-progress");
        let finished = project.xtask(&["ci", "--no-progress"]).through(&["sh", "-c", &call]).run();
        ends(&finished, &[2], &call);
        assert!(finished.stderr.contains("is not valid UTF-8, which runs need"), "{}", finished.transcript());
    }
    assert!(!state.exists() && !inner.join("target").exists(), "{}", text(project.path()));
}

#[test]
fn what_is_known_of_a_run_is_kept_where_a_directory_has_the_place_of_the_link_to_it() {
    let (project, _) = with_a_job_that("mv target away; mkdir -p target/xtask/runs/latest/x");
    let finished = project.xtask(&["ci", "--no-progress"]).run();
    ends(&finished, &[5], "a directory");
    let (_, rest) = finished.stderr.split_once("runs/latest a link to the run: ").expect("it is said");
    let run = rest.split_once("`--run ").unwrap().1.split('`').next().unwrap();
    let explained = project.xtask(&["ci", "explain", "before", "--run", run]).run();
    ends(&explained, &[0], "explain");
    assert!(explained.stdout.contains("before: passed in run"), "{}", explained.transcript());
}

#[test]
fn a_proc_of_another_namespace_is_refused() {
    if !need_tools(&[("unshare", "util-linux")]) {
        return;
    }
    let project = Project::new().jobs("jobs: {one: {run: [\"true\"]}}\n");
    let call = project.xtask(&["ci", "--no-progress"]);
    let finished = call.through(&["sh", "-c", "exec unshare -r --pid --fork {call}"]).run();
    ends(&finished, &[4], "unshare");
    assert!(finished.stderr.contains("/proc belongs to another PID namespace"), "{}", finished.transcript());
    assert!(!project.state().exists());
}
