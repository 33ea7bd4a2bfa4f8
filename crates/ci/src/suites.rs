//! Test suites as they are: the tests that CTest, Meson, automake, pytest, Cargo and TAP programs list, with their
//! properties, read from what these tools write for programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use drydock_base::exec::{self, Bounds, Contained};
use drydock_base::units::ByteSize;
use drydock_config::jobs::{Job, ListedTest, SuiteKind, TestSource};
use drydock_config::template::Values;

mod automake;
mod cargo;
mod ctest;
mod environment;
mod make;
mod meson;
mod nextest;
mod pytest;
mod tap;

/// The most that a command that lists tests may print.
const MOST_LISTED: ByteSize = ByteSize::mib(64);

/// The directory of a virtual environment, by the convention of uv, Poetry and venv.
const VENV: &str = ".venv";

/// The reason why the tests of a suite cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The build directory or the file of the declaration is not there.
    #[error("{} does not exist; let a job build it, and name that job in `after`", .0.display())]
    Missing(PathBuf),
    /// The command that lists them failed.
    #[error(transparent)]
    Command(#[from] exec::Error),
    /// The list cannot be understood.
    #[error("{command} printed a list that cannot be read: {problem}")]
    Malformed {
        /// The command.
        command: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The list is empty: nothing would be tested.
    #[error("{0} lists no tests")]
    Empty(String),
    /// Tests are listed, but their programs are not built.
    #[error("the program of the test `{test}` is not built; let a job build it, and name that job in `after`")]
    NotBuilt {
        /// The first of them.
        test: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use {}: {}", path.display(), exec::plain(error))]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: std::io::Error,
    },
}

/// The suite that is listed.
struct Context<'a> {
    source: &'a TestSource,
    project: &'a Path,
    /// The directory that the job declares.
    directory: PathBuf,
    /// Variables that the job sets.
    env: BTreeMap<String, String>,
    pass_env: &'a [String],
    bounds: Bounds,
}

/// The tests of a suite, in its order.
///
/// # Errors
/// The suite is not built, or its list is empty or cannot be read.
pub fn list(job: &Job, source: &TestSource, project: &Path) -> Result<Vec<ListedTest>, ListError> {
    let values = Values { item: None, name: job.name.to_string(), jobs: 1 };
    let context = Context {
        source,
        project,
        // Without a `.` in it: the variables of a virtual environment name it.
        directory: project.join(job.directory.render(&values)).components().collect(),
        env: job.env.iter().map(|(name, value)| (name.clone(), value.render(&values))).collect(),
        pass_env: &job.pass_env,
        bounds: Bounds { output: MOST_LISTED, time: job.timeout },
    };
    let tests = match source.kind {
        SuiteKind::Ctest => ctest::list(&context),
        SuiteKind::Meson => meson::list(&context),
        SuiteKind::Automake => automake::list(&context),
        SuiteKind::Pytest => pytest::list(&context),
        SuiteKind::CargoTest => cargo::list(&context),
        SuiteKind::Tap => tap::list(&context),
        SuiteKind::Make => make::list(&context),
    }?;
    if tests.is_empty() {
        return Err(ListError::Empty(format!("`{}: {}`", source.kind.word(), source.at)));
    }
    Ok(tests.into_iter().map(|test| ListedTest { directory: context.relative(&test.directory), ..test }).collect())
}

impl Context<'_> {
    /// The path of the declaration.
    fn at(&self) -> PathBuf {
        self.project.join(&self.source.at)
    }

    /// The directory of the declaration, which must exist.
    fn built(&self) -> Result<PathBuf, ListError> {
        let at = self.at();
        if at.is_dir() { Ok(at) } else { Err(ListError::Missing(PathBuf::from(&self.source.at))) }
    }

    /// The output of a command, with the job's environment and these variables.
    fn read(&self, argv: &[String], directory: &Path, more: &[(&str, String)]) -> Result<String, ListError> {
        self.read_within(argv, directory, more, self.bounds.output)
    }

    /// The same with another limit on the output.
    fn read_within(
        &self,
        argv: &[String],
        directory: &Path,
        more: &[(&str, String)],
        most: ByteSize,
    ) -> Result<String, ListError> {
        let mut set = self.env.clone();
        set.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let environment = exec::environment(self.pass_env, &set);
        let bounds = Bounds { output: most, ..self.bounds };
        let command = Contained { bounds, ..Contained::new(argv, directory, environment) };
        Ok(String::from_utf8_lossy(&command.read()?).into_owned())
    }

    /// What activating the virtual environment of the directory changes, so that what the tests start uses it, too; nothing if it has
    /// none with this program, or if the job sets `PATH` itself.
    fn activated(&self, program: &str) -> Vec<(&'static str, String)> {
        let venv = self.directory.join(VENV);
        if !venv.join("bin").join(program).is_file() || self.env.contains_key("PATH") {
            return Vec::new();
        }
        let path = [Some(venv.join("bin").display().to_string()), self.variable("PATH")];
        let path: Vec<String> = path.into_iter().flatten().collect();
        vec![("PATH", path.join(":")), ("VIRTUAL_ENV", venv.display().to_string())]
    }

    /// The value of a variable in the environment that a test without properties would have.
    fn variable(&self, name: &str) -> Option<String> {
        let environment = exec::environment(self.pass_env, &self.env);
        Some(environment.get(std::ffi::OsStr::new(name))?.to_string_lossy().into_owned())
    }

    /// A path relative to the project where it is inside, so that it is the same on other machines.
    fn relative(&self, path: &str) -> String {
        let inside = Path::new(path).strip_prefix(self.project).ok();
        let relative = inside.map(|inside| inside.display().to_string());
        relative.map_or_else(|| path.to_owned(), |inside| if inside.is_empty() { ".".to_owned() } else { inside })
    }
}

/// Words of a command.
fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

fn malformed(argv: &[String], problem: impl std::fmt::Display) -> ListError {
    ListError::Malformed { command: exec::paste(argv), problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
