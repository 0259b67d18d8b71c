//! How much of its core a shard uses.
//!
//! By the thread's processor time, not by the clock on the wall: whoever else runs on the core is no work of the shard.

use std::time::Duration;

use hallows_types::Monotonic;
use rustix::time::{ClockId, clock_gettime};

/// How long the use of the core is averaged.
const WINDOW: Duration = Duration::from_millis(20);
/// From this share of its core on, a shard takes no connections from others.
const CROWDED_PERCENT: u128 = 80;

/// The use of the core since the last look.
#[derive(Default)]
pub(super) struct Load {
    since: Monotonic,
    used_before: Duration,
}

impl Load {
    /// Once per window, from the shard's own thread: whether little of the core is left.
    pub(super) fn observe(&mut self, now: Monotonic) -> Option<bool> {
        let passed = now.since(self.since);
        if passed < WINDOW {
            return None;
        }
        let used = used();
        let share = used.saturating_sub(self.used_before).as_nanos() * 100 / passed.as_nanos();
        self.since = now;
        self.used_before = used;
        Some(share >= CROWDED_PERCENT)
    }
}

/// The processor time of this thread.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_crowded_and_one_that_sleeps_is_not() {
        let mut load = Load::default();
        let start = std::time::Instant::now();
        let now = || Monotonic::default().after(start.elapsed() + WINDOW);
        assert!(load.observe(now()).is_some());
        assert_eq!(load.observe(now()), None, "the window has just begun");
        let until = used() + WINDOW * 2;
        while used() < until {
            std::hint::spin_loop();
        }
        // The share depends on who else runs here; that the use was seen does not.
        let used_before = load.used_before;
        assert!(load.observe(now()).is_some());
        assert!(load.used_before >= used_before + WINDOW * 2);
        let later = now().after(WINDOW * 100);
        assert_eq!(
            load.observe(later),
            Some(false),
            "hardly anything was used of a long time"
        );
    }
}
