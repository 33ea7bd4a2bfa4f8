//! A nightly that one machine builds and another publishes, as the two jobs of the nightly workflow do.

use std::fs;
use std::path::Path;

use super::project::{Nightly, step};
use crate::release::fixture::run;
use crate::support::text;

/// The results of builds in the state directory, by name.
fn results(nightly: &Nightly) -> usize {
    fs::read_dir(nightly.state().join("dist")).map_or(0, Iterator::count)
}

#[test]
fn what_one_machine_built_another_publishes_without_building_it_again() {
    let Some(nightly) = Nightly::new() else { return };
    let version = nightly.version();
    let packed = nightly.path().join("build/nightly.tar.gz");
    let file = text(&packed);
    let built = nightly.publish(&["--no-publish", "--pack", &file]);
    assert_eq!(built["result"], "built");
    let archive = nightly.state().join(format!("dist/{version}/p-{version}.tar.xz"));
    let bytes = fs::read(&archive).unwrap();
    // Another machine has the commit and this file, and not what the image was made of.
    let another = || {
        fs::remove_dir_all(nightly.state()).unwrap();
        fs::create_dir_all(nightly.state().join("dist")).unwrap();
    };
    fs::remove_file(nightly.path().join(format!("build/p-{version}-amd64.tar.gz"))).unwrap();
    let whole = fs::read(&packed).unwrap();

    // A file that was damaged on its way is refused, and nothing of it is left.
    for content in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], b"garbage", b""] {
        another();
        fs::write(&packed, content).unwrap();
        let refused = nightly.call(&["--unpack", &file]);
        assert!(refused.code() != 0 && refused.stderr.contains(&file), "{}: {}", content.len(), refused.transcript());
        assert!(
            nightly.server.client().tags(&nightly.server.repository("p/nightly")).is_ok_and(|tags| tags.is_empty())
        );
        assert_eq!(results(&nightly), 0, "{}", refused.transcript());
    }

    // A changed archive does not have its checksum, so it is built again.
    another();
    let changed = tempfile::tempdir().unwrap();
    fs::write(&packed, &whole).unwrap();
    run(changed.path(), "tar", &["-xzf", &file]);
    let found = find(changed.path(), &format!("p-{version}.tar.xz"));
    fs::write(&found, b"something else").unwrap();
    let names: Vec<String> =
        fs::read_dir(changed.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut words = vec!["-czf", file.as_str(), "--owner=0", "--group=0"];
    words.extend(names.iter().map(String::as_str));
    run(changed.path(), "tar", &words);
    let record = nightly.call(&["--no-publish", "--unpack", &file, "--format", "json"]);
    if record.code() == 0 {
        let record: serde_json::Value = serde_json::from_str(&record.stdout).unwrap();
        assert_eq!(step(&record, "sources"), "done", "{record:#}");
        assert!(fs::read(&archive).unwrap() == bytes);
    }

    // The whole file is all that the other machine needs.
    another();
    fs::write(&packed, &whole).unwrap();
    let published = nightly.publish(&["--unpack", &file]);
    assert_eq!(published["result"], "published", "{published:#}");
    for name in ["sources", "sources-proof", "images"] {
        assert_eq!(step(&published, name), "reused", "{name}: {published:#}");
    }
    assert!(fs::read(&archive).unwrap() == bytes);
    assert!(nightly.tags().contains_key("nightly"));

    // What is there already is not replaced.
    let again = nightly.call(&["--force", "--unpack", &file]);
    assert_eq!(again.code(), 2, "{}", again.transcript());
    assert!(again.stderr.contains("is there already"), "{}", again.transcript());
}

/// The file of this name somewhere below a directory.
fn find(directory: &Path, name: &str) -> std::path::PathBuf {
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.ends_with(name) {
                return path;
            }
        }
    }
    panic!("there is no {name}");
}
