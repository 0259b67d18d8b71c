//! What a request asks of the owner of a partition, of a session or of the metadata, and what it gets back.
//!
//! A handler turns a request into [`Op`]s; each runs on the shard that owns what it is about, here or by message.
//! The answers are gathered on the connection's shard ([`crate::gather`]).

use bytes::BytesMut;
use hallows_storage::{AppendError, Appended, Failure, ProducerState, TimeMatch, TimeTarget};
use hallows_types::{LeaderEpoch, Monotonic, Offset, PartitionId, ShardId};

use crate::controller::{AdminAnswer, AdminOp};
use crate::coordinator::{GroupAnswer, GroupOp, ListGroupsOp};
use crate::fetch::{FetchAnswer, FetchOp, ReadAnswer, ReadOp, Watcher};
use crate::rows::RowKey;

/// Where an answer goes: a part of a gather row of a shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ReplyTo {
    /// The shard of the row.
    pub(crate) shard: ShardId,
    /// The row.
    pub(crate) row: ReplyRow,
    /// The part of the row, 0-based.
    pub(crate) part: u32,
}

/// What waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ReplyRow {
    /// A request that gathers answers.
    Gather(RowKey),
    /// A fetch in progress, whose parts are the entries of its session.
    Poll(RowKey),
}

/// One piece of work for the shard that owns its subject.
pub(crate) enum Op {
    /// For the owner of a partition.
    Partition(PartitionId, PartitionOp),
    /// For the shard of a fetch session.
    Fetch(Box<FetchOp>),
    /// For the controller.
    Admin(Box<AdminOp>),
    /// For the coordinators of one shard.
    ListGroups(ListGroupsOp),
}

/// Work on one partition.
pub(crate) enum PartitionOp {
    /// Append one validated batch; answered once it is acknowledged as its durability class says.
    Append {
        /// The batch.
        batch: BytesMut,
        /// Until when it may wait for room.
        deadline: Monotonic,
    },
    /// Read from the log for a fetch.
    Read(ReadOp),
    /// Stop telling a session about this partition.
    Unwatch(Watcher),
    /// An offset by position or by time.
    ListOffset {
        /// What is asked.
        query: OffsetQuery,
        /// The epoch the client believes to be current.
        current_epoch: LeaderEpoch,
    },
    /// The end of a leader epoch.
    EpochEnd {
        /// The epoch asked about.
        epoch: LeaderEpoch,
        /// The epoch the client believes to be current.
        current_epoch: LeaderEpoch,
    },
    /// Move the log start; `None` means to the high watermark. Answered once durable.
    DeleteRecords {
        /// The first offset to keep.
        before: Option<Offset>,
    },
    /// The producers the partition remembers.
    Producers,
    /// Its size on disk, where its log ends, whether it stopped for good.
    Describe,
    /// Work for the coordinator whose log this partition is.
    Group(Box<GroupOp>),
}

/// What ListOffsets asks of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OffsetQuery {
    /// The high watermark, or the last stable offset for readers of committed transactions.
    Latest {
        /// Whether to stop at the last stable offset.
        read_committed: bool,
    },
    /// The log start.
    Earliest,
    /// By record time.
    Time(TimeTarget),
}

/// The answer to an [`Op`].
pub(crate) enum OpAnswer {
    /// To [`PartitionOp::Append`].
    Appended(Result<AppendDone, AppendFailure>),
    /// To [`PartitionOp::Append`], before its answer: the batch waits for room.
    Waits,
    /// To [`PartitionOp::Read`].
    Read(ReadAnswer),
    /// To [`PartitionOp::ListOffset`].
    Offset(Result<Option<TimeMatch>, PartitionFailure>),
    /// To [`PartitionOp::EpochEnd`].
    EpochEnd(Result<(LeaderEpoch, Offset), PartitionFailure>),
    /// To [`PartitionOp::DeleteRecords`]: the new log start.
    LogStart(Result<Offset, PartitionFailure>),
    /// To [`PartitionOp::Producers`].
    Producers(Result<Vec<ProducerState>, PartitionFailure>),
    /// To [`PartitionOp::Describe`].
    Described(Result<PartitionDescription, PartitionFailure>),
    /// To [`Op::Fetch`].
    Fetch(Box<FetchAnswer>),
    /// To [`Op::Admin`].
    Admin(Box<AdminAnswer>),
    /// To [`PartitionOp::Group`] and [`Op::ListGroups`].
    Group(Box<GroupAnswer>),
}

/// An acknowledged append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AppendDone {
    /// Offsets and time.
    pub(crate) appended: Appended,
    /// The log start at the time of the acknowledgement.
    pub(crate) log_start: Offset,
}

/// Why an append was not made or not acknowledged.
#[derive(Debug)]
pub(crate) enum AppendFailure {
    /// Storage refused it.
    Storage(AppendError),
    /// The partition is not here (any more).
    Partition(PartitionFailure),
}

/// Why a partition cannot answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PartitionFailure {
    /// It does not exist on the asked shard (any more).
    Unknown,
    /// It stopped for good.
    Failed(Failure),
    /// The broker is stopping.
    Stopping,
    /// An offset outside the log.
    OffsetOutOfRange,
    /// The client's leader epoch is older than the partition's.
    FencedLeaderEpoch,
    /// The client's leader epoch is newer than the partition's.
    UnknownLeaderEpoch,
    /// No topic has the id.
    UnknownTopicId,
    /// The id belongs to a topic that was replaced by another of the same name.
    InconsistentTopicId,
}

impl PartitionFailure {
    /// Whether nothing of the asked name or id exists.
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self, Self::Unknown | Self::UnknownTopicId | Self::InconsistentTopicId)
    }
}

/// What is told of one partition besides its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PartitionDescription {
    /// Bytes of batches.
    pub(crate) size_bytes: u64,
    /// The epoch of the next batch.
    pub(crate) leader_epoch: LeaderEpoch,
    /// The end of what is acknowledged, exclusive; at most `log_end`.
    pub(crate) high_watermark: Offset,
    /// The offset of the next record.
    pub(crate) log_end: Offset,
    /// Whether it stopped for good, so that nobody leads it.
    pub(crate) has_failed: bool,
}
