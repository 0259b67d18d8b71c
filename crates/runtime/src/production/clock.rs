//! The real clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hallows_types::{Monotonic, Now, WallTime};

/// Monotonic times count from one origin for all shards, so that they may be compared across messages.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(super) fn monotonic(&self) -> Monotonic {
        Monotonic::default().after(self.origin.elapsed())
    }

    pub(super) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic: self.monotonic(),
            wall: WallTime(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}
