//! Fetching: sessions (KIP-227), long polls, and reads on the partitions' owners.
//!
//! A session lives on the shard that its id names; a fetch without a session gets one for its own duration.
//! Partition owners tell a session once that something moved, then wait until it has read:
//! an incremental fetch costs what changed, not how many partitions it names.

pub(crate) mod encode;
mod poll;
mod read;
mod session;

use std::sync::Arc;
use std::time::Duration;

use hallows_protocol::ErrorCode;
use hallows_runtime::Slice;
use hallows_types::{LeaderEpoch, Offset, ShardId, TopicId};
use smallvec::SmallVec;

use crate::op::PartitionFailure;
use crate::rows::RowKey;

pub(crate) use session::Sessions;

/// The epoch of a fetch that opens a session.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// The epoch of a fetch outside any session; with a session's id it closes that one.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// Names one partition of one session, for the owner of the partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Watcher {
    /// The session's shard.
    pub(crate) shard: ShardId,
    /// The session.
    pub(crate) session: RowKey,
    /// The session's own index of the partition.
    pub(crate) index: u32,
}

/// A topic as a fetch names it: by name up to version 12, by id from 13 on; the other one is filled in where known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct TopicRef {
    /// The name; empty while unknown.
    pub(crate) name: Arc<str>,
    /// The id; zero while unknown.
    pub(crate) id: TopicId,
}

/// One partition of a fetch request.
#[derive(Clone, Debug)]
pub(crate) struct FetchPartition {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    pub(crate) current_epoch: LeaderEpoch,
    pub(crate) fetch_offset: Offset,
    pub(crate) last_fetched_epoch: LeaderEpoch,
    pub(crate) max_bytes: u32,
}

/// A fetch request on its way to its session.
pub(crate) struct FetchOp {
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    /// Whether topics are named by id (version 13 and up).
    pub(crate) by_id: bool,
    pub(crate) wait: Duration,
    pub(crate) min_bytes: u32,
    pub(crate) max_bytes: u32,
    pub(crate) read_committed: bool,
    pub(crate) partitions: Vec<FetchPartition>,
    pub(crate) forgotten: Vec<(TopicRef, i32)>,
}

impl FetchOp {
    /// The shard of the session it names, if it names one.
    pub(crate) fn session_shard(&self, shard_count: u16) -> Option<ShardId> {
        let id = u32::try_from(self.session_id).ok().filter(|id| *id > 0)?;
        let shard = u16::try_from(id % u32::from(shard_count)).expect("below a 16-bit shard count");
        Some(ShardId(shard))
    }
}

/// The answer to a fetch.
pub(crate) struct FetchAnswer {
    pub(crate) error: ErrorCode,
    pub(crate) session_id: i32,
    /// Partitions in the order of the answer; those of one topic stand together.
    pub(crate) partitions: Vec<FetchedPartition>,
}

/// One partition of the answer.
pub(crate) struct FetchedPartition {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    pub(crate) result: ReadAnswer,
}

/// A read on one partition for a fetch.
#[derive(Clone, Debug)]
pub(crate) struct ReadOp {
    pub(crate) from: Offset,
    pub(crate) max_bytes: u32,
    pub(crate) at_least_one_batch: bool,
    pub(crate) read_committed: bool,
    pub(crate) current_epoch: LeaderEpoch,
    pub(crate) last_fetched_epoch: LeaderEpoch,
    pub(crate) watcher: Watcher,
}

/// The answer to a read.
pub(crate) type ReadAnswer = Result<ReadData, ReadFailure>;

/// Why a partition of a fetch has no data.
pub(crate) type ReadFailure = PartitionFailure;

/// What one partition gives to a fetch.
#[derive(Clone, Debug)]
pub(crate) struct ReadData {
    pub(crate) slices: SmallVec<[Slice; 4]>,
    pub(crate) size_bytes: u32,
    pub(crate) high_watermark: Offset,
    pub(crate) last_stable_offset: Offset,
    pub(crate) log_start: Offset,
    /// Where the client's history leaves ours (KIP-595): epoch and its end.
    pub(crate) diverging: Option<(LeaderEpoch, Offset)>,
}

impl ReadData {
    /// Up to where a client may read.
    pub(crate) const fn end(&self, read_committed: bool) -> Offset {
        if read_committed {
            self.last_stable_offset
        } else {
            self.high_watermark
        }
    }
}
