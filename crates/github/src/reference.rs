//! What users write: a repository, and a run by its number or its address.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A repository, `OWNER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The user or the organisation.
    pub owner: String,
    /// The name.
    pub name: String,
}

impl Repository {
    /// The repository that a URL of git names: `https://HOST/OWNER/NAME.git`, `git@HOST:OWNER/NAME`, `ssh://…`.
    pub fn from_remote(url: &str) -> Option<Repository> {
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => url.split_once(':')?.1,
        };
        let path = path.trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path).parse().ok()
    }
}

impl FromStr for Repository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Repository, Error> {
        let allowed = |part: &str| {
            let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            !part.is_empty() && plain && !part.bytes().all(|byte| byte == b'.')
        };
        match text.split_once('/') {
            Some((owner, name)) if allowed(owner) && allowed(name) => {
                Ok(Repository { owner: owner.into(), name: name.into() })
            }
            Some(_) | None => {
                let shown = drydock_base::text::quoted(text);
                Err(Error::Usage(format!("{shown} is not the name of a repository, such as owner/name")))
            }
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// A run, as users name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReference {
    /// The number.
    pub id: u64,
    /// The host and the repository, if an address names them.
    pub place: Option<(String, Repository)>,
}

impl FromStr for RunReference {
    type Err = Error;

    /// `1234`, or `https://HOST/OWNER/NAME/actions/runs/1234` with whatever follows.
    fn from_str(text: &str) -> Result<RunReference, Error> {
        let wrong = || {
            let shown = drydock_base::text::quoted(text);
            Error::Usage(format!("{shown} is neither the number of a run nor its address, …/actions/runs/NUMBER"))
        };
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
        if let Some(id) = number(text) {
            return Ok(RunReference { id, place: None });
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(wrong)?;
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            [host, owner, name, "actions", "runs", id, ..] => {
                let repository = format!("{owner}/{name}").parse()?;
                Ok(RunReference { id: number(id).ok_or_else(wrong)?, place: Some((host.to_owned(), repository)) })
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_number_and_by_address() {
        for (text, expected) in [
            ("17", Some((17, None))),
            ("https://github.com/o/r/actions/runs/17", Some((17, Some("github.com o/r")))),
            ("https://github.com/o/r/actions/runs/17/job/9?pr=1#step:2:3", Some((17, Some("github.com o/r")))),
            ("https://git.example:8443/o/r.js/actions/runs/17/attempts/2", Some((17, Some("git.example:8443 o/r.js")))),
            ("0", None),
            ("-1", None),
            ("https://github.com/o/r/actions/runs/x", None),
            ("https://github.com/o/../actions/runs/1", None),
            ("https://github.com/o/r/pull/17", None),
            ("17 ", None),
            ("../17", None),
        ] {
            let found = text.parse::<RunReference>().ok();
            let place = found.as_ref().and_then(|run| run.place.as_ref()).map(|(host, name)| format!("{host} {name}"));
            assert_eq!(found.map(|run| (run.id, place.as_deref())), expected, "{text}");
        }
    }

    #[test]
    fn a_remote_names_its_repository_whatever_the_transport() {
        for (url, expected) in [
            ("https://github.com/o/r.git", Some("o/r")),
            ("https://x-access-token:s3cret@github.com/o/r", Some("o/r")),
            ("git@github.com:o/r.git", Some("o/r")),
            ("ssh://git@github.com:22/o/r.git/", Some("o/r")),
            ("/srv/git/r.git", None),
            ("../r", None),
            ("https://github.com/o", None),
        ] {
            assert_eq!(Repository::from_remote(url).map(|found| found.to_string()).as_deref(), expected, "{url}");
        }
    }
}
