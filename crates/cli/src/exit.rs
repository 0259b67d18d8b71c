//! What the program's exit code tells, and errors that know theirs.

use std::fmt;
use std::io;
use std::process::ExitCode;

use hallows_client::ClientError;

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
    /// One of its threads panicked, which is a fault of this program (`EX_SOFTWARE` of sysexits.h).
    Panicked = 70,
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
        let error = error.into();
        Self {
            exit: exit_of(&error),
            error,
        }
    }
}

/// The code that goes with an error by its kind.
fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return match error {
            ClientError::Broker { .. } | ClientError::NoSuchPartition { .. } => Exit::Refused,
            ClientError::Connect { .. } | ClientError::Connection { .. } | ClientError::NobodyIs { .. } => {
                Exit::Network
            }
            ClientError::TimedOut { .. } => Exit::TimedOut,
            _ => Exit::Failed,
        };
    }
    match error.downcast_ref::<io::Error>() {
        // Whoever read standard output has enough of it, as in `hallows consume … | head -1`.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallows_client::ErrorCode;

    fn check(error: impl Into<Failure>, expected: Exit) {
        let failure: Failure = error.into();
        assert_eq!(failure.exit(), expected, "{failure}");
    }

    #[test]
    fn errors_know_their_codes() {
        let refused = ClientError::Broker {
            api: "CreateTopics",
            subject: "topic a".to_owned(),
            code: ErrorCode::TOPIC_ALREADY_EXISTS,
            message: None,
        };
        check(refused, Exit::Refused);
        let unreachable = ClientError::Connect {
            address: "nowhere:1".to_owned(),
            source: io::ErrorKind::ConnectionRefused.into(),
        };
        check(unreachable, Exit::Network);
        check(io::Error::from(io::ErrorKind::BrokenPipe), Exit::Done);
        check(io::Error::from(io::ErrorKind::NotFound), Exit::Failed);
    }
}
