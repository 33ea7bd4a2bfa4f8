//! Declarations as a hostile or careless author would write them, through the library's front door.

use drydock_config::jobs::{LoadError, Suite};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The limit for each refusal. Most take microseconds; the slowest few are printed by `--nocapture`.
const MOST: Duration = Duration::from_secs(1);

/// Processor time of this thread: other tests on the same processors do not count.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Loads a file as `ci/jobs.yaml` of an empty project, and wants it refused, soon, with these words.
#[track_caller]
fn refused(what: &str, content: &[u8], words: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.yaml");
    fs::write(&file, content).unwrap();
    refused_file(what, &file, directory.path(), words);
}

#[track_caller]
fn refused_file(what: &str, file: &Path, project: &Path, words: &str) {
    let start = now();
    let error = Suite::load(file, project).unwrap_err();
    let shown = error.to_string();
    let took = now() - start;
    println!("{what}: refused in {took:?}");
    assert!(took < MOST, "{what} took {took:?}");
    assert!(shown.contains(words), "{what}: {}", shown.chars().take(2000).collect::<String>());
    assert!(shown.len() < 64 << 10, "{what}: the message has {} bytes", shown.len());
    if let LoadError::Invalid(diagnostics) = &error {
        assert!(diagnostics.iter().all(|d| d.line >= 1 && d.column >= 1), "{what}");
    }
}

#[test]
fn hostile_yaml_is_refused_quickly_and_clearly() {
    let deep = |open: &str| open.repeat((1 << 20) / open.len() - 1).into_bytes();
    refused("deep lists", &deep("["), "nested too deeply");
    refused("deep mappings", &deep("{a: "), "nested too deeply");
    refused("deep blocks", &deep("- "), "nested too deeply");
    refused("deep keys", &deep("? "), "nested too deeply");
    let mut staircase = String::new();
    (0..1000).for_each(|depth| writeln!(staircase, "{}a:", " ".repeat(depth)).unwrap());
    refused("a staircase", staircase.as_bytes(), "nested too deeply");

    let mut bomb = "a0: &a0 [lol, lol]\n".to_owned();
    (1..30).for_each(|n| writeln!(bomb, "a{n}: &a{n} [{}*a{}]", format!("*a{}, ", n - 1).repeat(9), n - 1).unwrap());
    refused("an alias bomb", bomb.as_bytes(), "aliases are not supported");
    refused("an alias to itself", b"jobs: &a [*a]\n", "anchors are not supported");
    refused("a merge key", b"jobs: {a: {run: [x], <<: {tool: none}}}\n", "merge keys are not supported");
    refused("an include", b"jobs: !include /etc/passwd\n", "the tag `!include` is not supported");
    refused("a tag of a language", b"jobs: !!python/object/apply:os.system [id]\n", "is not supported");
    refused("several documents", b"jobs: {a: {run: [x]}}\n---\njobs: {}\n", "a second document");
    refused("many documents", "---\n".repeat(200_000).as_bytes(), "a second document");

    let wide = |count, entry: fn(usize) -> String| (0..count).map(entry).collect::<String>().into_bytes();
    refused("many values", &wide(100_000, |n| format!("- {n}\n")), "too many values");
    refused("many unknown keys", &wide(20_000, |n| format!("k{n}: {n}\n")), "unknown key `k0`");
    refused("many equal keys", &wide(20_000, |_| "k: 1\n".to_owned()), "duplicate key `k`");
    let dangling: String =
        (0..4000).map(|n| format!("  job-number-{n}: {{run: [x], needs: [jobb-numbr-{n}]}}\n")).collect();
    refused("many dangling needs", format!("jobs:\n{dangling}").as_bytes(), "did you mean `job-number-0`?");
    refused("a long key", format!("{}: x\n", "k".repeat(1_000_000)).as_bytes(), "");
    refused(
        "a long text",
        format!("jobs: {{a: {{run: [x], tool: {}}}}}\n", "k".repeat(1_000_000)).as_bytes(),
        "is not a tool",
    );
    refused("a long line of quotes", format!("a: \"{}\n", "\\\"".repeat(400_000)).as_bytes(), "not YAML");
    refused("many open quotes", "'".repeat(1_000_001).as_bytes(), "");
    refused("many colons", ": ".repeat(500_000).as_bytes(), "");
    refused("many dashes", "-\n".repeat(500_000).as_bytes(), "");
    refused("many comments", "#\n".repeat(500_000).as_bytes(), "declares nothing");
    refused("only spaces", " ".repeat(1_000_000).as_bytes(), "declares nothing");
    refused("only line ends", "\n".repeat(1_000_000).as_bytes(), "declares nothing");
    refused("only carriage returns", "\r".repeat(1_000_000).as_bytes(), "declares nothing");
    refused("many directives", "%YAML 1.2\n".repeat(90_000).as_bytes(), "not YAML");
    refused(
        "a long number",
        format!("jobs: {{a: {{run: [x], expect-exit: {}}}}}\n", "9".repeat(900_000)).as_bytes(),
        "out of range",
    );
    refused(
        "many stars",
        format!("jobs: {{a: {{run: [x], for-each: {{glob: '{}b'}}}}}}\n", "*a".repeat(240)).as_bytes(),
        "matches no file",
    );

    refused("nothing", b"", "declares nothing");
    refused("binary", &[0, 1, 2, 0xfe, 0xff].repeat(1000), "is not UTF-8 text");
    refused("UTF-16", &[0xff, 0xfe, b'a', 0], "byte 0xff is not UTF-8 text");
    refused("NUL bytes", &[0; 1000], "control character");
    refused("an ELF file", &fs::read(std::env::current_exe().unwrap()).unwrap(), "too large");
    refused("colours of a terminal", b"jobs: \x1b[31m\n", "control character");
}

#[test]
fn special_and_large_files_are_never_read() {
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large.yaml");
    fs::File::create(&large).unwrap().set_len(100 << 20).unwrap();
    refused_file("100 MiB", &large, directory.path(), "at most 1 MiB");
    refused_file("a directory", directory.path(), directory.path(), "cannot read");
    refused_file("an endless device", Path::new("/dev/zero"), directory.path(), "cannot read");
    refused_file(
        "nothing there",
        &directory.path().join("none.yaml"),
        directory.path(),
        "writes for a project whose build system it knows",
    );
    let pipe = directory.path().join("pipe");
    if std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        refused_file("a pipe without a writer", &pipe, directory.path(), "cannot read");
    }
}

/// The finds of fuzzing and of users: `good-*` must be accepted, `bad-*` refused with a location, all of it soon.
#[test]
fn the_corpus_neither_panics_nor_hangs() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/jobs-yaml");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let start = now();
        let parsed = Suite::parse(&text, Path::new(&name), None);
        let took = now() - start;
        assert!(took < MOST, "{name} took {took:?}");
        match parsed {
            Ok(suite) => assert!(name.starts_with("good-") && !suite.jobs.is_empty(), "{name} was taken"),
            Err(diagnostics) => {
                assert!(name.starts_with("bad-"), "{diagnostics}");
                assert!(!diagnostics.is_empty() && diagnostics.iter().all(|d| d.line >= 1), "{name}");
            }
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} files in the corpus");
}

#[test]
fn the_schemas_in_the_repository_are_current() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    for (name, current) in [
        ("jobs", drydock_config::schema::jobs_schema()),
        ("quarantine", drydock_config::schema::quarantine_schema()),
        ("release", drydock_config::schema::release_schema()),
        ("images", drydock_config::schema::images_schema()),
        ("manifest", schemars::schema_for!(drydock_release::manifest::Manifest).to_value()),
        ("proof", schemars::schema_for!(drydock_release::proof::Proof).to_value()),
        ("build-info", schemars::schema_for!(drydock_release::build_info::BuildInfo).to_value()),
        ("verification", schemars::schema_for!(drydock_release::verify::Verification).to_value()),
        ("run", drydock_ci::report::json::schema()),
    ] {
        let file = directory.join(format!("{name}.schema.json"));
        let kept =
            fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        assert_eq!(
            kept,
            Some(current),
            "{0} is out of date; write it with `cargo xtask ci schema {name} > xtask/schema/{name}.schema.json`",
            file.display()
        );
    }
}

#[test]
fn the_reference_in_the_documents_is_current() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs/reference");
    for (name, schema) in [
        ("jobs", drydock_config::schema::jobs_schema()),
        ("quarantine", drydock_config::schema::quarantine_schema()),
        ("release", drydock_config::schema::release_schema()),
        ("images", drydock_config::schema::images_schema()),
    ] {
        let file = directory.join(format!("{name}.md"));
        assert_eq!(
            fs::read_to_string(&file).unwrap_or_default(),
            drydock_config::schema::reference(&schema, name),
            "{} is out of date; write it with `cargo xtask ci schema {name} --format markdown > docs/reference/{name}.md`",
            file.display()
        );
    }
}
