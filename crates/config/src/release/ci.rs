//! `ci` in `packaging/release.yaml`: what must have tested a commit before it is released.

use super::PublishTarget;
use super::publish::repository_name;
use super::words::Text;
use crate::decode::{Spanned, declaration};
use crate::diagnostic::{Problem, Problems};

declaration! {
    /// The tests that a commit must have passed on GitHub. Default: if `publish` has a target `github`, all checks of its repository.
    pub(in crate) struct CiDeclaration {
        /// The repository, as `OWNER/NAME`.
        github: Text,
        /// The names of checks that must have passed, such as the names of jobs. Default: all checks, and at least one.
        checks: Option<Spanned<Vec<Text>>>,
    }
}

/// The tests that a commit must have passed on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredCi {
    /// The repository, as `OWNER/NAME`.
    pub repository: String,
    /// The names of the checks; empty for all.
    pub checks: Vec<String>,
    /// Whether the declaration has it; otherwise it follows from a target.
    pub is_declared: bool,
}

/// Resolves the declaration, or takes the repository of a target; problems are added to `problems`.
pub(super) fn resolve(
    declared: Option<CiDeclaration>,
    publish: &[PublishTarget],
    problems: &mut Problems,
) -> Option<RequiredCi> {
    let Some(CiDeclaration { github, checks }) = declared else {
        return publish.iter().find_map(|target| match target {
            PublishTarget::Github(repository) => {
                Some(RequiredCi { repository: repository.clone(), checks: Vec::new(), is_declared: false })
            }
            _ => None,
        });
    };
    let checks = match checks {
        None => Vec::new(),
        Some(list) => {
            let names: Vec<String> = list.value?.into_iter().filter_map(|name| name.value).collect();
            if names.is_empty() || names.iter().any(String::is_empty) {
                let problem = Problem::new(list.place, "`checks` has no names, so nothing would be required");
                problems.push(problem.help("name the checks, or leave the key out to require all"));
            }
            names
        }
    };
    Some(RequiredCi { repository: repository_name(&github, problems)?, checks, is_declared: true })
}
