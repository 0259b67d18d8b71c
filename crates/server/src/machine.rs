//! What the program asks of the machine before it serves: open files, random numbers, a name.

use std::time::{SystemTime, UNIX_EPOCH};

use hallows_types::{Monotonic, Now, WallTime};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
