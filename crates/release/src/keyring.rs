//! The public keys of the people who may sign a release: OpenPGP and SSH keys, one file a person.
//!
//! A signature counts for a person, whichever of their keys made it, and each person counts once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::gpg::{Home, KeyRecord};
use crate::signature_block::{BlockError, SignatureBlock, split};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_base::text::quoted;

mod file;
mod judge;

pub use file::{KeyFileError, LineError, ParsedKeys, SshKey, parse};
pub use judge::{Judgement, SignedBy, date};

/// The largest file of keys that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// A file of the directory with the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name, without a directory.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// A person who may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name of their file, without its extension.
    pub name: String,
    /// Their OpenPGP keys and subkeys.
    pub openpgp: Vec<KeyRecord>,
    /// Their SSH keys.
    pub ssh: Vec<SshKey>,
}

/// A key with a problem, for `release check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyProblem {
    /// The name of the person.
    pub person: String,
    /// The problem, with the key's fingerprint.
    pub problem: String,
}

/// The keys of everybody who may sign.
#[derive(Debug)]
pub struct Keyring {
    people: Vec<Person>,
    home: Option<Home>,
}

impl Keyring {
    /// The keys in a directory.
    ///
    /// # Errors
    /// As [`Keyring::new`] and [`Keyring::files_in`].
    pub fn from_directory(directory: &Path) -> anyhow::Result<Keyring> {
        Keyring::new(Keyring::files_in(directory)?, &directory.display().to_string())
    }

    /// Reads the regular files of a directory with keys.
    ///
    /// # Errors
    /// The directory or a file in it cannot be read.
    pub fn files_in(directory: &Path) -> anyhow::Result<Vec<KeyFile>> {
        let shown = directory.display();
        let entries = fs::read_dir(directory)
            .map_err(|error| Failure::declaration(format!("no keys in {shown}: {}", exec::plain(&error))))?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {shown}"))?;
            let name = entry.file_name().into_string().map_err(|name| {
                Failure::declaration(format!("{shown} has a file whose name is not UTF-8: {}", name.to_string_lossy()))
            })?;
            let path = entry.path();
            if is_ignored(&name) || path.is_dir() {
                continue;
            }
            let mut content = Vec::new();
            let read = paths::open_regular(&path)
                .and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST), &mut content));
            read.map_err(|error| {
                Failure::declaration(format!("cannot read the key {}: {}", path.display(), exec::plain(&error)))
            })?;
            files.push(KeyFile { name, content });
        }
        Ok(files)
    }

    /// The keys in these files; messages call their directory `shown`. Hidden files and READMEs are ignored.
    ///
    /// # Errors
    /// There are no keys, a file has none or a secret one, two people have the same key, or gpg is missing.
    pub fn new(mut files: Vec<KeyFile>, shown: &str) -> anyhow::Result<Keyring> {
        files.retain(|file| !is_ignored(&file.name));
        files.sort_by(|a, b| a.name.cmp(&b.name));
        if files.is_empty() {
            let remedy = "put the public keys of the signers there, one file per person";
            return Err(Failure::declaration(format!("{shown} has no keys; {remedy}")));
        }
        let mut people: BTreeMap<String, Person> = BTreeMap::new();
        let mut home: Option<Home> = None;
        // The person to whom each primary key belongs.
        let mut primaries: BTreeMap<String, String> = BTreeMap::new();
        for file in &files {
            let wrong = |why: String| Failure::declaration(format!("{shown}/{}: {why}", file.name));
            let name = person_of(&file.name);
            let parsed = parse(&file.content).map_err(|error| wrong(error.to_string()))?;
            let person = people.entry(name.clone()).or_insert_with(|| Person {
                name: name.clone(),
                openpgp: Vec::new(),
                ssh: Vec::new(),
            });
            person.ssh.extend(parsed.ssh);
            if parsed.openpgp.is_empty() {
                continue;
            }
            let home = match &home {
                Some(home) => home,
                None => home.insert(Home::create()?),
            };
            let imported = home.import(&parsed.openpgp)?;
            if imported.is_empty() {
                return Err(wrong(
                    "gpg cannot import the OpenPGP key; export it again by `gpg --armor --export`".into(),
                ));
            }
            for primary in imported {
                if let Some(other) = primaries.insert(primary.clone(), name.clone()).filter(|other| *other != name) {
                    return Err(same_key(shown, &other, &name, &primary));
                }
            }
        }
        if let Some(home) = &home {
            for key in home.keys()? {
                if let Some(person) = primaries.get(&key.primary).and_then(|name| people.get_mut(name)) {
                    person.openpgp.push(key);
                }
            }
        }
        let keyring = Keyring { people: people.into_values().collect(), home };
        keyring.without_shared_keys(shown)?;
        Ok(keyring)
    }

    /// Fails if a key or subkey belongs to two people, who would count twice for one signature.
    fn without_shared_keys(&self, shown: &str) -> anyhow::Result<()> {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        for person in &self.people {
            let openpgp = person.openpgp.iter().map(|key| key.fingerprint.clone());
            for key in openpgp.chain(person.ssh.iter().map(SshKey::fingerprint)) {
                if let Some(other) = owners.insert(key.clone(), &person.name).filter(|other| *other != person.name) {
                    return Err(same_key(shown, other, &person.name, &key));
                }
            }
        }
        Ok(())
    }

    /// Everybody who may sign, by name.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// The names of everybody who has a key that can sign at this time, in seconds since 1970.
    pub fn usable(&self, now: i64) -> BTreeSet<&str> {
        let usable = |person: &&Person| {
            let ssh = person.ssh.iter().any(|key| key.problem(now).is_none());
            ssh || person.openpgp.iter().any(|key| key.can_sign && person.problem_of(key, now).is_none())
        };
        self.people.iter().filter(usable).map(|person| person.name.as_str()).collect()
    }

    /// The problems of all keys that could sign, at this time.
    pub fn problems(&self, now: i64) -> Vec<KeyProblem> {
        let mut problems = Vec::new();
        for person in &self.people {
            let openpgp = person.openpgp.iter().filter(|key| key.can_sign || key.fingerprint == key.primary);
            let openpgp =
                openpgp.filter_map(|key| Some(format!("{} {}", key.fingerprint, person.problem_of(key, now)?)));
            let ssh = person.ssh.iter().filter_map(|key| Some(format!("{} {}", key.fingerprint(), key.problem(now)?)));
            let with_name = |problem| KeyProblem { person: person.name.clone(), problem };
            problems.extend(openpgp.chain(ssh).map(with_name));
        }
        problems
    }

    /// Judges a detached signature of bytes. SSH signatures must be made for `namespace`. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// gpg or ssh-keygen is missing.
    pub fn judge(&self, block: &SignatureBlock, signed: &[u8], namespace: &str, now: i64) -> anyhow::Result<SignedBy> {
        match block {
            SignatureBlock::OpenPgp(packet) => self.judge_openpgp(packet, signed, now),
            SignatureBlock::Ssh(content) => self.judge_ssh(content, signed, namespace, now),
        }
    }
}

impl Keyring {
    /// Judges every signature in a file with detached signatures of bytes.
    ///
    /// # Errors
    /// As [`Keyring::judge`].
    pub fn judge_file(
        &self,
        signatures: &[u8],
        signed: &[u8],
        namespace: &str,
        now: i64,
    ) -> anyhow::Result<Vec<Result<SignedBy, BlockError>>> {
        let judge = |block: Result<SignatureBlock, BlockError>| match block {
            Ok(block) => self.judge(&block, signed, namespace, now).map(Ok),
            Err(error) => Ok(Err(error)),
        };
        split(signatures).into_iter().map(judge).collect()
    }
}

impl Person {
    /// The problem with an OpenPGP key of this person; a subkey has those of its primary key too.
    fn problem_of(&self, key: &KeyRecord, now: i64) -> Option<String> {
        let primary = self.openpgp.iter().find(|one| one.fingerprint == key.primary);
        let of = |key: &KeyRecord| {
            if key.is_revoked {
                return Some("is revoked".to_owned());
            }
            if let Some(weakness) = key.weakness() {
                return Some(format!("is too weak ({weakness})"));
            }
            let expired = key.expires.filter(|expires| *expires <= now);
            expired.map(|expires| format!("expired on {}", date(expires)))
        };
        of(key).or_else(|| primary.and_then(of))
    }
}

fn same_key(shown: &str, one: &str, other: &str, key: &str) -> anyhow::Error {
    Failure::declaration(format!(
        "{shown}: {} and {} have the same key {key}; one file is one person, so keep it in one of them",
        quoted(one),
        quoted(other)
    ))
}

/// Hidden files, and READMEs.
fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.split('.').next().is_some_and(|stem| stem.eq_ignore_ascii_case("readme"))
}

/// The name of the person whose keys a file has: without the extension.
fn person_of(file: &str) -> String {
    let stem = Path::new(file).file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned());
    stem.chars().map(drydock_base::text::printable_char).collect()
}
