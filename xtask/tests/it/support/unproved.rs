//! Releases whose proof is not of exactly their files, as the commands that publish must refuse them.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A way to break the proof, and words of the refusal.
struct Breakage {
    name: &'static str,
    words: &'static str,
    apply: fn(&Path),
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn edit_proof(dist: &Path, change: impl FnOnce(&mut Value)) {
    edit(&dist.join("proof.json"), change);
}

/// The first archive.
fn archive(dist: &Path) -> std::path::PathBuf {
    let manifest: Value = serde_json::from_str(&fs::read_to_string(dist.join("release.json")).unwrap()).unwrap();
    dist.join(manifest["artifacts"][0]["name"].as_str().unwrap())
}

const BREAKAGES: &[Breakage] = &[
    Breakage {
        name: "no proof",
        words: "the release has no proof",
        apply: |dist| fs::remove_file(dist.join("proof.json")).unwrap(),
    },
    Breakage {
        name: "an empty proof",
        words: "proof.json",
        apply: |dist| fs::write(dist.join("proof.json"), "").unwrap(),
    },
    Breakage {
        name: "a proof with an unknown part",
        words: "unknown field",
        apply: |dist| edit_proof(dist, |proof| proof["trust-me"] = true.into()),
    },
    Breakage {
        name: "a proof of other files",
        words: "the proof is for other files",
        apply: |dist| edit_proof(dist, |proof| proof["checksums"] = "0".repeat(64).into()),
    },
    Breakage {
        name: "a proof of another format",
        words: "the proof is for other files",
        apply: |dist| edit_proof(dist, |proof| proof["format"] = 99.into()),
    },
    Breakage {
        name: "a proof without one archive",
        words: "the proof does not include all artifacts",
        apply: |dist| {
            edit_proof(dist, |proof| drop(proof["rebuild"]["identical"].as_array_mut().unwrap().pop()));
        },
    },
    Breakage {
        name: "a proof that varied nothing",
        words: "varied nothing",
        apply: |dist| edit_proof(dist, |proof| proof["rebuild"]["variations"] = Value::Array(Vec::new())),
    },
    Breakage {
        name: "another archive",
        words: "has no intact archives",
        apply: |dist| {
            let archive = archive(dist);
            fs::write(&archive, [fs::read(&archive).unwrap(), vec![0]].concat()).unwrap();
        },
    },
    Breakage {
        name: "an archive less",
        words: "has no intact archives",
        apply: |dist| fs::remove_file(archive(dist)).unwrap(),
    },
    Breakage {
        name: "archives of another commit",
        words: "has no intact archives",
        apply: |dist| edit(&dist.join("release.json"), |manifest| manifest["commit"] = "0".repeat(40).into()),
    },
    Breakage {
        name: "a manifest of another project",
        words: "the proof is for other files",
        apply: |dist| {
            edit(&dist.join("release.json"), |manifest| manifest["name"] = "another".into());
        },
    },
];

/// If an offline proof is declared.
const OFFLINE: &[Breakage] = &[
    Breakage {
        name: "no offline proof",
        words: "the proof of the build without a network is missing",
        apply: |dist| edit_proof(dist, |proof| proof["offline"] = Value::Null),
    },
    Breakage {
        name: "an offline proof of another build",
        words: "with other commands than declared",
        apply: |dist| edit_proof(dist, |proof| proof["offline"]["build"] = serde_json::json!(["true", "again"])),
    },
    Breakage {
        name: "an offline proof without the tests",
        words: "with other commands than declared",
        apply: |dist| edit_proof(dist, |proof| proof["offline"]["test"] = Value::Null),
    },
    Breakage {
        name: "an offline proof with more tools",
        words: "with other commands than declared",
        apply: |dist| edit_proof(dist, |proof| proof["offline"]["poisoned"] = serde_json::json!(["other"])),
    },
    Breakage {
        name: "an offline proof of another archive",
        words: "for another archive",
        apply: |dist| edit_proof(dist, |proof| proof["offline"]["archive"] = "other.tar.xz".into()),
    },
];

/// Breaks the proof of a release in each way, and restores it after `check` was called with the words that the refusal must have.
/// Returns the number of ways.
pub(crate) fn each_way(dist: &Path, mut check: impl FnMut(&str, &str)) -> usize {
    let proof: Value = serde_json::from_str(&fs::read_to_string(dist.join("proof.json")).unwrap()).unwrap();
    let offline = if proof["offline"].is_null() { &[] } else { OFFLINE };
    let mut count = 0;
    for breakage in BREAKAGES.iter().chain(offline) {
        let files: Vec<_> = [dist.join("proof.json"), dist.join("release.json"), archive(dist)]
            .map(|path| (fs::read(&path).unwrap(), path))
            .into();
        (breakage.apply)(dist);
        check(breakage.name, breakage.words);
        for (content, path) in files {
            fs::write(path, content).unwrap();
        }
        count += 1;
    }
    count
}
