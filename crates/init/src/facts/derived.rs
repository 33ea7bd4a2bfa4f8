//! Files that a release has and git has not: what autoconf makes, and what rules of a Makefile make by a generator.

mod autoconf;
mod by_git;
mod version;

use std::collections::BTreeSet;

use super::make_rules::{self, Makefile};
use super::{Group, Saw, System};
use crate::tree::Tree;
use autoconf::Autoconf;
use drydock_base::exec;

/// A generator that is being drafted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GeneratorDraft {
    /// The key under `derived`.
    pub name: &'static str,
    /// What was seen, one sentence each.
    pub comments: Vec<String>,
    /// Its command.
    pub run: Vec<String>,
    /// Patterns of what it reads.
    pub inputs: Vec<String>,
    /// Patterns of what it writes.
    pub outputs: Vec<String>,
    /// Patterns of what it leaves behind.
    pub scratch: Vec<String>,
    /// Debian packages of the programs that it calls.
    pub needs: Vec<String>,
    /// True if what it writes names the versions of those programs.
    pub copies: bool,
}

/// A program that makes files for people or for a compiler, as recipes call it.
struct Program {
    /// Words of recipes that call it.
    words: &'static [&'static str],
    /// Its Debian package.
    package: &'static str,
}

const PROGRAMS: [Program; 18] = [
    Program { words: &["scdoc", "$(SCDOC)", "${SCDOC}"], package: "scdoc" },
    Program { words: &["lowdown", "$(LOWDOWN)"], package: "lowdown" },
    Program { words: &["pandoc", "$(PANDOC)", "${PANDOC}"], package: "pandoc" },
    Program { words: &["pod2man", "$(POD2MAN)", "${POD2MAN}"], package: "perl" },
    Program { words: &["ronn", "$(RONN)"], package: "ronn" },
    Program { words: &["asciidoctor", "$(ASCIIDOCTOR)"], package: "asciidoctor" },
    Program { words: &["a2x", "asciidoc", "$(A2X)", "$(ASCIIDOC)"], package: "asciidoc" },
    Program { words: &["go-md2man", "$(MD2MAN)"], package: "go-md2man" },
    Program { words: &["txt2man", "$(TXT2MAN)"], package: "txt2man" },
    Program { words: &["rst2man", "rst2man.py", "$(RST2MAN)"], package: "python3-docutils" },
    Program { words: &["bison", "$(BISON)", "${BISON}"], package: "bison" },
    Program { words: &["$(YACC)", "${YACC}", "yacc"], package: "bison" },
    Program { words: &["flex", "$(FLEX)", "${FLEX}", "$(LEX)", "${LEX}", "lex"], package: "flex" },
    Program { words: &["gperf", "$(GPERF)"], package: "gperf" },
    Program { words: &["re2c", "$(RE2C)"], package: "re2c" },
    Program { words: &["ragel", "$(RAGEL)"], package: "ragel" },
    Program { words: &["protoc", "$(PROTOC)"], package: "protobuf-compiler" },
    Program { words: &["protoc-c", "$(PROTOC_C)"], package: "protobuf-c-compiler" },
];

/// All generators of the build system that is declared first. `tag` is the pattern of the tags of releases.
pub(super) fn find(tree: &Tree, groups: &[Group], name: &str, tag: &str) -> Vec<GeneratorDraft> {
    let of_version = version::find(tree, name);
    // What makes `configure` finds the version in a file, or else it may ask git.
    let tag = Some(tag).filter(|_| of_version.is_none());
    let of_system = match groups.first().map(|group| (group.system, group)) {
        Some((System::Autotools, group)) => autoconf(tree, group, tag).into_iter().collect(),
        // A Makefile that a script of the project writes or configures makes nothing in fresh sources.
        Some((System::Make, group)) if !group.jobs.iter().any(|job| job.name == "configure") => {
            recipes(tree).into_iter().collect()
        }
        _ => Vec::new(),
    };
    of_version.into_iter().chain(of_system).collect()
}

/// A command that needs a shell.
fn in_shell(script: String) -> Vec<String> {
    ["sh".to_owned(), "-c".to_owned(), script].to_vec()
}

/// `configure` and what comes with it, where git has it not. `tag` is the pattern of tags for scripts that ask git for the version.
fn autoconf(tree: &Tree, group: &Group, tag: Option<&str>) -> Option<GeneratorDraft> {
    let bootstrap = group.jobs.iter().find(|job| job.name == "bootstrap")?;
    let path = tree.first(&["configure.ac", "configure.in"])?;
    let sources = Autoconf::read(tree, path);
    let outputs = sources.outputs();
    let Autoconf { text, makefiles, libtool, gettext, .. } = &sources;
    let mut inputs = vec![path.to_owned()];
    inputs.extend(makefiles.iter().cloned());
    inputs.extend(bootstrap.run.iter().filter_map(|word| word.strip_prefix("./")).map(str::to_owned));
    let mut needs: Vec<String> = vec!["autoconf".into(), "automake".into()];
    needs.extend(libtool.then(|| "libtool".to_owned()));
    needs.extend(gettext.then(|| "autopoint".to_owned()));
    needs.extend(sources.has(&["PKG_CHECK_MODULES", "PKG_PROG_PKG_CONFIG", "PKG_"]).then(|| "pkg-config".to_owned()));
    needs.extend(of_archive(tree, path).then(|| "autoconf-archive".to_owned()));
    let set = bootstrap.env.iter().map(|(name, value)| format!("{name}={value}"));
    let set: Vec<String> = ["env".to_owned()].into_iter().filter(|_| !bootstrap.env.is_empty()).chain(set).collect();
    let mut run: Vec<String> = set.into_iter().chain(bootstrap.run.iter().cloned()).collect();
    let by_script = !bootstrap.run.iter().any(|word| word == "autoreconf");
    if by_script {
        // automake and libtoolize leave links to their own files; sed writes a file in the place of each.
        let words = exec::paste(&run);
        run = in_shell(format!("{words} && find . -type l -lname '/*' -exec sed -i '' {{}} +"));
    }
    let dated = sources.mentions("AX_CODE_COVERAGE");
    if dated {
        let words = if by_script { run.pop().unwrap_or_default() } else { exec::paste(&run) };
        let files = "'(' -name aminclude_static.am -o -name Makefile.in ')'";
        let edit = "'s/^# from AX_AM_MACROS_STATIC on .*/# from AX_AM_MACROS_STATIC/'";
        run = in_shell(format!("{words} && find . {files} -exec sed -i {edit} {{}} +"));
    }
    let question = tag.and_then(|tag| Some((tag, by_git::question(tree, path, bootstrap)?)));
    if let Some((tag, _)) = &question {
        let words = if run.len() == 3 && run[1] == "-c" { run.pop().unwrap_or_default() } else { exec::paste(&run) };
        run = in_shell(by_git::in_repository(&words, tag));
        needs.push("git".to_owned());
    }
    let mut comments = bootstrap.comments.clone();
    comments.extend(dated.then(|| "AX_CODE_COVERAGE writes the date, which sed removes".to_owned()));
    comments
        .extend(by_script.then(|| "the links to files of automake that the script may leave become files".to_owned()));
    comments.extend(question.iter().map(|(_, (saw, _))| {
        format!("saw {saw}: it asks git for the version, so it runs in a repository whose only commit has the tag of the release")
    }));
    comments.push(
        "archives of autotools ship configure, so that who builds them needs neither autoconf nor automake".into(),
    );
    comments
        .push("copies: configure names the version of autoconf that wrote it, and many others in its comments".into());
    let mut scratch: Vec<String> = vec!["**/autom4te.cache/**".into(), "**/*~".into()];
    // Some scripts let git ignore what they make.
    let mut scripts = bootstrap.run.iter().filter_map(|word| tree.text(word.strip_prefix("./")?));
    scratch.extend(scripts.any(|text| text.contains("/.gitignore")).then(|| "**/.gitignore".to_owned()));
    if !group.jobs.iter().any(|job| job.name == "configure") {
        comments.push("the script runs `configure` too, whose results are not shipped".to_owned());
        scratch.extend(of_configure(text));
    }
    let left_behind = question.map(|(_, (_, scripts))| by_git::left_behind(tree, &scripts, &outputs));
    scratch.extend(left_behind.into_iter().flatten());
    Some(GeneratorDraft { name: "configure", comments, run, inputs, outputs, scratch, needs, copies: true })
}

/// What `configure` writes.
fn of_configure(text: &str) -> Vec<String> {
    let always = ["config.log", "config.status", "libtool", "**/stamp-h*", "**/.deps/**", "**/Makefile"];
    let headers = ["AC_CONFIG_HEADERS", "AC_CONFIG_HEADER", "AM_CONFIG_HEADER"].iter();
    let headers = headers.flat_map(|name| super::calls::calls(text, name)).filter_map(|call| {
        let list = call.arguments().into_iter().next()?;
        list.split_whitespace().next().map(str::to_owned)
    });
    let named = headers.chain(autoconf::config_files(text));
    let named = named.filter_map(|file| file.split(':').next().map(str::to_owned));
    let is_plain = |file: &String| file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/+".contains(&byte));
    let named = named.filter(|file| is_plain(file) && !file.is_empty() && !file.ends_with("Makefile"));
    always.into_iter().map(str::to_owned).chain(named).collect()
}

/// Files that git ignores, or at least does not have, and that a recipe of the Makefile makes by a known generator.
fn recipes(tree: &Tree) -> Option<GeneratorDraft> {
    let makefile = make_rules::read(tree, "")?;
    let ignored = tree.text(".gitignore").unwrap_or_default();
    let mut draft = GeneratorDraft { name: "generated", ..GeneratorDraft::default() };
    let mut inputs: BTreeSet<String> = BTreeSet::new();
    let mut needs: BTreeSet<&str> = BTreeSet::new();
    for (name, target) in &makefile.targets {
        let line = target.recipe.iter().find_map(|line| Some((line, program(line)?)));
        let Some((line, package)) = line else { continue };
        for (output, sources) in made(tree, &makefile, name, &target.needs) {
            let is_source = |source: &String| tree.has(source);
            if tree.has(&output) || draft.outputs.contains(&output) || !sources.iter().any(is_source) {
                continue;
            }
            // A prerequisite that is built would be compiled in the sources.
            if !sources.iter().all(is_source) {
                continue;
            }
            draft.outputs.push(output);
            inputs.extend(sources);
            needs.insert(package);
            let saw = Saw::line(&target.path, target.line, &format!("{} {line}", target.rule));
            let why = format!("saw {saw}");
            if !draft.comments.contains(&why) {
                draft.comments.push(why);
            }
        }
    }
    if draft.outputs.is_empty() {
        return None;
    }
    let matches = |path: &str| ignored.lines().any(|line| is_ignored(line, path));
    if let Some(first) = draft.outputs.iter().find(|path| matches(path)) {
        draft.comments.push(format!("saw .gitignore, which names {first}"));
    }
    draft.comments.push("a generator: the archive has what it makes, so that a builder does not need it".into());
    draft.run = ["make".to_owned()].into_iter().chain(draft.outputs.iter().cloned()).collect();
    inputs.extend(makefile.texts.iter().map(|(path, _)| path.clone()));
    draft.inputs = inputs.into_iter().collect();
    needs.insert("make");
    draft.needs = needs.into_iter().map(str::to_owned).collect();
    Some(draft)
}

/// True if a line of .gitignore names a path by its whole name or its extension.
fn is_ignored(line: &str, path: &str) -> bool {
    let line = line.trim().trim_start_matches('/');
    match line.strip_prefix('*') {
        Some(end) => !end.is_empty() && !end.contains('*') && path.ends_with(end),
        None => line == path || path.rsplit('/').next() == Some(line),
    }
}

/// True if a macro of autoconf-archive is called that the project has no copy of.
fn of_archive(tree: &Tree, path: &str) -> bool {
    let text = tree.text(path).unwrap_or_default();
    let code = text.lines().filter_map(|line| line.split(" dnl").next()).filter(|line| !line.starts_with("dnl"));
    let words = code.flat_map(|line| line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_'));
    let mut wanted: Vec<&str> = words.filter(|word| word.starts_with("AX_") && word.len() > 3).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let own: Vec<String> =
        tree.with_extension(&[".m4"]).filter_map(|path| tree.text(path)).chain([text.clone()]).collect();
    let is_own = |name: &&str| {
        let defined = [format!("AC_DEFUN([{name}]"), format!("AC_DEFUN_ONCE([{name}]")];
        own.iter().any(|text| defined.iter().any(|start| text.contains(start)))
    };
    wanted.iter().any(|name| !is_own(name))
}

/// The Debian package of the generator that a line of a recipe starts with.
fn program(line: &str) -> Option<&'static str> {
    let mut words = line.trim_start_matches(['@', '-', '+']).split_whitespace();
    let first = words.next()?;
    PROGRAMS.iter().find(|program| program.words.contains(&first)).map(|program| program.package)
}

/// The files that a rule makes, each with what it is made from. A pattern makes one of every source that fits it.
fn made(tree: &Tree, makefile: &Makefile, name: &str, needs: &[String]) -> Vec<(String, Vec<String>)> {
    let plain = |word: &str| !word.contains(['$', '%', '*']);
    // `.1.scd.1:` and `%.1: %.1.scd`.
    let (target, source) = match name.strip_prefix('.').and_then(|rest| rest.split_once('.')) {
        Some((from, to)) if !name.contains('/') && needs.is_empty() => (format!("%.{to}"), format!("%.{from}")),
        _ => match needs.first() {
            Some(first) if name.matches('%').count() == 1 && first.matches('%').count() == 1 => {
                (name.to_owned(), first.clone())
            }
            Some(_) if plain(name) && needs.iter().all(|need| plain(need)) => {
                return vec![(name.to_owned(), needs.to_vec())];
            }
            _ => return Vec::new(),
        },
    };
    let Some((start, end)) = source.split_once('%') else { return Vec::new() };
    let stems = tree.paths().filter(|path| !crate::tree::is_foreign(path));
    let stems = stems.filter_map(|path| path.strip_prefix(start)?.strip_suffix(end)).filter(|stem| !stem.is_empty());
    let all = stems.map(|stem| (target.replace('%', stem), vec![format!("{start}{stem}{end}")]));
    // Only what the Makefile names itself is made by somebody.
    let is_named = |output: &String| {
        let last = output.rsplit('/').next().unwrap_or(output);
        makefile.texts.iter().any(|(_, text)| text.contains(last))
    };
    all.filter(|(output, _)| is_named(output)).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, GitFacts};

    fn drafts<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Vec<GeneratorDraft> {
        Facts::find(&Tree::from_texts(texts), &GitFacts::default()).generators
    }

    #[test]
    fn recipes_of_known_generators_make_derived_files() {
        let makefile = "all: a lamp.1 parse.c\na: a.c\n\t$(CC) -o a a.c\n%.1: %.1.scd\n\tscdoc < $< > $@\n\
                        parse.c: parse.y\n\t@bison -o $@ $<\nnews.5: built\n\tpandoc built\nold.1: old.1.scd\n\t./scdoc <$<\n";
        let found = drafts([
            ("Makefile", makefile),
            ("a.c", ""),
            ("lamp.1.scd", ""),
            ("other.1.scd", ""),
            ("parse.y", ""),
            (".gitignore", "*.1\nparse.c\n"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].outputs, ["lamp.1", "parse.c"]);
        assert_eq!(found[0].inputs, ["Makefile", "lamp.1.scd", "parse.y"]);
        assert_eq!(found[0].needs, ["bison", "make", "scdoc"]);
        assert_eq!(found[0].run, ["make", "lamp.1", "parse.c"]);
        let tracked = [("Makefile", makefile), ("a.c", ""), ("lamp.1.scd", ""), ("lamp.1", "")];
        assert!(drafts(tracked).is_empty(), "it is in git");
    }

    #[test]
    fn what_autoconf_writes_is_derived_where_git_has_it_not() {
        let configure = "AC_INIT([a],[1.0])\nAC_CONFIG_AUX_DIR([build-aux])\nAC_CONFIG_MACRO_DIR([m4])\n\
                         AM_INIT_AUTOMAKE([foreign])\nLT_INIT\nAC_CONFIG_HEADERS([src/config.h\n  src/other.h])\n";
        let found = drafts([("configure.ac", configure), ("Makefile.am", ""), ("src/Makefile.am", "")]);
        assert_eq!(
            found[0].outputs,
            ["configure", "aclocal.m4", "Makefile.in", "src/Makefile.in", "src/config.h.in", "build-aux/*", "m4/*.m4"]
        );
        assert_eq!(found[0].needs, ["autoconf", "automake", "libtool"]);
        assert!(found[0].copies);
        // Macros of autoconf-archive may be copies in the project.
        let more = format!("{configure}AX_LAMP\n");
        let copy = ("m4/ax_lamp.m4", "AU_ALIAS([LAMP], [AX_LAMP])\nAC_DEFUN([AX_LAMP],[true])\n");
        let needs = |copy: &[(&'static str, &'static str)]| {
            drafts([("configure.ac", more.as_str())].into_iter().chain(copy.iter().copied()))[0].needs.clone()
        };
        assert_eq!(needs(&[]).last().unwrap(), "autoconf-archive");
        assert_eq!(needs(&[copy]).last().unwrap(), "libtool");
        assert!(drafts([("configure.ac", configure), ("configure", "#!/bin/sh\n")]).is_empty());
        let guarded = format!("{configure}m4_ifdef([AM_PROG_AR], [AM_PROG_AR])\nAX_CODE_COVERAGE()\ndnl AM_X\n")
            .replace("AC_CONFIG_AUX_DIR([build-aux])\n", "");
        let draft = drafts([("configure.ac", guarded.as_str()), ("Makefile.am", "")]).remove(0);
        let outputs = &draft.outputs;
        assert!(draft.run[2].starts_with("autoreconf --install && find . '('"), "{:?}", draft.run);
        assert!(
            ["ar-lib", "aminclude_static.am"].iter().all(|name| outputs.iter().any(|output| output == name)),
            "{outputs:?}"
        );
        // What it includes and git does not have, the script makes.
        let including = format!("m4_include([version.m4])\nm4_include([m4/own.m4])\n{configure}");
        let found = drafts([("configure.ac", including.as_str()), ("m4/own.m4", ""), ("autogen.sh", "#!/bin/sh\n")]);
        assert!(found[0].outputs.contains(&"version.m4".to_owned()), "{:?}", found[0].outputs);
        assert!(!found[0].outputs.contains(&"m4/own.m4".to_owned()));
        let configuring = ("autogen.sh", "#!/bin/sh\nautoreconf -i\n./configure \"$@\"\n");
        let files = format!("{configure}AC_CONFIG_FILES([Makefile lamp.pc])\n");
        let scratch = drafts([("configure.ac", files.as_str()), configuring])[0].scratch.clone();
        for left in ["config.status", "**/Makefile", "lamp.pc", "src/config.h"] {
            assert!(scratch.iter().any(|path| path == left), "{left}: {scratch:?}");
        }
        let ignoring = ("autogen.sh", "#!/bin/sh\nautoreconf -i\necho /libtool.m4 > m4/.gitignore\n");
        assert_eq!(drafts([("configure.ac", configure), ignoring])[0].scratch.last().unwrap(), "**/.gitignore");
    }
}
