//! What the program's exit code tells, and errors that know theirs.

use std::fmt;
use std::process::ExitCode;

/// How the program ended. The codes are part of its interface and are listed in `docs/operations.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Everything asked for was done; a broker stopped cleanly.
    Done = 0,
    /// It failed for a reason without a code of its own.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was done.
    Usage = 2,
    /// A listener could not be opened, or no broker answered.
    Network = 3,
    /// The data directory cannot be used.
    DataDirectory = 4,
    /// The broker refused what was asked of it.
    Refused = 5,
    /// The time given for it ran out.
    TimedOut = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error and the exit code that goes with it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// An error with a code of its own.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Failed, error)
    }
}
