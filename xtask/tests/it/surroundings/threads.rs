//! Surroundings in which no further thread can be started.

use super::through;
use crate::support::Project;

/// With very little, the loader or the C library fails before Drydock runs; with a little more, no thread can be started.
#[test]
fn a_limit_of_memory_that_leaves_no_room_for_threads_is_named_and_is_no_bug() {
    let project = Project::new().jobs("jobs: {one: {run: [\"true\"]}}\n");
    let mut named = 0;
    for kibibytes in (30_000..120_000).step_by(1_500) {
        let finished = through(&project, &format!("ulimit -v {kibibytes}"), &["ci", "--no-progress"]);
        let code = finished.code();
        let before_it_ran = !(0..=100).contains(&code);
        assert!(before_it_ran || [0, 4, 5].contains(&code), "{kibibytes}: {}", finished.transcript());
        let reasons =
            ["start another thread; raise the limits", "Resource temporarily unavailable", "Cannot allocate memory"];
        let is_named = reasons.iter().any(|reason| finished.stderr.contains(reason));
        assert!(code != 5 || is_named, "{kibibytes}: {}", finished.transcript());
        named += usize::from(code == 5);
    }
    assert!(named > 0);
}
