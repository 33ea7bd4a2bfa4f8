//! Files that the real tools write twice.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::explain;

/// Runs a script of the shell in an empty directory, and returns the content of `out`.
fn made(script: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let done = Command::new("sh").args(["-eu", "-c", script]).current_dir(directory.path()).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    fs::read(directory.path().join("out")).unwrap()
}

fn has(tool: &str) -> bool {
    Path::new("/usr/bin").join(tool).exists() || std::env::var_os("CI").is_some()
}

#[test]
fn what_real_tools_write_twice_has_a_place_and_a_cause() {
    let program = |text: &str, rest: &str| {
        format!("printf '%s\\n' 'const char *x = \"{text}\"; int main(void) {{ return *x; }}' >a.c; {rest}")
    };
    let compile = "gcc -g0 -o out a.c";
    let library = "gcc -g0 -c a.c && ar rcD out a.o";
    let rows: [(&str, String, String, &str); 12] = [
        (
            "gcc",
            program("built Nov 28 2026", compile),
            program("built Nov 29 2026", compile),
            "section .rodata is `built Nov 28 2026`, then `built Nov 29 2026` (it looks like a date or a time",
        ),
        (
            "gcc",
            program("x", "gcc -g -o out a.c && objcopy --strip-debug out"),
            program("x", "mkdir b && mv a.c b && cd b && gcc -g -o ../out a.c && objcopy --strip-debug ../out"),
            "section .note.gnu.build-id differs (a checksum of the rest",
        ),
        (
            "gcc",
            program("aa 12:00:01", library),
            program("aa 12:00:02", library),
            "member a.o: section .rodata is `aa 12:00:01`, then `aa 12:00:02` (it looks like a date",
        ),
        (
            "gcc",
            program("x", "gcc -g0 -c a.c && touch -d @1000000000 a.o && ar rcUS out a.o"),
            program("x", "gcc -g0 -c a.c && touch -d @1000000001 a.o && ar rcUS out a.o"),
            "time, user, group and mode of member a.o is `1000000000 ",
        ),
        (
            "gcc",
            program("x", "gcc -g0 -c a.c && cp a.o b.o && ar rcD out a.o b.o"),
            program("x", "gcc -g0 -c a.c && cp a.o b.o && ar rcD out b.o a.o"),
            "(the same members in another order",
        ),
        (
            "gzip",
            "echo x >a; touch -d @1000000000 a; gzip <a >out; touch -d @1 a; gzip -c a >out".into(),
            "echo x >a; touch -d @1000000000 a; gzip -c a >out".into(),
            "the time in the header of gzip differs (the clock; compress with `gzip -n`)",
        ),
        (
            "gzip",
            "seq 9999 | gzip -n1 >out".into(),
            "seq 9999 | gzip -n9 >out".into(),
            "the compressed form (gzip) differs (the content is the same",
        ),
        (
            "xz",
            "printf 'a\\nb 2026-11-28\\n' | xz >out".into(),
            "printf 'a\\nb 2026-11-29\\n' | xz >out".into(),
            "within xz, line 2 is `b 2026-11-28`, then `b 2026-11-29` (it looks like a date",
        ),
        (
            "python3",
            "echo x=1 >a.py; touch -d @1 a.py; python3 -c 'import py_compile; py_compile.compile(\"a.py\", \"out\")'"
                .into(),
            "echo x=1 >a.py; touch -d @2 a.py; python3 -c 'import py_compile; py_compile.compile(\"a.py\", \"out\")'"
                .into(),
            "the time of the Python source differs (the clock;",
        ),
        (
            "sh",
            "printf 'c\\na\\nb\\n' >out".into(),
            "printf 'c\\nb\\na\\n' >out".into(),
            "line 2 is `a`, then `b` (the same lines",
        ),
        ("sh", "printf 'a\\r\\n' >out".into(), "printf 'a\\n' >out".into(), "(line endings)"),
        (
            "sh",
            "printf '\\000\\001size=17\\377' >out".into(),
            "printf '\\000\\001size=18\\377' >out".into(),
            "byte 8 is `size=17`, then `size=18`",
        ),
    ];
    for (tool, first, second, words) in rows {
        if !has(tool) {
            continue;
        }
        let said = explain(&made(&first), &made(&second), &|_, _| None).to_string();
        assert!(said.contains(words), "{first}\n{second}\n{said}\n{words}");
    }
}

#[test]
fn a_difference_far_in_a_line_is_quoted_and_garbage_is_a_byte() {
    let (first, second) = (format!("{}one\n", "x".repeat(500)), format!("{}two\n", "x".repeat(500)));
    let said = explain(first.as_bytes(), second.as_bytes(), &|_, _| None);
    assert!(said.first.starts_with('…') && said.first.ends_with("one"), "{said}");
    assert_eq!(said.byte, 500);
    // The beginnings of formats, and nothing that they announce.
    for magic in
        [&b"\x1f\x8b"[..], b"\x7fELF\x02\x01", b"!<arch>\n", b"\xfd7zXZ\0", b"BZh9", b"\xa7\r\r\n\0\0\0\0", b""]
    {
        let [first, second] = [b"\xff\0a", b"\xff\0b"].map(|end| [magic, end].concat());
        let said = explain(&first, &second, &|_, _| None);
        assert_eq!(said.byte as usize, magic.len() + 2, "{said}");
    }
    // One is empty, or ends where the other goes on.
    assert_eq!(explain(b"", b"a", &|_, _| None).to_string(), "line 1 is ``, then `a`");
}
