//! A project that never heard of Drydock: libmd out of Debian's archive, with six lines of declarations beside it.
//!
//! `apt-helper` fetches single files by URL with apt's own proxies and checks their digests. So neither `deb-src` lines
//! nor an index of the archive are needed, nothing on the machine is changed, and every machine gets the same source.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{Finished, Project, RunJson, need_tools, skip, text};

/// The program that fetches files of Debian's archive with apt's settings; it is not on the `PATH`.
const HELPER: &str = "/usr/lib/apt/apt-helper";
/// Below the root of an archive.
const DIRECTORY: &str = "pool/main/libm/libmd";
/// Asked last, after the archives that this machine is set up for.
const DEBIAN: &str = "http://deb.debian.org/debian/";
/// The source package with the digests of its files, as the signed index of Debian 12 has them.
const FILES: [(&str, &str); 4] = [
    ("libmd_1.0.4-2.dsc", "5e060cb277f31e67b91033e05ece00832ca8056decba873b1698a5680414a177"),
    ("libmd_1.0.4-2.debian.tar.xz", "a27a2221b1a81e192455e2e93da2e313b21e489f6ac2bcf84b0b813dc3fe261b"),
    ("libmd_1.0.4.orig.tar.xz", "f51c921042e34beddeded4b75557656559cf5b1f2448033b4c1eec11c07e530f"),
    ("libmd_1.0.4.orig.tar.xz.asc", "32deebe1cfab127ee69a3e8c8caf439e459b7cdcdd7535fe021cb485adc14057"),
];
/// Its test programs. Only one links MD5.
const JOBS: [&str; 6] = ["units/md2", "units/md4", "units/md5", "units/rmd160", "units/sha1", "units/sha2"];
const MD5: &str = "units/md5";

/// One line of `MD5Final`, before which damage is done.
const IN_FINAL: &str = "\tMD5Pad(ctx);\n\tif (digest != NULL) {";
/// A constant of the first step of MD5.
const CONSTANT: &str = "0xd76aa478";
/// One line of what all test programs share, which call it a different number of times.
const IN_HEX2BIN: &str = "\tfor (i = 0; i < bin_len; i++)\n";

#[test]
fn each_defect_of_libmd_is_reported_where_it_is_and_nowhere_else() {
    let Some(libmd) = Libmd::built() else { return };

    let sound = libmd.ci("as Debian has it");
    sound.expect(0, &[], "passed", &[]);
    for job in JOBS {
        sound.expect_whole_logs(job);
    }

    let lost = format!("\tvoid *volatile lost = __builtin_malloc(37);\n\tlost = NULL;\n{IN_FINAL}");
    let leak = libmd.ci_with("37 bytes lost", "src/md5.c", IN_FINAL, &lost);
    leak.expect(1, &[MD5], "findings", &["Leak_DefinitelyLost", "MD5Final (md5.c:"]);
    leak.expect_one_cause();

    let over = format!(
        "\tvolatile char *block = __builtin_malloc(16);\n\tblock[16] = 0;\n\t__builtin_free((void *)block);\n{IN_FINAL}"
    );
    let overflow = libmd.ci_with("a byte too far", "src/md5.c", IN_FINAL, &over);
    overflow.expect(1, &[MD5], "findings", &["InvalidWrite", "MD5Final (md5.c:"]);
    overflow.expect_one_cause();

    let wrong = libmd.ci_with("a wrong constant", "src/md5.c", CONSTANT, "0xd76aa479");
    wrong.expect(1, &[MD5], "crashed{6}", &["SIGABRT"]);
    wrong.expect_one_cause();
    wrong.expect_whole_logs(MD5);

    let lost = format!("\tvoid *volatile lost = __builtin_malloc(41);\n\tlost = NULL;\n{IN_HEX2BIN}");
    let shared = libmd.ci_with("one leak in all programs", "test/test.h", IN_HEX2BIN, &lost);
    shared.expect(1, &JOBS, "findings", &["Leak_DefinitelyLost", "hex2bin (test.h:"]);
    shared.expect_one_cause();
}

/// The source tree, unpacked and built, without any file of Drydock in it.
struct Libmd {
    tree: Project,
}

impl Libmd {
    /// `None`, and a line that says why, on a machine without the tools or out of the archive's reach.
    fn built() -> Option<Self> {
        let tools =
            [("make", "make"), ("gcc", "gcc"), ("valgrind", "valgrind"), ("dpkg-source", "dpkg-dev"), (HELPER, "apt")];
        if !need_tools(&tools) {
            return None;
        }
        let package = fetched()?;
        let tree = Project::new();
        let unpacked = package.path().join("libmd");
        run(package.path(), &["dpkg-source", "--no-check", "-x", FILES[0].0, &text(&unpacked)]);
        for entry in fs::read_dir(unpacked).unwrap() {
            let entry = entry.unwrap();
            fs::rename(entry.path(), tree.path().join(entry.file_name())).unwrap();
        }
        // Without optimisation each allocation is made and each line is what it says.
        run(tree.path(), &["./configure", "-q", "--disable-shared", "CFLAGS=-g -O0"]);
        let libmd = Self { tree };
        libmd.make();
        Some(libmd)
    }

    fn make(&self) {
        run(self.tree.path(), &["make", "-s"]);
        run(self.tree.path(), &["make", "-s", "check", "TESTS="]);
    }

    /// A run with one change to one file, which is taken back for the next build.
    fn ci_with(&self, what: &'static str, file: &str, from: &str, to: &str) -> Report {
        let path = self.tree.path().join(file);
        let sound = fs::read_to_string(&path).unwrap();
        assert_eq!(sound.matches(from).count(), 1, "{from:?} is not once in {file}");
        fs::write(&path, sound.replacen(from, to, 1)).unwrap();
        self.make();
        let report = self.ci(what);
        fs::write(&path, sound).unwrap();
        report
    }

    /// `xtask --project LIBMD --config FIXTURE --state ELSEWHERE ci`
    fn ci(&self, what: &'static str) -> Report {
        let config = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/foreign/libmd"));
        let state = tempfile::tempdir().unwrap();
        let args = ["--config", &config, "--state", &text(state.path()), "ci"];
        let finished = self.tree.xtask(&args).run();
        assert!(!self.tree.state().exists(), "the foreign tree was written to");
        let run = RunJson::latest(state.path()).unwrap_or_else(|error| panic!("{error:#}\n{}", finished.transcript()));
        Report { what, finished, run, state }
    }
}

/// The results of one run.
struct Report {
    what: &'static str,
    finished: Finished,
    run: RunJson,
    state: TempDir,
}

impl Report {
    /// Its exit code, and that `wrong` ended like that, with these words in one of the reasons, while all others
    /// passed at once.
    #[track_caller]
    fn expect(&self, code: i32, wrong: &[&str], ended: &str, reason: &[&str]) {
        let Self { what, run, .. } = self;
        let transcript = self.finished.transcript();
        println!("{what}: {}", self.finished.stdout);
        assert_eq!(self.finished.code(), code, "{what}: {transcript}");
        let names: Vec<_> = run.jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, JOBS, "{what}");
        for job in &run.jobs {
            let [attempt] = job.attempts.as_slice() else {
                panic!("{what}: {} was tried {} times\n{transcript}", job.name, job.attempts.len());
            };
            let outcome = attempt.outcome.to_string();
            if wrong.contains(&job.name.as_str()) {
                assert!(outcome.starts_with(ended), "{what}: {} {outcome}, not {ended}\n{transcript}", job.name);
                assert!(
                    attempt.reasons.iter().any(|line| reason.iter().all(|words| line.contains(words))),
                    "{what}: {:#?}",
                    attempt.reasons
                );
            } else {
                assert_eq!(outcome, "passed", "{what}: {}\n{transcript}", job.name);
            }
        }
    }

    /// The summary has one heading, however often and in however many jobs the defect shows.
    #[track_caller]
    fn expect_one_cause(&self) {
        let causes = self.finished.stdout.lines().filter(|line| line.starts_with('✗')).count();
        assert_eq!(causes, 1, "{}: {}", self.what, self.finished.transcript());
    }

    /// Each process of the job left a log that goes to its end.
    #[track_caller]
    fn expect_whole_logs(&self, job: &str) {
        let directory = self.state.path().join("runs/latest/jobs").join(job).join("1");
        let logs = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let logs: Vec<_> = logs.filter(|path| path.extension().is_some_and(|extension| extension == "xml")).collect();
        assert!(!logs.is_empty(), "{}: {job} has no log of valgrind", self.what);
        for log in logs {
            let xml = fs::read_to_string(&log).unwrap();
            let whole = xml.contains("<state>FINISHED</state>") && xml.trim_end().ends_with("</valgrindoutput>");
            assert!(whole, "{}: {} is not whole", self.what, log.display());
        }
    }
}

/// A directory with the source package. `None` if it cannot be downloaded, which is not a defect of Drydock or of the
/// machine: then the test is skipped, in CI too. A file with another digest is not skipped.
fn fetched() -> Option<TempDir> {
    let directory = tempfile::tempdir().unwrap();
    let mut why = String::new();
    for archive in archives() {
        let missing = FILES.iter().find_map(|(file, digest)| {
            let url = format!("{archive}{DIRECTORY}/{file}");
            let options = ["-o=APT::Sandbox::User=root", "-o=Acquire::Retries=0", "-o=Acquire::http::Timeout=10"];
            let fetch = output(
                directory.path(),
                &[&[HELPER][..], &options, &["download-file", &url, file, &format!("SHA256:{digest}")]].concat(),
            );
            let said = String::from_utf8_lossy(&fetch.stderr).into_owned();
            assert!(!said.contains("Hash Sum mismatch"), "{url} is not what Debian signed:\n{said}");
            (!fetch.status.success()).then_some(said)
        });
        match missing {
            None => return Some(directory),
            Some(said) => why = said.lines().find(|line| line.starts_with("E:")).unwrap_or(&said).to_owned(),
        }
    }
    skip(&format!("libmd cannot be fetched from Debian's archive: {why}"));
    None
}

/// The roots of the archives of Debian that this machine uses, and Debian's own.
fn archives() -> Vec<String> {
    let known = output(Path::new("/"), &["apt-get", "indextargets", "--format", "$(REPO_URI)"]);
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    let mut archives: Vec<String> =
        known.lines().filter(|line| line.ends_with("/debian/")).chain([DEBIAN]).map(str::to_owned).collect();
    let mut seen = std::collections::HashSet::new();
    archives.retain(|archive| seen.insert(archive.clone()));
    archives
}

fn output(directory: &Path, command: &[&str]) -> Output {
    let output = Command::new(command[0]).args(&command[1..]).current_dir(directory).env("LC_ALL", "C.UTF-8").output();
    output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

#[track_caller]
fn run(directory: &Path, command: &[&str]) {
    let output = output(directory, command);
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
}
