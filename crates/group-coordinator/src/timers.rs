//! Deadlines of groups and members, each at most once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use hallows_types::Monotonic;

/// What a deadline is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    /// A member, pending or not, must be heard of.
    Session {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// A rebalance waits no longer for members to join.
    Join(String),
    /// A rebalance waits no longer for members to sync.
    Sync(String),
    /// Offsets may have expired.
    Expiry,
}

/// Deadlines by time and by what they are about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Monotonic, Timer)>,
    by_subject: BTreeMap<Timer, Monotonic>,
}

impl Timers {
    /// Sets a deadline, in place of an earlier one of the same subject.
    pub(crate) fn set(&mut self, timer: Timer, deadline: Monotonic) {
        if let Some(before) = self.by_subject.insert(timer.clone(), deadline) {
            self.by_time.remove(&(before, timer.clone()));
        }
        self.by_time.insert((deadline, timer));
    }

    /// Forgets a deadline.
    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(before) = self.by_subject.remove(timer) {
            self.by_time.remove(&(before, timer.clone()));
        }
    }

    /// Takes the first deadline that is at or before `now`.
    pub(crate) fn pop_due(&mut self, now: Monotonic) -> Option<Timer> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_subject.remove(&timer);
        Some(timer)
    }

    pub(crate) fn is_set(&self, timer: &Timer) -> bool {
        self.by_subject.contains_key(timer)
    }

    /// The first deadline.
    pub(crate) fn next(&self) -> Monotonic {
        self.by_time.first().map_or(Monotonic::NEVER, |(deadline, _)| *deadline)
    }
}
