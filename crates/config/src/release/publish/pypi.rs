//! The target `pypi`: packages of Python, and the indexes that releases and candidates go to.

use crate::decode::{Spanned, declaration};
use crate::diagnostic::{Place, Problem, Problems};
use crate::release::words::{Text, inside};
use drydock_base::text::quoted;

declaration! {
    /// Packages of Python. They are built with the release and listed in `SHA256SUMS`, so that signatures cover them.
    pub(in crate) struct PypiDeclaration {
        /// The directories of the packages, relative to the project, each with a `pyproject.toml`; `.` is the project itself.
        packages: Spanned<Vec<Text>>,
        /// The user name at the indexes.
        login: Text = Spanned::unwritten("__token__".to_owned()),
        /// The index that releases go to, with the password in the variable PYPI_TOKEN. Default: PyPI.
        index: Option<Spanned<IndexDeclaration>>,
        /// The index that candidates go to, with the password in the variable TESTPYPI_TOKEN. Default: TestPyPI.
        candidates: Option<Spanned<IndexDeclaration>>,
    }
}

declaration! {
    /// An index of Python packages.
    pub(in crate) struct IndexDeclaration {
        /// The URL that twine uploads to.
        upload: Text,
        /// The URL of its simple API (PEP 503 or 691), from which pip installs.
        simple: Text,
    }
}

/// Packages of Python, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PypiTarget {
    /// The directories of the packages, at least one, relative to the project.
    pub packages: Vec<String>,
    /// The user name at the indexes.
    pub login: String,
    /// The index that releases go to.
    pub index: PythonIndex,
    /// The index that candidates go to.
    pub candidates: PythonIndex,
}

/// An index of Python packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonIndex {
    /// The variable with the password.
    pub variable: &'static str,
    /// The URL that twine uploads to.
    pub upload: String,
    /// The URL of its simple API, with `/` at its end.
    pub simple: String,
}

impl PythonIndex {
    fn standard(variable: &'static str, upload: &str, simple: &str) -> PythonIndex {
        PythonIndex { variable, upload: upload.to_owned(), simple: simple.to_owned() }
    }

    /// pypi.org.
    fn pypi() -> PythonIndex {
        PythonIndex::standard("PYPI_TOKEN", "https://upload.pypi.org/legacy/", "https://pypi.org/simple/")
    }

    /// test.pypi.org, whose content is deleted from time to time.
    fn test_pypi() -> PythonIndex {
        PythonIndex::standard("TESTPYPI_TOKEN", "https://test.pypi.org/legacy/", "https://test.pypi.org/simple/")
    }
}

/// Resolves the target; problems are added to `problems`.
pub(super) fn resolve(declared: PypiDeclaration, problems: &mut Problems) -> Option<PypiTarget> {
    let PypiDeclaration { packages, login, index, candidates } = declared;
    let list = packages.value?;
    if list.is_empty() {
        let problem = Problem::new(packages.place, "`packages` is empty");
        problems.push(problem.expected("the directories of packages, such as `[python]`"));
    }
    let mut directories: Vec<String> = Vec::new();
    for text in &list {
        let Some(path) = inside(text, problems) else { continue };
        let path = path.trim_end_matches('/').to_owned();
        if path.ends_with("pyproject.toml") {
            let problem = Problem::new(text.place, format!("{} is not a directory", quoted(&path)));
            problems.push(problem.expected("the directory with the `pyproject.toml`"));
        }
        if directories.contains(&path) {
            problems.push(Problem::new(text.place, format!("the package {} is named twice", quoted(&path))));
        }
        directories.push(path);
    }
    let place = login.place;
    let login = login.value?;
    if login.is_empty() || login.chars().any(|letter| letter.is_control() || letter == ':') {
        problems.push(Problem::new(place, format!("{} is not a user name", quoted(&login))));
    }
    let standard = PythonIndex::pypi();
    let index = index.map_or(Some(standard.clone()), |declared| own(declared, standard, problems))?;
    let standard = PythonIndex::test_pypi();
    let candidates_place = candidates.as_ref().map(|declared| declared.place);
    let candidates = candidates.map_or(Some(standard.clone()), |declared| own(declared, standard, problems))?;
    if index.upload == candidates.upload {
        let problem = Problem::new(candidates_place.unwrap_or(place), "candidates go to the index of releases");
        problems.push(problem.help("declare another index under `candidates`, such as that of a test server"));
    }
    Some(PypiTarget { packages: directories, login, index, candidates })
}

/// A declared index, with the variable of the standard one.
fn own(declared: Spanned<IndexDeclaration>, standard: PythonIndex, problems: &mut Problems) -> Option<PythonIndex> {
    let IndexDeclaration { upload, simple } = declared.value?;
    let mut url = |text: Text| {
        let shown = text.value?;
        check_url(&shown, text.place, problems);
        Some(shown)
    };
    let (upload, simple) = (url(upload)?, url(simple)?);
    Some(PythonIndex { variable: standard.variable, upload, simple: format!("{}/", simple.trim_end_matches('/')) })
}

/// A password goes to it, so it must be encrypted unless it is on this machine.
fn check_url(text: &str, place: Place, problems: &mut Problems) {
    let local = ["127.0.0.1", "localhost", "[::1]"];
    let is_local = text.strip_prefix("http://").is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        local.iter().any(|name| host == *name || host.strip_prefix(name).is_some_and(|port| port.starts_with(':')))
    });
    let is_plain = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '@');
    if !is_plain || !(text.starts_with("https://") || is_local) {
        let problem = Problem::new(place, format!("{} is not the URL of an index", quoted(text)));
        problems.push(problem.expected("`https://…`, without a user name: the password is in a variable"));
    }
}
