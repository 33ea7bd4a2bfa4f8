//! Bytes in output, arguments, names, stacks, suppressions and reasons that could make a report unreadable.
//!
//! Each row wants that `junit.xml` is read by expat, libxml2 and Java's parser and is valid against the schema that
//! Jenkins publishes, that `run.json` is valid, that a browser shows `report.html`, and that the log has every byte.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use serde_json::json;

use super::way::{Seen, Way};
use crate::browser::Browser;

/// What the consumers say of one run; the rows of a call share its reports.
#[derive(Clone, Default)]
struct Consumed {
    /// Their complaints.
    complaints: Vec<String>,
    /// The text that the browser shows, the closed parts too.
    shown: String,
}

fn consumed(seen: &Seen<'_>) -> Consumed {
    static KNOWN: OnceLock<Mutex<HashMap<PathBuf, Consumed>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    known.entry(seen.project.to_owned()).or_insert_with(|| consume(&seen.run)).clone()
}

/// Lets every consumer read the reports of a run.
fn consume(run: &Path) -> Consumed {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/consumers");
    let (junit, schema) = (run.join("junit.xml"), fixtures.join("junit-10.xsd"));
    let run_schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/run.schema.json");
    let mut complaints = Vec::new();
    let mut counts = Vec::new();
    let mut tell = |name: &str, command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => {
            counts.extend(String::from_utf8_lossy(&output.stdout).trim().parse::<usize>().ok());
        }
        Ok(output) => complaints.push(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => complaints.push(format!("{name}: {error}")),
    };
    // Debian's Python, which has Debian's modules.
    tell(
        "expat",
        Command::new("/usr/bin/python3").arg(fixtures.join("parse.py")).args([
            &junit,
            &run.join("run.json"),
            &run_schema,
            &run.join("run.sarif"),
            &fixtures.join("sarif-2.1.0.json"),
        ]),
    );
    tell("libxml2", Command::new("xmllint").args(["--noout", "--schema"]).args([&schema, &junit]));
    tell("Java", Command::new("java").arg(fixtures.join("Parse.java")).args([&junit, &schema]));
    if counts.len() != 2 || counts[0] != counts[1] || counts[0] == 0 {
        complaints.push(format!("the numbers of test cases are {counts:?}"));
    }
    if !run.join("report.html").is_file() {
        complaints.push("there is no report.html".to_owned());
        return Consumed { complaints, shown: String::new() };
    }
    let mut browser = Browser::start();
    browser.open(&run.join("report.html"));
    complaints.extend(browser.console().into_iter().map(|message| format!("Chromium: {message}")));
    let shown = browser.value("document.body.textContent").as_str().unwrap_or_default().to_owned();
    Consumed { complaints, shown }
}

/// A row whose job prints these bytes and fails.
fn prints(name: &'static str, bytes: &[u8]) -> Way {
    // A program that is what it prints cannot be a shell script with these bytes in it.
    opens(Way::new(name, "run: [sh, -c, 'cat bytes; exit 1']", "failed{1}").file("bytes", bytes).log_has(bytes), name)
}

/// Wants that every consumer opens the reports, and finds these words in the browser.
fn opens(way: Way, words: &'static str) -> Way {
    way.needs("xmllint", "libxml2-utils")
        .needs("javac", "default-jdk-headless")
        .needs("chromium", "chromium")
        .needs("/usr/lib/python3/dist-packages/jsonschema/__init__.py", "python3-jsonschema")
        .check("every consumer opens the reports", |seen| {
            let complaints = consumed(seen).complaints;
            complaints.iter().for_each(|complaint| println!("{complaint}"));
            complaints.is_empty()
        })
        .check("nothing unprintable reaches the terminal", |seen| {
            let unwanted =
                |letter: char| letter != '\n' && letter != '\t' && drydock_base::text::is_unprintable(letter);
            !seen.finished.transcript().contains(unwanted)
        })
        .check("no used suppression is called unused", |seen| {
            !seen.finished.transcript().contains("suppressed nothing")
        })
        .check(format!("report.html shows {words:?}"), move |seen| consumed(seen).shown.contains(words))
}

/// Every character that is no character of XML 1.0, and all that reorder or hide text.
fn no_characters() -> Vec<u8> {
    let unwanted = |code: &u32| {
        matches!(code, 0..=0x1f | 0x7f..=0xa0 | 0xad | 0x200b..=0x202e | 0x2060..=0x206f | 0xfdd0..=0xfdef | 0xfff0..=0xffff)
            || code & 0xfffe == 0xfffe
    };
    let text: String = (0..=0x0010_ffff).filter(unwanted).filter_map(char::from_u32).collect();
    format!("before{text}after\n").into_bytes()
}

/// Bytes that are no UTF-8: lone and missing continuations, overlong forms, surrogates, beyond the last plane.
fn no_text() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0x80..=0xff).collect();
    for wrong in [
        &b"\xc0\x80"[..],
        b"\xe0\x80\xbe",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf0\x9f\x92",
        b"\xe2\x82",
    ] {
        bytes.push(b' ');
        bytes.extend_from_slice(wrong);
    }
    bytes.push(b'\n');
    bytes
}

/// A program whose names of file and function would break markup.
const NAMES: &str = "
#include <stdlib.h>
#line 4 \"dir<b>&\\\"]]>\\357\\277\\276\\001.c\"
int main(void) { volatile char *p = malloc(4); char c = p[4]; free((void *)p); return c == 99; }
";

/// JSON in which all but ASCII is escaped: YAML does not allow every character as it is.
fn ascii(value: serde_json::Value) -> String {
    let escaped = |letter: char| {
        if letter.is_ascii() { letter.to_string() } else { format!("\\u{:04x}", u32::from(letter)) }
    };
    value.to_string().chars().map(escaped).collect()
}

pub(crate) fn rows() -> Vec<Way> {
    // Words of the job's command, in JSON, which is YAML.
    let words =
        ascii(json!(["./x", "\u{fffe}\u{ffff}", "\u{1}\u{1b}[31m", "]]></argv>&<", "\u{202e}\u{9b}", "a\nb\u{2028}"]));
    let missing = ascii(json!(["./no\u{fffe}\u{202e}<b>"]));
    let left =
        "#!/bin/bash\nexec -a $'left \\001\\xff\\xef\\xbf\\xbe</testcase>' sleep 60 {marker} >/dev/null 2>&1 &\n";
    vec![
        prints("prints-fffe", b"bad \xef\xbf\xbe char\n"),
        prints("prints-no-characters", &no_characters()),
        prints("prints-no-utf-8", &no_text()),
        prints("prints-markup", b"]]></system-out></testcase><!-- &#xFFFE; <?xml version='9'?> <![CDATA[ &bad;\n"),
        prints("prints-open-escapes", b"seen \x1b]8;;http://x\x07link \x1bPdcs \x1b[38;5 \x9b31m still seen\n"),
        prints(
            "prints-subtests",
            b"test <b>]]>\xff\x1b[0x\xef\xbf\xbe</testcase> ... FAILED\ntest \xe2\x80\xae& ... ignored\ntest ... ok\n\
              test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n",
        ),
        prints("prints-one-long-line", &[&b"x".repeat(1 << 20)[..], "\u{ffff}".as_bytes()].concat()),
        opens(
            Way::new("words-of-command", &format!("run: {words}, tool: memcheck"), "findings{1}")
                .c("x", "#include <stdlib.h>\nint main(void) { volatile char *p = malloc(1); char c = p[1]; free((void *)p); return c == 99; }\n"),
            "words-of-command",
        ),
        opens(Way::new("names-in-stacks", "run: [./x], tool: memcheck", "findings{1}").c("x", NAMES), "dir<b>&\"]]>"),
        opens(Way::new("reason-of-no-start", &format!("run: {missing}"), "failed-to-start"), "reason-of-no-start"),
        opens(
            Way::new("names-of-suppressions", "run: [./x], tool: memcheck", "passed")
                .c("x", "#include <stdlib.h>\nint main(void) { volatile char *p = malloc(1); char c = p[1]; free((void *)p); return c == 99; }\n")
                .file("x.supp", &b"{\n   s<b>&\xff\xef\xbf\xbe]]>\n   Memcheck:Addr1\n   fun:main\n}\n"[..])
                .head("tools: {memcheck: {suppressions: [names-of-suppressions/x.supp]}}"),
            "names-of-suppressions",
        ),
        opens(
            Way::new("words-of-leftover", "run: [./x]", "passed").file("x", left).nothing_left(),
            "words-of-leftover",
        ),
    ]
}
