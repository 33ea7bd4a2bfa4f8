//! Verification of a downloaded release: signatures → lists of checksums → files. docs/trust.md says what that proves.
//!
//! Everything in the directory is a claim by whoever had it last. Keys and quorum are parameters, and come from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::binaries;
use crate::checksum_list::{Algorithm, ChecksumList, Clearsigned};
use crate::keyring::Keyring;
use crate::manifest::{self, Manifest};
use crate::sbom::provenance;
use crate::signature_block::{SignatureBlock, split};
use crate::ssh;
use crate::{build_info, proof};
use drydock_base::exec;
use drydock_base::text::plural;
use drydock_config::release::Format;

mod content;
mod directory;
mod report;

pub use content::{against_rebuilt, with_origin};
pub use report::{CheckedFile, CheckedList, CheckedSignature, NamedRelease, Proved, UsedPolicy, Verification};

use directory::Names;
use report::shown;

/// The largest `release.json` that is read, in bytes.
const LARGEST_MANIFEST: u64 = 256 << 20;
/// At most this many signatures of one list are checked.
const MOST_SIGNATURES: usize = 500;
/// Files that Drydock writes beside a release about the machine that built it. Nothing is proved about them.
const LOCAL: [&str; 4] = [build_info::NAME, proof::NAME, proof::offline::LOG, binaries::LOG];

/// What is verified, and by which rules.
#[derive(Debug)]
pub struct Request<'a> {
    /// The directory with the files.
    pub directory: &'a Path,
    /// The files to verify; everything in the directory if empty. A list among them stands for the files that it lists.
    pub only: &'a [String],
    /// Who may sign, and how many must; none if nobody can be authenticated.
    pub policy: Option<Policy<'a>>,
    /// The name that the project must have.
    pub name: Option<&'a str>,
    /// The version that the release must have.
    pub version: Option<&'a str>,
    /// The time, in seconds since 1970.
    pub now: i64,
}

/// Who may sign, and how many must.
#[derive(Debug)]
pub struct Policy<'a> {
    /// The keys.
    pub keyring: &'a Keyring,
    /// The number of people who must have signed, at least 1.
    pub quorum: u32,
    /// The place of the keys, in words.
    pub source: String,
}

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The result, without its conclusion.
    pub report: Verification,
    /// The content of release.json, if a list that counts has it.
    pub manifest: Option<Manifest>,
    /// The reason why the signatures do not suffice; none if they do.
    pub unsigned: Option<String>,
}

/// A list as it was read.
struct ReadList {
    name: String,
    list: ChecksumList,
    is_authenticated: bool,
}

/// Verifies files. [`Verification::conclude`] then decides the result.
///
/// # Errors
/// The directory cannot be read, or gpg or ssh-keygen is missing.
pub fn verify(request: &Request<'_>) -> anyhow::Result<Verified> {
    let named_lists: Vec<String> = request.only.iter().filter(|name| directory::is_list_name(name)).cloned().collect();
    let names = Names::read(request.directory, &named_lists)?;
    let is_list = |name: &String| names.lists.contains(name) || names.signatures.iter().any(|(file, _)| file == name);
    let only: Vec<&String> = request.only.iter().filter(|name| !is_list(name)).collect();
    let mut report = empty(request);
    let lists = read_lists(request, &names, &mut report)?;
    let unsigned = unsigned(request, &lists, &report);

    // Once a list is authenticated, only authenticated ones count.
    let has_authenticated = lists.iter().any(|list| list.is_authenticated);
    let counting: Vec<&ReadList> = lists.iter().filter(|list| list.is_authenticated || !has_authenticated).collect();
    let expected = expected(&counting);
    check_other_lists(request, &lists, &expected, &mut report);

    let is_all = only.is_empty();
    let mut wanted: BTreeSet<&str> = if is_all {
        expected.keys().map(String::as_str).collect()
    } else {
        only.iter().map(|name| name.as_str()).collect()
    };
    if expected.contains_key(manifest::NAME) && names.others.contains(manifest::NAME) {
        wanted.insert(manifest::NAME);
    }
    let mut manifest = None;
    for name in wanted {
        let problem = check_file(request.directory, name, expected.get(name), &mut manifest);
        report.files.push(CheckedFile { name: name.to_owned(), problem, difference: None });
    }
    if let Some(manifest) = &manifest {
        check_manifest(request, manifest, &expected, is_all, &mut report);
    } else if let Some(version) = request.version {
        let text = format!("no {} states the version, so it cannot be {}", manifest::NAME, shown(version));
        report.problems.push(text);
    }
    if is_all && request.only.is_empty() {
        judge_others(&names, &expected, &mut report);
    }
    if report.files.is_empty() && report.problems.is_empty() {
        report.problems.push("there is no file to verify".into());
    }
    Ok(Verified { report, manifest, unsigned })
}

fn empty(request: &Request<'_>) -> Verification {
    Verification {
        format: report::FORMAT,
        result: Proved::NotAuthenticated,
        summary: String::new(),
        directory: request.directory.to_owned(),
        release: None,
        policy: request.policy.as_ref().map(|policy| UsedPolicy {
            keys: policy.source.clone(),
            quorum: policy.quorum,
            people: policy.keyring.people().iter().map(|person| person.name.clone()).collect(),
        }),
        lists: Vec::new(),
        files: Vec::new(),
        not_covered: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
        rebuilt: false,
    }
}

/// Reads all lists of the directory with their signatures. The bytes that are parsed are those whose signatures are checked.
fn read_lists(request: &Request<'_>, names: &Names, report: &mut Verification) -> anyhow::Result<Vec<ReadList>> {
    let mut lists = Vec::new();
    for name in &names.lists {
        let bytes = match directory::read(&request.directory.join(name)) {
            Ok(bytes) => bytes,
            Err(error) => {
                report.problems.push(format!("{}: cannot read it: {}", shown(name), exec::plain(&error)));
                continue;
            }
        };
        let mut signatures: Vec<(&str, SignatureBlock)> = Vec::new();
        let signed = if Clearsigned::is_one(&bytes) {
            let Some(clearsigned) = Clearsigned::parse(&bytes) else {
                let text = "it has text beside the signed text, or a damaged signature; nothing in it counts";
                report.problems.push(format!("{}: {text}", shown(name)));
                continue;
            };
            signatures.extend(clearsigned.signatures.into_iter().map(|block| (name.as_str(), block)));
            clearsigned.text
        } else {
            bytes
        };
        for (file, _) in names.signatures.iter().filter(|(_, list)| list == name) {
            let content = match directory::read(&request.directory.join(file)) {
                Ok(content) => content,
                Err(error) => {
                    report.notes.push(format!("{}: cannot read it: {}", shown(file), exec::plain(&error)));
                    continue;
                }
            };
            for block in split(&content) {
                match block {
                    Ok(block) if signatures.len() < MOST_SIGNATURES => signatures.push((file, block)),
                    Ok(_) => report.notes.push(format!("{}: more than {MOST_SIGNATURES} signatures", shown(file))),
                    Err(error) => report.notes.push(format!("{}: {error}", shown(file))),
                }
            }
        }
        let mut checked = CheckedList {
            name: name.clone(),
            files: 0,
            authenticated: false,
            signed_by: BTreeSet::new(),
            signatures: Vec::new(),
        };
        if let Some(policy) = &request.policy {
            for (file, block) in &signatures {
                let signed_by = policy.keyring.judge(block, &signed, ssh::FILES, request.now)?;
                let one = CheckedSignature::new(file, &signed_by);
                if !one.counts {
                    let by = one.person.as_ref().map_or_else(String::new, |person| format!(" by {person}"));
                    report.notes.push(format!(
                        "{}: the {} signature{by} ({}) does not count: {}",
                        shown(file),
                        one.kind,
                        one.key,
                        one.remark
                    ));
                }
                checked.signed_by.extend(one.person.clone().filter(|_| one.counts));
                checked.signatures.push(one);
            }
            checked.authenticated = checked.signed_by.len() >= policy.quorum.max(1) as usize;
        } else if !signatures.is_empty() {
            report.notes.push(format!("{}: its signatures were not checked, for lack of keys", shown(name)));
        }
        match ChecksumList::parse(&signed, name) {
            Ok(list) => {
                checked.files = list.files.len();
                if !list.prose.is_empty() {
                    let lines: Vec<String> = list.prose.iter().take(5).map(ToString::to_string).collect();
                    report.notes.push(format!("{}: no checksums in line {}", shown(name), lines.join(", ")));
                }
                lists.push(ReadList { name: name.clone(), list, is_authenticated: checked.authenticated });
            }
            Err(error) => report.problems.push(format!("{}: {error}", shown(name))),
        }
        report.lists.push(checked);
    }
    Ok(lists)
}

/// The reason why the signatures do not suffice.
fn unsigned(request: &Request<'_>, lists: &[ReadList], report: &Verification) -> Option<String> {
    if lists.is_empty() {
        return Some(format!("there is no list of checksums such as {}", manifest::CHECKSUMS));
    }
    let policy = request.policy.as_ref()?;
    if lists.iter().any(|list| list.is_authenticated) {
        return None;
    }
    let best = report.lists.iter().max_by_key(|list| list.signed_by.len())?;
    let people = best.signed_by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let by = if people.is_empty() { "nobody".to_owned() } else { people };
    Some(format!(
        "{} is signed by {by} of the declared people ({} of {} required)",
        shown(&best.name),
        best.signed_by.len(),
        policy.quorum
    ))
}

/// The checksums that each file must have, by the lists that count, with the name of the list.
type Expected = BTreeMap<String, Vec<ExpectedDigest>>;

/// A checksum that a file must have.
struct ExpectedDigest {
    algorithm: Algorithm,
    /// In hexadecimal digits.
    digest: String,
    /// The name of the list.
    list: String,
}

fn expected(lists: &[&ReadList]) -> Expected {
    let mut expected = Expected::new();
    for list in lists {
        for (file, digests) in &list.list.files {
            let all = digests.iter().map(|(algorithm, digest)| ExpectedDigest {
                algorithm: *algorithm,
                digest: digest.clone(),
                list: list.name.clone(),
            });
            expected.entry(file.clone()).or_default().extend(all);
        }
    }
    expected
}

/// Lists that not enough people signed may stay beside an authenticated one if they have nothing else, since people and other
/// programs would read that. Nothing is proved about them.
fn check_other_lists(request: &Request<'_>, lists: &[ReadList], expected: &Expected, report: &mut Verification) {
    if !lists.iter().any(|list| list.is_authenticated) {
        return;
    }
    for list in lists.iter().filter(|list| !list.is_authenticated && !expected.contains_key(&list.name)) {
        let is_known = |file: &String, algorithm: Algorithm, digest: &String| {
            let is_it = |one: &ExpectedDigest| (one.algorithm, &one.digest) == (algorithm, digest);
            expected.get(file).is_some_and(|all| all.iter().any(is_it))
        };
        let unknown = list
            .list
            .files
            .iter()
            .find(|(file, digests)| digests.iter().any(|(algorithm, digest)| !is_known(file, *algorithm, digest)));
        let why = match unknown {
            Some((file, _)) => format!("no signed list has its checksum of {}", shown(file)),
            None if !list.list.prose.is_empty() => "it has lines that are not checksums".to_owned(),
            None if request.only.contains(&list.name) => "nothing is proved about it".to_owned(),
            None => {
                report.not_covered.push(list.name.clone());
                continue;
            }
        };
        report.problems.push(format!("{}: too few people signed this list, and {why}", shown(&list.name)));
    }
}

/// The problem with a file. If it is release.json and as listed, its content is left in `manifest`.
fn check_file(
    directory: &Path,
    name: &str,
    expected: Option<&Vec<ExpectedDigest>>,
    manifest: &mut Option<Manifest>,
) -> Option<String> {
    let Some(expected) = expected else { return Some("no list that counts names it".into()) };
    let counting: Vec<&ExpectedDigest> = expected.iter().filter(|one| one.algorithm.counts()).collect();
    if counting.is_empty() {
        return Some("its only checksums are weak, or of an algorithm that Drydock does not compute".into());
    }
    let algorithms: Vec<Algorithm> = counting.iter().map(|one| one.algorithm).collect();
    let cannot = |error: &std::io::Error| Some(format!("cannot read it: {}", exec::plain(error)));
    let path = match directory::inside(directory, name) {
        Ok(path) => path,
        Err(error) => return cannot(&error),
    };
    let mut text = Vec::new();
    let found = if name == manifest::NAME {
        directory::read_up_to(&path, LARGEST_MANIFEST).and_then(|bytes| {
            text = bytes;
            directory::digests(&mut text.as_slice(), &algorithms)
        })
    } else {
        drydock_base::paths::open_regular(&path).and_then(|mut file| directory::digests(&mut file, &algorithms))
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return cannot(&error),
    };
    for (ExpectedDigest { algorithm, digest, list }, found) in counting.into_iter().zip(found) {
        if *digest != found {
            return Some(format!("its {algorithm} is {found}, expected {digest} ({})", shown(list)));
        }
    }
    if name == manifest::NAME {
        match std::str::from_utf8(&text).map(Manifest::parse) {
            Ok(Ok(parsed)) => *manifest = Some(parsed),
            Ok(Err(error)) => return Some(error.to_string()),
            Err(_) => return Some("it is not UTF-8".into()),
        }
    }
    None
}

/// Compares release.json with the lists, with what was asked for, and with the content of the archives.
fn check_manifest(
    request: &Request<'_>,
    manifest: &Manifest,
    expected: &Expected,
    is_all: bool,
    report: &mut Verification,
) {
    let release = NamedRelease::from(manifest);
    if let Some(name) = request.name.filter(|name| *name != manifest.name) {
        report.problems.push(format!("it is {release}, and this project is {}", shown(name)));
    }
    if let Some(version) = request.version.filter(|version| *version != manifest.version) {
        report.problems.push(format!("it is {release}, and not version {}", shown(version)));
    }
    for list in &report.lists {
        if let Some(version) = version_in(&list.name).filter(|version| !version.starts_with(&manifest.version)) {
            let text =
                format!("{} names version {}, and release.json is of {release}", shown(&list.name), shown(version));
            report.problems.push(text);
        }
    }
    for artifact in &manifest.artifacts {
        let listed = expected.get(&artifact.name);
        let sha256 = artifact.sha256.to_string();
        let is_it = |one: &ExpectedDigest| one.algorithm == Algorithm::Sha256 && one.digest == sha256;
        let is_same = listed.is_some_and(|all| all.iter().any(is_it));
        if !is_same && (is_all || report.files.iter().any(|file| file.name == artifact.name)) {
            report.problems.push(format!("release.json and the signed list differ in {}", shown(&artifact.name)));
        }
    }
    report.problems.extend(provenance::problems(manifest, request.directory));
    for (artifact, format, path) in manifest.archives(request.directory) {
        let Some(file) = report.files.iter_mut().find(|file| file.name == artifact.name) else { continue };
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            explain(&path, format, manifest, file);
        }
    }
    report.release = Some(release);
}

/// Adds how the content of an archive differs from release.json.
fn explain(path: &Path, format: Format, manifest: &Manifest, file: &mut CheckedFile) {
    match content::against_manifest(path, format, manifest) {
        Ok(None) => {
            if let Some(problem) = &mut file.problem {
                problem.push_str("; its content is as release.json lists it, and only the compressed form differs");
            }
        }
        Ok(found) => {
            file.problem.get_or_insert("its content is not as release.json lists it".into());
            file.difference = found;
        }
        Err(error) => {
            let error = error.to_string();
            file.problem =
                Some(file.problem.take().map_or_else(|| error.clone(), |problem| format!("{problem}; {error}")));
        }
    }
}

/// The version in the name of a list such as `SHA256SUMS-v1.0`.
fn version_in(list: &str) -> Option<&str> {
    let (_, suffix) = list.split_once(['-', '_'])?;
    let version = suffix.strip_prefix('v').unwrap_or(suffix);
    let version = ["asc", "sig", "gpg", "sign", "pgp", "txt"].iter().fold(version, |version, end| {
        version.strip_suffix(end).and_then(|rest| rest.strip_suffix('.')).unwrap_or(version)
    });
    (list.to_ascii_uppercase().starts_with("SHA256SUMS") && version.starts_with(|c: char| c.is_ascii_digit()))
        .then_some(version)
}

/// Files that no list names do not belong to the release.
fn judge_others(names: &Names, expected: &Expected, report: &mut Verification) {
    for name in names.others.iter().filter(|name| !expected.contains_key(*name)) {
        if LOCAL.contains(&name.as_str()) {
            report.not_covered.push(name.clone());
        } else {
            report
                .problems
                .push(format!("{}: no list that counts names it; it does not belong to this release", shown(name)));
        }
    }
    let is_listed = |directory: &String| expected.keys().any(|file| file.starts_with(&format!("{directory}/")));
    report.not_covered.extend(names.directories.iter().filter(|name| !is_listed(name)).map(|name| format!("{name}/")));
    if report.lists.is_empty() && report.problems.is_empty() {
        report.problems.push(format!("there is no list of checksums among {}", plural(names.others.len(), "file")));
    }
}
