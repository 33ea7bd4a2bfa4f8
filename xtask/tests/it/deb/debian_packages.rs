//! The rules over source packages of Debian: the only violation is that their series is not one of Ubuntu.

use std::fs;
use std::process::Command;

use super::fixture::{has_tools, kept_directory, run};
use crate::support::{need_tool, text, xtask_binary};

/// Small packages of every format, with and without patches, signatures and several binary packages. There are more than
/// needed, because a mirror may lack some.
const PACKAGES: [&str; 18] = [
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
];
/// The number of packages that are checked.
const ENOUGH: usize = 12;

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
    let mut names: Vec<String> = Vec::new();
    for package in PACKAGES {
        let own = sources.join(package);
        fs::create_dir_all(&own).unwrap();
        let words = ["-qq", "source", "--download-only", "--only-source", package];
        let got = Command::new("apt-get").args(words).current_dir(&own).envs(variables).output().unwrap();
        if got.status.success() && names.len() < ENOUGH {
            let files = fs::read_dir(&own).unwrap().map(|entry| text(&entry.unwrap().path()));
            names.extend(files.filter(|name| name.ends_with(".dsc")));
        }
        if names.len() == ENOUGH {
            break;
        }
    }
    assert!(names.len() >= 10, "the mirror has too few packages: {names:?}");
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
        assert_eq!(rules, ["series"], "{report:#}");
        let text = found[0]["text"].as_str().unwrap();
        assert!(text.starts_with("Unable to find distroseries: "), "{text}");
    }
}
