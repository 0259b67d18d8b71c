//! The words of the product: offsets, epochs, identifiers and times.
//!
//! No behaviour beyond checked arithmetic, no dependency, no allocation on the way.
#![no_std]

extern crate alloc;

use core::fmt;
use core::time::Duration;

/// A position in a partition's log, counted in records from 0. Negative values never name a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);

    /// The offset `count` records further on, or `None` past the largest offset.
    #[must_use]
    pub const fn checked_add(self, count: i64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The count of times a partition's leadership began anew (KIP-101). -1 stands for "not known".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// What clients send when they do not know an epoch.
    pub const UNKNOWN: Self = Self(-1);
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An identifier that survives renames and tells a re-created topic from its predecessor (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// What the wire carries where no topic id is given.
    pub const ZERO: Self = Self([0; 16]);
    /// The metadata log's own topic, as in Kafka.
    pub const METADATA: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

impl fmt::Display for TopicId {
    /// 32 hexadecimal digits, as in file names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicId,
    /// 0-based index inside the topic.
    pub index: i32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// The index of a shard, 0-based; a shard is one thread that owns its partitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u16);

/// Nanoseconds since an arbitrary start, never going back. For deadlines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// A time that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The time `wait` later, at most [`Monotonic::NEVER`].
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// The time from `earlier` to this one; zero when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z. For records; may jump both ways. -1 stands for "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(pub i64);

impl WallTime {
    /// "No timestamp" on the wire.
    pub const NONE: Self = Self(-1);
}

/// The time of one turn: one reading, so that everything inside the turn agrees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// For deadlines.
    pub monotonic: Monotonic,
    /// For records. Only this one can jump.
    pub wall: WallTime,
}
