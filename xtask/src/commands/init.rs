//! `cargo xtask init`: the declarations of a project that has none, from what it has.
//!
//! It asks nothing, follows no link, runs nothing of the project, and never replaces a file. What it writes has passed the check
//! of the command that reads it.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use crate::cli::{self, Place};
use crate::exit::Exit;
use crate::invocation;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::paths;
use drydock_init::facts::{Facts, GitFacts, GitPlace, Group};
use drydock_init::tree::Tree;
use drydock_init::{jobs, learned, package, release};

mod diff;
mod drafts;
mod images;
mod packages;
mod source;
mod trial;
mod workflows;
mod write;

use drafts::{Drafted, Project};
use write::State;

impl cli::Init {
    pub(crate) fn run(self, place: &Place) -> anyhow::Result<Exit> {
        let directory = self.directory.or_else(|| place.project.clone()).unwrap_or_else(|| PathBuf::from("."));
        if !directory.is_dir() {
            let text = format!("{} is not a directory; give the work tree of the project", directory.display());
            return Err(Failure::usage(text));
        }
        let is_here = directory == Path::new(".");
        invocation::announce(&Place { project: (!is_here).then(|| directory.clone()), ..place.clone() });
        let git = GitFacts::read(&directory);
        refuse_without_files(&directory, &git.place)?;
        let tree = Tree::read(&directory).map_err(|error| Failure::missing(error.to_string()))?;
        let mut facts = Facts::find(&tree, &git);
        refuse_without_project(&directory, &tree, &facts)?;
        let source = source::source(self.from.as_deref())?;
        let member = self.xtask.then(|| drafts::member_of(&tree, &source));
        let wanted =
            Wanted { tree: &tree, directory: &directory, source: &source, member: member.as_ref(), deb: self.deb };
        let before = if self.deb && facts.debian.is_none() {
            // What a call without the option wrote may be written again with what the option adds.
            let before = drafts::all(&wanted.of(&facts, false))?;
            facts.debian = Some(package::facts());
            before
        } else {
            Vec::new()
        };
        let mut drafts = drafts::all(&wanted.of(&facts, self.deb))?;
        for draft in &mut drafts {
            let is_own = |other: &Drafted| other.file == draft.file && other.state == State::Same;
            if draft.state == State::Different && before.iter().any(is_own) {
                draft.state = State::Outdated;
            }
        }
        if self.try_it {
            match try_out(&mut facts, &drafts, &wanted, place)? {
                Ok(learned) => drafts = learned,
                Err(exit) => return Ok(exit),
            }
        }
        if self.dry_run {
            for draft in drafts.iter().filter(|draft| draft.state == State::Missing) {
                output::out(format_args!("{}", diff::added(draft).trim_end()));
            }
        } else {
            for Drafted { file, text, state, executable } in &drafts {
                match state {
                    State::Missing => write::create(&directory, file, text, *executable)?,
                    State::Outdated => paths::write_atomically(&directory.join(file), text.as_bytes())?,
                    State::Same | State::Different => continue,
                }
                // On a terminal, the messages below name it.
                if !std::io::stdout().is_terminal() {
                    output::out(format_args!("{file}"));
                }
            }
        }
        tell(&wanted.of(&facts, self.deb), &drafts, self.dry_run);
        Ok(if facts.groups.is_empty() { Exit::CheckFailed } else { Exit::Success })
    }
}

/// Refuses a repository without a work tree, and git's own data.
fn refuse_without_files(directory: &Path, place: &GitPlace) -> anyhow::Result<()> {
    let shown = directory.display();
    match place {
        GitPlace::Bare => {
            let clone = exec::paste(&["git", "clone", &shown.to_string(), "WORKTREE"].map(str::to_owned));
            let text = format!(
                "{shown} is a bare repository, which has no files; clone it, and call init in the clone: {clone}"
            );
            Err(Failure::usage(text))
        }
        GitPlace::OwnData => {
            Err(Failure::usage(format!("{shown} is in the directory of git's own data; call init in the work tree")))
        }
        GitPlace::WorkTree | GitPlace::Shallow | GitPlace::Below(_) => Ok(()),
    }
}

/// Refuses a directory in which there is nothing to declare.
fn refuse_without_project(directory: &Path, tree: &Tree, facts: &Facts) -> anyhow::Result<()> {
    let shown = directory.display();
    if tree.paths().next().is_none() {
        let why: Vec<&str> = tree.left_out.iter().map(String::as_str).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        return Err(Failure::rejected(format!(
            "{shown} has no files that could be looked at{why}; nothing was written"
        )));
    }
    match &facts.git.place {
        GitPlace::Below(top) if facts.groups.is_empty() => Err(Failure::rejected(format!(
            "no build system was found in {shown}, which is a directory of {}; call init there: {}",
            top.display(),
            hint::drydock(&["init"]).args([top.display().to_string()])
        ))),
        _ => Ok(()),
    }
}

/// What was asked for, and where.
struct Wanted<'w> {
    tree: &'w Tree,
    directory: &'w Path,
    source: &'w drydock_init::member::Source,
    member: Option<&'w drydock_init::member::Member>,
    deb: bool,
}

impl<'w> Wanted<'w> {
    fn of<'p>(&self, facts: &'p Facts, deb: bool) -> Project<'p>
    where
        'w: 'p,
    {
        let Wanted { tree, directory, source, member, .. } = *self;
        Project { facts, tree, directory, source, member, deb }
    }
}

/// Runs the jobs once and drafts again with what that showed; or the exit code of a run from which nothing can be learned.
fn try_out(
    facts: &mut Facts,
    drafts: &[Drafted],
    wanted: &Wanted,
    place: &Place,
) -> anyhow::Result<Result<Vec<Drafted>, Exit>> {
    let directory = wanted.directory;
    let Some(Drafted { text, state, .. }) = drafts.iter().find(|draft| draft.file == jobs::FILE) else {
        return Err(Failure::rejected("no build system was found, so there is nothing to try"));
    };
    if *state == State::Different {
        let text = format!(
            "{} is not as init would write it, so nothing is learned for it; run `{}`",
            jobs::FILE,
            hint::drydock(&["ci"])
        );
        return Err(Failure::rejected(text));
    }
    let measured = match trial::run(facts, text, directory, place)? {
        trial::Trial::Measured(measured) => measured,
        trial::Trial::Ended(exit) => return Ok(Err(exit)),
    };
    trial::tell(&measured);
    learned::apply(facts, &measured);
    let mut again = drafts::all(&wanted.of(facts, wanted.deb))?;
    // What init wrote itself, byte for byte, it may write again.
    if *state == State::Same {
        again.iter_mut().filter(|draft| draft.file == jobs::FILE).for_each(|draft| draft.state = State::Outdated);
    }
    let today = crate::commands::today();
    let expires = today.checked_add(jiff::Span::new().days(learned::KNOWN_FOR_DAYS))?;
    if let Some(text) = learned::quarantine(&measured, &today.to_string(), &expires.to_string()) {
        let state = write::state(directory, learned::FILE, &text)?;
        again.push(Drafted { file: learned::FILE.to_owned(), text, state, executable: false });
    }
    Ok(Ok(again))
}

/// The files by which a build system is recognised.
const BUILD_FILES: [&str; 11] = [
    "meson.build",
    "CMakeLists.txt",
    "configure.ac",
    "configure.in",
    "GNUmakefile",
    "makefile",
    "Makefile",
    "Cargo.toml",
    "pyproject.toml",
    "setup.py",
    "Makefile.PL",
];

/// Says, on standard error, what was seen and what to do next.
fn tell(project: &Project, drafts: &[Drafted], dry_run: bool) {
    let facts = project.facts;
    for group in &facts.groups {
        let tests = if group.has_tests { "" } else { ", and no tests" };
        output::err(format_args!("{}: saw {}{tests}", group.system.name(), group.because));
    }
    let mut remarks = facts.remarks.clone();
    remarks.extend(facts.unused.iter().cloned());
    remarks.extend(match &facts.git.place {
        GitPlace::Shallow => {
            let directory = std::path::absolute(project.directory).unwrap_or_else(|_| project.directory.to_owned());
            let fetch = hint::git(&directory, &["fetch", "--unshallow", "--tags"]);
            Some(format!("the clone is shallow, so tags may be missing; run `{fetch}`, and then init again"))
        }
        GitPlace::Below(top) => Some(format!(
            "this is a directory of {}: releases, packages and workflows are those of the whole repository, so only {} is written here",
            top.display(),
            jobs::FILE
        )),
        GitPlace::WorkTree | GitPlace::Bare | GitPlace::OwnData => None,
    });
    remarks.extend(facts.versions.unusable_changelog.iter().map(|why| format!("no changelog is declared: {why}")));
    remarks.extend(release::undeclared_package(facts));
    remarks.extend(images::remarks(facts, project.tree));
    let is_new = |draft: &Drafted| matches!(draft.state, State::Missing | State::Outdated);
    if drafts.iter().any(|draft| workflows::is_action(&draft.file) && is_new(draft)) {
        remarks.extend(workflows::remark(project));
    }
    remarks.extend(project.member.into_iter().flat_map(|member| member.by_hand.iter().cloned()));
    if facts.groups.is_empty() {
        remarks.extend(project.tree.unread(&BUILD_FILES));
        let looked = "meson.build, CMakeLists.txt, configure.ac, a Makefile that compiles, Cargo.toml, tests of pytest, or \
                      files of CPAN such as Makefile.PL";
        remarks.push(format!(
            "no build system was found at the top of the project: {looked}; ci/jobs.yaml has to be written by hand, \
             such as `jobs: {{test: {{run: [./test.sh], tool: memcheck}}}}`"
        ));
    }
    remarks.iter().for_each(|remark| output::err(format_args!("note: {remark}")));
    for Drafted { file, text, state, .. } in drafts {
        match state {
            State::Missing if dry_run => {}
            State::Missing | State::Outdated => output::err(format_args!("wrote {file}")),
            State::Same => output::err(format_args!("{file} is as init would write it")),
            State::Different => {
                output::err(format_args!("{file} exists, and is kept as it is"));
                if let Some(section) = lacking_package(project, file, text) {
                    output::err(format_args!("it has no `deb`; for the Debian package, add this to it:\n\n{section}"));
                }
            }
        }
    }
    let missing = packages::missing(facts);
    if !missing.is_empty() {
        let install = hint::apt_get(["install"]).args(&missing);
        output::err(format_args!("programs that the jobs call are missing here; first run: {install}"));
    }
    if facts.groups.iter().flat_map(|group| &group.programs).any(|(program, _)| *program == "uv")
        && !exec::is_installed("uv")
    {
        output::err(format_args!("note: uv is missing here, and Debian has no package of it: pipx install uv"));
    }
    facts.groups.iter().filter_map(too_old).for_each(|why| output::err(format_args!("note: {why}")));
    packages::tell(&facts.packages);
    if dry_run {
        let new: Vec<&Drafted> = drafts.iter().filter(|draft| draft.state == State::Missing).collect();
        let files: Vec<String> =
            new.iter().map(|draft| format!("{} ({} lines)", draft.file, draft.text.lines().count())).collect();
        let files = if files.is_empty() { "nothing".to_owned() } else { files.join(", ") };
        output::err(format_args!("nothing was written; without --dry-run, init writes {files}"));
    }
    if !facts.groups.is_empty() {
        let next = match project.member {
            _ if dry_run => hint::drydock(&["init"]).to_string(),
            // The program that the project has from now on. An alias that has to be added by hand does not work yet.
            Some(member) if member.by_hand.is_empty() => format!("cargo {} ci", member.name),
            _ => hint::drydock(&["ci"]).to_string(),
        };
        output::err(format_args!("next: {next}"));
    }
}

/// The section `deb` that init would write, if a package is wanted and the project's own declaration of the release has none.
fn lacking_package(project: &Project, file: &str, drafted: &str) -> Option<String> {
    if !project.deb || file != release::FILE {
        return None;
    }
    let own = project.tree.text(file)?;
    let begins = |line: &str| line.starts_with("deb:");
    if own.lines().any(begins) {
        return None;
    }
    let lines: Vec<&str> = drafted.lines().collect();
    let at = lines.iter().position(|line| begins(line))?;
    // Its comments stand above it, and its lines are indented.
    let first = lines[..at].iter().rposition(|line| !line.starts_with('#')).map_or(0, |before| before + 1);
    let is_in = |line: &&&str| line.is_empty() || line.starts_with([' ', '#']);
    let length = 1 + lines[at + 1..].iter().take_while(is_in).count();
    Some(lines[first..at + length].join("\n").trim_end().to_owned())
}

/// Why the installed version of a program that the project demands does not suffice; none if it does, or is not known.
fn too_old(group: &Group) -> Option<String> {
    let (program, least) = group.least.as_ref()?;
    let said = exec::read(&[(*program).to_owned(), "--version".to_owned()], Path::new("/")).ok()?;
    let here = said.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let numbers = |text: &str| -> Vec<u64> { text.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    let (here_numbers, mut wanted) = (numbers(here), numbers(least));
    while wanted.last() == Some(&0) {
        wanted.pop();
    }
    (here_numbers < wanted)
        .then(|| format!("the project demands {program} {least}, and here is {here}; install a newer one first"))
}
