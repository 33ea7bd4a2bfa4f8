//! The differences between the packages of two builds: which files differ, where, and which variation they hold.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::Packages;
use crate::binary::BinaryPackage;
use drydock_archive::read::{Limits, MemberKind, ReadError};
use drydock_base::checksum::{Checksum, HashingStream};
use drydock_base::text::printable;
use drydock_base::variations::{Observed, Variation};

/// Files of one package that are listed.
const MOST_FILES: usize = 20;
/// The number of bytes of a file that are searched for a difference.
const COMPARED: u64 = 4 << 20;
/// The number of characters of a quoted line.
const QUOTED: usize = 80;

/// What both builds saw of their surroundings, and what was varied.
pub(super) struct Seen<'a> {
    pub(super) first: &'a Observed,
    pub(super) second: &'a Observed,
    pub(super) variations: &'a [Variation],
}

/// One sentence for each package, followed by those about its files.
pub(super) fn differences(first: &Packages, second: &Packages, seen: &Seen<'_>) -> Vec<String> {
    let mut differing = Vec::new();
    for (name, (path, checksums)) in first {
        match second.get(name) {
            None => differing.push(format!("{name} was built only the first time")),
            Some((_, other)) if other.sha256 == checksums.sha256 => {}
            Some((other, _)) => {
                let files = contents(path).and_then(|first| Ok((first, contents(other)?)));
                let explained = files.map(|(first, second)| explain(&first, &second, seen));
                let explained = explained.unwrap_or_else(|error| vec![format!("they cannot be compared: {error}")]);
                let more = explained.len().saturating_sub(MOST_FILES);
                differing.push(format!("{name} differs; compare with `diffoscope`"));
                differing.extend(explained.into_iter().take(MOST_FILES).map(|line| format!("  {line}")));
                differing.extend((more > 0).then(|| format!("  and {more} more")));
            }
        }
    }
    let new = second.keys().filter(|name| !first.contains_key(*name));
    differing.extend(new.map(|name| format!("{name} was built only the second time")));
    differing
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PackedFile {
    kind: MemberKind,
    mode: u32,
    owner: (u64, u64),
    time: u64,
    sha256: Checksum,
    /// The beginning of its content.
    start: Vec<u8>,
}

/// The files of a package by path; control files are below `DEBIAN`.
fn contents(package: &Path) -> Result<BTreeMap<String, PackedFile>, ReadError> {
    let package = BinaryPackage::open(package)?;
    let mut files = BTreeMap::new();
    package.visit(Limits::UNKNOWN, &mut |member, content| {
        let (mut start, mut all) = (Vec::new(), HashingStream::new(io::sink()));
        content.take(COMPARED).read_to_end(&mut start)?;
        all.write_all(&start)?;
        io::copy(content, &mut all)?;
        let (sha256, _) = all.finish();
        let (kind, mode, owner, time) = (member.kind.clone(), member.mode, member.owner, member.time);
        let path = member.path.trim_start_matches("./").to_owned();
        files.insert(path, PackedFile { kind, mode, owner, time, sha256, start });
        Ok(())
    })?;
    let control = package.control.text().into_bytes();
    let members = package.members.iter().map(|(name, (mode, content))| (name.as_str(), *mode, content));
    for (name, mode, content) in members.chain([("control", 0o644, &control)]) {
        let (kind, sha256, start) = (MemberKind::File, Checksum::new(content), content.clone());
        files.insert(format!("DEBIAN/{name}"), PackedFile { kind, mode, owner: (0, 0), time: 0, sha256, start });
    }
    Ok(files)
}

/// What differs between the files of two packages. The checksums of files and their sizes follow from other differences.
fn explain(
    first: &BTreeMap<String, PackedFile>,
    second: &BTreeMap<String, PackedFile>,
    seen: &Seen<'_>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, one) in first {
        let shown = printable(path, 200);
        match second.get(path) {
            None => lines.push(format!("{shown} is only in the first")),
            Some(other) if one == other => {}
            Some(_) if matches!(path.as_str(), "DEBIAN/md5sums" | "DEBIAN/control") && first.len() > 2 => {}
            Some(other) => lines.push(format!("{shown}: {}", difference(one, other, seen))),
        }
    }
    let new = second.keys().filter(|path| !first.contains_key(*path));
    lines.extend(new.map(|path| format!("{} is only in the second", printable(path, 200))));
    if lines.is_empty() && first == second {
        lines.push("all files are the same, and their order or compression differs".into());
    } else if lines.is_empty() {
        lines.push("its control file differs".into());
    }
    lines
}

fn difference(one: &PackedFile, other: &PackedFile, seen: &Seen<'_>) -> String {
    if one.kind != other.kind {
        return "its type, or the target of a link, differs".into();
    }
    if one.sha256 == other.sha256 {
        let fields = [
            ("mode", format!("{:o}", one.mode), format!("{:o}", other.mode), " (the umask)"),
            ("owner", format!("{:?}", one.owner), format!("{:?}", other.owner), ""),
            ("time", one.time.to_string(), other.time.to_string(), " (the clock)"),
        ];
        let differing = fields.into_iter().find(|(_, first, second, _)| first != second);
        return differing.map_or_else(String::new, |(name, first, second, cause)| {
            format!("its {name} is {first}, then {second}{cause}")
        });
    }
    let same = one.start.iter().zip(&other.start).take_while(|(a, b)| a == b).count();
    let number = one.start[..same].iter().filter(|byte| **byte == b'\n').count();
    let line = |content: &[u8]| {
        let line = content.split(|byte| *byte == b'\n').nth(number).unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    };
    let (first, second) = (line(&one.start), line(&other.start));
    let is_text = [&one.start, &other.start].iter().all(|content| std::str::from_utf8(content).is_ok());
    let cause = cause(&first, &second, seen).map_or_else(String::new, |name| format!(" (it holds the {name})"));
    if is_text {
        let [first, second] = [first, second].map(|line| printable(&line, QUOTED));
        format!("line {} is `{first}`, then `{second}`{cause}", number + 1)
    } else {
        format!("it differs from byte {same} on{cause}")
    }
}

/// The variation whose values the lines hold.
fn cause<'a>(first: &str, second: &str, seen: &Seen<'a>) -> Option<&'a str> {
    let holds = |line: &str, observed: &Observed, name: &str| {
        let value = observed.get(name).unwrap_or_default();
        // The value of several is a list.
        value.split(", ").any(|value| !value.is_empty() && line.contains(value))
    };
    let varied = seen.variations.iter().filter(|one| one.value.is_some());
    let names = varied.map(|one| one.name.as_str()).filter(|name| *name != "number of jobs");
    let mut found = names.filter(|name| holds(first, seen.first, name) && holds(second, seen.second, name));
    // A number of jobs is a digit, which may be anything.
    found.next().or_else(|| {
        let jobs = seen.variations.iter().find(|one| one.name == "number of jobs" && one.value.is_some())?;
        let is_number = |line: &str, observed: &Observed| Some(line.trim()) == observed.get("number of jobs");
        (is_number(first, seen.first) && is_number(second, seen.second)).then_some(jobs.name.as_str())
    })
}
