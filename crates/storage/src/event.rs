//! What storage answers and tells.

use hallows_runtime::Slice;
use hallows_types::{LeaderEpoch, Offset, WallTime};
use smallvec::SmallVec;

use crate::error::Failure;
use crate::settings::PartitionKey;

/// Who appends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A client's produce request: refused while too much waits to be written.
    Client,
    /// The node itself (metadata, coordinators): it gets an eighth more than clients before it is refused.
    Internal,
    /// A rewrite of what is alive in a topic of the node: it frees more than it takes, and only a failed or full disk
    /// refuses it.
    Rewrite,
}

impl Origin {
    /// How much there may be of something that clients may fill up to `bytes_max`.
    pub(crate) const fn bound(self, bytes_max: u64) -> u64 {
        match self {
            Self::Client => bytes_max,
            Self::Internal => bytes_max.saturating_add(bytes_max / 8),
            Self::Rewrite => u64::MAX,
        }
    }
}

/// Offsets assigned to a batch. It is acknowledged once the high watermark is at or above `end_offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record, inclusive.
    pub last_offset: Offset,
    /// `last_offset` + 1.
    pub end_offset: Offset,
    /// The batch's time if its attributes say that the log assigned it.
    pub log_append_time: Option<WallTime>,
    /// Whether the producer had sent this batch before; the offsets are those of the first time.
    pub duplicate: bool,
}

/// The answer to a read.
#[derive(Debug)]
pub enum ReadOutcome {
    /// Bytes to send, in order; none if there is nothing between the offset and the bound.
    Ready {
        /// Runs of batches: ranges of segment files, then memory.
        slices: SmallVec<[Slice; 4]>,
        /// Their total length.
        size_bytes: u32,
    },
    /// Something must be read from disk first; ask again after [`StorageEvent::ReadReady`].
    Pending,
}

/// What to look for in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeTarget {
    /// The first record whose timestamp is at or above this.
    At(WallTime),
    /// The record with the largest timestamp, the first of them.
    Max,
}

/// A record found by time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeMatch {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: WallTime,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// The answer to a lookup by time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Known at once; `None` where no record matches.
    Ready(Option<TimeMatch>),
    /// [`StorageEvent::TimeLookup`] will follow.
    Pending,
}

/// What happened in storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StorageEvent {
    /// The high watermark of a partition moved; several moves of one turn give one event.
    HighWatermark {
        /// The partition.
        key: PartitionKey,
    },
    /// The log start of a partition moved, durably.
    LogStart {
        /// The partition.
        key: PartitionKey,
    },
    /// A read that was [`ReadOutcome::Pending`] may be repeated.
    ReadReady {
        /// The partition.
        key: PartitionKey,
    },
    /// The end of a lookup by time.
    TimeLookup {
        /// The number given with the request.
        request: u64,
        /// What was found, or why the partition failed.
        result: Result<Option<TimeMatch>, Failure>,
    },
    /// A partition accepts nothing more.
    Failed {
        /// The partition.
        key: PartitionKey,
        /// Why.
        failure: Failure,
    },
    /// Appends that were refused with [`crate::AppendError::Busy`] or [`crate::AppendError::Full`] may be tried again.
    Writable,
    /// [`crate::Storage::shut_down`] is complete: everything is on disk.
    Stopped {
        /// Whether nothing failed, so that the directory may be marked clean.
        clean: bool,
    },
}

/// One producer of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerState {
    /// The producer's id.
    pub producer_id: i64,
    /// Its latest epoch.
    pub producer_epoch: i16,
    /// Sequence of its last record; -1 if none.
    pub last_sequence: i32,
    /// Time of its last batch.
    pub last_timestamp: WallTime,
    /// First offset of its open transaction.
    pub transaction_start: Option<Offset>,
}

/// Counters since start, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Batches appended.
    pub appends: u64,
    /// Bytes appended.
    pub append_bytes: u64,
    /// Durable journal writes; `journal_entries / journal_writes` is the size of a group.
    pub journal_writes: u64,
    /// Entries in them.
    pub journal_entries: u64,
    /// Bytes in them, padding included.
    pub journal_bytes: u64,
    /// Writes to segment files.
    pub segment_writes: u64,
    /// Bytes in them.
    pub segment_bytes: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Segments sealed.
    pub segments_sealed: u64,
    /// Segments unlinked.
    pub segments_removed: u64,
    /// Bytes of batches in memory now.
    pub tail_bytes: u64,
    /// Journal files now.
    pub journal_files: u64,
}
