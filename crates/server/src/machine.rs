//! What the program asks of the machine before it serves: a log, open files, random numbers, a name.

use std::io::{self, IsTerminal};
use std::time::{SystemTime, UNIX_EPOCH};

use hallows_types::{Monotonic, Now, WallTime};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

/// Logs to standard error what `HALLOWS_LOG` asks for: a level, or directives like `warn,hallows_storage=debug`.
pub(crate) fn start_log() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .with_env_var("HALLOWS_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// Allows as many open files as this user may have: every segment in use and every connection is one.
pub(crate) fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(open_files = ?limit.maximum, "the limit on open files is raised"),
        Err(error) => tracing::warn!(%error, open_files = ?limit.current, "the limit on open files stays as it was"),
    }
}

/// The time of the start; the pump's clock counts from here on.
pub(crate) fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now {
        monotonic: Monotonic::default(),
        wall: WallTime(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
    }
}

/// A seed nobody can guess, for identifiers.
pub(crate) fn seed() -> anyhow::Result<u64> {
    getrandom::u64().map_err(|error| anyhow::anyhow!("cannot start: the system gives no random numbers: {error}"))
}

/// What this machine calls itself.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
