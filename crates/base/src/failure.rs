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

    /// The failure of an error: a context of it, or one of its causes.
    pub fn find(error: &anyhow::Error) -> Option<&Failure> {
        // `chain` does not show the type of a context, and `downcast_ref` does not look into causes.
        error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
    }
}
