//! Traces of a machine in derived files, which two runs on one machine share: the directory, the time, the host name, and
//! the versions of installed packages.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{GeneratorRun, Output};
use crate::source::names::shown;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_config::release::Generator;

/// The shortest host name that is searched for; shorter ones may be words.
const SHORTEST_HOST: usize = 6;

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Fails if outputs have traces, with the first line of each.
pub(super) fn check(
    made: &[GeneratorRun],
    generators: &[Generator],
    directory: &Path,
    started: u64,
) -> anyhow::Result<()> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let machine = Machine {
        directory: directory.display().to_string(),
        host,
        run: started..=now(),
        versions: installed_versions(),
    };
    let without_versions = Machine { versions: BTreeMap::new(), ..machine.clone() };
    let mut problems = Vec::new();
    for (generator, made) in generators.iter().zip(made).filter(|(generator, _)| generator.host_independent) {
        let read = inputs(made, directory);
        for output in &made.outputs {
            let text = String::from_utf8_lossy(&output.content);
            let found = text.lines().enumerate().find_map(|(number, line)| {
                if generator.allow.iter().any(|allowed| line.contains(allowed.as_str())) {
                    return None;
                }
                let what = trace(line, if generator.copies { &without_versions } else { &machine }, &read)?;
                // The inputs are searched for few lines only: they and the outputs may be large.
                (!read.contains(line)).then(|| (number + 1, line.to_owned(), what))
            });
            if let Some(problem) = found {
                problems.push(describe(generator, output, problem));
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let list = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    let help = "keep it out of the output, declare `host-independent: false`, or list a false positive under `allow`";
    Err(Failure::not_reproducible(format!("derived files contain traces of this machine:{list}\n  {help}")))
}

fn describe(generator: &Generator, output: &Output, (number, line, what): (usize, String, String)) -> String {
    format!(
        "{} (generator {}) contains {what} in line {number}:\n      {}",
        output.path,
        generator.name,
        shown(line.trim())
    )
}

/// What is searched for.
#[derive(Clone)]
struct Machine {
    directory: String,
    host: String,
    /// The run, in seconds since 1970.
    run: RangeInclusive<u64>,
    versions: BTreeMap<String, Vec<(String, Vec<String>)>>,
}

fn trace(line: &str, machine: &Machine, read: &str) -> Option<String> {
    let host = machine.host.as_str();
    if line.contains(&machine.directory) {
        return Some("the directory that it was generated in".into());
    }
    if host.len() >= SHORTEST_HOST && holds_word(line, host) && !read.contains(host) {
        return Some(format!("the host name `{host}`"));
    }
    // A time in seconds since 1970 during this run.
    let digits = line.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() == 10);
    if let Some(time) = digits.filter_map(|word| word.parse::<u64>().ok()).find(|time| machine.run.contains(time)) {
        return Some(format!("the time of the run, {time}"));
    }
    let mut lower = None;
    for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')) {
        let word = word.trim_matches('.').trim_start_matches(['v', 'V']);
        for (package, stems) in machine.versions.get(word).into_iter().flatten() {
            let named = |text: &str| stems.iter().any(|stem| text.contains(stem.as_str()));
            let in_inputs = || read.lines().any(|line| line.contains(word) && named(&line.to_lowercase()));
            if named(lower.get_or_insert_with(|| line.to_lowercase())) && !in_inputs() {
                return Some(format!("the version {word} of the installed package {package}"));
            }
        }
    }
    None
}

fn holds_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part) && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// The inputs as one text. What they contain is not a trace of the machine.
fn inputs(made: &GeneratorRun, directory: &Path) -> String {
    const MOST: usize = 32 << 20;
    let mut text = String::new();
    for path in &made.inputs {
        if let Ok(content) = fs::read(directory.join(path)) {
            text.push_str(&String::from_utf8_lossy(&content));
            text.push('\n');
        }
        if text.len() > MOST {
            break;
        }
    }
    text
}

/// The installed Debian packages by upstream version, each with the words that it may be called by.
fn installed_versions() -> BTreeMap<String, Vec<(String, Vec<String>)>> {
    let mut versions: BTreeMap<String, Vec<(String, Vec<String>)>> = BTreeMap::new();
    let query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\\n"].map(str::to_owned);
    for line in exec::read(&query, Path::new("/")).unwrap_or_default().lines() {
        let Some((package, version)) = line.split_once(' ') else { continue };
        let (version, stems) = (upstream(version), stems(package));
        if version.matches('.').count() >= 1 && !stems.is_empty() {
            versions.entry(version).or_default().push((package.to_owned(), stems));
        }
    }
    versions
}

/// `1:1.2.13.dfsg-1` → `1.2.13`.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(version, _)| version);
    let end = version.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(version.len());
    let version = &version[..end];
    let end = version.find(".dfsg").or_else(|| version.find("dfsg")).unwrap_or(version.len());
    version[..end].to_owned()
}

/// `libsqlite3-0` → `sqlite`; `python3-mako` → `mako`.
fn stems(package: &str) -> Vec<String> {
    const COMMON: [&str; 12] =
        ["dev", "bin", "common", "data", "doc", "python", "tools", "utils", "base", "core", "perl", "runtime"];
    let parts = package.split('-').map(|part| {
        let part = part.strip_prefix("lib").unwrap_or(part);
        part.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default()
    });
    parts.filter(|part| part.len() >= 3 && !COMMON.contains(part)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_versions_and_names_of_packages() {
        for (version, expected) in
            [("1:1.2.13.dfsg-1", "1.2.13"), ("3.40.1-2+deb12u1", "3.40.1"), ("1.2.4+ds-1", "1.2.4"), ("2.36", "2.36")]
        {
            assert_eq!(upstream(version), expected);
        }
        for (package, expected) in
            [("libsqlite3-0", "sqlite"), ("python3-mako", "mako"), ("zlib1g", "zlib"), ("lowdown", "lowdown")]
        {
            assert_eq!(stems(package), [expected]);
        }
        assert!(stems("python3").is_empty());
    }

    #[test]
    fn a_version_is_a_trace_beside_the_name_of_its_package() {
        let versions = BTreeMap::from([("1.2.13".to_owned(), vec![("zlib1g".to_owned(), vec!["zlib".to_owned()])])]);
        let run = 1_700_000_000..=now();
        let machine = Machine { directory: "/tmp/x".into(), host: "builder-7".into(), run, versions };
        let found = |line: &str, read: &str| trace(line, &machine, read);
        assert!(found("#define ZLIB_VERSION \"1.2.13\"", "").unwrap().contains("zlib1g"));
        assert!(found("#define ZLIB_VERSION \"1.2.13\"", "needs zlib 1.2.13\n").is_none());
        assert!(found("chapter 1.2.13", "").is_none() && found("zlib 1.2.130", "").is_none());
        assert!(found("made in /tmp/x/y", "").unwrap().contains("directory"));
        assert!(found("on builder-7.", "").unwrap().contains("host") && found("on builder-77", "").is_none());
        assert!(found(&format!("at {}", now()), "").unwrap().contains("time") && found("at 1234567890", "").is_none());
    }
}
