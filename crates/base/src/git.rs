//! git without any influence of its configuration: questions to a repository, and objects read through one process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;

use crate::exec;
use crate::failure::Failure;
use crate::hint::{self, Hint};

/// The name of an object: 40 or 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(String);

impl Oid {
    /// The name in a text, if it is one.
    pub fn parse(text: &str) -> Option<Oid> {
        let hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (hex && matches!(text.len(), 40 | 64)).then(|| Oid(text.to_owned()))
    }

    /// The name of raw bytes, as tree objects hold them.
    pub fn of_bytes(bytes: &[u8]) -> Oid {
        Oid(crate::checksum::hex(bytes))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, whatever `core.abbrev` is.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The environment of every git: nothing of the user's configuration, no replaced objects, no network, no questions.
fn environment() -> BTreeMap<OsString, OsString> {
    let set = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ALLOW_PROTOCOL", ""),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_ADVICE", "0"),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    exec::environment(&[], &BTreeMap::from(set))
}

/// Options that disable every setting of the repository's configuration that could run a program or change the output.
/// Directories of other owners are accepted, because Drydock runs the generators of a project anyway.
const OPTIONS: [&str; 12] = [
    "-c",
    "safe.directory=*",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.quotePath=false",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "core.excludesFile=/dev/null",
];

/// The reasons why the history of a commit is not known.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The clone was made with a limited depth.
    #[error("the clone is shallow, so its history is not known; run `{0}`")]
    Shallow(Hint),
    /// git failed.
    #[error(transparent)]
    Git(#[from] exec::Error),
}

/// A repository on this machine.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Where questions are asked: the work tree, or the git directory itself.
    pub directory: PathBuf,
    /// The directory with its objects.
    objects: PathBuf,
    /// `sha1` or `sha256`.
    format: String,
    /// True for a shallow clone, as in most CI systems.
    pub is_shallow: bool,
}

impl Repository {
    /// The repository that a directory belongs to.
    ///
    /// # Errors
    /// There is none, or git is missing.
    pub fn find(directory: &Path) -> anyhow::Result<Repository> {
        let mut repository = Repository {
            directory: directory.to_owned(),
            objects: PathBuf::new(),
            format: String::new(),
            is_shallow: false,
        };
        let words = ["rev-parse", "--path-format=absolute", "--git-path", "objects", "--show-object-format"];
        let answer = repository
            .ask(&[&words[..], &["--is-shallow-repository"]].concat())
            .map_err(|why| Failure::missing(format!("{} is in no git repository: {why}", directory.display())))?;
        let mut lines = answer.lines();
        let mut line = || lines.next().unwrap_or_default().to_owned();
        (repository.objects, repository.format) = (line().into(), line());
        repository.is_shallow = line() == "true";
        Ok(repository)
    }

    /// The output of a git command, without trailing whitespace.
    ///
    /// # Errors
    /// The reason with the end of its standard error.
    pub fn ask(&self, words: &[&str]) -> Result<String, exec::Error> {
        Ok(String::from_utf8_lossy(&self.ask_bytes(words)?).trim_end().to_owned())
    }

    /// The bytes that a git command prints.
    ///
    /// # Errors
    /// The reason with the end of its standard error.
    pub fn ask_bytes(&self, words: &[&str]) -> Result<Vec<u8>, exec::Error> {
        let argv: Vec<String> =
            ["git"].into_iter().chain(OPTIONS).chain(words.iter().copied()).map(str::to_owned).collect();
        exec::bytes(&argv, &self.directory, environment())
            .map_err(|error| error.shown_as(["git"].iter().chain(words).copied()))
    }

    /// The object that a revision names, once tags are followed to `kind`: `commit`, `tag`, `tree` or `blob`.
    pub fn resolve(&self, revision: &str, kind: &str) -> Option<Oid> {
        let wanted = format!("{revision}^{{{kind}}}");
        let answer = self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).ok()?;
        Oid::parse(&answer)
    }

    /// The object at a path of a commit.
    pub fn at(&self, commit: &Oid, path: &str) -> Option<Oid> {
        let wanted = format!("{commit}:{path}");
        Oid::parse(&self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).ok()?)
    }

    /// The command that fetches the whole history of a shallow clone.
    pub fn unshallow(&self) -> Hint {
        hint::git(&self.directory, &["fetch", "--unshallow", "--tags"])
    }

    /// The tags whose commit this is, with the object that the tag names: itself for an annotated tag.
    ///
    /// # Errors
    /// git's own.
    pub fn tags_of(&self, commit: &Oid) -> Result<Vec<(String, Oid)>, exec::Error> {
        let format = "--format=%(objectname) %(refname:lstrip=2)";
        let answer = self.ask(&["for-each-ref", "--points-at", commit.as_str(), format, "refs/tags"])?;
        let tags = answer.lines().filter_map(|line| line.split_once(' '));
        Ok(tags.filter_map(|(oid, name)| Some((name.to_owned(), Oid::parse(oid)?))).collect())
    }

    /// The names of all tags in the history of a commit, itself included.
    ///
    /// # Errors
    /// git's own.
    pub fn tags_until(&self, commit: &Oid) -> Result<Vec<String>, exec::Error> {
        let answer =
            self.ask(&["for-each-ref", "--merged", commit.as_str(), "--format=%(refname:lstrip=2)", "refs/tags"])?;
        Ok(answer.lines().map(str::to_owned).collect())
    }

    /// The number of commits in the history of a commit, including itself, and the time of the newest one in seconds since
    /// 1970. Neither decreases for descendants.
    ///
    /// # Errors
    /// git's own; the history was cut.
    pub fn history(&self, commit: &Oid) -> Result<(u64, u64), HistoryError> {
        if self.is_shallow {
            return Err(HistoryError::Shallow(self.unshallow()));
        }
        let answer = self.ask(&["log", "--format=%ct", commit.as_str(), "--"])?;
        let newest = answer.lines().filter_map(|line| line.parse().ok()).max();
        Ok((answer.lines().count() as u64, newest.unwrap_or_default()))
    }

    /// The differences from the last commit, one path per line: changed, staged and untracked files, and moved submodules.
    ///
    /// # Errors
    /// git's own.
    pub fn changes(&self) -> Result<Vec<String>, exec::Error> {
        let answer = self.ask_bytes(&["status", "--porcelain", "-z", "--untracked-files=all", "--no-renames"])?;
        let entries = answer.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        Ok(entries.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect())
    }
}

/// Objects of one repository, read through one `git cat-file --batch`.
///
/// The process works in an empty repository of our own, which borrows only the directory of objects. So neither the
/// repository's configuration nor its attributes, grafts and replaced objects have a say.
#[derive(Debug)]
pub struct Objects {
    scratch: tempfile::TempDir,
    objects: PathBuf,
    fsck: Hint,
    process: Child,
    ask: Option<ChildStdin>,
    answer: BufReader<ChildStdout>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `blob`, `tree`, `commit` or `tag`.
    pub kind: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl Objects {
    /// The largest object that is read, in bytes: one is held in memory at a time.
    pub const LARGEST: u64 = 1 << 30;

    /// Starts the process.
    ///
    /// # Errors
    /// git is missing, or a temporary directory cannot be created.
    pub fn open(repository: &Repository) -> anyhow::Result<Objects> {
        let scratch =
            tempfile::Builder::new().prefix("drydock-git-").tempdir().context("cannot make a temporary directory")?;
        let extension = match repository.format.as_str() {
            "sha256" => "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n",
            _ => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
        };
        let at = |name: &str| scratch.path().join(name);
        let make = || -> std::io::Result<()> {
            fs::create_dir(at("refs"))?;
            fs::create_dir(at("objects"))?;
            fs::write(at("HEAD"), "ref: refs/heads/none\n")?;
            fs::write(at("config"), extension)
        };
        make().context("cannot write to the temporary directory")?;
        let mut process = command(scratch.path(), &repository.objects)
            .args(["cat-file", "--batch"])
            .stderr(Stdio::null())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::missing(format!("cannot run git: {}", exec::plain(&error))))?;
        let (ask, answer) = (process.stdin.take(), process.stdout.take().context("git has no standard output")?);
        let objects = repository.objects.clone();
        let fsck = hint::git(&repository.directory, &["fsck"]);
        Ok(Objects { scratch, objects, fsck, process, ask, answer: BufReader::with_capacity(1 << 16, answer) })
    }

    /// Reads an object; `None` when it is not there.
    ///
    /// # Errors
    /// git went away, the object is damaged, or larger than [`Objects::LARGEST`].
    pub fn read(&mut self, oid: &Oid) -> anyhow::Result<Option<Object>> {
        let ask = self.ask.as_mut().context("git was ended")?;
        writeln!(ask, "{oid}").and_then(|()| ask.flush()).context("git went away while it was asked for an object")?;
        let mut line = String::new();
        self.answer.read_line(&mut line).context("cannot read from git")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "missing"] => Ok(None),
            [_, kind, size] => {
                let size: u64 = size.parse().with_context(|| format!("git says {line:?}"))?;
                if size > Self::LARGEST {
                    let limit = Self::LARGEST >> 20;
                    return Err(Failure::rejected(format!(
                        "the object {oid} has {} MiB, more than the {limit} MiB that are read",
                        size >> 20
                    )));
                }
                let mut content = Vec::new();
                let read =
                    (&mut self.answer).take(size + 1).read_to_end(&mut content).context("cannot read from git")?;
                if read as u64 != size + 1 {
                    return Err(Failure::rejected(format!(
                        "git ended in the middle of the object {oid}; run `{}` to check for repository corruption",
                        self.fsck
                    )));
                }
                content.pop();
                Ok(Some(Object { kind: kind.to_owned(), content }))
            }
            _ => Err(Failure::rejected(format!(
                "cannot read the object {oid}: {}; run `{}` to check for repository corruption",
                line.trim_end(),
                self.fsck
            ))),
        }
    }

    /// The attributes of paths from the `.gitattributes` of a tree: `ask` lists the paths (directories with a trailing `/`),
    /// the result is (path, attribute, value) for each attribute that is set.
    ///
    /// # Errors
    /// git's own.
    pub fn attributes(&self, tree: &Oid, names: &[&str], ask: &[String]) -> anyhow::Result<Vec<[String; 3]>> {
        let mut read_tree = command(self.scratch.path(), &self.objects);
        let read =
            read_tree.args(["read-tree", tree.as_str()]).stdin(Stdio::null()).output().context("cannot run git")?;
        if !read.status.success() {
            let why = exec::end_of(&read.stderr);
            return Err(Failure::rejected(format!("git cannot read the tree {tree}: {why}")));
        }
        let work_tree = self.scratch.path().join("refs");
        let mut child = command(self.scratch.path(), &self.objects)
            .env("GIT_WORK_TREE", &work_tree)
            .args(["-c", "core.bare=false", "check-attr", "--cached", "-z", "--stdin"])
            .args(names)
            .current_dir(&work_tree)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run git")?;
        let mut input = child.stdin.take().context("git has no standard input")?;
        let question: Vec<u8> = ask.iter().flat_map(|path| path.bytes().chain([0])).collect();
        let asking = std::thread::spawn(move || input.write_all(&question));
        let output = child.wait_with_output().context("cannot read from git")?;
        let asked = asking.join().map_err(|_| anyhow::anyhow!("the question to git was cut off"))?;
        if !output.status.success() || asked.is_err() {
            return Err(Failure::rejected(format!("git cannot read the attributes of the tree {tree}")));
        }
        let fields: Vec<String> =
            output.stdout.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
        let set = fields.chunks_exact(3).filter(|triple| !matches!(triple[2].as_str(), "unspecified" | "unset"));
        Ok(set.map(|triple| [triple[0].clone(), triple[1].clone(), triple[2].clone()]).collect())
    }

    /// The values of a git configuration that a blob holds, as (key, value).
    ///
    /// # Errors
    /// The blob is not a git configuration.
    pub fn configuration(&self, blob: &Oid) -> anyhow::Result<Vec<(String, String)>> {
        let mut config = command(self.scratch.path(), &self.objects);
        let output = config
            .args(["config", "--no-includes", "-z", "--list", "--blob", blob.as_str()])
            .stdin(Stdio::null())
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            return Err(Failure::rejected(format!("git cannot read it: {}", exec::end_of(&output.stderr))));
        }
        let entries = output.stdout.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        Ok(entries.filter_map(|entry| entry.split_once('\n').map(|(key, value)| (key.into(), value.into()))).collect())
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.ask.take());
        let _ended = self.process.wait();
    }
}

fn command(git_dir: &Path, objects: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(environment())
        .env("GIT_DIR", git_dir)
        .env("GIT_OBJECT_DIRECTORY", objects)
        .current_dir(git_dir)
        .stderr(Stdio::piped());
    command
}
