//! Python: setuptools, extensions in C, pytest.

mod cython;
mod members;
mod poetry;
mod settings;
mod wanted;
mod workspace;

use super::super::jobs::JobDraft;
use super::super::{Saw, valgrind};
use super::{Group, System};
use crate::tree::Tree;
use wanted::wanted;
pub(super) use workspace::environment;
use workspace::of_members;

/// Names of directories of tests.
const DIRECTORIES: [&str; 3] = ["tests", "test", "testing"];

/// The directory that a package is installed in for its tests.
const INSTALLED: &str = "target/python";

/// `alone` is true if the project has no other build system; `others` are those that it has.
pub(super) fn find(tree: &Tree, alone: bool, others: &[Group]) -> Option<Group> {
    let manifest = tree.first(&["pyproject.toml", "setup.py", "setup.cfg"])?;
    let all: Vec<&str> = tree.with_extension(&[".py"]).filter(is_test).collect();
    let settings = settings::find(tree);
    let (at, first) = settings.as_ref().and_then(|settings| named(settings, &all)).or_else(|| suite(tree, &all))?;
    let is_named = at.rsplit('/').next().is_some_and(|name| DIRECTORIES.contains(&name));
    let extension = extension(tree);
    let mut jobs = Vec::new();
    let mut needs: Vec<String> = Vec::new();
    let source = if tree.has_directory("src") && tree.named("__init__.py").iter().any(|path| path.starts_with("src/")) {
        "src"
    } else {
        "."
    };
    let dependencies = dependencies(tree);
    let wanted = wanted(tree);
    let members = members::find(tree);
    // The environment of uv has the package with all that its tests need, and what a backend of its own makes.
    let by_uv = tree.has("uv.lock") && extension.as_ref().is_none_or(|(_, kind)| *kind == Extension::Backend);
    let is_installed =
        !by_uv && (extension.is_some() || alone && (dependencies.is_some() || wanted.is_some() || members.is_some()));
    // Tests inside of a package would find the package in the sources, which has no extension: those of the installed copy run.
    let package = if is_named { at.rsplit_once('/').map(|(package, _)| package) } else { Some(at.as_str()) };
    let is_inside = source == "." && package.is_some_and(|package| tree.has(&format!("{package}/__init__.py")));
    let is_moved = is_installed && is_inside;
    // What pytest leaves out in the sources, it leaves out in their copy, too.
    let ignored = settings.iter().flat_map(|settings| &settings.ignored).filter(|path| is_moved && is_below(path, &at));
    let ignored: Vec<String> = ignored.map(|path| format!("--ignore={INSTALLED}/{path}")).collect();
    let at = if is_moved { format!("{INSTALLED}/{at}") } else { at };
    if is_installed {
        let run = ["python3", "-m", "pip", "install", "--quiet", "--upgrade", "--target", INSTALLED];
        let words = run.map(str::to_owned).into_iter();
        let words = words.chain(wanted.iter().flat_map(|(words, _)| words.clone()));
        let own = wanted.as_ref().and_then(|(words, _)| words.iter().find(|word| word.starts_with(".[")));
        // Beside another build system, `build` is that one's.
        let name = if alone { "build" } else { "extension" };
        let before = if extension.is_some() { cython::before(tree) } else { cython::Before::default() };
        let own = match (&members, own) {
            (Some((members, _)), _) => members.clone(),
            (None, None) => vec![".".to_owned()],
            (None, Some(_)) => Vec::new(),
        };
        let job = JobDraft::command(name, words.chain(own)).within("1h");
        let mut job = before.prepare(job);
        jobs.extend(before.jobs);
        job.comments.extend(extension.iter().map(|(saw, kind)| match kind {
            Extension::Declared => format!("saw {saw}: an extension in C"),
            Extension::Backend => format!("saw {saw}: it builds an extension"),
        }));
        job.comments.extend(members.iter().map(|(_, saw)| format!("saw {saw}, and no package at the top")));
        job.comments.extend(dependencies.iter().map(|saw| format!("saw {saw}: packages that it needs")));
        job.comments.extend(wanted.iter().map(|(_, saw)| format!("saw {saw}: what its tests need")));
        job.comments.push(
            "pip builds with the versions that the project names, and installs in that directory only".to_owned(),
        );
        jobs.push(job);
        needs.push(name.to_owned());
    }
    if !alone {
        // The other build system makes what the tests start.
        if let Some(build) = others.first().and_then(|group| group.jobs.iter().find(|job| job.name == "build")) {
            needs.push(build.name.clone());
        }
    }
    let mut programs = vec![("python3", "python3"), ("pytest-3", "python3-pytest")];
    let compilers: &[_] = match backend(tree) {
        Some((System::Cargo, _)) => &[("cargo", "cargo"), ("gcc", "gcc")],
        _ if extension.is_some() => &[("gcc", "gcc")],
        _ => &[],
    };
    let locked = (!is_installed).then(|| environment(tree)).flatten();
    let has_environment = locked.is_some();
    if let Some(job) = locked {
        needs.push(job.name.clone());
        // Another build system may need it, too.
        let known = others.iter().flat_map(|group| &group.jobs).any(|other| *other == job);
        jobs.extend((!known).then_some(job));
        programs = vec![("python3", "python3"), ("uv", "pipx")];
    }
    programs.extend(is_installed.then_some(("pip3", "python3-pip")));
    programs.extend(compilers);
    let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
    let mut suite = JobDraft::suite("tests", "pytest", &at, &needs);
    suite.comments.push(format!("saw {}: pytest lists the tests, and each is a job", Saw::file(first)));
    if let (Some(list), Some(settings)) = (&mut suite.suite, settings.filter(|_| !ignored.is_empty())) {
        suite.comments.push(format!("saw {}, which leaves out the same files in the sources", settings.saw.path));
        list.args = ignored;
    }
    // The environment has the packages of the project, too.
    if !has_environment || source != "." {
        suite = suite.with_env("PYTHONPATH", if is_installed { INSTALLED } else { source });
        suite.comments.push("PYTHONPATH lets the tests find the package where it is".to_owned());
    }
    if extension.is_some() {
        let why = "an interpreter under memcheck takes half a minute a test, so they run without it; to check the extension, declare one \
                   job with `tool: memcheck` and `env: {PYTHONMALLOC: malloc}`";
        suite.comments.push(why.to_owned());
    } else if let Some(saw) = valgrind::find(tree).switch.filter(|_| !alone) {
        suite = under_valgrind(suite, &saw);
    }
    jobs.push(suite);
    if has_environment {
        jobs.extend(of_members(tree, &needs, &at));
    }
    Some(Group {
        system: System::Python,
        because: Saw::file(manifest).to_string(),
        jobs,
        has_tests: true,
        programs,
        least: None,
        directory: String::new(),
        build_release: Vec::new(),
    })
}

/// True if a path is this directory or file, or below it.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The directory with most of the tests of those that the project names for pytest, and the first test there.
fn named<'t>(settings: &settings::Settings, tests: &[&'t str]) -> Option<(String, &'t str)> {
    let below = |at: &str| tests.iter().copied().filter(|path| is_below(path, at)).collect::<Vec<_>>();
    let best = settings.paths.iter().max_by_key(|at| below(at).len())?;
    Some((best.clone(), below(best).first().copied()?))
}

/// The directory with most of the tests, and the first test there.
fn suite<'t>(tree: &Tree, tests: &[&'t str]) -> Option<(String, &'t str)> {
    let at = |path: &'t str| {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let parts: Vec<&str> = directory.split('/').collect();
        match parts.iter().position(|part| DIRECTORIES.contains(part)) {
            Some(last) => parts[..=last].join("/"),
            // Elsewhere, the package of the tests.
            None => path.split_once('/').map_or(path, |(top, _)| top).to_owned(),
        }
    };
    let mut found: Vec<(String, &str, usize)> = Vec::new();
    for &path in tests {
        let at = at(path);
        match found.iter_mut().find(|(known, ..)| *known == at) {
            Some((.., count)) => *count += 1,
            None => found.push((at, path, 1)),
        }
    }
    let is_named = |at: &str| at.rsplit('/').next().is_some_and(|name| DIRECTORIES.contains(&name));
    // A package's own tests are better than those of a directory such as `devel`.
    let is_package = |at: &str| tree.has(&format!("{at}/__init__.py"));
    let best =
        found.into_iter().min_by_key(|(at, _, count)| (!is_named(at), !is_package(at), std::cmp::Reverse(*count)));
    best.map(|(at, first, _)| (at, first))
}

/// True for a file that pytest searches.
fn is_test(path: &&str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    (name.starts_with("test_") || name.ends_with("_test.py")) && name.ends_with(".py")
}

/// A suite that starts programs under valgrind by itself.
fn under_valgrind(suite: JobDraft, saw: &Saw) -> JobDraft {
    let mut suite = suite.with_env("VALGRIND", "1").within("30m");
    suite.memcheck = true;
    suite.by_suite = true;
    suite.because(format!("saw {saw}: the suite starts its programs under valgrind itself"))
}

/// How an extension is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    /// By setuptools or the like, from sources that the project names in C or C++.
    Declared,
    /// By another build system, which the backend calls.
    Backend,
}

/// The backend that the package is built by, if that builds an extension with another build system, and where it is named.
pub(in crate::facts) fn backend(tree: &Tree) -> Option<(System, Saw)> {
    let path = "pyproject.toml";
    let text = tree.text(path)?;
    let manifest: toml::Table = text.parse().ok()?;
    let named = manifest.get("build-system")?.get("build-backend")?.as_str()?;
    let known = [
        ("maturin", System::Cargo),
        ("setuptools_rust", System::Cargo),
        ("mesonpy", System::Meson),
        ("scikit_build_core", System::Cmake),
        ("py_build_cmake", System::Cmake),
    ];
    let (_, system) = known.into_iter().find(|(name, _)| named.split('.').next() == Some(name))?;
    let line = text.lines().position(|line| line.trim_start().starts_with("build-backend")).map_or(1, |at| at + 1);
    Some((system, Saw::line(path, line, &format!("build-backend = \"{named}\""))))
}

/// Packages that only build extensions.
const OF_EXTENSIONS: [&str; 6] = ["cython", "cffi", "pybind11", "nanobind", "setuptools-rust", "mypyc"];

/// Where an extension is declared, and how it is built.
pub(super) fn extension(tree: &Tree) -> Option<(Saw, Extension)> {
    let words = ["Extension(", "ext-modules", "cffi_modules", "cythonize("];
    for path in ["setup.py", "pyproject.toml"] {
        let text = tree.text(path).unwrap_or_default();
        let found = text.lines().enumerate().find(|(_, line)| words.iter().any(|word| line.contains(word)));
        if let Some((number, line)) = found {
            return Some((Saw::line(path, number + 1, line), Extension::Declared));
        }
    }
    if let Some((_, saw)) = backend(tree) {
        return Some((saw, Extension::Backend));
    }
    // Where setup.py takes its arguments from elsewhere, what the build requires says enough.
    let path = "pyproject.toml";
    let text = tree.text(path).unwrap_or_default();
    let manifest: toml::Table = text.parse().unwrap_or_default();
    let requires = manifest.get("build-system").and_then(|table| table.get("requires")).and_then(toml::Value::as_array);
    let name = |word: &str| {
        let end = word.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter));
        word[..end.unwrap_or(word.len())].to_ascii_lowercase().replace('_', "-")
    };
    let mut named = requires.into_iter().flatten().filter_map(toml::Value::as_str);
    if let Some(word) = named.find(|word| OF_EXTENSIONS.contains(&name(word).as_str())) {
        let line = text.lines().position(|line| line.contains(word)).map_or(1, |at| at + 1);
        return Some((Saw::line(path, line, &format!("requires = [\"{word}\"]")), Extension::Declared));
    }
    // A backend of the project's own makes them.
    if let Some(path) = tree.with_extension(&[".pyx"]).find(|path| !super::part::is_beside(path)) {
        return Some((Saw::file(path), Extension::Declared));
    }
    // `setup` of scikit-build calls CMake.
    let text = tree.text("setup.py").unwrap_or_default();
    let (number, line) = text.lines().enumerate().find(|(_, line)| line.starts_with("from skbuild import"))?;
    Some((Saw::line("setup.py", number + 1, line), Extension::Backend))
}

/// Where packages are declared that the project needs when it runs.
fn dependencies(tree: &Tree) -> Option<Saw> {
    of_manifest(tree).or_else(|| of_setup(tree))
}

/// The same of setup.cfg and setup.py.
fn of_setup(tree: &Tree) -> Option<Saw> {
    ["setup.cfg", "setup.py"].into_iter().find_map(|path| {
        let text = tree.text(path)?;
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| {
            line.split('=').next().is_some_and(|key| key.trim_start().trim_end().ends_with("install_requires"))
        })?;
        let value = lines[at].split_once("install_requires")?.1.trim_start().strip_prefix('=')?.trim();
        let next = lines.get(at + 1).copied().unwrap_or_default();
        let is_empty = match path {
            "setup.cfg" => value.is_empty() && (next.trim().is_empty() || !next.starts_with([' ', '\t'])),
            _ => value.starts_with("[]") || value.starts_with("()"),
        };
        (!is_empty).then(|| Saw::line(path, at + 1, lines[at]))
    })
}

/// The same of pyproject.toml.
fn of_manifest(tree: &Tree) -> Option<Saw> {
    let path = "pyproject.toml";
    let text = tree.text(path)?;
    let manifest: toml::Table = text.parse().ok()?;
    let tool = || manifest.get("tool")?.get("poetry")?.get("dependencies")?.as_table();
    let is_package = |(name, _): &(&String, &toml::Value)| *name != "python";
    if let Some(package) = tool().and_then(|table| table.iter().find(is_package)) {
        let header = "[tool.poetry.dependencies]";
        let line = text.lines().position(|line| line.trim() == header).map_or(1, |at| at + 1);
        return Some(Saw::line(path, line, &format!("{header} {}", package.0)));
    }
    let declared = manifest.get("project")?.get("dependencies")?.as_array()?;
    let line = text.lines().position(|line| line.trim_start().starts_with("dependencies")).map_or(1, |at| at + 1);
    (!declared.is_empty()).then(|| Saw::line(path, line, "dependencies = […]"))
}

#[cfg(test)]
mod tests {
    use super::workspace::ENVIRONMENT;
    use super::*;

    fn jobs(texts: &[(&str, &str)], alone: bool) -> Vec<JobDraft> {
        find(&Tree::from_texts(texts.iter().copied()), alone, &[]).unwrap().jobs
    }

    #[test]
    fn the_suite_is_the_directory_with_most_tests_wherever_it_is() {
        for (paths, expected) in [
            (&["bench/test_a.py", "tests/test_b.py"][..], "tests"),
            (&["python/tests/a_test.py", "tests/x.py"], "python/tests"),
            (&["testing/test_a.py", "testing/test_b.py", "src/c/test_c.py"], "testing"),
            (&["lamp/tests/test_a.py", "lamp/tests/x/test_b.py"], "lamp/tests"),
            (&["test_a.py"], "test_a.py"),
            (&["devel/test_a.py", "devel/test_b.py", "lamp/__init__.py", "lamp/test_c.py"], "lamp"),
            (&["bench/test_a.py", "lamp/tests/__init__.py", "tests/test_b.py", "tests/test_c.py"], "tests"),
        ] {
            let texts: Vec<(&str, &str)> = paths.iter().map(|path| (*path, "")).chain([("setup.py", "")]).collect();
            let suite = jobs(&texts, true).pop().unwrap().suite.unwrap();
            assert_eq!(suite.at, expected, "{paths:?}");
        }
    }

    #[test]
    fn uv_installs_all_packages_of_a_workspace() {
        let sync = |pyproject: &str, lock: &[(&str, &str)]| {
            let texts: Vec<(&str, &str)> = [("pyproject.toml", pyproject), ("tests/test_a.py", "")]
                .into_iter()
                .chain(lock.iter().copied())
                .collect();
            jobs(&texts, true).iter().find(|job| job.name == ENVIRONMENT).map(|job| job.run.join(" "))
        };
        let lock = [("uv.lock", "")];
        let words = "uv sync --frozen --all-extras --all-groups";
        let workspace = "[project]\nname = \"p\"\n[tool.uv.workspace]\nmembers = [\"one\"]\n";
        assert_eq!(sync(workspace, &lock), Some(format!("{words} --all-packages")));
        assert_eq!(sync("[project]\nname = \"p\"\n", &lock).as_deref(), Some(words));
        assert_eq!(sync(workspace, &[]), None);
    }

    #[test]
    fn what_the_tests_need_is_installed_with_the_project() {
        let installed = |pyproject: &str, more: &[(&str, &str)]| {
            let texts: Vec<(&str, &str)> = [("pyproject.toml", pyproject), ("tests/test_a.py", "")]
                .into_iter()
                .chain(more.iter().copied())
                .collect();
            let jobs = jobs(&texts, true);
            jobs.first().map(|job| job.run.iter().skip(8).cloned().collect::<Vec<_>>().join(" ")).unwrap_or_default()
        };
        let extra = "[project]\nname = \"p\"\n[project.optional-dependencies]\ntests = [\"hypothesis\"]\n";
        assert_eq!(installed(extra, &[]), ".[tests]");
        let workflow = |text| [(".github/workflows/a.yml", text)];
        assert_eq!(installed(extra, &workflow("- run: pip install -e '.[tests,more]' # all\n")), ".[tests,more]");
        assert_eq!(installed(extra, &workflow("- run: pip install .[docs] .[tests,${{ matrix.x }}]\n")), ".[tests]");
        let group =
            "[dependency-groups]\nbase = [\"hypothesis\"]\ntests = [{ include-group = \"base\" }, \"pympler\"]\n";
        assert_eq!(installed(group, &[]), "hypothesis pympler .");
        assert_eq!(installed("", &[("requirements/tests.txt", "")]), "-r requirements/tests.txt .");
        assert_eq!(installed("", &[("requirements/pytest.txt", "")]), "-r requirements/pytest.txt .");
        let of_developers = |text| [("requirements-dev.txt", text)];
        assert_eq!(installed("", &of_developers("six\npytest >= 3.0\n")), "-r requirements-dev.txt .");
        assert_eq!(installed("", &of_developers("ruff\n")), "");
        assert_eq!(installed("", &[("setup.cfg", "[options]\ninstall_requires =\n    six >= 1.5\n")]), ".");
        assert_eq!(installed("", &[("setup.cfg", "[options]\ninstall_requires =\nzip_safe = True\n")]), "");
        assert_eq!(installed("", &[("setup.py", "setup(install_requires=[\"six\"])\n")]), ".");
        assert_eq!(installed("", &[("setup.py", "setup(install_requires=[])\n")]), "");
        assert_eq!(installed("[dependency-groups]\ndev = [\"ruff\"]\n", &[]), "");
        assert_eq!(installed("[dependency-groups]\ndev = [\"pytest-mock\"]\n", &[]), "pytest-mock .");
        let poetry = "[tool.poetry.group.test.dependencies]\nvirtualenv = \">=20\"\n";
        assert_eq!(installed(poetry, &[]), "virtualenv>=20 .");
        assert_eq!(installed("[tool.poetry.dependencies]\npython = \"*\"\nattrs = \"*\"\n", &[]), ".");
        let setup = "tests = [\"psutil\"]\nsetup(\n    extras_require={\n        'tests': tests,\n    },\n)\n";
        assert_eq!(installed("", &[("setup.py", setup)]), ".[tests]");
        let setup = "[options.extras_require]\ntesting =\n    psutil\n[other]\ntests = x\n";
        assert_eq!(installed("", &[("setup.cfg", setup)]), ".[testing]");
        assert_eq!(installed("", &[("setup.cfg", "[options.extras_require]\ndocs = sphinx\n[x]\ntests = x\n")]), "");
        let hatch = "[tool.hatch.envs.hatch-test]\nextra-dependencies = [\"trustme\"]\n";
        assert_eq!(installed(hatch, &[]), "trustme .");
    }

    #[test]
    fn a_lock_of_uv_makes_the_environment_of_packages_with_dependencies() {
        let manifest = "[project]\ndependencies = [\"attrs\"]\n[build-system]\nbuild-backend = \"maturin\"\n";
        let texts = [("pyproject.toml", manifest), ("tests/test_a.py", ""), ("uv.lock", "")];
        let group = find(&Tree::from_texts(texts), true, &[]).unwrap();
        assert!(group.programs.contains(&("cargo", "cargo")), "{:?}", group.programs);
        let names = |texts: &[(&str, &str)]| {
            jobs(texts, true).into_iter().map(|job| (job.name, job.run.first().cloned())).collect::<Vec<_>>()
        };
        let suite = ("tests".to_owned(), None);
        assert_eq!(names(&texts), [(ENVIRONMENT.to_owned(), Some("uv".to_owned())), suite.clone()]);
        assert_eq!(names(&texts[..2]), [("build".to_owned(), Some("python3".to_owned())), suite]);
    }

    #[test]
    fn what_the_project_tells_pytest_holds_for_the_installed_copy() {
        let suite = |ini: &str| {
            let texts = [
                ("pytest.ini", ini),
                ("setup.py", "Extension(\"_lamp\")\n"),
                ("lamp/__init__.py", ""),
                ("lamp/test_a.py", ""),
                ("lamp/test_free.py", ""),
                ("tests/test_b.py", ""),
            ];
            jobs(&texts, true).pop().unwrap().suite.unwrap()
        };
        let found = suite("[pytest]\ntestpaths = lamp\naddopts = --ignore=lamp/test_free.py\n");
        assert_eq!(found.at, "target/python/lamp");
        assert_eq!(found.args, ["--ignore=target/python/lamp/test_free.py"]);
        let found = suite("[pytest]\naddopts = --ignore=lamp/test_free.py\n");
        assert_eq!((found.at.as_str(), found.args.len()), ("tests", 0));
    }

    #[test]
    fn what_the_build_requires_tells_of_an_extension() {
        let installs = |requires: &str| {
            let manifest = format!("[build-system]\nrequires = [{requires}]\n");
            let texts = [
                ("pyproject.toml", manifest.as_str()),
                ("setup.py", "setup(**extra())\n"),
                ("src/lamp/tests/test_a.py", ""),
            ];
            jobs(&texts, true)[0].comments.iter().any(|why| why.ends_with("an extension in C"))
        };
        assert!(installs("\"Cython>=3.2.5\", \"setuptools\"") && installs("\"cffi; platform_system != 'x'\""));
        assert!(!installs("\"setuptools\", \"cython-lint\""));
        assert!(extension(&Tree::from_texts([("lamp/_lamp.pyx", ""), ("pyproject.toml", "")])).is_some());
        assert!(extension(&Tree::from_texts([("tests/a.pyx", ""), ("pyproject.toml", "")])).is_none());
    }

    #[test]
    fn an_extension_is_built_beside_another_build_system_too() {
        let texts = [("setup.py", "Extension(\"_lamp\")\n"), ("python/tests/a_test.py", ""), ("python/lamp.py", "")];
        let all = jobs(&texts, false);
        assert_eq!(all[0].run[..4], ["python3", "-m", "pip", "install"]);
        assert_eq!(all[1].env, [("PYTHONPATH".to_owned(), INSTALLED.to_owned())]);
    }
}
