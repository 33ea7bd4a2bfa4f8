//! The differences between the packages of two builds: which files differ, where, and which variation they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::Path;

use super::Packages;
use crate::binary::BinaryPackage;
use drydock_archive::difference::content::explain as explain_content;
use drydock_archive::read::{Limits, MemberKind, ReadError};
use drydock_base::checksum::{Checksum, HashingStream};
use drydock_base::text::printable;
use drydock_base::variations::{Observed, Variation};

/// Files of one package that are listed.
const MOST_FILES: usize = 20;
/// The number of bytes of a file that are searched for a difference.
const COMPARED: u64 = 32 << 20;

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
                let explained = explain([path, other], seen);
                let explained = explained.unwrap_or_else(|error| vec![format!("they cannot be compared: {error}")]);
                let more = explained.len().saturating_sub(MOST_FILES);
                differing.push(format!("{name} differs"));
                differing.extend(explained.into_iter().take(MOST_FILES).map(|line| format!("  {line}")));
                differing.extend((more > 0).then(|| format!("  and {more} more")));
            }
        }
    }
    let new = second.keys().filter(|name| !first.contains_key(*name));
    differing.extend(new.map(|name| format!("{name} was built only the second time")));
    differing
}

/// A file of a package, as its header and checksum tell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PackedFile {
    kind: MemberKind,
    mode: u32,
    owner: (u64, u64),
    time: u64,
    sha256: Checksum,
}

/// A package with its files in their order; control files are below `DEBIAN`.
struct Content {
    package: BinaryPackage,
    files: Vec<(String, PackedFile)>,
}

/// The path of a file in a package, without `./`.
fn shown(path: &str) -> &str {
    path.trim_start_matches("./")
}

impl Content {
    fn read(path: &Path) -> Result<Content, ReadError> {
        let package = BinaryPackage::open(path)?;
        let mut files = Vec::new();
        let control = package.control.text().into_bytes();
        let members = package.members.iter().map(|(name, (mode, content))| (name.as_str(), *mode, content));
        for (name, mode, content) in members.chain([("control", 0o644, &control)]) {
            let (kind, sha256) = (MemberKind::File, Checksum::new(content));
            files.push((format!("DEBIAN/{name}"), PackedFile { kind, mode, owner: (0, 0), time: 0, sha256 }));
        }
        package.visit(Limits::UNKNOWN, &mut |member, content| {
            let mut all = HashingStream::new(io::sink());
            io::copy(content, &mut all)?;
            let (sha256, _) = all.finish();
            let (kind, mode, owner, time) = (member.kind.clone(), member.mode, member.owner, member.time);
            files.push((shown(&member.path).to_owned(), PackedFile { kind, mode, owner, time, sha256 }));
            Ok(())
        })?;
        Ok(Content { package, files })
    }

    /// The beginnings of these files.
    fn beginnings(&self, wanted: &BTreeSet<&str>) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
        let mut found = BTreeMap::from([("DEBIAN/control".to_owned(), self.package.control.text().into_bytes())]);
        let members = self.package.members.iter();
        found.extend(members.map(|(name, (_, content))| (format!("DEBIAN/{name}"), content.clone())));
        found.retain(|path, _| wanted.contains(path.as_str()));
        self.package.visit(Limits::UNKNOWN, &mut |member, content| {
            let path = shown(&member.path);
            if wanted.contains(path) {
                let mut start = Vec::new();
                content.take(COMPARED).read_to_end(&mut start)?;
                found.insert(path.to_owned(), start);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// What differs between the files of two packages. The checksums of files and their sizes follow from other differences.
fn explain(packages: [&Path; 2], seen: &Seen<'_>) -> Result<Vec<String>, ReadError> {
    let [first, second] = packages;
    let (first, second) = (Content::read(first)?, Content::read(second)?);
    let [ours, theirs] = [&first, &second]
        .map(|one| one.files.iter().map(|(path, file)| (path.as_str(), file)).collect::<BTreeMap<_, _>>());
    let is_consequence = |path: &str| matches!(path, "DEBIAN/md5sums" | "DEBIAN/control") && ours.len() > 2;
    let paths: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
    let pairs = paths.into_iter().map(|path| (path, ours.get(path).copied(), theirs.get(path).copied()));
    let differing: Vec<_> = pairs
        .filter(|(path, one, other)| one != other && !(one.is_some() && other.is_some() && is_consequence(path)))
        .collect();
    let wanted: BTreeSet<&str> = differing
        .iter()
        .filter(|(_, one, other)| one.is_some() && other.is_some())
        .take(MOST_FILES)
        .map(|(path, ..)| *path)
        .collect();
    let (mut one, mut other) = (first.beginnings(&wanted)?, second.beginnings(&wanted)?);
    let mut lines: Vec<String> = differing
        .iter()
        .map(|(path, ours, theirs)| {
            let name = printable(path, 200);
            match (ours, theirs) {
                (Some(ours), Some(theirs)) => {
                    let starts = one.remove(*path).zip(other.remove(*path));
                    format!("{name}: {}", difference((ours, theirs), starts.as_ref(), seen))
                }
                (Some(_), None) => format!("{name} is only in the first"),
                (None, _) => format!("{name} is only in the second"),
            }
        })
        .collect();
    if !lines.is_empty() {
        return Ok(lines);
    }
    lines.push(if ours != theirs {
        "its control file differs".into()
    } else if first.files.iter().map(|(path, _)| path).ne(second.files.iter().map(|(path, _)| path)) {
        "all files are the same, in another order (as a directory gives it)".into()
    } else {
        "all files are the same, and so is their order; the compression differs (its level, or its number of threads)"
            .into()
    });
    Ok(lines)
}

/// How two files of one path differ; `starts` are the beginnings of their contents.
fn difference(
    (one, other): (&PackedFile, &PackedFile),
    starts: Option<&(Vec<u8>, Vec<u8>)>,
    seen: &Seen<'_>,
) -> String {
    if one.kind != other.kind {
        return match (&one.kind, &other.kind) {
            (MemberKind::Link(first), MemberKind::Link(second)) => {
                let likely =
                    cause(first, second, seen).map_or_else(String::new, |name| format!(" (it holds the {name})"));
                format!("it is a link to `{}`, then to `{}`{likely}", printable(first, 80), printable(second, 80))
            }
            _ => "its type, or the target of a link, differs".into(),
        };
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
    match starts {
        Some((first, second)) if first != second => {
            explain_content(first, second, &|one, other| cause(one, other, seen).map(str::to_owned)).to_string()
        }
        _ => "it differs".to_owned(),
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
