//! What packages of Drydock install beside the program: manual pages and completions, judged by man and by bash.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::{need_tools, text, xtask_binary};

fn drydock(args: &[&str]) -> String {
    let output = Command::new(xtask_binary()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_has_a_manual_page() {
    if !need_tools(&[("man", "man-db")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("share/man1");
    drydock(&["man", &text(&pages)]);
    let names: BTreeSet<String> =
        fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in &names {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", &text(&pages.join(name))]);
        man.env("MANWIDTH", "1000").env("LC_ALL", "C.UTF-8").env("PAGER", "cat").env("MANOPT", "--nj");
        let output = man.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
        // Without the bold type that terminals show.
        let page = String::from_utf8(output.stdout).unwrap();
        let page = page.chars().fold(String::new(), |mut plain, next| {
            if next == '\u{8}' {
                plain.pop();
            } else {
                plain.push(next);
            }
            plain
        });
        let shown = name.trim_end_matches(".1");
        assert!(page.contains(&format!("{shown} - ")), "{page}");
        assert!(page.contains("EXIT STATUS") && page.contains("a bug in Drydock"), "{page}");
        // A page that another one names exists.
        for word in page.split(|c: char| !(c.is_ascii_alphanumeric() || "-()".contains(c))) {
            if let Some(other) = word.strip_suffix("(1)").filter(|other| other.starts_with("drydock")) {
                assert!(names.contains(&format!("{other}.1")), "{name} names {word}, which does not exist");
            }
        }
    }
    for expected in ["drydock.1", "drydock-ci-run.1", "drydock-ci-massif-diff.1", "drydock-release-verify.1"] {
        assert!(names.contains(expected), "{names:?}");
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("drydock");
    fs::write(&script, drydock(&["completions", "bash"])).unwrap();
    let complete = |words: &[&str]| {
        let call = format!(
            ". {}; COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); cur=${{COMP_WORDS[COMP_CWORD]}}; \
             _drydock drydock \"$cur\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
        );
        let output = Command::new("bash").args(["--norc", "-c", &call]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let has = |words: &[&str], expected: &str| {
        let found = complete(words);
        assert!(found.contains(expected), "{words:?}: {expected} is not in {found:?}");
    };
    has(&["drydock", "rel"], "release");
    has(&["drydock", "ci", "re"], "rerun");
    has(&["drydock", "ci", "run", "--cont"], "--containment");
    has(&["drydock", "ci", "run", "--containment", ""], "v2");
    assert!(!complete(&["drydock", "ci", "re"]).contains("plan"));
    // The others can be told from it, and are not empty.
    for (shell, sign) in
        [("zsh", "#compdef drydock"), ("fish", "complete -c drydock"), ("elvish", "set edit:completion")]
    {
        assert!(drydock(&["completions", shell]).contains(sign), "{shell}");
    }
}
