//! Failures by kind: what a caller may decide on when an operation did not succeed.

use std::fmt::Display;

/// An error of a known kind; each variant holds the message, which says what is wrong and ends with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something was checked and did not pass: a job, a test, a rule, content that cannot be used.
    #[error("{0}")]
    Rejected(String),
    /// The request makes no sense: its options or arguments contradict each other or what is there.
    #[error("{0}")]
    Usage(String),
    /// A declaration of the project is invalid, or another file that its maintainers write.
    #[error("{0}")]
    Declaration(String),
    /// A needed tool, file or permission is missing.
    #[error("{0}")]
    Missing(String),
    /// The machine failed: out of memory, a full disk, a lost runner.
    #[error("{0}")]
    Infrastructure(String),
    /// Bytes, a checksum or a signature are not what they must be.
    #[error("{0}")]
    NotReproducible(String),
    /// A remote side refused, answered with nonsense, or could not be reached.
    #[error("{0}")]
    Remote(String),
    /// A signal interrupted the operation.
    #[error("{0}")]
    Interrupted(String),
    /// Another run holds the lock.
    #[error("{0}")]
    Busy(String),
}

/// Constructors of an [`anyhow::Error`] that holds the variant of the same name.
impl Failure {
    /// A [`Failure::Rejected`].
    pub fn rejected(message: impl Display) -> anyhow::Error {
        Failure::Rejected(message.to_string()).into()
    }

    /// A [`Failure::Usage`].
    pub fn usage(message: impl Display) -> anyhow::Error {
        Failure::Usage(message.to_string()).into()
    }

    /// A [`Failure::Declaration`].
    pub fn declaration(message: impl Display) -> anyhow::Error {
        Failure::Declaration(message.to_string()).into()
    }

    /// A [`Failure::Missing`].
    pub fn missing(message: impl Display) -> anyhow::Error {
        Failure::Missing(message.to_string()).into()
    }

    /// A [`Failure::Infrastructure`].
    pub fn infrastructure(message: impl Display) -> anyhow::Error {
        Failure::Infrastructure(message.to_string()).into()
    }

    /// A [`Failure::NotReproducible`].
    pub fn not_reproducible(message: impl Display) -> anyhow::Error {
        Failure::NotReproducible(message.to_string()).into()
    }

    /// A [`Failure::Remote`].
    pub fn remote(message: impl Display) -> anyhow::Error {
        Failure::Remote(message.to_string()).into()
    }

    /// A [`Failure::Interrupted`].
    pub fn interrupted(message: impl Display) -> anyhow::Error {
        Failure::Interrupted(message.to_string()).into()
    }

    /// A [`Failure::Busy`].
    pub fn busy(message: impl Display) -> anyhow::Error {
        Failure::Busy(message.to_string()).into()
    }

    /// One error for several, of the kind of the first; the only one as it is.
    ///
    /// # Errors
    /// Whenever there is an error.
    pub fn from_all(mut errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
        let Some(failure) = errors.iter().find_map(Failure::find).filter(|_| errors.len() > 1) else {
            return errors.drain(..).next().map_or(Ok(()), Err);
        };
        let lines: Vec<String> = errors.iter().map(|error| format!("{error:#}").replace('\n', "\n  ")).collect();
        let text = format!("{} problems:\n  {}", errors.len(), lines.join("\n  "));
        let kind = match failure {
            Failure::Rejected(_) => Failure::Rejected,
            Failure::Usage(_) => Failure::Usage,
            Failure::Declaration(_) => Failure::Declaration,
            Failure::Missing(_) => Failure::Missing,
            Failure::Infrastructure(_) => Failure::Infrastructure,
            Failure::NotReproducible(_) => Failure::NotReproducible,
            Failure::Remote(_) => Failure::Remote,
            Failure::Interrupted(_) => Failure::Interrupted,
            Failure::Busy(_) => Failure::Busy,
        };
        Err(kind(text).into())
    }

    /// The failure of an error: a context of it, or one of its causes.
    pub fn find(error: &anyhow::Error) -> Option<&Failure> {
        // `chain` does not show the type of a context, and `downcast_ref` does not look into causes.
        error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn several_errors_are_one_of_the_kind_of_the_first() {
        Failure::from_all(Vec::new()).unwrap();
        let one = || Err::<(), _>(Failure::usage("a\n  b")).context("x").unwrap_err();
        let alone = Failure::from_all(vec![one()]).unwrap_err();
        assert_eq!(format!("{alone:#}"), "x: a\n  b");
        let both = Failure::from_all(vec![anyhow::anyhow!("c"), one(), Failure::remote("d")]).unwrap_err();
        assert_eq!(both.to_string(), "3 problems:\n  c\n  x: a\n    b\n  d");
        assert!(matches!(Failure::find(&both), Some(Failure::Usage(_))));
    }
}
