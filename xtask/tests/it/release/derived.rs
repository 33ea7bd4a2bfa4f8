//! Derived files: those that are shipped, and every reason to refuse one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::fixture::{build, commit, project, release, run};
use crate::support::{Project, need_tool};

/// A project with this shell script as its only generator, which reads `in` and may write `out*`.
fn generator(script: &str, more: &str) -> Project {
    let declaration = format!(
        "name: p\nversion: {{}}\narchives: [{{format: tar.gz}}]\nsource:\n  derived:\n    gen: {{run: [./gen.sh], inputs: [in], outputs: [\"out*\"]{more}}}\n"
    );
    let project = project(&declaration).file("in", "input\n").file("gen.sh", &format!("#!/bin/sh\nset -e\n{script}\n"));
    fs::set_permissions(project.path().join("gen.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    commit(&project);
    project
}

#[track_caller]
fn refused(script: &str, more: &str, code: i32, words: &[&str]) {
    let project = generator(script, more);
    let built = release(&project, &["build"]);
    assert_eq!(built.code(), code, "{script}: {}", built.transcript());
    for word in words {
        assert!(built.stderr.contains(word), "{script}: {word:?} is not in {}", built.transcript());
    }
    assert!(!project.state().join("dist/1.0/release.json").exists(), "{script}: a release was written");
}

#[test]
fn derived_files_are_shipped_and_their_origin_is_recorded() {
    let project = generator(
        "mkdir -p build\ntouch build/log\n{ cat in; echo $SOURCE_DATE_EPOCH $DRYDOCK_VERSION; } > out\ncp out out-run\nchmod 700 out-run\nln -s out out-link",
        ", scratch: [\"build/**\"]",
    );
    let dist = build(&project);
    let list = run(&dist, "tar", &["-tvzf", "p-1.0.tar.gz"]);
    assert!(
        list.contains("-rw-r--r-- root/root") && list.contains("out-link -> out") && !list.contains("build"),
        "{list}"
    );
    assert!(list.lines().any(|line| line.starts_with("-rwxr-xr-x") && line.ends_with("out-run")), "{list}");
    let content = run(&dist, "tar", &["-xzOf", "p-1.0.tar.gz", "p-1.0/out"]);
    assert_eq!(content, "input\n1780315200 1.0\n");
    let manifest = drydock_release::manifest::Manifest::load(&dist.join("release.json")).unwrap();
    let out = manifest.entries.iter().find(|entry| entry.path == "out").unwrap();
    assert_eq!((out.generator.as_deref(), &out.blob), (Some("gen"), &None));
    assert_eq!(manifest.generators[0].outputs, ["out", "out-link", "out-run"]);
    assert_eq!(manifest.generators[0].inputs, ["in"]);
}

#[test]
fn outputs_that_depend_on_the_machine_are_refused_with_the_line() {
    let twice = ["derived files differ between two runs", "out (generator gen) differs in line 2"];
    let with = |word: &'static str| [twice[0], twice[1], word];
    if need_tool("faketime", "faketime") {
        refused("echo a > out; date -u >> out", "", 7, &with("which seems to contain the time"));
        refused("echo a > out; date +%Y >> out", "", 7, &with("which seems to contain the time"));
    }
    refused("echo a > out; pwd >> out", "", 7, &with("which contains the directory that it was generated in"));
    refused("echo a > out; hostname >> out", "", 7, &with("which contains the host name"));
    refused("echo a > out; id -u >> out", "", 7, &with("differs in line 2"));
    refused("echo a > out; umask >> out", "", 7, &with("differs in line 2"));
    refused("echo a > out; date +%z >> out", "", 7, &with("differs in line 2"));
    refused("echo a > out; head -c 8 /dev/urandom | od -x >> out", "", 7, &with("differs in line 2"));
    refused("echo a > out-$(date +%z)", "", 7, &["exists after one of the two runs only"]);
}

#[test]
fn the_version_of_an_installed_library_is_refused() {
    if !need_tool("dpkg-query", "dpkg") {
        return;
    }
    let all = run(std::path::Path::new("/"), "dpkg-query", &["--show", "--showformat=${Version}\n", "zlib1g"]);
    let version =
        all.trim().trim_start_matches("1:").split('-').next().unwrap().split(".dfsg").next().unwrap().to_owned();
    // The script finds it out as a configure script does: what a file of the project says is no trace.
    let script =
        "echo '/* made */' > out; v=$(dpkg-query --show --showformat='${Version}' zlib1g); v=${v#*:}; v=${v%%-*}
echo \"#define ZLIB_VERSION \\\"${v%.dfsg*}\\\"\" >> out";
    let words = [
        "out (generator gen) contains the version",
        &format!("{version} of the installed package zlib1g in line 2"),
        "ZLIB_VERSION",
    ];
    refused(script, "", 7, &words);
    build(&generator(script, ", allow: [ZLIB_VERSION]"));
    // Copies of foreign files may contain any version, and no other trace.
    build(&generator(script, ", copies: true"));
    // Neither are numbers that look like the version of some package, installed or not.
    build(&generator("echo '<p>html 1.1, see chapter 2.3.4</p>' > out", ""));
    refused("pwd > out", ", copies: true", 7, &["the directory that it was generated in"]);
    // An output that is not shipped may contain anything.
    let project = generator(script, ", host-independent: false");
    let list = run(&build(&project), "tar", &["-tzf", "p-1.0.tar.gz"]);
    assert!(!list.contains("/out"), "{list}");
}

#[test]
fn a_generator_must_write_exactly_what_it_declares() {
    refused("echo x > out; echo x > more", "", 1, &["it writes more, which is not among its `outputs`"]);
    refused("echo x >> in; echo x > out", "", 1, &["it changes in, which is in git"]);
    refused("chmod +x in; echo x > out", "", 1, &["it changes in, which is in git"]);
    refused("rm in; echo x > out", "", 1, &["it removes in"]);
    refused(":", "", 1, &["it wrote nothing that matches its output `out*`"]);
    refused(
        "ln -s /etc/passwd out",
        "",
        1,
        &["it writes out, which is a symlink to /etc/passwd, outside of the release"],
    );
    refused("mkfifo out", "", 1, &["it writes out, which is neither a file nor a symlink"]);
    refused("echo x > out; echo x > OUT", ", scratch: [x]", 1, &["it writes OUT, which is not among"]);
    refused("echo x > out1; echo x > oUT1; mv oUT1 outb; echo x > outB", "", 1, &["outb: is the same as outB"]);
    refused(
        "echo broken >&2; exit 3",
        "",
        1,
        &["the generator gen failed: `./gen.sh` ended with exit status: 3: broken"],
    );
    refused(
        "[ \"$HOME\" != /nowhere ] && [ $(umask) = 0022 ] || { echo umask >&2; exit 4; }; echo x > out",
        "",
        1,
        &["when it ran again in a varied environment"],
    );
}

/// An output that is the same in the first two runs, but not in the third and fourth.
/// What is said to be varied is varied where the archives are written, too: generators inherit the umask of Drydock, unless they
/// run a second time.
#[test]
fn the_varied_rebuild_has_another_umask() {
    let seen = tempfile::NamedTempFile::new().unwrap();
    let project = generator(&format!("umask >>'{}'\ncp in out", seen.path().display()), "");
    let proved = release(&project, &["prove"]);
    assert_eq!(proved.code(), 0, "{}", proved.transcript());
    // The build and its second run, and the same of the rebuild.
    assert_eq!(fs::read_to_string(seen.path()).unwrap(), "0022\n0077\n0077\n0077\n");
}

#[test]
fn what_had_no_effect_is_not_called_varied() {
    if !need_tool("faketime", "faketime") {
        return;
    }
    let variation = |proof: &serde_json::Value, name: &str| {
        let all = proof["rebuild"]["variations"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is not in {proof:#}")).clone()
    };
    let bin = tempfile::tempdir().unwrap();
    let broken = [bin.path(), Path::new(&std::env::var("PATH").unwrap())].map(crate::support::text).join(":");
    // One that starts the program, as the real one does, and leaves the clock alone.
    let script = bin.path().join("faketime");
    fs::write(&script, "#!/bin/sh\nshift 2\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for (path, is_varied) in [(std::env::var("PATH").unwrap(), true), (broken, false)] {
        let project = generator("cp in out", "");
        let proved = project.xtask(&["release", "prove"]).env("PATH", &path).run();
        assert_eq!(proved.code(), 0, "{}", proved.transcript());
        let proof = fs::read_to_string(project.state().join("dist/1.0/proof.json")).unwrap();
        let clock = variation(&serde_json::from_str(&proof).unwrap(), "clock");
        assert_eq!(clock["value"] == "+397d", is_varied, "{clock}");
        assert_eq!(clock["missing"] == "it was set, and had no effect", !is_varied, "{clock}");
        let said = proved.transcript();
        assert_eq!(said.contains("not varied: clock; it was set, and had no effect"), !is_varied, "{said}");
        assert_eq!(said.contains("note: derived files were not built with another clock"), !is_varied, "{said}");
    }
}

#[test]
fn the_varied_rebuild_finds_outputs_that_depend_on_earlier_runs() {
    let memory = tempfile::NamedTempFile::new().unwrap();
    let file = crate::support::text(memory.path());
    let script = format!("echo run >>{file}; echo same > out; echo $(( ($(wc -l <{file}) - 1) / 2 )) >> out");
    let proved = release(&generator(&script, ""), &["prove"]);
    assert_eq!(proved.code(), 7, "{}", proved.transcript());
    for words in [
        "the varied rebuild produced other bytes",
        "p-1.0.tar.gz: p-1.0/out: content is line 2 `1`, expected line 2 `0`",
        "[from the generator gen]",
    ] {
        assert!(proved.stderr.contains(words), "{words:?} is not in {}", proved.transcript());
    }
}
