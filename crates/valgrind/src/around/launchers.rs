//! Programs of the system that run others or translate code, by their names, and the interpreters of scripts.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::stack::base_name;

/// Programs of the system that only run other programs, without their versions.
const ONLY_LAUNCHERS: [&str; 46] = [
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "busybox",
    "env",
    "timeout",
    "nice",
    "nohup",
    "setsid",
    "stdbuf",
    "xargs",
    "find",
    "flock",
    "time",
    "taskset",
    "chrt",
    "ionice",
    "prlimit",
    "script",
    "expect",
    "unshare",
    "chroot",
    "setpriv",
    "runuser",
    "su",
    "sudo",
    "faketime",
    "fakeroot",
    "dbus-run-session",
    "systemd-run",
    "make",
    "gmake",
    "ninja",
    "samu",
    "cmake",
    "ctest",
    "meson",
    "cargo",
    "go",
    "prove",
    "npm",
];

/// Those that run scripts in a process of their own, so that measuring them may be the purpose of a job. As the command of a job,
/// each program that is in neither list is what the job tests.
const LANGUAGES: [&str; 19] = [
    "python",
    "pypy",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "lua",
    "luajit",
    "tclsh",
    "wish",
    "guile",
    "php",
    "awk",
    "gawk",
    "mawk",
    "original-awk",
    "R",
    "Rscript",
    "gjs",
];

/// Programs of the system that translate code, without the prefix of a target and a version. They load plugins of their own, such as
/// that of link-time optimisation, and unload them before valgrind names their frames.
const TRANSLATORS: [&str; 24] = [
    "cc",
    "gcc",
    "c++",
    "g++",
    "clang",
    "clang++",
    "cpp",
    "cc1",
    "cc1plus",
    "collect2",
    "lto1",
    "lto-wrapper",
    "as",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "lld",
    "ar",
    "ranlib",
    "nm",
    "strip",
    "objcopy",
    "rustc",
];

/// The most of a script's first line that is read, in bytes.
const LONGEST_LINE: u64 = 256;
/// The interpreter of a script.
pub(super) fn interpreter(path: &Path) -> Option<PathBuf> {
    Some(PathBuf::from(interpreter_line(path)?.split_whitespace().next()?))
}

/// What follows `#!` in the first line of a script.
fn interpreter_line(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(LONGEST_LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// Whether a program runs other programs or scripts, by its name: `python3.11` is `python`, whatever its version.
pub fn is_launcher(path: &Path) -> bool {
    is_one_of(path, &ONLY_LAUNCHERS) || is_one_of(path, &LANGUAGES)
}

/// The program that a command or a script in that place only runs other programs with, such as a shell or `timeout`.
pub fn only_launches(path: &Path) -> Option<String> {
    let runs = match interpreter_line(path) {
        Some(line) => {
            let mut words = line.split_whitespace().map(PathBuf::from);
            let first = words.next()?;
            if is_one_of(&first, &["env"]) {
                words.find(|word| !word.as_os_str().as_encoded_bytes().starts_with(b"-"))?
            } else {
                first
            }
        }
        None => path.to_owned(),
    };
    is_one_of(&runs, &ONLY_LAUNCHERS).then(|| runs.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn is_one_of(path: &Path, names: &[&str]) -> bool {
    let name = path.to_string_lossy();
    let name = base_name(&name);
    let bare = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-');
    names.contains(&name) || names.contains(&bare)
}

/// Whether a program translates code, by its name: `x86_64-linux-gnu-gcc-12` is `gcc`.
pub(super) fn is_translator(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let bare =
        base_name(&name).trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-');
    // A translator's own name may have a hyphen or end in a digit.
    let is_known = |name: &str| TRANSLATORS.contains(&name);
    let full = base_name(&name);
    is_known(full) || [full, bare].iter().any(|name| is_known(name) || name.rsplit('-').next().is_some_and(is_known))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_launcher_is_known_without_its_version() {
        for (name, expected) in
            [("/usr/bin/python3.11", true), ("perl5.36", true), ("/bin/sh", true), ("/usr/bin/sed", false)]
        {
            assert_eq!(is_launcher(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn what_only_runs_others_differs_from_what_runs_code_itself() {
        let directory = tempfile::tempdir().unwrap();
        let script = |line: &str| {
            let path = directory.path().join("script");
            fs::write(&path, format!("#!{line}\n")).unwrap();
            only_launches(&path)
        };
        assert_eq!(script("/bin/sh -e").as_deref(), Some("sh"));
        assert_eq!(script("/usr/bin/env -S bash -e").as_deref(), Some("bash"));
        assert_eq!(script("/usr/bin/env python3"), None);
        assert_eq!(only_launches(Path::new("/usr/bin/timeout")).as_deref(), Some("timeout"));
        assert_eq!(only_launches(Path::new("/usr/bin/python3.11")), None);
        assert_eq!(only_launches(Path::new("./own")), None);
    }

    #[test]
    fn a_translator_is_known_without_target_and_version() {
        let known = [
            "/usr/bin/x86_64-linux-gnu-gcc-12",
            "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
            "ld",
            "lto1",
            "lto-wrapper",
            "g++-13",
        ];
        assert!(known.iter().all(|name| is_translator(Path::new(name))), "{known:?}");
        let others = ["/usr/sbin/nginx", "/usr/bin/python3", "gdb", "my-tool", "world", "build"];
        assert!(!others.iter().any(|name| is_translator(Path::new(name))), "{others:?}");
    }
}
