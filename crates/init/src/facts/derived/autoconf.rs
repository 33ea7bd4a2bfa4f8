//! What autoconf, automake and what belongs to them write, by what `configure.ac` and the files of automake say.

use super::super::calls::calls;
use crate::tree::Tree;

/// A `configure.ac` with the files of automake that it makes Makefiles of.
pub(super) struct Autoconf<'t> {
    tree: &'t Tree,
    /// Its text.
    pub(super) text: String,
    /// The files of automake.
    pub(super) makefiles: Vec<String>,
    /// Their texts.
    texts: Vec<String>,
    /// True if it calls libtool.
    pub(super) libtool: bool,
    /// True if it calls gettext.
    pub(super) gettext: bool,
}

impl<'t> Autoconf<'t> {
    pub(super) fn read(tree: &'t Tree, path: &str) -> Autoconf<'t> {
        let text = tree.text(path).unwrap_or_default();
        let makefiles = configured(tree, &text);
        let texts = makefiles.iter().filter_map(|path| tree.text(path)).collect();
        let mut found = Autoconf { tree, text, makefiles, texts, libtool: false, gettext: false };
        found.libtool = found.has(&["LT_INIT", "AC_PROG_LIBTOOL", "AM_PROG_LIBTOOL", "LT_CONFIG_LTDL_DIR"]);
        found.gettext = found.has(&["AM_GNU_GETTEXT"]);
        found
    }

    /// True if it calls one of these macros at the beginning of a line.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        let is_call = |line: &str| {
            let line = line.trim_start();
            !line.starts_with("dnl") && !line.starts_with('#') && names.iter().any(|name| line.starts_with(name))
        };
        self.text.lines().any(is_call)
    }

    /// True if it has this word anywhere outside of comments.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.text.lines().filter(|line| !line.trim_start().starts_with("dnl")).any(|line| line.contains(name))
    }

    /// The first argument of a macro, without brackets.
    fn argument(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| {
            let call = calls(&self.text, name).into_iter().next()?;
            call.arguments()
                .into_iter()
                .next()
                .filter(|argument| !argument.is_empty() && !argument.contains(['$', ' ']))
        })
    }

    /// Patterns of what is written, also in the directories that have a `configure.ac` of their own.
    pub(super) fn outputs(&self) -> Vec<String> {
        let mut outputs = self.own_outputs();
        for directory in calls(&self.text, "AC_CONFIG_SUBDIRS").into_iter().flat_map(|call| words(&call.arguments())) {
            if !self.tree.has(&format!("{directory}/configure.ac")) || self.tree.has(&format!("{directory}/configure"))
            {
                continue;
            }
            let below = self.tree.below(&directory);
            let nested = Autoconf::read(&below, "configure.ac").own_outputs();
            outputs.extend(nested.into_iter().map(|path| format!("{directory}/{path}")));
        }
        outputs
    }

    fn own_outputs(&self) -> Vec<String> {
        let Autoconf { tree, texts, makefiles, libtool, gettext, .. } = self;
        let (libtool, gettext) = (*libtool, *gettext);
        let has = |names: &[&str]| self.has(names);
        let mentions = |name: &str| self.mentions(name);
        let says = |word: &str| texts.iter().any(|text| text.contains(word));
        let automake = has(&["AM_INIT_AUTOMAKE"]);
        let options = calls(&self.text, "AM_INIT_AUTOMAKE").first().map(|call| call.inside.clone()).unwrap_or_default();
        let is_foreign = options.contains("foreign") || says("foreign");
        let mut outputs: Vec<String> = vec!["configure".into(), "aclocal.m4".into()];
        if automake {
            let at = |makefile: &String| makefile.replace(".am", ".in");
            outputs.extend(makefiles.iter().map(at));
        }
        // A template that autoheader writes.
        if let Some(header) = first_header(&self.text) {
            let template = header.split_once(':').map_or_else(|| format!("{header}.in"), |(_, input)| input.to_owned());
            outputs.push(template);
        }
        let compiles = says("_SOURCES") || says("_PROGRAMS") || says("LIBRARIES");
        let helpers = [
            (automake, "install-sh"),
            (automake, "missing"),
            (automake && has(&["AC_PROG_CC", "AM_PROG_CC_C_O"]), "compile"),
            (automake && compiles && !options.contains("no-dependencies"), "depcomp"),
            (libtool || has(&["AC_CANONICAL_", "AC_CANONICAL"]), "config.guess"),
            (libtool || has(&["AC_CANONICAL_", "AC_CANONICAL"]), "config.sub"),
            (libtool, "ltmain.sh"),
            // Usually within `m4_ifdef`.
            (automake && mentions("AM_PROG_AR"), "ar-lib"),
            (automake && texts.iter().any(|text| runs_tests(text)) && !options.contains("serial-tests"), "test-driver"),
            (automake && (says(".y ") || says(".l ") || says(".y\n") || says(".l\n")), "ylwrap"),
            (automake && has(&["AM_PATH_PYTHON"]) && says("_PYTHON"), "py-compile"),
            (automake && says("info_TEXINFOS"), "texinfo.tex"),
            (gettext, "config.rpath"),
        ];
        match self.argument(&["AC_CONFIG_AUX_DIR"]).filter(|directory| directory != ".") {
            Some(directory) if helpers.iter().any(|(wanted, _)| *wanted) => outputs.push(format!("{directory}/*")),
            _ => outputs.extend(helpers.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| (*name).to_owned())),
        }
        if automake && !is_foreign {
            outputs.extend(["INSTALL", "COPYING"].map(str::to_owned));
        }
        let macros = self.argument(&["AC_CONFIG_MACRO_DIRS", "AC_CONFIG_MACRO_DIR"]).or_else(|| {
            let of_automake = tree.text("Makefile.am").unwrap_or_default();
            let flags = of_automake.lines().find_map(|line| line.strip_prefix("ACLOCAL_AMFLAGS"))?.to_owned();
            flags.split_whitespace().skip_while(|word| *word != "-I").nth(1).map(str::to_owned)
        });
        if let (true, Some(directory)) = (libtool || gettext, macros) {
            outputs.push(format!("{directory}/*.m4"));
        }
        outputs.extend(mentions("AX_CODE_COVERAGE").then(|| "aminclude_static.am".to_owned()));
        let included = included(tree, &self.text);
        outputs.extend(included);
        if gettext {
            outputs.push("po/*".into());
            outputs.push("ABOUT-NLS".into());
        }
        // What is in git already is nobody's output.
        outputs.retain(|path| path.contains('*') || !tree.has(path));
        outputs
    }
}

/// The words of the first argument.
fn words(arguments: &[String]) -> Vec<String> {
    arguments.first().map(|list| list.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// The files that `configure` makes of templates, as it names them.
pub(super) fn config_files(text: &str) -> Vec<String> {
    let macros = ["AC_CONFIG_FILES", "AC_OUTPUT"];
    macros.iter().flat_map(|name| calls(text, name)).flat_map(|call| words(&call.arguments())).collect()
}

/// The files of automake that `configure` makes Makefiles of; all if that cannot be read.
fn configured(tree: &Tree, text: &str) -> Vec<String> {
    let all: Vec<String> =
        ["Makefile.am", "GNUmakefile.am"].iter().flat_map(|name| tree.named(name)).map(str::to_owned).collect();
    let files = config_files(text);
    let is_plain = |file: &String| !file.contains(['$', '(', '[', '@']);
    if !files.iter().any(|file| file.ends_with("akefile")) || !files.iter().all(is_plain) {
        return all;
    }
    let is_made = |path: &String| files.iter().any(|file| file.split(':').next() == path.strip_suffix(".am"));
    all.into_iter().filter(is_made).collect()
}

/// The first of the headers that configure makes: only its template comes from autoheader.
fn first_header(text: &str) -> Option<String> {
    ["AC_CONFIG_HEADERS", "AC_CONFIG_HEADER", "AM_CONFIG_HEADER"].iter().find_map(|name| {
        let call = calls(text, name).into_iter().next()?;
        let first = call.arguments().into_iter().next()?.split_whitespace().next()?.to_owned();
        (!first.contains('$')).then_some(first)
    })
}

/// Files that `configure.ac` includes and git does not have, so that the script makes them.
fn included(tree: &Tree, text: &str) -> Vec<String> {
    let files = calls(text, "m4_include").into_iter().filter_map(|call| call.arguments().into_iter().next());
    let is_plain = |file: &str| file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    files.filter(|file| is_plain(file) && !file.starts_with('/') && !file.is_empty() && !tree.has(file)).collect()
}

/// True if a Makefile.am has tests.
fn runs_tests(text: &str) -> bool {
    text.lines().any(|line| line.split(['=', '+']).next().is_some_and(|name| name.trim() == "TESTS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_configured_is_made_also_in_directories_with_a_configure_of_their_own() {
        let top = "AC_INIT([a],[1.0])\nAM_INIT_AUTOMAKE([foreign])\nAC_CONFIG_FILES([Makefile\n  lib/Makefile])\nAC_CONFIG_SUBDIRS([doc])\nAC_OUTPUT\n";
        let doc = "AC_INIT([d],[1.0])\nAM_INIT_AUTOMAKE([foreign])\nAC_CONFIG_AUX_DIR([build-aux])\nAC_CONFIG_FILES([Makefile])\n";
        let files = [
            ("configure.ac", top),
            ("Makefile.am", ""),
            ("lib/Makefile.am", ""),
            ("copy/Makefile.am", "TESTS = a\n"),
            ("copy/configure.ac", doc),
            ("doc/configure.ac", doc),
            ("doc/Makefile.am", ""),
        ];
        let tree = Tree::from_texts(files);
        let found = Autoconf::read(&tree, "configure.ac").outputs();
        for expected in ["lib/Makefile.in", "doc/configure", "doc/aclocal.m4", "doc/Makefile.in", "doc/build-aux/*"] {
            assert!(found.iter().any(|path| path == expected), "{expected}: {found:?}");
        }
        assert!(!found.iter().any(|path| path.starts_with("copy/") || path == "test-driver"), "{found:?}");
    }
}
