//! A job that is being drafted.

use drydock_base::exec;

/// The tests of a suite as jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteDraft {
    /// The key of `for-each`.
    pub key: &'static str,
    /// Its value: a directory, a file or a pattern.
    pub at: String,
    /// Further arguments of the command that lists them.
    pub args: Vec<String>,
    /// The jobs that build what the list is read from.
    pub after: Vec<String>,
}

/// One job, with the evidence for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobDraft {
    /// The key under `jobs`.
    pub name: String,
    /// What was seen, one sentence each.
    pub comments: Vec<String>,
    /// Its command; empty for the tests of a suite.
    pub run: Vec<String>,
    /// The directory to run in; empty for the project's.
    pub directory: String,
    /// The jobs that must have passed before.
    pub needs: Vec<String>,
    /// The suite whose tests are the jobs.
    pub suite: Option<SuiteDraft>,
    /// True if it runs under memcheck.
    pub memcheck: bool,
    /// True if it starts valgrind itself.
    pub by_suite: bool,
    /// Environment variables that are set.
    pub env: Vec<(String, String)>,
    /// The time limit; empty for the default.
    pub timeout: String,
    /// The memory to reserve; empty for the default.
    pub memory: String,
    /// True if it may report that no test ran.
    pub allow_no_tests: bool,
    /// A directory that it makes and that git is to ignore; empty for none.
    pub hides: String,
}

impl JobDraft {
    /// The command with what hides its directory from git.
    pub fn command_line(&self) -> Vec<String> {
        if self.hides.is_empty() {
            return self.run.clone();
        }
        let script = format!("{} && echo '*' > {}/.gitignore", exec::paste(&self.run), self.hides);
        ["sh".to_owned(), "-c".to_owned(), script].to_vec()
    }

    /// A job that runs a command.
    pub fn command<W: Into<String>>(name: &str, run: impl IntoIterator<Item = W>) -> JobDraft {
        JobDraft { name: name.to_owned(), run: run.into_iter().map(Into::into).collect(), ..JobDraft::default() }
    }

    /// The tests of a suite that is listed after these jobs.
    pub fn suite(name: &str, key: &'static str, at: &str, after: &[&str]) -> JobDraft {
        let after = after.iter().map(|job| (*job).to_owned()).collect();
        let suite = SuiteDraft { key, at: at.to_owned(), args: Vec::new(), after };
        JobDraft { name: name.to_owned(), suite: Some(suite), ..JobDraft::default() }
    }

    /// The same after these jobs.
    #[must_use]
    pub fn after(mut self, jobs: &[&str]) -> JobDraft {
        self.needs.extend(jobs.iter().map(|job| (*job).to_owned()));
        self
    }

    /// The same under memcheck.
    #[must_use]
    pub fn checked(mut self) -> JobDraft {
        self.memcheck = true;
        self
    }

    /// The same with one more comment.
    #[must_use]
    pub fn because(mut self, comment: impl Into<String>) -> JobDraft {
        self.comments.push(comment.into());
        self
    }

    /// The same with a time limit.
    #[must_use]
    pub fn within(mut self, timeout: &str) -> JobDraft {
        timeout.clone_into(&mut self.timeout);
        self
    }

    /// The same with a variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> JobDraft {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}
