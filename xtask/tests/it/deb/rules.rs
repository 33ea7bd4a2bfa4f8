//! Launchpad's rules over packages on disk, each made with the programs of dpkg and signed with debsign, and broken in one way. They
//! go through `deb check FILE`, and into reprepro, whose verdict is printed beside ours.
//!
//! The table: `cargo test -p drydock --test it deb::rules -- --nocapture`

mod archive;
mod good;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::end_to_end::Archive;
use super::fake_launchpad::FakeLaunchpad;
use super::fixture::{has_tools, key, run};
use crate::support::{text, xtask_binary};

/// What a row starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The sources in `tree`, and the orig tarballs. The script changes them, and the package is built and signed afterwards.
    Tree,
    /// The sources in `tree`, and the orig tarballs. The script does everything.
    Bare,
    /// The built package without signatures.
    Built,
    /// The built package, signed with debsign.
    Signed,
}

/// What reprepro says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reprepro {
    /// It has the rule, too.
    Refuses,
    /// It does not have the rule.
    Accepts,
}

/// A package that violates a rule.
struct Row {
    /// The rule that finds it.
    rule: &'static str,
    /// How it is broken, in words.
    package: &'static str,
    from: From,
    /// The shell commands that break it, with the functions of `package.sh`.
    script: &'static str,
    /// What `deb check` says.
    words: &'static str,
    reprepro: Reprepro,
    /// What the archive on Launchpad has; it is not asked without.
    state: Option<fn(&archive::State<'_>)>,
}

/// The rows of `rules/rows.txt`, which says how they are written.
fn rows() -> Vec<Row> {
    let blocks = include_str!("rules/rows.txt").split("\n== ").skip(1);
    blocks.map(|block| Row::parse(block).unwrap_or_else(|| panic!("not a row: {block}"))).collect()
}

impl Row {
    fn parse(block: &'static str) -> Option<Row> {
        let (head, rest) = block.split_once('\n')?;
        let (rule, package) = head.split_once(": ")?;
        let value = |name: &str| rest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let from = match value("from")? {
            "tree" => From::Tree,
            "bare" => From::Bare,
            "built" => From::Built,
            "signed" => From::Signed,
            _ => return None,
        };
        let reprepro = match value("reprepro")? {
            "accepts" => Reprepro::Accepts,
            "refuses" => Reprepro::Refuses,
            _ => return None,
        };
        let script = value("do").unwrap_or_default();
        Some(Row { rule, package, from, script, words: value("says")?, reprepro, state: None })
    }
}

/// What all rows share.
pub(super) struct World {
    root: PathBuf,
    home: String,
    key: String,
    /// A key whose time is over.
    expired: String,
    /// A home of gpg with a key that nobody else knows.
    stranger: String,
    launchpad: FakeLaunchpad,
}

const CONTROL: &str = "Source: words\nSection: misc\nPriority: optional\nMaintainer: A Tester <tester@example.org>\n\
    Build-Depends: debhelper-compat (= 13)\nStandards-Version: 4.6.2\n\nPackage: words\nArchitecture: all\nDescription: some words\n A few.\n";
const CHANGELOG: &str = "words (1.0-1) noble; urgency=medium\n\n  * First.\n\n -- A Tester <tester@example.org>  Mon, 01 Jun 2026 12:00:00 +0000\n";

impl World {
    /// Builds and signs the package that all rows start from.
    pub(super) fn new(root: &Path) -> World {
        let (home, key) = key(root);
        let home = text(&home);
        let at = |name: &str| root.join(name);
        fs::create_dir(at("strange")).unwrap();
        let (stranger, _) = self::key(&at("strange"));
        let gpg = ["gpg", "-q", "--batch", "--passphrase", "", "--faked-system-time", "20200101T000000"];
        let old = ["--quick-generate-key", "An Old Key <old@example.org>", "ed25519", "sign", "1d"];
        run(root, &[&gpg[..], &old].concat(), &[("GNUPGHOME", &home)]);
        let listed = run(root, &["gpg", "--list-keys", "--with-colons", "old@example.org"], &[("GNUPGHOME", &home)]);
        let expired = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned();
        let world = World {
            root: root.to_owned(),
            home,
            key,
            expired,
            stranger: text(&stranger),
            launchpad: FakeLaunchpad::start(),
        };
        fs::create_dir_all(at("tree/tree/debian/source")).unwrap();
        let write = |path: &str, content: &str| fs::write(at("tree/tree").join(path), content).unwrap();
        for (path, content) in [
            ("words.txt", "some\n"),
            ("debian/source/format", "3.0 (quilt)\n"),
            ("debian/control", CONTROL),
            ("debian/changelog", CHANGELOG),
            ("debian/copyright", "None.\n"),
            ("debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n"),
        ] {
            write(path, content);
        }
        let script = "chmod +x tree/debian/rules; mkdir words-1.0 data; cp tree/words.txt words-1.0; echo 1 >data/list; cp -r data tree; \
             tar -czf words_1.0.orig.tar.gz words-1.0; tar -czf words_1.0.orig-data.tar.gz data; rm -r words-1.0 data";
        world.shell(&at("tree"), script);
        for (from, to, script) in
            [("tree", "built", "build"), ("built", "signed", "debsign --no-re-sign -k$KEY $C >/dev/null 2>&1")]
        {
            run(root, &["cp", "-a", from, to], &[]);
            world.shell(&at(to), script);
        }
        world
    }

    /// Runs a script with the functions of `package.sh`.
    fn shell(&self, directory: &Path, script: &str) {
        let whole = format!("{}\n{script}\n", include_str!("rules/package.sh"));
        let variables = [
            ("GNUPGHOME", self.home.as_str()),
            ("KEY", &self.key),
            ("EXPIRED", &self.expired),
            ("STRANGER", &self.stranger),
            ("C", "words_1.0-1_source.changes"),
            ("D", "words_1.0-1.dsc"),
            ("B", "words_1.0-1_source.buildinfo"),
            ("T", "words_1.0-1.debian.tar.xz"),
            ("O", "words_1.0.orig.tar.gz"),
        ];
        run(directory, &["sh", "-euc", &whole], &variables);
    }

    /// A directory with a package, made by a script.
    pub(super) fn package(&self, name: &str, from: From, script: &str) -> PathBuf {
        let directory = self.root.join("rows").join(name);
        fs::create_dir_all(directory.parent().unwrap()).unwrap();
        let base = match from {
            From::Tree | From::Bare => "tree",
            From::Built => "built",
            From::Signed => "signed",
        };
        run(&self.root, &["cp", "-a", base, &text(&directory)], &[]);
        let after =
            if from == From::Tree { "\nbuild; debsign --no-re-sign -k$KEY *.changes >/dev/null 2>&1" } else { "" };
        self.shell(&directory, &format!("{script}{after}"));
        directory
    }

    /// What `deb check` says about the upload in a directory: whether it is good, and the rules and texts of rejections.
    pub(super) fn check(&self, directory: &Path, ppa: Option<&str>) -> (bool, Vec<(String, String)>) {
        let mut command = Command::new(xtask_binary());
        command.args(["deb", "check", "--format", "json"]).arg(changes(directory)).env("GNUPGHOME", &self.home);
        if let Some(ppa) = ppa {
            command.args(["--ppa", ppa, "--api", &self.launchpad.address]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let reports: serde_json::Value = serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{}: {said}{}", directory.display(), String::from_utf8_lossy(&output.stderr)));
        let found = reports[0]["rejections"].as_array().unwrap().iter();
        let word = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap().to_owned();
        (output.status.success(), found.map(|one| (word(one, "rule"), word(one, "text"))).collect())
    }

    /// Whether reprepro includes the upload in a directory, and what it says. `before` is there already.
    pub(super) fn reprepro(&self, directory: &Path, before: Option<&Path>) -> (bool, String) {
        let root = directory.join("archive");
        let archive = Archive::new(&root, Path::new(&self.home), &self.key);
        for name in ["distributions", "incoming"] {
            let file = root.join("conf").join(name);
            let content = fs::read_to_string(&file).unwrap().replace("bookworm", "noble");
            // Signing its lists would only take time.
            let lines = content.lines().filter(|line| !line.starts_with("SignWith")).map(|line| format!("{line}\n"));
            fs::write(&file, lines.collect::<String>()).unwrap();
        }
        let mut last = (false, String::new());
        for upload in before.into_iter().chain([directory]) {
            for entry in fs::read_dir(upload).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
            {
                fs::copy(&entry, root.join("incoming").join(entry.file_name().unwrap())).unwrap();
            }
            last = archive.reprepro(&["processincoming", "queue"]);
        }
        let (is_listed, listed) = archive.reprepro(&["list", "noble"]);
        let version = fs::read_to_string(changes(directory)).unwrap_or_default();
        let version = version.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or("none").to_owned();
        let line = |line: &&str| !line.trim().is_empty() && !line.starts_with("Exporting");
        (last.0 && is_listed && listed.contains(&version), last.1.lines().find(line).unwrap_or_default().to_owned())
    }
}

/// The upload in a directory.
pub(super) fn changes(directory: &Path) -> PathBuf {
    let mut entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.extension().is_some_and(|end| end == "changes")).expect("there is no .changes")
}

/// Calls a function for each item, on as many threads as there are processors. Returns the results in order.
fn in_parallel<T: Sync, R: Send>(items: &[T], call: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = call(at, item);
                    results.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A problem with a row, and its line in the table.
fn judge(world: &World, at: usize, row: &Row) -> (Option<String>, String) {
    let name = format!("{at}-{}", row.rule);
    let directory = world.package(&name, row.from, row.script);
    let state = row.state.map(|fill| archive::State::new(&world.launchpad, &format!("r{at}"), fill));
    let (good, found) = world.check(&directory, state.as_ref().map(archive::State::ppa).as_deref());
    let before = state
        .as_ref()
        .and_then(archive::State::before)
        .map(|script| world.package(&format!("{name}-before"), From::Tree, script));
    let (accepted, said) = world.reprepro(&directory, before.as_deref());
    let verdict = if accepted { Reprepro::Accepts } else { Reprepro::Refuses };
    let hit = found.iter().find(|(rule, text)| rule == row.rule && text.contains(row.words));
    let problem = match hit {
        Some(_) if !good && verdict == row.reprepro => None,
        _ => Some(format!("{} / {}: {found:#?}\nreprepro {verdict:?}: {said}", row.rule, row.package)),
    };
    let text = hit.map_or(String::new(), |(_, text)| text.lines().next().unwrap_or_default().to_owned());
    let text = if text.chars().count() > 110 { text.chars().take(107).collect::<String>() + "…" } else { text };
    let theirs = if accepted { "accepts".to_owned() } else { format!("refuses: {said}") };
    (problem, format!("{:<17} {:<52} {text:<110}  {theirs}", row.rule, row.package))
}

/// Checks packages of every form, in which nothing is wrong.
fn good_packages_pass(world: &World) {
    let results = in_parallel(good::ROWS, |at, (package, from, script)| {
        let directory = world.package(&format!("good-{at}"), *from, script);
        let (good, found) = world.check(&directory, None);
        (good, format!("{package}: {found:#?}"))
    });
    let bad: Vec<&str> = results.iter().filter(|(good, _)| !good).map(|(_, text)| text.as_str()).collect();
    assert!(bad.is_empty(), "{} of {} packages: {}", bad.len(), good::ROWS.len(), bad.join("\n"));
    good::ROWS.iter().for_each(|(package, ..)| println!("passes  {package}"));
}

#[test]
fn each_rule_finds_the_package_that_breaks_it() {
    let tools = [("reprepro", "reprepro"), ("debsign", "devscripts"), ("dh_clean", "debhelper")];
    if !has_tools(&tools) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let world = World::new(directory.path());
    good_packages_pass(&world);
    let rows: Vec<Row> = rows().into_iter().chain(archive::rows()).collect();
    let results = in_parallel(&rows, |at, row| judge(&world, at, row));
    println!("{:<17} {:<52} {:<110}  reprepro", "rule", "breaking package", "words");
    results.iter().for_each(|(_, line)| println!("{line}"));
    let problems: Vec<&str> = results.iter().filter_map(|(problem, _)| problem.as_deref()).collect();
    assert!(problems.is_empty(), "{} of {} rows: {}", problems.len(), rows.len(), problems.join("\n"));
    let broken: BTreeSet<&str> = rows.iter().map(|row| row.rule).collect();
    let all: BTreeSet<&str> = drydock_deb::launchpad::RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(broken, all, "each rule has a package that breaks it");
}
