//! The rules over source packages of Debian, and over their uploads as dpkg writes them: the only violation is that their series
//! is not one of Ubuntu.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fixture::{has_tools, kept_directory, run};
use crate::support::{need_tool, text, xtask_binary};

/// Small packages of every format, with and without patches, signatures and several binary packages. There are more than
/// needed, because a mirror may lack some.
const PACKAGES: [&str; 38] = [
    "hello",
    "sl",
    "cowsay",
    "figlet",
    "rolldice",
    "dos2unix",
    "pv",
    "time",
    "ed",
    "moreutils",
    "debianutils",
    "entr",
    "tree",
    "which",
    "bsdgames",
    "bc",
    "pwgen",
    "toilet",
    "less",
    "gzip",
    "patch",
    "diffutils",
    "sed",
    "grep",
    "hostname",
    "netcat-openbsd",
    "iputils",
    "procps",
    "psmisc",
    "strace",
    "ltrace",
    "lsof",
    "mawk",
    "dash",
    "file",
    "jq",
    "parallel",
    "lowdown",
];
/// The number of packages that are checked, unless `DRYDOCK_TEST_PACKAGES` says another one.
const ENOUGH: usize = 10;

/// Writes the source-only upload of a package with the programs of dpkg, and returns its `.changes`.
fn upload(dsc: &Path) -> String {
    let directory = dsc.parent().unwrap();
    let tree = directory.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).unwrap();
    }
    run(directory, &["dpkg-source", "--no-check", "--extract", &text(dsc), "tree"], &[]);
    let name =
        |end: &str| text(&dsc.with_file_name(format!("{}_source.{end}", dsc.file_stem().unwrap().to_str().unwrap())));
    let changes = name("changes");
    // The file to write is an option of its own, which older releases of dpkg have as well.
    run(&tree, &["dpkg-genbuildinfo", "--build=source", &format!("-O{}", name("buildinfo"))], &[]);
    run(&tree, &["dpkg-genchanges", "--build=source", "-sa", &format!("-O{changes}")], &[]);
    fs::remove_dir_all(&tree).unwrap();
    let written = fs::read_to_string(&changes).unwrap();
    assert!(!written.contains("\nBinary:"), "{written}");
    changes
}

#[test]
fn packages_of_debian_cause_no_false_alarms() {
    if !has_tools(&[]) || !need_tool("apt-get", "apt") {
        return;
    }
    let directory = kept_directory("deb-foreign");
    let at = |name: &str| directory.join(name);
    for name in ["lists/partial", "cache/archives/partial", "etc/preferences.d", "sources"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    let line = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n";
    fs::write(at("sources.list"), line).unwrap();
    fs::write(at("status"), "").unwrap();
    let root = text(&directory);
    let config = format!(
        "Dir::State::Lists \"{root}/lists\";\nDir::State::status \"{root}/status\";\nDir::Cache \"{root}/cache\";\n\
         Dir::Etc::sourcelist \"{root}/sources.list\";\nDir::Etc::sourceparts \"{root}/none\";\nAPT::Sandbox::User \"root\";\n"
    );
    fs::write(at("apt.conf"), config).unwrap();
    let config = text(&at("apt.conf"));
    let variables = [("APT_CONFIG", config.as_str())];
    run(&directory, &["apt-get", "-qq", "update"], &variables);
    let sources = at("sources");
    let enough = std::env::var("DRYDOCK_TEST_PACKAGES").map_or(ENOUGH, |count| count.parse().unwrap());
    let mut names: Vec<String> = Vec::new();
    for package in PACKAGES {
        let own = sources.join(package);
        fs::create_dir_all(&own).unwrap();
        let words = ["-qq", "source", "--download-only", "--only-source", package];
        let got = Command::new("apt-get").args(words).current_dir(&own).envs(variables).output().unwrap();
        if got.status.success() && names.len() < enough {
            let files = fs::read_dir(&own).unwrap().map(|entry| text(&entry.unwrap().path()));
            names.extend(files.filter(|name| name.ends_with(".dsc")));
        }
        if names.len() >= enough {
            break;
        }
    }
    assert!(names.len() >= enough, "the mirror has too few packages: {names:?}");
    let uploads: Vec<String> = names.iter().map(|dsc| upload(Path::new(dsc))).collect();
    names.extend(uploads);
    let mut argv = vec![text(&xtask_binary()), "deb".into(), "check".into(), "--unsigned".into(), "--format".into()];
    argv.push("json".into());
    argv.extend(names.iter().cloned());
    let output = Command::new(&argv[0]).args(&argv[1..]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let reports: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    assert_eq!(reports.len(), names.len());
    for report in &reports {
        let found = report["rejections"].as_array().unwrap();
        let rules: Vec<&str> = found.iter().map(|one| one["rule"].as_str().unwrap()).collect();
        // A fix of Debian's security team is in a pocket of Debian.
        let is_security = found[0]["text"].as_str().unwrap().ends_with("-security");
        let expected: &[&str] = if is_security { &["series", "pocket"] } else { &["series"] };
        assert_eq!(rules, expected, "{report:#}");
        let text = found[0]["text"].as_str().unwrap();
        assert!(text.starts_with("Unable to find distroseries: "), "{text}");
    }
}
